//! The form of a question: what is asked, and what is kept of it for somebody whose session had ended.

use hitmachine_console::fuzz::{form, kept_of_form};
use hitmachine_identifier::contains_bsn;

/// The target.
pub fn check(input: &[u8]) {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(input).into_owned().collect();
    let first = |name: &str| {
        pairs
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.trim())
    };
    for (name, value) in kept_of_form(input) {
        assert!(pairs.contains(&(name.clone(), value.clone())), "as it was typed");
        let secret = ["number", "csrf", "password", "code", "bsn"];
        assert!(!secret.iter().any(|begin| name.starts_with(begin)), "{name}");
        // Thirty-two hexadecimal digits in a row of groups are the form's own name, whatever its first group.
        let digits = value.chars().filter(char::is_ascii_hexdigit).count();
        assert!(!contains_bsn(&value) || digits == 32);
    }
    let Some(asking) = form(input) else {
        return;
    };
    assert!((1..=64).contains(&asking.persons.len()));
    assert_eq!(asking.purpose, first("purpose").unwrap_or_default());
    assert_eq!(asking.case, first("case").unwrap_or_default());
    for (person, n) in asking.persons.iter().zip(1..) {
        assert_eq!(
            person.number.as_str(),
            first(&format!("number-{n}")).unwrap_or_default()
        );
    }
    super::question(&asking);
}
