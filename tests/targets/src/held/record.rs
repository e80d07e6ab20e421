//! Log entries as records: what reads is what this version writes.

use hitmachine_audit::{Opening, Processing};
use hitmachine_core::CaseReference;
use hitmachine_core::record::{DecodedRecord, DecodedResult, Kind};

/// The target.
pub fn check(input: &[u8]) {
    if let Some(processing) = Processing::decode(input) {
        processing.commitment();
    }
    let Ok(opening) = Opening::decode(input) else {
        return;
    };
    let record = match DecodedRecord::decode(opening.fields()) {
        Ok(record) => record,
        Err(error) => {
            assert!(error.code().starts_with("record_field_"));
            return;
        }
    };
    match record.kind {
        Kind::Lookup => {
            assert!(matches!(record.result, DecodedResult::Answered(_)));
            assert!(record.request.is_some() && record.subject.is_some() && record.ground.is_some());
        }
        Kind::Denied => assert!(matches!(record.result, DecodedResult::Refused(_))),
        _ => assert!(matches!(record.result, DecodedResult::Done { .. })),
    }
    if let Some(signed) = &record.signed {
        assert_eq!(signed.digest(), record.request_digest);
    }
    let shown = format!("{record:?}");
    for hidden in [
        record.user.as_ref().map(|user| user.id.as_str()),
        record.case.as_ref().map(CaseReference::as_str),
    ] {
        // Short ones stand in other words by chance.
        if let Some(hidden) = hidden.filter(|text| text.len() > 6 && text.contains(' ')) {
            assert!(!shown.contains(hidden), "user and case are not shown");
        }
    }
    record.outcome();
}
