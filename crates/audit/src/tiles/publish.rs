//! Writing a published log, and mending it at start.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CHECKPOINT, PublishSource, SourceError,
    bundle::{encode_bundle, parse_bundle, split_bundle},
    path::{Row, TilePath},
    read::{bundles_of, read_checkpoint, read_tile},
    source::check_head,
};
use crate::{
    checkpoint::Head,
    disk::{self, Disk, TEMPORARY},
    hash::leaf_hash,
    log::HeadConflict,
    note::{LogVerifier, NoteError},
};

/// Why nothing was published or mended. What was published before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The checkpoint to be published is not one of this log's.
    #[error("checkpoint to be published is refused")]
    Note(#[from] NoteError),
    /// The checkpoint is of another size than was said.
    #[error("checkpoint of {signed} entries was to be published as one of {asked}")]
    Size {
        /// What was said.
        asked: u64,
        /// What was signed.
        signed: u64,
    },
    /// A signed checkpoint, the one in the folder or the one to be published, does not lie on the log: it was
    /// rolled back, or forked.
    #[error("signed checkpoint does not lie on this log")]
    Conflict(#[from] HeadConflict),
    /// A larger checkpoint was published before.
    #[error("checkpoint of {size} entries is older than the published one of {published}")]
    Older {
        /// The one refused.
        size: u64,
        /// The one in the folder.
        published: u64,
    },
    /// Only a checkpoint with the same size and root may be put in place of the published one.
    #[error("checkpoint has not the size and root of the published one")]
    OtherHead,
    /// The log has no hash for a subtree that is complete.
    #[error("log has no node {index} of level {level}")]
    Node {
        /// Binary level.
        level: u32,
        /// Number in the level.
        index: u64,
    },
    /// The log gives another entry than its tree has.
    #[error("entry {0} does not fit its leaf")]
    Entry(u64),
    /// The entry does not fit a bundle.
    #[error("entry {0} is longer than 65,535 bytes")]
    TooLong(u64),
    /// The bundle is missing or wrong at this entry, the first, and the log no longer holds it.
    #[error("entry {0} is neither in the log nor in a bundle")]
    Lost(u64),
    /// The log's entries cannot be read.
    #[error("entries cannot be had from the log")]
    Source(#[source] SourceError),
    /// The disk. A checkpoint that was being written may be in place or not; trying again is safe.
    #[error("published folder cannot be read or written")]
    Io(#[from] io::Error),
}

impl PublishError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Note(error) => error.code(),
            Self::Size { .. } => "publish_size",
            Self::Conflict(conflict) => conflict.code(),
            Self::Older { .. } => "publish_older",
            Self::OtherHead => "publish_other_head",
            Self::Node { .. } => "publish_node",
            Self::Entry(_) => "publish_entry",
            Self::TooLong(_) => "bundle_entry_too_long",
            Self::Lost(_) => "publish_lost",
            Self::Source(error) => error.code(),
            Self::Io(_) => "tiles_io",
        }
    }
}

/// What [`Publisher::publish`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Size and root of the checkpoint that is in place.
    pub head: Head,
    /// Tiles and bundles written.
    pub written: u64,
    /// Partial tiles and bundles removed, their full ones being published.
    pub removed: u64,
}

/// What [`Publisher::heal`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Healed {
    /// The checkpoint in the folder; `None` if there is none that can be read.
    pub published: Option<Head>,
    /// Why the checkpoint that is there cannot be read.
    pub unreadable: Option<NoteError>,
    /// Tiles and bundles looked at.
    pub checked: u64,
    /// Of these, missing or wrong and written again.
    pub rewritten: u64,
    /// Partial or unfinished files removed.
    pub removed: u64,
}

/// Writes the published log into a folder of its own.
///
/// Per file: temporary name, flush, rename; per publication: every folder touched is flushed once, then the
/// checkpoint. Nothing found on disk counts as durable unless this publisher put it there or
/// [`heal`](Self::heal) flushed it, so a failed publication can be tried again: it writes anew.
#[derive(Debug)]
pub struct Publisher {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    verifier: LogVerifier,
    /// The largest head whose checkpoint may be in the folder.
    published: Option<Head>,
    unreadable: Option<NoteError>,
    /// All that a checkpoint of this size needs is there, right and durable.
    complete: u64,
    /// Folders that exist, with their names up to `dir` either durable or in `unsynced`.
    known: BTreeSet<PathBuf>,
    /// To be flushed before the next checkpoint.
    unsynced: BTreeSet<PathBuf>,
}

impl Publisher {
    /// Takes the folder, created unless there (its parent must be durable), and reads its checkpoint. Call
    /// [`heal`](Self::heal) before anything else. One publisher per folder: the log's lock sees to that.
    ///
    /// # Errors
    /// As the disk says. A checkpoint that cannot be read is none; `heal` tells.
    pub fn open(dir: impl Into<PathBuf>, disk: Arc<dyn Disk>, verifier: LogVerifier) -> io::Result<Self> {
        let dir = dir.into();
        disk::make_dir(&*disk, &dir)?;
        disk::remove_temporary(&*disk, &dir)?;
        let found = read_checkpoint(&*disk, &dir)?.map(|note| verifier.open(&note));
        let (published, unreadable) = match found {
            None => (None, None),
            Some(Ok(checkpoint)) => (Some(checkpoint.head()), None),
            Some(Err(error)) => (None, Some(error)),
        };
        Ok(Self {
            dir,
            disk,
            verifier,
            published,
            unreadable,
            complete: 0,
            known: BTreeSet::new(),
            unsynced: BTreeSet::new(),
        })
    }

    /// The head of the checkpoint in the folder; after a failed publication perhaps of the one that was to
    /// be.
    pub fn published(&self) -> Option<Head> {
        self.published
    }

    /// Checks every file that the checkpoint in the folder needs, byte for byte, and writes what is missing
    /// or wrong. Without a readable checkpoint: every file that the log needs as it is now.
    ///
    /// A bundle is right if its entries hash to the log's leaves, whether or not the log still holds them; so
    /// is what is left of a wrong one.
    ///
    /// # Errors
    /// [`PublishError::Conflict`] if the checkpoint is larger than the log or has another root;
    /// [`PublishError::Lost`] with the first index that neither the log nor a bundle has; others as they say.
    pub fn heal(&mut self, source: &dyn PublishSource) -> Result<Healed, PublishError> {
        let size = match self.published {
            Some(head) => {
                check_head(source, head)?;
                head.size
            }
            None => source.size(),
        };
        let (mut checked, mut rewritten) = (0, 0);
        for path in TilePath::needed(size) {
            checked += 1;
            if self.is_right(source, &path)? {
                // After a crash of the process alone its name may be there, but not durable.
                self.enter(&folder_of(&self.dir, &path))?;
            } else {
                self.write(source, &path)?;
                rewritten += 1;
            }
        }
        // The checkpoint's own name too, before anything that only an older one needs is removed.
        self.unsynced.insert(self.dir.clone());
        self.flush()?;
        self.complete = size;
        Ok(Healed {
            published: self.published,
            unreadable: self.unreadable,
            checked,
            rewritten,
            removed: self.sweep()?,
        })
    }

    /// Publishes a checkpoint of `size` entries: first the tiles and bundles that it needs and that are not
    /// there, then the note itself, then the partial files whose full ones it covers are removed.
    ///
    /// # Errors
    /// [`PublishError`]. Until the note is in place the old checkpoint is served in full; trying again, also
    /// with a larger one, is safe.
    pub fn publish(
        &mut self,
        source: &dyn PublishSource,
        size: u64,
        checkpoint_note: &[u8],
    ) -> Result<Published, PublishError> {
        let head = self.verifier.open(checkpoint_note)?.head();
        if head.size != size {
            return Err(PublishError::Size {
                asked: size,
                signed: head.size,
            });
        }
        let before = self.published.map_or(0, |published| published.size);
        if size < before {
            return Err(PublishError::Older {
                size,
                published: before,
            });
        }
        check_head(source, head)?;
        let mut written = 0;
        for path in TilePath::needed_since(self.complete, size) {
            self.write(source, &path)?;
            written += 1;
        }
        self.flush()?;
        self.complete = size;
        self.put(head, checkpoint_note)?;
        let mut removed = 0;
        for row in Row::all(size) {
            for index in row.filled(before, size) {
                removed += self.remove_partials(&TilePath::new(row, index, None))?;
            }
        }
        Ok(Published {
            head,
            written,
            removed,
        })
    }

    /// Puts a note with the size and root of the published checkpoint in its place: the same with more
    /// cosignatures.
    ///
    /// # Errors
    /// [`PublishError::Note`], [`PublishError::OtherHead`] or [`PublishError::Io`].
    pub fn put_checkpoint(&mut self, note: &[u8]) -> Result<(), PublishError> {
        let head = self.verifier.open(note)?.head();
        // Before `heal` or a publication nobody has seen that the tiles are there.
        if self.published != Some(head) || self.complete != head.size {
            return Err(PublishError::OtherHead);
        }
        Ok(self.put(head, note)?)
    }

    /// Everything the note needs is durable.
    fn put(&mut self, head: Head, note: &[u8]) -> io::Result<()> {
        // Before the attempt: if it fails, the note may be there all the same, and nothing older may follow.
        self.published = Some(head);
        replace(&*self.disk, &self.dir.join(CHECKPOINT), note)?;
        self.disk.sync_dir(&self.dir)
    }

    fn write(&mut self, source: &dyn PublishSource, path: &TilePath) -> Result<(), PublishError> {
        let bytes = match path.row() {
            Row::Entries => self.bundle(source, path)?,
            Row::Hashes(level) => tile(source, level, path)?,
        };
        self.enter(&folder_of(&self.dir, path))?;
        Ok(replace(&*self.disk, &self.dir.join(path.to_string()), &bytes)?)
    }

    /// Sees to it that the folder is there, and that it and its name are flushed before the next checkpoint.
    fn enter(&mut self, folder: &Path) -> io::Result<()> {
        if !self.known.contains(folder) {
            self.disk.create_dir(folder)?;
            let above = folder.ancestors().skip(1);
            let above = above.take_while(|above| above.starts_with(&self.dir));
            self.unsynced.extend(above.map(Path::to_path_buf));
            self.known.insert(folder.to_path_buf());
        }
        self.unsynced.insert(folder.to_path_buf());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        for folder in &self.unsynced {
            self.disk.sync_dir(folder)?;
        }
        self.unsynced.clear();
        Ok(())
    }

    fn is_right(&self, source: &dyn PublishSource, path: &TilePath) -> Result<bool, PublishError> {
        let Some(bytes) = read_tile(&*self.disk, &self.dir, path)? else {
            return Ok(false);
        };
        let Row::Hashes(level) = path.row() else {
            let Ok(entries) = parse_bundle(&bytes, path.width()) else {
                return Ok(false);
            };
            let mut entries = (path.first_leaf()..).zip(entries);
            return Ok(entries.all(|(index, entry)| fits(source, index, entry)));
        };
        Ok(bytes == tile(source, level, path)?)
    }

    /// The bundle from the log, or, as far as it no longer has the entries, from what is on disk.
    fn bundle(&self, source: &dyn PublishSource, path: &TilePath) -> Result<Vec<u8>, PublishError> {
        let range = path.first_leaf()..path.leaf_of(u64::from(path.width()));
        let entries = match entries_of(source, range.start, range.end) {
            Err(PublishError::Lost(_)) => self.salvage(source, path)?,
            entries => entries?,
        };
        encode_bundle(&entries).map_err(|error| PublishError::TooLong(path.leaf_of(error.entry())))
    }

    /// Each entry from whichever bundle of this number still has it, the rest from the log.
    fn salvage(&self, source: &dyn PublishSource, path: &TilePath) -> Result<Vec<Vec<u8>>, PublishError> {
        let mut found: Vec<Option<Vec<u8>>> = vec![None; usize::from(path.width())];
        for bundle in bundles_of(&*self.disk, &self.dir, path.index())? {
            let Some(bytes) = read_tile(&*self.disk, &self.dir, &bundle)? else {
                continue;
            };
            let (entries, _) = split_bundle(&bytes, bundle.width());
            let entries = (path.first_leaf()..).zip(entries).zip(&mut found);
            for ((index, entry), place) in entries {
                if place.is_none() && fits(source, index, entry) {
                    *place = Some(entry.to_vec());
                }
            }
        }
        let mut entries = Vec::with_capacity(found.len());
        for (index, entry) in (path.first_leaf()..).zip(found) {
            match entry {
                Some(entry) => entries.push(entry),
                None => entries.extend(entries_of(source, index, index + 1)?),
            }
        }
        Ok(entries)
    }

    /// Removes the partial files of a full one.
    fn remove_partials(&mut self, full: &TilePath) -> io::Result<u64> {
        let folder = self.dir.join(full.partials());
        self.known.remove(&folder);
        let names = match self.disk.list(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            names => names?,
        };
        let mut removed = 0;
        for name in names.iter().filter(|name| !name.is_dir) {
            self.disk.unlink(&folder.join(&name.name))?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Removes what crashes left: unfinished files, and partial files whose full ones are published.
    fn sweep(&mut self) -> io::Result<u64> {
        let size = self.published.map_or(0, |published| published.size);
        let (mut removed, mut folders) = (0, vec!["tile".to_owned()]);
        while let Some(folder) = folders.pop() {
            let names = match self.disk.list(&self.dir.join(&folder)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                names => names?,
            };
            for name in names {
                let path = format!("{folder}/{}", name.name);
                let full = path.strip_suffix(".p").and_then(|full| full.parse().ok());
                match full {
                    Some(full) if name.is_dir && is_full(&full, size) => {
                        removed += self.remove_partials(&full)?;
                    }
                    _ if name.is_dir => folders.push(path),
                    _ if path.ends_with(TEMPORARY) => {
                        self.disk.unlink(&self.dir.join(path))?;
                        removed += 1;
                    }
                    _ => {}
                }
            }
        }
        Ok(removed)
    }
}

/// True if a tree of `size` leaves has this file in full.
fn is_full(path: &TilePath, size: u64) -> bool {
    path.row().filled(0, size).contains(&path.index())
}

fn folder_of(dir: &Path, path: &TilePath) -> PathBuf {
    let mut file = dir.join(path.to_string());
    file.pop();
    file
}

fn fits(source: &dyn PublishSource, index: u64, entry: &[u8]) -> bool {
    source.node(0, index) == Some(leaf_hash(entry))
}

/// The log's entries, each checked against its leaf; [`PublishError::Lost`] if they are gone.
fn entries_of(source: &dyn PublishSource, start: u64, end: u64) -> Result<Vec<Vec<u8>>, PublishError> {
    let entries = source.entries(start..end).map_err(|error| match error {
        SourceError::Gone(index) => PublishError::Lost(index),
        error @ SourceError::Read(_) => PublishError::Source(error),
    })?;
    let wrong = (start..end)
        .zip(&entries)
        .find(|(index, entry)| !fits(source, *index, entry));
    match wrong {
        Some((index, _)) => Err(PublishError::Entry(index)),
        // Too few, or too many.
        None if entries.len() as u64 != end - start => {
            Err(PublishError::Entry(end.min(start + entries.len() as u64)))
        }
        None => Ok(entries),
    }
}

fn tile(source: &dyn PublishSource, level: u8, path: &TilePath) -> Result<Vec<u8>, PublishError> {
    let level = 8 * u32::from(level);
    let mut bytes = Vec::with_capacity(32 * usize::from(path.width()));
    for place in 0..u64::from(path.width()) {
        let index = path.item(place);
        let node = source
            .node(level, index)
            .ok_or(PublishError::Node { level, index })?;
        bytes.extend(node.0);
    }
    Ok(bytes)
}

/// Puts a whole file in place; its folder is still to be flushed.
fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY);
    let temporary = PathBuf::from(temporary);
    let mut file = match disk.create(&temporary) {
        // Left by an attempt that failed: what of it is durable nobody knows, so another file is made.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            disk.unlink(&temporary)?;
            disk.create(&temporary)?
        }
        file => file?,
    };
    file.write_at(0, bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, path)
}
