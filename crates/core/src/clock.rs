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
    fn days_count_from_1970_and_print_as_dates() {
        assert_eq!(Day::from_date(Date::constant(1970, 1, 1)), Day(0));
        assert_eq!(Day::from_date(Date::constant(2026, 11, 21)), Day(20_778));
        assert_eq!(Day(20_778).to_string(), "2026-11-21");
        assert_eq!(Day::of("2026-11-21T23:59:59Z".parse().unwrap()), Day(20_778));
        assert_eq!(Day::from_date(Date::constant(1969, 12, 31)), Day(0));
    }
}
