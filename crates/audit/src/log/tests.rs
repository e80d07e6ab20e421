//! What needs the inside of the log: flipped bits before the write, payloads exchanged under the right key,
//! erasure.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::{
    FieldId, Fields, Group, Opening, RetentionClass,
    disk::{
        read,
        testing::{FailingDisk, OpKind, SimulatedDisk},
    },
    frame::{FrameError, Sealed},
    log::commit::aad,
    replay::Place,
};

const CLASS: RetentionClass = RetentionClass(60);
const SEGMENT: &str = "/log/wal/2026-01/0000000001.seg";

fn open(disk: impl Disk) -> Log {
    let signer = LogSigner::new("hitmachine.example/broker-a/audit/1".parse().unwrap(), &[7; 32]);
    let config = LogConfig {
        segment_size: 16 << 10,
        clock: Arc::new(|| 1_767_225_600_000),
        ..LogConfig::new(
            "/log".into(),
            "/keys".into(),
            signer,
            WrappingKey::from_bytes([3; 32]),
        )
    };
    Log::open(config, Arc::new(disk)).unwrap().0
}

fn fields(text: &str) -> Fields {
    let with = |fields: Fields, id, prefix: &str| fields.with(id, format!("{prefix}{text}")).unwrap();
    with(
        with(Fields::new(), FieldId::Ground, "ground "),
        FieldId::User,
        "user ",
    )
}

fn draft(text: &str) -> Draft {
    Draft::payload(fields(text), CLASS)
}

#[test]
fn a_flipped_bit_aborts_before_anything_is_written() {
    let start = SimulatedDisk::new();
    let mut log = open(start.clone());
    log.commit(vec![draft("one")]).unwrap();
    drop(log);
    let bits = {
        let mut log = open(start.fork());
        log.commit(vec![
            draft("two"),
            Draft::control(&json!({"type": "policy"})).unwrap(),
        ])
        .unwrap();
        usize::try_from(place(&log, 1).length).unwrap() * 8
    };
    for bit in (0..bits).step_by(7) {
        let failing = FailingDisk::new(start.fork());
        let mut log = open(failing.clone());
        log.wait_for_spare().unwrap();
        let (head, writes) = (log.head(), failing.ops().len());
        log.flip_bit = Some(bit);
        let drafts = vec![draft("two"), Draft::control(&json!({"type": "policy"})).unwrap()];
        assert!(
            matches!(log.commit(drafts), Err(CommitError::Mismatch)),
            "bit {bit}"
        );
        log.flip_bit = None;
        assert!(matches!(
            log.commit(vec![draft("three")]),
            Err(CommitError::Stopped)
        ));
        assert!(matches!(log.sign_head(), Err(CommitError::Stopped)));
        assert_eq!(
            (log.head(), failing.ops().len()),
            (head, writes),
            "nothing was written"
        );
    }
}

/// Each part of the recomputation by itself: a frame that is whole and sealed, but not what was to be logged.
#[test]
fn the_frame_must_say_what_was_to_be_logged() {
    let mut log = open(SimulatedDisk::new());
    let Log { edge, .. } = &log;
    let edge = edge.clone();
    let mut body = Vec::new();
    let commit::Built {
        logged, root_after, ..
    } = log
        .build(vec![draft("one"), draft("two")], Period::of_unix_ms(0), &mut body)
        .unwrap();
    let header = frame::Header {
        segment: 1,
        first_index: 0,
        count: 2,
        time_ms: 0,
        root_before: edge.root(),
        root_after,
    };
    let check = |header: &frame::Header, wanted: &frame::Header, logged: &[Logged]| {
        let bytes = frame::encode(header, &body).unwrap();
        commit::recompute(&bytes, bytes.len(), wanted, logged, &edge).is_some()
    };
    assert!(check(&header, &header, &logged));
    let swapped: Vec<Logged> = logged.iter().rev().cloned().collect();
    assert!(!check(&header, &header, &swapped), "other openings");
    assert!(!check(&header, &header, &logged[..1]), "fewer openings");
    let control = [logged[0].clone(), Logged::Control(b"{}".to_vec())];
    assert!(!check(&header, &header, &control), "another kind");
    let wrong = Hash([1; 32]);
    for (what, other) in [
        (
            "root after",
            frame::Header {
                root_after: wrong,
                ..header
            },
        ),
        (
            "root before",
            frame::Header {
                root_before: wrong,
                ..header
            },
        ),
        (
            "first index",
            frame::Header {
                first_index: 1,
                ..header
            },
        ),
    ] {
        assert!(!check(&other, &other, &logged), "{what}, consistently");
    }
    let time = frame::Header { time_ms: 1, ..header };
    assert!(!check(&time, &header, &logged), "another header than meant");
    let bytes = frame::encode(&header, &body).unwrap();
    assert!(commit::recompute(&bytes, bytes.len() + 1, &header, &logged, &edge).is_none());
}

fn place(log: &Log, number: usize) -> Place {
    log.reader.book().places[number]
}

/// Changes a frame of a stopped log and makes its checksum fit again, as somebody with the disk would.
fn forge(disk: &SimulatedDisk, place: &Place, change: impl FnOnce(&mut [u8])) {
    disk.edit(std::path::Path::new(SEGMENT), |bytes| {
        let start = usize::try_from(place.offset).unwrap();
        let frame = &mut bytes[start..start + usize::try_from(place.length).unwrap()];
        change(frame);
        let (content, checksum) = frame.split_at_mut(frame.len() - frame::TRAILER);
        checksum.copy_from_slice(&Sha256::digest(content));
    })
    .unwrap();
}

/// Byte ranges of nonce and ciphertext of group A in each record of a frame.
fn sealed_a(frame: &[u8]) -> Vec<std::ops::Range<usize>> {
    let base = frame.as_ptr() as usize;
    let parsed = frame::parse(frame).unwrap();
    let range = |record: &frame::Record<'_>| match record {
        frame::Record::Payload { a, .. } => {
            let start = a.nonce.as_ptr() as usize - base;
            start..start + 24 + a.ciphertext.len()
        }
        frame::Record::Control(_) => panic!("only payloads here"),
    };
    parsed.records.iter().map(range).collect()
}

/// T6 and T7: the tree does not see it, reading does, and names the index.
#[test]
fn exchanged_and_rewritten_payloads_are_named() {
    let start = SimulatedDisk::new();
    let mut log = open(start.clone());
    log.commit(vec![draft("zero")]).unwrap();
    log.commit(vec![draft("one!"), draft("two!"), draft("last")])
        .unwrap();
    let place = place(&log, 1);
    let mut keys = log.reader.keys_mut();
    let key = keys
        .key(Group::A, CLASS, Period::of_unix_ms(1_767_225_600_000))
        .unwrap();
    let origin = "hitmachine.example/broker-a/audit/1";
    let foreign = Opening::new(
        crate::Salt::from_bytes([0; 32]),
        crate::Salt::from_bytes([0; 32]),
        fields("forg"),
    );
    let foreign = key
        .seal(
            &[5; 24],
            &aad(origin, 2, Group::A),
            &foreign.group_bytes(Group::A),
        )
        .unwrap();
    drop(keys);
    drop(log);

    let first_bad = |disk: &SimulatedDisk| {
        let log = open(disk.clone());
        assert_eq!(
            log.entries().count(),
            4,
            "the tree is untouched and the rest can be read"
        );
        let bad: Vec<_> = log
            .entries()
            .filter_map(Result::err)
            .map(|error| (error.code(), format!("{error}")))
            .collect();
        // The check names the first of them.
        let found = completeness(&log.reader(), &mut |_, _| {});
        let index = log.entries().find_map(|entry| entry.err()?.index()).unwrap();
        let wrong = (index, Incomplete::Payload);
        let lost = log.reader.keys().by_id(2).is_none();
        let first = if lost { (0, Incomplete::Key(2)) } else { wrong };
        assert_eq!((found.entries, found.first_bad), (4, Some(first)));
        bad
    };
    let exchanged = start.fork();
    forge(&exchanged, &place, |frame| {
        let ranges = sealed_a(frame);
        let (one, two) = (
            frame[ranges[0].clone()].to_vec(),
            frame[ranges[1].clone()].to_vec(),
        );
        frame[ranges[0].clone()].copy_from_slice(&two);
        frame[ranges[1].clone()].copy_from_slice(&one);
    });
    let expected = [1, 2].map(|index| ("payload", format!("payload of entry {index} does not open")));
    assert_eq!(first_bad(&exchanged), expected);

    let rewritten = start.fork();
    forge(&rewritten, &place, |frame| {
        let range = sealed_a(frame)[1].clone();
        frame[range.start..range.start + 24].copy_from_slice(&[5; 24]);
        frame[range.start + 24..range.end].copy_from_slice(&foreign);
    });
    assert_eq!(
        first_bad(&rewritten),
        [(
            "commitment",
            "payload of entry 2 does not fit its commitment".to_owned()
        )]
    );

    // Also when group B is gone and only group A can be checked.
    rewritten
        .unlink(std::path::Path::new("/keys/key-2.sealed"))
        .unwrap();
    assert_eq!(
        first_bad(&rewritten),
        [(
            "commitment",
            "payload of entry 2 does not fit its commitment".to_owned()
        )]
    );

    let flipped = start.fork();
    forge(&flipped, &place, |frame| {
        let range = sealed_a(frame)[2].clone();
        frame[range.end - 20] ^= 1;
    });
    assert_eq!(
        first_bad(&flipped),
        [("payload", "payload of entry 3 does not open".to_owned())]
    );
}

#[test]
fn what_changes_under_an_open_log_is_noticed_when_read() {
    let disk = SimulatedDisk::new();
    let mut log = open(disk.clone());
    log.commit(vec![draft("zero")]).unwrap();
    log.commit(vec![draft("one"), draft("two")]).unwrap();
    let place = place(&log, 1);
    let good = read(&disk, std::path::Path::new(SEGMENT)).unwrap();
    disk.edit(std::path::Path::new(SEGMENT), |bytes| {
        bytes[usize::try_from(place.offset).unwrap() + 200] ^= 1;
    })
    .unwrap();
    assert!(matches!(
        log.read_entry(2),
        Err(ReadError::Frame(1, FrameError::Checksum))
    ));
    let first_bad = |log: &Log| completeness(&log.reader(), &mut |_, _| {}).first_bad;
    assert_eq!(first_bad(&log), Some((1, Incomplete::Frame)));
    assert!(log.read_entry(0).is_ok());
    disk.edit(std::path::Path::new(SEGMENT), |bytes| *bytes = good.clone())
        .unwrap();
    assert!(log.read_entry(2).is_ok());
    assert!(matches!(log.read_entry(3), Err(ReadError::NoEntry(3))));
    assert_eq!(first_bad(&log), None);
    let several = [2, 1, 0, 2, 3];
    let read = log.reader().read_entries(&several);
    for (index, read) in several.into_iter().zip(read) {
        assert_eq!(format!("{:?}", log.read_entry(index)), format!("{read:?}"));
    }
    // Another commitment, sealed again.
    forge(&disk, &place, |frame| frame[frame::HEADER + 1] ^= 1);
    assert!(matches!(log.read_entry(1), Err(ReadError::Leaf(1))));
    assert_eq!(first_bad(&log), Some((1, Incomplete::Leaf)));
    assert!(log.read_entry(2).is_ok());
    // The file itself is gone: nothing can be read, and nothing says that it may be.
    disk.unlink(std::path::Path::new(SEGMENT)).unwrap();
    assert_eq!(first_bad(&log), Some((0, Incomplete::Unreadable)));
}

/// Destroying a key leaves the tree, and of group B gone group A can still be proven.
#[test]
fn destroyed_keys_leave_the_tree_and_the_other_group() {
    let disk = SimulatedDisk::new();
    let mut log = open(disk.clone());
    log.commit(vec![
        draft("zero"),
        Draft::control(&json!({"type": "policy"})).unwrap(),
    ])
    .unwrap();
    let head = log.head();
    let StoredContent::Open(opening) = log.read_entry(0).unwrap().content else {
        panic!("all is there")
    };
    assert_eq!(*opening.fields(), fields("zero"));
    drop(log);
    disk.unlink(std::path::Path::new("/keys/key-2.sealed")).unwrap();
    let log = open(disk.clone());
    let StoredContent::Processing(shown) = log.read_entry(0).unwrap().content else {
        panic!("group A is there")
    };
    assert_eq!(
        *shown.fields(),
        Fields::new().with(FieldId::Ground, *b"ground zero").unwrap()
    );
    drop(log);
    disk.unlink(std::path::Path::new("/keys/key-1.sealed")).unwrap();
    let mut log = open(disk);
    assert_eq!(log.read_entry(0).unwrap().content, StoredContent::Erased);
    assert!(matches!(
        log.read_entry(1).unwrap().content,
        StoredContent::Control(_)
    ));
    assert_eq!(log.confirm(&head), Ok(()));
    log.commit(vec![draft("later")]).unwrap();
    assert!(matches!(
        log.read_entry(2).unwrap().content,
        StoredContent::Open(_)
    ));
    assert!(log.reader.keys().by_id(2).is_none(), "ids are not used again");
}

#[test]
fn batches_that_do_not_fit_are_refused_and_the_log_goes_on() {
    let failing = FailingDisk::new(SimulatedDisk::new());
    let mut log = open(failing.clone());
    log.wait_for_spare().unwrap();
    let before = failing.ops().len();
    assert!(matches!(log.commit(Vec::new()), Err(CommitError::Empty)));
    let large = Fields::new().with(FieldId::Ground, vec![0; 16 << 10]).unwrap();
    assert!(matches!(
        log.commit(vec![Draft::payload(large, CLASS)]),
        Err(CommitError::TooLarge)
    ));
    assert_eq!(failing.ops().len(), before);
    // Exactly one segment full.
    let room = log.max_records()
        - Draft::payload(Fields::new().with(FieldId::Ground, []).unwrap(), CLASS).record_len();
    let full = |bytes| {
        Draft::payload(
            Fields::new().with(FieldId::Ground, vec![0; bytes]).unwrap(),
            CLASS,
        )
    };
    assert!(matches!(
        log.commit(vec![full(room + 1)]),
        Err(CommitError::TooLarge)
    ));
    log.commit(vec![full(room)]).unwrap();
    log.commit(vec![draft("next")]).unwrap();
    assert_eq!([place(&log, 0).segment, place(&log, 1).segment], [1, 2]);
    assert!(log.entries().all(|entry| entry.is_ok()));
}

/// The first flush of a month makes a key for each class and group; from then on a commit is one write and
/// one flush.
#[test]
fn a_commit_is_one_write_and_one_flush() {
    let failing = FailingDisk::new(SimulatedDisk::new());
    let mut log = open(failing.clone());
    log.commit(vec![draft("first")]).unwrap();
    log.wait_for_spare().unwrap();
    for size in [1, 2, 20] {
        let before = failing.ops().len();
        log.commit((0..size).map(|_| draft("more")).collect()).unwrap();
        let ops: Vec<_> = failing.ops()[before..]
            .iter()
            .map(|op| (op.kind, op.path.clone()))
            .collect();
        assert_eq!(
            ops,
            [OpKind::Write, OpKind::Sync].map(|kind| (kind, SEGMENT.into()))
        );
    }
}

/// A reader that outlives the log keeps nobody from opening it again.
#[test]
fn a_reader_holds_no_lock() {
    let disk = SimulatedDisk::new();
    let mut log = open(disk.clone());
    log.commit(vec![draft("one")]).unwrap();
    let reader = log.reader();
    drop(log);
    let mut log = open(disk);
    log.commit(vec![draft("two")]).unwrap();
    assert!(matches!(
        reader.read_entry(0).unwrap().content,
        StoredContent::Open(_)
    ));
    assert_eq!((reader.head().size, log.head().size), (1, 2));
}

/// Ciphertexts that are emptied while their keys are there were not erased by this program.
#[test]
fn an_emptied_payload_is_lost() {
    let disk = SimulatedDisk::new();
    let mut log = open(disk.clone());
    log.commit(vec![draft("zero")]).unwrap();
    log.commit(vec![draft("one")]).unwrap();
    let place = place(&log, 0);
    drop(log);
    for groups in [1, 2] {
        let disk = disk.fork();
        disk.edit(std::path::Path::new(SEGMENT), |bytes| {
            let start = usize::try_from(place.offset).unwrap();
            let end = start + usize::try_from(place.length).unwrap();
            let parsed = frame::parse(&bytes[start..end]).unwrap();
            let frame::Record::Payload { commitment, a, b } = parsed.records[0] else {
                panic!("a payload")
            };
            let record = frame::Record::Payload {
                commitment,
                a: Sealed {
                    ciphertext: if groups == 2 { &[] } else { a.ciphertext },
                    ..a
                },
                b: Sealed { ciphertext: &[], ..b },
            };
            let mut body = Vec::new();
            record.write(&mut body).unwrap();
            let shorter = frame::encode(&parsed.header, &body).unwrap();
            let mut all = bytes[..start].to_vec();
            all.extend(shorter);
            all.extend(&bytes[end..]);
            all.resize(bytes.len(), 0);
            *bytes = all;
        })
        .unwrap();
        let log = open(disk);
        let found = completeness(&log.reader(), &mut |_, _| {});
        assert_eq!(found.first_bad, Some((0, Incomplete::Empty)), "{groups}");
        assert_eq!(
            (found.open, found.processing_only, found.erased),
            (1, 2 - groups, groups - 1)
        );
    }
}

/// A reader that has found the place of a frame, just before an erasure unlinks it.
#[test]
fn a_frame_that_goes_away_while_it_is_read() {
    let disk = SimulatedDisk::new();
    let mut log = open(disk.clone());
    log.commit(vec![draft("zero"), draft("one")]).unwrap();
    let full = Fields::new().with(FieldId::Ground, vec![0; 15_900]).unwrap();
    log.commit(vec![Draft::payload(full, RetentionClass(61))])
        .unwrap();
    let reader = log.reader();
    let bundle = crate::tiles::encode_bundle(&reader.leaf_entries(0..3).unwrap()).unwrap();
    let partial = std::path::Path::new("/log/tiles/tile/entries/000.p");
    disk.create_dir(partial).unwrap();
    disk.create(&partial.join("3"))
        .unwrap()
        .write_at(0, &bundle)
        .unwrap();

    let located = reader.locate(1).unwrap();
    let period = Period::of_unix_ms(1_767_225_600_000);
    let request = EraseRequest {
        selection: Selection::Both(vec![(CLASS, period)]),
        ground: "retention".to_owned(),
        by: "hub".to_owned(),
        published: 3,
    };
    let plan = log.plan_erasure(&request).unwrap().unwrap();
    assert_eq!(plan.erasure().segments, [1]);
    log.erase(&plan, &mut |_| Ok(())).unwrap();
    let read = reader.read_located(&located, &(1..2));
    let contents: Vec<_> = read.into_iter().map(|entry| entry.unwrap().content).collect();
    assert_eq!(contents, [StoredContent::Erased]);
    // A file that is missing for no reason is an error.
    let located = reader.locate(2).unwrap();
    disk.unlink(std::path::Path::new("/log/wal/2026-01/0000000002.seg"))
        .unwrap();
    let read = reader.read_located(&located, &(2..3));
    assert!(matches!(read.as_slice(), [Err(ReadError::Io(_))]));
}

/// Whoever follows the log gets what is on the disk, wherever it comes from.
#[test]
fn followers_get_the_entries_of_the_disk() {
    let mut log = open(SimulatedDisk::new());
    let reader = log.reader();
    let mut next = 0;
    for batch in 0..12_u64 {
        let mut drafts: Vec<Draft> = (0..=batch % 4).map(|n| draft(&format!("{batch} {n}"))).collect();
        drafts.push(Draft::control(&json!({"type": "policy"})).unwrap());
        log.commit(drafts).unwrap();
        let size = log.head().size;
        let disk: Vec<_> = reader.entries(0..size).map(Result::unwrap).collect();
        assert_eq!(disk.len() as u64, size);
        for begin in 0..=size {
            for end in begin..=size + 1 {
                let followed: Vec<_> = reader.follow(begin..end).map(Result::unwrap).collect();
                let wanted = &disk[usize::try_from(begin).unwrap()..usize::try_from(end.min(size)).unwrap()];
                assert!(
                    followed.iter().map(AsRef::as_ref).eq(wanted),
                    "{begin}..{end} of {size}"
                );
            }
        }
        let held = || reader.recent.lock().unwrap().len() as u64;
        assert_eq!(held(), size - next, "what was not followed comes from memory");
        // Now and then somebody has followed some of it.
        if batch % 3 == 1 {
            next = size - 1;
            reader.followed(next);
            assert_eq!(held(), 1);
        }
    }
    reader.forget();
    assert_eq!(reader.follow(0..log.head().size).count() as u64, log.head().size);
}
