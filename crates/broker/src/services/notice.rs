//! `NoticeService`: one stream is one partner that fetches its hit notices.

use std::collections::BTreeSet;
use std::sync::Arc;

use hitmachine_core::{HitNotice, PartnerId};
use hitmachine_proto::notice::{NOTICE_WINDOW, encode};
use hitmachine_proto::v1;
use hitmachine_proto::v1::notice_service_server::NoticeService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Shared;
use crate::notice::{NoticeError, Notices};

type ToNode = mpsc::Sender<Result<v1::Notice, Status>>;

#[tonic::async_trait]
impl NoticeService for Shared {
    type FollowStream = ReceiverStream<Result<v1::Notice, Status>>;

    async fn follow(
        &self,
        request: Request<Streaming<v1::NoticeAck>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let partner = self.partner(&request)?;
        // Until the log is confirmed nothing of it is told.
        self.hub()?;
        let acks = request.into_inner();
        // Room for all that is under way and one error: sending never waits, so acknowledgements are always read.
        let (to_node, stream) = mpsc::channel(NOTICE_WINDOW + 1);
        let (notices, stopping) = (Arc::clone(&self.notices), self.stopping.clone());
        let (number, replaced) = notices.begin(&partner);
        tokio::spawn(async move {
            let ended = tokio::select! {
                ended = talk(&notices, &partner, acks, &to_node) => ended,
                () = stopping.wait() => Ok(()),
                _ = replaced => {
                    Err(Status::aborted("replaced: another node of this organisation fetches its hit notices"))
                }
            };
            notices.end(&partner, number);
            if let Err(status) = ended {
                let _ = to_node.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Sends what waits and what comes, until the node ends the stream.
async fn talk(
    notices: &Arc<Notices>,
    partner: &PartnerId,
    mut acks: Streaming<v1::NoticeAck>,
    to_node: &ToNode,
) -> Result<(), Status> {
    let mut grown = notices.grown();
    let mut last = None;
    let mut under_way = BTreeSet::new();
    loop {
        grown.mark_unchanged();
        let room = NOTICE_WINDOW.saturating_sub(under_way.len());
        if room > 0 {
            for notice in batch(notices, partner, last, room).await? {
                last = Some(notice.index);
                under_way.insert(notice.index);
                if to_node.try_send(Ok(encode(&notice))).is_err() {
                    return Ok(());
                }
            }
        }
        let full = under_way.len() >= NOTICE_WINDOW;
        tokio::select! {
            ack = acks.message() => {
                let Some(ack) = ack? else { return Ok(()) };
                for index in &ack.log_indexes {
                    under_way.remove(index);
                }
                let (notices, partner) = (Arc::clone(notices), partner.clone());
                blocking(move || notices.acknowledge(&partner, &ack.log_indexes)).await?;
            }
            changed = grown.changed(), if !full => {
                if changed.is_err() { return Ok(()) }
            }
        }
    }
}

async fn batch(
    notices: &Arc<Notices>,
    partner: &PartnerId,
    after: Option<u64>,
    most: usize,
) -> Result<Vec<HitNotice>, Status> {
    let (notices, partner) = (Arc::clone(notices), partner.clone());
    blocking(move || notices.batch(&partner, after, most)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NoticeError> + Send + 'static,
) -> Result<T, Status> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked
        .unwrap_or(Err(NoticeError::Stopped))
        .map_err(|error| match error {
            NoticeError::NotAPartner => Status::permission_denied(format!("not_a_partner: {error}")),
            NoticeError::Table(_) | NoticeError::Read(_) | NoticeError::Stopped => {
                let cause = hitmachine_service::console::chain(&error);
                tracing::error!(error = cause, "hit notices cannot be sent");
                Status::unavailable(format!("notices: {error}"))
            }
        })
}
