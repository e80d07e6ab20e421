//! Reading the hub's log, for an application with the role `privacyfunctionaris`, such as the organisation's own monitoring.
//! Each call is an entry of the log itself, so each says why; none looks for a person, which is for a privacy officer to do.

use axum::Json;
use axum::extract::State;
use hitmachine_node::officer::alarms::AlarmsView;
use hitmachine_node::officer::page::PageView;
use hitmachine_node::officer::task::{OfficerReply, Range, SearchAsk, Task};
use serde::Deserialize;

use super::authorised::Authorised;
use super::problems::Body;
use crate::app::App;
use crate::jobs::officer::{self, Looking};
use crate::problem::Problem;

/// A search. What is empty or absent does not restrict.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBody {
    reference: String,
    #[serde(default)]
    from_ms: u64,
    #[serde(default)]
    to_ms: u64,
    #[serde(default)]
    organisation: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    purpose: String,
    #[serde(default)]
    case: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    before: u64,
    #[serde(default = "hundred")]
    limit: u32,
    #[serde(default)]
    proofs: bool,
}

fn hundred() -> u32 {
    100
}

pub(super) async fn search(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<SearchBody>,
) -> Result<Json<PageView>, Problem> {
    let looking = Looking::new(caller.officer()?, &body.reference);
    let ask = SearchAsk {
        range: Range {
            from_ms: body.from_ms,
            to_ms: body.to_ms,
        },
        organisation: body.organisation,
        user: body.user,
        purpose: body.purpose,
        case: body.case,
        outcome: body.outcome,
        before: body.before,
        limit: body.limit,
        proofs: body.proofs,
        ..SearchAsk::default()
    };
    Ok(Json(officer::search(&app, &looking, ask).await?))
}

/// Entries by their places, and why one looks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntriesBody {
    reference: String,
    log_indexes: Vec<u64>,
}

pub(super) async fn entries(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<EntriesBody>,
) -> Result<Json<PageView>, Problem> {
    let looking = Looking::new(caller.officer()?, &body.reference);
    match officer::task(&app, &looking, Task::Show(body.log_indexes)).await? {
        OfficerReply::Page(page) => Ok(Json(*page)),
        _ => Err(Problem::malformed()),
    }
}

/// Why one looks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceBody {
    reference: String,
}

pub(super) async fn alarms(
    State(app): State<App>,
    Authorised(caller): Authorised,
    Body(body): Body<ReferenceBody>,
) -> Result<Json<AlarmsView>, Problem> {
    let looking = Looking::new(caller.officer()?, &body.reference);
    Ok(Json(officer::alarms(&app, &looking).await?))
}
