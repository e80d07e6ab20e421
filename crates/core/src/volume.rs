//! How much a partner asks on a day, and at what hours: what is unusual.
//!
//! A day is a calendar day in the Netherlands, whether it has 23, 24 or 25 hours. A clock that goes back over midnight
//! does not begin an old day again: what it counts goes to the latest day seen.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;

use crate::clock::Day;
use crate::covenant::AlarmRules;

/// Days of use that say what is usual.
const USUAL_DAYS: usize = 28;
/// With fewer days of use nothing is usual yet.
const FEWEST_DAYS: usize = 5;

/// What people here read on the clock at `now`.
pub fn local(now: Timestamp) -> DateTime {
    // The time zones are part of this program.
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    now.to_zoned(zone).datetime()
}

/// Whether `at` lies in the usual hours: Monday to Friday, from the first moment up to the last; always, if these are
/// the whole day.
pub fn is_usual(rules: &AlarmRules, at: DateTime) -> bool {
    let weekend = matches!(at.weekday(), Weekday::Saturday | Weekday::Sunday);
    let (from, to) = rules.usual_hours;
    let always = from == Time::midnight() && to >= Time::constant(23, 59, 0, 0);
    always || !weekend && (from..to).contains(&at.time())
}

/// What one partner asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    day: u32,
    persons: u32,
    too_much: bool,
    too_late: bool,
    before: VecDeque<u32>,
}

/// What is unusual now, and was not yet today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unusual {
    /// More persons than usual.
    pub volume: bool,
    /// Outside the usual hours.
    pub hours: bool,
}

impl Volume {
    /// Counts a question, answered or refused, about so many persons.
    pub fn count(&mut self, rules: &AlarmRules, persons: u32, at: DateTime) -> Unusual {
        self.begin(at.date());
        self.persons = self.persons.saturating_add(persons);
        let too_much = self.persons >= rules.volume_least
            && u64::from(self.persons) > u64::from(self.usual(rules)) * u64::from(rules.volume_factor);
        let unusual = Unusual {
            volume: too_much && !self.too_much,
            hours: !is_usual(rules, at) && !self.too_late,
        };
        self.too_much |= unusual.volume;
        self.too_late |= unusual.hours;
        unusual
    }

    fn begin(&mut self, date: Date) {
        let Day(day) = Day::from_date(date);
        if day <= self.day {
            return;
        }
        if self.persons > 0 {
            self.before.push_back(self.persons);
            let surplus = self.before.len().saturating_sub(USUAL_DAYS);
            self.before.drain(..surplus);
        }
        *self = Self {
            day,
            before: std::mem::take(&mut self.before),
            ..Self::default()
        };
    }

    /// The median of the last days of use; the least that is looked at while there are few of them.
    fn usual(&self, rules: &AlarmRules) -> u32 {
        if self.before.len() < FEWEST_DAYS {
            return rules.volume_least;
        }
        let mut days: Vec<u32> = self.before.iter().copied().collect();
        days.sort_unstable();
        days[days.len() / 2]
    }

    /// For a table.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + 4 * self.before.len());
        bytes.extend_from_slice(&self.day.to_be_bytes());
        bytes.extend_from_slice(&self.persons.to_be_bytes());
        bytes.push(u8::from(self.too_much) | u8::from(self.too_late) << 1);
        for day in &self.before {
            bytes.extend_from_slice(&day.to_be_bytes());
        }
        bytes
    }

    /// As [`to_bytes`](Self::to_bytes) wrote it; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, rest) = bytes.split_at_checked(9)?;
        let (days, rest) = rest.as_chunks::<4>();
        let number = |place: usize| {
            Some(u32::from_be_bytes(
                numbers.get(place..place + 4)?.try_into().ok()?,
            ))
        };
        (rest.is_empty() && days.len() <= USUAL_DAYS && numbers[8] < 4).then_some(())?;
        Some(Self {
            day: number(0)?,
            persons: number(4)?,
            too_much: numbers[8] & 1 != 0,
            too_late: numbers[8] & 2 != 0,
            before: days.iter().map(|day| u32::from_be_bytes(*day)).collect(),
        })
    }
}

#[cfg(test)]
#[path = "volume_tests.rs"]
mod tests;
