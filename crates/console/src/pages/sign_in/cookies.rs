//! The cookies of a session and of a sign-in under way, and where to go when it is done.

use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use hitmachine_node::accounts::{PendingToken, Role, Roles, SessionToken};
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::Problem;
use crate::visitor::{cookie, cookie_name};

/// Longer addresses are no page of this console.
const LONGEST_NEXT: usize = 512;

/// Name of the cookie between password and code.
fn pending_name(app: &App) -> String {
    format!("__Host-hitmachine-sign-in-{}", app.node().config().partner)
}

/// For as long as the browser is open, unreadable for scripts, and not sent along from elsewhere.
fn set(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Strict")
}

fn clear(name: &str) -> String {
    format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

pub(crate) fn set_pending(app: &App, token: &PendingToken) -> String {
    set(&pending_name(app), &token.expose_text())
}

pub(super) fn clear_pending(app: &App) -> String {
    clear(&pending_name(app))
}

pub(super) fn clear_session(app: &App) -> String {
    clear(&cookie_name(app))
}

/// The sign-in under way that a cookie stands for.
pub(super) fn pending(app: &App, headers: &HeaderMap) -> Option<PendingToken> {
    cookie(headers, &pending_name(app)).and_then(PendingToken::parse)
}

/// What the forms of a sign-in under way carry.
pub(super) fn pending_csrf(token: &PendingToken) -> String {
    let digest = Sha256::new()
        .chain_update("hitmachine form of signing in\n")
        .chain_update(token.expose_text());
    hex::encode(digest.finalize())
}

/// `Set-Cookie` for a session that was just begun. An older session of this browser ends.
///
/// # Errors
/// [`Problem`] if the local state fails.
pub(crate) fn session_cookies(
    app: &App,
    headers: &HeaderMap,
    token: &SessionToken,
) -> Result<AppendHeaders<[(HeaderName, String); 2]>, Problem> {
    let name = cookie_name(app);
    let value = token.expose_text();
    let older = cookie(headers, &name).filter(|older| *older != value);
    if let Some(older) = older.and_then(SessionToken::parse) {
        app.node().accounts().end_session(&older)?;
    }
    Ok(AppendHeaders([
        (SET_COOKIE, set(&name, &value)),
        (SET_COOKIE, clear_pending(app)),
    ]))
}

/// The answer to the last step: the session's cookie, and on to `next` or the first page of the person's role.
///
/// # Errors
/// [`Problem`] if the local state fails.
pub(crate) fn signed_in(
    app: &App,
    headers: &HeaderMap,
    token: &SessionToken,
    next: &str,
) -> Result<Response, Problem> {
    let cookies = session_cookies(app, headers, token)?;
    let next = landing_of(app, token, next)?;
    Ok((cookies, Redirect::to(&next)).into_response())
}

/// Where the person of this session goes.
pub(super) fn landing_of(app: &App, token: &SessionToken, next: &str) -> Result<String, Problem> {
    let session = app.node().accounts().session(token)?;
    let roles = session.map(|session| session.user.roles).unwrap_or_default();
    Ok(landing(next, &roles).to_owned())
}

/// `next`, if it is a page of this console; otherwise where somebody with these roles begins.
pub(super) fn landing<'a>(next: &'a str, roles: &Roles) -> &'a str {
    if let Some(next) = safe_next(next).filter(|next| *next != "/") {
        return next;
    }
    let mut held = roles.held();
    match (held.next(), held.next()) {
        (Some(Role::Asker), None) => "/ask",
        (Some(Role::Officer), None) => "/officer",
        (Some(Role::Administrator), None) => "/admin",
        _ => "/",
    }
}

/// An address to go on to, if it can only be a page of this console: a path, without anything that a browser might take for
/// another host (RFC 3986, 4.2: `//host`; browsers also read `\` as `/`, and skip tabs and line ends).
pub(crate) fn safe_next(text: &str) -> Option<&str> {
    let path = text.strip_prefix('/')?;
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let elsewhere = path.starts_with('/');
    let mut parts = path.split(['/', '?', '#']);
    let loops = matches!(
        parts.next(),
        Some("sign-in" | "sign-out" | "assets" | "api" | "language")
    );
    (plain && !elsewhere && !loops && text.len() <= LONGEST_NEXT).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_pages_of_this_console_only() {
        for fine in [
            "/",
            "/ask",
            "/officer/search?word=a%20b&page=2",
            "/answers/0191",
            "/signs",
        ] {
            assert_eq!(safe_next(fine), Some(fine));
        }
        for wrong in [
            "",
            "ask",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "/a\\b",
            "/é",
            "/sign-in?next=%2F",
            "/sign-out",
            "/api/v1/ask",
        ] {
            assert_eq!(safe_next(wrong), None, "{wrong:?}");
        }
        assert_eq!(safe_next(&format!("/{}", "a".repeat(LONGEST_NEXT))), None);
    }

    #[test]
    fn who_holds_one_role_begins_at_its_page() {
        let roles = |asks: bool, reviews: bool, administers| Roles {
            asks_as: asks.then(|| "informatiecoordinator".into()),
            reviews_as: reviews.then(|| "privacyfunctionaris".into()),
            administers,
        };
        assert_eq!(landing("", &roles(true, false, false)), "/ask");
        assert_eq!(landing("/", &roles(false, true, false)), "/officer");
        assert_eq!(landing("//evil.example", &roles(false, false, true)), "/admin");
        assert_eq!(landing("", &roles(true, true, false)), "/");
        assert_eq!(landing("", &Roles::default()), "/");
        assert_eq!(landing("/history", &roles(true, false, false)), "/history");
    }
}
