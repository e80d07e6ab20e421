//! A change of key epoch with whole processes, under questions that are each compared with the truth.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "epoch/load.rs"]
mod load;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hitmachine_identifier::Bsn;
use hitmachine_node::NodeConfig;
use hitmachine_pseudonym::{
    DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Pepper, Scheme, TagKeys,
};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Register};
use hitmachine_testkit::process::{node_command, program, run_with_input};
use hitmachine_tests::program::{Said, replace, until};
use hitmachine_tests::world::World;
use serde_json::Value;

use load::{Load, until_asked_in};

/// Runs `hitmachine epoch …` at the hub, with `--json`.
fn epoch(world: &World, arguments: &[&str]) -> Said {
    let mut command = Command::new(program("hitmachine").unwrap());
    command.arg("epoch").args(arguments);
    if arguments[0] != "key" {
        command.arg("--config").arg(world.deployment.broker_config());
    }
    Said::of(command.args(["--lang", "en", "--json"]).output().unwrap())
}

/// As [`epoch`]; it must work, and says how the epochs are then.
fn step(world: &World, arguments: &[&str]) -> Value {
    let said = epoch(world, arguments);
    assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
    said.json()
}

/// The stable code of a step that is refused.
fn refused(world: &World, arguments: &[&str]) -> (String, Vec<String>) {
    let said = epoch(world, arguments);
    assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
    let failed = &said.json()["failed"];
    let partners = failed["partners"].as_array().cloned().unwrap_or_default();
    let partners = partners.iter().map(|name| name.as_str().unwrap().to_owned());
    (failed["code"].as_str().unwrap().to_owned(), partners.collect())
}

fn states(view: &Value) -> Vec<String> {
    let epochs = view["epochs"].as_array().unwrap().iter();
    epochs
        .map(|epoch| epoch["state"].as_str().unwrap().to_owned())
        .collect()
}

fn of_partner(view: &Value, partner: &str) -> Value {
    let mut partners = view["partners"].as_array().unwrap().iter();
    let found = partners.find(|row| row["partner"] == partner);
    found.unwrap().clone()
}

/// A new node key of epoch 2, and its key check value.
fn new_key(world: &World) -> (std::path::PathBuf, String) {
    let file = world.path("next.key");
    let deployment = NodeConfig::load(&world.deployment.node_config(COORDINATOR))
        .unwrap()
        .deployment
        .id;
    let name = file.to_str().unwrap();
    let made = step(
        world,
        &["key", name, "--number", "2", "--deployment", &deployment],
    );
    (file, made["key_check_value"].as_str().unwrap().to_owned())
}

/// Puts the key where a node finds it, in one step as a person's tool would.
fn hand_over(world: &World, key: &Path, partner: &str) {
    let dir = world.path("nodes").join(partner);
    fs::copy(key, dir.join("arriving.key")).unwrap();
    fs::rename(dir.join("arriving.key"), dir.join("next-node-key.key")).unwrap();
}

/// The tag of somebody in epoch 1, as the hub's operator could compute it with everybody's keys.
fn old_tag(world: &World, bsn: &str) -> [u8; 16] {
    let config = NodeConfig::load(&world.deployment.node_config(COORDINATOR)).unwrap();
    let id: DeploymentId = config.deployment.id.parse().unwrap();
    let (_, key) = SecretFile::read(&config.epoch.key, Purpose::NodeKey).unwrap();
    let pseudonymiser = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(*key), id, KeyEpoch::FIRST);
    let number = Bsn::parse(bsn, &config.admission().unwrap()).unwrap();
    let token = pseudonymiser.token(&number.canonical());
    let (_, pepper) = SecretFile::read(world.path("broker/pepper.key"), Purpose::Pepper).unwrap();
    let tags = TagKeys::derive(
        &Pepper::from_bytes(*pepper),
        &id,
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    *tags.tag(IdentifierType::Bsn, &token).as_bytes()
}

/// Whether any file below `dir` holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|found| {
        let path = found.unwrap().path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        // A file that goes while one looks holds nothing.
        let content = if path.is_file() {
            fs::read(&path).unwrap_or_default()
        } else {
            Vec::new()
        };
        content.windows(bytes.len()).any(|part| part == bytes)
    })
}

/// The log entries in the officer's report about a person.
fn asked_about(world: &World, bsn: &str) -> BTreeSet<u64> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut command = node_command(&world.deployment, COORDINATOR, world.address).unwrap();
    command.args([
        "--json",
        "audit",
        "report",
        "--out",
        &path("r.html"),
        "--json-out",
        &path("r.json"),
    ]);
    command.args(["--user", "functionaris", "--reference", "AVG-2026-1"]);
    let said = Said::of(run_with_input(&mut command, bsn.as_bytes()).unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(path("r.json")).unwrap()).unwrap();
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| row["log_entry"].as_u64().unwrap()).collect()
}

#[test]
fn an_epoch_changes_under_load_and_no_answer_is_wrong() {
    let world = World::new(401);
    let broker = world.broker();
    let partners: Vec<&str> = Register::ALL.iter().map(|register| register.id()).collect();
    let mut nodes: Vec<_> = std::iter::once(COORDINATOR)
        .chain(partners.iter().copied())
        .map(|partner| world.serve(partner))
        .collect();
    until("every register is complete", || {
        let view = step(&world, &["status"]);
        Register::ALL
            .iter()
            .all(|register| of_partner(&view, register.id())["present"] == world.members(*register))
    });
    // Of the first epoch's last question about somebody a report must still tell, long after.
    let person = world
        .population
        .members(Register::Schuldhulpverlening)
        .find(|person| person.class == AgeClass::Adult)
        .unwrap();
    assert_eq!(world.ask(COORDINATOR).code, 0);
    let first_asked = world.bsn(AgeClass::Adult).to_owned();
    let before = asked_about(&world, &first_asked);
    let tag = old_tag(&world, &person.bsn);
    assert!(
        holds(&world.path("broker/data/registry"), &tag),
        "the search finds what is there"
    );

    let load = Load::start(&world, &[COORDINATOR, "leerplicht", "schuldhulpverlening"]);
    load.some_answers();

    // Steps out of their order change nothing.
    for early in ["fill", "switch", "retire", "abandon"] {
        assert_eq!(refused(&world, &[early]).0, "epoch_state", "{early}");
    }
    let (key, check) = new_key(&world);
    let view = step(&world, &["prepare", "--key-check-value", &check]);
    assert_eq!(states(&view), ["active", "prepared"]);
    assert_eq!(refused(&world, &["switch"]).0, "epoch_state");
    // Everybody but the regieteams gets the key.
    for partner in [
        COORDINATOR,
        "leerplicht",
        "schuldhulpverlening",
        "om-reclassering",
    ] {
        hand_over(&world, &key, partner);
    }
    until("the others say that they have the key", || {
        let view = step(&world, &["status"]);
        let others = view["partners"].as_array().unwrap().iter();
        others.filter(|row| row["key"] == "right").count() == 4
    });
    step(&world, &["fill"]);
    until("the others are ready", || {
        let view = step(&world, &["status"]);
        let others = view["partners"].as_array().unwrap().iter();
        others.filter(|row| row["ready"] == true).count() == 4
    });
    load.some_answers();
    let (code, late) = refused(&world, &["switch"]);
    assert_eq!(
        (code.as_str(), late.as_slice()),
        ("epoch_not_ready", ["regieteams".to_owned()].as_slice())
    );

    // Only the partner that is left behind may read "could not be asked", and only from now on.
    load.may_be_left_behind("regieteams");
    let view = step(&world, &["switch", "--without", "regieteams"]);
    assert_eq!(states(&view), ["draining", "active"]);
    until_asked_in(&world, 2);
    load.some_answers();
    hand_over(&world, &key, "regieteams");
    load.until_known_at("regieteams");
    load.nobody_is_left_behind();
    load.some_answers();

    assert_eq!(refused(&world, &["retire"]).0, "epoch_draining");
    let view = step(&world, &["retire", "--early"]);
    assert_eq!(states(&view), ["retired", "active"]);
    load.some_answers();
    let answered = load.stop();
    assert!(answered > 100, "{answered} questions");

    // The old tags are gone, here and after the next start; the new ones are there.
    assert!(!world.path("broker/data/registry").exists());
    assert!(!holds(&world.path("broker/data"), &tag));
    until("the old register is forgotten at the nodes", || {
        world.node("leerplicht", &["status"]).json()["key_epoch"] == 2
    });
    let after = asked_about(&world, &first_asked);
    assert!(
        !before.is_empty() && before.is_subset(&after),
        "{before:?}, {after:?}"
    );
    let printed = broker.log().unwrap();
    assert!(!printed.contains("panicked"), "{printed}");

    // After a restart with the configuration as the change left it.
    broker.kill().unwrap();
    let broker = world.broker();
    until("the hub answers again", || world.ask(COORDINATOR).code == 0);
    assert_eq!(states(&step(&world, &["status"])), ["retired", "active"]);
    nodes.clear();
    a_sealed_key_still_serves_the_report(&world, &first_asked, &before);
    drop(broker);
}

/// The coordinator tidies up: the old key is sealed and destroyed. What was asked in its epoch is found again only when
/// two holders have put it together.
fn a_sealed_key_still_serves_the_report(world: &World, bsn: &str, old: &BTreeSet<u64>) {
    let dir = world.path("nodes").join(COORDINATOR);
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let keys = |arguments: &[&str]| {
        let mut command = Command::new(program("hitmachine").unwrap());
        let said = Said::of(command.arg("keys").args(arguments).output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
    };
    keys(&["seal", &path("node-key.key"), "--out", &path("")]);
    fs::remove_file(path("node-key.key")).unwrap();
    let config = Path::new(&path("node.toml")).to_owned();
    replace(&config, "number = 1", "number = 2");
    replace(&config, "key = \"node-key.key\"\nnext_key = ", "key = ");
    assert!(
        asked_about(world, bsn).is_disjoint(old),
        "without the old key nothing of then is found"
    );
    let shares = [1, 3].map(|holder| path(&format!("node-key-1-share-{holder}.key")));
    keys(&["unseal", &shares[0], &shares[1], "--out", &path("past.key")]);
    let text = fs::read_to_string(&config).unwrap() + "\n[[past_epoch]]\nnumber = 1\nkey = \"past.key\"\n";
    fs::write(&config, text).unwrap();
    assert!(asked_about(world, bsn).is_superset(old), "with it everything is");
}

/// The hub is killed in each state, and goes on in it; a node that was off through all of it takes part again when it
/// has its key.
#[test]
fn a_hub_that_is_killed_goes_on_where_it_was() {
    let world = World::new(402);
    let broker = world.broker();
    world.sync_all();
    let person = world
        .population
        .members(Register::Regieteams)
        .find(|person| person.class == AgeClass::Adult)
        .unwrap();
    let status = |world: &World, partner: &str| {
        let said =
            hitmachine_tests::program::query(&world.deployment, COORDINATOR, world.address, &person.bsn, &[]);
        assert_eq!(said.code, 0, "{said:?}");
        let json = said.json();
        let partners = json["persons"][0]["partners"].as_array().unwrap().clone();
        let found = partners
            .into_iter()
            .find(|row| row["partner"] == partner)
            .unwrap();
        found["status"].as_str().unwrap().to_owned()
    };
    let again = |broker: hitmachine_testkit::process::BrokerProcess, expected: &[&str]| {
        broker.kill().unwrap();
        let broker = world.broker();
        until("the hub is back", || epoch(&world, &["status"]).code == 0);
        assert_eq!(states(&step(&world, &["status"])), expected);
        assert_eq!(status(&world, "regieteams"), "known");
        broker
    };
    let (key, check) = new_key(&world);
    step(&world, &["prepare", "--key-check-value", &check]);
    let broker = again(broker, &["active", "prepared"]);
    for partner in [COORDINATOR, "leerplicht", "schuldhulpverlening", "regieteams"] {
        hand_over(&world, &key, partner);
    }
    step(&world, &["fill"]);
    let broker = again(broker, &["active", "filling"]);
    for register in [
        Register::Leerplicht,
        Register::Schuldhulpverlening,
        Register::Regieteams,
    ] {
        let said = world.node(register.id(), &["sync"]);
        assert_eq!(said.code, 0, "{said:?}");
        let members = world.members(register);
        assert_eq!(said.json()["persons"], members);
        assert_eq!(said.json()["next_epoch"]["persons"], members);
    }
    let broker = again(broker, &["active", "filling"]);
    // The coordinator's question above has told the hub that it has the key. OM/reclassering is off.
    let (code, late) = refused(&world, &["switch"]);
    assert_eq!((code.as_str(), late.len()), ("epoch_not_ready", 1), "{late:?}");
    step(&world, &["switch", "--without", "om-reclassering"]);
    let broker = again(broker, &["draining", "active"]);
    assert_eq!(
        status(&world, "om-reclassering"),
        "could_not_ask",
        "never \"not known\""
    );
    step(&world, &["retire", "--early"]);
    let broker = again(broker, &["retired", "active"]);
    // Back, without its key: it can neither ask nor register, and says so.
    let said = world.node("om-reclassering", &["sync"]);
    assert_eq!(said.failure(), (4, "disagree".to_owned()));
    assert_eq!(status(&world, "om-reclassering"), "could_not_ask");
    hand_over(&world, &key, "om-reclassering");
    assert_eq!(world.node("om-reclassering", &["sync"]).code, 0);
    let mut of_om = world.population.members(Register::OmReclassering);
    let expected = if of_om.any(|one| one.bsn == person.bsn) {
        "known"
    } else {
        "not_known"
    };
    assert_eq!(status(&world, "om-reclassering"), expected);
    drop(broker);
}

/// A node with a wrong next key is not ready, whatever it says, and everybody hears of it.
#[test]
fn a_wrong_next_key_is_loud() {
    let world = World::new(403);
    let _broker = world.broker();
    world.sync_all();
    let (_, check) = new_key(&world);
    step(&world, &["prepare", "--key-check-value", &check]);
    let wrong = world.path("wrong.key");
    SecretFile::write_new(&wrong, Purpose::NodeKey, 2, &[9; 32]).unwrap();
    hand_over(&world, &wrong, "leerplicht");
    step(&world, &["fill"]);
    assert_eq!(
        world.node("leerplicht", &["sync"]).code,
        0,
        "the present epoch goes on"
    );
    let view = step(&world, &["status"]);
    let row = of_partner(&view, "leerplicht");
    assert_eq!(
        (row["key"].as_str(), row["ready"].as_bool()),
        (Some("wrong"), Some(false))
    );
    let said = world.node("leerplicht", &["status"]).json();
    assert_eq!(said["epochs"][1]["key"], "wrong");
    // Given up, and the number is not used again.
    assert_eq!(states(&step(&world, &["abandon"])), ["active", "retired"]);
    assert!(!world.path("broker/data/registry-2").exists());
    assert_eq!(world.ask(COORDINATOR).code, 0);
}
