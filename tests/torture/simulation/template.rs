//! The installation that every simulation begins with: made and synchronised once, then copied.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_node::control::{Reply, Request};
use hitmachine_node::notice::{NoticeAsk, NoticeReply, Which};
use hitmachine_node::sync::SyncOptions;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_testkit::deployment::{Deployment, Recipe};
use hitmachine_testkit::population::{Population, Register};
use jiff::SignedDuration;
use tempfile::TempDir;

use super::hosts::Hosts;
use super::net::SimClock;
use crate::program::replace;
use crate::torture::network::truth::{OM, TOLD, Truth};

/// Persons in a register: as few as there can be.
const PERSONS: usize = 300;

/// What simulations begin with.
pub struct Template {
    dir: TempDir,
    /// What is true of whom.
    pub(super) truth: Truth,
    /// Persons in each register.
    pub(super) members: Vec<(Register, u64)>,
}

/// A copy for one simulation.
pub(super) struct Copied {
    pub(super) deployment: Deployment,
    _dir: TempDir,
}

/// A folder in memory if there is such a place: power cuts are tried elsewhere.
fn room() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return dir;
    }
    tempfile::tempdir().unwrap()
}

impl Template {
    /// Makes one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make() -> Self {
        let dir = room();
        let recipe = Recipe {
            seed: 951,
            persons: PERSONS,
            today: crate::today(),
            witnessed: false,
            live: vec![OM.to_owned()],
        };
        let deployment = Deployment::create(&dir.path().join("d"), recipe).unwrap();
        // Copied often.
        replace(&deployment.broker_config(), "segment_mib = 16", "segment_mib = 2");
        let recipe = deployment.recipe();
        let population = Population::generate(recipe.seed, recipe.today, recipe.persons).unwrap();
        let members = Register::ALL.map(|register| (register, population.members(register).count() as u64));
        synchronise(&deployment, &members);
        Self {
            truth: Truth::of(&deployment, &population, 3),
            members: members.to_vec(),
            dir,
        }
    }

    /// Persons in a register.
    pub(super) fn members(&self, partner: &str) -> u64 {
        let of = self.members.iter().find(|(register, _)| register.id() == partner);
        of.unwrap().1
    }

    /// A copy of one's own.
    pub(super) fn copy(&self) -> Copied {
        let dir = room();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.dir.path().join("d"))
            .arg(dir.path())
            .status();
        assert!(copied.unwrap().success());
        let deployment = Deployment::open(&dir.path().join("d")).unwrap();
        Copied {
            deployment,
            _dir: dir,
        }
    }
}

/// Brings every register in step, in a simulation without trouble.
fn synchronise(deployment: &Deployment, members: &[(Register, u64)]) {
    let clock = SimClock::default();
    let hosts = Hosts {
        deployment,
        clock: &clock,
        skews: [SignedDuration::ZERO; 5],
    };
    let mut sim = turmoil::Builder::new()
        .simulation_duration(Duration::from_mins(10))
        .tcp_capacity(1 << 16)
        .enable_tokio_io()
        .build();
    hosts.broker(&mut sim);
    let nodes: Vec<_> = members
        .iter()
        .map(|(register, members)| (hosts.of(register.id(), 1), *members))
        .collect();
    sim.client("all", async move {
        for ((config, surroundings), members) in nodes {
            let node = Node::open_in(config, surroundings).await?;
            loop {
                let reply = node
                    .handle(Request::Sync(SyncOptions::default()), Arc::new(|_| ()))
                    .await;
                if let Reply::Synced(report) = reply {
                    assert_eq!(report.persons, members);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    });
    sim.run().unwrap();
}

/// The log entries, from 0, that the told partner has notices of, in order; its node must have ended.
pub(super) fn notices(deployment: &Deployment) -> Vec<u64> {
    let path: PathBuf = deployment.node_config(TOLD);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let listed = runtime.unwrap().block_on(async {
        let node = Node::open(NodeConfig::load(&path).unwrap()).await.unwrap();
        let all = NoticeAsk::List {
            which: Which::All,
            case: None,
        };
        node.handle(Request::Notice(all), Arc::new(|_| ())).await
    });
    let Reply::Notice(NoticeReply::Notices(view)) = listed else {
        panic!("{listed:?}");
    };
    let mut places: Vec<u64> = view.notices.iter().map(|notice| notice.log_index).collect();
    places.sort_unstable();
    places
}
