//! Birth dates as exports write them: form by form, and by counting birthdays.

use hitmachine_core::SubjectClass;
use hitmachine_node::source::{AgeBracket, IssueKind, age_on};
use jiff::civil::{Date, date};

/// A text has this form: `9` stands for a digit.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'9' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// Year, month and day, if it is one of the forms.
fn parts(text: &str) -> Option<[u16; 3]> {
    let number = |text: &str| text.parse::<u16>().ok();
    if has_form(text, "99999999") {
        return Some([number(&text[..4])?, number(&text[4..6])?, number(&text[6..])?]);
    }
    if has_form(text, "9999-99-99") {
        return Some([number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?]);
    }
    let forms = ["99-99-9999", "9-99-9999", "99-9-9999", "9-9-9999"];
    forms.iter().any(|form| has_form(text, form)).then_some(())?;
    let mut parts = text.split('-').map(number);
    let (day, month, year) = (parts.next()??, parts.next()??, parts.next()??);
    Some([year, month, day])
}

/// The day on which somebody becomes so old: born on 29 February, in a year without that day, on 1 March.
fn birthday(birth: Date, age: i16) -> Date {
    let year = birth.year() + age;
    Date::new(year, birth.month(), birth.day()).unwrap_or_else(|_| date(year, 3, 1))
}

/// The target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A leap day, a day after none, and an ordinary one.
    for today in [date(2024, 2, 29), date(2026, 3, 1), date(2026, 11, 22)] {
        let found = age_on(today, text);
        let Some([year, month, day]) = parts(text) else {
            assert_eq!(found, Err(IssueKind::DateForm));
            continue;
        };
        if [year, month, day].contains(&0) {
            assert_eq!(found, Err(IssueKind::DatePartial));
            continue;
        }
        let Ok(birth) = Date::new(year as i16, month as i8, day as i8) else {
            assert_eq!(found, Err(IssueKind::DateForm));
            continue;
        };
        if birth > today || i32::from(year) < i32::from(today.year()) - 130 {
            assert_eq!(found, Err(IssueKind::DateImplausible));
            continue;
        }
        let age = found.expect("a plausible date");
        let is = |years| birthday(birth, years) <= today;
        assert_eq!(age.class == SubjectClass::Adult, is(18));
        let bracket = if is(16) {
            AgeBracket::From16
        } else if is(12) {
            AgeBracket::From12
        } else {
            AgeBracket::Under12
        };
        assert_eq!(age.bracket, bracket);
    }
}
