//! Searching the log: a form, pages of results, and files of everything that was found.
//!
//! What is searched for is kept in memory under an id, so that users and cases are in no address. A page that was fetched
//! is kept too: to go back to it is no new look at the log.

use std::sync::{Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_identifier::contains_bsn;
use hitmachine_node::language::Language;
use hitmachine_node::officer::page::{Form, PageView, RowView};
use hitmachine_node::officer::task::{Aim, Range, SearchAsk};
use hitmachine_node::officer::{csv, ldv, text};

use super::files;
use super::form::{Errors, begins, date, ends, shown};
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::fields::Fields;
use crate::jobs;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;

/// Entries on one page.
const PAGE: u32 = 25;
/// Where the fields are kept that were searched for last.
const LAST: &str = "officer-search";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/search", get(form).post(begin))
        .route("/officer/search/{id}", get(results))
        .route("/officer/search/{id}/export", post(export))
}

/// A search of one session.
struct Search {
    ask: SearchAsk,
    typed: Typed,
    /// Pages fetched so far; each begins where the one before ended.
    pages: Mutex<Vec<PageView>>,
}

/// The form as it was filled in.
#[derive(Clone, Default)]
struct Typed {
    from: String,
    to: String,
    organisation: String,
    user: String,
    purpose: String,
    case: String,
    outcome: String,
}

/// A choice in a list.
struct Choice {
    value: String,
    text: String,
    chosen: bool,
}

#[derive(askama::Template)]
#[template(path = "officer_search.html")]
struct SearchPage {
    page: Page,
    reference: String,
    typed: Typed,
    organisations: Vec<Choice>,
    purposes: Vec<Choice>,
    outcomes: Vec<Choice>,
    errors: Errors,
}

impl SearchPage {
    fn new(app: &App, page: Page, reference: String, typed: Typed, errors: Errors) -> Self {
        let covenant = app.node().covenant_held();
        let choice = |value: &str, text: &str, chosen: &str| Choice {
            value: value.to_owned(),
            text: text.to_owned(),
            chosen: value == chosen,
        };
        let partners = covenant.iter().flat_map(|covenant| covenant.partners());
        let purposes = covenant.iter().flat_map(|covenant| covenant.purposes());
        Self {
            organisations: partners
                .map(|partner| choice(partner.id.as_str(), &partner.name, &typed.organisation))
                .collect(),
            purposes: purposes
                .map(|purpose| choice(purpose.code.as_str(), &purpose.title, &typed.purpose))
                .collect(),
            outcomes: ["hit", "no_hit", "could_not_ask", "refused", "officer"]
                .map(|word| choice(word, text::outcome(word, page.language), &typed.outcome))
                .into(),
            page,
            reference,
            typed,
            errors,
        }
    }
}

async fn form(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let last = app.shelf().get::<Typed>(officer.token(), LAST);
    let typed = last.map_or_else(Typed::default, |typed| typed.as_ref().clone());
    html(&SearchPage::new(
        &app,
        page,
        officer.reference,
        typed,
        Errors::default(),
    ))
}

async fn begin(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let (mut typed, mut errors) = (Typed::of(&fields), Errors::default());
    let ask = typed.ask(&page, &mut errors);
    if !errors.is_empty() {
        let shown = SearchPage::new(&app, page, officer.reference, typed, errors);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    app.shelf().put(officer.token(), LAST, typed.clone());
    let pages = Mutex::default();
    let id = app.shelf().add(officer.token(), Search { ask, typed, pages })?;
    Ok(Redirect::to(&format!("/officer/search/{id}")).into_response())
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        let text = |name| fields.get(name).to_owned();
        Self {
            from: text("from"),
            to: text("to"),
            organisation: text("organisation"),
            user: text("user"),
            purpose: text("purpose"),
            case: text("case"),
            outcome: text("outcome"),
        }
    }

    /// What is asked of the node. A text that reads as a BSN is emptied: it is not shown again.
    fn ask(&mut self, page: &Page, errors: &mut Errors) -> SearchAsk {
        let mut range = Range::default();
        let day = |text: &str, of: fn(jiff::civil::Date) -> Option<u64>| match text {
            "" => Some(0),
            text => date(text).and_then(of),
        };
        match day(&self.from, begins) {
            Some(ms) => range.from_ms = ms,
            None => errors.add("from", page.t("officer.error_date")),
        }
        match day(&self.to, ends) {
            Some(ms) => range.to_ms = ms,
            None => errors.add("to", page.t("officer.error_date")),
        }
        if range.to_ms > 0 && range.from_ms > range.to_ms {
            errors.add("to", page.t("officer.error_range"));
        }
        for (field, text) in [("user", &mut self.user), ("case", &mut self.case)] {
            if contains_bsn(text) {
                text.clear();
                errors.add(field, page.t("officer.error_bsn"));
            } else if text.chars().count() > 64 {
                errors.add(field, page.t("officer.error_long"));
            }
        }
        for text in [&mut self.from, &mut self.to] {
            if contains_bsn(text) {
                text.clear();
            }
        }
        SearchAsk {
            range,
            organisation: self.organisation.clone(),
            user: self.user.clone(),
            purpose: self.purpose.clone(),
            case: self.case.clone(),
            outcome: self.outcome.clone(),
            limit: PAGE,
            ..SearchAsk::default()
        }
    }
}

/// One entry in the table.
pub(super) struct Line {
    /// As people count.
    pub(super) number: u64,
    pub(super) time: String,
    pub(super) organisation: String,
    pub(super) user: String,
    pub(super) purpose: String,
    pub(super) case: String,
    /// In words.
    pub(super) outcome: String,
    /// Of the badge.
    pub(super) class: &'static str,
}

impl Line {
    pub(super) fn new(row: &RowView, language: Language) -> Self {
        let record = row.record.clone().unwrap_or_default();
        let outcome = match (&row.record, &record.action) {
            (None, _) => form_words(row.form, language).to_owned(),
            (_, Some(code)) => text::action(code, language).to_owned(),
            _ => text::outcome(&record.outcome, language).to_owned(),
        };
        Self {
            number: row.log_index.saturating_add(1),
            time: shown(&row.time),
            organisation: record.requester.name,
            user: record.user.unwrap_or_default().id,
            purpose: record.ground.unwrap_or_default().title,
            case: record.case.unwrap_or_default(),
            outcome,
            class: match record.outcome.as_str() {
                "hit" => "known",
                "no_hit" => "not-known",
                "could_not_ask" => "could-not-ask",
                "refused" => "warning",
                _ => "neutral",
            },
        }
    }
}

/// What there is of an entry, in words.
pub(super) fn form_words(form: Form, language: Language) -> &'static str {
    match form {
        Form::Whole => language.pick("volledig", "whole"),
        Form::Processing => language.pick("zonder gebruiker en zaak", "without user and case"),
        Form::Control => language.pick("openbare regel", "public entry"),
        Form::Erased => language.pick("gewist", "erased"),
    }
}

#[derive(askama::Template)]
#[template(path = "officer_results.html")]
struct ResultsPage {
    page: Page,
    reference: String,
    id: String,
    filters: Vec<(&'static str, String)>,
    lines: Vec<Line>,
    number: usize,
    more: bool,
    own_entry: u64,
    indexed: u64,
    withholds: bool,
}

#[derive(serde::Deserialize)]
struct Numbered {
    page: Option<usize>,
}

async fn results(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Numbered { page: number }): Query<Numbered>,
) -> Result<Response, Problem> {
    let search = app.shelf().find::<Search>(officer.token(), &id)?;
    let number = number.unwrap_or(1);
    let found = search.page(&app, &officer, number).await?;
    html(&ResultsPage {
        filters: search.typed.filters(&page),
        lines: found
            .rows
            .iter()
            .map(|row| Line::new(row, page.language))
            .collect(),
        number,
        more: found.next > 0,
        own_entry: found.own.log_index.saturating_add(1),
        indexed: found.indexed,
        withholds: found.withholds,
        id,
        reference: officer.reference,
        page,
    })
}

impl Search {
    /// A page by its number from 1: as it was fetched, or the next one.
    async fn page(&self, app: &App, officer: &OfficerVisitor, number: usize) -> Result<PageView, Problem> {
        let before = {
            let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            let place = number.checked_sub(1).ok_or_else(Problem::not_found)?;
            if let Some(page) = pages.get(place) {
                return Ok(page.clone());
            }
            // Only the page after the last one that was seen: where it begins is known from that one.
            match (place, pages.last()) {
                (0, _) => 0,
                (place, Some(last)) if place == pages.len() && last.next > 0 => last.next,
                _ => return Err(Problem::not_found()),
            }
        };
        let ask = SearchAsk {
            before,
            ..self.ask.clone()
        };
        let page = jobs::officer::search(app, &officer.looking()?, ask).await?;
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        // The same page may have been fetched twice at once; then the first stays.
        if pages.len() + 1 == number {
            pages.push(page.clone());
        }
        Ok(page)
    }
}

impl Typed {
    /// What was searched for, for above the results.
    fn filters(&self, page: &Page) -> Vec<(&'static str, String)> {
        let outcome = text::outcome(&self.outcome, page.language).to_owned();
        let all = [
            (page.t("officer.from"), self.from.clone()),
            (page.t("officer.to"), self.to.clone()),
            (page.t("officer.organisation"), self.organisation.clone()),
            (page.t("officer.user"), self.user.clone()),
            (page.t("officer.purpose"), self.purpose.clone()),
            (page.t("officer.case"), self.case.clone()),
            (page.t("officer.outcome"), outcome),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// Everything that the search finds, as a file. It is an entry that says it was taken out.
async fn export(
    State(app): State<App>,
    Path(id): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let search = app.shelf().find::<Search>(officer.token(), &id)?;
    let failed = |error: std::io::Error| Problem::node(&error);
    let format = fields.need("format")?;
    let (name, kind, aim) = match format {
        "csv" => ("logregels.csv", files::CSV, Aim::Export),
        "json" => ("logregels.jsonl", files::JSON_LINES, Aim::Export),
        "ldv" => ("ldv.jsonl", files::JSON_LINES, Aim::Ldv),
        _ => return Err(Problem::malformed()),
    };
    let ask = SearchAsk {
        aim,
        proofs: format == "json",
        ..search.ask.clone()
    };
    let pages = jobs::officer::search_all(&app, &officer.looking()?, ask).await?;
    let rows = pages.iter().flat_map(|page| &page.rows);
    let mut body = Vec::new();
    match format {
        "csv" => {
            let rows: Vec<RowView> = rows.cloned().collect();
            body = csv::csv(&rows, true).map_err(failed)?;
        }
        "json" => {
            for row in rows {
                files::json_line(&mut body, row)?;
            }
        }
        _ => {
            for record in rows.filter_map(ldv::record) {
                files::json_line(&mut body, &record)?;
            }
        }
    }
    Ok(files::download(name, kind, body))
}
