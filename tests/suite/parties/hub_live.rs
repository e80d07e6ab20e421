//! A hub that lies on the way to a live partner: whole programs on both sides, and the liar between broker and node.

use hitmachine_proto::v1;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::NodeProcess;
use hitmachine_tests::program::{node, query, until};
use hitmachine_tests::world::World;
use serde_json::Value;

use super::liar::Liar;

const LIVE: &str = "om-reclassering";
const COORDINATOR: &str = "veiligheidshuis";

/// What the hub makes of a question, with those before it.
type Lie = fn(&v1::LiveQuestion, &[v1::LiveQuestion]) -> Vec<v1::LiveQuestion>;

fn adult(world: &World, known: bool) -> String {
    world.adults(Register::OmReclassering, known)[0].bsn.clone()
}

/// What the asker sees of the live partner.
fn status(world: &World, bsn: &str) -> String {
    query(&world.deployment, COORDINATOR, world.address, bsn, &[]).status_of(LIVE)
}

/// The partner's own journal, newest first: code, or status of the one person.
fn journal(world: &World) -> Vec<String> {
    let said = node(
        &world.deployment,
        LIVE,
        world.address,
        &["live", "list", "--last", "1000"],
    );
    assert_eq!(said.code, 0, "{said:?}");
    let entries = said.json()["entries"].as_array().unwrap().clone();
    let word = |entry: &Value| {
        let code = entry["code"].as_str();
        code.or(entry["statuses"][0].as_str()).unwrap().to_owned()
    };
    entries.iter().map(word).collect()
}

/// Waits for what takes threads, so that the liar goes on.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_partner_answers_nothing_that_the_asker_did_not_ask() {
    let world = std::sync::Arc::new(World::live(951, &[LIVE]));
    let broker = world.broker();
    let (known, other) = (adult(&world, true), adult(&world, false));
    let (liar, address) = Liar::start(&world, LIVE).await;
    let serving = {
        let world = std::sync::Arc::clone(&world);
        beside(move || {
            let node = NodeProcess::start(&world.deployment, LIVE, address).unwrap();
            until("the live partner is connected", || {
                let live = world.node(LIVE, &["status"]).json()["live"].clone();
                live["state"] == "connected" && live["complete_at"].is_string()
            });
            node
        })
        .await
    };
    let ask = async |bsn: &str| {
        let (world, bsn) = (std::sync::Arc::clone(&world), bsn.to_owned());
        beside(move || status(&world, &bsn)).await
    };
    let written = async || {
        let world = std::sync::Arc::clone(&world);
        beside(move || journal(&world)).await
    };
    // Honest: what comes of the lies comes of them.
    assert_eq!(ask(&known).await, "known");
    assert_eq!(ask(&other).await, "not_known");

    let lies: [(&str, Lie, &str); 7] = [
        (
            "nobody signed it",
            |question, _| {
                let mut question = question.clone();
                question.signature = vec![0; 64];
                vec![question]
            },
            "not_signed",
        ),
        (
            "another question's signature",
            |question, before| {
                let mut question = question.clone();
                question.signature.clone_from(&before[0].signature);
                vec![question]
            },
            "not_signed",
        ),
        (
            "the frame is changed",
            |question, _| {
                let mut question = question.clone();
                *question.frame.last_mut().unwrap() ^= 1;
                vec![question]
            },
            "not_signed",
        ),
        (
            "another person than was signed",
            |question, before| {
                let mut question = question.clone();
                question.subjects.clone_from(&before[0].subjects);
                vec![question]
            },
            "live_persons",
        ),
        (
            "a person made up",
            |question, _| {
                let mut question = question.clone();
                *question.subjects[0].opening.last_mut().unwrap() ^= 1;
                vec![question]
            },
            "live_persons",
        ),
        (
            "the same person twice",
            |question, _| {
                let mut question = question.clone();
                question.subjects.push(question.subjects[0].clone());
                vec![question]
            },
            "live_persons",
        ),
        (
            "no person",
            |question, _| {
                let mut question = question.clone();
                question.subjects.clear();
                vec![question]
            },
            "live_persons",
        ),
    ];
    for (what, lie, code) in lies {
        let before = written().await.len();
        liar.ask(lie);
        assert_eq!(ask(&known).await, "could_not_ask", "{what}");
        let after = written().await;
        assert_eq!(after.len(), before + 1, "{what}: in the journal");
        assert!(
            after[0] == code || after[0] == "live_malformed",
            "{what}: {}",
            after[0]
        );
    }
    // The same question twice: the same answer, once in the journal.
    liar.ask(|question, _| {
        let again = v1::LiveQuestion {
            id: question.id + 1_000_000,
            ..question.clone()
        };
        vec![again, question.clone()]
    });
    let before = written().await.len();
    assert_eq!(ask(&known).await, "known");
    assert!(
        written().await.len() <= before + 2,
        "more than the question and its repetition"
    );
    // The officers of the partner hear of questions that nobody asked.
    let printed = serving.log().unwrap();
    assert!(printed.contains("a live question is not answered"), "{printed}");

    // What no signature covers is the answer itself: a hub that turns it round is believed, and logs what it said. The
    // partner's own journal says otherwise.
    liar.ask(|question, _| vec![question.clone()]);
    liar.answer(|answer| answer.statuses.fill(2));
    assert_eq!(ask(&known).await, "not_known");
    assert_eq!(written().await[0], "known");
    drop(serving);
    let entries = world.stop(broker, &[known.as_bytes(), other.as_bytes()]);
    assert_eq!(entries.len(), 11, "each question has its entry, answered or not");
}
