//! Two brokers with one key: what partners see of a fork, by the number of witnesses that cosign both sides.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use std::{collections::BTreeMap, io, sync::Mutex};

use hitmachine_audit::{
    AddCheckpoint, Checkpoint, Evidence, Front, Hash, LogSigner, Origin, Policy, QuorumTime, Refusal,
    Verdict, Witness, WitnessSigner, WitnessStore, WitnessVerifier, leaf_hash, quorum_of,
};

const COMMON: u64 = 100;
const NOW: u64 = 1_767_225_600;

#[derive(Debug, Default)]
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

fn log() -> LogSigner {
    LogSigner::new("hitmachine.example/broker-a/audit/1".parse().unwrap(), &[7; 32])
}

fn witness(seed: u8) -> Witness<Memory> {
    let name = format!("partner-{seed}.example/witness");
    let signer = WitnessSigner::new(name.parse().unwrap(), &[seed; 32]);
    Witness::new(signer, vec![log().verifier()], Memory::default())
}

/// A broker with its own history after the first hundred entries.
struct Broker {
    front: Front,
}

impl Broker {
    fn new(side: &str, size: u64) -> Self {
        let mut front = Front::new();
        for index in 0..size {
            let side = if index < COMMON { "both" } else { side };
            front.push(leaf_hash(format!("{side} {index}").as_bytes()));
        }
        Self { front }
    }

    fn note(&self) -> Vec<u8> {
        let checkpoint = Checkpoint {
            origin: log().origin().clone(),
            size: self.front.size(),
            root: self.front.root(),
        };
        log().sign(&checkpoint).unwrap()
    }

    fn proof(&self, old: u64) -> Vec<Hash> {
        self.front.consistency_proof(old).unwrap_or_default()
    }

    fn ask(&self, witness: &Witness<Memory>, old: u64) -> Result<Vec<u8>, Refusal> {
        let request = AddCheckpoint {
            old,
            proof: self.proof(old),
            checkpoint: self.note(),
        };
        witness.add_checkpoint(&request.format(), NOW)
    }
}

fn policy(witnesses: &[WitnessVerifier]) -> Policy {
    let text = Policy::generate(&log().verifier(), witnesses).unwrap();
    Policy::parse(text.as_bytes()).unwrap()
}

/// F3 and F8: with `f` witnesses that cosign whatever they are shown, and the honest ones divided between the
/// two sides as suits the fork best, both sides get a quorum only if `f` is at least `2k − n`, which is more
/// than a third of all.
#[test]
fn a_fork_needs_more_than_a_third_of_dishonest_witnesses() {
    for n in 1..=10_u8 {
        let k = u8::try_from(quorum_of(usize::from(n))).unwrap();
        let limit = 2 * k - n;
        assert!(3 * limit > n);
        for f in 0..=n {
            let both = (0..=n - f).any(|left| {
                let sides = [("one", 0..left), ("other", left..n - f)];
                sides
                    .into_iter()
                    .all(|(side, honest)| cosigned(n, f, side, honest) != QuorumTime::Missing)
            });
            assert_eq!(both, f >= limit, "{f} of {n} dishonest");
        }
    }
}

/// The quorum that one side of the fork reaches: it is shown to these honest witnesses and to all dishonest
/// ones, which forget the other side.
fn cosigned(n: u8, dishonest: u8, side: &str, honest: std::ops::Range<u8>) -> QuorumTime {
    let witnesses: Vec<_> = (0..n).map(|seed| witness(seed + 1)).collect();
    let verifiers: Vec<_> = witnesses.iter().map(Witness::verifier).collect();
    let broker = Broker::new(side, 150);
    let mut note = broker.note();
    for (seed, witness) in (0..n).zip(&witnesses) {
        if seed >= n - dishonest || honest.contains(&seed) {
            let lines = broker.ask(witness, 0).unwrap();
            note = log()
                .verifier()
                .add_cosignatures(&note, &lines, &verifiers)
                .unwrap();
        }
    }
    policy(&verifiers).open(&note).unwrap().1
}

/// F1: each honest witness that sees both sides refuses the second and has the proof.
#[test]
fn the_witness_that_sees_both_sides_has_the_proof() {
    let witness = witness(1);
    let (one, other) = (Broker::new("one", 150), Broker::new("other", 150));
    Broker::new("one", COMMON).ask(&witness, 0).unwrap();
    one.ask(&witness, COMMON).unwrap();
    let refused = other.ask(&witness, 150).unwrap_err();
    assert_eq!(refused.status(), 422);
    let file = refused.evidence().unwrap().to_text();
    // Somebody else, with the file and the public key.
    let verdict = Evidence::parse(&file).unwrap().verify(&log().verifier()).unwrap();
    assert_eq!(
        verdict,
        Verdict::SameSizeTwoRoots {
            size: 150,
            roots: [one.front.root(), other.front.root()],
        }
    );
}

/// F6: rolled back by one and by many. The broker learns that partners saw more than it has.
#[test]
fn a_log_that_was_rolled_back_is_told_so() {
    for (before, after) in [(150, 149), (1_100, 100)] {
        let witness = witness(1);
        Broker::new("one", before).ask(&witness, 0).unwrap();
        let restored = Broker::new("one", after);
        for old in [0, after] {
            let Err(Refusal::Conflict { held, .. }) = restored.ask(&witness, old) else {
                panic!("not refused");
            };
            assert_eq!(held, before);
        }
        let held = witness.held(log().origin()).unwrap().unwrap();
        assert_eq!(held.head.size, before);
        assert_eq!(log().verifier().open(&held.note).unwrap().head(), held.head);
    }
}
