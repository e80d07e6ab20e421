//! Disks that turn read-only, fail to write, or fill up, under whole programs: what was acknowledged is there after the
//! remedy, nothing is answered that was not logged, and who cannot go on says why.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test"
)]

#[path = "read_only/full.rs"]
mod full;
#[path = "read_only/hub.rs"]
mod hub;
#[path = "read_only/station.rs"]
mod station;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hitmachine_audit::Hash;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_tests::disks::{FailingDisk, SmallDisk};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self as run, assert_holds_none, broker_refuses, replace, until};
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::world::World;
use serde_json::json;

/// How long a program may take to end after its disk failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a report says of each partner.
fn rows(said: &run::Said) -> BTreeMap<String, String> {
    let said = said.json();
    let rows = said["persons"][0]["partners"].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("partner"), text("status"))
    })
    .collect()
}

/// Every released answer lies in the log of the stopped broker.
fn all_there(world: &World, released: &BTreeMap<u64, Hash>) {
    let (_copies, _, log) = logbook::open(&world.deployment);
    let leaves: BTreeMap<u64, Hash> = log
        .entries()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.index, entry.leaf_hash))
        .collect();
    for (index, leaf) in released {
        assert_eq!(leaves.get(index), Some(leaf), "answer {index} is not in the log");
    }
}
