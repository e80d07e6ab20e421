//! One database of the index: one class, one month, processing or people.

use std::iter::{Peekable, Rev};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sled::IVec;

use super::IndexError;
use super::chunk::{self, BUCKETS, Bounds, CHUNK_SPAN, Chunk, Entry, number, posting_key};
use super::terms::{Kind, Term};
use crate::durable::DurableDb;

/// One database; see the module [`audit_index`](super) for its layout.
pub(super) struct Part {
    db: DurableDb,
    pub(super) chunks: sled::Tree,
    pub(super) rows: sled::Tree,
    pub(super) postings: sled::Tree,
    /// Written since the last [`sync`](Self::sync).
    dirty: AtomicBool,
    name: String,
}

impl Part {
    pub(super) fn open(dir: &Path, name: String) -> Result<Self, IndexError> {
        let db = DurableDb::open(dir)?;
        // The index guards itself against damage, as a whole.
        let tree = |tree| db.raw_tree(tree);
        Ok(Self {
            chunks: tree("chunks")?,
            rows: tree("rows")?,
            postings: tree("postings")?,
            dirty: AtomicBool::new(false),
            name,
            db,
        })
    }

    /// Bytes that are not ours.
    pub(super) fn damaged(&self) -> IndexError {
        IndexError::Damaged(self.name.clone())
    }

    /// Adds entries, indexes ascending and above all that are there.
    ///
    /// Of each chunk the bounds come first: sled recovers a prefix of what was written, so nothing of a chunk is
    /// ever there without its bounds, and [`trim`](Self::trim) finds all of it. Keys are inserted one by one in
    /// their order, which is several times faster than a batch of sled: that has no order.
    pub(super) fn add(&self, entries: &[Entry]) -> Result<(), IndexError> {
        self.dirty.store(true, Ordering::Relaxed);
        for chunk in chunk::chunks(entries).filter_map(Chunk::of) {
            self.chunks
                .insert(chunk.bounds.first.to_be_bytes(), &chunk.bounds.value())?;
            for (key, list) in chunk.postings {
                self.postings.insert(key, list)?;
            }
            for (first, rows) in chunk.groups {
                self.rows.insert(first.to_be_bytes(), rows)?;
            }
        }
        Ok(())
    }

    /// Removes the chunks from this index on; whoever adds again may cut them elsewhere.
    pub(super) fn trim(&self, from: u64) -> Result<(), IndexError> {
        for chunk in self.chunks.range(from.to_be_bytes()..) {
            let (key, value) = chunk?;
            let bounds = Bounds::parse(&key, &value).ok_or_else(|| self.damaged())?;
            self.dirty.store(true, Ordering::Relaxed);
            for kind in Kind::ALL {
                for bucket in 0..BUCKETS {
                    self.postings.remove(posting_key(kind, bucket, bounds.first))?;
                }
            }
            for group in self.groups(bounds.first, bounds.last) {
                self.rows.remove(group?.0)?;
            }
            // Last, so that a trim that was cut short begins again.
            self.chunks.remove(key)?;
        }
        Ok(())
    }

    /// Makes durable what was written, if anything was.
    pub(super) fn sync(&self) -> Result<(), IndexError> {
        if self.dirty.swap(false, Ordering::Relaxed) {
            self.db.commit()?;
        }
        Ok(())
    }

    /// The bounds of every chunk, ascending.
    pub(super) fn bounds(&self) -> impl DoubleEndedIterator<Item = Result<Bounds, IndexError>> {
        self.chunks.iter().map(|chunk| {
            let (key, value) = chunk?;
            Bounds::parse(&key, &value).ok_or_else(|| self.damaged())
        })
    }

    /// A chunk as it is stored.
    pub(super) fn chunk(&self, bounds: Bounds) -> Result<Chunk, IndexError> {
        let mut chunk = Chunk {
            bounds,
            groups: std::collections::BTreeMap::new(),
            postings: std::collections::BTreeMap::new(),
        };
        for group in self.groups(bounds.first, bounds.last) {
            let (key, rows) = group?;
            let first = number(&key).ok_or_else(|| self.damaged())?;
            chunk.groups.insert(first, rows.to_vec());
        }
        for kind in Kind::ALL {
            for bucket in 0..BUCKETS {
                let key = posting_key(kind, bucket, bounds.first);
                if let Some(list) = self.postings.get(key)? {
                    chunk.postings.insert(key, list.to_vec());
                }
            }
        }
        Ok(chunk)
    }

    pub(super) fn groups(
        &self,
        first: u64,
        last: u64,
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, IVec), sled::Error>> {
        self.rows.range(first.to_be_bytes()..=last.to_be_bytes())
    }

    /// Every entry from `first` to `last`, descending.
    pub(super) fn all(&self, first: u64, last: u64) -> impl Iterator<Item = Result<u64, IndexError>> {
        // A group may begin below `first`.
        let groups = self.groups(first.saturating_sub(CHUNK_SPAN), last).rev();
        groups
            .flat_map(move |group| {
                let read = || {
                    let (key, rows) = group?;
                    let begin = number(&key).ok_or_else(|| self.damaged())?;
                    let indexes: Option<Vec<u64>> = chunk::rows(begin, &rows)
                        .map(|row| row.map(|(index, _)| index))
                        .collect();
                    indexes.ok_or_else(|| self.damaged())
                };
                let (indexes, error) = match read() {
                    Ok(indexes) => (indexes, None),
                    Err(error) => (Vec::new(), Some(Err(error))),
                };
                indexes.into_iter().rev().map(Ok).chain(error)
            })
            .filter(move |index| {
                index
                    .as_ref()
                    .map_or(true, |index| (first..=last).contains(index))
            })
    }

    /// The entries from `first` to `last` that may have one of these terms, descending, each once.
    pub(super) fn having<'a>(&'a self, terms: &[Term], first: u64, last: u64) -> Having<'a> {
        let begin = first.saturating_sub(CHUNK_SPAN);
        let lists = terms.iter().map(|term| {
            let key = |first| posting_key(term.kind, chunk::bucket(term), first);
            Named {
                lists: self.postings.range(key(begin)..=key(last)).rev(),
                read: Vec::new(),
                term: *term,
                within: (first, last),
                part: self,
            }
            .peekable()
        });
        Having(lists.collect())
    }

    /// A reader of single rows.
    pub(super) fn reader(&self) -> RowReader<'_> {
        RowReader {
            part: self,
            group: None,
        }
    }
}

/// The entries that the lists name for one term, descending.
struct Named<'a> {
    lists: Rev<sled::Iter>,
    /// Of the list last read, ascending.
    read: Vec<u64>,
    term: Term,
    within: (u64, u64),
    part: &'a Part,
}

impl Named<'_> {
    fn read_list(&mut self, list: sled::Result<(IVec, IVec)>) -> Result<(), IndexError> {
        let (key, list) = list?;
        let first = key.get(2..).and_then(number).ok_or_else(|| self.part.damaged())?;
        let within = self.within.0..=self.within.1;
        let named = chunk::named(&list, first, &self.term);
        self.read.extend(named.filter(|index| within.contains(index)));
        Ok(())
    }
}

impl Iterator for Named<'_> {
    type Item = Result<u64, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(index) = self.read.pop() {
                return Some(Ok(index));
            }
            let list = self.lists.next()?;
            if let Err(error) = self.read_list(list) {
                return Some(Err(error));
            }
        }
    }
}

/// The union of several [`Named`].
pub(super) struct Having<'a>(Vec<Peekable<Named<'a>>>);

impl Iterator for Having<'_> {
    type Item = Result<u64, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut newest = None;
        for (place, list) in self.0.iter_mut().enumerate() {
            match list.peek() {
                Some(Ok(index)) if newest.is_none_or(|(newest, _)| newest < *index) => {
                    newest = Some((*index, place));
                }
                Some(Err(_)) => return list.next(),
                _ => {}
            }
        }
        let (newest, _) = newest?;
        for list in &mut self.0 {
            while list
                .next_if(|index| matches!(index, Ok(index) if *index == newest))
                .is_some()
            {}
        }
        Some(Ok(newest))
    }
}

/// Reads rows by index; neighbours come from the group that was read last.
pub(super) struct RowReader<'a> {
    part: &'a Part,
    group: Option<(u64, IVec)>,
}

impl RowReader<'_> {
    pub(super) fn row(&mut self, index: u64) -> Result<Option<IVec>, IndexError> {
        if let Some(row) = self.of_group(index)? {
            return Ok(Some(row));
        }
        let Some(group) = self.part.rows.range(..=index.to_be_bytes()).next_back() else {
            return Ok(None);
        };
        let (key, rows) = group?;
        let first = number(&key).ok_or_else(|| self.part.damaged())?;
        self.group = Some((first, rows));
        self.of_group(index)
    }

    fn of_group(&self, index: u64) -> Result<Option<IVec>, IndexError> {
        let Some((first, rows)) = self.group.as_ref().filter(|(first, _)| *first <= index) else {
            return Ok(None);
        };
        for row in chunk::rows(*first, rows) {
            let (at, row) = row.ok_or_else(|| self.part.damaged())?;
            if at == index {
                return Ok(Some(row.into()));
            }
        }
        Ok(None)
    }
}

/// Whether [`Part::chunk`] reads what is under this key.
pub(super) fn is_posting_key(key: &[u8]) -> bool {
    let kind = key
        .first()
        .is_some_and(|kind| Kind::ALL.iter().any(|known| *known as u8 == *kind));
    kind && key.get(1).is_some_and(|bucket| *bucket < BUCKETS) && key.len() == 10
}
