//! Why an officer looks: asked once in a session, shown and to be changed on every page.

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_core::CaseReference;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::accounts::SessionToken;

use super::form::Errors;
use crate::app::App;
use crate::fields::Fields;
use crate::jobs::officer::Looking;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// Name on the shelf.
const REFERENCE: &str = "officer-reference";

/// A privacy officer who has said why they look.
pub(crate) struct OfficerVisitor {
    /// Who.
    pub(crate) visitor: Visitor,
    /// Why.
    pub(crate) reference: String,
}

/// A form of such an officer.
pub(crate) struct OfficerPosted {
    /// Who.
    pub(crate) officer: OfficerVisitor,
    /// What was filled in.
    pub(crate) fields: Fields,
}

impl OfficerVisitor {
    /// For jobs.
    pub(crate) fn looking(&self) -> Result<Looking<'_>, Problem> {
        Ok(Looking::new(self.visitor.caller.officer()?, &self.reference))
    }

    /// Whose things on the shelf are meant.
    pub(crate) fn token(&self) -> &SessionToken {
        &self.visitor.token
    }

    /// `None` for an officer who has given no reference yet.
    fn of(app: &App, visitor: Visitor) -> Result<Option<Self>, Problem> {
        visitor.caller.officer()?;
        let reference = app.shelf().get::<String>(&visitor.token, REFERENCE);
        Ok(reference.map(|reference| Self {
            visitor,
            reference: reference.as_ref().clone(),
        }))
    }
}

/// Why one looks comes first, and then `next`.
fn ask_why(next: &str) -> Response {
    Redirect::to(&format!("/officer/reference?next={next}")).into_response()
}

impl FromRequestParts<App> for OfficerVisitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let visitor = <Visitor as FromRequestParts<App>>::from_request_parts(parts, app).await?;
        let next = match parts.method {
            Method::GET => safe(parts.uri.path()),
            _ => "/officer",
        };
        let officer = Self::of(app, visitor).map_err(IntoResponse::into_response)?;
        officer.ok_or_else(|| ask_why(next))
    }
}

impl FromRequest<App> for OfficerPosted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let Posted { visitor, fields } = Posted::from_request(request, app).await?;
        let officer = OfficerVisitor::of(app, visitor).map_err(IntoResponse::into_response)?;
        let officer = officer.ok_or_else(|| ask_why("/officer"))?;
        Ok(Self { officer, fields })
    }
}

pub(super) fn routes() -> Router<App> {
    Router::new().route("/officer/reference", get(form).post(keep))
}

#[derive(askama::Template)]
#[template(path = "officer_reference.html")]
struct ReferencePage {
    page: Page,
    reference: String,
    next: String,
    errors: Errors,
}

#[derive(serde::Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// A page of the officer's own, and nowhere else.
fn safe(next: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte);
    let own = next == "/officer" || next.starts_with("/officer/");
    if own && next.bytes().all(plain) {
        next
    } else {
        "/officer"
    }
}

async fn form(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(Next { next }): Query<Next>,
) -> Result<Response, Problem> {
    visitor.caller.officer()?;
    let reference = app.shelf().get::<String>(&visitor.token, REFERENCE);
    html(&ReferencePage {
        page,
        reference: reference.map_or_else(String::new, |reference| reference.as_ref().clone()),
        next: safe(&next).to_owned(),
        errors: Errors::default(),
    })
}

async fn keep(State(app): State<App>, page: Page, posted: Posted) -> Result<Response, Problem> {
    posted.visitor.caller.officer()?;
    let (reference, next) = (posted.fields.get("reference"), safe(posted.fields.get("next")));
    let mut errors = Errors::default();
    let mut typed = reference.to_owned();
    if contains_bsn(reference) {
        // Not shown again either.
        typed = String::new();
        errors.add("reference", page.t("officer.error_bsn"));
    } else if reference.is_empty() {
        errors.add("reference", page.t("officer.error_reference_empty"));
    } else if reference.parse::<CaseReference>().is_err() {
        errors.add("reference", page.t("officer.error_reference"));
    }
    if errors.is_empty() {
        app.shelf().put(&posted.visitor.token, REFERENCE, typed);
        return Ok(Redirect::to(next).into_response());
    }
    let shown = ReferencePage {
        next: next.to_owned(),
        reference: typed,
        page,
        errors,
    };
    html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_back_to_pages_of_the_officer_only() {
        for own in ["/officer", "/officer/search", "/officer/entries/12"] {
            assert_eq!(safe(own), own);
        }
        for other in [
            "",
            "/",
            "//evil.example",
            "/officerx",
            "https://evil.example/officer/",
            "/officer/\\evil",
            "/officer/?a=b",
            "/officer/..%2f",
        ] {
            assert_eq!(safe(other), "/officer", "{other}");
        }
    }
}
