//! Checkpoint texts, and the text forms of keys.

use hitmachine_audit::{Checkpoint, LogSigner, LogVerifier, WitnessVerifier};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(checkpoint) = Checkpoint::from_text(text) {
        assert_eq!(checkpoint.to_text(), text);
        let signer = LogSigner::new(checkpoint.origin.clone(), &[7; 32]);
        let note = signer.sign(&checkpoint).expect("a checkpoint of this log");
        assert_eq!(signer.verifier().open(&note), Ok(checkpoint));
    }
    if let Ok(key) = text.parse::<LogVerifier>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(key) = text.parse::<WitnessVerifier>() {
        assert_eq!(key.to_string(), text);
    }
}
