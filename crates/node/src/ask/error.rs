//! Why there is no answer to show.

use hitmachine_audit::{AskerError, FreshError};
use hitmachine_core::TextError;
use hitmachine_core::record::Mismatch;
use hitmachine_proto::WireError;
use hitmachine_pseudonym::PseudonymError;

use crate::heads::{AcceptError, BackingError};
use crate::link::LinkError;
use crate::state::StateError;

/// Why there is no answer to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// A field that a person typed is missing or wrong.
    #[error("{field} {problem}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        problem: TextError,
    },
    /// A field that a person typed holds something that reads as a BSN; nothing was sent.
    #[error("{0} holds what reads as a BSN; write a reference that is none")]
    BsnInText(&'static str),
    /// No persons, or more than the covenant allows.
    #[error("a question is about 1 to {0} persons")]
    PersonCount(usize),
    /// The configuration names no key to sign requests with.
    #[error("this node has no signing_key, so it cannot ask")]
    NoSigningKey,
    /// The hub cannot be reached or refuses. Nothing is known about the persons.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The answer or its proof is not right. Nothing is shown; the evidence is kept.
    #[error("the hub's answer is not proven to be in its log ({0}); the answer is not shown")]
    NotProven(#[source] Evidence),
    /// Too few partners have cosigned the log, or too long ago. Nothing is shown; it may pass.
    #[error("too few partners vouch for the hub's log at this moment ({0}); the answer is not shown")]
    NotBacked(#[source] BackingError),
    /// The local state fails.
    #[error(transparent)]
    State(#[from] StateError),
    /// Tokens cannot be made.
    #[error("pseudonyms cannot be made")]
    Pseudonym(#[from] PseudonymError),
    /// A part of this program stopped unexpectedly.
    #[error("an internal task stopped")]
    Stopped,
}

/// In what way an answer is not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Evidence {
    /// Signature, tree or history of the log.
    #[error("{0}")]
    Log(#[from] AskerError),
    /// The entry says something else than was asked and answered.
    #[error("{0}")]
    Entry(#[from] Mismatch),
    /// The response is not well-formed.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// Too few witnesses, or too long ago.
    #[error("{0}")]
    Backing(#[from] BackingError),
    /// Another history than partners cosigned.
    #[error("{error}")]
    Branch {
        /// In what way.
        error: FreshError,
        /// The signed note that they cosigned.
        note: Vec<u8>,
    },
    /// An entry in an officer's result is not in the signed tree, or says nothing that fits the leaf.
    #[error("entry {} is not proven", index.saturating_add(1))]
    Row {
        /// Its index, from 0.
        index: u64,
    },
    /// An officer's result is not what was asked for.
    #[error("the result is not that of this request")]
    Result,
    /// Not one answer for each person, in order, about this question.
    #[error("the answers are not those of this question")]
    Answers,
}

impl AskError {
    /// Whether the question may have been logged, and the same question asked again may have an answer.
    pub(crate) fn leaves_doubt(&self) -> bool {
        use hitmachine_service::client::ConnectError;
        match self {
            Self::Link(LinkError::TimedOut | LinkError::Connect(ConnectError::Protocol)) => true,
            Self::Link(LinkError::Connect(ConnectError::Unreachable { kind })) => broke_off(*kind),
            _ => false,
        }
    }

    /// Whether the question cannot have reached the log: it did not leave this machine, or the hub has never had it.
    pub(crate) fn was_not_logged(&self) -> bool {
        use hitmachine_service::client::ConnectError;
        match self {
            // A connection that broke may have carried it.
            Self::Link(LinkError::Connect(ConnectError::Unreachable { kind })) => !broke_off(*kind),
            Self::Link(LinkError::Connect(error)) => !matches!(error, ConnectError::Protocol),
            error => error.never_asked(),
        }
    }

    /// Whether the hub's log does not have a question of which this node did not know that.
    pub(crate) fn never_asked(&self) -> bool {
        matches!(self, Self::Link(LinkError::Refused(text)) if text.starts_with("never_asked"))
    }

    /// Whether the same question can have an answer later, without anybody changing anything.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Link(error) => error.may_pass(),
            Self::NotBacked(_) => true,
            _ => false,
        }
    }
}

/// Whether there was a connection before this happened.
fn broke_off(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind;
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
    )
}

impl From<AcceptError> for Evidence {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::History(error) => Self::Log(error),
            AcceptError::Backing(error) => Self::Backing(error),
            AcceptError::Branch { error, note } => Self::Branch { error, note },
        }
    }
}
