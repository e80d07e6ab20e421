//! The way to the hub: one channel, and the parameters that hub and node must agree on.

use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hitmachine_core::covenant::{Answers, NotAccepted};
use hitmachine_core::ldv::traceparent;
use hitmachine_core::{Covenant, PartnerId, SignedRequest};
use hitmachine_proto::v1::canary_service_client::CanaryServiceClient;
use hitmachine_proto::v1::covenant_service_client::CovenantServiceClient;
use hitmachine_proto::v1::live_service_client::LiveServiceClient;
use hitmachine_proto::v1::log_service_client::LogServiceClient;
use hitmachine_proto::v1::notice_service_client::NoticeServiceClient;
use hitmachine_proto::v1::officer_service_client::OfficerServiceClient;
use hitmachine_proto::v1::query_service_client::QueryServiceClient;
use hitmachine_proto::v1::registry_service_client::RegistryServiceClient;
use hitmachine_proto::v1::witness_service_client::WitnessServiceClient;
use hitmachine_proto::{MAX_MESSAGE_BYTES, query, v1};
use hitmachine_pseudonym::{DeploymentId, DeploymentKind};
use hitmachine_service::client::{ConnectError, ShownCertificate, classify, connect_lazy_seeing};
use hitmachine_service::network::Dial;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::agreements::{Agreements, TakeError};
use crate::epochs::Keys;
use crate::state::StateError;

/// The most bytes of a page of log entries: 500, of which each may carry a signed request of 32 kB.
const MAX_PAGE_BYTES: usize = 32 * 1024 * 1024;
/// How much longer than a question an officer's action may take: it reads far back, and may erase.
const OFFICER_PATIENCE: u32 = 12;

/// Why the hub gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No connection, or not a safe one.
    #[error("the hub cannot be reached: {0}")]
    Connect(#[source] ConnectError),
    /// It did not answer in time.
    #[error("the hub did not answer in time")]
    TimedOut,
    /// It answered with an error of its own; the text is the hub's.
    #[error("the hub refused: {0}")]
    Refused(String),
    /// The hub and this node do not belong together.
    #[error("this node and the hub do not agree on {0}")]
    Disagree(&'static str),
    /// The covenant that it sent is not signed as it must be, is older than the one held here, or is another one.
    #[error("the hub's covenant is not accepted: {0}")]
    NotAccepted(#[source] NotAccepted),
    /// The covenant that was accepted cannot be remembered.
    #[error(transparent)]
    State(#[from] StateError),
    /// What it sent cannot be read.
    #[error("the hub sent something that this node cannot read ({0})")]
    Unreadable(&'static str),
}

impl LinkError {
    /// Whether the same attempt can succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect(error) => error.may_pass(),
            Self::TimedOut => true,
            Self::Refused(text) => [
                "busy",
                "covenant_changed",
                "log_stopped",
                "log_unconfirmed",
                "no_quorum",
                "notices",
                "sync_under_way",
                "storage",
                "wrong_epoch",
            ]
            .iter()
            .any(|code| text.starts_with(code)),
            Self::Disagree(_) | Self::Unreadable(_) | Self::NotAccepted(_) | Self::State(_) => false,
        }
    }
}

impl From<Status> for LinkError {
    fn from(status: Status) -> Self {
        match classify(&status) {
            Some(error) => Self::Connect(error),
            None if status.code() == tonic::Code::DeadlineExceeded
                || status.code() == tonic::Code::Cancelled =>
            {
                Self::TimedOut
            }
            // A status that the hub sent has no cause on this side; a broken connection has one.
            None if status.source().is_some() => Self::Connect(ConnectError::Protocol),
            None => Self::Refused(status.message().to_owned()),
        }
    }
}

/// What this node holds about its deployment; compared with the hub's.
#[derive(Clone, Debug)]
pub struct Own {
    /// Short name in the covenant.
    pub partner: PartnerId,
    /// 16 public bytes.
    pub deployment: DeploymentId,
    /// Production, test or demo.
    pub kind: DeploymentKind,
    /// Origin of the log, as in the verifier key.
    pub origin: String,
}

/// The hub, as this node sees it.
pub struct Link {
    channel: Channel,
    certificate: ShownCertificate,
    own: Own,
    keys: Arc<Keys>,
    timeout: Duration,
    agreements: Arc<Agreements>,
    covenant: RwLock<Option<Arc<Covenant>>>,
    /// One at a time, or an older covenant could come in after a newer one.
    fetching: tokio::sync::Mutex<()>,
}

impl Link {
    /// A link that connects at its first call, and again after each break.
    ///
    /// # Errors
    /// [`LinkError::Connect`] if address or server name have no valid form.
    pub fn new(
        (address, server_name): (&str, &str),
        tls: Arc<rustls::ClientConfig>,
        network: Arc<dyn Dial>,
        own: Own,
        keys: Arc<Keys>,
        timeout: Duration,
        agreements: Arc<Agreements>,
    ) -> Result<Self, LinkError> {
        let certificate = ShownCertificate::default();
        let channel = connect_lazy_seeing(address, server_name, tls, certificate.clone(), network);
        Ok(Self {
            channel: channel.map_err(LinkError::Connect)?,
            certificate,
            own,
            keys,
            timeout,
            agreements,
            covenant: RwLock::new(None),
            fetching: tokio::sync::Mutex::new(()),
        })
    }

    /// What this node holds about its deployment.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Until when the certificate is valid that the hub showed last, if it was connected to.
    pub fn hub_certificate_end(&self) -> Option<jiff::Timestamp> {
        self.certificate.not_after()
    }

    /// The pseudonym keys that this node holds.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What this node accepted.
    pub fn agreements(&self) -> &Arc<Agreements> {
        &self.agreements
    }

    fn known_covenant(&self) -> Option<Arc<Covenant>> {
        let known = self.covenant.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(Arc::clone)
    }

    /// The covenant in force: fetched at the first call and kept until [`Link::forget_covenant`]. Another one than the
    /// node held is remembered, and what is different is logged.
    ///
    /// # Errors
    /// [`LinkError::Disagree`] if the hub has another deployment, epoch, scheme, key or log, or does not know this
    /// organisation under its name; [`LinkError::NotAccepted`] if the covenant's administrators did not sign it. Then
    /// nothing may be asked or sent.
    pub async fn covenant(&self) -> Result<Arc<Covenant>, LinkError> {
        if let Some(covenant) = self.known_covenant() {
            return Ok(covenant);
        }
        let _one_at_a_time = self.fetching.lock().await;
        if let Some(covenant) = self.known_covenant() {
            return Ok(covenant);
        }
        self.refresh().await
    }

    /// Fetches covenant and key epochs anew. What was fetched before stays in use if that fails.
    ///
    /// # Errors
    /// As [`Link::covenant`].
    pub async fn refresh(&self) -> Result<Arc<Covenant>, LinkError> {
        let mut client = CovenantServiceClient::new(self.channel.clone());
        let request = v1::FetchRequest {
            held_number: self.agreements.held_number(),
            held: self.keys.describe(),
        };
        let fetched = self.within(client.fetch(request)).await?.into_inner();
        let own = &self.own;
        let disagree = |what| Err(LinkError::Disagree(what));
        self.keys.hear(&fetched)?;
        if fetched.log_origin != own.origin {
            return disagree("the audit log");
        }
        let covenant =
            Covenant::parse(&fetched.covenant).map_err(|_| LinkError::Unreadable("the covenant"))?;
        let deployment = covenant.deployment();
        if deployment.id != own.deployment || deployment.kind != own.kind {
            return disagree("the deployment");
        }
        if covenant.partner(&own.partner).is_none() {
            return disagree("this organisation's name in the covenant");
        }
        let agreements = Arc::clone(&self.agreements);
        let taking = tokio::task::spawn_blocking(move || agreements.take(covenant, &fetched));
        let taken = taking
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let (covenant, changes) = taken.map_err(|error| match error {
            TakeError::NotAccepted(error) => LinkError::NotAccepted(error),
            TakeError::State(error) => LinkError::State(error),
        })?;
        if let Some(changes) = changes {
            let (number, version) = (covenant.number(), covenant.version());
            tracing::info!(number, %version, changes = changes.len(), "the covenant has changed");
            for change in changes {
                tracing::info!(change = change.text_en(), "changed in the covenant");
            }
        }
        *self.covenant.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&covenant));
        Ok(covenant)
    }

    /// Has the next [`Link::covenant`] fetch it again.
    pub fn forget_covenant(&self) {
        *self.covenant.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks one question. The call carries the query's trace as `traceparent` (W3C Trace Context), for whatever stands
    /// between the two; what counts at the hub is the signed query.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn ask(&self, request: v1::AskRequest) -> Result<v1::AskResponse, LinkError> {
        let mut client =
            QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let traceparent = traceparent_of(&request);
        let mut call = Request::new(request);
        if let Some(value) = traceparent {
            call.metadata_mut().insert("traceparent", value);
        }
        // The hub itself may wait for partners that answer live.
        let patience = self.timeout.saturating_add(self.longest_deadline());
        Ok(Self::within_time(patience, client.ask(call)).await?.into_inner())
    }

    /// How long the hub waits at most for partners that answer live.
    fn longest_deadline(&self) -> Duration {
        let held = self.covenant.read().unwrap_or_else(PoisonError::into_inner);
        let partners = held.as_ref().map_or(&[] as &[_], |covenant| covenant.partners());
        let live = partners.iter().filter(|partner| partner.answers == Answers::Live);
        let longest = live.map(|partner| partner.live_deadline_ms).max();
        Duration::from_millis(longest.unwrap_or(0).into())
    }

    /// Whether the hub takes questions at this moment.
    pub async fn is_serving(&self) -> bool {
        let request = HealthCheckRequest {
            service: v1::query_service_server::SERVICE_NAME.to_owned(),
        };
        let checked = self
            .within(HealthClient::new(self.channel.clone()).check(request))
            .await;
        checked.is_ok_and(|checked| checked.into_inner().status() == ServingStatus::Serving)
    }

    /// Shows this node's canary and looks for those of others; what came of each, in their order.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn check_canaries(
        &self,
        request: v1::CanaryRequest,
    ) -> Result<Vec<v1::CanaryState>, LinkError> {
        let mut client = CanaryServiceClient::new(self.channel.clone());
        let response = self.within(client.check(request)).await?.into_inner();
        let states = response.states.into_iter().map(|state| {
            v1::CanaryState::try_from(state)
                .ok()
                .filter(|state| *state != v1::CanaryState::Unspecified)
                .ok_or(LinkError::Unreadable("canaries"))
        });
        states.collect()
    }

    /// Does one action of a privacy officer.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn act(&self, request: v1::OfficerRequest) -> Result<v1::OfficerResponse, LinkError> {
        let mut client =
            OfficerServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_PAGE_BYTES);
        let patience = self.timeout.saturating_mul(OFFICER_PATIENCE);
        let response = Self::within_time(patience, client.act(request)).await?;
        Ok(response.into_inner())
    }

    /// A client for the published log.
    pub fn log(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_PAGE_BYTES)
    }

    /// A client for answering live.
    pub fn live(&self) -> LiveServiceClient<Channel> {
        LiveServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A client for witnessing.
    pub fn witness(&self) -> WitnessServiceClient<Channel> {
        WitnessServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A client for fetching hit notices.
    pub fn notices(&self) -> NoticeServiceClient<Channel> {
        NoticeServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A client for synchronising.
    pub fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    /// Bounds one call in time.
    ///
    /// # Errors
    /// [`LinkError::TimedOut`], or the call's.
    pub async fn within<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, LinkError> {
        Self::within_time(self.timeout, call).await
    }

    async fn within_time<T>(
        time: Duration,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, LinkError> {
        match tokio::time::timeout(time, call).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(LinkError::TimedOut),
        }
    }
}

/// `traceparent` of the query in a request; `None` if that is not a query or has no valid ids.
fn traceparent_of(request: &v1::AskRequest) -> Option<MetadataValue<Ascii>> {
    let signature = request.signature.as_slice().try_into().ok()?;
    let query = query::parse(SignedRequest::new(request.query.clone(), signature)).ok()?;
    traceparent(&query.trace)?.parse().ok()
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
