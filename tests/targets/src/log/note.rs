//! Signed notes: the input as a note, and as the lines that a witness answers with to a note that is signed.

use std::sync::LazyLock;

use hitmachine_audit::{Checkpoint, LogSigner, LogVerifier, WitnessSigner, WitnessVerifier, empty_root};

struct World {
    log: LogVerifier,
    witnesses: Vec<WitnessVerifier>,
    note: Vec<u8>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let log = LogSigner::new("log.example/a".parse().unwrap(), &[7; 32]);
    let checkpoint = Checkpoint {
        origin: log.origin().clone(),
        size: 0,
        root: empty_root(),
    };
    let witness = |seed| WitnessSigner::new("w".parse().unwrap(), &[seed; 32]).verifier();
    World {
        log: log.verifier(),
        witnesses: vec![witness(8), witness(9)],
        note: log.sign(&checkpoint).unwrap(),
    }
});

/// The target.
pub fn check(input: &[u8]) {
    let World { log, witnesses, note } = &*WORLD;
    if let Ok(checkpoint) = log.open(input) {
        assert!(input.starts_with(checkpoint.to_text().as_bytes()));
    }
    let together = [note.as_slice(), input].concat();
    let added = log.add_cosignatures(note, input, witnesses);
    match log.open_cosigned(&together, witnesses) {
        Ok(cosigned) => {
            // What can be read together can be added, and says the same; adding again changes nothing.
            let added = added.expect("lines that open together");
            assert_eq!(log.open_cosigned(&added, witnesses).as_ref(), Ok(&cosigned));
            assert_eq!(log.add_cosignatures(&added, input, witnesses), Ok(added.clone()));
            assert_eq!(log.add_cosignatures(&added, b"", witnesses), Ok(added));
            assert!(cosigned.cosignatures.len() <= witnesses.len());
        }
        Err(_) => {
            if let Ok(added) = added {
                // Several notes' worth of bounds apart, adding takes nothing that cannot be read.
                assert!(log.open_cosigned(&added, witnesses).is_ok());
            }
        }
    }
}
