//! The log itself: opening and recovery, the commit of one batch, and reading back.
//!
//! ```text
//! <dir>/lock                     held while open
//! <dir>/identity                 verifier key of the log; another key or origin is refused
//! <dir>/wal/…                    the entries, see `wal`
//! <dir>/torn-<index>-<n>.bin     copies of torn ends that recovery cut off
//! <published_dir>/…              entry bundles, see `tiles`; read only for entries that were erased
//! <keys_dir>/…                   see `keyring`
//! ```
//!
//! Invariants: a checkpoint is signed only when its frame is flushed; after any error of the disk the log
//! refuses everything until it is opened again; a frame is read back from its bytes and recomputed before it
//! is written.

use std::{
    fmt,
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{Arc, RwLock},
    time::{Duration, SystemTime},
};

use crate::{
    checkpoint::{Checkpoint, Head},
    disk::{self, Disk, DiskLock},
    draft::Draft,
    frame,
    hash::Hash,
    keyring::{KeyRing, WrappingKey},
    merkle::Edge,
    note::LogSigner,
    period::Period,
    receipt::{ConsistencyProofs, Logged, Receipt},
    wal::{self, Wal},
};

mod again;
mod book;
pub(crate) mod bundles;
mod commit;
mod complete;
mod erase;
mod erasure;
mod error;
mod read;
mod recent;
mod recover;
use book::Book;
pub use complete::{Completeness, Incomplete, completeness};
pub use erase::Erased;
pub(crate) use erasure::Erasures;
pub use erasure::{EraseRequest, Erasure, ErasurePlan, Selection};
pub use error::{CommitError, EraseError, HeadConflict, OpenError};
pub use read::{LogReader, ReadError, StoredContent, StoredEntry};

/// Milliseconds since 1970. Only fills the time of a frame and chooses the month; never decides an order.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of this machine; 1970 if it is set before.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Default size of a segment: 64 MiB.
pub const SEGMENT_SIZE: u64 = 64 << 20;

/// What a log needs.
pub struct LogConfig {
    /// Folder of the log.
    pub dir: PathBuf,
    /// Folder of the period keys; another disk, another backup.
    pub keys_dir: PathBuf,
    /// Folder of the published log: the only copy of entries whose segments were unlinked after an erasure.
    pub published_dir: PathBuf,
    /// Key and origin.
    pub signer: LogSigner,
    /// Wraps the period keys.
    pub wrapping_key: WrappingKey,
    /// Bytes of a segment, and so the most a batch may take.
    pub segment_size: u64,
    /// The time.
    pub clock: Clock,
}

impl LogConfig {
    /// With segments of [`SEGMENT_SIZE`], the [`system_clock`], and published in `<dir>/tiles`.
    pub fn new(dir: PathBuf, keys_dir: PathBuf, signer: LogSigner, wrapping_key: WrappingKey) -> Self {
        Self {
            published_dir: dir.join("tiles"),
            dir,
            keys_dir,
            signer,
            wrapping_key,
            segment_size: SEGMENT_SIZE,
            clock: system_clock(),
        }
    }
}

impl fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &mut f.debug_struct("LogConfig");
        config
            .field("dir", &self.dir)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The head as rebuilt from the frames. Not signed yet.
    pub head: Head,
    /// Frames read.
    pub frames: usize,
    /// The end that was cut off, if any. It cannot be told from an acknowledged batch that was damaged later:
    /// ask others for their heads ([`Log::confirm`]) before committing.
    pub torn: Option<Torn>,
    /// An erasure that a crash cut short: call [`Log::finish_erasure`] before anything is served.
    pub unfinished_erasure: Option<ErasurePlan>,
    /// Ids of keys that an erasure had destroyed and that were there again, as after the restoration of a
    /// backup. They are destroyed once more.
    pub destroyed_again: Vec<u32>,
}

/// An end that was cut off. A control entry `recovered` says so at the head of the next commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// Index of the first entry that may have been in it.
    pub index: u64,
    /// Length.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: Hash,
    /// The copy that was kept.
    pub kept: PathBuf,
}

/// A head and its signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// Size and root.
    pub head: Head,
    /// The signed note.
    pub note: Arc<[u8]>,
}

/// A batch that is durable and signed.
pub struct Batch {
    pub(crate) first_index: u64,
    pub(crate) logged: Vec<Logged>,
    pub(crate) signed: SignedHead,
    flush: Duration,
}

impl Batch {
    /// Index of its first entry.
    pub const fn first_index(&self) -> u64 {
        self.first_index
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.logged.len()
    }

    /// Never: an empty batch is not committed.
    pub fn is_empty(&self) -> bool {
        self.logged.is_empty()
    }

    /// The head after it.
    pub const fn signed(&self) -> &SignedHead {
        &self.signed
    }

    /// How long the write and its flush took.
    pub const fn flush(&self) -> Duration {
        self.flush
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let batch = &mut f.debug_struct("Batch");
        batch
            .field("first_index", &self.first_index)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// The log, opened for writing by this process alone.
pub struct Log {
    // Dropped in this order: the helper thread of `wal` ends before the lock is given back.
    wal: Wal,
    reader: LogReader,
    signer: LogSigner,
    clock: Clock,
    edge: Edge,
    head: Head,
    /// `recovered` entries that are still to be written.
    owed: Vec<Draft>,
    erasures: Erasures,
    stopped: bool,
    #[cfg(test)]
    flip_bit: Option<usize>,
    _locks: (Option<DiskLock>, DiskLock),
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = &mut f.debug_struct("Log");
        log.field("origin", self.signer.origin())
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Opens the log, creating it if the folder is empty: takes the lock, replays all frames, keeps and cuts
    /// off a torn end. What was found is made durable once more, since the flush that failed may have been
    /// the reason for this start. Nothing is signed: ask others for the heads they saw and
    /// [`confirm`](Self::confirm) them first, since only they can tell a torn end from a rollback.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(config: LogConfig, disk: Arc<dyn Disk>) -> Result<(Self, Recovery), OpenError> {
        let LogConfig {
            dir,
            keys_dir,
            published_dir,
            signer,
            wrapping_key,
            segment_size,
            clock,
        } = config;
        disk::make_dir(&*disk, &dir)?;
        let lock = disk.lock(&dir.join("lock")).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => OpenError::Locked,
            _ => error.into(),
        })?;
        disk::remove_temporary(&*disk, &dir)?;
        recover::identify(&*disk, &dir, &signer)?;
        let mut keys = KeyRing::open(&keys_dir, wrapping_key, Arc::clone(&disk))?;

        let wal_dir = dir.join("wal");
        disk::make_dir(&*disk, &wal_dir)?;
        let mut loaded = wal::load(&*disk, &wal_dir, &published_dir)?;
        let head = Head {
            size: loaded.replay.front.size(),
            root: loaded.replay.front.root(),
        };
        disk.sync_dir(&dir)?;
        let torn = recover::keep_torn(&*disk, &dir, head.size, &loaded)?;
        loaded.cut(&*disk)?;
        let owed = recover::owed(&*disk, &dir, &loaded.replay.recovered)?;
        keys.raise(loaded.replay.key_id);

        let period = Period::of_unix_ms(clock());
        let (wal, replay) = Wal::resume(Arc::clone(&disk), wal_dir, segment_size, period, loaded)?;
        let edge = Edge::of(&replay.front).ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?;
        let keys_lock = keys.take_lock();
        let destroyed_again = erase::destroy_again(&mut keys, &replay.erasures)?;
        let unfinished = replay.erasures.unfinished();
        let recovery = Recovery {
            head,
            frames: replay.places.len(),
            torn,
            unfinished_erasure: unfinished.map(|(_, erasure)| ErasurePlan(erasure.clone())),
            destroyed_again,
        };
        let book = Book {
            front: replay.front,
            durable: head,
            places: replay.places,
            segments: wal.segments.clone(),
            key_ids: replay.key_ids,
            controls: replay.controls,
        };
        let reader = LogReader {
            book: Arc::new(RwLock::new(book)),
            keys: Arc::new(RwLock::new(keys)),
            disk,
            published: published_dir.into(),
            origin: signer.origin().clone(),
            recent: Arc::default(),
        };
        let log = Self {
            wal,
            reader,
            signer,
            clock,
            edge,
            head,
            owed,
            erasures: replay.erasures,
            stopped: false,
            #[cfg(test)]
            flip_bit: None,
            _locks: (keys_lock, lock),
        };
        Ok((log, recovery))
    }

    /// The durable head.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Reads this log, also while it is written to.
    pub fn reader(&self) -> LogReader {
        self.reader.clone()
    }

    /// As [`LogReader::confirm`].
    ///
    /// # Errors
    /// [`HeadConflict`]; the log must then not be used: committing would sign a fork.
    pub fn confirm(&self, seen: &Head) -> Result<(), HeadConflict> {
        self.reader.confirm(seen)
    }

    /// As [`LogReader::read_entry`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_entry(&self, index: u64) -> Result<StoredEntry, ReadError> {
        self.reader.read_entry(index)
    }

    /// As [`LogReader::entries`], all of them.
    pub fn entries(&self) -> impl Iterator<Item = Result<StoredEntry, ReadError>> {
        self.reader.entries(0..self.head.size)
    }

    /// Signs the durable head. Only after others' heads are [confirmed](Self::confirm).
    ///
    /// # Errors
    /// [`CommitError::Stopped`] after a failed commit, [`CommitError::Sign`].
    pub fn sign_head(&self) -> Result<SignedHead, CommitError> {
        if self.stopped {
            return Err(CommitError::Stopped);
        }
        let Head { size, root } = self.head;
        let checkpoint = Checkpoint {
            origin: self.signer.origin().clone(),
            size,
            root,
        };
        Ok(SignedHead {
            head: self.head,
            note: self.signer.sign(&checkpoint)?.into(),
        })
    }

    /// Writes the `recovered` entries that recovery owes, if any, as a batch of their own.
    /// [`commit`](Self::commit) does so by itself.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn settle(&mut self) -> Result<Option<Batch>, CommitError> {
        if self.owed.is_empty() {
            return Ok(None);
        }
        let owed = self.owed.clone();
        let batch = self.commit_frame(owed)?;
        self.owed.clear();
        Ok(Some(batch))
    }

    /// Commits all drafts in one frame with one flush, then signs. On `Ok` they survive a power cut.
    ///
    /// # Errors
    /// [`CommitError::Empty`] and [`CommitError::TooLarge`] leave the log as it was. Every other error ends
    /// it: nothing of the batch may be released, and the process must start again and recover.
    pub fn commit(&mut self, entries: Vec<Draft>) -> Result<Batch, CommitError> {
        self.settle()?;
        self.commit_frame(entries)
    }

    /// Receipts for the entries of a batch, in order, with a consistency proof from each of these sizes.
    pub fn receipts(&self, batch: Batch, known_sizes: &[u64]) -> Vec<Receipt> {
        self.receipts_for(&batch.signed, batch.first_index, batch.logged, known_sizes)
    }

    pub(crate) fn receipts_for(
        &self,
        signed: &SignedHead,
        first_index: u64,
        logged: impl IntoIterator<Item = Logged>,
        known_sizes: &[u64],
    ) -> Vec<Receipt> {
        let size = signed.head.size;
        let book = self.reader.book();
        let proof = |from: &u64| Some((*from, book.front.consistency_proof_at(*from, size)?));
        let consistency: Arc<ConsistencyProofs> = Arc::new(known_sizes.iter().filter_map(proof).collect());
        let receipt = |(leaf_index, logged)| {
            // A batch is made only of what is in the tree.
            let inclusion = book
                .front
                .inclusion_proof_at(leaf_index, size)
                .unwrap_or_default();
            let (checkpoint, consistency) = (Arc::clone(&signed.note), Arc::clone(&consistency));
            Receipt {
                logged,
                leaf_index,
                inclusion,
                head: signed.head,
                checkpoint,
                consistency,
            }
        };
        (first_index..).zip(logged).map(receipt).collect()
    }

    /// Most bytes that the records of one batch may take.
    pub(crate) fn max_records(&self) -> usize {
        let records = self
            .wal
            .segment_size()
            .saturating_sub((frame::HEADER + frame::TRAILER) as u64);
        // The length of a body is a u32.
        usize::try_from(records.min(u32::MAX.into())).unwrap_or(usize::MAX)
    }

    /// Waits until the next segment is prepared. Never needed; makes the order of disk operations
    /// predictable.
    ///
    /// # Errors
    /// What preparing it met; a commit that needs the segment will fail too.
    pub fn wait_for_spare(&mut self) -> io::Result<()> {
        self.wal.wait_for_spare()
    }
}

#[cfg(test)]
#[path = "log/tests.rs"]
mod tests;
