//! The bytes of a chunk: what one call added to one database.

use std::collections::BTreeMap;

use super::terms::{Kind, Term};

/// The most rows in a chunk.
const CHUNK_ROWS: usize = 4_096;
/// The most indexes between a chunk's first and last: offsets have two bytes.
pub(super) const CHUNK_SPAN: u64 = 65_535;
/// Rows that are stored together.
const GROUP_ROWS: usize = 32;
/// Into how many lists the postings of one kind are divided.
pub(super) const BUCKETS: u8 = 32;
/// Bytes of a posting: offset u16 ‖ last 8 bytes of the term.
const POSTING: usize = 10;

/// Key of a list of postings: kind u8 ‖ bucket u8 ‖ first index of the chunk u64.
pub(super) type PostingKey = [u8; 10];

/// One entry of one database.
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) time_ms: u64,
    pub(super) row: Vec<u8>,
    pub(super) terms: Vec<Term>,
}

/// From which entry to which, and from when to when, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

impl Bounds {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            first: entry.index,
            last: entry.index,
            earliest: entry.time_ms,
            latest: entry.time_ms,
        }
    }

    pub(super) fn join(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            earliest: self.earliest.min(other.earliest),
            latest: self.latest.max(other.latest),
        }
    }

    pub(super) fn value(&self) -> [u8; 24] {
        let mut value = [0; 24];
        let numbers = [self.last, self.earliest, self.latest];
        for (place, number) in value.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        value
    }

    pub(super) fn parse(key: &[u8], value: &[u8]) -> Option<Self> {
        let mut numbers = value.chunks_exact(8).map(number);
        let bounds = Self {
            first: number(key)?,
            last: numbers.next()??,
            earliest: numbers.next()??,
            latest: numbers.next()??,
        };
        let whole = value.len() == 24 && bounds.first <= bounds.last && bounds.earliest <= bounds.latest;
        whole.then_some(bounds)
    }
}

/// A chunk as it is stored.
#[derive(PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) bounds: Bounds,
    /// First index of the group → rows.
    pub(super) groups: BTreeMap<u64, Vec<u8>>,
    pub(super) postings: BTreeMap<PostingKey, Vec<u8>>,
}

/// Divides entries, indexes ascending, into those of one chunk each.
pub(super) fn chunks(mut entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    std::iter::from_fn(move || {
        let first = entries.first()?.index;
        let fits = entries
            .iter()
            .take(CHUNK_ROWS)
            .take_while(|entry| entry.index.saturating_sub(first) <= CHUNK_SPAN)
            .count();
        let (chunk, rest) = entries.split_at(fits);
        entries = rest;
        Some(chunk)
    })
}

impl Chunk {
    /// The bytes for these entries, which are those of one chunk; `None` for no entries.
    pub(super) fn of(entries: &[Entry]) -> Option<Self> {
        let bounds = entries.iter().map(Bounds::of).reduce(Bounds::join)?;
        let mut groups = BTreeMap::new();
        for group in entries.chunks(GROUP_ROWS) {
            let first = group.first()?.index;
            let mut rows = Vec::with_capacity(GROUP_ROWS * 112);
            for entry in group {
                rows.extend_from_slice(&offset(first, entry.index).to_be_bytes());
                // A row has at most 158 bytes.
                rows.extend_from_slice(&u16::try_from(entry.row.len()).unwrap_or(u16::MAX).to_be_bytes());
                rows.extend_from_slice(&entry.row);
            }
            groups.insert(first, rows);
        }
        let mut postings: BTreeMap<PostingKey, Vec<u8>> = BTreeMap::new();
        for entry in entries {
            for term in &entry.terms {
                let list = postings
                    .entry(posting_key(term.kind, bucket(term), bounds.first))
                    .or_default();
                list.extend_from_slice(&offset(bounds.first, entry.index).to_be_bytes());
                list.extend_from_slice(&term.value[8..]);
            }
        }
        Some(Self {
            bounds,
            groups,
            postings,
        })
    }

    /// What it says about each entry: row and postings. `None` if it is not of this form.
    pub(super) fn contents(&self) -> Option<BTreeMap<u64, Content>> {
        let mut contents: BTreeMap<u64, Content> = BTreeMap::new();
        for (first, group) in &self.groups {
            for row in rows(*first, group) {
                let (index, row) = row?;
                contents.entry(index).or_default().row = Some(row.to_vec());
            }
        }
        for (key, list) in &self.postings {
            if list.len() % POSTING != 0 {
                return None;
            }
            for posting in list.chunks_exact(POSTING) {
                let (place, term) = posting.split_first_chunk()?;
                let index = self
                    .bounds
                    .first
                    .checked_add(u64::from(u16::from_be_bytes(*place)))?;
                let content = contents.entry(index).or_default();
                content.postings.push((key[0], key[1], term.to_vec()));
            }
        }
        Some(contents)
    }
}

/// What a chunk says about one entry.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) row: Option<Vec<u8>>,
    /// Kind, bucket, last bytes of the term.
    postings: Vec<(u8, u8, Vec<u8>)>,
}

/// The rows of a group; `None`, once, for bytes that are none.
pub(super) fn rows(first: u64, mut group: &[u8]) -> impl Iterator<Item = Option<(u64, &[u8])>> {
    std::iter::from_fn(move || {
        if group.is_empty() {
            return None;
        }
        let mut row = || {
            let (place, rest) = group.split_first_chunk()?;
            let (length, rest) = rest.split_first_chunk()?;
            let (row, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            group = rest;
            Some((first.checked_add(u16::from_be_bytes(*place).into())?, row))
        };
        let row = row();
        if row.is_none() {
            group = &[];
        }
        Some(row)
    })
}

/// The entries that a list names for a term, ascending. Only 8 bytes were compared: the row decides.
pub(super) fn named(list: &[u8], first: u64, term: &Term) -> impl Iterator<Item = u64> {
    let wanted = &term.value[8..];
    list.chunks_exact(POSTING).filter_map(move |posting| {
        let (place, value) = posting.split_first_chunk()?;
        (value == wanted).then(|| first.saturating_add(u16::from_be_bytes(*place).into()))
    })
}

pub(super) fn posting_key(kind: Kind, bucket: u8, first: u64) -> PostingKey {
    let mut key = [kind as u8, bucket, 0, 0, 0, 0, 0, 0, 0, 0];
    key[2..].copy_from_slice(&first.to_be_bytes());
    key
}

/// The list that a term is in. Of request ids (UUID version 7) the last byte is random.
pub(super) fn bucket(term: &Term) -> u8 {
    term.value[15] % BUCKETS
}

fn offset(first: u64, index: u64) -> u16 {
    // Less than CHUNK_SPAN apart.
    u16::try_from(index.saturating_sub(first)).unwrap_or(u16::MAX)
}

/// A big-endian number of 8 bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
