//! One's own questions.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use jiff::civil::Date;
use serde::Deserialize;

use super::ask::{day_and_time, grouped, result_status, result_text};
use crate::app::App;
use crate::jobs::ask::{Filter, HistoryPage, PAGE, history, purposes};
use crate::kept::Summary;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::Visitor;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/history", get(list))
}

/// What the filter sent.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    case: String,
    purpose: String,
    from: String,
    until: String,
    page: String,
}

/// A question in the list.
struct Row {
    href: String,
    at: String,
    title: String,
    case: String,
    persons: usize,
    references: String,
    status: &'static str,
    result: &'static str,
}

#[derive(askama::Template)]
#[template(path = "history.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
    cases: Vec<(String, String)>,
    purposes: Vec<(String, String)>,
    asked: Asked,
    filtered: bool,
    keep_days: u32,
    position: String,
    previous: String,
    next: String,
}

async fn list(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    // A day that is none is as if nobody had chosen one.
    let day = |text: &str| text.parse::<Date>().ok();
    let filter = Filter {
        case: given(&asked.case),
        purpose: given(&asked.purpose),
        from: day(&asked.from),
        until: day(&asked.until),
    };
    let found = history(&app, &asker, &filter, asked.page.parse().unwrap_or(1));
    let any = || vec![(String::new(), page.t("ask.filter_any").to_owned())];
    let mut options = any();
    let granted = purposes(&app, &asker).await?.into_iter();
    options.extend(granted.map(|purpose| (purpose.code, purpose.title)));
    let mut cases = any();
    cases.extend(found.cases.iter().map(|case| (case.clone(), case.clone())));
    let to = |number: usize| link(&asked, number);
    html(&ListPage {
        rows: found.rows.iter().map(|summary| row(&page, summary)).collect(),
        cases,
        purposes: options,
        filtered: filter.case.is_some()
            || filter.purpose.is_some()
            || filter.from.is_some()
            || filter.until.is_some(),
        keep_days: app.settings().keep_days,
        position: position(&page, &found),
        previous: if found.page > 1 {
            to(found.page - 1)
        } else {
            String::new()
        },
        next: if found.page < found.pages {
            to(found.page + 1)
        } else {
            String::new()
        },
        page,
        asked,
    })
}

fn row(page: &Page, summary: &Summary) -> Row {
    Row {
        href: format!("/answers/{}", summary.id),
        at: day_and_time(summary.asked_at),
        title: summary.title.clone(),
        case: summary.case.clone(),
        persons: summary.persons,
        references: summary.references.join(", "),
        status: result_status(summary.result),
        result: result_text(page, summary.result),
    }
}

/// "26–50 van 137".
fn position(page: &Page, found: &HistoryPage) -> String {
    if found.total == 0 {
        return String::new();
    }
    let first = (found.page - 1) * PAGE + 1;
    let number = |number: usize| grouped(page.language, u64::try_from(number).unwrap_or(u64::MAX));
    let range = format!("{}–{}", number(first), number(first + found.rows.len() - 1));
    page.t2("ask.position", range, number(found.total))
}

/// The same list at another page.
fn link(asked: &Asked, number: usize) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in [
        ("case", &asked.case),
        ("purpose", &asked.purpose),
        ("from", &asked.from),
        ("until", &asked.until),
    ] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    format!(
        "/history?{}",
        query.append_pair("page", &number.to_string()).finish()
    )
}
