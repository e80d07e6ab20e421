//! A log whose first segments were removed after erasure: the bundles are all that is left of its entries.

use std::sync::Arc;

use hitmachine_audit::{
    Publisher,
    disk::testing::SimulatedDisk,
    leaves_from_bundles,
    tiles::{LeavesError, PublishError},
};

use super::world::{DIR, TestLog, check_published, verifier};

fn open(disk: &SimulatedDisk) -> Publisher {
    Publisher::open(DIR, Arc::new(disk.clone()), verifier()).unwrap()
}

fn path(name: &str) -> std::path::PathBuf {
    format!("{DIR}/{name}").into()
}

/// 400 published, of which the first 300 are gone.
fn started() -> (SimulatedDisk, TestLog) {
    let mut log = TestLog::new(900);
    let disk = SimulatedDisk::new();
    open(&disk).publish(&log, 400, &log.note(400)).unwrap();
    log.forget(0..300);
    (disk, log)
}

#[test]
fn bundles_that_verify_are_kept() {
    let (disk, log) = started();
    let mut publisher = open(&disk);
    assert_eq!(publisher.heal(&log).unwrap().rewritten, 0);
    // The beginning of the next ones comes from the partial bundle of 400.
    for size in [450, 512, 900] {
        publisher.publish(&log, size, &log.note(size)).unwrap();
        assert_eq!(check_published(&disk, &log), Some(size));
    }
}

#[test]
fn tiles_come_from_the_tree_all_the_same() {
    let (disk, log) = started();
    for name in ["tile/0/000", "tile/0/001.p/144", "tile/1/000.p/1"] {
        disk.edit(&path(name), Vec::clear).unwrap();
    }
    assert_eq!(open(&disk).heal(&log).unwrap().rewritten, 3);
    assert_eq!(check_published(&disk, &log), Some(400));
}

#[test]
fn without_a_readable_checkpoint() {
    let (disk, log) = started();
    disk.edit(&path("checkpoint"), Vec::clear).unwrap();
    let mut publisher = open(&disk);
    let healed = publisher.heal(&log).unwrap();
    assert_eq!(healed.published, None);
    publisher.publish(&log, 900, &log.note(900)).unwrap();
    assert_eq!(check_published(&disk, &log), Some(900));
    // And without healing.
    let (disk, log) = started();
    disk.edit(&path("checkpoint"), Vec::clear).unwrap();
    open(&disk).publish(&log, 900, &log.note(900)).unwrap();
    assert_eq!(check_published(&disk, &log), Some(900));
}

/// What the log still has is mended; of the rest the first index is named.
#[test]
fn a_wrong_bundle() {
    for (name, place, lost) in [
        ("tile/entries/000", 2 + 5 * 35, Some(5)),
        ("tile/entries/000", 0, Some(0)),
        ("tile/entries/001.p/144", 2 + 40 * 35, Some(296)),
        ("tile/entries/001.p/144", 143 * 35, None),
    ] {
        let (disk, log) = started();
        disk.edit(&path(name), |bytes| bytes[place] ^= 1).unwrap();
        match (open(&disk).heal(&log), lost) {
            (Err(PublishError::Lost(index)), Some(lost)) => assert_eq!(index, lost, "{name}"),
            (Ok(healed), None) => {
                assert_eq!(healed.rewritten, 1);
                assert_eq!(check_published(&disk, &log), Some(400));
            }
            (result, _) => panic!("{name} {place}: {result:?}"),
        }
    }
    // The first that is lost, not the first that is wrong: 280 is gone, 390 is not.
    let (disk, log) = started();
    let bundle = path("tile/entries/001.p/144");
    disk.edit(&bundle, |bytes| bytes.truncate(24 * 35)).unwrap();
    let error = open(&disk).heal(&log).unwrap_err();
    assert!(matches!(error, PublishError::Lost(280)), "{error}");
    assert_eq!(error.code(), "publish_lost");
    // Another partial bundle has it.
    let (disk, log) = started();
    let log_then = TestLog::new(500);
    let mut publisher = open(&disk);
    publisher.heal(&log_then).unwrap();
    publisher.publish(&log_then, 420, &log_then.note(420)).unwrap();
    disk.edit(&path("tile/entries/001.p/164"), |bytes| bytes[2 + 10 * 35] ^= 1)
        .unwrap();
    assert_eq!(open(&disk).heal(&log).unwrap().rewritten, 1);
    assert_eq!(check_published(&disk, &log), Some(420));
}

#[test]
fn leaves_come_back() {
    let (disk, log) = started();
    for count in [0, 1, 255, 256, 257, 399, 400] {
        assert_eq!(
            leaves_from_bundles(DIR.as_ref(), &disk, count).unwrap(),
            log.leaves(count),
            "{count}"
        );
    }
    let error = |count| leaves_from_bundles(DIR.as_ref(), &disk, count).unwrap_err();
    for count in [401, 512, 513, 900] {
        assert!(matches!(error(count), LeavesError::Missing(400)), "{count}");
    }
    // Older and newer partial bundles, then the full one.
    let mut publisher = open(&disk);
    publisher.heal(&log).unwrap();
    for size in [450, 512] {
        publisher.publish(&log, size, &log.note(size)).unwrap();
        let error = leaves_from_bundles(DIR.as_ref(), &disk, 600).unwrap_err();
        assert!(
            matches!(error, LeavesError::Missing(index) if index == size),
            "{error}"
        );
        for count in [300, 449, 450] {
            assert_eq!(
                leaves_from_bundles(DIR.as_ref(), &disk, count).unwrap(),
                log.leaves(count)
            );
        }
    }
    disk.edit(&path("tile/entries/001"), |bytes| bytes.truncate(10 * 35 + 1))
        .unwrap();
    let error = leaves_from_bundles(DIR.as_ref(), &disk, 300).unwrap_err();
    assert!(matches!(error, LeavesError::Malformed(266, _)), "{error}");
    assert_eq!(error.code(), "bundle_truncated");
    assert_eq!(
        leaves_from_bundles(DIR.as_ref(), &disk, 256).unwrap(),
        log.leaves(256)
    );
}
