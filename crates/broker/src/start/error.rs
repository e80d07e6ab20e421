//! Why a broker does not start, or stopped.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use hitmachine_audit::tiles::PublishError;
use hitmachine_audit::{
    CommitError, EraseError, HeadConflict, KeyRingError, NoteError, OpenError, PolicyError, ReadError,
};
use hitmachine_core::StoreError;
use hitmachine_pseudonym::SelfTestError;
use hitmachine_service::exit;
use hitmachine_service::metrics::MetricsError;
use hitmachine_service::secret::SecretError;
use hitmachine_service::server::ServeError;
use hitmachine_service::tls::TlsError;
use hitmachine_store::audit_index::IndexError;
use hitmachine_store::{DbError, TableError};

use crate::agreement::AgreementError;
use crate::epochs::EpochsError;
use crate::indexer::IndexingError;
use crate::watch::WatchError;

/// Why a broker does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The published vectors do not come out: this build must not make pseudonyms.
    #[error("the cryptographic self-test failed")]
    SelfTest(#[from] SelfTestError),
    /// A setting is not valid.
    #[error("setting {0} is not valid")]
    Setting(&'static str),
    /// The covenant cannot be read, is not valid or not accepted; without one nothing is answered.
    #[error(transparent)]
    Covenant(#[from] AgreementError),
    /// A key file cannot be used.
    #[error("a key cannot be used")]
    Secret(#[from] SecretError),
    /// The key epochs, or their registrations.
    #[error(transparent)]
    Epochs(#[from] EpochsError),
    /// Certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The name of the log is not valid.
    #[error("audit.origin is not a valid name of a log")]
    Origin(#[source] NoteError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened")]
    Log(#[from] OpenError),
    /// The witness policy cannot be read.
    #[error("cannot read the witness policy {}", path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The witness policy is not valid.
    #[error("witness policy {}: {source}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Line and problem.
        source: PolicyError,
    },
    /// The witness policy is for another log, or has groups of groups.
    #[error("witness policy {} must name this log's verifier key, and one group as its quorum", .0.display())]
    PolicyUnsuitable(PathBuf),
    /// The published log cannot be mended, or is not this log's.
    #[error("the published log does not fit the audit log")]
    Publish(#[source] Box<PublishError>),
    /// A partner holds a checkpoint, signed with this log's key, that the log does not continue.
    #[error(
        "{partner} holds a signed checkpoint that this log does not continue ({conflict}): a backup was restored, \
         the end was lost, or two brokers sign with one key. Kept in {}", kept.display()
    )]
    Contradicted {
        /// Who showed it.
        partner: String,
        /// In what way.
        conflict: Box<HeadConflict>,
        /// Where the note is kept.
        kept: PathBuf,
    },
    /// An erasure that was cut short cannot be finished.
    #[error("an erasure that was cut short cannot be finished")]
    Erase(#[source] Box<EraseError>),
    /// The search index cannot be opened.
    #[error("the search index of the audit log cannot be opened")]
    Index(#[from] IndexError),
    /// The search index cannot be built.
    #[error("the search index of the audit log cannot be built")]
    Indexing(#[from] IndexingError),
    /// The audit log cannot be read back.
    #[error("the audit log cannot be read")]
    LogRead(#[from] ReadError),
    /// The audit log does not start.
    #[error("the audit log does not start")]
    Commit(#[from] CommitError),
    /// The hub's tables cannot be read.
    #[error("the hub's tables cannot be read")]
    Tables(#[from] TableError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The socket for the command line cannot be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Metrics cannot be served.
    #[error("metrics")]
    Metrics(#[from] MetricsError),
    /// A part of the broker that runs for ever has ended.
    #[error("a part of the broker has ended")]
    Stopped,
    /// The server stopped.
    #[error("the server stopped")]
    Serve(#[from] ServeError),
}

impl StartError {
    /// Exit code of the process: 2 wrong use, 4 integrity, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SelfTest(_)
            | Self::Log(
                OpenError::Damaged { .. }
                | OpenError::Identity
                | OpenError::Keys(KeyRingError::Sealed { .. } | KeyRingError::NextId),
            )
            | Self::Contradicted { .. }
            | Self::Covenant(AgreementError::NotAccepted { .. } | AgreementError::Damaged)
            | Self::Epochs(
                EpochsError::Store(StoreError::Damaged { .. } | StoreError::OtherKey) | EpochsError::History,
            )
            | Self::Tables(TableError::Damaged(_) | TableError::Db(DbError::Damaged(_))) => exit::INTEGRITY,
            Self::Publish(error) if matches!(**error, PublishError::Conflict(_)) => exit::INTEGRITY,
            Self::Setting(_)
            | Self::Covenant(AgreementError::File { .. } | AgreementError::Covenant { .. })
            | Self::Secret(_)
            | Self::Epochs(
                EpochsError::Setting(_)
                | EpochsError::Secret(_)
                | EpochsError::PepperEpoch { .. }
                | EpochsError::NotConfigured { .. },
            )
            | Self::Tls(_)
            | Self::PolicyFile { .. }
            | Self::Policy { .. }
            | Self::PolicyUnsuitable(_)
            | Self::Origin(_) => exit::USAGE,
            _ => exit::REFUSED,
        }
    }
}

impl StartError {
    /// What to do about it, where the text of the error itself does not say so.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Log(OpenError::Identity) => Some(
                "set the name and the signing key that this log was made with, or put the log back from the newest backup",
            ),
            Self::Log(
                OpenError::Damaged { .. }
                | OpenError::Keys(KeyRingError::Sealed { .. } | KeyRingError::NextId),
            ) => Some(
                "keep these files as evidence, and put log and period keys back from the newest backup: nodes that saw \
                 more of the log than there is will say so",
            ),
            Self::Publish(error) if !matches!(**error, PublishError::Io(_)) => Some(
                "if the log is right, move the folder audit/tiles away and start again, and it is made anew; else put log \
                 and period keys back from the newest backup",
            ),
            Self::Tables(TableError::Db(DbError::Damaged(_))) => {
                Some("the covenant is then taken anew, and notices that wait are made again from the log")
            }
            Self::Tables(TableError::Damaged(_)) | Self::Covenant(AgreementError::Damaged) => Some(
                "put the folder tables back from a backup, or move it away and start again: the covenant is then taken \
                 anew, and notices that wait are made again from the log",
            ),
            _ => None,
        }
    }
}

impl From<WatchError> for StartError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Table(error) => Self::Tables(error),
            WatchError::Log(error) => Self::LogRead(error),
        }
    }
}

impl From<PublishError> for StartError {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}
