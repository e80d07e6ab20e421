//! For the privacy officer: dashboard, search, entries, person report, overview, and the check of the whole log.
//!
//! Every look at the log is an entry of it and needs a reference: pages take an [`OfficerVisitor`], which sends who has
//! given none to the form for it first. What was found is kept in memory for the session ([`crate::shelf`]), so that
//! paging, reloading and downloading look at the log once.

mod check;
mod dashboard;
mod desk;
mod entry;
mod files;
pub(super) mod form;
mod overview;
mod person;
mod search;

use axum::Router;

use crate::app::App;

pub(crate) use desk::{OfficerPosted, OfficerVisitor};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(check::routes())
        .merge(dashboard::routes())
        .merge(desk::routes())
        .merge(entry::routes())
        .merge(overview::routes())
        .merge(person::routes())
        .merge(search::routes())
}
