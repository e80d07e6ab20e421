//! kill -9 of the broker at random moments, during a sync and a stream of questions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hitmachine_audit::Hash;
use hitmachine_node::Node;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::sync::SyncOptions;
use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::{BrokerProcess, free_address};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::{deployment, logbook, node, screening};

/// Kills in one run.
const KILLS: u64 = 100;
/// Questions under way at once.
const ASKERS: usize = 8;

/// What was released: leaf hash by index. Two answers for one index must agree.
type Released = Arc<Mutex<BTreeMap<u64, Hash>>>;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_at_100_random_kills() {
    let dir = tempfile::tempdir().unwrap();
    let deployment = deployment(&dir.path().join("d"), 7);
    let address = free_address().unwrap();
    let persons = persons_of(&deployment, Register::Regieteams);
    let source = deployment.registers().join(Register::Regieteams.file_name());
    let header = "wijk;bsn;geboortedatum;traject";

    let partner = Arc::new(node(&deployment, "regieteams", address).await);
    let coordinator = Arc::new(node(&deployment, "veiligheidshuis", address).await);
    let released: Released = Arc::default();
    let mut rng = Rng::new(20_261_121);
    let mut interrupted = 0;

    for round in 0..KILLS {
        let broker = BrokerProcess::start(&deployment, address).unwrap();
        // Each round about half of the persons are registered, so that each sync has something to do.
        let mut text = format!("{header}\r\n");
        for (place, (bsn, birth_date)) in persons.iter().enumerate() {
            if rng.below(2) == 0 {
                write!(text, "x;{bsn};{birth_date};RT-{round}-{place}\r\n").unwrap();
            }
        }
        std::fs::write(&source, text).unwrap();

        let stop = Arc::new(AtomicBool::new(false));
        let mut asking = Vec::new();
        for asker in 0..ASKERS {
            let (coordinator, released, stop) =
                (Arc::clone(&coordinator), Arc::clone(&released), Arc::clone(&stop));
            let (bsn, birth_date) = persons[(asker * 31) % persons.len()].clone();
            asking.push(tokio::spawn(ask_until(
                coordinator,
                bsn,
                birth_date,
                released,
                stop,
            )));
        }
        let syncing = {
            let partner = Arc::clone(&partner);
            tokio::spawn(async move { sync(&partner).await })
        };
        tokio::time::sleep(Duration::from_micros(rng.below(120_000))).await;
        broker.kill().unwrap();
        stop.store(true, Ordering::Relaxed);
        for task in asking {
            task.await.unwrap();
        }
        match syncing.await.unwrap() {
            Ok(full) => assert!(
                !full,
                "round {round}: acknowledged batches were lost, all was sent again"
            ),
            Err(code) => {
                interrupted += 1;
                assert!(
                    ["unreachable", "connection_refused", "protocol", "timed_out"].contains(&code.as_str()),
                    "{code}"
                );
            }
        }
        if round % 10 == 9 {
            check_log(&deployment, &released);
        }
    }
    assert!(
        interrupted > 10,
        "only {interrupted} syncs were cut off: the kills come too late"
    );

    // After the last restart the sync goes on where it was: nothing acknowledged is missing, and both sides agree.
    let broker = BrokerProcess::start(&deployment, address).unwrap();
    assert_eq!(sync(&partner).await, Ok(false));
    // One more question proves that the log only grew since every answer before.
    let (bsn, birth_date) = &persons[0];
    let last = coordinator
        .inquirer()
        .ask(&screening(&coordinator, bsn, birth_date))
        .await
        .unwrap();
    assert!(last.log_size > *released.lock().unwrap().keys().next_back().unwrap());
    assert_eq!(broker.stop().unwrap(), Some(0));
    check_log(&deployment, &released);
    let count = released.lock().unwrap().len();
    assert!(count > 300, "only {count} answers were released");
    println!("{KILLS} kills: {count} released answers, {interrupted} syncs cut off; all there");
}

/// Number and birth date of everybody in a register, from its plain file.
fn persons_of(deployment: &Deployment, register: Register) -> Vec<(String, String)> {
    let bytes = std::fs::read(deployment.registers().join(register.file_name())).unwrap();
    let text: String = bytes
        .iter()
        .filter(|byte| byte.is_ascii())
        .map(|byte| char::from(*byte))
        .collect();
    let mut persons: Vec<(String, String)> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut cells = line.split(';').skip(1);
            Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .filter(|(bsn, _)| bsn.len() == 9 && is_valid(bsn))
        .collect();
    persons.sort();
    persons.dedup_by(|a, b| a.0 == b.0);
    persons
}

fn is_valid(bsn: &str) -> bool {
    let first8 = bsn[..8].parse().unwrap();
    hitmachine_identifier::check_digit(first8).map(|digit| char::from(b'0' + digit)) == bsn.chars().last()
}

async fn sync(partner: &Node) -> Result<bool, String> {
    let options = SyncOptions {
        confirm_shrink: true,
        ..SyncOptions::default()
    };
    match partner.handle(Request::Sync(options), Arc::new(|_| ())).await {
        Reply::Synced(report) => Ok(report.full),
        Reply::Failed(failure) => Err(failure.code),
        other => panic!("{other:?}"),
    }
}

async fn ask_until(
    coordinator: Arc<Node>,
    bsn: String,
    birth_date: String,
    released: Released,
    stop: Arc<AtomicBool>,
) {
    let question = screening(&coordinator, &bsn, &birth_date);
    while !stop.load(Ordering::Relaxed) {
        match coordinator.inquirer().ask(&question).await {
            Ok(answer) => {
                let mut released = released.lock().unwrap();
                for person in &answer.persons {
                    let before = released.insert(person.log_index, person.leaf);
                    assert_eq!(before, None, "one place in the log, two answers");
                }
            }
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !error.contains("proven"),
                    "a released answer is not in the log: {error}"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

/// Opens the stopped broker's log and compares every answer that was ever released.
fn check_log(deployment: &Deployment, released: &Released) {
    let (_copies, recovery, log) = logbook::open(deployment);
    let released = released.lock().unwrap();
    let largest = released.keys().next_back().copied().unwrap_or(0);
    assert!(
        recovery.head.size > largest || released.is_empty(),
        "the log is shorter than a released answer"
    );
    let mut found = 0;
    for entry in log.entries() {
        let entry = entry.unwrap();
        if let Some(leaf) = released.get(&entry.index) {
            assert_eq!(entry.leaf_hash, *leaf, "entry {} changed", entry.index);
            found += 1;
        }
    }
    assert_eq!(found, released.len(), "a released answer is missing from the log");
}
