use hitmachine_audit::FieldId;
use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use jiff::Timestamp;

use super::*;
use crate::covenant::CovenantVersion;
use crate::ids::{PartnerId, RequestId, SubjectClass, TraceContext};
use crate::query::{PartnerStatus, Subject, User};
use crate::record::{CLOCK_TOLERANCE_MS, Kind, Record, Result as RecordResult};
use crate::signed::SignedRequest;

fn query(bytes: &[u8]) -> Query {
    let subject = |token| Subject {
        class: SubjectClass::Adult,
        tokens: vec![(IdentifierType::Bsn, Token::from_bytes([token; 32]))],
    };
    Query {
        request: RequestId::generate(),
        purpose: "vraag".parse().unwrap(),
        case: "Z-1".parse().unwrap(),
        user: User {
            id: "jansen".parse().unwrap(),
            role: "rol".parse().unwrap(),
            responsible: None,
        },
        covenant: CovenantVersion([1; 32]),
        epoch: KeyEpoch::FIRST,
        subjects: vec![subject(1), subject(2)],
        trace: TraceContext::default(),
        signed: SignedRequest::new(bytes.to_vec(), [7; 64]),
    }
}

/// Stands in for the wire: every part of an answer in its text.
fn encode(content: &AnswerContent<'_>) -> Vec<u8> {
    format!("{content:?}").into_bytes()
}

fn entry(query: &Query, oin: &Oin, place: usize, refused: Option<&str>) -> DecodedRecord {
    let partners: [(PartnerId, PartnerStatus); 1] = [("weet".parse().unwrap(), PartnerStatus::Known)];
    let answer = match refused {
        Some(code) => encode(&AnswerContent::Refused {
            request: Some(query.request),
            subject: place,
            refusal: Refusal::from_code(code).unwrap_or(Refusal::Malformed("other")),
        }),
        None => encode(&AnswerContent::Found {
            request: query.request,
            subject: place,
            partners: &partners,
        }),
    };
    let fields = Record {
        // A denial needs no ground, which only a covenant makes.
        kind: Kind::Denied,
        time: Timestamp::UNIX_EPOCH,
        request: Some(query.request),
        requester: oin,
        user: Some(&query.user),
        ground: None,
        case: Some(&query.case),
        subject: Some((query.epoch, &query.subjects[place])),
        result: RecordResult::Refused(refused.unwrap_or("unknown_purpose")),
        trace: query.trace,
        place,
        signed: Some(&query.signed),
        request_digest: query.signed.digest(),
        answer_digest: Sha256::digest(&answer).into(),
    }
    .fields();
    let mut record = DecodedRecord::decode(&fields).unwrap();
    if refused.is_none() {
        record.result = DecodedResult::Answered(partners.to_vec());
    }
    record
}

#[test]
fn an_answer_is_made_again_to_the_byte_or_not_at_all() {
    let oin: Oin = "00000099000000000010".parse().unwrap();
    let other: Oin = "00000099000000000011".parse().unwrap();
    let asked = query(b"question");
    let both = |refused| [0, 1].map(|place| entry(&asked, &oin, place, refused));
    let made = |entries: &[DecodedRecord]| repeat(&asked, &oin, entries, encode).is_some();
    assert!(made(&both(None)));
    assert!(made(&both(Some("purpose_not_granted"))));
    assert!(
        !made(&both(Some("over_quota"))),
        "its answer says more than its code"
    );
    assert!(!made(&both(None)[..1]), "one of two");
    let mut swapped = both(None);
    swapped.reverse();
    assert!(!made(&swapped), "in another order");
    let mut changed = both(None);
    changed[1].result = DecodedResult::Answered(vec![("weet".parse().unwrap(), PartnerStatus::NotKnown)]);
    assert!(!made(&changed), "another answer than was given");
    assert!(
        repeat(&asked, &other, &both(None), encode).is_none(),
        "asked by somebody else"
    );
    let mut same_name = query(b"other bytes");
    same_name.request = asked.request;
    assert!(
        repeat(&same_name, &oin, &both(None), encode).is_none(),
        "another question"
    );
    assert!(is_named(&both(None)[0], &oin, &same_name) && !is_of(&both(None)[0], &oin, &same_name));
    let mut signature = query(b"question");
    signature.request = asked.request;
    signature.signed = SignedRequest::new(b"question".to_vec(), [8; 64]);
    assert!(
        repeat(&signature, &oin, &both(None), encode).is_none(),
        "another signature"
    );
}

#[test]
fn an_old_entry_may_lie_between_the_first_sending_and_now() {
    let oin: Oin = "00000099000000000010".parse().unwrap();
    let asked = query(b"question");
    let tolerance = i64::try_from(CLOCK_TOLERANCE_MS).unwrap();
    let (first, now) = (1_000_000_000_000, 1_000_500_000_000);
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    let record = |ms| Record {
        kind: Kind::Denied,
        time: at(ms),
        request: Some(asked.request),
        requester: &oin,
        user: Some(&asked.user),
        ground: None,
        case: Some(&asked.case),
        subject: Some((asked.epoch, &asked.subjects[0])),
        result: RecordResult::Refused("unknown_purpose"),
        trace: asked.trace,
        place: 0,
        signed: Some(&asked.signed),
        request_digest: asked.signed.digest(),
        answer_digest: [3; 32],
    };
    for (logged, agrees) in [
        (first, true),
        (now, true),
        (first + 5_000, true),
        (first - tolerance, true),
        (first - tolerance - 1, false),
        (now + tolerance, true),
        (now + tolerance + 1, false),
    ] {
        let fields = record(logged).fields();
        let checked = record(now).check_since(&fields, at(first));
        assert_eq!(checked.is_ok(), agrees, "{logged}");
        // Without a first sending, as before: now, give or take the clocks.
        let near = logged.abs_diff(now) <= CLOCK_TOLERANCE_MS;
        assert_eq!(record(now).check(&fields).is_ok(), near, "{logged}");
    }
    assert!(record(now).fields().get(FieldId::Event).is_some());
}

#[test]
fn a_request_id_tells_when_it_was_made() {
    let before = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
    let made = RequestId::generate().time_ms();
    let after = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
    assert!((before..=after).contains(&made), "{before} {made} {after}");
}
