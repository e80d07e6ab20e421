//! The published entry bundles, as the only copy of entries whose segments were unlinked.

use std::{
    io::{self, ErrorKind},
    ops::Range,
    path::Path,
};

use crate::{
    disk::{self, Disk},
    tiles::{TilePath, parse_bundle},
};

/// Entries in a full bundle (C2SP tlog-tiles v0.1.0).
pub(crate) const WIDTH: u64 = 256;

/// The part of a range that is in the bundle of its first entry.
pub(crate) fn in_one_bundle(range: &Range<u64>) -> Range<u64> {
    let end = (range.start / WIDTH + 1).saturating_mul(WIDTH);
    range.start..range.end.min(end)
}

/// The entries of a range that lies [in one bundle](in_one_bundle), from the widest bundle that is there;
/// `None` if there is none that has them all. Only their form is checked: the caller checks the leaves.
pub(crate) fn read(disk: &dyn Disk, dir: &Path, range: &Range<u64>) -> io::Result<Option<Vec<Vec<u8>>>> {
    let full = TilePath::entries(range.start / WIDTH, None);
    let skip = usize::try_from(range.start % WIDTH).unwrap_or_default();
    let end =
        usize::try_from(range.end - range.start / WIDTH * WIDTH).map_err(|_| ErrorKind::FileTooLarge)?;
    if let Some(entries) = read_one(disk, dir, &full, skip..end)? {
        return Ok(Some(entries));
    }
    let folder = format!("{full}.p");
    let names = match disk.list(&dir.join(&folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    let mut partial: Vec<TilePath> = names
        .iter()
        .filter_map(|entry| format!("{folder}/{}", entry.name).parse().ok())
        .collect();
    partial.sort_by_key(|bundle| std::cmp::Reverse(bundle.width()));
    // A partial bundle goes when the full one is there.
    for bundle in partial.into_iter().chain([full]) {
        if let Some(entries) = read_one(disk, dir, &bundle, skip..end)? {
            return Ok(Some(entries));
        }
    }
    Ok(None)
}

fn read_one(
    disk: &dyn Disk,
    dir: &Path,
    bundle: &TilePath,
    wanted: Range<usize>,
) -> io::Result<Option<Vec<Vec<u8>>>> {
    let bytes = match disk::read(disk, &dir.join(bundle.to_string())) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let entries = parse_bundle(&bytes, bundle.width()).ok();
    let entries = entries.as_ref().and_then(|entries| entries.get(wanted));
    Ok(entries.map(|entries| entries.iter().map(|entry| entry.to_vec()).collect()))
}
