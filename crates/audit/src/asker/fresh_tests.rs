use super::*;
use crate::{Front, checkpoint::Checkpoint, cosignature::WitnessSigner, hash::leaf_hash, note::LogSigner};

const NOW: u64 = 10_000;

fn log() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::new(format!("w{seed}").parse().unwrap(), &[seed; 32])
}

fn policy(count: u8) -> Policy {
    let witnesses: Vec<_> = (1..=count).map(|seed| witness(seed).verifier()).collect();
    let text = Policy::generate(&log().verifier(), &witnesses).unwrap();
    Policy::parse(text.as_bytes()).unwrap()
}

fn history(fork: u8, size: u64) -> Front {
    let mut front = Front::new();
    (0..size).for_each(|index| front.push(leaf_hash(format!("{fork} {index}").as_bytes())));
    front
}

fn head(fork: u8, size: u64) -> Head {
    Head {
        size,
        root: history(fork, size).root(),
    }
}

/// Cosigned by witnesses 1, 2, … at these times.
fn note(size: u64, times: &[u64]) -> Vec<u8> {
    let checkpoint = Checkpoint {
        origin: log().origin().clone(),
        size,
        root: head(1, size).root,
    };
    let mut note = log().sign(&checkpoint).unwrap();
    for (seed, time_s) in (1..).zip(times) {
        note.extend(witness(seed).cosign(&checkpoint, *time_s).unwrap().into_bytes());
    }
    note
}

fn check(times: &[u64], answer: Head, proof: &[Hash], now_s: u64) -> Result<CosignedAge, FreshError> {
    CosignedHead::open(&policy(4), &note(20, times))?.check(&answer, proof, now_s, MAX_AGE_S)
}

#[test]
fn ages() {
    assert_eq!((WARN_AGE_S, MAX_AGE_S), (60, 600));
    for (what, times, expected) in [
        ("now", [NOW; 3], Ok((0, false))),
        (
            "the third newest counts",
            [NOW, NOW - 30, NOW - 10],
            Ok((30, false)),
        ),
        ("just not stale", [NOW - 59; 3], Ok((59, false))),
        ("stale", [NOW - 60; 3], Ok((60, true))),
        ("still shown", [NOW - 600; 3], Ok((600, true))),
        // F5: a stale cosigned head.
        ("too old", [NOW - 601; 3], Err(FreshError::TooOld { age_s: 601 })),
        (
            "one too old",
            [NOW, NOW, NOW - 700],
            Err(FreshError::TooOld { age_s: 700 }),
        ),
        ("a little ahead", [NOW + 60; 3], Ok((0, false))),
        ("one far ahead", [NOW + 5_000, NOW, NOW], Ok((0, false))),
        ("all ahead", [NOW + 61; 3], Err(FreshError::Ahead { ahead_s: 61 })),
    ] {
        let age = check(&times, head(1, 20), &[], NOW);
        assert_eq!(age.map(|age| (age.age_s, age.is_stale())), expected, "{what}");
    }
    // A bound of the caller's own.
    let held = CosignedHead::open(&policy(4), &note(20, &[NOW - 11; 3])).unwrap();
    assert_eq!((held.head(), held.since_s()), (head(1, 20), NOW - 11));
    assert_eq!(
        held.check(&head(1, 20), &[], NOW, 10),
        Err(FreshError::TooOld { age_s: 11 })
    );
}

#[test]
fn quorums() {
    let refused = check(&[NOW, NOW], head(1, 20), &[], NOW);
    assert_eq!(refused, Err(FreshError::NoQuorum));
    let note = note(20, &[NOW; 3]);
    assert_eq!(
        CosignedHead::open(&policy(0), &note),
        Err(FreshError::NoWitnesses)
    );
    let spoiled = String::from_utf8(note).unwrap().replace("\n20\n", "\n19\n");
    assert_eq!(
        CosignedHead::open(&policy(4), spoiled.as_bytes()),
        Err(FreshError::Note(NoteError::BadSignature))
    );
}

#[test]
fn both_heads_lie_on_one_history() {
    let proof = |fork: u8, from: u64, size: u64| history(fork, size).consistency_proof(from).unwrap();
    let apart = |got| Err(FreshError::NotConnected { cosigned: 20, got });
    let good = Ok(CosignedAge { age_s: 0 });
    for (what, answer, proof, expected) in [
        ("equal", head(1, 20), vec![], good),
        ("equal with a proof", head(1, 20), proof(1, 20, 30), apart(20)),
        ("grown", head(1, 30), proof(1, 20, 30), good),
        ("grown without a proof", head(1, 30), vec![], apart(30)),
        ("fork", head(2, 30), proof(2, 20, 30), apart(30)),
        (
            "two roots",
            head(2, 20),
            vec![],
            Err(FreshError::Fork { size: 20 }),
        ),
        ("cosigned meanwhile", head(1, 19), proof(1, 19, 20), good),
        ("fork before it", head(2, 19), proof(2, 19, 20), apart(19)),
    ] {
        assert_eq!(check(&[NOW; 3], answer, &proof, NOW), expected, "{what}");
        if expected.is_err() {
            let old = check(&[NOW - 900; 3], answer, &proof, NOW);
            assert_eq!(old, expected, "{what}: a fork is not hidden by an age");
        }
    }
}
