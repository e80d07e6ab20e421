//! C5: the process dies, the power goes or the disk fails at each step of a publication.

use std::sync::Arc;

use hitmachine_audit::{
    Disk, Publisher,
    disk::testing::{FailingDisk, Fault, OpKind, Random, SimulatedDisk},
};

use super::world::{DIR, TestLog, check_published, verifier};

const FAULTS: [Fault; 3] = [Fault::Lost, Fault::Kept, Fault::Short(5)];

fn open(disk: impl Disk) -> Publisher {
    Publisher::open(DIR, Arc::new(disk), verifier()).unwrap()
}

/// With these sizes published, everything durable.
fn started(log: &TestLog, sizes: &[u64]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut publisher = open(disk.clone());
    for size in sizes {
        publisher.publish(log, *size, &log.note(*size)).unwrap();
    }
    disk.power_cut(&mut |_| 0);
    disk
}

/// Copies of a disk after different ends of the machine.
fn ends(disk: &SimulatedDisk, random: &mut Random, cuts: usize) -> Vec<SimulatedDisk> {
    let end = |act: &mut dyn FnMut(&SimulatedDisk)| {
        let fork = disk.fork();
        act(&fork);
        fork
    };
    let mut ends = vec![
        end(&mut SimulatedDisk::crash),
        end(&mut |disk| disk.power_cut(&mut |_| 0)),
        end(&mut |disk| disk.power_cut(&mut |n| n - 1)),
    ];
    ends.extend((0..cuts).map(|_| end(&mut |disk| disk.power_cut(&mut |n| random.below(n)))));
    ends
}

/// Starts again, publishes, and loses the power after that.
fn goes_on(disk: &SimulatedDisk, log: &TestLog, old: u64, new: u64) {
    let mut publisher = open(disk.clone());
    let healed = publisher.heal(log).unwrap();
    let found = healed.published.map_or(0, |head| head.size);
    assert!(found == old || found == new, "{found}");
    // With a checkpoint nothing can be missing: that it is there is its promise.
    assert!(healed.published.is_none() || healed.rewritten == 0, "{healed:?}");
    assert_eq!(check_published(disk, log), Some(found));
    let cut = disk.fork();
    cut.power_cut(&mut |_| 0);
    assert_eq!(check_published(&cut, log), Some(found), "healed is durable");
    publisher.publish(log, new, &log.note(new)).unwrap();
    assert_eq!(check_published(disk, log), Some(new));
    // One more, so that what the crash left undurable would show.
    publisher.publish(log, new + 1, &log.note(new + 1)).unwrap();
    disk.power_cut(&mut |_| 0);
    assert_eq!(check_published(disk, log), Some(new + 1));
    let leftovers = disk
        .files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "tmp"));
    assert_eq!(leftovers.count(), 0);
    let healed = open(disk.clone()).heal(log).unwrap();
    assert_eq!((healed.rewritten, healed.published.unwrap().size), (0, new + 1));
}

/// With `cuts` random power cuts at each step; without any (large logs) also no going on after each.
fn at_every_step(before: &[u64], new: u64, faults: &[Fault], cuts: usize) {
    let log = TestLog::new(new + 2);
    let old = before.last().copied().unwrap_or_default();
    let start = started(&log, before);
    assert_eq!(check_published(&start, &log), Some(old));
    let mut random = Random::new(new);
    let prepare = || {
        let simulated = start.fork();
        let disk = FailingDisk::new(simulated.clone());
        let mut publisher = open(disk.clone());
        publisher.heal(&log).unwrap();
        (simulated, disk, publisher)
    };
    let steps = {
        let (_, disk, mut publisher) = prepare();
        let start = disk.ops().len();
        publisher.publish(&log, new, &log.note(new)).unwrap();
        disk.ops().split_off(start)
    };
    for (step, op) in steps.iter().enumerate() {
        for fault in faults {
            if matches!(fault, Fault::Short(_)) && op.kind != OpKind::Write {
                continue;
            }
            let (simulated, disk, mut publisher) = prepare();
            disk.fail_after(step, *fault);
            let what = format!(
                "{old} to {new}, step {step}: {:?} {}, {fault:?}",
                op.kind,
                op.path.display()
            );
            publisher.publish(&log, new, &log.note(new)).unwrap_err();
            for end in ends(&simulated, &mut random, cuts) {
                let size = check_published(&end, &log);
                assert!(size == Some(old) || size == Some(new), "{what}: {size:?}");
                if cuts > 0 {
                    goes_on(&end, &log, old, new);
                }
            }
            // Whatever may have come out of it is not taken back.
            if check_published(&simulated, &log) == Some(new) {
                let error = publisher.publish(&log, old, &log.note(old)).unwrap_err();
                assert_eq!(error.code(), "publish_older", "{what}");
            }
            // The same process tries again, with a larger one.
            publisher.publish(&log, new + 1, &log.note(new + 1)).unwrap();
            simulated.power_cut(&mut |_| 0);
            assert_eq!(check_published(&simulated, &log), Some(new + 1), "{what}");
        }
    }
}

#[test]
fn every_step_of_small_publications() {
    for (before, new) in [
        (&[][..], 1),
        (&[], 257),
        (&[0], 1),
        (&[1], 2),
        (&[7, 255], 256),
        (&[3, 250], 258),
        (&[256], 300),
        (&[300, 511], 513),
    ] {
        at_every_step(before, new, &FAULTS, 3);
    }
}

#[test]
fn every_step_where_a_level_begins() {
    at_every_step(&[65_300, 65_535], 65_536, &[Fault::Lost], 0);
}

/// The note with cosignatures: the old one or the new one, never neither.
#[test]
fn every_step_of_another_note() {
    let log = TestLog::new(300);
    let start = started(&log, &[300]);
    let mut note = log.note(300);
    note.extend("\u{2014} witness.example/w dGVzdHRlc3Q=\n".as_bytes());
    let mut random = Random::new(1);
    for step in 0..5 {
        for fault in FAULTS {
            let simulated = start.fork();
            let disk = FailingDisk::new(simulated.clone());
            let mut publisher = open(disk.clone());
            publisher.heal(&log).unwrap();
            disk.fail_after(step, fault);
            publisher.put_checkpoint(&note).unwrap_err();
            for end in ends(&simulated, &mut random, 3) {
                assert_eq!(check_published(&end, &log), Some(300));
            }
            publisher.put_checkpoint(&note).unwrap();
            simulated.power_cut(&mut |_| 0);
            assert_eq!(check_published(&simulated, &log), Some(300));
        }
    }
}

/// Healing itself is cut off at each step, and repeated.
#[test]
fn every_step_of_healing() {
    let log = TestLog::new(600);
    let start = started(&log, &[100, 600]);
    for name in ["tile/0/001", "tile/entries/000", "tile/1/000.p/2"] {
        start
            .edit(format!("{DIR}/{name}").as_ref(), |bytes| bytes[33] ^= 4)
            .unwrap();
    }
    let steps = {
        let disk = FailingDisk::new(start.fork());
        let mut publisher = open(disk.clone());
        let before = disk.ops().len();
        assert_eq!(publisher.heal(&log).unwrap().rewritten, 3);
        disk.ops().len() - before
    };
    let mut random = Random::new(2);
    for step in 0..steps {
        for fault in FAULTS {
            let simulated = start.fork();
            let disk = FailingDisk::new(simulated.clone());
            let mut publisher = open(disk.clone());
            disk.fail_after(step, fault);
            publisher.heal(&log).unwrap_err();
            for end in ends(&simulated, &mut random, 2) {
                let healed = open(end.clone()).heal(&log).unwrap();
                assert!(healed.rewritten <= 3);
                end.power_cut(&mut |_| 0);
                assert_eq!(check_published(&end, &log), Some(600));
            }
            publisher.heal(&log).unwrap();
            assert_eq!(check_published(&simulated, &log), Some(600));
        }
    }
}
