//! Questions to partners that answer live, and their answers.

use hitmachine_core::{LiveFrame, LiveQuestion, LiveSubject};
use hitmachine_proto::{live, v1};
use prost::Message;

use super::canonical;

/// The target.
pub fn check(input: &[u8]) {
    if let Some(frame) = LiveFrame::decode(input) {
        assert_eq!(frame.encode(), input, "one form");
        assert!((1..=64).contains(&frame.digests.len()));
        assert!(LiveFrame::decode(&input[..input.len() - 1]).is_none());
    }
    if let Some(subject) = LiveSubject::decode(input) {
        assert!(subject.encode().as_slice() == input, "one form");
        let mut other = input.to_vec();
        other[0] ^= 1;
        let other = LiveSubject::decode(&other).expect("only the salt is other");
        assert_ne!(subject.digest(), other.digest());
    }
    if let Ok(wire) = v1::LiveQuestion::decode(input) {
        question(&wire, canonical::<v1::LiveQuestion>(input).is_some());
    }
    if let Ok(wire) = v1::LiveAnswer::decode(input)
        && let Ok(statuses) = live::statuses(&wire)
    {
        assert_eq!(live::answer(wire.id, &statuses), wire);
    }
}

fn question(wire: &v1::LiveQuestion, is_canonical: bool) {
    let Ok(asked) = live::parse(wire) else {
        return;
    };
    let question = LiveQuestion {
        partner: "om".parse().unwrap(),
        deadline: std::time::Duration::from_secs(1),
        frame: asked.frame,
        signature: asked.signature,
        subjects: asked.subjects,
    };
    let written = live::question(wire.id, &question);
    assert!(live::parse(&written).is_ok());
    assert!(!is_canonical || written == *wire, "one form");
}
