//! More of a privacy officer's tasks: samples, alarms, notifications, the covenant, and what is erased when.
//!
//! What reads or changes the hub's log takes a [`Looking`]; the covenant and the queue of notifications are this node's own
//! and need the role alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use hitmachine_audit::{Period, RetentionClass};
use hitmachine_core::permit::RETENTION_WITHOUT_PURPOSE;
use hitmachine_core::{Covenant, Oin};
use hitmachine_node::PastCovenant;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::notification::task::{NotificationAsk, NotificationReply, Task as NotificationTask};
use hitmachine_node::officer::alarms::AlarmRow;
use hitmachine_node::officer::page::{ErasureView, OwnEntry, PageView};
use hitmachine_node::officer::task::{
    ErasedView, OfficerReply, Range, SearchAsk, StatisticsRowView, StatisticsView, Task,
};

use super::officer::{Looking, search, task};
use crate::app::App;
use crate::caller::Officer;
use crate::problem::Problem;

/// A reply that does not belong to the request. The node has none such.
fn unexpected() -> Problem {
    Problem::node(&std::io::Error::other("unexpected reply"))
}

/// Draws so many questions of a stretch of time, each with the same chance.
///
/// # Errors
/// [`Problem`].
pub async fn sample(app: &App, looking: &Looking<'_>, count: u32, range: Range) -> Result<PageView, Problem> {
    match task(app, looking, Task::Sample { count, range }).await? {
        OfficerReply::Page(page) => Ok(*page),
        _ => Err(unexpected()),
    }
}

/// An alarm was seen; what was found stands in `note`.
///
/// # Errors
/// [`Problem`].
pub async fn acknowledge(
    app: &App,
    looking: &Looking<'_>,
    index: u64,
    note: &str,
) -> Result<OwnEntry, Problem> {
    let note = note.to_owned();
    match task(app, looking, Task::Acknowledge { index, note }).await? {
        OfficerReply::AlarmChanged(changed) => Ok(changed.own),
        _ => Err(unexpected()),
    }
}

/// Allows the questions again that an alarm stopped.
///
/// # Errors
/// [`Problem`].
pub async fn lift(
    app: &App,
    looking: &Looking<'_>,
    alarm: &AlarmRow,
    note: &str,
) -> Result<OwnEntry, Problem> {
    let lift = Task::Lift {
        organisation: alarm.about.clone(),
        user: alarm.user.clone().unwrap_or_default(),
        note: note.to_owned(),
    };
    match task(app, looking, lift).await? {
        OfficerReply::AlarmChanged(changed) => Ok(changed.own),
        _ => Err(unexpected()),
    }
}

/// Does something with the queue of persons to be informed. Needs no hub.
///
/// # Errors
/// [`Problem`].
pub async fn notification(
    app: &App,
    officer: Officer<'_>,
    task: NotificationTask,
) -> Result<NotificationReply, Problem> {
    let ask = NotificationAsk {
        user: officer.user().to_owned(),
        task,
    };
    match app.call(Request::Notification(Box::new(ask))).await? {
        Reply::Notification(reply) => Ok(reply),
        _ => Err(unexpected()),
    }
}

/// The covenants that this node heard of, newest first; the first is the one that it holds.
///
/// # Errors
/// [`Problem`] if the state fails, or none was ever accepted.
pub async fn covenants(app: &App, _: Officer<'_>) -> Result<Vec<PastCovenant>, Problem> {
    // Whether there is a newer one; the one that is held is shown if the hub is away.
    let _ = app.call(Request::Covenant).await;
    let node = Arc::clone(app.node());
    let reading = tokio::task::spawn_blocking(move || node.covenant_history());
    let history = reading.await.map_err(|error| Problem::node(&error))??;
    if history.is_empty() {
        return Err(Problem::not_found());
    }
    Ok(history)
}

/// What the log holds, month by month, and when it is erased.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Groups of entries, what is erased first first.
    pub groups: Vec<Group>,
    /// What was erased, newest first.
    pub erasures: Vec<ErasureView>,
    /// The entries of the two looks at the log that this took, from 0.
    pub own: [u64; 2],
}

/// Entries of one month with one term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Month of the entries, in UTC.
    pub month: Period,
    /// Of what.
    pub of: Of,
    /// Months that they are kept, after the month they are of.
    pub months: u16,
    /// The month from which on they may be erased; never if absent.
    pub expires: Option<Period>,
    /// How many, at least: small counts are not told.
    pub at_least: u64,
    /// Whether there are more than that.
    pub more: bool,
    /// Whether the term has ended.
    pub reached: bool,
}

/// What entries are of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// Questions for a purpose: its title.
    Purpose(String),
    /// Questions for a purpose that the covenant has no more: its short name. Their term is not known here.
    GonePurpose(String),
    /// Officers' actions.
    Officers,
    /// Refused questions without a purpose.
    Refused,
}

/// When what is erased. Two looks at the log.
///
/// # Errors
/// [`Problem`].
pub async fn calendar(app: &App, looking: &Looking<'_>) -> Result<Calendar, Problem> {
    let covenant = app
        .node()
        .covenant_in_force()
        .await
        .map_err(|error| Problem::from(hitmachine_node::failure::Failure::from(error)))?;
    let counts: StatisticsView = match task(app, looking, Task::Statistics(Range::default())).await? {
        OfficerReply::Statistics(view) => view,
        _ => return Err(unexpected()),
    };
    let newest = SearchAsk {
        limit: 1,
        ..SearchAsk::default()
    };
    let page = search(app, looking, newest).await?;
    let mut erasures = page.erasures;
    erasures.reverse();
    let now = u64::try_from(app.node().clock().now().as_millisecond()).unwrap_or(0);
    Ok(Calendar {
        groups: groups(&counts.rows, &covenant, Period::of_unix_ms(now)),
        erasures,
        own: [counts.own.log_index, page.own.log_index],
    })
}

/// Entries by month and term, those first that are erased first.
fn groups(rows: &[StatisticsRowView], covenant: &Covenant, now: Period) -> Vec<Group> {
    let mut found: BTreeMap<(Option<Period>, Period, Of), Group> = BTreeMap::new();
    let mut add = |month: Period, of: Of, months: u16, count: Option<u64>| {
        if count == Some(0) {
            return;
        }
        let expires = month.expires(RetentionClass(months));
        let known = !matches!(of, Of::GonePurpose(_));
        let expires = expires.filter(|_| known);
        let group = found.entry((expires, month, of.clone())).or_insert(Group {
            month,
            of,
            months,
            expires,
            at_least: 0,
            more: false,
            reached: expires.is_some_and(|expires| expires <= now),
        });
        group.at_least += count.unwrap_or(0);
        group.more |= count.is_none();
    };
    for row in rows {
        let Ok(month) = row.month.parse::<Period>() else {
            continue;
        };
        let purpose = row.purpose.parse().ok().and_then(|code| covenant.purpose(&code));
        match purpose {
            Some(purpose) => add(
                month,
                Of::Purpose(purpose.title.clone()),
                purpose.log_retention_months,
                row.total,
            ),
            None if row.purpose.is_empty() => {
                add(
                    month,
                    Of::Officers,
                    officers_term(covenant, &row.oin),
                    row.officer,
                );
                add(month, Of::Refused, RETENTION_WITHOUT_PURPOSE, row.refused);
            }
            None => add(month, Of::GonePurpose(row.purpose.clone()), 0, row.total),
        }
    }
    let mut groups: Vec<Group> = found.into_values().collect();
    // Those of which nothing is known come last.
    groups.sort_by_key(|group| (group.expires.is_none(), group.expires, group.month));
    groups
}

fn officers_term(covenant: &Covenant, oin: &str) -> u16 {
    let oin: Option<Oin> = oin.parse().ok();
    let partner = oin.and_then(|oin| covenant.partner_by_oin(&oin));
    let mut officers = covenant.officers().iter();
    let officer = officers.find(|officer| partner.is_some_and(|partner| partner.id == officer.partner));
    officer.map_or(RETENTION_WITHOUT_PURPOSE, |officer| officer.log_retention_months)
}

/// Erases what has reached its term.
///
/// # Errors
/// [`Problem`].
pub async fn erase(app: &App, looking: &Looking<'_>) -> Result<ErasedView, Problem> {
    let up_to = String::new();
    match task(app, looking, Task::Erase { up_to }).await? {
        OfficerReply::Erased(view) => Ok(view),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
#[path = "review_tests.rs"]
mod tests;
