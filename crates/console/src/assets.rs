//! Style and script of the pages, in this program.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::problem::Problem;

/// One sheet: components of NL Design System, the theme, and what is the console's own.
const STYLE: &str = concat!(
    include_str!("../assets/vendor/nl-design-system.css"),
    include_str!("../assets/theme.css"),
    include_str!("../assets/console.css"),
);
const SCRIPT: &str = include_str!("../assets/console.js");

/// First digits of the content's hash: a changed file has another address, so browsers may keep each for ever.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).finalize();
    hex::encode(&digest[..6])
});

/// Address of an asset, such as `console.css`.
pub(crate) fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/assets/{version}/{name}", get(asset))
}

async fn asset(Path((_, name)): Path<(String, String)>) -> Result<Response, Problem> {
    let (kind, text) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return Err(Problem::not_found()),
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, text).into_response())
}
