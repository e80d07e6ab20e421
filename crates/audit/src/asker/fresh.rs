//! The asking node's last check: partners saw this history, and not long ago.

use crate::{
    checkpoint::Head,
    hash::Hash,
    merkle::verify_consistency,
    note::NoteError,
    policy::{Policy, QuorumTime},
};

/// From this age on, in seconds, somebody should look at the witnesses.
pub const WARN_AGE_S: u64 = 60;
/// Above this age, in seconds, answers are not shown, unless the caller sets another bound.
pub const MAX_AGE_S: u64 = 600;
/// By how much the quorum's time may lie ahead of the own clock, in seconds.
pub const MAX_AHEAD_S: u64 = 60;

/// Why an answer is not backed by the witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FreshError {
    /// The note is not of a log in the policy, or a line of a known witness does not fit.
    #[error("cosigned checkpoint is not the log's")]
    Note(#[from] NoteError),
    /// Too few cosignatures.
    #[error("too few cosignatures")]
    NoQuorum,
    /// The policy asks for no cosignatures, so there is no time to compare with.
    #[error("policy asks for no cosignatures")]
    NoWitnesses,
    /// The quorum held too long ago.
    #[error("cosigned checkpoint is {age_s} s old")]
    TooOld {
        /// Seconds since the quorum held.
        age_s: u64,
    },
    /// The quorum's time lies ahead of the own clock: one of the two is wrong, and no age is known.
    #[error("cosigned checkpoint is {ahead_s} s ahead of the clock")]
    Ahead {
        /// Seconds until then.
        ahead_s: u64,
    },
    /// Two roots at one size: with both notes a complete proof of a fork.
    #[error("two roots at {size} entries")]
    Fork {
        /// The size.
        size: u64,
    },
    /// The cosigned head and the answer's are not shown to lie on one history.
    #[error("cosigned checkpoint and the answer's are not shown to lie on one history")]
    NotConnected {
        /// Size of the cosigned head.
        cosigned: u64,
        /// Size of the answer's head.
        got: u64,
    },
}

impl FreshError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Note(error) => error.code(),
            Self::NoQuorum => "no_quorum",
            Self::NoWitnesses => "no_witnesses",
            Self::TooOld { .. } => "cosigned_too_old",
            Self::Ahead { .. } => "cosigned_ahead",
            Self::Fork { .. } => "fork",
            Self::NotConnected { .. } => "cosigned_not_connected",
        }
    }
}

/// How long ago the quorum held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CosignedAge {
    /// In seconds; 0 if the quorum's clocks are a little ahead.
    pub age_s: u64,
}

impl CosignedAge {
    /// True from [`WARN_AGE_S`] on: fresh enough, but the witnesses lag.
    pub const fn is_stale(self) -> bool {
        self.age_s >= WARN_AGE_S
    }
}

/// The newest checkpoint that a quorum cosigned, opened once and held by the asking node for many answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CosignedHead {
    head: Head,
    since_s: u64,
}

impl CosignedHead {
    /// Checks signature, cosignatures and quorum of a note. The policy should name the one log that is asked.
    ///
    /// # Errors
    /// [`FreshError::Note`], [`FreshError::NoWitnesses`], [`FreshError::NoQuorum`].
    pub fn open(policy: &Policy, note: &[u8]) -> Result<Self, FreshError> {
        let (cosigned, quorum) = policy.open(note)?;
        match quorum {
            QuorumTime::NotAsked => Err(FreshError::NoWitnesses),
            QuorumTime::Missing => Err(FreshError::NoQuorum),
            QuorumTime::Held { since_s } => Ok(Self {
                head: cosigned.checkpoint.head(),
                since_s,
            }),
        }
    }

    /// Size and root that the quorum saw.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// The largest time at or after which all cosignatures of some quorum were made; seconds since 1970.
    pub const fn since_s(&self) -> u64 {
        self.since_s
    }

    /// Checks that it and `head`, the head of an answer (already verified as signed by the log), lie on one history
    /// (`proof` leads from the smaller to the larger), and that at `now_s` (seconds since 1970) the quorum is not
    /// older than `max_age_s`; [`MAX_AGE_S`] unless there is a reason.
    ///
    /// # Errors
    /// [`FreshError`]; nothing is shown then. Forks come before ages.
    pub fn check(
        &self,
        head: &Head,
        proof: &[Hash],
        now_s: u64,
        max_age_s: u64,
    ) -> Result<CosignedAge, FreshError> {
        self.connects(head, proof)?;
        let ahead_s = self.since_s.saturating_sub(now_s);
        if ahead_s > MAX_AHEAD_S {
            return Err(FreshError::Ahead { ahead_s });
        }
        let age_s = now_s.saturating_sub(self.since_s);
        if age_s > max_age_s {
            return Err(FreshError::TooOld { age_s });
        }
        Ok(CosignedAge { age_s })
    }

    fn connects(&self, head: &Head, proof: &[Hash]) -> Result<(), FreshError> {
        let (old, new) = if self.head.size <= head.size {
            (&self.head, head)
        } else {
            (head, &self.head)
        };
        if old.size == new.size && old.root != new.root {
            return Err(FreshError::Fork { size: old.size });
        }
        if verify_consistency(old.size, new.size, &old.root, &new.root, proof) {
            Ok(())
        } else {
            Err(FreshError::NotConnected {
                cosigned: self.head.size,
                got: head.size,
            })
        }
    }
}

#[cfg(test)]
#[path = "fresh_tests.rs"]
mod tests;
