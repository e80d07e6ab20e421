//! Policies: any that is read has one text, which reads the same.

use hitmachine_audit::{Policy, QuorumTime};

/// The target.
pub fn check(input: &[u8]) {
    let policy = match Policy::parse(input) {
        Ok(policy) => policy,
        Err(refused) => {
            let lines = input.split_inclusive(|byte| *byte == b'\n').count();
            assert!((1..=lines.max(1)).contains(&refused.line));
            return;
        }
    };
    let text = policy.to_text();
    let again = Policy::parse(&text).expect("its own text");
    assert_eq!(again, policy);
    assert_eq!(again.to_text(), text);
    let without = policy.quorum_time(&[]);
    assert_eq!(without == QuorumTime::NotAsked, policy.needed() == Some(0));
    assert_eq!(without.holds(), policy.needed() == Some(0));
}
