//! Nodes that are killed, and nodes that serve whatever happens.

use super::*;

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
