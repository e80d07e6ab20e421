//! Moments, days and numbers as people read them: Dutch time, in the order of their language.

use hitmachine_core::volume::local;
use hitmachine_node::language::Language;
use jiff::Timestamp;
use jiff::civil::Date;

/// `22-11-2026 10:15` of a time in RFC 3339, in English `2026-11-22 10:15`; the text itself if it is none.
pub(crate) fn moment(language: Language, time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(at) => local(at)
            .strftime(language.pick("%d-%m-%Y %H:%M", "%Y-%m-%d %H:%M"))
            .to_string(),
        Err(_) => time.to_owned(),
    }
}

/// `22-11-2026`, in English `2026-11-22`.
pub(crate) fn day(language: Language, date: Date) -> String {
    date.strftime(language.pick("%d-%m-%Y", "%Y-%m-%d")).to_string()
}

/// `12.345`, in English `12,345`.
pub(crate) fn number(language: Language, number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push_str(language.pick(".", ","));
        }
        text.push(digit);
    }
    text
}

/// With a capital: the node's own texts about alarms are parts of a sentence.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_of_here_and_in_the_order_of_the_language() {
        let time = "2026-07-01T22:30:00Z";
        assert_eq!(moment(Language::Nl, time), "02-07-2026 00:30");
        assert_eq!(moment(Language::En, time), "2026-07-02 00:30");
        assert_eq!(day(Language::Nl, Date::constant(2026, 2, 1)), "01-02-2026");
        assert_eq!(moment(Language::Nl, "later"), "later");
        assert_eq!(sentence("één alarm"), "Één alarm");
        assert_eq!(sentence(""), "");
        assert_eq!(number(Language::Nl, 0), "0");
        assert_eq!(number(Language::Nl, 1_234_567), "1.234.567");
        assert_eq!(number(Language::En, 123_456), "123,456");
    }
}
