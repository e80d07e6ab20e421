//! A random sample of the questions, looked at one by one. It is drawn once, and kept for the session until a new one is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_node::officer::page::{Form, RowView};
use hitmachine_node::officer::task::Range;
use hitmachine_node::officer::text;
use hitmachine_node::view::refusal_text;

use super::{files, index, note, said, say};
use crate::app::App;
use crate::jobs;
use crate::moment::moment;
use crate::page::{Page, html, html_with};
use crate::pages::officer::form::{Errors, begins, date, ends};
use crate::pages::officer::{OfficerPosted, OfficerVisitor};
use crate::problem::Problem;

/// On the shelf.
const SAMPLE: &str = "review-sample";
/// The most questions of one sample.
const MOST: u32 = 200;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/officer/sample", get(list).post(draw))
        .route("/officer/sample/new", get(new))
        .route("/officer/sample/sample.csv", get(csv))
        .route("/officer/sample/{number}", get(one))
        .route("/officer/sample/{number}/review", post(review))
}

/// What was drawn in this session, and what was found.
struct Sample {
    from: String,
    to: String,
    own_entry: u64,
    rows: Vec<RowView>,
    /// By index: verdict, note, and the entry of the note as people count.
    found: Mutex<BTreeMap<u64, (String, String, u64)>>,
}

impl Sample {
    fn found(&self, index: u64) -> Option<(String, String, u64)> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&index).cloned()
    }

    /// The first that nobody looked at yet.
    fn next(&self) -> Option<u64> {
        let mut rows = self.rows.iter().map(|row| row.log_index);
        rows.find(|index| self.found(*index).is_none())
    }

    fn done(&self) -> usize {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[derive(askama::Template)]
#[template(path = "review_sample.html")]
struct SamplePage {
    page: Page,
    reference: String,
    said: String,
    own_entry: u64,
    period: String,
    done: usize,
    total: usize,
    next: String,
    rows: Vec<Line>,
}

struct Line {
    number: u64,
    time: String,
    organisation: String,
    purpose: String,
    outcome: String,
    verdict: &'static str,
    status: &'static str,
}

#[derive(askama::Template)]
#[template(path = "review_sample_new.html")]
struct NewPage {
    page: Page,
    reference: String,
    count: String,
    from: String,
    to: String,
    errors: Errors,
}

impl NewPage {
    fn new(page: Page, officer: &OfficerVisitor) -> Self {
        Self {
            page,
            reference: officer.reference.clone(),
            count: "20".to_owned(),
            from: String::new(),
            to: String::new(),
            errors: Errors::default(),
        }
    }
}

fn verdict_name(verdict: &str) -> (&'static str, &'static str) {
    match verdict {
        "in_order" => ("review.in_order", "ok"),
        "question" => ("review.question", "warning"),
        "breach" => ("review.breach", "error"),
        _ => ("review.to_do", "neutral"),
    }
}

fn line(page: &Page, sample: &Sample, row: &RowView) -> Line {
    let record = row.record.clone().unwrap_or_default();
    let found = sample.found(row.log_index);
    let (verdict, status) = verdict_name(found.as_ref().map_or("", |(verdict, ..)| verdict));
    Line {
        number: row.log_index.saturating_add(1),
        time: moment(page.language, &row.time),
        organisation: record.requester.name,
        purpose: record.ground.unwrap_or_default().title,
        outcome: text::outcome(&record.outcome, page.language).to_owned(),
        verdict: page.t(verdict),
        status,
    }
}

async fn list(officer: OfficerVisitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let Some(sample) = app.shelf().get::<Sample>(officer.token(), SAMPLE) else {
        return html(&NewPage::new(page, &officer));
    };
    let period = match (sample.from.as_str(), sample.to.as_str()) {
        ("", "") => page.t("review.period_all").to_owned(),
        (from, "") => page.t1("review.period_from", from),
        ("", to) => page.t1("review.period_to", to),
        (from, to) => page.t2("review.period", from, to),
    };
    html(&SamplePage {
        said: said(&app, &officer),
        own_entry: sample.own_entry,
        period,
        done: sample.done(),
        total: sample.rows.len(),
        next: sample
            .next()
            .map_or_else(String::new, |next| next.saturating_add(1).to_string()),
        rows: sample.rows.iter().map(|row| line(&page, &sample, row)).collect(),
        reference: officer.reference.clone(),
        page,
    })
}

async fn new(officer: OfficerVisitor, page: Page) -> Result<Response, Problem> {
    officer.looking()?;
    html(&NewPage::new(page, &officer))
}

async fn draw(
    State(app): State<App>,
    page: Page,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let looking = officer.looking()?;
    let mut form = NewPage::new(page, &officer);
    form.count = fields.get("count").to_owned();
    form.from = fields.get("from").to_owned();
    form.to = fields.get("to").to_owned();
    let count = form.count.parse().ok().filter(|count| (1..=MOST).contains(count));
    if count.is_none() {
        form.errors.add("count", form.page.t1("review.error_count", MOST));
    }
    let mut range = Range::default();
    for (field, typed, bound, edge) in [
        ("from", &form.from, &mut range.from_ms, begins as fn(_) -> _),
        ("to", &form.to, &mut range.to_ms, ends as fn(_) -> _),
    ] {
        if !typed.is_empty() {
            match date(typed).and_then(edge) {
                Some(ms) => *bound = ms,
                None => form.errors.add(field, form.page.t("review.error_date")),
            }
        }
    }
    if form.errors.is_empty() && range.to_ms > 0 && range.to_ms < range.from_ms {
        form.errors.add("to", form.page.t("review.error_range"));
    }
    let Some(count) = count.filter(|_| form.errors.is_empty()) else {
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &form);
    };
    let drawn = jobs::review::sample(&app, &looking, count, range).await?;
    let rows = drawn.rows.into_iter().map(|row| RowView { proof: None, ..row });
    let sample = Sample {
        from: form.from.clone(),
        to: form.to.clone(),
        own_entry: drawn.own.log_index.saturating_add(1),
        rows: rows.collect(),
        found: Mutex::default(),
    };
    app.shelf().put(officer.token(), SAMPLE, sample);
    Ok(Redirect::to("/officer/sample").into_response())
}

#[derive(askama::Template)]
#[template(path = "review_sample_entry.html")]
struct EntryPage {
    page: Page,
    reference: String,
    said: String,
    number: u64,
    place: usize,
    total: usize,
    facts: Vec<(&'static str, String)>,
    partners: Vec<(String, &'static str)>,
    found: Option<(&'static str, &'static str, String, u64)>,
    verdicts: Vec<(String, &'static str)>,
    verdict: String,
    note: String,
    errors: Errors,
}

/// The sample of this session, and the row of it with this number; 404 for any other.
fn find(app: &App, officer: &OfficerVisitor, number: &str) -> Result<(Arc<Sample>, usize), Problem> {
    let sample = app.shelf().find::<Sample>(officer.token(), SAMPLE)?;
    let index = index(number).ok_or_else(Problem::not_found)?;
    let place = sample.rows.iter().position(|row| row.log_index == index);
    Ok((sample, place.ok_or_else(Problem::not_found)?))
}

fn entry_page(
    page: Page,
    officer: &OfficerVisitor,
    sample: &Sample,
    place: usize,
) -> Result<EntryPage, Problem> {
    let row = sample.rows.get(place).ok_or_else(Problem::not_found)?;
    let record = row.record.clone().unwrap_or_default();
    let user = record.user.unwrap_or_default();
    let ground = record.ground.unwrap_or_default();
    let class = match record.class.as_deref() {
        Some("minor") => page.t("review.minor"),
        Some("adult") => page.t("review.adult"),
        _ => "",
    };
    let mut facts = vec![
        (page.t("review.time"), moment(page.language, &row.time)),
        (page.t("review.organisation"), record.requester.name),
        (page.t("review.user"), user.id),
        (page.t("review.role"), user.role),
        (page.t("review.behalf"), user.responsible.unwrap_or_default()),
        (page.t("review.purpose"), ground.title),
        (page.t("review.basis"), ground.legal_basis),
        (page.t("review.case"), record.case.unwrap_or_default()),
        (page.t("review.subject"), class.to_owned()),
        (
            page.t("review.outcome"),
            text::outcome(&record.outcome, page.language).to_owned(),
        ),
    ];
    if let Some(code) = &record.refused {
        facts.push((
            page.t("review.refused"),
            refusal_text(code, page.language).to_owned(),
        ));
    }
    if row.form == Form::Processing {
        facts.push((page.t("review.content"), page.t("review.without_user").to_owned()));
    }
    facts.retain(|(_, value)| !value.is_empty());
    let found = sample.found(row.log_index).map(|(verdict, note, own)| {
        let (name, status) = verdict_name(&verdict);
        (page.t(name), status, note, own)
    });
    let verdicts = ["in_order", "question", "breach"];
    Ok(EntryPage {
        reference: officer.reference.clone(),
        said: String::new(),
        number: row.log_index.saturating_add(1),
        place: place + 1,
        total: sample.rows.len(),
        facts,
        partners: record
            .partners
            .iter()
            .map(|partner| (partner.name.clone(), page.language.status(partner.status.into())))
            .collect(),
        found,
        verdicts: verdicts
            .map(|verdict| (verdict.to_owned(), page.t(verdict_name(verdict).0)))
            .into(),
        verdict: String::new(),
        note: String::new(),
        errors: Errors::default(),
        page,
    })
}

async fn one(
    officer: OfficerVisitor,
    page: Page,
    State(app): State<App>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    officer.looking()?;
    let (sample, place) = find(&app, &officer, &number)?;
    let mut shown = entry_page(page, &officer, &sample, place)?;
    shown.said = said(&app, &officer);
    html(&shown)
}

async fn review(
    State(app): State<App>,
    page: Page,
    Path(number): Path<String>,
    OfficerPosted { officer, fields }: OfficerPosted,
) -> Result<Response, Problem> {
    let looking = officer.looking()?;
    let (sample, place) = find(&app, &officer, &number)?;
    let mut errors = Errors::default();
    let verdict = fields.get("verdict");
    if !["in_order", "question", "breach"].contains(&verdict) {
        errors.add("verdict", page.t("review.error_verdict"));
    }
    let typed = note(&page, "note", fields.get("note"), &mut errors);
    if !errors.is_empty() {
        let shown = EntryPage {
            errors,
            verdict: verdict.to_owned(),
            note: typed,
            ..entry_page(page, &officer, &sample, place)?
        };
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shown);
    }
    let index = sample.rows.get(place).map_or(0, |row| row.log_index);
    let own = jobs::officer::review(&app, &looking, index, verdict, &typed).await?;
    let own = own.log_index.saturating_add(1);
    let value = (verdict.to_owned(), typed, own);
    sample
        .found
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(index, value);
    say(
        &app,
        &officer,
        page.t2("review.reviewed", index.saturating_add(1), own),
    );
    let to = sample.next().map_or_else(
        || "/officer/sample".to_owned(),
        |next| format!("/officer/sample/{}", next.saturating_add(1)),
    );
    Ok(Redirect::to(&to).into_response())
}

async fn csv(officer: OfficerVisitor, State(app): State<App>) -> Result<Response, Problem> {
    officer.looking()?;
    let sample = app.shelf().find::<Sample>(officer.token(), SAMPLE)?;
    let columns = [
        "entry",
        "time_utc",
        "organisation",
        "user",
        "role",
        "purpose",
        "case",
        "outcome",
        "verdict",
        "note",
        "note_entry",
    ];
    let rows = sample.rows.iter().map(|row| {
        let record = row.record.clone().unwrap_or_default();
        let user = record.user.unwrap_or_default();
        let (verdict, note, own) = sample.found(row.log_index).unwrap_or_default();
        vec![
            row.log_index.saturating_add(1).to_string(),
            row.time.clone(),
            record.requester.name,
            user.id,
            user.role,
            record.ground.unwrap_or_default().purpose,
            record.case.unwrap_or_default(),
            record.outcome,
            verdict,
            note,
            if own == 0 { String::new() } else { own.to_string() },
        ]
    });
    files::csv("sample.csv", &columns, rows)
}
