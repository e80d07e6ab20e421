//! Alarms and what officers did about them, as the log's control entries say.

use hitmachine_audit::{StoredContent, StoredEntry};
use hitmachine_core::alarm::AlarmKind;
use hitmachine_core::quota::Digest;
use hitmachine_core::volume::local;
use hitmachine_proto::v1;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

/// The type of the control entry.
pub(super) const ALARM: &str = "alarm";
/// The same alarm about the log by the same partner is not raised again for so long, in milliseconds.
const AGAIN_AFTER_MS: u64 = 60 * 60 * 1000;

/// What an officer can do about an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It was seen.
    Acknowledge,
    /// The stop that came with it ends; it was seen, then.
    Lift,
}

impl Act {
    /// The type of its control entry.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Acknowledge => "alarm_acknowledged",
            Self::Lift => "stop_lifted",
        }
    }
}

/// An alarm, and who it stops.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// What officers are told of it, but for the user.
    pub(crate) alarm: v1::Alarm,
    /// The partner or user that it stopped.
    pub(crate) who: Option<Digest>,
}

impl Logged {
    fn is_like(&self, other: &Self) -> bool {
        let key = |alarm: &v1::Alarm| (alarm.code.clone(), alarm.by.clone(), alarm.about.clone());
        self.who == other.who && key(&self.alarm) == key(&other.alarm)
    }

    /// Whether `self`, raised earlier, makes `other` superfluous.
    fn covers(&self, other: &Self) -> bool {
        if !self.is_like(other) {
            return false;
        }
        if self.who.is_some() {
            return self.alarm.stops;
        }
        if AlarmKind::of(&self.alarm.code).is_about_a_partner() {
            return day(self.alarm.time_ms) == day(other.alarm.time_ms);
        }
        self.alarm.time_ms.saturating_add(AGAIN_AFTER_MS) > other.alarm.time_ms
    }
}

/// The calendar day here.
fn day(time_ms: u64) -> Option<Date> {
    let time = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
    Some(local(time).date())
}

/// All alarms, oldest first, and those on their way into the log.
#[derive(Debug, Default)]
pub(crate) struct Book {
    alarms: Vec<Logged>,
    under_way: Vec<Logged>,
}

impl Book {
    /// Takes an entry of the log, whatever it is.
    pub(crate) fn read(&mut self, entry: &StoredEntry) {
        if let Some((act, alarm, time_ms)) = act_of_entry(entry) {
            self.acted(act, alarm, time_ms);
        }
        self.alarms.extend(of_entry(entry));
    }

    pub(crate) fn alarms(&self) -> impl Iterator<Item = &Logged> {
        self.alarms.iter()
    }

    /// Whether none is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(crate) fn stop_of(&self, who: &Digest) -> Option<&Logged> {
        let mut newest = self.alarms.iter().rev();
        newest.find(|logged| logged.alarm.stops && logged.who.as_ref() == Some(who))
    }

    /// Whether this one is to be logged: nothing says the same already.
    pub(super) fn begin(&mut self, new: &Logged) -> bool {
        let mut all = self.alarms.iter().chain(&self.under_way);
        let wanted = !all.any(|old| old.covers(new));
        if wanted {
            self.under_way.push(new.clone());
        }
        wanted
    }

    /// It is in the log at `index`, or nowhere.
    pub(super) fn ended(&mut self, logged: &Logged, index: Option<u64>) {
        if let Some(place) = self.under_way.iter().position(|other| other.is_like(logged)) {
            self.under_way.swap_remove(place);
        }
        if let Some(index) = index {
            let mut logged = logged.clone();
            logged.alarm.index = index;
            self.alarms.push(logged);
        }
    }

    pub(super) fn acted(&mut self, act: Act, alarm: u64, time_ms: u64) {
        let found = self.alarms.iter_mut().find(|logged| logged.alarm.index == alarm);
        let Some(Logged { alarm, .. }) = found else { return };
        if alarm.acknowledged_ms == 0 {
            alarm.acknowledged_ms = time_ms;
        }
        if act == Act::Lift {
            alarm.lifted_ms = time_ms;
            alarm.stops = false;
        }
    }
}

/// The alarm in a control entry, if it is one.
fn of_entry(entry: &StoredEntry) -> Option<Logged> {
    let content = control(entry)?;
    (text(content, "type")? == ALARM).then_some(())?;
    let who = content.get("who").and_then(Value::as_str);
    let who = who.and_then(|who| who.parse().ok());
    Some(Logged {
        alarm: v1::Alarm {
            index: entry.index,
            time_ms: number(content, "time_ms")?,
            code: text(content, "code")?,
            by: text(content, "by")?,
            about: text(content, "about").unwrap_or_default(),
            entry: number(content, "entry").unwrap_or(0),
            stops: who.is_some(),
            ..v1::Alarm::default()
        },
        who,
    })
}

/// What an officer did about which alarm, and when, if the entry says such a thing.
pub(crate) fn act_of_entry(entry: &StoredEntry) -> Option<(Act, u64, u64)> {
    let content = control(entry)?;
    let code = text(content, "type")?;
    let mut acts = [Act::Acknowledge, Act::Lift].into_iter();
    let act = acts.find(|act| act.code() == code)?;
    Some((act, number(content, "alarm")?, number(content, "time_ms")?))
}

fn control(entry: &StoredEntry) -> Option<&Map<String, Value>> {
    match &entry.content {
        StoredContent::Control(content) => Some(content),
        _ => None,
    }
}

fn text(content: &Map<String, Value>, name: &str) -> Option<String> {
    content.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}

fn number(content: &Map<String, Value>, name: &str) -> Option<u64> {
    content.get(name).and_then(Value::as_u64)
}
