//! Reading entries back, each checked against its leaf.

use std::io;

use serde_json::{Map, Value};

use super::{Log, commit::aad};
use crate::{
    draft::parse_control,
    fields::{Commitment, Fields, Group, Opening, Processing},
    frame::{self, FrameError, Record, Sealed},
    hash::Hash,
    replay::Place,
};

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

impl Log {
    /// Reads one entry. Reads its whole frame: to go through many use [`entries`](Self::entries).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_entry(&self, index: u64) -> Result<StoredEntry, ReadError> {
        let place = self
            .places
            .partition_point(|place| place.first_index <= index)
            .checked_sub(1);
        if index >= self.head.size {
            return Err(ReadError::NoEntry(index));
        }
        let place = place
            .and_then(|place| self.places.get(place))
            .ok_or(ReadError::NoEntry(index))?;
        let entry = self
            .read_frame(place)?
            .nth(usize::try_from(index - place.first_index).unwrap_or(usize::MAX));
        entry.unwrap_or(Err(ReadError::Leaf(index)))
    }

    /// All entries in order, payloads decrypted. After an error the next frame follows.
    pub fn entries(&self) -> impl Iterator<Item = Result<StoredEntry, ReadError>> {
        self.places.iter().flat_map(|place| {
            let (entries, error) = match self.read_frame(place) {
                Ok(entries) => (Some(entries), None),
                Err(error) => (None, Some(Err(error))),
            };
            entries.into_iter().flatten().chain(error)
        })
    }

    fn read_frame(
        &self,
        place: &Place,
    ) -> Result<impl Iterator<Item = Result<StoredEntry, ReadError>>, ReadError> {
        let bytes = self.read_bytes(place)?;
        let frame = frame::parse(&bytes).map_err(|error| ReadError::Frame(place.first_index, error))?;
        let entries = (place.first_index..).zip(&frame.records);
        let entries = entries.map(|(index, record)| self.entry(index, frame.header.time_ms, record));
        Ok(entries.collect::<Vec<_>>().into_iter())
    }

    fn read_bytes(&self, place: &Place) -> io::Result<Vec<u8>> {
        let path = self
            .wal
            .segments
            .get(&place.segment)
            .ok_or(io::ErrorKind::NotFound)?;
        let length = usize::try_from(place.length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        self.disk.open(path)?.read_at(place.offset, &mut bytes)?;
        Ok(bytes)
    }

    fn entry(&self, index: u64, time_ms: u64, record: &Record<'_>) -> Result<StoredEntry, ReadError> {
        let leaf_hash = record.leaf_hash();
        if self.front.node(0, index) != Some(leaf_hash) {
            return Err(ReadError::Leaf(index));
        }
        let content = match record {
            Record::Control(json) => {
                StoredContent::Control(parse_control(json).ok_or(ReadError::Payload(index))?)
            }
            Record::Payload { commitment, a, b } => self.unseal(index, commitment, a, b)?,
        };
        Ok(StoredEntry {
            index,
            time_ms,
            leaf_hash,
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
            let Some(key) = self
                .keys
                .by_id(sealed.key_id)
                .filter(|_| !sealed.ciphertext.is_empty())
            else {
                return Ok(None);
            };
            let aad = aad(self.signer.origin().as_str(), index, group);
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
