//! Opening a log whose first segments were unlinked by an erasure.

use std::path::Path;

use super::{Files, LoadError, is_unused};
use crate::{
    disk::{self, Disk},
    draft::parse_control,
    frame::{self, Frame, Record},
    log::{Erasure, bundles},
    replay::{Damage, Replay},
};

/// Takes the entries before the first frame from the published bundles. Their root must be the one which that
/// frame follows, so nothing but the entries that were there can be taken.
pub(super) fn take(
    disk: &dyn Disk,
    published: &Path,
    files: &Files,
    replay: &mut Replay,
) -> Result<(), LoadError> {
    let first = read_first(disk, files)?;
    let header = match frame::parse(&first) {
        Ok(frame) => frame.header,
        Err(error) => return Err(blame(disk, files, None, Damage::BrokenFrame(error))),
    };
    let mut next = 0;
    while next < header.first_index {
        let part = bundles::in_one_bundle(&(next..header.first_index));
        let Some(entries) = bundles::read(disk, published, &part)? else {
            return Err(blame(disk, files, Some(next), Damage::Bundle));
        };
        for entry in entries {
            replay.published(&entry);
        }
        next = part.end;
    }
    if replay.front.root() != header.root_before {
        // Which entry differs cannot be told: none of them is vouched for.
        return Err(blame(disk, files, Some(0), Damage::Bundle));
    }
    Ok(())
}

/// The first segment that is there.
fn read_first(disk: &dyn Disk, files: &Files) -> Result<Vec<u8>, LoadError> {
    for (_, path) in files.values().next().into_iter().flatten() {
        let bytes = disk::read(disk, path)?;
        if !is_unused(&bytes) {
            return Ok(bytes);
        }
    }
    Ok(Vec::new())
}

/// What to report if the entries before the first frame cannot be had. The tree is not known then, so the
/// frames are only looked through for an intent: without one the segments should not be missing in the first
/// place. `index` is the first bad one, `None` for the first that should have a frame.
fn blame(disk: &dyn Disk, files: &Files, index: Option<u64>, damage: Damage) -> LoadError {
    let first = files.keys().next().copied().unwrap_or(1);
    let paths = files.values().flatten().map(|(_, path)| path);
    let bytes = paths.filter_map(|path| disk::read(disk, path).ok());
    let intents: Vec<Erasure> = bytes.flat_map(|bytes| erasures_in(&bytes)).collect();
    let missing = first - 1;
    let named = intents
        .iter()
        .rfind(|erasure| erasure.segments.contains(&missing));
    let (segment, index, damage) = if let Some(erasure) = named {
        let exact = erasure.segments.last() == Some(&missing);
        let range = &erasure.indexes;
        let after = if exact { range.end } else { range.start };
        (first, index.unwrap_or(after), damage)
    } else {
        let last = |erasure: &Erasure| Some((*erasure.segments.last()?, erasure.indexes.end));
        let below = intents
            .iter()
            .filter_map(last)
            .filter(|(last, _)| *last < missing);
        let (segment, index) = below.max().unwrap_or_default();
        (segment + 1, index, Damage::Missing)
    };
    LoadError::Damaged {
        segment,
        offset: 0,
        index,
        damage,
    }
}

/// What whole frames anywhere in these bytes say of erasures.
fn erasures_in(bytes: &[u8]) -> Vec<Erasure> {
    let starts = bytes.windows(frame::MAGIC.len()).enumerate();
    let starts = starts.filter(|(_, window)| window == frame::MAGIC);
    let frames = starts.filter_map(|(start, _)| frame::parse(&bytes[start..]).ok());
    let erasure = |record: &Record<'_>| match record {
        Record::Control(json) => Erasure::from_control(&parse_control(json)?),
        Record::Payload { .. } => None,
    };
    let in_frame = |frame: Frame<'_>| frame.records.iter().filter_map(erasure).collect::<Vec<_>>();
    frames.flat_map(in_frame).collect()
}
