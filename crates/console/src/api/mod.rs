//! `/api/v1`: what the pages do, for the organisation's own systems.
//!
//! JSON in and out, a bearer token for each application (an administrator makes it), RFC 9457 problems with stable codes in
//! Dutch or English by `Accept-Language`. Handlers do the same [`jobs`](crate::jobs) as the pages. Cookies mean nothing
//! here, and no other site's scripts may call it.
//!
//! The application is the user in the hub's log, as `app:<name>`; `responsible` names the professional for whom it asks.
//! `openapi/v1.json` describes every route; a test holds the two against each other.

mod audit;
mod authorised;
mod notices;
mod problems;
pub(crate) mod questions;
pub(crate) mod screenings;

use axum::extract::State;
use axum::http::HeaderValue;
#[cfg(test)]
use axum::http::Method;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::view::StatusView;

use self::authorised::Authorised;
use crate::app::App;
use crate::problem::Problem;

/// The document that describes it all (`OpenAPI` 3.1).
const DOCUMENT: &str = include_str!("../../openapi/v1.json");
/// The version that every answer names (`NLGov` REST API Design Rules, API-57).
const VERSION: &str = "1.0.0";

/// Method and path of each route, and the router made of them: nothing can be in one and not in the other.
macro_rules! routes {
    ($($method:ident $path:literal => $handler:expr),* $(,)?) => {
        /// Every route, for the test that looks for them in the document.
        #[cfg(test)]
        const ROUTES: &[(Method, &str)] = &[$((Method::$method, $path)),*];

        fn all() -> Router<App> {
            Router::new()$(.route($path, on(MethodFilter::$method, $handler)))*
        }
    };
}

routes! {
    GET "/openapi.json" => document,
    GET "/purposes" => questions::purposes,
    POST "/questions" => questions::ask,
    GET "/questions" => questions::list,
    GET "/questions/{id}" => questions::one,
    GET "/questions/{id}/proofs/{person}" => questions::proof,
    GET "/notices" => notices::list,
    GET "/notices/{log_index}" => notices::one,
    POST "/notices/{log_index}/seen" => notices::seen,
    GET "/mutes" => notices::mutes,
    POST "/mutes" => notices::mute,
    POST "/mute-removals" => notices::unmute,
    POST "/screening-plans" => screenings::plan,
    POST "/screenings" => screenings::start,
    GET "/screenings" => screenings::list,
    GET "/screenings/{id}" => screenings::one,
    DELETE "/screenings/{id}" => screenings::forget,
    GET "/screenings/{id}/report" => screenings::report,
    POST "/screenings/{id}/stop" => screenings::stop,
    POST "/screenings/{id}/resume" => screenings::resume,
    POST "/audit/searches" => audit::search,
    POST "/audit/entries" => audit::entries,
    POST "/audit/alarms" => audit::alarms,
    GET "/status" => status,
}

pub(crate) fn router(_: App) -> Router<App> {
    all()
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || problems::wrong_method())
        .layer(from_fn(problems::as_json))
        .layer(map_response(with_version))
}

async fn with_version(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("api-version"),
        HeaderValue::from_static(VERSION),
    );
    response
}

async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

/// How the node is, for an application with the role `beheerder`.
async fn status(State(app): State<App>, Authorised(caller): Authorised) -> Result<Json<StatusView>, Problem> {
    caller.administrator()?;
    match app.call(Request::Status).await? {
        Reply::Status(view) => Ok(Json(StatusView {
            serving: true,
            ..*view
        })),
        _ => Err(Problem::malformed()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item
                .as_object()
                .unwrap()
                .keys()
                .filter(|key| *key != "parameters")
            {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let served: BTreeSet<_> = ROUTES
            .iter()
            .map(|(method, path)| (method.to_string(), (*path).to_owned()))
            .collect();
        assert_eq!(served, described);
        assert_eq!(document["info"]["version"], VERSION);
    }
}
