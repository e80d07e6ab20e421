//! The completeness check: each entry has its payload, or an erasure that is done covers what is missing.
//! Otherwise "lost" and "erased" would look the same.

use std::collections::BTreeMap;

use super::{Erasures, LogReader, ReadError, StoredContent, StoredEntry};
use crate::fields::Group;

/// What a whole log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// All entries.
    pub entries: u64,
    /// Control entries.
    pub control: u64,
    /// Payloads that open and fit, both groups.
    pub open: u64,
    /// Payloads of which group B is missing and group A opens and fits.
    pub processing_only: u64,
    /// Payloads that are missing.
    pub erased: u64,
    /// The first entry that is not as it should be, and what is wrong; `None` if the log is complete.
    pub first_bad: Option<(u64, Incomplete)>,
}

/// Why an entry counts as lost or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incomplete {
    /// The frame it is in is damaged.
    #[error("frame is damaged")]
    Frame,
    /// What is stored gives another leaf than the tree has.
    #[error("entry does not fit its leaf")]
    Leaf,
    /// A ciphertext does not open though its key is there, or opens to something else than was committed to.
    #[error("payload does not open or does not fit")]
    Payload,
    /// This key is missing and no erasure destroyed it.
    #[error("key {0} is missing without an erasure")]
    Key(u32),
    /// Its segment is missing and no erasure unlinked it.
    #[error("segment is missing without an erasure")]
    Segment,
    /// The ciphertext is empty though its key is there.
    #[error("payload is empty without an erasure")]
    Empty,
    /// What is missing is covered only by the intent at this index: the erasure is not finished.
    #[error("erasure begun at entry {0} is not finished")]
    Unfinished(u64),
    /// Its segment was unlinked, and the published bundle is missing or malformed.
    #[error("published bundle of an erased entry is missing")]
    Bundle,
    /// The disk refused.
    #[error("entry cannot be read")]
    Unreadable,
}

impl Incomplete {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Frame => "incomplete_frame",
            Self::Leaf => "incomplete_leaf",
            Self::Payload => "incomplete_payload",
            Self::Key(_) => "incomplete_key",
            Self::Segment => "incomplete_segment",
            Self::Empty => "incomplete_empty",
            Self::Unfinished(_) => "incomplete_unfinished",
            Self::Bundle => "incomplete_bundle",
            Self::Unreadable => "incomplete_unreadable",
        }
    }

    const fn of(error: &ReadError) -> Self {
        match error {
            ReadError::Frame(..) => Self::Frame,
            ReadError::Leaf(_) => Self::Leaf,
            ReadError::Payload(_) | ReadError::Commitment(_) => Self::Payload,
            ReadError::Bundle(_) => Self::Bundle,
            ReadError::NoEntry(_) | ReadError::Io(_) => Self::Unreadable,
        }
    }
}

/// Reads the whole log, also what is added meanwhile, and counts. Needs the memory of one frame. An erasure
/// that is under way when the check ends shows as [`Incomplete::Unfinished`]: check again when it is done.
///
/// `progress` is called after each entry with how many were looked at and how many there are.
pub fn completeness(reader: &LogReader, progress: &mut dyn FnMut(u64, u64)) -> Completeness {
    let mut check = Check::new();
    loop {
        // Asked for before the head: what took frames or keys away is told of below it.
        let first_framed = reader.book().first_framed();
        let head = reader.head().size;
        let from = check.found.entries;
        if from == head {
            return check.finish(first_framed);
        }
        for entry in reader.entries(from..head) {
            match entry {
                Ok(entry) => check.entry(reader, &entry),
                Err(error) => check.error(&error),
            }
            progress(check.found.entries, head);
        }
        check.found.entries = head;
    }
}

struct Check {
    found: Completeness,
    /// The first entry that needs each missing key. Whether an erasure covers it stands later in the log.
    missing: BTreeMap<u32, u64>,
    erasures: Erasures,
}

impl Check {
    fn new() -> Self {
        Self {
            found: Completeness {
                entries: 0,
                control: 0,
                open: 0,
                processing_only: 0,
                erased: 0,
                first_bad: None,
            },
            missing: BTreeMap::new(),
            erasures: Erasures::default(),
        }
    }

    fn bad(&mut self, index: u64, reason: Incomplete) {
        if self.found.first_bad.is_none_or(|(first, _)| index < first) {
            self.found.first_bad = Some((index, reason));
        }
    }

    fn error(&mut self, error: &ReadError) {
        let index = error.index().unwrap_or(self.found.entries);
        self.bad(index, Incomplete::of(error));
    }

    fn entry(&mut self, reader: &LogReader, entry: &StoredEntry) {
        self.found.entries = entry.index + 1;
        match &entry.content {
            StoredContent::Control(control) => {
                self.found.control += 1;
                self.erasures.control(entry.index, control);
            }
            StoredContent::Open(_) => self.found.open += 1,
            StoredContent::Processing(_) => {
                self.found.processing_only += 1;
                self.needs(reader, entry, Group::B);
            }
            StoredContent::Erased => {
                self.found.erased += 1;
                self.needs(reader, entry, Group::A);
                let [_, b] = entry.key_ids.unwrap_or_default();
                if entry.key_ids.is_some() && reader.keys().by_id(b).is_none() {
                    self.needs(reader, entry, Group::B);
                }
            }
        }
    }

    /// This group of the entry cannot be read.
    fn needs(&mut self, reader: &LogReader, entry: &StoredEntry, group: Group) {
        // Of an unlinked segment the indexes count, not the keys.
        let Some([a, b]) = entry.key_ids else { return };
        let id = match group {
            Group::A => a,
            Group::B => b,
        };
        // A key that is gone never comes back while the log is open.
        if reader.keys().by_id(id).is_some() {
            self.bad(entry.index, Incomplete::Empty);
        } else {
            self.missing.entry(id).or_insert(entry.index);
        }
    }

    fn finish(mut self, first_framed: u64) -> Completeness {
        let unfinished = self
            .erasures
            .unfinished()
            .map(|(intent, erasure)| (intent, erasure.clone()));
        for (id, index) in std::mem::take(&mut self.missing) {
            if self.erasures.has_key(id) {
                continue;
            }
            let reason = match &unfinished {
                Some((intent, erasure)) if erasure.key_ids().contains(&id) => Incomplete::Unfinished(*intent),
                _ => Incomplete::Key(id),
            };
            self.bad(index, reason);
        }
        let covered = self.erasures.done_end();
        if covered < first_framed {
            let reason = match &unfinished {
                Some((intent, erasure)) if erasure.indexes.contains(&covered) => {
                    Incomplete::Unfinished(*intent)
                }
                _ => Incomplete::Segment,
            };
            self.bad(covered, reason);
        }
        self.found
    }
}
