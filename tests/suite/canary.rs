//! Canaries with whole processes: nodes that meet say so; one whose canary is another than the rest expect is missed by
//! them, and is an alarm. No person is asked about.
#![expect(clippy::unwrap_used, reason = "a test")]

use hitmachine_audit::EntryKind;
use hitmachine_proto::v1::CanaryRequest;
use hitmachine_proto::v1::CanaryState::{Met, Missed, NotThereYet};
use hitmachine_pseudonym::Token;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::{node_command, run_with_input};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{Said, until};
use hitmachine_tests::wire::{Shared, Wire};
use hitmachine_tests::world::World;
use serde_json::{Value, json};
use tonic::Code;

/// Makes a request wrong.
type Change = fn(&mut CanaryRequest);

const OTHER: &str = "leerplicht";

/// What a node says of its canaries.
fn canaries(world: &World, partner: &str) -> Value {
    let said = world.node(partner, &["status"]);
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["canaries"].clone()
}

/// The alarms that the privacy officer sees: code and partner.
fn alarms(world: &World) -> Vec<(String, String)> {
    let mut command = node_command(&world.deployment, COORDINATOR, world.address).unwrap();
    command.args(["--json", "audit", "alarms"]);
    command.args(["--user", "functionaris", "--reference", "ONDERZOEK-7"]);
    let said = Said::of(run_with_input(&mut command, b"").unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let said = said.json();
    let alarms = said["alarms"]["alarms"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    alarms
        .map(|alarm| (text(&alarm["code"]), text(&alarm["about"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_meet_and_a_forged_canary_is_an_alarm() {
    let world = World::new(521);
    let broker = world.broker();
    let before = canaries(&world, COORDINATOR);
    assert_eq!(before["checked_at"], Value::Null, "nobody serves: not checked");
    let coordinator = world.serve(COORDINATOR);
    let other = world.serve(OTHER);
    for partner in [COORDINATOR, OTHER] {
        until("two nodes meet", || canaries(&world, partner)["met"] == 1);
        let said = canaries(&world, partner);
        assert_eq!(
            (&said["others"], &said["missed"]),
            (&json!(4), &json!([])),
            "{said}"
        );
        assert_eq!(said["not_there_yet"].as_array().unwrap().len(), 3, "{said}");
    }
    assert!(alarms(&world).is_empty());

    // The other node is gone, and somebody with its certificate shows another token.
    other.kill().unwrap();
    coordinator.kill().unwrap();
    let wire = Wire::of(&world.deployment, OTHER, world.address).await;
    let shared = Shared::of(&world.deployment);
    let forged = Token::from_bytes([0x5a; 32]);
    let right = shared.canary(COORDINATOR);
    let said = wire
        .check_canaries(shared.canaries(&forged, &[(COORDINATOR, &right)]))
        .await;
    assert_eq!(said.unwrap(), [Met], "the honest one's is still there");
    let coordinator = world.serve(COORDINATOR);
    until("the forged one is missed", || {
        canaries(&world, COORDINATOR)["missed"][0]["partner"] == OTHER
    });
    assert_eq!(canaries(&world, COORDINATOR)["met"], 0);
    let printed = coordinator.log().unwrap();
    assert!(printed.contains("a canary was missed"), "{printed}");
    let missed = vec![("canary_miss".to_owned(), OTHER.to_owned())];
    until("the alarm is logged", || alarms(&world) == missed);

    // A second check is no second alarm; the right token makes it good.
    coordinator.kill().unwrap();
    let own = shared.canary(OTHER);
    let wire_of_coordinator = Wire::of(&world.deployment, COORDINATOR, world.address).await;
    let look = || wire_of_coordinator.check_canaries(shared.canaries(&right, &[(OTHER, &own)]));
    assert_eq!(look().await.unwrap(), [Missed]);
    let said = wire.check_canaries(shared.canaries(&own, &[])).await;
    assert!(said.unwrap().is_empty());
    assert_eq!(look().await.unwrap(), [Met]);
    assert_eq!(alarms(&world), missed);

    let hidden = [&forged, &right, &own].map(|token| hex::encode(token.expose_secret()));
    let secrets = hidden.each_ref().map(String::as_bytes);
    let entries = world.stop(broker, &secrets);
    let mut kinds = entries.iter().map(logbook::Entry::kind);
    // The officer looked at the alarms; nobody was asked about.
    assert!(kinds.all(|kind| !matches!(kind, EntryKind::Lookup | EntryKind::Denied)));
    let logged = logbook::controls(&world.deployment, &["alarm"]);
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(
        (&logged[0]["code"], &logged[0]["about"]),
        (&json!("canary_miss"), &json!(OTHER))
    );

    // The hub forgets canaries when it stops: that is no miss.
    let _broker = world.broker();
    let wire = Wire::of(&world.deployment, COORDINATOR, world.address).await;
    let said = wire
        .check_canaries(shared.canaries(&right, &[(OTHER, &own)]))
        .await;
    assert_eq!(said.unwrap(), [NotThereYet]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_well_formed_or_of_another_epoch_or_covenant_is_refused() {
    let world = World::new(522);
    let _broker = world.broker();
    let wire = Wire::of(&world.deployment, OTHER, world.address).await;
    let shared = Shared::of(&world.deployment);
    let own = shared.canary(OTHER);
    let good = || shared.canaries(&own, &[(COORDINATOR, &own)]);
    let cases: [(Code, &str, Change); 7] = [
        (Code::FailedPrecondition, "wrong_epoch", |it| it.key_epoch = 2),
        (Code::FailedPrecondition, "covenant_changed", |it| {
            it.covenant_version[0] ^= 1;
        }),
        (Code::InvalidArgument, "key_epoch", |it| it.key_epoch = 0),
        (Code::InvalidArgument, "covenant_version", |it| {
            it.covenant_version.clear();
        }),
        (Code::InvalidArgument, "own", |it| it.own.truncate(31)),
        (Code::InvalidArgument, "others.token", |it| {
            it.others[0].token.push(0);
        }),
        (Code::InvalidArgument, "others", |it| {
            it.others = vec![it.others[0].clone(); 6];
        }),
    ];
    for (code, text, change) in cases {
        let mut request = good();
        change(&mut request);
        let refused = wire.check_canaries(request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{text}");
        let start = format!("{text}:");
        assert!(refused.message().starts_with(&start), "{refused:?}");
    }
    // Nobody has that canary, and somebody who is no partner cannot have one.
    let unknown = shared.canaries(&own, &[(COORDINATOR, &own), ("onbekend", &own)]);
    let said = wire.check_canaries(unknown).await.unwrap();
    assert_eq!(said, [NotThereYet, NotThereYet]);
}
