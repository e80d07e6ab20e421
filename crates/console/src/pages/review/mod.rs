//! For the privacy officer: sample, alarms, notifications, covenant, erasure.

use axum::Router;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
}
