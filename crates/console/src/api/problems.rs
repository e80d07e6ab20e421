//! What could not be done, for machines: RFC 9457.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hitmachine_node::language::Language;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::jobs::ask::{Mistake, NotAsked};
use crate::problem::Problem;

/// Media type of a problem (RFC 9457 §3).
const PROBLEM: &str = "application/problem+json";

/// A problem with the fields that it is about.
#[derive(Clone)]
struct Fields(Vec<Mistake>);

/// Why a call was refused: with or without fields.
pub(super) enum Refused {
    /// Something could not be done.
    Problem(Problem),
    /// Fields are wrong.
    Mistakes(Vec<Mistake>),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<NotAsked> for Refused {
    fn from(not: NotAsked) -> Self {
        match not {
            NotAsked::Problem(problem) => Self::Problem(problem),
            NotAsked::Mistakes(mistakes) => Self::Mistakes(mistakes),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Mistakes(mistakes) => {
                let problem = Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "fields",
                    "Er is iets mis met deze velden. Er is niets verstuurd.",
                    "Something is wrong with these fields. Nothing was sent.",
                );
                let mut response = problem.into_response();
                response.extensions_mut().insert(Fields(mistakes));
                response
            }
        }
    }
}

/// A body in JSON, without a word of it in an error.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        match Json::from_request(request, app).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "Stuur JSON, met `Content-Type: application/json`.",
                "Send JSON, with `Content-Type: application/json`.",
            )),
            Err(JsonRejection::BytesRejection(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    "Dit verzoek is te groot.",
                    "This request is too large.",
                ))
            }
            // serde's own words could repeat a value.
            Err(_) => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "body",
                "Dit is niet de JSON die hier wordt verwacht. Zie openapi.json; onbekende velden worden geweigerd.",
                "This is not the JSON expected here. See openapi.json; unknown fields are refused.",
            )),
        }
    }
}

/// A method that a path does not have.
pub(super) fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "Dit adres kent deze methode niet.",
        "This address does not have this method.",
    )
}

/// The document's form of a problem.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorIn<'a>>,
}

/// One field that is wrong.
#[derive(Serialize)]
struct ErrorIn<'a> {
    pointer: String,
    code: &'a str,
    detail: &'a str,
}

/// Gives a problem its form, before the pages would.
pub(super) async fn as_json(request: Request, next: Next) -> Response {
    let language = language(request.headers());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let fields = response.extensions_mut().remove::<Fields>();
    let document = Document {
        r#type: "about:blank",
        title: problem.status.canonical_reason().unwrap_or(""),
        status: problem.status.as_u16(),
        code: &problem.code,
        detail: problem.text(language),
        errors: fields
            .iter()
            .flat_map(|fields| &fields.0)
            .map(|mistake| ErrorIn {
                pointer: mistake.field.pointer(),
                code: mistake.code,
                detail: language.pick(&mistake.text_nl, &mistake.text_en),
            })
            .collect(),
    };
    let mut response = (problem.status, Json(document)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// English if that is asked for first, otherwise Dutch.
fn language(headers: &HeaderMap) -> Language {
    let first = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let english = first.is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("en"));
    if english { Language::En } else { Language::Nl }
}
