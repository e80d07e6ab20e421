//! Proof that an entry is in a log, as a file that can be checked offline (C2SP `tlog-proof@v1`).
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>            only if there is any
//! index <leaf index>
//! <base64 of a hash>        0 to 64 of them, from the leaf up
//!
//! <signed note>
//! ```

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::{Checkpoint, base64_hash, decimal, hash_lines},
    cosignature::Cosigned,
    hash::Hash,
    merkle::verify_inclusion,
    note::{LogVerifier, NoteError},
    policy::{Policy, QuorumTime},
    receipt::ReceiptParts,
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// An opening of nine fields of the greatest length takes 790 kB in base64; a note 64 KiB.
const MAX_PROOF: usize = 1024 * 1024;
/// Levels of the largest tree.
const MAX_PATH: usize = 64;

/// Why a proof was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// Not a text of this form.
    #[error("not a tlog-proof")]
    Malformed,
    /// The checkpoint is not signed by a log that is accepted, or a known witness's line does not fit.
    #[error("checkpoint is not the log's")]
    Note(#[from] NoteError),
    /// Fewer cosignatures than the policy asks for.
    #[error("too few cosignatures")]
    NoQuorum,
    /// The leaf is not at that place in the signed tree.
    #[error("entry is not in the signed tree")]
    Inclusion,
}

impl TlogProofError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "tlog_proof_malformed",
            Self::Note(error) => error.code(),
            Self::NoQuorum => "no_quorum",
            Self::Inclusion => "inclusion",
        }
    }
}

/// A proof. `extra` holds what is needed to compute the leaf, for our entries the opening: as sensitive as the
/// entry. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Nothing vouches for it but the leaf that is computed from it. Empty counts as none.
    pub extra: Option<Vec<u8>>,
    /// Index of the leaf, from 0.
    pub index: u64,
    /// Path from the leaf to the root.
    pub path: Vec<Hash>,
    /// The signed note.
    pub checkpoint: Vec<u8>,
}

impl TlogProof {
    /// The file; its name should end in `.tlog-proof`.
    pub fn format(&self) -> Vec<u8> {
        let extra = match self.extra.as_deref() {
            None | Some([]) => String::new(),
            Some(extra) => format!("extra {}\n", STANDARD.encode(extra)),
        };
        let path = hash_lines(&self.path);
        let head = format!("{HEADER}\n{extra}index {}\n{path}\n", self.index);
        [head.as_bytes(), &self.checkpoint].concat()
    }

    /// Reads what [`format`](Self::format) writes and nothing else. The note is taken as it is.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, TlogProofError> {
        Self::read(text).ok_or(TlogProofError::Malformed)
    }

    fn read(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_PROOF {
            return None;
        }
        let end = text.windows(2).position(|pair| pair == b"\n\n")?;
        let (head, rest) = text.split_at_checked(end)?;
        let mut lines = std::str::from_utf8(head).ok()?.split('\n');
        if lines.next()? != HEADER {
            return None;
        }
        let mut line = lines.next()?;
        let mut extra = None;
        if let Some(bytes) = line.strip_prefix("extra ") {
            // Without extra data the line is left out.
            extra = Some(STANDARD.decode(bytes).ok().filter(|bytes| !bytes.is_empty())?);
            line = lines.next()?;
        }
        let index = decimal(line.strip_prefix("index ")?)?;
        let path: Option<Vec<Hash>> = lines.map(base64_hash).collect();
        Some(Self {
            extra,
            index,
            path: path.filter(|path| path.len() <= MAX_PATH)?,
            checkpoint: rest.strip_prefix(b"\n\n")?.to_vec(),
        })
    }

    /// Checks that this log has signed a tree with this leaf at [`index`](Self::index), and gives that
    /// checkpoint.
    ///
    /// # Errors
    /// [`TlogProofError::Note`], [`TlogProofError::Inclusion`].
    pub fn verify(&self, log: &LogVerifier, leaf: &Hash) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = log.open(&self.checkpoint)?;
        self.included(leaf, &checkpoint)?;
        Ok(checkpoint)
    }

    /// As [`verify`](Self::verify), for the logs of a policy and with the quorum it asks for. The times of the
    /// cosignatures decide nothing.
    ///
    /// # Errors
    /// [`TlogProofError`], all but `Malformed`.
    pub fn verify_cosigned(
        &self,
        policy: &Policy,
        leaf: &Hash,
    ) -> Result<(Cosigned, QuorumTime), TlogProofError> {
        let (cosigned, quorum) = policy.open(&self.checkpoint)?;
        if !quorum.holds() {
            return Err(TlogProofError::NoQuorum);
        }
        self.included(leaf, &cosigned.checkpoint)?;
        Ok((cosigned, quorum))
    }

    fn included(&self, leaf: &Hash, checkpoint: &Checkpoint) -> Result<(), TlogProofError> {
        if verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root) {
            Ok(())
        } else {
            Err(TlogProofError::Inclusion)
        }
    }
}

impl From<ReceiptParts> for TlogProof {
    /// A receipt for others to check, with the opening in `extra`.
    fn from(parts: ReceiptParts) -> Self {
        Self {
            extra: Some(parts.opening),
            index: parts.leaf_index,
            path: parts.inclusion,
            checkpoint: parts.checkpoint,
        }
    }
}

impl fmt::Debug for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlogProof")
            .field("index", &self.index)
            .field("path", &self.path.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
