//! A pseudonym key of an epoch that is over, kept so that two of three persons are needed to use it again.
//!
//! The key is the exclusive or of three random parts. Each of the three holders gets the two parts that are not its own
//! number's: one holder lacks a part and so knows nothing about the key, whatever it computes; two have all three.
//! What a holder keeps is one line of text:
//!
//! ```text
//! hitmachine node-key-share <epoch> <holder> <64 hexadecimal digits> <64 hexadecimal digits> <16 hexadecimal digits>
//! ```
//!
//! The two parts stand in the order of their numbers; the last word is a check value of the key, the same in all three.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// How many holders there are.
pub(super) const HOLDERS: u8 = 3;
const MARK: &str = "hitmachine node-key-share";
const CONTEXT: &str = "hitmachine 2026 sealed node key check v1";
/// Longest file accepted, in bytes: a line has at most 195.
const MAX_FILE: u64 = 256;

type Part = Zeroizing<[u8; 32]>;

/// Why a key is not sealed or unsealed. No text holds anything of a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others than its owner can read it.
    #[error("{} can be used by others than its owner; remedy: chmod 600", .0.display())]
    Mode(PathBuf),
    /// It is no share.
    #[error("{} is not a share of a sealed key", .0.display())]
    NotAShare(PathBuf),
    /// They do not belong together.
    #[error("these shares are of one holder, of different keys, or damaged")]
    DoNotFit,
    /// No random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

/// What one holder keeps.
struct Share {
    epoch: u32,
    holder: u8,
    parts: [Part; 2],
    check: String,
}

fn check_value(epoch: u32, key: &[u8; 32]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&epoch.to_be_bytes());
    hasher.update(key);
    let check = hasher.finalize();
    hex::encode(&check.as_bytes()[..8])
}

fn xor(a: &[u8; 32], b: &[u8; 32]) -> Part {
    let mut sum = Zeroizing::new([0; 32]);
    for (sum, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
        *sum = a ^ b;
    }
    sum
}

/// The numbers of the parts that a holder has.
fn numbers(holder: u8) -> [u8; 2] {
    match holder {
        1 => [2, 3],
        2 => [1, 3],
        _ => [1, 2],
    }
}

fn split(epoch: u32, key: &[u8; 32]) -> Result<Vec<Share>, SealError> {
    let (mut one, mut two): (Part, Part) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    getrandom::fill(one.as_mut_slice()).map_err(|_| SealError::Random)?;
    getrandom::fill(two.as_mut_slice()).map_err(|_| SealError::Random)?;
    let three = xor(&xor(key, &one), &two);
    let part = |number: u8| match number {
        1 => one.clone(),
        2 => two.clone(),
        _ => three.clone(),
    };
    let shares = (1..=HOLDERS).map(|holder| Share {
        epoch,
        holder,
        parts: numbers(holder).map(part),
        check: check_value(epoch, key),
    });
    Ok(shares.collect())
}

fn join(a: &Share, b: &Share) -> Result<(u32, Part), SealError> {
    if a.holder == b.holder || a.epoch != b.epoch || a.check != b.check {
        return Err(SealError::DoNotFit);
    }
    let mut key: Part = Zeroizing::new([0; 32]);
    for number in 1..=HOLDERS {
        let of = |share: &Share| {
            let place = numbers(share.holder).iter().position(|own| *own == number)?;
            share.parts.get(place).cloned()
        };
        let part = match (of(a), of(b)) {
            // The part that both have must be the same.
            (Some(one), Some(other)) if one != other => return Err(SealError::DoNotFit),
            (Some(part), _) | (None, Some(part)) => part,
            (None, None) => return Err(SealError::DoNotFit),
        };
        key = xor(&key, &part);
    }
    if check_value(a.epoch, &key) == a.check {
        Ok((a.epoch, key))
    } else {
        Err(SealError::DoNotFit)
    }
}

/// Writes the three shares of a key into `dir`, each for its owner only; none is written over.
///
/// # Errors
/// [`SealError`]; some of the shares may have been written then.
pub(super) fn seal(epoch: u32, key: &[u8; 32], dir: &Path) -> Result<Vec<PathBuf>, SealError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| SealError::Io { path, source }
    };
    let mut written = Vec::new();
    for share in split(epoch, key)? {
        let path = dir.join(format!("node-key-{epoch}-share-{}.key", share.holder));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_at(&path))?;
        let [first, second] = &share.parts;
        let (first, second) = (
            Zeroizing::new(hex::encode(first.as_slice())),
            Zeroizing::new(hex::encode(second.as_slice())),
        );
        let line = Zeroizing::new(format!(
            "{MARK} {epoch} {} {} {} {}\n",
            share.holder, *first, *second, share.check
        ));
        file.write_all(line.as_bytes()).map_err(io_at(&path))?;
        file.sync_all().map_err(io_at(&path))?;
        written.push(path);
    }
    let folder = if dir == Path::new("") { Path::new(".") } else { dir };
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_at(dir))?;
    Ok(written)
}

fn read(path: &Path) -> Result<Share, SealError> {
    let io = |source| SealError::Io {
        path: path.to_owned(),
        source,
    };
    let seen = fs::symlink_metadata(path).map_err(io)?;
    if !seen.is_file() || seen.len() > MAX_FILE {
        return Err(SealError::NotAShare(path.to_owned()));
    }
    if seen.mode() & 0o077 != 0 {
        return Err(SealError::Mode(path.to_owned()));
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(io)?);
    parse(&text).ok_or_else(|| SealError::NotAShare(path.to_owned()))
}

fn parse(text: &str) -> Option<Share> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let mut words = line.strip_prefix(MARK)?.strip_prefix(' ')?.split(' ');
    let epoch = words.next()?.parse().ok()?;
    let holder: u8 = words.next()?.parse().ok()?;
    let mut part = || {
        let mut part: Part = Zeroizing::new([0; 32]);
        hex::decode_to_slice(words.next()?, part.as_mut_slice()).ok()?;
        Some(part)
    };
    let parts = [part()?, part()?];
    let check = words.next().filter(|check| check.len() == 16)?.to_owned();
    let is_share = (1..=HOLDERS).contains(&holder) && words.next().is_none();
    is_share.then_some(Share {
        epoch,
        holder,
        parts,
        check,
    })
}

/// The key of two shares, and its epoch.
///
/// # Errors
/// [`SealError`].
pub(super) fn unseal(shares: [&Path; 2]) -> Result<(u32, Part), SealError> {
    let [a, b] = shares;
    join(&read(a)?, &read(b)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_holders_have_the_key_and_one_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let key = [0x5a; 32];
        let files = seal(3, &key, dir.path()).unwrap();
        assert_eq!(files.len(), 3);
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let (epoch, found) = unseal([&files[a], &files[b]]).unwrap();
            assert_eq!((epoch, *found), (3, key));
        }
        for file in &files {
            assert!(matches!(unseal([file, file]), Err(SealError::DoNotFit)));
            let text = fs::read_to_string(file).unwrap();
            assert!(!text.contains(&hex::encode(key)));
            // What one holder has, put together in any way, is not the key.
            let share = parse(&text).unwrap();
            let [first, second] = &share.parts;
            assert!(**first != key && **second != key && *xor(first, second) != key);
        }
        assert!(
            matches!(seal(3, &key, dir.path()), Err(SealError::Io { .. })),
            "never written over"
        );
    }

    #[test]
    fn shares_that_do_not_belong_together_are_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = seal(3, &[1; 32], one.path()).unwrap();
        let b = seal(3, &[1; 32], other.path()).unwrap();
        assert!(
            matches!(unseal([&a[0], &b[1]]), Err(SealError::DoNotFit)),
            "of two sealings"
        );
        let text = fs::read_to_string(&a[0]).unwrap();
        let place = text.len() - 30;
        let digit = if text.as_bytes()[place] == b'0' { "1" } else { "0" };
        fs::write(&a[0], format!("{}{digit}{}", &text[..place], &text[place + 1..])).unwrap();
        for other in [&a[1], &a[2]] {
            assert!(
                matches!(unseal([&a[0], other]), Err(SealError::DoNotFit)),
                "damaged"
            );
        }
        fs::write(&a[1], "hitmachine node-key 3 00\n").unwrap();
        assert!(matches!(unseal([&a[1], &a[2]]), Err(SealError::NotAShare(_))));
    }
}
