//! Calendar months and retention classes: which key seals an entry.

use std::{fmt, str::FromStr};

/// How long an entry is kept, in months after its period. Classes have separate keys, so they expire apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetentionClass(pub u16);

/// A calendar month in UTC. Text form `yyyy-mm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    year: u16,
    month: u8,
}

impl Period {
    /// Year 0 to 9999, month 1 to 12; `None` otherwise.
    pub fn new(year: u16, month: u8) -> Option<Self> {
        (year <= 9999 && (1..=12).contains(&month)).then_some(Self { year, month })
    }

    /// The month of a time in milliseconds since 1970. A clock beyond the year 9999 counts as December 9999.
    pub fn of_unix_ms(ms: u64) -> Self {
        // Days to civil date in the proleptic Gregorian calendar, counted in eras of 400 years from
        // 0000-03-01.
        let days = ms / 86_400_000 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153; // 0 is March
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let known = u16::try_from(year).ok().zip(u8::try_from(month).ok());
        known
            .and_then(|(year, month)| Self::new(year, month))
            .unwrap_or(Self {
                year: 9999,
                month: 12,
            })
    }

    /// The year.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// So many months later; `None` beyond the year 9999.
    pub fn plus_months(self, months: u32) -> Option<Self> {
        let count = u32::from(self.year) * 12 + u32::from(self.month - 1);
        let count = count.checked_add(months)?;
        let month = u8::try_from(count % 12).ok()? + 1;
        Self::new(u16::try_from(count / 12).ok()?, month)
    }

    /// From when on an entry of this month need not be kept any more: `class` whole months after its end, so
    /// that also the entry of the last day is kept for so long. `None`, never, beyond the year 9999.
    pub fn expires(self, class: RetentionClass) -> Option<Self> {
        self.plus_months(u32::from(class.0) + 1)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// The text is not `yyyy-mm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a month written as yyyy-mm")]
pub struct PeriodError;

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let (year, month) = text.split_once('-').ok_or(PeriodError)?;
        let period = year
            .parse()
            .ok()
            .zip(month.parse().ok())
            .and_then(|(y, m)| Self::new(y, m));
        // One text per month: no signs, no missing zeros.
        period
            .filter(|period| period.to_string() == text)
            .ok_or(PeriodError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_later() {
        for (from, months, to) in [
            ("2026-01", 0, Some("2026-01")),
            ("2026-01", 11, Some("2026-12")),
            ("2026-01", 12, Some("2027-01")),
            ("2026-12", 1, Some("2027-01")),
            ("2026-11", 26, Some("2029-01")),
            ("0000-01", 119_999, Some("9999-12")),
            ("9999-12", 1, None),
            ("0000-01", u32::MAX, None),
            ("9999-12", u32::MAX, None),
        ] {
            let later = from.parse::<Period>().unwrap().plus_months(months);
            assert_eq!(
                later.map(|period| period.to_string()).as_deref(),
                to,
                "{from} {months}"
            );
        }
        let january = Period::new(2026, 1).unwrap();
        for (class, from) in [(0, "2026-02"), (1, "2026-03"), (60, "2031-02")] {
            let expires = january.expires(RetentionClass(class)).unwrap();
            assert_eq!(expires.to_string(), from, "kept {class} months");
        }
        assert!(january.expires(RetentionClass(u16::MAX)).is_some());
        assert_eq!(Period::new(9999, 12).unwrap().expires(RetentionClass(0)), None);
    }

    #[test]
    fn months_of_times() {
        for (ms, month) in [
            (0, "1970-01"),
            (2_678_399_999, "1970-01"),
            (2_678_400_000, "1970-02"),
            (951_782_400_000, "2000-02"), // 29 February 2000
            (951_868_799_999, "2000-02"),
            (951_868_800_000, "2000-03"),
            (1_767_225_599_999, "2025-12"),
            (1_767_225_600_000, "2026-01"),
            (4_107_542_399_999, "2100-02"), // 28 February 2100, no leap year
            (4_107_542_400_000, "2100-03"),
            (253_402_300_799_999, "9999-12"),
            (u64::MAX, "9999-12"),
        ] {
            assert_eq!(Period::of_unix_ms(ms).to_string(), month, "{ms}");
            assert_eq!(month.parse(), Ok(Period::of_unix_ms(ms)));
        }
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "+026-01",
            "12026-01",
            "2026-01-01",
        ] {
            assert_eq!(bad.parse::<Period>(), Err(PeriodError), "{bad:?}");
        }
    }
}
