//! What was read from a list and what asking about it would mean, before anybody is asked.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use hitmachine_core::volume::local;
use hitmachine_node::control::ClassWord;
use hitmachine_node::failure::Failure;
use hitmachine_node::language::Language;
use hitmachine_node::screening::{List, OnQuota, Plan, PlanPartner, PlanQuota};
use hitmachine_node::source::households::HouseholdOutcome;
use hitmachine_node::source::{IssueKind, upload};
use hitmachine_node::view::refusal_text;

use super::columns::{Chosen, delimiter, delimiter_word, encoding, encoding_word};
use super::held::{Entry, File, Held, Owner, Prepared, Stage};
use super::new::{said, sentence};
use super::{duration, to};
use crate::app::App;
use crate::caller::Asker;
use crate::jobs;
use crate::jobs::screening::Screening;
use crate::page::{Page, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// Rows with a fault that are named.
const MOST_ISSUES: usize = 50;

/// A row that is left out.
struct Left {
    row: u64,
    column: String,
    reason: String,
}

/// What was read, in numbers.
struct Content {
    rows: u64,
    households: usize,
    persons: usize,
    minors: usize,
    left_out: u64,
    left: Vec<Left>,
    /// Rows whose number becomes one if missing zeros are filled in.
    short: u64,
}

/// A column that can be chosen.
struct Choice {
    value: String,
    name: String,
}

#[derive(askama::Template)]
#[template(path = "screening_plan.html")]
struct PlanPage {
    page: Page,
    /// Of the list that is held.
    name: String,
    screening: Screening,
    stops: bool,
    spreadsheet: bool,
    delimiter: &'static str,
    encoding: &'static str,
    chosen: Chosen,
    columns: Vec<Choice>,
    content: Option<Content>,
    /// Why the list cannot be used.
    wrong: Option<String>,
    plan: Option<Plan>,
}

impl PlanPage {
    /// Whether a column is the one chosen for a field of the form.
    fn is_chosen(&self, field: &str, value: &str) -> bool {
        let place = match field {
            "household" => self.chosen.household,
            "identifier" => self.chosen.identifier,
            _ => self.chosen.reference,
        };
        place.is_some_and(|place| place.to_string() == value)
    }

    /// Whether the button to begin is there.
    fn may_start(&self) -> bool {
        let plan = self.plan.as_ref();
        let covenant = plan.and_then(|plan| plan.covenant.as_ref());
        plan.is_some_and(|plan| plan.persons > 0)
            && covenant.is_some_and(|covenant| covenant.refused.is_none() && !covenant.too_many)
    }

    fn refusal(&self, code: &str) -> String {
        sentence(refusal_text(code, self.page.language))
    }

    fn failure(&self, failure: &Failure) -> String {
        sentence(failure.text(self.page.language))
    }

    fn takes(&self, plan: &Plan) -> String {
        duration(plan.seconds, self.page.language)
    }

    fn about(&self, partner: &PlanPartner) -> &'static str {
        match partner.classes.as_slice() {
            [ClassWord::Minor] => self.page.t("screening.about_minors"),
            [ClassWord::Adult] => self.page.t("screening.about_adults"),
            [] => self.page.t("screening.about_nobody"),
            _ => self.page.t("screening.about_everybody"),
        }
    }

    fn quota(&self, quota: &PlanQuota) -> String {
        let name = match quota.of.as_str() {
            "user" => "screening.quota_user",
            _ => "screening.quota_partner",
        };
        self.page.t2(name, quota.persons, quota.hours)
    }
}

#[derive(askama::Template)]
#[template(path = "screening_gone.html")]
struct GonePage {
    page: Page,
}

/// The list is not held any more, or is somebody else's.
fn gone(page: Page) -> Result<Response, Problem> {
    html_with(StatusCode::NOT_FOUND, &GonePage { page })
}

pub(super) async fn show(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Extension(held): Extension<Arc<Held>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let Some(entry) = held.get(&Owner::of(&visitor), &name) else {
        return gone(page);
    };
    show_entry(&app, &asker, page, &entry, name, None).await
}

/// The page of a list; `wrong` is what was wrong with a choice just made.
async fn show_entry(
    app: &App,
    asker: &Asker<'_>,
    page: Page,
    entry: &Entry,
    name: String,
    wrong: Option<String>,
) -> Result<Response, Problem> {
    let stage = entry.stage.lock().await;
    let prepared = match &*stage {
        Stage::Started(id) => return Ok(to(&format!("/screenings/{id}"))),
        Stage::Prepared(prepared) => prepared,
    };
    let Prepared {
        screening,
        on_quota,
        file,
    } = &**prepared;
    let language = page.language;
    let mut shown = PlanPage {
        name,
        screening: screening.clone(),
        stops: *on_quota == OnQuota::Stop,
        spreadsheet: file.written.spreadsheet,
        delimiter: delimiter_word(file.written.delimiter),
        encoding: encoding_word(file.written.encoding),
        chosen: file.chosen.clone(),
        columns: choices(file),
        content: None,
        wrong,
        plan: None,
        page,
    };
    if shown.wrong.is_none() {
        match read(app, file).await? {
            None => shown.wrong = Some(shown.page.t("screening.choose_columns").to_owned()),
            Some(Err(failure)) => shown.wrong = Some(said(&shown.page, &failure)),
            Some(Ok((outcome, short))) => {
                shown.content = Some(content(&outcome, short, language));
                match jobs::screening::plan(app, asker, screening, (&outcome).into()).await {
                    Ok(plan) => shown.plan = Some(plan),
                    Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
                        shown.wrong = Some(sentence(problem.text(language)));
                    }
                    Err(problem) => return Err(problem),
                }
            }
        }
    }
    drop(stage);
    let status = match shown.wrong {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    html_with(status, &shown)
}

/// Reads it otherwise: other columns, another delimiter or encoding.
pub(super) async fn choose(
    page: Page,
    State(app): State<App>,
    Extension(held): Extension<Arc<Held>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let Some(entry) = held.get(&Owner::of(&posted.visitor), &name) else {
        return gone(page);
    };
    let wrong = {
        let mut stage = entry.stage.lock().await;
        match &mut *stage {
            Stage::Started(_) => None,
            Stage::Prepared(prepared) => choose_in(&mut prepared.file, &posted, &page).await?,
        }
    };
    match wrong {
        None => Ok(to(&format!("/screenings/new/{name}"))),
        Some(_) => show_entry(&app, &asker, page, &entry, name, wrong).await,
    }
}

/// What is wrong with the choice; then the file stays as it was.
async fn choose_in(file: &mut File, posted: &Posted, page: &Page) -> Result<Option<String>, Problem> {
    let fields = &posted.fields;
    let delimiter = delimiter(fields.get("delimiter")).unwrap_or(file.written.delimiter);
    let encoding = encoding(fields.get("encoding")).unwrap_or(file.written.encoding);
    if (delimiter, encoding) == (file.written.delimiter, file.written.encoding) {
        file.chosen = Chosen::read(fields);
        return Ok(None);
    }
    let bytes = Arc::clone(&file.bytes);
    let looking = move || upload::look(&bytes, Some(delimiter), Some(encoding));
    let looked = tokio::task::spawn_blocking(looking).await;
    match looked.map_err(|error| Problem::node(&error))? {
        Ok(written) => {
            // Other columns: what the header tells, again.
            file.chosen = Chosen::of(&written);
            file.written = written;
            Ok(None)
        }
        Err(error) => Ok(Some(said(page, &Failure::source(&error)))),
    }
}

/// Begins, once: whoever comes second finds the screening that the first began.
pub(super) async fn start(
    page: Page,
    State(app): State<App>,
    Extension(held): Extension<Arc<Held>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let Some(entry) = held.get(&Owner::of(&posted.visitor), &name) else {
        return gone(page);
    };
    let mut stage = entry.stage.lock().await;
    let prepared = match &*stage {
        Stage::Started(id) => return Ok(to(&format!("/screenings/{id}"))),
        Stage::Prepared(prepared) => prepared,
    };
    let Some(Ok((outcome, _))) = read(&app, &prepared.file).await? else {
        return Ok(to(&format!("/screenings/new/{name}")));
    };
    let list = List::from(&outcome);
    let id = jobs::screening::start(&app, &asker, &prepared.screening, list, prepared.on_quota).await?;
    // The file goes with this.
    *stage = Stage::Started(id.clone());
    Ok(to(&format!("/screenings/{id}")))
}

/// Forgets the list.
pub(super) async fn cancel(
    Extension(held): Extension<Arc<Held>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    posted.visitor.caller.asker()?;
    held.forget_own(&Owner::of(&posted.visitor), &name);
    Ok(to("/screenings?done=cancelled"))
}

fn choices(file: &File) -> Vec<Choice> {
    let columns = file.written.columns().into_iter();
    let choice = |(place, name): (usize, &str)| Choice {
        value: place.to_string(),
        name: name.chars().take(60).collect(),
    };
    columns.map(choice).collect()
}

/// The households of a file, and how many more persons there would be if missing zeros were filled in; `None` while a column
/// is not chosen.
async fn read(app: &App, file: &File) -> Result<Option<Result<(HouseholdOutcome, u64), Failure>>, Problem> {
    let Some(columns) = file.chosen.columns(&file.written) else {
        return Ok(None);
    };
    let node = app.node();
    let admission = node.config().admission().map_err(|error| Problem::node(&error))?;
    let today = local(node.clock().now()).date();
    let (bytes, written) = (Arc::clone(&file.bytes), file.written.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let read = |columns| upload::read(&bytes, &written, columns, &admission, today);
        let outcome = read(columns.clone()).map_err(|error| Failure::source(&error))?;
        let too_short = |outcome: &HouseholdOutcome| {
            let issues = outcome.issues.iter();
            issues
                .filter(|issue| matches!(issue.kind, IssueKind::Bsn(error) if error.code() == "bsn_length"))
                .count()
        };
        let short = if columns.numeric || too_short(&outcome) == 0 {
            0
        } else {
            let mut filled = columns;
            filled.numeric = true;
            let filled = read(filled).map_or(u64::MAX, |filled| filled.issue_count);
            outcome.issue_count.saturating_sub(filled)
        };
        Ok((outcome, short))
    });
    reading.await.map(Some).map_err(|error| Problem::node(&error))
}

fn content(outcome: &HouseholdOutcome, short: u64, language: Language) -> Content {
    let persons = || outcome.households.iter().flat_map(|household| &household.persons);
    let issues = outcome.issues.iter().take(MOST_ISSUES);
    let left = issues.map(|issue| Left {
        row: issue.row,
        column: issue.column.as_deref().unwrap_or_default().to_owned(),
        reason: language
            .pick(issue.kind.text_nl(), &issue.kind.to_string())
            .to_owned(),
    });
    Content {
        rows: outcome.total_rows,
        households: outcome.households.len(),
        persons: persons().count(),
        minors: persons()
            .filter(|person| person.class == hitmachine_core::SubjectClass::Minor)
            .count(),
        left_out: outcome.issue_count,
        left: left.collect(),
        short,
    }
}
