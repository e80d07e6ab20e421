//! Openings: one encoding each, and each encoding one commitment.

use hitmachine_audit::Opening;

/// The target.
pub fn check(input: &[u8]) {
    let Ok(opening) = Opening::decode(input) else {
        return;
    };
    assert_eq!(opening.encode(), input);
    let commitment = opening.commitment();
    assert_eq!(
        Opening::decode(input).map(|again| again.commitment()),
        Ok(commitment)
    );
    // Any other salt of group A is another commitment, unless there are no values of that group.
    let mut changed = input.to_vec();
    changed[1] ^= 1;
    let changed = Opening::decode(&changed).expect("only a salt is other");
    let salted = opening.fields().iter().any(|(id, _)| id.group().code() == 1);
    assert_eq!(changed.commitment() != commitment, salted);
}
