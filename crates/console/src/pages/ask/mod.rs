//! Asking about a person or a household, and the answer.

mod answer;
pub(crate) mod form;
mod words;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Deserialize;

use self::answer::AnswerPage;
use self::form::{AskPage, Typed};
pub(super) use self::words::{day_and_time, grouped, result_status, result_text};
use crate::app::App;
use crate::draft::{Draft, Keep};
use crate::jobs::ask as job;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// What a form that came too late gives back: everything but the numbers.
pub(crate) const KEEP: Keep = Keep::of(
    "/ask",
    &[
        "purpose",
        "case",
        "responsible",
        "rows",
        "birth-*",
        "class-*",
        "reference-*",
    ],
);

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/ask", get(ask_page).post(send).layer(Extension(KEEP)))
        .route("/answers/{id}", get(answer_page))
        .route("/answers/{id}/proof/{person}", get(proof))
}

/// What a link to the form brings along.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Start {
    /// A question to ask once more.
    from: Option<String>,
    /// How many persons.
    rows: String,
}

async fn ask_page(
    visitor: Visitor,
    page: Page,
    draft: Draft,
    State(app): State<App>,
    Query(start): Query<Start>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let purposes = job::purposes(&app, &asker).await?;
    let typed = match (&draft.fields, &start.from) {
        (Some(fields), _) => Typed::filled(fields, fields.get("rows").parse().unwrap_or(1)),
        (None, Some(id)) => Typed::again(job::ask_again(&app, &asker, id)?),
        (None, None) => Typed::new(start.rows.parse().unwrap_or(1)),
    };
    html(&AskPage::new(page, purposes, typed).restored(draft.fields.is_some()))
}

async fn send(State(app): State<App>, page: Page, posted: Posted) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let typed = Typed::read(&posted.fields)?;
    if posted.fields.get("action") == "rows" {
        let purposes = job::purposes(&app, &asker).await?;
        return html(&AskPage::new(page, purposes, typed));
    }
    match job::ask(&app, &asker, typed.asking(&posted.fields)).await {
        Ok(kept) => Ok(Redirect::to(&format!("/answers/{}", kept.id)).into_response()),
        Err(job::NotAsked::Mistakes(mistakes)) => {
            let purposes = job::purposes(&app, &asker).await?;
            let page = AskPage::wrong(page, purposes, typed, &mistakes);
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(job::NotAsked::Problem(problem)) if problem.code == job::FORM_USED => {
            // The form's own answer, if this is whose form it was.
            let kept = job::kept(&app, &asker, &typed.form.to_string()).ok();
            let answer = kept
                .map(|kept| format!("/answers/{}", kept.id))
                .unwrap_or_default();
            html_with(problem.status, &form::UsedPage { page, answer })
        }
        Err(job::NotAsked::Problem(problem)) => Err(problem),
    }
}

async fn answer_page(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let kept = job::kept(&app, &asker, &id)?;
    let again = job::ask_again(&app, &asker, &id)?;
    html(&AnswerPage::new(page, kept, again.fetches))
}

async fn proof(
    visitor: Visitor,
    State(app): State<App>,
    Path((id, person)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let person: usize = person.parse().map_err(|_| Problem::not_found())?;
    let place = person.checked_sub(1).ok_or_else(Problem::not_found)?;
    let proof = job::proof(&app, &asker, &id, place)?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", proof.name),
        ),
    ];
    Ok((headers, proof.text).into_response())
}
