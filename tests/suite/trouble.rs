//! What goes wrong outside of the rules: networks, disks, clocks, files, and processes that die. Nothing acknowledged
//! is lost, nothing is taken for "not known" that could not be asked, and nothing is repaired that must not be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests: a failure is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hitmachine_audit::{EntryKind, Hash};
use hitmachine_core::registry::{Change, Tally};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, Token};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::BROKER_NAME;
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::pki::{IssueOptions, test_oin};
use hitmachine_testkit::population::{AgeClass, LIST_FILE, Register};
use hitmachine_testkit::process::{BrokerProcess, node_command, program, terminate};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::logbook;
use hitmachine_tests::program::{
    self as run, assert_holds_none, broker_refuses, metric, replace, replace_after, until,
};
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::world::World;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};
use tonic::Code;

/// Does something bad to an installation.
type Damage<'a> = &'a dyn Fn();

/// Kills of a node in one run.
const KILLS: u64 = 30;

/// The first households of the screening list, as a list of its own.
fn short_list(world: &World, households: usize) -> PathBuf {
    let text = fs::read_to_string(world.deployment.registers().join(LIST_FILE)).unwrap();
    let mut seen = BTreeSet::new();
    let mut lines = text.lines();
    let mut short = lines.next().unwrap().to_owned() + "\n";
    let at = short
        .trim()
        .split(';')
        .position(|title| title == "huishouden")
        .unwrap();
    for line in lines {
        seen.insert(line.split(';').nth(at).unwrap());
        if seen.len() > households {
            break;
        }
        short.push_str(&format!("{line}\n"));
    }
    let path = world.deployment.registers().join("short.csv");
    fs::write(&path, short).unwrap();
    path
}

/// All persons of a screening report.
fn persons(report: &Value) -> impl Iterator<Item = &Value> {
    let households = report["households"].as_array().unwrap().iter();
    households.flat_map(|household| household["persons"].as_array().unwrap())
}

fn truth(world: &World) -> GroundTruth {
    ground_truth(&world.deployment.registers(), world.deployment.recipe().today).unwrap()
}

/// Compares the answers of a report with what the plain files say; how many persons were answered.
fn check_answers(world: &World, report: &Value) -> usize {
    let truth: BTreeMap<_, _> = truth(world)
        .per_person
        .into_iter()
        .map(|(_, label, statuses)| (label, statuses))
        .collect();
    let mut answered = 0;
    for person in persons(report) {
        let Some(answer) = person.get("answer") else {
            continue;
        };
        answered += 1;
        let statuses: BTreeMap<String, String> = answer["partners"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                (
                    row["partner"].as_str().unwrap().into(),
                    row["status"].as_str().unwrap().into(),
                )
            })
            .collect();
        let expected: BTreeMap<String, String> = truth[person["label"].as_str().unwrap()]
            .iter()
            .map(|(partner, status)| {
                let word = match status {
                    Status::Known => "known",
                    Status::NotKnown => "not_known",
                    Status::DoesNotApply => "does_not_apply",
                };
                (partner.clone(), word.to_owned())
            })
            .collect();
        assert_eq!(statuses, expected, "{}", person["label"]);
    }
    answered
}

/// Screens the whole list; every answer must be the right one.
fn check_ground_truth(world: &World) {
    let said = world.screen(&world.deployment.registers().join(LIST_FILE));
    assert_eq!(said.code, 0, "{}", said.err);
    let report = said.json();
    assert_eq!(check_answers(world, &report), truth(world).persons);
}

#[test]
fn a_hub_that_cannot_be_reached_is_never_not_known() {
    let world = World::new(201);
    let bsn = world.bsn(AgeClass::Adult);
    let list = short_list(&world, 6);

    assert_eq!(
        world.node("regieteams", &["sync"]).failure(),
        (3, "connection_refused".into())
    );
    let ask = |address| run::query(&world.deployment, "veiligheidshuis", address, bsn, &[]);
    assert_eq!(ask(world.address).failure(), (3, "connection_refused".into()));
    let status = world.node("regieteams", &["status"]);
    assert_eq!(status.code, 3);
    let status = status.json();
    assert!(
        status["hub"].as_str().unwrap().contains("nothing listens there"),
        "{status}"
    );
    assert_eq!(
        (&status["persons"], &status["synchronised_at"]),
        (&json!(0), &Value::Null)
    );

    // Something else listens there: it says nothing, or not this protocol.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let begun = Instant::now();
    assert_eq!(
        ask(silent.local_addr().unwrap()).failure(),
        (3, "unreachable".into())
    );
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = web.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    assert_eq!(ask(at).failure(), (3, "protocol".into()));

    let said = world.screen(&list);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(!said.out.contains("\"not_known\""), "{}", said.out);
    let report = said.json();
    let totals = &report["totals"];
    let count = persons(&report).count();
    assert!(count >= 6);
    assert_eq!(
        (&totals["persons"], &totals["not_asked"]),
        (&json!(count), &json!(count))
    );
    assert_eq!(
        (&totals["answered"], &totals["households_not_known"]),
        (&json!(0), &json!(0))
    );
    for person in persons(&report) {
        assert_eq!(person["not_asked"]["code"], "connection_refused");
        assert!(person.get("answer").is_none());
    }
    assert_holds_none(&(said.out.clone() + &said.err), &[bsn.as_bytes()]);
}

/// Passes bytes between node and broker, and kills the broker when so many have come from it.
struct Fuse {
    address: SocketAddr,
    blown: Arc<AtomicBool>,
}

impl Fuse {
    fn new(to: SocketAddr, broker: u32, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (blown, passed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let own = Arc::clone(&blown);
        std::thread::spawn(move || {
            // The port closes with the loop: as at a broker that is gone.
            while !own.load(Ordering::SeqCst) {
                let Ok((node, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                node.set_nonblocking(false).unwrap();
                let hub = TcpStream::connect(to).unwrap();
                let (mut from, mut into) = (node.try_clone().unwrap(), hub.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut into));
                let (blown, passed) = (Arc::clone(&own), Arc::clone(&passed));
                std::thread::spawn(move || pass(hub, node, broker, most, &passed, &blown));
            }
        });
        Self { address, blown }
    }
}

fn pass(
    mut hub: TcpStream,
    mut node: TcpStream,
    broker: u32,
    most: u64,
    passed: &AtomicU64,
    blown: &AtomicBool,
) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = hub.read(&mut buffer) {
        if passed.fetch_add(count as u64, Ordering::SeqCst) + count as u64 > most {
            blown.store(true, Ordering::SeqCst);
            let killed = Command::new("kill")
                .args(["-KILL", &broker.to_string()])
                .status()
                .unwrap();
            assert!(killed.success());
            let _ = node.shutdown(std::net::Shutdown::Both);
            return;
        }
        if node.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn a_broker_that_dies_during_a_screening_leaves_no_doubt_about_who_was_asked() {
    let mut world = World::new(202);
    let broker = world.broker();
    world.sync_all();
    let list = short_list(&world, 40);
    let fuse = Fuse::new(world.address, broker.id(), 30_000);
    world.address = fuse.address;
    let said = world.screen(&list);
    assert!(fuse.blown.load(Ordering::SeqCst), "the broker lived");
    assert_eq!(said.code, 3, "{}", said.err);
    broker.kill().unwrap();

    let report = said.json();
    let count = persons(&report).count();
    let answered = check_answers(&world, &report);
    assert!(
        answered > 0 && answered < count,
        "{answered} of {count}: killed at the wrong time"
    );
    let totals = &report["totals"];
    assert_eq!(
        (&totals["answered"], &totals["not_asked"]),
        (&json!(answered), &json!(count - answered))
    );
    for person in persons(&report).filter(|person| person.get("answer").is_none()) {
        let failure = &person["not_asked"];
        assert_eq!(failure["exit"], 3, "{failure}");
    }
    // Whoever was answered is in the log; a household with somebody who was not asked counts as unknown to nobody.
    let logged: BTreeSet<_> = logbook::read(&world.deployment)
        .iter()
        .map(|entry| entry.index)
        .collect();
    for answer in persons(&report).filter_map(|person| person.get("answer")) {
        assert!(logged.contains(&answer["log_index"].as_u64().unwrap()));
    }
    let whole = report["households"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|household| {
            let persons = household["persons"].as_array().unwrap();
            persons.iter().all(|person| {
                let rows = person["answer"]["partners"].as_array();
                rows.is_some_and(|rows| rows.iter().all(|row| row["status"] != "known"))
            })
        });
    assert_eq!(totals["households_not_known"], json!(whole.count()));
}

#[test]
fn a_broker_says_what_is_wrong_before_it_starts() {
    let world = World::new(203);
    let broker = world.path("broker");
    let covenant = world.deployment.covenant();
    let key = fs::read_to_string(broker.join("pepper.key")).unwrap();
    let secret = key.trim().rsplit(' ').next().unwrap().to_owned();
    let expired = {
        let now = Timestamp::now();
        let options = IssueOptions {
            dns_names: vec![BROKER_NAME.into()],
            not_before: now - 48.hours(),
            not_after: now - 1.hour(),
            ..IssueOptions::partner("Hitmachine demo", &test_oin(1), now, 1)
        };
        world.deployment.authority().unwrap().issue(&options).unwrap()
    };
    let add = |path: &Path, text: &str| fs::write(path, fs::read_to_string(path).unwrap() + text).unwrap();
    let second = "\n[[partner]]\nid = \"leerplicht\"\nname = \"X\"\noin = \"00000099000000000077\"\ndomain = \"x\"\n\
                  contact = \"x\"\nanswers = \"index\"\nregisters = []\n";
    let lines = fs::read_to_string(&covenant).unwrap().lines().count();
    let rekey = |purpose, number| {
        fs::remove_file(broker.join("pepper.key")).unwrap();
        SecretFile::write_new(&broker.join("pepper.key"), purpose, number, &[9; 32]).unwrap();
    };
    let open_up = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(broker.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let named_twice = format!("line {}: partner.id: leerplicht is named twice", lines + 3);
    let cases: [(&str, Damage<'_>, &[&str]); 14] = [
        (
            "a covenant with an unknown field",
            &|| replace(&covenant, "title = \"Conv", "colour = \"red\"\ntitle = \"Conv"),
            &["covenant.toml", "line 4:", "colour"],
        ),
        (
            "a partner named twice",
            &|| add(&covenant, second),
            &["covenant.toml", &named_twice],
        ),
        (
            "a covenant that is no text",
            &|| fs::write(&covenant, b"\xff\xfe").unwrap(),
            &["line 1:", "UTF-8"],
        ),
        (
            "no covenant",
            &|| fs::remove_file(&covenant).unwrap(),
            &["covenant.toml", "cannot read"],
        ),
        (
            "no pepper",
            &|| fs::remove_file(broker.join("pepper.key")).unwrap(),
            &["cannot read", "pepper.key"],
        ),
        (
            "a pepper of another epoch",
            &|| rekey(Purpose::Pepper, 2),
            &["key epoch 2", "says 1"],
        ),
        (
            "another key as pepper",
            &|| rekey(Purpose::NodeKey, 1),
            &["pepper.key does not hold a pepper key"],
        ),
        (
            "a key that others can read",
            &|| open_up("pepper.key"),
            &["pepper.key", "0644", "chmod 600"],
        ),
        (
            "a signing key that others can read",
            &|| open_up("audit-signing.key"),
            &["audit-signing.key", "chmod 600"],
        ),
        (
            "a TLS key that others can read",
            &|| open_up("broker.key"),
            &["broker.key", "chmod 600"],
        ),
        (
            "an expired certificate",
            &|| expired.save(&broker, "broker").unwrap(),
            &["broker.pem expired at"],
        ),
        (
            "a certificate of another key",
            &|| fs::write(broker.join("broker.pem"), expired.certificate_pem()).unwrap(),
            &["broker.pem"],
        ),
        (
            "an unknown setting",
            &|| {
                replace(
                    &world.deployment.broker_config(),
                    "data_dir",
                    "colour = \"red\"\ndata_dir",
                );
            },
            &["broker.toml", "colour"],
        ),
        (
            "a setting of another form",
            &|| {
                replace(
                    &world.deployment.broker_config(),
                    "number = 1",
                    "number = \"one\"",
                );
            },
            &["broker.toml", "number"],
        ),
    ];
    for (what, damage, texts) in cases {
        let kept = logbook::copy(world.deployment.dir());
        damage();
        let said = broker_refuses(&world.deployment);
        assert_eq!(said.code, 2, "{what}: {said:?}");
        let message = said.err.lines().last().unwrap_or_default();
        assert!(message.starts_with("hitmachine-broker: "), "{what}: {said:?}");
        for text in texts {
            assert!(message.contains(text), "{what}: no {text:?} in {message}");
        }
        assert!(
            !said.err.contains(&secret) && !said.out.contains(&secret),
            "{what}"
        );
        // Nothing was begun.
        assert!(!broker.join("data").exists(), "{what}");
        restore(&kept, world.deployment.dir());
    }
    // A port that is taken is no fault of the configuration.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = world.deployment.broker_config();
    replace(&config, "127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("cannot listen on"), "{said:?}");
    drop(taken);
    // And with everything in order it starts.
    assert_eq!(world.broker().stop().unwrap(), Some(0));
}

/// Every file in a folder and those below it.
fn files_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_in(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Puts a copy back in the place of what is there.
fn restore(kept: &tempfile::TempDir, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    fs::create_dir(to).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(kept.path().join("."))
        .arg(to)
        .status()
        .unwrap();
    assert!(copied.success());
}

#[test]
fn two_brokers_never_share_their_data() {
    let world = World::new(204);
    let broker = world.broker();
    world.sync_all();
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("in use by another process"), "{said:?}");
    // Also if only the log is shared.
    let elsewhere = world.path("broker/elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(world.path("broker/data/audit"), elsewhere.join("audit")).unwrap();
    let config = world.deployment.broker_config();
    replace(&config, "data_dir = \"data\"", "data_dir = \"elsewhere\"");
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("log is in use by another process"), "{said:?}");
    // The first one was not disturbed.
    let bsn = world.bsn(AgeClass::Adult);
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn a_damaged_register_is_noticed_and_rebuilt_by_the_nodes() {
    let world = World::new(205);
    let broker = world.broker();
    world.sync_all();
    assert_eq!(broker.stop().unwrap(), Some(0));
    let registry = world.path("broker/data/registry");
    let sled = registry.join("sled");
    let kept = logbook::copy(&registry);
    let nodes = logbook::copy(&world.path("nodes"));
    let files = files_in(&sled);
    let db = sled.join("db");
    assert!(files.contains(&db), "{files:?}");

    let cut = |path: &Path, to: u64| {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(to)
            .unwrap();
    };
    let length = fs::metadata(&db).unwrap().len();
    let certain: [(&str, Damage<'_>); 6] = [
        ("cut to a half", &|| cut(&db, length / 2)),
        ("cut to nothing", &|| cut(&db, 0)),
        ("db removed", &|| fs::remove_file(&db).unwrap()),
        ("everything of sled removed", &|| {
            fs::remove_dir_all(&sled).unwrap();
        }),
        ("overwritten", &|| {
            fs::write(&db, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
        }),
        ("watermark garbled", &|| {
            fs::write(registry.join("watermark"), "leerplicht one 2\n").unwrap();
        }),
    ];
    let mut noticed = 0;
    for (what, damage) in certain {
        damage();
        noticed += 1;
        assert!(!starts_whole(&world, what), "{what}: not noticed");
        restore(&kept, &registry);
    }
    // Bits that flip anywhere in what is used: either it is noticed, or nothing is lost.
    let mut rng = Rng::new(20_261_122);
    let mut harmless = 0;
    for path in &files {
        let bytes = fs::read(path).unwrap();
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let flips = if *path == db { 24 } else { 6 };
        for _ in 0..if used.is_empty() { 0 } else { flips } {
            let at = used[usize::try_from(rng.below(used.len() as u64)).unwrap()];
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << rng.below(8);
            fs::write(path, damaged).unwrap();
            let name = path.file_name().unwrap().to_string_lossy();
            if starts_whole(&world, &format!("{name}, byte {at}")) {
                harmless += 1;
            } else {
                noticed += 1;
            }
            restore(&kept, &registry);
        }
    }
    println!("{noticed} damages noticed, {harmless} flipped bits that harmed nothing");
    assert!(noticed > 10, "the bits that were flipped hardly matter");

    // The remedy, as the message names it: moved aside, not lost, and each node sends everything again by itself.
    cut(&db, length / 2);
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 4, "{said:?}");
    let mut rebuild = Command::new(program("hitmachine-broker").unwrap());
    let output = rebuild
        .args(["rebuild-registry", "--config"])
        .arg(world.deployment.broker_config())
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let aside = fs::read_dir(world.path("broker/data"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        aside
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("registry.damaged-"))
    );
    let broker = world.broker();
    // Before the nodes have come nobody is "not known".
    let bsn = world.bsn(AgeClass::Adult);
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]).json();
    let rows = said["persons"][0]["partners"].as_array().unwrap();
    assert!(
        rows.iter()
            .all(|row| row["status"] == "could_not_ask" || row["status"] == "does_not_apply"),
        "{said}"
    );
    for register in Register::ALL {
        let said = world.node(register.id(), &["sync"]);
        assert_eq!(said.code, 0, "{register}: {said:?}");
        let report = said.json();
        let members = json!(world.members(register));
        assert_eq!(
            (&report["full"], &report["persons"], &report["registered"]),
            (&json!(true), &members, &members)
        );
    }
    check_ground_truth(&world);
    assert_eq!(broker.stop().unwrap(), Some(0));
    drop(nodes);
}

/// Whether a broker starts with exactly the registers that the nodes hold, and agrees with them; otherwise it must have
/// refused with the remedy.
fn starts_whole(world: &World, what: &str) -> bool {
    let log = world.path("broker/broker.log");
    let before = fs::metadata(&log).map_or(0, |data| data.len());
    match BrokerProcess::start(&world.deployment, world.address) {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("exit status: 4"), "{what}: {text}");
            assert!(
                text.contains("rebuild-registry"),
                "{what}: the remedy is not named: {text}"
            );
            false
        }
        Ok(broker) => {
            let text = fs::read(&log).unwrap();
            let text = String::from_utf8_lossy(&text[usize::try_from(before).unwrap()..]).into_owned();
            for register in Register::ALL {
                let loaded = loaded(&text, register.id());
                assert_eq!(
                    loaded,
                    Some(world.members(register) as u64),
                    "{what}: {register}: {text}"
                );
            }
            assert_eq!(broker.stop().unwrap(), Some(0), "{what}");
            true
        }
    }
}

/// How many registrations of a partner the broker says it loaded at its last start.
fn loaded(log: &str, partner: &str) -> Option<u64> {
    let line = log
        .lines()
        .rfind(|line| line.contains("register loaded") && line.contains(partner))?;
    let count: String = line
        .split("count")
        .nth(1)?
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .collect();
    count
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .ok()
}

#[test]
fn a_damaged_audit_log_is_never_repaired() {
    let world = World::new(206);
    let broker = world.broker();
    let bsn = world.bsn(AgeClass::Adult);
    for _ in 0..12 {
        let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
    let audit = world.path("broker/data/audit");
    let kept = logbook::copy(&audit);
    let segment = files_in(&audit.join("wal"))
        .into_iter()
        .max_by_key(|path| fs::read(path).unwrap().iter().filter(|byte| **byte != 0).count())
        .unwrap();
    let good = fs::read(&segment).unwrap();
    let used = good.iter().rposition(|byte| *byte != 0).unwrap();
    // The last frame alone may be torn by a crash; before it nothing is.
    for place in [0, used / 8, used / 4, used / 2, used * 3 / 4, used * 7 / 8] {
        let mut damaged = good.clone();
        damaged[place] ^= 0x10;
        fs::write(&segment, &damaged).unwrap();
        for start in 1..=2 {
            let said = broker_refuses(&world.deployment);
            assert_eq!(said.code, 4, "byte {place} of {used}, start {start}: {said:?}");
            assert!(said.err.contains("damaged"), "{said:?}");
            assert_holds_none(&said.err, &[bsn.as_bytes()]);
            assert!(
                fs::read(&segment).unwrap() == damaged,
                "byte {place}, start {start}: repaired"
            );
        }
        restore(&kept, &audit);
    }
    // A log that is gone altogether the broker cannot tell from a new one; who saw its entries can, and shows nothing.
    fs::remove_dir_all(&audit).unwrap();
    let broker = world.broker();
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.failure(), (4, "not_proven".into()));
    assert!(!said.out.contains("partners"), "something is shown: {said:?}");
    assert_eq!(broker.stop().unwrap(), Some(0));
    restore(&kept, &audit);
    // The log of another key.
    let key = world.path("broker/audit-signing.key");
    let other = fs::read_to_string(&key).unwrap();
    fs::remove_file(&key).unwrap();
    SecretFile::write_new(&key, Purpose::AuditSigning, 0, &[8; 32]).unwrap();
    let said = broker_refuses(&world.deployment);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("another origin or key"), "{said:?}");
    // Undamaged it goes on where it was.
    fs::write(&key, other).unwrap();
    let broker = world.broker();
    let said = run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    assert_eq!(said.json()["persons"][0]["log_index"], 12);
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn a_node_killed_at_30_moments_goes_on_where_it_was() {
    let world = World::of_size(207, 3_000);
    let broker = world.broker();
    world.sync_all();
    let source = world.source(Register::Regieteams);
    let whole = fs::read(&source).unwrap();
    let header = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let rows: Vec<&[u8]> = whole[header..].split_inclusive(|byte| *byte == b'\n').collect();
    let mut rng = Rng::new(20_261_123);
    let begun = Instant::now();
    assert_eq!(world.node("regieteams", &["sync", "--full"]).code, 0);
    let whole_sync = u64::try_from(begun.elapsed().as_micros()).unwrap();
    let (mut cut_short, mut in_doubt, mut full) = (0, 0, 0);
    for round in 0..KILLS {
        // Each round half of the persons, so that there is something to send in several batches.
        let mut text = whole[..header].to_vec();
        for row in rows.iter().filter(|_| rng.below(2) == 0) {
            text.extend_from_slice(row);
        }
        fs::write(&source, text).unwrap();
        let mut command = node_command(&world.deployment, "regieteams", world.address).unwrap();
        let serving = round % 3 == 2;
        if serving {
            command.arg("serve");
        } else {
            command.args(["sync", "--confirm-shrink"]);
        }
        let mut child = child_of(command.env("HITMACHINE_NODE_SYNC__MAX_LOSS_PERCENT", "100"));
        std::thread::sleep(Duration::from_micros(rng.below(whole_sync)));
        cut_short += u32::from(child.try_wait().unwrap().is_none() && !serving);
        child.kill().unwrap();
        child.wait().unwrap();
        // What it left behind is readable, and tells what the hub may have.
        if round % 5 == 4 {
            let said = world.node("regieteams", &["status"]);
            assert_eq!(said.code, 0, "round {round}: {said:?}");
            let status = said.json();
            assert_eq!(status["serving"], false);
            in_doubt += u32::from(status["batches_in_doubt"] != 0);
        }
        // Every third time it may finish.
        if round % 3 == 0 {
            let said = world.node("regieteams", &["sync", "--confirm-shrink"]);
            assert_eq!(said.code, 0, "round {round}: {said:?}");
            full += u32::from(said.json()["full"] == true);
        }
    }
    println!(
        "{KILLS} kills: {cut_short} syncs cut short, {in_doubt} times with batches in doubt, {full} full resyncs"
    );
    assert!(cut_short >= 8, "only {cut_short} syncs were cut short");
    assert_eq!(full, 0, "after a kill of the node nothing needs to be sent twice");

    fs::write(&source, &whole).unwrap();
    let report = world.node("regieteams", &["sync", "--confirm-shrink"]).json();
    let members = json!(world.members(Register::Regieteams));
    assert_eq!((&report["full"], &report["persons"]), (&json!(false), &members));
    let report = world.node("regieteams", &["sync"]).json();
    assert_eq!(
        (&report["registered"], &report["withdrawn"], &report["persons"]),
        (&json!(0), &json!(0), &members)
    );
    check_ground_truth(&world);
    assert_eq!(broker.stop().unwrap(), Some(0));
    assert!(starts_whole(&world, "after the kills"));
}

fn child_of(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Registers somebody whom nobody else knows.
fn stranger(number: u64) -> Change {
    let mut token = [0xee; 32];
    token[..8].copy_from_slice(&number.to_be_bytes());
    Change {
        identifier: IdentifierType::Bsn,
        token: Token::from_bytes(token),
        registration: Some((SubjectClass::Adult, Day::of(Timestamp::now()).plus(30))),
    }
}

/// A small disk. Gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, kib: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k,mode=0700");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .output();
        let mount = mount.expect("this test needs the program `mount`");
        assert!(
            mount.status.success(),
            "this test mounts small disks (tmpfs), which needs root and CAP_SYS_ADMIN: {}",
            String::from_utf8_lossy(&mount.stderr)
        );
        Self(at.to_owned())
    }

    /// Makes room without touching what is there.
    fn grow(&self, kib: u32) {
        let options = format!("remount,size={kib}k");
        let grown = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(grown.success());
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_registrations_and_loses_none() {
    let world = World::new(208);
    replace(
        &world.deployment.broker_config(),
        "segment_mib = 16",
        "segment_mib = 2",
    );
    let disk = SmallDisk::mount(&world.path("broker/data"), 32 << 10);
    let broker = world.broker();
    let first = [
        Register::Leerplicht,
        Register::Schuldhulpverlening,
        Register::OmReclassering,
    ];
    let sync = |register: Register| world.node(register.id(), &["sync"]);
    for register in first {
        assert_eq!(sync(register).json()["persons"], world.members(register));
    }
    // A sync is under way when the disk fills up: what still fits is acknowledged and stays, the rest is refused.
    let shared = Shared::of(&world.deployment);
    let (mut broker, mut size, mut fitted) = (broker, 32 << 10, 0);
    for room in [0, 256, 512, 1024, 1536] {
        let wire = Wire::of(&world.deployment, "regieteams", world.address).await;
        let (mut under_way, begun) = wire.sync(shared.begin()).await.unwrap();
        disk.fill();
        disk.grow(size + room);
        let mut next = begun.next_sequence;
        let status = loop {
            assert!(next < 2_000, "the disk is not full");
            let batch: Vec<_> = (0..1024).map(|person| stranger(next * 1024 + person)).collect();
            match under_way.batch(begun.generation, next, &batch).await {
                Ok(sequence) => next = sequence + 1,
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().starts_with("storage: "), "{status}");
        let status = wire.sync(shared.begin()).await.err().unwrap();
        assert!(status.message().starts_with("storage: "), "{status}");
        fitted += next - begun.next_sequence;
        broker.kill().unwrap();
        size += room + (8 << 10);
        disk.grow(size);
        broker = world.broker();
        let wire = Wire::of(&world.deployment, "regieteams", world.address).await;
        let (_sync, begun) = wire.sync(shared.begin()).await.unwrap();
        assert!(
            begun.next_sequence >= next,
            "room for {room} KiB: an acknowledged batch is lost"
        );
        assert_eq!(begun.count, (begun.next_sequence - 1) * 1024);
    }
    assert!(fitted > 0, "nothing was acknowledged");
    disk.fill();
    // What is there answers; what comes is refused, and not half taken.
    let bsn = world.bsn(AgeClass::Adult);
    let ask = || run::query(&world.deployment, "veiligheidshuis", world.address, bsn, &[]);
    let said = sync(Register::Regieteams);
    assert_eq!(said.failure(), (1, "storage".into()));
    let said_again = sync(Register::Regieteams);
    assert_eq!(said_again.failure(), (1, "storage".into()));
    let answer = ask();
    assert_eq!(answer.code, 0, "{answer:?}");
    let rows = |said: &run::Said| -> BTreeMap<String, String> {
        let said = said.json();
        let rows = said["persons"][0]["partners"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                row["partner"].as_str().unwrap().into(),
                row["status"].as_str().unwrap().into(),
            )
        })
        .collect()
    };
    let before = rows(&answer);
    assert_eq!(before["regieteams"], "could_not_ask");

    // Killed and started with the disk still full: it goes on, or says that it cannot; a full disk is no damage, for
    // which a register would be built anew.
    broker.kill().unwrap();
    match BrokerProcess::start(&world.deployment, world.address) {
        Ok(broker) => {
            assert_eq!(rows(&ask()), before);
            broker.kill().unwrap();
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("exit status: 1"), "{text}");
            let last = text.lines().last().unwrap();
            assert!(!last.contains("damaged") && !last.contains("rebuild"), "{last}");
            assert!(
                last.contains("No space left on device"),
                "the cause is not named: {last}"
            );
        }
    }
    disk.grow(size + (16 << 10));
    let broker = world.broker();
    assert_eq!(rows(&ask()), before, "acknowledged registrations are lost");
    for register in first {
        let report = sync(register).json();
        let members = json!(world.members(register));
        let expected = (&json!(false), &json!(0), &members);
        assert_eq!(
            (&report["full"], &report["registered"], &report["persons"]),
            expected,
            "{register}"
        );
    }
    assert_eq!(
        sync(Register::Regieteams).json()["persons"],
        world.members(Register::Regieteams)
    );
    check_ground_truth(&world);
    let entries = world.stop(broker, &[bsn.as_bytes()]);
    assert!(entries.iter().all(|entry| entry.kind() == EntryKind::Lookup));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_for_the_log_ends_the_broker_and_nothing_is_answered_without_an_entry() {
    let world = World::new(209);
    replace(
        &world.deployment.broker_config(),
        "segment_mib = 16",
        "segment_mib = 2",
    );
    let disk = SmallDisk::mount(&world.path("broker/data/audit"), 5 << 10);
    let shared = Shared::of(&world.deployment);
    let token = shared.token(world.bsn(AgeClass::Adult));
    // One that is refused for each of 64 persons, so that the log fills.
    let question = || {
        let mut query = shared.query("screening", "informatiecoordinator", &token);
        query.subjects = vec![query.subjects[0].clone(); 64];
        wire::bytes(&query)
    };
    let mut released: BTreeMap<u64, Hash> = BTreeMap::new();
    for start in 1..=3 {
        let mut broker = world.broker();
        let wire = Wire::of(&world.deployment, "veiligheidshuis", world.address).await;
        let before = released.len();
        let failed = loop {
            assert!(released.len() < 20_000, "the disk is not full");
            let query = question();
            let request = hitmachine_proto::v1::AskRequest {
                query: query.clone(),
                known_sizes: vec![],
            };
            match wire.ask(request).await {
                Ok(response) => {
                    for logged in wire::logged(&world.deployment, &query, &response) {
                        assert_eq!(logged.refusal(), Some("too_many_subjects"));
                        let leaf = logged.receipt.opening().commitment().leaf_hash();
                        assert_eq!(released.insert(logged.receipt.leaf_index(), leaf), None);
                    }
                }
                Err(status) => break status,
            }
        };
        let ended = broker.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(ended, Some(4), "start {start}: {failed}");
        let log = broker.log().unwrap();
        assert!(log.contains("the audit log cannot be written"), "{log}");
        assert!(released.len() > before, "start {start}: no question was answered");
        disk.grow((5 + 4 * start) << 10);
    }
    assert!(released.len() > 1_000, "only {} answers", released.len());
    let broker = world.broker();
    let wire = Wire::of(&world.deployment, "veiligheidshuis", world.address).await;
    let logged = wire.ask_logged(&world.deployment, question(), vec![]).await;
    assert!(logged[0].receipt.leaf_index() > *released.keys().next_back().unwrap());
    let entries = world.stop(broker, &[token.expose_secret()]);
    let leaves: BTreeMap<_, _> = entries.iter().map(|entry| (entry.index, entry.leaf)).collect();
    for (index, leaf) in &released {
        assert_eq!(leaves.get(index), Some(leaf), "answer {index} is not in the log");
    }
}

/// A serving node, and what it says. Killed when dropped.
struct Serving {
    child: Child,
    log: PathBuf,
}

impl Serving {
    fn start(world: &World, partner: &str) -> Self {
        let log = world.path(&format!("nodes/{partner}/serve.log"));
        let output = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = node_command(&world.deployment, partner, world.address)
            .unwrap()
            .arg("serve")
            .env("HITMACHINE_NODE_SYNC__WATCH_SECONDS", "1")
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn stop(mut self) -> Option<i32> {
        terminate(self.child.id()).unwrap();
        run::wait(&mut self.child, Duration::from_secs(10)).expect("it does not stop")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_serving_node_keeps_in_step_whatever_happens() {
    let world = World::new(210);
    let broker = world.broker();
    let partner = Register::Regieteams.id();
    let members = world.members(Register::Regieteams);
    let source = world.source(Register::Regieteams);
    let whole = fs::read(&source).unwrap();
    let some = |rows: usize| -> Vec<u8> {
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.take(rows + 1).flatten().copied().collect()
    };
    let status = || world.node(partner, &["status"]).json();
    let in_step = |persons: usize| status()["serving"] == true && status()["persons"] == persons;

    let serving = Serving::start(&world, partner);
    // Not before: a command that finds no serving node opens the state itself.
    until("the socket", || {
        world.path("nodes/regieteams/state/node.sock").exists()
    });
    until("first sync", || in_step(members));
    assert_eq!(status()["hub"], "ok");

    // A changed file.
    let rows_of = |persons: usize| {
        // Some rows have no usable number: as many rows as hold so many persons, by trial.
        (1..=whole.split(|byte| *byte == b'\n').count())
            .find(|rows| distinct(&some(*rows)) == persons)
            .unwrap()
    };
    fs::write(&source, some(rows_of(members - 20))).unwrap();
    until("a changed file", || in_step(members - 20));

    // The command line goes through it; a second one is kept out.
    let bsn = world.bsn(AgeClass::Adult);
    let ask = || run::query(&world.deployment, partner, world.address, bsn, &[]);
    let said = ask();
    assert_eq!(said.code, 0, "{said:?}");
    let said = world.node(partner, &["sync"]).json();
    assert_eq!(
        (&said["persons"], &said["registered"]),
        (&json!(members - 20), &json!(0))
    );
    let said = world.node(partner, &["serve"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("in use by another process"), "{said:?}");
    assert_eq!(status()["serving"], true, "the second one took the socket away");

    // The broker goes, the file changes, the broker comes back.
    broker.kill().unwrap();
    fs::write(&source, &whole).unwrap();
    until("the failure is noticed", || serving.log().contains("sync failed"));
    assert_eq!(
        world.node(partner, &["sync"]).failure(),
        (3, "connection_refused".into())
    );
    assert_eq!(ask().failure(), (3, "connection_refused".into()));
    let down = world.node(partner, &["status"]);
    assert_eq!((down.code, &down.json()["serving"]), (3, &json!(true)));
    let broker = world.broker();
    until("in step again after the broker's restart", || in_step(members));

    // A broken export: not taken by itself, not taken when asked, taken when confirmed.
    let few = rows_of(members / 2);
    for (text, code, exit) in [
        (some(few), "shrunk", 1),
        (some(0), "shrunk", 1),
        (vec![], "source_empty", 2),
    ] {
        let before = serving.log().matches("sync failed").count();
        fs::write(&source, text).unwrap();
        until(code, || serving.log().matches("sync failed").count() > before);
        assert_eq!(world.node(partner, &["sync"]).failure(), (exit, code.into()));
        assert_eq!(status()["persons"], members, "{code}: persons were withdrawn");
    }
    assert!(serving.log().contains("would lose"), "{}", serving.log());
    fs::write(&source, some(few)).unwrap();
    let said = world.node(partner, &["sync", "--confirm-shrink"]);
    assert_eq!(said.code, 0, "{said:?}");
    let report = said.json();
    assert_eq!(
        (&report["persons"], &report["full"]),
        (&json!(members / 2), &json!(false))
    );
    assert_eq!(report["withdrawn"], members - members / 2);
    assert_eq!(status()["persons"], members / 2);
    // Sending everything is no way around the question.
    fs::write(&source, some(few / 2)).unwrap();
    assert_eq!(
        world.node(partner, &["sync", "--full"]).failure(),
        (1, "shrunk".into())
    );
    assert_eq!(status()["persons"], members / 2);
    let log = serving.log();
    assert_holds_none(&log, &[bsn.as_bytes(), b"pietersen", b"ZK-2026-77"]);

    assert_eq!(serving.stop(), Some(0));
    assert!(!world.path("nodes/regieteams/state/node.sock").exists());
    let alone = status();
    assert_eq!(
        (&alone["serving"], &alone["persons"]),
        (&json!(false), &json!(members / 2))
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
}

/// Persons in a file of the regieteams: distinct valid numbers.
fn distinct(file: &[u8]) -> usize {
    let text: String = file
        .iter()
        .filter(|byte| byte.is_ascii())
        .map(|byte| char::from(*byte))
        .collect();
    let numbers = text.lines().skip(1).filter_map(|line| line.split(';').nth(1));
    let valid = |bsn: &&str| {
        bsn.len() == 9
            && bsn.bytes().all(|byte| byte.is_ascii_digit())
            && hitmachine_identifier::check_digit(bsn[..8].parse().unwrap())
                .map(|digit| char::from(b'0' + digit))
                == bsn.chars().last()
    };
    numbers.filter(valid).collect::<BTreeSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_end_and_classes_are_kept_apart() {
    let world = World::new(211);
    // The test's "today" must be the broker's for as long as it takes.
    let left = (Timestamp::now().as_second() / 86_400 + 1) * 86_400 - Timestamp::now().as_second();
    if left < 60 {
        std::thread::sleep(Duration::from_secs(u64::try_from(left).unwrap() + 1));
    }
    let today = Day::of(Timestamp::now());
    let broker = world.broker();
    let (adult, minor) = (world.bsn(AgeClass::Adult), world.bsn(AgeClass::Minor));
    let shared = Shared::of(&world.deployment);
    let ask = |bsn: &str, class: &str| -> BTreeMap<String, String> {
        let said = run::query(
            &world.deployment,
            "veiligheidshuis",
            world.address,
            bsn,
            &["--class", class],
        );
        assert_eq!(said.code, 0, "{said:?}");
        let said = said.json();
        let rows = said["persons"][0]["partners"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                row["partner"].as_str().unwrap().into(),
                row["status"].as_str().unwrap().into(),
            )
        })
        .collect()
    };

    // Registered until yesterday, which a node whose clock runs behind may send: it does not answer. Until today: it does.
    let wire = Wire::of(&world.deployment, "regieteams", world.address).await;
    let mut tally = Tally::default();
    for (sequence, until, word) in [(1, Day(today.0 - 1), "not_known"), (2, today, "known")] {
        let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
        let change = Change {
            identifier: IdentifierType::Bsn,
            token: shared.token(adult),
            registration: Some((SubjectClass::Adult, until)),
        };
        assert_eq!(
            sync.batch(begun.generation, sequence, &[change]).await.unwrap(),
            sequence
        );
        tally = Tally::default();
        tally.add(
            IdentifierType::Bsn,
            &shared.token(adult),
            SubjectClass::Adult,
            until,
        );
        assert!(
            sync.end(begun.generation, 1, tally.digest().to_vec())
                .await
                .unwrap()
        );
        assert_eq!(ask(adult, "adult")["regieteams"], word);
    }
    assert_eq!(tally.count, 1);

    // Who registers only minors is not asked about an adult, and the reverse, whoever it knows.
    for register in [Register::Leerplicht, Register::Schuldhulpverlening] {
        assert_eq!(world.node(register.id(), &["sync"]).code, 0);
    }
    for (bsn, class, skipped) in [
        (adult, "adult", "leerplicht"),
        (minor, "minor", "schuldhulpverlening"),
    ] {
        let rows = ask(bsn, class);
        assert_eq!(rows[skipped], "does_not_apply");
        let asked = rows.values().filter(|status| *status == "does_not_apply").count();
        assert_eq!(asked, 1, "{rows:?}");
    }
    // A source with somebody of the other class has a bad row, and the rest is registered.
    let source = world.source(Register::Leerplicht);
    let text = fs::read_to_string(&source).unwrap();
    let style = Register::Leerplicht.style();
    let header: Vec<&str> = text
        .lines()
        .next()
        .unwrap()
        .trim_start_matches('\u{feff}')
        .split(';')
        .collect();
    let mut row = String::new();
    for column in &header {
        let cell = match *column {
            name if name == style.bsn_column => adult,
            name if name == style.birth_date_column => "01-01-1970",
            _ => "x",
        };
        write!(row, "{cell};").unwrap();
    }
    fs::write(&source, format!("{text}{}\r\n", row.trim_end_matches(';'))).unwrap();
    let report = world.node("leerplicht", &["sync"]).json();
    assert_eq!(report["persons"], world.members(Register::Leerplicht));
    assert_eq!(
        (&report["registered"], &report["withdrawn"]),
        (&json!(0), &json!(0))
    );
    fs::write(&source, text).unwrap();

    // A covenant with a shorter term: the node sends everything anew with the new term.
    assert_eq!(broker.stop().unwrap(), Some(0));
    replace_after(
        &world.deployment.covenant(),
        "id = \"leerplicht\"",
        "registration_days = 365",
        "registration_days = 1",
    );
    let broker = world.broker();
    let report = world.node("leerplicht", &["sync"]).json();
    let members = json!(world.members(Register::Leerplicht));
    assert_eq!(
        (&report["registered"], &report["persons"], &report["full"]),
        (&members, &members, &json!(false))
    );
    // One that goes on sending the old term is refused.
    let shared = Shared::of(&world.deployment);
    let wire = Wire::of(&world.deployment, "leerplicht", world.address).await;
    let (mut sync, begun) = wire.sync(shared.begin()).await.unwrap();
    let change = |until| Change {
        identifier: IdentifierType::Bsn,
        token: shared.token(minor),
        registration: Some((SubjectClass::Minor, until)),
    };
    let status = sync
        .batch(begun.generation, begun.next_sequence, &[change(today.plus(365))])
        .await
        .unwrap_err();
    assert!(status.message().starts_with("term_too_long: "), "{status}");
    assert_eq!(metric(&broker, "hitmachine_sync_batches_total"), 1);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
