//! The thread that owns the log and commits in groups: everything that queued during the last flush is the
//! next batch.
//!
//! What is accepted is answered exactly once, in order, and successes only after the flush. There is no
//! lingering: a lone entry is committed at once. After a failed commit nothing more is accepted; nothing is
//! ever tried again, because a second flush may report success for data that the first one lost.
//!
//! An erasure takes its turn in the queue like a batch.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    draft::Draft,
    log::{Batch, CommitError, Log, LogReader, SignedHead},
    receipt::Receipt,
};

mod erasing;
use erasing::ErasureJob;

/// Most sizes that may be named with one submission.
pub const MAX_KNOWN_SIZES: usize = 64;

/// Limits of the committer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitterOptions {
    /// Most entries in one batch, and so in one submission.
    pub max_batch: usize,
    /// Most bytes of records in one batch, and so in one submission.
    pub max_bytes: usize,
    /// Most entries that wait.
    pub queue: usize,
}

impl Default for CommitterOptions {
    fn default() -> Self {
        Self {
            max_batch: 1_024,
            max_bytes: 1 << 20,
            queue: 65_536,
        }
    }
}

/// Why a submission has no receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Too much is waiting. Not logged; try later.
    #[error("audit queue is full")]
    Full,
    /// The committer has ended. Not logged.
    #[error("audit log has stopped")]
    Stopped,
    /// The commit failed. Logged or not: only recovery will tell.
    #[error("audit log failed during the commit")]
    Failed,
    /// No entries.
    #[error("nothing to log")]
    Empty,
    /// More entries or bytes than one batch may have. Not logged.
    #[error("too much for one batch")]
    TooLarge,
    /// More than [`MAX_KNOWN_SIZES`] sizes. Not logged.
    #[error("too many known sizes")]
    TooManySizes,
}

impl SubmitError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full => "audit_queue_full",
            Self::Stopped => "audit_stopped",
            Self::Failed => "audit_failed",
            Self::Empty => "audit_empty",
            Self::TooLarge => "audit_too_large",
            Self::TooManySizes => "audit_too_many_sizes",
        }
    }
}

/// Success of one submission.
#[derive(Debug, Clone)]
pub struct Committed {
    /// One for each draft, in their order.
    pub receipts: Vec<Receipt>,
}

type Done = Box<dyn FnOnce(Result<Committed, SubmitError>) + Send>;

struct Submission {
    entries: Vec<Draft>,
    bytes: usize,
    known_sizes: Vec<u64>,
    done: Done,
}

impl Submission {
    /// A callback that panics harms nobody else's answer.
    fn answer(self, result: Result<Committed, SubmitError>) {
        answer(self.done, result);
    }
}

fn answer(done: Done, result: Result<Committed, SubmitError>) {
    let _ = catch_unwind(AssertUnwindSafe(|| done(result)));
}

enum Waiting {
    Submission(Submission),
    Erasure(ErasureJob),
}

/// What the thread does next.
enum Work {
    Batch(Vec<Submission>),
    Erasure(ErasureJob),
}

struct Queue {
    waiting: VecDeque<Waiting>,
    /// Entries in `waiting`.
    entries: usize,
    open: bool,
}

/// Counters, from the start of the committer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CommitStats {
    /// Entries committed.
    pub entries: u64,
    /// Batches committed.
    pub batches: u64,
    /// Flushes that returned success, one for each batch.
    pub flushes: u64,
    /// Entries waiting now.
    pub waiting: u64,
    /// Duration of the last write and flush.
    pub last_flush: Duration,
    /// The longest.
    pub longest_flush: Duration,
    /// The sum: divided by `flushes`, the mean.
    pub total_flush: Duration,
}

#[derive(Default)]
struct Counters {
    entries: AtomicU64,
    batches: AtomicU64,
    last_flush_ns: AtomicU64,
    longest_flush_ns: AtomicU64,
    total_flush_ns: AtomicU64,
}

impl Counters {
    fn count(&self, entries: usize, flush: Duration) {
        let ns = u64::try_from(flush.as_nanos()).unwrap_or(u64::MAX);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.last_flush_ns.store(ns, Ordering::Relaxed);
        self.longest_flush_ns.fetch_max(ns, Ordering::Relaxed);
        self.total_flush_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

struct Shared {
    options: CommitterOptions,
    queue: Mutex<Queue>,
    /// Something waits, or the queue was closed.
    wake: Condvar,
    head: Mutex<SignedHead>,
    reader: LogReader,
    counters: Counters,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while holding it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> MutexGuard<'_, SignedHead> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.queue().open = false;
        self.wake.notify_all();
    }

    /// The next batch: everything that waits, up to the limits, whole submissions in order; or an erasure, when
    /// its turn comes. Waits if nothing does; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() {
            if !queue.open {
                return None;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut batch, mut entries, mut bytes) = (Vec::new(), 0, 0);
        while let Some(Waiting::Submission(first)) = queue.waiting.front() {
            entries += first.entries.len();
            bytes += first.bytes;
            let fits = entries <= self.options.max_batch && bytes <= self.options.max_bytes;
            // Each alone fits: `submit` has seen to that.
            if !batch.is_empty() && !fits {
                break;
            }
            let Some(Waiting::Submission(submission)) = queue.waiting.pop_front() else {
                break;
            };
            queue.entries -= submission.entries.len();
            batch.push(submission);
        }
        if batch.is_empty()
            && let Some(Waiting::Erasure(job)) = queue.waiting.pop_front()
        {
            return Some(Work::Erasure(job));
        }
        Some(Work::Batch(batch))
    }
}

/// Owner of the committing thread.
pub struct Committer {
    handle: CommitHandle,
    thread: Option<JoinHandle<Option<Log>>>,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Committer")
    }
}

impl Committer {
    /// Starts the thread; first it settles what recovery owes. The heads that others saw must have been
    /// [confirmed](Log::confirm): from here on the log signs.
    ///
    /// `on_fatal` is called once, in the thread, if a commit or an erasure fails, before any waiting submission
    /// is answered. A process that answers for its log ends there.
    ///
    /// # Errors
    /// If the first head cannot be signed or the thread not be started.
    pub fn spawn(
        log: Log,
        options: CommitterOptions,
        on_fatal: Box<dyn FnOnce(&CommitError) + Send>,
    ) -> Result<Self, CommitError> {
        let options = CommitterOptions {
            max_bytes: options.max_bytes.min(log.max_records()),
            ..options
        };
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                entries: 0,
                open: true,
            }),
            wake: Condvar::new(),
            head: Mutex::new(log.sign_head()?),
            reader: log.reader(),
            counters: Counters::default(),
        });
        let handle = CommitHandle {
            shared: Arc::clone(&shared),
        };
        let run = move || run(log, &shared, on_fatal);
        let thread = thread::Builder::new()
            .name("audit-committer".to_owned())
            .spawn(run);
        Ok(Self {
            handle,
            thread: Some(thread.map_err(io::Error::other)?),
        })
    }

    /// Another handle to submit through.
    pub fn handle(&self) -> CommitHandle {
        self.handle.clone()
    }

    /// Accepts nothing more, commits what waits, ends the thread and gives the log back; `None` if it failed.
    pub fn shutdown(mut self) -> Option<Log> {
        self.join()
    }

    fn join(&mut self) -> Option<Log> {
        self.handle.shared.close();
        self.thread.take().and_then(|thread| thread.join().ok().flatten())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.join());
    }
}

/// Submits to the committer; cheap to clone.
#[derive(Clone)]
pub struct CommitHandle {
    shared: Arc<Shared>,
}

impl fmt::Debug for CommitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitHandle")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl CommitHandle {
    /// Queues entries that belong together: all land in one frame. `done` is called once, in the committing
    /// thread, so it must be short: with receipts once they are durable, or with [`SubmitError::Failed`] or
    /// [`SubmitError::Stopped`]. Each receipt has a consistency proof from each of `known_sizes` that is not
    /// beyond its head.
    ///
    /// # Errors
    /// [`SubmitError`], and then `done` is not called. Never waits.
    pub fn submit(
        &self,
        entries: Vec<Draft>,
        mut known_sizes: Vec<u64>,
        done: impl FnOnce(Result<Committed, SubmitError>) + Send + 'static,
    ) -> Result<(), SubmitError> {
        let options = &self.shared.options;
        let bytes = entries.iter().map(Draft::record_len).sum();
        if entries.is_empty() {
            return Err(SubmitError::Empty);
        }
        if entries.len() > options.max_batch || bytes > options.max_bytes {
            return Err(SubmitError::TooLarge);
        }
        if known_sizes.len() > MAX_KNOWN_SIZES {
            return Err(SubmitError::TooManySizes);
        }
        known_sizes.sort_unstable();
        known_sizes.dedup();
        let mut queue = self.shared.queue();
        if !queue.open {
            return Err(SubmitError::Stopped);
        }
        if queue.entries + entries.len() > options.queue {
            return Err(SubmitError::Full);
        }
        queue.entries += entries.len();
        queue.waiting.push_back(Waiting::Submission(Submission {
            entries,
            bytes,
            known_sizes,
            done: Box::new(done),
        }));
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Reads the log while it is written to.
    pub fn reader(&self) -> LogReader {
        self.shared.reader.clone()
    }

    /// The newest signed head; its checkpoint covers only what is durable.
    pub fn head(&self) -> SignedHead {
        self.shared.head().clone()
    }

    /// The counters now.
    pub fn stats(&self) -> CommitStats {
        let counters = &self.shared.counters;
        let duration = |ns: &AtomicU64| Duration::from_nanos(ns.load(Ordering::Relaxed));
        let batches = counters.batches.load(Ordering::Relaxed);
        CommitStats {
            entries: counters.entries.load(Ordering::Relaxed),
            batches,
            flushes: batches,
            waiting: self.shared.queue().entries as u64,
            last_flush: duration(&counters.last_flush_ns),
            longest_flush: duration(&counters.longest_flush_ns),
            total_flush: duration(&counters.total_flush_ns),
        }
    }
}

fn run(mut log: Log, shared: &Shared, on_fatal: Box<dyn FnOnce(&CommitError) + Send>) -> Option<Log> {
    let mut in_hand = InHand::default();
    let Err(error) = serve(&mut log, shared, &mut in_hand) else {
        return Some(log);
    };
    shared.close();
    let _ = catch_unwind(AssertUnwindSafe(|| on_fatal(&error)));
    for (_, _, done) in in_hand.submissions {
        answer(done, Err(SubmitError::Failed));
    }
    if let Some(job) = in_hand.erasure {
        job.answer(Err(match error {
            CommitError::Erasure(error) => *error,
            error => error.into(),
        }));
    }
    // Nobody can add to a closed queue.
    while let Some(work) = shared.next() {
        match work {
            Work::Batch(batch) => {
                for submission in batch {
                    submission.answer(Err(SubmitError::Stopped));
                }
            }
            Work::Erasure(job) => job.answer(Err(CommitError::Stopped.into())),
        }
    }
    None
}

/// What is to be answered when the work in hand is done.
#[derive(Default)]
struct InHand {
    submissions: Vec<Taken>,
    erasure: Option<ErasureJob>,
}

/// Count, known sizes and callback of a submission whose drafts are being committed.
type Taken = (usize, Vec<u64>, Done);

/// Commits and erases until the queue is closed and empty.
fn serve(log: &mut Log, shared: &Shared, in_hand: &mut InHand) -> Result<(), CommitError> {
    if let Some(batch) = guarded(|| log.settle())? {
        publish(shared, &batch);
    }
    while let Some(work) = shared.next() {
        match work {
            Work::Batch(batch) => commit(log, shared, batch, &mut in_hand.submissions)?,
            Work::Erasure(job) => {
                let result = erasing::erase(log, shared, in_hand.erasure.insert(job))?;
                if let Some(job) = in_hand.erasure.take() {
                    job.answer(result);
                }
            }
        }
    }
    Ok(())
}

/// One batch. `taken` holds its callbacks.
fn commit(
    log: &mut Log,
    shared: &Shared,
    batch: Vec<Submission>,
    taken: &mut Vec<Taken>,
) -> Result<(), CommitError> {
    let mut entries = Vec::new();
    for mut submission in batch {
        taken.push((submission.entries.len(), submission.known_sizes, submission.done));
        entries.append(&mut submission.entries);
    }
    let batch = guarded(|| log.commit(entries))?;
    publish(shared, &batch);
    let (signed, mut index, mut logged) = (batch.signed, batch.first_index, batch.logged.into_iter());
    for (count, known_sizes, done) in taken.drain(..) {
        let receipts = log.receipts_for(&signed, index, logged.by_ref().take(count), &known_sizes);
        index += count as u64;
        answer(done, Ok(Committed { receipts }));
    }
    Ok(())
}

fn publish(shared: &Shared, batch: &Batch) {
    shared.counters.count(batch.len(), batch.flush());
    *shared.head() = batch.signed().clone();
}

/// A panic is a failed commit like any other.
fn guarded<T>(commit: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
    catch_unwind(AssertUnwindSafe(commit)).unwrap_or(Err(CommitError::Panicked))
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
