//! For the administrator: accounts, the book of sign-ins, and applications.

mod applications;
mod book;
mod roles;

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::volume;
use hitmachine_node::accounts::{NewUser, Roles, UserView, is_user_id};
use jiff::Timestamp;

use crate::app::App;
use crate::fields::Fields;
use crate::jobs::accounts::{self, Change};
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};
use roles::RoleFields;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/admin/users", get(list))
        .route("/admin/users/new", get(new).post(create))
        .route("/admin/users/log", get(book::show))
        .route("/admin/users/{id}", get(one))
        .route("/admin/users/{id}/roles", post(roles_of))
        .route("/admin/users/{id}/block", post(block))
        .route("/admin/users/{id}/unblock", post(unblock))
        .route("/admin/users/{id}/sign-out", post(sign_out))
        .route("/admin/users/{id}/reset", post(reset))
        .route("/admin/users/{id}/remove", post(remove))
        .merge(applications::routes())
}

type Asked = Query<HashMap<String, String>>;
/// Field and what is wrong with it.
type Mistakes = Vec<(String, String)>;

/// A moment as people here read it.
fn local(at: Timestamp) -> String {
    volume::local(at).strftime("%-d-%-m-%Y %H:%M").to_string()
}

/// How an account is, by a badge's kind and a word.
fn state(page: &Page, user: &UserView) -> (&'static str, &'static str) {
    match user {
        UserView { blocked: true, .. } => ("error", page.t("users.state_blocked")),
        UserView { external: true, .. } => ("ok", page.t("users.state_external")),
        UserView {
            has_password: false, ..
        } => ("warning", page.t("users.state_no_password")),
        UserView {
            must_change: true, ..
        } => ("warning", page.t("users.state_first")),
        UserView {
            second_factor: false, ..
        } => ("warning", page.t("users.state_no_codes")),
        _ => ("ok", page.t("users.state_ok")),
    }
}

/// What was done, for the page after it.
fn done(page: &Page, asked: &HashMap<String, String>) -> Option<&'static str> {
    Some(page.t(match asked.get("done")?.as_str() {
        "roles" => "users.done_roles",
        "blocked" => "users.done_blocked",
        "unblocked" => "users.done_unblocked",
        "signed-out" => "users.done_signed_out",
        "removed" => "users.done_removed",
        "revoked" => "users.done_revoked",
        _ => return None,
    }))
}

struct Row {
    id: String,
    name: String,
    roles: String,
    state: (&'static str, &'static str),
    last: String,
}

#[derive(askama::Template)]
#[template(path = "users.html")]
struct ListPage {
    page: Page,
    rows: Vec<Row>,
    done: Option<&'static str>,
}

async fn list(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Asked,
) -> Result<Response, Problem> {
    let users = accounts::users(&app, &visitor.caller.administrator()?).await?;
    let row = |user: UserView| Row {
        state: state(&page, &user),
        roles: roles::text(&page, &user.roles),
        last: user
            .last_sign_in
            .map_or_else(|| page.t("users.never").to_owned(), local),
        id: user.id,
        name: user.name,
    };
    let rows = users.into_iter().map(row).collect();
    let done = done(&page, &asked);
    html(&ListPage { page, rows, done })
}

#[derive(askama::Template)]
#[template(path = "users_new.html")]
struct NewPage {
    page: Page,
    id: String,
    name: String,
    roles: RoleFields,
    errors: Mistakes,
}

impl NewPage {
    fn error(&self, field: &str) -> &str {
        let found = self.errors.iter().find(|(each, _)| each == field);
        found.map_or("", |(_, text)| text.as_str())
    }
}

async fn new(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    visitor.caller.administrator()?;
    let roles = RoleFields::new(&app, &page, &Roles::default()).await;
    html(&NewPage {
        page,
        id: String::new(),
        name: String::new(),
        roles,
        errors: Vec::new(),
    })
}

async fn create(State(app): State<App>, page: Page, posted: Posted) -> Result<Response, Problem> {
    let who = posted.visitor.caller.administrator()?;
    let fields = &posted.fields;
    let new = NewUser {
        id: fields.get("id").to_owned(),
        name: fields.get("name").to_owned(),
        roles: roles::read(fields),
    };
    let mut errors = Vec::new();
    if new.roles.held().next().is_none() {
        errors.push(("asks_as".to_owned(), page.t("users.no_role").to_owned()));
    }
    let failed = if errors.is_empty() {
        match accounts::create(&app, &who, new.clone()).await {
            Ok(password) => return shown_once(page, &new.name, password.expose_text()),
            Err(problem) => Some(problem),
        }
    } else {
        None
    };
    if let Some(problem) = failed {
        let field = match problem.code.as_str() {
            "account_name" if is_user_id(&new.id) => "name",
            "account_exists" | "account_name" => "id",
            "account_roles" | "covenant_role" => "asks_as",
            _ => return Err(problem),
        };
        errors.push((field.to_owned(), problem.text(page.language).to_owned()));
    }
    let roles = RoleFields::new(&app, &page, &new.roles).await;
    let form = NewPage {
        page,
        id: typed(fields, "id"),
        name: typed(fields, "name"),
        roles,
        errors,
    };
    html_with(StatusCode::UNPROCESSABLE_ENTITY, &form)
}

/// What was typed, to be shown again; not if it could be a person's number.
fn typed(fields: &Fields, name: &str) -> String {
    let text = fields.get(name);
    if hitmachine_identifier::contains_bsn(text) {
        String::new()
    } else {
        text.to_owned()
    }
}

#[derive(askama::Template)]
#[template(path = "users_password.html")]
struct PasswordPage<'a> {
    page: Page,
    name: &'a str,
    password: &'a str,
}

/// The only time that a first password is shown.
fn shown_once(page: Page, name: &str, password: &str) -> Result<Response, Problem> {
    html(&PasswordPage { page, name, password })
}

#[derive(askama::Template)]
#[template(path = "users_one.html")]
struct OnePage {
    page: Page,
    user: UserView,
    state: (&'static str, &'static str),
    facts: Vec<(&'static str, String)>,
    roles: RoleFields,
    own: bool,
    done: Option<&'static str>,
    errors: Mistakes,
}

impl OnePage {
    async fn new(app: &App, page: Page, visitor: &Visitor, id: &str) -> Result<Self, Problem> {
        let user = accounts::user(app, &visitor.caller.administrator()?, id).await?;
        let yes_no = |yes: bool| page.t(if yes { "users.yes" } else { "users.no" }).to_owned();
        let mut facts = vec![
            (page.t("users.id"), user.id.clone()),
            (page.t("users.roles"), roles::text(&page, &user.roles)),
            (page.t("users.created"), local(user.created)),
            (
                page.t("users.last"),
                user.last_sign_in
                    .map_or_else(|| page.t("users.never").to_owned(), local),
            ),
            (page.t("users.sessions"), user.sessions.to_string()),
        ];
        if !user.external {
            facts.push((page.t("users.second"), yes_no(user.second_factor)));
            facts.push((page.t("users.recovery"), user.recovery_codes.to_string()));
        }
        Ok(Self {
            state: state(&page, &user),
            roles: RoleFields::new(app, &page, &user.roles).await,
            own: visitor.caller.user == user.id,
            facts,
            user,
            page,
            done: None,
            errors: Vec::new(),
        })
    }

    fn error(&self, field: &str) -> &str {
        let found = self.errors.iter().find(|(each, _)| each == field);
        found.map_or("", |(_, text)| text.as_str())
    }
}

async fn one(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(asked): Asked,
) -> Result<Response, Problem> {
    let done = done(&page, &asked);
    let page = OnePage::new(&app, page, &visitor, &id).await?;
    html(&OnePage { done, ..page })
}

/// Does it, and shows the account again; what cannot be done is said there.
async fn changed(
    app: App,
    page: Page,
    posted: Posted,
    id: String,
    change: Change,
    word: &str,
) -> Result<Response, Problem> {
    let field = if matches!(change, Change::Roles(_)) {
        "asks_as"
    } else {
        "actions"
    };
    let removed = change == Change::Remove;
    let who = posted.visitor.caller.administrator()?;
    match accounts::change(&app, &who, &id, change).await {
        Ok(()) if removed => Ok(Redirect::to("/admin/users?done=removed").into_response()),
        Ok(()) => Ok(Redirect::to(&format!("/admin/users/{id}?done={word}")).into_response()),
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            let errors = vec![(field.to_owned(), problem.text(page.language).to_owned())];
            let page = OnePage::new(&app, page, &posted.visitor, &id).await?;
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &OnePage { errors, ..page })
        }
        Err(problem) => Err(problem),
    }
}

async fn roles_of(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let roles = roles::read(&posted.fields);
    changed(app, page, posted, id, Change::Roles(roles), "roles").await
}

async fn block(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    changed(app, page, posted, id, Change::Block, "blocked").await
}

async fn unblock(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    changed(app, page, posted, id, Change::Unblock, "unblocked").await
}

async fn sign_out(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    changed(app, page, posted, id, Change::SignOut, "signed-out").await
}

async fn remove(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    changed(app, page, posted, id, Change::Remove, "removed").await
}

async fn reset(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let who = posted.visitor.caller.administrator()?;
    let user = accounts::user(&app, &who, &id).await?;
    let password = accounts::reset(&app, &who, &id).await?;
    shown_once(page, &user.name, password.expose_text())
}
