//! Kills during a change of covenant and a change of key epoch.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hitmachine_node::NodeConfig;
use hitmachine_pseudonym::KeyEpoch;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::program;
use hitmachine_testkit::rng::Rng;
use serde_json::Value;

use super::ground::{ASKS, Ground, PATIENCE, SERVING, TOLD};
use super::ledger::Image;
use super::stage::{Stage, Victim};
use crate::program::{Said, until};

/// The number of the covenant on the disk.
fn number(ground: &Ground) -> u32 {
    let file = fs::read(ground.world.deployment.covenant()).unwrap();
    hitmachine_core::Covenant::parse(&file).unwrap().number()
}

/// The covenant changes, and the broker or a node dies while it takes it up. It is in force, whole, and logged once.
pub(super) fn covenant(stage: &mut Stage, rng: &mut Rng) {
    let path = stage.ground.world.deployment.covenant();
    let text = fs::read_to_string(&path).unwrap();
    let next = number(&stage.ground) + 1;
    let before = format!("version = {}\n", next - 1);
    let mut text = text.replacen(&before, &format!("version = {next}\n"), 1);
    // How many persons a question may be about: a change of which every answer stays right.
    let (from, to) = if text.contains("max_subjects = 8") {
        (8, 9)
    } else {
        (9, 8)
    };
    text = text.replacen(
        &format!("max_subjects = {from}"),
        &format!("max_subjects = {to}"),
        1,
    );
    let (victim, label) = match rng.below(3) {
        0 => (
            Victim::Node(COORDINATOR),
            "kill -9: node, during a change of covenant",
        ),
        _ => (Victim::Broker, "kill -9: broker, during a change of covenant"),
    };
    // In one step, as an administrator's tool would.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    let mut command = Command::new("sh");
    let told = "mv \"$1\" \"$2\" && kill -HUP \"$3\"; sleep 0.1";
    command.args(["-c", told, "sh"]).arg(&new).arg(&path);
    command.arg(stage.broker_id().to_string());
    stage.strike(rng, label, victim, command);
    stage.restart(victim);
    until("the covenant is in force", || {
        stage.metric("hitmachine_covenant_number") == u64::from(next)
    });
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
}

/// Each change of covenant is in the log, in its order. A broker that died between the entry and taking the covenant up
/// takes it up at its start, and says so again; how often.
pub(super) fn check_covenants(ground: &Ground, image: &Image) -> u64 {
    let logged = image.controls("covenant");
    let numbers = logged.iter().map(|entry| entry["number"].as_u64().unwrap());
    let mut once: Vec<_> = numbers.collect();
    once.dedup();
    let expected: Vec<_> = (2..=u64::from(number(ground))).collect();
    assert_eq!(once, expected, "changes of covenant in the log");
    for pair in logged.windows(2) {
        let again = pair[0]["sha256"] == pair[1]["sha256"] && pair[0]["number"] == pair[1]["number"];
        assert!(again || pair[0]["sha256"] == pair[1]["previous_sha256"]);
    }
    (logged.len() - once.len()) as u64
}

/// Runs `hitmachine epoch …` at the hub.
fn epoch(ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("hitmachine").unwrap());
    command.arg("epoch").args(arguments);
    if arguments[0] != "key" {
        command
            .arg("--config")
            .arg(ground.world.deployment.broker_config());
    }
    command.args(["--lang", "en", "--json"]);
    command
}

/// How the epochs are, as soon as the broker says so.
fn status(ground: &Ground) -> Value {
    let begun = Instant::now();
    loop {
        let said = ground.run(epoch(ground, &["status"]));
        if said.code == 0 {
            return said.json();
        }
        assert!(said.code == 3 && begun.elapsed() < PATIENCE, "{}", said.err);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn states(view: &Value) -> Vec<&str> {
    let epochs = view["epochs"].as_array().unwrap().iter();
    epochs.map(|epoch| epoch["state"].as_str().unwrap()).collect()
}

/// Does one step with a kill in it, and again until it is done; never is anything but before or after.
fn step(stage: &mut Stage, rng: &mut Rng, arguments: &[&str], before: &[&str], after: &[&str]) {
    let (victim, label) = match rng.below(4) {
        0 => (
            Victim::Command,
            "kill -9: operator's command, during a change of epoch",
        ),
        1 => (
            Victim::Node(SERVING[rng.index(3)]),
            "kill -9: node, during a change of epoch",
        ),
        _ => (Victim::Broker, "kill -9: broker, during a change of epoch"),
    };
    let command = epoch(&stage.ground, arguments);
    let said = stage.strike(rng, label, victim, command);
    stage.restart(victim);
    let view = status(&stage.ground);
    let now = states(&view);
    assert!(now == before || now == after, "{arguments:?}: {now:?}");
    if said.is_some_and(|said| said.code == 0) {
        assert_eq!(now, after, "{arguments:?} was done, and is not");
    }
    if now == before {
        let begun = Instant::now();
        let said = loop {
            let said: Said = stage.ground.run(epoch(&stage.ground, arguments));
            // A node that has just started again has not said yet which keys it has.
            if said.code != 1 || !said.out.contains("epoch_not_ready") || begun.elapsed() > PATIENCE {
                break said;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(
            said.code, 0,
            "{arguments:?} after a kill: {} {}",
            said.out, said.err
        );
        assert_eq!(states(&said.json()), after);
    }
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
}

/// A new node key, and its key check value.
fn new_key(ground: &Ground) -> (PathBuf, String) {
    let file = ground.world.path("next.key");
    let config = NodeConfig::load(&ground.world.deployment.node_config(COORDINATOR)).unwrap();
    let (name, id) = (file.to_str().unwrap(), &config.deployment.id);
    let said = ground.run(epoch(ground, &["key", name, "--number", "2", "--deployment", id]));
    let check = said.json()["key_check_value"].as_str().unwrap().to_owned();
    (file, check)
}

/// Puts the key where a node finds it, in one step.
fn hand_over(ground: &Ground, key: &Path, partner: &str) {
    let dir = ground.world.path("nodes").join(partner);
    fs::copy(key, dir.join("arriving.key")).unwrap();
    fs::rename(dir.join("arriving.key"), dir.join("next-node-key.key")).unwrap();
}

/// The key epoch changes under questions, with a kill in each step and in the filling of registers. No answer is wrong,
/// nobody is left behind, and in the end nothing of the old epoch is there. Where the new key is.
pub(super) fn epochs(stage: &mut Stage, rng: &mut Rng) -> PathBuf {
    let (key, check) = new_key(&stage.ground);
    let second = KeyEpoch::new(2).unwrap();
    stage.ground.tokens.add(second, &key);
    let prepare = ["prepare", "--number", "2", "--key-check-value", &check];
    step(stage, rng, &prepare, &["active"], &["active", "prepared"]);
    for partner in Register::ALL.map(Register::id).into_iter().chain([COORDINATOR]) {
        hand_over(&stage.ground, &key, partner);
    }
    step(
        stage,
        rng,
        &["fill"],
        &["active", "prepared"],
        &["active", "filling"],
    );
    for register in Register::ALL {
        let partner = register.id();
        if rng.percent(50) {
            let (victim, label) = match rng.below(3) {
                0 => (Victim::Broker, "kill -9: broker, while an epoch is filled"),
                1 if [TOLD, ASKS].contains(&partner) => {
                    (Victim::Node(partner), "kill -9: node, while an epoch is filled")
                }
                _ => (
                    Victim::Command,
                    "kill -9: node's command, while an epoch is filled",
                ),
            };
            let command = stage.ground.node(partner, &["sync"]);
            stage.strike(rng, label, victim, command);
            stage.restart(victim);
        }
        let sync = || stage.ground.node(partner, &["sync"]);
        let begun = Instant::now();
        loop {
            let report = stage.ground.run_until("filling", sync).json();
            let members = stage.ground.truth.count(register);
            assert_eq!(report["persons"], members, "{partner}");
            // A hub that just came back may not have said yet that it fills.
            if let Some(next) = report.get("next_epoch") {
                assert_eq!(next["persons"], members, "{partner}, next epoch");
                break;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{partner} does not fill the next epoch"
            );
        }
    }
    until("everybody is ready", || {
        let view = status(&stage.ground);
        let partners = view["partners"].as_array().unwrap();
        partners.iter().all(|row| row["ready"] == true)
    });
    step(
        stage,
        rng,
        &["switch"],
        &["active", "filling"],
        &["draining", "active"],
    );
    until("the nodes ask in the new epoch", || {
        SERVING.into_iter().all(|partner| {
            let said = stage.ground.run(stage.ground.node(partner, &["status"]));
            said.json()["key_epoch"] == 2
        })
    });
    step(
        stage,
        rng,
        &["retire", "--early"],
        &["draining", "active"],
        &["retired", "active"],
    );
    until("the old tags are gone", || {
        !stage.ground.world.path("broker/data/registry").exists()
    });
    stage.done.count("key epochs changed through kills");
    key
}
