//! Steps of opening that touch the folder beside the segments.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use serde_json::json;

use super::{OpenError, Torn};
use crate::{
    disk::{self, Disk},
    draft::{Draft, RECOVERED},
    hash::sha256,
    note::LogSigner,
    wal,
};

/// The folder belongs to one origin and key, for good.
pub(super) fn identify(disk: &dyn Disk, dir: &Path, signer: &LogSigner) -> Result<(), OpenError> {
    const NAME: &str = "identity";
    let ours = format!("{}\n", signer.verifier());
    let names = disk.list(dir)?;
    if names.iter().any(|entry| entry.name == NAME) {
        let same = disk::read(disk, &dir.join(NAME))? == ours.as_bytes();
        return if same { Ok(()) } else { Err(OpenError::Identity) };
    }
    // It is written before anything else: entries without it are another log's.
    if names.iter().any(|entry| entry.name == "wal") {
        return Err(OpenError::Identity);
    }
    disk::put(disk, dir, NAME, ours.as_bytes())?;
    Ok(())
}

const TORN: &str = "torn-";

/// Copies a torn end aside, durably.
pub(super) fn keep_torn(
    disk: &dyn Disk,
    dir: &Path,
    index: u64,
    loaded: &wal::Loaded,
) -> io::Result<Option<Torn>> {
    let Some(torn) = &loaded.torn else { return Ok(None) };
    let taken = disk.list(dir)?;
    let free = (0_u32..).map(|n| format!("{TORN}{index}-{n}.bin"));
    let mut free = free.filter(|name| taken.iter().all(|entry| entry.name != *name));
    let name = free.next().ok_or(ErrorKind::AlreadyExists)?;
    let kept = disk::put(disk, dir, &name, &torn.bytes)?;
    Ok(Some(Torn {
        index,
        bytes: torn.bytes.len() as u64,
        sha256: sha256(&[&torn.bytes]),
        kept,
    }))
}

/// A `recovered` entry for each kept torn end that the log does not speak of yet: the crash may have come
/// between.
pub(super) fn owed(disk: &dyn Disk, dir: &Path, recovered: &[(u64, String)]) -> io::Result<Vec<Draft>> {
    let mut owed = Vec::new();
    let mut known = recovered.to_vec();
    let mut names: Vec<String> = disk.list(dir)?.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    for name in names {
        let Some(index) = torn_index(&name) else { continue };
        let bytes = disk::read(disk, &dir.join(name))?;
        let torn = (index, sha256(&[&bytes]).to_string());
        if !known.contains(&torn) {
            let entry = json!({"type": RECOVERED, "index": index, "bytes": bytes.len(), "sha256": torn.1});
            owed.push(Draft::own_control(&entry).map_err(io::Error::other)?);
            known.push(torn);
        }
    }
    Ok(owed)
}

/// The index in `torn-<index>-<n>.bin`.
fn torn_index(name: &str) -> Option<u64> {
    let (index, _) = name.strip_prefix(TORN)?.strip_suffix(".bin")?.split_once('-')?;
    index.parse().ok()
}
