//! Proof that an entry is durable, and what of it goes over the wire.

use std::{fmt, sync::Arc};

use crate::{
    checkpoint::Head,
    fields::{CONTROL, Opening},
    hash::Hash,
};

/// One consistency proof for each size that was asked for: `(old size, proof)`.
pub type ConsistencyProofs = Vec<(u64, Vec<Hash>)>;

/// What was logged.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Logged {
    Payload(Opening),
    Control(Vec<u8>),
}

/// Proof that an entry is in the log and on disk. There is no public way to make one but to commit the entry,
/// so whoever holds one may let the answer go.
///
/// It holds the opening: as sensitive as the entry, and to be kept no longer. `Debug` shows no values.
#[derive(Clone)]
pub struct Receipt {
    pub(crate) logged: Logged,
    pub(crate) leaf_index: u64,
    pub(crate) inclusion: Vec<Hash>,
    pub(crate) head: Head,
    pub(crate) checkpoint: Arc<[u8]>,
    pub(crate) consistency: Arc<ConsistencyProofs>,
}

impl Receipt {
    /// Salts and fields; `None` for a public control entry.
    pub const fn opening(&self) -> Option<&Opening> {
        match &self.logged {
            Logged::Payload(opening) => Some(opening),
            Logged::Control(_) => None,
        }
    }

    /// Index of the leaf, from 0.
    pub const fn leaf_index(&self) -> u64 {
        self.leaf_index
    }

    /// Path from the leaf to the root of [`head`](Self::head).
    pub fn inclusion(&self) -> &[Hash] {
        &self.inclusion
    }

    /// The head that the checkpoint signs.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The signed note.
    pub fn checkpoint(&self) -> &[u8] {
        &self.checkpoint
    }

    /// Proofs from the sizes named with the request. A size beyond the head has none: the asker has then seen
    /// a larger log than this one.
    pub fn consistency(&self) -> &[(u64, Vec<Hash>)] {
        &self.consistency
    }

    /// What goes over the wire.
    pub fn to_parts(&self) -> ReceiptParts {
        let opening = match &self.logged {
            Logged::Payload(opening) => opening.encode(),
            Logged::Control(json) => [&[CONTROL], json.as_slice()].concat(),
        };
        ReceiptParts {
            opening,
            leaf_index: self.leaf_index,
            inclusion: self.inclusion.clone(),
            checkpoint: self.checkpoint.to_vec(),
            consistency: self.consistency.to_vec(),
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receipt = &mut f.debug_struct("Receipt");
        receipt
            .field("leaf_index", &self.leaf_index)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// A receipt as it came over the wire: anybody may have made it. [`verify_receipt`](crate::verify_receipt)
/// turns it into a [`VerifiedReceipt`](crate::VerifiedReceipt).
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptParts {
    /// [`Opening::encode`]; for a control entry the leaf entry `0x02 ‖ JSON`.
    pub opening: Vec<u8>,
    /// Index of the leaf, from 0.
    pub leaf_index: u64,
    /// Path from the leaf to the root.
    pub inclusion: Vec<Hash>,
    /// The signed note.
    pub checkpoint: Vec<u8>,
    /// `(old size, proof)` for sizes named with the request.
    pub consistency: ConsistencyProofs,
}

impl fmt::Debug for ReceiptParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &mut f.debug_struct("ReceiptParts");
        parts
            .field("leaf_index", &self.leaf_index)
            .field("path", &self.inclusion.len())
            .finish_non_exhaustive()
    }
}
