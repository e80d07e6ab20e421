//! The privacy officer's requests: built by the node, parsed by the broker.

use hitmachine_core::{CovenantVersion, OfficerRequest, RequestId, SignedRequest, TraceContext, User};
use prost::Message;

use crate::query::{MAX_QUERY_BYTES, MalformedQuery, array};
use crate::{WireError, v1};

pub use crate::v1::officer_action::Action;

/// The most entries on one page.
pub const MAX_ROWS: u32 = 500;
/// The most times that statistics by stretches of time may name: a year of weeks, and some.
pub const MAX_CUTS: usize = 61;

/// Encodes a request. The bytes are what the log entry is bound to: keep them, never encode again.
pub fn encode(request: &OfficerRequest, action: Action) -> Vec<u8> {
    v1::OfficerAction {
        request_id: request.request.as_bytes().to_vec(),
        user: Some(v1::User {
            id: request.user.id.as_str().into(),
            role: request.user.role.as_str().into(),
            responsible: request
                .user
                .responsible
                .as_ref()
                .map_or("", |id| id.as_str())
                .into(),
        }),
        reference: request.reference.as_str().into(),
        covenant_version: request.covenant.0.to_vec(),
        trace_id: request.trace.trace.to_vec(),
        parent_span_id: request.trace.parent.to_vec(),
        action: Some(action),
    }
    .encode_to_vec()
}

/// Parses a request, signed as it came.
///
/// # Errors
/// [`MalformedQuery`] names the first field that is missing or wrong.
pub fn parse(signed: SignedRequest) -> Result<(OfficerRequest, Action), MalformedQuery> {
    let unreadable = |field| MalformedQuery { request: None, field };
    if signed.bytes().len() > MAX_QUERY_BYTES {
        return Err(unreadable("query_too_long"));
    }
    let wire = v1::OfficerAction::decode(signed.bytes()).map_err(|_| unreadable("query_encoding"))?;
    let request = RequestId::from_bytes(&wire.request_id).map_err(|_| unreadable("request_id"))?;
    fields(wire, request, signed).map_err(|WireError(field)| MalformedQuery {
        request: Some(request),
        field,
    })
}

fn fields(
    wire: v1::OfficerAction,
    request: RequestId,
    signed: SignedRequest,
) -> Result<(OfficerRequest, Action), WireError> {
    let user = wire.user.ok_or(WireError("user_missing"))?;
    let responsible = Some(user.responsible).filter(|id| !id.is_empty());
    let action = wire.action.ok_or(WireError("action_missing"))?;
    let request = OfficerRequest {
        request,
        user: User {
            id: user.id.parse().map_err(|_| WireError("user"))?,
            role: user.role.parse().map_err(|_| WireError("role"))?,
            responsible: responsible
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| WireError("responsible"))?,
        },
        reference: wire.reference.parse().map_err(|_| WireError("reference"))?,
        covenant: CovenantVersion(array(&wire.covenant_version, "covenant_version")?),
        trace: TraceContext {
            trace: array(&wire.trace_id, "trace_id")?,
            parent: array(&wire.parent_span_id, "parent_span_id")?,
        },
        signed,
    };
    Ok((request, action))
}

/// The code of an action in the log: what was done, and what for.
pub fn action_code(action: &Action) -> &'static str {
    let of_use = |wanted: v1::Use, plain| match wanted {
        v1::Use::Export => "export",
        v1::Use::Report => "report",
        v1::Use::Sample => "sample",
        v1::Use::Ldv => "ldv",
        v1::Use::View | v1::Use::Unspecified => plain,
    };
    match action {
        Action::Search(search) => of_use(search.r#use(), "search"),
        Action::Entries(entries) => of_use(entries.r#use(), "entries"),
        Action::Statistics(_) => "statistics",
        Action::Completeness(_) => "completeness",
        Action::Review(_) => "review",
        Action::Alarms(_) => "alarms",
        Action::Erase(_) => "erase",
        Action::WaitingNotices(_) => "waiting_notices",
        Action::Acknowledge(_) => "acknowledge",
        Action::Lift(_) => "lift",
        Action::Overview(_) => "overview",
    }
}

/// Whether the action takes part of the log out (kind 4) rather than showing it (kind 3).
pub fn is_export(action: &Action) -> bool {
    matches!(action_code(action), "export" | "report" | "ldv")
}
