//! Screening a list: upload, plan, progress, results.
//!
//! - `new`: the form with the file; `upload` takes it, `held` holds it until somebody begins.
//! - `plan`: what was read, which column is what, what asking would mean, and the start.
//! - `show`: how far it is and what came of it; `results` makes the table; `files` are the downloads.

mod columns;
mod files;
mod held;
mod new;
mod plan;
mod results;
mod show;
pub(crate) mod upload;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hitmachine_core::volume::local;
use hitmachine_node::language::Language;
use hitmachine_node::screening::{OnQuota, ScreeningView, Stand};
use jiff::Timestamp;
use serde::Deserialize;

use self::held::Held;
use crate::app::App;
use crate::jobs;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::texts;
use crate::visitor::Visitor;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/screenings", get(list))
        .route(
            "/screenings/new",
            // The upload counts for itself, and says what was too large.
            get(new::form).post(new::send).layer(DefaultBodyLimit::disable()),
        )
        .route("/screenings/new/{list}", get(plan::show).post(plan::choose))
        .route("/screenings/new/{list}/start", post(plan::start))
        .route("/screenings/new/{list}/cancel", post(plan::cancel))
        .route("/screenings/{id}", get(show::show))
        .route("/screenings/{id}/progress", get(show::progress))
        .route("/screenings/{id}/stop", post(show::stop))
        .route("/screenings/{id}/resume", post(show::resume))
        .route("/screenings/{id}/forget", post(show::forget))
        .route("/screenings/{id}/csv", get(files::csv))
        .route("/screenings/{id}/report", get(files::report))
        .route("/screenings/{id}/json", get(files::json))
        .layer(Extension(Arc::new(Held::default())))
}

/// A mistake in a form: the id of its field and what is wrong. No text repeats what was typed.
type Mistake = (&'static str, String);

/// What is wrong with a field; empty if nothing is.
fn mistake_of<'a>(mistakes: &'a [Mistake], field: &str) -> &'a str {
    let found = mistakes.iter().find(|(of, _)| *of == field);
    found.map_or("", |(_, text)| text)
}

fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}

fn on_quota(word: &str) -> OnQuota {
    match word {
        "stop" => OnQuota::Stop,
        _ => OnQuota::Wait,
    }
}

/// What people read on the clock.
fn moment(time: Timestamp) -> String {
    local(time).strftime("%d-%m-%Y %H:%M").to_string()
}

/// The same of a time in a view.
fn moment_of(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), moment)
}

/// The day of a time in a view.
fn day_of(text: &str) -> String {
    let day = |time| local(time).strftime("%d-%m-%Y").to_string();
    text.parse().map_or_else(|_| text.to_owned(), day)
}

/// A duration as people say it.
fn duration(seconds: u64, language: Language) -> String {
    let t = |name| texts::text(language, name);
    let filled = |name, value: u64| texts::filled(language, name, &[&value]);
    match seconds {
        0..60 => t("screening.less_than_minute").to_owned(),
        60..120 => t("screening.one_minute").to_owned(),
        120..7_200 => filled("screening.minutes", seconds.div_ceil(60)),
        _ => filled("screening.hours", seconds.div_ceil(3_600)),
    }
}

/// How a screening stands, in words and as the class of a badge.
fn stand(stand: Stand, language: Language) -> (&'static str, &'static str) {
    let (name, class) = match stand {
        Stand::Running => ("screening.stand_running", "status--neutral"),
        Stand::Stopped => ("screening.stand_stopped", "status--warning"),
        Stand::Done => ("screening.stand_done", "status--ok"),
        Stand::Ended => ("screening.stand_ended", "status--error"),
    };
    (texts::text(language, name), class)
}

struct Listed {
    view: ScreeningView,
    title: String,
    stand: &'static str,
    class: &'static str,
    started: String,
    kept_until: String,
}

#[derive(askama::Template)]
#[template(path = "screenings.html")]
struct ListPage {
    page: Page,
    screenings: Vec<Listed>,
    forgotten: bool,
    cancelled: bool,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn list(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let views = jobs::screening::list(&app, &asker).await?;
    let listed = views.into_iter().map(|view| {
        let (stand, class) = stand(view.stand, page.language);
        Listed {
            title: purpose_title(&app, &view.purpose),
            stand,
            class,
            started: moment_of(&view.started_at),
            kept_until: day_of(&view.kept_until),
            view,
        }
    });
    html(&ListPage {
        screenings: listed.collect(),
        forgotten: done == "forgotten",
        cancelled: done == "cancelled",
        page,
    })
}

/// The purpose's name for people; its short name if the covenant does not have it any more.
fn purpose_title(app: &App, code: &str) -> String {
    let covenant = app.node().covenant_held();
    let purpose = covenant.as_ref().zip(code.parse().ok());
    let purpose = purpose.and_then(|(covenant, code)| covenant.purpose(&code));
    purpose.map_or_else(|| code.to_owned(), |purpose| purpose.title.clone())
}
