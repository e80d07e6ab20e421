//! The stream of notices from the hub.

use std::time::Duration;

use hitmachine_core::{Covenant, HitNotice};
use hitmachine_proto::notice::{NOTICE_WINDOW, parse};
use hitmachine_proto::v1;
use hitmachine_service::console::chain;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::book::{Incoming, NoticeBook};
use crate::link::LinkError;
use crate::node::Node;
use crate::state::StateError;

/// First and longest pause before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often notices whose term has ended are looked for.
const TIDY_EVERY: Duration = Duration::from_hours(1);

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("a hit notice could not be stored")]
    State(#[from] StateError),
    #[error("this process is ending")]
    Ending,
}

/// Says that the stream is open for as long as it is there.
struct Connected<'a>(&'a NoticeBook);

impl<'a> Connected<'a> {
    fn new(book: &'a NoticeBook) -> Self {
        book.set_connected(true);
        Self(book)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.set_connected(false);
    }
}

impl Node {
    /// Fetches hit notices for ever; opens the stream again when it breaks.
    /// [`serve`](crate::serve::serve) does so too.
    pub async fn follow_notices(&self) {
        let tidying = async {
            loop {
                tokio::time::sleep(TIDY_EVERY).await;
                let book = std::sync::Arc::clone(&self.notices);
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || book.tidy()).await {
                    tracing::error!(%error, "hit notices whose term has ended could not be removed");
                }
            }
        };
        tokio::join!(self.keep_following(), tidying);
    }

    async fn keep_following(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            match self.stream_of_notices().await {
                Ok(()) => tracing::debug!("the stream of hit notices has ended"),
                Err(FollowError::Link(error)) if error.may_pass() => {
                    tracing::debug!(
                        error = chain(&error),
                        "hit notices cannot be fetched at this moment"
                    );
                }
                Err(error) => tracing::warn!(error = chain(&error), "hit notices cannot be fetched"),
            }
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One stream, until it ends.
    async fn stream_of_notices(&self) -> Result<(), FollowError> {
        // Hub and node must agree on covenant and key before a token of the one means anything to the other.
        self.link.covenant().await?;
        let (to_hub, outgoing) = mpsc::channel(1);
        let mut client = self.link.notices();
        let opening = client.follow(ReceiverStream::new(outgoing));
        let mut incoming = self.link.within(opening).await?.into_inner();
        let _connected = Connected::new(&self.notices);
        loop {
            let batch = batch(&mut incoming).await?;
            if batch.is_empty() {
                return Ok(());
            }
            let log_indexes = self.take_notices(batch).await?;
            if !log_indexes.is_empty() && to_hub.send(v1::NoticeAck { log_indexes }).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Stores notices; the log entries of those that may be acknowledged.
    async fn take_notices(&self, batch: Vec<v1::Notice>) -> Result<Vec<u64>, FollowError> {
        let mut notices = Vec::with_capacity(batch.len());
        for wire in batch {
            match parse(wire) {
                Ok(notice) => notices.push(notice),
                // Not acknowledged: the hub goes on saying that it waits.
                Err(error) => tracing::error!(%error, "the hub sent a hit notice that this node cannot read"),
            }
        }
        let mut covenant = self.link.covenant().await?;
        if !notices.iter().all(|notice| names(&covenant, notice)) {
            self.link.forget_covenant();
            covenant = self.link.covenant().await?;
        }
        let incoming: Vec<Incoming> = {
            let registers = self.synchroniser.registers.lock().await;
            // Under another key than that of the register no token of it would ever be found.
            let of = |notice: &HitNotice| Incoming::new(notice, &covenant, registers.get(notice.epoch));
            notices.iter().map(of).collect()
        };
        let book = std::sync::Arc::clone(&self.notices);
        let stored = tokio::task::spawn_blocking(move || book.store(incoming)).await;
        let new = stored.map_err(|_| FollowError::Ending)??;
        if new > 0 {
            tracing::info!(new, "hit notices came");
        }
        Ok(notices.iter().map(|notice| notice.index).collect())
    }
}

/// The next notice and those that are there already; none if the stream has ended.
async fn batch(incoming: &mut Streaming<v1::Notice>) -> Result<Vec<v1::Notice>, FollowError> {
    let mut batch = Vec::new();
    let Some(first) = incoming.message().await.map_err(LinkError::from)? else {
        return Ok(batch);
    };
    batch.push(first);
    while batch.len() < NOTICE_WINDOW {
        // After an error the stream has ended, which the next call says.
        match timeout(Duration::ZERO, incoming.message()).await {
            Ok(Ok(Some(next))) => batch.push(next),
            _ => break,
        }
    }
    Ok(batch)
}

/// Whether the covenant has what a notice names.
fn names(covenant: &Covenant, notice: &HitNotice) -> bool {
    covenant.partner_by_oin(&notice.requester).is_some() && covenant.purpose(&notice.purpose).is_some()
}
