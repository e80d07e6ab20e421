//! Full disks.

use hitmachine_tests::disks::SmallDisk;

use super::*;

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
            let request = wire.request(question(), vec![]);
            match wire.ask(request.clone()).await {
                Ok(response) => {
                    for logged in wire::logged(&world.deployment, &request, &response) {
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
