//! What witnesses have cosigned, as answers carry it.

use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{Head, LogReader};
use hitmachine_proto::{receipt, v1};
use tokio::sync::watch;

/// How long an answer under a strict purpose waits for the quorum.
const PATIENCE: Duration = Duration::from_secs(5);

/// A checkpoint that a quorum of witnesses cosigned.
#[derive(Clone, Debug)]
pub(crate) struct Cosigned {
    /// The signed note, with its cosignatures.
    pub(crate) note: Arc<[u8]>,
    /// Its size and root.
    pub(crate) head: Head,
    /// The time by which the quorum held, in seconds since 1970.
    pub(crate) time: u64,
}

/// The newest one, as whoever asks the witnesses sets it.
pub(crate) type Newest = watch::Receiver<Option<Arc<Cosigned>>>;

/// What goes with an answer whose entries lie below `size`: the newest cosigned checkpoint, unless the asker holds it
/// (`held`: size and time), and the proof that ties it to the answer's own.
pub(crate) fn beside(
    newest: &Newest,
    reader: &LogReader,
    size: u64,
    held: (u64, u64),
) -> Option<v1::Cosigned> {
    let newest = newest.borrow().clone();
    let fresh = newest.filter(|newest| (newest.head.size, newest.time) != held);
    let (note, other) = match &fresh {
        Some(newest) => (newest.note.to_vec(), newest.head.size),
        None if held == (0, 0) => return None,
        None => (Vec::new(), held.0),
    };
    // A size that the asker made up has no proof.
    let proof = reader.consistency_proof(size.min(other), size.max(other))?;
    Some(v1::Cosigned {
        note,
        consistency: receipt::flat(&proof),
    })
}

/// Returns once a quorum has cosigned `size` entries; false if that takes too long.
pub(crate) async fn covers(newest: &Newest, size: u64) -> bool {
    let mut newest = newest.clone();
    let enough =
        |newest: &Option<Arc<Cosigned>>| newest.as_ref().is_some_and(|newest| newest.head.size >= size);
    let waited = tokio::time::timeout(PATIENCE, newest.wait_for(enough)).await;
    matches!(waited, Ok(Ok(_)))
}
