//! What an officer wants to know first: questions by week, alarms, how the log is, notices that nobody fetched.
//!
//! To count is to look at the log, so what was counted is kept for a while and the page says when that was.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::volume::local;
use hitmachine_node::chart::{Bar, BarChart, NARROW};
use hitmachine_node::officer::alarms::{AlarmRow, AlarmsView};
use hitmachine_node::officer::published_head::PublishedHead;
use hitmachine_node::officer::task::{StretchView, TrendView};
use hitmachine_node::officer::waiting::WaitingView;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::check::{badge, words};
use super::form::{begins, moment, shown};
use super::{OfficerPosted, OfficerVisitor};
use crate::app::App;
use crate::jobs;
use crate::jobs::log_check;
use crate::page::{Page, html};
use crate::problem::Problem;

/// Weeks that are shown; the last one is not over.
const WEEKS: i32 = 13;
/// How long counts are shown before they are made anew.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Name on the shelf.
const COUNTED: &str = "officer-dashboard";
/// A full check is due after so long.
const CHECK_DUE: SignedDuration = SignedDuration::from_hours(24 * 31);

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer", get(dashboard))
        .route("/officer/refresh", post(refresh))
}

/// What was counted, and when.
struct Counted {
    at: Timestamp,
    /// The Monday of each week.
    weeks: Vec<Date>,
    trend: TrendView,
    alarms: AlarmsView,
    waiting: WaitingView,
}

/// The Mondays of these weeks, and the one after.
fn mondays(today: Date) -> Option<Vec<Date>> {
    let back = i32::from(today.weekday().to_monday_zero_offset());
    let this = today.checked_sub(back.days()).ok()?;
    (0..=WEEKS)
        .map(|week| this.checked_add((week + 1 - WEEKS).weeks()).ok())
        .collect()
}

async fn count(app: &App, officer: &OfficerVisitor) -> Result<std::sync::Arc<Counted>, Problem> {
    let now = app.node().clock().now();
    if let Some(counted) = app.shelf().get::<Counted>(officer.token(), COUNTED)
        && now.duration_since(counted.at).abs() < FRESH
    {
        return Ok(counted);
    }
    let looking = officer.looking()?;
    let mut weeks = mondays(local(now).date()).ok_or_else(Problem::malformed)?;
    let cuts = weeks
        .iter()
        .map(|monday| begins(*monday))
        .collect::<Option<Vec<u64>>>();
    let cuts = cuts.ok_or_else(Problem::malformed)?;
    weeks.pop();
    let counted = Counted {
        at: now,
        weeks,
        trend: jobs::officer::trend(app, &looking, cuts).await?,
        alarms: jobs::officer::alarms(app, &looking).await?,
        waiting: jobs::officer::waiting_notices(app, &looking).await?,
    };
    Ok(app.shelf().put(officer.token(), COUNTED, counted))
}

async fn refresh(
    State(app): State<App>,
    OfficerPosted { officer, .. }: OfficerPosted,
) -> Result<Response, Problem> {
    app.shelf().remove(officer.token(), COUNTED);
    Ok(Redirect::to("/officer").into_response())
}

/// One week in the table.
struct Week {
    label: String,
    counts: StretchView,
}

/// How the log is.
struct Health {
    head: Option<PublishedHead>,
    /// Why the hub's checkpoint cannot be read, if so.
    problem: Option<String>,
    cosigned_at: String,
    check: Option<Check>,
}

/// The last full check.
struct Check {
    at: String,
    badge: &'static str,
    verdict: &'static str,
    due: bool,
}

/// An alarm that is open.
struct Alarm {
    number: u64,
    at: String,
    text: String,
    about: String,
}

#[derive(askama::Template)]
#[template(path = "officer_dashboard.html")]
struct Dashboard {
    page: Page,
    reference: String,
    health: Health,
    /// Why nothing was counted, if so.
    problem: Option<String>,
    board: Option<Board>,
}

/// What was counted.
struct Board {
    counted_at: String,
    own_entries: String,
    weeks: Vec<Week>,
    total: StretchView,
    questions: String,
    others: String,
    alarms: Vec<Alarm>,
    waiting: Vec<Waits>,
    waiting_count: u64,
}

/// One partner's hit notices.
struct Waits {
    organisation: String,
    count: u64,
    oldest: String,
    overdue: bool,
    connected: bool,
}

async fn dashboard(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let (board, problem) = match count(&app, &officer).await {
        Ok(counted) => (Some(Board::new(&counted, &page)), None),
        // Without the hub there is still something to say; whatever else is wrong is a page of its own.
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            (None, Some(problem.text(page.language).to_owned()))
        }
        Err(problem) => return Err(problem),
    };
    html(&Dashboard {
        health: Health::of(&app, &officer, &page).await?,
        problem,
        board,
        reference: officer.reference,
        page,
    })
}

impl Board {
    fn new(counted: &Counted, page: &Page) -> Self {
        let weeks = counted.weeks.iter().zip(&counted.trend.stretches);
        let weeks: Vec<Week> = weeks
            .map(|(monday, counts)| Week {
                label: page.t2(
                    "dashboard.week",
                    monday.iso_week_date().week(),
                    monday.strftime("%d-%m"),
                ),
                counts: *counts,
            })
            .collect();
        let open = counted.alarms.alarms.iter().filter(|alarm| alarm.is_open());
        let own = [&counted.trend.own, &counted.alarms.own, &counted.waiting.own];
        let own = own.map(|own| own.log_index.saturating_add(1).to_string());
        let partners = &counted.waiting.partners;
        Self {
            counted_at: moment(counted.at),
            own_entries: own.join(", "),
            questions: questions_chart(&weeks, page),
            others: others_chart(&weeks, page),
            total: weeks
                .iter()
                .fold(StretchView::default(), |sum, week| add(sum, week.counts)),
            alarms: open.map(|alarm| Alarm::new(alarm, page)).collect(),
            waiting_count: partners.iter().map(|row| row.waiting).sum(),
            waiting: partners
                .iter()
                .map(|row| Waits {
                    organisation: row.organisation.clone(),
                    count: row.waiting,
                    oldest: row.oldest.as_deref().map(shown).unwrap_or_default(),
                    overdue: row.overdue,
                    connected: row.connected,
                })
                .collect(),
            weeks,
        }
    }
}

fn add(one: StretchView, other: StretchView) -> StretchView {
    StretchView {
        from_ms: one.from_ms.max(other.from_ms),
        hit: one.hit.saturating_add(other.hit),
        no_hit: one.no_hit.saturating_add(other.no_hit),
        could_not_ask: one.could_not_ask.saturating_add(other.could_not_ask),
        refused: one.refused.saturating_add(other.refused),
        officer: one.officer.saturating_add(other.officer),
    }
}

impl Alarm {
    fn new(alarm: &AlarmRow, page: &Page) -> Self {
        Self {
            number: alarm.log_index.saturating_add(1),
            at: shown(&alarm.at),
            text: page.language.pick(&alarm.text_nl, &alarm.text_en).to_owned(),
            about: alarm.about.clone(),
        }
    }
}

impl Health {
    /// Public files and what this node keeps itself: no look at the log.
    async fn of(app: &App, officer: &OfficerVisitor, page: &Page) -> Result<Self, Problem> {
        let read = jobs::officer::published_head(app, officer.looking()?.officer()).await;
        let (head, problem) = match read {
            Ok(head) => (head, None),
            Err(problem) => (None, Some(problem.text(page.language).to_owned())),
        };
        let newest = head.as_ref().and_then(PublishedHead::newest_s);
        let newest = newest.and_then(|seconds| i64::try_from(seconds).ok());
        let newest = newest.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let now = app.node().clock().now();
        let check = log_check::last(app, 1)?.pop().map(|check| Check {
            at: moment(check.at),
            badge: badge(check.verdict()),
            verdict: words(check.verdict(), page),
            due: now.duration_since(check.at) > CHECK_DUE,
        });
        Ok(Self {
            cosigned_at: newest.map_or_else(String::new, |at| {
                format!("{} ({})", moment(at), ago(now.duration_since(at), page))
            }),
            head,
            problem,
            check,
        })
    }
}

/// How long ago, in the largest unit that fits.
fn ago(since: SignedDuration, page: &Page) -> String {
    match since.as_secs() {
        ..120 => page.t1("dashboard.ago_seconds", since.as_secs().max(0)),
        seconds @ 120..7_200 => page.t1("dashboard.ago_minutes", seconds / 60),
        seconds @ 7_200..172_800 => page.t1("dashboard.ago_hours", seconds / 3_600),
        seconds => page.t1("dashboard.ago_days", seconds / 86_400),
    }
}

fn questions_chart(weeks: &[Week], page: &Page) -> String {
    let bars = weeks.iter().map(|week| Bar {
        label: week.label.clone(),
        parts: vec![Some(week.counts.hit), Some(week.counts.no_hit)],
        end: week.counts.hit.saturating_add(week.counts.no_hit).to_string(),
    });
    let chart = BarChart {
        id: "questions",
        title: page.t("dashboard.chart_questions"),
        width: NARROW,
        series: &[page.t("dashboard.hit"), page.t("dashboard.no_hit")],
        suppressed: "",
        bars: &bars.collect::<Vec<_>>(),
    };
    chart.svg()
}

fn others_chart(weeks: &[Week], page: &Page) -> String {
    let bars = weeks.iter().map(|week| Bar {
        label: week.label.clone(),
        parts: vec![Some(week.counts.could_not_ask), Some(week.counts.refused)],
        end: week
            .counts
            .could_not_ask
            .saturating_add(week.counts.refused)
            .to_string(),
    });
    let chart = BarChart {
        id: "others",
        title: page.t("dashboard.chart_others"),
        width: NARROW,
        series: &[page.t("dashboard.could_not_ask"), page.t("dashboard.refused")],
        suppressed: "",
        bars: &bars.collect::<Vec<_>>(),
    };
    chart.svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_week_is_this_one() {
        for today in [Date::constant(2026, 11, 16), Date::constant(2026, 11, 22)] {
            let mondays = mondays(today).unwrap();
            assert_eq!(mondays.len(), 14);
            assert_eq!(mondays[12], Date::constant(2026, 11, 16), "{today}");
            assert_eq!(mondays[13], Date::constant(2026, 11, 23));
            assert_eq!(mondays[0], Date::constant(2026, 8, 24));
        }
    }
}
