//! What the programs are made of. `deny.toml` forbids single arrows; here is what is reached through all of them.
#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// The dependency graph as cargo resolves it, for every platform.
struct Graph {
    names: BTreeMap<String, String>,
    /// Without those that only tests use.
    arrows: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// Asks cargo. Not being able to ask is a failure: this test must not pass because nothing was looked at.
    fn read() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        // `--locked` is left out on purpose: a stale lock file is somebody else's test.
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--offline",
                "--format-version",
                "1",
                "--all-features",
                "--manifest-path",
            ])
            .arg(manifest)
            .output()
            .expect("cargo can be started");
        assert!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array().expect("packages") {
            names.insert(text(&package["id"]), text(&package["name"]));
        }
        let mut arrows = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().expect("nodes") {
            let used = node["deps"]
                .as_array()
                .expect("deps")
                .iter()
                .filter(|dependency| {
                    let kinds = dependency["dep_kinds"].as_array().expect("dep_kinds");
                    kinds.iter().any(|kind| kind["kind"] != "dev")
                });
            arrows.insert(
                text(&node["id"]),
                used.map(|dependency| text(&dependency["pkg"])).collect(),
            );
        }
        Self { names, arrows }
    }

    /// Names of all crates that `package` is built from and with, itself included.
    fn tree(&self, package: &str) -> BTreeSet<&str> {
        let root = self.names.iter().find(|(_, name)| *name == package);
        let mut to_visit = vec![
            root.unwrap_or_else(|| panic!("{package} is not in the workspace"))
                .0,
        ];
        let mut seen = BTreeSet::new();
        while let Some(id) = to_visit.pop() {
            if seen.insert(id) {
                to_visit.extend(&self.arrows[id]);
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }

    fn assert_without(&self, package: &str, forbidden: &[&str]) {
        let tree = self.tree(package);
        for name in forbidden {
            assert!(!tree.contains(name), "{package} reaches {name}");
        }
    }
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// The walk finds what is there: without this, an empty graph would pass every other test.
#[test]
fn the_graph_is_seen() {
    let graph = Graph::read();
    let broker = graph.tree("hitmachine-broker");
    for name in [
        "hitmachine-core",
        "hitmachine-audit",
        "hitmachine-store",
        "sled",
        "tokio",
        "tonic",
        "protox",
    ] {
        assert!(broker.contains(name), "the broker does not reach {name}");
    }
    assert!(broker.len() > 100, "{} crates", broker.len());
    // Arrows that are allowed elsewhere are seen there, so the names below are right.
    assert!(graph.tree("hitmachine-node").contains("hitmachine-identifier"));
    assert!(graph.tree("hitmachine-cli").contains("hitmachine-testkit"));
}

/// The hub cannot parse a person number: no crate that can is in it, however indirectly.
#[test]
fn the_broker_cannot_parse_a_person_number() {
    let forbidden = [
        "hitmachine-identifier",
        "hitmachine-node",
        "hitmachine-console",
        "hitmachine-agent",
        "hitmachine-testkit",
        "hitmachine-cli",
        "hitmachine-tests",
    ];
    Graph::read().assert_without("hitmachine-broker", &forbidden);
}

/// Made-up persons and a test authority are in no real process.
#[test]
fn no_real_program_holds_the_testkit() {
    let graph = Graph::read();
    for program in ["hitmachine-broker", "hitmachine-agent"] {
        graph.assert_without(program, &["hitmachine-testkit", "hitmachine-cli"]);
    }
}

/// The rules and the cryptography need no socket, runtime or database.
#[test]
fn the_rules_know_no_runtime_network_or_engine() {
    let graph = Graph::read();
    for package in [
        "hitmachine-core",
        "hitmachine-audit",
        "hitmachine-pseudonym",
        "hitmachine-identifier",
    ] {
        graph.assert_without(package, &["tokio", "tonic", "sled", "hyper", "rustls", "mio"]);
    }
    graph.assert_without("hitmachine-store", &["tokio", "tonic", "hyper", "rustls"]);
}
