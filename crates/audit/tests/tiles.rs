//! The published log: its files against a computation from the text of the standard, its roots against an
//! independent crate, crashes at every step (C5) and every kind of change (T5).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

#[path = "tiles/crash.rs"]
mod crash;
#[path = "tiles/erased.rs"]
mod erased;
#[path = "tiles/tamper.rs"]
mod tamper;
#[path = "tiles/world.rs"]
mod world;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use hitmachine_audit::{
    HeadConflict, LogSigner, NoteError, RealDisk, TilePath,
    disk::testing::{FailingDisk, OpKind, SimulatedDisk},
    leaves_from_bundles,
    tiles::{Folder, PublishError, PublishedFolder, Publisher},
    verify_published,
};
use sha2::Sha256;
use world::{DIR, Heard, TestLog, check_published, entry, files_of, verifier};

const SIZES: [u64; 10] = [0, 1, 2, 255, 256, 257, 65_535, 65_536, 65_537, 70_000];

fn publisher(disk: &SimulatedDisk) -> Publisher {
    Publisher::open(DIR, Arc::new(disk.clone()), verifier()).unwrap()
}

/// All the files of a disk, by path in the published folder.
fn files_on(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    let files = disk.files().into_iter().map(|path| {
        let mut bytes = Vec::new();
        disk.edit(&path, |found| bytes.clone_from(found)).unwrap();
        let name = path.strip_prefix(DIR).unwrap().to_str().unwrap().to_owned();
        (name, bytes)
    });
    files.collect()
}

#[test]
fn every_size_by_itself() {
    let log = TestLog::new(70_000);
    for size in SIZES {
        let disk = SimulatedDisk::new();
        let mut publisher = publisher(&disk);
        let published = publisher.publish(&log, size, &log.note(size)).unwrap();
        assert_eq!((published.head.size, published.removed), (size, 0));
        assert_eq!(files_on(&disk), files_of(&log, size), "{size}");
        assert_eq!(published.written + 1, disk.files().len() as u64);
        let needed: Vec<String> = TilePath::needed(size).map(|path| path.to_string()).collect();
        assert_eq!(needed.len() as u64, published.written);
        assert_eq!(check_published(&disk, &log), Some(size));
    }
}

/// One publication after the other in one folder: what is left is what the last needs, and partial files
/// that are not full yet.
#[test]
fn growing_from_size_to_size() {
    let log = TestLog::new(70_000);
    let disk = SimulatedDisk::new();
    let mut publisher = publisher(&disk);
    for size in SIZES {
        publisher.publish(&log, size, &log.note(size)).unwrap();
        assert_eq!(publisher.published().unwrap().size, size);
        assert_eq!(check_published(&disk, &log), Some(size));
        let files = files_on(&disk);
        for name in files.keys().filter(|name| name.contains(".p/")) {
            let path: TilePath = name.parse().unwrap();
            assert!(!files.contains_key(&path.full().to_string()), "{name} at {size}");
        }
        let mut expected = files_of(&log, size);
        expected.extend(files.clone().into_iter().filter(|(name, _)| name.contains(".p/")));
        assert_eq!(files, expected, "{size}");
    }
    let again = publisher.publish(&log, 70_000, &log.note(70_000)).unwrap();
    assert_eq!((again.written, again.removed), (0, 0));
}

#[test]
fn roots_of_an_independent_crate() {
    let log = TestLog::new(65_537);
    for size in [1, 2, 255, 256, 257, 1_000, 65_537] {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        (0..size).for_each(|index| tree.push(entry(index)));
        let root: [u8; 32] = tree.root().as_bytes().as_slice().try_into().unwrap();
        let disk = SimulatedDisk::new();
        publisher(&disk).publish(&log, size, &log.note(size)).unwrap();
        let folder = PublishedFolder::new(DIR, Arc::new(disk));
        let report = verify_published(&folder, &verifier(), &mut ()).unwrap();
        assert!(report.is_sound());
        assert_eq!((report.checkpoint.root.0, report.note), (root, log.note(size)));
    }
}

#[test]
fn on_a_real_disk() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("published");
    let log = TestLog::new(70_000);
    let disk = Arc::new(RealDisk);
    let mut publisher = Publisher::open(&dir, disk.clone(), verifier()).unwrap();
    for size in [300, 70_000] {
        publisher.publish(&log, size, &log.note(size)).unwrap();
        let mut heard = Heard::default();
        for report in [
            verify_published(&PublishedFolder::new(&dir, disk.clone()), &verifier(), &mut heard),
            verify_published(&Folder(dir.clone()), &verifier(), &mut ()),
        ] {
            let report = report.unwrap();
            assert!(report.is_sound(), "{:?}", report.problems);
            assert_eq!((report.checked, report.checkpoint.size), (size, size));
        }
        heard.check(size);
    }
    let mut publisher = Publisher::open(&dir, disk, verifier()).unwrap();
    let healed = publisher.heal(&log).unwrap();
    assert_eq!((healed.rewritten, healed.removed), (0, 0));
    assert_eq!(healed.published.unwrap().size, 70_000);
    let leaves = leaves_from_bundles(&dir, &RealDisk, 70_000).unwrap();
    assert_eq!(leaves, log.leaves(70_000));
}

/// A file is flushed once, a folder once per publication, the checkpoint last.
#[test]
fn flushes_are_batched() {
    let log = TestLog::new(2_600);
    let disk = FailingDisk::new(SimulatedDisk::new());
    let mut publisher = Publisher::open(DIR, Arc::new(disk.clone()), verifier()).unwrap();
    let start = disk.ops().len();
    publisher.publish(&log, 2_600, &log.note(2_600)).unwrap();
    let ops = disk.ops().split_off(start);
    let folders: Vec<_> = ops.iter().filter(|op| op.kind == OpKind::SyncDir).collect();
    let names: Vec<_> = folders
        .iter()
        .map(|op| op.path.strip_prefix(DIR).unwrap().to_str().unwrap())
        .collect();
    let mut once: Vec<_> = names[..names.len() - 1].to_vec();
    once.sort_unstable();
    assert_eq!(
        once,
        [
            "",
            "tile",
            "tile/0",
            "tile/0/010.p",
            "tile/1",
            "tile/1/000.p",
            "tile/entries",
            "tile/entries/010.p"
        ]
    );
    let files = TilePath::needed(2_600).count();
    assert_eq!(ops.iter().filter(|op| op.kind == OpKind::Sync).count(), files + 1);
    let end: Vec<_> = ops[ops.len() - 5..].iter().map(|op| op.kind).collect();
    assert_eq!(
        end,
        [
            OpKind::Create,
            OpKind::Write,
            OpKind::Sync,
            OpKind::Rename,
            OpKind::SyncDir
        ]
    );
    // A quiet log: nothing is touched but what changes.
    let start = disk.ops().len();
    let log = TestLog::new(2_601);
    publisher.publish(&log, 2_601, &log.note(2_601)).unwrap();
    let kinds = disk.ops().split_off(start);
    let folders = kinds.iter().filter(|op| op.kind == OpKind::SyncDir).count();
    assert_eq!(
        folders, 3,
        "two folders of partial files, and that of the checkpoint"
    );
}

#[test]
fn cosigned_checkpoint_takes_the_place_of_the_first() {
    let log = TestLog::new(300);
    let disk = SimulatedDisk::new();
    let mut publisher = publisher(&disk);
    let code = |error: PublishError| error.code();
    let cosigned = |size| {
        let mut note = log.note(size);
        note.extend("\u{2014} witness.example/w dGVzdHRlc3Q=\n".as_bytes());
        note
    };
    assert_eq!(
        publisher.put_checkpoint(&cosigned(300)).map_err(code),
        Err("publish_other_head")
    );
    publisher.publish(&log, 300, &log.note(300)).unwrap();
    publisher.put_checkpoint(&cosigned(300)).unwrap();
    assert_eq!(files_on(&disk)["checkpoint"], cosigned(300));
    assert_eq!(check_published(&disk, &log), Some(300));
    assert_eq!(
        publisher.put_checkpoint(&cosigned(299)).map_err(code),
        Err("publish_other_head")
    );
    let forked = TestLog::forked(300, 3);
    assert_eq!(
        publisher.put_checkpoint(&forked.note(300)).map_err(code),
        Err("publish_other_head")
    );
    assert_eq!(
        publisher.put_checkpoint(b"nothing").map_err(code),
        Err("malformed")
    );
    // Before anybody looked whether the tiles are there.
    let mut again = Publisher::open(DIR, Arc::new(disk.clone()), verifier()).unwrap();
    assert_eq!(
        again.put_checkpoint(&log.note(300)).map_err(code),
        Err("publish_other_head")
    );
    again.heal(&log).unwrap();
    again.put_checkpoint(&log.note(300)).unwrap();
    assert_eq!(files_on(&disk)["checkpoint"], log.note(300));
}

#[test]
fn what_is_not_published() {
    let log = TestLog::new(300);
    let disk = SimulatedDisk::new();
    let mut publisher = publisher(&disk);
    publisher.publish(&log, 257, &log.note(257)).unwrap();
    let before = files_on(&disk);
    let other_key = LogSigner::new(TestLog::origin(), &[8; 32])
        .sign(&log.checkpoint(300))
        .unwrap();
    for (what, size, note, code) in [
        ("another size", 299, log.note(300), "publish_size"),
        ("an older one", 256, log.note(256), "publish_older"),
        ("another key", 300, other_key, "not_signed"),
        ("another root", 300, TestLog::forked(300, 7).note(300), "fork"),
        (
            "more than the log has",
            301,
            TestLog::new(301).note(301),
            "rollback",
        ),
    ] {
        assert_eq!(
            publisher.publish(&log, size, &note).unwrap_err().code(),
            code,
            "{what}"
        );
        assert_eq!(files_on(&disk), before, "{what}");
    }
    // A log that gives other entries than its tree has, too few, or one that fits no bundle.
    let mut wrong = TestLog::new(300);
    wrong.entries[280] = Some(b"\x01other".to_vec());
    let error = publisher.publish(&wrong, 300, &wrong.note(300)).unwrap_err();
    assert!(matches!(error, PublishError::Entry(280)), "{error}");
    let mut few = TestLog::new(300);
    few.short = true;
    let error = publisher.publish(&few, 300, &few.note(300)).unwrap_err();
    assert!(matches!(error, PublishError::Entry(299)), "{error}");
    let mut long = TestLog::new(299);
    long.push(vec![1; 65_536]);
    let error = publisher.publish(&long, 300, &long.note(300)).unwrap_err();
    assert!(matches!(error, PublishError::TooLong(299)), "{error}");
    assert_eq!(check_published(&disk, &log), Some(257));
}

#[test]
fn a_start_with_a_checkpoint_that_does_not_fit() {
    let log = TestLog::new(300);
    let disk = SimulatedDisk::new();
    publisher(&disk).publish(&log, 300, &log.note(300)).unwrap();
    let error = publisher(&disk).heal(&TestLog::new(299)).unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::Conflict(HeadConflict::Rollback { seen: 300, ours: 299 })
        ),
        "{error}"
    );
    let error = publisher(&disk).heal(&TestLog::forked(400, 299)).unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::Conflict(HeadConflict::Fork { size: 300, .. })
        ),
        "{error}"
    );
    assert!(
        publisher(&disk).heal(&TestLog::forked(400, 300)).is_ok(),
        "differs only later"
    );
    // An unreadable one is told, and published anew.
    disk.edit(format!("{DIR}/checkpoint").as_ref(), |bytes| bytes[40] ^= 1)
        .unwrap();
    let mut publisher = publisher(&disk);
    let log = TestLog::new(310);
    let healed = publisher.heal(&log).unwrap();
    assert_eq!(
        (healed.published, healed.rewritten),
        (None, 2),
        "the partial pair of 310"
    );
    assert_eq!(healed.unreadable, Some(NoteError::BadSignature));
    assert_eq!(publisher.publish(&log, 310, &log.note(310)).unwrap().written, 0);
    assert_eq!(check_published(&disk, &log), Some(310));
}

/// Every file that is missing or wrong in any way is written again, and no other.
#[test]
fn heal_mends_each_file() {
    let log = TestLog::new(600);
    let start = SimulatedDisk::new();
    publisher(&start).publish(&log, 600, &log.note(600)).unwrap();
    let whole = files_on(&start);
    for name in whole.keys().filter(|name| *name != "checkpoint") {
        let path = PathBuf::from(format!("{DIR}/{name}"));
        for change in 0..5 {
            let disk = start.fork();
            disk.edit(&path, |bytes| match change {
                0 => bytes[0] ^= 1,
                1 => *bytes.last_mut().unwrap() ^= 0x80,
                2 => bytes.truncate(bytes.len() - 1),
                3 => bytes.push(0),
                _ => bytes.clear(),
            })
            .unwrap();
            assert_eq!(check_published(&disk, &log), None);
            let healed = publisher(&disk).heal(&log).unwrap();
            assert_eq!(
                (healed.checked, healed.rewritten),
                (whole.len() as u64 - 1, 1),
                "{name}"
            );
            assert_eq!(files_on(&disk), whole);
            disk.power_cut(&mut |_| 0);
            assert_eq!(files_on(&disk), whole);
        }
    }
    assert_eq!(publisher(&start).heal(&log).unwrap().rewritten, 0);
}

/// An older checkpoint than the log is no error: healed as it is, then published on.
#[test]
fn what_crashes_leave_behind_is_swept() {
    let log = TestLog::new(600);
    let disk = SimulatedDisk::new();
    let mut first = publisher(&disk);
    for size in [10, 200, 255] {
        first.publish(&log, size, &log.note(size)).unwrap();
    }
    let partials = files_on(&disk);
    first.publish(&log, 300, &log.note(300)).unwrap();
    let swept = files_on(&disk);
    assert_eq!(swept, files_of(&log, 300));
    // As if the process had died before it removed them.
    for (name, bytes) in partials.iter().filter(|(name, _)| name.contains(".p/")) {
        disk.make(&format!("{DIR}/{name}"), bytes);
    }
    for name in ["checkpoint.tmp", "tile/0/000.tmp", "tile/entries/001.p/44.tmp"] {
        disk.make(&format!("{DIR}/{name}"), b"unfinished");
    }
    disk.make(&format!("{DIR}/tile/0/stranger"), b"not ours");
    let mut second = publisher(&disk);
    let healed = second.heal(&log).unwrap();
    assert_eq!((healed.rewritten, healed.removed), (0, 6 + 2));
    let mut left = files_on(&disk);
    assert_eq!(left.remove("tile/0/stranger").as_deref(), Some(&b"not ours"[..]));
    assert_eq!(left, swept);
    second.publish(&log, 600, &log.note(600)).unwrap();
    assert_eq!(check_published(&disk, &log), Some(600));
}

/// Unfinished files of a failed attempt are not written over: they might be longer.
#[test]
fn an_attempt_after_a_failed_one_writes_new_files() {
    let log = TestLog::new(300);
    let disk = SimulatedDisk::new();
    let mut publisher = publisher(&disk);
    publisher.publish(&log, 257, &log.note(257)).unwrap();
    for name in [
        "checkpoint.tmp",
        "tile/0/001.p/43.tmp",
        "tile/entries/001.p/43.tmp",
    ] {
        disk.make(&format!("{DIR}/{name}"), &vec![b'x'; 20_000]);
    }
    publisher.publish(&log, 299, &log.note(299)).unwrap();
    assert_eq!(check_published(&disk, &log), Some(299));
}

trait Make {
    fn make(&self, path: &str, bytes: &[u8]);
}

impl Make for SimulatedDisk {
    fn make(&self, path: &str, bytes: &[u8]) {
        use hitmachine_audit::Disk;
        self.create(path.as_ref()).unwrap();
        self.edit(path.as_ref(), |file| *file = bytes.to_vec()).unwrap();
    }
}
