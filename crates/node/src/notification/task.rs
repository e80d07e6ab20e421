//! What the command line may ask of the queue of notifications, and what the node says.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::entry::{Act, Addressee, Deferral, Entry, KeptNumber, Kind, NotNeeded, State};
use crate::control::ClassWord;
use crate::source::AgeBracket;

/// One task, with who does it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationAsk {
    /// Who; part of the history of what is changed.
    pub user: String,
    /// What.
    pub task: Task,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// All that are kept and fit.
    List(Filter),
    /// One, with its history.
    Show(u64),
    /// Put off.
    Defer {
        /// Which.
        ids: Vec<u64>,
        /// Why.
        reason: Deferral,
        /// Until when.
        until: Date,
        /// In words of one's own.
        note: Option<String>,
    },
    /// They were sent.
    Sent(Which),
    /// They are not needed.
    NotNeeded {
        /// Which.
        ids: Vec<u64>,
        /// Why.
        reason: NotNeeded,
        /// In words of one's own.
        note: Option<String>,
    },
    /// A case is closed.
    Close {
        /// Which.
        case: String,
    },
    /// Those that a letter is to be written for.
    Letters(Filter),
}

/// Some notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// These.
    Ids(Vec<u64>),
    /// Those of a case that a letter is to be written for.
    Case(String),
}

/// Which ones to list; what is absent does not restrict.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Of this case.
    pub case: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// To these.
    pub addressee: Option<Addressee>,
    /// Whose last day has passed.
    pub overdue: bool,
    /// That are still to be sent.
    pub open: bool,
}

impl Filter {
    pub(super) fn fits(&self, entry: &Entry, today: Date) -> bool {
        self.case.as_ref().is_none_or(|case| *case == entry.case)
            && self.kind.is_none_or(|kind| kind == entry.kind)
            && self.addressee.is_none_or(|to| to == Addressee::of(entry.bracket))
            && (!self.overdue || entry.is_overdue(today))
            && (!self.open || entry.last_day().is_some())
    }
}

/// What came of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotificationReply {
    /// The day where people live.
    pub today: Date,
    /// Name of this organisation.
    pub organisation: String,
    /// How to reach it.
    pub contact: String,
    /// What was listed or changed.
    pub notifications: Vec<NotificationView>,
}

/// One notification.
#[derive(Clone, Serialize, Deserialize)]
pub struct NotificationView {
    /// Its number here.
    pub id: u64,
    /// Of the question, or of the end of the case.
    pub kind: Kind,
    /// Case.
    pub case: String,
    /// What the asker calls the person.
    pub reference: Option<String>,
    /// The person's number; only for letters, and only if the configuration lets this node keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<KeptNumber>,
    /// To whom.
    pub addressee: Addressee,
    /// Minor or adult on the day of asking.
    pub class: ClassWord,
    /// Age on the day of asking, as far as it matters.
    pub age: AgeBracket,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Purpose in words.
    pub purpose_title: String,
    /// Legal basis in words.
    pub legal_basis: String,
    /// URI of the processing activity in the public register.
    pub processing_activity: String,
    /// The day on which was asked, or the case was closed.
    pub since: Date,
    /// The last day for telling the person, as the law has it.
    pub due: Date,
    /// The last day that counts now; absent if settled.
    pub last_day: Option<Date>,
    /// Whether that has passed.
    pub overdue: bool,
    /// How far it is.
    #[serde(flatten)]
    pub state: State,
    /// What was done, oldest first; in `show` only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Act>,
}

/// Without what tells who it is about.
impl fmt::Debug for NotificationView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotificationView")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// How much of a notification is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// What a list shows.
    List,
    /// With its history.
    History,
    /// With what a letter needs.
    Letter,
}

impl NotificationView {
    pub(super) fn new(entry: &Entry, today: Date, detail: Detail) -> Self {
        Self {
            id: entry.id,
            kind: entry.kind,
            case: entry.case.clone(),
            reference: entry.reference.clone(),
            number: entry.number.clone().filter(|_| detail == Detail::Letter),
            addressee: Addressee::of(entry.bracket),
            class: entry.class().into(),
            age: entry.bracket,
            purpose: entry.purpose.clone(),
            purpose_title: entry.purpose_title.clone(),
            legal_basis: entry.legal_basis.clone(),
            processing_activity: entry.processing_activity.clone(),
            since: entry.since,
            due: entry.due,
            last_day: entry.last_day(),
            overdue: entry.is_overdue(today),
            state: entry.state,
            history: if detail == Detail::History {
                entry.history.clone()
            } else {
                Vec::new()
            },
        }
    }
}
