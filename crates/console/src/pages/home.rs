//! The first page, where each role begins; the statement on accessibility; and the choice of a language.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_node::accounts::Role;

use crate::app::App;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::{Visitor, read_form};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/accessibility", get(accessibility))
        .route("/language/{language}", post(language))
}

/// What one may begin with.
struct Task {
    path: &'static str,
    title: &'static str,
    text: &'static str,
}

/// The tasks of one role.
struct Desk {
    title: &'static str,
    tasks: Vec<Task>,
}

/// Path, and names of title and text.
type TaskNames = (&'static str, &'static str, &'static str);

/// Role, name of its title, and its tasks.
const DESKS: [(Role, &str, &[TaskNames]); 3] = [
    (
        Role::Asker,
        "common.home_asker",
        &[
            ("/ask", "common.nav_ask", "common.home_ask"),
            ("/notices", "common.nav_notices", "common.home_notices"),
            ("/screenings", "common.nav_screenings", "common.home_screenings"),
            ("/history", "common.nav_history", "common.home_history"),
        ],
    ),
    (
        Role::Officer,
        "common.home_officer",
        &[
            ("/officer", "common.home_dashboard", "common.home_oversight"),
            ("/officer/search", "common.home_search", "common.home_search_text"),
            ("/officer/person", "common.home_person", "common.home_person_text"),
            ("/officer/alarms", "common.home_alarms", "common.home_alarms_text"),
        ],
    ),
    (
        Role::Administrator,
        "common.home_administrator",
        &[
            ("/admin", "common.home_status", "common.home_status_text"),
            (
                "/admin/sources",
                "common.home_sources",
                "common.home_sources_text",
            ),
            ("/admin/users", "common.home_users", "common.home_users_text"),
        ],
    ),
];

#[derive(askama::Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    desks: Vec<Desk>,
}

async fn home(_: Visitor, page: Page) -> Result<Response, Problem> {
    let held = DESKS.iter().filter(|(role, ..)| page.holds(*role));
    let desks = held.map(|(_, title, tasks)| Desk {
        title: page.t(title),
        tasks: tasks
            .iter()
            .map(|(path, title, text)| Task {
                path,
                title: page.t(title),
                text: page.t(text),
            })
            .collect(),
    });
    let desks = desks.collect();
    html(&Home { page, desks })
}

#[derive(askama::Template)]
#[template(path = "accessibility.html")]
struct Accessibility {
    page: Page,
}

/// For everybody: who cannot sign in for want of accessibility must be able to read how to say so.
async fn accessibility(page: Page) -> Result<Response, Problem> {
    html(&Accessibility { page })
}

/// Another language from now on, back to the page where it was chosen. It changes nothing else, so nobody needs to be
/// signed in.
async fn language(
    State(app): State<App>,
    Path(language): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let fields = read_form(&app, request).await?;
    let language = match language.as_str() {
        "nl" => "nl",
        "en" => "en",
        _ => return Err(Problem::not_found()),
    };
    let back = own_path(fields.get("next")).unwrap_or("/");
    let cookie =
        format!("__Host-language={language}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000");
    Ok(([(SET_COOKIE, cookie)], Redirect::to(back)).into_response())
}

/// A path of this console; the pages of signing in have a language too. Not `//elsewhere` or `/\elsewhere`, which browsers
/// take for another host, nor anything that does not belong in a header.
fn own_path(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('/')?;
    let own =
        !rest.starts_with(['/', '\\']) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    own.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_brings_back_to_this_console_only() {
        for path in ["/", "/ask", "/officer/search/7?page=2"] {
            assert_eq!(own_path(path), Some(path));
        }
        for path in [
            "",
            "ask",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "/a b",
            "/é",
        ] {
            assert_eq!(own_path(path), None, "{path:?}");
        }
    }
}
