//! The newest entries as they were committed, for those who follow the log.
//!
//! Everything that follows the log reads each entry within a moment of its commit. From the disk that means reading,
//! parsing and decrypting its frame and checking its commitment, once for each follower: together more than the commit.
//! So the committer leaves what it has just made durable here, until it was followed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::read::{LogReader, ReadError, StoredContent, StoredEntry};
use crate::draft::parse_control;
use crate::hash::Hash;
use crate::receipt::Logged;

/// The most entries that are held, some 25 MB; older ones are read from the disk.
const MOST: usize = 16_384;

/// Entries, indexes ascending and without a gap.
pub(super) type Recent = VecDeque<Arc<StoredEntry>>;

impl LogReader {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a batch that is durable for those who follow.
    pub(super) fn remember(
        &self,
        first_index: u64,
        time_ms: u64,
        logged: &[Logged],
        sealed: &[(Hash, Option<[u32; 2]>)],
    ) {
        let mut recent = self.recent();
        for (index, (logged, (leaf_hash, key_ids))) in (first_index..).zip(logged.iter().zip(sealed)) {
            let content = match logged {
                Logged::Payload(opening) => StoredContent::Open(opening.clone()),
                Logged::Control(json) => {
                    let Some(control) = parse_control(json) else {
                        // Whoever reads it from the disk is told.
                        recent.clear();
                        continue;
                    };
                    StoredContent::Control(control)
                }
            };
            if recent.len() == MOST {
                recent.pop_front();
            }
            recent.push_back(Arc::new(StoredEntry {
                index,
                time_ms,
                leaf_hash: *leaf_hash,
                key_ids: *key_ids,
                content,
            }));
        }
    }

    /// As [`entries`](Self::entries), for those who follow the log: the newest come from memory.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn follow(&self, range: Range<u64>) -> impl Iterator<Item = Result<Arc<StoredEntry>, ReadError>> {
        let recent: Vec<_> = {
            let recent = self.recent();
            let from = recent.partition_point(|entry| entry.index < range.start);
            let upto = recent.partition_point(|entry| entry.index < range.end);
            recent.range(from..upto.max(from)).cloned().collect()
        };
        let first = recent.first().map_or(range.end, |entry| entry.index);
        let stored = self.entries(range.start..first).map(|entry| entry.map(Arc::new));
        stored.chain(recent.into_iter().map(Ok))
    }

    /// Says that entries below this index were followed: they are wiped from memory.
    pub fn followed(&self, upto: u64) {
        let mut recent = self.recent();
        while recent.front().is_some_and(|entry| entry.index < upto) {
            recent.pop_front();
        }
    }

    /// Holds nothing any more: something of it is about to be erased.
    pub(super) fn forget(&self) {
        self.recent().clear();
    }
}
