//! What a hub may try, and what the node makes of it.

use std::sync::Arc;

use hitmachine_core::{
    Query, RequestSigner, SignedRequest, SubjectClass, TraceContext, User, live::LiveSubject,
};
use hitmachine_pseudonym::{IdentifierType, Token};
use jiff::ToSpan;

use super::*;

const COVENANT: &str = r#"
format = 1
id = "test"
title = "Test"
version = 1
valid_from = "2020-01-01"
valid_until = "2099-12-31"

[deployment]
id = "01010101010101010101010101010101"
kind = "test"

[[partner]]
id = "zvh"
name = "Vraagt"
oin = "00000099000000000010"
domain = "zorg"
contact = "-"
answers = "index"
registers = []
signing_keys = ["fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618"]

[[partner]]
id = "om"
name = "OM"
oin = "00000099000000000011"
domain = "strafrecht"
contact = "-"
answers = "live"
registers = ["adult"]

[[partner]]
id = "ander"
name = "Ander"
oin = "00000099000000000012"
domain = "zorg"
contact = "-"
answers = "live"
registers = ["minor", "adult"]
signing_keys = ["ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"]

[[purpose]]
code = "vraag"
title = "Vraag"
legal_basis = "-"
processing_activity = "https://register.example/1"
askers = ["zvh"]
roles = ["rol"]
consults = ["om", "ander"]
log_retention_months = 24
max_subjects = 4

[[purpose]]
code = "niet-om"
title = "Zonder om"
legal_basis = "-"
processing_activity = "https://register.example/2"
askers = ["zvh"]
roles = ["rol"]
consults = ["ander"]
log_retention_months = 12
max_subjects = 4

[[purpose]]
code = "niet-zvh"
title = "Zonder zvh"
legal_basis = "-"
processing_activity = "https://register.example/3"
askers = ["ander"]
roles = ["rol"]
consults = ["om"]
log_retention_months = 12
max_subjects = 4
"#;

fn covenant() -> Arc<Covenant> {
    Arc::new(Covenant::parse(COVENANT.as_bytes()).unwrap())
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A version 7 UUID of this moment; `n` tells several apart.
fn name(at: Timestamp, n: u8) -> RequestId {
    let ms = u64::try_from(at.as_millisecond()).unwrap().to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms[2..]);
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    bytes[15] = n;
    RequestId::from_bytes(&bytes).unwrap()
}

fn signer() -> RequestSigner {
    RequestSigner::new(&[9; 32])
}

fn query(subjects: Vec<(SubjectClass, u8)>) -> Query {
    let subjects = subjects.into_iter().map(|(class, person)| Subject {
        class,
        tokens: vec![(IdentifierType::Bsn, Token::from_bytes([person; 32]))],
    });
    Query {
        request: name(now(), 1),
        purpose: "vraag".parse().unwrap(),
        case: "Z-1".parse().unwrap(),
        user: User {
            id: "jansen".parse().unwrap(),
            role: "rol".parse().unwrap(),
            responsible: None,
        },
        covenant: covenant().version(),
        epoch: KeyEpoch::FIRST,
        subjects: subjects.collect(),
        trace: TraceContext::default(),
        signed: signer().sign(b"the query".to_vec()),
    }
}

/// What an honest hub forwards of it to `om`, signed by `signer` as `asker`.
fn forwarded_by(query: &Query, asker: &str, signer: &RequestSigner) -> AskedLive {
    let asker = asker.parse().unwrap();
    let frame = LiveFrame::of(&asker, query).encode();
    let signature = signer.sign_live(&frame);
    // As the hub makes them: it has the request.
    let subjects = openings(query);
    let applies = |(_, subject): &(usize, LiveSubject)| subject.subject.class == SubjectClass::Adult;
    AskedLive {
        frame,
        signature,
        subjects: subjects.into_iter().enumerate().filter(applies).collect(),
    }
}

fn forwarded(query: &Query) -> AskedLive {
    forwarded_by(query, "zvh", &signer())
}

/// By way of the hub's own rules, the only ones that make openings.
fn openings(query: &Query) -> Vec<LiveSubject> {
    hitmachine_core::live::openings(query).collect()
}

fn adults() -> Query {
    query(vec![(SubjectClass::Adult, 1), (SubjectClass::Adult, 2)])
}

fn gate() -> Gate {
    let mut gate = Gate::new("om".parse().unwrap(), 1_000, now());
    gate.answer_in(vec![KeyEpoch::FIRST]);
    gate
}

fn check(asked: &AskedLive) -> Result<Checked, LiveRefusal> {
    gate().check(asked, &covenant(), now())
}

#[test]
fn an_honest_question_passes() {
    let mixed = query(vec![
        (SubjectClass::Minor, 1),
        (SubjectClass::Adult, 2),
        (SubjectClass::Minor, 3),
        (SubjectClass::Adult, 4),
    ]);
    let checked = check(&forwarded(&mixed)).unwrap();
    assert_eq!((checked.months, checked.before), (24, None));
    let persons: Vec<_> = checked
        .subjects
        .iter()
        .map(|subject| subject.tokens[0].1.expose_secret()[0])
        .collect();
    assert_eq!(persons, [2, 4], "and no others are known here");
}

type Lie = fn() -> AskedLive;

/// Each thing that a lying hub may try, by name.
#[test]
fn whatever_the_hub_makes_up_is_refused() {
    let cases: [(&str, LiveRefusal, Lie); 17] = [
        ("no frame", LiveRefusal::Malformed, || AskedLive {
            frame: Vec::new(),
            ..forwarded(&adults())
        }),
        ("a question that nobody signed", LiveRefusal::NotSigned, || {
            forwarded_by(&adults(), "zvh", &RequestSigner::new(&[8; 32]))
        }),
        ("in the name of somebody else", LiveRefusal::NotSigned, || {
            forwarded_by(&adults(), "ander", &signer())
        }),
        ("in the name of nobody", LiveRefusal::NotSigned, || {
            forwarded_by(&adults(), "niemand", &signer())
        }),
        ("signed for another use", LiveRefusal::NotSigned, || {
            let asked = forwarded(&adults());
            let signature = *signer().sign(asked.frame.clone()).signature();
            AskedLive { signature, ..asked }
        }),
        ("another purpose than was signed", LiveRefusal::NotSigned, || {
            let signed = forwarded(&adults());
            let mut other = adults();
            other.purpose = "niet-zvh".parse().unwrap();
            AskedLive {
                signature: signed.signature,
                ..forwarded(&other)
            }
        }),
        ("a purpose that does not exist", LiveRefusal::NotGranted, || {
            let mut query = adults();
            query.purpose = "nieuw".parse().unwrap();
            forwarded(&query)
        }),
        (
            "a purpose that is not the asker's",
            LiveRefusal::NotGranted,
            || {
                let mut query = adults();
                query.purpose = "niet-zvh".parse().unwrap();
                forwarded(&query)
            },
        ),
        (
            "a purpose that does not consult us",
            LiveRefusal::NotGranted,
            || {
                let mut query = adults();
                query.purpose = "niet-om".parse().unwrap();
                forwarded(&query)
            },
        ),
        ("more persons than the cap", LiveRefusal::Persons, || {
            forwarded(&query(vec![(SubjectClass::Adult, 1); 5]))
        }),
        ("persons that were not asked about", LiveRefusal::Persons, || {
            let other = query(vec![(SubjectClass::Adult, 1), (SubjectClass::Adult, 7)]);
            AskedLive {
                subjects: forwarded(&other).subjects,
                ..forwarded(&adults())
            }
        }),
        ("one person in two places", LiveRefusal::Persons, || {
            let mut asked = forwarded(&adults());
            asked.subjects[1] = asked.subjects[0].clone();
            asked
        }),
        ("a place that is not there", LiveRefusal::Persons, || {
            let mut asked = forwarded(&adults());
            asked.subjects[1].0 = 2;
            asked
        }),
        ("nobody", LiveRefusal::Persons, || AskedLive {
            subjects: Vec::new(),
            ..forwarded(&adults())
        }),
        (
            "a class that we are not asked about",
            LiveRefusal::Persons,
            || {
                let minors = query(vec![(SubjectClass::Minor, 1)]);
                AskedLive {
                    subjects: openings(&minors).into_iter().enumerate().collect(),
                    ..forwarded(&minors)
                }
            },
        ),
        ("a question of long ago", LiveRefusal::NotNow, || {
            let mut query = adults();
            query.request = name(now() - 301.seconds(), 1);
            forwarded(&query)
        }),
        ("a question of tomorrow", LiveRefusal::NotNow, || {
            let mut query = adults();
            query.request = name(now() + 301.seconds(), 1);
            forwarded(&query)
        }),
    ];
    for (what, refusal, lie) in cases {
        assert_eq!(check(&lie()).unwrap_err(), refusal, "{what}");
        assert!(refusal.is_alarming(), "{what}");
    }
    for seconds in [-300, 300] {
        let mut query = adults();
        query.request = name(now() + seconds.seconds(), 1);
        assert!(check(&forwarded(&query)).is_ok(), "{seconds} s");
    }
}

#[test]
fn what_passes_by_itself_raises_no_alarm() {
    let mut other_epoch = adults();
    other_epoch.epoch = KeyEpoch::new(2).unwrap();
    let mut other_covenant = adults();
    other_covenant.covenant.0[0] ^= 1;
    for (query, refusal) in [
        (other_epoch, LiveRefusal::WrongEpoch),
        (other_covenant, LiveRefusal::OtherCovenant),
    ] {
        assert_eq!(check(&forwarded(&query)).unwrap_err(), refusal);
        assert!(!refusal.is_alarming());
    }
    let ended = Arc::new(Covenant::parse(COVENANT.replace("2099-12-31", "2026-11-20").as_bytes()).unwrap());
    let mut query = adults();
    query.covenant = ended.version();
    let refused = gate().check(&forwarded(&query), &ended, now()).unwrap_err();
    assert_eq!(refused, LiveRefusal::NotInForce);
    assert!(!refused.is_alarming());
}

#[test]
fn a_name_is_used_for_one_question() {
    let (mut gate, covenant) = (gate(), covenant());
    let asked = forwarded(&adults());
    let first = gate.check(&asked, &covenant, now()).unwrap();
    let said = vec![LiveStatus::Known, LiveStatus::NotKnown];
    let name = first.frame.request;
    gate.remember(name, first.digest, said.clone(), now().as_millisecond());
    // The same question again gets the same answer, as long as its name is in time.
    for later in [0, 1, 299, 300] {
        let again = gate.check(&asked, &covenant, now() + later.seconds()).unwrap();
        assert_eq!(again.before.as_ref(), Some(&said), "{later}");
    }
    let late = gate.check(&asked, &covenant, now() + 301.seconds());
    assert_eq!(late.unwrap_err(), LiveRefusal::NotNow);
    // Fewer of its persons, or others, under the same name: no.
    let mut fewer = asked.clone();
    fewer.subjects.pop();
    let other = forwarded(&query(vec![(SubjectClass::Adult, 7)]));
    for asked in [&fewer, &other] {
        let refused = gate.check(asked, &covenant, now()).unwrap_err();
        assert_eq!(refused, LiveRefusal::Replayed);
        assert!(refused.is_alarming());
    }
    // A name from the future is remembered until it is too old.
    let mut ahead = adults();
    ahead.request = self::name(now() + 300.seconds(), 2);
    let asked = forwarded(&ahead);
    let first = gate.check(&asked, &covenant, now()).unwrap();
    gate.remember(ahead.request, first.digest, said.clone(), now().as_millisecond());
    let again = gate.check(&asked, &covenant, now() + 600.seconds()).unwrap();
    assert!(again.before.is_some());
    // And then forgotten.
    let mut later = adults();
    later.request = self::name(now() + 601.seconds(), 3);
    gate.check(&forwarded(&later), &covenant, now() + 601.seconds())
        .unwrap();
    assert!(gate.seen.is_empty() && gate.order.is_empty());
}

#[test]
fn the_asker_is_bounded_too() {
    let (covenant, now) = (covenant(), now());
    let mut gate = Gate::new("om".parse().unwrap(), 10, now);
    gate.answer_in(vec![KeyEpoch::FIRST]);
    let mut ask = |n: u8, at: Timestamp| {
        let mut query = adults();
        query.request = name(at, n);
        gate.check(&forwarded(&query), &covenant, at).map(|_| ())
    };
    for n in 0..5 {
        assert_eq!(ask(n, now), Ok(()), "{n}");
    }
    assert_eq!(ask(5, now), Err(LiveRefusal::TooMany));
    assert_eq!(
        ask(6, now - 1.hour()).unwrap_err(),
        LiveRefusal::TooMany,
        "a clock that goes back"
    );
    assert_eq!(ask(7, now + 11.seconds()), Err(LiveRefusal::TooMany));
    assert_eq!(
        ask(8, now + 12.seconds()),
        Ok(()),
        "two persons in twelve seconds"
    );
    assert_eq!(ask(9, now + 12.seconds()), Err(LiveRefusal::TooMany));
    for n in 10..15 {
        assert_eq!(ask(n, now + 10.hours()), Ok(()), "full, and no more than full");
    }
    assert_eq!(ask(15, now + 10.hours()), Err(LiveRefusal::TooMany));
}

/// The request's signature is part of the salts: a node that has only what it was sent cannot make another's digest.
#[test]
fn what_is_not_opened_cannot_be_guessed() {
    let mixed = query(vec![(SubjectClass::Minor, 1), (SubjectClass::Adult, 2)]);
    let asked = forwarded(&mixed);
    let frame = LiveFrame::decode(&asked.frame).unwrap();
    let mut guess = mixed.clone();
    guess.signed = SignedRequest::new(mixed.signed.bytes().to_vec(), [0; 64]);
    assert_ne!(openings(&guess)[0].digest(), frame.digests[0]);
    assert_eq!(openings(&mixed)[0].digest(), frame.digests[0]);
}
