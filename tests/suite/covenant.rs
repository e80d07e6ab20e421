//! The covenant changes while everything runs: whole or not at all, signed by whom it must be, and in the log first.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "covenant/change.rs"]
mod change;
#[path = "covenant/leaving.rs"]
mod leaving;
#[path = "covenant/signed.rs"]
mod signed;

use std::fs;
use std::path::Path;
use std::process::Command;

use hitmachine_core::Covenant;
use hitmachine_testkit::deployment::{ADMINISTRATORS, COORDINATOR};
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::BrokerProcess;
use hitmachine_tests::program::{metric, replace, until};
use hitmachine_tests::world::World;

/// The covenant on the disk.
fn covenant(world: &World) -> Covenant {
    Covenant::parse(&fs::read(world.deployment.covenant()).unwrap()).unwrap()
}

/// Counts the number up.
fn count_up(world: &World) -> u32 {
    let number = covenant(world).number();
    let next = number + 1;
    replace(
        &world.deployment.covenant(),
        &format!("version = {number}\n"),
        &format!("version = {next}\n"),
    );
    next
}

/// Makes it another kind of deployment than a demo, before the first start: then signatures count.
fn outside_demo(world: &World) {
    let replace_kind = |path: &Path| replace(path, "kind = \"demo\"", "kind = \"test\"");
    replace_kind(&world.deployment.covenant());
    for partner in [COORDINATOR].into_iter().chain(Register::ALL.map(Register::id)) {
        replace_kind(&world.deployment.node_config(partner));
    }
    world.deployment.sign_covenant(&ADMINISTRATORS[..2]).unwrap();
}

/// Has the broker look at the covenant now.
fn hang_up(broker: &BrokerProcess) {
    let sent = Command::new("kill")
        .args(["-HUP", &broker.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Waits until this number is in force.
fn in_force(broker: &BrokerProcess, number: u32) {
    until("the covenant is in force", || {
        metric(broker, "hitmachine_covenant_number") == u64::from(number)
    });
}

/// Has the broker look, and waits until it has refused so many changes.
fn refused(broker: &BrokerProcess, times: u64) {
    hang_up(broker);
    until("the covenant is refused", || {
        metric(broker, "hitmachine_covenants_refused_total") == times
    });
}
