use std::collections::BTreeSet;
use std::fmt::Write as _;

use hitmachine_pseudonym::{IdentifierType, Token};
use proptest::prelude::*;

use super::*;
use crate::covenant::CovenantVersion;
use crate::ids::{SubjectClass, TraceContext};
use crate::query::User;
use crate::record::{Record, Result as RecordResult};

const PARTNERS: usize = 6;

fn partner(n: usize) -> PartnerId {
    format!("p{n}").parse().unwrap()
}

fn oin(n: usize) -> Oin {
    format!("000000990000000000{n:02}").parse().unwrap()
}

/// Of one purpose: who is consulted, and who of them is told.
#[derive(Clone, Debug)]
struct Told {
    consults: BTreeSet<usize>,
    notifies: BTreeSet<usize>,
    confidential: bool,
}

/// A covenant with partners `p0` to `p5` and purposes `d0`, `d1`, …, of which each partner may ask each.
fn covenant(purposes: &[Told]) -> Covenant {
    let mut text = String::from(
        "format = 1\nid = \"t\"\ntitle = \"T\"\nversion = 1\nvalid_from = \"2020-01-01\"\nvalid_until = \"2099-12-31\"\n\
         [deployment]\nid = \"01010101010101010101010101010101\"\nkind = \"test\"\n",
    );
    for n in 0..PARTNERS {
        let answers = if n % 2 == 0 { "index" } else { "live" };
        let _ = write!(
            text,
            "[[partner]]\nid = \"p{n}\"\nname = \"P\"\noin = \"{}\"\ndomain = \"zorg\"\ncontact = \"-\"\n\
             answers = \"{answers}\"\nregisters = [\"adult\"]\n\
             signing_keys = [\"fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618\"]\n",
            oin(n)
        );
    }
    let names = |set: &BTreeSet<usize>| set.iter().map(|n| format!("p{n}")).collect::<Vec<_>>();
    let all: BTreeSet<usize> = (0..PARTNERS).collect();
    for (n, told) in purposes.iter().enumerate() {
        let _ = write!(
            text,
            "[[purpose]]\ncode = \"d{n}\"\ntitle = \"D\"\nlegal_basis = \"-\"\n\
             processing_activity = \"https://register.example/{n}\"\naskers = {:?}\nroles = [\"rol\"]\n\
             consults = {:?}\nnotifies = {:?}\nlog_retention_months = 12\nmax_subjects = 1\nconfidential = {}\n",
            names(&all),
            names(&told.consults),
            names(&told.notifies),
            told.confidential,
        );
    }
    Covenant::parse(text.as_bytes()).unwrap()
}

/// A question as it stands in the log: by `asker`, under the purpose with this number, with these statuses.
fn record(
    with: &Covenant,
    kind: Kind,
    asker: usize,
    purpose: usize,
    statuses: &[(PartnerId, PartnerStatus)],
) -> DecodedRecord {
    let subject = Subject {
        class: SubjectClass::Adult,
        tokens: vec![(IdentifierType::Bsn, Token::from_bytes([7; 32]))],
    };
    let user = User {
        id: "jansen".parse().unwrap(),
        role: "rol".parse().unwrap(),
        responsible: None,
    };
    let case = "ZK-1".parse().unwrap();
    let record = Record {
        kind,
        time: Timestamp::from_millisecond(1_795_000_000_000).unwrap(),
        request: Some(RequestId::generate()),
        requester: &oin(asker),
        user: Some(&user),
        ground: Some((&with.purposes()[purpose], CovenantVersion([1; 32]))),
        case: Some(&case),
        subject: Some((KeyEpoch::FIRST, &subject)),
        result: match kind {
            Kind::Lookup => RecordResult::Answered(statuses),
            _ => RecordResult::Refused("over_quota"),
        },
        trace: TraceContext::default(),
        place: 0,
        signed: None,
        request_digest: [2; 32],
        answer_digest: [3; 32],
    };
    DecodedRecord::decode(&record.fields()).unwrap()
}

fn told() -> impl Strategy<Value = Told> {
    let some = || proptest::collection::btree_set(0..PARTNERS, 1..=PARTNERS);
    (some(), some(), any::<bool>()).prop_map(|(consults, wanted, confidential)| Told {
        notifies: consults.intersection(&wanted).copied().collect(),
        consults,
        confidential,
    })
}

fn status() -> impl Strategy<Value = PartnerStatus> {
    proptest::sample::select(PartnerStatus::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// A notice goes exactly to who knows the person and is told under this purpose, and never to the asker.
    #[test]
    fn exactly_those_who_know_and_are_told(
        purposes in proptest::collection::vec(told(), 1..4),
        place in any::<proptest::sample::Index>(),
        asker in 0..PARTNERS,
        statuses in proptest::collection::vec(status(), PARTNERS),
        refused in proptest::bool::weighted(0.1),
        later in proptest::collection::vec(told(), 0..3),
    ) {
        let then = covenant(&purposes);
        let purpose = place.index(purposes.len());
        let consulted = purposes[purpose].consults.iter();
        // What a lookup would never write, an asker among the consulted, must not make a notice either.
        let rows: Vec<_> = consulted.map(|n| (partner(*n), statuses[*n])).collect();
        let kind = if refused { Kind::Denied } else { Kind::Lookup };
        let record = record(&then, kind, asker, purpose, &rows);

        // Under the covenant of then, and under a later one that may not even have the purpose.
        for (with, purposes) in [(&then, &purposes), (&covenant(&later), &later)] {
            let expected: BTreeSet<PartnerId> = (0..PARTNERS)
                .filter(|n| *n != asker && !refused)
                .filter(|n| statuses[*n] == PartnerStatus::Known)
                .filter(|n| rows.iter().any(|(id, _)| *id == partner(*n)))
                .filter(|n| purposes.get(purpose).is_some_and(|told| told.notifies.contains(n)))
                .map(partner)
                .collect();
            let found: Vec<PartnerId> = recipients(with, &record).cloned().collect();
            prop_assert_eq!(found.len(), expected.len(), "nobody twice");
            prop_assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), &expected);
            for n in 0..PARTNERS {
                let notice = HitNotice::of(with, &partner(n), (9, [4; 32]), &record);
                prop_assert_eq!(notice.is_some(), expected.contains(&partner(n)));
            }
        }
    }
}

#[test]
fn a_notice_says_who_asked_and_why_but_not_which_person_of_theirs() {
    let all: BTreeSet<usize> = (0..3).collect();
    let with = covenant(&[Told {
        consults: all.clone(),
        notifies: all,
        confidential: true,
    }]);
    let rows = [
        (partner(1), PartnerStatus::Known),
        (partner(2), PartnerStatus::NotKnown),
    ];
    let record = record(&with, Kind::Lookup, 0, 0, &rows);
    let notice = HitNotice::of(&with, &partner(1), (9, [4; 32]), &record).unwrap();
    assert_eq!((notice.index, notice.leaf), (9, [4; 32]));
    assert_eq!(notice.requester, oin(0));
    assert_eq!(notice.purpose.as_str(), "d0");
    assert_eq!(notice.case.as_ref().map(CaseReference::as_str), Some("ZK-1"));
    assert_eq!(Some(notice.request), record.request);
    assert_eq!(notice.epoch, KeyEpoch::FIRST);
    let shown = format!("{notice:?}");
    for secret in ["jansen", "ZK-1", "0707"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
