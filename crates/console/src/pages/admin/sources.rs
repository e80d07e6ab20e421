//! The node's sources: how they were read last, which rows were left out and why, and a sync at once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use hitmachine_node::health::SourcesView;
use hitmachine_node::spreadsheet;
use hitmachine_node::sync::Progress;
use hitmachine_node::sync_book::{ShrunkView, SourceView};
use hitmachine_node::view::IssueView;

use crate::app::App;
use crate::jobs::admin;
use crate::moment::{moment, number};
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

#[derive(askama::Template)]
#[template(path = "admin_sources.html")]
struct SourcesPage {
    page: Page,
    progress: ProgressPart,
    failure: Option<String>,
    shrunk: Option<(String, String)>,
    last: Vec<(String, String)>,
    sources: Vec<SourcePart>,
}

/// The part of the page that changes while a sync is under way.
#[derive(askama::Template)]
#[template(path = "admin_progress.html")]
struct ProgressPart {
    page: Page,
    running: bool,
    what: &'static str,
    done: u64,
    total: u64,
    counts: String,
}

struct SourcePart {
    name: String,
    kind: String,
    read_at: String,
    status: &'static str,
    verdict: String,
    facts: Vec<(String, String)>,
    rows: Vec<BadRow>,
    more: String,
}

struct BadRow {
    row: String,
    column: String,
    reason: String,
}

/// How the sources are.
pub(super) async fn sources(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
) -> Result<Response, Problem> {
    let view = admin::sources(&app, visitor.caller.administrator()?);
    let last = &view.last;
    html(&SourcesPage {
        progress: progress_part(&page, &view),
        failure: last
            .failure
            .as_ref()
            .filter(|_| last.shrunk.is_none())
            .map(|failure| {
                let at = last.ended_at.as_deref().unwrap_or_default();
                format!("{}: {}", moment(page.language, at), failure.text(page.language))
            }),
        shrunk: last.shrunk.map(|shrunk| counts(&page, shrunk)),
        last: last_facts(&page, &view),
        sources: last
            .sources
            .iter()
            .map(|source| source_part(&page, source))
            .collect(),
        page,
    })
}

fn counts(page: &Page, shrunk: ShrunkView) -> (String, String) {
    (
        number(page.language, shrunk.lost),
        number(page.language, shrunk.before),
    )
}

/// How far a sync is; a script asks for it, and without one the page is loaded anew by hand.
pub(super) async fn progress(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
) -> Result<Response, Problem> {
    let view = admin::sources(&app, visitor.caller.administrator()?);
    let mut response = html(&progress_part(&page, &view))?;
    if view.running {
        let more = axum::http::HeaderValue::from_static("more");
        response.headers_mut().insert("x-refresh", more);
    }
    Ok(response)
}

fn progress_part(page: &Page, view: &SourcesView) -> ProgressPart {
    let (what, done, total) = match view.progress {
        Some(Progress::Reading { done, total }) => ("admin.reading", done, total),
        Some(Progress::Sending { done, total }) => ("admin.sending", done, total),
        _ => ("admin.beginning", 0, 0),
    };
    let counts = match view.progress {
        Some(Progress::Sending { .. }) if total > 0 => page.t2(
            "admin.sent_of",
            number(page.language, done),
            number(page.language, total),
        ),
        _ => String::new(),
    };
    ProgressPart {
        running: view.running,
        what: page.t(what),
        done,
        total,
        counts,
        page: page.clone(),
    }
}

fn last_facts(page: &Page, view: &SourcesView) -> Vec<(String, String)> {
    let count = |count: u64| number(page.language, count);
    let mut facts = Vec::new();
    let mut add = |name: &'static str, value: String| facts.push((page.t(name).to_owned(), value));
    let never = page.t("admin.never");
    match &view.last.good {
        None => add("admin.last_good", never.to_owned()),
        Some(good) => {
            add("admin.last_good", moment(page.language, &good.at));
            add("admin.persons", count(good.persons));
            add("admin.registered", count(good.registered));
            add("admin.withdrawn", count(good.withdrawn));
            let agreement = match (&view.last.failure, good.live) {
                (_, true) => "admin.agreement_live",
                (None, false) => "admin.agreement_yes",
                (Some(_), false) => "admin.agreement_then",
            };
            add("admin.agreement", page.t(agreement).to_owned());
        }
    }
    let next = view.next_at.as_deref();
    let next = next.map_or_else(
        || page.t("admin.next_unknown").to_owned(),
        |next| moment(page.language, next),
    );
    add("admin.next", next);
    add("admin.most_loss", format!("{} %", view.max_loss_percent));
    facts
}

fn source_part(page: &Page, source: &SourceView) -> SourcePart {
    let count = |count: u64| number(page.language, count);
    let (status, verdict) = match (&source.failure, &source.read_at, source.bad_rows) {
        (Some(failure), ..) => (
            "error",
            page.t1("admin.source_failed", failure.text(page.language)),
        ),
        (None, None, _) => ("neutral", page.t("admin.source_never").to_owned()),
        (None, Some(_), 0) => ("ok", page.t("admin.source_good").to_owned()),
        (None, Some(_), bad) => ("warning", page.t1("admin.source_bad", count(bad))),
    };
    let facts = [
        ("admin.source_rows", source.rows),
        ("admin.source_persons", source.persons),
        ("admin.source_bad_rows", source.bad_rows),
        ("admin.source_duplicates", source.duplicates),
    ];
    let shown = source.issues.len() as u64;
    SourcePart {
        name: source.name.clone(),
        kind: source.kind.clone(),
        read_at: source.read_at.as_deref().map_or_else(
            || page.t("admin.never").to_owned(),
            |at| moment(page.language, at),
        ),
        status,
        verdict,
        facts: facts
            .map(|(name, value)| (page.t(name).to_owned(), count(value)))
            .into(),
        rows: source
            .issues
            .iter()
            .map(|issue| BadRow {
                row: count(issue.row),
                column: issue.column.clone().unwrap_or_default(),
                reason: reason(page, issue).to_owned(),
            })
            .collect(),
        more: if source.bad_rows > shown {
            page.t2("admin.rows_more", count(shown), count(source.bad_rows))
        } else {
            String::new()
        },
    }
}

/// The message without the place that it begins with: that has columns of its own.
fn reason<'a>(page: &Page, issue: &'a IssueView) -> &'a str {
    let text = issue.text(page.language);
    let rest = text.strip_prefix(issue.file.as_str());
    rest.and_then(|rest| rest.split_once(": "))
        .map_or(text, |(_, reason)| reason)
}

/// The rows that were left out, of all sources, as CSV.
pub(super) async fn rows(visitor: Visitor, page: Page, State(app): State<App>) -> Result<Response, Problem> {
    let view = admin::sources(&app, visitor.caller.administrator()?);
    let mut out = vec![
        ["source", "file", "row", "column", "code", "reason"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for source in &view.last.sources {
        out.extend(source.issues.iter().map(|issue| {
            vec![
                source.name.clone(),
                issue.file.clone(),
                issue.row.to_string(),
                issue.column.clone().unwrap_or_default(),
                issue.code.clone(),
                reason(&page, issue).to_owned(),
            ]
        }));
    }
    let bytes = spreadsheet::lines(&out).map_err(|error| Problem::node(&error))?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"rows.csv\""),
    ];
    Ok((headers, bytes).into_response())
}

/// Synchronises at once.
pub(super) async fn sync(State(app): State<App>, posted: Posted) -> Result<Redirect, Problem> {
    admin::synchronise(&app, posted.visitor.caller.administrator()?, None).await?;
    Ok(Redirect::to("/admin/sources"))
}

#[derive(askama::Template)]
#[template(path = "admin_shrunk.html")]
struct ShrunkPage {
    page: Page,
    lost: u64,
    lost_text: String,
    before: String,
    left: String,
    wrong: bool,
    errors: Vec<(&'static str, &'static str)>,
}

fn shrunk_page(page: Page, shrunk: ShrunkView, wrong: bool) -> ShrunkPage {
    let (lost_text, before) = counts(&page, shrunk);
    ShrunkPage {
        lost: shrunk.lost,
        lost_text,
        before,
        left: number(page.language, shrunk.before.saturating_sub(shrunk.lost)),
        errors: if wrong {
            vec![("sure", page.t("admin.shrunk_sure_missing"))]
        } else {
            Vec::new()
        },
        wrong,
        page,
    }
}

/// What somebody must know before a source may lose so many persons.
pub(super) async fn shrunk(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
) -> Result<Response, Problem> {
    let view = admin::sources(&app, visitor.caller.administrator()?);
    let shrunk = view.last.shrunk.ok_or_else(Problem::not_found)?;
    html(&shrunk_page(page, shrunk, false))
}

/// The source may lose the number of persons that was shown.
pub(super) async fn confirm(page: Page, State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    let administrator = posted.visitor.caller.administrator()?;
    let lost = posted
        .fields
        .need("lost")?
        .parse()
        .map_err(|_| Problem::malformed())?;
    if posted.fields.get("sure") != "yes" {
        let shrunk = admin::sources(&app, administrator).last.shrunk;
        let shrunk = shrunk.ok_or_else(Problem::not_found)?;
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &shrunk_page(page, shrunk, true));
    }
    admin::synchronise(&app, administrator, Some(lost)).await?;
    Ok(Redirect::to("/admin/sources").into_response())
}
