//! Which proofs and evidence are looked at, and reading them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use hitmachine_service::exit;

use crate::Failure;

const PROOF: &str = "tlog-proof";
const EVIDENCE: &str = "evidence";
/// First line of evidence; a named file is told by this, whatever it is called.
const EVIDENCE_HEADER: &[u8] = b"hitmachine/log-evidence@";
/// Folder of the tiles, in which nobody looks for proofs.
const TILES: &str = "tile";
/// Longest file read. Neither a proof nor evidence can be longer.
const MAX_FILE: u64 = 1024 * 1024 + 1;

/// A file to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Proof,
    Evidence,
}

/// Everything in the published folder and below it that is a proof or evidence by its name, and what was named. Each
/// folder in the order of its names.
pub(super) fn collect(published: &Path, named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    walk(published, true, &mut found)?;
    for path in named {
        let is_dir = fs::metadata(path)
            .map_err(|error| cannot_read(path, &error))?
            .is_dir();
        let before = found.len();
        if is_dir {
            walk(path, false, &mut found)?;
            if found.len() == before {
                let text = format!("no .{PROOF} and no .{EVIDENCE} in {}", path.display());
                return Err(Failure::new(text, exit::USAGE));
            }
        } else {
            found.push(path.clone());
        }
    }
    // The same folder may be named and lie below the published one.
    let mut once: Vec<PathBuf> = Vec::with_capacity(found.len());
    let mut seen = BTreeSet::new();
    for path in found {
        if seen.insert(fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
            once.push(path);
        }
    }
    Ok(once)
}

/// Links to folders are not followed: they may lead round.
fn walk(dir: &Path, published: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(|error| cannot_read(dir, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| cannot_read(&path, &error))?;
        if kind.is_dir() {
            if !(published && entry.file_name() == TILES) {
                walk(&path, false, found)?;
            }
        } else if path
            .extension()
            .is_some_and(|ending| ending == PROOF || ending == EVIDENCE)
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The bytes, at most one more than any proof can have, and what they are.
pub(super) fn read(path: &Path) -> Result<(Kind, Vec<u8>), Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|error| cannot_read(path, &error))?;
    let is_evidence =
        bytes.starts_with(EVIDENCE_HEADER) || path.extension().is_some_and(|ending| ending == EVIDENCE);
    let kind = if is_evidence { Kind::Evidence } else { Kind::Proof };
    Ok((kind, bytes))
}

pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()), exit::USAGE)
}
