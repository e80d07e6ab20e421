//! BSN and SKN, from text, from numbers and from numbers that became text, against a second statement of the rules.

use hitmachine_identifier::{Admission, Bsn, Skn};
use hitmachine_pseudonym::DeploymentKind;

use super::passes_elfproef;

/// The digits of a field that holds nothing else but `separators` between digits.
fn digits_of(text: &str, separators: &str) -> Option<String> {
    let text = text.trim_matches(|character: char| character.is_ascii_whitespace());
    let ends = [text.chars().next()?, text.chars().next_back()?];
    let fine = ends.iter().all(char::is_ascii_digit)
        && text
            .chars()
            .all(|character| character.is_ascii_digit() || separators.contains(character));
    fine.then(|| text.chars().filter(char::is_ascii_digit).collect())
}

fn without_fraction(text: &str) -> &str {
    let text = text.trim_matches(|character: char| character.is_ascii_whitespace());
    text.strip_suffix(".0").unwrap_or(text)
}

/// The BSN of a field with at least so many digits.
fn bsn(digits: Option<String>, least: usize) -> Option<String> {
    let digits = digits.filter(|digits| (least..=9).contains(&digits.len()))?;
    Some(format!("{digits:0>9}")).filter(|digits| passes_elfproef(digits))
}

fn skn(digits: Option<String>) -> Option<String> {
    let digits = digits?;
    let number = digits.trim_start_matches('0');
    (1..=8).contains(&number.len()).then(|| format!("{number:0>8}"))
}

/// The target.
pub fn check(input: &[u8]) {
    if let Some(number) = input.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) {
        // Most numbers are far too large; the smaller ones are made of the same bytes.
        for number in [
            number,
            number % 1_000_000_000,
            number % 100_000_000,
            number % 10_000,
        ] {
            numbers(number);
        }
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    texts(text);
}

fn numbers(number: u64) {
    let digits = Some(number.to_string());
    is_bsn(
        |admission| Bsn::from_number(number, admission),
        bsn(digits.clone(), 1).as_deref(),
    );
    let found = Skn::from_number(number).ok();
    assert_eq!(found.as_ref().map(Skn::expose_secret), skn(digits).as_deref());
}

fn texts(text: &str) {
    is_bsn(
        |admission| Bsn::parse(text, admission),
        bsn(digits_of(text, ".- "), 8).as_deref(),
    );
    let numeric = digits_of(without_fraction(text), "");
    is_bsn(
        |admission| Bsn::parse_numeric_text(text, admission),
        bsn(numeric.clone(), 1).as_deref(),
    );
    let plain = Skn::parse(text).ok();
    assert_eq!(
        plain.as_ref().map(Skn::expose_secret),
        skn(digits_of(text, "")).as_deref()
    );
    let from_number = Skn::parse_numeric_text(text).ok();
    assert_eq!(
        from_number.as_ref().map(Skn::expose_secret),
        skn(numeric).as_deref()
    );
}

/// Real ones in production only, made-up ones elsewhere only, and the same digits either way.
fn is_bsn<E>(read: impl Fn(&Admission) -> Result<Bsn, E>, expected: Option<&str>) {
    let in_deployment = |kind| {
        let bsn = read(&Admission::with_default_prefixes(kind)).ok();
        bsn.map(|bsn| bsn.expose_secret().to_owned())
    };
    let is_test = expected.is_some_and(|digits| digits.starts_with("9999") || digits.starts_with("0000"));
    let expected = expected.map(str::to_owned);
    let (real, made_up) = if is_test {
        (None, expected)
    } else {
        (expected, None)
    };
    assert_eq!(in_deployment(DeploymentKind::Production), real);
    assert_eq!(in_deployment(DeploymentKind::Test), made_up);
    assert_eq!(in_deployment(DeploymentKind::Demo), made_up);
}
