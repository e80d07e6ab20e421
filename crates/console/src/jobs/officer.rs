//! A privacy officer's tasks, each an entry in the hub's log.
//!
//! Whoever looks says why: a [`Looking`] is an officer with a reference, and every task takes one. Only the published log
//! is public; to check it needs the role but is no entry.

use std::sync::Arc;

use hitmachine_node::control::{AskPerson, Reply, Request};
use hitmachine_node::officer::alarms::AlarmsView;
use hitmachine_node::officer::check::EntryCheck;
use hitmachine_node::officer::overlap::OverlapView;
use hitmachine_node::officer::overview::OverviewView;
use hitmachine_node::officer::page::{OwnEntry, PageView, RowView};
use hitmachine_node::officer::published::VerifyView;
use hitmachine_node::officer::published_head::PublishedHead;
use hitmachine_node::officer::report::Report;
use hitmachine_node::officer::task::{
    Aim, CompletenessView, OfficerAsk, OfficerReply, Range, SearchAsk, Task, TrendView,
};
use hitmachine_node::officer::waiting::WaitingView;
use hitmachine_node::sync::Progress;

use crate::app::App;
use crate::caller::Officer;
use crate::problem::Problem;

/// Entries of one page where all pages are fetched.
const PAGE: u32 = 200;
/// The most entries of one file; a shorter period makes more files.
const MOST_EXPORTED: usize = 50_000;

/// An officer, and why they look.
#[derive(Clone, Copy, Debug)]
pub struct Looking<'a> {
    officer: Officer<'a>,
    reference: &'a str,
}

/// All that a search for one person found, and the report made of it.
#[derive(Clone, Debug)]
pub struct PersonReport {
    /// The report.
    pub report: Report,
    /// Its entries, as a search has them: without users and cases.
    pub rows: Vec<RowView>,
}

impl<'a> Looking<'a> {
    /// `reference` is a file, an instruction or a request; it goes into the log with every task.
    pub fn new(officer: Officer<'a>, reference: &'a str) -> Self {
        Self { officer, reference }
    }

    /// Who looks.
    pub fn officer(&self) -> Officer<'a> {
        self.officer
    }

    /// Why.
    pub fn reference(&self) -> &'a str {
        self.reference
    }

    fn request(&self, task: Task) -> Request {
        Request::Officer(Box::new(OfficerAsk {
            user: self.officer.user().to_owned(),
            role: self.officer.role().to_owned(),
            responsible: None,
            reference: self.reference.to_owned(),
            task,
        }))
    }
}

/// Does any task.
///
/// # Errors
/// [`Problem`]; then nothing of a result is there.
pub async fn task(app: &App, looking: &Looking<'_>, task: Task) -> Result<OfficerReply, Problem> {
    officer_reply(app.call(looking.request(task)).await?)
}

fn officer_reply(reply: Reply) -> Result<OfficerReply, Problem> {
    match reply {
        Reply::Officer(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}

/// A reply that does not belong to the request. The node has none such.
fn unexpected() -> Problem {
    Problem::node(&std::io::Error::other("unexpected reply"))
}

/// One page of a search.
///
/// # Errors
/// [`Problem`].
pub async fn search(app: &App, looking: &Looking<'_>, ask: SearchAsk) -> Result<PageView, Problem> {
    match task(app, looking, Task::Search(ask)).await? {
        OfficerReply::Page(page) => Ok(*page),
        _ => Err(unexpected()),
    }
}

/// All pages of a search, newest entries first.
///
/// # Errors
/// [`Problem`]; also if there are more than 50,000 entries.
pub async fn search_all(
    app: &App,
    looking: &Looking<'_>,
    mut ask: SearchAsk,
) -> Result<Vec<PageView>, Problem> {
    ask.limit = PAGE;
    ask.before = 0;
    let (mut pages, mut rows) = (Vec::new(), 0);
    loop {
        let page = search(app, looking, ask.clone()).await?;
        rows += page.rows.len();
        if rows > MOST_EXPORTED {
            return Err(Problem::new(
                axum::http::StatusCode::UNPROCESSABLE_ENTITY,
                "too_many_entries",
                "Dit zijn meer dan 50.000 logregels. Kies een kortere periode.",
                "These are more than 50,000 log entries. Choose a shorter period.",
            ));
        }
        ask.before = page.next;
        pages.push(page);
        if ask.before == 0 {
            return Ok(pages);
        }
    }
}

/// One entry with its proof, by its number from 0, and the page that it came on.
///
/// # Errors
/// [`Problem::not_found`] for an entry that the log does not have yet.
pub async fn show(app: &App, looking: &Looking<'_>, index: u64) -> Result<(RowView, PageView), Problem> {
    // The hub leaves out what it does not have, and the node would take that for a fault of the hub.
    if index >= app.node().log_size_seen() {
        let published = app.node().published_head().await?;
        if published.is_none_or(|head| index >= head.size) {
            return Err(Problem::not_found());
        }
    }
    match task(app, looking, Task::Show(vec![index])).await? {
        OfficerReply::Page(mut page) => {
            let row = page.rows.pop().ok_or_else(Problem::not_found)?;
            Ok((row, *page))
        }
        _ => Err(unexpected()),
    }
}

/// Checks an entry that was shown, step by step.
///
/// # Errors
/// [`Problem`] if the hub's published files cannot be read.
pub async fn check_entry(app: &App, _: Officer<'_>, row: &RowView) -> Result<EntryCheck, Problem> {
    Ok(app.node().check_entry(row).await?)
}

/// Puts a note on an entry: `in_order`, `question` or `breach`, and why.
///
/// # Errors
/// [`Problem`].
pub async fn review(
    app: &App,
    looking: &Looking<'_>,
    index: u64,
    verdict: &str,
    note: &str,
) -> Result<OwnEntry, Problem> {
    let (verdict, note) = (verdict.to_owned(), note.to_owned());
    match task(app, looking, Task::Review { index, verdict, note }).await? {
        OfficerReply::Reviewed(own) => Ok(own),
        _ => Err(unexpected()),
    }
}

/// Counts of all questions from each of these times up to the next.
///
/// # Errors
/// [`Problem`].
pub async fn trend(app: &App, looking: &Looking<'_>, cuts: Vec<u64>) -> Result<TrendView, Problem> {
    match task(app, looking, Task::Trend(cuts)).await? {
        OfficerReply::Trend(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// All alarms in the log.
///
/// # Errors
/// [`Problem`].
pub async fn alarms(app: &App, looking: &Looking<'_>) -> Result<AlarmsView, Problem> {
    match task(app, looking, Task::Alarms).await? {
        OfficerReply::Alarms(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// Hit notices that partners did not fetch.
///
/// # Errors
/// [`Problem`].
pub async fn waiting_notices(app: &App, looking: &Looking<'_>) -> Result<WaitingView, Problem> {
    match task(app, looking, Task::Notices).await? {
        OfficerReply::Notices(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// The overview of a year, or of a quarter from 1 to 4; 0 is the whole year. A `threshold` of 0 is the usual one.
///
/// # Errors
/// [`Problem`].
pub async fn overview(
    app: &App,
    looking: &Looking<'_>,
    (year, quarter, threshold): (u32, u32, u32),
) -> Result<OverviewView, Problem> {
    let wanted = Task::Overview {
        year,
        quarter,
        threshold,
    };
    match task(app, looking, wanted).await? {
        OfficerReply::Overview(view) => Ok(*view),
        _ => Err(unexpected()),
    }
}

/// Everything that was asked about one person. `name` is how the officer calls the person or the request; never a
/// number of theirs. Nothing of the number is kept.
///
/// # Errors
/// [`Problem`].
pub async fn person_report(
    app: &App,
    looking: &Looking<'_>,
    person: AskPerson,
    name: Option<String>,
) -> Result<PersonReport, Problem> {
    let ask = SearchAsk {
        person: Some(person),
        aim: Aim::Report,
        ..SearchAsk::default()
    };
    let pages = search_all(app, looking, ask).await?;
    let report = Report::new(&pages, name, app.node().clock().now().to_string());
    let rows = pages.into_iter().flat_map(|page| page.rows).collect();
    Ok(PersonReport { report, rows })
}

/// Whether each entry is there, or was provably erased.
///
/// # Errors
/// [`Problem`].
pub async fn completeness(app: &App, looking: &Looking<'_>) -> Result<CompletenessView, Problem> {
    match task(app, looking, Task::Completeness).await? {
        OfficerReply::Completeness(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// Compares the log with what this node asked, since its journal began; `progress` hears how far it is.
///
/// # Errors
/// [`Problem`].
pub async fn overlap(
    app: &App,
    looking: &Looking<'_>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<OverlapView, Problem> {
    let request = looking.request(Task::Overlap(Range::default()));
    match officer_reply(app.call_with(request, progress).await?)? {
        OfficerReply::Overlap(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// Checks every entry of the published log; `progress` hears how far it is.
///
/// # Errors
/// [`Problem`] if nothing can be said.
pub async fn verify(
    app: &App,
    looking: &Looking<'_>,
    progress: Arc<dyn Fn(Progress) + Send + Sync>,
) -> Result<VerifyView, Problem> {
    match officer_reply(app.call_with(looking.request(Task::Verify), progress).await?)? {
        OfficerReply::Verified(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

/// The published checkpoint, and who cosigned it.
///
/// # Errors
/// [`Problem`] if the hub cannot be reached.
pub async fn published_head(app: &App, _: Officer<'_>) -> Result<Option<PublishedHead>, Problem> {
    Ok(app.node().published_head().await?)
}
