//! Reading entries back, each checked against its leaf.

use std::{
    fmt, io, iter,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use serde_json::{Map, Value};

use super::{HeadConflict, book::Book, bundles, commit::aad, recent::Recent};
use crate::{
    checkpoint::Head,
    disk::Disk,
    draft::parse_control,
    fields::{CONTROL, Commitment, Group, Opening, Processing},
    frame::{self, FrameError, Record, Sealed},
    hash::{Hash, leaf_hash},
    keyring::{KeyRing, KeyUse},
    note::Origin,
    replay::Place,
};

/// Where entries are read from, and which.
pub(super) enum Located {
    Frame(FramePlace),
    /// Their segment was unlinked; so many as are in one bundle.
    Unlinked(Range<u64>),
}

impl Located {
    fn end(&self) -> u64 {
        match self {
            Self::Frame(frame) => frame.range.end,
            Self::Unlinked(range) => range.end,
        }
    }
}

/// A frame and the entries it holds.
pub(super) struct FramePlace {
    range: Range<u64>,
    place: Place,
    path: Option<PathBuf>,
}

/// Why an entry cannot be read. Everything but `NoEntry`, `Bundle` and `Io` means that the file was changed
/// since it was written.
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
    /// The segment of this entry was unlinked by an erasure, and no published bundle has it.
    #[error("entry {0} was erased and is in no published bundle")]
    Bundle(u64),
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
            Self::Bundle(_) => "erased_bundle",
            Self::Io(_) => "log_io",
        }
    }

    /// The first entry that cannot be read; `None` if the disk refused.
    pub const fn index(&self) -> Option<u64> {
        match self {
            Self::NoEntry(index)
            | Self::Frame(index, _)
            | Self::Leaf(index)
            | Self::Payload(index)
            | Self::Commitment(index)
            | Self::Bundle(index) => Some(*index),
            Self::Io(_) => None,
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// An entry that fits its leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Index of the leaf.
    pub index: u64,
    /// Time of its commit in milliseconds since 1970, as the broker's clock had it. 0 if its segment was
    /// unlinked after an erasure: the time went with it.
    pub time_ms: u64,
    /// The leaf.
    pub leaf_hash: Hash,
    /// The period keys that groups A and B were sealed with, also when they are destroyed; `None` for a
    /// control entry, and for a payload whose segment was unlinked.
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
    Processing(Processing),
    /// Group A was erased. What may be left of group B cannot be checked without it and is not shown.
    Erased,
}

/// Reads a log while it is written to: what is durable, and nothing beyond. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    pub(super) book: Arc<RwLock<Book>>,
    pub(super) keys: Arc<RwLock<KeyRing>>,
    pub(super) disk: Arc<dyn Disk>,
    /// Folder of the published log.
    pub(super) published: Arc<Path>,
    pub(super) origin: Origin,
    pub(super) recent: Arc<Mutex<Recent>>,
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

    /// Indexes of the public control entries, in order.
    pub fn controls(&self) -> Vec<u64> {
        self.book().controls.clone()
    }

    /// What each period key that is there is for.
    pub fn key_uses(&self) -> Vec<KeyUse> {
        self.keys().uses()
    }

    /// What a period key is for; `None` if it was destroyed.
    pub fn key_use(&self, id: u32) -> Option<KeyUse> {
        self.keys().use_of(id)
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

    /// These entries, in this order; a frame that holds several that follow each other here is read once.
    ///
    /// # Errors
    /// [`ReadError`], for each that cannot be read.
    pub fn read_entries(&self, indexes: &[u64]) -> Vec<Result<StoredEntry, ReadError>> {
        let mut entries = Vec::with_capacity(indexes.len());
        let mut rest = indexes;
        while let Some(first) = rest.first() {
            let frame = match self.locate(*first) {
                Some(Located::Frame(frame)) => Some(frame),
                _ => None,
            };
            let together = frame.as_ref().map_or(1, |frame| {
                let others = rest.iter().take_while(|index| frame.range.contains(index));
                others.count()
            });
            let (these, later) = rest.split_at(together);
            rest = later;
            match frame.map(|frame| self.read_from(&frame, these)) {
                Some(Ok(read)) => entries.extend(read),
                // Gone after an erasure, for one: each is looked for by itself.
                _ => entries.extend(these.iter().map(|index| self.read_entry(*index))),
            }
        }
        entries
    }

    /// Entries that are in one frame.
    fn read_from(
        &self,
        frame: &FramePlace,
        indexes: &[u64],
    ) -> Result<Vec<Result<StoredEntry, ReadError>>, ReadError> {
        let bytes = self.read_bytes(frame)?;
        let parsed = frame::parse(&bytes).map_err(|error| ReadError::Frame(frame.range.start, error))?;
        let record = |index: &u64| {
            let place = usize::try_from(index - frame.range.start).ok();
            let record = place.and_then(|place| parsed.records.get(place));
            let record = record.ok_or(ReadError::Leaf(*index))?;
            self.entry(*index, parsed.header.time_ms, record)
        };
        Ok(indexes.iter().map(record).collect())
    }

    /// The entries of a range in order, payloads decrypted, as far as the log goes. After an error the next frame
    /// follows.
    ///
    /// An entry whose segment was unlinked after an erasure is read from its published bundle: a control entry
    /// is still there, of a payload only the leaf.
    pub fn entries(&self, range: Range<u64>) -> impl Iterator<Item = Result<StoredEntry, ReadError>> {
        let mut next = range.start;
        let frames = iter::from_fn(move || {
            let located = self.locate(next).filter(|_| next < range.end)?;
            let end = located.end();
            let wanted = next..range.end.min(end);
            next = end;
            Some(self.read_located(&located, &wanted))
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
            let Some(Located::Frame(frame)) = self.locate(next) else {
                return Err(ReadError::NoEntry(next));
            };
            let bytes = match self.read_bytes(&frame) {
                Err(_) if self.is_unlinked(next) => return Err(ReadError::NoEntry(next)),
                bytes => bytes?,
            };
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

    /// Where the entry is, with those behind it in the same place.
    pub(super) fn locate(&self, index: u64) -> Option<Located> {
        let book = self.book();
        if index >= book.durable.size {
            return None;
        }
        let first = book.first_framed();
        if index < first {
            return Some(Located::Unlinked(bundles::in_one_bundle(&(index..first))));
        }
        let after = book.places.partition_point(|place| place.first_index <= index);
        let place = *book.places.get(after.checked_sub(1)?)?;
        let end = book
            .places
            .get(after)
            .map_or(book.durable.size, |next| next.first_index);
        let path = book.segments.get(&place.segment).cloned();
        Some(Located::Frame(FramePlace {
            range: place.first_index..end,
            place,
            path,
        }))
    }

    /// An erasure has taken the segment of this entry away, perhaps a moment ago.
    fn is_unlinked(&self, index: u64) -> bool {
        index < self.book().first_framed()
    }

    pub(super) fn read_located(
        &self,
        located: &Located,
        wanted: &Range<u64>,
    ) -> Vec<Result<StoredEntry, ReadError>> {
        let read = match located {
            Located::Frame(frame) => self.read_frame(frame, wanted),
            Located::Unlinked(_) => return self.read_unlinked(wanted),
        };
        match read {
            Err(error) if error.is_not_found() && self.is_unlinked(wanted.start) => {
                self.read_unlinked(wanted)
            }
            read => read.unwrap_or_else(|error| vec![Err(error)]),
        }
    }

    fn read_frame(
        &self,
        frame: &FramePlace,
        wanted: &Range<u64>,
    ) -> Result<Vec<Result<StoredEntry, ReadError>>, ReadError> {
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
    }

    fn read_unlinked(&self, wanted: &Range<u64>) -> Vec<Result<StoredEntry, ReadError>> {
        let mut entries = Vec::new();
        let mut next = wanted.start;
        while next < wanted.end {
            let part = bundles::in_one_bundle(&(next..wanted.end));
            next = part.end;
            match bundles::read(&*self.disk, &self.published, &part) {
                Ok(Some(bundle)) => {
                    let each = part.zip(&bundle);
                    entries.extend(each.map(|(index, entry)| self.published_entry(index, entry)));
                }
                Ok(None) => entries.push(Err(ReadError::Bundle(part.start))),
                Err(error) => entries.push(Err(error.into())),
            }
        }
        entries
    }

    fn published_entry(&self, index: u64, entry: &[u8]) -> Result<StoredEntry, ReadError> {
        let leaf_hash = leaf_hash(entry);
        if self.node(0, index) != Some(leaf_hash) {
            return Err(ReadError::Leaf(index));
        }
        let content = match entry.split_first() {
            Some((&CONTROL, json)) => {
                StoredContent::Control(parse_control(json).ok_or(ReadError::Payload(index))?)
            }
            _ => StoredContent::Erased,
        };
        Ok(StoredEntry {
            index,
            time_ms: 0,
            leaf_hash,
            key_ids: None,
            content,
        })
    }

    /// The first entry of a range that the published bundles do not have as it is in the tree.
    pub(super) fn not_published(&self, range: Range<u64>) -> Option<u64> {
        let mut next = range.start;
        while next < range.end {
            let part = bundles::in_one_bundle(&(next..range.end));
            next = part.end;
            let Ok(Some(entries)) = bundles::read(&*self.disk, &self.published, &part) else {
                return Some(part.start);
            };
            let mut leaves = part.zip(&entries);
            let differs = leaves.find(|(index, entry)| self.node(0, *index) != Some(leaf_hash(entry)));
            if let Some((index, _)) = differs {
                return Some(index);
            }
        }
        None
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
            return Ok(StoredContent::Processing(processing));
        };
        let opening = processing.join(&b).ok_or(ReadError::Commitment(index))?;
        if opening.commitment() != *commitment {
            return Err(ReadError::Commitment(index));
        }
        Ok(StoredContent::Open(opening))
    }
}
