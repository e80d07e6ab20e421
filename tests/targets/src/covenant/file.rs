//! Covenant files: an error names a line that is there; what was read names only what exists, and differs in nothing from
//! itself.

use hitmachine_core::covenant::{Document, advice, difference};
use hitmachine_core::{Covenant, SubjectClass};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The target.
pub fn check(input: &[u8]) {
    let document = Document {
        file: input.to_vec(),
        signatures: Vec::new(),
    };
    assert_eq!(Document::decode(&document.encode()), Some(document));
    if let Some(document) = Document::decode(input) {
        assert_eq!(document.encode(), input, "one form");
    }
    match Covenant::parse(input) {
        Ok(covenant) => holds(&covenant, input),
        Err(error) => {
            let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
            assert!((1..=lines).contains(&error.line), "{error}");
            assert!(!error.field.is_empty());
            assert!(!error.to_string().contains('\n'), "one line: {error}");
        }
    }
}

fn holds(covenant: &Covenant, input: &[u8]) {
    assert_eq!(covenant.version().0, <[u8; 32]>::from(Sha256::digest(input)));
    let (from, until) = covenant.validity();
    assert!(from <= until);
    let known = |id| covenant.partner(id).is_some();
    for partner in covenant.partners() {
        assert!(
            covenant
                .partner_by_oin(&partner.oin)
                .is_some_and(|found| found.id == partner.id)
        );
        assert!(partner.registration_days <= covenant.terms().registration_days_at_most);
        let twice = partner.registers.len() > 2 || partner.registers == [SubjectClass::Adult; 2];
        assert!(!twice);
    }
    for purpose in covenant.purposes() {
        let named = purpose
            .askers
            .iter()
            .chain(&purpose.consults)
            .chain(&purpose.notifies);
        assert!(named.into_iter().all(known));
        assert!((1..=64).contains(&purpose.max_subjects));
        assert!(purpose.log_retention_months <= covenant.terms().log_months_at_most);
        for asker in &purpose.askers {
            assert!(purpose.consulted_by(asker).all(|id| id != asker));
        }
    }
    assert!(covenant.officers().iter().all(|officer| known(&officer.partner)));
    assert!(difference(covenant, covenant).is_empty(), "nothing changed");
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    for advice in advice(covenant, now, None) {
        assert!(!advice.text_nl().is_empty() && !advice.text_en().is_empty());
    }
    // A comment is another version, and nothing else.
    let commented = [input, b"\n# comment\n"].concat();
    if let Ok(other) = Covenant::parse(&commented) {
        assert_ne!(other.version(), covenant.version());
        assert!(difference(covenant, &other).is_empty());
    }
}
