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
        }
    }

    /// False if nothing was touched and the log goes on.
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::Empty | Self::TooLarge)
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
