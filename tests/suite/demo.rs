//! `hitmachine demo` as a stranger runs it, held against a ground truth in another language.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::process::program;
use hitmachine_tests::today;
use serde_json::{Value, json};

/// Seeds of the demo that are held against the ground truth, from 1.
const SEEDS: u64 = 24;
/// How long a demo may take to be ready, or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn demo(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("hitmachine").unwrap());
    command
        .args(["demo", "--lang", "en", "--dir"])
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a demo that must end well; its summary.
fn summary(dir: &Path, arguments: &[&str]) -> Value {
    let output = demo(dir, arguments).args(["--once", "--json"]).output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{}",
        output.status,
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What the plain registers say, by a program that shares nothing with the product.
fn ground_truth(dir: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ground_truth.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(dir.join("registers"))
        .arg(today().to_string())
        .output();
    let output = output.expect("this test needs python3 (its standard library is enough) in the path");
    assert!(
        output.status.success(),
        "ground_truth.py: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the summary says about every person, in the form and order of the ground truth.
fn per_person(summary: &Value) -> Value {
    let mut persons = Vec::new();
    for household in summary["screening"]["households"].as_array().unwrap() {
        assert_eq!(household["bad_rows"], json!([]));
        for person in household["persons"].as_array().unwrap() {
            let rows = person["answer"]["partners"].as_array().unwrap();
            let statuses: serde_json::Map<String, Value> = rows
                .iter()
                .map(|row| {
                    // How to reach a partner is told where somebody is known, and nowhere else.
                    assert_eq!(row.get("contact").is_some(), row["status"] == "known");
                    (row["partner"].as_str().unwrap().to_owned(), row["status"].clone())
                })
                .collect();
            assert_eq!(statuses.len(), rows.len(), "a partner stands in an answer twice");
            persons.push(json!([household["household"], person["label"], statuses]));
        }
    }
    Value::Array(persons)
}

/// Holds a summary against the ground truth of the folder it was made in; what it says about everybody.
fn check(name: &str, dir: &Path, summary: &Value) -> Value {
    let truth = ground_truth(dir);
    for field in [
        "households",
        "persons",
        "households_without_municipal_indication",
        "of_those_known_at_om",
        "hits_per_partner",
    ] {
        assert!(
            !truth[field].is_null(),
            "{name}: {field} is not in the ground truth"
        );
        assert_eq!(summary[field], truth[field], "{name}: {field}");
    }
    let found = per_person(summary);
    let (found_rows, true_rows) = (found.as_array().unwrap(), truth["per_person"].as_array().unwrap());
    assert_eq!(found_rows.len(), true_rows.len(), "{name}");
    for (found, expected) in found_rows.iter().zip(true_rows) {
        assert_eq!(found, expected, "{name}");
    }
    // The figures of the trial, for every seed.
    assert_eq!(summary["households"], 145, "{name}");
    assert_eq!(summary["persons"], 239, "{name}");
    assert_eq!(summary["households_without_municipal_indication"], 77, "{name}");
    assert_eq!(summary["equals_ground_truth"], true, "{name}");
    // One entry for each person, and one for the question in the other direction.
    assert_eq!(
        (&summary["receipts_verified"], &summary["log_size"]),
        (&json!(240), &json!(240)),
        "{name}"
    );
    check_question_back(name, summary);
    check_partners(name, dir, summary);
    found
}

/// A live partner that is off could not be asked, and a partner heard that it was found.
fn check_partners(name: &str, dir: &Path, summary: &Value) {
    let persons = summary["live_partner_off"]["persons"].as_array().unwrap();
    let rows = persons
        .iter()
        .flat_map(|person| person["partners"].as_array().unwrap());
    let said: Vec<&str> = rows
        .filter(|row| row["partner"] == "om-reclassering")
        .map(|row| row["status"].as_str().unwrap())
        .collect();
    assert!(!said.is_empty(), "{name}");
    assert!(
        said.iter().all(|status| *status == "could_not_ask"),
        "{name}: {said:?}"
    );

    let (answer, notice) = (&summary["family"]["answer"], &summary["family"]["notice"]);
    assert_eq!(notice["asker"]["partner"], "schuldhulpverlening", "{name}");
    assert_eq!(
        (&notice["case"], &notice["state"]),
        (&json!("SHV-DEMO-2"), &json!("new")),
        "{name}"
    );
    let person = answer["persons"].as_array().unwrap().iter();
    let mut person = person.filter(|person| person["log_index"] == notice["log_index"]);
    let rows = person.next().unwrap()["partners"].as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["partner"] == "leerplicht" && row["status"] == "known"),
        "{name}: the notice is about somebody whom leerplicht knows"
    );
    let [reference] = notice["references"].as_array().unwrap().as_slice() else {
        panic!("{name}: {notice}");
    };
    let register = fs::read(dir.join("registers").join("leerplicht.csv")).unwrap();
    assert!(
        text(&register).contains(reference.as_str().unwrap()),
        "{name}: the file number is leerplicht's own"
    );
}

/// A partner asked too: about one of its own clients, who is known to the regieteams.
fn check_question_back(name: &str, summary: &Value) {
    let persons = summary["question_back"]["persons"].as_array().unwrap();
    let [person] = persons.as_slice() else {
        panic!("{name}: {} persons", persons.len())
    };
    assert_eq!(person["log_index"], 239, "{name}: the last entry");
    assert!(person.get("refused").is_none(), "{name}");
    let rows = person["partners"].as_array().unwrap();
    let asked: Vec<&str> = rows.iter().map(|row| row["partner"].as_str().unwrap()).collect();
    assert_eq!(
        asked,
        ["leerplicht", "regieteams"],
        "{name}: not itself, and not who is no part of this purpose"
    );
    let regieteams = &rows[1];
    assert_eq!(regieteams["status"], "known", "{name}");
    assert!(
        regieteams["contact"]
            .as_str()
            .is_some_and(|contact| !contact.is_empty()),
        "{name}"
    );
}

#[test]
fn every_seed_agrees_with_the_ground_truth() {
    let (next, seen) = (AtomicU64::new(1), Mutex::new(HashSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        return;
                    }
                    let dir = tempfile::tempdir().unwrap();
                    let dir = dir.path().join("demo");
                    let summary = summary(&dir, &["--persons", "500", "--seed", &seed.to_string()]);
                    assert_eq!(summary["seed"], seed);
                    let persons = check(&format!("seed {seed}"), &dir, &summary);
                    seen.lock().unwrap().insert(persons.to_string());
                }
            });
        }
    });
    assert_eq!(
        seen.lock().unwrap().len() as u64,
        SEEDS,
        "two seeds made the same persons"
    );
}

#[test]
fn the_default_size_agrees_with_the_ground_truth() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("demo");
    let summary = summary(&dir, &[]);
    check("default size", &dir, &summary);
    for sync in summary["synchronised"].as_array().unwrap() {
        assert!(
            sync[1]["persons"].as_u64().unwrap() > 3_000,
            "thousands of persons in {}",
            sync[0]
        );
        assert!(
            sync[1]["bad_rows"].as_u64().unwrap() > 0,
            "{}: real exports have bad rows",
            sync[0]
        );
    }
}

/// Every file of a folder with its bytes; the broker's data, the nodes' state and the report left out.
fn made(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !["data", "state", "audit-keys", "report"]
                    .contains(&path.file_name().unwrap().to_str().unwrap())
                {
                    folders.push(path);
                }
            } else {
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

const SMALL: [&str; 4] = ["--persons", "300", "--seed", "7"];

/// Entries of the two questions after the officer's report: one for each person of two households.
fn later(summary: &Value) -> u64 {
    let questions = ["/family/answer/persons", "/live_partner_off/persons"];
    let persons = questions.map(|persons| summary.pointer(persons).unwrap().as_array().unwrap().len() as u64);
    persons.iter().sum()
}

#[test]
fn a_second_run_goes_on_in_the_same_folder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("demo");
    let first = summary(&dir, &SMALL);
    assert_eq!(first["log_size"], 240);
    let before = made(&dir);
    assert!(
        before.len() > 25,
        "keys, certificates, registers: {} files",
        before.len()
    );

    let second = summary(&dir, &SMALL);
    assert_eq!(made(&dir), before, "a second run makes nothing anew");
    assert_eq!(
        second["log_size"],
        481 + later(&first),
        "an officer's entry, those of the last two questions, and 240 more in the same log"
    );
    let asked = |summary: &Value| summary["person_report"]["rows"].as_u64().unwrap();
    // The first person of the list may be of the household of one of the last two questions.
    assert_eq!(asked(&first), 1);
    assert!(
        (2..=4).contains(&asked(&second)),
        "the report names each time: {}",
        asked(&second)
    );
    assert_eq!(second["receipts_verified"], 240);
    assert_eq!(per_person(&second), per_person(&first));
    let syncs = second["synchronised"].as_array().unwrap();
    assert_eq!(syncs.len(), 4);
    for (again, first) in syncs.iter().zip(first["synchronised"].as_array().unwrap()) {
        assert_eq!(
            (&again[1]["registered"], &again[1]["withdrawn"]),
            (&json!(0), &json!(0)),
            "{}",
            again[0]
        );
        assert_eq!(again[1]["full"], false, "{}", again[0]);
        assert_eq!(again[1]["persons"], first[1]["persons"], "{}", again[0]);
        assert!(first[1]["registered"].as_u64().unwrap() > 200, "{}", again[0]);
    }

    // Another demo does not fit in this folder.
    for other in [
        ["--seed", "8", "--persons", "300"],
        ["--seed", "7", "--persons", "301"],
    ] {
        let output = demo(&dir, &other).args(["--once", "--json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{other:?}");
        assert!(
            text(&output.stderr).contains("--fresh"),
            "says what to do: {}",
            text(&output.stderr)
        );
        assert_eq!(made(&dir), before, "{other:?}");
    }

    // Unless it is made room.
    let fresh = summary(&dir, &["--fresh", "--seed", "8", "--persons", "300"]);
    assert_eq!((&fresh["seed"], &fresh["log_size"]), (&json!(8), &json!(240)));
    let after = made(&dir);
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before.0 == after.0),
        "the same files"
    );
    for name in [
        "broker/pepper.key",
        "nodes/leerplicht/node-key.key",
        "authority/ca.pem",
        "registers/top150.csv",
    ] {
        let file = |files: &[(String, Vec<u8>)]| files.iter().find(|file| file.0 == name).unwrap().1.clone();
        assert_ne!(file(&before), file(&after), "{name} is that of the earlier demo");
    }
}

#[test]
fn a_folder_that_is_not_a_demos_is_left_alone() {
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("a file", &[("thesis.txt", "years of work")]),
        ("a folder", &[("broker/data/register", "another program's")]),
        (
            "a file of that name in another form",
            &[
                ("deployment.toml", "[site]\nhost = \"x\"\n"),
                ("thesis.txt", "work"),
            ],
        ),
        (
            "an authority of something else",
            &[("authority/ca.pem", "-----BEGIN"), ("thesis.txt", "work")],
        ),
    ];
    let mut wiped = Vec::new();
    for (name, files) in cases {
        let dir = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        for arguments in [&["--fresh", "--once"][..], &["--once"]] {
            let output = demo(dir.path(), arguments).args(SMALL).output().unwrap();
            let kept = files.iter().all(|(file, content)| {
                fs::read_to_string(dir.path().join(file)).is_ok_and(|found| found == *content)
            });
            let refused = matches!(output.status.code(), Some(1 | 2));
            let added = fs::read_dir(dir.path()).unwrap().count() != files.len();
            if !kept || !refused || added {
                wiped.push(format!(
                    "{name} {arguments:?}: kept {kept}, refused {refused}, added {added}"
                ));
                break;
            }
        }
    }
    assert!(wiped.is_empty(), "{wiped:#?}");

    // An empty folder is nobody's.
    let dir = tempfile::tempdir().unwrap();
    summary(dir.path(), &["--fresh", "--persons", "300"]);
}

/// A demo that runs on. It is killed when dropped.
struct RunningDemo(Child);

impl Drop for RunningDemo {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn status(deployment: &Deployment, partner: &str) -> Output {
    let mut command = Command::new(program("hitmachine-node").unwrap());
    command
        .arg("--config")
        .arg(deployment.node_config(partner))
        .args(["--lang", "en", "--json", "status"]);
    command.stdin(Stdio::null()).output().unwrap()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(url: &str) -> String {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn without_once_it_runs_on_until_it_is_told_to_stop() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    for (round, signal) in ["-INT", "-TERM"].into_iter().enumerate() {
        let printed = dir.path().join(format!("printed{round}"));
        let child = demo(&folder, &SMALL)
            .stdout(fs::File::create(&printed).unwrap())
            .spawn()
            .unwrap();
        let mut running = RunningDemo(child);
        until("the demo", || {
            assert_eq!(running.0.try_wait().unwrap(), None, "the demo ended");
            fs::read_to_string(&printed)
                .is_ok_and(|text| text.contains("The demo runs on until Ctrl-C."))
                .then_some(())
        });

        // Each of its five nodes answers another process.
        let deployment = Deployment::open(&folder).unwrap();
        for partner in deployment.registering().chain([COORDINATOR]) {
            let status = until(partner, || {
                let output = status(&deployment, partner);
                let status: Option<Value> = serde_json::from_slice(&output.stdout).ok();
                status.filter(|status| output.status.success() && status["serving"] == true)
            });
            assert_eq!(
                (&status["partner"], &status["hub"]),
                (&json!(partner), &json!("ok"))
            );
            let persons = status["persons"].as_u64().unwrap();
            assert_eq!(
                persons > 200,
                partner != COORDINATOR,
                "{partner}: {persons} persons"
            );
        }
        // Its broker counts what it answered.
        let text = fs::read_to_string(&printed).unwrap();
        let url = text
            .split_whitespace()
            .find(|word| word.ends_with("/metrics"))
            .unwrap();
        let page = get(url);
        let figure = |name: &str| -> u64 {
            let mut lines = page.lines().filter_map(|line| line.strip_prefix(name));
            lines
                .next()
                .unwrap_or_else(|| panic!("{name}: {page}"))
                .trim()
                .parse()
                .unwrap()
        };
        // Those of the last two questions are about households of one to six.
        let answered = figure("hitmachine_lookups_total{outcome=\"answered\"}");
        assert!((242..=252).contains(&answered), "{page}");
        // And an officer's report.
        assert_eq!(
            figure("hitmachine_log_entries "),
            (answered + 1) * (round as u64 + 1),
            "{page}"
        );

        assert_eq!(running.0.try_wait().unwrap(), None, "the demo ended by itself");
        let id = running.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let ended = until(signal, || running.0.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "{signal}");
        // Nothing is left that another start would trip over.
        for partner in deployment.registering().chain([COORDINATOR]) {
            let socket = deployment
                .node_config(partner)
                .with_file_name("state")
                .join("node.sock");
            assert!(!socket.exists(), "{signal}: {partner} left its socket");
        }
    }
    let last = summary(&folder, &SMALL);
    let later = later(&last);
    assert_eq!(last["log_size"], 722 + 2 * later, "the state was given back");
}
