//! What goes wrong outside of the rules: networks, disks, clocks, files, and processes that die. Nothing acknowledged
//! is lost, nothing is taken for "not known" that could not be asked, and nothing is repaired that must not be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests: a failure is a failed test"
)]

#[path = "trouble/damage.rs"]
mod damage;
#[path = "trouble/disk.rs"]
mod disk;
#[path = "trouble/hub_gone.rs"]
mod hub_gone;
#[path = "trouble/node.rs"]
mod node;
#[path = "trouble/start.rs"]
mod start;
#[path = "trouble/term.rs"]
mod term;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitmachine_audit::{EntryKind, Hash};
use hitmachine_core::registry::{Change, Tally};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, Token};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::BROKER_NAME;
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::pki::{IssueOptions, test_oin};
use hitmachine_testkit::population::{AgeClass, LIST_FILE, Register};
use hitmachine_testkit::process::{BrokerProcess, node_command, program, terminate};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::logbook;
use hitmachine_tests::program::{
    self as run, assert_holds_none, broker_refuses, metric, replace, replace_after, until,
};
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::world::World;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use tonic::Code;

/// Does something bad to an installation.
type Damage<'a> = &'a dyn Fn();

/// Kills of a node in one run.
const KILLS: u64 = 30;

/// The first households of the screening list, as a list of its own.
fn short_list(world: &World, households: usize) -> PathBuf {
    let text = fs::read_to_string(world.deployment.registers().join(LIST_FILE)).unwrap();
    let mut seen = BTreeSet::new();
    let mut lines = text.lines();
    let mut short = lines.next().unwrap().to_owned() + "\n";
    let at = short
        .trim()
        .split(';')
        .position(|title| title == "huishouden")
        .unwrap();
    for line in lines {
        seen.insert(line.split(';').nth(at).unwrap());
        if seen.len() > households {
            break;
        }
        short.push_str(&format!("{line}\n"));
    }
    let path = world.deployment.registers().join("short.csv");
    fs::write(&path, short).unwrap();
    path
}

/// All persons of a screening report.
fn persons(report: &Value) -> impl Iterator<Item = &Value> {
    let households = report["households"].as_array().unwrap().iter();
    households.flat_map(|household| household["persons"].as_array().unwrap())
}

fn truth(world: &World) -> GroundTruth {
    ground_truth(&world.deployment.registers(), world.deployment.recipe().today).unwrap()
}

/// Compares the answers of a report with what the plain files say; how many persons were answered.
fn check_answers(world: &World, report: &Value) -> usize {
    let truth: BTreeMap<_, _> = truth(world)
        .per_person
        .into_iter()
        .map(|(_, label, statuses)| (label, statuses))
        .collect();
    let mut answered = 0;
    for person in persons(report) {
        let Some(answer) = person.get("answer") else {
            continue;
        };
        answered += 1;
        let statuses: BTreeMap<String, String> = answer["partners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["partner"].as_str().unwrap().into(),
                    row["status"].as_str().unwrap().into(),
                )
            })
            .collect();
        let expected: BTreeMap<String, String> = truth[person["label"].as_str().unwrap()]
            .iter()
            .map(|(partner, status)| {
                let word = match status {
                    Status::Known => "known",
                    Status::NotKnown => "not_known",
                    Status::DoesNotApply => "does_not_apply",
                };
                (partner.clone(), word.to_owned())
            })
            .collect();
        assert_eq!(statuses, expected, "{}", person["label"]);
    }
    answered
}

/// Screens the whole list; every answer must be the right one.
fn check_ground_truth(world: &World) {
    let said = world.screen(&world.deployment.registers().join(LIST_FILE));
    assert_eq!(said.code, 0, "{}", said.err);
    let report = said.json();
    assert_eq!(check_answers(world, &report), truth(world).persons);
}

/// Puts a copy back in the place of what is there.
fn restore(kept: &tempfile::TempDir, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    fs::create_dir(to).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(kept.path().join("."))
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}

/// Whether a broker starts with exactly the registers that the nodes hold, and agrees with them; otherwise it must have
/// refused with the remedy.
fn starts_whole(world: &World, what: &str) -> bool {
    let log = world.path("broker/broker.log");
    let before = fs::metadata(&log).map_or(0, |data| data.len());
    match BrokerProcess::start(&world.deployment, world.address) {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("exit status: 4"), "{what}: {text}");
            assert!(
                text.contains("rebuild-registry"),
                "{what}: the remedy is not named: {text}"
            );
            false
        }
        Ok(broker) => {
            let text = fs::read(&log).unwrap();
            let text = String::from_utf8_lossy(&text[usize::try_from(before).unwrap()..]).into_owned();
            for register in Register::ALL {
                let loaded = loaded(&text, register.id());
                assert_eq!(
                    loaded,
                    Some(world.members(register) as u64),
                    "{what}: {register}: {text}"
                );
            }
            assert_eq!(broker.stop().unwrap(), Some(0), "{what}");
            true
        }
    }
}

/// How many registrations of a partner the broker says it loaded at its last start.
fn loaded(log: &str, partner: &str) -> Option<u64> {
    let line = log
        .lines()
        .rfind(|line| line.contains("register loaded") && line.contains(partner))?;
    let count: String = line
        .split("count")
        .nth(1)?
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .collect();
    count
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .ok()
}
