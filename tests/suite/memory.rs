//! What lies in the memory of programs that hold keys: those in use, and nothing that should be gone; and that the
//! system never writes that memory to a disk.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails panics, helpers included"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{NodeProcess, free_address, program, terminate};
use hitmachine_tests::memory::Needles;
use hitmachine_tests::program::until;
use hitmachine_tests::site::Visitor;
use hitmachine_tests::telephone::{self, PASSWORD, SECRET};
use hitmachine_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};

/// A key file's key, as it is and as it is written in the file.
fn add_key(needles: &mut Needles, name: &str, file: &Path, purpose: Purpose) {
    let (_, key) = SecretFile::read(file, purpose).unwrap();
    needles.add(&format!("{name}, in hexadecimal"), hex::encode(&key[..]));
    needles.add(name, key.to_vec());
}

/// A line from the middle of a PEM file, and the bytes that it stands for.
fn add_pem(needles: &mut Needles, file: &Path) {
    use base64::Engine;
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().nth(2).unwrap();
    needles.add("TLS key, as text", line);
    let bytes = base64::engine::general_purpose::STANDARD.decode(line).unwrap();
    needles.add("TLS key", bytes);
}

fn print(what: &str, counts: &BTreeMap<&str, usize>) {
    for (name, count) in counts {
        println!("{what}: {count:>3} × {name}");
    }
}

#[test]
fn a_hub_keeps_only_the_keys_that_it_uses() {
    let world = World::new(701);
    let broker = world.broker();
    world.sync_all();
    assert_eq!(world.ask(COORDINATOR).code, 0);
    let mut needles = Needles::default();
    let dir = world.path("broker");
    add_key(&mut needles, "pepper", &dir.join("pepper.key"), Purpose::Pepper);
    add_key(
        &mut needles,
        "signing key",
        &dir.join("audit-signing.key"),
        Purpose::AuditSigning,
    );
    add_key(
        &mut needles,
        "wrapping key",
        &dir.join("audit-wrapping.key"),
        Purpose::AuditWrapping,
    );
    add_pem(&mut needles, &dir.join("broker.key"));
    let node_key = world.path("nodes/leerplicht/node-key.key");
    add_key(&mut needles, "node key", &node_key, Purpose::NodeKey);
    needles.add("BSN", world.bsn(AgeClass::Adult));
    let counts = needles.count(broker.id());
    print("hub", &counts);
    // What is in use is found, so the search works.
    for name in ["signing key", "wrapping key"] {
        assert!(counts[name] > 0, "the search finds nothing: {name}");
    }
    // The pepper is wiped when the keys of tags are made of it, and each file's text when it is read. A node key, and
    // whose number it was made of, it never had. (The text of the TLS key passes through a library that does not wipe.)
    for (name, count) in &counts {
        let gone = name.ends_with("in hexadecimal") || ["pepper", "node key", "BSN"].contains(name);
        assert!(!gone || *count == 0, "{count} × {name}");
    }
    // Nor when it stops: it is held as soon as it says so, before it ends.
    terminate(broker.id()).unwrap();
    let stopping = needles.count_if_there(broker.id());
    for (name, count) in stopping.iter().flatten() {
        let gone = name.ends_with("in hexadecimal") || ["pepper", "node key", "BSN"].contains(name);
        assert!(!gone || *count == 0, "stopping: {count} × {name}");
    }
    let mut broker = broker;
    assert_eq!(broker.wait(std::time::Duration::from_secs(30)).unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_only_the_keys_that_it_uses() {
    let world = World::new(702);
    let address = free_address().unwrap();
    let config = world.deployment.node_config(COORDINATOR);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[console]\nlisten = \"{address}\"\n")).unwrap();
    let dir = config.parent().unwrap();
    let (password, totp) = (world.path("password"), world.path("totp"));
    fs::write(&password, PASSWORD).unwrap();
    fs::write(&totp, SECRET).unwrap();
    let files = [
        "--password-file",
        password.to_str().unwrap(),
        "--totp-file",
        totp.to_str().unwrap(),
    ];
    let account = [
        "user",
        "add",
        "jansen",
        "--name",
        "J. Jansen",
        "--role",
        "vrager=informatiecoordinator",
    ];
    let added = world.node(COORDINATOR, &[account.as_slice(), &files].concat());
    assert_eq!(added.code, 0, "{added:?}");

    let broker = world.broker();
    world.sync_all();
    let node = NodeProcess::start(&world.deployment, COORDINATOR, world.address).unwrap();
    let mut needles = Needles::default();
    add_key(
        &mut needles,
        "node key",
        &dir.join("node-key.key"),
        Purpose::NodeKey,
    );
    add_key(
        &mut needles,
        "state key",
        &dir.join("node-state.key"),
        Purpose::NodeState,
    );
    add_key(
        &mut needles,
        "request key",
        &dir.join("request-signing.key"),
        Purpose::RequestSigning,
    );
    add_pem(&mut needles, &dir.join("node.key"));
    needles.add("BSN", world.bsn(AgeClass::Adult));
    needles.add("password", PASSWORD);
    needles.add("password, in a form", PASSWORD.replace(' ', "+"));
    needles.add("second factor, as text", SECRET);
    print("node, before", &needles.count(node.id()));

    assert_eq!(world.ask(COORDINATOR).code, 0);
    let mut visitor = Visitor::of(format!("http://{address}"), None);
    until("the console answers", || {
        std::net::TcpStream::connect(address).is_ok()
    });
    let first = visitor
        .post("/sign-in", &[("user", "jansen"), ("password", PASSWORD)])
        .await;
    visitor.keep(&first);
    let page = visitor.get(first.header("location")).await;
    let (csrf, code) = (page.hidden("csrf"), telephone::code(SECRET, 0));
    let step = visitor
        .post("/sign-in/code", &[("csrf", &csrf), ("code", &code)])
        .await;
    assert_eq!(step.status, 303, "{step:?}");
    let counts = needles.count(node.id());
    print("node", &counts);
    for name in ["state key", "request key"] {
        assert!(counts[name] > 0, "the search finds nothing: {name}");
    }
    // A password is wiped when its hash is compared; a number when its pseudonym is made. What came as the body of a form
    // lies in buffers of the web server until they are used again: best effort, and not asserted.
    let stays = [
        "state key",
        "request key",
        "password, in a form",
        "TLS key, as text",
        "TLS key",
    ];
    for (name, count) in &counts {
        assert!(stays.contains(name) || *count == 0, "{count} × {name}");
    }
    node.kill().unwrap();
    assert_eq!(broker.stop().unwrap(), Some(0));
}

/// A child that is killed when dropped.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that the system would dump, in a folder of its own, and aborts it when it is at work. Whether a dump
/// was made.
fn is_dumped(program: &Path, arguments: &[&str], ready: impl FnOnce(u32)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""])
        .arg(program)
        .args(arguments)
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Started(child.unwrap());
    ready(child.0.id());
    kill_process(Pid::from_child(&child.0), Signal::ABORT).unwrap();
    let status = child.0.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    status.core_dumped()
}

#[test]
fn nothing_of_a_process_with_keys_is_dumped() {
    // The system would.
    let runs = |what: &'static str| {
        move |process: u32| {
            until(what, || {
                let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
                name.trim() == what
            });
        }
    };
    assert!(
        is_dumped(Path::new("/bin/sleep"), &["60"], runs("sleep")),
        "this system makes no core dumps at all, so this test shows nothing: see core_pattern in core(5)"
    );
    let world = World::new(703);
    let broker_config = world.deployment.broker_config();
    let node_config = world.deployment.node_config(COORDINATOR);
    for (name, config) in [
        ("hitmachine-broker", &broker_config),
        ("hitmachine-node", &node_config),
    ] {
        let arguments = ["serve", "--config", config.to_str().unwrap()];
        let ready = |process: u32| {
            until("it forbids dumps, before it reads a key", || {
                limits(process)[..] == ["0", "0"]
            });
        };
        assert!(!is_dumped(&program(name).unwrap(), &arguments, ready), "{name}");
    }
}

/// The soft and the hard limit of what may be dumped of a process.
fn limits(process: u32) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words = line.unwrap_or_default().split_whitespace().skip(4).take(2);
    words.map(str::to_owned).collect()
}
