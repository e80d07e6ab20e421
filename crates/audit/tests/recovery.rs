//! Crashes and disk errors at every point of the write path, and of recovery itself. C-numbers as in the test
//! plan of the audit log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

mod world;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering,
};

use hitmachine_audit::{
    CommitError, Disk, HeadConflict, Log, LogConfig, LogSigner, OpenError, Period, RealDisk, WrappingKey,
    disk::testing::{FailingDisk, Fault, OpKind, Random, SECTOR},
    frame,
};
use world::{FEBRUARY, JANUARY, ORIGIN, World, is_log};

/// Two batches in, nothing pending.
fn started() -> World {
    let mut world = World::new(16 << 10);
    let disk = world.failing();
    let (mut log, recovery) = world.open(&disk).unwrap();
    assert_eq!((recovery.head.size, recovery.frames, recovery.torn), (0, 0, None));
    world.check(&log);
    for count in [1, 3] {
        world.commit(&mut log, &disk, count).unwrap();
        world.check(&log);
    }
    drop(log);
    world
}

/// After recovery: three more batches, and all of it again after another power cut.
fn goes_on(world: &mut World) {
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.check(&log);
    for count in [1, 2, 1] {
        world.commit(&mut log, &disk, count).unwrap();
        log.wait_for_spare().unwrap();
        world.check(&log);
    }
    let head = log.head();
    drop(log);
    world.disk.power_cut(&mut |_| 0);
    let (log, recovery) = world.reopen();
    assert_eq!((log.head(), recovery.torn), (head, None));
    for torn in World::recovered(&log) {
        assert!(torn["bytes"].as_u64().unwrap() > 0);
    }
}

/// The log stays dead, and quiet, after a failure.
fn stays_stopped(world: &mut World, log: &mut Log, disk: &FailingDisk) {
    let ops = disk.ops().len();
    let signed = world.signed().len();
    for _ in 0..2 {
        assert!(matches!(world.commit(log, disk, 1), Err(CommitError::Stopped)));
        assert!(matches!(log.sign_head(), Err(CommitError::Stopped)));
    }
    assert_eq!((disk.ops().len(), world.signed().len()), (ops, signed));
}

/// C1: the write of a frame ends at every byte.
#[test]
fn a_frame_write_that_ends_at_any_byte() {
    let start = started();
    let length = {
        let mut world = start.fork();
        let (mut log, _) = world.open(&world.failing()).unwrap();
        let drafts = world.drafts(1);
        let length = 136 + drafts[0].record_len();
        log.commit(drafts).unwrap();
        length
    };
    for written in 0..=length {
        let mut world = start.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        disk.set_plan(move |op| (op.kind == OpKind::Write && is_log(op)).then_some(Fault::Short(written)));
        assert!(matches!(
            world.commit(&mut log, &disk, 1),
            Err(CommitError::Io(_))
        ));
        stays_stopped(&mut world, &mut log, &disk);
        drop(log);
        world.disk.crash();
        let disk = world.failing();
        let (mut log, recovery) = world.open(&disk).unwrap();
        world.check(&log);
        // A whole frame is kept though it was never confirmed. It is whole too if only bytes are missing that are zero
        // in the file already: one checksum in 256 ends with one.
        let whole = log.head().size == 5;
        assert!(log.head().size == 4 || whole, "{written}");
        assert!(written < length || whole, "{written}");
        assert!(!whole || written + 3 >= length, "{written}");
        let torn = recovery.torn;
        assert_eq!(
            torn.is_some(),
            (1..length).contains(&written) && !whole,
            "{written}"
        );
        world.commit(&mut log, &disk, 1).unwrap();
        world.check(&log);
        let recovered = World::recovered(&log);
        assert_eq!(recovered.len(), usize::from(torn.is_some()));
        if let Some(torn) = torn {
            assert_eq!(torn.index, 4);
            assert_eq!(recovered[0]["index"], torn.index);
            assert_eq!(recovered[0]["bytes"], torn.bytes);
            assert_eq!(recovered[0]["sha256"], torn.sha256.to_string());
            assert!(torn.bytes <= written as u64);
            assert!(torn.kept.ends_with("torn-4-0.bin"), "{:?}", torn.kept);
        }
        if written % 40 == 0 {
            drop(log);
            goes_on(&mut world);
        }
    }
}

/// C1, C2: the power goes after the write and before the flush; every subset of the sectors survives.
#[test]
fn a_power_cut_before_the_flush_keeps_any_sectors() {
    let start = started();
    let mut random = Random::new(11);
    let (mut absent, mut present) = (0, 0);
    for mask in 0..400_usize {
        let mut world = start.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        disk.set_plan(|op| (op.kind == OpKind::Sync && is_log(op)).then_some(Fault::Lost));
        assert!(matches!(
            world.commit(&mut log, &disk, 10),
            Err(CommitError::Io(_))
        ));
        drop(log);
        let mut sector = 0;
        let mut all = true;
        // All subsets of the first sectors, then random ones.
        world.disk.power_cut(&mut |n| {
            assert_eq!(n, 2, "one write for each sector");
            let kept = if mask < 64 {
                if sector < 6 { mask >> sector & 1 } else { 1 }
            } else {
                random.below(2)
            };
            sector += 1;
            all &= kept == 1;
            kept
        });
        assert!(sector >= 5, "a frame of {sector} sectors of {SECTOR}");
        let (log, recovery) = world.reopen();
        assert_eq!(log.head().size, if all { 14 } else { 4 }, "mask {mask:b}");
        if all {
            present += 1;
            assert_eq!(recovery.torn, None);
        } else {
            absent += 1;
        }
        drop(log);
        if mask % 10 == 0 {
            goes_on(&mut world);
        }
    }
    assert!(present >= 1 && absent > 300, "{present} {absent}");
}

/// C3: the flush fails, and its data is lost, kept, or shown as if it were there. Nothing succeeds
/// afterwards.
#[test]
fn a_failed_flush_ends_the_log() {
    let start = started();
    for (what, fault, forgotten) in [
        ("lost", Fault::Lost, false),
        ("kept", Fault::Kept, false),
        ("lost, but shown as clean", Fault::Lost, true),
    ] {
        for power_cut in [false, true] {
            let mut world = start.fork();
            let disk = world.failing();
            let (mut log, _) = world.open(&disk).unwrap();
            let simulated = world.disk.clone();
            disk.set_plan(move |op| {
                let hit = op.kind == OpKind::Sync && is_log(op);
                if hit && forgotten {
                    simulated.forget_unsynced(&op.path).unwrap();
                }
                hit.then_some(fault)
            });
            let signed = world.signed().len();
            assert!(
                matches!(world.commit(&mut log, &disk, 2), Err(CommitError::Io(_))),
                "{what}"
            );
            assert_eq!(world.signed().len(), signed, "{what}: nothing is signed");
            stays_stopped(&mut world, &mut log, &disk);
            drop(log);
            if power_cut {
                world.disk.power_cut(&mut |_| 0);
            } else {
                world.disk.crash();
            }
            let (log, _) = world.reopen();
            let there = fault == Fault::Kept || !power_cut;
            assert_eq!(log.head().size, if there { 6 } else { 4 }, "{what}");
            drop(log);
            goes_on(&mut world);
        }
    }
}

/// What a failed flush left visible is made durable by recovery before anything is built on it.
#[test]
fn recovery_makes_durable_what_it_accepts() {
    let mut world = started();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    let simulated = world.disk.clone();
    disk.set_plan(move |op| {
        let hit = op.kind == OpKind::Sync && is_log(op);
        if hit {
            simulated.forget_unsynced(&op.path).unwrap();
        }
        hit.then_some(Fault::Lost)
    });
    world.commit(&mut log, &disk, 2).unwrap_err();
    drop(log);
    world.disk.crash();
    let (log, _) = world.reopen();
    let head = log.head();
    assert_eq!(head.size, 6, "the system still shows it");
    log.sign_head().unwrap();
    drop(log);
    world.disk.power_cut(&mut |_| 0);
    let (log, _) = world.reopen();
    assert_eq!(log.head(), head, "signed, so it must be there");
}

/// C4: the process dies between flush and signature, or before or amid the release. The same bytes are signed
/// again.
#[test]
fn a_death_after_the_flush_loses_nothing() {
    let start = started();
    let mut world = start.fork();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.die_signing.store(true, Ordering::SeqCst);
    let died = catch_unwind(AssertUnwindSafe(|| world.commit(&mut log, &disk, 2)));
    assert!(died.is_err());
    stays_stopped(&mut world, &mut log, &disk);
    drop(log);
    world.die_signing.store(false, Ordering::SeqCst);
    world.disk.power_cut(&mut |_| 0);
    let (log, _) = world.reopen();
    assert_eq!(log.head().size, 6);
    drop(log);
    goes_on(&mut world);

    for half in [false, true] {
        let mut world = start.fork();
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        let note = if half {
            // The receipts of the first half went out: `commit` keeps them for the invariants.
            world.commit(&mut log, &disk, 2).unwrap();
            world.released().last().unwrap().checkpoint.clone()
        } else {
            let drafts = world.drafts(2);
            log.commit(drafts).unwrap().signed().note.to_vec()
        };
        drop(log);
        world.disk.power_cut(&mut |_| 0);
        let (log, _) = world.reopen();
        assert_eq!(log.sign_head().unwrap().note.to_vec(), note, "same bytes");
        world.check(&log);
        drop(log);
        goes_on(&mut world);
    }
}

/// Opens and commits through several segments, a new month and a clock that jumps back, until something
/// fails.
fn work(world: &mut World, disk: &FailingDisk) -> Option<()> {
    let (mut log, _) = world.open(disk).ok()?;
    for (time, count) in [
        (JANUARY, 1),
        (JANUARY, 2),
        (JANUARY + 1, 1),
        (FEBRUARY, 1),
        (FEBRUARY, 3),
        (JANUARY, 1),
        (FEBRUARY, 1),
    ] {
        world.clock.store(time, Ordering::SeqCst);
        world.commit(&mut log, disk, count).ok()?;
        log.wait_for_spare().ok()?;
        world.check(&log);
    }
    Some(())
}

/// C7, C11: every single disk operation of that work fails and is lost, fails but is kept, is cut short, or
/// is a flush after which the system only pretends; then the process or the power goes.
#[test]
fn every_operation_fails_in_every_way() {
    let start = World::new(1_400);
    let total = {
        let mut world = start.fork();
        let disk = world.failing();
        work(&mut world, &disk).unwrap();
        let paths: BTreeSet<_> = world.segments().into_iter().collect();
        assert!(paths.len() >= 6, "several segments: {paths:?}");
        disk.ops().len()
    };
    assert!(total > 80, "{total}");
    let mut random = Random::new(12);
    for number in 0..total {
        for fault in [Fault::Lost, Fault::Kept, Fault::Short(200)] {
            for end in 0..3 {
                let mut world = start.fork();
                let disk = world.failing();
                let simulated = world.disk.clone();
                disk.set_plan(move |op| {
                    if op.number != number {
                        return None;
                    }
                    if op.kind == OpKind::Sync && fault == Fault::Short(200) {
                        simulated.forget_unsynced(&op.path).unwrap();
                    }
                    Some(fault)
                });
                assert_eq!(
                    work(&mut world, &disk),
                    None,
                    "operation {number} {fault:?} was passed over"
                );
                match end {
                    0 => world.disk.crash(),
                    1 => world.disk.power_cut(&mut |_| 0),
                    _ => world.disk.power_cut(&mut |n| random.below(n)),
                }
                goes_on(&mut world);
            }
        }
    }
}

/// A torn end, and then every operation of the recovery from it fails as well.
#[test]
fn recovery_can_fail_at_every_operation() {
    let mut torn = started();
    let disk = torn.failing();
    let (mut log, _) = torn.open(&disk).unwrap();
    disk.set_plan(|op| (op.kind == OpKind::Write && is_log(op)).then_some(Fault::Short(300)));
    torn.commit(&mut log, &disk, 2).unwrap_err();
    drop(log);
    torn.disk.crash();
    let total = {
        let world = torn.fork();
        let disk = world.failing();
        assert!(world.open(&disk).unwrap().1.torn.is_some());
        disk.ops().len()
    };
    assert!(total > 15, "{total}");
    let mut random = Random::new(13);
    let mut most = 0;
    for number in 0..total {
        for fault in [Fault::Lost, Fault::Kept, Fault::Short(100)] {
            for end in 0..3 {
                let mut world = torn.fork();
                let disk = world.failing();
                disk.fail_after(number, fault);
                assert!(matches!(
                    world.open(&disk),
                    Err(OpenError::Io(_) | OpenError::Keys(_))
                ));
                match end {
                    0 => world.disk.crash(),
                    1 => world.disk.power_cut(&mut |_| 0),
                    _ => world.disk.power_cut(&mut |n| random.below(n)),
                }
                goes_on(&mut world);
                // Each end that was cut off is told of once: none if nothing of it reached the disk, two if
                // the power went while the first was being cut.
                let (log, _) = world.reopen();
                let told: BTreeSet<String> = World::recovered(&log)
                    .iter()
                    .map(|entry| entry["sha256"].to_string())
                    .collect();
                assert_eq!(told.len(), World::recovered(&log).len());
                let kept = world.disk.files().into_iter().filter(|path| is_torn(path));
                let kept: BTreeSet<Vec<u8>> = kept.map(|path| content(&world, &path)).collect();
                assert_eq!(told.len(), kept.len(), "{number} {fault:?} {end}");
                assert!(kept.len() <= 2);
                most = most.max(kept.len());
            }
        }
    }
    assert_eq!(most, 2);
}

fn content(world: &World, path: &std::path::Path) -> Vec<u8> {
    let mut content = Vec::new();
    world.disk.edit(path, |bytes| content.clone_from(bytes)).unwrap();
    content
}

fn is_torn(path: &std::path::Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("torn-"))
}

/// The first frame of a segment is torn: the segment is given up, not begun in the middle.
#[test]
fn a_torn_first_frame_of_a_segment() {
    let mut world = World::new(1_400);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    world.commit(&mut log, &disk, 4).unwrap();
    log.wait_for_spare().unwrap();
    disk.set_plan(|op| (op.kind == OpKind::Write && is_log(op)).then_some(Fault::Short(150)));
    world.commit(&mut log, &disk, 4).unwrap_err();
    drop(log);
    world.disk.crash();
    let (_, recovery) = world.reopen();
    assert_eq!(recovery.torn.unwrap().index, 4);
    goes_on(&mut world);
    assert_eq!(World::recovered(&world.reopen().0).len(), 1);
}

/// A random walk: batches, crashes, power cuts, failures anywhere, month after month.
#[test]
fn random_walks() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut world = World::new(2_000);
        for _ in 0..8 {
            let disk = world.failing();
            if random.below(3) > 0 {
                let fault = [Fault::Lost, Fault::Kept, Fault::Short(random.below(600))][random.below(3)];
                disk.fail_after(random.below(60), fault);
            }
            if let Ok((mut log, _)) = world.open(&disk) {
                world.check(&log);
                for _ in 0..random.below(8) {
                    let month = random.below(4) as u64 * 31 * 86_400_000;
                    world.clock.store(JANUARY + month, Ordering::SeqCst);
                    if world.commit(&mut log, &disk, 1 + random.below(4)).is_err()
                        || log.wait_for_spare().is_err()
                    {
                        break;
                    }
                    world.check(&log);
                }
            }
            match random.below(3) {
                0 => world.disk.crash(),
                1 => world.disk.power_cut(&mut |_| 0),
                _ => world.disk.power_cut(&mut |n| random.below(n)),
            }
        }
        goes_on(&mut world);
    }
}

#[test]
fn a_jumping_clock_breaks_nothing() {
    let mut world = World::new(1_400);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    for time in [FEBRUARY, 0, FEBRUARY, JANUARY, u64::MAX, FEBRUARY, 1, 0] {
        world.clock.store(time, Ordering::SeqCst);
        world.commit(&mut log, &disk, 2).unwrap();
        assert_eq!(log.entries().last().unwrap().unwrap().time_ms, time);
        world.check(&log);
    }
    let head = log.head();
    drop(log);
    world.disk.power_cut(&mut |_| 0);
    assert_eq!(world.reopen().0.head(), head);
    // Each segment is in the folder of the month in which it was written.
    let mut months = BTreeSet::new();
    for path in world.segments() {
        let bytes = content(&world, &path);
        if let Ok(frame) = frame::parse(&bytes) {
            let month = Period::of_unix_ms(frame.header.time_ms).to_string();
            assert!(path.parent().unwrap().ends_with(&month), "{path:?} of {month}");
            months.insert(month);
        }
    }
    assert_eq!(months.len(), 4, "{months:?}");
    goes_on(&mut world);
}

fn real(dir: &std::path::Path, origin: &str, seed: u8) -> LogConfig {
    let signer = LogSigner::new(origin.parse().unwrap(), &[seed; 32]);
    LogConfig {
        segment_size: 1 << 20,
        ..LogConfig::new(
            dir.join("log"),
            dir.join("keys"),
            signer,
            WrappingKey::from_bytes([3; 32]),
        )
    }
}

#[test]
fn one_process_and_one_identity_on_a_real_disk() {
    let temporary = tempfile::tempdir().unwrap();
    let open = |origin: &str, seed| {
        Log::open(
            real(temporary.path(), origin, seed),
            std::sync::Arc::new(RealDisk),
        )
    };
    let (mut log, _) = open(ORIGIN, 7).unwrap();
    let drafts = World::new(0).drafts(3);
    let signed = log.commit(drafts).unwrap().signed().clone();
    assert!(matches!(open(ORIGIN, 7), Err(OpenError::Locked)));
    drop(log);
    assert!(matches!(
        open("hitmachine.example/broker-a/audit/2", 7),
        Err(OpenError::Identity)
    ));
    assert!(matches!(open(ORIGIN, 8), Err(OpenError::Identity)));
    let (log, recovery) = open(ORIGIN, 7).unwrap();
    assert_eq!(
        (recovery.head, recovery.frames, recovery.torn),
        (signed.head, 1, None)
    );
    assert_eq!(log.sign_head().unwrap(), signed);
    assert_eq!(log.entries().flatten().count(), 3);
    drop(log);
    RealDisk.unlink(&temporary.path().join("log/identity")).unwrap();
    assert!(
        matches!(open(ORIGIN, 7), Err(OpenError::Identity)),
        "entries of nobody"
    );
}

#[test]
fn heads_of_others_are_confirmed_or_not() {
    let mut world = started();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    let backup = world.disk.fork();
    let seen = world.commit(&mut log, &disk, 1).unwrap();
    assert_eq!(log.confirm(&seen), Ok(()));
    drop(log);
    // C10: a snapshot from before is brought back. By itself it looks sound.
    backup.crash();
    world.disk = backup;
    let (log, _) = world.open(&world.failing()).unwrap();
    assert_eq!(
        log.confirm(&seen),
        Err(HeadConflict::Rollback { seen: 5, ours: 4 })
    );
    drop(log);
    // Had it gone on, it would have forked.
    let mut forked = world.fork();
    let disk = forked.failing();
    let (mut log, _) = forked.open(&disk).unwrap();
    let drafts = forked.drafts(1);
    log.commit(drafts).unwrap();
    assert!(matches!(
        log.confirm(&seen),
        Err(HeadConflict::Fork { size: 5, .. })
    ));
}

/// Two crashes that leave the very same bytes in two places are told of twice.
#[test]
fn equal_torn_ends_are_told_apart() {
    let mut world = started();
    for _ in 0..2 {
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        world.commit(&mut log, &disk, 1).unwrap();
        disk.set_plan(|op| (op.kind == OpKind::Write && is_log(op)).then_some(Fault::Short(8)));
        world.commit(&mut log, &disk, 1).unwrap_err();
        drop(log);
        world.disk.crash();
    }
    goes_on(&mut world);
    let told = World::recovered(&world.reopen().0);
    assert_eq!(
        told.iter()
            .map(|entry| entry["index"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [5, 7]
    );
    assert_eq!(told[0]["sha256"], told[1]["sha256"]);
}

/// A segment whose preparation failed is never used, though its file may be there.
#[test]
fn a_segment_that_could_not_be_prepared_is_not_used() {
    for fault in [Fault::Lost, Fault::Kept] {
        let mut world = World::new(1_400);
        let disk = world.failing();
        let (mut log, _) = world.open(&disk).unwrap();
        disk.set_plan(move |op| {
            (op.kind == OpKind::SyncDir && op.path.ends_with("2026-01")).then_some(fault)
        });
        world.commit(&mut log, &disk, 1).unwrap();
        assert!(log.wait_for_spare().is_err());
        assert!(log.wait_for_spare().is_err(), "for good");
        let failed = (0..10).find_map(|_| world.commit(&mut log, &disk, 1).err());
        assert!(matches!(failed, Some(CommitError::Io(_))), "{failed:?}");
        stays_stopped(&mut world, &mut log, &disk);
        drop(log);
        world.disk.power_cut(&mut |_| 0);
        goes_on(&mut world);
    }
}
