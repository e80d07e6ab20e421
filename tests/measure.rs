//! Measures one broker and one node as real processes: a first sync of a large register, and single questions.
//!
//! `cargo run --release -p hitmachine-tests --example measure -- [PERSONS]` (1,000,000 if absent). Prints figures
//! beside the machine's own flush latency and HMAC rate, measured in the same run. It asserts nothing about time.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hitmachine_node::Node;
use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey};
use hitmachine_testkit::deployment::{Deployment, Recipe};
use hitmachine_testkit::population::{Register, large_register};
use hitmachine_testkit::process::{BrokerProcess, free_address, node_command};
use hitmachine_tests::figures::{disk, peak_rss};
use hitmachine_tests::{node, screening, today};

/// How long each number of questions in flight is measured.
const EACH: Duration = Duration::from_secs(6);

#[tokio::main]
async fn main() {
    let persons: usize = std::env::args()
        .nth(1)
        .map_or(1_000_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir_in(".").unwrap();
    println!("flush of a 4 KiB append: {}", flush_latency(dir.path()));
    println!("HMAC-SHA256 tokens, one core: {:.2} M/s", hmac_rate() / 1e6);

    // Registers of more than about 5,600 persons use the wide test range, as this large one does.
    let recipe = Recipe {
        seed: 1,
        persons: 6_000,
        today: today(),
        witnessed: false,
        live: Vec::new(),
    };
    let deployment = Deployment::create(&dir.path().join("d"), recipe).unwrap();
    let large = deployment.registers().join(Register::OmReclassering.file_name());
    let style = large_register(&large, persons, 1, &["9"]).unwrap();
    write_source(&deployment, &style);
    println!(
        "source: {persons} rows, {:.1} MB",
        fs::metadata(&large).unwrap().len() as f64 / 1e6
    );

    let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
    measure_sync(&deployment, &broker, "first sync");
    measure_sync(&deployment, &broker, "again, nothing changed");
    println!(
        "broker: peak {} resident after {persons} registrations",
        peak_rss(broker.id())
    );
    for (name, path) in [
        ("broker registry", "broker/data/registry"),
        ("node state", "nodes/om-reclassering/state"),
    ] {
        println!(
            "disk, {name}: {:.1} MB",
            disk(&deployment.dir().join(path)) as f64 / 1e6
        );
    }

    let coordinator = Arc::new(node(&deployment, "veiligheidshuis", broker.address()).await);
    let register = fs::read_to_string(&large).unwrap();
    let known: Vec<String> = register
        .lines()
        .skip(1)
        .step_by(persons / 500 + 1)
        .map(|line| line.split(style.delimiter).next().unwrap().to_owned())
        .collect();
    for in_flight in [1, 16, 64] {
        measure_questions(&coordinator, &known, in_flight).await;
    }
    println!("broker: peak {} resident", peak_rss(broker.id()));
    broker.stop().unwrap();
}

fn write_source(deployment: &Deployment, style: &hitmachine_testkit::population::SourceStyle) {
    let config = deployment.node_config("om-reclassering");
    let text = fs::read_to_string(&config).unwrap();
    let head = text.split("[[source]]").next().unwrap();
    let delimiter = if style.delimiter == '\t' {
        "\\t".to_owned()
    } else {
        style.delimiter.to_string()
    };
    let source = format!(
        "[[source]]\npath = \"../../registers/{}\"\ndelimiter = \"{delimiter}\"\n\n[source.columns]\nidentifier = \"{}\"\nnumeric = {}\nbirth_date = \"{}\"\nreference = \"{}\"\n",
        Register::OmReclassering.file_name(),
        style.bsn_column,
        style.numeric_bsn,
        style.birth_date_column,
        style.reference_column
    );
    fs::write(config, format!("{head}{source}")).unwrap();
}

fn measure_sync(deployment: &Deployment, broker: &BrokerProcess, name: &str) {
    let mut command = node_command(deployment, "om-reclassering", broker.address()).unwrap();
    let begun = Instant::now();
    let mut child = command
        .args(["--json", "sync"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak = String::new();
    while child.try_wait().unwrap().is_none() {
        let now = peak_rss(child.id());
        if now != "?" {
            peak = now;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let wall = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the sync failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = report["registered"].as_u64().unwrap();
    println!(
        "{name}: {sent} registrations in {wall:.2} s ({:.0}/s); read {:.2} s, pseudonyms {:.2} s, compare and send {:.2} s; node peak {peak}",
        sent as f64 / wall,
        report["seconds"][0].as_f64().unwrap(),
        report["seconds"][1].as_f64().unwrap(),
        report["seconds"][2].as_f64().unwrap(),
    );
}

/// Questions over one connection, each with its receipt verified and its head stored by the asking node.
async fn measure_questions(coordinator: &Arc<Node>, known: &[String], in_flight: usize) {
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..in_flight {
        let (coordinator, known, next) = (Arc::clone(coordinator), known.to_vec(), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < EACH {
                let bsn = &known[next.fetch_add(1, Ordering::Relaxed) % known.len()];
                let question = screening(&coordinator, bsn, "1980-01-01");
                let asked = Instant::now();
                coordinator.inquirer().ask(&question).await.unwrap();
                times.push(asked.elapsed());
            }
            times
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{in_flight} in flight: {:.0} questions/s, p50 {:.2} ms, p99 {:.2} ms ({} in all)",
        times.len() as f64 / seconds,
        at(50),
        at(99),
        times.len()
    );
}

fn flush_latency(dir: &Path) -> String {
    let mut file = File::create(dir.join("flush")).unwrap();
    let block = [7; 4096];
    let mut times: Vec<f64> = (0..400)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&block).unwrap();
            file.sync_data().unwrap();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    format!("p50 {:.3} ms, p99 {:.3} ms", times[200], times[396])
}

fn hmac_rate() -> f64 {
    let key = HmacSha256Pseudonymiser::new(
        NodeKey::from_bytes([7; 32]),
        DeploymentId::from_bytes([1; 16]),
        KeyEpoch::FIRST,
    );
    let id = hitmachine_pseudonym::CanonicalIdentifier::new(
        hitmachine_pseudonym::IdentifierType::Bsn,
        b"999990019",
    )
    .unwrap();
    let begun = Instant::now();
    let count = 2_000_000;
    for _ in 0..count {
        std::hint::black_box(key.token(std::hint::black_box(&id)));
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}
