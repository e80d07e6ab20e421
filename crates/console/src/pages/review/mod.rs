//! More for the privacy officer: sample, alarms and notices, notifications, covenant, erasure.

mod alarms;
mod covenant;
mod erasure;
mod files;
mod notices;
mod notifications;
mod sample;

use axum::Router;
use hitmachine_identifier::contains_bsn;

use super::officer::OfficerVisitor;
use super::officer::form::Errors;
use crate::app::App;
use crate::page::Page;

/// Characters of a note in the log.
const MOST_NOTE: usize = 1_000;
/// On the shelf: what was just done, for the page that comes next.
const SAID: &str = "review-said";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(alarms::routes())
        .merge(covenant::routes())
        .merge(erasure::routes())
        .merge(notices::routes())
        .merge(notifications::routes())
        .merge(sample::routes())
}

/// Says something on the page that comes next.
fn say(app: &App, officer: &OfficerVisitor, text: String) {
    app.shelf().put(officer.token(), SAID, text);
}

/// What the page before wanted to be said; once.
fn said(app: &App, officer: &OfficerVisitor) -> String {
    let said = app.shelf().get::<String>(officer.token(), SAID);
    app.shelf().remove(officer.token(), SAID);
    said.map_or_else(String::new, |said| said.as_ref().clone())
}

/// A note that may go into the log, or what is wrong with it. What reads as a BSN is not shown again.
fn note(page: &Page, field: &'static str, typed: &str, errors: &mut Errors) -> String {
    if contains_bsn(typed) {
        errors.add(field, page.t("review.error_bsn"));
        return String::new();
    }
    if typed.is_empty() {
        errors.add(field, page.t("review.error_note"));
    } else if typed.chars().count() > MOST_NOTE {
        errors.add(field, page.t("review.error_note_long"));
    }
    typed.to_owned()
}

/// An entry's number in an address, as people count, from 1; from 0 here.
fn index(number: &str) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_sub(1)
}
