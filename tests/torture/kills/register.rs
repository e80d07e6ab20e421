//! Kills during a sync.

use std::collections::BTreeSet;

use hitmachine_testkit::population::Register;
use hitmachine_testkit::rng::Rng;

use super::ground::{ASKS, TOLD};
use super::stage::{Stage, Victim};

/// A register changes; broker, node or command line is killed while it is sent. Nobody who stays in it is ever "not
/// known", nothing acknowledged is sent twice, and in the end both sides agree.
pub(super) fn sync(stage: &mut Stage, rng: &mut Rng) {
    let register = Register::ALL[rng.index(Register::ALL.len())];
    let node = [TOLD, ASKS].into_iter().find(|partner| *partner == register.id());
    let (victim, label) = match (rng.below(3), node) {
        (0, _) => (Victim::Broker, "kill -9: broker, during a sync"),
        (1, Some(partner)) => (Victim::Node(partner), "kill -9: node, during a sync"),
        _ => (Victim::Command, "kill -9: node's command, during a sync"),
    };
    stage.ground.truth.change(&stage.ground.world, register, rng);
    let partner = register.id();
    let command = stage.ground.node(partner, &["sync"]);
    if let Some(said) = stage.strike(rng, label, victim, command)
        && said.code == 0
    {
        assert_eq!(said.json()["full"], false, "{partner}: everything was sent again");
    }
    stage.restart(victim);
    // Those who stay are known whatever of the change has arrived.
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
    let said = stage
        .ground
        .run_until("the sync after a kill", || stage.ground.node(partner, &["sync"]));
    let report = said.json();
    assert_eq!(
        report["full"], false,
        "{partner}: acknowledged registrations were lost"
    );
    assert_eq!(report["persons"], stage.ground.truth.count(register), "{partner}");
    let changed = stage.ground.truth.settle(register);
    let those = stage.ground.some(rng, &changed);
    stage.ground.check(&those);
    stage
        .done
        .add("registrations changed through kills", changed.len() as u64);
}
