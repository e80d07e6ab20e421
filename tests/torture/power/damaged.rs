//! A broker and a node on damaged files.

use std::collections::BTreeMap;
use std::fs;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::BrokerProcess;
use hitmachine_testkit::rng::Rng;

use super::damage::Kept;
use crate::logbook;
use crate::program::{Said, replace};
use crate::torture::Done;
use crate::world::World;

/// Words of which one stands in every refusal: what to do, or whom to call.
const REMEDIES: [&str; 3] = ["rebuild-registry", "rebuild-index", "backup"];

const ASKER: &str = "nodes/veiligheidshuis/state";
const STATE: &str = "nodes/regieteams/state";

/// An installation that has worked for a while, and what is right in it.
pub(super) struct Damaged {
    world: World,
    data: Kept,
    keys: Kept,
    /// Of the coordinator, who asks.
    asker: Kept,
    /// Of a partner that also registers.
    state: Kept,
    /// Entries of the log.
    entries: u64,
    /// What the coordinator is answered, and what the partner.
    right: BTreeMap<String, String>,
    own: BTreeMap<String, String>,
}

impl Damaged {
    /// Three days of work.
    pub(super) fn new(seed: u64) -> Self {
        let world = World::new(seed);
        replace(
            &world.deployment.broker_config(),
            "segment_mib = 16",
            "segment_mib = 2",
        );
        let (mut data, mut keys) = (Kept::new(), Kept::new());
        let (mut asker, mut state) = (Kept::new(), Kept::new());
        let (mut right, mut own) = (BTreeMap::new(), BTreeMap::new());
        for day in 0..3 {
            let broker = world.broker();
            if day == 0 {
                world.sync_all();
            } else {
                assert_eq!(world.node(Register::Regieteams.id(), &["sync", "--full"]).code, 0);
            }
            for partner in [COORDINATOR, Register::Regieteams.id(), Register::Regieteams.id()] {
                let said = world.ask(partner);
                *(if partner == COORDINATOR {
                    &mut right
                } else {
                    &mut own
                }) = rows(&said);
            }
            assert_eq!(broker.stop().unwrap(), Some(0));
            data.keep(&world.path("broker/data"));
            keys.keep(&world.path("broker/audit-keys"));
            asker.keep(&world.path(ASKER));
            state.keep(&world.path(STATE));
        }
        let (_copies, recovery, _log) = logbook::open(&world.deployment);
        let entries = recovery.head.size;
        Self {
            world,
            data,
            keys,
            asker,
            state,
            entries,
            right,
            own,
        }
    }

    /// Damages a file of the broker and starts it.
    pub(super) fn broker(&self, rng: &mut Rng, done: &mut Done) {
        let (data, keys) = (
            self.world.path("broker/data"),
            self.world.path("broker/audit-keys"),
        );
        let (kept, dir) = if rng.below(8) == 0 {
            (&self.keys, &keys)
        } else {
            (&self.data, &data)
        };
        let (what, file, different) = kept.damage(dir, rng);
        let what_where = format!("{what}: {}", file.display());
        let log = self.world.path("broker/broker.log");
        let before = fs::metadata(&log).unwrap().len();
        let outcome = match BrokerProcess::start(&self.world.deployment, self.world.address) {
            Err(error) => {
                assert!(different, "{what_where}: refused without a difference: {error}");
                let text = error.to_string();
                let last = text.trim_end().lines().last().unwrap_or_default();
                assert!(text.contains("exit status: 4"), "{what_where}: {text}");
                assert!(
                    REMEDIES.iter().any(|remedy| last.contains(remedy)),
                    "{what_where}: no remedy: {last}"
                );
                "damages of a broker's files: refused at start"
            }
            Ok(broker) => {
                let said = self.world.ask(COORDINATOR);
                let outcome = if said.code == 0 {
                    assert_eq!(rows(&said), self.right, "{what_where}");
                    "damages of a broker's files: all right"
                } else {
                    assert!([1, 3, 4].contains(&said.code), "{what_where}: {said:?}");
                    assert!(!said.out.contains("partners"), "{what_where}: {said:?}");
                    "damages of a broker's files: the asking node shows nothing"
                };
                broker.kill().unwrap();
                if said.code == 0 {
                    // A period key that is gone takes content along, which is what `audit completeness` is for; never a leaf.
                    let (_copies, recovery, _log) = logbook::open(&self.world.deployment);
                    assert!(
                        recovery.head.size > self.entries,
                        "{what_where}: entries are lost"
                    );
                }
                outcome
            }
        };
        let printed = fs::read(&log).unwrap();
        let printed = String::from_utf8_lossy(&printed[usize::try_from(before).unwrap()..]).into_owned();
        assert!(!printed.contains("panicked"), "{what_where}: {printed}");
        done.count(outcome);
        self.data.restore(&data);
        self.keys.restore(&keys);
        // What the coordinator saw of a log that is gone again.
        self.asker.restore(&self.world.path(ASKER));
    }
}

impl Damaged {
    /// Damages a file of a node that registers and asks, and uses it.
    pub(super) fn node(&self, rng: &mut Rng, done: &mut Done) {
        let dir = self.world.path(STATE);
        let (what, file, different) = self.state.damage(&dir, rng);
        let what_where = format!("{what}: {}", file.display());
        let partner = Register::Regieteams.id();
        let broker = self.world.broker();
        let mut outcome = "damages of a node's files: all right";
        for step in ["status", "query", "sync", "query"] {
            let said = match step {
                "query" => self.world.ask(partner),
                other => self.world.node(partner, &[other]),
            };
            assert!(!said.err.contains("panicked"), "{what_where}: {step}: {said:?}");
            if said.code == 0 {
                match step {
                    "query" => assert_eq!(rows(&said), self.own, "{what_where}"),
                    "sync" => assert_eq!(
                        said.json()["persons"],
                        self.world.members(Register::Regieteams),
                        "{what_where}"
                    ),
                    _ => {}
                }
                continue;
            }
            assert!(
                different,
                "{what_where}: {step}: refused without a difference: {said:?}"
            );
            assert_eq!(said.code, 4, "{what_where}: {step}: {said:?}");
            assert!(!said.out.contains("partners"), "{what_where}: {step}: {said:?}");
            assert!(
                REMEDIES
                    .iter()
                    .any(|remedy| (said.err.clone() + &said.out).contains(remedy)),
                "{what_where}: {step}: no remedy: {said:?}"
            );
            outcome = "damages of a node's files: refused";
        }
        // Whatever the node made of it, the register at the broker is right.
        let said = self.world.ask(COORDINATOR);
        assert_eq!(rows(&said), self.right, "{what_where}");
        broker.kill().unwrap();
        done.count(outcome);
        for (kept, name) in [
            (&self.data, "broker/data"),
            (&self.keys, "broker/audit-keys"),
            (&self.asker, ASKER),
            (&self.state, STATE),
        ] {
            kept.restore(&self.world.path(name));
        }
    }
}

/// What a report says of each partner.
fn rows(said: &Said) -> BTreeMap<String, String> {
    assert_eq!(said.code, 0, "{said:?}");
    let said = said.json();
    let rows = said["persons"][0]["partners"].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("partner"), text("status"))
    })
    .collect()
}
