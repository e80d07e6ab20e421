//! Files with parts of the log: for their owner only, whole or not there, and never over another without being asked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that gets its name when it is whole.
pub(super) struct Output {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    force: bool,
    done: bool,
}

impl Drop for Output {
    /// What is not whole goes: it holds what people were asked about, and nobody would look for it.
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

impl Output {
    /// Begins a file, mode 0600.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if it is there and `force` is not set.
    pub(super) fn create(path: &Path, force: bool) -> io::Result<Self> {
        if !force && path.try_exists()? {
            return Err(exists(path));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // Left behind by a run that was broken off, maybe with another mode.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&partial)?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file: BufWriter::new(file),
            force,
            done: false,
        })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// As the disk says.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// As the disk says; [`ErrorKind::AlreadyExists`] if one came in between.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        if self.force {
            fs::rename(&self.partial, &self.path)?;
            self.done = true;
            return Ok(());
        }
        // A link, unlike a rename, does not go over a file. The partial name goes with `self`.
        fs::hard_link(&self.partial, &self.path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(&self.path),
            _ => error,
        })
    }
}

/// Writes a whole file.
///
/// # Errors
/// As [`Output`].
pub(super) fn write(path: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    let mut output = Output::create(path, force)?;
    output.write(bytes)?;
    output.finish()
}

/// Makes a folder that only its owner may open, or takes one that is there.
///
/// # Errors
/// As the disk says.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn exists(path: &Path) -> io::Error {
    let text = format!("{} is there already; use --force to replace it", path.display());
    io::Error::new(ErrorKind::AlreadyExists, text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_private_and_not_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("out");
        folder(&inner).unwrap();
        folder(&inner).unwrap();
        let path = inner.join("entries.csv");
        write(&path, b"first", false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        let refused = write(&path, b"second", false).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write(&path, b"second", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let broken_off = Output::create(&inner.join("x"), false).unwrap();
        drop(broken_off);
        assert_eq!(
            fs::read_dir(&inner).unwrap().count(),
            1,
            "nothing partial is left"
        );
        write(&inner.join("x"), b"y", false).unwrap();
        assert_eq!(
            fs::read_dir(&inner).unwrap().count(),
            2,
            "nothing partial is left"
        );
    }

    #[test]
    fn a_file_that_came_in_between_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        let output = Output::create(&path, false).unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert_eq!(output.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }
}
