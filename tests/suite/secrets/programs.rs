//! Programs that run, and what they print.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::process::{node_command, run_with_input, terminate};
use hitmachine_tests::secrets::Printed;

/// How long a program may take to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A node that serves, with its output in a file. It is killed when dropped.
pub(crate) struct Serving {
    child: Child,
    log: PathBuf,
}

impl Serving {
    pub(crate) fn start(deployment: &Deployment, partner: &str, broker: SocketAddr) -> Self {
        let config = deployment.node_config(partner);
        let log = config.with_file_name("node.log");
        let output = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = node_command(deployment, partner, broker).unwrap();
        let child = command
            .arg("serve")
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let serving = Self { child, log };
        let socket = config.with_file_name("state").join("node.sock");
        let begun = Instant::now();
        while !socket.exists() {
            assert!(
                begun.elapsed() < PATIENCE,
                "{partner} does not serve: {}",
                serving.printed()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        serving
    }

    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn stop(mut self) {
        terminate(self.child.id()).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.printed());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs commands of nodes, talkative, and keeps what they print.
pub(crate) struct Desk<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) broker: SocketAddr,
    pub(crate) printed: Printed,
}

impl Desk<'_> {
    pub(crate) fn run(&mut self, partner: &str, arguments: &[&str], input: &str, expected: i32) {
        let mut command = node_command(self.deployment, partner, self.broker).unwrap();
        command.args(arguments).env("RUST_LOG", "trace");
        let output = run_with_input(&mut command, input.as_bytes()).unwrap();
        let name = format!("{} {partner} {}", self.printed.0.len(), arguments[0]);
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().next_back().unwrap_or("");
        assert_eq!(output.status.code(), Some(expected), "{name}: {last}");
        self.printed.add_output(&name, &output);
    }

    pub(crate) fn ask(
        &mut self,
        partner: &str,
        purpose: &str,
        role: &str,
        case: &str,
        input: &str,
        expected: i32,
    ) {
        let arguments = [
            "query",
            "--purpose",
            purpose,
            "--role",
            role,
            "--case",
            case,
            "--user",
            "u",
            "--class",
            "adult",
        ];
        self.run(partner, &arguments, input, expected);
        self.run(partner, &[&arguments[..], &["--json"]].concat(), input, expected);
    }
}
