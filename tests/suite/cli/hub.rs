//! A hub to ask, and the coordinator's command line.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::population::LIST_FILE;
use hitmachine_testkit::process::{BrokerProcess, free_address, run_with_input};
use hitmachine_tests::{deployment, today};
use serde_json::Value;

use crate::{command, ended};

/// A deployment with a broker, everybody in step with it.
pub(crate) struct Hub {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) deployment: Deployment,
    pub(crate) truth: GroundTruth,
    pub(crate) broker: BrokerProcess,
}

impl Hub {
    pub(crate) fn start(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let deployment = deployment(&dir.path().join("d"), seed);
        let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
        let truth = ground_truth(&deployment.registers(), today()).unwrap();
        let hub = Self {
            dir,
            deployment,
            truth,
            broker,
        };
        for partner in hub.deployment.registering() {
            ended(hub.node(partner, "en").arg("sync").output().unwrap(), 0);
        }
        hub
    }

    /// A node's command line.
    pub(crate) fn node(&self, partner: &str, language: &str) -> Command {
        self.node_at(partner, language, self.broker.address())
    }

    pub(crate) fn node_at(&self, partner: &str, language: &str, broker: SocketAddr) -> Command {
        let mut node = command("hitmachine-node");
        node.arg("--config")
            .arg(self.deployment.node_config(partner))
            .args(["--lang", language]);
        node.env("HITMACHINE_NODE_BROKER__ADDRESS", broker.to_string());
        node
    }

    /// The coordinator asks about one person.
    pub(crate) fn query(&self, language: &str, arguments: &[&str], input: &str) -> Output {
        let mut node = self.node(COORDINATOR, language);
        run_with_input(node.args(QUERY).args(arguments), input.as_bytes()).unwrap()
    }

    /// The coordinator asks about a list.
    pub(crate) fn screen(&self, language: &str, file: &Path, arguments: &[&str]) -> Output {
        self.node(COORDINATOR, language)
            .args(SCREEN)
            .arg(file)
            .args(arguments)
            .output()
            .unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The rows of the plain list: household, BSN, birth date, label.
    pub(crate) fn list(&self) -> Vec<[String; 4]> {
        let text = fs::read_to_string(self.deployment.registers().join(LIST_FILE)).unwrap();
        let cells = text
            .lines()
            .skip(1)
            .map(|line| line.split(';').map(str::to_owned).collect::<Vec<_>>());
        cells.map(|cells| cells.try_into().unwrap()).collect()
    }

    /// What the registers say about the person with this label: partner and status, in the covenant's order.
    pub(crate) fn expected(&self, label: &str) -> Vec<(String, &'static str)> {
        let (_, _, statuses) = self
            .truth
            .per_person
            .iter()
            .find(|person| person.1 == label)
            .unwrap();
        let order = [
            "leerplicht",
            "schuldhulpverlening",
            "regieteams",
            "om-reclassering",
        ];
        let word = |partner: &str| match statuses[partner] {
            Status::Known => "known",
            Status::NotKnown => "not_known",
            Status::DoesNotApply => "does_not_apply",
        };
        order
            .iter()
            .map(|partner| ((*partner).to_owned(), word(partner)))
            .collect()
    }
}

pub(crate) const QUERY: [&str; 9] = [
    "query",
    "--purpose",
    "screening",
    "--case",
    "ZK-2026-1",
    "--user",
    "u",
    "--role",
    "informatiecoordinator",
];
pub(crate) const SCREEN: [&str; 10] = [
    "screen",
    "--purpose",
    "screening",
    "--case",
    "ZK-2026-1",
    "--user",
    "u",
    "--role",
    "informatiecoordinator",
    "--yes",
];

/// Partner and status of an answer about one person.
pub(crate) fn statuses(person: &Value) -> Vec<(String, &str)> {
    let rows = person["partners"].as_array().unwrap().iter();
    rows.map(|row| {
        (
            row["partner"].as_str().unwrap().to_owned(),
            row["status"].as_str().unwrap(),
        )
    })
    .collect()
}
