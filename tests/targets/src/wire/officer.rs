//! A privacy officer's requests, and what the hub answers with.

use hitmachine_core::SignedRequest;
use hitmachine_proto::officer::{action_code, encode, is_export, parse};
use hitmachine_proto::v1;
use prost::Message;

use super::{canonical, trimmed};

/// The target.
pub fn check(input: &[u8]) {
    if let Ok((request, action)) = parse(SignedRequest::new(input.to_vec(), [7; 64])) {
        let code = action_code(&action);
        assert_eq!(is_export(&action), ["export", "report", "ldv"].contains(&code));
        let written = encode(&request, action);
        if let Some(wire) = canonical::<v1::OfficerAction>(input) {
            let user = wire.user.unwrap_or_default();
            if [&wire.reference, &user.id, &user.responsible]
                .into_iter()
                .all(|text| trimmed(text))
            {
                assert!(written == input, "one form");
            }
        }
        let (_, again) = parse(SignedRequest::new(written.clone(), [7; 64])).expect("what a node writes");
        assert_eq!(action_code(&again), code);
    }
    // A result is read by the node as it is, and its rows one by one.
    if let Ok(result) = v1::OfficerResult::decode(input)
        && let Some(v1::officer_result::Result::Rows(rows)) = result.result
    {
        for row in rows.rows {
            if let Some(v1::row::Content::Opening(opening)) = row.content {
                crate::held::record::check(&opening);
            }
        }
    }
}
