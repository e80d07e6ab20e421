//! Whole programs and what they say.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::process::{BrokerProcess, node_command, program, run_with_input};
use serde_json::Value;

/// How long a program may take to do anything at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// What it said.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it was killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// What an answer about one person says of a partner.
    pub fn status_of(&self, partner: &str) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        let answer = self.json();
        let rows = answer["persons"][0]["partners"].as_array().unwrap();
        let row = rows.iter().find(|row| row["partner"] == partner);
        row.unwrap()["status"].as_str().unwrap().to_owned()
    }

    /// The stable code of the failure that it reports in JSON, after its exit code.
    pub fn failure(&self) -> (i32, String) {
        let json = self.json();
        let failed = &json["failed"];
        assert_eq!(failed["exit"], self.code, "exit code as announced: {self:?}");
        assert!(!failed["text_nl"].as_str().unwrap().is_empty());
        assert!(!failed["text_en"].as_str().unwrap().is_empty());
        let code = failed["code"].as_str().unwrap();
        let stable = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(code.bytes().all(stable), "not a stable code: {code}");
        (self.code, code.to_owned())
    }
}

/// What `tests/logcheck/prepare` made ready.
pub fn made_ready(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let found = exe.ancestors().map(|dir| dir.join("logcheck").join(name));
    let found = found.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("logcheck/{name} is not there; run tests/logcheck/prepare first"))
}

/// Python with the libraries that checking a log takes.
pub fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", made_ready("python"));
    command
}

/// Runs a command of a node with `--json`.
pub fn node(deployment: &Deployment, partner: &str, address: SocketAddr, arguments: &[&str]) -> Said {
    let mut command = node_command(deployment, partner, address).unwrap();
    Said::of(command.arg("--json").args(arguments).output().unwrap())
}

/// Asks about one adult with the node's own program; `more` comes after the usual arguments.
pub fn query(deployment: &Deployment, partner: &str, address: SocketAddr, bsn: &str, more: &[&str]) -> Said {
    let mut command = node_command(deployment, partner, address).unwrap();
    let (purpose, role) = match partner {
        "veiligheidshuis" => ("screening", "informatiecoordinator"),
        _ => ("signalering", "professional"),
    };
    command.args(["--json", "query"]);
    for (option, value) in [
        ("--class", "adult"),
        ("--purpose", purpose),
        ("--role", role),
        ("--case", "ZK-2026-77"),
        ("--user", "pietersen"),
    ] {
        if !more.contains(&option) {
            command.args([option, value]);
        }
    }
    Said::of(run_with_input(command.args(more), bsn.as_bytes()).unwrap())
}

/// Starts a broker that must not start, and says what it said.
pub fn broker_refuses(deployment: &Deployment) -> Said {
    let mut child = Command::new(program("hitmachine-broker").unwrap())
        .args(["serve", "--config"])
        .arg(deployment.broker_config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let code = wait(&mut child, PATIENCE).unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("the broker started");
    });
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Said {
        code: code.expect("it was killed"),
        out,
        err,
    }
}

/// Waits for a child; `None` if it does not end in time, else its exit code or, within, `None` if a signal ended it.
pub fn wait(child: &mut Child, most: Duration) -> Option<Option<i32>> {
    let begun = Instant::now();
    while begun.elapsed() < most {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Polls until `done` says so.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One figure of the broker's metrics page: the first line that begins with `name`.
pub fn metric(broker: &BrokerProcess, name: &str) -> u64 {
    let page = broker.metrics().unwrap();
    let line = page.lines().find(|line| line.starts_with(name));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Replaces text in a file, which must be there.
pub fn replace(path: &std::path::Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} holds no {from:?}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Replaces the part of a covenant or configuration that follows `after`.
pub fn replace_after(path: &std::path::Path, after: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let at = text.find(after).unwrap() + after.len();
    let (head, tail) = text.split_at(at);
    assert!(tail.contains(from), "{} holds no {from:?}", path.display());
    std::fs::write(path, head.to_owned() + &tail.replacen(from, to, 1)).unwrap();
}

/// No personal data in a text: none of these, as it is, in hexadecimal or in base64.
pub fn assert_holds_none(text: &str, secrets: &[&[u8]]) {
    for (place, secret) in secrets.iter().enumerate() {
        // Without the last group, which depends on what follows.
        let whole = secret.len() / 3 * 3;
        for form in [
            String::from_utf8_lossy(secret).into_owned(),
            hex::encode(secret),
            STANDARD.encode(&secret[..whole]),
        ] {
            assert!(!text.contains(&form), "secret {place} is in a text: {text}");
        }
    }
}
