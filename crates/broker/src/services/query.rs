//! `QueryService`.

use std::sync::Arc;

use hitmachine_core::ldv::trace_id_of;
use hitmachine_proto::v1;
use hitmachine_proto::v1::query_service_server::QueryService;
use hitmachine_service::server::UnderWay;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{Shared, ask_status};

/// The header of W3C Trace Context, which gRPC carries as metadata.
const TRACEPARENT: &str = "traceparent";

/// Of [`v1::Query`] the trace id alone: tokens are not copied for this.
#[derive(Message)]
struct QueryTrace {
    #[prost(bytes = "vec", tag = "8")]
    trace_id: Vec<u8>,
}

/// Whether the call's `traceparent` names another trace than the query, which alone is signed and logged. Headers that
/// are not well-formed are passed over, as the standard says (W3C Trace Context §3.2.2).
fn names_another_trace(metadata: &MetadataMap, query: &[u8]) -> bool {
    let header = metadata.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    let Some(named) = header.and_then(trace_id_of) else {
        return false;
    };
    // A query that cannot be read is refused elsewhere.
    QueryTrace::decode(query).is_ok_and(|query| query.trace_id != named)
}

#[tonic::async_trait]
impl QueryService for Shared {
    async fn ask(&self, request: Request<v1::AskRequest>) -> Result<Response<v1::AskResponse>, Status> {
        let asker = self.peers.identify(&request)?;
        if names_another_trace(request.metadata(), &request.get_ref().query) {
            tracing::warn!(
                oin = asker.oin.as_str(),
                "the traceparent of a call is not its query's; the query's counts"
            );
        }
        let hub = Arc::clone(self.hub()?);
        // What has begun is finished, also when the asker hangs up: a question that a live partner answered must not
        // be missing from the log. Until then it counts as the asker's.
        let under_way = request.extensions().get::<UnderWay>().cloned();
        let asking = tokio::spawn(async move {
            let answered = hub.ask(&asker, request.into_inner()).await;
            drop(under_way);
            answered
        });
        let answered = asking
            .await
            .map_err(|_| Status::internal("stopped: an internal task stopped"))?;
        answered.map(Response::new).map_err(|error| ask_status(&error))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
