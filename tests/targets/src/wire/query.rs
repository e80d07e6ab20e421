//! Questions: as the hub reads them, and as the asking node writes them.

use hitmachine_core::live::openings;
use hitmachine_core::{LiveFrame, SignedRequest};
use hitmachine_proto::query::{encode, parse};
use hitmachine_proto::v1;

use super::{canonical, trimmed};

/// The target.
pub fn check(input: &[u8]) {
    let signed = SignedRequest::new(input.to_vec(), [7; 64]);
    assert_eq!(SignedRequest::decode(&signed.encode()), Some(signed.clone()));
    let Ok(query) = parse(signed.clone()) else {
        return;
    };
    assert_eq!(query.signed, signed, "the bytes are kept as they came");
    assert!((1..=64).contains(&query.subjects.len()));
    for subject in &query.subjects {
        let types: Vec<_> = subject
            .tokens
            .iter()
            .map(|(identifier, _)| identifier.code())
            .collect();
        let different = types.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!(different == types.len() && different > 0);
    }
    let written = encode(&query);
    if let Some(wire) = canonical::<v1::Query>(input) {
        let user = wire.user.unwrap_or_default();
        if [&wire.case_reference, &user.id, &user.responsible]
            .into_iter()
            .all(|text| trimmed(text))
        {
            assert!(written == input, "one form");
        }
    }
    let again = parse(SignedRequest::new(written.clone(), [7; 64])).expect("what a node writes");
    assert!(encode(&again) == written);
    // What partners that answer live would get of it, under the same signature.
    let asker = "leerplicht".parse().unwrap();
    let frame = LiveFrame::of(&asker, &query);
    assert_eq!(LiveFrame::decode(&frame.encode()).as_ref(), Some(&frame));
    let digests: Vec<[u8; 32]> = openings(&query).map(|opening| opening.digest()).collect();
    assert_eq!(frame.digests, digests);
}
