//! Lost or erased: keys, frames and bundles that are missing, changed, or come back from a backup. T-numbers as
//! in the test plan of the audit log.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

mod world;

use std::path::{Path, PathBuf};

use hitmachine_audit::{
    Damage, Disk, EraseError, Incomplete, Log, OpenError, ReadError, disk::testing::Fault,
};
use world::{
    World,
    erasing::{complete, expired, keys_left, kinds, month, no_hook, three_months, told, used_segments},
};

/// T8: a payload that is lost, not erased.
#[test]
fn a_key_that_is_missing_without_an_erasure() {
    let (start, _) = three_months();
    for (id, index, reads) in [
        (1, 0, "eeeeeeeeeoooooooooooo"),
        (2, 0, "pppppppppoooooooooooo"),
        (3, 9, "oooooooooeeeeeeoooooo"),
        (6, 15, "ooooooooooooooopppppo"),
    ] {
        let world = start.fork();
        lose_key(&world, id);
        let (log, _) = world.open(&world.failing()).unwrap();
        assert_eq!(kinds(&log), reads);
        let found = complete(&log);
        assert_eq!(found.first_bad, Some((index, Incomplete::Key(id))));
        assert_eq!(found.entries, 21);
        // Its segment is not unlinked for it.
        let plan = log.plan_erasure(&expired(month(4), 21)).unwrap().unwrap();
        assert_eq!(plan.erasure().segments.is_empty(), index == 0, "{id}");
    }
    // Two: the lower index is named.
    let world = start.fork();
    for id in [3, 2] {
        lose_key(&world, id);
    }
    let (log, _) = world.open(&world.failing()).unwrap();
    assert_eq!(complete(&log).first_bad, Some((0, Incomplete::Key(2))));
}

fn lose_key(world: &World, id: u32) {
    let path = PathBuf::from(format!("/keys/key-{id}.sealed"));
    world.disk.unlink(&path).unwrap();
}

/// Segments that are missing at the front without an intent, or beyond it.
#[test]
fn missing_segments_need_an_intent() {
    let damaged = |world: &World| match world.open(&world.failing()) {
        Err(OpenError::Damaged {
            segment,
            damage,
            index,
            ..
        }) => (segment, damage, index),
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    };
    let unlink = |world: &World, number: usize| {
        let name = format!("{number:010}.seg");
        let path = world.segments().into_iter().find(|path| path.ends_with(&name));
        world.disk.unlink(&path.unwrap()).unwrap();
    };
    let (start, published) = three_months();
    let lost = start.fork();
    unlink(&lost, 1);
    // The bundles would give the tree, but nobody said that it may go.
    assert_eq!(damaged(&lost), (1, Damage::Missing, 0));
    unlink(&lost, 2);
    assert_eq!(damaged(&lost), (1, Damage::Missing, 0));

    // An intent for segments 1 and 2.
    let (mut log, _) = start.open(&start.failing()).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    log.erase(&plan, &mut no_hook).unwrap();
    drop(log);
    start.reopen();
    let more = start.fork();
    unlink(&more, 3);
    assert_eq!(damaged(&more), (3, Damage::Missing, 9));
    // The middle is no beginning.
    let middle = start.fork();
    unlink(&middle, 4);
    assert_eq!(damaged(&middle), (4, Damage::Missing, 15));

    // The first frame behind is damaged: entries from there on cannot be vouched for.
    let flipped = start.fork();
    let third = flipped
        .segments()
        .into_iter()
        .find(|path| path.ends_with("0000000003.seg"));
    flipped
        .disk
        .edit(&third.unwrap(), |bytes| bytes[50] ^= 1)
        .unwrap();
    let (segment, damage, index) = damaged(&flipped);
    assert!(matches!(damage, Damage::BrokenFrame(_)), "{damage:?}");
    assert_eq!((segment, index), (3, 9));

    // Bundles that are missing, malformed, or say something else.
    let bundle = |world: &World| {
        let files = world.disk.files().into_iter();
        files
            .filter(|path| path.to_string_lossy().contains("entries"))
            .collect::<Vec<_>>()
    };
    let without = start.fork();
    for path in bundle(&without) {
        without.disk.unlink(&path).unwrap();
    }
    assert_eq!(damaged(&without), (3, Damage::Bundle, 0));
    // Without them and without an intent the segments are what is missing.
    unlink(&without, 3);
    assert_eq!(damaged(&without), (3, Damage::Missing, 9));
    for change in [
        (|bytes: &mut Vec<u8>| bytes[40] ^= 1) as fn(&mut Vec<u8>),
        |bytes| bytes.truncate(100),
        |bytes| bytes.push(0),
        |bytes| bytes[1] ^= 1,
    ] {
        let changed = start.fork();
        for path in bundle(&changed) {
            changed.disk.edit(&path, change).unwrap();
        }
        assert_eq!(damaged(&changed), (3, Damage::Bundle, 0));
    }
}

/// What becomes of the published bundles under an open log is noticed when read.
#[test]
fn bundles_that_go_bad_under_an_open_log() {
    let (world, published) = three_months();
    let (mut log, _) = world.open(&world.failing()).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    log.erase(&plan, &mut no_hook).unwrap();
    let path = PathBuf::from("/log/tiles/tile/entries/000.p/21");
    world.disk.edit(&path, |bytes| bytes[2 * 35 + 10] ^= 1).unwrap();
    assert!(matches!(log.read_entry(2), Err(ReadError::Leaf(2))));
    assert!(log.read_entry(1).is_ok() && log.read_entry(3).is_ok() && log.read_entry(9).is_ok());
    assert_eq!(complete(&log).first_bad, Some((2, Incomplete::Leaf)));
    world.disk.edit(&path, |bytes| bytes.truncate(99)).unwrap();
    assert!(matches!(log.read_entry(1), Err(ReadError::Bundle(1))));
    let found = complete(&log);
    assert_eq!(
        (found.entries, found.first_bad),
        (23, Some((0, Incomplete::Bundle)))
    );
    assert!(log.read_entry(9).is_ok());
}

/// Segments stay until they are published, and until the bundles really have them; then they go without keys.
#[test]
fn segments_wait_for_the_bundles() {
    let (start, published) = three_months();
    let segments = |log: &Log, published| {
        let plan = log.plan_erasure(&expired(month(3), published)).unwrap();
        plan.map_or_else(Vec::new, |plan| plan.erasure().segments.clone())
    };
    let (log, _) = start.open(&start.failing()).unwrap();
    assert_eq!(segments(&log, 0), [0_u64; 0]);
    assert_eq!(segments(&log, 5), [0_u64; 0]);
    assert_eq!(segments(&log, 6), [1]);
    assert_eq!(segments(&log, 8), [1]);
    assert_eq!(segments(&log, 9), [1, 2]);
    assert_eq!(segments(&log, u64::MAX), [1, 2]);
    drop(log);

    let world = start.fork();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    let bundle = Path::new("/log/tiles/tile/entries/000.p/21");
    // Entry 7 differs: the caller was wrong about what is published.
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    assert_eq!(segments(&log, published), [1]);
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    // It goes bad between plan and erasure.
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    assert!(matches!(
        log.erase(&plan, &mut no_hook),
        Err(EraseError::Published(7))
    ));
    assert_eq!((told(&log), keys_left(&world).len()), ((0, 0), 8));
    let plan = log.plan_erasure(&expired(month(3), 0)).unwrap().unwrap();
    log.erase(&plan, &mut no_hook).unwrap();
    assert_eq!(segments(&log, 0), [0_u64; 0]);
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    assert_eq!(
        (plan.erasure().keys.len(), &*plan.erasure().segments),
        (0, &[1, 2][..])
    );
    log.erase(&plan, &mut no_hook).unwrap();
    world.check(&log);
    drop(log);
    assert_eq!(used_segments(&world)[0], 3);
    world.reopen();

    // And between a crash and its end: nothing goes until they are mended.
    let world = start.fork();
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    disk.fail_after(2, Fault::Lost);
    log.erase(&plan, &mut no_hook).unwrap_err();
    drop(log);
    world.disk.crash();
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    let (mut log, _) = world.reopen();
    assert!(matches!(
        log.finish_erasure(&mut no_hook),
        Err(EraseError::Published(7))
    ));
    assert_eq!(keys_left(&world).len(), 8);
    world.disk.edit(bundle, |bytes| bytes[7 * 35 + 3] ^= 1).unwrap();
    log.finish_erasure(&mut no_hook).unwrap().unwrap();
    world.check(&log);
}

/// A backup of the frames from before, with the keys of now: nothing that was erased opens, the rest does.
#[test]
fn frames_from_a_backup_stay_closed() {
    let (world, published) = three_months();
    let backup: Vec<(PathBuf, Vec<u8>)> = world
        .segments()
        .into_iter()
        .map(|path| {
            let mut bytes = Vec::new();
            world
                .disk
                .edit(&path, |content| bytes.clone_from(content))
                .unwrap();
            (path, bytes)
        })
        .collect();
    let (mut log, _) = world.open(&world.failing()).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    log.erase(&plan, &mut no_hook).unwrap();
    let after = log.head();
    drop(log);
    // Onto the log of today: as before the unlinking, but closed.
    let restored = world.fork();
    for (path, bytes) in &backup {
        if !restored.disk.files().contains(path) {
            restored.disk.create(path).unwrap();
            restored
                .disk
                .edit(path, |content| content.clone_from(bytes))
                .unwrap();
        }
    }
    let (log, recovery) = restored.reopen();
    assert_eq!((log.head(), recovery.destroyed_again.len()), (after, 0));
    assert!(kinds(&log).starts_with("eeeeeeeeeoooooo"));
    assert!(log.read_entry(0).unwrap().key_ids.is_some(), "from the frame");
    // They are unlinked again with the next erasure.
    let again = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    assert_eq!(
        (again.erasure().keys.len(), &*again.erasure().segments),
        (0, &[1, 2][..])
    );
    drop(log);
    // All frames of the backup and nothing newer: the log is rolled back, the keys are not.
    let old = world.fork();
    for path in old.segments() {
        old.disk.unlink(&path).unwrap();
    }
    for (path, bytes) in &backup {
        old.disk.create(path).unwrap();
        old.disk.edit(path, |content| content.clone_from(bytes)).unwrap();
    }
    let (log, _) = old.open(&old.failing()).unwrap();
    assert!(log.confirm(&after).is_err(), "others saw more");
    assert_eq!(kinds(&log), "eeeeeeeeeoooooooooooo");
    // It does not know of the erasure, so the check takes it for a loss.
    assert_eq!(complete(&log).first_bad, Some((0, Incomplete::Key(1))));
}

/// Keys from a backup: destroyed again when the log is opened, and told of.
#[test]
fn keys_from_a_backup_are_destroyed_again() {
    let (world, published) = three_months();
    let backup = world.disk.fork();
    let (mut log, _) = world.open(&world.failing()).unwrap();
    let plan = log.plan_erasure(&expired(month(3), published)).unwrap().unwrap();
    // Segments stay, so that there would be something to open.
    let plan_of_keys = log.plan_erasure(&expired(month(3), 0)).unwrap().unwrap();
    assert_eq!(
        (
            plan.erasure().segments.len(),
            plan_of_keys.erasure().segments.len()
        ),
        (2, 0)
    );
    log.erase(&plan_of_keys, &mut no_hook).unwrap();
    assert!(kinds(&log).starts_with("eeeeeeeeeoooooo"));
    drop(log);
    assert_eq!(keys_left(&world), [3, 4, 5, 6, 7, 8]);
    // Key 3 is lost as well; the whole folder comes from the backup, with the counter of then.
    for id in [1, 2] {
        let path = PathBuf::from(format!("/keys/key-{id}.sealed"));
        let mut bytes = Vec::new();
        backup.edit(&path, |content| bytes.clone_from(content)).unwrap();
        world.disk.create(&path).unwrap();
        world.disk.edit(&path, |content| *content = bytes).unwrap();
    }
    world.disk.sync_dir(Path::new("/keys")).unwrap();
    let (log, recovery) = world.reopen();
    assert_eq!(recovery.destroyed_again, [1, 2]);
    assert!(kinds(&log).starts_with("eeeeeeeeeoooooo"));
    assert_eq!(complete(&log).first_bad, None);
    drop(log);
    world.disk.power_cut(&mut |_| 0);
    assert_eq!(keys_left(&world), [3, 4, 5, 6, 7, 8]);
    assert!(world.reopen().1.destroyed_again.is_empty());
}
