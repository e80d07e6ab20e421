//! Hit notices: somebody in this organisation's register was found by another.
//!
//! The hub sends each notice until it is acknowledged, which is done once it is stored here; a notice that comes twice
//! is stored once. Its token is turned into the organisation's own file number and then forgotten: what is kept, shown
//! and told to hooks has none. A notice is kept as long as the log entry it comes from may be.
//!
//! - `book`: what is stored; `mute` per case.
//! - `follow`: the stream from the hub.
//! - `hook`: tells other systems that there is something new, and nothing more.
//! - `handle`: what the command line asks; [`text`]: what people read.

pub(crate) mod book;
mod follow;
mod handle;
pub(crate) mod hook;
pub mod text;

use serde::{Deserialize, Serialize};

use crate::control::ClassWord;

/// One person of this organisation's register that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    /// Entry of the hub's log that holds the question, from 0; also the notice's name.
    pub log_index: u64,
    /// In the order in which notices came to this node, from 1.
    pub number: u64,
    /// When it was asked (RFC 3339).
    pub asked_at: String,
    /// When this node heard of it (RFC 3339).
    pub received_at: String,
    /// The organisation that asked.
    pub asker: AskerView,
    /// Short name of the purpose.
    pub purpose: String,
    /// Its title; empty if the covenant does not have it any more.
    pub purpose_title: String,
    /// For which case, as the asker names it; absent if the log did not hold it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The question, which may be about several persons.
    pub request_id: String,
    /// Minor or adult.
    pub class: ClassWord,
    /// Whether this organisation still has the person registered.
    pub registered: bool,
    /// Its own file numbers of that person; empty if it gave none, or the registration is no longer there.
    pub references: Vec<String>,
    /// New, seen or muted.
    pub state: StateWord,
    /// Who has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<String>,
    /// When (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<String>,
    /// First month (yyyy-mm, UTC) in which it is not kept any more; absent if that is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<String>,
}

/// An organisation that asked, as the covenant names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskerView {
    /// Short name; empty if the covenant does not have it any more.
    pub partner: String,
    /// Name for people; the OIN if the covenant does not have it any more.
    pub name: String,
    /// OIN.
    pub oin: String,
    /// How to reach it.
    pub contact: String,
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateWord {
    /// Nobody has seen it.
    New,
    /// Somebody has.
    Seen,
    /// Its case was muted when it came.
    Muted,
}

/// A case of which nobody wants to hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuteView {
    /// Short name of the organisation that asks.
    pub asker: String,
    /// Its case.
    pub case: String,
    /// Who muted it.
    pub by: String,
    /// When (RFC 3339).
    pub at: String,
    /// Why, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the command line asks about notices.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeAsk {
    /// Those that are there, oldest first.
    List {
        /// Which.
        which: Which,
        /// Only of this case.
        case: Option<String>,
    },
    /// These, by log entry from 0, whatever their state.
    Show(u64),
    /// Somebody has seen these.
    Seen {
        /// Log entries, from 0.
        indexes: Vec<u64>,
        /// Who.
        user: String,
    },
    /// Later notices of a case are not shown.
    Mute {
        /// Short name of the organisation that asks.
        asker: String,
        /// Its case.
        case: String,
        /// Who wants so.
        user: String,
        /// Why.
        reason: Option<String>,
    },
    /// Later notices of a case are shown again.
    Unmute {
        /// Short name of the organisation that asks.
        asker: String,
        /// Its case.
        case: String,
    },
    /// Cases that are muted.
    Mutes,
    /// Those that came after a number, as soon as there is one; without a number those that are new, at once.
    Wait {
        /// After which.
        after: Option<u64>,
        /// After so long the answer comes without any.
        seconds: u64,
    },
}

/// Which notices are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those that nobody has seen.
    New,
    /// All but the muted.
    Open,
    /// All.
    All,
}

/// What a node says about notices.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeReply {
    /// Notices.
    Notices(NoticesView),
    /// So many were marked.
    Seen(usize),
    /// The case is muted, or not any more; how many cases are muted now.
    Muted(usize),
    /// Cases that are muted.
    Mutes(Vec<MuteView>),
}

/// Notices, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticesView {
    /// Those that were asked for.
    pub notices: Vec<NoticeView>,
    /// How many this node has that nobody has seen.
    pub new: usize,
    /// How many this node has that are muted.
    pub muted: usize,
    /// Number of the last that came to this node; 0 before the first.
    pub last: u64,
}
