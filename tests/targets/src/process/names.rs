//! Names with one text form each: what is read is shown as it was written.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use hitmachine_audit::Period;
use hitmachine_core::quota::Digest;
use hitmachine_core::{CaseReference, Oin, PartnerId, PurposeCode, RequestKey, RoleCode, UserId};
use hitmachine_node::accounts::{PendingToken, SessionToken};
use hitmachine_pseudonym::{DeploymentId, DeploymentKind, IdentifierType, KeyCheckValue, KeyEpoch, Scheme};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    one_form::<PartnerId>(text);
    one_form::<PurposeCode>(text);
    one_form::<RoleCode>(text);
    one_form::<Oin>(text);
    one_form::<RequestKey>(text);
    one_form::<DeploymentKind>(text);
    one_form::<Scheme>(text);
    one_form::<IdentifierType>(text);
    one_form::<Period>(text);
    // A number may have zeros and a sign before it.
    one_form::<KeyEpoch>(text.trim_start_matches(['0', '+']));
    // Hexadecimal digits may be capital letters.
    one_form::<DeploymentId>(&text.to_ascii_lowercase());
    one_form::<KeyCheckValue>(&text.to_ascii_lowercase());
    one_form::<Digest>(&text.to_ascii_lowercase());
    if let Ok(case) = text.parse::<CaseReference>() {
        is_line(case.as_str(), text);
        // The same for all: also for a reference that is these words.
        assert_eq!(format!("{case:?}"), "CaseReference(…)");
    }
    if let Ok(user) = text.parse::<UserId>() {
        is_line(user.as_str(), text);
    }
    if let Some(token) = SessionToken::parse(text) {
        assert_eq!(token.expose_text(), text.to_ascii_lowercase());
        assert!(!format!("{token:?}").contains(text));
    }
    if let Some(token) = PendingToken::parse(text) {
        assert!(!format!("{token:?}").contains(text));
    }
}

fn one_form<T: FromStr<Err: Debug> + Display>(text: &str) {
    if let Ok(name) = text.parse::<T>() {
        assert_eq!(name.to_string(), text);
    }
}

/// One line of at most 64 characters, as it was but for space around it.
fn is_line(line: &str, text: &str) {
    assert_eq!(line, text.trim());
    assert!((1..=64).contains(&line.chars().count()) && !line.chars().any(char::is_control));
}
