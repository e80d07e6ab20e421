//! The steps after a right password: a password of one's own, coupling the app, and the code.

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use hitmachine_node::accounts::{Next, PasswordRule, Pending, PendingToken, SignInError};
use qrcode::QrCode;
use qrcode::render::svg;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::cookies::{landing_of, pending, pending_csrf, session_cookies, signed_in};
use super::{Asked, Mistakes, Refused, safe_next, step_path, waiting};
use crate::app::App;
use crate::fields::Fields;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::read_form;

/// Of the picture to scan, in CSS pixels; large enough for any telephone.
const PICTURE: u32 = 232;

/// What the pages of all steps have.
struct Step {
    page: Page,
    next: String,
    csrf: String,
    /// Name of who is signing in.
    name: String,
    mistakes: Mistakes,
}

#[derive(askama::Template)]
#[template(path = "sign_in_password.html")]
struct PasswordPage {
    step: Step,
    page: Page,
    shortest: usize,
}

#[derive(askama::Template)]
#[template(path = "sign_in_enrol.html")]
struct EnrolPage {
    step: Step,
    page: Page,
    /// What to scan, as SVG.
    picture: Zeroizing<String>,
    /// The same to type, in groups.
    secret: Zeroizing<String>,
}

#[derive(askama::Template)]
#[template(path = "sign_in_code.html")]
struct CodePage {
    step: Step,
    page: Page,
    /// Whether the field for a recovery code is open.
    recovery: bool,
}

#[derive(askama::Template)]
#[template(path = "sign_in_recovery.html")]
struct RecoveryPage {
    page: Page,
    codes: Vec<Zeroizing<String>>,
    next: String,
}

/// Why a step does not show its own page.
pub(crate) enum Elsewhere {
    /// The sign-in is at another step, or is over.
    At(String),
    /// It cannot go on.
    Problem(Problem),
}

impl From<Problem> for Elsewhere {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Elsewhere {
    fn into_response(self) -> Response {
        match self {
            Self::At(path) => Redirect::to(&path).into_response(),
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// Back to the beginning: too long ago, or never begun.
fn late(next: &str) -> Elsewhere {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !next.is_empty() {
        query.append_pair("next", next);
    }
    query.append_pair("because", "late");
    Elsewhere::At(format!("/sign-in?{}", query.finish()))
}

/// The sign-in under way, if it is at this step; otherwise the answer that leads to where it is.
fn at(app: &App, headers: &HeaderMap, step: Next, next: &str) -> Result<(PendingToken, Pending), Elsewhere> {
    let found = pending(app, headers).map(|token| (app.node().accounts().pending(&token), token));
    match found {
        None | Some((Ok(None), _)) => Err(late(next)),
        Some((Err(error), _)) => Err(Problem::from(error).into()),
        Some((Ok(Some(pending)), token)) if pending.next == step => Ok((token, pending)),
        Some((Ok(Some(pending)), _)) => Err(Elsewhere::At(step_path(pending.next, next))),
    }
}

/// A form of this step.
struct Sent {
    token: PendingToken,
    pending: Pending,
    fields: Fields,
    next: String,
}

async fn sent(app: &App, headers: &HeaderMap, step: Next, request: Request) -> Result<Sent, Elsewhere> {
    let fields = read_form(app, request).await?;
    let next = safe_next(fields.get("next")).unwrap_or("").to_owned();
    let (token, pending) = at(app, headers, step, &next)?;
    if !bool::from(
        fields
            .get("csrf")
            .as_bytes()
            .ct_eq(pending_csrf(&token).as_bytes()),
    ) {
        return Err(Problem::not_from_here().into());
    }
    Ok(Sent {
        token,
        pending,
        fields,
        next,
    })
}

impl Step {
    fn new(page: Page, token: &PendingToken, pending: &Pending, next: &str, mistakes: Mistakes) -> Self {
        Self {
            page,
            next: next.to_owned(),
            csrf: pending_csrf(token),
            name: pending.name.clone(),
            mistakes,
        }
    }
}

pub(super) async fn password_form(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Elsewhere> {
    let (token, pending) = at(&app, &headers, Next::NewPassword, asked.next())?;
    show_password(
        StatusCode::OK,
        Step::new(page, &token, &pending, asked.next(), Mistakes::default()),
    )
}

fn show_password(status: StatusCode, step: Step) -> Result<Response, Elsewhere> {
    let shown = html_with(
        status,
        &PasswordPage {
            page: step.page.clone(),
            step,
            shortest: PasswordRule::SHORTEST,
        },
    );
    Ok(shown?)
}

/// What is wrong with a new password that is typed twice, before its rules.
pub(crate) fn new_password_mistakes(page: &Page, fields: &Fields) -> Mistakes {
    let (new, again) = (fields.exact("password-new"), fields.exact("password-again"));
    let mut mistakes = Mistakes::default();
    if new.is_empty() {
        mistakes.add("password-new", page.t("sign_in.new_missing"));
    } else if !bool::from(new.as_bytes().ct_eq(again.as_bytes())) {
        mistakes.add("password-again", page.t("sign_in.not_the_same"));
    }
    mistakes
}

pub(super) async fn password(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Elsewhere> {
    let Sent {
        token,
        pending,
        fields,
        next,
    } = sent(&app, &headers, Next::NewPassword, request).await?;
    let mut mistakes = new_password_mistakes(&page, &fields);
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let token = std::sync::Arc::new(token);
    if mistakes.is_empty() {
        let (of, new) = (std::sync::Arc::clone(&token), fields.clone());
        let result = app
            .with_password(move |accounts| accounts.new_password(&of, new.exact("password-new")))
            .await;
        match result? {
            Ok(step) => return Ok(Redirect::to(&step_path(step, &next)).into_response()),
            Err(SignInError::Over) => return Err(late(&next)),
            Err(error) => {
                let refused = Refused::of(error, &app, page.language)?;
                status = refused.status;
                mistakes = Mistakes::one("password-new", refused.text);
            }
        }
    }
    show_password(status, Step::new(page, &token, &pending, &next, mistakes))
}

pub(super) async fn enrol_form(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Elsewhere> {
    let (token, pending) = at(&app, &headers, Next::Enrol, asked.next())?;
    let step = Step::new(page, &token, &pending, asked.next(), Mistakes::default());
    show_enrol(StatusCode::OK, step, &pending)
}

fn show_enrol(status: StatusCode, step: Step, pending: &Pending) -> Result<Response, Elsewhere> {
    let Some(enrolment) = &pending.enrolment else {
        return Err(late(&step.next));
    };
    let picture = picture(&enrolment.uri)?;
    let shown = html_with(
        status,
        &EnrolPage {
            page: step.page.clone(),
            step,
            picture,
            secret: in_groups(&enrolment.secret),
        },
    );
    Ok(shown?)
}

/// A QR code as SVG. Black on white in dark mode too, as telephones expect it.
fn picture(uri: &str) -> Result<Zeroizing<String>, Problem> {
    let code = QrCode::new(uri.as_bytes()).map_err(|error| Problem::node(&error))?;
    let drawn = Zeroizing::new(
        code.render::<svg::Color<'_>>()
            .min_dimensions(PICTURE, PICTURE)
            .build(),
    );
    // Only the element itself is part of a page.
    let element = drawn.find("<svg").and_then(|begin| drawn.get(begin..));
    Ok(Zeroizing::new(element.unwrap_or_default().to_owned()))
}

/// In groups of four, which are easier to type.
fn in_groups(secret: &str) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(secret.len() * 2));
    for (place, letter) in secret.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push(' ');
        }
        text.push(letter);
    }
    text
}

pub(super) async fn enrol(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Elsewhere> {
    let Sent {
        token,
        pending,
        fields,
        next,
    } = sent(&app, &headers, Next::Enrol, request).await?;
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut wait = None;
    let typed = fields.get("code");
    let mistakes = if typed.is_empty() {
        Mistakes::one("code", page.t("sign_in.code_missing"))
    } else {
        match app.node().accounts().enrol(&token, typed) {
            Ok((session, codes)) => {
                let done = || -> Result<Response, Problem> {
                    let cookies = session_cookies(&app, &headers, &session)?;
                    let next = landing_of(&app, &session, &next)?;
                    let codes = codes
                        .codes()
                        .map(|code| Zeroizing::new(code.to_owned()))
                        .collect();
                    Ok((cookies, html(&RecoveryPage { page, codes, next })?).into_response())
                };
                return Ok(done()?);
            }
            Err(SignInError::Over) => return Err(late(&next)),
            Err(error) => {
                let text = match &error {
                    SignInError::Wrong => Some(page.t("sign_in.enrol_wrong")),
                    _ => None,
                };
                let refused = Refused::of(error, &app, page.language)?;
                (status, wait) = (refused.status, refused.wait);
                Mistakes::one("code", text.map_or(refused.text, ToOwned::to_owned))
            }
        }
    };
    let shown = show_enrol(
        status,
        Step::new(page, &token, &pending, &next, mistakes),
        &pending,
    )?;
    Ok(waiting(shown, wait))
}

pub(super) async fn code_form(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, Elsewhere> {
    let (token, pending) = at(&app, &headers, Next::Code, asked.next())?;
    let step = Step::new(page, &token, &pending, asked.next(), Mistakes::default());
    show_code(StatusCode::OK, step, false)
}

fn show_code(status: StatusCode, step: Step, recovery: bool) -> Result<Response, Elsewhere> {
    let shown = html_with(
        status,
        &CodePage {
            page: step.page.clone(),
            step,
            recovery,
        },
    );
    Ok(shown?)
}

pub(super) async fn code(
    page: Page,
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Elsewhere> {
    let Sent {
        token,
        pending,
        fields,
        next,
    } = sent(&app, &headers, Next::Code, request).await?;
    // Who has no telephone at hand types a recovery code, in a field of its own.
    let recovery = !fields.get("code-recovery").is_empty();
    let field = if recovery { "code-recovery" } else { "code" };
    let mut status = StatusCode::UNPROCESSABLE_ENTITY;
    let mut wait = None;
    let mistakes = if fields.get(field).is_empty() {
        Mistakes::one(field, page.t("sign_in.code_missing"))
    } else {
        match app.node().accounts().code(&token, fields.get(field)) {
            Ok(session) => {
                return Ok(signed_in(&app, &headers, &session, &next)?);
            }
            Err(SignInError::Over) => return Err(late(&next)),
            Err(error) => {
                let text = match (&error, recovery) {
                    (SignInError::Wrong, false) => Some(page.t("sign_in.code_wrong")),
                    (SignInError::Wrong, true) => Some(page.t("sign_in.recovery_wrong")),
                    _ => None,
                };
                let refused = Refused::of(error, &app, page.language)?;
                (status, wait) = (refused.status, refused.wait);
                Mistakes::one(field, text.map_or(refused.text, ToOwned::to_owned))
            }
        }
    };
    let shown = show_code(
        status,
        Step::new(page, &token, &pending, &next, mistakes),
        recovery,
    )?;
    Ok(waiting(shown, wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_one_element_without_style() {
        let svg = picture("otpauth://totp/Hitmachine:jansen?secret=JBSWY3DPEHPK3PXP").unwrap();
        assert!(
            svg.starts_with("<svg") && svg.ends_with("</svg>"),
            "{}",
            &svg[..60]
        );
        assert!(
            !svg.contains("style=") && !svg.contains("secret"),
            "{}",
            &svg[..200]
        );
    }

    #[test]
    fn a_secret_is_typed_in_groups_of_four() {
        assert_eq!(in_groups("JBSWY3DPEH").as_str(), "JBSW Y3DP EH");
        assert_eq!(in_groups("").as_str(), "");
    }
}
