//! For the privacy officer: dashboard, search, entries, person report, overview.

use axum::Router;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
}
