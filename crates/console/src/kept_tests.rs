use hitmachine_node::state::{State, StateKey};
use hitmachine_node::view::{AnswerView, PartnerView, PersonView};

use super::*;

fn partner(status: StatusWord) -> PartnerView {
    PartnerView {
        partner: "leerplicht".into(),
        name: "Leerplicht".into(),
        status,
        contact: None,
    }
}

fn kept(user: &str, asked_at: &str, outcome: Outcome) -> Kept {
    Kept {
        id: Uuid::new_v4(),
        user: user.into(),
        role: "informatiecoordinator".into(),
        responsible: None,
        purpose: "screening".into(),
        title: "Screening".into(),
        legal_basis: "Wet".into(),
        case: "ZK-1".into(),
        asked_at: asked_at.parse().unwrap(),
        persons: vec![KeptPerson {
            class: ClassWord::Adult,
            reference: None,
        }],
        outcome,
    }
}

fn answered(statuses: &[StatusWord], refused: Option<&str>) -> Outcome {
    Outcome::Answered(Box::new(Given {
        view: AnswerView {
            request_id: "r".into(),
            log_size: 1,
            witnessed_s: None,
            persons: vec![PersonView {
                log_index: 0,
                refused: refused.map(Into::into),
                retry_at: None,
                partners: statuses.iter().map(|status| partner(*status)).collect(),
            }],
        },
        covenant: 1,
        live: Vec::new(),
        proofs: Vec::new(),
    }))
}

fn failure() -> Failure {
    Failure {
        code: "timed_out".into(),
        exit: 3,
        text_en: "x".into(),
        text_nl: "x".into(),
    }
}

/// "Could not be asked" is never "not known", not even in one word.
#[test]
fn one_word_says_what_came_of_it() {
    use StatusWord::{CouldNotAsk, DoesNotApply, Known, NotKnown};
    let at = "2026-11-22T10:00:00Z";
    for (outcome, expected) in [
        (answered(&[NotKnown, Known, CouldNotAsk], None), ResultWord::Known),
        (answered(&[NotKnown, CouldNotAsk], None), ResultWord::CouldNotAsk),
        (answered(&[NotKnown, DoesNotApply], None), ResultWord::NotKnown),
        (answered(&[], Some("over_quota")), ResultWord::Refused),
        (Outcome::NotAsked(failure()), ResultWord::NotAsked),
        (Outcome::InDoubt(failure()), ResultWord::InDoubt),
        (Outcome::NotProven(failure()), ResultWord::NotProven),
    ] {
        assert_eq!(kept("a", at, outcome).result(), expected);
    }
}

/// The table as a node has it, in a folder.
fn book(dir: &std::path::Path) -> Book {
    let state = State::open(dir, &StateKey::from_bytes([3; 32])).unwrap();
    Book::open(Arc::new(state).table("answers").unwrap(), 30).unwrap()
}

fn ids(summaries: &[Summary]) -> Vec<Uuid> {
    summaries.iter().map(|each| each.id).collect()
}

#[tokio::test]
async fn rows_are_swept_when_their_term_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let held = book(dir.path());
    let old = kept("a", "2026-10-23T10:00:00Z", answered(&[StatusWord::Known], None));
    let young = kept("a", "2026-10-23T10:00:01Z", answered(&[StatusWord::Known], None));
    let doubt = kept("b", "2026-11-21T09:00:00Z", Outcome::InDoubt(failure()));
    for each in [&old, &young, &doubt] {
        let parcel: Parcel = serde_json::from_str(r#"{"signed":"00","made_ms":0}"#).unwrap();
        let row = Row {
            kept: each.clone(),
            proofs: Vec::new(),
            parcel: matches!(each.outcome, Outcome::InDoubt(_)).then_some(parcel),
        };
        held.put(row).await.unwrap();
    }
    drop(held);
    // What is listed is what the table has.
    let held = book(dir.path());
    assert_eq!(ids(&held.of("a")), [young.id, old.id], "newest first");
    assert!(held.row(doubt.id).unwrap().unwrap().parcel.is_some());
    assert_eq!(held.sweep("2026-11-22T10:00:00Z".parse().unwrap()).unwrap(), 1);
    assert!(held.row(old.id).unwrap().is_none());
    assert_eq!(ids(&held.of("a")), [young.id]);
    // What was sent is forgotten after a day, the question is not.
    assert!(held.row(doubt.id).unwrap().unwrap().parcel.is_none());
    // A new outcome takes the place of the one before.
    let row = Row {
        kept: Kept {
            outcome: answered(&[StatusWord::NotKnown], None),
            ..doubt
        },
        proofs: Vec::new(),
        parcel: None,
    };
    held.put(row).await.unwrap();
    let of = held.of("b");
    assert_eq!(
        of.iter().map(|each| each.result).collect::<Vec<_>>(),
        [ResultWord::NotKnown]
    );
}
