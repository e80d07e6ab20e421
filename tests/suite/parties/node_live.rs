//! A live partner's node that answers as it likes.

use hitmachine_core::Covenant;
use hitmachine_proto::v1;
use hitmachine_proto::v1::hub_live_message::Message as Asked;
use hitmachine_proto::v1::live_message::Message;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::program::{metric, query, replace_after, until};
use hitmachine_tests::wire::Wire;
use hitmachine_tests::world::World;
use tokio::sync::mpsc;

const LIVE: &str = "om-reclassering";
const COORDINATOR: &str = "veiligheidshuis";

/// What comes back to one question.
type Answers = fn(u64) -> Vec<v1::LiveAnswer>;

fn answer(id: u64, statuses: &[u8]) -> v1::LiveAnswer {
    v1::LiveAnswer {
        id,
        statuses: statuses.to_vec(),
    }
}

/// Answers to other questions, too many or too few persons, words that there are not, twice: what is not an answer to the
/// question counts as none, and the first that is one counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_to_the_question_could_not_be_asked() {
    let world = World::live(911, &[LIVE]);
    // Short, so that those who get no answer are done soon.
    replace_after(
        &world.deployment.covenant(),
        &format!("id = \"{LIVE}\""),
        "registers =",
        "live_deadline_ms = 2000\nregisters =",
    );
    let broker = world.broker();
    let wire = Wire::of(&world.deployment, LIVE, world.address).await;
    let fetched = wire.fetch().await.unwrap();
    let covenant = Covenant::parse(&fetched.covenant).unwrap();
    let hello = v1::LiveHello {
        deployment: covenant.deployment().id.as_bytes().to_vec(),
        keys: vec![v1::HeldKey {
            number: fetched.key_epoch,
            key_check_value: fetched.key_check_value.clone(),
        }],
        complete: Some(v1::LiveComplete { since_s: 1 }),
        only_if_none: false,
    };
    let (says, mut hears) = wire.live_talk(hello).await.unwrap();
    let (plans, mut planned) = mpsc::channel::<Answers>(1);
    let says_more = says.clone();
    let liar = tokio::spawn(async move {
        while let Ok(Some(message)) = hears.message().await {
            let Some(Asked::Question(question)) = message.message else {
                break;
            };
            let Some(plan) = planned.recv().await else { break };
            for answer in plan(question.id) {
                let message = Some(Message::Answer(answer));
                says.send(v1::LiveMessage { message }).await.unwrap();
            }
        }
    });
    until("connected", || metric(&broker, "hitmachine_live_connected{") == 1);
    let cases: [(&str, Answers, &str); 9] = [
        ("known", |id| vec![answer(id, &[1])], "known"),
        ("not known", |id| vec![answer(id, &[2])], "not_known"),
        (
            "another question",
            |id| vec![answer(id + 1, &[1])],
            "could_not_ask",
        ),
        (
            "every question but this",
            |id| {
                (0..2_000)
                    .filter(|each| *each != id)
                    .map(|each| answer(each, &[1]))
                    .collect()
            },
            "could_not_ask",
        ),
        ("nobody", |id| vec![answer(id, &[])], "could_not_ask"),
        ("two persons", |id| vec![answer(id, &[1, 1])], "could_not_ask"),
        ("no such word", |id| vec![answer(id, &[9])], "could_not_ask"),
        (
            "twice, the other way round",
            |id| vec![answer(id, &[1]), answer(id, &[2]), answer(id, &[2])],
            "known",
        ),
        (
            "unreadable first",
            |id| vec![answer(id, &[0]), answer(id, &[1])],
            "could_not_ask",
        ),
    ];
    for (what, plan, expected) in cases {
        plans.send(plan).await.unwrap();
        let bsn = world.bsn(AgeClass::Adult).to_owned();
        let (deployment, address) = (world.deployment.clone(), world.address);
        let asking = tokio::task::spawn_blocking(move || query(&deployment, COORDINATOR, address, &bsn, &[]));
        assert_eq!(asking.await.unwrap().status_of(LIVE), expected, "{what}");
    }
    // Answers to nothing, without end, end nothing and are kept nowhere.
    for id in 0..5_000 {
        let message = Some(Message::Answer(answer(1_000_000 + id, &[1])));
        says_more.send(v1::LiveMessage { message }).await.unwrap();
    }
    plans.send(|id| vec![answer(id, &[2])]).await.unwrap();
    let (deployment, address) = (world.deployment.clone(), world.address);
    let bsn = world.bsn(AgeClass::Adult).to_owned();
    let asking = tokio::task::spawn_blocking(move || query(&deployment, COORDINATOR, address, &bsn, &[]));
    assert_eq!(asking.await.unwrap().status_of(LIVE), "not_known");
    drop((plans, says_more));
    let entries = world.stop(broker, &[world.bsn(AgeClass::Adult).as_bytes()]);
    assert_eq!(entries.len(), 10, "each question has its entry");
    liar.await.unwrap();
}
