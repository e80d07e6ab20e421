//! `LiveService`: one stream is one node that answers for its partner.

use std::time::Duration;

use hitmachine_core::covenant::Answers;
use hitmachine_proto::v1;
use hitmachine_proto::v1::live_message::Message;
use hitmachine_proto::v1::live_service_server::LiveService;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, sync_status};

/// How often it is looked whether the covenant still lets the partner answer live.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

#[tonic::async_trait]
impl LiveService for Shared {
    type AnswerStream = ReceiverStream<Result<v1::HubLiveMessage, Status>>;

    async fn answer(
        &self,
        request: Request<Streaming<v1::LiveMessage>>,
    ) -> Result<Response<Self::AnswerStream>, Status> {
        let asker = self.peers.identify(&request)?;
        let hub = self.hub()?;
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.and_then(|message| message.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument(
                "hello: a node that answers live says hello first",
            ));
        };
        let partner = hub
            .begin_live(&asker, &hello)
            .map_err(|error| sync_status(&error))?;
        let live = hub.live().clone();
        let accepted = live
            .hello(&partner, &hello)
            .map_err(|error| Status::already_exists(format!("live_taken: {error}")))?;
        let number = accepted.number;
        live.complete(&partner, number, hello.complete.unwrap_or_default());
        let (shared, stopping, ended) = (self.clone(), self.stopping.clone(), accepted.ended);
        tokio::spawn(async move {
            let talk = async {
                loop {
                    let Ok(Some(message)) = incoming.message().await else {
                        break;
                    };
                    match message.message {
                        Some(Message::Answer(answer)) => live.answer(&partner, number, &answer),
                        Some(Message::Complete(complete)) => live.complete(&partner, number, complete),
                        Some(Message::Hello(_)) | None => break,
                    }
                }
            };
            let granted = async {
                loop {
                    if let Ok(hub) = shared.hub() {
                        hub.watch().present(&partner, hub.now().0);
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                    let covenant = shared.rules.covenant();
                    let own = covenant.identify(&asker);
                    if !own.is_ok_and(|own| own.id == partner && own.answers == Answers::Live) {
                        tracing::info!(%partner, "the covenant does not let it answer live any more");
                        break;
                    }
                }
            };
            tokio::select! {
                () = talk => {}
                () = granted => {}
                // Another stream of the same partner has taken its place.
                _ = ended => {}
                () = stopping.wait() => {}
            }
            live.gone(&partner, number);
        });
        Ok(Response::new(ReceiverStream::new(accepted.outgoing)))
    }
}
