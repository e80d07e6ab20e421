use super::*;
use crate::disk::testing::{FailingDisk, Fault, OpKind, Random, SimulatedDisk};

const DIR: &str = "/keys";
const CLASS: RetentionClass = RetentionClass(12);

fn month(month: u8) -> Period {
    Period::new(2026, month).unwrap()
}

fn open(disk: &SimulatedDisk) -> Result<KeyRing, KeyRingError> {
    KeyRing::open(
        Path::new(DIR),
        WrappingKey::from_bytes([5; 32]),
        Arc::new(disk.clone()),
    )
}

/// A text sealed under a key, to recognise the key by.
fn mark(key: &PeriodKey) -> (u32, Vec<u8>) {
    (key.id(), key.seal(&[1; 24], b"aad", b"text").unwrap())
}

#[test]
fn a_key_for_each_group_class_and_month_and_the_same_again() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    let uses = [
        (Group::A, CLASS, month(1)),
        (Group::B, CLASS, month(1)),
        (Group::A, RetentionClass(60), month(1)),
        (Group::A, CLASS, month(2)),
    ];
    let marks = uses.map(|(group, class, period)| mark(ring.key(group, class, period).unwrap()));
    assert_eq!(marks.each_ref().map(|mark| mark.0), [1, 2, 3, 4]);
    let again = uses.map(|(group, class, period)| mark(ring.key(group, class, period).unwrap()));
    assert_eq!(again, marks);
    drop(ring);
    // Nothing of it was left to the cache.
    disk.power_cut(&mut |_| 0);
    let mut ring = open(&disk).unwrap();
    let after = uses.map(|(group, class, period)| mark(ring.key(group, class, period).unwrap()));
    assert_eq!(after, marks);
    let texts: std::collections::BTreeSet<_> = marks.iter().map(|mark| &mark.1).collect();
    assert_eq!(texts.len(), 4, "all keys differ");
    for (id, text) in marks {
        let opened = ring.by_id(id).unwrap().open(&[1; 24], b"aad", &text).unwrap();
        assert_eq!(opened.as_slice(), b"text");
        assert!(ring.by_id(id).unwrap().open(&[1; 24], b"add", &text).is_none());
        assert!(ring.by_id(id).unwrap().open(&[2; 24], b"aad", &text).is_none());
    }
}

#[test]
fn ids_are_never_used_again() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    for at in 1..=3 {
        ring.key(Group::A, CLASS, month(at)).unwrap();
    }
    drop(ring);
    disk.unlink(Path::new("/keys/key-3.sealed")).unwrap();
    disk.unlink(Path::new("/keys/key-2.sealed")).unwrap();
    let mut ring = open(&disk).unwrap();
    assert!(ring.by_id(2).is_none());
    assert_eq!(ring.key(Group::A, CLASS, month(3)).unwrap().id(), 4);
    drop(ring);
    // Also when only the log still knows of them.
    disk.unlink(Path::new("/keys/next-key-id")).unwrap();
    disk.unlink(Path::new("/keys/key-4.sealed")).unwrap();
    let mut ring = open(&disk).unwrap();
    ring.raise(9);
    assert_eq!(ring.key(Group::A, CLASS, month(4)).unwrap().id(), 10);
    ring.raise(u32::MAX);
    assert!(matches!(
        ring.key(Group::A, CLASS, month(5)),
        Err(KeyRingError::Exhausted)
    ));
}

#[test]
fn wrong_keys_and_damaged_files_are_loud() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    ring.key(Group::A, CLASS, month(1)).unwrap();
    ring.key(Group::B, CLASS, month(1)).unwrap();
    assert!(matches!(open(&disk), Err(KeyRingError::Locked)));
    drop(ring);
    let other = KeyRing::open(
        Path::new(DIR),
        WrappingKey::from_bytes([6; 32]),
        Arc::new(disk.clone()),
    );
    assert!(matches!(other, Err(KeyRingError::Sealed { id: 1 })));
    let path = Path::new("/keys/key-1.sealed");
    let size = disk::read(&disk, path).unwrap().len();
    for bit in (0..size * 8).step_by(3) {
        let disk = disk.fork();
        disk.edit(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8)).unwrap();
        assert!(
            matches!(open(&disk), Err(KeyRingError::Sealed { id: 1 })),
            "bit {bit}"
        );
    }
    for (what, change) in [
        (
            "shorter",
            (|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1)) as fn(&mut Vec<u8>),
        ),
        ("longer", |bytes| bytes.push(0)),
        ("empty", Vec::clear),
    ] {
        let disk = disk.fork();
        disk.edit(path, change).unwrap();
        assert!(
            matches!(open(&disk), Err(KeyRingError::Sealed { id: 1 })),
            "{what}"
        );
    }
    // A file under another's name.
    let swapped = disk.fork();
    swapped
        .rename(Path::new("/keys/key-2.sealed"), Path::new("/keys/key-1.sealed"))
        .unwrap();
    assert!(matches!(open(&swapped), Err(KeyRingError::Sealed { id: 1 })));
    disk.edit(Path::new("/keys/next-key-id"), |bytes| *bytes = b"x".to_vec())
        .unwrap();
    assert!(matches!(open(&disk), Err(KeyRingError::NextId)));
}

/// Whatever fails while a key is made: a key that was handed out is there for ever, and ids stay unique.
#[test]
fn no_key_is_lost_by_any_failure() {
    let start = SimulatedDisk::new();
    drop(open(&start).unwrap());
    let mut random = Random::new(1);
    for fault in [Fault::Lost, Fault::Kept, Fault::Short(3)] {
        for number in 0..16 {
            let disk = start.fork();
            let failing = FailingDisk::new(disk.clone());
            let wrapping = WrappingKey::from_bytes([5; 32]);
            let mut ring = KeyRing::open(Path::new(DIR), wrapping, Arc::new(failing.clone())).unwrap();
            failing.fail_after(number, fault);
            let made: Vec<_> = (1..=2)
                .map_while(|at| ring.key(Group::A, CLASS, month(at)).ok().map(mark))
                .collect();
            drop(ring);
            disk.power_cut(&mut |n| random.below(n));
            let mut ring = open(&disk).unwrap();
            for (id, text) in &made {
                assert!(
                    ring.by_id(*id).unwrap().open(&[1; 24], b"aad", text).is_some(),
                    "{fault:?} {number}"
                );
            }
            let next = ring.key(Group::B, CLASS, month(1)).unwrap().id();
            assert!(made.iter().all(|(id, _)| *id != next));
            assert!(
                disk.files()
                    .iter()
                    .all(|path| !path.to_string_lossy().ends_with(".tmp"))
            );
        }
    }
}

#[test]
fn a_key_is_durable_before_it_is_handed_out() {
    let disk = FailingDisk::new(SimulatedDisk::new());
    let mut ring = KeyRing::open(
        Path::new(DIR),
        WrappingKey::from_bytes([5; 32]),
        Arc::new(disk.clone()),
    )
    .unwrap();
    let before = disk.ops().len();
    ring.key(Group::A, CLASS, month(1)).unwrap();
    let kinds: Vec<OpKind> = disk.ops()[before..].iter().map(|op| op.kind).collect();
    let put = [
        OpKind::Create,
        OpKind::Write,
        OpKind::Sync,
        OpKind::Rename,
        OpKind::SyncDir,
    ];
    assert_eq!(kinds, [put, put].concat(), "first the id, then the key");
    assert!(!format!("{ring:?} {:?}", ring.by_id(1)).contains('5'));
}

fn ids(uses: &[KeyUse]) -> Vec<u32> {
    uses.iter().map(|use_| use_.id).collect()
}

#[test]
fn uses_and_which_of_them_are_expired() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    for (group, class, at) in [
        (Group::A, 0, 1),
        (Group::B, 0, 1),
        (Group::A, 1, 1),
        (Group::A, 0, 2),
        (Group::A, u16::MAX, 1),
    ] {
        ring.key(group, RetentionClass(class), month(at)).unwrap();
    }
    drop(ring);
    let ring = open(&disk).unwrap();
    let uses = ring.uses();
    assert_eq!(ids(&uses), [1, 2, 3, 4, 5]);
    assert_eq!(
        uses[3],
        KeyUse {
            id: 4,
            group: Group::A,
            class: RetentionClass(0),
            period: month(2)
        }
    );
    // Nothing of the month itself, whatever its class.
    assert!(ring.expired(month(1)).is_empty());
    assert_eq!(ids(&ring.expired(month(2))), [1, 2]);
    assert_eq!(ids(&ring.expired(month(3))), [1, 2, 3, 4]);
    assert_eq!(
        ids(&ring.expired(Period::new(9999, 12).unwrap())),
        [1, 2, 3, 4, 5]
    );
    assert!(ring.expired(Period::new(2025, 12).unwrap()).is_empty());
}

/// Whatever is cut short: the first keys are gone for good, the others are there, and doing it again ends it.
#[test]
fn destroying_leaves_a_prefix_and_can_be_repeated() {
    let start = SimulatedDisk::new();
    let mut ring = open(&start).unwrap();
    for at in 1..=4 {
        ring.key(Group::A, CLASS, month(at)).unwrap();
    }
    drop(ring);
    let order = [3, 1, 2];
    let mut random = Random::new(5);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..7 {
        for fault in [Fault::Lost, Fault::Kept] {
            for seed in 0..6 {
                let disk = start.fork();
                let failing = FailingDisk::new(disk.clone());
                let wrapping = WrappingKey::from_bytes([5; 32]);
                let mut ring = KeyRing::open(Path::new(DIR), wrapping, Arc::new(failing.clone())).unwrap();
                failing.fail_after(number, fault);
                let done = ring.destroy(&order).is_ok();
                assert_eq!(done, number == 6);
                if done {
                    assert_eq!(ids(&ring.uses()), [4]);
                }
                drop(ring);
                match seed {
                    0 => disk.crash(),
                    1 => disk.power_cut(&mut |_| 0),
                    2 => disk.power_cut(&mut |n| n - 1),
                    _ => disk.power_cut(&mut |n| random.below(n)),
                }
                let mut ring = open(&disk).unwrap();
                let gone: Vec<bool> = order.iter().map(|id| ring.by_id(*id).is_none()).collect();
                let count = gone.iter().filter(|gone| **gone).count();
                assert!(
                    gone.iter().take(count).all(|gone| *gone),
                    "{number} {fault:?}: {gone:?}"
                );
                assert!(!done || count == 3);
                seen.insert(count);
                ring.destroy(&order).unwrap();
                drop(ring);
                disk.power_cut(&mut |_| 0);
                let mut ring = open(&disk).unwrap();
                assert_eq!(ids(&ring.uses()), [4]);
                assert_eq!(
                    ring.key(Group::A, CLASS, month(1)).unwrap().id(),
                    5,
                    "never the same id"
                );
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// A file that is gone already, but perhaps not durably, is made gone for good.
#[test]
fn destroying_what_is_gone_makes_it_durable() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    ring.key(Group::A, CLASS, month(1)).unwrap();
    disk.unlink(Path::new("/keys/key-1.sealed")).unwrap();
    ring.destroy(&[1, 9]).unwrap();
    drop(ring);
    disk.power_cut(&mut |_| 0);
    assert!(open(&disk).unwrap().uses().is_empty());
}

#[test]
fn a_retired_key_opens_and_seals_nothing_more() {
    let disk = SimulatedDisk::new();
    let mut ring = open(&disk).unwrap();
    assert_eq!(ring.key(Group::A, CLASS, month(1)).unwrap().id(), 1);
    assert_eq!(ring.key(Group::B, CLASS, month(1)).unwrap().id(), 2);
    ring.retire(&[1]);
    assert!(ring.by_id(1).is_some());
    assert_eq!(ring.key(Group::A, CLASS, month(1)).unwrap().id(), 3);
    assert_eq!(ring.key(Group::B, CLASS, month(1)).unwrap().id(), 2);
}
