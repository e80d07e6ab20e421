//! What the broker asks of durable storage: append batches, read them back in order.

use crate::ids::PartnerId;
use jiff::Timestamp;

/// What the broker asks of durable storage. Every implementation passes `hitmachine_store::conformance`.
///
/// Batches are the truth and memory is the index: the store keeps each acknowledged batch as one value and
/// never looks inside. Calls block; a caller in an asynchronous program hands them to a thread for that.
pub trait Store: Send + Sync + 'static {
    /// Marks the store, durably and for ever, with the check value of the keys that its batches are made under.
    ///
    /// # Errors
    /// [`StoreError::OtherKey`] if it is marked with another.
    fn bind(&self, key_check: [u8; 8]) -> Result<(), StoreError>;

    /// Writes `batches`, all or none. `Ok` means they survive a power cut. Writing a batch that is already
    /// there with the same content changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a batch is there with other content; [`StoreError::Engine`] if it may
    /// or may not have been written: read back before writing again.
    fn append(&self, batches: &[StoredBatch]) -> Result<(), StoreError>;

    /// Calls `visit` with each batch of one generation of a partner, in order of sequence.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] on a wrong checksum or a gap; whatever `visit` returns.
    fn batches(
        &self,
        partner: &PartnerId,
        generation: u32,
        visit: &mut dyn FnMut(StoredBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// All partners that ever synchronised, with their state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] on a wrong checksum.
    fn states(&self) -> Result<Vec<(PartnerId, PartnerState)>, StoreError>;

    /// Sets a partner's state in one durable step: this is what switches generations. Batches of generations
    /// that it does not name are deleted after that; what a stop leaves of them goes at the next opening.
    ///
    /// # Errors
    /// [`StoreError::Engine`] if it may or may not have been written.
    fn set_state(&self, partner: &PartnerId, state: PartnerState) -> Result<(), StoreError>;

    /// Removes all that a partner has here, durably. A stop in the middle leaves its state or nothing of it: then it is
    /// still among [`Store::states`] and can be removed again. Removing one that is not there changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Engine`] if something of it may be left.
    fn remove(&self, partner: &PartnerId) -> Result<(), StoreError>;
}

/// One acknowledged batch as the store sees it: where it belongs, and bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Whose register.
    pub partner: PartnerId,
    /// Generation of that register, from 1.
    pub generation: u32,
    /// Place in that generation, from 1 without gaps.
    pub sequence: u64,
    /// Packed changes, see [`crate::registry::Batch::pack`].
    pub bytes: Vec<u8>,
}

/// How far a partner's register is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartnerState {
    /// The generation that answers; `None` until the first one is complete.
    pub active: Option<u32>,
    /// The generation being filled, if any.
    pub filling: Option<u32>,
    /// When both sides last agreed on count and digest.
    pub complete_at: Option<Timestamp>,
}

/// Why storage failed. Texts carry no registrations.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A batch with this sequence is there with other content.
    #[error("batch {sequence} of {partner} is already stored with other content")]
    Conflict {
        /// Whose register.
        partner: PartnerId,
        /// Which batch.
        sequence: u64,
    },
    /// The store's content is not what was written.
    #[error(
        "the store is damaged at {place}; run `hitmachine-broker rebuild-registry`, start again, and the nodes will send \
         everything anew"
    )]
    Damaged {
        /// Partner, generation and sequence, or the kind of record.
        place: String,
    },
    /// The batches were made under another pepper, deployment, key epoch or scheme: nobody would be found.
    #[error(
        "the registrations were stored under another pepper, deployment, key epoch or scheme; put the right one back, or move the store away (rebuild-registry) and the nodes will fill a new one"
    )]
    OtherKey,
    /// The engine failed; the cause is in `source()`.
    #[error("the storage engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}
