//! Two signed heads of one log that do not fit together, as a file that anybody can check.
//!
//! ```text
//! hitmachine/log-evidence@v1
//! <what it is and how to check it, fixed text>
//!
//! --- first checkpoint
//! <signed note, as it is>
//! --- second checkpoint
//! <signed note, as it is>
//! --- consistency proof as offered        only if there was one
//! <base64 of a hash>                      one line each
//! --- end
//! ```
//!
//! No line of a note starts with `--- `: it would need a space in the name of the log. There is nothing about
//! persons in it, and nothing that was not signed but the proof.

use std::fmt;

use crate::{
    checkpoint::{Checkpoint, Head, base64_hash, hash_lines},
    hash::Hash,
    merkle::verify_consistency,
    note::{LogVerifier, NoteError, lines::SignedNote},
};

const PREAMBLE: &str = "hitmachine/log-evidence@v1
Two checkpoints of one audit log: each a signed note (C2SP signed-note and tlog-checkpoint) with the
name of the log, its number of entries and the root of its tree, signed with Ed25519. To check:
1. Both signatures fit under the public key of the log. Otherwise this file says nothing.
2. Same number of entries, different roots: the log showed two histories. The proof is complete.
3. Different numbers: the first must be the beginning of the second (RFC 9162, 2.1.4). If the proof
   below does not show that, the log is under suspicion and must give one that does. The proof is not
   signed: that the log offered no better one is the word of whoever kept this file.

";
const FIRST: &str = "--- first checkpoint\n";
const SECOND: &str = "--- second checkpoint\n";
const PROOF: &str = "--- consistency proof as offered\n";
const END: &str = "--- end\n";
/// Most hashes of a proof that can be right (RFC 9162 §2.1.4; 64 levels and one).
const MAX_PROOF: usize = 65;

/// Why something is not evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The text is not of this form.
    #[error("not a file of evidence")]
    Form,
    /// One of the two is not a note, not a checkpoint, or not signed by the log.
    #[error("not a checkpoint of the log")]
    Note(#[from] NoteError),
}

impl EvidenceError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form => "evidence_form",
            Self::Note(error) => error.code(),
        }
    }
}

/// What evidence shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Proven: the log signed two roots at one size. Nobody else could make this file.
    SameSizeTwoRoots {
        /// The size.
        size: u64,
        /// Both roots.
        roots: [Hash; 2],
    },
    /// Proven: the log signed both heads, and this proof does not connect them. Not proven: that no other
    /// proof does, nor that the log is where this one came from.
    ProofDoesNotConnect {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
    },
    /// Proven: the log signed both heads. Nothing was offered to connect them, so nothing is known.
    NothingOffered {
        /// The smaller size.
        from: u64,
        /// The larger size.
        to: u64,
    },
    /// The heads are the same, or the proof connects them.
    NoConflict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameSizeTwoRoots { size, .. } => {
                write!(f, "proven: the log signed two different roots at {size} entries")
            }
            Self::ProofDoesNotConnect { from, to } => write!(
                f,
                "proven: the log signed both heads, and this proof does not connect {from} with {to} entries; \
                 not proven: that the log has no other proof, nor that it gave this one"
            ),
            Self::NothingOffered { from, to } => write!(
                f,
                "proven: the log signed both heads; no proof from {from} to {to} entries is given, so nothing is \
                 known about a conflict"
            ),
            Self::NoConflict => f.write_str("no conflict: one head is the beginning of the other"),
        }
    }
}

/// Two notes of one log, the smaller tree first, and the proof that was offered to connect them, if any.
/// Whether they are signed is for [`verify`](Self::verify).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    first: Vec<u8>,
    second: Vec<u8>,
    proof: Option<Vec<Hash>>,
}

impl Evidence {
    /// From two notes; of equal trees the one seen first comes first.
    ///
    /// # Errors
    /// [`EvidenceError::Note`] if one is not a checkpoint or they are of different logs;
    /// [`EvidenceError::Form`] for a proof of more than 65 hashes, which none can be.
    pub fn new(seen: Vec<u8>, other: Vec<u8>, proof: Option<Vec<Hash>>) -> Result<Self, EvidenceError> {
        let (a, b) = (unverified(&seen)?, unverified(&other)?);
        if a.origin != b.origin {
            return Err(NoteError::OtherLog.into());
        }
        if proof.as_ref().is_some_and(|proof| proof.len() > MAX_PROOF) {
            return Err(EvidenceError::Form);
        }
        let (first, second) = if a.size <= b.size {
            (seen, other)
        } else {
            (other, seen)
        };
        Ok(Self { first, second, proof })
    }

    /// The note of the smaller tree.
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// The note of the larger tree.
    pub fn second(&self) -> &[u8] {
        &self.second
    }

    /// The proof from the smaller tree to the larger, as it was offered.
    pub fn proof(&self) -> Option<&[Hash]> {
        self.proof.as_deref()
    }

    /// The file.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = [PREAMBLE, FIRST].concat().into_bytes();
        text.extend(&self.first);
        text.extend(SECOND.as_bytes());
        text.extend(&self.second);
        if let Some(proof) = &self.proof {
            text.extend(PROOF.as_bytes());
            text.extend(hash_lines(proof).as_bytes());
        }
        text.extend(END.as_bytes());
        text
    }

    /// Reads what [`to_text`](Self::to_text) writes and nothing else.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`EvidenceError::Form`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Self, EvidenceError> {
        let (first, second, proof) = sections(text).ok_or(EvidenceError::Form)?;
        let read = Self::new(first.into(), second.into(), proof)?;
        // Larger tree first, for one.
        (read.to_text() == text)
            .then_some(read)
            .ok_or(EvidenceError::Form)
    }

    /// Says what is shown, under this key.
    ///
    /// # Errors
    /// [`EvidenceError::Note`] if one of the notes is not a checkpoint signed by the log: then nothing is
    /// shown, whatever they say.
    pub fn verify(&self, log: &LogVerifier) -> Result<Verdict, EvidenceError> {
        let (old, new) = (log.open(&self.first)?.head(), log.open(&self.second)?.head());
        Ok(self.verdict(old, new))
    }

    fn verdict(&self, old: Head, new: Head) -> Verdict {
        let (from, to) = (old.size, new.size);
        if from == to {
            return if old.root == new.root {
                Verdict::NoConflict
            } else {
                Verdict::SameSizeTwoRoots {
                    size: from,
                    roots: [old.root, new.root],
                }
            };
        }
        match &self.proof {
            None => Verdict::NothingOffered { from, to },
            Some(proof) if verify_consistency(from, to, &old.root, &new.root, proof) => Verdict::NoConflict,
            Some(_) => Verdict::ProofDoesNotConnect { from, to },
        }
    }
}

type Sections<'a> = (&'a str, &'a str, Option<Vec<Hash>>);

fn sections(text: &[u8]) -> Option<Sections<'_>> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix(PREAMBLE)?.strip_prefix(FIRST)?;
    let (first, rest) = text.strip_suffix(END)?.split_once(SECOND)?;
    let (second, proof) = match rest.split_once(PROOF) {
        None => (rest, None),
        Some((second, "")) => (second, Some(Vec::new())),
        Some((second, lines)) => {
            let lines = lines.strip_suffix('\n')?.split('\n');
            (second, Some(lines.map(base64_hash).collect::<Option<_>>()?))
        }
    };
    Some((first, second, proof))
}

/// What a note says, whoever signed it.
fn unverified(note: &[u8]) -> Result<Checkpoint, NoteError> {
    Checkpoint::from_text(SignedNote::parse(note)?.text)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
