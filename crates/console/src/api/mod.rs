//! `/api/v1`: what the pages do, for the organisation's own systems. JSON, an `OpenAPI` document, bearer tokens for each
//! application, RFC 9457 problems.

use axum::Router;

use crate::app::App;

pub(crate) fn router(_app: App) -> Router<App> {
    Router::new()
}
