//! `WitnessService`: one stream is one node.

use hitmachine_proto::v1;
use hitmachine_proto::v1::hub_message::Message as ToNode;
use hitmachine_proto::v1::witness_message::Message;
use hitmachine_proto::v1::witness_service_server::WitnessService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use crate::alarm;
use crate::witness::HelloError;

#[tonic::async_trait]
impl WitnessService for Shared {
    type WitnessStream = ReceiverStream<Result<v1::HubMessage, Status>>;

    async fn witness(
        &self,
        request: Request<Streaming<v1::WitnessMessage>>,
    ) -> Result<Response<Self::WitnessStream>, Status> {
        let partner = self.partner(&request)?;
        let asker = self.peers.identify(&request)?;
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.and_then(|message| message.message);
        let Some(Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("hello: a witness says hello first"));
        };
        let (number, mut messages) = self
            .witnesses
            .hello(&partner, &hello)
            .map_err(|error| match error {
                HelloError::Unknown => Status::permission_denied(format!("unknown_witness: {error}")),
                HelloError::Contradicted => Status::aborted(format!("contradicted: {error}")),
            })?;
        let (to_node, stream) = mpsc::channel(1);
        let (shared, stopping) = (self.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let mut alarms = shared.witnesses.alarms().subscribe();
            alarms.mark_changed();
            let mut told = Vec::new();
            let talk = async {
                loop {
                    tokio::select! {
                        message = messages.recv() => {
                            // Another stream of the same witness has taken its place.
                            let Some(message) = message else { break };
                            if to_node.send(Ok(message)).await.is_err() { break }
                        }
                        changed = alarms.changed() => {
                            if changed.is_err() { break }
                            let covenant = shared.rules.covenant();
                            let alarms = alarm::told(&alarms.borrow_and_update(), &covenant, &partner);
                            // A node that was told of none knows of none.
                            if alarms == told { continue }
                            told.clone_from(&alarms);
                            let message = v1::HubMessage { message: Some(ToNode::Alarms(v1::Alarms { alarms })) };
                            if to_node.send(Ok(message)).await.is_err() { break }
                        }
                        message = incoming.message() => {
                            let Ok(Some(message)) = message else { break };
                            match message.message {
                                Some(Message::AddCheckpoint(answer)) => {
                                    shared.witnesses.answer(&hello.verifier, number, answer);
                                }
                                Some(Message::Alarm(report)) => shared.report(&partner, &report),
                                Some(Message::Hello(_)) | None => break,
                            }
                        }
                    }
                }
            };
            tokio::select! {
                () = talk => {}
                () = stopping.wait() => {}
                () = shared.rules.no_longer_know(&asker) => {}
            }
            shared.witnesses.gone(&hello.verifier, number);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
