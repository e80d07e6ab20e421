//! What is different between two covenants, in words.
//!
//! Every field of a covenant is compared; a partner, purpose or officer is the same one if its short name is. What is
//! left out is what nothing depends on: comments, and the order of partners, purposes, officers and quotas.

mod compare;
mod text;

use std::fmt::Display;

use jiff::civil::{Date, Time};

use super::{Answers, Covenant};
use crate::ids::{PartnerId, PurposeCode, SubjectClass};

pub use compare::difference;

/// One difference. [`Change::text_nl`] and [`Change::text_en`] say it to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What part of the covenant it is in.
    pub subject: Subject,
    /// The field, as in the file; empty if the whole part came or went.
    pub field: &'static str,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// A part of a covenant, with its name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The covenant as a whole.
    Covenant,
    /// `[administrators]`.
    Administrators,
    /// `[terms]`.
    Terms,
    /// `[alarms]`.
    Alarms,
    /// A `[[partner]]`.
    Partner(PartnerId, String),
    /// A `[[purpose]]`.
    Purpose(PurposeCode, String),
    /// An `[[officer]]`, by its partner.
    Officer(PartnerId, String),
    /// A `[[quota]]`.
    Quota(QuotaName),
}

/// Whose questions a quota counts: all that distinguishes one from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaName {
    /// One bucket for each user, not for each partner.
    pub each_user: bool,
    /// Of which partner: short name and name.
    pub partner: Option<(PartnerId, String)>,
    /// For which purpose.
    pub purpose: Option<PurposeCode>,
}

/// What happened to a field or part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The part is new.
    Added,
    /// The part is gone.
    Removed,
    /// The field had one value and has another.
    Set {
        /// Before.
        from: Value,
        /// Now.
        to: Value,
    },
    /// The list has one more.
    Gained(Value),
    /// The list has one less.
    Lost(Value),
    /// The list has another order.
    Reordered,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Words of the file.
    Words(String),
    /// A number of something.
    Count(u64, Unit),
    /// A day.
    Day(Date),
    /// Yes or no.
    Flag(bool),
    /// How a partner answers.
    Answers(Answers),
    /// A class of persons.
    Class(SubjectClass),
    /// A partner: short name, and name for people.
    Partner(PartnerId, String),
    /// From one time of day to another.
    Hours(Time, Time),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing but the number.
    Plain,
    /// Days.
    Days,
    /// Hours.
    Hours,
    /// Months.
    Months,
    /// Persons.
    Persons,
    /// Milliseconds.
    Milliseconds,
}

impl Value {
    fn words<T: Display + ?Sized>(text: &T) -> Self {
        Self::Words(text.to_string())
    }
}

impl Subject {
    /// The table in the file.
    pub fn table(&self) -> &'static str {
        match self {
            Self::Covenant => "covenant",
            Self::Administrators => "administrators",
            Self::Terms => "terms",
            Self::Alarms => "alarms",
            Self::Partner(..) => "partner",
            Self::Purpose(..) => "purpose",
            Self::Officer(..) => "officer",
            Self::Quota(_) => "quota",
        }
    }

    /// Which of several, by short name.
    pub fn which(&self) -> Option<&str> {
        match self {
            Self::Partner(id, _) | Self::Officer(id, _) => Some(id.as_str()),
            Self::Purpose(code, _) => Some(code.as_str()),
            _ => None,
        }
    }
}

impl ChangeKind {
    /// Stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Set { .. } => "changed",
            Self::Gained(_) => "gained",
            Self::Lost(_) => "lost",
            Self::Reordered => "reordered",
        }
    }
}

/// The name of a partner in one of two covenants, the newer first.
fn name_in(covenants: [&Covenant; 2], id: &PartnerId) -> String {
    let found = covenants.iter().find_map(|covenant| covenant.partner(id));
    found.map_or_else(|| id.to_string(), |partner| partner.name.clone())
}

#[cfg(test)]
#[path = "difference/tests.rs"]
mod tests;
