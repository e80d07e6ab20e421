//! The watch on use: quotas before a question is looked up, and what came of it after.
//!
//! What it knows follows from the log. Every half minute what has changed goes into the table `usage`, with the size of
//! the log that it is about and the names of the questions that were on their way into the log at that moment; a start
//! takes that and replays the entries after it. So nobody gets a full quota by a crash, and without the table the log
//! is replayed from as long ago as the longest quota reaches.
//!
//! Keys of the table: `size` (u64 ‖ 16 bytes for each question under way), `b` ‖ digest (a bucket), `r` ‖ digest (a run
//! of hits and misses), `v` ‖ partner (its days), `p` ‖ partner (when it could be asked).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hitmachine_audit::{LogReader, ReadError, Receipt, StoredContent, StoredEntry};
use hitmachine_core::quota::{Digest, DigestKey, Taken};
use hitmachine_core::record::DecodedRecord;
use hitmachine_core::usage::{Notice, Usage};
use hitmachine_core::volume::local;
use hitmachine_core::{Covenant, Finding, Oin, PartnerId, Permit, Refusal, RefusedQuery, RequestId, UserId};
use hitmachine_store::{HubTables, Table, TableError};
use jiff::Timestamp;

use crate::alarm::{Act, Alarms, Logged, act_of_entry};
use crate::hub::Hub;

const SIZE: &[u8] = b"size";
/// How often what has changed is made durable.
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// After how long a question that was on its way into the log is no longer, in milliseconds.
const UNDER_WAY_MS: i64 = 10 * 60 * 1000;
/// After how long an alarm does not wait any more for its question to be logged, in milliseconds.
const ASKER_GONE_MS: i64 = 20_000;
/// How much later a partner must have been seen to be written down again, in milliseconds.
const SEEN_STEP_MS: i64 = HOUR_MS / 4;
/// How far back the log is replayed at least without a table, in milliseconds: as many days as say what is usual.
const REPLAYED_MS: i64 = 40 * 24 * 3_600_000;
const HOUR_MS: i64 = 3_600_000;

/// Why the watch cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WatchError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The log.
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// What the watch remembers of a question until it is logged.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    request: Option<RequestId>,
    taken: Taken,
}

/// An alarm that is not in the log yet.
#[derive(Debug)]
struct Pending {
    notice: Notice,
    /// The entry that it follows from, counted from 1; 0 until that is known.
    entry: u64,
    /// The question that it follows from, while that is on its way into the log.
    request: Option<RequestId>,
    at_ms: i64,
}

struct State {
    usage: Usage,
    under_way: HashMap<RequestId, i64>,
    pending: Vec<Pending>,
    /// Since when each partner is known to have been there, or not to have been there yet.
    seen: BTreeMap<PartnerId, (i64, bool)>,
    seen_saved: BTreeMap<PartnerId, (i64, bool)>,
}

/// The watch.
pub(crate) struct Watch {
    state: Mutex<State>,
    alarms: Arc<Alarms>,
    table: Table,
    reader: LogReader,
}

impl Watch {
    /// Knows what the table and the log after it say.
    ///
    /// # Errors
    /// [`WatchError`].
    pub(crate) fn open(
        tables: &HubTables,
        key: [u8; 32],
        reader: LogReader,
        alarms: Arc<Alarms>,
        covenant: &Covenant,
        now: Timestamp,
    ) -> Result<Self, WatchError> {
        let table = tables.table("usage")?;
        let mut state = State {
            usage: Usage::new(DigestKey::from_bytes(key)),
            under_way: HashMap::new(),
            pending: Vec::new(),
            seen: BTreeMap::new(),
            seen_saved: BTreeMap::new(),
        };
        let size = reader.head().size;
        let (from, skipped) = match table.get(SIZE)?.as_deref().and_then(saved_size) {
            Some((from, skipped)) if from <= size => {
                restore(&mut state, &table)?;
                (from, skipped)
            }
            _ => {
                // Of another log, or of none: nothing of it may come back later.
                let old: Vec<_> = table.scan(b"")?.into_iter().map(|(key, _)| (key, None)).collect();
                if !old.is_empty() {
                    table.change(&old)?;
                }
                let hours = covenant.quotas().iter().map(|quota| i64::from(quota.hours)).max();
                let back = REPLAYED_MS.max(hours.unwrap_or(0) * HOUR_MS);
                let since = now.as_millisecond().saturating_sub(back);
                (first_since(&reader, since)?, HashSet::new())
            }
        };
        for entry in reader.entries(from..size) {
            state.replay(&entry?, covenant, &skipped, &alarms, now);
        }
        for logged in alarms.list().iter().filter(|alarm| alarm.stops) {
            if let Some(Logged { who: Some(who), .. }) = alarms.at(logged.index) {
                state.usage.stop(who);
            }
        }
        let known = |who: &Digest| {
            alarms.stop_of(who).is_some() || state.pending.iter().any(|one| one.notice.who == Some(*who))
        };
        // The log has the last word: a stop that it says was lifted is none.
        let lifted: Vec<_> = state.usage.stopped().filter(|who| !known(who)).collect();
        for who in &lifted {
            state.usage.lift(who);
        }
        tracing::info!(entries = size - from, "use of the hub recovered from the log");
        Ok(Self {
            state: Mutex::new(state),
            alarms,
            table,
            reader,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a permitted question pass that fits the quotas.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was taken.
    pub(crate) fn take(
        &self,
        covenant: &Covenant,
        permit: &Permit,
        now: Timestamp,
    ) -> Result<Watched, Refusal> {
        let (request, mut state) = (permit.request(), self.state());
        let taken = state.usage.take(covenant, &permit.demand(), now)?;
        state.under_way.insert(request, now.as_millisecond());
        Ok(Watched {
            request: Some(request),
            taken,
        })
    }

    /// Sees what came of a question, before it is logged: whoever is to be stopped is stopped from here on.
    pub(crate) fn saw(&self, watched: &Watched, covenant: &Covenant, finding: &Finding, now: Timestamp) {
        let (demand, persons) = finding.seen();
        let mut state = self.state();
        let notices = state.usage.saw(covenant, &demand, persons, now);
        state.wait(notices, watched.request, now);
    }

    /// Counts a refused question of a partner.
    pub(crate) fn refused(
        &self,
        covenant: &Covenant,
        partner: &PartnerId,
        refused: &RefusedQuery,
        now: Timestamp,
    ) -> Watched {
        let ((persons, request), mut state) = (refused.size(), self.state());
        if let Some(request) = request {
            state.under_way.insert(request, now.as_millisecond());
        }
        let notices = state.usage.refused(covenant, partner, persons, now);
        state.wait(notices, request, now);
        Watched {
            request,
            taken: Taken::default(),
        }
    }

    /// The question is in the log, or will never be: what it took comes back.
    pub(crate) fn logged(&self, watched: Watched, receipts: Option<&[Receipt]>) {
        let last = receipts.and_then(<[Receipt]>::last);
        let entry = last.map_or(0, |receipt| receipt.leaf_index().saturating_add(1));
        let due = {
            let mut state = self.state();
            if let Some(request) = &watched.request {
                state.under_way.remove(request);
            }
            if receipts.is_none() {
                state.usage.give_back(watched.taken);
            }
            if state.pending.is_empty() {
                return;
            }
            let of_this = |pending: &mut Pending| pending.request == watched.request;
            state.pending.extract_if(.., of_this).collect::<Vec<_>>()
        };
        self.raise(due.into_iter().map(|pending| Pending {
            entry,
            request: None,
            ..pending
        }));
    }

    /// Raises alarms; what the log does not take now waits. A stop whose alarm is not in the log is in no table.
    fn raise(&self, due: impl Iterator<Item = Pending>) {
        for pending in due {
            if !self.alarms.noticed(&pending.notice, pending.entry) {
                self.state().pending.push(pending);
            }
        }
    }

    /// A partner's node can be asked at this moment: for those that answer live.
    pub(crate) fn present(&self, partner: &PartnerId, now: Timestamp) {
        self.state()
            .seen
            .insert(partner.clone(), (now.as_millisecond(), true));
    }

    /// A partner's node has another key: its pseudonyms would never match.
    pub(crate) fn wrong_key(&self, partner: &PartnerId) {
        self.alarms.raise("wrong_key", partner.as_str());
    }

    /// The name of a partner or user in alarms.
    pub(crate) fn who(&self, oin: &Oin, user: Option<&UserId>) -> Digest {
        self.state().usage.who(oin, user)
    }

    /// An officer ended a stop, and the log says so.
    pub(crate) fn lift(&self, who: &Digest) {
        self.state().usage.lift(who);
    }

    /// Makes what has changed durable.
    ///
    /// # Errors
    /// [`TableError`]; the log still has it all.
    pub(crate) fn save(&self, now: Timestamp) -> Result<(), TableError> {
        // A stop without its alarm in the log could not be lifted: until then a start finds it in the log.
        if !self.alarms.all_logged() {
            return Ok(());
        }
        let changes = {
            let mut state = self.state();
            if !state.pending.is_empty() {
                return Ok(());
            }
            state.changes(self.reader.head().size, now)
        };
        if changes.len() > 1 || self.table.get(SIZE)?.is_none() {
            self.table.change(&changes)?;
        }
        Ok(())
    }

    /// Which partners cannot be asked any more, though their limits have not been told today.
    fn look_at_partners(&self, hub: &Hub) {
        let (covenant, (now, _)) = (hub.covenant(), hub.now());
        let stale: Vec<PartnerId> = {
            let mut state = self.state();
            let partners = covenant
                .partners()
                .iter()
                .filter(|partner| !partner.registers.is_empty());
            partners
                .filter(|partner| {
                    let fresh = hub.is_fresh(partner, now);
                    state.is_stale(&partner.id, fresh, partner.stale_after_hours, now)
                })
                .map(|partner| partner.id.clone())
                .collect()
        };
        for partner in stale {
            self.alarms.raise("stale_partner", partner.as_str());
        }
    }

    /// Looks after all this for ever.
    pub(crate) async fn keep(self: Arc<Self>, hub: Arc<Hub>) {
        loop {
            let now_ms = hub.now().0.as_millisecond();
            // Whoever asked may have gone before the question was logged.
            let lost = |pending: &mut Pending| {
                pending.request.is_none() || now_ms.saturating_sub(pending.at_ms) > ASKER_GONE_MS
            };
            let due: Vec<_> = self.state().pending.extract_if(.., lost).collect();
            self.raise(due.into_iter());
            self.look_at_partners(&hub);
            tokio::time::sleep(SAVE_EVERY).await;
            let (watch, now) = (Arc::clone(&self), hub.now().0);
            match tokio::task::spawn_blocking(move || watch.save(now)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "use of the hub could not be made durable"),
                Err(_) => tracing::error!("use of the hub could not be made durable"),
            }
        }
    }
}

impl State {
    fn replay(
        &mut self,
        entry: &StoredEntry,
        covenant: &Covenant,
        skipped: &HashSet<RequestId>,
        alarms: &Alarms,
        now: Timestamp,
    ) {
        let fields = match &entry.content {
            StoredContent::Open(opening) => opening.fields(),
            StoredContent::Processing(processing) => processing.fields(),
            StoredContent::Erased => return,
            StoredContent::Control(_) => {
                if let Some((Act::Lift, alarm, _)) = act_of_entry(entry)
                    && let Some(Logged { who: Some(who), .. }) = alarms.at(alarm)
                {
                    self.usage.lift(&who);
                    self.pending.retain(|pending| pending.notice.who != Some(who));
                }
                return;
            }
        };
        // The index says so of an entry that does not read.
        let Ok(record) = DecodedRecord::decode(fields) else {
            return;
        };
        if record.request.is_some_and(|request| skipped.contains(&request)) {
            return;
        }
        let today = local(record.time).date() == local(now).date();
        let notices = self.usage.replay(covenant, &record).into_iter();
        let due = notices.filter(|notice| today || notice.who.is_some());
        self.pending.extend(due.map(|notice| Pending {
            notice,
            entry: entry.index.saturating_add(1),
            request: None,
            at_ms: record.time.as_millisecond(),
        }));
    }

    fn wait(&mut self, notices: Vec<Notice>, request: Option<RequestId>, now: Timestamp) {
        self.pending.extend(notices.into_iter().map(|notice| Pending {
            notice,
            entry: 0,
            request,
            at_ms: now.as_millisecond(),
        }));
    }

    fn is_stale(&mut self, partner: &PartnerId, fresh: Option<bool>, hours: u32, now: Timestamp) -> bool {
        let now_ms = now.as_millisecond();
        let seen = self.seen.get(partner).copied();
        match (fresh, seen) {
            (Some(true), Some((_, true))) => false,
            (Some(true), _) | (_, None) => {
                self.seen.insert(partner.clone(), (now_ms, fresh == Some(true)));
                false
            }
            // Its limit has passed, or it has never been there for as long.
            (Some(false), Some((_, true))) => true,
            (_, Some((at_ms, _))) => now_ms.saturating_sub(at_ms) > i64::from(hours) * HOUR_MS,
        }
    }

    fn changes(&mut self, size: u64, now: Timestamp) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let now_ms = now.as_millisecond();
        self.under_way
            .retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < UNDER_WAY_MS);
        self.usage.tidy(now);
        let changed = self.usage.take_changes();
        let key = |kind: u8, rest: &[u8]| [&[kind], rest].concat();
        let mut changes = Vec::with_capacity(1 + changed.buckets.len() + changed.runs.len());
        let mut value = size.to_be_bytes().to_vec();
        for request in self.under_way.keys() {
            value.extend_from_slice(request.as_bytes());
        }
        changes.push((SIZE.to_vec(), Some(value)));
        for (id, bytes) in changed.buckets {
            changes.push((key(b'b', &id.0), bytes.map(Vec::from)));
        }
        for (who, bytes) in changed.runs {
            changes.push((key(b'r', &who.0), bytes.map(Vec::from)));
        }
        for (partner, bytes) in changed.volumes {
            changes.push((key(b'v', partner.as_str().as_bytes()), Some(bytes)));
        }
        for (partner, (at_ms, was)) in &self.seen {
            let same = |(before_ms, before): &(i64, bool)| {
                before == was && at_ms.saturating_sub(*before_ms) < SEEN_STEP_MS
            };
            if self.seen_saved.get(partner).is_some_and(same) {
                continue;
            }
            self.seen_saved.insert(partner.clone(), (*at_ms, *was));
            let mut value = at_ms.to_be_bytes().to_vec();
            value.push(u8::from(*was));
            changes.push((key(b'p', partner.as_str().as_bytes()), Some(value)));
        }
        changes
    }
}

/// The size that a table is about, and the questions that are in it though the log had them later.
fn saved_size(value: &[u8]) -> Option<(u64, HashSet<RequestId>)> {
    let (size, requests) = value.split_first_chunk::<8>()?;
    let requests = requests
        .chunks(16)
        .filter_map(|id| RequestId::from_bytes(id).ok());
    Some((u64::from_be_bytes(*size), requests.collect()))
}

fn restore(state: &mut State, table: &Table) -> Result<(), TableError> {
    let partner = |bytes: &[u8]| -> Option<PartnerId> { std::str::from_utf8(bytes).ok()?.parse().ok() };
    for (key, value) in table.scan(b"")? {
        let Some((kind, rest)) = key.split_first() else {
            continue;
        };
        let digest = rest.try_into().ok().map(Digest);
        // The table checks its values itself; what does not read here was written by another version.
        let restored = match kind {
            b'b' => digest
                .zip(value.try_into().ok())
                .map(|(id, bytes)| state.usage.restore_bucket(id, bytes)),
            b'r' => digest
                .zip(value.try_into().ok())
                .map(|(who, bytes)| state.usage.restore_run(who, bytes)),
            b'v' => partner(rest).and_then(|partner| state.usage.restore_volume(partner, &value)),
            b'p' => partner(rest)
                .zip(value.split_first_chunk::<8>())
                .map(|(partner, (at, was))| {
                    let seen = (i64::from_be_bytes(*at), was.first() == Some(&1));
                    state.seen.insert(partner.clone(), seen);
                    state.seen_saved.insert(partner, seen);
                }),
            _ => continue,
        };
        if restored.is_none() {
            tracing::warn!("a value of the table of use does not read; passed over");
        }
    }
    Ok(())
}

/// The first entry that is not older than `since_ms`.
fn first_since(reader: &LogReader, since_ms: i64) -> Result<u64, ReadError> {
    let since = u64::try_from(since_ms).unwrap_or(0);
    let (mut low, mut high) = (0, reader.head().size);
    while low < high {
        let middle = low + (high - low) / 2;
        if reader.read_entry(middle)?.time_ms < since {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
