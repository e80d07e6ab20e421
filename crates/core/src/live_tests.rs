use std::sync::Arc;

use hitmachine_pseudonym::{DeploymentId, Pepper, Scheme, TagKeys};
use jiff::Timestamp;

use super::*;
use crate::covenant::Covenant;
use crate::ids::TraceContext;
use crate::permit::{AnswerContent, Lookup, Permit};
use crate::query::{Asker, User};
use crate::refusal::Refusal;
use crate::registry::{Register, TallyMask};
use crate::signed::{RequestSigner, SignedRequest};

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
registers = ["minor", "adult"]
live_deadline_ms = 700

[[partner]]
id = "index"
name = "Index"
oin = "00000099000000000012"
domain = "zorg"
contact = "-"
answers = "index"
registers = ["minor"]

[[partner]]
id = "jeugd"
name = "Jeugd"
oin = "00000099000000000013"
domain = "zorg"
contact = "-"
answers = "live"
registers = ["minor"]

[[purpose]]
code = "vraag"
title = "Vraag"
legal_basis = "-"
processing_activity = "https://register.example/1"
askers = ["zvh"]
roles = ["rol"]
consults = ["om", "index", "jeugd"]
log_retention_months = 12
max_subjects = 8

[[purpose]]
code = "zonder"
title = "Zonder live"
legal_basis = "-"
processing_activity = "https://register.example/2"
askers = ["zvh"]
roles = ["rol"]
consults = ["index"]
log_retention_months = 12
max_subjects = 8
"#;

const REQUEST: [u8; 16] = [1, 2, 3, 4, 5, 6, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 9];

fn covenant() -> Arc<Covenant> {
    Arc::new(Covenant::parse(COVENANT.as_bytes()).unwrap())
}

fn signer() -> RequestSigner {
    RequestSigner::new(&[9; 32])
}

fn subject(class: SubjectClass, person: u8) -> Subject {
    Subject {
        class,
        tokens: vec![(IdentifierType::Bsn, Token::from_bytes([person; 32]))],
    }
}

/// As an honest node makes it.
fn query(covenant: &Covenant, purpose: &str, subjects: Vec<Subject>) -> Query {
    let mut query = Query {
        request: RequestId::from_bytes(&REQUEST).unwrap(),
        purpose: purpose.parse().unwrap(),
        case: "Z-1".parse().unwrap(),
        user: User {
            id: "jansen".parse().unwrap(),
            role: "rol".parse().unwrap(),
            responsible: None,
        },
        covenant: covenant.version(),
        epoch: KeyEpoch::FIRST,
        subjects,
        trace: TraceContext::default(),
        signed: SignedRequest::default(),
    };
    query.signed = signer().sign(b"the query, encoded".to_vec());
    let frame = LiveFrame::of(&"zvh".parse().unwrap(), &query).encode();
    query.signed = query.signed.with_live(signer().sign_live(&frame));
    query
}

fn mixed() -> Vec<Subject> {
    vec![
        subject(SubjectClass::Adult, 1),
        subject(SubjectClass::Minor, 2),
        subject(SubjectClass::Adult, 3),
    ]
}

fn authorise(covenant: &Arc<Covenant>, query: Query) -> Result<Permit, Refusal> {
    let asker = Asker {
        oin: "00000099000000000010".parse().unwrap(),
        public_key_sha256: [0; 32],
    };
    // The signature over the whole query is not what these tests are about.
    let allowed = covenant.authorise(
        &asker,
        query,
        KeyEpoch::FIRST,
        Timestamp::from_second(20_778 * 86_400).unwrap(),
    );
    allowed.map_err(|refused| refused.refusal())
}

fn look_up(query: Query) -> Lookup {
    let covenant = covenant();
    let (pepper, id) = (Pepper::from_bytes([5; 32]), DeploymentId::from_bytes([1; 16]));
    let tags = TagKeys::derive(&pepper, &id, KeyEpoch::FIRST, Scheme::HmacSha256);
    let mask = TallyMask::derive(&pepper, &id, KeyEpoch::FIRST, Scheme::HmacSha256);
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    authorise(&covenant, query)
        .unwrap()
        .look_up(&Register::new(tags, mask), now)
}

#[test]
fn a_frame_reads_back_and_has_these_bytes() {
    let query = query(&covenant(), "vraag", mixed());
    let frame = LiveFrame::of(&"zvh".parse().unwrap(), &query);
    let bytes = frame.encode();
    assert_eq!(LiveFrame::decode(&bytes), Some(frame.clone()));
    assert_eq!(bytes.len(), 1 + 16 + 32 + 4 + 4 + 6 + 1 + 3 * 32);
    for cut in 0..bytes.len() {
        assert_eq!(LiveFrame::decode(&bytes[..cut]), None, "{cut}");
    }
    assert_eq!(LiveFrame::decode(&[bytes.as_slice(), &[0]].concat()), None);
    for (place, wrong) in [(0, 2), (7, 0), (52, 0), (53, 200), (63, 0), (63, 65)] {
        let mut damaged = bytes.clone();
        damaged[place] = wrong;
        assert_eq!(LiveFrame::decode(&damaged), None, "{place}");
    }
    // Pinned; computed apart, in Python, from the layout in the module's text.
    let pinned = LiveFrame {
        covenant: CovenantVersion([3; 32]),
        ..frame
    };
    assert_eq!(
        hex::encode(Sha256::digest(pinned.encode())),
        "d5f7d57402be0b3b47fac12bdb63f686e9f44bc4ef42565193752fddfa8c609f",
        "the bytes of a frame have changed"
    );
}

#[test]
fn a_digest_tells_nothing_without_its_salt() {
    let covenant = covenant();
    let one = query(&covenant, "vraag", vec![subject(SubjectClass::Adult, 1); 2]);
    let of = |query: &Query| {
        openings(query)
            .map(|opening| opening.digest())
            .collect::<Vec<_>>()
    };
    let digests = of(&one);
    assert_ne!(digests[0], digests[1], "the same person twice");
    // The same question, signed as another request: nobody who holds no request can make the digest.
    let mut other = one.clone();
    other.signed = signer().sign(b"another query".to_vec());
    assert_ne!(of(&other)[0], digests[0]);
    let mut minor = one.clone();
    minor.subjects[0].class = SubjectClass::Minor;
    assert_ne!(of(&minor)[0], digests[0]);
    for opening in openings(&one) {
        let bytes = opening.encode();
        let read = LiveSubject::decode(&bytes).unwrap();
        assert_eq!(read.digest(), opening.digest());
        for cut in 0..bytes.len() {
            assert!(LiveSubject::decode(&bytes[..cut]).is_none(), "{cut}");
        }
        let mut none = bytes.to_vec();
        none.truncate(18);
        none[17] = 0;
        assert!(LiveSubject::decode(&none).is_none(), "no token");
        let mut twice = bytes.to_vec();
        twice[17] = 2;
        twice.extend_from_slice(&bytes[18..]);
        assert!(LiveSubject::decode(&twice).is_none(), "one type twice");
        assert_eq!(format!("{opening:?}"), "LiveSubject(…)");
    }
}

#[test]
fn only_what_the_asking_node_signed_for_live_partners_is_allowed() {
    let covenant = covenant();
    let good = query(&covenant, "vraag", mixed());
    // `authorise` checks the query's own signature over its bytes, which here is good.
    assert!(authorise(&covenant, good.clone()).is_ok());
    let without =
        |query: &Query| SignedRequest::new(query.signed.bytes().to_vec(), *query.signed.signature());
    let mut unsigned = good.clone();
    unsigned.signed = without(&good);
    assert_eq!(authorise(&covenant, unsigned).err(), Some(Refusal::NotSigned));
    let mut by_another = good.clone();
    let frame = LiveFrame::of(&"zvh".parse().unwrap(), &good).encode();
    let forged = RequestSigner::new(&[8; 32]).sign_live(&frame);
    by_another.signed = without(&good).with_live(forged);
    assert_eq!(authorise(&covenant, by_another).err(), Some(Refusal::NotSigned));
    let mut other_persons = good.clone();
    other_persons.subjects[0] = subject(SubjectClass::Adult, 9);
    assert_eq!(
        authorise(&covenant, other_persons).err(),
        Some(Refusal::NotSigned)
    );
    let mut fewer = good.clone();
    fewer.subjects.pop();
    assert_eq!(authorise(&covenant, fewer).err(), Some(Refusal::NotSigned));
    // Where nobody answers live, nothing need be signed for them.
    let mut elsewhere = query(&covenant, "zonder", mixed());
    elsewhere.signed = without(&elsewhere);
    assert!(authorise(&covenant, elsewhere).is_ok());
}

#[test]
fn each_live_partner_is_asked_only_about_whom_it_may_be() {
    let query = query(&covenant(), "vraag", mixed());
    let frame = LiveFrame::of(&"zvh".parse().unwrap(), &query);
    let questions = look_up(query).live_questions();
    let about: Vec<_> = questions
        .iter()
        .map(|question| {
            let places: Vec<_> = question.subjects.iter().map(|(place, _)| *place).collect();
            (question.partner.as_str(), question.deadline.as_millis(), places)
        })
        .collect();
    assert_eq!(
        about,
        [("om", 700, vec![0, 1, 2]), ("jeugd", 2_000, vec![1])],
        "and the partner in the index is not asked"
    );
    for question in &questions {
        assert_eq!(question.frame, frame.encode());
        assert!(signer().key().verifies_live(&question.frame, &question.signature));
        for (place, opening) in &question.subjects {
            assert_eq!(frame.digests[*place], opening.digest());
        }
    }
    assert_eq!(
        format!("{:?}", questions[1]),
        "LiveQuestion(jeugd about 1 persons)"
    );
    let adults = vec![subject(SubjectClass::Adult, 1)];
    let questions = look_up(self::query(&covenant(), "vraag", adults)).live_questions();
    assert_eq!(
        questions.len(),
        1,
        "nobody whom it may be asked about: not asked at all"
    );
}

/// Statuses of `om`, `index` and `jeugd` for each person.
fn found(answers: &LiveAnswers) -> Vec<Vec<PartnerStatus>> {
    let finding = look_up(query(&covenant(), "vraag", mixed())).answered(answers);
    let rows = std::cell::RefCell::new(Vec::new());
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    finding.seal(now, |content| {
        if let AnswerContent::Found { partners, .. } = content {
            let order: Vec<_> = partners.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(order, ["om", "index", "jeugd"]);
            let row = partners.iter().map(|(_, status)| *status).collect();
            rows.borrow_mut().push(row);
        }
        Vec::new()
    });
    rows.into_inner()
}

#[test]
fn whoever_did_not_answer_could_not_be_asked() {
    use LiveStatus::{CouldNotAsk as Unable, Known, NotKnown};
    use PartnerStatus as S;
    let answers = |said: &[(&str, &[LiveStatus])]| {
        let mut answers = LiveAnswers::default();
        for (partner, statuses) in said {
            answers.insert(partner.parse().unwrap(), statuses.to_vec());
        }
        answers
    };
    // The partner in the index never synchronised here.
    let adult = |om| vec![om, S::DoesNotApply, S::DoesNotApply];
    let minor = |om, jeugd| vec![om, S::CouldNotAsk, jeugd];
    for (said, om, jeugd) in [
        (answers(&[]), [S::CouldNotAsk; 3], S::CouldNotAsk),
        (
            answers(&[("om", &[Known, NotKnown, Unable]), ("jeugd", &[Known])]),
            [S::Known, S::NotKnown, S::CouldNotAsk],
            S::Known,
        ),
        (
            answers(&[("jeugd", &[NotKnown])]),
            [S::CouldNotAsk; 3],
            S::NotKnown,
        ),
        // About other persons than it was asked about: none of it counts.
        (
            answers(&[("om", &[NotKnown, NotKnown]), ("jeugd", &[NotKnown, NotKnown])]),
            [S::CouldNotAsk; 3],
            S::CouldNotAsk,
        ),
        (
            answers(&[("om", &[NotKnown; 4]), ("jeugd", &[])]),
            [S::CouldNotAsk; 3],
            S::CouldNotAsk,
        ),
        // Somebody who was not asked changes nothing.
        (
            answers(&[("index", &[Known]), ("zvh", &[Known; 3])]),
            [S::CouldNotAsk; 3],
            S::CouldNotAsk,
        ),
    ] {
        let expected = vec![adult(om[0]), minor(om[1], jeugd), adult(om[2])];
        assert_eq!(found(&said), expected, "{said:?}");
    }
}
