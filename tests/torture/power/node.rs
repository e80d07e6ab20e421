//! A node whose power is cut: what it showed it remembers, and its register is put right.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_testkit::process::{node_command, program};
use hitmachine_testkit::rng::Rng;

use super::broker::{Traced, now};
use super::damage::Kept;
use super::disk::{Cut, Disk};
use super::trace::{self, Trace};
use crate::program::{self as run, Said, replace, until};
use crate::torture::Done;
use crate::world::World;

/// Who registers, asks, and is told.
const PARTNER: Register = Register::Regieteams;

/// A node's life under `strace`, beside a broker that went on.
pub(super) struct Story {
    world: World,
    before: Disk,
    trace: Trace,
    /// When a question of this node was answered.
    shown: Vec<u64>,
    /// The broker before the first of them, and at the end.
    early: Kept,
    late: Kept,
    /// Entries of which this node is told.
    told: Vec<u64>,
    /// What the coordinator is answered at the end, about the first adult.
    right: serde_json::Value,
}

fn state(world: &World) -> PathBuf {
    world.path("nodes/regieteams/state")
}

fn data(world: &World) -> PathBuf {
    world.path("broker/data")
}

/// The node under `strace`.
fn start(world: &World, file: &PathBuf) -> (Child, Traced) {
    let plain = node_command(&world.deployment, PARTNER.id(), world.address).unwrap();
    let log = fs::File::create(world.path("nodes/regieteams/serve.log")).unwrap();
    let mut command = Command::new("strace");
    command
        .args(trace::arguments(file))
        .arg(program("hitmachine-node").unwrap());
    command.args(plain.get_args()).arg("serve");
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{error}; this test needs strace: apt-get install -y --no-install-recommends strace")
        });
    until("the traced process", || {
        fs::read_to_string(file).is_ok_and(|text| text.contains(' '))
    });
    let text = fs::read_to_string(file).unwrap();
    let traced = Traced::of(text.split_whitespace().next().unwrap().parse().unwrap());
    until("the node", || {
        std::os::unix::net::UnixStream::connect(state(world).join("node.sock")).is_ok()
    });
    (child, traced)
}

impl Story {
    /// Records a node from its first start to its kill.
    pub(super) fn record(seed: u64, rng: &mut Rng) -> Self {
        let world = World::new(seed);
        replace(
            &world.deployment.broker_config(),
            "segment_mib = 16",
            "segment_mib = 2",
        );
        let broker = world.broker();
        for register in Register::ALL.into_iter().filter(|register| *register != PARTNER) {
            assert_eq!(world.node(register.id(), &["sync"]).code, 0);
        }
        assert_eq!(broker.stop().unwrap(), Some(0));
        let mut early = Kept::new();
        early.keep(&data(&world));
        let broker = world.broker();
        let file = world.path("trace");
        let before = Disk::of(&[state(&world)]);
        let (mut child, traced) = start(&world, &file);
        let (mut shown, mut told) = (Vec::new(), Vec::new());
        let whole = fs::read(world.source(PARTNER)).unwrap();
        for turn in 0..3 {
            let mut lines = whole.split_inclusive(|byte| *byte == b'\n');
            let mut text = lines.next().unwrap().to_vec();
            for line in lines.filter(|_| turn == 2 || rng.percent(60)) {
                text.extend_from_slice(line);
            }
            fs::write(world.source(PARTNER), text).unwrap();
            let said = world.node(PARTNER.id(), &["sync", "--confirm-shrink"]);
            assert_eq!(said.code, 0, "{said:?}");
            for _ in 0..2 {
                let said = world.ask(PARTNER.id());
                assert_eq!(said.code, 0, "{said:?}");
                shown.push(now());
            }
        }
        let known = world
            .population
            .persons()
            .iter()
            .find(|person| person.class == AgeClass::Adult && person.references.contains_key(&PARTNER));
        let bsn = &known.unwrap().bsn;
        let mut right = serde_json::Value::Null;
        for _ in 0..3 {
            let said = run::query(&world.deployment, COORDINATOR, world.address, bsn, &[]);
            assert_eq!(said.code, 0, "{said:?}");
            let person = &said.json()["persons"][0];
            told.push(person["log_index"].as_u64().unwrap());
            right = person["partners"].clone();
        }
        std::thread::sleep(std::time::Duration::from_micros(rng.below(60_000)));
        drop(traced);
        // strace ends with what it traced, and has written everything then.
        child.wait().unwrap();
        assert_eq!(broker.stop().unwrap(), Some(0));
        let mut late = Kept::new();
        late.keep(&data(&world));
        let trace = Trace::read(&fs::read(&file).unwrap());
        let story = Self {
            world,
            before,
            trace,
            shown,
            early,
            late,
            told,
            right,
        };
        story.before.clone().check(&story.trace, &file);
        fs::remove_file(&file).unwrap();
        story
    }

    /// A moment at random.
    pub(super) fn moment(&self, rng: &mut Rng) -> usize {
        self.trace.moment(&state(&self.world), rng)
    }

    /// Lines of the trace.
    pub(super) fn lines(&self) -> usize {
        self.trace.times.len()
    }

    /// Cuts the power at one line, and has the node go on with what is left.
    pub(super) fn cut(&self, line: usize, how: Cut, rng: &mut Rng, done: &mut Done) {
        let world = &self.world;
        let mut disk = self.before.clone();
        disk.replay(&self.trace, 0, line);
        disk.begun(&self.trace, line);
        let lost = disk.cut(rng, how);
        done.count("power cuts of a node");
        done.add("sectors, lengths and names lost", lost);
        let what = format!(
            "cut at line {line} of {}, {} bytes a sector",
            self.lines(),
            how.sector
        );
        let at = self.trace.times.get(line).copied().unwrap_or(u64::MAX);
        let sound = |said: Said| {
            assert_eq!(said.code, 0, "{what}: {said:?}");
            assert!(!said.err.contains("panicked"), "{what}: {said:?}");
            said
        };
        // A hub that went back behind what this node showed is found out.
        if self.shown.iter().any(|shown| *shown < at) {
            disk.put_in_place();
            self.early.restore(&data(world));
            let broker = world.broker();
            let said = world.ask(PARTNER.id());
            assert_eq!(
                said.failure(),
                (4, "not_proven".into()),
                "{what}: what was shown is forgotten"
            );
            broker.kill().unwrap();
            done.count("nodes that found out a hub that went back");
        }
        // The true one goes on with it, whatever of the last moments is missing.
        disk.put_in_place();
        self.late.restore(&data(world));
        let broker = world.broker();
        sound(world.node(PARTNER.id(), &["status"]));
        sound(world.ask(PARTNER.id()));
        let said = sound(world.node(PARTNER.id(), &["sync", "--confirm-shrink"]));
        assert_eq!(said.json()["persons"], world.members(PARTNER), "{what}");
        let known = world
            .population
            .persons()
            .iter()
            .find(|person| person.class == AgeClass::Adult && person.references.contains_key(&PARTNER));
        let asked = run::query(
            &world.deployment,
            COORDINATOR,
            world.address,
            &known.unwrap().bsn,
            &[],
        );
        assert_eq!(
            sound(asked).json()["persons"][0]["partners"],
            self.right,
            "{what}"
        );
        if line == self.lines() {
            // What the hub no longer holds for it, it has.
            let node = world.serve(PARTNER.id());
            let heard = || {
                let said = sound(world.node(PARTNER.id(), &["notice", "list", "--all"]));
                let all = said.json()["notices"].as_array().unwrap().clone();
                all.iter()
                    .map(|one| one["log_index"].as_u64().unwrap())
                    .collect::<Vec<u64>>()
            };
            until("all notices", || {
                self.told.iter().all(|one| heard().contains(one))
            });
            let heard = heard();
            for one in &self.told {
                assert_eq!(
                    heard.iter().filter(|other| *other == one).count(),
                    1,
                    "{what}: a notice came twice"
                );
            }
            node.kill().unwrap();
            done.count("nodes that have every notice");
        }
        broker.kill().unwrap();
        // What the coordinator saw of a log that is gone again.
        let _ = fs::remove_dir_all(world.path("nodes/veiligheidshuis/state"));
    }
}
