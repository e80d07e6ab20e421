//! Every published case of the canonical form, from `vectors/canonical.json`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::HashSet;

use hitmachine_identifier::{Admission, Bsn, BsnError, DEFAULT_TEST_PREFIXES, Skn, SknError};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    default_test_prefixes: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    parse: String,
    deployment: String,
    test_prefixes: Option<Vec<String>>,
    input: Input,
    canonical: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Number(u64),
    Text(String),
}

fn file() -> File {
    serde_json::from_str(include_str!("../vectors/canonical.json")).unwrap()
}

fn parse(case: &Case, default_prefixes: &[String]) -> Result<Vec<u8>, &'static str> {
    let prefixes = case.test_prefixes.as_deref().unwrap_or(default_prefixes).to_vec();
    let admission = Admission::new(case.deployment.parse().unwrap(), prefixes).unwrap();
    let bsn = |result: Result<Bsn, BsnError>| result.map(|b| b.canonical()).map_err(BsnError::code);
    let skn = |result: Result<Skn, SknError>| result.map(|s| s.canonical()).map_err(SknError::code);
    let canonical = match (case.parse.as_str(), &case.input) {
        ("bsn-text", Input::Text(text)) => bsn(Bsn::parse(text, &admission)),
        ("bsn-number", Input::Number(number)) => bsn(Bsn::from_number(*number, &admission)),
        ("bsn-numeric-text", Input::Text(text)) => bsn(Bsn::parse_numeric_text(text, &admission)),
        ("skn-text", Input::Text(text)) => skn(Skn::parse(text)),
        ("skn-number", Input::Number(number)) => skn(Skn::from_number(*number)),
        ("skn-numeric-text", Input::Text(text)) => skn(Skn::parse_numeric_text(text)),
        (parse, _) => panic!("{}: no such way to parse: {parse}", case.name),
    };
    Ok(canonical?.expose_secret().to_vec())
}

#[test]
fn every_published_case_holds() {
    let file = file();
    assert_eq!(file.default_test_prefixes, DEFAULT_TEST_PREFIXES);
    for case in &file.cases {
        let expected = match (&case.canonical, &case.error) {
            (Some(canonical), None) => Ok(canonical.as_bytes().to_vec()),
            (None, Some(error)) => Err(error.as_str()),
            _ => panic!("{}: one of canonical and error", case.name),
        };
        assert_eq!(
            parse(case, &file.default_test_prefixes),
            expected,
            "{}: {}",
            case.parse,
            case.name
        );
    }
}

/// What the file promises: so that nobody thins it out unnoticed.
#[test]
fn every_reason_is_published_and_explained() {
    let file = file();
    let published: HashSet<_> = file
        .cases
        .iter()
        .filter_map(|case| case.error.as_deref())
        .collect();
    let codes = BsnError::ALL
        .map(BsnError::code)
        .into_iter()
        .chain(SknError::ALL.map(SknError::code));
    assert_eq!(published, codes.collect());

    let names: HashSet<_> = file.cases.iter().map(|case| (&case.parse, &case.name)).collect();
    assert_eq!(names.len(), file.cases.len(), "two cases have one name");

    for reason in BsnError::ALL {
        assert!(reason.text_nl().starts_with("het BSN "), "{}", reason.code());
        assert!(reason.to_string().starts_with("the BSN "), "{}", reason.code());
    }
    for reason in SknError::ALL {
        assert!(reason.text_nl().starts_with("het SKN "), "{}", reason.code());
        assert!(reason.to_string().starts_with("the SKN "), "{}", reason.code());
    }
}
