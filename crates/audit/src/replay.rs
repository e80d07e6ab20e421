//! Replay of segments at start: which frames count, and how a torn end differs from damage. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    draft::{RECOVERED, parse_control},
    fields::CONTROL,
    frame::{self, Frame, FrameError, Record},
    hash::{Hash, leaf_hash},
    log::Erasures,
    merkle::Front,
};

/// Why the log cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Bytes that are no frame, with a frame or other data behind them: no crash leaves that.
    #[error("broken frame with data behind it: {0}")]
    BrokenFrame(FrameError),
    /// A whole frame that does not belong here: other segment, index or root.
    #[error("frame does not follow the one before it")]
    DoesNotFollow,
    /// No file of this segment.
    #[error("segment is missing")]
    Missing,
    /// Two files of this segment.
    #[error("segment is there twice")]
    Twice,
    /// The segment was unlinked by an erasure, and the published bundles do not have its entries, or others.
    #[error("published bundles do not give the entries of an erased segment")]
    Bundle,
}

impl Damage {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BrokenFrame(_) => "broken_frame",
            Self::DoesNotFollow => "does_not_follow",
            Self::Missing => "segment_missing",
            Self::Twice => "segment_twice",
            Self::Bundle => "erased_bundle",
        }
    }
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) first_index: u64,
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// How a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a frame, then nothing or zeros.
    Clean { offset: usize },
    /// With bytes that are no frame and have no frame behind them in this segment, up to `end`.
    Torn {
        offset: usize,
        end: usize,
        error: FrameError,
    },
}

/// Everything that the segments say, so far.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) front: Front,
    pub(crate) root: Option<Hash>,
    pub(crate) places: Vec<Place>,
    /// Index and SHA-256 (hex) of the torn ends that the log has already owned up to.
    pub(crate) recovered: Vec<(u64, String)>,
    /// Highest key id in use.
    pub(crate) key_id: u32,
    /// The key ids in each segment.
    pub(crate) key_ids: BTreeMap<u64, BTreeSet<u32>>,
    pub(crate) erasures: Erasures,
    /// Indexes of the public control entries.
    pub(crate) controls: Vec<u64>,
}

impl Replay {
    /// Takes in the frames of the next segment. On an error the index to blame is [`Front::size`].
    pub(crate) fn segment(&mut self, number: u64, bytes: &[u8]) -> Result<End, (usize, Damage)> {
        // Behind the last byte that is not zero there is nothing to find.
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let mut offset = 0;
        while offset < end {
            match frame::parse(&bytes[offset..]) {
                Ok(frame) => {
                    if !self.frame(number, offset, &frame) {
                        return Err((offset, Damage::DoesNotFollow));
                    }
                    offset += frame.length;
                }
                Err(error) if frame::any_in(&bytes[offset + 1..end]) => {
                    return Err((offset, Damage::BrokenFrame(error)));
                }
                Err(error) => return Ok(End::Torn { offset, end, error }),
            }
        }
        Ok(End::Clean { offset })
    }

    /// Takes in the next entry of a segment that is gone, as published.
    pub(crate) fn published(&mut self, entry: &[u8]) {
        if let Some((&CONTROL, json)) = entry.split_first() {
            self.control(json);
        }
        self.front.push(leaf_hash(entry));
    }

    /// Before its leaf is pushed.
    fn control(&mut self, json: &[u8]) {
        self.controls.push(self.front.size());
        if let Some(entry) = parse_control(json) {
            self.recovered.extend(recovered(&entry));
            self.erasures.control(self.front.size(), &entry);
            self.key_id = self.key_id.max(self.erasures.highest_key());
        }
    }

    fn frame(&mut self, number: u64, offset: usize, frame: &Frame<'_>) -> bool {
        let header = &frame.header;
        let first_index = self.front.size();
        let root = self.root.unwrap_or_else(|| self.front.root());
        if header.segment != number || header.first_index != first_index || header.root_before != root {
            return false;
        }
        for record in &frame.records {
            match record {
                Record::Payload { a, b, .. } => {
                    self.key_id = self.key_id.max(a.key_id).max(b.key_id);
                    self.key_ids
                        .entry(number)
                        .or_default()
                        .extend([a.key_id, b.key_id]);
                }
                Record::Control(json) => self.control(json),
            }
            self.front.push(record.leaf_hash());
        }
        let root = self.front.root();
        self.root = Some(root);
        let (offset, length) = (offset as u64, frame.length as u64);
        self.places.push(Place {
            first_index,
            segment: number,
            offset,
            length,
        });
        root == header.root_after
    }
}

/// Index and digest in a `recovered` entry.
fn recovered(entry: &Map<String, Value>) -> Option<(u64, String)> {
    if entry.get("type")?.as_str()? != RECOVERED {
        return None;
    }
    Some((
        entry.get("index")?.as_u64()?,
        entry.get("sha256")?.as_str()?.to_owned(),
    ))
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
