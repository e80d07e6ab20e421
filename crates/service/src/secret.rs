//! Key files: 32 bytes with a label that says what they are for, in a file that only its owner can read.
//!
//! One line of text, so that a person can see which key a file holds without a tool, and a program refuses a key
//! that was put in the wrong place:
//!
//! ```text
//! hitmachine <purpose> <number> <64 hexadecimal digits>
//! ```
//!
//! `number` is the key epoch, 0 where there is none. A key comes from a path, or from a systemd credential
//! (`credential:<name>` stands for `$CREDENTIALS_DIRECTORY/<name>`); never from an environment variable or a command
//! line, where other processes can read it. Linux only: the owner of the process is read from `/proc`.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

const MARK: &str = "hitmachine";
const CREDENTIAL: &str = "credential:";
/// Longest key file accepted, in bytes: the line is at most 101 with its end.
const MAX_KEY_FILE: usize = 256;
/// Longest file with a password, in bytes.
const MAX_TEXT_FILE: usize = 4096;

/// What a key is for. A file for one purpose is refused for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Pseudonym key of an epoch, at the nodes.
    NodeKey,
    /// Pepper of an epoch, at the broker.
    Pepper,
    /// Signs checkpoints of the audit log.
    AuditSigning,
    /// Wraps the period keys of the audit log.
    AuditWrapping,
    /// Encrypts the local state of a node.
    NodeState,
    /// Signs a node's requests.
    RequestSigning,
    /// Cosigns checkpoints as a witness, at a node.
    Witness,
    /// Signs covenants, at one of their administrators, offline.
    Administrator,
}

impl Purpose {
    /// Every purpose, in the order of this page.
    pub const ALL: [Self; 8] = [
        Self::NodeKey,
        Self::Pepper,
        Self::AuditSigning,
        Self::AuditWrapping,
        Self::NodeState,
        Self::RequestSigning,
        Self::Witness,
        Self::Administrator,
    ];

    /// The label in the file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NodeKey => "node-key",
            Self::Pepper => "pepper",
            Self::AuditSigning => "audit-signing",
            Self::AuditWrapping => "audit-wrapping",
            Self::NodeState => "node-state",
            Self::RequestSigning => "request-signing",
            Self::Witness => "witness",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Purpose {
    type Err = UnknownPurpose;

    fn from_str(label: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.label() == label)
            .ok_or(UnknownPurpose)
    }
}

/// The label is none of [`Purpose::ALL`]. It is not repeated: in a damaged key file it may be key bytes.
#[derive(Debug, thiserror::Error)]
#[error("unknown key purpose")]
pub struct UnknownPurpose;

/// Why a file may not be used as a secret, or a secret not be written. No text holds anything of the content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// `credential:` was asked for, but systemd passed no credentials to this process.
    #[error("key is to come from a systemd credential, but CREDENTIALS_DIRECTORY is not set")]
    NoCredentials,
    /// The name behind `credential:` is empty or leads out of the credentials folder.
    #[error("not a credential name; write credential:<name> without slashes")]
    CredentialName,
    /// Group or others have rights on it.
    #[error("{} can be used by others than its owner (mode {mode:04o}); remedy: chmod 600", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Symbolic link, folder, pipe or device.
    #[error("{} is not a regular file (symbolic links are refused)", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, not to this process or root", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Numeric user id of its owner.
        owner: u32,
    },
    /// Anybody can replace the file, because anybody can write in its folder.
    #[error("{} lies in a folder where everyone may write", path.display())]
    Folder {
        /// The file.
        path: PathBuf,
    },
    /// It changed between the check and the reading.
    #[error("{} was replaced while it was read", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The key in it is for something else.
    #[error("{} does not hold a {expected} key{}", path.display(), found_text(*found))]
    Purpose {
        /// The file.
        path: PathBuf,
        /// What was needed.
        expected: Purpose,
        /// What it holds, if it is a purpose known here.
        found: Option<Purpose>,
    },
    /// Not the one line described at [`crate::secret`].
    #[error("{} is no key file: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Which part is wrong.
        problem: &'static str,
    },
    /// The user this process runs as could not be found out, so ownership cannot be judged.
    #[error("cannot tell which user this process runs as")]
    UnknownUser,
}

fn found_text(found: Option<Purpose>) -> String {
    found.map_or_else(String::new, |found| format!(" but a {found} key"))
}

/// Reading and writing of key files.
#[derive(Debug)]
pub struct SecretFile;

impl SecretFile {
    /// The number and the 32 bytes in a key file made for `purpose`. `spec` is a path or `credential:<name>`.
    ///
    /// # Errors
    /// [`SecretError`]: the file is missing, others may read or replace it, it is a link, belongs to somebody else,
    /// is for another purpose or is not a key file.
    pub fn read(spec: impl AsRef<Path>, purpose: Purpose) -> Result<(u32, Zeroizing<[u8; 32]>), SecretError> {
        let (path, bytes) = read_guarded(spec.as_ref(), MAX_KEY_FILE)?;
        parse(&bytes, purpose).map_err(|wrong| match wrong {
            Wrong::Purpose(found) => SecretError::Purpose {
                path,
                expected: purpose,
                found,
            },
            Wrong::Form(problem) => SecretError::Malformed { path, problem },
        })
    }

    /// Writes a new key file with mode 0600; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`SecretError::Io`] if the file exists (a key is never overwritten) or cannot be written,
    /// [`SecretError::Folder`] if everyone may write in its folder.
    pub fn write_new(path: &Path, purpose: Purpose, number: u32, key: &[u8; 32]) -> Result<(), SecretError> {
        let io = |source| SecretError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        let folder = folder_of(path);
        check_folder(path)?;
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE)); // big enough not to move and leave a copy
        let mut digits = Zeroizing::new([0_u8; 64]);
        hex::encode_to_slice(key, digits.as_mut_slice())
            .map_err(|_| io(io::Error::from(io::ErrorKind::InvalidInput)))?;
        write!(line, "{MARK} {purpose} {number} ").map_err(io)?;
        line.extend_from_slice(digits.as_slice());
        line.push(b'\n');
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        file.write_all(&line).map_err(io)?;
        file.sync_all().map_err(io)?;
        // The name of a new file is safe only when its folder is.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io)
    }
}

enum Wrong {
    Purpose(Option<Purpose>),
    Form(&'static str),
}

fn parse(bytes: &[u8], purpose: Purpose) -> Result<(u32, Zeroizing<[u8; 32]>), Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|_| Wrong::Form("not text"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(Wrong::Form("more than one line"));
    }
    let mut parts = line.split(' ');
    let mut next = |problem| {
        parts
            .next()
            .filter(|part| !part.is_empty())
            .ok_or(Wrong::Form(problem))
    };
    if next("empty")? != MARK {
        return Err(Wrong::Form("it does not start with 'hitmachine'"));
    }
    let found = Purpose::from_str(next("purpose missing")?).ok();
    if found != Some(purpose) {
        return Err(Wrong::Purpose(found));
    }
    let number = next("number missing")?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Form("number is not decimal"));
    }
    let number = number.parse().map_err(|_| Wrong::Form("number is too large"))?;
    let digits = next("key missing")?;
    if digits.len() != 64 {
        return Err(Wrong::Form("key is not 64 hexadecimal digits"));
    }
    let mut key = Zeroizing::new([0_u8; 32]);
    hex::decode_to_slice(digits, key.as_mut_slice())
        .map_err(|_| Wrong::Form("key is not 64 hexadecimal digits"))?;
    if parts.next().is_some() {
        return Err(Wrong::Form("something follows the key"));
    }
    Ok((number, key))
}

/// A secret in words, such as a token that another system gave. Never printed.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Reads it as [`read_text`] does; printable ASCII characters without spaces.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(spec: impl AsRef<Path>) -> Result<Self, SecretError> {
        let spec = spec.as_ref();
        let text = read_text(spec)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Malformed {
                path: spec.to_owned(),
                problem: "not one line of printable characters without spaces",
            });
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(REDACTED)")
    }
}

/// A password: the one line of a file that only its owner can read, without its end. `spec` is a path or
/// `credential:<name>`.
///
/// # Errors
/// [`SecretError`]: as for a key file; [`SecretError::Malformed`] if it is empty, no text, or of more than one line.
pub fn read_text(spec: impl AsRef<Path>) -> Result<Zeroizing<String>, SecretError> {
    let (path, bytes) = read_guarded(spec.as_ref(), MAX_TEXT_FILE)?;
    let malformed = |problem| SecretError::Malformed {
        path: path.clone(),
        problem,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("not text"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(malformed("empty"));
    }
    if line.contains(['\n', '\0']) {
        return Err(malformed("more than one line"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// The name in `credential:<name>`.
pub(crate) fn credential_name(spec: &Path) -> Option<&str> {
    spec.to_str()?.strip_prefix(CREDENTIAL)
}

/// The path that `spec` stands for, and whether it is a systemd credential.
pub(crate) fn locate(spec: &Path) -> Result<(PathBuf, bool), SecretError> {
    locate_in(spec, std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from))
}

fn locate_in(spec: &Path, credentials: Option<PathBuf>) -> Result<(PathBuf, bool), SecretError> {
    let Some(name) = credential_name(spec) else {
        return Ok((spec.to_owned(), false));
    };
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(SecretError::CredentialName);
    }
    Ok((credentials.ok_or(SecretError::NoCredentials)?.join(name), true))
}

/// The content of a file that only its owner can read, at most `limit` bytes. Used for key files and for the
/// private keys of TLS. Returns the path read as well, for error messages.
pub(crate) fn read_guarded(spec: &Path, limit: usize) -> Result<(PathBuf, Zeroizing<Vec<u8>>), SecretError> {
    let (path, credential) = locate(spec)?;
    let bytes = read_located(&path, credential, limit)?;
    Ok((path, bytes))
}

fn read_located(path: &Path, credential: bool, limit: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let io = |source| SecretError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let seen = fs::symlink_metadata(path).map_err(io)?;
    if !seen.file_type().is_file() {
        return Err(SecretError::NotRegular {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(io)?;
    // From here on the open file is judged, not the name, so that swapping it does not help; and it has to be the
    // file that was seen not to be a link (the flag O_NOFOLLOW would need a number per platform).
    let open = file.metadata().map_err(io)?;
    if (open.dev(), open.ino()) != (seen.dev(), seen.ino()) {
        return Err(SecretError::Replaced {
            path: path.to_owned(),
        });
    }
    check_rights(path, &open, effective_user()?, credential)?;
    check_folder(path)?;
    let mut bytes = Zeroizing::new(vec![0; limit]); // full size at once: growing would leave copies of the key
    let mut length = 0;
    let mut file = file;
    loop {
        match file.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io(error)),
        }
    }
    if length == limit {
        return Err(SecretError::Malformed {
            path: path.to_owned(),
            problem: "too long",
        });
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn check_rights(path: &Path, file: &Metadata, user: u32, credential: bool) -> Result<(), SecretError> {
    let (mode, owner) = (file.mode() & 0o7777, file.uid());
    if owner != user && owner != 0 {
        return Err(SecretError::Owner {
            path: path.to_owned(),
            owner,
        });
    }
    // systemd gives the service user access by an ACL; the mask of that ACL shows as group rights: 0440.
    let granted_by_systemd = credential && owner == 0 && mode & 0o337 == 0;
    if mode & 0o077 != 0 && !granted_by_systemd {
        return Err(SecretError::Mode {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Refuses a folder where everyone may replace files. With the sticky bit (`/tmp`) only owners may.
fn check_folder(path: &Path) -> Result<(), SecretError> {
    let mode = fs::metadata(folder_of(path))
        .map_err(|source| SecretError::Io {
            action: "read",
            path: folder_of(path).to_owned(),
            source,
        })?
        .mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(SecretError::Folder {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Effective user id of this process: second number of the line `Uid:` in proc(5) `/proc/self/status`. (The owner of
/// `/proc/self` is no substitute: it is root for a process that may not be dumped.)
fn effective_user() -> Result<u32, SecretError> {
    let status = fs::read_to_string("/proc/self/status").map_err(|_| SecretError::UnknownUser)?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_ascii_whitespace().nth(1))
        .and_then(|id| id.parse().ok())
        .ok_or(SecretError::UnknownUser)
}

#[cfg(test)]
mod tests;
