//! The first page: where each role begins.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_node::accounts::Role;

use crate::app::App;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::{Visitor, check_origin};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/language/{language}", post(language))
}

#[derive(askama::Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
}

async fn home(_: Visitor, page: Page) -> Result<Response, Problem> {
    html(&Home { page })
}

/// Another language from now on. It changes nothing else, so nobody needs to be signed in.
async fn language(
    State(app): State<App>,
    headers: HeaderMap,
    Path(language): Path<String>,
) -> Result<Response, Problem> {
    check_origin(&app, &headers)?;
    let language = match language.as_str() {
        "nl" => "nl",
        "en" => "en",
        _ => return Err(Problem::not_found()),
    };
    let cookie =
        format!("__Host-language={language}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000");
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}
