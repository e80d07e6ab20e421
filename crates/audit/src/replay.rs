//! Replay of segments at start: which frames count, and how a torn end differs from damage. No I/O.

use crate::{
    frame::{self, Frame, FrameError, Record},
    hash::Hash,
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
}

impl Damage {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BrokenFrame(_) => "broken_frame",
            Self::DoesNotFollow => "does_not_follow",
            Self::Missing => "segment_missing",
            Self::Twice => "segment_twice",
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

    fn frame(&mut self, number: u64, offset: usize, frame: &Frame<'_>) -> bool {
        let header = &frame.header;
        let first_index = self.front.size();
        let root = self.root.unwrap_or_else(|| self.front.root());
        if header.segment != number || header.first_index != first_index || header.root_before != root {
            return false;
        }
        for record in &frame.records {
            self.front.push(record.leaf_hash());
            match record {
                Record::Payload { a, b, .. } => self.key_id = self.key_id.max(a.key_id).max(b.key_id),
                Record::Control(json) => self.recovered.extend(recovered(json)),
            }
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
fn recovered(json: &[u8]) -> Option<(u64, String)> {
    let entry: serde_json::Value = serde_json::from_slice(json).ok()?;
    if entry.get("type")?.as_str()? != "recovered" {
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
