//! Sign-in through the organisation's own identity provider (`OpenID` Connect).

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{REFRESH, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next as Onward;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_node::accounts::SessionToken;
use hitmachine_service::console::chain;
use serde::Deserialize;

use crate::app::App;
use crate::oidc::{BROWSER_SECONDS, Browser, Next, Oidc, OidcError, Person, Returned};
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{cookie, cookie_name};

/// Longer addresses are no page of this console.
const LONGEST_NEXT: usize = 512;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/sign-in/oidc", get(begin))
        .route("/sign-in/oidc/back", get(back))
        .route("/sign-in/oidc/out", get(out))
        .route("/sign-in/oidc/signed-out", get(signed_out))
}

/// Where a person goes after signing out here who came through the provider: they are still signed in there.
pub(crate) fn after_sign_out(app: &App, user: &str) -> Option<&'static str> {
    let external =
        app.oidc().is_some() && matches!(app.node().accounts().view(user), Ok(Some(view)) if view.external);
    external.then_some("/sign-in/oidc/signed-out")
}

/// Around all pages: where the configuration wants no local accounts, nothing can be sent to theirs. Signing out goes on.
pub(crate) async fn local_sign_in(State(app): State<App>, request: Request, onward: Onward) -> Response {
    let path = request.uri().path();
    let local = path == "/sign-in" || path.starts_with("/sign-in/");
    if local && request.method() != Method::GET && !app.settings().local_accounts() {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "local_sign_in_off",
            "Inloggen met een wachtwoord van Hitmachine kan hier niet. Log in via uw organisatie.",
            "Signing in with a password of Hitmachine is turned off here. Sign in through your organisation.",
        )
        .into_response();
    }
    onward.run(request).await
}

/// The cookie that a browser is known by when it comes back. Not `Strict`: it has to come along from the provider.
fn browser_cookie_name(app: &App) -> String {
    format!("__Host-hitmachine-oidc-{}", app.node().config().partner)
}

fn browser_of(app: &App, headers: &HeaderMap) -> Option<Browser> {
    cookie(headers, &browser_cookie_name(app)).and_then(Browser::parse)
}

fn provider(app: &App) -> Result<&Arc<Oidc>, Problem> {
    app.oidc().ok_or_else(Problem::not_found)
}

#[derive(Deserialize)]
struct Begin {
    next: Option<String>,
}

async fn begin(
    State(app): State<App>,
    page: Page,
    headers: HeaderMap,
    query: Result<Query<Begin>, QueryRejection>,
) -> Result<Response, Problem> {
    let oidc = provider(&app)?;
    let Query(query) = query.map_err(|_| Problem::malformed())?;
    let now = app.node().clock().now();
    let next = Next {
        path: query
            .next
            .filter(|path| is_local(path))
            .unwrap_or_else(|| "/".into()),
        language: page.language,
    };
    // Two tabs of one browser may both be on their way.
    let browser = browser_of(&app, &headers).map_or_else(Browser::random, Ok);
    let begun = match browser {
        Ok(browser) => oidc.begin(&browser, next, now).await.map(|to| (browser, to)),
        Err(error) => Err(error),
    };
    let (browser, to) = match begun {
        Ok(begun) => begun,
        Err(error) => return failed(&app, page, &error).await,
    };
    let cookie = format!(
        "{}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={BROWSER_SECONDS}",
        browser_cookie_name(&app),
        browser.expose_text()
    );
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&to)).into_response())
}

/// What the provider sends along; other fields say nothing here.
#[derive(Deserialize)]
struct Back {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

#[derive(askama::Template)]
#[template(path = "oidc_back.html")]
struct SignedIn {
    page: Page,
    next: String,
}

async fn back(
    State(app): State<App>,
    mut page: Page,
    headers: HeaderMap,
    query: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Problem> {
    let oidc = provider(&app)?;
    let now = app.node().clock().now();
    let Ok(Query(back)) = query else {
        return failed(&app, page, &OidcError::State).await;
    };
    let state = back.state.as_deref().unwrap_or_default();
    let flow = match oidc.come_back(state, browser_of(&app, &headers).as_ref(), now) {
        Ok(flow) => flow,
        Err(error) => return failed(&app, page, &error).await,
    };
    page.language = flow.next.language;
    let returned = Returned {
        code: back.code.as_deref(),
        issuer: back.iss.as_deref(),
        error: back.error.is_some(),
    };
    let signed_in = match oidc.finish(flow, &returned, now).await {
        Ok(vouched) => welcome(&app, vouched.person)
            .await
            .map(|token| (token, vouched.next)),
        Err(error) => Err(error),
    };
    let (token, next) = match signed_in {
        Ok(signed_in) => signed_in,
        Err(error) => return failed(&app, page, &error).await,
    };
    // The session's cookie is `Strict`: on the way from another site a browser would not send it to the page behind a
    // redirect. So this is a page of this site, which leads on at once; the link is for browsers that do not.
    let refresh =
        HeaderValue::try_from(format!("0; url={}", next.path)).map_err(|error| Problem::node(&error))?;
    let name = cookie_name(&app);
    let cookies = AppendHeaders([
        (
            SET_COOKIE,
            format!(
                "{name}={}; Path=/; Secure; HttpOnly; SameSite=Strict",
                token.expose_text()
            ),
        ),
        (
            SET_COOKIE,
            format!(
                "{}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0",
                browser_cookie_name(&app)
            ),
        ),
    ]);
    let shown = html(&SignedIn {
        page,
        next: next.path,
    })?;
    Ok(([(REFRESH, refresh)], cookies, shown).into_response())
}

/// Begins the session of somebody whom the provider vouches for.
async fn welcome(app: &App, person: Person) -> Result<SessionToken, OidcError> {
    let accounts = Arc::clone(app.node().accounts());
    let welcomed = tokio::task::spawn_blocking(move || {
        if person.roles.held().next().is_none() {
            // Who may do nothing here any more is not signed in any more either.
            if accounts.view(&person.id)?.is_some_and(|view| view.external) {
                accounts.end_all(&person.id, None)?;
            }
            return Err(OidcError::NoRole);
        }
        Ok(accounts.external(&person.id, &person.name, &person.roles)?)
    });
    welcomed.await.unwrap_or(Err(OidcError::Ended))
}

#[derive(askama::Template)]
#[template(path = "oidc_failed.html")]
struct Failed {
    page: Page,
    text: String,
    code: &'static str,
    local: bool,
}

/// Says why somebody was not signed in, and writes it into the book.
async fn failed(app: &App, page: Page, error: &OidcError) -> Result<Response, Problem> {
    let code = error.code();
    tracing::warn!(
        code,
        error = chain(error),
        "no sign-in through the identity provider"
    );
    // The accounts themselves write of whom they blocked.
    if !matches!(error, OidcError::Blocked) {
        let accounts = Arc::clone(app.node().accounts());
        let written = tokio::task::spawn_blocking(move || accounts.provider_failed(code)).await;
        written.map_err(|error| Problem::node(&error))??;
    }
    let name = app.oidc().map_or("", |oidc| oidc.name());
    let (status, text) = match error {
        OidcError::Unreachable(_) => (StatusCode::SERVICE_UNAVAILABLE, page.t1("oidc.unreachable", name)),
        OidcError::Answer(_) => (StatusCode::BAD_GATEWAY, page.t1("oidc.answer", name)),
        OidcError::Client => (StatusCode::BAD_GATEWAY, page.t1("oidc.client", name)),
        OidcError::State | OidcError::Code => (StatusCode::FORBIDDEN, page.t("oidc.state").to_owned()),
        OidcError::Denied => (StatusCode::FORBIDDEN, page.t1("oidc.denied", name)),
        OidcError::Token(error) => (StatusCode::FORBIDDEN, page.t1(error.text(), name)),
        OidcError::Name => (StatusCode::FORBIDDEN, page.t1("oidc.no_name", name)),
        OidcError::NoRole => (StatusCode::FORBIDDEN, page.t("oidc.no_role").to_owned()),
        OidcError::Taken => (StatusCode::FORBIDDEN, page.t("oidc.taken").to_owned()),
        OidcError::Blocked => (StatusCode::FORBIDDEN, page.t("oidc.blocked").to_owned()),
        OidcError::Account(_) | OidcError::Random | OidcError::Ended => {
            (StatusCode::INTERNAL_SERVER_ERROR, page.t("oidc.node").to_owned())
        }
    };
    let local = app.settings().local_accounts();
    html_with(
        status,
        &Failed {
            page,
            text,
            code,
            local,
        },
    )
}

#[derive(askama::Template)]
#[template(path = "oidc_signed_out.html")]
struct SignedOut {
    page: Page,
    name: String,
}

async fn signed_out(State(app): State<App>, page: Page) -> Result<Response, Problem> {
    let name = provider(&app)?.name().to_owned();
    html(&SignedOut { page, name })
}

/// To the provider, to sign out there too; it asks the person whether they want that.
async fn out(State(app): State<App>) -> Result<Response, Problem> {
    let to = provider(&app)?.way_out().await;
    Ok(Redirect::to(to.as_deref().unwrap_or("/sign-in")).into_response())
}

/// Whether it is the path of a page of this console: nothing that a browser could take for another site, or for more than
/// an address in the header that leads on, and no page of signing in, which would lead back here.
fn is_local(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let first = rest.split(['/', '?', '#']).next();
    let page = !matches!(
        first,
        Some("sign-in" | "sign-out" | "assets" | "api" | "language")
    );
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';' | b',' | b'"' | b'\'');
    page && !rest.starts_with('/') && path.len() <= LONGEST_NEXT && path.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_console() {
        for path in [
            "/",
            "/ask",
            "/officer/search?from=2026-01-01&page=2",
            "/answers/12",
        ] {
            assert!(is_local(path), "{path}");
        }
        for path in [
            "",
            "ask",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a b",
            "/a;url=//b",
            "/a\r\nb",
            "/\u{e9}",
            "/sign-in/oidc",
            "/sign-in?next=/",
            "/sign-out",
        ] {
            assert!(!is_local(path), "{path}");
        }
        assert!(!is_local(&format!("/{}", "x".repeat(LONGEST_NEXT))));
    }
}
