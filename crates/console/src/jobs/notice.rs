//! Hit notices: who asked about somebody in this organisation's register. They belong to the organisation: everybody who
//! asks for it may read them.

use hitmachine_node::control::{Reply, Request};
use hitmachine_node::notice::{MuteView, NoticeAsk, NoticeReply, NoticeView, NoticesView, Which};

use crate::app::App;
use crate::caller::Asker;
use crate::problem::Problem;

/// Notices, oldest first; with a case only those of it.
///
/// # Errors
/// [`Problem`]: 422 for a case that is none.
pub async fn list(
    app: &App,
    _: &Asker<'_>,
    which: Which,
    case: Option<String>,
) -> Result<NoticesView, Problem> {
    match call(app, NoticeAsk::List { which, case }).await? {
        NoticeReply::Notices(view) => Ok(view),
        _ => Err(Problem::malformed()),
    }
}

/// What came from a log entry, counted from 1 as people do. Nothing is marked.
///
/// # Errors
/// [`Problem::not_found`].
pub async fn show(app: &App, _: &Asker<'_>, entry: u64) -> Result<NoticeView, Problem> {
    let index = entry.checked_sub(1).ok_or_else(Problem::not_found)?;
    match call(app, NoticeAsk::Show(index)).await? {
        NoticeReply::Notices(view) => view.notices.into_iter().next().ok_or_else(Problem::not_found),
        _ => Err(Problem::malformed()),
    }
}

/// The caller has seen these, by log entries from 1; how many notices that are.
///
/// # Errors
/// [`Problem::not_found`] if one is not there; then none is marked.
pub async fn seen(app: &App, asker: &Asker<'_>, entries: &[u64]) -> Result<usize, Problem> {
    let indexes = entries.iter().map(|entry| entry.checked_sub(1));
    let indexes = indexes
        .collect::<Option<Vec<_>>>()
        .ok_or_else(Problem::not_found)?;
    let user = asker.user().to_owned();
    match call(app, NoticeAsk::Seen { indexes, user }).await? {
        NoticeReply::Seen(count) => Ok(count),
        _ => Err(Problem::malformed()),
    }
}

/// Later notices of a case come muted. `partner` is the organisation that asks, by its short name.
///
/// # Errors
/// [`Problem`]: 422 for a reason that is too long or holds a BSN.
pub async fn mute(
    app: &App,
    asker: &Asker<'_>,
    partner: &str,
    case: &str,
    reason: Option<String>,
) -> Result<(), Problem> {
    let ask = NoticeAsk::Mute {
        asker: partner.to_owned(),
        case: case.to_owned(),
        user: asker.user().to_owned(),
        reason,
    };
    call(app, ask).await.map(|_| ())
}

/// Later notices of a case are shown again.
///
/// # Errors
/// [`Problem::not_found`] if it is not muted.
pub async fn unmute(app: &App, _: &Asker<'_>, partner: &str, case: &str) -> Result<(), Problem> {
    let ask = NoticeAsk::Unmute {
        asker: partner.to_owned(),
        case: case.to_owned(),
    };
    call(app, ask).await.map(|_| ())
}

/// Cases that are muted, oldest first.
///
/// # Errors
/// [`Problem`].
pub async fn mutes(app: &App, _: &Asker<'_>) -> Result<Vec<MuteView>, Problem> {
    match call(app, NoticeAsk::Mutes).await? {
        NoticeReply::Mutes(mutes) => Ok(mutes),
        _ => Err(Problem::malformed()),
    }
}

async fn call(app: &App, ask: NoticeAsk) -> Result<NoticeReply, Problem> {
    match app.call(Request::Notice(ask)).await {
        Ok(Reply::Notice(reply)) => Ok(reply),
        Ok(_) => Err(Problem::malformed()),
        Err(problem) if ["no_notice", "not_muted"].contains(&problem.code.as_str()) => {
            Err(Problem::not_found())
        }
        Err(problem) => Err(problem),
    }
}
