//! add-checkpoint bodies: one body per request, and a witness that cosigns only what follows.

use std::{
    collections::BTreeMap,
    io,
    sync::{LazyLock, Mutex},
};

use hitmachine_audit::{
    AddCheckpoint, Checkpoint, Front, Head, LogSigner, LogVerifier, Origin, Witness, WitnessSigner,
    WitnessStore, leaf_hash, verify_consistency,
};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<Origin, Vec<u8>>>);

impl WitnessStore for Memory {
    fn load(&self, origin: &Origin) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(origin).cloned())
    }

    fn save(&self, origin: &Origin, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().insert(origin.clone(), bytes.to_vec());
        Ok(())
    }
}

fn history(fork: u8, size: u64) -> Front {
    let mut front = Front::new();
    (0..size).for_each(|index| front.push(leaf_hash(&[if index < 3 { 0 } else { fork }, index as u8])));
    front
}

struct World {
    log: LogVerifier,
    first: Vec<u8>,
    /// Signed heads after the first, of both sides of a fork.
    next: Vec<(Head, Vec<u8>)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let log = LogSigner::new("log.example/a".parse().unwrap(), &[7; 32]);
    let signed = |fork, size| {
        let checkpoint = Checkpoint {
            origin: log.origin().clone(),
            size,
            root: history(fork, size).root(),
        };
        (checkpoint.head(), log.sign(&checkpoint).unwrap())
    };
    World {
        log: log.verifier(),
        first: signed(1, 5).1,
        next: [(1, 5), (1, 7), (2, 5), (2, 7), (1, 4)]
            .map(|(fork, size)| signed(fork, size))
            .to_vec(),
    }
});

/// The target.
pub fn check(input: &[u8]) {
    let Ok(request) = AddCheckpoint::parse(input) else {
        return;
    };
    assert_eq!(request.format(), input);
    let World { log, first, next } = &*WORLD;
    let signer = WitnessSigner::new("w".parse().unwrap(), &[8; 32]);
    let witness = Witness::new(signer, vec![log.clone()], Memory::default());
    let _ = witness.add_checkpoint(input, 5);
    let held = || witness.held(log.origin()).expect("a readable state");
    if held().is_none() {
        let first = AddCheckpoint {
            old: 0,
            proof: Vec::new(),
            checkpoint: first.clone(),
        };
        witness.add_checkpoint(&first.format(), 6).expect("a first head");
    }
    // The proof of the input under heads that are signed.
    let before = held().expect("a head").head;
    for (head, note) in next {
        let request = AddCheckpoint {
            checkpoint: note.clone(),
            ..request.clone()
        };
        let answer = witness.add_checkpoint(&request.format(), 7);
        let after = held().expect("a head").head;
        if answer.is_ok() {
            assert_eq!((request.old, after), (before.size, *head));
            assert!(verify_consistency(
                before.size,
                head.size,
                &before.root,
                &head.root,
                &request.proof
            ));
            return;
        }
        assert_eq!(after, before);
    }
}
