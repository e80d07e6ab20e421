//! The programs of an installation, which are killed and started again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::{BrokerProcess, NodeProcess, program, terminate};
use hitmachine_testkit::rng::Rng;

use super::ground::{ASKS, Ground, MayBeGone, PATIENCE, SERVING};
use super::ledger::Image;
use crate::logbook;
use crate::program::{Said, metric, wait};
use crate::torture::Done;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    Broker,
    /// The node of this partner, which serves.
    Node(&'static str),
    /// The command that was given.
    Command,
}

/// How long the work takes that kills come into, as it showed so far; of all rounds of this process.
static PACE: Mutex<BTreeMap<&str, Duration>> = Mutex::new(BTreeMap::new());
/// The same before it has shown.
const FIRST_PACE: Duration = Duration::from_millis(150);

/// Programs, and what was done to them.
pub(super) struct Stage {
    pub(super) ground: Ground,
    broker: Option<BrokerProcess>,
    nodes: BTreeMap<&'static str, NodeProcess>,
    /// Entries before this one may be erased.
    pub(super) erasing: u64,
    pub(super) done: Done,
}

/// A child that does not outlive the round.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells the askers to stop, also when something else failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stage {
    /// A broker, three nodes that serve, and every register in step.
    pub(super) fn new(seed: u64) -> Self {
        let ground = Ground::new(seed);
        let broker = ground.world.broker();
        ground.world.sync_all();
        let nodes = SERVING.map(|partner| (partner, ground.world.serve(partner)));
        Self {
            broker: Some(broker),
            nodes: nodes.into_iter().collect(),
            ground,
            erasing: 0,
            done: Done::default(),
        }
    }

    /// Runs a command under questions and kills the victim at a random moment of it, which is counted as `label`. What
    /// the command said, unless it was the victim.
    pub(super) fn strike(
        &mut self,
        rng: &mut Rng,
        label: &'static str,
        victim: Victim,
        mut command: Command,
    ) -> Option<Said> {
        let out = self.ground.world.path("command.out");
        let err = self.ground.world.path("command.err");
        let pace = {
            let paces = PACE.lock().unwrap_or_else(PoisonError::into_inner);
            paces.get(label).copied().unwrap_or(FIRST_PACE)
        };
        let moment = pace * u32::try_from(rng.below(1_000)).unwrap() / 1_000;
        let gone = MayBeGone {
            hub: victim == Victim::Broker,
            node: match victim {
                Victim::Node(partner) => Some(partner),
                Victim::Broker | Victim::Command => None,
            },
        };
        let (stop, seeds) = (AtomicBool::new(false), [rng.next_u64(), rng.next_u64()]);
        let (ground, broker, nodes) = (&self.ground, &mut self.broker, &mut self.nodes);
        let (ended_first, code, answered) = std::thread::scope(|scope| {
            let stopping = Stop(&stop);
            let stop = &stop;
            let askers = [COORDINATOR, ASKS].into_iter().zip(seeds);
            let askers: Vec<_> = askers
                .map(|(partner, seed)| scope.spawn(move || ground.ask_on(stop, partner, seed, gone)))
                .collect();
            command.stdout(File::create(&out).unwrap());
            command.stderr(File::create(&err).unwrap());
            let begun = Instant::now();
            let mut child = Running(command.spawn().unwrap());
            while begun.elapsed() < moment && child.0.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(300));
            }
            let ended_first = child.0.try_wait().unwrap().map(|_| begun.elapsed());
            match victim {
                Victim::Broker => broker.take().unwrap().kill().unwrap(),
                Victim::Node(partner) => nodes.remove(partner).unwrap().kill().unwrap(),
                // It may have ended.
                Victim::Command => drop(child.0.kill()),
            }
            let code = wait(&mut child.0, PATIENCE).expect("a command hangs");
            drop(stopping);
            let answers = askers.into_iter().map(ScopedJoinHandle::join);
            let answered: u64 = answers
                .map(|joined| joined.unwrap_or_else(|panic| resume_unwind(panic)))
                .sum();
            (ended_first, code, answered)
        });
        self.done.count(label);
        self.done
            .add("questions answered while something was killed", answered);
        // Later kills of this kind fall within the time that it takes.
        let pace = if let Some(took) = ended_first {
            took.max(Duration::from_millis(1))
        } else {
            self.done.count("work that a kill cut off");
            (pace * 5 / 4).min(Duration::from_secs(5))
        };
        let mut paces = PACE.lock().unwrap_or_else(PoisonError::into_inner);
        paces.insert(label, pace);
        drop(paces);
        let printed = fs::read(&err).unwrap();
        self.ground.keep(printed.clone());
        let code = code?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Some(Said {
            code,
            out: text(fs::read(&out).unwrap()),
            err: text(printed),
        })
    }

    /// Starts again what was killed. Of a broker that was, the log is read first: it is whole, and so is what is
    /// published of it, and every answer that was shown is in it.
    pub(super) fn restart(&mut self, victim: Victim) {
        match victim {
            Victim::Command => {}
            Victim::Node(partner) => {
                let node = self.ground.world.serve(partner);
                self.nodes.insert(partner, node);
            }
            Victim::Broker => {
                self.check_log();
                self.start_broker();
            }
        }
    }

    /// Starts the broker, which must come up.
    pub(super) fn start_broker(&mut self) {
        assert!(self.broker.is_none());
        self.broker = Some(self.ground.world.broker());
    }

    /// Kills the broker now.
    pub(super) fn kill_broker(&mut self, label: &'static str) {
        self.broker.take().unwrap().kill().unwrap();
        self.done.count(label);
    }

    /// The broker's, which runs.
    pub(super) fn metric(&self, name: &str) -> u64 {
        metric(self.broker.as_ref().unwrap(), name)
    }

    /// Its process id.
    pub(super) fn broker_id(&self) -> u32 {
        self.broker.as_ref().unwrap().id()
    }

    /// The log of the broker, which is down: as it lies on the disk, whole, with everything that was shown.
    pub(super) fn check_log(&mut self) -> Image {
        assert!(self.broker.is_none());
        let deployment = &self.ground.world.deployment;
        let image = Image::read(deployment);
        self.ground
            .ledger
            .check(&image, &self.ground.tokens, self.erasing);
        let tiles = self.ground.world.path("broker/data/audit/tiles");
        if tiles.join("checkpoint").exists() {
            let mut verify = Command::new(program("hitmachine").unwrap());
            verify.args(["audit", "verify", "--json", "--log"]);
            verify.arg(logbook::verifier(deployment).to_string()).arg(tiles);
            let said = self.ground.run(verify);
            assert_eq!(said.code, 0, "the published log is not whole: {}", said.out);
            self.done.count("published log verified");
        }
        self.done.count("log compared with everything that was shown");
        image
    }

    /// Starts the broker and kills it before it is ready, at a random moment.
    pub(super) fn kill_a_start(&mut self, rng: &mut Rng, label: &'static str) {
        let world = &self.ground.world;
        let log = File::options()
            .append(true)
            .open(world.path("broker/broker.log"))
            .unwrap();
        let mut command = Command::new(program("hitmachine-broker").unwrap());
        command
            .args(["serve", "--config"])
            .arg(world.deployment.broker_config());
        command.env("HITMACHINE_BROKER_LISTEN", world.address.to_string());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut child = Running(command.spawn().unwrap());
        std::thread::sleep(Duration::from_micros(rng.below(150_000)));
        let ended = child.0.try_wait().unwrap();
        assert!(ended.is_none(), "the broker does not start: {ended:?}");
        drop(child);
        self.done.count(label);
    }

    /// Stops everything as an administrator would; what the broker's log says then.
    pub(super) fn stop(&mut self) -> Image {
        for (partner, node) in std::mem::take(&mut self.nodes) {
            terminate(node.id()).unwrap();
            let begun = Instant::now();
            let socket = self
                .ground
                .world
                .path("nodes")
                .join(partner)
                .join("state/node.sock");
            while socket.exists() {
                assert!(begun.elapsed() < PATIENCE, "the node of {partner} does not stop");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!(self.broker.take().unwrap().stop().unwrap(), Some(0));
        self.check_log()
    }
}

/// The last words of everybody, for whoever must find out what happened.
impl Drop for Stage {
    #[expect(clippy::print_stderr, reason = "a failed test says why")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (name, path) in self.ground.logs() {
            let text = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(15)..];
            eprintln!("the last words of the {name}:\n{}", last.join("\n"));
        }
    }
}
