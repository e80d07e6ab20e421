//! sled 0.34, made durable.

mod files;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Changes to a [`Tree`] that are made together.
pub use sled::Batch;

use self::files::{Files, PAGES};
use crate::tree::{Tree, guarded};

/// Memory for sled's page cache, in bytes: values are batches, read once at start.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How long sled may take to give its lock back.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a database may be in use until it is said to be: what was closed a moment ago sled's threads, or a program
/// that this process was starting just then, may still hold.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(1);

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// Another process has it open.
    #[error("the database in {0} is in use by another process")]
    InUse(PathBuf),
    /// sled cannot read its own files.
    #[error(
        "the database in {0} is damaged; put it back from a backup, or move it away and start again without it"
    )]
    Damaged(PathBuf),
    /// sled reports an error.
    #[error("the database engine failed")]
    Engine(#[from] sled::Error),
    /// An earlier commit failed, and nobody knows what of it is on the disk.
    #[error("an earlier write to the database failed; start again")]
    Failed,
    /// A file could not be synced or listed.
    #[error("a database file could not be synced")]
    Sync(#[source] io::Error),
}

/// A sled database whose [`commit`](DurableDb::commit) survives a power cut.
pub struct DurableDb {
    db: sled::Db,
    dir: PathBuf,
    /// Commits begun.
    begun: AtomicU64,
    /// One commit at a time.
    commits: Mutex<Commits>,
}

struct Commits {
    files: Files,
    /// The number of the last one that ended well.
    done: u64,
    /// One failed. A later sync that succeeds would prove nothing: what the system could not write it may have forgotten.
    failed: bool,
}

impl DurableDb {
    /// Opens or creates the database in `dir`.
    ///
    /// # Errors
    /// [`DbError::InUse`], [`DbError::Damaged`] (sled panics on some damage; that is caught here), or the
    /// engine's own.
    pub fn open(dir: &Path) -> Result<Self, DbError> {
        create(dir).map_err(DbError::Sync)?;
        found(dir)?;
        remove_unfinished(dir)?;
        let begun = Instant::now();
        let opened = loop {
            match guarded(|| config(dir).open()) {
                Some(Err(sled::Error::Io(error))) if is_lock(&error) && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(PAUSE);
                }
                opened => break opened,
            }
        };
        match opened {
            Some(Ok(db)) => {
                let durable = Self {
                    db,
                    dir: dir.to_owned(),
                    begun: AtomicU64::new(0),
                    commits: Mutex::new(Commits {
                        files: Files::open(dir).map_err(DbError::Sync)?,
                        done: 0,
                        failed: false,
                    }),
                };
                durable.commit()?;
                Ok(durable)
            }
            Some(Err(sled::Error::Io(error))) if is_lock(&error) => Err(DbError::InUse(dir.to_owned())),
            // The disk or its rights: the files may be as they were.
            Some(Err(sled::Error::Io(error))) if error.raw_os_error().is_some() => {
                Err(sled::Error::Io(error).into())
            }
            // Whatever else sled says of its own files, it did not write them so: of a flipped bit in its settings, for
            // one, that they come from an older version.
            Some(Err(_)) | None => Err(DbError::Damaged(dir.to_owned())),
        }
    }

    /// A map by name; made if it is not there.
    ///
    /// # Errors
    /// The engine's.
    pub fn tree(&self, name: &str) -> Result<Tree, DbError> {
        Ok(Tree::new(self.raw_tree(name)?, Arc::from(self.dir.as_path())))
    }

    /// The same as sled has it, for who guards it otherwise.
    pub(crate) fn raw_tree(&self, name: &str) -> Result<sled::Tree, DbError> {
        match guarded(|| self.db.open_tree(name)) {
            Some(opened) => Ok(opened?),
            None => Err(DbError::Damaged(self.dir.clone())),
        }
    }

    /// Makes all writes durable that were made before the call: flushes, then syncs what changed of the database's files
    /// and folders. Who comes while another commit is under way shares the next one with all that wait.
    ///
    /// # Errors
    /// After an error the writes may or may not be durable, and the database must be opened anew: every later commit is
    /// [`DbError::Failed`].
    pub fn commit(&self) -> Result<(), DbError> {
        // A commit with a higher number begins after this moment, so it has what was written before.
        let begun = self.begun.load(Ordering::SeqCst);
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.failed {
            return Err(DbError::Failed);
        }
        if commits.done > begun {
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        // Until it has ended well.
        commits.failed = true;
        match guarded(|| self.db.flush()) {
            Some(flushed) => flushed.map(drop)?,
            None => return Err(DbError::Damaged(self.dir.clone())),
        }
        commits.files.sync().map_err(DbError::Sync)?;
        commits.failed = false;
        commits.done = number;
        Ok(())
    }
}

fn config(dir: &Path) -> sled::Config {
    sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .print_profile_on_drop(false)
}

/// Makes a database in a folder that is still empty, whole or not at all: of its own settings and first pages sled syncs
/// nothing, and what a power cut leaves of them it takes for damage.
fn found(dir: &Path) -> Result<(), DbError> {
    let is_empty = fs::read_dir(dir).map_err(DbError::Sync)?.next().is_none();
    if !is_empty {
        return Ok(());
    }
    let new = dir.with_extension("new");
    match fs::remove_dir_all(&new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(DbError::Sync)?,
    }
    fs::create_dir(&new).map_err(DbError::Sync)?;
    let db = match guarded(|| config(&new).open()) {
        Some(opened) => opened?,
        None => return Err(DbError::Damaged(dir.to_owned())),
    };
    db.flush()?;
    let synced = Files::open(&new).and_then(|mut files| files.sync());
    synced.map_err(DbError::Sync)?;
    drop(db);
    wait_until_closed(&new.join(PAGES)).map_err(DbError::Sync)?;
    match fs::rename(&new, dir) {
        // The folder is a disk of its own, whose place nothing can take: there sled makes its files itself.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices
            ) =>
        {
            return fs::remove_dir_all(&new).map_err(DbError::Sync);
        }
        renamed => renamed.map_err(DbError::Sync)?,
    }
    let above = dir.parent().filter(|above| *above != Path::new(""));
    let above = File::open(above.unwrap_or(Path::new(".")));
    above.and_then(|above| above.sync_all()).map_err(DbError::Sync)
}

/// Returns when the database in `dir`, which this process has dropped, can be opened again.
///
/// # Errors
/// [`DbError::InUse`] if that takes too long.
pub(crate) fn until_closed(dir: &Path) -> Result<(), DbError> {
    wait_until_closed(&dir.join(PAGES)).map_err(|error| in_use(dir, error))
}

/// sled's own threads hold its lock a moment longer than the database is there.
fn wait_until_closed(file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    lock(&file, CLOSING)?;
    file.unlock()
}

/// Takes sled's lock, or ends with [`io::ErrorKind::TimedOut`].
fn lock(file: &File, patience: Duration) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn in_use(dir: &Path, error: io::Error) -> DbError {
    match error.kind() {
        io::ErrorKind::TimedOut => DbError::InUse(dir.to_owned()),
        _ => DbError::Sync(error),
    }
}

/// Creates the folder, and those above it that are not there; its name survives a power cut, like what will be in it.
fn create(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    // Also of one that is there already: whoever made it may have been stopped before this.
    let made = missing.iter().copied().chain([dir]);
    for above in made.filter_map(Path::parent) {
        let above = if above == Path::new("") {
            Path::new(".")
        } else {
            above
        };
        match File::open(above).and_then(|above| above.sync_all()) {
            // Somebody else's, in which this process made nothing.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Removes what a kill or a full disk left of a snapshot at an earlier start.
///
/// sled 0.34 writes `snap.<lsn>.generating` beside the old snapshot, syncs it and renames it; but when it looks for the
/// newest snapshot it leaves out another ending (`.in___motion`), takes the unfinished file and calls the database
/// corrupt. Nothing is lost with the file: the old snapshot goes when the new one has its name.
fn remove_unfinished(dir: &Path) -> Result<(), DbError> {
    let db = match File::open(dir.join("db")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(DbError::Sync)?,
    };
    // sled's own lock: another process may be writing its snapshot at this moment.
    lock(&db, PATIENCE).map_err(|error| in_use(dir, error))?;
    for entry in fs::read_dir(dir).map_err(DbError::Sync)? {
        let path = entry.map_err(DbError::Sync)?.path();
        let name = path
            .file_name()
            .map(std::ffi::OsStr::to_string_lossy)
            .unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path).map_err(DbError::Sync)?;
        }
    }
    // For sled to take. To close the file would not do: a program that another thread starts at this moment has it too.
    db.unlock().map_err(DbError::Sync)
}

fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let db = DurableDb::open(dir.path()).unwrap();
        assert!(matches!(DurableDb::open(dir.path()), Err(DbError::InUse(_))));
        drop(db);
        DurableDb::open(dir.path()).unwrap();
    }

    #[test]
    fn many_commits_at_once_keep_what_each_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let db = DurableDb::open(dir.path()).unwrap();
        let tree = db.tree("t").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let (db, tree) = (&db, &tree);
                scope.spawn(move || {
                    for n in 0..20_u8 {
                        tree.insert([thread, n], "value").unwrap();
                        db.commit().unwrap();
                        let done = db.commits.lock().unwrap().done;
                        assert!(done <= db.begun.load(Ordering::SeqCst));
                    }
                });
            }
        });
        // Some were shared, or none had to wait.
        assert!(db.begun.load(Ordering::SeqCst) <= 161);
        drop((tree, db));
        assert_eq!(
            DurableDb::open(dir.path())
                .unwrap()
                .tree("t")
                .unwrap()
                .iter()
                .count(),
            160
        );
    }

    #[test]
    fn after_a_failure_nothing_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let db = DurableDb::open(dir.path()).unwrap();
        // A folder that cannot be read is as good as a disk that fails.
        fs::rename(dir.path().join("blobs"), dir.path().join("elsewhere")).unwrap();
        fs::remove_dir(dir.path().join("elsewhere")).unwrap();
        db.tree("t").unwrap().insert("key", "value").unwrap();
        db.commit().unwrap();
        let moved = dir.path().with_extension("moved");
        fs::rename(dir.path(), &moved).unwrap();
        assert!(matches!(db.commit(), Err(DbError::Sync(_))));
        fs::rename(&moved, dir.path()).unwrap();
        assert!(matches!(db.commit(), Err(DbError::Failed)));
    }

    #[test]
    fn a_snapshot_that_was_not_finished_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let db = DurableDb::open(dir.path()).unwrap();
            let tree = db.tree("t").unwrap();
            assert_eq!(tree.iter().count(), usize::from(round));
            tree.insert([round], "value").unwrap();
            db.commit().unwrap();
            drop((tree, db));
            let left = [b"".as_slice(), b"half of a snapshot"][usize::from(round % 2)];
            fs::write(dir.path().join("snap.7FFFFFFFFFFFFFFF.generating"), left).unwrap();
        }
        // While it is open, nothing of it is touched.
        let other = tempfile::tempdir().unwrap();
        let db = DurableDb::open(other.path()).unwrap();
        let theirs = other.path().join("snap.0000000000000001.generating");
        fs::write(&theirs, "another process at work").unwrap();
        assert!(matches!(DurableDb::open(other.path()), Err(DbError::InUse(_))));
        assert!(theirs.exists());
        drop(db);
    }

    #[test]
    fn after_a_failed_commit_no_other_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let (here, away) = (dir.path().join("here"), dir.path().join("away"));
        let db = DurableDb::open(&here).unwrap();
        let tree = db.tree("t").unwrap();
        tree.insert("key", b"value").unwrap();
        fs::rename(&here, &away).unwrap();
        assert!(matches!(db.commit(), Err(DbError::Sync(_))));
        // Were the disk as before, a sync that succeeds would say nothing of what the one before should have written.
        fs::rename(&away, &here).unwrap();
        assert!(matches!(db.commit(), Err(DbError::Failed)));
        drop((tree, db));
        DurableDb::open(&here).unwrap().commit().unwrap();
    }

    #[test]
    fn what_is_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let db = DurableDb::open(dir.path()).unwrap();
        db.tree("t").unwrap().insert("key", "value").unwrap();
        db.commit().unwrap();
        drop(db);
        let tree = DurableDb::open(dir.path()).unwrap().tree("t").unwrap();
        assert_eq!(tree.get("key").unwrap().as_deref(), Some(b"value".as_slice()));
    }
}
