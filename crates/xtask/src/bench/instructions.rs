//! Instructions of the broker for one question, counted by callgrind: a figure that does not wobble with the machine.
//!
//! The broker runs twice, with so many questions and with twice as many; what it takes to start and to stop is in both.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use hitmachine_tests::node;

use super::Bench;
use super::ground;
use super::stats::{Figure, Row, Unit};

const PART: &str = "instructions";
/// Functions shown.
const SHOWN: usize = 12;
/// Questions in flight: one, and as many as share a flush on a busy day.
const LEVELS: [usize; 2] = [1, 16];
/// How long the first question may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Instructions by function, and of all of them.
struct Counted {
    functions: BTreeMap<String, f64>,
    all: f64,
}

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Vec<Row> {
    let there = Command::new("valgrind").arg("--version").output();
    assert!(
        there.is_ok_and(|said| said.status.success()),
        "install the Debian package valgrind"
    );
    let questions = if bench.quick() { 60 } else { 240 };
    let mut rows = Vec::new();
    for level in LEVELS {
        let mut counted = Vec::new();
        for times in [questions, 2 * questions] {
            bench.say(&format!("instructions: {times} questions, {level} in flight"));
            let dir = bench.dir(&format!("callgrind-{level}-{times}"));
            counted.push(count(&dir, level, times).await);
        }
        let [few, many] = counted.as_slice() else { continue };
        rows.push(row(level, questions, few, many));
    }
    rows
}

async fn count(dir: &Path, in_flight: usize, questions: usize) -> Counted {
    fs::create_dir_all(dir).unwrap();
    let deployment = ground::deployment(&dir.join("d"), &[]);
    let out = dir.join("callgrind.out");
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=callgrind",
            "--quiet",
            "--dump-line=no",
            "--fair-sched=yes",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program("hitmachine-broker").unwrap());
    let broker = BrokerProcess::start_with(command, &deployment, free_address().unwrap()).unwrap();
    let node = Arc::new(node(&deployment, "veiligheidshuis", broker.address()).await);
    let question = hitmachine_tests::screening(&node, "999990019", "1980-01-01");
    // The connection and the covenant are there. Under callgrind the handshake takes long, and may be given up once.
    let begun = Instant::now();
    while let Err(error) = node.inquirer().ask(&question).await {
        assert!(
            begun.elapsed() < PATIENCE,
            "the broker under callgrind does not answer: {error}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let question = Arc::new(question);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (node, question) = (Arc::clone(&node), Arc::clone(&question));
        asking.spawn(async move {
            for _ in 0..questions / in_flight {
                node.inquirer().ask(&question).await.unwrap();
            }
        });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
    assert_eq!(
        broker.stop().unwrap(),
        Some(0),
        "the broker under callgrind does not stop in order"
    );
    annotated(&out)
}

/// What `callgrind_annotate` says of each function itself.
fn annotated(out: &Path) -> Counted {
    let said = Command::new("callgrind_annotate")
        .args(["--threshold=100", "--auto=no", "--show-percs=no"])
        .arg(out)
        .output()
        .unwrap();
    assert!(said.status.success(), "callgrind_annotate failed");
    let text = String::from_utf8_lossy(&said.stdout);
    let mut counted = Counted {
        functions: BTreeMap::new(),
        all: 0.0,
    };
    for line in text.lines() {
        let Some((count, rest)) = line.trim_start().split_once(' ') else {
            continue;
        };
        let Ok(count) = count.replace(',', "").parse::<f64>() else {
            continue;
        };
        if rest.contains("PROGRAM TOTALS") {
            counted.all = count;
        } else if let Some((_, name)) = rest.trim().split_once(':') {
            *counted.functions.entry(readable(name)).or_default() += count;
        }
    }
    assert!(counted.all > 0.0, "callgrind_annotate says no total");
    counted
}

/// A function's name without its library, its hash and the parameters of its types.
fn readable(name: &str) -> String {
    let name = name.split(" [").next().unwrap_or(name);
    let (mut plain, mut depth) = (String::new(), 0_usize);
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    // `<T as Trait>::method` has its name inside the brackets.
    let plain = if plain.starts_with("::") || plain.is_empty() {
        let inside = name.trim_start_matches('<');
        let kind = inside.split([' ', '<', '>']).next().unwrap_or_default();
        format!("{kind}{plain}")
    } else {
        plain
    };
    let hash = plain.rfind("::h").filter(|at| plain.len() - at == 19);
    plain[..hash.unwrap_or(plain.len())].to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds of questions")]
fn row(level: usize, questions: usize, few: &Counted, many: &Counted) -> Row {
    let asked = (questions / level * level) as f64;
    let each = (many.all - few.all) / asked;
    let mut functions: Vec<(&str, f64)> = many
        .functions
        .iter()
        .map(|(name, count)| {
            let before = few.functions.get(name).copied().unwrap_or(0.0);
            (name.as_str(), (count - before) / asked)
        })
        .collect();
    functions.sort_by(|one, other| other.1.total_cmp(&one.1));
    let what = format!("broker, one question, {level} in flight");
    let mut row = Row::new(PART, what, Figure::once(each, Unit::Instructions));
    for (name, count) in functions.into_iter().take(SHOWN) {
        row = row.detail(format!("{:.1} % {name}", 100.0 * count / each));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_can_be_read() {
        for (name, expected) in [
            ("a::b::c::h0123456789abcdef [/x/y]", "a::b::c"),
            (
                "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
                "alloc::vec::Vec::clone",
            ),
            ("a::b<c::d>::e", "a::b::e"),
            ("memcpy", "memcpy"),
        ] {
            assert_eq!(readable(name), expected);
        }
    }
}
