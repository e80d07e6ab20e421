//! Hit notices: made by the broker, parsed by the node.

use hitmachine_core::{HitNotice, RequestId};
use hitmachine_pseudonym::KeyEpoch;
use jiff::Timestamp;

use crate::query::{array, subject, wire_subject};
use crate::{WireError, v1};

/// The most notices that are under way at a time.
pub const NOTICE_WINDOW: usize = 64;

/// A notice for the wire.
pub fn encode(notice: &HitNotice) -> v1::Notice {
    v1::Notice {
        log_index: notice.index,
        leaf: notice.leaf.to_vec(),
        time_ms: u64::try_from(notice.time.as_millisecond()).unwrap_or(0),
        requester: notice.requester.as_str().to_owned(),
        purpose: notice.purpose.as_str().to_owned(),
        case_reference: notice
            .case
            .as_ref()
            .map_or_else(String::new, |case| case.as_str().to_owned()),
        request_id: notice.request.as_bytes().to_vec(),
        key_epoch: notice.epoch.get(),
        subject: Some(wire_subject(&notice.subject)),
    }
}

/// Parses a notice.
///
/// # Errors
/// [`WireError`] names the first field that is missing or wrong.
pub fn parse(wire: v1::Notice) -> Result<HitNotice, WireError> {
    let case = Some(wire.case_reference).filter(|case| !case.is_empty());
    let time = i64::try_from(wire.time_ms).ok();
    Ok(HitNotice {
        index: wire.log_index,
        leaf: array(&wire.leaf, "leaf")?,
        time: time
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .ok_or(WireError("time_ms"))?,
        requester: wire.requester.parse().map_err(|_| WireError("requester"))?,
        purpose: wire.purpose.parse().map_err(|_| WireError("purpose"))?,
        case: case
            .map(|case| case.parse())
            .transpose()
            .map_err(|_| WireError("case_reference"))?,
        request: RequestId::from_bytes(&wire.request_id).map_err(|_| WireError("request_id"))?,
        epoch: KeyEpoch::new(wire.key_epoch).ok_or(WireError("key_epoch"))?,
        subject: subject(wire.subject.ok_or(WireError("subject_missing"))?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> v1::Notice {
        v1::Notice {
            log_index: 7,
            leaf: vec![3; 32],
            time_ms: 1_795_000_000_123,
            requester: "00000099000000000010".into(),
            purpose: "signalering".into(),
            case_reference: "ZK-2026-1".into(),
            request_id: RequestId::generate().as_bytes().to_vec(),
            key_epoch: 2,
            subject: Some(v1::Subject {
                class: v1::SubjectClass::Minor.into(),
                tokens: vec![v1::IdentifierToken {
                    r#type: 1,
                    token: vec![7; 32],
                }],
            }),
        }
    }

    #[test]
    fn what_is_encoded_parses_to_the_same() {
        let without_case = v1::Notice {
            case_reference: String::new(),
            ..good()
        };
        for wire in [good(), without_case] {
            assert_eq!(encode(&parse(wire.clone()).unwrap()), wire);
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        type Damage = fn(&mut v1::Notice);
        let cases: [(&str, Damage); 11] = [
            ("leaf", |n| n.leaf.truncate(31)),
            ("time_ms", |n| n.time_ms = u64::MAX),
            ("requester", |n| n.requester = "leerplicht".into()),
            ("purpose", |n| n.purpose = "Signalering!".into()),
            ("case_reference", |n| n.case_reference = "a\u{7}b".into()),
            ("request_id", |n| n.request_id[6] = 0),
            ("key_epoch", |n| n.key_epoch = 0),
            ("subject_missing", |n| n.subject = None),
            ("subject_class", |n| n.subject.as_mut().unwrap().class = 0),
            ("subject_tokens", |n| n.subject.as_mut().unwrap().tokens.clear()),
            ("token", |n| {
                n.subject.as_mut().unwrap().tokens[0].token.truncate(16);
            }),
        ];
        for (field, damage) in cases {
            let mut wire = good();
            damage(&mut wire);
            assert_eq!(parse(wire).unwrap_err(), WireError(field));
        }
    }
}
