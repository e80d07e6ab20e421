//! What is wrong with a form, and dates as people write them here.

use hitmachine_core::volume::local;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Fields with what is wrong with them, in the order of the page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Errors(Vec<(&'static str, String)>);

impl Errors {
    /// A field, by its id, and what is wrong with it.
    pub(crate) fn add(&mut self, field: &'static str, text: impl Into<String>) {
        self.0.push((field, text.into()));
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[(&'static str, String)] {
        &self.0
    }

    /// What is wrong with one field; empty if nothing is.
    pub(crate) fn of(&self, field: &str) -> &str {
        let found = self.0.iter().find(|(each, _)| *each == field);
        found.map_or("", |(_, text)| text)
    }
}

/// A date as `16-11-2026`, also with other signs or the year first; `None` if it is none.
pub(in crate::pages) fn date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text
        .split(['-', '/', '.', ' '])
        .filter(|part| !part.is_empty())
        .collect();
    let [first, month, last] = parts.as_slice() else {
        return None;
    };
    let (day, year) = if first.len() == 4 {
        (last, first)
    } else {
        (first, last)
    };
    if year.len() != 4 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// When a day begins here, in ms since 1970.
pub(in crate::pages) fn begins(date: Date) -> Option<u64> {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    let begin = date.to_zoned(zone).ok()?;
    u64::try_from(begin.timestamp().as_millisecond()).ok()
}

/// The last millisecond of a day here.
pub(in crate::pages) fn ends(date: Date) -> Option<u64> {
    begins(date.tomorrow().ok()?)?.checked_sub(1)
}

/// A time of an entry as people read it here, `16-11-2026 09:30:00`; the text itself if it is no time.
pub(in crate::pages) fn shown(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), moment)
}

/// The same of a time.
pub(in crate::pages) fn moment(time: Timestamp) -> String {
    local(time).strftime("%d-%m-%Y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_people_write_them() {
        let day = Date::constant(2026, 11, 6);
        for text in [
            "6-11-2026",
            "06-11-2026",
            "6/11/2026",
            "2026-11-06",
            "6.11.2026",
            "6 11 2026",
        ] {
            assert_eq!(date(text), Some(day), "{text}");
        }
        for text in ["", "6-11", "6-11-26", "31-2-2026", "x-11-2026", "6-11-2026-1"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_is_one_here_also_when_the_clock_changes() {
        let day = Date::constant(2026, 10, 25);
        let hours = (ends(day).unwrap() + 1 - begins(day).unwrap()) / 3_600_000;
        assert_eq!(hours, 25);
        assert_eq!(shown("2026-10-24T22:00:00Z"), "25-10-2026 00:00:00");
        assert_eq!(shown("no time"), "no time");
    }
}
