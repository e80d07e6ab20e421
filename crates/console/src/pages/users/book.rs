//! The book of sign-ins.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::response::Response;
use hitmachine_node::accounts::{Checked, Filter, Kind, is_user_id};

use super::{Asked, local};
use crate::app::App;
use crate::jobs::accounts;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Entries on a page.
const PAGE: usize = 50;

struct Row {
    number: u64,
    time: String,
    what: &'static str,
    user: String,
    by: String,
    detail: String,
}

#[derive(askama::Template)]
#[template(path = "users_log.html")]
struct BookPage {
    page: Page,
    rows: Vec<Row>,
    users: Vec<(String, String)>,
    user: String,
    kinds: Vec<(String, String)>,
    kind: String,
    /// Number of the first entry on the page, if it is not the newest.
    first: String,
    older: String,
    checked: Option<Checked>,
}

pub(super) async fn show(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Asked,
) -> Result<Response, Problem> {
    let who = visitor.caller.administrator()?;
    let language = page.language;
    let filter = read(&asked);
    let users = accounts::users(&app, &who).await?.into_iter().map(|user| user.id);
    let applications = accounts::applications(&app, &who).await?;
    let mut names: Vec<String> = users.collect();
    names.extend(
        applications
            .iter()
            .map(hitmachine_node::accounts::Application::user),
    );
    names.extend(filter.user.clone().filter(|user| !names.contains(user)));
    let names = names.into_iter().map(|name| (name.clone(), name));
    let kinds = Kind::ALL.map(|kind| (kind.word().to_owned(), kind.text(language).to_owned()));
    let (found, checked) =
        accounts::book(&app, &who, filter.clone(), PAGE, asked.contains_key("check")).await?;
    let last = found
        .entries
        .last()
        .filter(|_| found.more)
        .map(|entry| entry.number);
    let older = last.map_or_else(String::new, |number| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for name in ["user", "kind"] {
            query.append_pair(name, asked.get(name).map_or("", String::as_str));
        }
        query.append_pair("before", &number.to_string());
        format!("/admin/users/log?{}", query.finish())
    });
    let row = |entry: &hitmachine_node::accounts::Entry| Row {
        number: entry.number,
        time: local(entry.time),
        what: entry.kind.text(language),
        user: entry.user.clone(),
        by: entry.by.clone().unwrap_or_default(),
        detail: entry.detail_text(language),
    };
    html(&BookPage {
        rows: found.entries.iter().map(row).collect(),
        users: all(&page, "users.log_all_users", names),
        user: filter.user.unwrap_or_default(),
        kinds: all(&page, "users.log_all_kinds", kinds.into_iter()),
        kind: filter
            .kind
            .map_or_else(String::new, |kind| kind.word().to_owned()),
        first: if filter.before.is_some() {
            "/admin/users/log".to_owned()
        } else {
            String::new()
        },
        older,
        checked,
        page,
    })
}

fn all(page: &Page, none: &str, options: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let none = (String::new(), page.t(none).to_owned());
    [none].into_iter().chain(options).collect()
}

/// The filter of an address; what is no name or kind filters nothing.
fn read(asked: &HashMap<String, String>) -> Filter {
    let is_name =
        |name: &&String| is_user_id(name.strip_prefix("app:").unwrap_or(name)) || *name == "unknown";
    Filter {
        user: asked.get("user").filter(is_name).cloned(),
        kind: asked.get("kind").and_then(|word| Kind::of(word)),
        before: asked.get("before").and_then(|number| number.parse().ok()),
    }
}
