//! The report for one person (AVG art. 15). The number comes in the body of the form and is kept nowhere; what was found
//! is kept in memory for the session, so that page and files are one look at the log.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_identifier::{Bsn, Skn, contains_bsn};
use hitmachine_node::control::{AskPerson, ClassWord, NumberKind};
use hitmachine_node::officer::csv;
use hitmachine_node::source::AgeBracket;
use zeroize::Zeroizing;

use super::files;
use super::form::Errors;
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::jobs;
use crate::jobs::officer::PersonReport;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;

/// Characters of the name that an officer gives a report.
const MOST_NAME: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/person", get(form).post(make))
        .route("/officer/person/{id}", get(report))
        .route("/officer/person/{id}/{file}", get(file))
}

#[derive(askama::Template)]
#[template(path = "officer_person.html")]
struct PersonPage {
    page: Page,
    reference: String,
    name: String,
    skn: bool,
    errors: Errors,
}

async fn form(officer: OfficerVisitor, page: Page) -> Result<Response, Problem> {
    html(&PersonPage {
        page,
        reference: officer.reference,
        name: String::new(),
        skn: false,
        errors: Errors::default(),
    })
}

async fn make(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let mut errors = Errors::default();
    let skn = fields.get("kind") == "skn";
    let number = Zeroizing::new(fields.get("number").to_owned());
    let language = page.language;
    if number.is_empty() {
        errors.add("number", page.t("officer.error_number_empty"));
    } else if skn {
        if let Err(error) = Skn::parse(&number) {
            errors.add("number", language.pick(error.text_nl(), &error.to_string()));
        }
    } else {
        let admission = app
            .node()
            .config()
            .admission()
            .map_err(|error| Problem::node(&error))?;
        if let Err(error) = Bsn::parse(&number, &admission) {
            errors.add("number", language.pick(error.text_nl(), &error.to_string()));
        }
    }
    let mut name = fields.get("name").to_owned();
    if contains_bsn(&name) {
        name = String::new();
        errors.add("name", page.t("officer.error_bsn"));
    } else if name.chars().count() > MOST_NAME {
        errors.add("name", page.t("officer.error_long"));
    }
    if !errors.is_empty() {
        let shown = PersonPage {
            page,
            reference: officer.reference,
            name,
            skn,
            errors,
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let person = AskPerson {
        kind: if skn { NumberKind::Skn } else { NumberKind::Bsn },
        number,
        // What is looked for is the number; class and age say nothing here.
        class: ClassWord::Adult,
        age: AgeBracket::From16,
        reference: None,
    };
    let name = Some(name).filter(|name| !name.is_empty());
    let report = jobs::officer::person_report(&app, &officer.looking()?, person, name).await?;
    let id = app.shelf().add(officer.token(), report)?;
    Ok(Redirect::to(&format!("/officer/person/{id}")).into_response())
}

#[derive(askama::Template)]
#[template(path = "officer_report.html")]
struct ReportPage {
    page: Page,
    reference: String,
    id: String,
    own_entries: String,
    body: String,
}

async fn report(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let kept = app.shelf().find::<PersonReport>(officer.token(), &id)?;
    let entries = kept.report.own_entries.iter();
    let entries: Vec<String> = entries.map(|entry| entry.saturating_add(1).to_string()).collect();
    html(&ReportPage {
        id,
        own_entries: entries.join(", "),
        body: kept.report.body(page.language),
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
    let kept = app.shelf().find::<PersonReport>(officer.token(), &id)?;
    Ok(match file.as_str() {
        "overzicht.html" => files::download(&file, files::HTML, kept.report.html(page.language)),
        "overzicht.json" => {
            let json = serde_json::to_vec_pretty(&kept.report).map_err(|error| Problem::node(&error))?;
            files::download(&file, files::JSON, json)
        }
        "overzicht.csv" => {
            let table = csv::csv(&kept.rows, true).map_err(|error| Problem::node(&error))?;
            files::download(&file, files::CSV, table)
        }
        _ => return Err(Problem::not_found()),
    })
}
