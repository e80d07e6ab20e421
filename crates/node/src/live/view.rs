//! What a live partner's node tells people and machines.

use hitmachine_core::LiveStatus;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::journal::Line;
use crate::language::Language;
use crate::view::{StatusWord, table};

/// Whether the hub takes this node's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveWord {
    /// It does.
    Connected,
    /// It does not, or this node does not serve.
    NotConnected,
    /// Another node of the same organisation has taken this one's place.
    Replaced,
}

impl LiveWord {
    /// In words.
    pub fn text(self, language: Language) -> &'static str {
        match self {
            Self::Connected => language.pick("verbonden", "connected"),
            Self::NotConnected => language.pick("niet verbonden", "not connected"),
            Self::Replaced => language.pick(
                "een andere node van deze instantie is verbonden",
                "another node of this organisation is connected",
            ),
        }
    }
}

/// How answering live goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveView {
    /// Whether the hub takes this node's answers.
    pub state: LiveWord,
    /// When the own set was last complete (RFC 3339), if ever.
    pub complete_at: Option<String>,
    /// Questions since midnight, Dutch time.
    pub questions_today: u64,
    /// When the last one was (RFC 3339).
    pub last_at: Option<String>,
}

/// The last questions, newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveListView {
    /// One for each question.
    pub entries: Vec<LiveEntryView>,
}

/// One question. Nothing in it says about whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveEntryView {
    /// When (RFC 3339).
    pub at: String,
    /// The question's name; with it the asker and the hub's log find it back.
    pub request_id: Option<String>,
    /// Who asked.
    pub asker: Option<String>,
    /// Why.
    pub purpose: Option<String>,
    /// How many persons this organisation was asked about.
    pub persons: usize,
    /// What was answered about each of them; empty if it was refused.
    pub statuses: Vec<StatusWord>,
    /// Why it was refused, or why nothing could be said.
    pub code: Option<String>,
    /// It had been answered before, and got the same answer.
    pub again: bool,
}

impl From<&Line> for LiveEntryView {
    fn from(line: &Line) -> Self {
        let statuses = line
            .statuses
            .iter()
            .map(|code| match LiveStatus::from_code(*code) {
                Some(LiveStatus::Known) => StatusWord::Known,
                Some(LiveStatus::NotKnown) => StatusWord::NotKnown,
                _ => StatusWord::CouldNotAsk,
            });
        Self {
            at: time(line.at_ms),
            request_id: line.request.clone(),
            asker: line.asker.clone(),
            purpose: line.purpose.clone(),
            persons: line.persons,
            statuses: statuses.collect(),
            code: line.code.clone(),
            again: line.again,
        }
    }
}

impl LiveListView {
    /// The list as text for people.
    pub fn text(&self, language: Language) -> String {
        if self.entries.is_empty() {
            let none = "Er zijn nog geen vragen gekomen.\n";
            return language.pick(none, "No questions have come yet.\n").to_owned();
        }
        let mut table = table(&[
            language.pick("Wanneer", "When"),
            language.pick("Wie vroeg", "Who asked"),
            language.pick("Doel", "Purpose"),
            language.pick("Personen", "Persons"),
            language.pick("Bekend", "Known"),
            language.pick("Bijzonderheid", "Remark"),
        ]);
        for entry in &self.entries {
            let known = entry
                .statuses
                .iter()
                .filter(|status| **status == StatusWord::Known);
            let known = if entry.statuses.is_empty() {
                "-".to_owned()
            } else {
                known.count().to_string()
            };
            table.add_row([
                local(&entry.at).as_str(),
                entry.asker.as_deref().unwrap_or("-"),
                entry.purpose.as_deref().unwrap_or("-"),
                &entry.persons.to_string(),
                &known,
                &remark(entry, language),
            ]);
        }
        format!("{table}\n")
    }
}

fn remark(entry: &LiveEntryView, language: Language) -> String {
    match entry.code.as_deref() {
        None if entry.again => language.pick("opnieuw gevraagd", "asked again").to_owned(),
        None => String::new(),
        Some("live_not_complete") => language
            .pick(
                "niet beantwoord: de bron is nog niet gelezen",
                "not answered: the source has not been read yet",
            )
            .to_owned(),
        Some("live_stale") => language
            .pick(
                "niet beantwoord: de bron is te lang niet gelezen",
                "not answered: the source was not read for too long",
            )
            .to_owned(),
        Some(code) => format!("{} ({code})", language.pick("geweigerd", "refused")),
    }
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC)
}

/// The last midnight in the Netherlands, in milliseconds since 1970.
pub(super) fn midnight(now: Timestamp) -> i64 {
    let day = now.to_zoned(zone()).start_of_day();
    day.map_or(now, |day| day.timestamp()).as_millisecond()
}

/// RFC 3339.
pub(super) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |at| at.to_string())
}

/// As people in the Netherlands read a clock.
fn local(at: &str) -> String {
    let read = at.parse::<Timestamp>();
    read.map_or_else(
        |_| String::new(),
        |at| at.to_zoned(zone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
