//! For the administrator: how the node is, and its sources.

mod finding;
mod sources;
mod status;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/admin", get(status::status))
        .route("/admin/sources", get(sources::sources))
        .route("/admin/sources/progress", get(sources::progress))
        .route("/admin/sources/rows.csv", get(sources::rows))
        .route("/admin/sources/sync", post(sources::sync))
        .route(
            "/admin/sources/shrunk",
            get(sources::shrunk).post(sources::confirm),
        )
}
