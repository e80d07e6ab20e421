//! Birth dates as exports write them, and who is a minor.

use hitmachine_core::SubjectClass;
use jiff::civil::Date;

use super::IssueKind;

/// Older than this is a typing error, in years.
const OLDEST: i16 = 130;
/// Age at which a person is an adult (Burgerlijk Wetboek 1:233), in years.
const ADULT: i16 = 18;

/// Whether somebody born on the date in `text` is a minor on `today`.
///
/// Forms: `01-02-2026` and `1-2-2026` (day first), `2026-02-01`, `20260201`.
///
/// # Errors
/// [`IssueKind`] if the text has none of the forms, leaves parts open, or is no plausible birth date.
pub fn class_on(today: Date, text: &str) -> Result<SubjectClass, IssueKind> {
    let (year, month, day) = parts(text).ok_or(IssueKind::DateForm)?;
    // The BRP writes zeros for parts of a birth date that nobody knows.
    if year == 0 || month == 0 || day == 0 {
        return Err(IssueKind::DatePartial);
    }
    let birth = Date::new(year, month, day).map_err(|_| IssueKind::DateForm)?;
    if birth > today || birth.year() < today.year() - OLDEST {
        return Err(IssueKind::DateImplausible);
    }
    // By comparing the parts, somebody born on 29 February becomes 18 on 1 March in a year without that day.
    let of_age =
        (today.year() - ADULT, today.month(), today.day()) >= (birth.year(), birth.month(), birth.day());
    Ok(if of_age {
        SubjectClass::Adult
    } else {
        SubjectClass::Minor
    })
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
}
