//! When what is erased: what has reached its term, what will, what was erased, and erasing itself.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use hitmachine_node::language::Language;
use jiff::Timestamp;

use super::{files, said, say};
use crate::app::App;
use crate::jobs::review::{self, Calendar, Group, Of};
use crate::moment::{moment, number};
use crate::page::{Page, html, html_with};
use crate::pages::officer::form::Errors;
use crate::pages::officer::{OfficerPosted, OfficerVisitor};
use crate::problem::Problem;

/// On the shelf: the calendar as it was made last.
const CALENDAR: &str = "review-calendar";
/// Groups that the page shows; the file has all.
const MOST_SHOWN: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/erasure", get(show).post(refresh))
        .route("/officer/erasure/calendar.csv", get(csv))
        .route("/officer/erasure/erase", get(confirm).post(erase))
}

struct Kept {
    calendar: Calendar,
    at: Timestamp,
}

#[derive(askama::Template)]
#[template(path = "review_erasure.html")]
struct ErasurePage {
    page: Page,
    reference: String,
    said: String,
    at: String,
    own: String,
    reached: Vec<Row>,
    coming: Vec<Row>,
    more: usize,
    erased: Vec<Erased>,
}

struct Row {
    month: String,
    of: String,
    count: String,
    term: String,
    from: String,
}

struct Erased {
    number: u64,
    at: String,
    months: String,
    count: String,
    ground: &'static str,
    by: String,
}

const MONTHS: [(&str, &str); 12] = [
    ("januari", "January"),
    ("februari", "February"),
    ("maart", "March"),
    ("april", "April"),
    ("mei", "May"),
    ("juni", "June"),
    ("juli", "July"),
    ("augustus", "August"),
    ("september", "September"),
    ("oktober", "October"),
    ("november", "November"),
    ("december", "December"),
];

/// `november 2026` of `2026-11`; the text itself if it is no month.
fn month(language: Language, text: &str) -> String {
    let parts = text.split_once('-');
    let named = parts
        .and_then(|(year, month)| Some((year, MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?)));
    named.map_or_else(
        || text.to_owned(),
        |(year, (nl, en))| format!("{} {year}", language.pick(nl, en)),
    )
}

fn row(page: &Page, group: &Group) -> Row {
    let count = number(page.language, group.at_least);
    Row {
        month: month(page.language, &group.month.to_string()),
        of: match &group.of {
            Of::Purpose(title) => title.clone(),
            Of::GonePurpose(code) => page.t1("review.of_gone", code),
            Of::Officers => page.t("review.of_officers").to_owned(),
            Of::Refused => page.t("review.of_refused").to_owned(),
        },
        count: match (group.more, group.at_least) {
            (false, _) => count,
            (true, 0) => page.t("review.few").to_owned(),
            (true, _) => page.t1("review.at_least", count),
        },
        term: if group.expires.is_some() {
            page.t1("review.months", group.months)
        } else {
            String::new()
        },
        from: group.expires.map_or_else(
            || page.t("review.term_unknown").to_owned(),
            |from| month(page.language, &from.to_string()),
        ),
    }
}

async fn look(app: &App, officer: &OfficerVisitor) -> Result<std::sync::Arc<Kept>, Problem> {
    if let Some(kept) = app.shelf().get::<Kept>(officer.token(), CALENDAR) {
        return Ok(kept);
    }
    let calendar = review::calendar(app, &officer.looking()?).await?;
    let at = app.node().clock().now();
    Ok(app.shelf().put(officer.token(), CALENDAR, Kept { calendar, at }))
}

async fn show(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let kept = look(&app, &officer).await?;
    let (reached, coming): (Vec<&Group>, Vec<&Group>) =
        kept.calendar.groups.iter().partition(|group| group.reached);
    let erased = kept.calendar.erasures.iter().map(|erasure| Erased {
        number: erasure.log_index.saturating_add(1),
        at: moment(page.language, &erasure.time),
        months: months(page.language, &erasure.periods),
        count: number(page.language, erasure.entries),
        ground: page.t(match erasure.ground.as_str() {
            "retention" => "review.ground_retention",
            _ => "review.ground_order",
        }),
        by: if erasure.by == "hub" {
            page.t("review.the_hub").to_owned()
        } else {
            erasure.by.clone()
        },
    });
    let own = kept.calendar.own.map(|own| own.saturating_add(1));
    html(&ErasurePage {
        erased: erased.collect(),
        said: said(&app, &officer),
        at: moment(page.language, &kept.at.to_string()),
        own: page.t2("review.own_two", own[0], own[1]),
        reached: reached.into_iter().map(|group| row(&page, group)).collect(),
        more: coming.len().saturating_sub(MOST_SHOWN),
        coming: coming
            .into_iter()
            .take(MOST_SHOWN)
            .map(|group| row(&page, group))
            .collect(),
        reference: officer.reference.clone(),
        page,
    })
}

/// Months of an erasure, such as `2026-11/60`, each once.
fn months(language: Language, periods: &[String]) -> String {
    let mut names: Vec<&str> = periods
        .iter()
        .map(|period| period.split_once('/').map_or(period.as_str(), |(month, _)| month))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| month(language, name))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Makes the calendar anew.
async fn refresh(
    State(app): State<App>,
    OfficerPosted { officer, .. }: OfficerPosted,
) -> Result<Response, Problem> {
    officer.looking()?;
    app.shelf().remove(officer.token(), CALENDAR);
    Ok(Redirect::to("/officer/erasure").into_response())
}

#[derive(askama::Template)]
#[template(path = "review_erase.html")]
struct ErasePage {
    page: Page,
    reference: String,
    reached: Vec<Row>,
    errors: Errors,
}

fn erase_page(page: Page, officer: &OfficerVisitor, kept: &Kept) -> ErasePage {
    let reached = kept.calendar.groups.iter().filter(|group| group.reached);
    ErasePage {
        reference: officer.reference.clone(),
        reached: reached.map(|group| row(&page, group)).collect(),
        errors: Errors::default(),
        page,
    }
}

async fn confirm(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let kept = look(&app, &officer).await?;
    html(&erase_page(page, &officer, &kept))
}

async fn erase(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let looking = officer.looking()?;
    if fields.get("sure") != "yes" {
        let kept = look(&app, &officer).await?;
        let mut shown = erase_page(page, &officer, &kept);
        shown.errors.add("sure", shown.page.t("review.error_sure"));
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let known = look(&app, &officer).await?.calendar.erasures.len();
    let done = review::erase(&app, &looking).await?;
    app.shelf().remove(officer.token(), CALENDAR);
    let own = done.own.log_index.saturating_add(1);
    let new = done.erasures.len().saturating_sub(known);
    let entries: u64 = done
        .erasures
        .iter()
        .rev()
        .take(new)
        .map(|erasure| erasure.entries)
        .sum();
    let text = if entries == 0 {
        page.t1("review.nothing_erased", own)
    } else {
        page.t2("review.was_erased", number(page.language, entries), own)
    };
    say(&app, &officer, text);
    Ok(Redirect::to("/officer/erasure").into_response())
}

async fn csv(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let kept = app.shelf().find::<Kept>(officer.token(), CALENDAR)?;
    let columns = [
        "month",
        "of",
        "entries_at_least",
        "exact",
        "term_months",
        "erased_from",
        "reached",
    ];
    let rows = kept.calendar.groups.iter().map(|group| {
        vec![
            group.month.to_string(),
            row(&page, group).of,
            group.at_least.to_string(),
            (!group.more).to_string(),
            if group.expires.is_some() {
                group.months.to_string()
            } else {
                String::new()
            },
            group.expires.map_or_else(String::new, |from| from.to_string()),
            group.reached.to_string(),
        ]
    });
    files::csv("erasure.csv", &columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_names() {
        assert_eq!(month(Language::Nl, "2026-11"), "november 2026");
        assert_eq!(month(Language::En, "2026-01"), "January 2026");
        for none in ["", "2026", "2026-13", "2026-00", "x"] {
            assert_eq!(month(Language::Nl, none), none);
        }
        let periods = ["2021-09/60", "2021-08/60", "2021-09/12"].map(str::to_owned);
        assert_eq!(months(Language::Nl, &periods), "augustus 2021, september 2021");
    }
}
