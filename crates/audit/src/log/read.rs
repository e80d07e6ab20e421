//! Reading entries back, each checked against its leaf.

use std::{
    fmt, io, iter,
    ops::Range,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::{Map, Value};

use super::{HeadConflict, book::Book, commit::aad};
use crate::{
    checkpoint::Head,
    disk::Disk,
    draft::parse_control,
    fields::{Commitment, Fields, Group, Opening, Processing},
    frame::{self, FrameError, Record, Sealed},
    hash::Hash,
    keyring::KeyRing,
    note::Origin,
    replay::Place,
};

/// A frame and the entries it holds.
struct FramePlace {
    range: Range<u64>,
    place: Place,
    path: Option<PathBuf>,
}

/// Why an entry cannot be read. Everything but `NoEntry` and `Io` means that the file was changed since it
/// was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No entry has this index.
    #[error("log has no entry {0}")]
    NoEntry(u64),
    /// The frame it is in is damaged.
    #[error("frame of the entries from {0} is damaged")]
    Frame(u64, #[source] FrameError),
    /// The record gives another leaf than the tree has.
    #[error("entry {0} does not fit its leaf")]
    Leaf(u64),
    /// A ciphertext does not open in this place under its key, though that is there.
    #[error("payload of entry {0} does not open")]
    Payload(u64),
    /// The payload opens, but is not what was committed to.
    #[error("payload of entry {0} does not fit its commitment")]
    Commitment(u64),
    /// The disk.
    #[error("log cannot be read")]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoEntry(_) => "no_entry",
            Self::Frame(_, error) => error.code(),
            Self::Leaf(_) => "leaf",
            Self::Payload(_) => "payload",
            Self::Commitment(_) => "commitment",
            Self::Io(_) => "log_io",
        }
    }
}

/// An entry that fits its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Index of the leaf.
    pub index: u64,
    /// Time of its commit in milliseconds since 1970, as the broker's clock had it.
    pub time_ms: u64,
    /// The leaf.
    pub leaf_hash: Hash,
    /// The period keys that groups A and B were sealed with, also when they are destroyed; `None` for a control entry.
    pub key_ids: Option<[u32; 2]>,
    /// What is left to read.
    pub content: StoredContent,
}

/// What is left of an entry. `Debug` shows no values of payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredContent {
    /// A public control entry.
    Control(Map<String, Value>),
    /// All of it, checked against the commitment.
    Open(Opening),
    /// Group B was erased; group A, checked against the commitment.
    Processing(Fields),
    /// Group A was erased. What may be left of group B cannot be checked without it and is not shown.
    Erased,
}

/// Reads a log while it is written to: what is durable, and nothing beyond. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    pub(super) book: Arc<RwLock<Book>>,
    pub(super) keys: Arc<RwLock<KeyRing>>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) origin: Origin,
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reader = &mut f.debug_struct("LogReader");
        reader.field("head", &self.head()).finish_non_exhaustive()
    }
}

impl LogReader {
    /// The durable head.
    pub fn head(&self) -> Head {
        self.book().durable
    }

    /// Name of the log.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Root of the tree as it was at `size` entries; `None` beyond the durable head.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        let book = self.book();
        (size <= book.durable.size)
            .then(|| book.front.root_at(size))
            .flatten()
    }

    /// Root of the complete subtree number `index` of `2^level` leaves, as [`Front::node`](crate::Front::node).
    pub fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let book = self.book();
        let end = index.checked_add(1)?.checked_mul(1_u64.checked_shl(level)?)?;
        (end <= book.durable.size)
            .then(|| book.front.node(level, index))
            .flatten()
    }

    /// Inclusion proof of an entry in the tree of `size` entries; `None` beyond the durable head.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let book = self.book();
        (size <= book.durable.size)
            .then(|| book.front.inclusion_proof_at(index, size))
            .flatten()
    }

    /// Proof that the tree of `from` entries is the beginning of that of `size`; `None` beyond the durable head.
    pub fn consistency_proof(&self, from: u64, size: u64) -> Option<Vec<Hash>> {
        let book = self.book();
        (size <= book.durable.size)
            .then(|| book.front.consistency_proof_at(from, size))
            .flatten()
    }

    /// Checks that a head which others saw lies on this log.
    ///
    /// # Errors
    /// [`HeadConflict`].
    pub fn confirm(&self, seen: &Head) -> Result<(), HeadConflict> {
        match self.root_at(seen.size) {
            None => Err(HeadConflict::Rollback {
                seen: seen.size,
                ours: self.head().size,
            }),
            Some(ours) if ours != seen.root => Err(HeadConflict::Fork {
                size: seen.size,
                seen: seen.root,
                ours,
            }),
            Some(_) => Ok(()),
        }
    }

    /// Reads one entry. Reads its whole frame: to go through many use [`entries`](Self::entries).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_entry(&self, index: u64) -> Result<StoredEntry, ReadError> {
        let mut entries = self.entries(index..index.saturating_add(1));
        entries.next().unwrap_or(Err(ReadError::NoEntry(index)))
    }

    /// The entries of a range in order, payloads decrypted, as far as the log goes. After an error the next frame
    /// follows.
    pub fn entries(&self, range: Range<u64>) -> impl Iterator<Item = Result<StoredEntry, ReadError>> {
        let mut next = range.start;
        let frames = iter::from_fn(move || {
            let frame = self.frame_of(next).filter(|_| next < range.end)?;
            let wanted = next.max(range.start)..range.end.min(frame.range.end);
            next = frame.range.end;
            Some(self.read_frame(&frame, &wanted))
        });
        frames.flatten()
    }

    /// The entry bytes of a range, as leaves are hashed over (`0x01 ‖ C` or `0x02 ‖ JSON`), in order, each checked
    /// against its leaf.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::NoEntry`] also if the frames of an entry are gone after an erasure.
    pub fn leaf_entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut entries = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let frame = self.frame_of(next).ok_or(ReadError::NoEntry(next))?;
            let bytes = self.read_bytes(&frame)?;
            let parsed = frame::parse(&bytes).map_err(|error| ReadError::Frame(frame.range.start, error))?;
            for (index, record) in (frame.range.start..).zip(&parsed.records) {
                if index >= next && index < range.end {
                    if self.node(0, index) != Some(record.leaf_hash()) {
                        return Err(ReadError::Leaf(index));
                    }
                    entries.push(record.leaf_entry());
                }
            }
            next = frame.range.end;
        }
        Ok(entries)
    }

    pub(super) fn book(&self) -> RwLockReadGuard<'_, Book> {
        // Nothing panics while writing it but what ends the process.
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys_mut(&self) -> RwLockWriteGuard<'_, KeyRing> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys(&self) -> RwLockReadGuard<'_, KeyRing> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The frame that holds an entry.
    fn frame_of(&self, index: u64) -> Option<FramePlace> {
        let book = self.book();
        if index >= book.durable.size {
            return None;
        }
        let after = book.places.partition_point(|place| place.first_index <= index);
        let place = *book.places.get(after.checked_sub(1)?)?;
        let end = book
            .places
            .get(after)
            .map_or(book.durable.size, |next| next.first_index);
        let path = book.segments.get(&place.segment).cloned();
        Some(FramePlace {
            range: place.first_index..end,
            place,
            path,
        })
    }

    fn read_frame(
        &self,
        frame: &FramePlace,
        wanted: &Range<u64>,
    ) -> impl Iterator<Item = Result<StoredEntry, ReadError>> + use<> {
        let read = || {
            let bytes = self.read_bytes(frame)?;
            let parsed = frame::parse(&bytes).map_err(|error| ReadError::Frame(frame.range.start, error))?;
            let records = (frame.range.start..).zip(&parsed.records);
            let mut entries: Vec<_> = records
                .filter(|(index, _)| wanted.contains(index))
                .map(|(index, record)| self.entry(index, parsed.header.time_ms, record))
                .collect();
            // A frame that lost records since it was written.
            let found = wanted.start + entries.len() as u64;
            if found < wanted.end {
                entries.push(Err(ReadError::Leaf(found)));
            }
            Ok(entries)
        };
        read().unwrap_or_else(|error| vec![Err(error)]).into_iter()
    }

    fn read_bytes(&self, frame: &FramePlace) -> io::Result<Vec<u8>> {
        let path = frame.path.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(frame.place.length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.disk.open(path)?.read_at(frame.place.offset, &mut bytes)?;
        Ok(bytes)
    }

    fn entry(&self, index: u64, time_ms: u64, record: &Record<'_>) -> Result<StoredEntry, ReadError> {
        let leaf_hash = record.leaf_hash();
        if self.node(0, index) != Some(leaf_hash) {
            return Err(ReadError::Leaf(index));
        }
        let (content, key_ids) = match record {
            Record::Control(json) => (
                StoredContent::Control(parse_control(json).ok_or(ReadError::Payload(index))?),
                None,
            ),
            Record::Payload { commitment, a, b } => {
                (self.unseal(index, commitment, a, b)?, Some([a.key_id, b.key_id]))
            }
        };
        Ok(StoredEntry {
            index,
            time_ms,
            leaf_hash,
            key_ids,
            content,
        })
    }

    fn unseal(
        &self,
        index: u64,
        commitment: &Commitment,
        a: &Sealed<'_>,
        b: &Sealed<'_>,
    ) -> Result<StoredContent, ReadError> {
        let open = |group, sealed: &Sealed<'_>| {
            // An erased payload has no ciphertext, or no key any more.
            let key = self.keys().by_id(sealed.key_id);
            let Some(key) = key.filter(|_| !sealed.ciphertext.is_empty()) else {
                return Ok(None);
            };
            let aad = aad(self.origin.as_str(), index, group);
            key.open(sealed.nonce, &aad, sealed.ciphertext)
                .ok_or(ReadError::Payload(index))
                .map(Some)
        };
        let (a, b) = (open(Group::A, a)?, open(Group::B, b)?);
        let Some(a) = a else {
            return Ok(StoredContent::Erased);
        };
        let processing = Processing::decode(&a).ok_or(ReadError::Commitment(index))?;
        if processing.commitment() != *commitment {
            return Err(ReadError::Commitment(index));
        }
        let Some(b) = b else {
            return Ok(StoredContent::Processing(processing.into_fields()));
        };
        let opening = processing.join(&b).ok_or(ReadError::Commitment(index))?;
        if opening.commitment() != *commitment {
            return Err(ReadError::Commitment(index));
        }
        Ok(StoredContent::Open(opening))
    }
}
