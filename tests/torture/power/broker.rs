//! A broker whose power is cut: a recording of its life, and what a broker makes of what is left at any moment of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hitmachine_audit::Hash;
use hitmachine_core::PartnerStatus;
use hitmachine_node::Node;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::sync::SyncOptions;
use hitmachine_proto::answer::Outcome;
use hitmachine_service::console::chain;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_testkit::process::{BrokerProcess, program};
use hitmachine_testkit::rng::Rng;

use super::disk::{Cut, Disk};
use super::trace::{self, Trace};
use crate::program::replace;
use crate::torture::Done;
use crate::wire::{self, Logged, Shared, Wire};
use crate::world::World;
use crate::{logbook, node};

/// Whose register changes.
const PARTNER: Register = Register::Regieteams;
/// Whose register stays as it is.
const STEADY: Register = Register::Leerplicht;
/// Questions after a cut.
const QUESTIONS: usize = 6;
/// How long a broker may take to answer after its start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Microseconds since 1970, as in a trace.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

/// One state of the register that changes.
struct Version {
    begun: u64,
    acknowledged: Option<u64>,
    persons: BTreeSet<String>,
}

/// An answer that left the broker.
struct Released {
    at: u64,
    index: u64,
    leaf: Hash,
}

/// A broker's life under `strace`, and what it acknowledged when.
pub(super) struct Story {
    before: Disk,
    trace: Trace,
    versions: Vec<Version>,
    steady: Option<u64>,
    released: Vec<Released>,
    adults: Vec<String>,
}

/// A process under `strace`, by its own id; killed when dropped, as it would outlive `strace`.
pub(super) struct Traced(u32);

impl Traced {
    /// The process with this id.
    pub(super) fn of(process: u32) -> Self {
        Self(process)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It may have ended.
        let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).status();
    }
}

/// The folders that a power cut is about.
fn folders(world: &World) -> [PathBuf; 2] {
    [world.path("broker/data"), world.path("broker/audit-keys")]
}

impl Story {
    /// Records a broker from its first start, through so many syncs with questions at the same time, to its kill.
    pub(super) async fn record(world: &World, rng: &mut Rng, syncs: usize) -> Self {
        replace(
            &world.deployment.broker_config(),
            "segment_mib = 16",
            "segment_mib = 2",
        );
        let file = world.path("trace");
        let mut command = Command::new("strace");
        command.args(trace::arguments(&file));
        command.arg(program("hitmachine-broker").unwrap());
        let before = Disk::of(&folders(world));
        let broker =
            BrokerProcess::start_with(command, &world.deployment, world.address).unwrap_or_else(|error| {
                panic!("{error}; this test needs strace: apt-get install -y --no-install-recommends strace")
            });
        let text = fs::read_to_string(&file).unwrap();
        let traced = Traced::of(text.split_whitespace().next().unwrap().parse().unwrap());

        let persons = world.population.persons().iter();
        let adults = persons.filter(|person| person.class == AgeClass::Adult);
        let adults = adults.filter(|person| person.references.contains_key(&PARTNER));
        let adults: Vec<String> = adults.map(|person| person.bsn.clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut asking = Vec::new();
        for asker in 0..3 {
            let (stop, adults) = (Arc::clone(&stop), adults.clone());
            let (deployment, address) = (world.deployment.clone(), world.address);
            asking.push(tokio::spawn(async move {
                let (wire, shared) = (
                    Wire::of(&deployment, COORDINATOR, address).await,
                    Shared::of(&deployment),
                );
                let mut released = Vec::new();
                for turn in (asker..).step_by(7) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let token = shared.token(&adults[turn % adults.len()]);
                    let query = shared.query("screening", "informatiecoordinator", &token);
                    let request = wire.request(wire::bytes(&query), vec![]);
                    let Ok(response) = wire.ask(request.clone()).await else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    let at = now();
                    for logged in wire::logged(&deployment, &request, &response) {
                        let leaf = logged.receipt.opening().commitment().leaf_hash();
                        let index = logged.receipt.leaf_index();
                        released.push(Released { at, index, leaf });
                    }
                }
                released
            }));
        }
        let steady = node(&world.deployment, STEADY.id(), world.address).await;
        sync(&steady).await;
        let steady = Some(now());
        let partner = node(&world.deployment, PARTNER.id(), world.address).await;
        let whole = fs::read(world.source(PARTNER)).unwrap();
        let mut versions = Vec::new();
        for _ in 0..syncs {
            let persons = write_half(world, &whole, &adults, rng);
            let begun = now();
            sync(&partner).await;
            let acknowledged = Some(now());
            versions.push(Version {
                begun,
                acknowledged,
                persons,
            });
        }
        // One more, which may or may not come to its end.
        let persons = write_half(world, &whole, &adults, rng);
        versions.push(Version {
            begun: now(),
            acknowledged: None,
            persons,
        });
        let last =
            tokio::spawn(async move { partner.handle(Request::Sync(confirmed()), Arc::new(|_| ())).await });
        tokio::time::sleep(Duration::from_micros(rng.below(40_000))).await;
        drop(traced);
        stop.store(true, Ordering::Relaxed);
        let mut released = Vec::new();
        for task in asking {
            released.extend(task.await.unwrap());
        }
        if matches!(last.await.unwrap(), Reply::Synced(_)) {
            versions.last_mut().unwrap().acknowledged = Some(now());
        }
        // strace ends with what it traced, and has written everything then.
        let mut broker = broker;
        broker.wait(PATIENCE).unwrap();
        let trace = Trace::read(&fs::read(&file).unwrap());
        let story = Self {
            before,
            trace,
            versions,
            steady,
            released,
            adults,
        };
        story.before.clone().check(&story.trace, &file);
        fs::remove_file(&file).unwrap();
        story
    }

    /// A moment at random.
    pub(super) fn moment(&self, world: &World, rng: &mut Rng) -> usize {
        self.trace.moment(&world.path("broker"), rng)
    }

    /// Lines of the trace.
    fn lines(&self) -> usize {
        self.trace.times.len()
    }

    /// Answers that left the broker.
    pub(super) fn answers(&self) -> usize {
        self.released.len()
    }

    /// Cuts the power at one line, and has a broker start on what is left.
    pub(super) async fn cut(&self, world: &World, line: usize, how: Cut, rng: &mut Rng, done: &mut Done) {
        let mut disk = self.before.clone();
        disk.replay(&self.trace, 0, line);
        disk.begun(&self.trace, line);
        let lost = disk.cut(rng, how);
        disk.put_in_place();
        done.count("power cuts of a broker");
        done.add("sectors, lengths and names lost", lost);
        let at = self.trace.times.get(line).copied().unwrap_or(u64::MAX);
        let what = format!(
            "cut at line {line} of {}, {} bytes a sector",
            self.lines(),
            how.sector
        );
        let printed_before = fs::metadata(world.path("broker/broker.log")).unwrap().len();
        match BrokerProcess::start(&world.deployment, world.address) {
            Ok(broker) => {
                self.check_answers(world, at, rng, &what).await;
                assert_eq!(broker.stop().unwrap(), Some(0), "{what}");
            }
            Err(error) => panic!("{what}: after a power cut the broker does not start: {error}"),
        }
        let printed = fs::read(world.path("broker/broker.log")).unwrap();
        let printed =
            String::from_utf8_lossy(&printed[usize::try_from(printed_before).unwrap()..]).into_owned();
        assert!(!printed.contains("panicked"), "{what}: {printed}");
        self.check_log(world, at, &what);
    }

    /// Who is known must be what the partner registered: as last acknowledged, or as in a sync that had begun.
    async fn check_answers(&self, world: &World, at: u64, rng: &mut Rng, what: &str) {
        let complete = |version: &&Version| version.acknowledged.is_some_and(|when| when < at);
        let complete = self.versions.iter().take_while(complete).count();
        let next = self.versions.get(complete).filter(|version| version.begun < at);
        let last = complete.checked_sub(1).map(|last| &self.versions[last]);
        let status = |version: &Version, bsn: &str| {
            if version.persons.contains(bsn) {
                PartnerStatus::Known
            } else {
                PartnerStatus::NotKnown
            }
        };
        let shared = Shared::of(&world.deployment);
        let wire = Wire::of(&world.deployment, COORDINATOR, world.address).await;
        for _ in 0..QUESTIONS {
            let bsn = &self.adults[rng.index(self.adults.len())];
            let found = found(&ask(world, &wire, &shared, bsn).await);
            let mut right: Vec<PartnerStatus> = Vec::new();
            right.push(last.map_or(PartnerStatus::CouldNotAsk, |version| status(version, bsn)));
            right.extend(next.map(|version| status(version, bsn)));
            assert!(
                right.contains(&found[PARTNER.id()]),
                "{what}: {:?} is wrong, {right:?} is right",
                found[PARTNER.id()]
            );
            if self.steady.is_some_and(|when| when < at) {
                assert_eq!(
                    found[STEADY.id()],
                    PartnerStatus::DoesNotApply,
                    "{what}: an adult"
                );
            }
        }
        if let (Some(last), None) = (last, next) {
            let wire = Wire::of(&world.deployment, PARTNER.id(), world.address).await;
            let (_sync, begun) = wire.sync(shared.begin()).await.unwrap();
            assert!(
                begun.count >= last.persons.len() as u64,
                "{what}: registrations are missing"
            );
        }
    }

    /// Every answer that had left is in the log, at its place.
    fn check_log(&self, world: &World, at: u64, what: &str) {
        let (_copies, _, log) = logbook::open(&world.deployment);
        let leaves: BTreeMap<u64, Hash> = log
            .entries()
            .map(|entry| entry.unwrap_or_else(|error| panic!("{what}: {}", chain(&error))))
            .map(|entry| (entry.index, entry.leaf_hash))
            .collect();
        for released in self.released.iter().filter(|released| released.at < at) {
            assert_eq!(
                leaves.get(&released.index),
                Some(&released.leaf),
                "{what}: an answer is not in the log"
            );
        }
    }
}

/// Asks about an adult until the broker answers.
pub(super) async fn ask(world: &World, wire: &Wire, shared: &Shared, bsn: &str) -> Logged {
    let begun = Instant::now();
    loop {
        let query = shared.query("screening", "informatiecoordinator", &shared.token(bsn));
        let request = wire.request(wire::bytes(&query), vec![]);
        match wire.ask(request.clone()).await {
            Ok(response) => return wire::logged(&world.deployment, &request, &response).remove(0),
            Err(status) => assert!(begun.elapsed() < PATIENCE, "no answer: {status}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What an answer says of each partner.
pub(super) fn found(logged: &Logged) -> BTreeMap<String, PartnerStatus> {
    match &logged.answer.outcome {
        Outcome::Found(rows) => rows
            .iter()
            .map(|(partner, status)| (partner.to_string(), *status))
            .collect(),
        Outcome::Refused(code) => panic!("refused: {code}"),
    }
}

/// A sync of which nobody asks whether it may lose so many.
fn confirmed() -> SyncOptions {
    SyncOptions {
        confirm_shrink: true,
        ..SyncOptions::default()
    }
}

async fn sync(node: &Node) {
    let reply = node.handle(Request::Sync(confirmed()), Arc::new(|_| ())).await;
    assert!(matches!(reply, Reply::Synced(_)), "{reply:?}");
}

/// Writes about half of the rows of the register; which of the adults are still in it.
fn write_half(world: &World, whole: &[u8], adults: &[String], rng: &mut Rng) -> BTreeSet<String> {
    let mut lines = whole.split_inclusive(|byte| *byte == b'\n');
    let mut text = lines.next().unwrap().to_vec();
    let mut persons = BTreeSet::new();
    for line in lines {
        let number = line.split(|byte| *byte == b';').nth(1).unwrap_or_default();
        // However it is written.
        let digits = number.iter().filter(|byte| byte.is_ascii_digit());
        let number: String = digits.map(|byte| char::from(*byte)).collect();
        let number = format!("{number:0>9}");
        let adult = adults.contains(&number);
        // All rows of a person, or none.
        if adult && persons.contains(&number) || rng.percent(50) {
            text.extend_from_slice(line);
            persons.extend(adult.then_some(number));
        }
    }
    fs::write(world.source(PARTNER), text).unwrap();
    persons
}
