//! `RegistryService`: one stream is one sync.

use std::sync::Arc;

use hitmachine_core::Asker;
use hitmachine_core::registry::{Change, Tally};
use hitmachine_proto::v1::registry_service_server::RegistryService;
use hitmachine_proto::v1::sync_request::Step;
use hitmachine_proto::v1::sync_response::Step as Reply;
use hitmachine_proto::{registry, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, sync_status};
use crate::hub::Hub;

/// How many batches are made durable by one flush, and how many may wait: what a node sends faster than the disk
/// takes stays in the connection.
const TOGETHER: usize = 16;

type Replies = mpsc::Sender<Result<v1::SyncResponse, Status>>;

#[tonic::async_trait]
impl RegistryService for Shared {
    type SyncStream = ReceiverStream<Result<v1::SyncResponse, Status>>;

    async fn sync(
        &self,
        request: Request<Streaming<v1::SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let asker = self.peers.identify(&request)?;
        let (replies, stream) = mpsc::channel(TOGETHER);
        let (hub, incoming) = (Arc::clone(self.hub()?), request.into_inner());
        tokio::spawn(async move {
            if let Err(status) = one_sync(&hub, &asker, incoming, &replies).await {
                // The node may have gone; then nobody waits for the reason.
                let _ = replies.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// What the reading half hands on.
enum Incoming {
    Batch(u32, u64, Vec<Change>),
    End(v1::SyncEnd),
    Broken(Status),
}

async fn one_sync(
    hub: &Arc<Hub>,
    asker: &Asker,
    mut stream: Streaming<v1::SyncRequest>,
    replies: &Replies,
) -> Result<(), Status> {
    let first = stream.message().await?.and_then(|message| message.step);
    let Some(Step::Begin(begin)) = first else {
        return Err(Status::invalid_argument("sync_begin: a sync starts with begin"));
    };
    let (syncing, begun) = hub
        .begin_sync(asker, &begin)
        .await
        .map_err(|error| sync_status(&error))?;
    let generation = begun.generation;
    reply(
        replies,
        Reply::Begun(v1::SyncBegun {
            generation,
            next_sequence: begun.next_sequence,
            count: begun.tally.count,
            registered: begun.registered,
        }),
    )
    .await?;

    // Reading goes on while the disk works, so that one flush serves what came meanwhile.
    let (ready, mut waiting) = mpsc::channel(TOGETHER);
    let reader = tokio::spawn(read(stream, ready));
    let mut taken = Vec::with_capacity(TOGETHER);
    while waiting.recv_many(&mut taken, TOGETHER).await > 0 {
        let mut batches = Vec::with_capacity(taken.len());
        let (mut end, mut broken) = (None, None);
        for incoming in taken.drain(..) {
            match incoming {
                Incoming::Batch(named, sequence, changes) if named == generation => {
                    batches.push((sequence, changes));
                }
                Incoming::Batch(..) => {
                    return Err(Status::invalid_argument("generation: not the one of this sync"));
                }
                Incoming::End(message) => end = Some(message),
                Incoming::Broken(status) => broken = Some(status),
            }
        }
        if !batches.is_empty() {
            let taken = hub.take_batches(&syncing, batches).await;
            let sequence = taken.map_err(|error| sync_status(&error))?;
            reply(replies, Reply::Acknowledged(v1::SyncAcknowledged { sequence })).await?;
        }
        // What came whole before the stream broke is kept: on a bad line each attempt gets further.
        if let Some(status) = broken {
            return Err(status);
        }
        if let Some(end) = end {
            let digest = <[u8; 32]>::try_from(end.digest.as_slice());
            let digest = digest.map_err(|_| Status::invalid_argument("digest: must have 32 bytes"))?;
            let tally = Tally::from_parts(end.count, &digest);
            let ended = hub.end_sync(&syncing, tally).await;
            reply(replies, Reply::Ended(ended.map_err(|error| sync_status(&error))?)).await?;
            break;
        }
    }
    reader.abort();
    Ok(())
}

async fn read(mut stream: Streaming<v1::SyncRequest>, ready: mpsc::Sender<Incoming>) {
    loop {
        let incoming = match stream.message().await {
            Ok(None) => return,
            Ok(Some(message)) => match message.step {
                Some(Step::Batch(batch)) => match registry::unpack(&batch.changes) {
                    Ok(changes) => Incoming::Batch(batch.generation, batch.sequence, changes),
                    Err(error) => Incoming::Broken(Status::invalid_argument(format!("{}: {error}", error.0))),
                },
                Some(Step::End(end)) => Incoming::End(end),
                _ => Incoming::Broken(Status::invalid_argument("step: expected a batch or the end")),
            },
            Err(status) => Incoming::Broken(status),
        };
        let last = !matches!(incoming, Incoming::Batch(..));
        if ready.send(incoming).await.is_err() || last {
            return;
        }
    }
}

async fn reply(replies: &Replies, step: Reply) -> Result<(), Status> {
    let sent = replies.send(Ok(v1::SyncResponse { step: Some(step) })).await;
    sent.map_err(|_| Status::cancelled("the node has gone"))
}
