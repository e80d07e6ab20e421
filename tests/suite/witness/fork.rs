//! Two brokers with one key (F1, F4): two real ones, of which the second has forgotten the partners.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use hitmachine_audit::tiles::{Folder, Observer};
use hitmachine_audit::{Evidence, Verdict, verify_published};
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{BrokerProcess, NodeProcess, free_address, program};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{query, until};
use hitmachine_tests::world::World;
use serde_json::Value;

use super::hub::{Hub, ask_when_ready, restore, tiles};

/// The road from one node to the hub, which can be led elsewhere. What is said on it stays between the two.
struct Road {
    entrance: SocketAddr,
    leads_to: Arc<Mutex<SocketAddr>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Road {
    fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let road = Self {
            entrance: listener.local_addr().unwrap(),
            leads_to: Arc::new(Mutex::new(address)),
            open: Arc::default(),
        };
        let (leads_to, open) = (Arc::clone(&road.leads_to), Arc::clone(&road.open));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // While a hub is away the connection is refused, in a way.
                let Ok(far) = TcpStream::connect(*leads_to.lock().unwrap()) else {
                    continue;
                };
                for (mut from, mut to) in
                    [(&near, &far), (&far, &near)].map(|(from, to)| (twin(from), twin(to)))
                {
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                open.lock().unwrap().extend([near, far]);
            }
        });
        road
    }

    fn lead_to(&self, address: SocketAddr) {
        *self.leads_to.lock().unwrap() = address;
        for stream in self.open.lock().unwrap().drain(..) {
            // Closed already, perhaps.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn twin(stream: &TcpStream) -> TcpStream {
    stream.try_clone().unwrap()
}

/// A second broker with everything of the first as it lies on the disk. It asks no partner to confirm.
fn second_broker(world: &World) -> BrokerProcess {
    restore(&world.path("broker"), &world.path("second"));
    let policy = fs::read_to_string(world.path("witness-policy.txt")).unwrap();
    let log = policy.lines().find(|line| line.starts_with("log ")).unwrap();
    fs::write(world.path("second/policy.txt"), format!("{log}\nquorum none\n")).unwrap();
    let mut command = Command::new(program("hitmachine-broker").unwrap());
    for (setting, file) in [
        ("DATA_DIR", "data"),
        ("AUDIT__KEYS_DIR", "audit-keys"),
        ("AUDIT__POLICY", "policy.txt"),
    ] {
        command.env(
            format!("HITMACHINE_BROKER_{setting}"),
            world.path("second").join(file),
        );
    }
    BrokerProcess::start_with(command, &world.deployment, free_address().unwrap()).unwrap()
}

fn status(world: &World, partner: &str) -> Value {
    world.node(partner, &["status"]).json()
}

/// What the evidence in this node's folder shows, oldest first.
fn verdicts(world: &World, partner: &str) -> Vec<Verdict> {
    let dir = world.path(&format!("nodes/{partner}/state/evidence"));
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "evidence"))
        .collect();
    // The names begin with the time.
    files.sort();
    let verifier = logbook::verifier(&world.deployment);
    let read = |path: &PathBuf| Evidence::parse(&fs::read(path).unwrap()).unwrap();
    files
        .iter()
        .map(|path| read(path).verify(&verifier).unwrap())
        .collect()
}

fn size_of(world: &World, partner: &str) -> u64 {
    ask_when_ready(world, partner).json()["log_size"]
        .as_u64()
        .unwrap()
}

/// Collects the public alarms.
#[derive(Default)]
struct PublicAlarms(Vec<(u64, Value)>);

impl Observer for PublicAlarms {
    fn control(&mut self, index: u64, json: &[u8]) {
        let entry: Value = serde_json::from_slice(json).unwrap();
        if entry["type"] == "alarm" {
            self.0.push((index, entry));
        }
    }
}

#[test]
fn a_fork_is_refused_kept_reported_and_told_to_all() {
    let world = World::witnessed(304);
    let hub = Hub::start(&world);
    let road = Road::to(world.address);
    let other_road = Road::to(world.address);
    let on = |partner: &str, entrance| NodeProcess::start(&world.deployment, partner, entrance).unwrap();
    // They say hello to the honest hub first.
    let mut nodes = vec![
        on("leerplicht", road.entrance),
        on("regieteams", other_road.entrance),
    ];
    let direct = ["schuldhulpverlening", "om-reclassering", "veiligheidshuis"];
    nodes.extend(direct.iter().map(|partner| world.serve(partner)));
    let common = size_of(&world, "leerplicht");
    size_of(&world, "regieteams");

    // Both partners hold the common part now. The hub forks.
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    let second = second_broker(&world);
    let hub = Hub::start(&world);
    other_road.lead_to(second.address());
    let ours = size_of(&world, "leerplicht");
    let theirs = size_of(&world, "regieteams");
    assert!(ours > common && theirs > common);
    // So that its next entry over there has the place of its last one here.
    let ours = size_of(&world, "leerplicht");
    assert_eq!(ours, theirs + 1);
    // Each of them sees nothing wrong: two histories for two nodes.
    for partner in ["leerplicht", "regieteams"] {
        assert_eq!(status(&world, partner)["alarms"], Value::Array(Vec::new()));
    }

    // The node that holds the one is shown the other, at every size around its own.
    road.lead_to(second.address());
    until("the other history is refused", || {
        let said = world.ask("leerplicht");
        assert!(!said.out.contains("\"persons\""), "{said:?}");
        said.failure() == (4, "not_proven".into())
    });
    for _ in 0..2 {
        assert_eq!(world.ask("leerplicht").failure(), (4, "not_proven".into()));
    }
    let found = verdicts(&world, "leerplicht");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        matches!(found[0], Verdict::SameSizeTwoRoots { size, .. } if size == ours),
        "{found:?}"
    );
    let shown = |verdict: &Verdict| {
        matches!(
            verdict,
            Verdict::SameSizeTwoRoots { .. } | Verdict::ProofDoesNotConnect { .. }
        )
    };
    assert!(found.iter().all(shown), "{found:?}");
    let alarms = status(&world, "leerplicht")["alarms"].clone();
    assert_eq!(alarms.as_array().unwrap().len(), 3, "{alarms}");
    for alarm in alarms.as_array().unwrap() {
        assert_eq!(
            (&alarm["code"], &alarm["by"]),
            (&"log_not_continued".into(), &"leerplicht".into())
        );
        assert!(
            alarm["evidence"].as_str().unwrap().ends_with(".evidence"),
            "{alarm}"
        );
    }
    // Nothing of it was taken over.
    assert_eq!(status(&world, "leerplicht")["log_size_seen"], ours);

    // Back at the hub that it knows, it tells what it found; the others read so.
    road.lead_to(world.address);
    for partner in direct {
        until("the alarm reaches every partner", || {
            let alarms = status(&world, partner)["alarms"].clone();
            alarms.as_array().unwrap().iter().any(|alarm| {
                let told = (&alarm["code"], &alarm["by"]);
                (told == (&"fork_proven".into(), &"leerplicht".into())
                    || told == (&"log_not_continued".into(), &"leerplicht".into()))
                    && alarm["log_index"].is_u64()
            })
        });
    }
    assert!(
        size_of(&world, "leerplicht") > ours,
        "the honest hub is asked again"
    );
    until("the alarm is published", || {
        let mut public = PublicAlarms::default();
        let report = verify_published(
            &Folder(tiles(&world)),
            &logbook::verifier(&world.deployment),
            &mut public,
        );
        report.is_ok_and(|report| report.is_sound())
            && public
                .0
                .iter()
                .any(|(index, entry)| *index >= ours && entry["by"] == "leerplicht")
    });

    // The node that was shown the other history, and took it for the only one, shows it to the hub.
    let before = hub.broker.log().unwrap().len();
    other_road.lead_to(world.address);
    let printed = hub.ends(before);
    assert!(printed.contains("regieteams holds a signed checkpoint that this log does not continue"));
    assert!(printed.contains("two brokers sign with one key"), "{printed}");
    drop((nodes, second));
}

/// F4, F6: a broker that is behind what the node saw.
#[test]
fn a_smaller_head_is_refused() {
    let world = World::witnessed(305);
    let hub = Hub::start(&world);
    let road = Road::to(world.address);
    let mut nodes = vec![NodeProcess::start(&world.deployment, "leerplicht", road.entrance).unwrap()];
    nodes
        .extend(["schuldhulpverlening", "regieteams", "om-reclassering"].map(|partner| world.serve(partner)));
    size_of(&world, "leerplicht");
    restore(&world.path("broker"), &world.path("earlier"));
    let mut seen = 0;
    for _ in 0..5 {
        seen = size_of(&world, "leerplicht");
    }
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    restore(
        &world.path("earlier/data/audit"),
        &world.path("broker/data/audit"),
    );
    let second = second_broker(&world);
    road.lead_to(second.address());
    until("the smaller log is refused", || {
        let said = world.ask("leerplicht");
        assert!(!said.out.contains("\"persons\""), "{said:?}");
        said.failure() == (4, "not_proven".into())
    });
    assert!(matches!(
        verdicts(&world, "leerplicht").as_slice(),
        [Verdict::NothingOffered { from, to }] if *from < seen && *to == seen
    ));
    let status = status(&world, "leerplicht");
    assert_eq!(status["log_size_seen"], seen);
    assert_eq!(status["alarms"][0]["code"], "log_not_continued");
    drop((nodes, second));
}

/// Found by a command that only asked, when no honest hub could be told.
#[test]
fn what_was_found_is_reported_by_a_later_start() {
    let world = World::witnessed(310);
    let hub = Hub::start(&world);
    let quorum = [
        "schuldhulpverlening",
        "regieteams",
        "om-reclassering",
        "veiligheidshuis",
    ];
    let mut nodes: Vec<_> = quorum.iter().map(|partner| world.serve(partner)).collect();
    size_of(&world, "leerplicht");
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    let second = second_broker(&world);
    let hub = Hub::start(&world);
    size_of(&world, "leerplicht");
    let bsn = world.bsn(AgeClass::Adult);
    let said = query(&world.deployment, "leerplicht", second.address(), bsn, &[]);
    assert_eq!(said.failure(), (4, "not_proven".into()));
    nodes.push(world.serve("leerplicht"));
    until("the alarm reaches another partner", || {
        let alarms = status(&world, "regieteams")["alarms"].clone();
        alarms
            .as_array()
            .unwrap()
            .iter()
            .any(|alarm| alarm["by"] == "leerplicht")
    });
    drop((nodes, second));
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
}
