//! Questions while two hundred nodes are connected, of which twenty answer live.
//!
//! The nodes are not processes of their own: their work is not what is measured, and this machine has few processors.
//! Those that answer live are real nodes in this process, each with its own set, journal and stream; the others hold a
//! connection and the stream of hit notices, and fetch the covenant now and then as nodes do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hitmachine_node::Node;
use hitmachine_node::control::Request;
use hitmachine_node::sync::SyncOptions;
use hitmachine_testkit::deployment::{ADMINISTRATORS, COORDINATOR, Deployment};
use hitmachine_testkit::pki::{IssueOptions, test_oin};
use hitmachine_testkit::process::{BrokerProcess, free_address};
use hitmachine_tests::program::{metric, replace};
use hitmachine_tests::wire::{Wire, of_files};
use hitmachine_tests::{node, screening};
use tokio::task::JoinSet;

use super::Bench;
use super::drive::{Slice, drive};
use super::ground::{self, LARGE, asker};
use super::machine::Probe;
use super::stats::{Bar, Figure, Row, Unit};

const PART: &str = "crowd";
/// Nodes that are connected, as many as a covenant can have partners: those of a small installation, the asking one among
/// them, and others.
const NODES: usize = 200;
const OTHERS: usize = NODES - 5;
/// Those of the others that answer live.
const LIVE: usize = 20;
/// Questions in flight.
const IN_FLIGHT: usize = 16;
/// Questions in a second that all who answer live are asked.
const LIVE_PER_SECOND: u64 = 5;
/// How often a node looks whether the covenant has changed.
const FETCH_EVERY: Duration = Duration::from_secs(5);
/// How long nodes may take to be connected.
const PATIENCE: Duration = Duration::from_mins(2);

/// Measures.
pub(crate) async fn rows(bench: &Bench) -> Vec<Row> {
    bench.say("crowd: partners are made");
    let deployment = ground::deployment(&bench.dir("crowd"), &[]);
    let names = add_partners(&deployment);
    let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
    let coordinator = Arc::new(node(&deployment, COORDINATOR, broker.address()).await);
    let numbers = (0..500).map(|number| screening(&coordinator, &super::scale::bsn(number), "1980-01-01"));
    let questions = Arc::new(numbers.collect::<Vec<_>>());
    let look = async |seen: &mut Vec<Slice>| {
        let asker = asker(&coordinator, &questions);
        seen.push(drive(IN_FLIGHT, bench.slice(), asker).await);
        bench.weather.look();
    };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let probe = Probe::begin(&[]);
    for round in 0..bench.rounds() {
        bench.say(&format!("crowd: alone, round {}", round + 1));
        look(&mut alone).await;
    }
    bench.say("crowd: nodes connect");
    let crowd = Crowd::gather(&deployment, &broker, &names, &coordinator).await;
    for round in 0..bench.rounds() {
        bench.say(&format!("crowd: together, round {}", round + 1));
        look(&mut together).await;
    }
    let (asked, answered) = crowd.count();
    let connected = metric(&broker, "tls_connections");
    drop(crowd);
    // And alone again, for what the machine did meanwhile.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for round in 0..bench.rounds() {
        bench.say(&format!("crowd: alone again, round {}", round + 1));
        look(&mut alone).await;
    }
    let noisy = probe.is_noisy();
    let of = |seen: &[Slice], unit, of: &dyn Fn(&Slice) -> f64| {
        let values: Vec<f64> = seen.iter().map(of).collect();
        Figure::of(&values, unit)
    };
    let rate = |seen: &[Slice]| of(seen, Unit::PerSecond, &Slice::per_second);
    let p99 = |seen: &[Slice]| of(seen, Unit::Ms, &|slice| slice.ms(0.99));
    let row = Row::new(
        PART,
        format!("p99, {IN_FLIGHT} in flight, with {NODES} nodes of which {LIVE} answer live"),
        p99(&together),
    )
    .against("the same without them", p99(&alone))
    .bar(Bar::RatioAtMost(2.0))
    .noisy(noisy)
    .detail(format!("questions answered: {}, without them {}", rate(&together), rate(&alone)))
    .detail(format!(
        "{connected} connections at the broker; {asked} questions were put to all who answer live, which gave {answered} \
         answers"
    ));
    vec![row]
}

/// Adds partners to the covenant, with certificates and, for those that answer live, a node's folder. Their names.
fn add_partners(deployment: &Deployment) -> Vec<String> {
    let authority = deployment.authority().unwrap();
    let mut text = String::new();
    let names: Vec<String> = (0..OTHERS).map(|number| format!("partner-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let dir = deployment.dir().join("nodes").join(name);
        fs::create_dir_all(&dir).unwrap();
        let oin = test_oin(1_000 + number as u64);
        let live = number < LIVE;
        text.push_str(&partner(name, &oin, live));
        let options = IssueOptions::partner(name, &oin, jiff::Timestamp::now(), 2);
        if live {
            node_folder(deployment, name, &dir);
        }
        authority.issue(&options).unwrap().save(&dir, "node").unwrap();
    }
    let live: Vec<String> = names[..LIVE].iter().map(|name| format!("\"{name}\"")).collect();
    let purpose = format!(
        "[[purpose]]\ncode = \"rondvraag\"\ntitle = \"Rondvraag\"\nlegal_basis = \"Demo\"\n\
         processing_activity = \"https://register.hitmachine.example/v1/activities/rondvraag\"\n\
         askers = [\"{COORDINATOR}\"]\nroles = [\"informatiecoordinator\"]\nconsults = [{}]\nnotifies = []\n\
         log_retention_months = 60\nmax_subjects = 16\n\n",
        live.join(", ")
    );
    let first = "[[purpose]]\ncode = \"screening\"";
    replace(&deployment.covenant(), first, &format!("{text}{purpose}{first}"));
    deployment.sign_covenant(&ADMINISTRATORS[..2]).unwrap();
    names
}

fn partner(name: &str, oin: &str, live: bool) -> String {
    let answers = if live { "live" } else { "index" };
    format!(
        "[[partner]]\nid = \"{name}\"\nname = \"{name}\"\noin = \"{oin}\"\ndomain = \"gemeente\"\n\
         contact = \"024 000 00 00\"\nanswers = \"{answers}\"\nregisters = [\"minor\", \"adult\"]\n\
         registration_days = 365\nstale_after_hours = 72\n\n"
    )
}

/// As another node's, with a name, a certificate and a state of its own.
fn node_folder(deployment: &Deployment, name: &str, dir: &Path) {
    let from = deployment.dir().join("nodes").join(LARGE);
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(dir).status();
    assert!(copied.unwrap().success());
    let config = dir.join("node.toml");
    replace(
        &config,
        &format!("partner = \"{LARGE}\""),
        &format!("partner = \"{name}\""),
    );
    for ending in ["pem", "key"] {
        fs::remove_file(dir.join(format!("node.{ending}"))).unwrap();
    }
}

/// The nodes, connected until this is dropped.
struct Crowd {
    // Ended when dropped.
    _tasks: JoinSet<()>,
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Crowd {
    async fn gather(
        deployment: &Deployment,
        broker: &BrokerProcess,
        names: &[String],
        coordinator: &Arc<Node>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        for name in &names[..LIVE] {
            let node = Arc::new(node(deployment, name, broker.address()).await);
            let synced = node
                .handle(Request::Sync(SyncOptions::default()), Arc::new(|_| ()))
                .await;
            drop(synced);
            let follower = Arc::clone(&node);
            tasks.spawn(async move { node.answer_live().await });
            tasks.spawn(async move { follower.follow_notices().await });
        }
        let members = deployment.registering().map(str::to_owned);
        for name in names[LIVE..].iter().cloned().chain(members) {
            let wire = connect(deployment, &name, broker).await;
            tasks.spawn(hold(wire));
        }
        let begun = std::time::Instant::now();
        while metric(broker, "tls_connections") < NODES as u64 || live(broker) < LIVE {
            assert!(begun.elapsed() < PATIENCE, "the nodes do not connect");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (asked, answered) = (Arc::default(), Arc::default());
        tasks.spawn(ask_live(
            Arc::clone(coordinator),
            Arc::clone(&asked),
            Arc::clone(&answered),
        ));
        Self {
            _tasks: tasks,
            asked,
            answered,
        }
    }

    fn count(&self) -> (u64, u64) {
        (
            self.asked.load(Ordering::Relaxed),
            self.answered.load(Ordering::Relaxed),
        )
    }
}

async fn connect(deployment: &Deployment, name: &str, broker: &BrokerProcess) -> Wire {
    let tls = of_files(deployment, &deployment.dir().join("nodes").join(name), "node");
    Wire::open(broker.address(), tls).await.unwrap()
}

/// How many partners are connected that answer live.
fn live(broker: &BrokerProcess) -> usize {
    let page = broker.metrics().unwrap();
    let lines = page
        .lines()
        .filter(|line| line.starts_with("hitmachine_live_connected{"));
    lines.filter(|line| line.ends_with(" 1")).count()
}

/// What a node does that neither asks nor answers.
async fn hold(wire: Wire) {
    let (_acks, mut notices) = wire.notices().await.unwrap();
    let mut pause = tokio::time::interval(FETCH_EVERY);
    loop {
        tokio::select! {
            notice = notices.message() => drop(notice.unwrap()),
            _ = pause.tick() => drop(wire.fetch().await.unwrap()),
        }
    }
}

/// Asks all who answer live, now and then.
async fn ask_live(node: Arc<Node>, asked: Arc<AtomicU64>, answered: Arc<AtomicU64>) {
    let mut question = screening(&node, &super::scale::bsn(7), "1980-01-01");
    question.purpose = "rondvraag".parse().unwrap();
    let mut pause = tokio::time::interval(Duration::from_millis(1_000 / LIVE_PER_SECOND));
    loop {
        pause.tick().await;
        let answer = node.inquirer().ask(&question).await.unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        for person in &answer.persons {
            if let hitmachine_proto::answer::Outcome::Found(partners) = &person.outcome {
                let came = partners
                    .iter()
                    .filter(|(_, status)| *status != hitmachine_core::PartnerStatus::CouldNotAsk);
                answered.fetch_add(came.count() as u64, Ordering::Relaxed);
            }
        }
    }
}
