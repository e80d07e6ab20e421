//! The tamper-evident audit log: every lookup is durable before its answer leaves, and nobody can rewrite the
//! log unnoticed, its own operator included.
//!
//! Three sides, in the order in which an entry meets them:
//!
//! - **The broker**: [`Log::open`] recovers, [`Log::confirm`] checks the heads that others saw, [`Committer`]
//!   takes [`Draft`]s and commits them in groups: salted commitments ([`Fields`], [`Opening`]), sealing under
//!   period keys ([`KeyRing`]), one frame, one flush, then the signature ([`LogSigner`]) and the
//!   [`Receipt`]s. A `Receipt` cannot be had in any other way, so holding one means that the entry is on
//!   disk.
//!   When a term ends [`Log::plan_erasure`] and [`Log::erase`] destroy keys and unlink segments, and
//!   [`completeness`] tells what was erased from what was lost.
//! - **The wire** carries [`ReceiptParts`], which anybody can make.
//! - **The asking node**: [`verify_receipt`], [`SeenHeads`] and [`CosignedHead`], before anything is shown.
//!
//! Beside them the **witnesses**, one at each partner: [`Witness`] cosigns heads that follow from each other,
//! [`Policy`] says how many cosignatures make a head believable, [`Evidence`] keeps two that do not fit,
//! [`TlogProof`] carries a receipt to people who have none of this.
//!
//! Formats: RFC 6962 / RFC 9162 trees, C2SP signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness,
//! tlog-policy and tlog-proof; our own are described in [`fields`], [`frame`], [`keyring`] and [`log`]. No
//! asynchronous runtime; the disk is behind the trait [`Disk`].
//!
//! Left to others: who may ask, what the fields of a query contain, the wire, and storing what the asking
//! node has seen.

mod asker;
mod checkpoint;
mod codec;
mod committer;
mod cosignature;
pub mod disk;
mod draft;
mod evidence;
pub mod fields;
pub mod frame;
mod hash;
pub mod keyring;
pub mod log;
mod merkle;
mod note;
mod period;
mod policy;
mod proof;
mod receipt;
mod replay;
pub mod tiles;
mod wal;
mod witness;

pub use asker::{
    AskerError, CosignedAge, CosignedHead, Follows, FreshError, MAX_AGE_S, MAX_AHEAD_S, MAX_HELD, MAX_NAMED,
    Named, SeenHeads, VerifiedReceipt, WARN_AGE_S, verify_entry, verify_receipt,
};
pub use checkpoint::{Checkpoint, Head};
pub use committer::{
    CommitHandle, CommitStats, Committed, Committer, CommitterOptions, MAX_KNOWN_SIZES, SubmitError,
};
pub use cosignature::{Cosignature, Cosigned, WitnessName, WitnessSigner, WitnessVerifier};
pub use disk::{Disk, RealDisk};
pub use draft::{Draft, DraftError};
pub use evidence::{Evidence, EvidenceError, Verdict};
pub use fields::{Commitment, EntryKind, FieldId, Fields, FieldsError, Group, Opening, Processing, Salt};
pub use frame::FrameError;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use keyring::{KeyRing, KeyRingError, KeyUse, PeriodKey, WrappingKey};
pub use log::{
    Batch, Clock, CommitError, Completeness, EraseError, EraseRequest, Erased, Erasure, ErasurePlan,
    HeadConflict, Incomplete, Log, LogConfig, LogReader, OpenError, ReadError, Recovery, Selection,
    SignedHead, StoredContent, StoredEntry, Torn, completeness, system_clock,
};
pub use merkle::{Front, verify_consistency, verify_inclusion};
pub use note::{
    LogSigner, LogVerifier, NoteError, NoteSigner, NoteVerifier, OpenedNotes, Origin, SignHook, SignedText,
};
pub use period::{Period, PeriodError, RetentionClass};
pub use policy::{Policy, PolicyError, PolicyLog, PolicyProblem, PolicyWitness, QuorumTime, quorum_of};
pub use proof::{TlogProof, TlogProofError};
pub use receipt::{ConsistencyProofs, Receipt, ReceiptParts};
pub use replay::Damage;
pub use tiles::{
    PublishSource, Publisher, ReadTile, SourceError, TilePath, leaves_from_bundles, verify_published,
};
pub use witness::{AddCheckpoint, HeldHead, Refusal, Witness, WitnessStore};
