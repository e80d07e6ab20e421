//! Hit notices that partners did not fetch: counts, and nothing of what is in them.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use hitmachine_node::officer::waiting::WaitingView;

use super::files;
use crate::app::App;
use crate::jobs;
use crate::moment::{moment, number};
use crate::page::{Page, html};
use crate::pages::officer::OfficerVisitor;
use crate::problem::Problem;

/// On the shelf: as it was shown last.
const NOTICES: &str = "review-notices";

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/alarms/notices", get(list))
        .route("/officer/alarms/notices.csv", get(csv))
        .route("/officer/alarms/notices.json", get(json))
}

#[derive(askama::Template)]
#[template(path = "review_notices.html")]
struct NoticesPage {
    page: Page,
    reference: String,
    own_entry: u64,
    days: u32,
    late: usize,
    rows: Vec<Row>,
}

struct Row {
    organisation: String,
    waiting: String,
    oldest: String,
    late: bool,
    fetched: String,
    connected: bool,
}

async fn list(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let view = jobs::officer::waiting_notices(&app, &officer.looking()?).await?;
    let view = app.shelf().put(officer.token(), NOTICES, view);
    let rows = view.partners.iter().map(|row| Row {
        organisation: row.organisation.clone(),
        waiting: number(page.language, row.waiting),
        oldest: row
            .oldest
            .as_deref()
            .map_or_else(String::new, |at| moment(page.language, at)),
        late: row.overdue,
        fetched: number(page.language, row.acknowledged),
        connected: row.connected,
    });
    html(&NoticesPage {
        rows: rows.collect(),
        reference: officer.reference.clone(),
        own_entry: view.own.log_index.saturating_add(1),
        days: view.notice_days,
        late: view.partners.iter().filter(|row| row.overdue).count(),
        page,
    })
}

async fn csv(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let view = app.shelf().find::<WaitingView>(officer.token(), NOTICES)?;
    let rows = view.partners.iter().map(|row| {
        vec![
            row.partner.clone(),
            row.organisation.clone(),
            row.waiting.to_string(),
            row.oldest.clone().unwrap_or_default(),
            row.overdue.to_string(),
            row.acknowledged.to_string(),
            row.connected.to_string(),
        ]
    });
    let columns = [
        "partner",
        "organisation",
        "waiting",
        "oldest_utc",
        "overdue",
        "fetched",
        "connected",
    ];
    files::csv("notices.csv", &columns, rows)
}

async fn json(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let view = app.shelf().find::<WaitingView>(officer.token(), NOTICES)?;
    files::json("notices.json", view.as_ref())
}
