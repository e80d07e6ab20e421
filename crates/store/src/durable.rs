//! sled 0.34, made durable.

use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// A named map of byte strings inside a [`DurableDb`], and changes to one that are made together.
pub use sled::{Batch, Tree};

/// Memory for sled's page cache, in bytes: values are batches, read once at start.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// Another process has it open.
    #[error("the database in {0} is in use by another process")]
    InUse(PathBuf),
    /// sled cannot read its own files.
    #[error("the database in {0} is damaged")]
    Damaged(PathBuf),
    /// sled reports an error.
    #[error("the database engine failed")]
    Engine(#[from] sled::Error),
    /// A file could not be synced or listed.
    #[error("a database file could not be synced")]
    Sync(#[source] io::Error),
}

/// A sled database whose [`commit`](DurableDb::commit) survives a power cut.
pub struct DurableDb {
    db: sled::Db,
    dir: PathBuf,
}

impl DurableDb {
    /// Opens or creates the database in `dir`.
    ///
    /// # Errors
    /// [`DbError::InUse`], [`DbError::Damaged`] (sled panics on some damage; that is caught here), or the
    /// engine's own.
    pub fn open(dir: &Path) -> Result<Self, DbError> {
        fs::create_dir_all(dir).map_err(DbError::Sync)?;
        remove_unfinished(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .print_profile_on_drop(false);
        let opened = catch_unwind(AssertUnwindSafe(|| config.open()));
        match opened {
            Ok(Ok(db)) => {
                let durable = Self {
                    db,
                    dir: dir.to_owned(),
                };
                durable.commit()?;
                Ok(durable)
            }
            Ok(Err(sled::Error::Io(error))) if is_lock(&error) => Err(DbError::InUse(dir.to_owned())),
            // The disk or its rights: the files may be as they were.
            Ok(Err(sled::Error::Io(error))) if error.raw_os_error().is_some() => {
                Err(sled::Error::Io(error).into())
            }
            // Whatever else sled says of its own files, it did not write them so: of a flipped bit in its settings, for
            // one, that they come from an older version.
            Ok(Err(_)) | Err(_) => Err(DbError::Damaged(dir.to_owned())),
        }
    }

    /// A map by name; made if it is not there.
    ///
    /// # Errors
    /// The engine's.
    pub fn tree(&self, name: &str) -> Result<Tree, DbError> {
        Ok(self.db.open_tree(name)?)
    }

    /// Makes all writes so far durable: flushes, then syncs every file and folder of the database.
    ///
    /// # Errors
    /// After an error the writes may or may not be durable, and the database must be opened anew.
    pub fn commit(&self) -> Result<(), DbError> {
        self.db.flush()?;
        sync_tree(&self.dir).map_err(DbError::Sync)
    }
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
    // sled's own lock: another process may be writing its snapshot at this moment. Given back at the end of this
    // function, for sled to take.
    match db.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DbError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(DbError::Sync(error)),
    }
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
    Ok(())
}

fn is_lock(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // sled replaces snapshot files while we look: one that is gone needs no sync.
        let synced = if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())
        } else {
            File::open(entry.path()).and_then(|file| file.sync_all())
        };
        match synced {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    File::open(dir)?.sync_all()
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
    fn a_snapshot_that_was_not_finished_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let db = DurableDb::open(dir.path()).unwrap();
            let tree = db.tree("t").unwrap();
            assert_eq!(tree.len(), usize::from(round));
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
