//! A partner without a node: says what it likes over real mTLS, to see what the broker makes of it.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{FieldId, VerifiedReceipt, verify_receipt};
use hitmachine_core::canary::canary_name;
use hitmachine_core::registry::Change;
use hitmachine_core::{Covenant, RequestId, RequestSigner, SignedRequest};
use hitmachine_proto::answer::{self, Answer, Outcome};
use hitmachine_proto::v1::canary_service_client::CanaryServiceClient;
use hitmachine_proto::v1::covenant_service_client::CovenantServiceClient;
use hitmachine_proto::v1::live_service_client::LiveServiceClient;
use hitmachine_proto::v1::notice_service_client::NoticeServiceClient;
use hitmachine_proto::v1::query_service_client::QueryServiceClient;
use hitmachine_proto::v1::registry_service_client::RegistryServiceClient;
use hitmachine_proto::v1::sync_request::Step;
use hitmachine_proto::v1::witness_service_client::WitnessServiceClient;
use hitmachine_proto::{MAX_MESSAGE_BYTES, receipt, registry, v1};
use hitmachine_pseudonym::{
    CanonicalIdentifier, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Token,
};
use hitmachine_service::client::{ConnectError, connect};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_service::tls::{TlsIdentity, client_config};
use hitmachine_testkit::deployment::{BROKER_NAME, Deployment};
use hitmachine_testkit::pki::{IssueOptions, TestAuthority};
use prost::Message;
use rustls::ClientConfig;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::logbook;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// One partner's connection.
#[derive(Clone)]
pub struct Wire {
    channel: Channel,
    signer: Option<Arc<RequestSigner>>,
}

/// Shows a certificate that `authority` issues as `options` say.
pub fn identity(
    deployment: &Deployment,
    authority: &TestAuthority,
    options: &IssueOptions,
) -> Arc<ClientConfig> {
    let dir = tempfile::tempdir().unwrap();
    authority
        .issue(options)
        .unwrap()
        .save(dir.path(), "stranger")
        .unwrap();
    of_files(deployment, dir.path(), "stranger")
}

/// Shows the certificate in `dir/name.pem`.
pub fn of_files(deployment: &Deployment, dir: &Path, name: &str) -> Arc<ClientConfig> {
    let identity = TlsIdentity {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    client_config(&identity, &deployment.dir().join("authority").join("ca.pem")).unwrap()
}

impl Wire {
    /// Connects with the certificate of a partner's node.
    pub async fn of(deployment: &Deployment, partner: &str, address: SocketAddr) -> Self {
        let tls = of_files(deployment, &deployment.dir().join("nodes").join(partner), "node");
        let wire = Self::open(address, tls).await.unwrap();
        wire.signing(deployment, partner)
    }

    /// Signs with the key of a partner's node from here on.
    #[must_use]
    pub fn signing(mut self, deployment: &Deployment, partner: &str) -> Self {
        let file = deployment
            .dir()
            .join("nodes")
            .join(partner)
            .join("request-signing.key");
        let (_, key) = SecretFile::read(file, Purpose::RequestSigning).unwrap();
        self.signer = Some(Arc::new(RequestSigner::new(&key)));
        self
    }

    /// A request as the node would send it; with a signature of zeros for a stranger.
    pub fn request(&self, query: Vec<u8>, known_sizes: Vec<u64>) -> v1::AskRequest {
        let signed = match &self.signer {
            Some(signer) => signer.sign(query),
            None => SignedRequest::new(query, [0; 64]),
        };
        v1::AskRequest {
            query: signed.bytes().to_vec(),
            signature: signed.signature().to_vec(),
            known_sizes,
            ..v1::AskRequest::default()
        }
    }

    /// Connects with any certificate.
    ///
    /// # Errors
    /// As the node sees it.
    pub async fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, ConnectError> {
        let channel = connect(&address.to_string(), BROKER_NAME, tls).await?;
        Ok(Self {
            channel,
            signer: None,
        })
    }

    /// Fetches the covenant.
    ///
    /// # Errors
    /// The broker's.
    pub async fn fetch(&self) -> Result<v1::FetchResponse, Status> {
        let fetched = CovenantServiceClient::new(self.channel.clone())
            .fetch(v1::FetchRequest::default())
            .await;
        fetched.map(tonic::Response::into_inner)
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// The broker's.
    pub async fn ask(&self, request: v1::AskRequest) -> Result<v1::AskResponse, Status> {
        let client = QueryServiceClient::new(self.channel.clone());
        let asked = client
            .max_decoding_message_size(8 * MAX_MESSAGE_BYTES)
            .ask(request)
            .await;
        asked.map(tonic::Response::into_inner)
    }

    /// Asks, and checks what the asking node would check, without any of its code.
    pub async fn ask_logged(
        &self,
        deployment: &Deployment,
        query: Vec<u8>,
        known_sizes: Vec<u64>,
    ) -> Vec<Logged> {
        let request = self.request(query, known_sizes);
        let response = self.ask(request.clone()).await.unwrap();
        logged(deployment, &request, &response)
    }

    /// Shows a canary and looks for those of others.
    ///
    /// # Errors
    /// The broker's.
    pub async fn check_canaries(&self, request: v1::CanaryRequest) -> Result<Vec<v1::CanaryState>, Status> {
        let mut client = CanaryServiceClient::new(self.channel.clone());
        let response = client.check(request).await?.into_inner();
        let states = response.states.into_iter();
        Ok(states
            .map(|state| v1::CanaryState::try_from(state).unwrap())
            .collect())
    }

    /// Begins a sync.
    ///
    /// # Errors
    /// The broker's.
    pub async fn sync(&self, begin: v1::SyncBegin) -> Result<(Sync, v1::SyncBegun), Status> {
        let mut sync = self.stream().await;
        sync.say(Step::Begin(begin)).await;
        match sync.hear().await? {
            v1::sync_response::Step::Begun(begun) => Ok((sync, begun)),
            other => panic!("{other:?}"),
        }
    }

    /// Opens the stream of hit notices: where to acknowledge, and what comes.
    ///
    /// # Errors
    /// The broker's.
    pub async fn notices(&self) -> Result<(mpsc::Sender<v1::NoticeAck>, Streaming<v1::Notice>), Status> {
        let (acks, outgoing) = mpsc::channel(16);
        let mut client = NoticeServiceClient::new(self.channel.clone());
        let opened = client.follow(ReceiverStream::new(outgoing)).await?;
        Ok((acks, opened.into_inner()))
    }

    /// Opens the stream of a node that answers live, with these first messages.
    ///
    /// # Errors
    /// The broker's.
    pub async fn live(
        &self,
        messages: Vec<v1::live_message::Message>,
    ) -> Result<Streaming<v1::HubLiveMessage>, Status> {
        let (to_hub, outgoing) = mpsc::channel(messages.len().max(1));
        for message in messages {
            let message = v1::LiveMessage {
                message: Some(message),
            };
            to_hub.send(message).await.unwrap();
        }
        let mut client = LiveServiceClient::new(self.channel.clone());
        let opened = client.answer(ReceiverStream::new(outgoing)).await;
        opened.map(tonic::Response::into_inner)
    }

    /// Opens the stream of a node that answers live, to talk over.
    ///
    /// # Errors
    /// The broker's.
    pub async fn live_talk(
        &self,
        hello: v1::LiveHello,
    ) -> Result<(mpsc::Sender<v1::LiveMessage>, Streaming<v1::HubLiveMessage>), Status> {
        let (to_hub, outgoing) = mpsc::channel(16);
        let message = Some(v1::live_message::Message::Hello(hello));
        to_hub.send(v1::LiveMessage { message }).await.unwrap();
        let mut client = LiveServiceClient::new(self.channel.clone());
        let opened = client.answer(ReceiverStream::new(outgoing)).await?;
        Ok((to_hub, opened.into_inner()))
    }

    /// Opens the stream of a witness, to talk over.
    ///
    /// # Errors
    /// The broker's.
    pub async fn witness(
        &self,
        hello: v1::WitnessHello,
    ) -> Result<(mpsc::Sender<v1::WitnessMessage>, Streaming<v1::HubMessage>), Status> {
        let (to_hub, outgoing) = mpsc::channel(16);
        let message = Some(v1::witness_message::Message::Hello(hello));
        to_hub.send(v1::WitnessMessage { message }).await.unwrap();
        let mut client = WitnessServiceClient::new(self.channel.clone());
        let opened = client.witness(ReceiverStream::new(outgoing)).await?;
        Ok((to_hub, opened.into_inner()))
    }

    /// Opens the stream of a sync and says nothing.
    pub async fn stream(&self) -> Sync {
        let (requests, outgoing) = mpsc::channel(256);
        let mut client = RegistryServiceClient::new(self.channel.clone());
        let responses = client
            .sync(ReceiverStream::new(outgoing))
            .await
            .unwrap()
            .into_inner();
        Sync { requests, responses }
    }
}

/// One answer with everything that proves it.
pub struct Logged {
    /// What the broker says.
    pub answer: Answer,
    /// What its log says.
    pub receipt: VerifiedReceipt,
}

impl Logged {
    /// The refusal's code; nothing if it was answered.
    pub fn refusal(&self) -> Option<&str> {
        match &self.answer.outcome {
            Outcome::Refused(code) => Some(code),
            Outcome::Found(_) => None,
        }
    }

    /// The OIN that the log names as asker.
    pub fn requester(&self) -> &str {
        let oin = self.receipt.opening().fields().get(FieldId::Requester).unwrap();
        std::str::from_utf8(oin).unwrap()
    }
}

/// Checks each answer's receipt: signature, inclusion, that field 7 says the same as the answer and that field 9 binds
/// it to exactly these bytes of question and answer.
pub fn logged(deployment: &Deployment, request: &v1::AskRequest, response: &v1::AskResponse) -> Vec<Logged> {
    let signed = [request.signature.as_slice(), &request.query].concat();
    let verifier = logbook::verifier(deployment);
    let parts = receipt::parts(response).unwrap();
    assert_eq!(parts.len(), response.answers.len());
    assert!(!parts.is_empty(), "no answer at all");
    let answers = parts.iter().zip(&response.answers);
    answers
        .map(|(parts, with)| {
            let receipt = verify_receipt(parts, &verifier, verifier.origin()).unwrap();
            let answer = answer::parse(&with.answer).unwrap();
            let fields = receipt.opening().fields();
            let binding = [Sha256::digest(&signed), Sha256::digest(&with.answer)].concat();
            assert_eq!(fields.get(FieldId::Binding), Some(binding.as_slice()), "field 9");
            let logged = Logged { answer, receipt };
            let said = logbook::refusal(logged.receipt.opening().fields());
            assert_eq!(said.as_deref(), logged.refusal(), "field 7");
            logged
        })
        .collect()
}

/// A sync by hand.
pub struct Sync {
    requests: mpsc::Sender<v1::SyncRequest>,
    responses: Streaming<v1::SyncResponse>,
}

impl Sync {
    /// Says one thing; the broker may have hung up already.
    pub async fn say(&mut self, step: Step) {
        let _ = self.requests.send(v1::SyncRequest { step: Some(step) }).await;
    }

    /// Hears one thing.
    ///
    /// # Errors
    /// The broker's.
    pub async fn hear(&mut self) -> Result<v1::sync_response::Step, Status> {
        let message = tokio::time::timeout(PATIENCE, self.responses.message()).await;
        Ok(message.expect("the broker says nothing")?.unwrap().step.unwrap())
    }

    /// Sends a batch; the acknowledged sequence.
    ///
    /// # Errors
    /// The broker's.
    pub async fn batch(&mut self, generation: u32, sequence: u64, changes: &[Change]) -> Result<u64, Status> {
        let changes = registry::pack(changes);
        self.say(Step::Batch(v1::SyncBatch {
            generation,
            sequence,
            changes,
        }))
        .await;
        match self.hear().await? {
            v1::sync_response::Step::Acknowledged(acknowledged) => Ok(acknowledged.sequence),
            other => panic!("{other:?}"),
        }
    }

    /// Ends it; whether the broker agrees.
    ///
    /// # Errors
    /// The broker's.
    pub async fn end(&mut self, generation: u32, count: u64, digest: Vec<u8>) -> Result<bool, Status> {
        self.say(Step::End(v1::SyncEnd {
            generation,
            count,
            digest,
        }))
        .await;
        match self.hear().await? {
            v1::sync_response::Step::Ended(ended) => Ok(ended.agreed),
            other => panic!("{other:?}"),
        }
    }
}

/// What the nodes of this deployment know together.
pub struct Shared {
    covenant: Covenant,
    pseudonymiser: HmacSha256Pseudonymiser,
}

impl Shared {
    /// Reads covenant and node key.
    pub fn of(deployment: &Deployment) -> Self {
        let covenant = Covenant::parse(&std::fs::read(deployment.covenant()).unwrap()).unwrap();
        let key = deployment.dir().join("nodes/leerplicht/node-key.key");
        let (_, key) = SecretFile::read(key, Purpose::NodeKey).unwrap();
        let pseudonymiser = HmacSha256Pseudonymiser::new(
            NodeKey::from_bytes(*key),
            covenant.deployment().id,
            KeyEpoch::FIRST,
        );
        Self {
            covenant,
            pseudonymiser,
        }
    }

    /// The token of a person number.
    pub fn token(&self, bsn: &str) -> Token {
        let identifier = CanonicalIdentifier::new(IdentifierType::Bsn, bsn.as_bytes()).unwrap();
        self.pseudonymiser.token(&identifier)
    }

    /// The canary of a partner.
    pub fn canary(&self, partner: &str) -> Token {
        let partner = self.covenant.partner(&partner.parse().unwrap()).unwrap();
        self.pseudonymiser.canary(&canary_name(&partner.oin).unwrap())
    }

    /// A look for canaries, in good order but for what it says of them.
    pub fn canaries(&self, own: &Token, others: &[(&str, &Token)]) -> v1::CanaryRequest {
        let others = others.iter().map(|(partner, token)| v1::CanaryOther {
            partner: (*partner).to_owned(),
            token: token.expose_secret().to_vec(),
        });
        v1::CanaryRequest {
            key_epoch: 1,
            covenant_version: self.covenant.version().0.to_vec(),
            own: own.expose_secret().to_vec(),
            others: others.collect(),
        }
    }

    /// A question in good order, about one adult, for `purpose`.
    pub fn query(&self, purpose: &str, role: &str, token: &Token) -> v1::Query {
        v1::Query {
            request_id: RequestId::generate().as_bytes().to_vec(),
            purpose: purpose.into(),
            case_reference: "ZK-2026-77".into(),
            user: Some(v1::User {
                id: "pietersen".into(),
                role: role.into(),
                responsible: String::new(),
            }),
            covenant_version: self.covenant.version().0.to_vec(),
            key_epoch: 1,
            subjects: vec![v1::Subject {
                class: v1::SubjectClass::Adult.into(),
                tokens: vec![v1::IdentifierToken {
                    r#type: 1,
                    token: token.expose_secret().to_vec(),
                }],
            }],
            trace_id: vec![2; 16],
            parent_span_id: vec![3; 8],
        }
    }

    /// A begin in good order.
    pub fn begin(&self) -> v1::SyncBegin {
        v1::SyncBegin {
            key_epoch: 1,
            key_check_value: self.pseudonymiser.key_check_value().as_bytes().to_vec(),
            deployment: self.covenant.deployment().id.as_bytes().to_vec(),
            full: false,
        }
    }
}

/// The bytes of a question.
pub fn bytes(query: &v1::Query) -> Vec<u8> {
    query.encode_to_vec()
}
