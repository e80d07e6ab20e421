//! Which application calls.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use zeroize::Zeroizing;

use crate::app::App;
use crate::caller::Caller;
use crate::problem::Problem;

/// The caller that a bearer token stands for (RFC 6750 §2.1). A token in an address or a body is none.
pub(super) struct Authorised(pub(super) Caller);

impl FromRequestParts<App> for Authorised {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let mut lines = parts.headers.get_all(AUTHORIZATION).iter();
        let text = lines.next().and_then(|line| line.to_str().ok());
        let token = text.and_then(|text| text.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = token.filter(|_| lines.next().is_none()) else {
            return Err(unauthorised());
        };
        let (accounts, token) = (
            Arc::clone(app.node().accounts()),
            Zeroizing::new(token.trim().to_owned()),
        );
        // It may write when the token was used last.
        let found = tokio::task::spawn_blocking(move || accounts.application(&token)).await;
        let found = found.map_err(|error| Problem::node(&error))??;
        let application = found.ok_or_else(unauthorised)?;
        Ok(Self(Caller {
            user: application.user(),
            name: application.name,
            roles: application.roles,
            purposes: application.purposes,
        }))
    }
}

fn unauthorised() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorised",
        "Er is een geldig token van een toepassing nodig: `Authorization: Bearer …`.",
        "A valid token of an application is needed: `Authorization: Bearer …`.",
    )
}
