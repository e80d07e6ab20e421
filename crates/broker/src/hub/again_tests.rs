use hitmachine_audit::{Opening, verify_receipt};
use hitmachine_core::RequestSigner;
use hitmachine_proto::answer::Outcome;
use prost::Message;

use super::super::tests::{World, asker, at, log_signer, start};
use super::*;

const OIN: &str = "00000099000000000010";

/// A signed question with this name about somebody.
fn question(world: &World, request: RequestId, case: &str) -> v1::AskRequest {
    let query = v1::Query {
        request_id: request.as_bytes().to_vec(),
        purpose: "vraag".into(),
        case_reference: case.into(),
        user: Some(v1::User {
            id: "jansen".into(),
            role: "rol".into(),
            responsible: String::new(),
        }),
        covenant_version: world.hub.covenant().version().0.to_vec(),
        key_epoch: 1,
        subjects: vec![v1::Subject {
            class: v1::SubjectClass::Adult.into(),
            tokens: vec![v1::IdentifierToken {
                r#type: 1,
                token: vec![1; 32],
            }],
        }],
        trace_id: vec![0; 16],
        parent_span_id: vec![0; 8],
    };
    let signed = RequestSigner::new(&[9; 32]).sign(query.encode_to_vec());
    v1::AskRequest {
        query: signed.bytes().to_vec(),
        signature: signed.signature().to_vec(),
        ..v1::AskRequest::default()
    }
}

fn again(request: &v1::AskRequest) -> v1::AskRequest {
    v1::AskRequest {
        again: true,
        ..request.clone()
    }
}

/// Index and answer; the proof must hold.
async fn ask(world: &World, request: v1::AskRequest) -> (u64, Vec<u8>) {
    let response = world.hub.ask(&asker(OIN), request).await.unwrap();
    let verifier = log_signer().verifier();
    let parts = receipt::parts(&response).unwrap();
    let verified = verify_receipt(&parts[0], &verifier, verifier.origin()).unwrap();
    Opening::decode(&parts[0].opening).unwrap();
    (verified.leaf_index(), response.answers[0].answer.clone())
}

fn refusal(answer: &[u8]) -> Option<String> {
    match answer::parse(answer).unwrap().outcome {
        Outcome::Refused(code) => Some(code),
        Outcome::Found(_) => None,
    }
}

fn size(world: &World) -> u64 {
    world.hub.head().head.size
}

/// Brings the index in step, as its follower does in a hub that runs.
fn index(world: &World) {
    let reader = &world.hub.reader;
    crate::indexer::catch_up(&world.hub.index, reader, reader.head().size, &mut |_| ()).unwrap();
}

#[tokio::test]
async fn the_same_bytes_get_the_same_answer_and_no_new_entry() {
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let world = start(dir.path(), now, None);
    let asked = question(&world, RequestId::generate(), "Z-1");
    let first = ask(&world, asked.clone()).await;
    // Both with the word for it and without.
    assert_eq!(ask(&world, again(&asked)).await, first);
    assert_eq!(ask(&world, asked.clone()).await, first);
    assert_eq!(size(&world), 1);

    // A refusal is repeated too, and another question under the name of the first is refused, once.
    let mut role = v1::Query::decode(asked.query.as_slice()).unwrap();
    role.request_id = RequestId::generate().as_bytes().to_vec();
    role.user.as_mut().unwrap().role = "geen".into();
    let signed = RequestSigner::new(&[9; 32]).sign(role.encode_to_vec());
    let denied = v1::AskRequest {
        query: signed.bytes().to_vec(),
        signature: signed.signature().to_vec(),
        ..v1::AskRequest::default()
    };
    let refused = ask(&world, denied.clone()).await;
    assert_eq!(refusal(&refused.1).as_deref(), Some("role_not_granted"));
    assert_eq!(ask(&world, again(&denied)).await, refused);
    let id = RequestId::from_bytes(&v1::Query::decode(asked.query.as_slice()).unwrap().request_id).unwrap();
    let other = question(&world, id, "Z-2");
    let used = ask(&world, other.clone()).await;
    assert_eq!(refusal(&used.1).as_deref(), Some("request_id_used"));
    assert_eq!(ask(&world, again(&other)).await, used);
    assert_eq!(
        ask(&world, again(&asked)).await,
        first,
        "the first is still there"
    );
    assert_eq!(size(&world), 3);

    // Another organisation's name is its own: it neither learns nor takes anything.
    let stranger = world
        .hub
        .ask(&asker("00000099000000000011"), again(&asked))
        .await
        .unwrap();
    assert_eq!(
        refusal(&stranger.answers[0].answer).as_deref(),
        Some("not_signed")
    );
    // Without the right signature nothing is repeated.
    let mut forged = again(&asked);
    forged.signature[0] ^= 1;
    let forged = world.hub.ask(&asker(OIN), forged).await.unwrap();
    assert_eq!(refusal(&forged.answers[0].answer).as_deref(), Some("not_signed"));
    world.committer.shutdown();
}

#[tokio::test]
async fn what_was_asked_before_the_start_is_found_in_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let world = start(dir.path(), now, None);
    let id = RequestId::generate();
    let (asked, lost) = (
        question(&world, id, "Z-1"),
        question(&world, RequestId::generate(), "Z-3"),
    );
    let first = ask(&world, asked.clone()).await;
    world.committer.shutdown();
    drop(world.hub);

    let world = start(dir.path(), now, Some(now));
    let behind = world.hub.ask(&asker(OIN), again(&asked)).await;
    assert!(matches!(behind, Err(AskError::Busy)), "nobody can tell yet");
    index(&world);
    assert_eq!(ask(&world, again(&asked)).await, first);
    assert_eq!(
        ask(&world, asked.clone()).await,
        first,
        "a name from before the start is looked up"
    );
    let other = ask(&world, question(&world, id, "Z-2")).await;
    assert_eq!(refusal(&other.1).as_deref(), Some("request_id_used"));
    index(&world);
    // One that never came before is a question like any other, unless it is old.
    world.set(now + jiff::SignedDuration::from_mins(5));
    let old = world.hub.ask(&asker(OIN), again(&lost)).await;
    assert!(matches!(old, Err(AskError::NeverAsked)));
    world.set(now);
    let new = ask(&world, again(&lost)).await;
    assert_eq!((new.0, refusal(&new.1)), (2, None));
    assert_eq!(size(&world), 3);
    world.committer.shutdown();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), Timestamp::now(), None);
    let asked = question(&world, RequestId::generate(), "Z-1");
    let mut asking = tokio::task::JoinSet::new();
    for turn in 0..64 {
        let hub = Arc::clone(&world.hub);
        let request = if turn % 2 == 0 {
            asked.clone()
        } else {
            again(&asked)
        };
        asking.spawn(async move {
            let response = hub.ask(&asker(OIN), request).await;
            // Its index has all there is: nothing was logged before.
            response.map(|response| response.answers[0].clone())
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = asking.join_next().await {
        match answer.unwrap() {
            Ok(answer) => answers.push((answer.answer, answer.receipt.unwrap().leaf_index)),
            Err(error) => assert!(matches!(error, AskError::Busy), "{error}"),
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(size(&world), 1);
    world.committer.shutdown();
}

#[tokio::test]
async fn a_question_is_repeated_under_its_own_covenant_only() {
    let dir = tempfile::tempdir().unwrap();
    let world = start(dir.path(), at("2026-11-21T12:00:00Z"), None);
    let asked = question(&world, RequestId::generate(), "Z-1");
    ask(&world, asked.clone()).await;
    // Past the last day of the covenant.
    world.set(at("2100-01-01T12:00:00Z"));
    let ended = ask(&world, again(&asked)).await;
    assert_eq!(refusal(&ended.1).as_deref(), Some("covenant_not_in_force"));
    world.set(at("2026-11-21T12:00:00Z"));
    let behind = ask(&world, again(&asked)).await;
    assert_eq!(refusal(&behind.1).as_deref(), Some("clock_behind"));
    world.committer.shutdown();
}

#[test]
fn what_is_forgotten_is_said_to_be() {
    let memory = Memory::new(Some(Timestamp::from_millisecond(1_000_000).unwrap()));
    let oin: Oin = OIN.parse().unwrap();
    let name = || (oin.clone(), RequestId::generate());
    let first = name();
    assert!(!memory.may_have_forgotten(&first), "made long after the start");
    let Claim::New(claimed) = memory.claim(&first, [1; 32], 5) else {
        panic!("nobody asked it");
    };
    assert!(matches!(memory.claim(&first, [1; 32], 5), Claim::Wait(_)));
    drop(claimed);
    let Claim::New(claimed) = memory.claim(&first, [1; 32], first.1.time_ms()) else {
        panic!("it was given up");
    };
    claimed.logged(0..1);
    assert!(matches!(memory.claim(&first, [1; 32], 6), Claim::Logged(_)));
    for _ in 0..MOST {
        let name = name();
        let Claim::New(claimed) = memory.claim(&name, [1; 32], first.1.time_ms()) else {
            panic!("nobody asked it");
        };
        claimed.logged(1..2);
    }
    assert!(
        matches!(memory.claim(&first, [1; 32], 7), Claim::New(_)),
        "the oldest is forgotten"
    );
    assert!(memory.may_have_forgotten(&first), "and this is known");
    assert_eq!(memory.lately().order.len(), MOST);
    assert_eq!(memory.lately().questions.len(), MOST);
}
