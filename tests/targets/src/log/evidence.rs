//! Files of evidence: one text each, and no verdict without signatures.

use hitmachine_audit::{Evidence, LogSigner};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(evidence) = Evidence::parse(input) else {
        return;
    };
    assert_eq!(evidence.to_text(), input);
    let log = LogSigner::new("log.example/a".parse().unwrap(), &[7; 32]).verifier();
    if evidence.verify(&log).is_ok() {
        assert!(log.open(evidence.first()).is_ok() && log.open(evidence.second()).is_ok());
    }
    let swapped = Evidence::new(
        evidence.second().to_vec(),
        evidence.first().to_vec(),
        evidence.proof().map(<[_]>::to_vec),
    );
    assert!(swapped.is_ok());
}
