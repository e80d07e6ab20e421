//! What the tests of erasure share.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hitmachine_audit::{
    Completeness, Disk, Draft, EraseRequest, ErasurePlan, FieldId, Fields, Log, LogConfig, LogSigner,
    OpenError, Period, RealDisk, Recovery, RetentionClass, Selection, StoredContent, WrappingKey,
    completeness,
    disk::testing::{FailingDisk, SimulatedDisk},
};

use super::{FEBRUARY, JANUARY, LONG, MARCH, ORIGIN, World};

/// Kept one month after its own: January's are expired in March.
pub(crate) const SHORT: RetentionClass = RetentionClass(1);
pub(crate) const INDEX: &str = "/log/index-2026-01";

pub(crate) fn month(month: u8) -> Period {
    Period::new(2026, month).unwrap()
}

pub(crate) fn expired(now: Period, published: u64) -> EraseRequest {
    request(Selection::Expired(now), published)
}

pub(crate) fn request(selection: Selection, published: u64) -> EraseRequest {
    EraseRequest {
        selection,
        ground: "retention".to_owned(),
        by: "hub".to_owned(),
        published,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is a hook")]
pub(crate) fn no_hook(_: &ErasurePlan) -> io::Result<()> {
    Ok(())
}

pub(crate) fn complete(log: &Log) -> Completeness {
    let mut last = 0;
    let found = completeness(&log.reader(), &mut |done, all| {
        assert!(last <= done && done <= all);
        last = done;
    });
    assert!(found.first_bad.is_some() || found.entries == log.head().size);
    found
}

/// What the hub does with its index files: remove them, durably, also if they are gone already.
pub(crate) fn remove_index(disk: &dyn Disk) -> io::Result<()> {
    match disk.unlink(Path::new(INDEX)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.sync_dir(Path::new("/log")),
    }
}

/// January in segments 1 and 2, February, of both classes, in 3 and 4, March in 5, all published; an index
/// file of January.
pub(crate) fn three_months() -> (World, u64) {
    let mut world = World::new(2_048);
    let disk = world.failing();
    let (mut log, _) = world.open(&disk).unwrap();
    for (time, counts, class) in [
        (JANUARY, &[3, 3, 3][..], SHORT),
        (FEBRUARY, &[3, 3], SHORT),
        (FEBRUARY, &[3, 2], LONG),
        (MARCH, &[1], LONG),
    ] {
        world.clock.store(time, Ordering::SeqCst);
        for count in counts {
            world.commit_of(&mut log, &disk, *count, class).unwrap();
            log.wait_for_spare().unwrap();
        }
    }
    world.check(&log);
    let published = world.publish(&log);
    assert_eq!(published, 21);
    let index = world.disk.create(Path::new(INDEX)).unwrap();
    drop(index);
    world.disk.sync_dir(Path::new("/log")).unwrap();
    drop(log);
    assert_eq!(used_segments(&world), [1, 2, 3, 4, 5]);
    (world, published)
}

/// Numbers of the segments with something in them.
pub(crate) fn used_segments(world: &World) -> Vec<u64> {
    let number = |path: PathBuf| {
        let mut used = false;
        let look = |bytes: &mut Vec<u8>| used = bytes.iter().any(|byte| *byte != 0);
        world.disk.edit(&path, look).unwrap();
        used.then(|| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
    };
    world.segments().into_iter().filter_map(number).collect()
}

pub(crate) fn keys_left(world: &World) -> Vec<u32> {
    let id = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("key-")?.strip_suffix(".sealed")?.parse().ok()
    };
    let mut ids: Vec<u32> = world.disk.files().iter().filter_map(id).collect();
    ids.sort_unstable();
    ids
}

/// Numbers of intents and dones in the log.
pub(crate) fn told(log: &Log) -> (usize, usize) {
    let kind = |entry: StoredContent| match entry {
        StoredContent::Control(entry) => entry["type"].as_str().map(ToOwned::to_owned),
        _ => None,
    };
    let kinds: Vec<String> = log
        .entries()
        .filter_map(|entry| kind(entry.unwrap().content))
        .collect();
    let count = |wanted| kinds.iter().filter(|kind| *kind == wanted).count();
    (count("erase-intent"), count("erase-done"))
}

/// A log on any disk.
pub(crate) struct Site {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) base: PathBuf,
    pub(crate) clock: Arc<AtomicU64>,
}

impl Site {
    pub(crate) fn open(&self) -> Result<(Log, Recovery), OpenError> {
        let clock = Arc::clone(&self.clock);
        let config = LogConfig {
            segment_size: 2_048,
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
            ..LogConfig::new(
                self.base.join("log"),
                self.base.join("keys"),
                LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32]),
                WrappingKey::from_bytes([3; 32]),
            )
        };
        Log::open(config, Arc::clone(&self.disk))
    }

    pub(crate) fn publish(&self, log: &Log) -> u64 {
        super::publish(log, &*self.disk, &self.base.join("log/tiles"))
    }

    pub(crate) fn month(&self, ms: u64) {
        self.clock.store(ms, Ordering::SeqCst);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let names = self.disk.list(&self.base.join("keys")).unwrap().into_iter();
        let mut names: Vec<String> = names.map(|entry| entry.name).collect();
        names.retain(|name| name.starts_with("key-"));
        names.sort();
        names
    }

    pub(crate) fn segments(&self, month: &str) -> Vec<String> {
        let listed = self.disk.list(&self.base.join("log/wal").join(month)).unwrap();
        let mut names: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
        names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "seg"));
        names.sort();
        names
    }
}

/// The same on every kind of disk.
pub(crate) fn on_each_disk(test: impl Fn(&Site)) {
    let site = |disk: Arc<dyn Disk>, base: &Path| Site {
        disk,
        base: base.to_path_buf(),
        clock: Arc::new(AtomicU64::new(JANUARY)),
    };
    test(&site(Arc::new(SimulatedDisk::new()), Path::new("/")));
    let failing = FailingDisk::new(SimulatedDisk::new());
    test(&site(Arc::new(failing), Path::new("/")));
    let temporary = tempfile::tempdir().unwrap();
    test(&site(Arc::new(RealDisk), temporary.path()));
}

pub(crate) fn payloads(count: usize, class: RetentionClass) -> Vec<Draft> {
    let draft = |number| {
        let fields = Fields::new()
            .with(FieldId::Ground, format!("ground {number}"))
            .and_then(|fields| fields.with(FieldId::User, format!("user {number}")))
            .unwrap();
        Draft::payload(fields, class)
    };
    (0..count).map(draft).collect()
}

pub(crate) fn kinds(log: &Log) -> String {
    let letter = |content: &StoredContent| match content {
        StoredContent::Control(_) => 'c',
        StoredContent::Open(_) => 'o',
        StoredContent::Processing(_) => 'p',
        StoredContent::Erased => 'e',
    };
    log.entries()
        .map(|entry| letter(&entry.unwrap().content))
        .collect()
}
