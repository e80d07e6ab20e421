//! Crashes and failures at every point of an erasure, and of its repetition. C-numbers as in the test plan of
//! the audit log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

mod world;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::atomic::Ordering,
};

use hitmachine_audit::{
    CommitError, EraseError, ErasurePlan, Incomplete, Log, Period, RetentionClass, Selection,
    disk::testing::{FailingDisk, Fault, OpKind, Random},
};
use world::{
    JANUARY, World,
    erasing::{
        INDEX, SHORT, complete, expired, keys_left, kinds, month, no_hook, remove_index, request,
        three_months, told, used_segments,
    },
};

/// C8, C11: every disk operation of an erasure fails and is lost, or is kept, or is cut short; then the
/// process or the power goes. What is opened then is repeated to its end, and only then complete.
#[test]
fn an_erasure_fails_at_every_operation() {
    let (start, published) = three_months();
    let run = |world: &World, disk: &FailingDisk, fault: Option<(usize, Fault)>| {
        let (mut log, _) = world.open(disk).unwrap();
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        let before = disk.ops().len();
        if let Some((number, fault)) = fault {
            disk.fail_after(number, fault);
        }
        let result = log.erase(&plan, &mut |_| remove_index(disk));
        (log, result, before)
    };
    let total = {
        let world = start.fork();
        let disk = world.failing();
        let (log, result, before) = run(&world, &disk, None);
        result.unwrap();
        world.check(&log);
        let ops: Vec<_> = disk.ops()[before..].iter().map(|op| op.kind).collect();
        let durably = [OpKind::Unlink, OpKind::SyncDir];
        let commit = [OpKind::Write, OpKind::Sync];
        // Intent, two keys, the index, two segments, done: in this order and each durable before the next.
        assert_eq!(
            ops,
            [commit, durably, durably, durably, durably, durably, commit].concat()
        );
        ops.len()
    };
    let mut random = Random::new(8);
    let mut unfinished = 0;
    for number in 0..total {
        for fault in [Fault::Lost, Fault::Kept, Fault::Short(200)] {
            for end in 0..5 {
                let case = format!("operation {number} {fault:?}, end {end}");
                let mut world = start.fork();
                let disk = world.failing();
                let (mut log, result, _) = run(&world, &disk, Some((number, fault)));
                let error = result.unwrap_err();
                assert!(error.is_fatal(), "{case}: {error}");
                let ops = disk.ops().len();
                assert!(
                    matches!(world.commit(&mut log, &disk, 1), Err(CommitError::Stopped)),
                    "{case}"
                );
                assert!(matches!(
                    log.finish_erasure(&mut no_hook),
                    Ok(None) | Err(EraseError::Commit(_))
                ));
                assert_eq!(disk.ops().len(), ops, "{case}: nothing more is done");
                drop(log);
                match end {
                    0 => world.disk.crash(),
                    1 => world.disk.power_cut(&mut |_| 0),
                    2 => world.disk.power_cut(&mut |n| n - 1),
                    _ => world.disk.power_cut(&mut |n| random.below(n)),
                }
                unfinished += usize::from(ends_after_a_crash(&mut world, published, &case));
            }
        }
    }
    assert!(unfinished > 100, "{unfinished}");
}

/// The hook fails, or panics.
#[test]
fn an_erasure_ends_in_the_hook() {
    let (start, published) = three_months();
    for panics in [false, true] {
        let mut world = start.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        let mut hook = |_: &ErasurePlan| {
            assert!(!panics, "the hook panics");
            Err(io::Error::other("index in use"))
        };
        let result = catch_unwind(AssertUnwindSafe(|| log.erase(&plan, &mut hook)));
        if !panics {
            assert!(matches!(result, Ok(Err(EraseError::Hook(_)))));
        }
        assert!(matches!(
            world.commit(&mut log, &disk, 1),
            Err(CommitError::Stopped)
        ));
        drop(log);
        world.disk.power_cut(&mut |_| 0);
        assert_eq!(used_segments(&world), [1, 2, 3, 4, 5], "segments go last");
        assert!(ends_after_a_crash(&mut world, published, "in the hook"));
    }
}

/// After a crash in an erasure of January: either nothing is gone, or it can be finished, and the check
/// accepts it only after that. True if it had to be finished.
fn ends_after_a_crash(world: &mut World, published: u64, case: &str) -> bool {
    let disk = world.failing();
    let (mut log, recovery) = world.open(&disk).unwrap();
    world.check(&log);
    let plan = recovery.unfinished_erasure;
    assert_eq!(plan, log.unfinished_erasure(), "{case}");
    let index = |world: &World| world.disk.files().contains(&PathBuf::from(INDEX));
    let keys = keys_left(world);
    let segments = used_segments(world);
    if let Some(plan) = &plan {
        assert_eq!(told(&log), (1, 0), "{case}");
        let gone = |list: &[u32]| list.len() < 8;
        let bad = complete(&log).first_bad.map(|(_, reason)| reason);
        let expected = gone(&keys).then_some(Incomplete::Unfinished(21));
        assert_eq!(bad, expected, "{case}: {keys:?}");
        // Each step only after the one before it.
        assert!(
            keys == [3, 4, 5, 6, 7, 8] || index(world),
            "{case}: index before keys"
        );
        assert!(
            !index(world) || segments.starts_with(&[1, 2]),
            "{case}: segments before the index"
        );
        assert!(matches!(
            log.plan_erasure(&expired(month(3), published)),
            Err(EraseError::Unfinished)
        ));
        assert!(matches!(
            log.erase(plan, &mut no_hook),
            Err(EraseError::Unfinished)
        ));
        // The log can be written to meanwhile.
        world.commit(&mut log, &disk, 1).unwrap();
        world.check(&log);
        let erased = log.finish_erasure(&mut |again| {
            assert_eq!(again, plan, "{case}");
            remove_index(&disk)
        });
        assert_eq!(erased.unwrap().unwrap().intent, 21, "{case}");
    } else if told(&log) == (0, 0) {
        assert_eq!(
            (keys.len(), segments.len()),
            (8, 5),
            "{case}: gone without an intent"
        );
        assert!(
            index(world) && kinds(&log).chars().all(|kind| kind == 'o'),
            "{case}"
        );
        assert_eq!(complete(&log).first_bad, None);
        // As if nothing had been.
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        log.erase(&plan, &mut |_| remove_index(&disk)).unwrap();
    }
    for count in [1, 2, 1] {
        world.commit(&mut log, &disk, count).unwrap();
        log.wait_for_spare().unwrap();
    }
    let head = log.head();
    drop(log);
    for _ in 0..2 {
        let (log, recovery) = world.reopen();
        assert_eq!(recovery.unfinished_erasure, None, "{case}");
        assert_eq!(log.head(), head);
        assert_eq!(told(&log), (1, 1), "{case}");
        assert_eq!(keys_left(world), [3, 4, 5, 6, 7, 8], "{case}");
        assert!(used_segments(world)[0] == 3 && !index(world), "{case}");
        let found = complete(&log);
        assert_eq!((found.erased, found.first_bad), (9, None), "{case}");
        assert!(kinds(&log).starts_with("eeeeeeeeeoooooooooooo"), "{case}");
        drop(log);
        world.disk.power_cut(&mut |_| 0);
    }
    plan.is_some()
}

/// C8: and finishing it fails at every operation as well, those of opening included.
#[test]
fn finishing_can_fail_at_every_operation() {
    let (start, published) = three_months();
    // Cut short after the intent, and after the first segment.
    for cut in [2, 10] {
        let world = start.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
        disk.fail_after(cut, Fault::Lost);
        log.erase(&plan, &mut |_| remove_index(&disk)).unwrap_err();
        drop(log);
        world.disk.power_cut(&mut |_| 0);
        let finish = |world: &World, disk: &FailingDisk| -> Option<()> {
            let (mut log, _) = world.open(disk).ok()?;
            log.finish_erasure(&mut |_| remove_index(disk)).ok()?.map(drop)
        };
        let total = {
            let world = world.fork();
            let disk = world.failing();
            finish(&world, &disk).unwrap();
            disk.ops().len()
        };
        let mut random = Random::new(9);
        for number in 0..total {
            for fault in [Fault::Lost, Fault::Kept] {
                for end in 1..3 {
                    let mut world = world.fork();
                    let disk = world.failing();
                    disk.fail_after(number, fault);
                    // A segment that could not be prepared is only missed when it is needed.
                    let _ = finish(&world, &disk);
                    match end {
                        1 => world.disk.power_cut(&mut |_| 0),
                        _ => world.disk.power_cut(&mut |n| random.below(n)),
                    }
                    ends_after_a_crash(
                        &mut world,
                        published,
                        &format!("cut {cut}, operation {number} {fault:?} {end}"),
                    );
                }
            }
        }
    }
}

/// An unfinished erasure of the month in hand: nothing is sealed any more with the keys that are to go.
#[test]
fn doomed_keys_seal_nothing() {
    let mut world = World::new(16 << 10);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit_of(&mut log, &disk, 2, SHORT).unwrap();
    let of = vec![(SHORT, month(1))];
    let plan = log
        .plan_erasure(&request(Selection::Both(of), 0))
        .unwrap()
        .unwrap();
    disk.fail_after(2, Fault::Lost);
    log.erase(&plan, &mut no_hook).unwrap_err();
    drop(log);
    world.disk.crash();
    let disk = world.failing();
    let (mut log, recovery) = world.open(&disk).unwrap();
    assert_eq!(recovery.unfinished_erasure.as_ref(), Some(&plan));
    assert_eq!(kinds(&log), "ooc", "not destroyed yet");
    world.commit_of(&mut log, &disk, 1, SHORT).unwrap();
    log.finish_erasure(&mut no_hook).unwrap().unwrap();
    assert_eq!(kinds(&log), "eecoc");
    world.check(&log);
    drop(log);
    assert_eq!(kinds(&world.reopen().0), "eecoc");
}

/// Years of it: months pass, the clock errs, anything fails, backups of keys come back; after each step
/// everything holds.
#[test]
fn random_lives() {
    let mut finished = 0;
    // Where a fault falls depends on the thread that prepares spare segments as well: the number of lives that
    // leave an erasure to finish differs from run to run.
    for seed in 0..200 {
        if seed >= 16 && finished > 8 {
            break;
        }
        let mut random = Random::new(seed);
        let mut world = World::new(2_048);
        let mut now = JANUARY;
        for _ in 0..12 {
            let disk = world.failing();
            let Ok((mut log, recovery)) = world.open(&disk) else {
                panic!("seed {seed}");
            };
            world.check(&log);
            if recovery.unfinished_erasure.is_some() && random.below(3) > 0 {
                log.finish_erasure(&mut no_hook).unwrap().unwrap();
                finished += 1;
                world.check(&log);
            }
            if random.below(2) == 0 {
                let faults = [Fault::Lost, Fault::Kept, Fault::Short(100)];
                disk.fail_after(random.below(40), faults[random.below(3)]);
            }
            let _ = live(&mut world, &mut log, &disk, &mut now, &mut random);
            drop(log);
            match random.below(3) {
                0 => world.disk.crash(),
                1 => world.disk.power_cut(&mut |_| 0),
                _ => world.disk.power_cut(&mut |n| random.below(n)),
            }
        }
        let (mut log, _) = world.reopen();
        log.finish_erasure(&mut no_hook).unwrap();
        world.check(&log);
        assert_eq!(complete(&log).first_bad, None, "seed {seed}");
    }
    assert!(finished > 8, "{finished}");
}

/// Until something fails.
fn live(
    world: &mut World,
    log: &mut Log,
    disk: &FailingDisk,
    now: &mut u64,
    random: &mut Random,
) -> Result<(), EraseError> {
    for _ in 0..6 {
        *now += (random.below(40) as u64) * 86_400_000;
        let errs = [0, 40 * 86_400_000, 0, 0][random.below(4)];
        world.clock.store(*now - errs, Ordering::SeqCst);
        let class = [RetentionClass(0), SHORT, RetentionClass(3)][random.below(3)];
        world.commit_of(log, disk, 1 + random.below(2), class)?;
        if log.unfinished_erasure().is_none() && random.below(2) == 0 {
            let published = [0, log.head().size][random.below(2)];
            if published > 0 {
                world.publish(log);
            }
            if let Some(plan) = log.plan_erasure(&expired(Period::of_unix_ms(*now), published))? {
                log.erase(&plan, &mut no_hook)?;
                world.check(log);
                assert_eq!(complete(log).first_bad, None);
            }
        }
    }
    Ok(())
}
