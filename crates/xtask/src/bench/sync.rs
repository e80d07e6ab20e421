//! A register of a million from its file to the hub's durable acknowledgement, and a hundredth of it changed.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use hitmachine_pseudonym::{
    CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey,
};
use hitmachine_tests::figures::disk;

use super::Bench;
use super::ground::{Ground, LARGE, Synced};
use super::machine::Probe;
use super::stats::{Bar, Figure, Row, Unit, count};

const PART: &str = "sync";

/// One round's figures.
struct Seen {
    first: Synced,
    change: Synced,
    parse_s: f64,
    hmac_s: f64,
    write_s: f64,
    stored: u64,
    noisy: bool,
}

/// Measures; gives the last installation back, all registers in step.
pub(crate) fn rows(bench: &Bench) -> (Vec<Row>, Ground) {
    let persons = bench.persons();
    let mut seen = Vec::new();
    let mut last = None;
    for round in 0..bench.rounds() {
        drop(last.take());
        bench.say(&format!("sync: round {}", round + 1));
        let dir = bench.dir("ground");
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        let ground = Ground::new(&dir, persons);
        let folders = ["broker/data/registry", "nodes/om-reclassering/state"];
        let used = || -> u64 {
            let sizes = folders.iter().map(|name| ground.deployment.dir().join(name));
            sizes.filter(|path| path.exists()).map(|path| disk(&path)).sum()
        };
        let before = used();
        let parse_s = parse(&ground.file());
        let hmac_s = hmac(persons);
        let probe = Probe::begin(&[]);
        let first = ground.sync(LARGE);
        let noisy = probe.is_noisy();
        assert_eq!(
            first.registered, persons as u64,
            "the register is not there whole"
        );
        let stored = used().saturating_sub(before);
        let write_s = write(&bench.dir("raw"), stored);
        let changed = ground.change();
        let change = ground.sync(LARGE);
        assert_eq!((change.registered, change.withdrawn), (changed, changed));
        seen.push(Seen {
            first,
            change,
            parse_s,
            hmac_s,
            write_s,
            stored,
            noisy,
        });
        bench.weather.look();
        last = Some(ground);
    }
    let ground = last.unwrap();
    ground.sync_all();
    (table(&seen, persons), ground)
}

/// Seconds to read all fields of a file with separated values, and do nothing with them.
fn parse(path: &Path) -> f64 {
    let begun = Instant::now();
    let mut text = Vec::new();
    File::open(path).unwrap().read_to_end(&mut text).unwrap();
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_slice());
    let (mut record, mut fields) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).unwrap() {
        fields += record.len();
    }
    std::hint::black_box(fields);
    begun.elapsed().as_secs_f64()
}

/// Seconds to make so many pseudonyms, with one thread.
fn hmac(count: usize) -> f64 {
    let (key, deployment) = (NodeKey::from_bytes([7; 32]), DeploymentId::from_bytes([1; 16]));
    let key = HmacSha256Pseudonymiser::new(key, deployment, KeyEpoch::FIRST);
    let id = CanonicalIdentifier::new(IdentifierType::Bsn, b"999990019").unwrap();
    let begun = Instant::now();
    for _ in 0..count {
        std::hint::black_box(key.token(std::hint::black_box(&id)));
    }
    begun.elapsed().as_secs_f64()
}

/// Seconds to write so many bytes and flush them once.
fn write(path: &Path, bytes: u64) -> f64 {
    let block = vec![0x5a; 1 << 20];
    let begun = Instant::now();
    let mut file = File::create(path).unwrap();
    let mut left = bytes;
    while left > 0 {
        let now = left.min(block.len() as u64);
        file.write_all(&block[..usize::try_from(now).unwrap()]).unwrap();
        left -= now;
    }
    file.sync_all().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    fs::remove_file(path).unwrap();
    seconds
}

#[expect(clippy::cast_precision_loss, reason = "counts of registrations and bytes")]
fn table(seen: &[Seen], persons: usize) -> Vec<Row> {
    let figure = |unit, of: &dyn Fn(&Seen) -> f64| {
        let values: Vec<f64> = seen.iter().map(of).collect();
        Figure::of(&values, unit)
    };
    let seconds = |of: &dyn Fn(&Seen) -> f64| figure(Unit::Seconds, of);
    let rate = |of: &dyn Fn(&Seen) -> f64| figure(Unit::PerSecond, &|seen| persons as f64 / of(seen));
    let noisy = seen.iter().any(|seen| seen.noisy);
    let part = |place: usize| seconds(&move |seen: &Seen| seen.first.parts[place]);
    let bytes = |of: &dyn Fn(&Seen) -> u64| figure(Unit::Bytes, &|seen| of(seen) as f64);
    let first = Row::new(
        PART,
        format!("first sync of {} registrations", count(persons as u64)),
        rate(&|seen| seen.first.seconds),
    )
    .bar(Bar::AtLeast(150_000.0))
    .noisy(noisy);
    let first = first
        .detail(format!(
            "takes {}, start and end of the process included",
            seconds(&|seen| seen.first.seconds)
        ))
        .detail(format!(
            "read {}, pseudonyms {}, compare and send {}",
            part(0),
            part(1),
            part(2)
        ))
        .detail(format!(
            "most memory of the node: {}",
            bytes(&|seen| seen.first.peak)
        ))
        .detail(format!(
            "limit, reading the same file's fields: {}",
            rate(&|seen| seen.parse_s)
        ))
        .detail(format!(
            "limit, HMAC-SHA256 with one thread: {}",
            rate(&|seen| seen.hmac_s)
        ))
        .detail(format!(
            "limit, writing the same {} and one flush: {}",
            bytes(&|seen| seen.stored),
            rate(&|seen| seen.write_s)
        ));
    let change = Row::new(
        PART,
        "a sync in which 1 % has changed",
        seconds(&|seen| seen.change.seconds),
    )
    .against("the first sync", seconds(&|seen| seen.first.seconds))
    .bar(Bar::RatioAtMost(1.0 / 20.0))
    .noisy(noisy)
    .detail(format!(
        "read {}, pseudonyms {}, compare and send {}",
        seconds(&|seen| seen.change.parts[0]),
        seconds(&|seen| seen.change.parts[1]),
        seconds(&|seen| seen.change.parts[2])
    ));
    vec![first, change]
}
