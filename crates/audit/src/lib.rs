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
//! - **The wire** carries [`ReceiptParts`], which anybody can make.
//! - **The asking node**: [`verify_receipt`] and [`SeenHeads`], before anything is shown.
//!
//! Formats: RFC 6962 / RFC 9162 trees, C2SP signed-note and tlog-checkpoint; our own are described in
//! [`fields`], [`frame`], [`keyring`] and [`log`]. No asynchronous runtime; the disk is behind the trait
//! [`Disk`].
//!
//! Left to others: who may ask, what the fields of a query contain, the wire, and storing what the asking
//! node has seen.

mod asker;
mod checkpoint;
mod codec;
mod committer;
pub mod disk;
mod draft;
pub mod fields;
pub mod frame;
mod hash;
pub mod keyring;
pub mod log;
mod merkle;
mod note;
mod period;
mod receipt;
mod replay;
mod wal;

pub use asker::{AskerError, MAX_HELD, MAX_NAMED, Named, SeenHeads, VerifiedReceipt, verify_receipt};
pub use checkpoint::{Checkpoint, Head};
pub use committer::{
    CommitHandle, CommitStats, Committed, Committer, CommitterOptions, MAX_KNOWN_SIZES, SubmitError,
};
pub use disk::{Disk, RealDisk};
pub use draft::{Draft, DraftError};
pub use fields::{Commitment, EntryKind, FieldId, Fields, FieldsError, Group, Opening, Salt};
pub use frame::FrameError;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use keyring::{KeyRing, KeyRingError, PeriodKey, WrappingKey};
pub use log::{
    Batch, Clock, CommitError, HeadConflict, Log, LogConfig, LogReader, OpenError, ReadError, Recovery,
    SignedHead, StoredContent, StoredEntry, Torn, system_clock,
};
pub use merkle::{Front, verify_consistency, verify_inclusion};
pub use note::{LogSigner, LogVerifier, NoteError, Origin, SignHook};
pub use period::{Period, PeriodError, RetentionClass};
pub use receipt::{ConsistencyProofs, Receipt, ReceiptParts};
pub use replay::Damage;
