//! Disks that fill up where nobody looks: tables, index, a node's own state.

use super::*;

/// The log entries of which a partner's node has notices.
fn heard(world: &World, partner: &str) -> Vec<u64> {
    let said = world.node(partner, &["notice", "list", "--all"]);
    assert_eq!(said.code, 0, "{said:?}");
    let all = said.json()["notices"].as_array().unwrap().clone();
    all.iter().map(|one| one["log_index"].as_u64().unwrap()).collect()
}

#[test]
fn notices_outlast_a_full_disk() {
    let world = World::new(604);
    let told = Register::Regieteams;
    let disk = SmallDisk::mount(&world.path("broker/data/tables"), 24 << 10);
    let index = SmallDisk::mount(&world.path("broker/data/audit-index"), 24 << 10);
    let broker = world.broker();
    world.sync_all();
    let known: Vec<&str> = world
        .population
        .persons()
        .iter()
        .filter(|person| person.class == AgeClass::Adult && person.references.contains_key(&told))
        .map(|person| person.bsn.as_str())
        .collect();
    let mut hits = Vec::new();
    let mut ask = |bsn: &str| {
        let said = run::query(&world.deployment, "schuldhulpverlening", world.address, bsn, &[]);
        assert_eq!(said.code, 0, "{said:?}");
        hits.push(said.json()["persons"][0]["log_index"].as_u64().unwrap());
    };
    ask(known[0]);
    until("the first one waits", || {
        run::metric(&broker, "hitmachine_log_entries ") >= 1
    });
    disk.fill();
    index.fill();
    // The log has room: questions are answered, and who was found hears of it later.
    for bsn in &known[1..4] {
        ask(bsn);
    }
    let node = world.serve(told.id());
    std::thread::sleep(Duration::from_millis(300));
    let log = broker.log().unwrap();
    assert!(!log.contains("panicked"), "{log}");
    broker.kill().unwrap();
    disk.empty();
    index.empty();
    let broker = world.broker();
    ask(known[4]);
    until("everybody has heard", || {
        heard(&world, told.id()).len() >= hits.len()
    });
    assert_eq!(heard(&world, told.id()), hits);
    // The officer finds them all, which is what the index is for.
    let officer = [
        "--user",
        "functionaris",
        "--reference",
        "AVG-1",
        "--case",
        "ZK-2026-77",
    ];
    until("the index is in step", || {
        let said = world.node(COORDINATOR, &[&["audit", "search"], officer.as_slice()].concat());
        said.code == 0
            && said.json()["page"]["rows"]
                .as_array()
                .is_some_and(|rows| rows.len() >= hits.len())
    });
    drop(node);
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn a_screening_outlasts_a_full_disk() {
    let world = World::new(605);
    let disk = SmallDisk::mount(&world.path("nodes/veiligheidshuis/state"), 24 << 10);
    let broker = world.broker();
    world.sync_all();
    let list = world.deployment.registers().join("top150.csv");
    let screen = || world.screen(&list);
    disk.fill();
    let said = screen();
    assert_ne!(said.code, 0, "{said:?}");
    assert!(!said.out.contains("\"known\""), "something is shown: {said:?}");
    disk.empty();
    let said = screen();
    assert_eq!(said.code, 0, "{}", said.err);
    let entries = world.stop(broker, &[]);
    let mut subjects: Vec<Vec<u8>> = entries
        .iter()
        .map(|entry| {
            entry
                .fields
                .get(hitmachine_audit::FieldId::Subject)
                .unwrap()
                .to_vec()
        })
        .collect();
    let count = subjects.len();
    subjects.sort();
    subjects.dedup();
    assert_eq!(subjects.len(), count, "somebody was asked about twice");
}
