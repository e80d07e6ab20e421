//! For the privacy officer (privacyfunctionaris, FG): searching, showing, exporting and checking the hub's log.
//!
//! The hub decides who may, and makes every action an entry of the log before its result leaves. This side verifies
//! that entry, and the proof of every single row, before anything is shown; what the covenant withholds and what was
//! erased is said.
//!
//! - `client` does one action and verifies it; `rows` are its proven entries; [`page`] puts them into words.
//! - [`task`] is what the command line may ask of a node; `handle` does it.
//! - [`alarms`] are what officers must look at.
//! - [`csv`], [`ldv`] and [`report`] write files; [`text`] writes tables.
//! - [`waiting`]: hit notices that partners did not fetch.
//! - [`overview`] is the report for a council; [`overview_sheets`] are its tables on a terminal and as CSV.
//! - `sample` draws entries for review; [`overlap`] compares the log with the node's journal; [`published`] checks the
//!   whole published log, [`check`] one entry step by step, and [`published_head`] is the checkpoint they end at.

pub mod alarms;
pub mod check;
mod client;
pub mod csv;
mod handle;
pub mod ldv;
pub mod overlap;
pub mod overview;
mod overview_html;
pub mod overview_sheets;
pub mod page;
pub mod published;
pub mod published_head;
pub mod report;
mod report_html;
mod rows;
mod sample;
pub mod task;
pub mod text;
pub mod waiting;

use hitmachine_audit::tiles::VerifyError;
use hitmachine_pseudonym::PseudonymError;

use crate::ask::AskError;

pub use client::OfficerFrame;

/// Why an officer's task gave nothing. Nothing of a result is shown then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficerError {
    /// As for a question: the hub, the proof, the state, a field.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The hub refused, and the refusal is an entry.
    #[error("the hub refused: {0}")]
    Refused(String),
    /// No such partner.
    #[error("the covenant has no organisation with this short name")]
    UnknownPartner,
    /// A value that does not fit, by its name.
    #[error("not a valid value for {0}")]
    Value(&'static str),
    /// Nothing can be said about the published log.
    #[error("the published log cannot be checked")]
    Published(#[source] VerifyError),
}

impl From<PseudonymError> for OfficerError {
    fn from(error: PseudonymError) -> Self {
        Self::Ask(error.into())
    }
}

#[cfg(test)]
#[path = "sample_rows.rs"]
mod sample_rows;
#[cfg(test)]
mod test_log;
