//! Reading a published log.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    CHECKPOINT,
    bundle::{BundleError, parse_bundle},
    path::{FULL, Row, TilePath},
};
use crate::{
    disk::Disk,
    hash::{Hash, leaf_hash},
};

/// Most bytes of a checkpoint that are read; a note longer than this is refused anyway.
const MAX_CHECKPOINT: u64 = 64 * 1024 + 1;

/// Where the files of a published log come from: a folder, a server, a mirror.
///
/// Whatever it gives is checked; it should bound what it takes, by [`TilePath::max_len`].
pub trait ReadTile {
    /// The whole file; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be told.
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>>;

    /// The checkpoint, a signed note; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be told.
    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>>;
}

/// The folder of a [`Publisher`](super::Publisher), on its disk.
#[derive(Debug, Clone)]
pub struct PublishedFolder {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
}

impl PublishedFolder {
    /// The folder with `checkpoint` and `tile` in it.
    pub fn new(dir: impl Into<PathBuf>, disk: Arc<dyn Disk>) -> Self {
        Self {
            dir: dir.into(),
            disk,
        }
    }
}

impl ReadTile for PublishedFolder {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        read_tile(&*self.disk, &self.dir, path)
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        read_checkpoint(&*self.disk, &self.dir)
    }
}

/// A folder of this machine that need not be writable, such as an auditor's copy.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Folder {
    fn some(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl ReadTile for Folder {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        self.some(&path.to_string(), path.max_len() + 1)
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.some(CHECKPOINT, MAX_CHECKPOINT)
    }
}

/// One byte more than a file may have is enough to see that it is too long.
pub(crate) fn read_tile(disk: &dyn Disk, dir: &Path, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
    read_some(disk, &dir.join(path.to_string()), path.max_len() + 1)
}

pub(crate) fn read_checkpoint(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Vec<u8>>> {
    read_some(disk, &dir.join(CHECKPOINT), MAX_CHECKPOINT)
}

fn read_some(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = match disk.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = usize::try_from(file.size()?.min(limit)).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// The bundles of this number that are there, the widest first.
pub(crate) fn bundles_of(disk: &dyn Disk, dir: &Path, number: u64) -> io::Result<Vec<TilePath>> {
    let full = TilePath::entries(number, None);
    let folder = full.partials();
    let names = match disk.list(&dir.join(&folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let partial = names
        .into_iter()
        .filter_map(|entry| format!("{folder}/{}", entry.name).parse().ok());
    let mut bundles: Vec<TilePath> = partial.collect();
    bundles.push(full);
    bundles.sort_by_key(|bundle| std::cmp::Reverse(bundle.width()));
    Ok(bundles)
}

/// Why the leaves cannot be had from the bundles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeavesError {
    /// No bundle has this entry, the first that is missing.
    #[error("no bundle has entry {0}")]
    Missing(u64),
    /// The bundle is malformed at this entry.
    #[error("bundle is malformed at entry {0}")]
    Malformed(u64, #[source] BundleError),
    /// The disk.
    #[error("bundles cannot be read")]
    Io(#[from] io::Error),
}

impl LeavesError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "bundle_missing",
            Self::Malformed(_, error) => error.code(),
            Self::Io(_) => "tiles_io",
        }
    }
}

/// Leaf hashes of the first `count` entries from the bundles, full or partial, in a published folder: for a
/// log whose first segments were removed after erasure.
///
/// Nothing is checked but the form. The caller checks the root.
///
/// # Errors
/// [`LeavesError`], naming the first index.
pub fn leaves_from_bundles(dir: &Path, disk: &dyn Disk, count: u64) -> Result<Vec<Hash>, LeavesError> {
    let mut leaves = Vec::new();
    for number in 0..count.div_ceil(FULL) {
        let wanted = TilePath::holding(Row::Entries, number * FULL, count);
        leaves.extend(leaves_of(dir, disk, &wanted)?);
    }
    Ok(leaves)
}

/// From any bundle that is wide enough.
fn leaves_of(dir: &Path, disk: &dyn Disk, wanted: &TilePath) -> Result<Vec<Hash>, LeavesError> {
    let mut error = LeavesError::Missing(wanted.first_leaf());
    for bundle in bundles_of(disk, dir, wanted.index())? {
        let Some(bytes) = read_tile(disk, dir, &bundle)? else {
            continue;
        };
        match parse_bundle(&bytes, bundle.width()) {
            Ok(entries) if bundle.width() >= wanted.width() => {
                let entries = entries.into_iter().take(usize::from(wanted.width()));
                return Ok(entries.map(leaf_hash).collect());
            }
            // The widest comes first and says how far the entries reach.
            Ok(entries) => {
                if matches!(error, LeavesError::Missing(index) if index == wanted.first_leaf()) {
                    error = LeavesError::Missing(wanted.leaf_of(entries.len() as u64));
                }
            }
            Err(flaw) => error = LeavesError::Malformed(wanted.leaf_of(flaw.entry()), flaw),
        }
    }
    Err(error)
}
