//! Receipts of entries that were committed before.

use std::sync::Arc;

use super::SignedHead;
use super::read::{LogReader, ReadError, StoredContent, StoredEntry};
use crate::receipt::{ConsistencyProofs, Logged, Receipt};

impl LogReader {
    /// Proof that an entry which was read back is in the log and on disk, under `signed`, a head of this log as the
    /// committer gives it. `known_sizes` as for [`submit`](crate::CommitHandle::submit).
    ///
    /// # Errors
    /// [`ReadError::NoEntry`] if it lies beyond the signed head or the durable one, [`ReadError::Leaf`] if it is not
    /// the leaf that the tree has there, [`ReadError::Payload`] if there is not all of it any more.
    pub fn receipt(
        &self,
        entry: StoredEntry,
        signed: &SignedHead,
        known_sizes: &[u64],
    ) -> Result<Receipt, ReadError> {
        let (index, size) = (entry.index, signed.head.size);
        if self.root_at(size) != Some(signed.head.root) {
            return Err(ReadError::NoEntry(index));
        }
        if self.node(0, index) != Some(entry.leaf_hash) {
            return Err(ReadError::Leaf(index));
        }
        let StoredContent::Open(opening) = entry.content else {
            return Err(ReadError::Payload(index));
        };
        if opening.commitment().leaf_hash() != entry.leaf_hash {
            return Err(ReadError::Leaf(index));
        }
        let inclusion = (index < size)
            .then(|| self.inclusion_proof(index, size))
            .flatten()
            .ok_or(ReadError::NoEntry(index))?;
        let proof = |from: &u64| Some((*from, self.consistency_proof(*from, size)?));
        let consistency: ConsistencyProofs = known_sizes.iter().filter_map(proof).collect();
        Ok(Receipt {
            logged: Logged::Payload(opening),
            leaf_index: index,
            inclusion,
            head: signed.head,
            checkpoint: Arc::clone(&signed.note),
            consistency: Arc::new(consistency),
        })
    }
}

#[cfg(test)]
#[path = "again_tests.rs"]
mod tests;
