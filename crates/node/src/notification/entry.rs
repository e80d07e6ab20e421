//! The rules for one notification: when it is due, whom it addresses, and what may be done with it.

use std::fmt;

use hitmachine_core::SubjectClass;
use jiff::ToSpan as _;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

use super::NotificationError;
use crate::source::AgeBracket;

/// Longest deferral at a time, in days.
const LONGEST_DEFERRAL_DAYS: i32 = 366;

/// What a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// That this organisation asked about them.
    Entry,
    /// That the case is closed.
    Exit,
}

impl Kind {
    /// Its name in file names and machine-readable output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Exit => "exit",
        }
    }
}

/// To whom a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addressee {
    /// The legal representative alone.
    Representative,
    /// The person and the legal representative.
    Both,
    /// The person alone.
    Person,
}

impl Addressee {
    /// By the age rule: under 12 the representative, 12 to 15 both, from 16 the person. Of a minor of unknown age
    /// both: nobody is passed over.
    pub fn of(bracket: AgeBracket) -> Self {
        match bracket {
            AgeBracket::Under12 => Self::Representative,
            AgeBracket::From12 | AgeBracket::Unknown => Self::Both,
            AgeBracket::From16 => Self::Person,
        }
    }

    /// Its name in file names and machine-readable output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Representative => "representative",
            Self::Both => "both",
            Self::Person => "person",
        }
    }
}

/// The day on which a person must have been told of what happened on `day`: a calendar month later (AVG art. 14(3)(a)),
/// at the end of a shorter month.
pub fn due_after(day: Date) -> Date {
    day.saturating_add(1.month())
}

/// Why a notification is put off (AVG art. 14(5), 23(1); Uitvoeringswet AVG art. 41).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Deferral {
    /// It would seriously impair what the processing is for (art. 14(5)(b)).
    ImpairsPurpose,
    /// Professional secrecy (art. 14(5)(d)).
    Secrecy,
    /// Nobody knows yet how to reach the person (art. 14(5)(b)).
    Unreachable,
    /// Public security (art. 23(1)(c)).
    PublicSecurity,
    /// Prevention, investigation or prosecution of crime (art. 23(1)(d)).
    Investigation,
    /// Supervision or inspection (art. 23(1)(h)).
    Supervision,
    /// Protection of the person or of the rights of others (art. 23(1)(i)).
    PersonOrOthers,
    /// Another important public interest (art. 23(1)(e)); the note says which.
    PublicInterest,
}

/// Why a notification is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum NotNeeded {
    /// The person has been told already, for example in a conversation (art. 14(5)(a)).
    AlreadyInformed,
    /// It is impossible or would take a disproportionate effort (art. 14(5)(b)); the note says why.
    Impossible,
    /// A law lays down that the data are obtained, and protects the person (art. 14(5)(c)); the note says which.
    LaidDownByLaw,
    /// The data must stay secret (art. 14(5)(d)).
    Secrecy,
    /// The person has died.
    Deceased,
}

/// What a reason says in words, and whether it needs a note.
pub trait Reason: Copy {
    /// In Dutch.
    fn text_nl(self) -> &'static str;
    /// In English.
    fn text_en(self) -> &'static str;
    /// Whether it says too little without words of one's own.
    fn needs_note(self) -> bool;
}

impl Reason for Deferral {
    fn text_nl(self) -> &'static str {
        match self {
            Self::ImpairsPurpose => "het doel zou ernstig in het gedrang komen (art. 14 lid 5 onder b)",
            Self::Secrecy => "beroepsgeheim (art. 14 lid 5 onder d)",
            Self::Unreachable => "de persoon is nog niet te bereiken (art. 14 lid 5 onder b)",
            Self::PublicSecurity => "openbare veiligheid (art. 23 lid 1 onder c)",
            Self::Investigation => "opsporing of vervolging (art. 23 lid 1 onder d)",
            Self::Supervision => "toezicht of inspectie (art. 23 lid 1 onder h)",
            Self::PersonOrOthers => "bescherming van de persoon of van anderen (art. 23 lid 1 onder i)",
            Self::PublicInterest => "ander belangrijk algemeen belang (art. 23 lid 1 onder e)",
        }
    }

    fn text_en(self) -> &'static str {
        match self {
            Self::ImpairsPurpose => "would seriously impair the purpose (art. 14(5)(b))",
            Self::Secrecy => "professional secrecy (art. 14(5)(d))",
            Self::Unreachable => "the person cannot be reached yet (art. 14(5)(b))",
            Self::PublicSecurity => "public security (art. 23(1)(c))",
            Self::Investigation => "investigation or prosecution (art. 23(1)(d))",
            Self::Supervision => "supervision or inspection (art. 23(1)(h))",
            Self::PersonOrOthers => "protection of the person or of others (art. 23(1)(i))",
            Self::PublicInterest => "another important public interest (art. 23(1)(e))",
        }
    }

    fn needs_note(self) -> bool {
        matches!(self, Self::PublicInterest)
    }
}

impl Reason for NotNeeded {
    fn text_nl(self) -> &'static str {
        match self {
            Self::AlreadyInformed => "de persoon weet het al (art. 14 lid 5 onder a)",
            Self::Impossible => "onmogelijk of onevenredig veel moeite (art. 14 lid 5 onder b)",
            Self::LaidDownByLaw => "bij wet geregeld (art. 14 lid 5 onder c)",
            Self::Secrecy => "de gegevens moeten geheim blijven (art. 14 lid 5 onder d)",
            Self::Deceased => "de persoon is overleden",
        }
    }

    fn text_en(self) -> &'static str {
        match self {
            Self::AlreadyInformed => "the person has been told already (art. 14(5)(a))",
            Self::Impossible => "impossible or a disproportionate effort (art. 14(5)(b))",
            Self::LaidDownByLaw => "laid down by law (art. 14(5)(c))",
            Self::Secrecy => "the data must stay secret (art. 14(5)(d))",
            Self::Deceased => "the person has died",
        }
    }

    fn needs_note(self) -> bool {
        matches!(self, Self::Impossible | Self::LaidDownByLaw)
    }
}

/// How far a notification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// To be sent.
    Due,
    /// Put off.
    Deferred {
        /// The new last day.
        until: Date,
    },
    /// Sent.
    Sent {
        /// When.
        on: Date,
    },
    /// Not to be sent.
    NotNeeded {
        /// When that was decided.
        on: Date,
    },
}

/// What was done with a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who did it.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can be done with a notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum What {
    /// The question was asked for which it is.
    Asked,
    /// The case was closed for which it is.
    Closed,
    /// Put off.
    Deferred {
        /// Why.
        reason: Deferral,
        /// Until when.
        until: Date,
        /// In words of one's own.
        note: Option<String>,
    },
    /// Sent.
    Sent,
    /// Found not to be needed.
    NotNeeded {
        /// Why.
        reason: NotNeeded,
        /// In words of one's own.
        note: Option<String>,
    },
}

/// A person's number that the configuration lets this node keep for letters. Erased on drop, never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct KeptNumber(String);

impl KeptNumber {
    pub(super) fn new(digits: String) -> Self {
        Self(digits)
    }

    /// The digits, for a letter.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptNumber(…)")
    }
}

/// One notification: what one person is to be told about one case.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number here.
    pub id: u64,
    /// Of the question or of the end.
    pub kind: Kind,
    /// Tells two persons apart, and nothing else: a hash under a key that stays here.
    pub person: [u8; 16],
    /// The person's number; only if the configuration says so.
    #[serde(default)]
    pub number: Option<KeptNumber>,
    /// What the asker calls the person.
    pub reference: Option<String>,
    /// Case.
    pub case: String,
    /// Purpose, by its short name, and in words.
    pub purpose: String,
    /// Purpose in words.
    pub purpose_title: String,
    /// Legal basis in words.
    pub legal_basis: String,
    /// URI of the processing activity in the public register.
    pub processing_activity: String,
    /// The day on which was asked, or the case was closed.
    pub since: Date,
    /// The last day for telling the person, if it is not put off.
    pub due: Date,
    /// Minor or adult on that day.
    pub minor: bool,
    /// Age on that day, as far as it matters.
    pub bracket: AgeBracket,
    /// How far it is.
    pub state: State,
    /// What was done, oldest first.
    pub history: Vec<Act>,
}

/// Without what tells who it is about.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Who does something, and when.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// Who.
    pub user: &'a str,
    /// When, RFC 3339 in UTC.
    pub at: &'a str,
    /// The day of it where people live.
    pub today: Date,
}

impl Entry {
    /// The class on the day of asking.
    pub fn class(&self) -> SubjectClass {
        if self.minor {
            SubjectClass::Minor
        } else {
            SubjectClass::Adult
        }
    }

    /// The last day for telling the person; `None` if that is settled.
    pub fn last_day(&self) -> Option<Date> {
        match self.state {
            State::Due => Some(self.due),
            State::Deferred { until } => Some(until),
            State::Sent { .. } | State::NotNeeded { .. } => None,
        }
    }

    /// Whether the last day has passed.
    pub fn is_overdue(&self, today: Date) -> bool {
        self.last_day().is_some_and(|day| day < today)
    }

    /// Whether a letter is to be written: open, and not put off to a day that is still to come.
    pub fn wants_letter(&self, today: Date) -> bool {
        match self.state {
            State::Due => true,
            State::Deferred { until } => until <= today,
            State::Sent { .. } | State::NotNeeded { .. } => false,
        }
    }

    /// Whether it has been settled for so long that it is not kept any more.
    pub fn is_over(&self, today: Date, keep_months: u16) -> bool {
        match self.state {
            State::Due | State::Deferred { .. } => false,
            State::Sent { on } | State::NotNeeded { on } => {
                on.saturating_add(i32::from(keep_months).months()) < today
            }
        }
    }

    /// Does something with it.
    ///
    /// # Errors
    /// [`NotificationError::Settled`] once it was sent or is not needed; [`NotificationError::Until`],
    /// [`NotificationError::NoteNeeded`], [`NotificationError::Text`] and [`NotificationError::ContainsBsn`] for what
    /// was typed. Nothing has changed then.
    pub fn apply(&mut self, what: What, by: By<'_>) -> Result<(), NotificationError> {
        if self.last_day().is_none() {
            return Err(NotificationError::Settled(self.id));
        }
        let state = match &what {
            What::Asked | What::Closed => self.state,
            What::Deferred { reason, until, note } => {
                check_note(note.as_deref(), reason.needs_note())?;
                let latest = by.today.saturating_add(LONGEST_DEFERRAL_DAYS.days());
                if *until <= by.today || *until > latest {
                    return Err(NotificationError::Until);
                }
                State::Deferred { until: *until }
            }
            What::Sent => State::Sent { on: by.today },
            What::NotNeeded { reason, note } => {
                check_note(note.as_deref(), reason.needs_note())?;
                State::NotNeeded { on: by.today }
            }
        };
        self.state = state;
        self.history.push(Act {
            at: by.at.to_owned(),
            by: by.user.to_owned(),
            what,
        });
        Ok(())
    }
}

fn check_note(note: Option<&str>, needed: bool) -> Result<(), NotificationError> {
    match note {
        None if needed => Err(NotificationError::NoteNeeded),
        None => Ok(()),
        Some(note) => check_text("note", note),
    }
}

/// A text that a person typed: not empty, not long, and no BSN.
pub(super) fn check_text(field: &'static str, text: &str) -> Result<(), NotificationError> {
    if text.trim().is_empty() || text.chars().count() > 500 {
        return Err(NotificationError::Text(field));
    }
    if hitmachine_identifier::contains_bsn(text) {
        return Err(NotificationError::ContainsBsn(field));
    }
    Ok(())
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
