//! Kills while the log's index is built anew, and while entries are erased.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::program;
use hitmachine_testkit::rng::Rng;

use super::ground::{Ground, PATIENCE};
use super::ledger::{Entry, Image};
use super::stage::{Stage, Victim};

/// The index is built anew, by the command or by the broker itself, and both are killed in between. What an officer finds
/// then is what the log holds.
pub(super) fn index(stage: &mut Stage, rng: &mut Rng) {
    let case = stage.ground.case();
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.ask_until(&case, &some);
    let count = some.len();
    stage.kill_broker("kill -9: broker, during questions");
    let image = stage.check_log();
    if rng.percent(30) {
        // As if it had been lost.
        fs::remove_dir_all(stage.ground.world.path("broker/data/audit-index")).unwrap();
    }
    let begun = Instant::now();
    let mut whole = Duration::from_millis(300);
    for _ in 0..=rng.below(2) {
        let mut quiet = rebuild(&stage.ground);
        let mut child = quiet.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moment = Duration::from_micros(rng.below(u64::try_from(whole.as_micros()).unwrap()));
        std::thread::sleep(moment);
        if child.try_wait().unwrap().is_some() {
            whole = moment;
        }
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
        stage.done.count("kill -9: rebuild-index");
    }
    if rng.percent(50) {
        let said = stage.ground.run(rebuild(&stage.ground));
        assert_eq!(said.code, 0, "rebuild-index after a kill: {}", said.err);
    }
    stage.start_broker();
    if rng.percent(50) {
        std::thread::sleep(Duration::from_micros(rng.below(50_000)));
        stage.kill_broker("kill -9: broker, while it builds its index");
        stage.start_broker();
    }
    let expected = image.of_case(&case);
    assert_eq!(
        expected.len(),
        count,
        "the questions that were answered, in the log"
    );
    loop {
        let search = ["search", "--case", &case, "--limit", "500"];
        let said = stage
            .ground
            .run_until("a search", || stage.ground.officer(&search));
        let json = said.json();
        let rows = json["page"]["rows"].as_array().unwrap().iter();
        let found: BTreeSet<_> = rows.map(|row| row["log_index"].as_u64().unwrap()).collect();
        if found == expected {
            break;
        }
        // It follows the log.
        assert!(found.is_subset(&expected), "the index finds what is not there");
        assert!(
            begun.elapsed() < PATIENCE,
            "{} of {} found",
            found.len(),
            expected.len()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.done.count("search compared with the log");
}

fn rebuild(ground: &Ground) -> Command {
    let mut command = Command::new(program("hitmachine-broker").unwrap());
    command.args(["rebuild-index", "--config"]);
    command.arg(ground.world.deployment.broker_config());
    command
}

/// Everything so far is erased, and the broker, the node or the command dies meanwhile. Afterwards nothing of it can be
/// read, what came later can, and the log says of each which it is.
pub(super) fn erasure(stage: &mut Stage, rng: &mut Rng) {
    let (victim, label) = match rng.below(4) {
        0 => (Victim::Command, "kill -9: officer's command, during an erasure"),
        1 => (Victim::Node(COORDINATOR), "kill -9: node, during an erasure"),
        _ => (Victim::Broker, "kill -9: broker, during an erasure"),
    };
    let from = stage.metric("hitmachine_log_entries");
    // Answers during it may be erased as well.
    stage.erasing = u64::MAX;
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let erase = ["erase", "--up-to", &month, "--yes"];
    let command = stage.ground.officer(&erase);
    stage.strike(rng, label, victim, command);
    stage.restart(victim);
    complete(&stage.ground);
    let said = stage
        .ground
        .run_until("the erasure after a kill", || stage.ground.officer(&erase));
    assert_eq!(said.code, 0, "{}", said.err);
    stage.erasing = stage.metric("hitmachine_log_entries");
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
    complete(&stage.ground);
    stage.kill_broker("kill -9: broker, during questions");
    let image = stage.check_log();
    let readable = image.0.iter().take(usize::try_from(from).unwrap());
    let readable = readable.filter(|entry| matches!(entry, Entry::Open(_))).count();
    assert_eq!(readable, 0, "entries that were erased can be read");
    stage.start_broker();
    stage.done.count("erasures finished after a kill");
}

/// Each entry is there or was provably erased.
pub(super) fn complete(ground: &Ground) {
    let said = ground.run_until("completeness", || ground.officer(&["completeness"]));
    let json = said.json();
    assert!(json["completeness"]["first_bad"].is_null(), "{json}");
}

/// Erasures that were meant were done.
pub(super) fn check_erasures(image: &Image) {
    let (meant, done) = (
        image.controls("erase-intent").len(),
        image.controls("erase-done").len(),
    );
    assert_eq!(meant, done, "erasures meant, and done");
}
