//! Hit notices: who asked about somebody in this organisation's register.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hitmachine_core::CaseReference;
use hitmachine_core::volume::local;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::control::ClassWord;
use hitmachine_node::notice::{MuteView, NoticeView, StateWord, Which};
use serde::Deserialize;

use crate::app::App;
use crate::jobs;
use crate::page::{Page, html, html_with};
use crate::problem::Problem;
use crate::visitor::{Posted, Visitor};

/// Notices on one page.
const ON_PAGE: usize = 25;
/// Characters of a reason.
const MOST_REASON: usize = 200;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/notices", get(list))
        .route("/notices/seen", post(seen_several))
        .route("/notices/muted", get(muted))
        .route("/notices/unmute", post(unmute))
        .route("/notices/{entry}", get(show))
        .route("/notices/{entry}/seen", post(seen))
        .route("/notices/{entry}/mute", post(mute))
}

/// What an address may say.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    which: String,
    #[serde(default)]
    case: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    done: String,
}

/// A notice as a row, and as a page.
struct Shown {
    /// Log entry, from 1.
    entry: u64,
    asked: String,
    received: String,
    purpose: String,
    state: &'static str,
    class: &'static str,
    /// The organisation's own file numbers, or why there are none.
    file: String,
    seen: Option<(String, String)>,
    /// Month in which it goes.
    kept_until: Option<String>,
    view: NoticeView,
}

impl Shown {
    fn of(view: NoticeView, page: &Page) -> Self {
        let (state, class) = match view.state {
            StateWord::New => (page.t("notice.state_new"), "status--neutral"),
            StateWord::Seen => (page.t("notice.state_seen"), "status--ok"),
            StateWord::Muted => (page.t("notice.state_muted"), "status--neutral"),
        };
        let file = match (view.references.is_empty(), view.registered) {
            (false, _) => view.references.join(", "),
            (true, true) => page.t("notice.no_reference").to_owned(),
            (true, false) => page.t("notice.not_registered").to_owned(),
        };
        let title = &view.purpose_title;
        Self {
            entry: view.log_index.saturating_add(1),
            asked: moment(&view.asked_at),
            received: moment(&view.received_at),
            purpose: if title.is_empty() {
                view.purpose.clone()
            } else {
                title.clone()
            },
            state,
            class,
            file,
            kept_until: view.kept_until.as_deref().map(month),
            seen: view.seen_by.clone().zip(view.seen_at.as_deref().map(moment)),
            view,
        }
    }

    fn is_new(&self) -> bool {
        self.view.state == StateWord::New
    }

    fn is_minor(&self) -> bool {
        self.view.class == ClassWord::Minor
    }

    /// Whose case can be muted: the organisation is in the covenant, and the log still holds the case.
    fn can_be_muted(&self) -> bool {
        !self.view.asker.partner.is_empty() && self.view.case.is_some()
    }
}

/// What people read on the clock.
fn moment(text: &str) -> String {
    let time = text
        .parse()
        .map(|time| local(time).strftime("%d-%m-%Y %H:%M").to_string());
    time.unwrap_or_else(|_| text.to_owned())
}

/// A month as people write it.
fn month(text: &str) -> String {
    let month = text
        .split_once('-')
        .map(|(year, month)| format!("{month}-{year}"));
    month.unwrap_or_else(|| text.to_owned())
}

/// A filter as a link.
struct Tab {
    path: String,
    text: String,
    here: bool,
}

#[derive(askama::Template)]
#[template(path = "notices.html")]
struct ListPage {
    page: Page,
    tabs: Vec<Tab>,
    which: &'static str,
    case: String,
    case_wrong: &'static str,
    notices: Vec<Shown>,
    number: usize,
    pages: usize,
    previous: String,
    next: String,
    seen: bool,
}

fn which(word: &str) -> (Which, &'static str) {
    match word {
        "new" => (Which::New, "new"),
        "all" => (Which::All, "all"),
        _ => (Which::Open, "open"),
    }
}

/// The inbox: new ones first, the newest at the top.
async fn list(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let (which, word) = which(&asked.which);
    let case = asked.case.trim();
    let wrong = !case.is_empty() && (contains_bsn(case) || case.parse::<CaseReference>().is_err());
    let case = Some(case)
        .filter(|case| !wrong && !case.is_empty())
        .map(str::to_owned);
    let mut view = jobs::notice::list(&app, &asker, which, case.clone()).await?;
    view.notices
        .sort_by_key(|notice| (notice.state != StateWord::New, std::cmp::Reverse(notice.number)));
    let pages = view.notices.len().div_ceil(ON_PAGE).max(1);
    let number = asked.page.parse().unwrap_or(1).clamp(1, pages);
    let case = case.unwrap_or_default();
    let path = |word: &str, number: usize| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("which", word);
        if !case.is_empty() {
            query.append_pair("case", &case);
        }
        if number > 1 {
            query.append_pair("page", &number.to_string());
        }
        format!("/notices?{}", query.finish())
    };
    let tab = |tab: &str, text: String| Tab {
        path: path(tab, 1),
        text,
        here: tab == word,
    };
    let tabs = vec![
        tab("open", page.t("notice.tab_open").to_owned()),
        tab("new", page.t1("notice.tab_new", view.new)),
        tab("all", page.t1("notice.tab_all", view.muted)),
    ];
    let shown = view
        .notices
        .into_iter()
        .skip((number - 1) * ON_PAGE)
        .take(ON_PAGE);
    let shown = shown.map(|notice| Shown::of(notice, &page)).collect();
    let status = if wrong {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let listed = ListPage {
        tabs,
        which: word,
        previous: if number > 1 {
            path(word, number - 1)
        } else {
            String::new()
        },
        next: if number < pages {
            path(word, number + 1)
        } else {
            String::new()
        },
        notices: shown,
        number,
        pages,
        case_wrong: if wrong { page.t("notice.case_wrong") } else { "" },
        seen: asked.done == "seen",
        case,
        page,
    };
    html_with(status, &listed)
}

#[derive(askama::Template)]
#[template(path = "notice.html")]
struct ShowPage {
    page: Page,
    notice: Shown,
    mute: Option<MuteView>,
    mute_at: String,
    reason: String,
    wrong: String,
    done: &'static str,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

/// One notice. Looking marks nothing.
async fn show(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Path(entry): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Problem> {
    let notice = find(&app, &visitor, &entry).await?;
    let done = match done.as_str() {
        "seen" => page.t("notice.done_seen"),
        "muted" => page.t("notice.done_muted"),
        "unmuted" => page.t("notice.done_unmuted"),
        _ => "",
    };
    let shown = show_page(&app, &visitor, page, notice).await?;
    html(&ShowPage { done, ..shown })
}

async fn show_page(
    app: &App,
    visitor: &Visitor,
    page: Page,
    notice: NoticeView,
) -> Result<ShowPage, Problem> {
    let asker = visitor.caller.asker()?;
    let mutes = jobs::notice::mutes(app, &asker).await?;
    let of = |mute: &MuteView| {
        mute.asker == notice.asker.partner && Some(mute.case.as_str()) == notice.case.as_deref()
    };
    let mute = mutes.into_iter().find(of);
    Ok(ShowPage {
        notice: Shown::of(notice, &page),
        mute_at: mute.as_ref().map_or_else(String::new, |mute| moment(&mute.at)),
        mute,
        reason: String::new(),
        wrong: String::new(),
        done: "",
        page,
    })
}

async fn find(app: &App, visitor: &Visitor, entry: &str) -> Result<NoticeView, Problem> {
    let asker = visitor.caller.asker()?;
    let entry = entry.parse().map_err(|_| Problem::not_found())?;
    jobs::notice::show(app, &asker, entry).await
}

async fn seen(
    State(app): State<App>,
    Path(entry): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let number = entry.parse().map_err(|_| Problem::not_found())?;
    jobs::notice::seen(&app, &asker, &[number]).await?;
    Ok(to(&format!("/notices/{number}?done=seen")))
}

/// Those that were ticked in the list.
async fn seen_several(State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let entries = posted.fields.all("entry").map(str::parse::<u64>);
    let entries = entries
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Problem::malformed())?;
    if entries.len() > ON_PAGE {
        return Err(Problem::malformed());
    }
    if entries.is_empty() {
        return Ok(to("/notices"));
    }
    jobs::notice::seen(&app, &asker, &entries).await?;
    Ok(to("/notices?done=seen"))
}

/// Later notices of this notice's case come muted. Organisation and case are the notice's own, not the form's.
async fn mute(
    page: Page,
    State(app): State<App>,
    Path(entry): Path<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let notice = find(&app, &posted.visitor, &entry).await?;
    let number = notice.log_index.saturating_add(1);
    let Some(case) = notice.case.clone().filter(|_| !notice.asker.partner.is_empty()) else {
        return Err(Problem::not_found());
    };
    let reason = posted.fields.get("reason");
    let (wrong, reason) = if contains_bsn(reason) {
        (page.t("notice.reason_bsn"), "")
    } else if reason.chars().count() > MOST_REASON || reason.chars().any(char::is_control) {
        (page.t("notice.reason_long"), reason)
    } else {
        ("", reason)
    };
    if !wrong.is_empty() {
        let (wrong, reason) = (wrong.to_owned(), reason.to_owned());
        let shown = show_page(&app, &posted.visitor, page, notice).await?;
        return html_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            &ShowPage {
                reason,
                wrong,
                ..shown
            },
        );
    }
    let reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
    jobs::notice::mute(&app, &asker, &notice.asker.partner, &case, reason).await?;
    Ok(to(&format!("/notices/{number}?done=muted")))
}

async fn unmute(State(app): State<App>, posted: Posted) -> Result<Response, Problem> {
    let asker = posted.visitor.caller.asker()?;
    let fields = &posted.fields;
    jobs::notice::unmute(&app, &asker, fields.need("asker")?, fields.need("case")?).await?;
    // Back to the notice if it came from there.
    match fields.get("entry").parse::<u64>() {
        Ok(entry) => Ok(to(&format!("/notices/{entry}?done=unmuted"))),
        Err(_) => Ok(to("/notices/muted?done=unmuted")),
    }
}

/// A muted case.
struct Muted {
    view: MuteView,
    name: String,
    at: String,
}

#[derive(askama::Template)]
#[template(path = "notices_muted.html")]
struct MutedPage {
    page: Page,
    mutes: Vec<Muted>,
    done: bool,
}

async fn muted(
    visitor: Visitor,
    page: Page,
    State(app): State<App>,
    Query(Done { done }): Query<Done>,
) -> Result<Response, Problem> {
    let asker = visitor.caller.asker()?;
    let mutes = jobs::notice::mutes(&app, &asker).await?;
    let covenant = app.node().covenant_held();
    let name = |id: &str| {
        let partner = covenant.as_ref().zip(id.parse().ok());
        let partner = partner.and_then(|(covenant, id)| covenant.partner(&id));
        partner.map_or_else(|| id.to_owned(), |partner| partner.name.clone())
    };
    let mutes = mutes.into_iter().map(|view| Muted {
        name: name(&view.asker),
        at: moment(&view.at),
        view,
    });
    html(&MutedPage {
        mutes: mutes.collect(),
        done: done == "unmuted",
        page,
    })
}

fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}
