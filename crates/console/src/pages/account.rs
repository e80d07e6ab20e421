//! A person's own account: password, second factor, recovery codes, sessions.
//!
//! What makes somebody else able to sign in as this person asks for the password once more: a browser left open is not enough.

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::volume::local;
use hitmachine_node::accounts::{Next, PasswordRule, Role, SignInError, UserView};
use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::sign_in::{Mistakes, Refused, new_password_mistakes, set_pending, step_path, waiting};
use crate::app::App;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/account", get(account))
        .route("/account/password", get(password_form).post(password))
        .route("/account/recovery", get(recovery_form).post(recovery))
        .route("/account/app", get(app_form).post(app_anew))
        .route("/account/sign-out-everywhere", post(everywhere))
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "account.html")]
struct Account {
    page: Page,
    view: UserView,
    /// What each role lets this person do, in words.
    roles: Vec<String>,
    sessions: Vec<OneSession>,
    done: Option<&'static str>,
}

/// A browser in which this person is signed in.
struct OneSession {
    begun: String,
    used: String,
    here: bool,
}

async fn account(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Query<Done>,
) -> Result<Response, Problem> {
    let accounts = app.node().accounts();
    let user = &visitor.caller.user;
    let view = accounts.view(user)?.ok_or_else(Problem::not_found)?;
    let mut sessions = accounts.sessions_of(user)?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.used));
    let sessions = sessions.iter().map(|session| OneSession {
        begun: when(session.begun),
        used: when(session.used),
        here: session.is(&visitor.token),
    });
    let done = match asked.done.as_deref() {
        Some("password") => Some(page.t("account.done_password")),
        _ => None,
    };
    html(&Account {
        roles: roles(&page, &visitor),
        sessions: sessions.collect(),
        view,
        done,
        page,
    })
}

/// As people read it here, to the minute.
fn when(at: Timestamp) -> String {
    local(at).strftime("%d-%m-%Y %H:%M").to_string()
}

fn roles(page: &Page, visitor: &Visitor) -> Vec<String> {
    let roles = &visitor.caller.roles;
    let words = roles.held().map(|role| match role {
        Role::Asker => page.t1("account.role_asker", roles.asks_as.as_deref().unwrap_or("")),
        Role::Officer => page.t1("account.role_officer", roles.reviews_as.as_deref().unwrap_or("")),
        Role::Administrator => page.t("account.role_administrator").to_owned(),
    });
    words.collect()
}

/// Only accounts with a password have these pages: an identity provider keeps the others.
fn with_password(app: &App, visitor: &Visitor) -> Result<(), Problem> {
    let view = app.node().accounts().view(&visitor.caller.user)?;
    view.filter(|view| view.has_password)
        .map(|_| ())
        .ok_or_else(Problem::not_found)
}

#[derive(askama::Template)]
#[template(path = "account_password.html")]
struct PasswordPage {
    page: Page,
    shortest: usize,
    mistakes: Mistakes,
}

async fn password_form(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    with_password(&app, &visitor)?;
    html(&PasswordPage {
        page,
        shortest: PasswordRule::SHORTEST,
        mistakes: Mistakes::default(),
    })
}

async fn password(page: Page, State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    with_password(&app, &posted.visitor)?;
    let Posted { visitor, fields } = posted;
    let mut mistakes = Mistakes::default();
    if fields.exact("password").is_empty() {
        mistakes.add("password", page.t("account.password_missing"));
    }
    mistakes.0.extend(new_password_mistakes(&page, &fields).0);
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut wait = None;
    if mistakes.is_empty() {
        let (user, token) = (visitor.caller.user, visitor.token);
        let result = app.with_password(move |accounts| {
            let (old, new) = (fields.exact("password"), fields.exact("password-new"));
            accounts.change_password(&user, old, new, Some(&token))
        });
        let Err(error) = result.await? else {
            return Ok(Redirect::to("/account?done=password").into_response());
        };
        let refused;
        (mistakes, refused) = password_mistake(error, &app, &page)?;
        (status, wait) = (refused.0, refused.1);
    }
    let shown = html_with(
        status,
        &PasswordPage {
            page,
            shortest: PasswordRule::SHORTEST,
            mistakes,
        },
    )?;
    Ok(waiting(shown, wait))
}

/// What a person reads when a password was not accepted, at its field; with the status and what there is to wait for.
fn password_mistake(
    error: SignInError,
    app: &App,
    page: &Page,
) -> Result<(Mistakes, (StatusCode, Option<i64>)), Problem> {
    let (field, text) = match &error {
        SignInError::Rule(_) => ("password-new", None),
        SignInError::Wrong => ("password", Some(page.t("account.password_wrong"))),
        _ => ("password", None),
    };
    let refused = Refused::of(error, app, page.language)?;
    let text = text.map_or(refused.text, ToOwned::to_owned);
    Ok((Mistakes::one(field, text), (refused.status, refused.wait)))
}

/// A page that asks for the password before something else.
#[derive(askama::Template)]
#[template(path = "account_confirm.html")]
struct Confirm {
    page: Page,
    what: What,
    mistakes: Mistakes,
}

#[derive(Clone, Copy)]
struct What {
    path: &'static str,
    title: &'static str,
    intro: &'static str,
    button: &'static str,
}

const RECOVERY: What = What {
    path: "/account/recovery",
    title: "account.recovery_title",
    intro: "account.recovery_intro",
    button: "account.recovery_button",
};
const APP: What = What {
    path: "/account/app",
    title: "account.app_title",
    intro: "account.app_intro",
    button: "account.app_button",
};

#[derive(askama::Template)]
#[template(path = "account_codes.html")]
struct Codes {
    page: Page,
    codes: Vec<Zeroizing<String>>,
}

async fn recovery_form(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    with_password(&app, &visitor)?;
    html(&Confirm {
        page,
        what: RECOVERY,
        mistakes: Mistakes::default(),
    })
}

async fn recovery(page: Page, State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    with_password(&app, &posted.visitor)?;
    let Posted { visitor, fields } = posted;
    let user = visitor.caller.user;
    let result =
        app.with_password(move |accounts| accounts.new_recovery_codes(&user, fields.exact("password")));
    match result.await? {
        Ok(codes) => {
            let codes = codes
                .codes()
                .map(|code| Zeroizing::new(code.to_owned()))
                .collect();
            html(&Codes { page, codes })
        }
        Err(error) => refused(error, RECOVERY, &app, page),
    }
}

async fn app_form(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    with_password(&app, &visitor)?;
    html(&Confirm {
        page,
        what: APP,
        mistakes: Mistakes::default(),
    })
}

/// The old app works until the new one is coupled.
async fn app_anew(page: Page, State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    with_password(&app, &posted.visitor)?;
    let Posted { visitor, fields } = posted;
    let user = visitor.caller.user;
    let result =
        app.with_password(move |accounts| accounts.second_factor_anew(&user, fields.exact("password")));
    match result.await? {
        Ok(pending) => {
            let cookie = AppendHeaders([(SET_COOKIE, set_pending(&app, &pending))]);
            Ok((cookie, Redirect::to(&step_path(Next::Enrol, "/account"))).into_response())
        }
        Err(error) => refused(error, APP, &app, page),
    }
}

fn refused(error: SignInError, what: What, app: &App, page: Page) -> Result<Response, Problem> {
    let (mistakes, (status, wait)) = password_mistake(error, app, &page)?;
    let shown = html_with(status, &Confirm { page, what, mistakes })?;
    Ok(waiting(shown, wait))
}

async fn everywhere(State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    let user = &posted.visitor.caller.user;
    let to = super::oidc::after_sign_out(&app, user);
    app.node().accounts().end_all(user, None)?;
    Ok(Redirect::to(to.unwrap_or("/sign-in?because=out")).into_response())
}
