//! The pages. Each part has its routes; a page is a template and a handler that does a job.

mod account;
mod admin;
pub(crate) mod ask;
mod history;
mod home;
mod notice;
mod officer;
mod oidc;
mod review;
pub(crate) mod screening;
pub(crate) mod sign_in;
mod users;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::{Router, http};

use crate::app::App;
use crate::page::{Page, html_with};
use crate::problem::Problem;
use crate::{api, assets, security};

/// Everything that the console serves.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .nest("/api/v1", api::router(app.clone()))
        .merge(account::routes())
        .merge(admin::routes())
        .merge(ask::routes())
        .merge(history::routes())
        .merge(home::routes())
        .merge(notice::routes())
        .merge(officer::routes())
        .merge(oidc::routes())
        .merge(review::routes())
        .merge(screening::routes())
        .merge(sign_in::routes())
        .merge(users::routes())
        .merge(assets::routes())
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || Problem::malformed())
        .layer(from_fn_with_state(app.clone(), oidc::local_sign_in))
        .layer(from_fn_with_state(app.clone(), with_problem_pages))
        .layer(from_fn_with_state(app.clone(), security::headers))
        .with_state(app)
}

#[derive(askama::Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    page: Page,
    text: String,
    code: String,
}

/// Makes a page of what could not be done.
async fn with_problem_pages(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // The handler takes what it needs from the request itself.
    let mut around = http::Request::new(()).into_parts().0;
    around.headers = parts.headers.clone();
    around.uri = parts.uri.clone();
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some(problem) = response.extensions().get::<Problem>().cloned() else {
        return response;
    };
    let page = Page::from_request_parts(&mut around, &app).await;
    let shown = page.and_then(|page| {
        let text = problem.text(page.language).to_owned();
        let code = problem.code.clone();
        html_with(problem.status, &ProblemPage { page, text, code })
    });
    shown.unwrap_or(response)
}
