//! Syncing the files of a database, and no more of them than can have changed.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// sled's one growing file, relative to its folder.
pub(super) const PAGES: &str = "db";

/// The files of one database, and what was synced of them.
///
/// A sync of a file costs a flush of the disk, also if nothing in it changed. sled 0.34 writes three kinds of files: `db`,
/// which every commit syncs; and snapshots and blobs, each written once, from begin to end, and never changed. Of those
/// only new ones are synced, and the folders only when a name came or went.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Kept open: an error of writing back is told to whoever had the file open at that time.
    pages: File,
    synced: HashMap<PathBuf, Stamp>,
    names: HashMap<PathBuf, BTreeSet<OsString>>,
}

/// What differs if a file was written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Files {
    /// The files of the database that sled has opened in `dir`.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            pages: File::open(dir.join(PAGES))?,
            synced: HashMap::new(),
            names: HashMap::new(),
        })
    }

    /// Makes everything durable that sled has written.
    ///
    /// # Errors
    /// The first; then nothing is certain.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.pages.sync_data()?;
        let dir = self.dir.clone();
        self.sync_folder(&dir)
    }

    fn sync_folder(&mut self, dir: &Path) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            let synced = if entry.file_type()?.is_dir() {
                self.sync_folder(&path)
            } else if dir == self.dir && entry.file_name() == PAGES {
                Ok(())
            } else {
                self.sync_once(&path)
            };
            match synced {
                // sled replaces snapshot files while we look: one that is gone needs no sync.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => {
                    other?;
                    names.insert(entry.file_name());
                }
            }
        }
        if self.names.get(dir) != Some(&names) {
            File::open(dir)?.sync_all()?;
            self.names.insert(dir.to_owned(), names);
        }
        Ok(())
    }

    fn sync_once(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        // Before the sync: what is written after this moment changes it.
        let stamp = Stamp::of(&file.metadata()?);
        if self.synced.get(path) != Some(&stamp) {
            file.sync_all()?;
            self.synced.insert(path.to_owned(), stamp);
        }
        Ok(())
    }
}
