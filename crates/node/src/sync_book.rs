//! What a node remembers of its syncs, across restarts: how each source was read last, how the last sync ended, and what
//! it had come to. Rows and reasons, never a value; nothing of it is about a person.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_core::Clock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::language::Language;
use crate::source::{ReadOutcome, Source, SourceError};
use crate::state::{State, StateError, Table};
use crate::sync::{Progress, SyncError, SyncReport};
use crate::view::IssueView;

const TABLE: &str = "sync";
const LAST: &[u8] = b"last";
/// How many rows that were left out are remembered of one source.
const ISSUES_KEPT: usize = 200;

/// How the last syncs went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncView {
    /// When the last one ended, well or not (RFC 3339); absent before the first.
    pub ended_at: Option<String>,
    /// Why it did not end well, if so.
    pub failure: Option<Failure>,
    /// The numbers, if it stopped because a source lost so many persons that somebody must confirm it.
    pub shrunk: Option<ShrunkView>,
    /// The last one that ended well: then both sides agreed on the whole register.
    pub good: Option<GoodSyncView>,
    /// Each configured source, in the configuration's order.
    pub sources: Vec<SourceView>,
}

/// A source that would lose many persons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShrunkView {
    /// Persons registered before.
    pub before: u64,
    /// Persons who would be withdrawn.
    pub lost: u64,
}

/// A sync that ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GoodSyncView {
    /// When (RFC 3339).
    pub at: String,
    /// Persons registered, as both sides agreed.
    pub persons: u64,
    /// Registrations sent.
    pub registered: u64,
    /// Withdrawals sent.
    pub withdrawn: u64,
    /// Whether everything was sent again.
    pub full: bool,
    /// Whether this organisation answers live: then nothing was sent.
    pub live: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

/// One source, as it was read last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// `csv`, `xlsx`, `sqlite` or `postgresql`.
    pub kind: String,
    /// When it was read whole for the last time (RFC 3339); the counts below are of then.
    pub read_at: Option<String>,
    /// Rows, without the header and empty ones.
    pub rows: u64,
    /// Persons that may be registered, each once.
    pub persons: u64,
    /// Rows that were left out.
    pub bad_rows: u64,
    /// Of these, rows about a person of an earlier row.
    pub duplicates: u64,
    /// The first of the rows that were left out: file, row, column and reason, never the value.
    pub issues: Vec<IssueView>,
    /// Why it could not be read the last time, if so.
    pub failure: Option<Failure>,
}

/// How reading one source went, once.
pub(crate) type SourceRead = Result<SourceView, Failure>;

/// What is remembered of it.
pub(crate) fn source_read(source: &Source, read: &Result<ReadOutcome, SourceError>) -> SourceRead {
    let read = read.as_ref().map_err(Failure::source)?;
    Ok(SourceView {
        name: source.name.clone(),
        kind: source.kind().to_owned(),
        read_at: None,
        rows: read.total_rows,
        persons: read.rows.len() as u64,
        bad_rows: read.issue_count,
        duplicates: read.duplicates,
        issues: read
            .issues
            .iter()
            .take(ISSUES_KEPT)
            .map(IssueView::from)
            .collect(),
        failure: None,
    })
}

/// What was remembered, and what is going on.
pub(crate) struct SyncBook {
    table: Table,
    clock: Arc<dyn Clock>,
    held: Mutex<SyncView>,
    running: Mutex<Option<UnderWay>>,
    next: Mutex<Option<Timestamp>>,
}

/// What is known of a sync that is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay {
    /// How far it is, if it has said so.
    pub(crate) progress: Option<Progress>,
}

/// A sync that is under way, until it is dropped.
pub(crate) struct Running<'a>(&'a SyncBook);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *lock(&self.0.running) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SyncBook {
    /// What is remembered of these sources. One that is not configured any more is forgotten.
    pub(crate) fn load(
        state: &Arc<State>,
        sources: &[Source],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        let table = state.table(TABLE)?;
        let bytes = table.get(LAST)?;
        let held = bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|_| StateError::DoesNotOpen));
        let mut held: SyncView = held.transpose()?.unwrap_or_default();
        let mut known = std::mem::take(&mut held.sources);
        for source in sources {
            let is_it = |known: &SourceView| known.name == source.name && known.kind == source.kind();
            let place = known.iter().position(is_it);
            held.sources.push(place.map_or_else(
                || SourceView {
                    name: source.name.clone(),
                    kind: source.kind().to_owned(),
                    ..SourceView::default()
                },
                |place| known.remove(place),
            ));
        }
        Ok(Self {
            table,
            clock,
            held: Mutex::new(held),
            running: Mutex::default(),
            next: Mutex::default(),
        })
    }

    /// What is remembered.
    pub(crate) fn view(&self) -> SyncView {
        lock(&self.held).clone()
    }

    /// The sync that is under way, if one is.
    pub(crate) fn running(&self) -> Option<UnderWay> {
        *lock(&self.running)
    }

    /// When the next one is due by schedule, if this node keeps one.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        *lock(&self.next)
    }

    /// The next one is due then.
    pub(crate) fn plan(&self, at: Option<Timestamp>) {
        *lock(&self.next) = at;
    }

    /// A sync begins.
    pub(crate) fn begin(&self) -> Running<'_> {
        *lock(&self.running) = Some(UnderWay::default());
        Running(self)
    }

    /// It is so far.
    pub(crate) fn is_at(&self, progress: Progress) {
        if let Some(running) = lock(&self.running).as_mut() {
            running.progress = Some(progress);
        }
    }

    /// It ended: remembered durably. A failure to remember is logged, as the sync itself did what it did.
    pub(crate) async fn ended(
        self: &Arc<Self>,
        reads: Vec<SourceRead>,
        result: &Result<SyncReport, SyncError>,
    ) {
        let bytes = {
            let mut held = lock(&self.held);
            held.take(reads, result, self.clock.now());
            serde_json::to_vec(&*held)
        };
        let Ok(bytes) = bytes else { return };
        let book = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || book.table.change(&[(LAST, Some(bytes))])).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "how the sync went could not be remembered"),
            Err(_) => tracing::error!("an internal task stopped"),
        }
    }
}

impl SyncView {
    fn take(&mut self, reads: Vec<SourceRead>, result: &Result<SyncReport, SyncError>, now: Timestamp) {
        let at = now.to_string();
        // Both are in the configuration's order; what comes after a source that cannot be read was not tried.
        for (known, read) in self.sources.iter_mut().zip(reads) {
            match read {
                Ok(view) => {
                    *known = SourceView {
                        read_at: Some(at.clone()),
                        ..view
                    };
                }
                Err(failure) => known.failure = Some(failure),
            }
        }
        self.ended_at = Some(at.clone());
        self.failure = result.as_ref().err().map(Failure::from);
        self.shrunk = match result {
            Err(SyncError::Shrunk { before, lost }) => Some(ShrunkView {
                before: *before,
                lost: *lost,
            }),
            _ => None,
        };
        if let Ok(report) = result {
            self.good = Some(GoodSyncView {
                at,
                persons: report.persons,
                registered: report.registered,
                withdrawn: report.withdrawn,
                full: report.full,
                live: report.live,
                seconds: report.seconds.iter().sum(),
            });
        }
    }

    /// In one line for people.
    pub fn text(&self, language: Language) -> String {
        let Some(at) = self.ended_at.as_deref() else {
            return language.pick("nog nooit", "never").to_owned();
        };
        match (&self.failure, &self.good) {
            (Some(failure), _) => format!("{at}: {}", failure.text(language)),
            (None, good) => {
                let bad: u64 = self.sources.iter().map(|source| source.bad_rows).sum();
                let persons = good.as_ref().map_or(0, |good| good.persons);
                match language {
                    Language::Nl => format!("{at}: {persons} personen, {bad} foute rijen"),
                    Language::En => format!("{at}: {persons} persons, {bad} bad rows"),
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "sync_book_tests.rs"]
mod tests;
