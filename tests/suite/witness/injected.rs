//! The broker's disk fails at every kind of call, once with an error and once with the process (C12).
//!
//! `strace -e inject=…:when=N` counts in each thread by itself, so that N reaches the log's own thread as well as those
//! that publish and keep registrations. A start makes some twenty calls before it serves, so to fail later strace is
//! attached later.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hitmachine_audit::{Checkpoint, Hash};
use hitmachine_node::Node;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{BrokerProcess, program};
use hitmachine_tests::program::until;
use hitmachine_tests::world::World;
use hitmachine_tests::{logbook, node, screening};

use super::hub::{PATIENCE, check_published, tiles};

/// Long enough for a round of publishing after the first question.
const ASKED_FOR: Duration = Duration::from_millis(1_300);

/// What was released, and what was published.
#[derive(Default)]
struct Seen {
    released: BTreeMap<u64, Hash>,
    published: Vec<Checkpoint>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_released_is_lost_whichever_call_fails() {
    let found = Command::new("strace").arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test needs strace: apt-get install -y --no-install-recommends strace"
    );
    let world = World::new(308);
    // Everything that is made once is made.
    assert_eq!(world.broker().stop().unwrap(), Some(0));
    let coordinator = node(&world.deployment, COORDINATOR, world.address).await;
    let mut seen = Seen::default();
    for (calls, which) in WHILE_STARTING {
        for what in faults(calls, which) {
            start_on(&world, &what);
            check(&world, &coordinator, &mut seen, &what).await;
        }
    }
    let (mut ended, mut harmless) = (0, 0);
    for (calls, which) in WHILE_SERVING {
        for what in faults(calls, which) {
            if serve_on(&world, &coordinator, &mut seen, &what).await {
                ended += 1;
            } else {
                harmless += 1;
            }
            check(&world, &coordinator, &mut seen, &what).await;
        }
    }
    let released = seen.released.len();
    println!("{ended} brokers ended while they served, {harmless} went on; {released} answers, all there");
    assert!(
        ended >= 10,
        "only {ended} brokers ended: the calls come elsewhere"
    );
    assert!(
        harmless >= 2,
        "only {harmless} brokers went on: no publishing failed"
    );
    assert!(released > 100, "hardly anything was released");
}

/// Calls of one kind, and which of them in a thread.
type Calls = (&'static str, &'static [u32]);
const WHILE_STARTING: [Calls; 3] = [("fsync", &[1, 8, 16, 24]), ("/^rename", &[1]), ("/^unlink", &[1])];
const WHILE_SERVING: [Calls; 4] = [
    ("fdatasync", &[1, 2, 3, 20]),
    ("fsync", &[1, 2, 3, 5]),
    ("/^rename", &[1, 2]),
    ("/^unlink", &[1]),
];

fn faults(calls: &str, which: &[u32]) -> Vec<String> {
    let faults = ["error=EIO", "signal=KILL"];
    let each = which.iter().flat_map(|when| faults.map(|fault| (when, fault)));
    each.map(|(when, fault)| format!("{calls}:{fault}:when={when}"))
        .collect()
}

fn strace(what: &str) -> Command {
    let (calls, _) = what.split_once(':').unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null"]);
    command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={what}")]);
    command
}

/// Starts a broker whose disk fails, which ends it or not.
fn start_on(world: &World, what: &str) {
    let mut command = strace(what);
    command.arg("--").arg(program("hitmachine-broker").unwrap());
    let Ok(mut broker) = BrokerProcess::start_with(command, &world.deployment, world.address) else {
        return;
    };
    // strace is the parent; alone it would leave the broker running.
    let id = broker.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    for child in children.split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", child]).status();
    }
    broker.wait(PATIENCE).unwrap();
}

/// Asks a broker whose disk fails from now on. Whether it ended by itself.
async fn serve_on(world: &World, coordinator: &Node, seen: &mut Seen, what: &str) -> bool {
    let mut broker = world.broker();
    let id = broker.id().to_string();
    let mut strace = strace(what)
        .args(["-p", &id])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("strace is there", || {
        if strace.try_wait().unwrap().is_some() {
            // The broker met the fault by itself, and is gone.
            return true;
        }
        let threads = std::fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten();
        threads.filter_map(Result::ok).all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    });
    let question = screening(coordinator, world.bsn(AgeClass::Adult), "1980-01-01");
    let begun = Instant::now();
    let mut ended = false;
    while begun.elapsed() < ASKED_FOR && !ended {
        match coordinator.inquirer().ask(&question).await {
            Ok(answer) => {
                for person in &answer.persons {
                    let before = seen.released.insert(person.log_index, person.leaf);
                    assert_eq!(before, None, "{what}: one place in the log, two answers");
                }
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!error.contains("proven"), "{what}: {error}");
            }
        }
        note_published(world, seen);
        ended = strace.try_wait().unwrap().is_some();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if ended && what.contains("EIO") {
        // Known to be at fault, and says so.
        assert_eq!(broker.wait(PATIENCE).unwrap(), Some(4), "{what}");
    }
    broker.kill().unwrap();
    strace.wait().unwrap();
    ended
}

fn note_published(world: &World, seen: &mut Seen) {
    if let Ok(note) = std::fs::read(tiles(world).join("checkpoint")) {
        let verifier = logbook::verifier(&world.deployment);
        let checkpoint = verifier.open(&note).unwrap();
        if seen.published.last() != Some(&checkpoint) {
            seen.published.push(checkpoint);
        }
    }
}

/// Starts on a sound disk, asks once more, and compares everything.
async fn check(world: &World, coordinator: &Node, seen: &mut Seen, what: &str) {
    note_published(world, seen);
    let broker = BrokerProcess::start(&world.deployment, world.address)
        .unwrap_or_else(|error| panic!("{what}: does not start again: {error}"));
    let question = screening(coordinator, world.bsn(AgeClass::Adult), "1980-01-01");
    let mut asked = coordinator.inquirer().ask(&question).await;
    for _ in 0..50 {
        // The first may still meet the connection that broke.
        let Err(error) = &asked else { break };
        assert!(!error.to_string().contains("proven"), "{what}: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        asked = coordinator.inquirer().ask(&question).await;
    }
    let answer = asked.unwrap();
    seen.released
        .insert(answer.persons[0].log_index, answer.persons[0].leaf);
    let printed = broker.log().unwrap();
    assert_eq!(broker.stop().unwrap(), Some(0), "{what}: {printed}");
    note_published(world, seen);

    // I1, I2: every answer released is at its place.
    let (_copies, recovery, log) = logbook::open(&world.deployment);
    let largest = *seen.released.keys().next_back().unwrap();
    assert!(recovery.head.size > largest, "{what}");
    let leaves: BTreeMap<u64, Hash> = log
        .entries()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.index, entry.leaf_hash))
        .collect();
    for (index, leaf) in &seen.released {
        assert_eq!(leaves.get(index), Some(leaf), "{what}: entry {index}");
    }
    // I6, and I3: all that was published lies on what is published.
    let roots = check_published(world);
    assert_eq!(
        roots.len() as u64,
        recovery.head.size + 1,
        "{what}: all of it is published"
    );
    for checkpoint in &seen.published {
        let at = usize::try_from(checkpoint.size).unwrap();
        assert_eq!(roots[at], checkpoint.root, "{what}: at {at} entries");
    }
}
