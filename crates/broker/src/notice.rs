//! Hit notices that wait for the partner where a hit fell.
//!
//! The queue is derived from the log: a hit is in the log before its answer leaves, so following the log misses none.
//! What is kept here are places in the log; what a notice says is read from the log when it is sent. A notice ends with
//! its log entry: when the entry is erased there is nothing left to send. The covenant in force says who is told, both
//! when an entry is first looked at and when its notice is sent.
//!
//! # Layout of the table `notices` (integers big-endian)
//!
//! | key | value |
//! |---|---|
//! | `c` | the first log entry that was not looked at, u64 |
//! | `w` ‖ partner ‖ 0 ‖ log index u64 | waits: time of the entry in ms u64 ‖ its period key u32 |
//! | `d` ‖ partner ‖ 0 ‖ log index u64 | acknowledged: the same ‖ when in ms u64 |
//! | `a` ‖ partner | when an alarm was last raised that it fetches nothing, in ms u64 |
//!
//! Entries that are found and how far the log was read are written together, so that no notice is lost or doubled when
//! the process ends in between. How far it was read without finding any is written now and then only.

mod follow;
mod overdue;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_audit::{LogReader, ReadError, StoredContent, StoredEntry};
use hitmachine_core::notice::recipients;
use hitmachine_core::record::DecodedRecord;
use hitmachine_core::{Clock, Covenant, HitNotice, PartnerId};
use hitmachine_store::{HubTables, Table, TableError};
use tokio::sync::{oneshot, watch};

use self::row::{Row, encode, key, place, row};
use crate::metrics::NoticeMetrics;
use crate::rules::Rules;

pub(crate) use follow::keep;

/// Name of the table.
const TABLE: &str = "notices";
/// Key of how far the log was read.
const CURSOR: &[u8] = b"c";
const WAITS: u8 = b'w';
const DONE: u8 = b'd';
const ALARMED: u8 = b'a';
/// Entries without any notice after which is written how far the log was read.
const SAVE_AFTER: u64 = 4_096;

/// Why notices cannot be queued or sent at this moment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoticeError {
    /// The hub's own memory failed.
    #[error("the queue of hit notices cannot be used")]
    Table(#[from] TableError),
    /// The log cannot be read.
    #[error("an entry of the log cannot be read")]
    Read(#[from] ReadError),
    /// The covenant does not have this partner any more.
    #[error("this organisation is not a partner of the covenant in force")]
    NotAPartner,
    /// This process is ending.
    #[error("a part of the hub stopped")]
    Stopped,
}

#[derive(Default)]
struct Queue {
    /// The first log entry that was not looked at.
    next: u64,
    /// What of that is on the disk.
    saved: u64,
    waiting: BTreeMap<PartnerId, BTreeMap<u64, Row>>,
    /// Acknowledged, by the period key of their entries.
    done: BTreeMap<PartnerId, BTreeMap<u32, u64>>,
}

/// Which partners fetch at this moment.
#[derive(Default)]
struct Streams {
    /// Number of the last one that began.
    last: u64,
    /// Number of each partner's, and what is dropped when another takes its place.
    open: HashMap<PartnerId, (u64, oneshot::Sender<()>)>,
}

/// All notices that wait or were acknowledged. Methods without `async` may wait for the disk.
pub(crate) struct Notices {
    table: Table,
    reader: LogReader,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    metrics: NoticeMetrics,
    queue: Mutex<Queue>,
    grown: watch::Sender<()>,
    streams: Mutex<Streams>,
}

/// What came of reading on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    /// Notices that were queued.
    queued: u64,
    /// Entries that cannot be read and were passed over.
    unreadable: u64,
}

impl Notices {
    /// Opens the queue. Notices of entries that the log does not have are dropped: the log is another than the one that
    /// was followed.
    ///
    /// # Errors
    /// [`TableError`].
    pub(crate) fn open(
        tables: &HubTables,
        reader: LogReader,
        rules: Arc<Rules>,
        clock: Arc<dyn Clock>,
        metrics: NoticeMetrics,
    ) -> Result<Self, TableError> {
        let table = tables.table(TABLE)?;
        let damaged = || TableError::Damaged(TABLE);
        let mut queue = Queue::default();
        let mut strange: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        let size = reader.head().size;
        if let Some(cursor) = table.get(CURSOR)? {
            let next = cursor.as_slice().try_into().map(u64::from_be_bytes);
            queue.next = next.map_err(|_| damaged())?;
            if queue.next > size {
                tracing::warn!(
                    "hit notices were queued of a larger log; they are followed anew from its end"
                );
                queue.next = size;
                strange.push((CURSOR.to_vec(), Some(size.to_be_bytes().to_vec())));
            }
            queue.saved = queue.next;
        }
        for (kind, length) in [(WAITS, 12), (DONE, 20)] {
            for (key, value) in table.scan(&[kind])? {
                let (partner, index) = place(&key).ok_or_else(damaged)?;
                let row = row(&value)
                    .filter(|_| value.len() == length)
                    .ok_or_else(damaged)?;
                if index >= size {
                    strange.push((key, None));
                } else if kind == WAITS {
                    queue.waiting.entry(partner).or_default().insert(index, row);
                } else {
                    *queue.done.entry(partner).or_default().entry(row.key).or_default() += 1;
                }
            }
        }
        if !strange.is_empty() {
            table.change(&strange)?;
        }
        Ok(Self {
            table,
            reader,
            rules,
            clock,
            metrics,
            queue: Mutex::new(queue),
            grown: watch::channel(()).0,
            streams: Mutex::default(),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Memory changes after the table, and in steps that cannot panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0)
    }

    /// Whether the log has entries that were not looked at.
    fn is_behind(&self) -> bool {
        self.queue().next < self.reader.head().size
    }

    /// Looks at the next entries of the log, at most `most`, and queues their notices.
    ///
    /// # Errors
    /// [`NoticeError`]; then the same entries are looked at again.
    fn take(&self, most: u64) -> Result<Taken, NoticeError> {
        let covenant = self.rules.covenant();
        let mut queue = self.queue();
        let end = self.reader.head().size.min(queue.next.saturating_add(most));
        let mut taken = Taken::default();
        let mut found: Vec<(PartnerId, u64, Row)> = Vec::new();
        for entry in self.reader.follow(queue.next..end) {
            match entry {
                Ok(entry) => found.extend(rows(&covenant, &entry)),
                Err(error @ ReadError::Io(_)) => return Err(error.into()),
                // Erased long ago.
                Err(ReadError::Bundle(_)) => {}
                Err(error) => {
                    tracing::error!(%error, "an entry of the log cannot be read; nobody is told of it");
                    taken.unreadable += 1;
                }
            }
        }
        taken.queued = found.len() as u64;
        if found.is_empty() && end - queue.saved < SAVE_AFTER {
            queue.next = end;
            return Ok(taken);
        }
        let mut changes = vec![(CURSOR.to_vec(), Some(end.to_be_bytes().to_vec()))];
        for (partner, index, row) in &found {
            changes.push((key(WAITS, partner, *index), Some(encode(*row, None))));
        }
        self.table.change(&changes)?;
        (queue.next, queue.saved) = (end, end);
        for (partner, index, row) in found {
            queue.waiting.entry(partner).or_default().insert(index, row);
        }
        drop(queue);
        if taken.queued > 0 {
            self.metrics.queued.inc_by(taken.queued);
            self.grown.send_replace(());
        }
        Ok(taken)
    }

    /// The next notices of a partner that are not acknowledged, from beyond `after` on, at most `most`. Those of which
    /// nothing is left to say are dropped.
    ///
    /// # Errors
    /// [`NoticeError`].
    pub(crate) fn batch(
        &self,
        partner: &PartnerId,
        after: Option<u64>,
        most: usize,
    ) -> Result<Vec<HitNotice>, NoticeError> {
        let covenant = self.rules.covenant();
        if covenant.partner(partner).is_none() {
            return Err(NoticeError::NotAPartner);
        }
        let mut notices = Vec::new();
        let mut gone = Vec::new();
        let mut from = after.map_or(Bound::Unbounded, Bound::Excluded);
        while notices.len() < most {
            let next = {
                let queue = self.queue();
                let waiting = queue.waiting.get(partner);
                waiting.and_then(|waiting| waiting.range((from, Bound::Unbounded)).next().map(|(at, _)| *at))
            };
            let Some(index) = next else { break };
            from = Bound::Excluded(index);
            match self.notice(&covenant, partner, index)? {
                Some(notice) => notices.push(notice),
                None => gone.push(index),
            }
        }
        if !gone.is_empty() {
            tracing::info!(%partner, count = gone.len(), "hit notices of which nothing is left are dropped");
            self.drop_waiting(partner, &gone)?;
        }
        Ok(notices)
    }

    /// What a partner is told of an entry; `None` if it was erased, or the covenant does not tell it any more.
    fn notice(
        &self,
        covenant: &Covenant,
        partner: &PartnerId,
        index: u64,
    ) -> Result<Option<HitNotice>, NoticeError> {
        let entry = match self.reader.read_entry(index) {
            Ok(entry) => entry,
            Err(error @ ReadError::Io(_)) => return Err(error.into()),
            Err(ReadError::Bundle(_)) => return Ok(None),
            Err(error) => {
                tracing::error!(%error, "an entry of the log cannot be read; nobody is told of it");
                return Ok(None);
            }
        };
        let place = (index, entry.leaf_hash.0);
        Ok(record(&entry).and_then(|record| HitNotice::of(covenant, partner, place, &record)))
    }

    fn drop_waiting(&self, partner: &PartnerId, indexes: &[u64]) -> Result<(), TableError> {
        let mut queue = self.queue();
        let gone: Vec<_> = indexes
            .iter()
            .map(|index| (key(WAITS, partner, *index), None))
            .collect();
        self.table.change(&gone)?;
        if let Some(waiting) = queue.waiting.get_mut(partner) {
            waiting.retain(|index, _| !indexes.contains(index));
        }
        Ok(())
    }

    /// A partner has these for good. What does not wait for it is passed over.
    ///
    /// # Errors
    /// [`NoticeError::Table`]; then they are sent again.
    pub(crate) fn acknowledge(&self, partner: &PartnerId, indexes: &[u64]) -> Result<(), NoticeError> {
        let now = self.now_ms();
        let mut queue = self.queue();
        let Some(waiting) = queue.waiting.get(partner) else {
            return Ok(());
        };
        let known: BTreeMap<u64, Row> = indexes
            .iter()
            .filter_map(|index| Some((*index, *waiting.get(index)?)))
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(known.len() * 2);
        for (index, row) in &known {
            changes.push((key(WAITS, partner, *index), None));
            changes.push((key(DONE, partner, *index), Some(encode(*row, Some(now)))));
        }
        self.table.change(&changes)?;
        let queue = &mut *queue;
        if let Some(waiting) = queue.waiting.get_mut(partner) {
            waiting.retain(|index, _| !known.contains_key(index));
        }
        let done = queue.done.entry(partner.clone()).or_default();
        for row in known.values() {
            *done.entry(row.key).or_default() += 1;
        }
        self.metrics.acknowledged.inc_by(known.len() as u64);
        Ok(())
    }

    /// Forgets what is for nobody any more: notices of partners that the covenant does not have, and those of entries
    /// that were erased.
    ///
    /// # Errors
    /// [`TableError`]; it is tried again.
    fn tidy(&self) -> Result<(), TableError> {
        let covenant = self.rules.covenant();
        let gone = |partner: &PartnerId, key: u32| {
            covenant.partner(partner).is_none() || self.reader.key_use(key).is_none()
        };
        let mut queue = self.queue();
        let mut changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
        for (partner, waiting) in &queue.waiting {
            let gone = waiting.iter().filter(|(_, row)| gone(partner, row.key));
            changes.extend(gone.map(|(index, _)| (key(WAITS, partner, *index), None)));
        }
        let dropped = changes.len();
        let mut done = queue.done.iter();
        if done.any(|(partner, keys)| keys.keys().any(|key| gone(partner, *key))) {
            for (key, value) in self.table.scan(&[DONE])? {
                let (Some((partner, _)), Some(row)) = (place(&key), row(&value)) else {
                    return Err(TableError::Damaged(TABLE));
                };
                if gone(&partner, row.key) {
                    changes.push((key, None));
                }
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.table.change(&changes)?;
        queue.waiting.retain(|partner, waiting| {
            waiting.retain(|_, row| !gone(partner, row.key));
            !waiting.is_empty()
        });
        queue.done.retain(|partner, keys| {
            keys.retain(|key, _| !gone(partner, *key));
            !keys.is_empty()
        });
        if dropped > 0 {
            tracing::info!(
                dropped,
                "hit notices of erased entries or of former partners are dropped"
            );
        }
        Ok(())
    }

    /// Hears when something was queued.
    pub(crate) fn grown(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of this partner begins: its number, and what resolves when another takes its place.
    pub(crate) fn begin(&self, partner: &PartnerId) -> (u64, oneshot::Receiver<()>) {
        let (replaced, hears) = oneshot::channel();
        let mut streams = self.streams();
        streams.last += 1;
        let number = streams.last;
        // What was there is dropped, and hears it.
        streams.open.insert(partner.clone(), (number, replaced));
        (number, hears)
    }

    /// A stream of this partner has ended.
    pub(crate) fn end(&self, partner: &PartnerId, number: u64) {
        let mut streams = self.streams();
        if streams
            .open
            .get(partner)
            .is_some_and(|(current, _)| *current == number)
        {
            streams.open.remove(partner);
        }
    }
}

/// The notices that an entry makes.
fn rows(covenant: &Covenant, entry: &StoredEntry) -> Vec<(PartnerId, u64, Row)> {
    let key = entry.key_ids.map(|[key, _]| key);
    let (Some(key), Some(record)) = (key, record(entry)) else {
        return Vec::new();
    };
    let row = Row {
        time_ms: entry.time_ms,
        key,
    };
    recipients(covenant, &record)
        .map(|partner| (partner.clone(), entry.index, row))
        .collect()
}

/// What an entry says of a question; `None` for what is none, or was erased.
fn record(entry: &StoredEntry) -> Option<DecodedRecord> {
    let fields = match &entry.content {
        StoredContent::Open(opening) => opening.fields(),
        StoredContent::Processing(processing) => processing.fields(),
        StoredContent::Control(_) | StoredContent::Erased => return None,
    };
    DecodedRecord::decode(fields).ok()
}
