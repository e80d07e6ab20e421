//! What a witness remembers of one log. Integers big-endian.
//!
//! ```text
//! "HMWITN01" 8 │ time s u64 │ size u64 │ root 32 │ length u32 │ signed note │ SHA-256 of all before it 32
//! ```

use crate::{
    checkpoint::{Checkpoint, Head},
    codec::Reader,
    cosignature::MAX_TIME,
    hash::{Hash, sha256},
    note::{Origin, lines::SignedNote},
};

const MAGIC: &[u8; 8] = b"HMWITN01";
const CHECKSUM: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) head: Head,
    /// With the log's signature, which says who made that head.
    pub(super) note: Vec<u8>,
    /// Of the last cosignature.
    pub(super) time_s: u64,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.time_s.to_be_bytes());
        out.extend(self.head.size.to_be_bytes());
        out.extend(self.head.root.0);
        // At most 64 KiB, as any note.
        out.extend(u32::try_from(self.note.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(&self.note);
        let checksum = sha256(&[&out]);
        out.extend(checksum.0);
        out
    }

    /// Reads what [`encode`](Self::encode) writes, for this log, and nothing else.
    pub(super) fn decode(bytes: &[u8], origin: &Origin) -> Option<Self> {
        let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        if sha256(&[content]).0 != checksum {
            return None;
        }
        let mut input = Reader::new(content);
        if input.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let (time_s, size, root) = (input.u64()?, input.u64()?, Hash(input.array()?));
        let length = usize::try_from(input.u32()?).ok()?;
        let note = input.take(length)?;
        let head = Head { size, root };
        let checkpoint = Checkpoint::from_text(SignedNote::parse(note).ok()?.text).ok()?;
        let fits = checkpoint.head() == head && checkpoint.origin == *origin && time_s <= MAX_TIME;
        (fits && input.is_empty()).then(|| Self {
            head,
            note: note.to_vec(),
            time_s,
        })
    }
}
