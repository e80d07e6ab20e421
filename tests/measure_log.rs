//! Measures the audit log at size, with the real programs: a broker answers until its log has so many entries, then
//! the search index is rebuilt and the published log verified, beside this machine's SHA-256 rate in the same run.
//!
//! `cargo run --release -p hitmachine-tests --example measure_log -- [ENTRIES]` (1,000,000 if absent). It asserts
//! nothing about time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hitmachine_testkit::deployment::{COORDINATOR, Deployment, Recipe};
use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use hitmachine_tests::figures::{disk, peak_rss};
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::{logbook, today};
use sha2::{Digest, Sha256};

/// Persons in one question, and questions in flight.
const HOUSEHOLD: usize = 16;
const IN_FLIGHT: usize = 8;

#[tokio::main]
async fn main() {
    let entries: usize = std::env::args()
        .nth(1)
        .map_or(1_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    let recipe = Recipe {
        seed: 1,
        persons: 300,
        today: today(),
        witnessed: false,
        live: Vec::new(),
    };
    let deployment = Deployment::create(&dir.path().join("d"), recipe).unwrap();
    let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();

    let begun = Instant::now();
    fill(&deployment, &broker, entries).await;
    let spent = begun.elapsed().as_secs_f64();
    println!(
        "{entries} entries asked and logged in {spent:.1} s ({:.0}/s)",
        entries as f64 / spent
    );
    println!("broker: peak {} resident", peak_rss(broker.id()));
    let begun = Instant::now();
    broker.stop().unwrap();
    println!(
        "stopped, and the rest published, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    println!(
        "SHA-256 of 65-byte nodes, one core: {:.2} M/s",
        sha256_rate() / 1e6
    );
    let broker_config = deployment.broker_config();
    let config = broker_config.to_str().unwrap();
    timed(
        &program("hitmachine-broker").unwrap(),
        &["rebuild-index", "--config", config],
        "index rebuilt",
    );
    let tiles = deployment.dir().join("broker/data/audit/tiles");
    let log = logbook::verifier(&deployment).to_string();
    let verify = ["audit", "verify", "--log", &log, tiles.to_str().unwrap()];
    timed(&program("hitmachine").unwrap(), &verify, "published log verified");
    for (name, path) in [
        ("frames", "audit/wal"),
        ("published log", "audit/tiles"),
        ("index", "audit-index"),
    ] {
        let bytes = disk(&deployment.dir().join("broker/data").join(path));
        println!("disk, {name}: {:.1} MB", bytes as f64 / 1e6);
    }
    let begun = Instant::now();
    let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
    println!(
        "started with this log in {:.2} s, peak {} resident",
        begun.elapsed().as_secs_f64(),
        peak_rss(broker.id())
    );
    broker.stop().unwrap();
}

/// Asks households of made-up pseudonyms until the log has so many entries.
async fn fill(deployment: &Deployment, broker: &BrokerProcess, entries: usize) {
    let (shared, asked) = (Arc::new(Shared::of(deployment)), Arc::new(AtomicUsize::new(0)));
    let wire = Wire::of(deployment, COORDINATOR, broker.address()).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (shared, asked, wire) = (Arc::clone(&shared), Arc::clone(&asked), wire.clone());
        asking.spawn(async move {
            loop {
                let first = asked.fetch_add(HOUSEHOLD, Ordering::Relaxed);
                if first >= entries {
                    return;
                }
                let tokens = (first..first + HOUSEHOLD).map(|n| shared.token(&format!("{n:09}")));
                let queries = tokens.map(|token| shared.query("screening", "informatiecoordinator", &token));
                let subjects = queries.flat_map(|query| query.subjects).collect();
                let mut query =
                    shared.query("screening", "informatiecoordinator", &shared.token("999990019"));
                query.subjects = subjects;
                let request = wire.request(wire::bytes(&query), vec![]);
                let answered = wire.ask(request).await.unwrap();
                assert_eq!(answered.answers.len(), HOUSEHOLD);
            }
        });
    }
    while asking.join_next().await.is_some() {}
}

fn timed(program: &Path, arguments: &[&str], what: &str) {
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut most = String::new();
    let status = loop {
        most = Some(peak_rss(child.id()))
            .filter(|now| now != "?")
            .unwrap_or(most);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    println!(
        "{what} in {:.2} s, peak {most} resident ({status})",
        begun.elapsed().as_secs_f64()
    );
}

fn sha256_rate() -> f64 {
    let (begun, count) = (Instant::now(), 2_000_000_u32);
    let mut node = [0; 65];
    for _ in 0..count {
        let hash = Sha256::digest(node);
        node[1..33].copy_from_slice(&hash);
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
