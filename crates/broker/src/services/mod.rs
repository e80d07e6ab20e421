//! The gRPC services: parse, call the hub, answer.

mod canary;
mod covenant;
mod live;
mod log;
mod notice;
mod officer;
mod query;
mod registry;
mod witness;

use std::io;
use std::sync::{Arc, OnceLock};

use hitmachine_core::{Asker, PartnerId, Refusal};
use hitmachine_proto::v1::canary_service_server::CanaryServiceServer;
use hitmachine_proto::v1::covenant_service_server::CovenantServiceServer;
use hitmachine_proto::v1::live_service_server::LiveServiceServer;
use hitmachine_proto::v1::log_service_server::LogServiceServer;
use hitmachine_proto::v1::notice_service_server::NoticeServiceServer;
use hitmachine_proto::v1::officer_service_server::OfficerServiceServer;
use hitmachine_proto::v1::query_service_server::QueryServiceServer;
use hitmachine_proto::v1::registry_service_server::RegistryServiceServer;
use hitmachine_proto::v1::witness_service_server::WitnessServiceServer;
use hitmachine_proto::{MAX_MESSAGE_BYTES, v1};
use hitmachine_service::shutdown::Shutdown;
use tonic::service::Routes;
use tonic::{Code, Request, Status};
use tonic_health::server::HealthReporter;

use crate::alarm::Alarms;
use crate::epochs::Registers;
use crate::hub::{AskError, Hub, SyncError};
use crate::notice::Notices;
use crate::officer::{ActError, Office};
use crate::peer::Peers;
use crate::publication::Publication;
use crate::rules::Rules;
use crate::witness::Witnesses;

/// What the handlers share. The hub is there once partners have confirmed the log.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) hub: Arc<OnceLock<Arc<Hub>>>,
    pub(crate) office: Arc<OnceLock<Arc<Office>>>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) registers: Arc<Registers>,
    /// What a node needs to know of the hub; covenant and key epochs are filled in.
    pub(crate) public: Arc<v1::FetchResponse>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) publication: Publication,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) peers: Arc<Peers>,
    /// Ends streams that would last for ever.
    pub(crate) stopping: Shutdown,
}

impl Shared {
    /// The hub.
    ///
    /// # Errors
    /// Until the log is confirmed nothing is answered.
    fn hub(&self) -> Result<&Arc<Hub>, Status> {
        let unconfirmed =
            "log_unconfirmed: too few partners have confirmed the audit log since the hub was started";
        self.hub.get().ok_or_else(|| Status::unavailable(unconfirmed))
    }

    /// Where the privacy officer works; there with the hub.
    fn office(&self) -> Result<&Arc<Office>, Status> {
        self.hub()?;
        self.office
            .get()
            .ok_or_else(|| Status::unavailable("starting: the hub is starting"))
    }

    /// The partner that asks.
    fn partner<T>(&self, request: &Request<T>) -> Result<PartnerId, Status> {
        let asker: Asker = self.peers.identify(request)?;
        let refused = |refusal: Refusal| Status::permission_denied(format!("{}: {refusal}", refusal.code()));
        Ok(self
            .rules
            .covenant()
            .identify(&asker)
            .map_err(refused)?
            .id
            .clone())
    }

    /// Reads a file of the published log.
    async fn blocking(
        &self,
        read: impl FnOnce() -> io::Result<Option<Vec<u8>>> + Send + 'static,
    ) -> Result<Vec<u8>, Status> {
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(Some(bytes))) => Ok(bytes),
            Ok(Ok(None)) => Err(Status::not_found("no_file: the published log has no such file")),
            _ => Err(Status::internal("log_io: the published log cannot be read")),
        }
    }

    /// Evidence that a node found.
    fn report(&self, partner: &PartnerId, report: &v1::AlarmReport) {
        self.alarms.reported(partner, report);
    }
}

/// All services of the broker, health included, as one set of routes.
pub(crate) async fn routes(shared: Shared) -> (Routes, HealthReporter) {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_not_serving::<QueryServiceServer<Shared>>().await;
    health.set_not_serving::<RegistryServiceServer<Shared>>().await;
    let routes = Routes::new(health_service)
        .add_service(CovenantServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(QueryServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(LogServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(OfficerServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(NoticeServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(LiveServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(WitnessServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(CanaryServiceServer::new(shared.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(RegistryServiceServer::new(shared).max_decoding_message_size(MAX_MESSAGE_BYTES));
    (routes, health)
}

/// Says that questions and registrations are taken now.
pub(crate) async fn serving(health: &HealthReporter) {
    health.set_serving::<QueryServiceServer<Shared>>().await;
    health.set_serving::<RegistryServiceServer<Shared>>().await;
}

/// The one place where errors become gRPC statuses. The message is `code: text`; neither holds data of a
/// request.
fn ask_status(error: &AskError) -> Status {
    match error {
        AskError::Busy => Status::resource_exhausted(format!("busy: {error}")),
        AskError::NoQuorum => Status::unavailable(format!("no_quorum: {error}")),
        AskError::LogStopped => Status::unavailable(format!("log_stopped: {error}")),
        AskError::NeverAsked => Status::failed_precondition(format!("never_asked: {error}")),
        AskError::NotRepeatable => Status::failed_precondition(format!("not_repeatable: {error}")),
    }
}

fn act_status(error: &ActError) -> Status {
    match error {
        ActError::Log(error) => ask_status(error),
        ActError::Index(_) => Status::unavailable(format!("index: {error}")),
        ActError::Read(_) => Status::data_loss(format!("log_damaged: {error}")),
        ActError::Erase(_) => Status::unavailable(format!("erase: {error}")),
        ActError::Stopped => Status::internal(format!("stopped: {error}")),
    }
}

fn sync_status(error: &SyncError) -> Status {
    let code = match error {
        SyncError::NotAllowed(_) | SyncError::RegistersNobody | SyncError::NotLive => Code::PermissionDenied,
        SyncError::UnderWay => Code::Aborted,
        SyncError::WrongKey | SyncError::WrongEpoch | SyncError::WrongDeployment => Code::FailedPrecondition,
        SyncError::Refused(_) => Code::InvalidArgument,
        SyncError::Storage(_) => Code::Unavailable,
    };
    Status::new(code, format!("{}: {error}", error.code()))
}
