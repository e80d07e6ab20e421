//! A partner leaves the covenant while what it registered is still there.

use std::fs;

use hitmachine_proto::answer::Outcome;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_testkit::process::BrokerProcess;
use hitmachine_tests::logbook;
use hitmachine_tests::program::{metric, replace, until};
use hitmachine_tests::wire::{Shared, Wire};
use hitmachine_tests::world::World;
use serde_json::json;

use super::{count_up, hang_up, in_force};

const TYPES: [&str; 2] = ["partner-removed", "registrations-removed"];

/// Takes a partner out of the covenant, wherever it stands.
fn take_out(world: &World, partner: &str) {
    let path = world.deployment.covenant();
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(&format!("[[partner]]\nid = \"{partner}\"")).unwrap();
    let end = at + 3 + text[at + 3..].find("\n[[").unwrap();
    let mut text = text[..at].to_owned() + &text[end + 1..];
    for named in [format!(", \"{partner}\""), format!("\"{partner}\", ")] {
        text = text.replace(&named, "");
    }
    assert!(!text.contains(partner), "{partner} is still named");
    fs::write(&path, text).unwrap();
    count_up(world);
}

/// It stops answering at once, its registrations are deleted, both are logged, and its node is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_partner_that_leaves_answers_no_more() {
    let world = World::new(321);
    let broker = world.broker();
    world.sync_all();
    let with = fs::read_to_string(world.deployment.covenant()).unwrap();
    let persons = metric(&broker, "hitmachine_persons");
    let partners = |world: &World| {
        let said = world.ask("veiligheidshuis").json();
        let rows = said["persons"][0]["partners"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["partner"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(partners(&world).contains(&"regieteams".to_owned()));
    // Its sync is open at that moment.
    let wire = Wire::of(&world.deployment, "regieteams", world.address).await;
    let shared = Shared::of(&world.deployment);
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    take_out(&world, "regieteams");
    hang_up(&broker);
    in_force(&broker, 2);
    assert_eq!(
        partners(&world),
        ["leerplicht", "schuldhulpverlening", "om-reclassering"]
    );
    until("its registrations are deleted", || {
        metric(&broker, "hitmachine_persons") < persons
    });
    let change = hitmachine_core::registry::Change {
        identifier: hitmachine_pseudonym::IdentifierType::Bsn,
        token: shared.token(world.bsn(AgeClass::Adult)),
        registration: None,
    };
    let status = sync
        .batch(begun.generation, begun.next_sequence, &[change])
        .await
        .unwrap_err();
    assert!(status.message().starts_with("registers_nobody"), "{status}");
    assert!(
        wire.fetch()
            .await
            .unwrap_err()
            .message()
            .starts_with("unknown_partner")
    );
    let said = world.node("regieteams", &["sync"]);
    assert_eq!(said.failure(), (1, "unknown_partner".into()));
    assert_eq!(broker.stop().unwrap(), Some(0));
    let logged = logbook::controls(&world.deployment, &TYPES);
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0]["partner"], "regieteams");
    assert_eq!(
        logged[0]["registrations"],
        json!(world.members(Register::Regieteams))
    );

    // It comes back: it is asked about nobody until its node has sent everything again.
    let text = with.replace("version = 1\n", "version = 3\n");
    fs::write(world.deployment.covenant(), text).unwrap();
    let broker = world.broker();
    let said = world.ask("veiligheidshuis");
    assert_eq!(said.status_of("regieteams"), "could_not_ask");
    let report = world.node("regieteams", &["sync"]).json();
    assert_eq!(report["persons"], world.members(Register::Regieteams));
    assert_eq!(metric(&broker, "hitmachine_persons"), persons);
    assert_eq!(broker.stop().unwrap(), Some(0));
    assert_eq!(logbook::controls(&world.deployment, &TYPES).len(), 1);
}

/// It leaves while the broker is down, and the broker is killed while it deletes: it is logged once, and nothing is left.
#[test]
fn leaving_is_finished_after_a_kill_and_logged_once() {
    let world = World::new(322);
    let broker = world.broker();
    world.sync_all();
    let persons = metric(&broker, "hitmachine_persons");
    assert_eq!(broker.stop().unwrap(), Some(0));
    take_out(&world, "om-reclassering");
    for wait_ms in [0, 1, 3, 10, 30] {
        // Not waited for: the kill comes while it starts.
        let broker = BrokerProcess::start(&world.deployment, world.address).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        broker.kill().unwrap();
    }
    let broker = world.broker();
    until("its registrations are deleted", || {
        metric(&broker, "hitmachine_persons") < persons
    });
    let entries = metric(&broker, "hitmachine_log_entries");
    assert_eq!(broker.stop().unwrap(), Some(0));
    let broker = world.broker();
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    assert_eq!(
        metric(&broker, "hitmachine_log_entries"),
        entries.max(2) + 1,
        "nothing is logged again"
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
    let logged = logbook::controls(&world.deployment, &TYPES);
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["type"], "partner-removed");
    assert_eq!(logbook::controls(&world.deployment, &["covenant"]).len(), 1);
}

/// A partner that answers live from now on has nothing at the broker any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_register_goes_when_its_partner_answers_live() {
    let world = World::new(323);
    let broker = world.broker();
    world.sync_all();
    let persons = metric(&broker, "hitmachine_persons");
    let path = world.deployment.covenant();
    hitmachine_tests::program::replace_after(
        &path,
        "id = \"om-reclassering\"",
        "answers = \"index\"",
        "answers = \"live\"",
    );
    let number = count_up(&world);
    hang_up(&broker);
    in_force(&broker, number);
    until("its registrations are deleted", || {
        metric(&broker, "hitmachine_persons") < persons
    });
    let node = hitmachine_tests::node(&world.deployment, "veiligheidshuis", world.address).await;
    let question = hitmachine_tests::screening(&node, world.bsn(AgeClass::Adult), "1980-01-01");
    let answer = node.inquirer().ask(&question).await.unwrap();
    let Outcome::Found(partners) = &answer.persons[0].outcome else {
        panic!("refused");
    };
    assert_eq!(
        partners.last().unwrap().1,
        hitmachine_core::PartnerStatus::CouldNotAsk
    );
    replace(&path, "answers = \"live\"", "answers = \"index\"");
    assert_eq!(broker.stop().unwrap(), Some(0));
    let logged = logbook::controls(&world.deployment, &TYPES);
    assert_eq!(logged.len(), 1);
    assert_eq!(
        (&logged[0]["type"], &logged[0]["partner"]),
        (&json!("registrations-removed"), &json!("om-reclassering"))
    );
}
