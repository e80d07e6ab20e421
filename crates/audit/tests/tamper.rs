//! Edits of a stopped log. T-numbers as in the test plan of the audit log. What the log cannot see by itself
//! is caught by one remembered head.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

mod world;

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use hitmachine_audit::{
    Damage, FrameError, Head, HeadConflict, OpenError,
    frame::{self, HEADER, TRAILER},
};
use world::World;

/// Four batches of 1, 2, 2 and 1 entries in one segment; the head after them; the bytes of each frame.
fn stopped() -> (World, Head, PathBuf, Vec<Range<usize>>) {
    let mut world = World::new(16 << 10);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    for count in [1, 2, 2, 1] {
        world.commit(&mut log, &disk, count).unwrap();
    }
    let head = log.head();
    world.check(&log);
    drop(log);
    let path = world.segments().remove(0);
    let mut frames = Vec::new();
    world
        .disk
        .edit(&path, |bytes| {
            let mut start = 0;
            while let Ok(frame) = frame::parse(&bytes[start..]) {
                frames.push(start..start + frame.length);
                start += frame.length;
            }
        })
        .unwrap();
    assert_eq!(frames.len(), 4);
    (world, head, path, frames)
}

/// The error and index with which a changed log is refused.
fn refused(world: &World, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> (Damage, u64) {
    let world = world.fork();
    world.disk.edit(path, change).unwrap();
    let files = world.disk.files();
    match world.open(&world.failing()) {
        Err(OpenError::Damaged { damage, index, .. }) => {
            assert_eq!(
                world.disk.files().len(),
                files.len() - 1,
                "only the prepared segment is removed"
            );
            (damage, index)
        }
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
}

/// What one remembered head says of a changed log that opens.
fn conflict(world: &World, head: &Head, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> HeadConflict {
    let world = world.fork();
    world.disk.edit(path, change).unwrap();
    let (log, _) = world.open(&world.failing()).unwrap();
    log.confirm(head).unwrap_err()
}

/// T1: each byte class of a frame. In a frame with another behind it the log stops and names the first bad
/// index; in the last one it looks like a torn end, and the remembered head tells.
#[test]
fn each_byte_class_of_a_frame() {
    let (world, head, path, frames) = stopped();
    let classes = [
        ("magic", 0),
        ("segment", 15),
        ("first index", 23),
        ("count", 27),
        ("body length", 31),
        ("time", 39),
        ("root before", 40),
        ("root after", 100),
        ("type", HEADER),
        ("C", HEADER + 1),
        ("key id", HEADER + 36),
        ("ciphertext length", HEADER + 40),
        ("nonce", HEADER + 41),
        ("ciphertext", HEADER + 70),
    ];
    for (what, place) in classes {
        let (damage, index) = refused(&world, &path, |bytes| bytes[frames[1].start + place] ^= 1);
        assert!(matches!(damage, Damage::BrokenFrame(_)), "{what}: {damage:?}");
        assert_eq!(index, 1, "{what}");
        let told = conflict(&world, &head, &path, |bytes| bytes[frames[3].start + place] ^= 1);
        assert_eq!(told, HeadConflict::Rollback { seen: 6, ours: 5 }, "{what}");
    }
    let (damage, index) = refused(&world, &path, |bytes| bytes[frames[2].end - 1] ^= 1);
    assert_eq!((damage, index), (Damage::BrokenFrame(FrameError::Checksum), 3));
    let told = conflict(&world, &head, &path, |bytes| bytes[frames[3].end - TRAILER] ^= 1);
    assert_eq!(told, HeadConflict::Rollback { seen: 6, ours: 5 });
}

/// A frame that is broken and a torn end behind it is not a crash either: recovery never repairs it.
#[test]
fn two_broken_frames_are_damage() {
    let (mut world, head, path, frames) = stopped();
    let told = conflict(&world, &head, &path, |bytes| {
        bytes[frames[2].start + 50] ^= 1;
        bytes[frames[3].start + 50] ^= 1;
    });
    // In one segment nothing whole is behind them: by itself that is a torn end of two frames.
    assert_eq!(told, HeadConflict::Rollback { seen: 6, ours: 3 });
    // In the next segment anything at all is behind them.
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    while world.segments().len() < 3 {
        world.commit(&mut log, &disk, 8).unwrap();
        log.wait_for_spare().unwrap();
    }
    drop(log);
    let second = world.segments().remove(1);
    world.disk.edit(&second, |bytes| bytes[50] ^= 1).unwrap();
    let (damage, _) = refused(&world, &path, |bytes| {
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes[used - 50] ^= 1;
    });
    assert!(matches!(damage, Damage::BrokenFrame(_)), "{damage:?}");
}

/// T2: two frames swapped.
#[test]
fn swapped_frames() {
    let (world, _, path, frames) = stopped();
    assert_eq!(frames[1].len(), frames[2].len());
    let found = refused(&world, &path, |bytes| {
        let (one, two) = (
            bytes[frames[1].clone()].to_vec(),
            bytes[frames[2].clone()].to_vec(),
        );
        bytes[frames[1].clone()].copy_from_slice(&two);
        bytes[frames[2].clone()].copy_from_slice(&one);
    });
    assert_eq!(found, (Damage::DoesNotFollow, 1));
}

/// T3: a middle frame dropped, with or without closing the gap; the last; all.
#[test]
fn dropped_frames() {
    let (world, head, path, frames) = stopped();
    let closed = refused(&world, &path, |bytes| drop(bytes.drain(frames[2].clone())));
    assert_eq!(closed, (Damage::DoesNotFollow, 3));
    let gap = refused(&world, &path, |bytes| bytes[frames[2].clone()].fill(0));
    assert_eq!(gap, (Damage::BrokenFrame(FrameError::Magic), 3));
    let last = conflict(&world, &head, &path, |bytes| bytes[frames[3].clone()].fill(0));
    assert_eq!(last, HeadConflict::Rollback { seen: 6, ours: 5 });
    let all = conflict(&world, &head, &path, |bytes| bytes.fill(0));
    assert_eq!(all, HeadConflict::Rollback { seen: 6, ours: 0 });
    let cut = conflict(&world, &head, &path, |bytes| bytes.truncate(frames[2].end));
    assert_eq!(cut, HeadConflict::Rollback { seen: 6, ours: 5 });
}

/// T4: a consistent log with one record changed, made by somebody with the key: only the remembered head
/// tells.
#[test]
fn a_consistent_rewrite() {
    let (world, head, path, _) = stopped();
    // The same batches with other salts.
    let (other, other_head, other_path, _) = stopped();
    assert_eq!((other_head.size, &other_path), (head.size, &path));
    assert_ne!(other_head.root, head.root);
    let mut rewritten = Vec::new();
    other
        .disk
        .edit(&path, |bytes| rewritten.clone_from(bytes))
        .unwrap();
    let told = conflict(&world, &head, &path, |bytes| *bytes = rewritten);
    assert_eq!(
        told,
        HeadConflict::Fork {
            size: 6,
            seen: head.root,
            ours: other_head.root
        }
    );
}

/// Whole segments removed, doubled or exchanged.
#[test]
fn segments_are_all_there_once() {
    let mut world = World::new(1_400);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    for _ in 0..6 {
        world.commit(&mut log, &disk, 3).unwrap();
        log.wait_for_spare().unwrap();
    }
    drop(log);
    let segments = world.segments();
    assert_eq!(segments.len(), 7, "six used, one prepared");
    let damaged = |world: &World| match world.open(&world.failing()) {
        Err(OpenError::Damaged {
            segment,
            damage,
            index,
            ..
        }) => (segment, damage, index),
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    };
    let copy = |world: &World, from: &Path, to: &Path| {
        let mut content = Vec::new();
        world.disk.edit(from, |bytes| content.clone_from(bytes)).unwrap();
        if !world.disk.files().iter().any(|path| path == to) {
            hitmachine_audit::Disk::create_dir(&world.disk, to.parent().unwrap()).unwrap();
            hitmachine_audit::Disk::create(&world.disk, to).unwrap();
        }
        world.disk.edit(to, |bytes| *bytes = content).unwrap();
    };
    let missing = world.fork();
    hitmachine_audit::Disk::unlink(&missing.disk, &segments[2]).unwrap();
    assert_eq!(damaged(&missing), (3, Damage::Missing, 6));
    let twice = world.fork();
    copy(&twice, &segments[2], Path::new("/log/wal/2030-01/0000000003.seg"));
    assert_eq!(damaged(&twice), (3, Damage::Twice, 6));
    // A copy that no frame ever reached says nothing: it was moved to another month when the power went.
    let unused = world.fork();
    let copied = Path::new("/log/wal/2030-01/0000000003.seg");
    copy(&unused, &segments[2], copied);
    unused.disk.edit(copied, |bytes| bytes.fill(0)).unwrap();
    unused.reopen();
    assert!(!unused.disk.files().iter().any(|path| path == copied));
    let replaced = world.fork();
    copy(&replaced, &segments[1], &segments[2]);
    assert_eq!(damaged(&replaced), (3, Damage::DoesNotFollow, 6));
    let torn_inside = world.fork();
    torn_inside
        .disk
        .edit(&segments[2], |bytes| {
            let last = frame::parse(bytes).unwrap().length - 1;
            bytes[last] ^= 1;
        })
        .unwrap();
    assert_eq!(
        damaged(&torn_inside),
        (3, Damage::BrokenFrame(FrameError::Checksum), 6)
    );
}
