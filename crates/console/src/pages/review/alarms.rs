//! Alarms in the log: who, when, what and what to do; a note that one was seen, and the end of a stop.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::alarm::AlarmKind;
use hitmachine_node::officer::alarms::{AlarmRow, AlarmsView};

use super::{files, index, note, said, say};
use crate::app::App;
use crate::jobs;
use crate::moment::{moment, sentence};
use crate::page::{Page, html, html_with};
use crate::pages::officer::form::Errors;
use crate::pages::officer::{OfficerPosted, OfficerVisitor};
use crate::problem::Problem;

/// On the shelf: the alarms as they were shown last.
const ALARMS: &str = "review-alarms";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/alarms", get(list))
        .route("/officer/alarms/alarms.csv", get(csv))
        .route("/officer/alarms/alarms.json", get(json))
        .route("/officer/alarms/{number}", get(one))
        .route("/officer/alarms/{number}/seen", post(seen))
        .route("/officer/alarms/{number}/lift", post(lift))
}

#[derive(askama::Template)]
#[template(path = "review_alarms.html")]
struct AlarmsPage {
    page: Page,
    reference: String,
    said: String,
    own_entry: u64,
    away: String,
    own_alarms: Vec<(String, String)>,
    open: Vec<Said>,
    closed: Vec<Said>,
}

struct Said {
    number: u64,
    at: String,
    what: String,
    advice: String,
    whom: String,
    times: String,
    state: &'static str,
    status: &'static str,
    stops: bool,
    is_seen: bool,
    seen_at: String,
    lifted_at: String,
    follows_from: u64,
}

fn say_alarm(page: &Page, app: &App, row: &AlarmRow) -> Said {
    let covenant = app.node().covenant_held();
    let name = |id: &str| {
        let id_ = id.parse().ok();
        let partner = covenant
            .as_ref()
            .zip(id_)
            .and_then(|(covenant, id)| covenant.partner(&id));
        partner.map_or_else(|| id.to_owned(), |partner| partner.name.clone())
    };
    let organisation = match (row.about.as_str(), row.by.as_str()) {
        ("", "") => page.t("review.the_hub").to_owned(),
        ("", by) => name(by),
        (about, _) => name(about),
    };
    let whom = match &row.user {
        Some(user) => format!("{organisation}: {user}"),
        None => organisation,
    };
    let (state, status) = match (row.stops, row.lifted_at.is_some(), row.acknowledged_at.is_some()) {
        (true, _, _) => ("review.alarm_stopped", "error"),
        (false, true, _) => ("review.alarm_lifted", "ok"),
        (false, false, true) => ("review.alarm_seen", "ok"),
        (false, false, false) => ("review.alarm_open", "warning"),
    };
    let when = |at: &Option<String>| {
        at.as_deref()
            .map_or_else(String::new, |at| moment(page.language, at))
    };
    // The advice for a terminal ends in a command; here a button does it.
    let advice = page.language.pick(&row.advice_nl, &row.advice_en);
    let advice = if row.stops {
        page.t("review.advice_stopped")
    } else {
        advice
    };
    Said {
        number: row.log_index.saturating_add(1),
        at: moment(page.language, &row.at),
        what: sentence(page.language.pick(&row.text_nl, &row.text_en)),
        advice: advice.to_owned(),
        whom,
        times: if row.times > 1 {
            page.t1("review.times", row.times)
        } else {
            String::new()
        },
        state: page.t(state),
        status,
        stops: row.stops,
        is_seen: row.acknowledged_at.is_some(),
        seen_at: when(&row.acknowledged_at),
        lifted_at: when(&row.lifted_at),
        follows_from: row.follows_from.map_or(0, |entry| entry.saturating_add(1)),
    }
}

async fn list(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let looked = jobs::officer::alarms(&app, &officer.looking()?).await;
    let mut shown = AlarmsPage {
        reference: officer.reference.clone(),
        said: said(&app, &officer),
        own_entry: 0,
        away: String::new(),
        own_alarms: Vec::new(),
        open: Vec::new(),
        closed: Vec::new(),
        page,
    };
    match looked {
        Ok(view) => {
            let view = app.shelf().put(officer.token(), ALARMS, view);
            shown.own_entry = view.own.log_index.saturating_add(1);
            for row in &view.alarms {
                let said = say_alarm(&shown.page, &app, row);
                if row.is_open() {
                    shown.open.push(said);
                } else {
                    shown.closed.push(said);
                }
            }
            html(&shown)
        }
        // Without the hub: what this node was told before, and that it may not be all.
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            problem.text(shown.page.language).clone_into(&mut shown.away);
            let known = app.node().alarms();
            let told = known.iter().map(|alarm| {
                let kind = AlarmKind::of(&alarm.code);
                let at = moment(shown.page.language, &alarm.at);
                (at, sentence(shown.page.language.pick(kind.nl().0, kind.en().0)))
            });
            shown.own_alarms = told.collect();
            html_with(StatusCode::SERVICE_UNAVAILABLE, &shown)
        }
        Err(problem) => Err(problem),
    }
}

#[derive(askama::Template)]
#[template(path = "review_alarm.html")]
struct AlarmPage {
    page: Page,
    reference: String,
    alarm: Said,
    note: String,
    lift_note: String,
    errors: Errors,
}

fn find(app: &App, officer: &OfficerVisitor, number: &str) -> Result<(Arc<AlarmsView>, usize), Problem> {
    let view = app.shelf().find::<AlarmsView>(officer.token(), ALARMS)?;
    let index = index(number).ok_or_else(Problem::not_found)?;
    let place = view.alarms.iter().position(|row| row.log_index == index);
    Ok((view, place.ok_or_else(Problem::not_found)?))
}

fn alarm_page(page: Page, app: &App, officer: &OfficerVisitor, row: &AlarmRow) -> AlarmPage {
    AlarmPage {
        reference: officer.reference.clone(),
        alarm: say_alarm(&page, app, row),
        note: String::new(),
        lift_note: String::new(),
        errors: Errors::default(),
        page,
    }
}

async fn one(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    officer.looking()?;
    let (view, place) = find(&app, &officer, &number)?;
    let row = view.alarms.get(place).ok_or_else(Problem::not_found)?;
    html(&alarm_page(page, &app, &officer, row))
}

async fn seen(
    State(app): State<App>,
    page: Page,
    Path(number): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let looking = officer.looking()?;
    let (view, place) = find(&app, &officer, &number)?;
    let row = view.alarms.get(place).ok_or_else(Problem::not_found)?;
    let mut errors = Errors::default();
    let note = note(&page, "note", fields.get("note"), &mut errors);
    if !errors.is_empty() {
        let shown = AlarmPage {
            note,
            errors,
            ..alarm_page(page, &app, &officer, row)
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let own = jobs::review::acknowledge(&app, &looking, row.log_index, &note).await?;
    say(
        &app,
        &officer,
        page.t2(
            "review.was_seen",
            row.log_index.saturating_add(1),
            own.log_index.saturating_add(1),
        ),
    );
    Ok(Redirect::to("/officer/alarms").into_response())
}

async fn lift(
    State(app): State<App>,
    page: Page,
    Path(number): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let looking = officer.looking()?;
    let (view, place) = find(&app, &officer, &number)?;
    let row = view
        .alarms
        .get(place)
        .filter(|row| row.stops)
        .ok_or_else(Problem::not_found)?;
    let mut errors = Errors::default();
    let lift_note = note(&page, "lift_note", fields.get("lift_note"), &mut errors);
    if !errors.is_empty() {
        let shown = AlarmPage {
            lift_note,
            errors,
            ..alarm_page(page, &app, &officer, row)
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let own = jobs::review::lift(&app, &looking, row, &lift_note).await?;
    say(
        &app,
        &officer,
        page.t1("review.was_lifted", own.log_index.saturating_add(1)),
    );
    Ok(Redirect::to("/officer/alarms").into_response())
}

async fn csv(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let view = app.shelf().find::<AlarmsView>(officer.token(), ALARMS)?;
    let columns = [
        "entry",
        "time_utc",
        "code",
        "text_nl",
        "about",
        "user",
        "by",
        "times",
        "stops",
        "acknowledged_utc",
        "lifted_utc",
    ];
    let rows = view.alarms.iter().map(|row| {
        vec![
            row.log_index.saturating_add(1).to_string(),
            row.at.clone(),
            row.code.clone(),
            row.text_nl.clone(),
            row.about.clone(),
            row.user.clone().unwrap_or_default(),
            row.by.clone(),
            row.times.to_string(),
            row.stops.to_string(),
            row.acknowledged_at.clone().unwrap_or_default(),
            row.lifted_at.clone().unwrap_or_default(),
        ]
    });
    files::csv("alarms.csv", &columns, rows)
}

async fn json(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let view = app.shelf().find::<AlarmsView>(officer.token(), ALARMS)?;
    files::json("alarms.json", view.as_ref())
}
