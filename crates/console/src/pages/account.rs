//! A person's own account: password, second factor, recovery codes, sessions.

use axum::Router;

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
}
