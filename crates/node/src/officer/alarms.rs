//! Alarms as an officer sees them: what is open first, who it is about, and what to do.

use hitmachine_core::alarm::AlarmKind;
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};

use super::page::{self, OwnEntry};
use super::text::{local, own, plain};
use crate::language::Language;
use crate::view::table;

/// Alarms in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlarmsView {
    /// The entry of this look at the log.
    pub own: OwnEntry,
    /// Open ones first, and of those the oldest first.
    pub alarms: Vec<AlarmRow>,
    /// How many more there are that somebody has dealt with.
    pub closed: usize,
}

/// One alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRow {
    /// Its entry in the log, from 0.
    pub log_index: u64,
    /// When, RFC 3339.
    pub at: String,
    /// Stable code.
    pub code: String,
    /// What happened, in Dutch.
    pub text_nl: String,
    /// What happened, in English.
    pub text_en: String,
    /// What to do, in Dutch.
    pub advice_nl: String,
    /// What to do, in English.
    pub advice_en: String,
    /// Partner that reported it; empty for the hub.
    pub by: String,
    /// Partner that it is about; empty if it is about the log.
    pub about: String,
    /// Who of the partner, if it is about one person and the log still says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The log entry that it follows from, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows_from: Option<u64>,
    /// How often the log has the same alarm about the same partner and person.
    pub times: usize,
    /// Whether it stops somebody now.
    pub stops: bool,
    /// When an officer acknowledged it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_at: Option<String>,
    /// When an officer ended the stop that came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted_at: Option<String>,
}

/// What an officer did about an alarm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AlarmChangedView {
    /// The entry of this action.
    pub own: OwnEntry,
    /// The alarm as it is now.
    pub alarm: AlarmRow,
}

impl AlarmRow {
    pub(super) fn new(alarm: &v1::Alarm, all: &[v1::Alarm]) -> Self {
        let kind = AlarmKind::of(&alarm.code);
        let name = |alarm: &v1::Alarm| {
            let v1::Alarm {
                code,
                by,
                about,
                user,
                ..
            } = alarm;
            (code.clone(), by.clone(), about.clone(), user.clone())
        };
        let own = name(alarm);
        let time = |ms: u64| Some(ms).filter(|ms| *ms > 0).map(page::time);
        Self {
            log_index: alarm.index,
            at: page::time(alarm.time_ms),
            code: alarm.code.clone(),
            text_nl: kind.nl().0.to_owned(),
            text_en: kind.en().0.to_owned(),
            advice_nl: kind.nl().1.to_owned(),
            advice_en: kind.en().1.to_owned(),
            by: alarm.by.clone(),
            about: alarm.about.clone(),
            user: Some(alarm.user.clone()).filter(|user| !user.is_empty()),
            follows_from: alarm.entry.checked_sub(1),
            times: all.iter().filter(|other| name(other) == own).count().max(1),
            stops: alarm.stops,
            acknowledged_at: time(alarm.acknowledged_ms),
            lifted_at: time(alarm.lifted_ms),
        }
    }

    /// Whether somebody has still to look at it, or is stopped by it.
    pub fn is_open(&self) -> bool {
        self.stops || self.acknowledged_at.is_none()
    }

    fn state(&self, language: Language) -> &'static str {
        match (
            self.stops,
            self.lifted_at.is_some(),
            self.acknowledged_at.is_some(),
        ) {
            (true, _, true) => language.pick("gezien; vragen gestopt", "seen; questions stopped"),
            (true, _, false) => language.pick("open; vragen gestopt", "open; questions stopped"),
            (false, true, _) => language.pick("vragen weer toegestaan", "questions allowed again"),
            (false, false, true) => language.pick("gezien", "seen"),
            (false, false, false) => "open",
        }
    }

    fn whom(&self, language: Language) -> String {
        let organisation = match (self.about.as_str(), self.by.as_str()) {
            ("", "") => language.pick("het knooppunt", "the hub"),
            ("", by) => by,
            (about, _) => about,
        };
        match &self.user {
            Some(user) => format!("{}: {}", plain(organisation), plain(user)),
            None => plain(organisation),
        }
    }
}

impl AlarmsView {
    pub(super) fn new(own: OwnEntry, alarms: &[v1::Alarm]) -> Self {
        let mut rows: Vec<_> = alarms.iter().map(|alarm| AlarmRow::new(alarm, alarms)).collect();
        // Oldest first among themselves: this keeps their order.
        rows.sort_by_key(|row| !row.is_open());
        Self {
            own,
            alarms: rows,
            closed: 0,
        }
    }

    /// Without what somebody has dealt with, but for how many that are.
    pub fn keep_open(&mut self) {
        let all = self.alarms.len();
        self.alarms.retain(AlarmRow::is_open);
        self.closed = all - self.alarms.len();
    }

    /// For people.
    pub fn text(&self, language: Language) -> String {
        let mut text = String::new();
        if self.alarms.is_empty() {
            text.push_str(language.pick("Er zijn geen open alarmen.\n", "There are no open alarms.\n"));
        } else {
            text.push_str(&rows(&self.alarms, language));
            text.push_str(&advice(&self.alarms, language));
        }
        if self.closed > 0 {
            let more = language.pick("afgehandeld; zie --all.", "dealt with; see --all.");
            text.push_str(&format!("{} {more}\n", self.closed));
        }
        text + &own(&self.own, language)
    }
}

impl AlarmChangedView {
    /// For people.
    pub fn text(&self, language: Language) -> String {
        rows(std::slice::from_ref(&self.alarm), language) + &own(&self.own, language)
    }
}

fn rows(alarms: &[AlarmRow], language: Language) -> String {
    let mut table = table(&[
        language.pick("Regel", "Entry"),
        language.pick("Wanneer", "When"),
        language.pick("Wat", "What"),
        language.pick("Wie", "Who"),
        language.pick("Keer", "Times"),
        language.pick("Stand", "State"),
    ]);
    for row in alarms {
        let mut what = language.pick(&row.text_nl, &row.text_en).to_owned();
        if let Some(entry) = row.follows_from {
            let see = language.pick("zie regel", "see entry");
            what.push_str(&format!(" ({see} {})", entry.saturating_add(1)));
        }
        table.add_row([
            row.log_index.saturating_add(1).to_string(),
            local(&row.at),
            what,
            row.whom(language),
            row.times.to_string(),
            row.state(language).to_owned(),
        ]);
    }
    format!("{table}\n")
}

/// What to do, once for each kind that is open.
fn advice(alarms: &[AlarmRow], language: Language) -> String {
    let (mut text, mut said) = (String::new(), Vec::new());
    for row in alarms.iter().filter(|row| row.is_open()) {
        let advice = language.pick(row.advice_nl.as_str(), row.advice_en.as_str());
        if !said.contains(&advice) {
            text.push_str(&format!("- {advice}\n"));
            said.push(advice);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(index: u64, code: &str, about: &str, user: &str) -> v1::Alarm {
        v1::Alarm {
            index,
            time_ms: 1_795_300_000_000,
            code: code.into(),
            about: about.into(),
            user: user.into(),
            entry: index,
            ..v1::Alarm::default()
        }
    }

    #[test]
    fn open_alarms_come_first_and_say_who_and_what_to_do() {
        let own = OwnEntry {
            request_id: String::new(),
            log_index: 9,
            log_size: 10,
        };
        let mut alarms = [
            alarm(1, "unusual_hours", "leerplicht", ""),
            alarm(3, "enumeration", "gemeente", "raadt"),
            alarm(5, "enumeration", "gemeente", "raadt"),
        ];
        alarms[0].acknowledged_ms = 1_795_300_000_001;
        alarms[1].acknowledged_ms = 1_795_300_000_001;
        alarms[1].lifted_ms = 1_795_300_000_002;
        alarms[2].stops = true;
        let mut view = AlarmsView::new(own, &alarms);
        let order: Vec<_> = view.alarms.iter().map(|row| row.log_index).collect();
        assert_eq!(order, [5, 1, 3]);
        assert_eq!((view.alarms[0].times, view.alarms[0].follows_from), (2, Some(4)));
        view.keep_open();
        assert_eq!((view.alarms.len(), view.closed), (1, 2));
        let text = view.text(Language::En);
        for part in [
            "gemeente: raadt",
            "questions stopped",
            "audit lift",
            "2 dealt with",
            "see entry 5",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
