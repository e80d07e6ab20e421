//! A question that was asked before is answered from the log: it is not put again, and not logged again.
//!
//! Which questions were asked lately is kept in memory, those under way among them: whoever asks the same meanwhile
//! waits for the first. Of those before them only fingerprints of the [names] are kept, for some minutes: they say of
//! nearly every new question that it is new. Only of the others the search index is asked, whose answer takes longer the
//! more was logged. A question counts as the same if name, bytes and
//! signature are; another one with the name of an earlier one is refused. All of this is per organisation: nobody learns
//! which names others used.
//!
//! A question is repeated only as long as the covenant lets it be asked as it stands: the same covenant in force, the
//! same partner with the same keys. Otherwise it goes the way of any other question, which ends in a refusal.

mod names;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_audit::{Committed, StoredContent, StoredEntry, SubmitError};
use hitmachine_core::again::{is_named, is_of, repeat};
use hitmachine_core::record::{DecodedRecord, Kind};
use hitmachine_core::{Asker, Covenant, Oin, Query, RequestId, Unreleased};
use hitmachine_proto::{answer, receipt, v1};
use hitmachine_store::audit_index::{Filter, MAX_PAGE};
use jiff::Timestamp;
use tokio::sync::watch;

use self::names::Names;
use super::{AskError, Hub};
use crate::cosigned;
use crate::metrics::OutcomeLabel;

/// Questions that are remembered.
const MOST: usize = 65_536;
/// How far a node's clock may be from the hub's, in milliseconds: that of the receipts.
const CLOCKS_APART_MS: u64 = hitmachine_core::record::CLOCK_TOLERANCE_MS;
/// From what age, in milliseconds, a question is not put any more if it says that it may have been asked before: less
/// than the five minutes for which a live partner takes it.
const OLD_MS: u64 = 4 * 60 * 1000;

/// What names a question: who asked, and the name it gave.
type Name = (Oin, RequestId);
/// SHA-256 of a question's bytes and signature.
type Digest = [u8; 32];

enum Place {
    /// Closed when it is logged, or never will be.
    UnderWay(watch::Receiver<()>),
    /// Its entries.
    Logged(Range<u64>),
}

struct Lately {
    questions: HashMap<Name, Vec<(Digest, Place)>>,
    /// Those that are logged, the oldest first, with the time in ms since 1970.
    order: VecDeque<(Name, Digest, u64)>,
    /// The names of those before them.
    names: Names,
}

impl Lately {
    fn place(&mut self, name: &Name, digest: &Digest) -> Option<&mut Place> {
        let questions = self.questions.get_mut(name)?;
        questions
            .iter_mut()
            .find(|question| question.0 == *digest)
            .map(|question| &mut question.1)
    }

    fn forget(&mut self, name: &Name, digest: &Digest) {
        if let Some(questions) = self.questions.get_mut(name) {
            questions.retain(|question| question.0 != *digest);
            if questions.is_empty() {
                self.questions.remove(name);
            }
        }
    }
}

/// The questions of late.
pub(super) struct Memory(Mutex<Lately>);

enum Claim {
    /// Nobody asked it lately.
    New(Claimed),
    /// Another question has its name.
    Other(Claimed),
    /// It is being asked.
    Wait(watch::Receiver<()>),
    /// It was asked.
    Logged(Range<u64>),
}

/// A question that is under way; whoever asks the same waits until this is gone.
pub(super) struct Claimed {
    memory: Arc<Memory>,
    name: Name,
    digest: Digest,
    now_ms: u64,
    /// Dropped with this, which wakes those who wait.
    _under_way: watch::Sender<()>,
}

impl Memory {
    /// `logged`: what was logged up to this time is not in it.
    pub(super) fn new(logged: Option<Timestamp>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Lately {
            questions: HashMap::new(),
            order: VecDeque::new(),
            // Of a node whose clock is behind, too.
            names: Names::new(logged.map_or(0, milliseconds), 2 * CLOCKS_APART_MS),
        })))
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        // Nothing panics while holding it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(self: &Arc<Self>, name: &Name, digest: Digest, now_ms: u64) -> Claim {
        let mut lately = self.lately();
        match lately.place(name, &digest) {
            Some(Place::UnderWay(ended)) => return Claim::Wait(ended.clone()),
            Some(Place::Logged(entries)) => return Claim::Logged(entries.clone()),
            None => {}
        }
        let (under_way, ended) = watch::channel(());
        let questions = lately.questions.entry(name.clone()).or_default();
        let others = !questions.is_empty();
        questions.push((digest, Place::UnderWay(ended)));
        let claimed = Claimed {
            memory: Arc::clone(self),
            name: name.clone(),
            digest,
            now_ms,
            _under_way: under_way,
        };
        if others {
            Claim::Other(claimed)
        } else {
            Claim::New(claimed)
        }
    }

    /// Takes up a question that was logged, to put it once more; `None` if somebody else just did.
    fn reclaim(self: &Arc<Self>, name: &Name, digest: Digest, now_ms: u64) -> Option<Claimed> {
        let mut lately = self.lately();
        let logged = matches!(lately.place(name, &digest), Some(Place::Logged(_)));
        if logged {
            lately.forget(name, &digest);
        }
        drop(lately);
        match self.claim(name, digest, now_ms) {
            Claim::New(claimed) | Claim::Other(claimed) => Some(claimed),
            Claim::Wait(_) | Claim::Logged(_) => None,
        }
    }

    /// Whether a question with this name, made at this time, may have been logged and forgotten.
    fn may_have_forgotten(&self, name: &Name) -> bool {
        let names = &self.lately().names;
        names.may_have(name) || name.1.time_ms() <= names.forgotten_ms().saturating_add(CLOCKS_APART_MS)
    }
}

impl Claimed {
    /// To be called when the entries are durable, also if the asker has gone.
    pub(super) fn committed(self, result: &Result<Committed, SubmitError>) {
        let Ok(committed) = result else {
            return;
        };
        let indexes = committed
            .receipts
            .iter()
            .map(hitmachine_audit::Receipt::leaf_index);
        if let (Some(first), Some(last)) = (indexes.clone().min(), indexes.max()) {
            self.logged(first..last.saturating_add(1));
        }
    }

    fn logged(self, entries: Range<u64>) {
        let mut lately = self.memory.lately();
        if let Some(place) = lately.place(&self.name, &self.digest) {
            *place = Place::Logged(entries);
        }
        lately
            .order
            .push_back((self.name.clone(), self.digest, self.now_ms));
        while lately.order.len() > MOST
            && let Some((name, digest, logged_ms)) = lately.order.pop_front()
        {
            lately.forget(&name, &digest);
            lately.names.add(&name, logged_ms);
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut lately = self.memory.lately();
        if matches!(lately.place(&self.name, &self.digest), Some(Place::UnderWay(_))) {
            lately.forget(&self.name, &self.digest);
        }
    }
}

/// What is known about a question before it is put.
pub(super) enum Before {
    /// It was not asked; whoever puts it holds this until it is logged. `None` if it cannot be allowed anyhow.
    Never(Option<Claimed>),
    /// Another question has its name.
    Other(Claimed),
    /// It was asked; the answers and their entries, in their order.
    Same(Logged),
}

/// A question that was logged, and its answers.
pub(super) struct Logged {
    entries: Vec<StoredEntry>,
    unreleased: Unreleased,
    answered: bool,
}

/// What the log has of a question.
enum Found {
    Nothing,
    /// A refusal that cannot be made again, since it held more than the log has, such as until when it lasts. Nobody
    /// was looked up, so the question is put once more.
    Passing,
    Answer(Logged),
}

/// A question with the time at which it came, and whether the asker says that it may have come before.
pub(super) struct Coming<'a> {
    pub(super) asker: &'a Asker,
    pub(super) query: &'a Query,
    pub(super) now: Timestamp,
    pub(super) again: bool,
}

impl Coming<'_> {
    /// Whether it was made too long ago to be put for the first time.
    pub(super) fn is_old(&self) -> bool {
        milliseconds(self.now).saturating_sub(self.query.request.time_ms()) > OLD_MS
    }
}

impl Hub {
    /// Whether this question was asked before. Waits for one that is under way.
    ///
    /// # Errors
    /// [`AskError::Busy`] if the index is too far behind to tell, [`AskError::NotRepeatable`].
    pub(super) async fn asked_before(
        &self,
        covenant: &Covenant,
        coming: &Coming<'_>,
    ) -> Result<Before, AskError> {
        let Coming { asker, query, .. } = *coming;
        let allowed = covenant.identify(asker).ok().filter(|partner| {
            covenant.in_force(coming.now)
                && query.covenant == covenant.version()
                && partner.signed(&query.signed)
        });
        if allowed.is_none() {
            return Ok(Before::Never(None));
        }
        let name = (asker.oin.clone(), query.request);
        let digest = query.signed.digest();
        loop {
            match self.memory.claim(&name, digest, milliseconds(coming.now)) {
                Claim::Wait(mut ended) => {
                    // Nothing is ever sent; it closes.
                    let _ = ended.changed().await;
                }
                Claim::Other(claimed) => return Ok(Before::Other(claimed)),
                Claim::Logged(entries) => match self.entries(coming, entries.collect()).await? {
                    Found::Answer(logged) => return Ok(Before::Same(logged)),
                    Found::Nothing | Found::Passing => {
                        let now_ms = milliseconds(coming.now);
                        if let Some(claimed) = self.memory.reclaim(&name, digest, now_ms) {
                            return Ok(Before::Never(Some(claimed)));
                        }
                    }
                },
                Claim::New(claimed) if coming.again || self.memory.may_have_forgotten(&name) => {
                    return self.searched(coming, claimed).await;
                }
                Claim::New(claimed) => return Ok(Before::Never(Some(claimed))),
            }
        }
    }

    /// Looks in everything that was ever logged.
    async fn searched(&self, coming: &Coming<'_>, claimed: Claimed) -> Result<Before, AskError> {
        if coming.again && !self.index.is_in_step(&self.reader).await {
            return Err(AskError::Busy);
        }
        let index = Arc::clone(&self.index);
        // No question is logged before its name is made. Of one that may have come before, so that it matters to whoever
        // asks, a day is allowed for clocks that differ.
        let apart_ms = if coming.again {
            24 * 60 * 60 * 1000
        } else {
            CLOCKS_APART_MS
        };
        let filter = Filter {
            requester: Some(coming.asker.oin.clone()),
            request: Some(coming.query.request),
            from_ms: Some(coming.query.request.time_ms().saturating_sub(apart_ms)),
            ..Filter::default()
        };
        let found = tokio::task::spawn_blocking(move || index.search(&filter, None, MAX_PAGE)).await;
        let mut found = match found {
            Ok(Ok(page)) => page.rows,
            Ok(Err(error)) => {
                tracing::error!(%error, "the search index cannot tell whether a question was asked before");
                return Err(AskError::Busy);
            }
            Err(_) => return Err(AskError::Busy),
        };
        found.sort_unstable();
        let named = !found.is_empty();
        Ok(match self.entries(coming, found).await? {
            Found::Nothing if named => Before::Other(claimed),
            Found::Nothing | Found::Passing => Before::Never(Some(claimed)),
            Found::Answer(logged) => {
                let indexes = logged.entries.iter().map(|entry| entry.index);
                if let (Some(first), Some(last)) = (indexes.clone().min(), indexes.max()) {
                    claimed.logged(first..last.saturating_add(1));
                }
                Before::Same(logged)
            }
        })
    }

    /// The entries of this very question among these, if they are there. One that was refused may have been answered
    /// later; the last counts.
    async fn entries(&self, coming: &Coming<'_>, indexes: Vec<u64>) -> Result<Found, AskError> {
        let reader = self.reader.clone();
        let read = move || {
            let entries = reader.read_entries(&indexes).into_iter();
            entries.collect::<Result<Vec<_>, _>>()
        };
        let entries = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => {
                tracing::error!(%error, "entries of an earlier question cannot be read");
                return Err(AskError::NotRepeatable);
            }
            Err(_) => return Err(AskError::NotRepeatable),
        };
        let mut runs: Vec<Vec<(StoredEntry, DecodedRecord)>> = Vec::new();
        for entry in entries {
            let fields = match &entry.content {
                StoredContent::Open(opening) => opening.fields(),
                // Part of it was erased, and with it what the answer was proven with.
                StoredContent::Processing(processing) => processing.fields(),
                StoredContent::Control(_) | StoredContent::Erased => continue,
            };
            let Ok(record) = DecodedRecord::decode(fields) else {
                continue;
            };
            if !is_named(&record, &coming.asker.oin, coming.query)
                || !is_of(&record, &coming.asker.oin, coming.query)
            {
                continue;
            }
            let follows = runs
                .last()
                .and_then(|run| run.last())
                .is_some_and(|(last, _)| last.index.saturating_add(1) == entry.index);
            match runs
                .last_mut()
                .filter(|run| follows && run.len() < coming.query.subjects.len())
            {
                Some(run) => run.push((entry, record)),
                None => runs.push(vec![(entry, record)]),
            }
        }
        let Some(run) = runs.pop() else {
            return Ok(Found::Nothing);
        };
        let (entries, records): (Vec<_>, Vec<_>) = run.into_iter().unzip();
        let answered = records.iter().any(|record| record.kind == Kind::Lookup);
        let unreleased = repeat(coming.query, &coming.asker.oin, &records, answer::encode);
        Ok(match unreleased {
            Some(unreleased) => Found::Answer(Logged {
                entries,
                unreleased,
                answered,
            }),
            None if answered => return Err(AskError::NotRepeatable),
            None => Found::Passing,
        })
    }

    /// The answer of the log to a question that was asked before.
    ///
    /// # Errors
    /// [`AskError`].
    pub(super) async fn repeat(
        &self,
        covenant: &Covenant,
        coming: &Coming<'_>,
        logged: Logged,
        (known, held): (Vec<u64>, (u64, u64)),
    ) -> Result<v1::AskResponse, AskError> {
        let query = coming.query;
        let Logged {
            entries,
            unreleased,
            answered,
        } = logged;
        let strict = answered
            && covenant
                .purpose(&query.purpose)
                .is_none_or(|purpose| purpose.strict);
        let persons = entries.len() as u64;
        let signed = self.log.head();
        let size = signed.head.size;
        let receipts = entries
            .into_iter()
            .map(|entry| self.reader.receipt(entry, &signed, &known));
        let receipts = receipts.collect::<Result<Vec<_>, _>>().map_err(|error| {
            tracing::error!(%error, "an earlier answer cannot be proven again");
            AskError::NotRepeatable
        })?;
        if strict {
            self.witnesses.hurry();
            if !cosigned::covers(&self.cosigned, size).await {
                return Err(AskError::NoQuorum);
            }
        }
        let beside = cosigned::beside(&self.cosigned, &self.reader, size, held);
        let released = unreleased
            .release(receipts)
            .map_err(|_| AskError::NotRepeatable)?;
        tracing::info!(oin = %coming.asker.oin, "a question was asked again; answered from the log");
        self.metrics
            .lookups
            .get_or_create(&OutcomeLabel { outcome: "repeated" })
            .inc_by(persons);
        Ok(receipt::response(released, beside))
    }
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
