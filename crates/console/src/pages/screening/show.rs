//! One screening: how far it is, and what came of it.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hitmachine_node::language::Language;
use hitmachine_node::screen::{ScreeningReport, Totals};
use hitmachine_node::screening::{ScreeningState, Stand};
use hitmachine_node::view::StatusWord;
use serde::Deserialize;

use super::new::sentence;
use super::results::{Filter, Results};
use super::{day_of, duration, moment, moment_of, on_quota, purpose_title, stand, to};
use crate::app::App;
use crate::jobs;
use crate::page::{Page, html};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// Rows with a fault that are named.
const MOST_ISSUES: usize = 50;

/// How far it is, in words.
struct Progress {
    id: String,
    stand: Stand,
    words: &'static str,
    class: &'static str,
    answered: usize,
    persons: usize,
    left: Option<String>,
    waits_until: Option<String>,
    stopped: Option<String>,
}

impl Progress {
    fn of(state: &ScreeningState, language: Language) -> Self {
        let view = &state.view;
        let (words, class) = stand(view.stand, language);
        Self {
            id: view.id.clone(),
            stand: view.stand,
            words,
            class,
            answered: view.answered,
            persons: view.persons,
            left: state.left_s.map(|seconds| duration(seconds, language)),
            waits_until: state.waits_until.map(moment),
            stopped: state
                .stopped
                .as_ref()
                .map(|failure| sentence(failure.text(language))),
        }
    }

    fn is_running(&self) -> bool {
        self.stand == Stand::Running
    }

    /// For a screen reader, which hears of each tenth once.
    fn brief(&self, page: &Page) -> String {
        let tenths = (self.answered * 10).checked_div(self.persons).unwrap_or(10);
        page.t1("screening.percent_done", tenths * 10)
    }

    /// Seconds until it is worth another look.
    fn every(&self) -> u32 {
        if self.waits_until.is_some() { 30 } else { 2 }
    }
}

/// Persons per status at one organisation.
struct Counts {
    name: String,
    counts: [usize; 4],
}

/// Everything below the progress.
struct Outcome {
    totals: Totals,
    partners: Vec<Counts>,
    results: Results,
    picture: Option<String>,
    combinations: Vec<(String, u64)>,
    issues: Vec<String>,
    more_issues: usize,
}

impl Outcome {
    fn of(mut report: ScreeningReport, asked: &Asked, page: &Page) -> Self {
        let statuses = [
            StatusWord::Known,
            StatusWord::NotKnown,
            StatusWord::CouldNotAsk,
            StatusWord::DoesNotApply,
        ];
        let partners = report.partner_columns().into_iter().map(|(id, name)| {
            let counts = report.totals.partners.get(&id);
            let count = |status| {
                counts
                    .and_then(|counts| counts.get(&status))
                    .copied()
                    .unwrap_or(0)
            };
            Counts {
                name,
                counts: statuses.map(count),
            }
        });
        Self {
            partners: partners.collect(),
            results: Results::of(&report, Filter::of(&asked.show), asked.page, page),
            picture: report.picture(page.language),
            combinations: report.combinations(page.language),
            more_issues: report
                .totals
                .bad_rows
                .saturating_sub(MOST_ISSUES.min(report.issues.len())),
            totals: std::mem::take(&mut report.totals),
            issues: report
                .issues
                .iter()
                .take(MOST_ISSUES)
                .map(|issue| issue.text(page.language).to_owned())
                .collect(),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "screening.html")]
struct ShowPage {
    page: Page,
    progress: Progress,
    title: String,
    case: String,
    households: usize,
    started: String,
    kept_until: String,
    outcome: Option<Outcome>,
}

impl ShowPage {
    /// Address of the page of the table before or after this one; empty if there is none.
    fn page_link(&self, results: &Results, next: bool) -> String {
        let number = if next { results.page + 1 } else { results.page - 1 };
        if (1..=results.pages).contains(&number) {
            let (id, show) = (&self.progress.id, results.filter.word());
            format!("/screenings/{id}?show={show}&page={number}#per-person")
        } else {
            String::new()
        }
    }
}

#[derive(askama::Template)]
#[template(path = "screening_progress.html")]
struct ProgressPart {
    page: Page,
    progress: Progress,
}

/// What an address may say.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    show: String,
    #[serde(default = "first", deserialize_with = "number")]
    page: usize,
}

fn first() -> usize {
    1
}

/// A page that is no number is the first.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.parse().unwrap_or(1))
}

pub(super) async fn show(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let state = jobs::screening::state(&app, &asker, &id).await?;
    let outcome = if state.view.stand == Stand::Running {
        None
    } else {
        let report = jobs::screening::report(&app, &asker, &id).await?;
        Some(Outcome::of(report, &asked, &page))
    };
    html(&ShowPage {
        progress: Progress::of(&state, page.language),
        title: purpose_title(&app, &state.view.purpose),
        case: state.view.case,
        households: state.view.households,
        started: moment_of(&state.view.started_at),
        kept_until: day_of(&state.view.kept_until),
        outcome,
        page,
    })
}

/// Whether only a sentence for a screen reader is wanted.
#[derive(Deserialize)]
pub(super) struct Brief {
    brief: Option<String>,
}

/// The part of the page that changes while it runs, for the script that shortens waiting.
pub(super) async fn progress(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Brief { brief }): Query<Brief>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let state = jobs::screening::state(&app, &asker, &id).await?;
    let progress = Progress::of(&state, page.language);
    let more = progress.is_running();
    let mut response = if brief.is_some() {
        progress.brief(&page).into_response()
    } else {
        html(&ProgressPart { page, progress })?
    };
    if more {
        response
            .headers_mut()
            .insert("x-refresh", HeaderValue::from_static("more"));
    }
    Ok(response)
}

pub(super) async fn stop(
    State(app): State<App>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    jobs::screening::stop(&app, &asker, &id).await?;
    Ok(to(&format!("/screenings/{id}")))
}

pub(super) async fn resume(
    State(app): State<App>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let on_quota = on_quota(posted.fields.get("on_quota"));
    jobs::screening::resume(&app, &asker, &id, on_quota).await?;
    Ok(to(&format!("/screenings/{id}")))
}

pub(super) async fn forget(
    State(app): State<App>,
    Path(id): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    if posted.fields.get("sure") != "yes" {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_sure",
            "Zet eerst een vinkje bij “Ik weet het zeker”. Er is niets vergeten.",
            "Tick “I am sure” first. Nothing was forgotten.",
        ));
    }
    jobs::screening::forget(&app, &asker, &id).await?;
    Ok(to("/screenings?done=forgotten"))
}
