//! Informing the persons that this organisation asked about (AVG art. 14).
//!
//! Who is asked about must be told so within a month, and again when the case is closed. Each answered question puts
//! an entry in a queue, one for each person and case; a person sends the letters and says so here, or puts one off
//! with a reason. The queue is this organisation's own: nothing of it goes to the hub.
//!
//! - [`entry`] has the rules: due dates, whom to address, and what may be done when. No I/O.
//! - `queue` keeps the entries, sealed with the node's key; [`task`] is what the command line may ask of it.
//! - [`letter`] fills templates; [`text`] writes tables and CSV.

pub mod entry;
mod handle;
pub mod letter;
mod queue;
pub mod task;
pub mod text;

use crate::state::StateError;

pub use queue::Counts;
pub(crate) use queue::{AskedAbout, Queue};

/// Why something was not done with a notification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// The configuration says that this node keeps no queue.
    #[error("this node keeps no queue of notifications ([notification] enabled, signing_key)")]
    NotKept,
    /// There is no such notification.
    #[error("there is no notification {0}")]
    Unknown(u64),
    /// Nobody was asked about in this case, or what was is no longer kept.
    #[error("no notification belongs to this case")]
    UnknownCase,
    /// It was sent or is not needed: nothing more is to be done with it.
    #[error("notification {0} is settled already")]
    Settled(u64),
    /// A deferral must end on a later day than today, and within a year.
    #[error("the new date must be after today and within a year")]
    Until,
    /// A reason that leaves it open needs words.
    #[error("this reason needs a note that says which")]
    NoteNeeded,
    /// A text is empty or too long.
    #[error("{0} must have 1 to 500 characters")]
    Text(&'static str),
    /// A text holds what reads as a BSN.
    #[error("{0} holds what reads as a BSN; write a text without")]
    ContainsBsn(&'static str),
    /// The local state fails.
    #[error(transparent)]
    State(#[from] StateError),
    /// A part of this program stopped unexpectedly.
    #[error("an internal task stopped")]
    Stopped,
}

impl NotificationError {
    /// Stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotKept => "notification_not_kept",
            Self::Unknown(_) => "notification_unknown",
            Self::UnknownCase => "notification_unknown_case",
            Self::Settled(_) => "notification_settled",
            Self::Until => "notification_until",
            Self::NoteNeeded => "notification_note_needed",
            Self::Text(_) => "notification_text",
            Self::ContainsBsn(_) => "contains_bsn",
            Self::State(_) | Self::Stopped => "node",
        }
    }

    /// The message in Dutch.
    pub fn text_nl(&self) -> String {
        match self {
            Self::NotKept => {
                "dit station houdt geen kennisgevingen bij ([notification] enabled, signing_key)".into()
            }
            Self::Unknown(id) => format!("er is geen kennisgeving {id}"),
            Self::UnknownCase => "bij deze casus hoort geen kennisgeving".into(),
            Self::Settled(id) => format!("kennisgeving {id} is al afgehandeld"),
            Self::Until => "de nieuwe datum moet na vandaag liggen en binnen een jaar".into(),
            Self::NoteNeeded => "deze reden heeft een toelichting nodig".into(),
            Self::Text(field) => format!("{field} moet 1 tot 500 tekens hebben"),
            Self::ContainsBsn(field) => {
                format!("in {field} staat wat een BSN lijkt; schrijf een tekst zonder")
            }
            Self::State(_) | Self::Stopped => "dit station heeft een storing; zie het logboek".into(),
        }
    }
}
