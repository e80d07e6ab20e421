//! A log that lost its end, or was put back to an earlier day, is not answered from (C10, F6).

use std::fs;
use std::process::Command;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::NodeProcess;
use hitmachine_tests::logbook;
use hitmachine_tests::program::{broker_refuses, until};
use hitmachine_tests::world::World;
use tempfile::TempDir;

use super::hub::{Hub, QUORUM, ask_when_ready, restore, tiles, until_published};

/// Everything that the broker writes.
struct Backup {
    data: TempDir,
    keys: TempDir,
}

impl Backup {
    fn of(world: &World) -> Self {
        Self {
            data: logbook::copy(&world.path("broker/data")),
            keys: logbook::copy(&world.path("broker/audit-keys")),
        }
    }

    fn restore(&self, world: &World) {
        restore(self.data.path(), &world.path("broker/data"));
        restore(self.keys.path(), &world.path("broker/audit-keys"));
    }
}

fn quorum(world: &World) -> Vec<NodeProcess> {
    QUORUM.iter().map(|partner| world.serve(partner)).collect()
}

/// Serves with a quorum, asks `questions`, and lies still again; the size of the log, all of it cosigned.
fn a_day(world: &World, questions: usize) -> u64 {
    let hub = Hub::start(world);
    let nodes = quorum(world);
    let mut size = 0;
    for _ in 0..questions {
        size = ask_when_ready(world, COORDINATOR).json()["log_size"]
            .as_u64()
            .unwrap();
    }
    until_published(world, size);
    drop(nodes);
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    size
}

/// The broker starts, answers nothing, and ends when `partner` says hello; the note it keeps is of `seen` entries.
fn ends_because_of(world: &World, what: &str, partner: &str, seen: u64) {
    let log = world.path("broker/broker.log");
    let before = fs::read_to_string(&log).unwrap().len();
    let hub = Hub::start(world);
    let said = world.ask(COORDINATOR);
    assert_eq!(said.failure(), (1, "log_unconfirmed".into()), "{what}");
    let node = world.serve(partner);
    let printed = hub.ends(before);
    drop(node);
    for part in [
        format!("{partner} holds a signed checkpoint that this log does not continue"),
        format!("others saw {seen} entries"),
        "a backup was restored".into(),
    ] {
        assert!(printed.contains(&part), "{what}: {part}: {printed}");
    }
    assert_eq!(kept(world, partner), seen, "{what}");
}

/// Size of the note that a partner showed, which the log must have signed.
fn kept(world: &World, partner: &str) -> u64 {
    let path = world.path(&format!(
        "broker/data/audit/evidence/contradicted-by-{partner}.note"
    ));
    let note = fs::read(path).unwrap();
    logbook::verifier(&world.deployment).open(&note).unwrap().size
}

/// Takes away the last batch of the log, as if its sectors had never been written.
fn cut_last_batch(world: &World) {
    let found = Command::new("find")
        .arg(world.path("broker/data/audit"))
        .args(["-name", "*.seg"])
        .output()
        .unwrap();
    let paths = String::from_utf8(found.stdout).unwrap();
    // One more segment lies ready, with nothing in it.
    let with_batches = paths.lines().filter_map(|path| {
        let bytes = fs::read(path).unwrap();
        let last = bytes.windows(8).rposition(|eight| eight == b"HMAUDIT1")?;
        Some((path, bytes, last))
    });
    let (path, mut bytes, last) = with_batches.max_by_key(|(path, ..)| *path).unwrap();
    bytes[last..].fill(0);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_log_that_partners_saw_more_of_stops_the_broker() {
    let world = World::witnessed(302);
    let yesterday = a_day(&world, 2);
    let backup = Backup::of(&world);
    let today = a_day(&world, 3);
    assert!(today > yesterday);
    let whole = Backup::of(&world);

    backup.restore(&world);
    ends_because_of(&world, "backup", "leerplicht", today);
    // Nothing was changed by that: the next start ends the same way, whoever comes.
    ends_because_of(&world, "backup again", "om-reclassering", today);

    whole.restore(&world);
    fs::remove_dir_all(world.path("broker/data/audit")).unwrap();
    ends_because_of(&world, "emptied", "regieteams", today);

    // The end of the log is gone, and nothing else: what was published says so by itself.
    whole.restore(&world);
    cut_last_batch(&world);
    let said = broker_refuses(&world.deployment);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(
        said.err.contains("the published log does not fit the audit log"),
        "{said:?}"
    );
    // And without that, a partner does.
    whole.restore(&world);
    cut_last_batch(&world);
    fs::remove_dir_all(tiles(&world)).unwrap();
    ends_because_of(&world, "torn", "schuldhulpverlening", today);

    // It was none of these: the log as it was goes on.
    whole.restore(&world);
    assert_eq!(a_day(&world, 1), today + 1);
}

/// Answers that left after the last round of cosigning are known to who asked, and to nobody else.
#[test]
fn an_asking_node_that_saw_more_stops_the_broker() {
    let world = World::witnessed(303);
    a_day(&world, 1);
    let backup = Backup::of(&world);
    let hub = Hub::start(&world);
    let nodes = quorum(&world);
    ask_when_ready(&world, COORDINATOR);
    drop(nodes);
    // No witness sees these.
    let mut seen = 0;
    for _ in 0..2 {
        seen = ask_when_ready(&world, COORDINATOR).json()["log_size"]
            .as_u64()
            .unwrap();
    }
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    let whole = Backup::of(&world);

    // Only the end that no witness saw is gone.
    backup.restore(&world);
    let log = world.path("broker/broker.log");
    let before = fs::read_to_string(&log).unwrap().len();
    fs::remove_dir_all(world.path("broker/data/audit")).unwrap();
    restore(&whole.data.path().join("audit"), &world.path("broker/data/audit"));
    fs::remove_dir_all(tiles(&world)).unwrap();
    cut_last_batch(&world);
    let hub = Hub::start(&world);
    let nodes = quorum(&world);
    until("the witnesses see nothing wrong", || {
        hub.broker.log().unwrap()[before..].contains("broker ready")
    });
    let asker = world.serve(COORDINATOR);
    let printed = hub.ends(before);
    assert!(
        printed.contains(&format!("others saw {seen} entries")),
        "{printed}"
    );
    assert_eq!(kept(&world, COORDINATOR), seen);
    drop((nodes, asker));
}
