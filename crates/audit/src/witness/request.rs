//! The body of `add-checkpoint` (C2SP tlog-witness v1.0.0).

use super::Refusal;
use crate::{
    checkpoint::{base64_hash, decimal, hash_lines},
    hash::Hash,
    note::lines::MAX_NOTE,
};

/// Most proof lines: the standard's bound.
const MAX_PROOF: usize = 63;
/// `old` and a size, each proof line with its newline, the empty line, the note.
const MAX_BODY: usize = 25 + MAX_PROOF * 45 + 1 + MAX_NOTE;

/// A request to cosign a checkpoint.
///
/// ```text
/// old <size>
/// <base64 of a hash>        0 to 63 of them
///
/// <signed note>
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the head the witness cosigned last, 0 for none.
    pub old: u64,
    /// Consistency proof from there, at most 63 hashes.
    pub proof: Vec<Hash>,
    /// The signed note.
    pub checkpoint: Vec<u8>,
}

impl AddCheckpoint {
    /// The body.
    pub fn format(&self) -> Vec<u8> {
        let head = format!("old {}\n{}\n", self.old, hash_lines(&self.proof));
        [head.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads what [`format`](Self::format) writes and nothing else. The note is taken as it is.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        Self::read(body).ok_or(Refusal::Malformed)
    }

    fn read(body: &[u8]) -> Option<Self> {
        if body.len() > MAX_BODY {
            return None;
        }
        let end = body.windows(2).position(|pair| pair == b"\n\n")?;
        let (head, rest) = body.split_at_checked(end)?;
        let mut lines = std::str::from_utf8(head).ok()?.split('\n');
        let old = decimal(lines.next()?.strip_prefix("old ")?)?;
        let proof: Option<Vec<Hash>> = lines.map(base64_hash).collect();
        let proof = proof.filter(|proof| proof.len() <= MAX_PROOF)?;
        Some(Self {
            old,
            proof,
            checkpoint: rest.strip_prefix(b"\n\n")?.to_vec(),
        })
    }
}
