//! Hit notices of the organisation.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use hitmachine_node::notice::{MuteView, NoticeView, NoticesView, Which};
use serde::Deserialize;

use super::authorised::Authorised;
use super::problems::Body;
use crate::app::App;
use crate::jobs::notice;
use crate::problem::Problem;

/// Which notices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    #[serde(default = "new")]
    state: Which,
}

fn new() -> Which {
    Which::New
}

pub(super) async fn list(
    State(app): State<App>,
    Authorised(caller): Authorised,
    chosen: Result<Query<Chosen>, QueryRejection>,
) -> Result<Json<NoticesView>, Problem> {
    let Query(chosen) = chosen.map_err(|_| Problem::malformed())?;
    Ok(Json(
        notice::list(&app, &caller.asker()?, chosen.state, None).await?,
    ))
}

/// The pages count entries from 1, as people do; here they have the names that the data gives them.
fn entry(log_index: u64) -> Result<u64, Problem> {
    log_index.checked_add(1).ok_or_else(Problem::not_found)
}

pub(super) async fn one(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(log_index): Path<u64>,
) -> Result<Json<NoticeView>, Problem> {
    Ok(Json(
        notice::show(&app, &caller.asker()?, entry(log_index)?).await?,
    ))
}

pub(super) async fn seen(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Path(log_index): Path<u64>,
) -> Result<StatusCode, Problem> {
    notice::seen(&app, &caller.asker()?, &[entry(log_index)?]).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn mutes(
    State(app): State<App>,
    Authorised(caller): Authorised,
) -> Result<Json<Vec<MuteView>>, Problem> {
    Ok(Json(notice::mutes(&app, &caller.asker()?).await?))
}

/// A case of which nobody wants to hear.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MuteBody {
    partner: String,
    case: String,
    reason: Option<String>,
}

pub(super) async fn mute(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<MuteBody>,
) -> Result<StatusCode, Problem> {
    notice::mute(&app, &caller.asker()?, &body.partner, &body.case, body.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A case of which one wants to hear again. Not in an address: those are logged on their way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnmuteBody {
    partner: String,
    case: String,
}

pub(super) async fn unmute(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<UnmuteBody>,
) -> Result<StatusCode, Problem> {
    notice::unmute(&app, &caller.asker()?, &body.partner, &body.case).await?;
    Ok(StatusCode::NO_CONTENT)
}
