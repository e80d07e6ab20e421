//! The gRPC services: parse, call the hub, answer.

mod covenant;
mod query;
mod registry;

use std::sync::Arc;

use hitmachine_proto::MAX_MESSAGE_BYTES;
use hitmachine_proto::v1::covenant_service_server::CovenantServiceServer;
use hitmachine_proto::v1::query_service_server::QueryServiceServer;
use hitmachine_proto::v1::registry_service_server::RegistryServiceServer;
use tonic::service::Routes;
use tonic::{Code, Status};

use crate::hub::{AskError, Hub, SyncError};
use crate::peer::Peers;

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    hub: Arc<Hub>,
    peers: Arc<Peers>,
}

/// All services of the broker, health included, as one set of routes.
pub(crate) async fn routes(hub: Arc<Hub>) -> Routes {
    let shared = Shared {
        hub,
        peers: Arc::default(),
    };
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<QueryServiceServer<Shared>>().await;
    health.set_serving::<RegistryServiceServer<Shared>>().await;
    Routes::new(health_service)
        .add_service(CovenantServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(QueryServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(RegistryServiceServer::new(shared).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// The one place where errors become gRPC statuses. The message is `code: text`; neither holds data of a
/// request.
fn ask_status(error: &AskError) -> Status {
    match error {
        AskError::Busy => Status::resource_exhausted(format!("busy: {error}")),
        AskError::NoQuorum => Status::unavailable(format!("no_quorum: {error}")),
        AskError::LogStopped => Status::unavailable(format!("log_stopped: {error}")),
    }
}

fn sync_status(error: &SyncError) -> Status {
    let code = match error {
        SyncError::NotAllowed(_) | SyncError::RegistersNobody => Code::PermissionDenied,
        SyncError::UnderWay => Code::Aborted,
        SyncError::WrongKey | SyncError::WrongEpoch | SyncError::WrongDeployment => Code::FailedPrecondition,
        SyncError::Refused(_) => Code::InvalidArgument,
        SyncError::Storage(_) => Code::Unavailable,
    };
    Status::new(code, format!("{}: {error}", error.code()))
}
