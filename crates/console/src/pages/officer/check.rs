//! The check of the whole log, as a page.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_node::language::Language;
use hitmachine_node::officer::task::CompletenessView;
use hitmachine_node::officer::text;

use super::form::moment;
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::jobs::log_check::{self, At, LogCheck, Part, Verdict};
use crate::page::{Page, html};
use crate::problem::Problem;

/// Checks that are shown.
const MOST_SHOWN: usize = 10;
/// How long one waits for a short check before the page shows how far it is.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/officer/check", get(shown).post(start))
}

/// Class of the badge of a verdict.
pub(super) fn badge(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Right => "ok",
        Verdict::Unknown => "warning",
        Verdict::Wrong => "error",
    }
}

/// A verdict in words.
pub(super) fn words(verdict: Verdict, page: &Page) -> &'static str {
    match verdict {
        Verdict::Right => page.t("dashboard.right"),
        Verdict::Unknown => page.t("dashboard.unknown"),
        Verdict::Wrong => page.t("dashboard.wrong"),
    }
}

async fn start(
    State(app): State<App>,
    OfficerPosted { officer, .. }: OfficerPosted,
) -> Result<Response, Problem> {
    log_check::start(&app, &officer.looking()?, &officer.visitor.caller, PATIENCE).await?;
    Ok(Redirect::to("/officer/check").into_response())
}

/// A check as the page shows it.
struct Shown {
    at: String,
    by: String,
    badge: &'static str,
    verdict: &'static str,
    parts: [ShownPart; 3],
}

struct ShownPart {
    title: &'static str,
    badge: &'static str,
    verdict: &'static str,
    words: String,
}

impl Shown {
    fn new(check: &LogCheck, page: &Page) -> Self {
        let part = |title, verdict: Verdict, text| ShownPart {
            title,
            badge: badge(verdict),
            verdict: words(verdict, page),
            words: text,
        };
        let language = page.language;
        Self {
            at: moment(check.at),
            by: check.by.clone(),
            badge: badge(check.verdict()),
            verdict: words(check.verdict(), page),
            parts: [
                part(
                    page.t("dashboard.part_published"),
                    check.published(),
                    in_words(&check.verify, language, text::verify),
                ),
                part(
                    page.t("dashboard.part_complete"),
                    check.complete(),
                    in_words(&check.completeness, language, completeness),
                ),
                part(
                    page.t("dashboard.part_journal"),
                    check.agrees(),
                    in_words(&check.overlap, language, text::overlap),
                ),
            ],
        }
    }
}

fn in_words<T>(part: &Part<T>, language: Language, of: impl Fn(&T, Language) -> String) -> String {
    match part {
        Part::Found(found) => of(found, language),
        Part::Failed { code, nl, en } => format!("{} ({code})", language.pick(nl, en)),
    }
}

/// In two sentences; the command line has a table of it.
fn completeness(view: &CompletenessView, language: Language) -> String {
    let CompletenessView {
        entries,
        whole,
        processing_only: part,
        erased,
        control,
        ..
    } = view;
    let counts = match language {
        Language::Nl => format!(
            "{entries} regels: {whole} volledig, {part} zonder gebruiker en zaak, {erased} gewist, {control} openbaar."
        ),
        Language::En => format!(
            "{entries} entries: {whole} whole, {part} without user and case, {erased} erased, {control} public."
        ),
    };
    let verdict = match (view.first_bad, language) {
        (None, Language::Nl) => "Elke regel is er, of is aantoonbaar gewist.".to_owned(),
        (None, Language::En) => "Every entry is there, or was provably erased.".to_owned(),
        (Some(index), Language::Nl) => format!("NIET VOLLEDIG vanaf regel {}.", index.saturating_add(1)),
        (Some(index), Language::En) => format!("NOT COMPLETE from entry {}.", index.saturating_add(1)),
    };
    format!("{counts}\n{verdict}")
}

#[derive(askama::Template)]
#[template(path = "officer_check.html")]
struct CheckPage {
    page: Page,
    reference: String,
    running: Option<At>,
    checks: Vec<Shown>,
}

async fn shown(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let checks = log_check::last(&app, MOST_SHOWN)?;
    html(&CheckPage {
        running: app.checking().at(),
        checks: checks.iter().map(|check| Shown::new(check, &page)).collect(),
        reference: officer.reference,
        page,
    })
}
