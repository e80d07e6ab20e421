//! A node's disk.

use super::*;

#[test]
fn a_node_whose_disk_fails_shows_nothing_that_it_cannot_remember() {
    let world = World::new(603);
    let partner = Register::Regieteams.id();
    let members = json!(world.members(Register::Regieteams));
    let disk = FailingDisk::mount(&world.path("nodes/regieteams/state"));
    let broker = world.broker();
    world.sync_all();
    // Known elsewhere: who asks hundreds of times about somebody unknown is stopped.
    let mut members_elsewhere = world.population.members(Register::Schuldhulpverlening);
    let known = members_elsewhere.find(|person| person.class == AgeClass::Adult);
    let known = known.unwrap().bsn.as_str();
    let ask = || run::query(&world.deployment, partner, world.address, known, &[]);
    let right = rows(&ask());
    assert!(right.values().any(|status| status == "known"), "{right:?}");
    for (what, break_it) in [
        ("read-only", FailingDisk::turn_read_only as fn(&FailingDisk)),
        ("no block can be written", FailingDisk::fail_writes),
    ] {
        let node = world.serve(partner);
        assert_eq!(rows(&ask()), right, "{what}");
        break_it(&disk);
        let mut shown = 0;
        let refused = loop {
            let said = ask();
            if said.code != 0 {
                break said;
            }
            // A little may still fit into blocks that were used before.
            assert_eq!(rows(&said), right, "{what}");
            shown += 1;
            assert!(shown < 2_000, "{what}: everything can be written");
        };
        assert_eq!(refused.code, 1, "{what}: {refused:?} {}", node.log().unwrap());
        assert!(
            !refused.out.contains("partners"),
            "{what}: something is shown: {refused:?}"
        );
        // Once it failed nothing more is known about the disk: it stays so, also when the disk works again.
        if what != "read-only" {
            disk.make_room();
        }
        for _ in 0..3 {
            let said = ask();
            assert_eq!(said.code, 1, "{what}: {said:?}");
            assert!(
                !said.out.contains("partners"),
                "{what}: something is shown: {said:?}"
            );
        }
        let log = node.log().unwrap();
        assert!(!log.contains("panicked"), "{what}: {log}");
        node.kill().unwrap();
        if what == "read-only" {
            let said = world.node(partner, &["serve"]);
            assert_eq!(said.code, 1, "{what}: {said:?}");
            assert!(said.err.contains("Read-only file system"), "{what}: {said:?}");
            assert!(!said.err.contains("damaged"), "{what}: {said:?}");
        }
        disk.repair();
        assert_eq!(rows(&ask()), right, "{what}");
        let report = world.node(partner, &["sync"]).json();
        assert_eq!(
            (&report["full"], &report["persons"]),
            (&json!(false), &members),
            "{what}"
        );
    }
    let entries = world.stop(broker, &[world.bsn(AgeClass::Adult).as_bytes()]);
    assert!(
        entries.len() >= 7,
        "questions that were not shown are logged all the same"
    );
}
