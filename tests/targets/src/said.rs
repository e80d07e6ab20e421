//! What a message may not say.

/// Fewest digits that could be a person's number: a BSN without its leading zeros still has seven.
const DIGITS: usize = 7;

/// Panics if a text holds what could be a person's number, whatever stands between its digits.
pub(crate) fn holds_no_number(text: &str) {
    let mut digits = 0;
    for character in text.chars() {
        if character.is_numeric() {
            digits += 1;
            assert!(digits < DIGITS, "a number in {text:?}");
        } else if !matches!(character, '.' | '-' | ' ') {
            digits = 0;
        }
    }
}
