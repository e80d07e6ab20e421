//! Why the log does not open, commit or agree with others.

use std::io;

use crate::{hash::Hash, keyring::KeyRingError, note::NoteError, replay::Damage, wal::LoadError};

/// Why the log does not open. None of these is repaired by the program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the log.
    #[error("log is in use by another process")]
    Locked,
    /// The folder holds the log of another origin or key.
    #[error("folder holds the log of another origin or key")]
    Identity,
    /// Data is missing or changed that a crash cannot have touched.
    #[error("segment {segment} is damaged at offset {offset}; first bad index {index}")]
    Damaged {
        /// Number of the segment.
        segment: u64,
        /// Byte in the segment.
        offset: u64,
        /// First leaf index that cannot be vouched for.
        index: u64,
        /// What is wrong.
        #[source]
        damage: Damage,
    },
    /// The period keys.
    #[error("period keys cannot be opened")]
    Keys(#[from] KeyRingError),
    /// The disk.
    #[error("log folder cannot be read or written")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked => "log_locked",
            Self::Identity => "log_identity",
            Self::Damaged { damage, .. } => damage.code(),
            Self::Keys(error) => error.code(),
            Self::Io(_) => "log_io",
        }
    }
}

impl From<LoadError> for OpenError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Damaged {
                segment,
                offset,
                index,
                damage,
            } => Self::Damaged {
                segment,
                offset,
                index,
                damage,
            },
            LoadError::Io(error) => Self::Io(error),
        }
    }
}

/// Why a batch was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// No drafts. The log goes on.
    #[error("empty batch")]
    Empty,
    /// Does not fit a segment. The log goes on.
    #[error("batch does not fit a segment")]
    TooLarge,
    /// An earlier commit failed.
    #[error("log has stopped after an earlier failure")]
    Stopped,
    /// The bytes to be written do not say what was to be logged: a flipped bit.
    #[error("frame does not hold what was to be logged")]
    Mismatch,
    /// The system has no random bytes.
    #[error("no random bytes")]
    Random(#[source] getrandom::Error),
    /// The period keys.
    #[error("period key cannot be had")]
    Keys(#[from] KeyRingError),
    /// Write or flush failed: the batch is in the log or not, only opening it again tells.
    #[error("log cannot be written")]
    Io(#[from] io::Error),
    /// The signer refused.
    #[error("checkpoint cannot be signed")]
    Sign(#[from] NoteError),
    /// The committing thread panicked.
    #[error("commit panicked")]
    Panicked,
    /// An erasure failed; only opening the log again tells how far it came.
    #[error("erasure failed")]
    Erasure(#[source] Box<EraseError>),
}

impl CommitError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "batch_empty",
            Self::TooLarge => "batch_too_large",
            Self::Stopped => "log_stopped",
            Self::Mismatch => "frame_mismatch",
            Self::Random(_) => "random",
            Self::Keys(error) => error.code(),
            Self::Io(_) => "log_io",
            Self::Sign(error) => error.code(),
            Self::Panicked => "commit_panicked",
            Self::Erasure(error) => error.code(),
        }
    }

    /// False if nothing was touched and the log goes on.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Empty | Self::TooLarge)
    }
}

/// Why nothing, or not everything, was erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// `ground` or `by` is empty, longer than 255 bytes or has control characters. Nothing was touched.
    #[error("ground or author of the erasure is not a short text")]
    Text,
    /// An earlier erasure is not finished. Nothing was touched.
    #[error("an earlier erasure is not finished")]
    Unfinished,
    /// The log is no longer as it was when the plan was made. Nothing was touched.
    #[error("the log has changed since the erasure was planned")]
    Stale,
    /// The published bundles lack this entry, the first of those whose segments are to be unlinked, or have
    /// another. Nothing was touched by this call: mend the published folder, then finish the erasure.
    #[error("entry {0} is not in the published bundles")]
    Published(u64),
    /// The key files could not be removed.
    #[error("period keys cannot be destroyed")]
    Keys(#[source] KeyRingError),
    /// The caller's step failed.
    #[error("what is derived from the erased entries could not be removed")]
    Hook(#[source] io::Error),
    /// The segments could not be removed.
    #[error("segments cannot be removed")]
    Io(#[source] io::Error),
    /// The intent or the end could not be logged.
    #[error("erasure cannot be logged")]
    Commit(#[from] CommitError),
}

impl EraseError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Text => "erase_text",
            Self::Unfinished => "erase_unfinished",
            Self::Stale => "erase_stale",
            Self::Published(_) => "erase_published",
            Self::Keys(error) => error.code(),
            Self::Hook(_) => "erase_hook",
            Self::Io(_) => "log_io",
            Self::Commit(error) => error.code(),
        }
    }

    /// False if nothing was touched by this call and the log goes on. Otherwise it has stopped; after opening
    /// it again [`Log::finish_erasure`](super::Log::finish_erasure) goes on where it ended.
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Text | Self::Unfinished | Self::Stale | Self::Published(_) => false,
            Self::Keys(_) | Self::Hook(_) | Self::Io(_) => true,
            Self::Commit(error) => error.is_fatal(),
        }
    }
}

/// A head that others saw does not lie on this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadConflict {
    /// They saw more: this log was rolled back, or its end was cut off.
    #[error("others saw {seen} entries, this log has {ours}")]
    Rollback {
        /// Their size.
        seen: u64,
        /// Our size.
        ours: u64,
    },
    /// They saw another root at that size.
    #[error("others saw another root at {size} entries")]
    Fork {
        /// The size.
        size: u64,
        /// Their root.
        seen: Hash,
        /// Our root.
        ours: Hash,
    },
}

impl HeadConflict {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Rollback { .. } => "rollback",
            Self::Fork { .. } => "fork",
        }
    }
}
