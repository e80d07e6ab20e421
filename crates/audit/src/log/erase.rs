//! Erasure at the end of a term: destroy keys, then unlink what nothing can be read of any more.
//!
//! The order, which is also that of a repetition after a crash:
//!
//! 1. `erase-intent` is committed and flushed: from here on things may be missing;
//! 2. the keys are destroyed, durably, one after the other;
//! 3. the caller removes what it derived from the entries;
//! 4. segments whose payloads are all sealed under destroyed keys are unlinked, durably, from the first on;
//! 5. `erase-done` is committed and flushed: from here on nothing else may be missing.
//!
//! The tree keeps all its leaves. While an erasure is unfinished the log can be committed to, but nothing is
//! sealed with the keys that are to go, and no other erasure begins.

use std::{io, ops::Range};

use super::{Batch, CommitError, EraseError, EraseRequest, Erasure, ErasurePlan, Erasures, Log};
use crate::{
    draft::{Draft, parse_control},
    keyring::{KeyRing, KeyRingError, KeyUse},
    receipt::Logged,
};

/// Longest `ground` and `by`, in bytes.
const MAX_TEXT: usize = 255;
/// Most keys and segments in one erasure, so that its control entries are never too long. What is left is for
/// the next.
const MAX_KEYS: usize = 400;
const MAX_SEGMENTS: usize = 800;

/// What the caller does between the destruction of the keys and the unlinking of segments. It may be called
/// again for the same plan after a crash, so it must be idempotent, and what it did must be durable when it
/// returns.
pub(crate) type Hook<'a> = &'a mut dyn FnMut(&ErasurePlan) -> io::Result<()>;

/// An erasure that is done.
#[derive(Debug)]
pub struct Erased {
    /// What it took away.
    pub erasure: Erasure,
    /// Index of its `erase-intent`.
    pub intent: u64,
    /// The batch with its `erase-done`.
    pub batch: Batch,
}

impl Log {
    /// What an erasure that is asked for would take away now; `None` if there is nothing.
    ///
    /// A segment goes with it if it is not the one being written, all its payloads are sealed under keys that
    /// an erasure destroyed or this one will, every segment below it goes or is gone, and all its entries are
    /// below `published` and can be read back from the bundles there. So segments may also go later than
    /// their keys, in an erasure that has none. Of very much at once a part is taken: ask again when it is
    /// done. Reads the bundles of the entries that go, 35 bytes for each payload; so does [`erase`](Self::erase).
    ///
    /// # Errors
    /// [`EraseError::Text`], [`EraseError::Unfinished`].
    pub fn plan_erasure(&self, request: &EraseRequest) -> Result<Option<ErasurePlan>, EraseError> {
        if !is_text(&request.ground) || !is_text(&request.by) {
            return Err(EraseError::Text);
        }
        if self.erasures.unfinished().is_some() {
            return Err(EraseError::Unfinished);
        }
        let mut keys = self.reader.keys().uses();
        keys.retain(|use_| request.selection.takes(use_));
        keys.truncate(MAX_KEYS);
        let (segments, indexes) = self.expired_segments(&keys, request.published);
        let erasure = Erasure {
            keys,
            ground: request.ground.clone(),
            by: request.by.clone(),
            segments,
            indexes,
        };
        let nothing = erasure.keys.is_empty() && erasure.segments.is_empty();
        Ok((!nothing).then_some(ErasurePlan(erasure)))
    }

    /// Erases: on `Ok` nothing of it can be read any more, and the log says so. Takes one flush for each of
    /// its two entries, one for each key and one for each segment; nothing can be committed meanwhile.
    ///
    /// # Errors
    /// [`EraseError`]; if it is [fatal](EraseError::is_fatal) the process must start again, open the log and
    /// [finish](Self::finish_erasure).
    pub fn erase(
        &mut self,
        plan: &ErasurePlan,
        after_keys: &mut dyn FnMut(&ErasurePlan) -> io::Result<()>,
    ) -> Result<Erased, EraseError> {
        let intent = self.begin_erasure(plan)?;
        self.carry_out(intent.first_index(), plan, after_keys)
    }

    /// The erasure that was begun and not finished.
    pub fn unfinished_erasure(&self) -> Option<ErasurePlan> {
        let unfinished = self.erasures.unfinished();
        unfinished.map(|(_, erasure)| ErasurePlan(erasure.clone()))
    }

    /// Repeats an erasure that a crash cut short, to its end; `None` if there is none. To be called before
    /// anything is served.
    ///
    /// # Errors
    /// As [`erase`](Self::erase).
    pub fn finish_erasure(
        &mut self,
        after_keys: &mut dyn FnMut(&ErasurePlan) -> io::Result<()>,
    ) -> Result<Option<Erased>, EraseError> {
        let Some((intent, erasure)) = self.erasures.unfinished() else {
            return Ok(None);
        };
        let plan = ErasurePlan(erasure.clone());
        self.need_published(plan.erasure())?;
        let erased = self.carry_out(intent, &plan, after_keys)?;
        Ok(Some(erased))
    }

    /// Commits the intent.
    pub(crate) fn begin_erasure(&mut self, plan: &ErasurePlan) -> Result<Batch, EraseError> {
        if self.erasures.unfinished().is_some() {
            return Err(EraseError::Unfinished);
        }
        if !self.still_fits(plan.erasure()) {
            return Err(EraseError::Stale);
        }
        self.need_published(plan.erasure())?;
        // There must be room for the end as well, before anything begins.
        let end = self.control(plan.erasure(), Some(u64::MAX))?;
        if end.record_len() > self.max_records() {
            return Err(CommitError::TooLarge.into());
        }
        self.settle()?;
        self.commit_erasure(plan.erasure(), None)
    }

    /// Everything after the intent.
    pub(crate) fn carry_out(
        &mut self,
        intent: u64,
        plan: &ErasurePlan,
        after_keys: Hook<'_>,
    ) -> Result<Erased, EraseError> {
        if self.stopped {
            return Err(CommitError::Stopped.into());
        }
        let erasure = plan.erasure();
        // Until the end is reached, also if the hook panics.
        self.stopped = true;
        let ids = erasure.key_ids();
        self.reader.forget();
        self.reader.keys_mut().destroy(&ids).map_err(EraseError::Keys)?;
        after_keys(plan).map_err(EraseError::Hook)?;
        self.unlink(&erasure.segments).map_err(EraseError::Io)?;
        self.stopped = false;
        let batch = self.commit_erasure(erasure, Some(intent))?;
        Ok(Erased {
            erasure: erasure.clone(),
            intent,
            batch,
        })
    }

    /// The segments that can go when these keys are gone too, and the entries in them.
    fn expired_segments(&self, keys: &[KeyUse], published: u64) -> (Vec<u64>, Range<u64>) {
        let destroyed =
            |id: &u32| self.erasures.has_key(*id) || keys.binary_search_by_key(id, |use_| use_.id).is_ok();
        let current = self.wal.current();
        let book = self.reader.book();
        let first = book.first_framed();
        let (mut candidates, mut used) = (Vec::new(), 0);
        for number in book.segments.keys().take(MAX_SEGMENTS) {
            let key_ids = book.key_ids.get(number);
            let after = book.places.partition_point(|place| place.segment <= *number);
            let Some(next) = book.places.get(after) else { break };
            let sealed = key_ids.is_some_and(|ids| !ids.is_empty());
            if Some(*number) == current || next.first_index > published {
                break;
            }
            if !key_ids.is_none_or(|ids| ids.iter().all(destroyed)) {
                break;
            }
            candidates.push((*number, next.first_index));
            // Control entries alone are no reason to unlink a segment.
            if sealed {
                used = candidates.len();
            }
        }
        drop(book);
        candidates.truncate(used);
        let mut end = first;
        let mut segments = Vec::new();
        for (number, next) in candidates {
            if self.reader.not_published(end..next).is_some() {
                break;
            }
            segments.push(number);
            end = next;
        }
        (segments, first..end)
    }

    /// The plan was made of this log as it is.
    fn still_fits(&self, erasure: &Erasure) -> bool {
        let uses = self.reader.keys().uses();
        let book = self.reader.book();
        let mut present = book.segments.keys();
        erasure.keys.iter().all(|use_| uses.contains(use_))
            && erasure
                .segments
                .iter()
                .all(|number| present.next() == Some(number) && Some(*number) != self.wal.current())
    }

    /// What is still to be unlinked can be read back from the bundles. What is gone was, when the log was opened.
    fn need_published(&self, erasure: &Erasure) -> Result<(), EraseError> {
        let left = erasure.indexes.start.max(self.reader.book().first_framed())..erasure.indexes.end;
        match self.reader.not_published(left) {
            Some(index) => Err(EraseError::Published(index)),
            None => Ok(()),
        }
    }

    fn unlink(&mut self, numbers: &[u64]) -> io::Result<()> {
        if let Some(last) = numbers.last() {
            // Readers first: what they do not find they know to be gone.
            let mut book = self.reader.book_mut();
            let gone = book.places.partition_point(|place| place.segment <= *last);
            book.places.drain(..gone);
            book.segments.retain(|number, _| number > last);
            book.key_ids.retain(|number, _| number > last);
        }
        self.wal.unlink(numbers)
    }

    fn commit_erasure(&mut self, erasure: &Erasure, intent: Option<u64>) -> Result<Batch, EraseError> {
        let draft = self.control(erasure, intent)?;
        let batch = self.commit_frame(vec![draft])?;
        if let Some(Logged::Control(json)) = batch.logged.first()
            && let Some(entry) = parse_control(json)
        {
            self.erasures.control(batch.first_index(), &entry);
        }
        Ok(batch)
    }

    fn control(&self, erasure: &Erasure, intent: Option<u64>) -> Result<Draft, EraseError> {
        let entry = erasure.to_control(intent, (self.clock)());
        Draft::own_control(&entry).map_err(|_| CommitError::TooLarge.into())
    }
}

/// Destroys what a backup brought back of keys that erasures had destroyed, and seals nothing with keys that
/// an unfinished one will destroy. Says which came back.
pub(super) fn destroy_again(keys: &mut KeyRing, erasures: &Erasures) -> Result<Vec<u32>, KeyRingError> {
    let back: Vec<u32> = keys.uses().iter().map(|use_| use_.id).collect();
    let back: Vec<u32> = back.into_iter().filter(|id| erasures.has_key(*id)).collect();
    keys.destroy(&back)?;
    if let Some((_, erasure)) = erasures.unfinished() {
        keys.retire(&erasure.key_ids());
    }
    Ok(back)
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.len()) && !text.contains(char::is_control)
}
