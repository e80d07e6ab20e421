//! Time comes in through a [`Clock`], so that expiry is tested without sleeping.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Where the rules get the time from.
pub trait Clock: Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// The present calendar day in UTC.
    fn today(&self) -> Day {
        Day::of(self.now())
    }
}

/// The calendar date of a moment in the Netherlands: what people mean by a day. Registrations and log periods count
/// UTC days; what is written in a covenant or a letter is a Dutch day.
///
/// Central European Time by the rule of Directive 2000/84/EC, for every year: summer time from the last Sunday of March
/// to the last Sunday of October, both at 01:00 UTC. The rule stands here so that it does not depend on what time
/// zone database a machine has, or whether it has one.
pub fn dutch_date(at: Timestamp) -> Date {
    let date_at = |hours: i32| at.as_second() + i64::from(hours) * 3600;
    let date = |seconds: i64| {
        let moved = Timestamp::from_second(seconds).unwrap_or(at);
        moved.to_zoned(TimeZone::UTC).datetime()
    };
    let utc = date(date_at(0));
    let begins = last_sunday(utc.year(), 3);
    let ends = last_sunday(utc.year(), 10);
    let summer = begins.at(1, 0, 0, 0) <= utc && utc < ends.at(1, 0, 0, 0);
    date(date_at(if summer { 2 } else { 1 })).date()
}

/// The last Sunday of a month of 31 days.
fn last_sunday(year: i16, month: i8) -> Date {
    let last = Date::new(year, month, 31).unwrap_or(Date::MAX);
    let days = i32::from(last.weekday().to_sunday_zero_offset());
    last.checked_sub(jiff::Span::new().days(days)).unwrap_or(last)
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A calendar day, counted in days since 1970-01-01 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub u32);

impl Day {
    /// The UTC day in which `at` falls. Times before 1970 count as day 0.
    pub fn of(at: Timestamp) -> Self {
        Self::from_date(at.to_zoned(TimeZone::UTC).date())
    }

    /// The day of a calendar date. Dates before 1970 count as day 0.
    pub fn from_date(date: Date) -> Self {
        let days = (date - Date::constant(1970, 1, 1)).get_days();
        Self(u32::try_from(days).unwrap_or(0))
    }

    /// The day `days` later.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = jiff::Span::new().try_days(i64::from(self.0));
        match span.and_then(|span| Date::constant(1970, 1, 1).checked_add(span)) {
            Ok(date) => date.fmt(f),
            Err(_) => write!(f, "day {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dutch_day_begins_at_dutch_midnight() {
        for (at, date) in [
            // Winter: 23:00 UTC. Summer: 22:00 UTC.
            ("2026-12-31T22:59:59Z", "2026-12-31"),
            ("2026-12-31T23:00:00Z", "2027-01-01"),
            ("2026-07-01T21:59:59Z", "2026-07-01"),
            ("2026-07-01T22:00:00Z", "2026-07-02"),
            // Summer time begins on 29 March 2026 and ends on 25 October 2026, both at 01:00 UTC: the day before is of
            // the old time until its end, the day itself ends in the new time.
            ("2026-03-28T22:59:59Z", "2026-03-28"),
            ("2026-03-28T23:00:00Z", "2026-03-29"),
            ("2026-03-29T21:59:59Z", "2026-03-29"),
            ("2026-03-29T22:00:00Z", "2026-03-30"),
            ("2026-10-24T21:59:59Z", "2026-10-24"),
            ("2026-10-24T22:00:00Z", "2026-10-25"),
            ("2026-10-25T22:59:59Z", "2026-10-25"),
            ("2026-10-25T23:00:00Z", "2026-10-26"),
        ] {
            assert_eq!(dutch_date(at.parse().unwrap()).to_string(), date, "{at}");
        }
        for (year, march, october) in [(2024, 31, 27), (2026, 29, 25), (2027, 28, 31), (2030, 31, 27)] {
            assert_eq!(last_sunday(year, 3).day(), march, "{year}");
            assert_eq!(last_sunday(year, 10).day(), october, "{year}");
        }
        assert_eq!(dutch_date(Timestamp::MAX).year(), 9999);
        assert_eq!(dutch_date(Timestamp::MIN).year(), -9999);
    }

    #[test]
    fn days_count_from_1970_and_print_as_dates() {
        assert_eq!(Day::from_date(Date::constant(1970, 1, 1)), Day(0));
        assert_eq!(Day::from_date(Date::constant(2026, 11, 21)), Day(20_778));
        assert_eq!(Day(20_778).to_string(), "2026-11-21");
        assert_eq!(Day::of("2026-11-21T23:59:59Z".parse().unwrap()), Day(20_778));
        assert_eq!(Day::from_date(Date::constant(1969, 12, 31)), Day(0));
    }
}
