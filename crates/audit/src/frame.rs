//! The bytes of one batch in the write-ahead log. Integers big-endian.
//!
//! ```text
//! "HMAUDIT1" 8 │ segment u64 │ first index u64 │ count u32 │ body length u32 │ time ms u64
//! │ root before 32 │ root after 32 │ body │ SHA-256 of everything before it 32
//!
//! body: count records
//! 0x01 │ C 32 │ for A, then for B: key id u32 │ ciphertext length u32 │ nonce 24 │ ciphertext
//! 0x02 │ length u16 │ UTF-8 JSON of a public control entry
//! ```
//!
//! An empty ciphertext is a payload that was erased by itself; `C` stays, so the tree does.

use crate::{
    codec::Reader,
    fields::{CONTROL, Commitment, PAYLOAD},
    hash::{Hash, leaf_hash, sha256},
};

/// First bytes of every frame.
pub const MAGIC: &[u8; 8] = b"HMAUDIT1";
/// Bytes before the body.
pub const HEADER: usize = 104;
/// Bytes after the body.
pub const TRAILER: usize = 32;

/// Why bytes are not a frame. Whether a frame follows the one before is not looked at here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Other first bytes.
    #[error("no frame starts here")]
    Magic,
    /// The bytes end before the frame does.
    #[error("frame is cut off")]
    Truncated,
    /// SHA-256 does not fit.
    #[error("checksum of the frame does not fit")]
    Checksum,
    /// No records, or not as many or as long as the header says.
    #[error("records of the frame are malformed")]
    Records,
}

impl FrameError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Magic => "frame_magic",
            Self::Truncated => "frame_truncated",
            Self::Checksum => "frame_checksum",
            Self::Records => "frame_records",
        }
    }
}

/// What stands before the records, but for the lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the segment the frame is in.
    pub segment: u64,
    /// Leaf index of the first record.
    pub first_index: u64,
    /// Number of records, at least 1.
    pub count: u32,
    /// Time of the commit in milliseconds since 1970; decides nothing.
    pub time_ms: u64,
    /// Root of the tree of `first_index` leaves.
    pub root_before: Hash,
    /// Root of the tree of `first_index + count` leaves.
    pub root_after: Hash,
}

/// One group of a payload, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The period key.
    pub key_id: u32,
    /// Random.
    pub nonce: &'a [u8; 24],
    /// With its tag; empty if erased.
    pub ciphertext: &'a [u8],
}

/// One entry as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// Type 0x01.
    Payload {
        /// `C`, in clear: the tree can be rebuilt without keys.
        commitment: Commitment,
        /// Group A.
        a: Sealed<'a>,
        /// Group B.
        b: Sealed<'a>,
    },
    /// Type 0x02: the JSON bytes.
    Control(&'a [u8]),
}

impl Record<'_> {
    /// Hash of the leaf, from the bytes in clear.
    pub fn leaf_hash(&self) -> Hash {
        match self {
            Self::Payload { commitment, .. } => commitment.leaf_hash(),
            Self::Control(json) => control_leaf(json),
        }
    }

    /// The leaf entry: `0x01 ‖ C` or `0x02 ‖ JSON`.
    pub fn leaf_entry(&self) -> Vec<u8> {
        match self {
            Self::Payload { commitment, .. } => [&[PAYLOAD], commitment.hash().0.as_slice()].concat(),
            Self::Control(json) => [&[CONTROL], *json].concat(),
        }
    }

    /// Adds the record to a body.
    pub(crate) fn write(&self, body: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Payload { commitment, a, b } => {
                body.push(PAYLOAD);
                body.extend(commitment.hash().0);
                for sealed in [a, b] {
                    body.extend(sealed.key_id.to_be_bytes());
                    body.extend(u32::try_from(sealed.ciphertext.len()).ok()?.to_be_bytes());
                    body.extend(sealed.nonce);
                    body.extend(sealed.ciphertext);
                }
            }
            Self::Control(json) => {
                body.push(CONTROL);
                body.extend(u16::try_from(json.len()).ok()?.to_be_bytes());
                body.extend(*json);
            }
        }
        Some(())
    }

    fn read<'a>(input: &mut Reader<'a>) -> Option<Record<'a>> {
        match input.u8()? {
            PAYLOAD => {
                let commitment = Commitment::from_hash(Hash(input.array()?));
                let mut sealed = || {
                    let key_id = input.u32()?;
                    let length = usize::try_from(input.u32()?).ok()?;
                    let nonce = input.take(24)?.try_into().ok()?;
                    Some(Sealed {
                        key_id,
                        nonce,
                        ciphertext: input.take(length)?,
                    })
                };
                Some(Record::Payload {
                    commitment,
                    a: sealed()?,
                    b: sealed()?,
                })
            }
            CONTROL => {
                let length = usize::from(input.u16()?);
                Some(Record::Control(input.take(length)?))
            }
            _ => None,
        }
    }
}

/// Leaf of the control entry `0x02 ‖ json`.
pub(crate) fn control_leaf(json: &[u8]) -> Hash {
    let mut entry = Vec::with_capacity(1 + json.len());
    entry.push(CONTROL);
    entry.extend(json);
    leaf_hash(&entry)
}

/// Bytes of a payload record with ciphertexts of these lengths.
pub(crate) const fn payload_len(a: usize, b: usize) -> usize {
    1 + 32 + 2 * (4 + 4 + 24) + a + b
}

/// Bytes of a control record.
pub(crate) const fn control_len(json: usize) -> usize {
    1 + 2 + json
}

/// A frame whose checksum and lengths agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The header.
    pub header: Header,
    /// As many as the header says.
    pub records: Vec<Record<'a>>,
    /// Bytes of the whole frame.
    pub length: usize,
}

/// The frame with this header and body; `None` if the body is longer than 4 GiB.
pub(crate) fn encode(header: &Header, body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEADER + body.len() + TRAILER);
    bytes.extend(MAGIC);
    bytes.extend(header.segment.to_be_bytes());
    bytes.extend(header.first_index.to_be_bytes());
    bytes.extend(header.count.to_be_bytes());
    bytes.extend(u32::try_from(body.len()).ok()?.to_be_bytes());
    bytes.extend(header.time_ms.to_be_bytes());
    bytes.extend(header.root_before.0);
    bytes.extend(header.root_after.0);
    bytes.extend(body);
    let checksum = sha256(&[&bytes]);
    bytes.extend(checksum.0);
    Some(bytes)
}

/// Reads the frame at the start of `bytes`; what follows it is not looked at.
///
/// # Errors
/// [`FrameError`].
pub fn parse(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let mut input = Reader::new(bytes);
    if input.take(8).is_none_or(|magic| magic != MAGIC) {
        return Err(FrameError::Magic);
    }
    let (header, body_length) = read_header(&mut input).ok_or(FrameError::Truncated)?;
    let body = input.take(body_length).ok_or(FrameError::Truncated)?;
    let checksum = input.array().map(Hash).ok_or(FrameError::Truncated)?;
    let length = HEADER + body_length + TRAILER;
    if sha256(&[&bytes[..HEADER + body_length]]) != checksum {
        return Err(FrameError::Checksum);
    }
    let mut body = Reader::new(body);
    let records: Option<Vec<_>> = (0..header.count).map(|_| Record::read(&mut body)).collect();
    match records {
        Some(records) if body.is_empty() && !records.is_empty() => Ok(Frame {
            header,
            records,
            length,
        }),
        _ => Err(FrameError::Records),
    }
}

fn read_header(input: &mut Reader<'_>) -> Option<(Header, usize)> {
    let (segment, first_index) = (input.u64()?, input.u64()?);
    let (count, body_length) = (input.u32()?, input.u32()?);
    let time_ms = input.u64()?;
    let (root_before, root_after) = (Hash(input.array()?), Hash(input.array()?));
    let header = Header {
        segment,
        first_index,
        count,
        time_ms,
        root_before,
        root_after,
    };
    Some((header, usize::try_from(body_length).ok()?))
}

/// True if a whole frame stands anywhere in these bytes.
pub(crate) fn any_in(bytes: &[u8]) -> bool {
    let starts = bytes
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| window == MAGIC);
    starts
        .into_iter()
        .any(|(start, _)| parse(&bytes[start..]).is_ok())
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
