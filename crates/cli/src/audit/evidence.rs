//! Evidence: two signed heads of one log that somebody kept because they do not fit together.

use std::io;

use hitmachine_audit::{Evidence, LogVerifier, Verdict};
use serde::Serialize;

use super::place::{Place, Tree};

/// What a file of evidence shows, with the log in the folder at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Both heads are the beginning of this log: whatever was missing, they do not conflict.
    Settled,
    /// The log signed two roots at one size.
    TwoRoots(u64),
    /// The log signed a head of this size that is not the beginning of this log.
    OffLog(u64),
    /// It signed a head of this size, and the folder has fewer entries.
    Beyond(u64),
    /// The file is none, or the log did not sign it: it shows nothing.
    Nothing(&'static str),
}

/// For machines.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct View {
    code: &'static str,
    size: Option<u64>,
}

impl Shown {
    /// True if there is no conflict.
    pub(super) fn is_settled(self) -> bool {
        self == Self::Settled
    }

    pub(super) fn view(self) -> View {
        let (code, size) = match self {
            Self::Settled => ("no_conflict", None),
            Self::TwoRoots(size) => ("same_size_two_roots", Some(size)),
            Self::OffLog(size) => ("off_log", Some(size)),
            Self::Beyond(size) => ("beyond_copy", Some(size)),
            Self::Nothing(code) => (code, None),
        };
        View { code, size }
    }
}

/// Checks the evidence under the log's key, and its heads against the log.
///
/// # Errors
/// If tiles cannot be read.
pub(super) fn check(file: &[u8], log: &LogVerifier, tree: &mut Tree<'_>) -> io::Result<Shown> {
    let read = Evidence::parse(file).and_then(|evidence| Ok((evidence.verify(log)?, evidence)));
    let evidence = match read {
        Err(error) => return Ok(Shown::Nothing(error.code())),
        Ok((Verdict::SameSizeTwoRoots { size, .. }, _)) => return Ok(Shown::TwoRoots(size)),
        // A proof that is missing or wrong can be made up for: the whole log is here.
        Ok((_, evidence)) => evidence,
    };
    for note in [evidence.first(), evidence.second()] {
        let head = match log.open(note) {
            Ok(checkpoint) => checkpoint.head(),
            Err(error) => return Ok(Shown::Nothing(error.code())),
        };
        match tree.place(head)? {
            Place::OnLog => {}
            Place::OffLog => return Ok(Shown::OffLog(head.size)),
            Place::Beyond => return Ok(Shown::Beyond(head.size)),
        }
    }
    Ok(Shown::Settled)
}
