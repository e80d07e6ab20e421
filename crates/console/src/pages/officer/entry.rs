//! One entry of the log: what it says, its proof, a check of it step by step, and a note on it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::PartnerStatus;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::officer::check::{EntryCheck, StepState};
use hitmachine_node::officer::page::RowView;
use hitmachine_node::officer::text;
use hitmachine_node::view::{StatusWord, refusal_text};
use jiff::Timestamp;

use super::files;
use super::form::{Errors, moment, shown};
use super::search::form_words;
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::jobs;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;

/// Characters of a note.
const MOST_NOTE: usize = 1_000;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/entries", post(go))
        .route("/officer/entries/{number}", get(entry))
        .route("/officer/entries/{number}/proof", get(proof))
        .route("/officer/entries/{number}/check", post(check).get(checked))
        .route("/officer/entries/{number}/review", post(review))
}

/// An entry as it was shown in this session; to come back to it is no new look at the log.
#[derive(Clone)]
struct Shown {
    row: RowView,
    /// Of the look at it, as people count.
    own_entry: u64,
    /// Entries of the log at that moment.
    size: u64,
}

/// A check as it was done.
struct Checked {
    check: EntryCheck,
    at: Timestamp,
}

/// A note that was put on an entry in this session.
#[derive(Clone)]
struct Reviewed {
    verdict: String,
    own_entry: u64,
}

/// As people count, from 1, in an address; the name on the shelf is made of it.
fn index(number: &str) -> Result<u64, Problem> {
    let number: u64 = number.parse().map_err(|_| Problem::not_found())?;
    number.checked_sub(1).ok_or_else(Problem::not_found)
}

async fn look(app: &App, officer: &OfficerVisitor, index: u64) -> Result<Shown, Problem> {
    let name = format!("officer-entry-{index}");
    if let Some(shown) = app.shelf().get::<Shown>(officer.token(), &name) {
        return Ok(shown.as_ref().clone());
    }
    look_anew(app, officer, index).await
}

async fn look_anew(app: &App, officer: &OfficerVisitor, index: u64) -> Result<Shown, Problem> {
    let (row, page) = jobs::officer::show(app, &officer.looking()?, index).await?;
    let shown = Shown {
        row,
        own_entry: page.own.log_index.saturating_add(1),
        size: page.own.log_size,
    };
    app.shelf()
        .put(officer.token(), &format!("officer-entry-{index}"), shown.clone());
    Ok(shown)
}

/// What the page says about an entry.
struct Words {
    lines: Vec<(&'static str, String)>,
    partners: Vec<(String, &'static str, &'static str)>,
    technical: Vec<(&'static str, String)>,
    control: String,
}

impl Words {
    fn new(row: &RowView, page: &Page) -> Self {
        let language = page.language;
        let record = row.record.clone().unwrap_or_default();
        let mut lines = vec![
            (page.t("officer.time"), shown(&row.time)),
            (
                page.t("officer.content"),
                form_words(row.form, language).to_owned(),
            ),
        ];
        let mut technical = vec![
            (page.t("officer.leaf"), row.leaf.clone()),
            (page.t("officer.time_utc"), row.time.clone()),
        ];
        if row.record.is_some() {
            lines.push((page.t("officer.organisation"), record.requester.name));
            technical.push((page.t("officer.oin"), record.requester.oin));
            if let Some(user) = record.user {
                lines.push((page.t("officer.user"), user.id));
                lines.push((page.t("officer.role"), user.role));
                lines.push((
                    page.t("officer.responsible"),
                    user.responsible.unwrap_or_default(),
                ));
            }
            if let Some(ground) = record.ground {
                lines.push((page.t("officer.purpose"), ground.title));
                lines.push((page.t("officer.legal_basis"), ground.legal_basis));
                technical.push((page.t("officer.activity"), ground.processing_activity));
                technical.push((page.t("officer.covenant_version"), ground.covenant));
            }
            let case = if record.action.is_some() {
                page.t("officer.reason")
            } else {
                page.t("officer.case")
            };
            lines.push((case, record.case.unwrap_or_default()));
            let class = match record.class.as_deref() {
                Some("minor") => page.t("officer.minor"),
                Some("adult") => page.t("officer.adult"),
                _ => "",
            };
            lines.push((page.t("officer.subject"), class.to_owned()));
            if let Some(action) = &record.action {
                lines.push((
                    page.t("officer.action"),
                    text::action(action, language).to_owned(),
                ));
                lines.push((page.t("officer.rows"), record.rows.unwrap_or(0).to_string()));
            } else {
                lines.push((
                    page.t("officer.outcome"),
                    text::outcome(&record.outcome, language).to_owned(),
                ));
            }
            if let Some(code) = &record.refused {
                lines.push((
                    page.t("officer.refused_because"),
                    refusal_text(code, language).to_owned(),
                ));
                technical.push((page.t("officer.refused_code"), code.clone()));
            }
            technical.extend([
                (
                    page.t("officer.request_id"),
                    record.request_id.unwrap_or_default(),
                ),
                (
                    page.t("officer.trace"),
                    format!("{} / {}", record.trace_id, record.span_id),
                ),
                (page.t("officer.request_digest"), record.request_digest),
                (page.t("officer.answer_digest"), record.answer_digest),
            ]);
            let epoch = record
                .key_epoch
                .map_or_else(String::new, |epoch| epoch.to_string());
            technical.push((page.t("officer.key_epoch"), epoch));
        }
        let partners = record.partners.into_iter().map(|partner| {
            let status: PartnerStatus = partner.status.into();
            (partner.name, class_of(partner.status), language.status(status))
        });
        let filled = |line: &(&'static str, String)| !line.1.is_empty();
        Self {
            partners: partners.collect(),
            lines: lines.into_iter().filter(filled).collect(),
            technical: technical.into_iter().filter(filled).collect(),
            control: row.control.as_ref().map_or_else(String::new, |control| {
                serde_json::to_string_pretty(control).unwrap_or_default()
            }),
        }
    }
}

fn class_of(status: StatusWord) -> &'static str {
    match status {
        StatusWord::Known => "known",
        StatusWord::NotKnown => "not-known",
        StatusWord::CouldNotAsk => "could-not-ask",
        StatusWord::DoesNotApply => "does-not-apply",
    }
}

#[derive(askama::Template)]
#[template(path = "officer_entry.html")]
struct EntryPage {
    page: Page,
    reference: String,
    number: u64,
    own_entry: u64,
    words: Words,
    path: Vec<String>,
    has_previous: bool,
    has_next: bool,
    reviewed: Option<Reviewed>,
    verdict: String,
    note: String,
    errors: Errors,
}

impl EntryPage {
    fn new(app: &App, officer: OfficerVisitor, page: Page, shown: &Shown) -> Self {
        let index = shown.row.log_index;
        let reviewed = app.shelf().get::<Reviewed>(officer.token(), &review_name(index));
        let proof = shown.row.proof.as_ref();
        Self {
            number: index.saturating_add(1),
            own_entry: shown.own_entry,
            words: Words::new(&shown.row, &page),
            path: proof.map(|proof| proof.path.clone()).unwrap_or_default(),
            has_previous: index > 0,
            has_next: index.saturating_add(1) < shown.size,
            reviewed: reviewed.map(|reviewed| reviewed.as_ref().clone()),
            verdict: String::new(),
            note: String::new(),
            errors: Errors::default(),
            reference: officer.reference,
            page,
        }
    }
}

fn review_name(index: u64) -> String {
    format!("officer-review-{index}")
}

/// To an entry by its number.
async fn go(OfficerPosted { fields, .. }: OfficerPosted) -> Result<Response, Problem> {
    // People write 12.345.
    let number = fields.get("number").replace(['.', ' '], "");
    index(&number)?;
    Ok(Redirect::to(&format!("/officer/entries/{number}")).into_response())
}

async fn entry(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let shown = look(&app, &officer, index(&number)?).await?;
    html(&EntryPage::new(&app, officer, page, &shown))
}

/// The proof as a file for others (C2SP tlog-proof). It opens the entry.
async fn proof(
    officer: OfficerVisitor,
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let shown = look(&app, &officer, index(&number)?).await?;
    let proof = shown.row.proof.ok_or_else(Problem::not_found)?;
    let name = format!("{}.tlog-proof", shown.row.log_index.saturating_add(1));
    Ok(files::download(&name, files::TEXT, proof.tlog_proof))
}

/// Fetches the entry and its proof anew and goes through the steps.
async fn check(
    State(app): State<App>,
    Path(number): Path<String>,
    OfficerPosted { officer, .. }: OfficerPosted,
) -> Result<Response, Problem> {
    let index = index(&number)?;
    let shown = look_anew(&app, &officer, index).await?;
    let check = jobs::officer::check_entry(&app, officer.looking()?.officer(), &shown.row).await?;
    let at = app.node().clock().now();
    let name = check_name(index);
    app.shelf().put(officer.token(), &name, Checked { check, at });
    Ok(Redirect::to(&format!("/officer/entries/{number}/check")).into_response())
}

fn check_name(index: u64) -> String {
    format!("officer-check-{index}")
}

/// How a step looks.
struct Step {
    class: &'static str,
    badge: &'static str,
    words: &'static str,
    is_open: bool,
}

impl Step {
    fn new(state: StepState, page: &Page) -> Self {
        let (class, badge, words) = match state {
            StepState::Done => ("step--done", "ok", page.t("officer.step_done")),
            StepState::Failed => ("step--failed", "error", page.t("officer.step_failed")),
            StepState::Open => ("step--open", "neutral", page.t("officer.step_open")),
        };
        let is_open = state == StepState::Open;
        Self {
            class,
            badge,
            words,
            is_open,
        }
    }
}

#[derive(askama::Template)]
#[template(path = "officer_entry_check.html")]
struct CheckPage {
    page: Page,
    reference: String,
    number: u64,
    at: String,
    leaf: Step,
    path: Step,
    signature: Step,
    quorum: Step,
    included: Step,
    /// Partners, and when each cosigned; empty if it did not.
    witnesses: Vec<(String, String)>,
    check: EntryCheck,
}

impl CheckPage {
    fn new(checked: &Checked, page: Page, reference: String) -> Self {
        let check = checked.check.clone();
        let time = |seconds: u64| {
            let seconds = i64::try_from(seconds).ok();
            let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
            time.map_or_else(String::new, moment)
        };
        let witnesses = check.published.head.iter().flat_map(|head| &head.witnesses);
        Self {
            number: check.index.saturating_add(1),
            at: moment(checked.at),
            leaf: Step::new(check.leaf.state, &page),
            path: Step::new(check.path.state, &page),
            signature: Step::new(check.signature.state, &page),
            quorum: if check
                .published
                .head
                .as_ref()
                .is_some_and(|head| head.witnesses.is_empty())
            {
                Step {
                    words: page.t("officer.step_not_asked"),
                    ..Step::new(StepState::Open, &page)
                }
            } else {
                Step::new(check.published.quorum, &page)
            },
            included: Step::new(check.published.included, &page),
            witnesses: witnesses
                .map(|witness| {
                    (
                        witness.name.clone(),
                        witness.cosigned_s.map_or_else(String::new, time),
                    )
                })
                .collect(),
            check,
            page,
            reference,
        }
    }
}

async fn checked(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let index = index(&number)?;
    let Some(checked) = app.shelf().get::<Checked>(officer.token(), &check_name(index)) else {
        // Nothing was checked here, or it is long ago: the button is on the entry's page.
        return Ok(Redirect::to(&format!("/officer/entries/{number}")).into_response());
    };
    html(&CheckPage::new(&checked, page, officer.reference))
}

/// Puts a note on the entry.
async fn review(
    State(app): State<App>,
    page: Page,
    Path(number): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let index = index(&number)?;
    let (verdict, note) = (fields.get("verdict").to_owned(), fields.get("note").to_owned());
    let mut errors = Errors::default();
    if !["in_order", "question", "breach"].contains(&verdict.as_str()) {
        errors.add("verdict", page.t("officer.error_verdict"));
    }
    let mut typed = note.clone();
    if contains_bsn(&note) {
        typed = String::new();
        errors.add("note", page.t("officer.error_bsn"));
    } else if note.is_empty() {
        errors.add("note", page.t("officer.error_note_empty"));
    } else if note.chars().count() > MOST_NOTE {
        errors.add("note", page.t("officer.error_note_long"));
    }
    if !errors.is_empty() {
        let shown = look(&app, &officer, index).await?;
        let entry = EntryPage {
            verdict,
            note: typed,
            errors,
            ..EntryPage::new(&app, officer, page, &shown)
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &entry);
    }
    let own = jobs::officer::review(&app, &officer.looking()?, index, &verdict, &note).await?;
    let own_entry = own.log_index.saturating_add(1);
    app.shelf().put(
        officer.token(),
        &review_name(index),
        Reviewed { verdict, own_entry },
    );
    Ok(Redirect::to(&format!("/officer/entries/{number}")).into_response())
}
