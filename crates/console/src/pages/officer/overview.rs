//! The overview for a council, of a year or a quarter.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_core::overview::LEAST_THRESHOLD;
use hitmachine_core::volume::local;
use hitmachine_node::officer::overview::OverviewView;
use hitmachine_node::officer::overview_sheets::{csv, sheets, span};

use super::files;
use super::form::Errors;
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::jobs;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;

/// Years that can be chosen: this one and those before.
const YEARS: i16 = 6;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/overview", get(form).post(make))
        .route("/officer/overview/{id}", get(overview))
        .route("/officer/overview/{id}/{file}", get(file))
}

#[derive(askama::Template)]
#[template(path = "officer_overview.html")]
struct FormPage {
    page: Page,
    reference: String,
    years: Vec<i16>,
    year: String,
    quarter: u32,
    threshold: String,
    errors: Errors,
}

impl FormPage {
    fn new(app: &App, page: Page, reference: String) -> Self {
        let today = local(app.node().clock().now()).date();
        Self {
            page,
            reference,
            years: (0..YEARS).map(|back| today.year() - back).collect(),
            year: today.year().to_string(),
            quarter: 0,
            threshold: String::new(),
            errors: Errors::default(),
        }
    }
}

async fn form(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    html(&FormPage::new(&app, page, officer.reference))
}

async fn make(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    let year = fields
        .get("year")
        .parse()
        .ok()
        .filter(|year| (2000..=2200).contains(year));
    if year.is_none() {
        errors.add("year", page.t("officer.error_year"));
    }
    let quarter = fields.get("quarter").parse().ok().filter(|quarter| *quarter <= 4);
    let quarter = quarter.ok_or_else(Problem::malformed)?;
    let threshold = match fields.get("threshold") {
        "" => Some(0),
        text => text
            .parse()
            .ok()
            .filter(|least| (LEAST_THRESHOLD..=1_000).contains(&u64::from(*least))),
    };
    if threshold.is_none() {
        errors.add("threshold", page.t1("officer.error_threshold", LEAST_THRESHOLD));
    }
    let (Some(year), Some(threshold)) = (year, threshold) else {
        let shown = FormPage {
            year: fields.get("year").chars().take(8).collect(),
            threshold: fields.get("threshold").chars().take(8).collect(),
            quarter,
            errors,
            ..FormPage::new(&app, page, officer.reference)
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    };
    let view = jobs::officer::overview(&app, &officer.looking()?, (year, quarter, threshold)).await?;
    let id = app.shelf().add(officer.token(), view)?;
    Ok(Redirect::to(&format!("/officer/overview/{id}")).into_response())
}

#[derive(askama::Template)]
#[template(path = "officer_overview_result.html")]
struct ResultPage {
    page: Page,
    reference: String,
    id: String,
    span: String,
    covenant: String,
    own_entry: u64,
    body: String,
    files: Vec<(&'static str, String)>,
}

async fn overview(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let view = app.shelf().find::<OverviewView>(officer.token(), &id)?;
    let (report, language) = (&view.report, page.language);
    html(&ResultPage {
        id,
        span: span(report, language),
        covenant: report.covenant.clone(),
        own_entry: view.own.log_index.saturating_add(1),
        body: report.body(language),
        files: sheets(report, language)
            .into_iter()
            .map(|sheet| (sheet.name, sheet.title))
            .collect(),
        reference: officer.reference,
        page,
    })
}

async fn file(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path((id, file)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let view = app.shelf().find::<OverviewView>(officer.token(), &id)?;
    let (report, language) = (&view.report, page.language);
    if file == "overzicht.html" {
        return Ok(files::download(&file, files::HTML, report.html(language)));
    }
    if file == "overzicht.json" {
        let json = serde_json::to_vec_pretty(report).map_err(|error| Problem::node(&error))?;
        return Ok(files::download(&file, files::JSON, json));
    }
    let sheets = sheets(report, language);
    let named = file.strip_suffix(".csv");
    let sheet = sheets.iter().find(|sheet| Some(sheet.name) == named);
    let sheet = sheet.ok_or_else(Problem::not_found)?;
    let table = csv(sheet).map_err(|error| Problem::node(&error))?;
    Ok(files::download(&file, files::CSV, table))
}
