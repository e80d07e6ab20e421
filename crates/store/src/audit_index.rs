//! The search index of the audit log.
//!
//! Derived: whatever it says is in the log as well, and it can be built again from there. It answers which entries
//! to look at, never what they say; whoever shows one reads it from the log, where it is checked against its leaf.
//!
//! # Layout
//!
//! A folder for each retention class (in months) and month, so that erasing is unlinking, and in it two sled
//! databases, so that users and cases can be kept, read and erased apart (Logboek dataverwerkingen: no user identity
//! in rows about processing):
//!
//! ```text
//! <dir>/<class>/<yyyy-mm>/processing/     time, organisation, purpose, outcome, request, trace, person
//! <dir>/<class>/<yyyy-mm>/people/         user, case
//! <dir>/state                             the watermark, see below
//! <dir>/lock                              one process at a time
//! ```
//!
//! Tokens, users and cases are in it only as HMAC-SHA256 under `K_index`, a key that is kept elsewhere. Of a BSN
//! there is not even that.
//!
//! In each database (integers big-endian; a *chunk* is what one call added, at most 4,096 entries):
//!
//! | tree | key | value |
//! |---|---|---|
//! | `chunks` | first index u64 | last index u64 ‖ earliest ms u64 ‖ latest ms u64 |
//! | `rows` | first index of 32 or fewer rows u64 | (offset from it u16 ‖ length u16 ‖ row)* |
//! | `postings` | kind u8 ‖ bucket u8 ‖ first index of the chunk u64 | (offset from it u16 ‖ last 8 bytes of the term)* |
//!
//! A term is what an entry is found by, 16 bytes. sled writes a few hundred thousand keys a second at best, and far
//! fewer at random places; one key for each term of each entry would leave 30,000 entries a second. So a chunk's
//! terms go into 32 lists for each kind, appended in the order of the log, and a search reads one list of each
//! chunk: 320 kB for a million entries. What a list names is a candidate; its row decides.
//!
//! # Invariants
//!
//! - The index holds what the log has below the watermark [`AuditIndex::next`], and nothing that is found above it.
//! - The watermark's file is written after all databases are synced, so on disk it never runs ahead of them. What was
//!   added after it is cut off when a database is first opened again, and added anew.
//! - A folder that the watermark's file does not name is left over and goes at the next start; one that is named and
//!   is not there, or lacks its last entry, is damage.

mod check;
mod chunk;
#[doc(hidden)]
pub mod fuzz;
mod part;
mod parts;
mod search;
mod state;
mod terms;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use hitmachine_audit::{Period, RetentionClass};
use hitmachine_core::record::DecodedRecord;
use zeroize::Zeroizing;

use crate::durable::DbError;
use crate::tree;
use chunk::{Bounds, Entry};
use part::Part;
use parts::{Half, OpenParts, PartId};
use state::State;
use terms::BlindKey;

pub use check::{Mismatch, Wrong};
pub use search::{Filter, MAX_PAGE, Page};

/// After how many entries the index is made durable by itself: as many are added again after a crash, at most.
const SYNC_ENTRIES: u64 = 65_536;
/// How many databases are open at a time. Each has a page cache of 32 MiB.
const MOST_OPEN: usize = 16;

/// Why the index failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Another process has it open.
    #[error("the audit index in {0} is in use by another process")]
    InUse(PathBuf),
    /// Less is there than there was, or something else.
    #[error("the audit index is damaged at {0}; rebuild the index")]
    Damaged(String),
    /// It was made with another `K_index`: nothing could be found in it.
    #[error("the audit index was made with another key; rebuild the index")]
    OtherKey,
    /// The rows are not the log's next ones, in order.
    #[error("the audit index expects the log's entries in order, from {next} on")]
    Order {
        /// The first index that would be right.
        next: u64,
    },
    /// An earlier write failed, and nobody knows what of it is on disk.
    #[error("an earlier write to the audit index failed; open it anew")]
    Failed,
    /// The database engine failed.
    #[error("the audit index's database failed")]
    Engine(#[source] DbError),
    /// A file could not be read, written or removed.
    #[error("a file of the audit index failed")]
    Io(#[from] io::Error),
}

impl IndexError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InUse(_) => "index_in_use",
            Self::Damaged(_) => "index_damaged",
            Self::OtherKey => "index_other_key",
            Self::Order { .. } => "index_order",
            Self::Failed => "index_failed",
            Self::Engine(_) => "index_engine",
            Self::Io(_) => "index_io",
        }
    }
}

impl From<DbError> for IndexError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Damaged(place) => Self::Damaged(place.display().to_string()),
            DbError::Engine(error) => error.into(),
            other => Self::Engine(other),
        }
    }
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Corruption { .. } => Self::Damaged("a page of sled".into()),
            other => Self::Engine(other.into()),
        }
    }
}

/// A payload entry of the log, to be indexed. Control entries have no row.
#[derive(Clone, Debug)]
pub struct IndexRow {
    /// Its index in the log.
    pub index: u64,
    /// The time that searches and statistics go by, in ms since 1970: that of its commit.
    pub time_ms: u64,
    /// Its retention class.
    pub class: RetentionClass,
    /// The month under whose key it is sealed.
    pub period: Period,
    /// What it says. Without its group B, if that was erased.
    pub record: DecodedRecord,
}

/// The search index of one log. `Debug` shows no key.
///
/// One thread adds; any number search at the same time.
pub struct AuditIndex {
    dir: PathBuf,
    key: BlindKey,
    /// Held as long as the index is open.
    _lock: File,
    /// Held for reading by whoever uses a database, for writing by whoever removes some.
    gate: RwLock<()>,
    /// One writer at a time; entries since the last sync.
    writer: Mutex<u64>,
    /// What is in the databases. [`State::next`] grows after they have what it promises.
    state: RwLock<State>,
    parts: Mutex<OpenParts>,
    /// A write failed.
    failed: AtomicBool,
}

impl fmt::Debug for AuditIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditIndex")
            .field("dir", &self.dir)
            .field("next", &self.next())
            .finish_non_exhaustive()
    }
}

impl AuditIndex {
    /// Opens or creates the index in `dir`; `key` is `K_index`. Finishes a removal that was cut short.
    ///
    /// # Errors
    /// [`IndexError::InUse`]; [`IndexError::Damaged`] and [`IndexError::OtherKey`], after which
    /// [`rebuild`](Self::rebuild) helps; [`IndexError::Io`]. Damage inside a database is noticed when it is first
    /// used.
    pub fn open(dir: &Path, key: [u8; 32]) -> Result<Self, IndexError> {
        Self::start(dir, key, MOST_OPEN, false)
    }

    /// Removes whatever is in `dir` and begins an empty index there, to be filled from the log's first entry on.
    ///
    /// # Errors
    /// [`IndexError::InUse`], [`IndexError::Io`].
    pub fn rebuild(dir: &Path, key: [u8; 32]) -> Result<Self, IndexError> {
        Self::start(dir, key, MOST_OPEN, true)
    }

    fn start(dir: &Path, key: [u8; 32], most_open: usize, fresh: bool) -> Result<Self, IndexError> {
        fs::create_dir_all(dir)?;
        let lock = File::create(dir.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IndexError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let key = BlindKey::new(&Zeroizing::new(key));
        let known = if fresh {
            None
        } else {
            State::read(dir, key.check_value())?
        };
        let state = if let Some(state) = known {
            state
        } else {
            let state = State::default();
            state.write(dir, key.check_value())?;
            state
        };
        remove_unnamed(dir, &state)?;
        if let Some(lost) = state.parts.keys().find(|id| !id.path(dir).is_dir()) {
            return Err(IndexError::Damaged(lost.to_string()));
        }
        Ok(Self {
            dir: dir.to_owned(),
            key,
            _lock: lock,
            gate: RwLock::new(()),
            writer: Mutex::new(0),
            parts: Mutex::new(OpenParts::new(dir, most_open, state.next)),
            state: RwLock::new(state),
            failed: AtomicBool::new(false),
        })
    }

    /// The first index of the log that is not in the index: where to go on adding. If it is larger than the log,
    /// this is the index of another log, and must be cleared.
    pub fn next(&self) -> u64 {
        self.state.read().unwrap_or_else(PoisonError::into_inner).next
    }

    /// The months that the index has entries of, by class.
    pub fn periods(&self) -> Vec<(RetentionClass, Period)> {
        let state = self.state();
        let mut periods: Vec<_> = state
            .parts
            .keys()
            .map(|id| (RetentionClass(id.class), id.period))
            .collect();
        periods.dedup();
        periods
    }

    /// Adds the log's entries from [`next`](Self::next) up to, and without, `next`: `rows` are those among them that
    /// have a payload, in order. Searches find them at once. They are durable after [`flush`](Self::flush), or when
    /// 65,536 entries came after them; what is not is asked for again after a crash.
    ///
    /// Give as many at a time as wait: an entry takes about 0.35 kB of disk in calls of 1,024, and 1.5 kB alone, at a
    /// tenth of the speed.
    ///
    /// # Errors
    /// [`IndexError::Order`], and then nothing was added. After any other error the index must be opened anew, or
    /// [`cleared`](Self::clear).
    pub fn add(&self, rows: &[IndexRow], next: u64) -> Result<(), IndexError> {
        let _open = self.reading();
        let mut unsynced = lock(&self.writer);
        self.usable()?;
        let mut expected = self.next();
        let order = IndexError::Order { next: expected };
        for row in rows {
            if row.index < expected || row.index >= next {
                return Err(order);
            }
            expected = row.index + 1;
        }
        if next < expected {
            return Err(order);
        }
        self.writing(|| self.add_in_order(rows, next, &mut unsynced))
    }

    fn add_in_order(&self, rows: &[IndexRow], next: u64, unsynced: &mut u64) -> Result<(), IndexError> {
        let mut entries: BTreeMap<PartId, Vec<Entry>> = BTreeMap::new();
        for row in rows {
            let id = |half| PartId::new(row.class, row.period, half);
            let (processing, people) = self.key.entries(row);
            entries.entry(id(Half::Processing)).or_default().push(processing);
            if let Some(people) = people {
                entries.entry(id(Half::People)).or_default().push(people);
            }
        }
        let mut state = self.state();
        for (id, entries) in entries {
            self.part(&state, id)?.add(&entries)?;
            for bounds in entries.iter().map(Bounds::of) {
                let whole = state.parts.entry(id).or_insert(bounds);
                *whole = whole.join(bounds);
            }
        }
        *unsynced += next - state.next;
        state.next = next;
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        if *unsynced >= SYNC_ENTRIES {
            self.sync()?;
            *unsynced = 0;
        }
        Ok(())
    }

    /// Makes durable what was added. For a stop, and for quiet moments.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn flush(&self) -> Result<(), IndexError> {
        let _open = self.reading();
        let mut unsynced = lock(&self.writer);
        self.usable()?;
        self.writing(|| self.sync())?;
        *unsynced = 0;
        Ok(())
    }

    /// Removes all entries of a class and month by unlinking their files, for when their term has ended. That there
    /// are none is no error. A removal that was cut short is finished by calling again, or at the next start.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn drop_period(&self, class: RetentionClass, period: Period) -> Result<(), IndexError> {
        let _closed = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut unsynced = lock(&self.writer);
        self.usable()?;
        self.writing(|| {
            lock(&self.parts).forget(class, period);
            for half in Half::ALL {
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                state.parts.remove(&PartId::new(class, period, half));
            }
            // Once the watermark's file does not name the folder any more, it will go.
            self.sync()?;
            *unsynced = 0;
            let of_class = self.dir.join(class.0.to_string());
            remove_dir(&of_class.join(period.to_string()))?;
            if of_class.is_dir() {
                File::open(&of_class)?.sync_all()?;
            }
            Ok(())
        })
    }

    /// Removes everything: the next entry to add is the log's first.
    ///
    /// # Errors
    /// [`IndexError::Io`], after which the index must be opened anew.
    pub fn clear(&self) -> Result<(), IndexError> {
        let _closed = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut unsynced = lock(&self.writer);
        self.failed.store(false, Ordering::Relaxed);
        self.writing(|| {
            lock(&self.parts).forget_all();
            let state = State::default();
            state.write(&self.dir, self.key.check_value())?;
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = state.clone();
            *unsynced = 0;
            remove_unnamed(&self.dir, &state)
        })
    }

    /// First the databases, then the watermark.
    fn sync(&self) -> Result<(), IndexError> {
        lock(&self.parts).sync()?;
        Ok(self.state().write(&self.dir, self.key.check_value())?)
    }

    /// A database, open.
    fn part(&self, state: &State, id: PartId) -> Result<Arc<Part>, IndexError> {
        let part = lock(&self.parts).part(id, state.parts.get(&id).copied());
        // Opening one may close another, which syncs it: a failed sync is not tried again.
        if matches!(part, Err(IndexError::Engine(DbError::Sync(_)))) {
            self.failed.store(true, Ordering::Relaxed);
        }
        part
    }

    fn state(&self) -> State {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn usable(&self) -> Result<(), IndexError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(IndexError::Failed);
        }
        Ok(())
    }

    fn writing<T>(&self, work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        let done = guarded(work);
        if done.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        done
    }
}

/// sled panics on some damage to its files.
fn guarded<T>(work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    tree::guarded(work).unwrap_or_else(|| Err(IndexError::Damaged("a page of sled".into())))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the folders of months that are not named: left over from a removal or a crash.
fn remove_unnamed(dir: &Path, state: &State) -> Result<(), IndexError> {
    for (of_class, class) in folders(dir, |name| name.parse::<u16>().ok())? {
        for (path, period) in folders(&of_class, |name| name.parse::<Period>().ok())? {
            for half in Half::ALL {
                let id = PartId::new(RetentionClass(class), period, half);
                if !state.parts.contains_key(&id) {
                    remove_dir(&id.path(dir))?;
                }
            }
            let named = |id: &PartId| id.class == class && id.period == period;
            if !state.parts.keys().any(named) {
                remove_dir(&path)?;
            }
        }
        File::open(&of_class)?.sync_all()?;
    }
    Ok(())
}

/// The folders whose names parse.
fn folders<T>(dir: &Path, parse: impl Fn(&str) -> Option<T>) -> io::Result<Vec<(PathBuf, T)>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let parsed = entry.file_name().to_str().and_then(&parse);
        if let Some(parsed) = parsed.filter(|_| entry.path().is_dir()) {
            folders.push((entry.path(), parsed));
        }
    }
    Ok(folders)
}

/// Removes a folder with all in it, if it is there.
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod testing;

#[cfg(test)]
#[path = "audit_index_tests.rs"]
mod tests;
