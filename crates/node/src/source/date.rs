//! Birth dates as exports write them, and who is a minor.

use hitmachine_core::SubjectClass;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::IssueKind;

/// Older than this is a typing error, in years.
const OLDEST: i16 = 130;
/// Age at which a person is an adult (Burgerlijk Wetboek 1:233), in years.
const ADULT: i16 = 18;

/// The first birthday on which a person is told things beside the representative (AVG: Uitvoeringswet art. 5 sets 16
/// for doing so alone; from 12 a child is told too), in years.
const TOLD_TOO: i16 = 12;
/// The first birthday on which a person is told things without a representative, in years.
const TOLD_ALONE: i16 = 16;

/// How old a person is, as far as rules need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Minor or adult.
    pub class: SubjectClass,
    /// Who is to be told that something was done with the person's data.
    pub bracket: AgeBracket,
}

/// The ages that decide who is told what was done with a person's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeBracket {
    /// Younger than 12: the legal representative.
    #[serde(rename = "under_12")]
    Under12,
    /// 12 to 15: the person and the legal representative.
    #[serde(rename = "from_12")]
    From12,
    /// 16 or older: the person.
    #[serde(rename = "from_16")]
    From16,
    /// A minor of whom nobody said how old.
    #[default]
    Unknown,
}

impl Age {
    /// Of somebody of whom only the class is known.
    pub fn of_class(class: SubjectClass) -> Self {
        let bracket = match class {
            SubjectClass::Adult => AgeBracket::From16,
            SubjectClass::Minor => AgeBracket::Unknown,
        };
        Self { class, bracket }
    }

    /// On `today`, of somebody born on `birth`.
    ///
    /// # Errors
    /// [`IssueKind::DateImplausible`] if that is no plausible birth date.
    pub fn on(today: Date, birth: Date) -> Result<Self, IssueKind> {
        if birth > today || birth.year() < today.year() - OLDEST {
            return Err(IssueKind::DateImplausible);
        }
        // By comparing the parts, somebody born on 29 February becomes 18 on 1 March in a year without that day.
        let is = |years: i16| {
            (today.year() - years, today.month(), today.day()) >= (birth.year(), birth.month(), birth.day())
        };
        Ok(Self {
            class: if is(ADULT) {
                SubjectClass::Adult
            } else {
                SubjectClass::Minor
            },
            bracket: match (is(TOLD_TOO), is(TOLD_ALONE)) {
                (_, true) => AgeBracket::From16,
                (true, false) => AgeBracket::From12,
                (false, false) => AgeBracket::Under12,
            },
        })
    }
}

/// Whether somebody born on the date in `text` is a minor on `today`.
///
/// Forms: `01-02-2026` and `1-2-2026` (day first), `2026-02-01`, `20260201`.
///
/// # Errors
/// [`IssueKind`] if the text has none of the forms, leaves parts open, or is no plausible birth date.
pub fn class_on(today: Date, text: &str) -> Result<SubjectClass, IssueKind> {
    age_on(today, text).map(|age| age.class)
}

/// How old somebody born on the date in `text` is on `today`, as far as rules need to know.
///
/// # Errors
/// As [`class_on`].
pub fn age_on(today: Date, text: &str) -> Result<Age, IssueKind> {
    Age::on(today, birth_date(text)?)
}

/// The date in a text.
pub(super) fn birth_date(text: &str) -> Result<Date, IssueKind> {
    let (year, month, day) = parts(text).ok_or(IssueKind::DateForm)?;
    // The BRP writes zeros for parts of a birth date that nobody knows.
    if year == 0 || month == 0 || day == 0 {
        return Err(IssueKind::DatePartial);
    }
    Date::new(year, month, day).map_err(|_| IssueKind::DateForm)
}

fn parts(text: &str) -> Option<(i16, i8, i8)> {
    let date = match *text.split('-').collect::<Vec<_>>() {
        [year, month, day] if year.len() == 4 && month.len() == 2 && day.len() == 2 => (year, month, day),
        [day, month, year] if year.len() == 4 && matches!((day.len(), month.len()), (1..=2, 1..=2)) => {
            (year, month, day)
        }
        [all] if all.len() == 8 && all.is_ascii() => {
            let (year, rest) = all.split_at(4);
            let (month, day) = rest.split_at(2);
            (year, month, day)
        }
        _ => return None,
    };
    let number = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<i16>().ok())?
    };
    let small = |text: &str| number(text).and_then(|number| i8::try_from(number).ok());
    Some((number(date.0)?, small(date.1)?, small(date.2)?))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn forms_of_dates() {
        let today = date(2026, 8, 1);
        for (text, expected) in [
            ("01-02-2016", Ok(SubjectClass::Minor)),
            ("1-2-2016", Ok(SubjectClass::Minor)),
            ("2016-02-01", Ok(SubjectClass::Minor)),
            ("20160201", Ok(SubjectClass::Minor)),
            ("01-02-1966", Ok(SubjectClass::Adult)),
            ("29-02-2024", Ok(SubjectClass::Minor)),
            ("29-02-2023", Err(IssueKind::DateForm)),
            ("31-04-2016", Err(IssueKind::DateForm)),
            ("13-13-2016", Err(IssueKind::DateForm)),
            ("2016-13-01", Err(IssueKind::DateForm)),
            ("01-02-16", Err(IssueKind::DateForm)),
            ("01/02/2016", Err(IssueKind::DateForm)),
            ("+1-02-2016", Err(IssueKind::DateForm)),
            ("2016-2-1", Err(IssueKind::DateForm)),
            ("001-02-2016", Err(IssueKind::DateForm)),
            ("٢٠١٦٠٢٠١", Err(IssueKind::DateForm)),
            ("ééabcd", Err(IssueKind::DateForm)),
            ("42401", Err(IssueKind::DateForm)),
            ("1-2-2016 00:00", Err(IssueKind::DateForm)),
            ("00-00-1980", Err(IssueKind::DatePartial)),
            ("1980-01-00", Err(IssueKind::DatePartial)),
            ("19800000", Err(IssueKind::DatePartial)),
            ("00000000", Err(IssueKind::DatePartial)),
            ("02-08-2026", Err(IssueKind::DateImplausible)),
            ("01-02-1866", Err(IssueKind::DateImplausible)),
        ] {
            assert_eq!(class_on(today, text), expected, "{text}");
        }
    }

    #[test]
    fn the_eighteenth_birthday_is_the_first_day_of_an_adult() {
        for (today, birth, expected) in [
            (date(2026, 2, 1), "02-02-2008", SubjectClass::Minor),
            (date(2026, 2, 2), "02-02-2008", SubjectClass::Adult),
            (date(2026, 2, 28), "29-02-2008", SubjectClass::Minor),
            (date(2026, 3, 1), "29-02-2008", SubjectClass::Adult),
            (date(2026, 2, 2), "02-02-2026", SubjectClass::Minor),
        ] {
            assert_eq!(class_on(today, birth), Ok(expected), "{birth} on {today}");
        }
    }

    #[test]
    fn who_is_told_changes_at_the_twelfth_and_sixteenth_birthday() {
        use AgeBracket::{From12, From16, Under12};
        for (today, birth, expected) in [
            (date(2026, 2, 1), "02-02-2014", Under12),
            (date(2026, 2, 2), "02-02-2014", From12),
            (date(2026, 2, 1), "02-02-2010", From12),
            (date(2026, 2, 2), "02-02-2010", From16),
            // Born on 29 February: 12 in a leap year, 16 in another; in a year without that day on 1 March.
            (date(2024, 2, 28), "29-02-2012", Under12),
            (date(2024, 2, 29), "29-02-2012", From12),
            (date(2028, 2, 28), "29-02-2012", From12),
            (date(2028, 2, 29), "29-02-2012", From16),
            (date(2026, 2, 2), "02-02-2026", Under12),
            (date(2026, 2, 2), "02-02-1936", From16),
        ] {
            assert_eq!(
                age_on(today, birth).unwrap().bracket,
                expected,
                "{birth} on {today}"
            );
        }
        assert_eq!(Age::of_class(SubjectClass::Minor).bracket, AgeBracket::Unknown);
        assert_eq!(Age::of_class(SubjectClass::Adult).bracket, From16);
    }
}
