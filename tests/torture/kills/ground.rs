//! What stays while programs come and go: the installation, who is in it, and what was shown.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hitmachine_node::control::{Ask, AskPerson, ClassWord, Client, NumberKind, Reply, Request};
use hitmachine_node::source::AgeBracket;
use hitmachine_node::view::AnswerView;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Person};
use hitmachine_testkit::process::node_command;
use hitmachine_testkit::rng::Rng;
use zeroize::Zeroizing;

use super::ledger::Ledger;
use super::tokens::Tokens;
use super::truth::Truth;
use crate::program::{Said, replace};
use crate::world::World;

/// Who is told of hits, and serves.
pub(super) const TOLD: &str = "regieteams";
/// Another who asks, and serves.
pub(super) const ASKS: &str = "schuldhulpverlening";
/// The nodes that serve.
pub(super) const SERVING: [&str; 3] = [COORDINATOR, TOLD, ASKS];
/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// Persons in one question of the coordinator.
pub(super) const HOUSEHOLD: usize = 64;
/// What a node says of a hub that is gone, or was gone a moment ago.
const HUB_GONE: [&str; 4] = ["unreachable", "connection_refused", "protocol", "timed_out"];

/// An installation, and the truth about it.
pub(super) struct Ground {
    pub(super) world: World,
    pub(super) truth: Truth,
    pub(super) ledger: Ledger,
    pub(super) tokens: Tokens,
    /// What command lines printed for people.
    pub(super) printed: Mutex<Vec<(String, Vec<u8>)>>,
    cases: AtomicU64,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// The node is gone.
    Node(String),
    /// The node says that the hub is gone.
    Hub(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(why) => write!(f, "the node is gone ({why})"),
            Self::Hub(code) => write!(f, "the hub is gone ({code})"),
        }
    }
}

impl Ground {
    /// A new one, of which nothing runs yet.
    pub(super) fn new(seed: u64) -> Self {
        let world = World::of_size(seed, 300);
        let covenant = world.deployment.covenant();
        replace(&covenant, "max_subjects = 16", "max_subjects = 64");
        // One partner hears of hits: enough to see that none is lost.
        let all = "\"leerplicht\", \"schuldhulpverlening\", \"regieteams\", \"om-reclassering\"";
        replace(
            &covenant,
            &format!("notifies = [{all}]"),
            &format!("notifies = [\"{TOLD}\"]"),
        );
        let some = "\"leerplicht\", \"schuldhulpverlening\", \"regieteams\"";
        replace(
            &covenant,
            &format!("notifies = [{some}]"),
            &format!("notifies = [\"{TOLD}\"]"),
        );
        for partner in world.deployment.registering() {
            replace(
                &world.deployment.node_config(partner),
                "watch_seconds = 2",
                "watch_seconds = 2\nmax_loss_percent = 100",
            );
        }
        Self {
            truth: Truth::of(&world),
            tokens: Tokens::of(&world.deployment),
            ledger: Ledger::default(),
            printed: Mutex::default(),
            cases: AtomicU64::new(0),
            world,
        }
    }

    /// A case that nobody asked for yet.
    pub(super) fn case(&self) -> String {
        format!("TORTURE-{:04}", self.cases.fetch_add(1, Ordering::Relaxed))
    }

    /// A command of a node with `--json`.
    pub(super) fn node(&self, partner: &str, arguments: &[&str]) -> Command {
        let mut command = node_command(&self.world.deployment, partner, self.world.address).unwrap();
        command.arg("--json").args(arguments);
        command
    }

    /// A command of the privacy officer.
    pub(super) fn officer(&self, arguments: &[&str]) -> Command {
        let mut command = self.node(COORDINATOR, &["audit"]);
        command.args(arguments);
        command.args(["--user", "functionaris", "--reference", "AVG-2026-1"]);
        command
    }

    /// Runs a command to its end and keeps what it printed for people.
    pub(super) fn run(&self, mut command: Command) -> Said {
        let said = Said::of(command.output().unwrap());
        self.keep(said.err.clone().into_bytes());
        said
    }

    /// Runs a command until it works; what stands in its way may only be a hub that just came back.
    pub(super) fn run_until(&self, what: &str, command: impl Fn() -> Command) -> Said {
        let begun = Instant::now();
        loop {
            let said = self.run(command());
            if said.code == 0 {
                return said;
            }
            let (_, code) = said.failure();
            let passing = HUB_GONE.contains(&code.as_str()) || code == "sync_under_way";
            assert!(passing, "{what}: {}: {}", said.code, said.err);
            assert!(begun.elapsed() < PATIENCE, "{what}: not in time: {code}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps what a command printed for people.
    pub(super) fn keep(&self, printed: Vec<u8>) {
        let mut all = self.printed.lock().unwrap();
        let name = format!("command {}", all.len());
        all.push((name, printed));
    }

    /// Asks about persons through the socket of a node that serves. What it answers is compared and kept.
    pub(super) fn ask(
        &self,
        partner: &str,
        case: &str,
        persons: &[&Person],
        left_behind: &[&str],
    ) -> Result<AnswerView, NoAnswer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let client = Client::Serving(self.world.path("nodes").join(partner).join("state/node.sock"));
        let request = Request::Ask(question(partner, case, persons));
        let called = runtime.unwrap().block_on(async {
            let call = client.call(request, Arc::new(|_| ()));
            tokio::time::timeout(PATIENCE, call).await
        });
        let answer = match called.expect("a question hangs") {
            Ok(Reply::Asked(answer)) => answer,
            Ok(Reply::Failed(failure)) if HUB_GONE.contains(&failure.code.as_str()) => {
                return Err(NoAnswer::Hub(failure.code));
            }
            Ok(other) => panic!("{partner} asked and heard {other:?}"),
            Err(error) => return Err(NoAnswer::Node(error.to_string())),
        };
        let bsns: Vec<_> = persons.iter().map(|person| person.bsn.clone()).collect();
        for (person, view) in persons.iter().zip(&answer.persons) {
            self.truth.check(person, view, left_behind);
        }
        self.ledger.answer(&bsns, &answer);
        Ok(answer)
    }

    /// Asks until there is an answer: the hub may just have come back.
    pub(super) fn ask_until(&self, case: &str, persons: &[&Person]) {
        let begun = Instant::now();
        while let Err(why) = self.ask(COORDINATOR, case, persons, &[]) {
            assert!(begun.elapsed() < PATIENCE, "no answer: {why}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks at a node without a pause until told to stop; what may be gone meanwhile is named. How many were answered.
    pub(super) fn ask_on(&self, stop: &AtomicBool, partner: &str, seed: u64, may_be_gone: MayBeGone) -> u64 {
        let (mut rng, case) = (Rng::new(seed), self.case());
        let persons = self.world.population.persons();
        let mut answered = 0;
        while !stop.load(Ordering::Relaxed) {
            let count = 1 + rng.index(6);
            let some: BTreeSet<_> = (0..count).map(|_| rng.index(persons.len())).collect();
            let some: Vec<_> = some.into_iter().map(|place| &persons[place]).collect();
            match self.ask(partner, &case, &some, &[]) {
                Ok(_) => answered += 1,
                Err(NoAnswer::Node(_)) if may_be_gone.node == Some(partner) => {}
                Err(NoAnswer::Hub(_)) if may_be_gone.hub => {}
                Err(why) => panic!("{partner}: no answer, and nothing was killed: {why}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        answered
    }

    /// Asks about these persons, all at once or in a few questions.
    pub(super) fn check(&self, persons: &[&Person]) {
        let case = self.case();
        for household in persons.chunks(HOUSEHOLD) {
            self.ask_until(&case, household);
        }
    }

    /// Somebody of everything, and the persons of these numbers.
    pub(super) fn some(&self, rng: &mut Rng, also: &BTreeSet<String>) -> Vec<&Person> {
        let persons = self.world.population.persons();
        let mut places: BTreeSet<usize> = (0..HOUSEHOLD / 2).map(|_| rng.index(persons.len())).collect();
        let those = persons
            .iter()
            .enumerate()
            .filter(|(_, person)| also.contains(&person.bsn));
        places.extend(those.map(|(place, _)| place));
        places.into_iter().map(|place| &persons[place]).collect()
    }

    /// Where everything lies that programs which serve have printed.
    pub(super) fn logs(&self) -> Vec<(String, PathBuf)> {
        let of = |partner: &str| self.world.path("nodes").join(partner).join("serve.log");
        let nodes = SERVING
            .iter()
            .map(|partner| (format!("node of {partner}"), of(partner)));
        nodes
            .chain([("broker".to_owned(), self.world.path("broker/broker.log"))])
            .collect()
    }
}

/// What asking must cope with.
#[derive(Clone, Copy, Default)]
pub(super) struct MayBeGone {
    pub(super) hub: bool,
    pub(super) node: Option<&'static str>,
}

fn question(partner: &str, case: &str, persons: &[&Person]) -> Ask {
    let (purpose, role) = match partner {
        COORDINATOR => ("screening", "informatiecoordinator"),
        _ => ("signalering", "professional"),
    };
    let persons = persons.iter().map(|person| AskPerson {
        kind: NumberKind::Bsn,
        number: Zeroizing::new(person.bsn.clone()),
        class: match person.class {
            AgeClass::Adult => ClassWord::Adult,
            AgeClass::Minor => ClassWord::Minor,
        },
        age: AgeBracket::default(),
        reference: None,
    });
    Ask {
        purpose: purpose.to_owned(),
        case: case.to_owned(),
        user: "tester".to_owned(),
        role: role.to_owned(),
        responsible: None,
        persons: persons.collect(),
    }
}
