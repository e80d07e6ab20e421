//! Real programs with a bad network between them: nothing hangs beyond its deadline, nobody becomes "not known" by it,
//! and everything comes back by itself.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests: a failure is a failed test"
)]

#[path = "network/namespaces.rs"]
mod namespaces;
#[path = "network/questions.rs"]
mod questions;
#[path = "network/random.rs"]
mod random;
#[path = "network/streams.rs"]
mod streams;
#[path = "network/sync.rs"]
mod sync;

use std::time::{Duration, Instant};

use hitmachine_audit::EntryKind;
use hitmachine_testkit::population::{Person, Register};
use hitmachine_testkit::proxy::{Direction, Faults, Mischief, Proxy};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, Said, metric, until};
use hitmachine_tests::world::World;

/// Who only asks.
const COORDINATOR: &str = "veiligheidshuis";
/// Who is told of hits.
const TOLD: &str = "regieteams";
/// Who answers live, where that is wanted.
const OM: &str = "om-reclassering";

/// A proxy in front of the broker.
fn proxy(world: &World, seed: u64) -> Proxy {
    Proxy::start(world.address, seed).unwrap()
}

/// The coordinator asks through a proxy.
fn ask(world: &World, proxy: &Proxy, person: &Person) -> Said {
    program::query(&world.deployment, COORDINATOR, proxy.address(), &person.bsn, &[])
}

/// How many persons were looked up, as the log says.
fn lookups(entries: &[logbook::Entry]) -> usize {
    let lookups = entries.iter().filter(|entry| entry.kind() == EntryKind::Lookup);
    lookups.count()
}
