//! The little of a file system that the log needs, as a trait, so that a test can cut the power at any point.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

pub mod testing;

/// Files and folders. What is not synced may be gone, in part or whole, after a power cut: file contents
/// until [`DiskFile::sync`], names until [`sync_dir`](Disk::sync_dir) of their folder (for a move between
/// folders: of both).
pub trait Disk: Send + Sync + fmt::Debug + 'static {
    /// Creates a folder, and those above it, unless there.
    ///
    /// # Errors
    /// As the system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// As the system says; a name that is not UTF-8 is [`ErrorKind::InvalidData`].
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates an empty file, for its owner only, and opens it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], or as the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or as the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Moves a file, replacing what has that name.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As the system says; then the names may or may not survive.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of this file (created if need be) until the guard is dropped or the process
    /// ends.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if another holds it, or as the system says.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Bytes in the file.
    ///
    /// # Errors
    /// As the system says.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedEof`] if the file ends before, or as the system says.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, growing the file if need be.
    ///
    /// # Errors
    /// As the system says; any part may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything written is durable.
    ///
    /// # Errors
    /// As the system says. Then what was written since the last sync is lost or not, and a **second sync that
    /// succeeds proves nothing** about it.
    fn sync(&mut self) -> io::Result<()>;
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the folder.
    pub name: String,
    /// True for a folder, false for a file.
    pub is_dir: bool,
}

/// Holds an exclusive lock until dropped.
pub struct DiskLock {
    _guard: Box<dyn Send + Sync>,
}

impl DiskLock {
    /// A lock that is given back when `guard` is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self {
            _guard: Box::new(guard),
        }
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskLock")
    }
}

/// Ending of a file that is not finished; whoever owns the folder removes those at start.
pub(crate) const TEMPORARY: &str = ".tmp";

/// The whole file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let mut file = disk.open(path)?;
    let size = usize::try_from(file.size()?).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Puts a whole file in place: after a crash there is the old one, or none, or all of the new one.
pub(crate) fn put(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let (temporary, path) = (dir.join(format!("{name}{TEMPORARY}")), dir.join(name));
    let mut file = disk.create(&temporary)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    Ok(path)
}

/// Creates a folder so that it survives; its parent must be durable already.
pub(crate) fn make_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.create_dir(dir)?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => disk.sync_dir(parent),
        _ => disk.sync_dir(Path::new(".")),
    }
}

/// Removes what a crash left unfinished.
pub(crate) fn remove_temporary(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)? {
        if !entry.is_dir && entry.name.ends_with(TEMPORARY) {
            disk.unlink(&dir.join(entry.name))?;
        }
    }
    Ok(())
}

/// The file system of this machine. `sync` is `fdatasync`; files are created with mode 0600, folders with
/// 0700.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let name = entry
                    .file_name()
                    .into_string()
                    .map_err(|_| ErrorKind::InvalidData)?;
                Ok(DirEntry {
                    name,
                    is_dir: entry.file_type()?.is_dir(),
                })
            })
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(private().create_new(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(private().open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Other systems cannot open a folder; there names are durable with the file's own sync.
        if cfg!(unix) {
            File::open(dir)?.sync_all()
        } else {
            Ok(())
        }
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let file = private().create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(DiskLock::new(file)),
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read_exact(buffer)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
#[path = "disk/tests.rs"]
mod tests;
