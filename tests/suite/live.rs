//! A partner that answers live, with real programs: what it knows comes back, what it cannot say is never "not known",
//! and nobody but a partner of the covenant gets an answer out of it.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hitmachine_audit::EntryKind;
use hitmachine_proto::v1;
use hitmachine_proto::v1::live_message::Message;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::pki::{IssueOptions, test_oin};
use hitmachine_testkit::population::{LIST_FILE, Register};
use hitmachine_testkit::process::{BrokerProcess, NodeProcess, node_command_with, terminate};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, Said, assert_holds_none, metric, replace, replace_after, until, wait};
use hitmachine_tests::wire::{self, Wire};
use hitmachine_tests::world::World;
use serde_json::Value;
use tonic::Code;

const OM: &str = "om-reclassering";
const COORDINATOR: &str = "veiligheidshuis";
const PATIENCE: Duration = Duration::from_mins(1);

fn world(seed: u64) -> World {
    World::live(seed, &[OM])
}

/// How the node of the live partner says that it is.
fn status(world: &World) -> Value {
    let said = world.node(OM, &["status"]);
    said.json()["live"].clone()
}

/// Has the live partner's node serve, until the hub takes its answers from a set that was read.
fn serve(world: &World) -> NodeProcess {
    let node = world.serve(OM);
    ready(world);
    node
}

fn ready(world: &World) {
    until("the live partner is connected", || {
        let live = status(world);
        live["state"] == "connected" && live["complete_at"].is_string()
    });
}

/// Somebody whom the live partner knows, or not.
fn adult(world: &World, known: bool) -> String {
    world.adults(Register::OmReclassering, known)[0].bsn.clone()
}

fn ask(world: &World, bsn: &str) -> Said {
    program::query(&world.deployment, COORDINATOR, world.address, bsn, &[])
}

fn om(world: &World, bsn: &str) -> String {
    ask(world, bsn).status_of(OM)
}

fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([name, &id.to_string()]).status();
    assert!(sent.unwrap().success());
}

fn lookups(entries: &[logbook::Entry]) -> usize {
    entries
        .iter()
        .filter(|entry| entry.kind() == EntryKind::Lookup)
        .count()
}

fn truth(world: &World) -> GroundTruth {
    ground_truth(&world.deployment.registers(), world.deployment.recipe().today).unwrap()
}

/// Screens the whole list; every status must be what the plain files say, with `instead` for the live partner where
/// that is given. How many persons it knows.
fn screen(world: &World, instead: Option<&str>) -> usize {
    let said = world.screen(&world.deployment.registers().join(LIST_FILE));
    assert_eq!(said.code, 0, "{}", said.err);
    let truth: BTreeMap<_, _> = truth(world)
        .per_person
        .into_iter()
        .map(|(_, label, statuses)| (label, statuses))
        .collect();
    let report = said.json();
    let households = report["households"].as_array().unwrap();
    let persons = households
        .iter()
        .flat_map(|household| household["persons"].as_array().unwrap());
    let (mut answered, mut hits) = (0, 0);
    for person in persons {
        let label = person["label"].as_str().unwrap();
        for row in person["answer"]["partners"].as_array().unwrap() {
            let partner = row["partner"].as_str().unwrap();
            let word = match truth[label][partner] {
                _ if partner == OM && instead.is_some() => instead.unwrap(),
                Status::Known => "known",
                Status::NotKnown => "not_known",
                Status::DoesNotApply => "does_not_apply",
            };
            assert_eq!(row["status"], word, "{label} at {partner}");
            hits += usize::from(partner == OM && word == "known");
        }
        answered += 1;
    }
    assert_eq!(answered, truth.len(), "everybody on the list");
    hits
}

#[test]
fn a_live_partner_answers_as_if_it_were_in_the_index_and_hands_over_nothing() {
    let world = world(401);
    let broker = world.broker();
    world.sync_all();
    assert_eq!(
        screen(&world, Some("could_not_ask")),
        0,
        "its node does not serve"
    );
    let node = serve(&world);
    let hits = screen(&world, None);
    assert_eq!(hits, truth(&world).hits_per_partner[OM]);
    assert!(hits > 0);

    // Its own journal has each question, and what it said, and nobody's number or pseudonym.
    let said = world.node(OM, &["live", "list", "--last", "100000"]);
    assert_eq!(said.code, 0, "{said:?}");
    let list = said.json();
    let entries = list["entries"].as_array().unwrap();
    assert_eq!(entries.len(), truth(&world).households);
    let count = |word: &str| {
        let of = |entry: &Value| {
            let statuses = entry["statuses"].as_array().unwrap().clone();
            statuses.iter().filter(|status| **status == word).count()
        };
        entries.iter().map(of).sum::<usize>()
    };
    assert_eq!(count("known"), hits);
    assert_eq!(count("known") + count("not_known"), truth(&world).persons);
    assert!(entries.iter().all(|entry| entry["asker"] == COORDINATOR
        && entry["purpose"] == "screening"
        && entry["code"].is_null()));
    let numbers: Vec<&[u8]> = world
        .population
        .persons()
        .iter()
        .map(|person| person.bsn.as_bytes())
        .collect();
    assert_holds_none(&said.out, &numbers);
    let live = status(&world);
    assert_eq!(live["questions_today"], entries.len());
    assert_eq!(live["last_at"], entries[0]["at"]);
    let few = world.node(OM, &["live", "list", "--last", "3"]).json();
    assert_eq!(few["entries"].as_array().unwrap().len(), 3);
    assert_eq!(few["entries"][0], entries[0], "newest first");

    // The hub has logged what it said, and holds no register of it.
    let answered = metric(
        &broker,
        "hitmachine_live_questions_total{partner=\"om-reclassering\",outcome=\"answered\"}",
    );
    assert_eq!(answered, entries.len() as u64);
    assert_eq!(metric(&broker, "hitmachine_live_connected{"), 1);
    let printed = node.log().unwrap();
    assert_holds_none(&printed, &numbers);
    drop(node);
    world.stop(broker, &numbers);
    let again = world.broker();
    assert!(
        !again
            .log()
            .unwrap()
            .lines()
            .any(|line| line.contains("register loaded") && line.contains(OM)),
        "the hub holds a register of a live partner"
    );
}

#[test]
fn a_node_that_goes_could_not_be_asked_and_comes_back() {
    let world = world(402);
    // The longest that the covenant allows: whoever waits for it would see it.
    replace_after(
        &world.deployment.covenant(),
        &format!("id = \"{OM}\""),
        "registers =",
        "live_deadline_ms = 10000\nregisters =",
    );
    let (known, other) = (adult(&world, true), adult(&world, false));
    let broker = world.broker();
    let mut node = serve(&world);
    assert_eq!(om(&world, &known), "known");
    assert_eq!(om(&world, &other), "not_known");

    // Killed with a question under way: that ends at once, and nobody waits for the deadline.
    signal(node.id(), "-STOP");
    let outcome = |name: &str| {
        let name = format!("hitmachine_live_questions_total{{partner=\"{OM}\",outcome=\"{name}\"}}");
        metric(&broker, &name)
    };
    let asked = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let more = ["--case", "ZK-STOP"];
            program::query(&world.deployment, COORDINATOR, world.address, &known, &more)
        });
        // Time for it to get there; if it does not, it is asked of nobody, with the same answer.
        std::thread::sleep(Duration::from_millis(1_500));
        node.kill().unwrap();
        asking.join().unwrap()
    });
    assert_eq!(asked.status_of(OM), "could_not_ask");
    assert_eq!(outcome("timed_out"), 0);
    assert_eq!(om(&world, &known), "could_not_ask", "and after that too");
    assert!(outcome("gone") + outcome("not_connected") >= 2);

    // Stopped in good order, and back with what it had read before.
    node = serve(&world);
    assert_eq!(om(&world, &known), "known");
    terminate(node.id()).unwrap();
    until("the hub has noticed", || {
        metric(&broker, "hitmachine_live_connected{") == 0
    });
    assert_eq!(om(&world, &known), "could_not_ask");
    drop(node);
    let node = serve(&world);

    // The hub goes and comes back: the node finds it again by itself.
    world.stop(broker, &[known.as_bytes()]);
    let broker = world.broker();
    until("connected again", || {
        metric(&broker, "hitmachine_live_connected{") == 1
    });
    assert_eq!(om(&world, &known), "known");
    broker.kill().unwrap();
    let broker = world.broker();
    until("and after a kill", || {
        metric(&broker, "hitmachine_live_connected{") == 1
    });
    assert_eq!(om(&world, &known), "known");
    drop(node);
    let entries = world.stop(broker, &[known.as_bytes()]);
    assert_eq!(
        lookups(&entries),
        8,
        "each question has its entry, answered or not"
    );
}

#[test]
fn a_black_hole_ends_at_the_deadline() {
    let world = world(403);
    let known = adult(&world, true);
    let broker = world.broker();
    let node = serve(&world);
    assert_eq!(om(&world, &known), "known");
    signal(node.id(), "-STOP");
    let said = ask(&world, &known);
    signal(node.id(), "-CONT");
    assert_eq!(said.status_of(OM), "could_not_ask");
    until("it answers again", || om(&world, &known) == "known");
    let name = format!("hitmachine_live_questions_total{{partner=\"{OM}\",outcome=\"timed_out\"}}");
    assert!(metric(&broker, &name) >= 1);
    drop(node);
}

/// A second installation of the same node: the same keys and certificate, a state of its own.
fn second(world: &World) -> (PathBuf, Child) {
    let dir = world.path("nodes/second");
    let first = world.path(&format!("nodes/{OM}"));
    let copied = Command::new("cp").arg("-a").arg(first).arg(&dir).status();
    assert!(copied.unwrap().success());
    let _ = fs::remove_dir_all(dir.join("state"));
    let config = dir.join("node.toml");
    let printed = fs::File::create(dir.join("serve.log")).unwrap();
    let child = node_command_with(&config, world.address)
        .unwrap()
        .arg("serve")
        .stdout(Stdio::null())
        .stderr(printed)
        .spawn()
        .unwrap();
    // A command that comes before it would open the state itself.
    let socket = dir.join("state").join("node.sock");
    until("the second serves", || UnixStream::connect(&socket).is_ok());
    (config, child)
}

#[test]
fn of_two_nodes_with_one_certificate_the_newest_answers() {
    let world = world(404);
    let known = adult(&world, true);
    let broker = world.broker();
    let first = serve(&world);
    assert_eq!(om(&world, &known), "known");
    let (config, mut newest) = second(&world);
    let of_second = || {
        let said = node_command_with(&config, world.address)
            .unwrap()
            .args(["--json", "status"])
            .output()
            .unwrap();
        Said::of(said).json()["live"].clone()
    };
    until("the second has taken its place", || {
        let live = of_second();
        live["state"] == "connected" && live["complete_at"].is_string()
    });
    until("the first knows", || status(&world)["state"] == "replaced");
    let text = program::node(&world.deployment, OM, world.address, &["status"]).out;
    assert!(text.contains("replaced"), "{text}");
    let before = status(&world)["questions_today"].clone();
    for _ in 0..5 {
        assert_eq!(om(&world, &known), "known");
    }
    // Nobody was pushed out meanwhile.
    assert_eq!(status(&world)["state"], "replaced");
    assert_eq!(status(&world)["questions_today"], before);
    assert_eq!(of_second()["questions_today"], 5);
    assert!(first.log().unwrap().contains("another node of this organisation"));
    newest.kill().unwrap();
    assert!(wait(&mut newest, PATIENCE).is_some());
    // Or the first has noticed already.
    assert_ne!(om(&world, &known), "not_known");
    // Who starts it anew has it answer at once.
    drop(first);
    let first = serve(&world);
    assert_eq!(om(&world, &known), "known");
    drop(first);
    drop(broker);
}

#[test]
fn a_node_without_a_source_that_was_read_says_so() {
    let world = world(405);
    let (known, broker) = (adult(&world, true), world.broker());
    let source = world.source(Register::OmReclassering);
    let kept = source.with_extension("kept");
    fs::rename(&source, &kept).unwrap();
    let node = world.serve(OM);
    until("connected", || status(&world)["state"] == "connected");
    assert!(status(&world)["complete_at"].is_null());
    assert_eq!(om(&world, &known), "could_not_ask");
    let list = world.node(OM, &["live", "list"]).json();
    assert_eq!(list["entries"][0]["code"], "live_not_complete");
    // The file comes: it is read, and answered from.
    fs::rename(&kept, &source).unwrap();
    until("it knows", || om(&world, &known) == "known");
    // A broken export does not empty the set.
    let text = fs::read(&source).unwrap();
    let header = text.iter().position(|byte| *byte == b'\n').unwrap();
    fs::write(&source, &text[..=header]).unwrap();
    let said = world.node(OM, &["sync"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(om(&world, &known), "known");
    // Who is gone from the source is gone from the answers, when a person says that this is right.
    let said = world.node(OM, &["sync", "--confirm-shrink"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        (&said.json()["live"], &said.json()["persons"]),
        (&true.into(), &0.into())
    );
    assert_eq!(om(&world, &known), "not_known");
    drop(node);
    drop(broker);
}

#[test]
fn an_old_set_is_not_answered_from() {
    let world = world(406);
    let (known, broker) = (adult(&world, true), world.broker());
    world.sync_all();
    // As if it was read three days and an hour ago, and cannot be read now.
    let dir = world.path(&format!("nodes/{OM}"));
    age(&dir, 73);
    fs::rename(world.source(Register::OmReclassering), world.path("kept.tsv")).unwrap();
    let node = world.serve(OM);
    until("connected", || status(&world)["state"] == "connected");
    assert!(status(&world)["complete_at"].is_string());
    assert_eq!(om(&world, &known), "could_not_ask");
    let list = world.node(OM, &["live", "list"]).json();
    assert_eq!(list["entries"][0]["code"], "live_stale");
    drop(node);
    age(&dir, -72);
    // 72 hours later than that is one hour ago.
    let node = world.serve(OM);
    until("connected", || status(&world)["state"] == "connected");
    assert_eq!(om(&world, &known), "known");
    drop(node);
    drop(broker);
}

/// Moves the moment at which a set was complete back by so many hours.
fn age(dir: &Path, hours: i64) {
    use hitmachine_node::state::{State, StateKey};
    let (_, key) = SecretFile::read(dir.join("node-state.key"), Purpose::NodeState).unwrap();
    let state = State::open(&dir.join("state"), &StateKey::from_bytes(*key)).unwrap();
    let mut value = state.value("live-complete").unwrap().unwrap();
    let at = value.len() - 8;
    let ms = i64::from_be_bytes(value[at..].try_into().unwrap()) - hours * 3_600_000;
    value[at..].copy_from_slice(&ms.to_be_bytes());
    state.set_values(&[("live-complete", value)]).unwrap();
}

#[test]
fn a_node_with_another_key_is_loud() {
    let world = world(407);
    let (known, broker) = (adult(&world, true), world.broker());
    let key = world.path(&format!("nodes/{OM}/node-key.key"));
    fs::remove_file(&key).unwrap();
    SecretFile::write_new(&key, Purpose::NodeKey, 1, &[7; 32]).unwrap();
    let node = world.serve(OM);
    let said = world.node(OM, &["status"]);
    assert_ne!(said.code, 0);
    assert!(
        said.json()["hub"]
            .as_str()
            .unwrap()
            .contains("key check value differs")
    );
    assert_eq!(om(&world, &known), "could_not_ask");
    drop(node);
    drop(broker);
}

/// What the hub says to a first message.
async fn hello(wire: &Wire, hello: v1::LiveHello) -> (Code, String) {
    let said = wire.live(vec![Message::Hello(hello)]).await;
    said.err().map_or((Code::Ok, String::new()), |status| {
        (status.code(), code_of(status.message()))
    })
}

fn code_of(text: &str) -> String {
    text.split(':').next().unwrap().to_owned()
}

type Change = fn(&mut v1::LiveHello);

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_takes_a_stream_only_of_whom_it_may() {
    let world = world(408);
    let broker = world.broker();
    let wire = Wire::of(&world.deployment, OM, world.address).await;
    let fetched = wire.fetch().await.unwrap();
    let covenant = hitmachine_core::Covenant::parse(&fetched.covenant).unwrap();
    let good = || v1::LiveHello {
        deployment: covenant.deployment().id.as_bytes().to_vec(),
        keys: vec![v1::HeldKey {
            number: fetched.key_epoch,
            key_check_value: fetched.key_check_value.clone(),
        }],
        complete: None,
        only_if_none: false,
    };
    let cases: [(Code, &str, Change); 6] = [
        (Code::FailedPrecondition, "wrong_deployment", |h| {
            h.deployment[0] ^= 1;
        }),
        (Code::FailedPrecondition, "wrong_epoch", |h| {
            h.keys[0].number = 2;
        }),
        (Code::FailedPrecondition, "wrong_epoch", |h| h.keys.clear()),
        (Code::FailedPrecondition, "wrong_key", |h| {
            h.keys[0].key_check_value[0] ^= 1;
        }),
        (Code::FailedPrecondition, "wrong_key", |h| {
            h.keys[0].key_check_value.clear();
        }),
        (Code::Ok, "", |_| ()),
    ];
    for (code, text, change) in cases {
        let mut changed = good();
        change(&mut changed);
        assert_eq!(hello(&wire, changed).await, (code, text.to_owned()));
    }
    for partner in ["leerplicht", COORDINATOR] {
        let other = Wire::of(&world.deployment, partner, world.address).await;
        let expected = (Code::PermissionDenied, "not_live".to_owned());
        assert_eq!(hello(&other, good()).await, expected, "{partner}");
    }
    let options = IssueOptions::partner("A stranger", &test_oin(99), jiff::Timestamp::now(), 30);
    let authority = world.deployment.authority().unwrap();
    let shown = wire::identity(&world.deployment, &authority, &options);
    let stranger = Wire::open(world.address, shown).await.unwrap();
    assert_eq!(hello(&stranger, good()).await.0, Code::PermissionDenied);
    let early = wire.live(vec![Message::Answer(v1::LiveAnswer::default())]).await;
    assert_eq!(early.err().unwrap().code(), Code::InvalidArgument);
    drop(broker);
}

/// The hub changes nothing of a question: the node checks what the asker signed, under the covenant that it has.
#[test]
fn a_covenant_that_does_not_let_it_answer_live_ends_it() {
    let world = world(409);
    let known = adult(&world, true);
    let broker = world.broker();
    world.sync_all();
    let node = serve(&world);
    assert_eq!(om(&world, &known), "known");
    drop(node);
    world.stop(broker, &[]);
    // From now on it registers at the hub like the others, and everything is sent.
    replace(
        &world.deployment.covenant(),
        "answers = \"live\"",
        "answers = \"index\"",
    );
    let broker = world.broker();
    assert_eq!(om(&world, &known), "could_not_ask");
    let said = world.node(OM, &["sync"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        (&said.json()["live"], &said.json()["persons"]),
        (&false.into(), &world.members(Register::OmReclassering).into())
    );
    assert_eq!(om(&world, &known), "known");
    assert!(status(&world).is_null());
    world.stop(broker, &[]);
    // And back: what the hub has of it is not asked any more.
    replace_after(
        &world.deployment.covenant(),
        &format!("id = \"{OM}\""),
        "answers = \"index\"",
        "answers = \"live\"",
    );
    let broker: BrokerProcess = world.broker();
    assert_eq!(om(&world, &known), "could_not_ask");
    let node = serve(&world);
    assert_eq!(om(&world, &known), "known");
    drop(node);
    let entries = world.stop(broker, &[known.as_bytes()]);
    assert_eq!(lookups(&entries), 5);
}
