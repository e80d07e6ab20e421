//! No answer leaves before its entry is durable, and one flush serves one batch: read from the system calls of the
//! real broker.
//!
//! `strace -f -yy` writes one line for each system call in the order in which it saw them, with the file or the
//! connection behind each descriptor (`fdatasync(9</…/wal/2026-11/0000000001.seg>) = 0`). A call during which
//! another thread was seen has two lines, `… <unfinished ...>` where it began and `… resumed>…` where it returned. So
//! the place of a line in the file is a clock that all threads share, and each call has the place where it began and
//! the place where it returned.
//!
//! Each asker has a connection of its own and waits for its answer before it asks again. Handshakes, and all else that
//! a connection needs once, are over before the first question; the trace is read from there. So what the broker reads
//! from a connection is a question, and what it writes after that is the answer to it. (HTTP/2 and TLS are opaque here,
//! but what they say of their own accord is small: a settings, ping or window frame has less than 70 bytes encrypted. A
//! question has some 290 bytes, an answer with its receipt 900 and more.)
//!
//! Of an answer's batch nothing is visible but this: the batch was begun after the question was read. So the batch of
//! an answer is one whose flush began after that, and the first byte of the answer must come after the return of one
//! of those.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_node::control::{Reply, Request};
use hitmachine_node::sync::SyncOptions;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::population::{LIST_FILE, Register};
use hitmachine_testkit::process::{BrokerProcess, free_address, terminate};
use hitmachine_tests::{deployment, logbook, node, screening};

/// Questions in each of the two parts.
const QUESTIONS: usize = 200;
/// Askers at once in the second part.
const IN_FLIGHT: usize = 16;
/// What is read or written in one piece and no larger than this is only frames of HTTP/2 itself.
const LARGEST_FRAME: i64 = 70;

#[tokio::test(flavor = "multi_thread")]
async fn one_flush_for_each_batch_and_no_answer_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let deployment = deployment(&dir.path().join("d"), 11);
    // A node that also makes its queue of persons to be informed durable asks too slowly to fill a batch.
    let config = deployment.node_config(COORDINATOR);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\n[notification]\nenabled = false\n").unwrap();
    let address = free_address().unwrap();
    let trace = dir.path().join("trace");
    let broker = Traced::start(&deployment, address, &trace);

    let partner = node(&deployment, Register::Regieteams.id(), address).await;
    let synced = partner
        .handle(Request::Sync(SyncOptions::default()), Arc::new(|_| ()))
        .await;
    assert!(matches!(synced, Reply::Synced(_)), "{synced:?}");
    let persons = persons(&deployment);

    let mut askers = Vec::new();
    for number in 0..=IN_FLIGHT {
        askers.push(Arc::new(asker(&deployment, address, dir.path(), number).await));
    }
    // Every asker has connected and knows the covenant, and strace has written all that (a line each, at once).
    let begun = std::fs::read_to_string(&trace).unwrap().lines().count();
    for number in 0..QUESTIONS {
        ask(&askers[0], &persons, number).await;
    }
    let mut asking = Vec::new();
    for (number, asker) in askers.iter().skip(1).enumerate() {
        let (asker, persons) = (Arc::clone(asker), persons.clone());
        asking.push(tokio::spawn(async move {
            for question in (number..QUESTIONS).step_by(IN_FLIGHT) {
                ask(&asker, &persons, question).await;
            }
        }));
    }
    for task in asking {
        task.await.unwrap();
    }
    let page = broker.broker.metrics().unwrap();
    broker.stop();

    let entries = 2 * QUESTIONS as u64;
    assert!(
        page.contains(&format!("hitmachine_log_entries {entries}\n")),
        "{page}"
    );
    let frames = frames(&deployment, entries);
    let calls = read_trace(&std::fs::read_to_string(&trace).unwrap());
    let flushes = flushes(&calls);
    assert_eq!(flushes.len(), frames, "one flush of the log for each batch in it");

    let connections = connections(&calls, address.port(), begun);
    // The first connection that asks is that of the sequential part.
    let mut answers: Vec<Vec<Answer>> = connections.values().map(|calls| answers(calls)).collect();
    answers.retain(|answers| !answers.is_empty());
    answers.sort_by_key(|answers| answers[0].read);
    let counts: Vec<usize> = answers.iter().map(Vec::len).collect();
    assert_eq!(counts.len(), 1 + IN_FLIGHT, "{counts:?}");
    assert_eq!(counts[0], QUESTIONS);
    assert_eq!(counts[1..].iter().sum::<usize>(), QUESTIONS, "{counts:?}");

    let between = |answer: &Answer| {
        flushes
            .iter()
            .filter(|flush| flush.began > answer.read && flush.returned < answer.written)
            .count()
    };
    for (number, answer) in answers[0].iter().enumerate() {
        assert_eq!(
            between(answer),
            1,
            "question {number} alone: flushes between question and answer"
        );
    }
    for (number, answer) in answers[1..].iter().flatten().enumerate() {
        assert!(
            between(answer) > 0,
            "question {number} of {IN_FLIGHT} in flight was answered before a flush"
        );
    }
    let together = frames - QUESTIONS;
    println!(
        "{QUESTIONS} alone: {QUESTIONS} flushes; {QUESTIONS} with {IN_FLIGHT} in flight: {together} flushes"
    );
    assert!(
        together < QUESTIONS * 3 / 4,
        "questions that come together share a flush, so this part shows nothing"
    );
}

/// The broker under `strace`. Dropped, it takes the broker along, which strace alone would leave running.
struct Traced {
    broker: BrokerProcess,
    /// The broker itself; `broker` is strace.
    process: u32,
}

impl Traced {
    fn start(deployment: &Deployment, address: std::net::SocketAddr, trace: &Path) -> Self {
        let found = Command::new("strace").arg("--version").output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "this test needs strace: apt-get install -y --no-install-recommends strace"
        );
        let mut command = Command::new("strace");
        let calls = "trace=fdatasync,fsync,read,readv,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg";
        // `-s 0`: what is read and written is nobody's business, only how much.
        command
            .args([
                "-f",
                "-yy",
                "-tt",
                "-s",
                "0",
                "-e",
                calls,
                "-e",
                "signal=none",
                "-o",
            ])
            .arg(trace)
            .arg("--");
        command.arg(hitmachine_testkit::process::program("hitmachine-broker").unwrap());
        let broker = BrokerProcess::start_with(command, deployment, address).unwrap();
        // The first call that strace saw is the broker's first thread's.
        let text = std::fs::read_to_string(trace).unwrap();
        let process = text.split_whitespace().next().unwrap().parse().unwrap();
        Self { broker, process }
    }

    fn stop(mut self) {
        terminate(self.process).unwrap();
        // strace ends with the exit code of what it traced.
        assert_eq!(self.broker.wait(Duration::from_secs(30)).unwrap(), Some(0));
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nothing more can be done if it has gone.
            let _ = terminate(self.process);
        }
    }
}

/// A coordinator with a connection, and therefore a state, of its own.
async fn asker(deployment: &Deployment, address: std::net::SocketAddr, dir: &Path, number: usize) -> Node {
    let mut config = NodeConfig::load(&deployment.node_config(COORDINATOR)).unwrap();
    config.broker.address = address.to_string();
    config.broker.timeout_seconds = 60;
    config.state_dir = dir.join(format!("asker{number}"));
    let node = Node::open(config).await.unwrap();
    assert_eq!(node.status(false).await.hub, "ok");
    node
}

async fn ask(asker: &Node, persons: &[(String, String)], number: usize) {
    let (bsn, birth_date) = &persons[number % persons.len()];
    asker
        .inquirer()
        .ask(&screening(asker, bsn, birth_date))
        .await
        .unwrap();
}

/// Number and birth date of everybody on the screening list.
fn persons(deployment: &Deployment) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(deployment.registers().join(LIST_FILE)).unwrap();
    let rows = text
        .lines()
        .skip(1)
        .map(|line| line.split(';').collect::<Vec<_>>());
    rows.map(|cells| (cells[1].to_owned(), cells[2].to_owned()))
        .collect()
}

/// How many frames, which is batches, the log of the stopped broker has; it must have so many entries.
fn frames(deployment: &Deployment, entries: u64) -> usize {
    let (_copies, recovery, _log) = logbook::open(deployment);
    assert_eq!((recovery.head.size, recovery.torn), (entries, None));
    recovery.frames
}

/// One system call.
#[derive(Debug)]
struct Call {
    name: String,
    /// The file or connection behind its descriptor.
    target: String,
    /// Places in the trace.
    began: usize,
    returned: usize,
    /// What it returned; bytes, for reading and writing.
    result: i64,
}

/// Parses a trace: lines `thread time name(descriptor<target>, …) = result`, or two halves of one.
fn read_trace(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<&str, (String, String, usize)> = BTreeMap::new();
    for (place, line) in text.lines().enumerate() {
        // The number of the thread is padded; behind the time is the call.
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((_time, call)) = rest.trim_start().split_once(' ') else {
            continue;
        };
        let (name, target, began) = if call.starts_with("<... ") {
            unfinished
                .remove(thread)
                .unwrap_or_else(|| panic!("line {place} resumes nothing: {line}"))
        } else if let Some((name, arguments)) = call.split_once('(') {
            (name.to_owned(), target_of(arguments), place)
        } else {
            // "+++ exited with 0 +++"
            continue;
        };
        if call.ends_with("<unfinished ...>") {
            let before = unfinished.insert(thread, (name, target, began));
            assert!(before.is_none(), "line {place}: a thread in two calls");
            continue;
        }
        let result = call
            .rsplit_once(" = ")
            .and_then(|(_, result)| result.split(' ').next()?.parse().ok());
        // A call that never returned because the process ended shows "= ?".
        if let Some(result) = result {
            calls.push(Call {
                name,
                target,
                began,
                returned: place,
                result,
            });
        }
    }
    calls
}

/// What stands between `<` and the last `>` of the first argument. Addresses of connections have `->` inside, and
/// `[`…`]` around.
fn target_of(arguments: &str) -> String {
    let target = arguments.split_once('<').map_or("", |(_, rest)| rest);
    let end = if target.starts_with("TCP") {
        target.find("]>")
    } else {
        target.find('>')
    };
    end.map_or("", |end| &target[..end]).to_owned()
}

fn is_write(call: &Call) -> bool {
    ["write", "writev", "pwrite64", "sendto", "sendmsg"].contains(&call.name.as_str()) && call.result > 0
}

fn is_read(call: &Call) -> bool {
    ["read", "readv", "recvfrom", "recvmsg"].contains(&call.name.as_str()) && call.result > 0
}

/// The flushes of the audit log's segments. Each follows one write, and nothing is written without one.
fn flushes(calls: &[Call]) -> Vec<&Call> {
    let is_segment = |call: &&Call| {
        PathBuf::from(&call.target)
            .extension()
            .is_some_and(|ending| ending == "seg")
    };
    let mut of_log: Vec<&Call> = calls
        .iter()
        .filter(is_segment)
        .filter(|call| is_write(call) || ["fdatasync", "fsync"].contains(&call.name.as_str()))
        .collect();
    of_log.sort_by_key(|call| call.began);
    let mut flushes = Vec::new();
    for pair in of_log.chunks(2) {
        let [write, flush] = pair else {
            panic!("a write without a flush at the end: {pair:?}")
        };
        assert!(is_write(write), "two flushes, or one without a write: {pair:?}");
        assert_eq!((flush.name.as_str(), flush.result), ("fdatasync", 0), "{pair:?}");
        assert!(write.returned < flush.began, "{pair:?}");
        flushes.push(*flush);
    }
    flushes
}

/// What the broker read from and wrote to each connection of its port, in order, from line `begun` on.
fn connections(calls: &[Call], port: u16, begun: usize) -> BTreeMap<&str, Vec<&Call>> {
    let mut connections: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in calls
        .iter()
        .filter(|call| call.began >= begun && (is_read(call) || is_write(call)))
    {
        if call.target.starts_with("TCP") && call.target.contains(&format!(":{port}->")) {
            connections.entry(&call.target).or_default().push(call);
        }
    }
    for calls in connections.values_mut() {
        calls.sort_by_key(|call| call.began);
    }
    connections
}

/// Where a question had been read, and where the writing of its answer began.
struct Answer {
    read: usize,
    written: usize,
}

/// The questions of one connection.
fn answers(calls: &[&Call]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut question = None;
    for call in calls.iter().filter(|call| call.result > LARGEST_FRAME) {
        if is_read(call) {
            // A question that comes in two pieces is there with the second.
            question = Some(call.returned);
        } else if let Some(read) = question.take() {
            // Further pieces of the same answer come after this one.
            answers.push(Answer {
                read,
                written: call.began,
            });
        }
    }
    answers
}
