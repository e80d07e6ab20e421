//! A hub that lies about itself, about notices, and about what it has stored.

use hitmachine_core::RequestId;
use hitmachine_proto::v1;
use hitmachine_testkit::pki::test_oin;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::program::{Said, node, query, until};
use hitmachine_tests::wire::Shared;
use hitmachine_tests::world::World;

use super::liar::Liar;

const COORDINATOR: &str = "veiligheidshuis";
const TOLD: &str = "leerplicht";

/// One thing changed in what a hub says of itself.
type Lie = fn(&mut v1::FetchResponse);

/// Runs the node's own program while the liar goes on in this process.
async fn asked(world: &World, partner: &'static str, address: std::net::SocketAddr) -> Said {
    let deployment = world.deployment.clone();
    let bsn = world.bsn(AgeClass::Adult).to_owned();
    let asking = tokio::task::spawn_blocking(move || query(&deployment, partner, address, &bsn, &[]));
    asking.await.unwrap()
}

fn numbered(fetched: &mut v1::FetchResponse, number: u32) {
    let text = String::from_utf8(fetched.covenant.clone()).unwrap();
    assert!(text.contains("\nversion = 1\n"));
    fetched.covenant = text
        .replacen("\nversion = 1\n", &format!("\nversion = {number}\n"), 1)
        .into_bytes();
}

/// Key check value, epoch, scheme, log and covenant: a hub that is not the one of this node's deployment is asked
/// nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_says_it_is_another_is_asked_nothing() {
    let world = World::new(941);
    let broker = world.broker();
    let (liar, address) = Liar::start(&world, COORDINATOR).await;
    let lies: [(&str, Lie, &[&str]); 6] = [
        (
            "key check value",
            |fetched| {
                fetched.key_check_value[0] ^= 1;
                for epoch in &mut fetched.epochs {
                    epoch.key_check_value[0] ^= 1;
                }
            },
            &["disagree"],
        ),
        (
            "key epoch",
            |fetched| {
                fetched.key_epoch = 7;
                fetched.epochs[0].number = 7;
            },
            &["disagree", "wrong_epoch"],
        ),
        (
            "scheme",
            |fetched| {
                fetched.scheme = "plain".into();
                fetched.epochs[0].scheme = "plain".into();
            },
            &["disagree"],
        ),
        (
            "log",
            |fetched| fetched.log_origin = "evil.example/broker/audit/1".into(),
            &["disagree"],
        ),
        (
            "no covenant",
            |fetched| fetched.covenant = b"format = 1".to_vec(),
            &["unreadable"],
        ),
        (
            "another's covenant",
            |fetched| {
                let text = String::from_utf8(fetched.covenant.clone()).unwrap();
                fetched.covenant = text.replacen("zvh-demo", "zvh-ander", 1).into_bytes();
            },
            &["covenant_other"],
        ),
    ];
    // An honest hub and a covenant with a higher number: taken, as a demo's need no signatures.
    liar.say(|fetched| numbered(fetched, 5));
    asked(&world, COORDINATOR, address).await;
    for (what, lie, codes) in lies {
        let raised = what != "another's covenant";
        liar.say(move |fetched| {
            if raised {
                numbered(fetched, 5);
            }
            lie(fetched);
        });
        let said = asked(&world, COORDINATOR, address).await;
        let (code, word) = said.failure();
        assert_ne!(code, 0, "{what}");
        assert!(codes.contains(&word.as_str()), "{what}: {word}: {said:?}");
        assert!(!said.out.contains("\"partners\""), "{what}: something is shown");
    }
    let entries = world.stop(broker, &[world.bsn(AgeClass::Adult).as_bytes()]);
    assert!(entries.is_empty(), "something was asked");
}

/// Notices that nothing happened for: nothing in one proves it, so it is shown. What gives it away is its log entry, which
/// does not exist.
#[tokio::test(flavor = "multi_thread")]
async fn an_invented_notice_is_shown_but_has_no_entry() {
    let world = World::new(942);
    let broker = world.broker();
    world.sync_all();
    let shared = Shared::of(&world.deployment);
    let client = world.population.members(Register::Leerplicht).next().unwrap();
    let (liar, address) = Liar::start(&world, TOLD).await;
    let notice = |log_index: u64| v1::Notice {
        log_index,
        leaf: vec![7; 32],
        time_ms: u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap(),
        requester: test_oin(10),
        purpose: "screening".into(),
        case_reference: "VERZONNEN-1".into(),
        request_id: RequestId::generate().as_bytes().to_vec(),
        key_epoch: 1,
        subject: Some(v1::Subject {
            class: v1::SubjectClass::Minor.into(),
            tokens: vec![v1::IdentifierToken {
                r#type: 1,
                token: shared.token(&client.bsn).expose_secret().to_vec(),
            }],
        }),
    };
    let unreadable = v1::Notice {
        leaf: vec![7; 31],
        ..notice(41)
    };
    let stranger = v1::Notice {
        subject: Some(v1::Subject {
            class: v1::SubjectClass::Minor.into(),
            tokens: vec![v1::IdentifierToken {
                r#type: 1,
                token: vec![9; 32],
            }],
        }),
        ..notice(42)
    };
    liar.notify(vec![notice(40), notice(40), unreadable, stranger]);
    let deployment = world.deployment.clone();
    let serving = tokio::task::spawn_blocking(move || {
        hitmachine_testkit::process::NodeProcess::start(&deployment, TOLD, address).unwrap()
    });
    let serving = serving.await.unwrap();
    let (deployment, address) = (world.deployment.clone(), world.address);
    let listed = tokio::task::spawn_blocking(move || {
        let list = || {
            let said = node(&deployment, TOLD, address, &["notice", "list", "--all"]);
            said.json()["notices"].as_array().unwrap().clone()
        };
        until("the notices came", || list().len() >= 2);
        list()
    });
    let listed = listed.await.unwrap();
    let indexes: Vec<_> = listed
        .iter()
        .map(|one| one["log_index"].as_u64().unwrap())
        .collect();
    assert_eq!(
        indexes,
        [40, 42],
        "twice is once, and what cannot be read is nothing"
    );
    assert_eq!(listed[0]["registered"], true);
    assert_eq!(listed[1]["registered"], false, "a token of nobody names nobody");
    let acknowledged = liar.acknowledged();
    assert!(
        acknowledged.iter().all(|index| [40, 42].contains(index)),
        "{acknowledged:?}"
    );
    drop(serving);
    // The log has no such entry: whoever looks it up, as the officer can, finds nothing.
    let entries = world.stop(broker, &[client.bsn.as_bytes()]);
    assert!(entries.iter().all(|entry| entry.index < 40));
}

/// Acknowledged and not stored: the node cannot know it then. It comes out with the next sync with a hub that looks, and
/// until then the hub has nothing to answer from.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_not_stored_is_sent_again() {
    let world = World::new(943);
    let broker = world.broker();
    let (_liar, address) = Liar::start(&world, TOLD).await;
    let deployment = world.deployment.clone();
    let lied = tokio::task::spawn_blocking(move || node(&deployment, TOLD, address, &["sync"]));
    let lied = lied.await.unwrap();
    assert_eq!(lied.code, 0, "nothing shows: {lied:?}");
    let members = world.members(Register::Leerplicht);
    assert_eq!(lied.json()["persons"], members);
    // The real hub never heard of them, and does not say "not known".
    let said = asked(&world, COORDINATOR, world.address).await;
    let status = said.status_of(TOLD);
    assert!(
        ["could_not_ask", "does_not_apply"].contains(&status.as_str()),
        "{status}"
    );
    let again = world.node(TOLD, &["sync"]);
    assert_eq!(again.code, 0, "{again:?}");
    let report = again.json();
    assert_eq!(
        (&report["full"], &report["registered"]),
        (&true.into(), &members.into())
    );
    world.stop(broker, &[]);
}
