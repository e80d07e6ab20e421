mod crashes;
mod refusals;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use crate::{Front, cosignature::Cosigned, hash::leaf_hash, note::LogSigner};

/// Leaves that all forks have in common.
const COMMON: u64 = 3;

fn log() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn signer() -> WitnessSigner {
    WitnessSigner::new("partner-b.example/witness".parse().unwrap(), &[8; 32])
}

fn witness(store: &TestStore) -> Witness<TestStore> {
    Witness::new(signer(), vec![log().verifier()], store.clone())
}

/// One of the histories that the log shows.
fn history(fork: u8, size: u64) -> Front {
    let mut front = Front::new();
    for index in 0..size {
        let fork = if index < COMMON { 0 } else { fork };
        front.push(leaf_hash(format!("{fork} {index}").as_bytes()));
    }
    front
}

fn checkpoint(fork: u8, size: u64) -> Checkpoint {
    Checkpoint {
        origin: log().origin().clone(),
        size,
        root: history(fork, size).root(),
    }
}

fn note(fork: u8, size: u64) -> Vec<u8> {
    log().sign(&checkpoint(fork, size)).unwrap()
}

/// A request with the proof that belongs to it in this history.
fn request(fork: u8, old: u64, size: u64) -> AddCheckpoint {
    AddCheckpoint {
        old,
        proof: history(fork, size).consistency_proof(old).unwrap_or_default(),
        checkpoint: note(fork, size),
    }
}

/// What an answer cosigns, read as the log reads it.
fn cosigned(request: &AddCheckpoint, answer: &[u8]) -> Cosigned {
    let note = [request.checkpoint.as_slice(), answer].concat();
    let cosigned = log().verifier().open_cosigned(&note, &[signer().verifier()]);
    let cosigned = cosigned.unwrap();
    assert_eq!(cosigned.cosignatures.len(), 1);
    cosigned
}

/// What becomes of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Durable, and says so.
    Kept,
    /// Fails and is lost.
    FailsLost,
    /// Fails and is kept.
    FailsKept,
    /// Fails, can be read until the power fails, and is lost then.
    FailsSeen,
    /// The mutant: says yes before it is durable.
    Lies,
}

#[derive(Debug, Default)]
struct Disk {
    durable: BTreeMap<Origin, Vec<u8>>,
    seen: BTreeMap<Origin, Vec<u8>>,
    fate: Option<Fate>,
    saves: usize,
    unreadable: bool,
    slow: bool,
}

#[derive(Debug, Clone, Default)]
struct TestStore(Arc<Mutex<Disk>>);

impl TestStore {
    fn set(&self, change: impl FnOnce(&mut Disk)) {
        change(&mut self.0.lock().unwrap());
    }

    /// The fate of all saves from now on.
    fn fate(&self, fate: Fate) {
        self.set(|disk| disk.fate = Some(fate));
    }

    fn crash(&self) {
        self.set(|disk| disk.seen = disk.durable.clone());
    }

    fn saves(&self) -> usize {
        self.0.lock().unwrap().saves
    }
}

impl WitnessStore for TestStore {
    fn load(&self, origin: &Origin) -> io::Result<Option<Vec<u8>>> {
        let (unreadable, value, slow) = {
            let disk = self.0.lock().unwrap();
            (disk.unreadable, disk.seen.get(origin).cloned(), disk.slow)
        };
        if slow {
            std::thread::sleep(Duration::from_millis(1));
        }
        if unreadable {
            return Err(io::Error::other("unreadable"));
        }
        Ok(value)
    }

    fn save(&self, origin: &Origin, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.saves += 1;
        let fate = disk.fate.unwrap_or(Fate::Kept);
        if fate != Fate::FailsLost {
            disk.seen.insert(origin.clone(), bytes.to_vec());
        }
        if matches!(fate, Fate::Kept | Fate::FailsKept) {
            disk.durable.insert(origin.clone(), bytes.to_vec());
        }
        match fate {
            Fate::Kept | Fate::Lies => Ok(()),
            _ => Err(io::Error::other("failed")),
        }
    }
}

#[test]
fn a_witness_follows_a_log() {
    let store = TestStore::default();
    let witness = witness(&store);
    assert_eq!(witness.verifier(), signer().verifier());
    assert_eq!(witness.held(log().origin()).unwrap(), None);
    let mut old = 0;
    for (size, time_s) in [(0, 10), (0, 11), (1, 12), (5, 13), (5, 14), (8, 14), (300, 20)] {
        let request = request(1, old, size);
        let answer = witness.add_checkpoint(&request.format(), time_s).unwrap();
        let cosigned = cosigned(&request, &answer);
        assert_eq!(cosigned.checkpoint, checkpoint(1, size));
        assert_eq!(cosigned.cosignatures[0].time_s(), time_s);
        let held = HeldHead {
            head: checkpoint(1, size).head(),
            note: note(1, size),
            time_s,
        };
        assert_eq!(witness.held(log().origin()).unwrap(), Some(held));
        old = size;
    }
    assert_eq!(store.saves(), 7, "every cosignature is remembered first");
}

#[test]
fn times_never_run_backwards() {
    let store = TestStore::default();
    let mut held = 0;
    // Also across restarts, and when only the time is new.
    for (size, clock, signed) in [(1, 50, 50), (1, 60, 60), (2, 40, 60), (3, 59, 60), (3, 61, 61)] {
        let request = request(1, held, size);
        let answer = witness(&store).add_checkpoint(&request.format(), clock).unwrap();
        assert_eq!(cosigned(&request, &answer).cosignatures[0].time_s(), signed);
        store.crash();
        held = size;
    }
    for clock in [0, MAX_TIME + 1] {
        let saves = store.saves();
        let refused = witness(&store).add_checkpoint(&request(1, 3, 4).format(), clock);
        assert!(matches!(refused, Err(Refusal::Clock)));
        assert_eq!(store.saves(), saves);
    }
}

#[test]
fn lines_of_others_are_not_kept() {
    let store = TestStore::default();
    let mut body = request(1, 0, 5);
    let foreign = WitnessSigner::new("other".parse().unwrap(), &[9; 32]);
    let line = foreign.cosign(&checkpoint(1, 5), 3).unwrap();
    body.checkpoint.extend(line.into_bytes());
    witness(&store).add_checkpoint(&body.format(), 10).unwrap();
    let held = witness(&store).held(log().origin()).unwrap().unwrap();
    assert_eq!(held.note, note(1, 5));
}

#[test]
fn two_keys_of_one_log_are_both_trusted() {
    let second = LogSigner::new(log().origin().clone(), &[70; 32]);
    let other_log = LogSigner::new("log.example/b/audit/1".parse().unwrap(), &[7; 32]);
    let logs = vec![log().verifier(), second.verifier(), other_log.verifier()];
    let store = TestStore::default();
    let witness = Witness::new(signer(), logs, store);
    let by = |signer: &LogSigner, origin: &Origin, size: u64| {
        let checkpoint = Checkpoint {
            origin: origin.clone(),
            ..checkpoint(1, size)
        };
        signer.sign(&checkpoint).unwrap()
    };
    let add = |old: u64, size: u64, checkpoint: Vec<u8>| {
        let body = AddCheckpoint {
            checkpoint,
            ..request(1, old, size)
        };
        witness.add_checkpoint(&body.format(), 10)
    };
    assert!(add(0, 4, by(&log(), log().origin(), 4)).is_ok());
    assert!(add(4, 5, by(&second, log().origin(), 5)).is_ok());
    // Each log has a state of its own.
    assert!(add(0, 2, by(&other_log, other_log.origin(), 2)).is_ok());
    // A bad line by one of the keys spoils the note, whatever the other says.
    let good = String::from_utf8(by(&log(), log().origin(), 6)).unwrap();
    let bad = String::from_utf8(by(&second, log().origin(), 7)).unwrap();
    let both = format!("{good}{}", bad.split_once("\n\n").unwrap().1);
    let refused = add(5, 6, both.into_bytes());
    assert!(matches!(
        refused,
        Err(Refusal::Signature(NoteError::BadSignature))
    ));
}

/// The race of the standard, and two forks at once: exactly one of two requests from one old size is answered.
#[test]
fn of_two_threads_one_is_cosigned() {
    for (one, other) in [((1, 9), (2, 9)), ((1, 6), (1, 9)), ((1, 9), (2, 6))] {
        for _ in 0..40 {
            let store = TestStore::default();
            store.set(|disk| disk.slow = true);
            let witness = witness(&store);
            witness
                .add_checkpoint(&request(0, 0, COMMON).format(), 5)
                .unwrap();
            let start = std::sync::Barrier::new(2);
            let add = |(fork, size): (u8, u64)| {
                let body = request(fork, COMMON, size).format();
                start.wait();
                witness.add_checkpoint(&body, 6)
            };
            let answers = std::thread::scope(|scope| {
                let first = scope.spawn(|| add(one));
                [add(other), first.join().unwrap()]
            });
            let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
            assert_eq!(good.len(), 1, "exactly one");
            let held = witness.held(log().origin()).unwrap().unwrap().head.size;
            let told = match &refused[0] {
                Err(Refusal::Conflict { held, .. }) => *held,
                other => panic!("{other:?}"),
            };
            assert_eq!(told, held);
        }
    }
}
