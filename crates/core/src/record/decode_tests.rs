use proptest::prelude::*;

use super::*;
use crate::covenant::Purpose;
use crate::ids::RoleCode;
use crate::record::{Record, Result as RecordResult};

/// A record's parts, owned, so that a strategy can make them.
#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    ms: i64,
    request: Option<RequestId>,
    requester: Oin,
    user: Option<User>,
    purpose: Option<Purpose>,
    covenant: [u8; 32],
    case: Option<CaseReference>,
    subject: Option<(KeyEpoch, Subject)>,
    partners: Vec<(PartnerId, PartnerStatus)>,
    words: String,
    rows: u32,
    trace: TraceContext,
    place: usize,
    digests: [[u8; 32]; 2],
}

impl Parts {
    fn fields(&self) -> Fields {
        let result = match self.kind {
            Kind::Lookup => RecordResult::Answered(&self.partners),
            Kind::Denied => RecordResult::Refused(&self.words),
            Kind::OfficerSearch | Kind::Export => RecordResult::Done {
                action: &self.words,
                rows: self.rows,
            },
        };
        Record {
            kind: self.kind,
            time: Timestamp::from_millisecond(self.ms).unwrap(),
            request: self.request,
            requester: &self.requester,
            user: self.user.as_ref(),
            ground: self
                .purpose
                .as_ref()
                .map(|purpose| (purpose, CovenantVersion(self.covenant))),
            case: self.case.as_ref(),
            subject: self.subject.as_ref().map(|(epoch, subject)| (*epoch, subject)),
            result,
            trace: self.trace,
            place: self.place,
            signed: None,
            request_digest: self.digests[0],
            answer_digest: self.digests[1],
        }
        .fields()
    }
}

fn request_id() -> impl Strategy<Value = RequestId> {
    any::<[u8; 16]>().prop_map(|mut bytes| {
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        RequestId::from_bytes(&bytes).unwrap()
    })
}

fn typed() -> impl Strategy<Value = String> {
    "[A-Za-z0-9é€-]([A-Za-z0-9é€ .-]{0,40}[A-Za-z0-9é€])?"
}

fn user() -> impl Strategy<Value = User> {
    (typed(), "[a-z_-]{1,32}", proptest::option::of(typed())).prop_map(|(id, role, responsible)| User {
        id: id.parse().unwrap(),
        role: role.parse::<RoleCode>().unwrap(),
        responsible: responsible.map(|id| id.parse().unwrap()),
    })
}

fn purpose() -> impl Strategy<Value = Purpose> {
    ("[a-z0-9_-]{1,32}", "[ -~é]{0,200}", "https://[a-z/]{0,190}").prop_map(|(code, basis, activity)| {
        Purpose {
            code: code.parse().unwrap(),
            title: String::new(),
            legal_basis: basis,
            processing_activity: activity,
            askers: Vec::new(),
            roles: Vec::new(),
            consults: Vec::new(),
            log_retention_months: 60,
            notifies: vec![],
            max_subjects: 1,
            max_screening: 1,
            strict: false,
            confidential: false,
        }
    })
}

fn subject() -> impl Strategy<Value = (KeyEpoch, Subject)> {
    let types = proptest::sample::subsequence(IdentifierType::ALL.to_vec(), 1..=4).prop_shuffle();
    (1..u32::MAX, any::<bool>(), types, any::<[u8; 32]>()).prop_map(|(epoch, minor, types, seed)| {
        let token = |place: usize| {
            let mut bytes = seed;
            bytes[0] ^= u8::try_from(place).unwrap();
            Token::from_bytes(bytes)
        };
        let tokens = types.into_iter().enumerate();
        let subject = Subject {
            class: if minor {
                SubjectClass::Minor
            } else {
                SubjectClass::Adult
            },
            tokens: tokens.map(|(place, kind)| (kind, token(place))).collect(),
        };
        (KeyEpoch::new(epoch).unwrap(), subject)
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    use proptest::option::of;
    let kinds = proptest::sample::select(vec![
        Kind::Lookup,
        Kind::Denied,
        Kind::OfficerSearch,
        Kind::Export,
    ]);
    let status = proptest::sample::select(PartnerStatus::ALL.to_vec());
    let partner = ("[a-z0-9_-]{1,32}", status).prop_map(|(id, status)| (id.parse().unwrap(), status));
    let head = (
        kinds,
        0..253_402_207_200_000_i64,
        of(request_id()),
        "[0-9]{8}[0-9A-Z]{12}",
    );
    let body = (of(user()), of(purpose()), of(typed()), of(subject()));
    let end = (
        proptest::collection::vec(partner, 0..=200),
        "[ -~é]{0,80}",
        any::<u32>(),
    );
    let ids = (
        any::<[u8; 16]>(),
        any::<[u8; 8]>(),
        0..64_usize,
        any::<[[u8; 32]; 3]>(),
    );
    (head, body, end, ids, request_id(), purpose(), subject()).prop_map(
        |(head, body, end, ids, request, purpose, subject)| {
            let lookup = head.0 == Kind::Lookup;
            Parts {
                kind: head.0,
                ms: head.1,
                request: head.2.or(lookup.then_some(request)),
                requester: head.3.parse().unwrap(),
                user: body.0,
                purpose: body.1.or(lookup.then_some(purpose)),
                covenant: ids.3[2],
                case: body.2.map(|case| case.parse().unwrap()),
                subject: body.3.or(lookup.then_some(subject)),
                partners: end.0,
                words: end.1,
                rows: end.2,
                trace: TraceContext {
                    trace: ids.0,
                    parent: ids.1,
                },
                place: ids.2,
                digests: [ids.3[0], ids.3[1]],
            }
        },
    )
}

fn with(fields: &Fields, changed: FieldId, value: Option<&[u8]>) -> Fields {
    let kept = fields.iter().filter(|(id, _)| *id != changed);
    let kept = kept.fold(Fields::new(), |all, (id, value)| all.with(id, value).unwrap());
    match value {
        Some(value) => kept.with(changed, value).unwrap(),
        None => kept,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(parts in parts()) {
        let read = DecodedRecord::decode(&parts.fields()).unwrap();
        prop_assert_eq!(read.kind, parts.kind);
        prop_assert_eq!(read.time.as_millisecond(), parts.ms);
        prop_assert_eq!(read.request, parts.request);
        prop_assert_eq!(read.requester, parts.requester);
        prop_assert_eq!(read.user, parts.user);
        prop_assert_eq!(read.case, parts.case);
        let ground = parts.purpose.map(|purpose| Ground {
            processing_activity: purpose.processing_activity,
            purpose: purpose.code,
            legal_basis: purpose.legal_basis,
            covenant: CovenantVersion(parts.covenant),
        });
        prop_assert_eq!(read.ground, ground);
        let whole = |(epoch, subject): (KeyEpoch, Subject)| (epoch, subject.class, subject.tokens);
        prop_assert_eq!(read.subject.map(whole), parts.subject.map(whole));
        prop_assert_eq!(read.result, match parts.kind {
            Kind::Lookup => DecodedResult::Answered(parts.partners),
            Kind::Denied => DecodedResult::Refused(parts.words),
            _ => DecodedResult::Done { action: parts.words, rows: parts.rows },
        });
        prop_assert_eq!(read.trace, parts.trace);
        prop_assert_eq!([read.request_digest, read.answer_digest], parts.digests);
        prop_assert_ne!(read.span, [0; 8]);
    }

    /// Cut short, made longer or changed anywhere: it reads as something or is refused by name, and does not panic.
    #[test]
    fn no_bytes_make_it_panic(
        parts in parts(),
        field in proptest::sample::select(FieldId::ALL.to_vec()),
        cut in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        noise in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let fields = parts.fields();
        let Some(value) = fields.get(field) else { return Ok(()) };
        let at = cut.index(value.len());
        let mut longer = value.to_vec();
        longer.push(byte);
        let mut changed = value.to_vec();
        changed[at] ^= byte;
        let free = field == FieldId::Case; // free text: longer or shorter, it is text still
        for (bytes, refused) in [(&value[..at], !free), (&longer, !free), (&changed, false), (&noise, false)] {
            let read = DecodedRecord::decode(&with(&fields, field, Some(bytes)));
            // A subject without its last token is a subject still, and an OIN is refused by its length.
            let whole_tokens = field == FieldId::Subject && at > 5 && (at - 5) % 33 == 0 && bytes.len() == at;
            if let Err(error) = read {
                // Another event that there is: then it is the other fields that do not fit.
                let other_event = field == FieldId::Event && bytes.len() == value.len();
                prop_assert!(error.field() == field || other_event, "{:?} in place of {:?}", error.field(), field);
            } else {
                prop_assert!(!refused || whole_tokens, "{:?} of {} bytes", field, bytes.len());
            }
        }
    }
}

fn one(kind: Kind) -> Parts {
    let mut bytes = [7; 16];
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    Parts {
        kind,
        ms: 1_770_000_000_000,
        request: Some(RequestId::from_bytes(&bytes).unwrap()),
        requester: "00000099000000001000".parse().unwrap(),
        user: Some(User {
            id: "u4711".parse().unwrap(),
            role: "regisseur".parse().unwrap(),
            responsible: None,
        }),
        purpose: Some(Purpose {
            code: "screening".parse().unwrap(),
            title: String::new(),
            legal_basis: "AVG art. 6".into(),
            processing_activity: "https://register.example/1".into(),
            askers: Vec::new(),
            roles: Vec::new(),
            consults: Vec::new(),
            log_retention_months: 60,
            notifies: vec![],
            max_subjects: 1,
            max_screening: 1,
            strict: false,
            confidential: false,
        }),
        covenant: [3; 32],
        case: Some("ZK-1".parse().unwrap()),
        subject: Some((
            KeyEpoch::FIRST,
            Subject {
                class: SubjectClass::Adult,
                tokens: vec![(IdentifierType::Bsn, Token::from_bytes([9; 32]))],
            },
        )),
        partners: vec![("om".parse().unwrap(), PartnerStatus::NotKnown)],
        words: "search".into(),
        rows: 12,
        trace: TraceContext {
            trace: [5; 16],
            parent: [6; 8],
        },
        place: 0,
        digests: [[1; 32], [2; 32]],
    }
}

#[test]
fn each_kind_has_the_fields_it_needs() {
    use FieldId::{Case, Ground, Request, Subject, User};
    for kind in [Kind::Lookup, Kind::Denied, Kind::OfficerSearch, Kind::Export] {
        let fields = one(kind).fields();
        for field in FieldId::ALL {
            let read = DecodedRecord::decode(&with(&fields, field, None)).map(|_| ());
            let optional = matches!(field, User | Case | Request)
                || (kind != Kind::Lookup && matches!(field, Ground | Subject));
            let expected = if optional {
                Ok(())
            } else {
                Err(DecodeError::Missing(field))
            };
            assert_eq!(read, expected, "{kind:?} without {field:?}");
        }
    }
}

#[test]
fn other_forms_are_refused_by_name() {
    let fields = one(Kind::Lookup).fields();
    let result = |kind| one(kind).fields().get(FieldId::Result).unwrap().to_vec();
    let mut event = fields.get(FieldId::Event).unwrap().to_vec();
    let mut far = event.clone();
    event[9..].fill(0);
    far[1..9].fill(0xff);
    let mut padding = event.clone();
    padding[0] = 5;
    let twice = [
        fields.get(FieldId::Subject).unwrap(),
        &fields.get(FieldId::Subject).unwrap()[5..],
    ]
    .concat();
    for (name, field, value) in [
        ("a lookup without an id", FieldId::Event, event),
        ("a time that no calendar has", FieldId::Event, far),
        ("padding", FieldId::Event, padding),
        ("a refused lookup", FieldId::Result, result(Kind::Denied)),
        (
            "a search as a lookup's result",
            FieldId::Result,
            result(Kind::Export),
        ),
        ("two tokens of a type", FieldId::Subject, twice),
        ("no token", FieldId::Subject, vec![0, 0, 0, 1, 1]),
        (
            "epoch 0",
            FieldId::Subject,
            [&[0, 0, 0, 0, 1, 1][..], &[9; 32]].concat(),
        ),
        ("an untrimmed case", FieldId::Case, b" ZK-1".to_vec()),
        (
            "an untrimmed user",
            FieldId::User,
            b"\0\x02u \0\x01r\0\0".to_vec(),
        ),
        ("a small OIN", FieldId::Requester, b"0000009900000000100".to_vec()),
        ("text that is none", FieldId::Case, vec![0xff]),
    ] {
        let read = DecodedRecord::decode(&with(&fields, field, Some(&value)));
        assert_eq!(read.map(|_| ()), Err(DecodeError::Form(field)), "{name}");
    }
}

#[test]
fn outcomes_follow_the_statuses() {
    use PartnerStatus::{CouldNotAsk, DoesNotApply, Known, NotKnown};
    for (statuses, expected) in [
        (&[][..], Outcome::NoHit),
        (&[NotKnown, DoesNotApply], Outcome::NoHit),
        (&[NotKnown, CouldNotAsk], Outcome::CouldNotAsk),
        (&[CouldNotAsk, NotKnown, Known], Outcome::Hit),
    ] {
        let mut parts = one(Kind::Lookup);
        parts.partners = statuses
            .iter()
            .map(|status| ("om".parse().unwrap(), *status))
            .collect();
        assert_eq!(
            DecodedRecord::decode(&parts.fields()).unwrap().outcome(),
            expected,
            "{statuses:?}"
        );
    }
    for (kind, expected) in [
        (Kind::Denied, Outcome::Refused),
        (Kind::OfficerSearch, Outcome::Officer),
        (Kind::Export, Outcome::Officer),
    ] {
        assert_eq!(
            DecodedRecord::decode(&one(kind).fields()).unwrap().outcome(),
            expected
        );
    }
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_code(outcome.code()), Some(outcome));
    }
}

#[test]
fn the_officers_result_has_these_bytes() {
    let fields = one(Kind::OfficerSearch).fields();
    assert_eq!(
        fields.get(FieldId::Result),
        Some(b"\x03\0\x06search\0\0\0\x0c".as_slice())
    );
    assert_eq!(fields.get(FieldId::Event).map(|event| event[0]), Some(3));
    let shown = format!("{:?}", DecodedRecord::decode(&fields).unwrap());
    assert!(!shown.contains("u4711") && !shown.contains("ZK-1"), "{shown}");
}
