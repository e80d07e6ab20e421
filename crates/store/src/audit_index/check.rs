//! Whether the index says what the log says.

use std::collections::{BTreeMap, VecDeque};

use super::chunk::{Bounds, Chunk, Entry, number};
use super::part::Part;
use super::parts::{Half, PartId};
use super::state::State;
use super::{AuditIndex, IndexError, IndexRow, guarded};

/// The first entry about which the index says something else than the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wrong} (entry {index}); rebuild the audit index")]
pub struct Mismatch {
    /// Index of the entry.
    pub index: u64,
    /// How they differ.
    pub wrong: Wrong,
}

/// How the index differs from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The log has the entry, the index has no row for it.
    #[error("the audit index lacks an entry of the log")]
    Missing,
    /// The index has a row, the log has no such entry, or not in this class and month.
    #[error("the audit index has an entry that the log does not have")]
    Extra,
    /// Both have it, and its row or what it is found by differs.
    #[error("the audit index has another entry than the log")]
    Different,
}

impl Wrong {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "index_row_missing",
            Self::Extra => "index_row_extra",
            Self::Different => "index_row_different",
        }
    }
}

/// One database while the log goes by.
struct Comparison {
    /// Chunks that are still to be compared.
    chunks: VecDeque<Bounds>,
    /// What the log has for the first of them.
    pending: Vec<Entry>,
}

impl AuditIndex {
    /// Compares the index with `rows`, all payload entries of the log that are not erased, in order. Every byte of
    /// the index is compared: rows, what they are found by, and that there is nothing else. Entries from
    /// [`next`](Self::next) on are left out.
    ///
    /// # Errors
    /// [`IndexError::Order`] if the rows are not in order; [`IndexError::Damaged`], [`IndexError::Engine`]. That
    /// the two differ is no error but the answer.
    pub fn check(&self, rows: impl IntoIterator<Item = IndexRow>) -> Result<Option<Mismatch>, IndexError> {
        let _open = self.reading();
        guarded(|| {
            let state = self.state();
            let mut comparisons = BTreeMap::new();
            for id in state.parts.keys() {
                let bounds = self
                    .part(&state, *id)?
                    .bounds()
                    .collect::<Result<VecDeque<_>, _>>()?;
                let comparison = Comparison {
                    chunks: bounds
                        .into_iter()
                        .filter(|bounds| bounds.first < state.next)
                        .collect(),
                    pending: Vec::new(),
                };
                comparisons.insert(*id, comparison);
            }
            let mut first = None;
            let mut expected = 0;
            for row in rows {
                if row.index < expected {
                    return Err(IndexError::Order { next: expected });
                }
                if row.index >= state.next {
                    break;
                }
                expected = row.index + 1;
                let (processing, people) = self.key.entries(&row);
                for (half, entry) in [(Half::Processing, Some(processing)), (Half::People, people)] {
                    let id = PartId::new(row.class, row.period, half);
                    if let Some(entry) = entry {
                        self.log_has(&state, id, comparisons.get_mut(&id), entry, &mut first)?;
                    }
                }
            }
            for (id, comparison) in &mut comparisons {
                while let Some(bounds) = comparison.chunks.pop_front() {
                    let pending = std::mem::take(&mut comparison.pending);
                    note(&mut first, compare(&*self.part(&state, *id)?, bounds, &pending)?);
                }
                note(&mut first, strays(&*self.part(&state, *id)?, state.next)?);
            }
            Ok(first)
        })
    }

    fn log_has(
        &self,
        state: &State,
        id: PartId,
        comparison: Option<&mut Comparison>,
        entry: Entry,
        first: &mut Option<Mismatch>,
    ) -> Result<(), IndexError> {
        let missing = Some(Mismatch {
            index: entry.index,
            wrong: Wrong::Missing,
        });
        let Some(comparison) = comparison else {
            note(first, missing);
            return Ok(());
        };
        while let Some(bounds) = comparison.chunks.pop_front_if(|bounds| bounds.last < entry.index) {
            let pending = std::mem::take(&mut comparison.pending);
            note(first, compare(&*self.part(state, id)?, bounds, &pending)?);
        }
        if comparison
            .chunks
            .front()
            .is_some_and(|bounds| bounds.first <= entry.index)
        {
            comparison.pending.push(entry);
        } else {
            note(first, missing);
        }
        Ok(())
    }
}

fn note(first: &mut Option<Mismatch>, found: Option<Mismatch>) {
    if let Some(found) = found
        && first.is_none_or(|first| found.index < first.index)
    {
        *first = Some(found);
    }
}

/// Compares a chunk with what it must be for these entries.
fn compare(part: &Part, bounds: Bounds, entries: &[Entry]) -> Result<Option<Mismatch>, IndexError> {
    let stored = part.chunk(bounds)?;
    let expected = Chunk::of(entries);
    if expected.as_ref() == Some(&stored) {
        return Ok(None);
    }
    let wrong = |index, wrong| Ok(Some(Mismatch { index, wrong }));
    let Some(has) = stored.contents() else {
        return wrong(bounds.first, Wrong::Different);
    };
    let must = expected.and_then(|chunk| chunk.contents()).unwrap_or_default();
    let extra = has.keys().find(|index| !must.contains_key(index));
    let other = must
        .iter()
        .find(|(index, content)| has.get(index) != Some(*content));
    match (extra, other) {
        (Some(extra), other) if other.is_none_or(|(other, _)| extra < other) => wrong(*extra, Wrong::Extra),
        (_, Some((index, _))) => wrong(
            *index,
            match has.get(index) {
                Some(content) if content.row.is_some() => Wrong::Different,
                _ => Wrong::Missing,
            },
        ),
        // The same entries in another order or with other bounds.
        _ => wrong(bounds.first, Wrong::Different),
    }
}

/// Rows and postings that belong to no chunk.
fn strays(part: &Part, next: u64) -> Result<Option<Mismatch>, IndexError> {
    let chunks = part
        .bounds()
        .map(|bounds| bounds.map(|bounds| (bounds.first, bounds.last)))
        .collect::<Result<BTreeMap<u64, u64>, _>>()?;
    let mut first = None;
    let groups = part.rows.iter().keys().map(|key| (key, false));
    let lists = part.postings.iter().keys().map(|key| (key, true));
    for (key, list) in groups.chain(lists) {
        let key = key?;
        let place = if list {
            key.get(2..).and_then(number)
        } else {
            number(&key)
        };
        let place = place.ok_or_else(|| part.damaged())?;
        let known = if list {
            // The chunk was compared with what it must have under each kind and bucket there is.
            super::part::is_posting_key(&key) && chunks.contains_key(&place)
        } else {
            chunks
                .range(..=place)
                .next_back()
                .is_some_and(|(_, last)| place <= *last)
        };
        if !known && place < next {
            note(
                &mut first,
                Some(Mismatch {
                    index: place,
                    wrong: Wrong::Extra,
                }),
            );
        }
    }
    Ok(first)
}
