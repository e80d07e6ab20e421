//! Sign-in through the organisation's own identity provider (OpenID Connect).

use axum::Router;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
}
