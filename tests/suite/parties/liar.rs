//! A hub that stands between a node and the real broker, with the broker's certificate, and lies.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use hitmachine_proto::v1;
use hitmachine_proto::v1::covenant_service_server::{CovenantService, CovenantServiceServer};
use hitmachine_proto::v1::hub_live_message::Message as Asked;
use hitmachine_proto::v1::live_message::Message as Said;
use hitmachine_proto::v1::live_service_server::{LiveService, LiveServiceServer};
use hitmachine_proto::v1::notice_service_server::{NoticeService, NoticeServiceServer};
use hitmachine_proto::v1::registry_service_server::{RegistryService, RegistryServiceServer};
use hitmachine_proto::v1::sync_request::Step;
use hitmachine_proto::v1::sync_response::Step as Reply;
use hitmachine_tests::wire::Wire;
use hitmachine_tests::world::World;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// What comes to a node instead of a question; those before it are there too.
pub(crate) type Question =
    Arc<dyn Fn(&v1::LiveQuestion, &[v1::LiveQuestion]) -> Vec<v1::LiveQuestion> + Send + Sync>;
/// What the real broker hears instead of a node's answer.
pub(crate) type Answer = Arc<dyn Fn(&mut v1::LiveAnswer) + Send + Sync>;
/// What a node hears of the hub.
pub(crate) type Fetched = Arc<dyn Fn(&mut v1::FetchResponse) + Send + Sync>;

type Stream1<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What it lies about.
struct Lies {
    question: Question,
    answer: Answer,
    fetched: Fetched,
    notices: Vec<v1::Notice>,
    acknowledged: Vec<u64>,
    questions: Vec<v1::LiveQuestion>,
}

/// The hub; it speaks to the real one with the certificate of the partner whose node it deceives.
#[derive(Clone)]
pub(crate) struct Liar {
    real: Wire,
    lies: Arc<Mutex<Lies>>,
}

impl Liar {
    /// Honest to begin with.
    pub(crate) async fn start(world: &World, partner: &str) -> (Self, SocketAddr) {
        let liar = Self {
            real: Wire::of(&world.deployment, partner, world.address).await,
            lies: Arc::new(Mutex::new(Lies {
                question: Arc::new(|question, _| vec![question.clone()]),
                answer: Arc::new(|_| ()),
                fetched: Arc::new(|_| ()),
                notices: Vec::new(),
                acknowledged: Vec::new(),
                questions: Vec::new(),
            })),
        };
        let routes = Routes::new(CovenantServiceServer::new(liar.clone()))
            .add_service(LiveServiceServer::new(liar.clone()))
            .add_service(NoticeServiceServer::new(liar.clone()))
            .add_service(RegistryServiceServer::new(liar.clone()));
        let address = world.serve_as_hub(routes).await;
        (liar, address)
    }

    /// Makes other questions of one.
    pub(crate) fn ask(
        &self,
        lie: impl Fn(&v1::LiveQuestion, &[v1::LiveQuestion]) -> Vec<v1::LiveQuestion> + Send + Sync + 'static,
    ) {
        self.lies.lock().unwrap().question = Arc::new(lie);
    }

    /// Changes answers.
    pub(crate) fn answer(&self, lie: impl Fn(&mut v1::LiveAnswer) + Send + Sync + 'static) {
        self.lies.lock().unwrap().answer = Arc::new(lie);
    }

    /// Changes what it says of itself.
    pub(crate) fn say(&self, lie: impl Fn(&mut v1::FetchResponse) + Send + Sync + 'static) {
        self.lies.lock().unwrap().fetched = Arc::new(lie);
    }

    /// Sends notices that nothing happened for.
    pub(crate) fn notify(&self, notices: Vec<v1::Notice>) {
        self.lies.lock().unwrap().notices = notices;
    }

    /// Which of them were acknowledged.
    pub(crate) fn acknowledged(&self) -> Vec<u64> {
        self.lies.lock().unwrap().acknowledged.clone()
    }
}

#[tonic::async_trait]
impl CovenantService for Liar {
    async fn fetch(&self, _: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let mut fetched = self.real.fetch().await?;
        let lie = Arc::clone(&self.lies.lock().unwrap().fetched);
        lie(&mut fetched);
        Ok(Response::new(fetched))
    }
}

#[tonic::async_trait]
impl LiveService for Liar {
    type AnswerStream = ReceiverStream<Result<v1::HubLiveMessage, Status>>;

    async fn answer(
        &self,
        request: Request<Streaming<v1::LiveMessage>>,
    ) -> Result<Response<Self::AnswerStream>, Status> {
        let mut from_node = request.into_inner();
        let first = from_node.message().await?.and_then(|message| message.message);
        let Some(Said::Hello(hello)) = first else {
            return Err(Status::invalid_argument("hello"));
        };
        let (to_real, mut from_real) = self.real.live_talk(hello).await?;
        let (to_node, stream) = mpsc::channel(64);
        let (asking, answering) = (Arc::clone(&self.lies), Arc::clone(&self.lies));
        tokio::spawn(async move {
            while let Ok(Some(message)) = from_real.message().await {
                let Some(Asked::Question(question)) = message.message else {
                    break;
                };
                let made = {
                    let mut lies = asking.lock().unwrap();
                    let made = (lies.question)(&question, &lies.questions);
                    lies.questions.push(question);
                    made
                };
                for question in made {
                    let message = Some(Asked::Question(question));
                    if to_node.send(Ok(v1::HubLiveMessage { message })).await.is_err() {
                        return;
                    }
                }
            }
        });
        tokio::spawn(async move {
            while let Ok(Some(mut message)) = from_node.message().await {
                if let Some(Said::Answer(answer)) = &mut message.message {
                    let lie = Arc::clone(&answering.lock().unwrap().answer);
                    lie(answer);
                }
                if to_real.send(message).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tonic::async_trait]
impl NoticeService for Liar {
    type FollowStream = Stream1<v1::Notice>;

    async fn follow(
        &self,
        request: Request<Streaming<v1::NoticeAck>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut acks = request.into_inner();
        let (lies, invented) = (Arc::clone(&self.lies), self.lies.lock().unwrap().notices.clone());
        tokio::spawn(async move {
            while let Ok(Some(ack)) = acks.message().await {
                lies.lock().unwrap().acknowledged.extend(ack.log_indexes);
            }
        });
        let sent = tokio_stream::iter(invented.into_iter().map(Ok));
        Ok(Response::new(Box::pin(sent.chain(tokio_stream::pending()))))
    }
}

/// Says that everything is stored, and stores nothing.
#[tonic::async_trait]
impl RegistryService for Liar {
    type SyncStream = Stream1<v1::SyncResponse>;

    async fn sync(
        &self,
        request: Request<Streaming<v1::SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let said = request.into_inner().filter_map(|request| {
            let step = match request.ok()?.step? {
                Step::Begin(_) => Reply::Begun(v1::SyncBegun {
                    generation: 1,
                    next_sequence: 1,
                    count: 0,
                    registered: 0,
                }),
                Step::Batch(batch) => Reply::Acknowledged(v1::SyncAcknowledged {
                    sequence: batch.sequence,
                }),
                Step::End(end) => Reply::Ended(v1::SyncEnded {
                    agreed: true,
                    count: end.count,
                }),
            };
            Some(Ok(v1::SyncResponse { step: Some(step) }))
        });
        Ok(Response::new(Box::pin(said)))
    }
}
