//! What a privacy officer waits for, with a log of a million entries.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_node::Node;
use hitmachine_node::control::{AskPerson, ClassWord, NumberKind, Reply, Request};
use hitmachine_node::officer::task::{Aim, OfficerAsk, OfficerReply, SearchAsk, Task};
use hitmachine_node::source::AgeBracket;
use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::process::program;
use hitmachine_tests::{logbook, screening};

use super::Bench;
use super::machine::Probe;
use super::receipts::sha256_us;
use super::stats::{Bar, Figure, Row, Unit, count};

const PART: &str = "officer";
/// The person whom the report is for, and how often one asked about him.
const PERSON: &str = "999990019";
const ASKED: usize = 20;
/// How often each task is done in a round.
const TIMES: usize = 7;
/// How long the index of the log may take to have caught up.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a task of a privacy officer finds: how many entries.
async fn found(node: &Arc<Node>, search: SearchAsk) -> usize {
    let ask = OfficerAsk {
        user: "functionaris".to_owned(),
        role: "privacyfunctionaris".to_owned(),
        responsible: None,
        reference: "AVG-2026-1".to_owned(),
        task: Task::Search(search),
    };
    let reply = node
        .handle(Request::Officer(Box::new(ask)), Arc::new(|_| ()))
        .await;
    match reply {
        Reply::Officer(OfficerReply::Page(page)) => page.rows.len(),
        // The index is not there yet.
        _ => 0,
    }
}

fn report() -> SearchAsk {
    let person = AskPerson {
        kind: NumberKind::Bsn,
        number: PERSON.to_owned().into(),
        class: ClassWord::Adult,
        age: AgeBracket::default(),
        reference: None,
    };
    SearchAsk {
        person: Some(person),
        aim: Aim::Report,
        proofs: true,
        limit: 100,
        ..SearchAsk::default()
    }
}

fn search() -> SearchAsk {
    SearchAsk {
        outcome: "could_not_ask".to_owned(),
        case: "ZK-2026-77".to_owned(),
        limit: 50,
        ..SearchAsk::default()
    }
}

/// Measures what the node does, with a running broker.
pub(crate) async fn rows(bench: &Bench, node: &Arc<Node>, entries: u64) -> Vec<Row> {
    bench.say("officer: questions about one person");
    for _ in 0..ASKED {
        let question = screening(node, PERSON, "1980-01-01");
        node.inquirer().ask(&question).await.unwrap();
    }
    bench.say("officer: the index of the log catches up");
    let begun = Instant::now();
    while found(node, report()).await < ASKED {
        assert!(
            begun.elapsed() < PATIENCE,
            "the index of the log does not catch up"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bench.say("officer: report and search");
    let probe = Probe::begin(&[]);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds() * TIMES {
        for (times, ask) in times.iter_mut().zip([report(), search()]) {
            let begun = Instant::now();
            assert!(found(node, ask).await > 0, "nothing is found");
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let noisy = probe.is_noisy();
    bench.weather.look();
    let [report, search] = times.map(|times| Figure::of(&times, Unit::Ms));
    let with = format!(
        "in a log of {} entries, all found proven by the node",
        count(entries)
    );
    vec![
        Row::new(PART, format!("report for a person with {ASKED} entries"), report)
            .bar(Bar::AtMost(50.0))
            .noisy(noisy)
            .detail(with.clone()),
        Row::new(PART, "search by case and outcome, a page of 50", search)
            .noisy(noisy)
            .detail(with),
    ]
}

/// Measures the check of the whole published log, whose broker has stopped.
#[expect(clippy::cast_precision_loss, reason = "entries of a log")]
pub(crate) fn verify(bench: &Bench, deployment: &Deployment, entries: u64) -> Vec<Row> {
    let tiles = deployment.dir().join("broker/data/audit/tiles");
    let log = logbook::verifier(deployment).to_string();
    let (mut ours, mut bound) = (Vec::new(), Vec::new());
    let probe = Probe::begin(&[]);
    for round in 0..bench.rounds() {
        bench.say(&format!("officer: verify, round {}", round + 1));
        let begun = Instant::now();
        let status = Command::new(program("hitmachine").unwrap())
            .args(["audit", "verify", "--log", &log])
            .arg(&tiles)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ours.push(begun.elapsed().as_secs_f64());
        assert!(status.unwrap().success(), "the published log does not verify");
        // A leaf of 33 bytes, and as many nodes of 65.
        bound.push(entries as f64 * (sha256_us(33) + sha256_us(65)) / 1e6);
    }
    let (ours, bound) = (
        Figure::of(&ours, Unit::Seconds),
        Figure::of(&bound, Unit::Seconds),
    );
    let row = Row::new(
        PART,
        format!("audit verify of {} published entries", count(entries)),
        ours,
    )
    .against("SHA-256 of all leaves and nodes, one thread", bound)
    .bar(Bar::RatioAtMost(2.0))
    .noisy(probe.is_noisy());
    vec![row]
}
