//! The hub's disk.

use super::*;

/// Asks without end, eight at once, until the broker fails. What was released.
async fn ask_until_it_fails(world: &World, stop: &Arc<AtomicBool>) -> BTreeMap<u64, Hash> {
    let mut asking = Vec::new();
    for _ in 0..8 {
        let (deployment, address, stop) = (world.deployment.clone(), world.address, Arc::clone(stop));
        let bsn = world.bsn(AgeClass::Adult).to_owned();
        asking.push(tokio::spawn(async move {
            let (wire, shared) = (
                Wire::of(&deployment, COORDINATOR, address).await,
                Shared::of(&deployment),
            );
            let token = shared.token(&bsn);
            let mut released = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                let mut query = shared.query("screening", "informatiecoordinator", &token);
                // Now and then one with so many entries that the log soon needs another segment.
                if released.len() % 8 == 7 {
                    query.subjects = vec![query.subjects[0].clone(); 64];
                }
                let request = wire.request(wire::bytes(&query), vec![]);
                let Ok(response) = wire.ask(request.clone()).await else {
                    break;
                };
                for logged in wire::logged(&deployment, &request, &response) {
                    let leaf = logged.receipt.opening().commitment().leaf_hash();
                    released.insert(logged.receipt.leaf_index(), leaf);
                }
            }
            released
        }));
    }
    let mut released = BTreeMap::new();
    for task in asking {
        released.extend(task.await.unwrap());
    }
    released
}

/// What ends the disk, and what the broker says of it when it is started again.
struct Fault {
    what: &'static str,
    break_it: fn(&FailingDisk),
    cause: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_disk_fails_ends_and_loses_nothing() {
    let faults = [
        Fault {
            what: "read-only",
            break_it: FailingDisk::turn_read_only,
            cause: "Read-only file system",
        },
        Fault {
            what: "no block can be written",
            break_it: FailingDisk::fail_writes,
            cause: "",
        },
    ];
    let world = World::new(601);
    replace(
        &world.deployment.broker_config(),
        "segment_mib = 16",
        "segment_mib = 2",
    );
    let disk = FailingDisk::mount(&world.path("broker/data"));
    let mut broker = world.broker();
    world.sync_all();
    let bsn = world.bsn(AgeClass::Adult);
    let ask = || run::query(&world.deployment, COORDINATOR, world.address, bsn, &[]);
    let right = rows(&ask());
    let mut released = BTreeMap::new();
    for fault in faults {
        let what = fault.what;
        let stop = Arc::new(AtomicBool::new(false));
        let breaking = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            (fault.break_it)(&disk);
            let begun = Instant::now();
            // One that goes on because it need not write what cannot be written has done nothing wrong.
            while begun.elapsed() < PATIENCE && !stop.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        let asking = async {
            let released = ask_until_it_fails(&world, &stop).await;
            stop.store(true, Ordering::Relaxed);
            released
        };
        let (now, ()) = tokio::join!(asking, breaking);
        assert!(!now.is_empty(), "{what}: nothing was answered");
        released.extend(now);
        // The process knows no more about its disk, says so, and ends; nothing is answered any more.
        let ended = broker.wait(PATIENCE).unwrap();
        assert_eq!(ended, Some(4), "{what}");
        let log = broker.log().unwrap();
        assert!(log.contains("the audit log cannot be written"), "{what}: {log}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        assert_eq!(ask().failure().0, 3, "{what}");

        // The disk as it is: it says what is wrong, and does not take it for damage that somebody should rebuild.
        if !fault.cause.is_empty() {
            let said = broker_refuses(&world.deployment);
            assert_eq!(said.code, 1, "{what}: {said:?}");
            assert!(said.err.contains(fault.cause), "{what}: {said:?}");
            assert!(
                !said.err.contains("damaged") && !said.err.contains("rebuild"),
                "{what}: {said:?}"
            );
            assert_holds_none(&said.err, &[bsn.as_bytes()]);
        }
        disk.repair();
        all_there(&world, &released);
        broker = world.broker();
        assert_eq!(rows(&ask()), right, "{what}");
        for register in Register::ALL {
            let report = world.node(register.id(), &["sync"]).json();
            let members = json!(world.members(register));
            assert_eq!(
                (&report["full"], &report["persons"]),
                (&json!(false), &members),
                "{what}: {register}"
            );
        }
    }
    let count = released.len();
    println!("{count} answers before the disk failed, all there");
    assert_eq!(broker.stop().unwrap(), Some(0));
    all_there(&world, &released);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_that_cannot_be_written_is_not_acknowledged() {
    let world = World::new(602);
    let disk = FailingDisk::mount(&world.path("broker/data/registry"));
    let mut broker = world.broker();
    world.sync_all();
    let partner = Register::Regieteams;
    let bsn = world.bsn(AgeClass::Adult);
    let ask = || run::query(&world.deployment, COORDINATOR, world.address, bsn, &[]);
    let right = rows(&ask());
    let sync = |arguments: &[&str]| world.node(partner.id(), &[&["sync"], arguments].concat());
    for (what, break_it) in [
        ("read-only", FailingDisk::turn_read_only as fn(&FailingDisk)),
        ("no block can be written", FailingDisk::fail_writes),
    ] {
        break_it(&disk);
        // Until something is really written: a little may still fit into blocks that were used before.
        let mut tries = 0;
        let refused = loop {
            let said = sync(&["--full"]);
            if said.code != 0 {
                break said;
            }
            tries += 1;
            assert!(tries < 200, "{what}: everything can be written");
        };
        assert_eq!(refused.failure(), (1, "storage".into()), "{what}");
        // It stays so until a restart, and questions go on from what was acknowledged.
        assert_eq!(sync(&[]).failure(), (1, "storage".into()), "{what}");
        assert_eq!(rows(&ask()), right, "{what}");
        let log = broker.log().unwrap();
        assert!(!log.contains("panicked"), "{what}: {log}");
        broker.kill().unwrap();
        disk.repair();
        broker = world.broker();
        assert_eq!(rows(&ask()), right, "{what}: acknowledged registrations are lost");
        let report = sync(&[]).json();
        assert_eq!(report["persons"], world.members(partner), "{what}");
        assert_eq!(rows(&ask()), right, "{what}");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
}
