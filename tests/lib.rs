//! What the suites under `suite/` share: a deployment with a running broker, and questions to it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test"
)]

pub mod browser;
pub mod crawl;
pub mod disks;
pub mod figures;
pub mod logbook;
pub mod memory;
pub mod postgres;
pub mod program;
pub mod provider;
pub mod published;
pub mod secrets;
pub mod site;
pub mod telephone;
pub mod torture;
pub mod wire;
pub mod world;

use std::net::SocketAddr;
use std::path::Path;

use hitmachine_identifier::Bsn;
use hitmachine_node::ask::{AskedPerson, Question};
use hitmachine_node::source::{AgeBracket, class_on};
use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::deployment::{Deployment, Recipe};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A day that every test and the made-up persons agree on: the real one, as the programs use the real clock.
pub fn today() -> Date {
    jiff::Timestamp::now()
        .to_zoned(TimeZone::get("Europe/Amsterdam").unwrap())
        .date()
}

/// A deployment in `dir` with small registers.
pub fn deployment(dir: &Path, seed: u64) -> Deployment {
    Deployment::create(
        dir,
        Recipe {
            seed,
            persons: 400,
            today: today(),
            witnessed: false,
            live: Vec::new(),
        },
    )
    .unwrap()
}

/// A partner's node in this process, towards a broker at `address`.
pub async fn node(deployment: &Deployment, partner: &str, address: SocketAddr) -> Node {
    let mut config = NodeConfig::load(&deployment.node_config(partner)).unwrap();
    config.broker.address = address.to_string();
    Node::open(config).await.unwrap()
}

/// A question of the coordinator about one person.
pub fn screening(node: &Node, bsn: &str, birth_date: &str) -> Question {
    let admission = node.config().admission().unwrap();
    Question {
        purpose: "screening".parse().unwrap(),
        case: "ZK-2026-1".parse().unwrap(),
        user: hitmachine_core::User {
            id: "tester".parse().unwrap(),
            role: "informatiecoordinator".parse().unwrap(),
            responsible: None,
        },
        persons: vec![AskedPerson {
            identifier: Bsn::parse(bsn, &admission).unwrap().canonical(),
            class: class_on(today(), birth_date).unwrap(),
            bracket: AgeBracket::default(),
            reference: None,
        }],
    }
}
