//! Every target over its seeds, and over small changes of them: what the fuzzer runs for hours still builds and holds.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hitmachine_targets::{TARGETS, Target};

/// How long the changes of one target's seeds may take, in milliseconds; `HITMACHINE_CORPORA_MS` sets another time.
const CHANGES: u64 = 250;
/// The largest file of a corpus.
const SMALL: usize = 16 * 1024;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn names(folder: &Path, ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let names = files.map(|name| name.into_string().unwrap());
    names
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_target_has_a_program_and_small_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names(&fuzz().join("fuzz_targets"), ".rs"), targets);
    assert_eq!(names(&fuzz().join("corpus"), ""), targets);
    for (name, _) in TARGETS {
        let seeds = seeds(name);
        assert!(
            (1..=24).contains(&seeds.len()),
            "{name}: a few seeds, not {}",
            seeds.len()
        );
        for (path, seed) in seeds {
            assert!(seed.len() <= SMALL, "{}", path.display());
        }
    }
}

#[test]
fn every_target_holds_over_its_seeds_and_what_is_near_them() {
    let time = std::env::var("HITMACHINE_CORPORA_MS")
        .ok()
        .and_then(|time| time.parse().ok());
    let time = Duration::from_millis(time.unwrap_or(CHANGES));
    let found: Vec<String> = TARGETS
        .iter()
        .filter_map(|(name, check)| tried(name, *check, time).err())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// A target over its seeds, and for this time over what is near them; the first that does not hold.
fn tried(name: &str, check: Target, time: Duration) -> Result<(), String> {
    let seeds = seeds(name);
    for (path, seed) in &seeds {
        holds(check, seed, &path.display().to_string())?;
    }
    let begun = Instant::now();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for round in 0_usize.. {
        if begun.elapsed() >= time {
            break;
        }
        let (path, seed) = &seeds[round % seeds.len()];
        let other = &seeds[chance.below(seeds.len())].1;
        let changed = chance.change(seed, other);
        holds(check, &changed, &format!("{}, change {round}", path.display()))?;
    }
    Ok(())
}

/// Keeps an input over which a target panics.
fn holds(check: Target, input: &[u8], what: &str) -> Result<(), String> {
    if catch_unwind(AssertUnwindSafe(|| check(input))).is_ok() {
        return Ok(());
    }
    let name = what.rsplit('/').next().unwrap_or_default().replace(' ', "-");
    let kept = std::env::temp_dir().join(format!("hitmachine-finding-{name}"));
    fs::write(&kept, input).unwrap();
    Err(format!(
        "{what} does not hold; the input is in {}",
        kept.display()
    ))
}

/// The same changes in each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % most.max(1)
    }

    fn change(&mut self, seed: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.below(256).try_into().unwrap()),
                2 => {
                    let end = (at + self.below(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let from = self.below(other.len());
                    let end = (from + self.below(24)).min(other.len());
                    bytes.splice(at..at, other[from..end].iter().copied());
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }
}
