//! Persons who must be told that this organisation asked about them (AVG art. 14): what is due, and what was done.
//!
//! The queue is this node's own: looking at it is no entry of the hub's log. Numbers of persons, where the configuration
//! keeps them, are in the file for letters only.

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_node::language::Language;
use hitmachine_node::notification::entry::{Deferral, Kind, NotNeeded, Reason, State as Progress, What};
use hitmachine_node::notification::letter::{Template as Letter, addressee, template_name};
use hitmachine_node::notification::task::{Filter, NotificationReply, NotificationView, Task, Which};
use hitmachine_node::notification::text;
use serde::Deserialize;

use super::{files, said, say};
use crate::app::App;
use crate::jobs::review::notification;
use crate::moment::{day, moment};
use crate::page::{Page, html, html_with};
use crate::pages::officer::form::{Errors, date};
use crate::pages::officer::{OfficerPosted, OfficerVisitor};
use crate::problem::Problem;

/// Every reason to put one off, by its word in forms.
const DEFERRALS: [(&str, Deferral); 8] = [
    ("impairs_purpose", Deferral::ImpairsPurpose),
    ("secrecy", Deferral::Secrecy),
    ("unreachable", Deferral::Unreachable),
    ("public_security", Deferral::PublicSecurity),
    ("investigation", Deferral::Investigation),
    ("supervision", Deferral::Supervision),
    ("person_or_others", Deferral::PersonOrOthers),
    ("public_interest", Deferral::PublicInterest),
];
/// Every reason why one is not needed.
const NOT_NEEDED: [(&str, NotNeeded); 5] = [
    ("already_informed", NotNeeded::AlreadyInformed),
    ("impossible", NotNeeded::Impossible),
    ("laid_down_by_law", NotNeeded::LaidDownByLaw),
    ("secrecy", NotNeeded::Secrecy),
    ("deceased", NotNeeded::Deceased),
];
/// The letters that come with this program, by the name of their file.
const LETTERS: [(&str, &str); 6] = [
    (
        "entry-both.txt",
        include_str!("../../../../../deploy/letters/entry-both.txt"),
    ),
    (
        "entry-person.txt",
        include_str!("../../../../../deploy/letters/entry-person.txt"),
    ),
    (
        "entry-representative.txt",
        include_str!("../../../../../deploy/letters/entry-representative.txt"),
    ),
    (
        "exit-both.txt",
        include_str!("../../../../../deploy/letters/exit-both.txt"),
    ),
    (
        "exit-person.txt",
        include_str!("../../../../../deploy/letters/exit-person.txt"),
    ),
    (
        "exit-representative.txt",
        include_str!("../../../../../deploy/letters/exit-representative.txt"),
    ),
];
/// Between two letters: a new page on a printer.
const PAGE_BREAK: &str = "\n\u{c}\n";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/notifications", get(list))
        .route("/officer/notifications/list.csv", get(csv))
        .route("/officer/notifications/letters", post(letters))
        .route("/officer/notifications/sent", post(sent))
        .route("/officer/notifications/close", post(close))
        .route("/officer/notifications/{id}", get(one))
        .route("/officer/notifications/{id}/defer", post(defer))
        .route("/officer/notifications/{id}/not-needed", post(not_needed))
}

/// Which ones a list shows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Show {
    /// To be sent, or put off.
    #[default]
    Open,
    /// Whose last day has passed.
    Overdue,
    /// Put off.
    Deferred,
    /// All that are kept.
    All,
}

#[derive(Default, Deserialize)]
struct Shown {
    #[serde(default)]
    show: Show,
}

#[derive(askama::Template)]
#[template(path = "review_notifications.html")]
struct ListPage {
    page: Page,
    reference: String,
    said: String,
    kept: bool,
    due: usize,
    overdue: usize,
    deferred: usize,
    filters: Vec<(&'static str, &'static str, bool)>,
    rows: Vec<Row>,
    any_open: bool,
    case: String,
    errors: Errors,
}

struct Row {
    id: u64,
    kind: &'static str,
    case: String,
    reference: String,
    to: &'static str,
    since: String,
    last_day: String,
    state: String,
    status: &'static str,
    open: bool,
}

fn row(page: &Page, each: &NotificationView) -> Row {
    let (state, status) = state(page, each);
    Row {
        id: each.id,
        kind: kind(page, each.kind),
        case: each.case.clone(),
        reference: each.reference.clone().unwrap_or_default(),
        to: addressee(each.addressee, page.language),
        since: day(page.language, each.since),
        last_day: each
            .last_day
            .map_or_else(String::new, |last| day(page.language, last)),
        state,
        status,
        open: each.last_day.is_some(),
    }
}

fn kind(page: &Page, kind: Kind) -> &'static str {
    page.t(match kind {
        Kind::Entry => "review.kind_entry",
        Kind::Exit => "review.kind_exit",
    })
}

fn state(page: &Page, each: &NotificationView) -> (String, &'static str) {
    let on = |date| day(page.language, date);
    match each.state {
        _ if each.overdue => (page.t("review.state_overdue").to_owned(), "error"),
        Progress::Due => (page.t("review.state_due").to_owned(), "warning"),
        Progress::Deferred { until } => (page.t1("review.state_deferred", on(until)), "neutral"),
        Progress::Sent { on: date } => (page.t1("review.state_sent", on(date)), "ok"),
        Progress::NotNeeded { on: date } => (page.t1("review.state_not_needed", on(date)), "ok"),
    }
}

fn fits(show: Show, each: &NotificationView) -> bool {
    match show {
        Show::All => true,
        Show::Open => each.last_day.is_some(),
        Show::Overdue => each.overdue,
        Show::Deferred => matches!(each.state, Progress::Deferred { .. }),
    }
}

async fn list_page(app: &App, page: Page, officer: &OfficerVisitor, show: Show) -> Result<ListPage, Problem> {
    let listed = notification(
        app,
        officer.visitor.caller.officer()?,
        Task::List(Filter::default()),
    )
    .await;
    let (reply, kept) = match listed {
        Ok(reply) => (reply.notifications, true),
        Err(problem) if problem.code == "notification_not_kept" => (Vec::new(), false),
        Err(problem) => return Err(problem),
    };
    let count = |show: Show| reply.iter().filter(|each| fits(show, each)).count();
    let shown: Vec<Row> = reply
        .iter()
        .filter(|each| fits(show, each))
        .map(|each| row(&page, each))
        .collect();
    let filter = |word, name, this: Show| (word, page.t(name), this == show);
    Ok(ListPage {
        reference: officer.reference.clone(),
        said: said(app, officer),
        kept,
        due: reply
            .iter()
            .filter(|each| each.state == Progress::Due && !each.overdue)
            .count(),
        overdue: count(Show::Overdue),
        deferred: count(Show::Deferred),
        filters: vec![
            filter("open", "review.show_open", Show::Open),
            filter("overdue", "review.show_overdue", Show::Overdue),
            filter("deferred", "review.show_deferred", Show::Deferred),
            filter("all", "review.show_all", Show::All),
        ],
        any_open: shown.iter().any(|row| row.open),
        rows: shown,
        case: String::new(),
        errors: Errors::default(),
        page,
    })
}

async fn list(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    query: Result<Query<Shown>, QueryRejection>,
) -> Result<Response, Problem> {
    let show = query.map_or_else(|_| Show::default(), |Query(shown)| shown.show);
    html(&list_page(&app, page, &officer, show).await?)
}

async fn csv(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let reply = notification(
        &app,
        officer.visitor.caller.officer()?,
        Task::List(Filter::default()),
    )
    .await?;
    let columns = [
        "id",
        "kind",
        "case",
        "reference",
        "addressee",
        "purpose",
        "since",
        "due",
        "last_day",
        "overdue",
        "state",
    ];
    let rows = reply.notifications.iter().map(|each| {
        vec![
            each.id.to_string(),
            each.kind.word().to_owned(),
            each.case.clone(),
            each.reference.clone().unwrap_or_default(),
            each.addressee.word().to_owned(),
            each.purpose.clone(),
            each.since.to_string(),
            each.due.to_string(),
            each.last_day.map_or_else(String::new, |last| last.to_string()),
            each.overdue.to_string(),
            state(&page, each).0,
        ]
    });
    files::csv("notifications.csv", &columns, rows)
}

/// The letters that are to be sent now: their data for a mail merge, or the texts. Asked for by a form, because the file
/// may hold numbers of persons.
async fn letters(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let reply = notification(
        &app,
        officer.visitor.caller.officer()?,
        Task::Letters(Filter::default()),
    )
    .await?;
    match fields.get("form") {
        "csv" => {
            let bytes = text::letters_csv(&reply, page.language).map_err(|error| Problem::node(&error))?;
            Ok(files::download("letters.csv", "text/csv; charset=utf-8", bytes))
        }
        "text" => {
            let body = letter_texts(&reply)?;
            Ok(files::download(
                "letters.txt",
                "text/plain; charset=utf-8",
                body.into_bytes(),
            ))
        }
        _ => Err(Problem::malformed()),
    }
}

/// Each letter from the template of its kind and addressee; the templates are Dutch, as the letters are.
fn letter_texts(reply: &NotificationReply) -> Result<String, Problem> {
    let mut letters = Vec::new();
    for each in &reply.notifications {
        let name = template_name(each.kind, each.addressee);
        let template = LETTERS
            .iter()
            .find(|(file, _)| *file == name)
            .ok_or_else(Problem::not_found)?;
        let template = Letter::parse(template.1).map_err(|error| Problem::node(&error))?;
        letters.push(template.fill(each, reply, Language::Nl));
    }
    Ok(letters.join(PAGE_BREAK))
}

async fn sent(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let ids: Result<Vec<u64>, _> = fields.all("id").map(str::parse).collect();
    let ids = ids.map_err(|_| Problem::malformed())?;
    if ids.is_empty() {
        let mut shown = list_page(&app, page, &officer, Show::Open).await?;
        let error = shown.page.t("review.error_none");
        let field = if shown.any_open { "select-1" } else { "list" };
        shown.errors.add(field, error);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let count = ids.len();
    let task = Task::Sent(Which::Ids(ids));
    notification(&app, officer.visitor.caller.officer()?, task).await?;
    say(&app, &officer, page.t1("review.were_sent", count));
    Ok(Redirect::to("/officer/notifications").into_response())
}

async fn close(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let case = fields.get("case").to_owned();
    let task = Task::Close { case: case.clone() };
    let closed = notification(&app, officer.visitor.caller.officer()?, task).await;
    match closed {
        Ok(reply) => {
            say(
                &app,
                &officer,
                page.t1("review.was_closed", reply.notifications.len()),
            );
            Ok(Redirect::to("/officer/notifications").into_response())
        }
        Err(problem) if is_about_input(&problem) => {
            let mut shown = list_page(&app, page, &officer, Show::Open).await?;
            shown
                .errors
                .add("case", problem.text(shown.page.language).to_owned());
            shown.case = if problem.code == "contains_bsn" {
                String::new()
            } else {
                case
            };
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown)
        }
        Err(problem) => Err(problem),
    }
}

/// Whether the person at the form can mend it.
fn is_about_input(problem: &Problem) -> bool {
    let codes = [
        "notification_unknown_case",
        "notification_until",
        "notification_note_needed",
        "notification_text",
        "contains_bsn",
        "notification_settled",
    ];
    codes.contains(&problem.code.as_str())
}

#[derive(askama::Template)]
#[template(path = "review_notification.html")]
struct OnePage {
    page: Page,
    reference: String,
    said: String,
    id: u64,
    state: String,
    status: &'static str,
    open: bool,
    facts: Vec<(&'static str, String)>,
    history: Vec<(String, String, String)>,
    deferrals: Vec<(String, String)>,
    reasons: Vec<(String, String)>,
    defer_reason: String,
    until: String,
    defer_note: String,
    reason: String,
    note: String,
    errors: Errors,
}

fn choices<R: Reason>(page: &Page, all: &[(&str, R)]) -> Vec<(String, String)> {
    let first = (String::new(), page.t("review.choose").to_owned());
    let rest = all.iter().map(|(word, reason)| {
        let text = page.language.pick(reason.text_nl(), reason.text_en());
        ((*word).to_owned(), text.to_owned())
    });
    std::iter::once(first).chain(rest).collect()
}

fn what(page: &Page, what: &What) -> String {
    let with = |text: String, note: &Option<String>| match note {
        Some(note) => format!("{text} ({note})"),
        None => text,
    };
    match what {
        What::Asked => page.t("review.did_ask").to_owned(),
        What::Closed => page.t("review.did_close").to_owned(),
        What::Sent => page.t("review.did_send").to_owned(),
        What::Deferred { reason, until, note } => {
            let why = page.language.pick(reason.text_nl(), reason.text_en());
            with(page.t2("review.did_defer", day(page.language, *until), why), note)
        }
        What::NotNeeded { reason, note } => {
            let why = page.language.pick(reason.text_nl(), reason.text_en());
            with(page.t1("review.did_not_need", why), note)
        }
    }
}

async fn one_page(app: &App, page: Page, officer: &OfficerVisitor, id: &str) -> Result<OnePage, Problem> {
    let caller = officer.visitor.caller.officer()?;
    let id: u64 = id.parse().map_err(|_| Problem::not_found())?;
    let reply = notification(app, caller, Task::Show(id)).await;
    let reply = reply.map_err(|problem| match problem.code.as_str() {
        "notification_unknown" | "notification_not_kept" => Problem::not_found(),
        _ => problem,
    })?;
    let each = reply.notifications.first().ok_or_else(Problem::not_found)?;
    let row = row(&page, each);
    let mut facts = vec![
        (page.t("review.kind"), row.kind.to_owned()),
        (page.t("review.case"), row.case),
        (page.t("review.own_reference"), row.reference),
        (page.t("review.to_whom"), row.to.to_owned()),
        (page.t("review.purpose"), each.purpose_title.clone()),
        (page.t("review.basis"), each.legal_basis.clone()),
        (page.t("review.activity"), each.processing_activity.clone()),
        (page.t("review.since"), row.since),
        (page.t("review.due"), day(page.language, each.due)),
        (page.t("review.last_day"), row.last_day),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let history = each.history.iter();
    Ok(OnePage {
        reference: officer.reference.clone(),
        said: said(app, officer),
        id,
        state: row.state,
        status: row.status,
        open: row.open,
        facts,
        history: history
            .map(|act| {
                (
                    moment(page.language, &act.at),
                    act.by.clone(),
                    what(&page, &act.what),
                )
            })
            .collect(),
        deferrals: choices(&page, &DEFERRALS),
        reasons: choices(&page, &NOT_NEEDED),
        defer_reason: String::new(),
        until: String::new(),
        defer_note: String::new(),
        reason: String::new(),
        note: String::new(),
        errors: Errors::default(),
        page,
    })
}

async fn one(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    html(&one_page(&app, page, &officer, &id).await?)
}

/// What was typed; absent if nothing was.
fn optional(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// The field that a refusal of the queue is about.
fn field(problem: &Problem, until: &'static str, note: &'static str) -> &'static str {
    if problem.code == "notification_until" {
        until
    } else {
        note
    }
}

async fn defer(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let mut shown = one_page(&app, page, &officer, &id).await?;
    shown.defer_reason = fields.get("defer_reason").to_owned();
    shown.until = fields.get("until").to_owned();
    shown.defer_note = fields.get("defer_note").to_owned();
    let reason = DEFERRALS.iter().find(|(word, _)| *word == shown.defer_reason);
    if reason.is_none() {
        shown
            .errors
            .add("defer_reason", shown.page.t("review.error_reason"));
    }
    let until = date(&shown.until);
    if until.is_none() {
        shown.errors.add("until", shown.page.t("review.error_date"));
    }
    if let Some(((_, reason), until)) = reason.zip(until) {
        let task = Task::Defer {
            ids: vec![shown.id],
            reason: *reason,
            until,
            note: optional(&shown.defer_note),
        };
        match notification(&app, officer.visitor.caller.officer()?, task).await {
            Ok(_) => {
                let text = shown
                    .page
                    .t2("review.was_deferred", shown.id, day(shown.page.language, until));
                say(&app, &officer, text);
                return Ok(Redirect::to("/officer/notifications").into_response());
            }
            Err(problem) if is_about_input(&problem) => {
                let field = field(&problem, "until", "defer_note");
                shown
                    .errors
                    .add(field, problem.text(shown.page.language).to_owned());
                if problem.code == "contains_bsn" {
                    shown.defer_note.clear();
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown)
}

async fn not_needed(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let mut shown = one_page(&app, page, &officer, &id).await?;
    shown.reason = fields.get("reason").to_owned();
    shown.note = fields.get("note").to_owned();
    let reason = NOT_NEEDED.iter().find(|(word, _)| *word == shown.reason);
    let Some((_, reason)) = reason else {
        shown.errors.add("reason", shown.page.t("review.error_reason"));
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    };
    let task = Task::NotNeeded {
        ids: vec![shown.id],
        reason: *reason,
        note: optional(&shown.note),
    };
    match notification(&app, officer.visitor.caller.officer()?, task).await {
        Ok(_) => {
            say(&app, &officer, shown.page.t1("review.was_not_needed", shown.id));
            Ok(Redirect::to("/officer/notifications").into_response())
        }
        Err(problem) if is_about_input(&problem) => {
            shown
                .errors
                .add("note", problem.text(shown.page.language).to_owned());
            if problem.code == "contains_bsn" {
                shown.note.clear();
            }
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown)
        }
        Err(problem) => Err(problem),
    }
}

#[cfg(test)]
mod tests {
    use hitmachine_node::notification::entry::Addressee;

    use super::*;

    #[test]
    fn every_kind_and_addressee_has_a_letter_that_can_be_filled() {
        for kind in [Kind::Entry, Kind::Exit] {
            for to in [Addressee::Representative, Addressee::Both, Addressee::Person] {
                let name = template_name(kind, to);
                let found = LETTERS.iter().find(|(file, _)| *file == name);
                Letter::parse(found.unwrap_or_else(|| panic!("{name}")).1).unwrap();
            }
        }
    }
}
