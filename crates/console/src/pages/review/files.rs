//! Files to download.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hitmachine_node::spreadsheet;
use serde::Serialize;

use crate::problem::Problem;

/// A file that browsers keep and do not open. The name is one of this program's own.
pub(super) fn download(name: &str, kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// Lines for a spreadsheet, the first with the columns' names.
pub(super) fn csv(
    name: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<Response, Problem> {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|&column| column.to_owned()).collect()];
    lines.extend(rows);
    let bytes = spreadsheet::lines(&lines).map_err(|error| Problem::node(&error))?;
    Ok(download(name, "text/csv; charset=utf-8", bytes))
}

/// Anything as JSON.
pub(super) fn json(name: &str, value: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|error| Problem::node(&error))?;
    Ok(download(name, "application/json", bytes))
}
