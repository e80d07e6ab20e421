//! The search index, kept in step with the log.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_audit::{LogReader, ReadError, StoredContent, StoredEntry};
use hitmachine_core::record::DecodedRecord;
use hitmachine_store::AuditIndex;
use hitmachine_store::audit_index::{IndexError, IndexRow};
use tokio::sync::Notify;

use crate::alarm::Alarms;

/// Entries that are added at a time.
const CHUNK: u64 = 1_024;
/// Pause when nothing is new.
const PAUSE: Duration = Duration::from_millis(100);
/// After how long without anything new the index is made durable.
const QUIET: Duration = Duration::from_secs(5);

/// How long somebody who searches waits for the index to have everything that the log had when he came.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause before he looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The index, and a word for whoever keeps it in step.
pub(crate) struct Indexed {
    index: AuditIndex,
    hurry: Notify,
}

impl Indexed {
    pub(crate) fn new(index: AuditIndex) -> Self {
        Self {
            index,
            hurry: Notify::new(),
        }
    }

    /// Whether it has what the log has now; waits for it a little, and no longer than it takes.
    pub(crate) async fn is_in_step(&self, reader: &LogReader) -> bool {
        let size = reader.head().size;
        let caught_up = async {
            while self.index.next() < size {
                self.hurry.notify_one();
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(PATIENCE, caught_up).await.is_ok()
    }
}

impl Deref for Indexed {
    type Target = AuditIndex;

    fn deref(&self) -> &AuditIndex {
        &self.index
    }
}

/// Why the index does not follow the log. Searching goes on with what it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexingError {
    /// An entry cannot be read.
    #[error("an entry of the log cannot be read")]
    Read(#[from] ReadError),
    /// The index itself.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Opens the index; one that is damaged, made with another key or of another log is begun anew, since the log has
/// everything in it.
///
/// # Errors
/// [`IndexError`].
pub(crate) fn open(dir: &Path, key: [u8; 32], size: u64) -> Result<Indexed, IndexError> {
    let index = match AuditIndex::open(dir, key) {
        Ok(index) if index.next() <= size => index,
        Ok(index) => {
            drop(index);
            tracing::warn!("the search index is of a larger log; it is built anew");
            AuditIndex::rebuild(dir, key)?
        }
        Err(error @ (IndexError::Damaged(_) | IndexError::OtherKey)) => {
            tracing::warn!(%error, "the search index is built anew");
            AuditIndex::rebuild(dir, key)?
        }
        Err(error) => return Err(error),
    };
    Ok(Indexed::new(index))
}

/// Adds everything up to `size`; `progress` hears how far it is.
///
/// # Errors
/// [`IndexingError`].
pub(crate) fn catch_up(
    index: &AuditIndex,
    reader: &LogReader,
    size: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<(), IndexingError> {
    loop {
        let from = index.next();
        if from >= size {
            return Ok(());
        }
        let end = size.min(from + CHUNK);
        let mut rows = Vec::new();
        for entry in reader.follow(from..end) {
            let entry = entry?;
            rows.extend(row(reader, &entry));
        }
        index.add(&rows, end)?;
        progress(end);
    }
}

/// What the index holds of an entry; nothing of control entries and of what was erased.
fn row(reader: &LogReader, entry: &StoredEntry) -> Option<IndexRow> {
    let fields = match &entry.content {
        StoredContent::Open(opening) => opening.fields(),
        StoredContent::Processing(processing) => processing.fields(),
        StoredContent::Control(_) | StoredContent::Erased => return None,
    };
    let key = reader.key_use(*entry.key_ids?.first()?)?;
    match DecodedRecord::decode(fields) {
        Ok(record) => Some(IndexRow {
            index: entry.index,
            time_ms: entry.time_ms,
            class: key.class,
            period: key.period,
            record,
        }),
        Err(error) => {
            tracing::error!(index = entry.index, %error, "an entry is not one that this program writes; not indexed");
            None
        }
    }
}

/// Follows the log for ever.
pub(crate) async fn follow(index: Arc<Indexed>, reader: LogReader, alarms: Arc<Alarms>) {
    let mut changed = Some(Instant::now());
    let mut before = index.next();
    loop {
        // Others that follow have had a pause's time for what was indexed in the last round.
        reader.followed(before);
        before = index.next();
        let size = reader.head().size;
        if index.next() < size {
            let (adding, reading) = (Arc::clone(&index), reader.clone());
            let added =
                tokio::task::spawn_blocking(move || catch_up(&adding, &reading, size, &mut |_| ())).await;
            if let Ok(Err(error)) = added {
                let error = hitmachine_service::console::chain(&error);
                tracing::error!(error, "the search index does not follow the log");
                alarms.raise("index_stopped", "");
                return std::future::pending().await;
            }
            changed = Some(Instant::now());
        } else if changed.is_some_and(|at| at.elapsed() >= QUIET) {
            let flushing = Arc::clone(&index);
            if let Ok(Err(error)) = tokio::task::spawn_blocking(move || flushing.flush()).await {
                tracing::error!(%error, "the search index cannot be made durable");
            }
            changed = None;
        }
        // Somebody may wait for it.
        let _ = tokio::time::timeout(PAUSE, index.hurry.notified()).await;
    }
}
