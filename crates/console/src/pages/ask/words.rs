//! Numbers, times and results in words.

use hitmachine_core::volume::local;
use hitmachine_node::language::Language;
use jiff::Timestamp;

use crate::kept::ResultWord;
use crate::page::Page;

/// A number with a mark between its thousands.
pub(in crate::pages) fn grouped(language: Language, number: u64) -> String {
    let digits = number.to_string();
    let mark = language.pick(".", ",");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push_str(mark);
        }
        text.push(digit);
    }
    text
}

/// Day and time by the clock here.
pub(in crate::pages) fn day_and_time(at: Timestamp) -> String {
    local(at).strftime("%d-%m-%Y %H:%M").to_string()
}

/// When to try again: the first whole minute at which it may fit.
pub(super) fn retry(page: &Page, at: Timestamp) -> String {
    let whole = at.as_second().div_euclid(60) * 60 + 60;
    let clock = local(Timestamp::from_second(whole).unwrap_or(at));
    page.t2(
        "ask.retry_at",
        clock.strftime("%d-%m-%Y"),
        clock.strftime("%H:%M"),
    )
}

/// What came of a question, in words.
pub(in crate::pages) fn result_text(page: &Page, result: ResultWord) -> &'static str {
    page.t(match result {
        ResultWord::Known => "ask.result_known",
        ResultWord::NotKnown => "ask.result_not_known",
        ResultWord::CouldNotAsk => "ask.result_could_not_ask",
        ResultWord::Refused => "ask.result_refused",
        ResultWord::NotAsked => "ask.result_not_asked",
        ResultWord::InDoubt => "ask.result_in_doubt",
        ResultWord::NotProven => "ask.result_not_proven",
    })
}

/// The class of its badge.
pub(in crate::pages) fn result_status(result: ResultWord) -> &'static str {
    match result {
        ResultWord::Known => "known",
        ResultWord::NotKnown => "not-known",
        ResultWord::CouldNotAsk => "could-not-ask",
        ResultWord::Refused | ResultWord::NotAsked => "neutral",
        ResultWord::InDoubt => "warning",
        ResultWord::NotProven => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_marked() {
        for (number, nl, en) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1_000, "1.000", "1,000"),
            (12_345, "12.345", "12,345"),
            (1_234_567, "1.234.567", "1,234,567"),
        ] {
            assert_eq!(grouped(Language::Nl, number), nl);
            assert_eq!(grouped(Language::En, number), en);
        }
    }

    #[test]
    fn people_read_the_clock_on_their_wall() {
        assert_eq!(
            day_and_time("2026-07-01T22:30:00Z".parse().unwrap()),
            "02-07-2026 00:30"
        );
        assert_eq!(
            day_and_time("2026-12-01T22:30:00Z".parse().unwrap()),
            "01-12-2026 23:30"
        );
    }
}
