//! What came of a screening, to take along.

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hitmachine_core::statistics::DEFAULT_THRESHOLD;

use crate::app::App;
use crate::jobs;
use crate::page::Page;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// A file with a name; `id` has been found to be a screening's, so it holds letters and digits only.
fn file(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    (
        [
            (CONTENT_TYPE, kind.to_owned()),
            (CONTENT_DISPOSITION, disposition),
        ],
        bytes,
    )
        .into_response()
}

/// A line for each person, for a spreadsheet.
pub(super) async fn csv(
    visitor: Visitor,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let report = jobs::screening::report(&app, &asker, &id).await?;
    let bytes = report.csv().map_err(|error| Problem::node(&error))?;
    Ok(file(
        "text/csv; charset=utf-8",
        &format!("screening-{id}.csv"),
        bytes,
    ))
}

/// Totals and a picture, nothing about anybody, small numbers left out.
pub(super) async fn report(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let report = jobs::screening::report(&app, &asker, &id).await?;
    let text = report.shared_html(page.language, DEFAULT_THRESHOLD);
    let name = format!("screening-{id}.html");
    Ok(file("text/html; charset=utf-8", &name, text.into_bytes()))
}

/// Everything, for machines.
pub(super) async fn json(
    visitor: Visitor,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let report = jobs::screening::report(&app, &asker, &id).await?;
    let bytes = serde_json::to_vec_pretty(&report).map_err(|error| Problem::node(&error))?;
    Ok(file("application/json", &format!("screening-{id}.json"), bytes))
}
