//! Signing in and out: name and password, and then a code from an app; at the first time a password of one's own and the
//! coupling of that app.
//!
//! Between the password and the code a cookie of its own stands for a sign-in that is under way; the session's cookie is
//! given when all of it is done, with a new value each time.

pub(crate) mod cookies;
mod steps;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::volume::local;
use hitmachine_node::accounts::{Next, SignInError};
use hitmachine_node::language::Language;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::app::App;
use crate::fields::Fields;
use crate::page::{Page, html_with};
use crate::problem::Problem;
use crate::texts;
use crate::visitor::{Posted, Visitor, read_form};

pub(crate) use cookies::safe_next;
pub(super) use cookies::set_pending;
pub(super) use steps::new_password_mistakes;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/sign-in", get(form).post(send))
        .route(
            "/sign-in/password",
            get(steps::password_form).post(steps::password),
        )
        .route("/sign-in/enrol", get(steps::enrol_form).post(steps::enrol))
        .route("/sign-in/code", get(steps::code_form).post(steps::code))
        .route("/sign-out", post(sign_out))
}

/// What is wrong with a form: at each field its text.
#[derive(Default)]
pub(super) struct Mistakes(pub(super) Vec<(&'static str, String)>);

impl Mistakes {
    /// One, at one field.
    pub(super) fn one(field: &'static str, text: impl Into<String>) -> Self {
        Self(vec![(field, text.into())])
    }

    pub(super) fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.push((field, text.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text at a field; empty if nothing is wrong there.
    pub(super) fn of(&self, field: &str) -> &str {
        let here = self.0.iter().find(|(each, _)| *each == field);
        here.map_or("", |(_, text)| text.as_str())
    }
}

/// What the address of a page of signing in says.
#[derive(Deserialize)]
pub(super) struct Asked {
    next: Option<String>,
    because: Option<String>,
}

impl Asked {
    fn next(&self) -> &str {
        self.next.as_deref().and_then(safe_next).unwrap_or("")
    }
}

#[derive(askama::Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    page: Page,
    /// Where to go afterwards; empty for the first page of the person's role.
    next: String,
    user: String,
    /// Why one is here, if not by one's own choice.
    because: Option<&'static str>,
    /// Whether one may sign in with a password of this console.
    local: bool,
    provider: Option<Provider>,
    mistakes: Mistakes,
}

/// The organisation's own identity provider.
struct Provider {
    name: String,
    address: String,
}

/// The other way to sign in, where there is one.
fn provider(app: &App, next: &str) -> Option<Provider> {
    let oidc = app.settings().oidc.as_ref()?;
    let mut address = "/sign-in/oidc".to_owned();
    if !next.is_empty() {
        let mut query = form_urlencoded::Serializer::new(String::new());
        address = format!("{address}?{}", query.append_pair("next", next).finish());
    }
    Some(Provider {
        name: oidc.name.clone(),
        address,
    })
}

async fn form(
    visitor: Option<Visitor>,
    page: Page,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let next = asked.next();
    if let Some(visitor) = visitor {
        return Ok(Redirect::to(cookies::landing(next, &visitor.caller.roles)).into_response());
    }
    let because = match asked.because.as_deref() {
        Some("over") => Some(page.t("sign_in.because_over")),
        Some("late") => Some(page.t("sign_in.because_late")),
        Some("out") => Some(page.t("sign_in.because_out")),
        _ => None,
    };
    html_with(
        StatusCode::OK,
        &SignIn {
            local: app.settings().local_accounts(),
            provider: provider(&app, next),
            next: next.to_owned(),
            user: String::new(),
            because,
            mistakes: Mistakes::default(),
            page,
        },
    )
}

async fn send(page: Page, State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let fields = read_form(&app, request).await?;
    let next = safe_next(fields.get("next")).unwrap_or("").to_owned();
    let mut mistakes = Mistakes::default();
    if fields.get("user").is_empty() {
        mistakes.add("user", page.t("sign_in.user_missing"));
    }
    if fields.exact("password").is_empty() {
        mistakes.add("password", page.t("sign_in.password_missing"));
    }
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut wait = None;
    if mistakes.is_empty() {
        let tried = fields.clone();
        let result = app
            .with_password(move |accounts| accounts.password(tried.get("user"), tried.exact("password")))
            .await?;
        match result {
            Ok((pending, step)) => {
                let cookie = AppendHeaders([(SET_COOKIE, set_pending(&app, &pending))]);
                return Ok((cookie, Redirect::to(&step_path(step, &next))).into_response());
            }
            Err(error) => {
                let refused = Refused::of(error, &app, page.language)?;
                mistakes.add("user", refused.text);
                (status, wait) = (refused.status, refused.wait);
            }
        }
    }
    let shown = html_with(
        status,
        &SignIn {
            local: app.settings().local_accounts(),
            provider: provider(&app, &next),
            next,
            user: shown_again(&fields),
            because: None,
            mistakes,
            page,
        },
    )?;
    Ok(waiting(shown, wait))
}

/// The name as typed; not what might be a number of a person, typed in the wrong place.
fn shown_again(fields: &Fields) -> String {
    let user = fields.get("user");
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    if digits < 8 {
        user.to_owned()
    } else {
        String::new()
    }
}

async fn sign_out(State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    // Who came through the provider is still signed in there, and is told so.
    let to = super::oidc::after_sign_out(&app, &posted.visitor.caller.user);
    app.node().accounts().end_session(&posted.visitor.token)?;
    let cleared = AppendHeaders([
        (SET_COOKIE, cookies::clear_session(&app)),
        (SET_COOKIE, cookies::clear_pending(&app)),
    ]);
    Ok((cleared, Redirect::to(to.unwrap_or("/sign-in?because=out"))).into_response())
}

/// The page of a step.
pub(super) fn step_path(step: Next, next: &str) -> String {
    let path = match step {
        Next::Code => "/sign-in/code",
        Next::Enrol => "/sign-in/enrol",
        Next::NewPassword => "/sign-in/password",
    };
    if next.is_empty() {
        return path.to_owned();
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    format!("{path}?{}", query.finish())
}

/// Why a step was not accepted, for people.
pub(super) struct Refused {
    pub(super) text: String,
    pub(super) status: StatusCode,
    /// Seconds until it makes sense to try again.
    pub(super) wait: Option<i64>,
}

impl Refused {
    /// Of an error that a person can do something about.
    ///
    /// # Errors
    /// [`Problem`] for others.
    pub(super) fn of(error: SignInError, app: &App, language: Language) -> Result<Self, Problem> {
        let plain = |text: &str| Self {
            text: text.to_owned(),
            status: StatusCode::UNPROCESSABLE_ENTITY,
            wait: None,
        };
        Ok(match error {
            SignInError::Wrong => plain(texts::text(language, "sign_in.wrong")),
            SignInError::Rule(rule) => plain(rule.text(language)),
            SignInError::Locked { until } => {
                let now = app.node().clock().now();
                let left = until.duration_since(now);
                Self {
                    text: texts::filled(language, "sign_in.locked", &[&moment(until, now)]),
                    status: StatusCode::TOO_MANY_REQUESTS,
                    wait: Some(left.as_secs().max(0) + 1),
                }
            }
            SignInError::Over => plain(texts::text(language, "sign_in.because_late")),
            SignInError::Account(error) => return Err(error.into()),
            error => return Err(Problem::node(&error)),
        })
    }
}

/// With `Retry-After`, if there is something to wait for.
pub(super) fn waiting(mut response: Response, wait: Option<i64>) -> Response {
    if let Some(seconds) = wait {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// A moment as people read it here, to the minute after it; with the date if that is not today.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    let minute = local(at.saturating_add(SignedDuration::from_secs(59)).unwrap_or(at));
    if minute.date() == local(now).date() {
        minute.strftime("%H:%M").to_string()
    } else {
        minute.strftime("%d-%m-%Y %H:%M").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_the_minute_after_which_to_try_again() {
        let now: Timestamp = "2026-11-23T12:53:20Z".parse().unwrap();
        let text = |at: &str| moment(at.parse().unwrap(), now);
        assert_eq!(text("2026-11-23T13:04:00Z"), "14:04");
        assert_eq!(text("2026-11-23T13:04:01Z"), "14:05");
        assert_eq!(text("2026-11-23T23:30:00Z"), "24-11-2026 00:30");
    }

    #[test]
    fn what_may_be_a_number_of_a_person_is_not_shown_again() {
        let again = |user: &str| shown_again(&Fields::parse(format!("user={user}").as_bytes()));
        assert_eq!(again("jansen2"), "jansen2");
        assert_eq!(again("999990019"), "");
        assert_eq!(again("9999.90.019"), "");
    }
}
