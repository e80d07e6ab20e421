//! Who asks for a page: the cookie's session, and the forms that belong to it.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::header::{COOKIE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use hitmachine_node::accounts::{Session, SessionToken};
use hitmachine_node::language::Language;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::app::App;
use crate::caller::Caller;
use crate::draft::{self, Keep};
use crate::fields::Fields;
use crate::problem::Problem;

/// The largest body of a form; uploads have their own.
const MOST_FORM: usize = 64 * 1024;

/// Somebody who has signed in.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) caller: Caller,
    pub(crate) csrf: String,
    pub(crate) token: Arc<SessionToken>,
}

/// Who was found to ask, once for a request.
#[derive(Clone)]
struct Looked(Option<Visitor>);

/// A form that came from a page of this visitor's own session.
pub(crate) struct Posted {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

/// The name of the session's cookie. Cookies know no ports: two consoles on one machine must not take each other's.
pub(crate) fn cookie_name(app: &App) -> String {
    format!("__Host-hitmachine-{}", app.node().config().partner)
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';'));
    let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(each, _)| *each == name).map(|(_, value)| value)
}

/// The language that somebody chose, otherwise the console's own.
pub(crate) fn language(app: &App, headers: &HeaderMap) -> Language {
    match cookie(headers, "__Host-language") {
        Some("nl") => Language::Nl,
        Some("en") => Language::En,
        _ => app.language(),
    }
}

/// To the page to sign in, and from there to `next`; `over` says that a session has ended.
pub(crate) fn to_sign_in(next: &str, over: bool) -> Redirect {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", next);
    if over {
        query.append_pair("because", "over");
    }
    Redirect::to(&format!("/sign-in?{}", query.finish()))
}

impl Visitor {
    /// Who asks, by the request's cookie; looked up once.
    pub(crate) fn of_parts(app: &App, parts: &mut Parts) -> Result<Option<Self>, Problem> {
        if let Some(Looked(visitor)) = parts.extensions.get() {
            return Ok(visitor.clone());
        }
        let visitor = Self::of_headers(app, &parts.headers)?;
        parts.extensions.insert(Looked(visitor.clone()));
        Ok(visitor)
    }

    /// Who asks, by the cookie.
    pub(crate) fn of_headers(app: &App, headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let token = cookie(headers, &cookie_name(app)).and_then(SessionToken::parse);
        let Some(token) = token else { return Ok(None) };
        let session = app.node().accounts().session(&token)?;
        Ok(session.map(|session| {
            let now = app.node().clock().now();
            app.drafts().remember(&session.csrf, &session.user.id, now);
            Self::new(session, token)
        }))
    }

    fn new(session: Session, token: SessionToken) -> Self {
        Self {
            caller: Caller {
                user: session.user.id,
                name: session.user.name,
                roles: session.user.roles,
                purposes: None,
            },
            csrf: session.csrf,
            token: Arc::new(token),
        }
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let visitor = Self::of_parts(app, parts).map_err(IntoResponse::into_response)?;
        visitor.ok_or_else(|| {
            // Back to the page afterwards; a form's body is not in an address.
            let next = match parts.method {
                Method::GET => parts.uri.path_and_query().map_or("/", |next| next.as_str()),
                _ => "/",
            };
            to_sign_in(next, cookie(&parts.headers, &cookie_name(app)).is_some()).into_response()
        })
    }
}

impl OptionalFromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Problem> {
        Self::of_parts(app, parts)
    }
}

/// Refuses what a browser says comes from elsewhere. One that says nothing of it (`Origin` and `Sec-Fetch-Site` missing) is no
/// browser of this age, and has no other site's page open.
pub(crate) fn check_origin(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return Err(Problem::not_from_here());
    }
    match text(ORIGIN.as_str()) {
        Some(origin) if origin != app.url() => Err(Problem::not_from_here()),
        _ => Ok(()),
    }
}

/// A form's fields, before anybody has signed in.
pub(crate) async fn read_form(app: &App, request: Request) -> Result<Fields, Problem> {
    check_origin(app, request.headers())?;
    let body = axum::body::to_bytes(request.into_body(), MOST_FORM).await;
    let body = body.map_err(|_| Problem::malformed())?;
    Ok(Fields::parse(&Zeroizing::new(body.to_vec())))
}

/// A form belongs to the session.
pub(crate) fn check_csrf(visitor: &Visitor, value: &str) -> Result<(), Problem> {
    if bool::from(value.as_bytes().ct_eq(visitor.csrf.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::not_from_here())
    }
}

impl FromRequest<App> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        check_origin(app, request.headers()).map_err(IntoResponse::into_response)?;
        let (mut parts, body) = request.into_parts();
        let keep = parts.extensions.get::<Keep>().copied();
        let visitor = Visitor::of_parts(app, &mut parts).map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(parts, body);
        let fields = read_form(app, request)
            .await
            .map_err(IntoResponse::into_response)?;
        let Some(visitor) = visitor else {
            return Err(match &keep {
                Some(keep) => draft::interrupted(app, keep, &fields),
                None => to_sign_in("/", true).into_response(),
            });
        };
        if let Err(problem) = check_csrf(&visitor, fields.get("csrf")) {
            let resumed = keep.and_then(|keep| draft::resumed(app, &keep, &visitor, &fields));
            return Err(resumed.unwrap_or_else(|| problem.into_response()));
        }
        if let Some(keep) = keep {
            app.drafts().sent(&visitor.caller.user, keep.page());
        }
        Ok(Self { visitor, fields })
    }
}
