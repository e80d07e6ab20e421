use super::*;
use crate::{Front, hash::leaf_hash, note::LogSigner};

fn log() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn history(fork: u8, size: u64) -> Front {
    let mut front = Front::new();
    (0..size).for_each(|index| front.push(leaf_hash(format!("{fork} {index}").as_bytes())));
    front
}

fn note_by(signer: &LogSigner, fork: u8, size: u64) -> Vec<u8> {
    let checkpoint = Checkpoint {
        origin: signer.origin().clone(),
        size,
        root: history(fork, size).root(),
    };
    signer.sign(&checkpoint).unwrap()
}

fn note(fork: u8, size: u64) -> Vec<u8> {
    note_by(&log(), fork, size)
}

#[test]
fn what_is_shown() {
    let proof = |fork: u8, from: u64, to: u64| history(fork, to).consistency_proof(from);
    let two_roots = Verdict::SameSizeTwoRoots {
        size: 5,
        roots: [history(1, 5).root(), history(2, 5).root()],
    };
    let apart = Verdict::ProofDoesNotConnect { from: 5, to: 9 };
    let unknown = Verdict::NothingOffered { from: 5, to: 9 };
    for (what, seen, other, proof, verdict) in [
        ("two roots", note(1, 5), note(2, 5), None, two_roots),
        (
            "two roots and a proof",
            note(1, 5),
            note(2, 5),
            Some(vec![]),
            two_roots,
        ),
        ("fork", note(1, 5), note(2, 9), proof(2, 5, 9), apart),
        ("no hashes", note(1, 5), note(1, 9), Some(vec![]), apart),
        ("not offered", note(1, 5), note(2, 9), None, unknown),
        (
            "growth",
            note(1, 5),
            note(1, 9),
            proof(1, 5, 9),
            Verdict::NoConflict,
        ),
        (
            "growth, told backwards",
            note(1, 9),
            note(1, 5),
            proof(1, 5, 9),
            Verdict::NoConflict,
        ),
        ("the same", note(1, 5), note(1, 5), None, Verdict::NoConflict),
    ] {
        let evidence = Evidence::new(seen, other, proof).unwrap();
        assert_eq!(evidence.verify(&log().verifier()), Ok(verdict), "{what}");
        assert_eq!(Evidence::parse(&evidence.to_text()), Ok(evidence), "{what}");
    }
    let says = |verdict: Verdict| verdict.to_string();
    assert!(says(two_roots).starts_with("proven: the log signed two different roots at 5"));
    assert!(says(apart).contains("not proven"));
    assert!(says(unknown).contains("nothing is known"));
    assert!(says(Verdict::NoConflict).starts_with("no conflict"));
}

/// Only what the log signed is evidence against it.
#[test]
fn others_cannot_make_evidence() {
    let forger = LogSigner::new(log().origin().clone(), &[8; 32]);
    let other = LogSigner::new("log.example/b/audit/1".parse().unwrap(), &[7; 32]);
    let unsigned = String::from_utf8(note(2, 5)).unwrap();
    let changed = unsigned.replace("\n5\n", "\n6\n").into_bytes();
    for (what, note_two, error) in [
        ("another key", note_by(&forger, 2, 5), NoteError::NotSigned),
        ("changed", changed, NoteError::BadSignature),
    ] {
        let evidence = Evidence::new(note(1, 5), note_two, None).unwrap();
        assert_eq!(evidence.verify(&log().verifier()), Err(error.into()), "{what}");
        let first = Evidence::new(evidence.second().to_vec(), note(1, 7), None).unwrap();
        assert_eq!(first.verify(&log().verifier()), Err(error.into()), "{what}");
    }
    let mixed = Evidence::new(note(1, 5), note_by(&other, 2, 5), None);
    assert_eq!(mixed, Err(NoteError::OtherLog.into()));
    let evidence = Evidence::new(note(1, 5), note(2, 5), None).unwrap();
    assert_eq!(
        evidence.verify(&other.verifier()),
        Err(NoteError::NotSigned.into())
    );
    assert_eq!(
        Evidence::new(note(1, 5), b"text".to_vec(), None),
        Err(NoteError::Malformed.into())
    );
    let long = Some(vec![Hash([0; 32]); MAX_PROOF + 1]);
    assert_eq!(
        Evidence::new(note(1, 5), note(1, 7), long),
        Err(EvidenceError::Form)
    );
}

#[test]
fn the_file_has_one_form() {
    let proof = history(2, 9).consistency_proof(5);
    let evidence = Evidence::new(note(1, 5), note(2, 9), proof.clone()).unwrap();
    let text = String::from_utf8(evidence.to_text()).unwrap();
    assert!(text.starts_with("hitmachine/log-evidence@v1\nTwo checkpoints of one audit log"));
    assert_eq!(evidence.proof(), proof.as_deref());
    // What a short script would do: the notes are there as they are.
    let between = |from: &str, to: &str| {
        text.split_once(from)
            .unwrap()
            .1
            .split_once(to)
            .unwrap()
            .0
            .to_owned()
    };
    assert_eq!(between(FIRST, SECOND).as_bytes(), note(1, 5));
    assert_eq!(between(SECOND, PROOF).as_bytes(), evidence.second());
    let [first, second] =
        [evidence.first(), evidence.second()].map(|note| String::from_utf8(note.to_vec()).unwrap());
    let line = between(PROOF, "\n");
    for (what, bad) in [
        ("nothing", String::new()),
        ("other version", text.replace("@v1", "@v2")),
        ("other explanation", text.replace("two histories", "no histories")),
        ("text after", format!("{text}\n")),
        ("no end", text.replace(END, "")),
        ("no second", text.replace(SECOND, "")),
        (
            "larger first",
            text.replace(&first, "*")
                .replace(&second, &first)
                .replace('*', &second),
        ),
        ("short hash", text.replace(&line, "AAAA")),
        (
            "empty line in the proof",
            text.replace(PROOF, &format!("{PROOF}\n")),
        ),
        ("proof cut off", text.replace(&format!("\n{END}"), END)),
        ("two proofs", text.replace(PROOF, &format!("{PROOF}{PROOF}"))),
        ("carriage returns", text.replace('\n', "\r\n")),
    ] {
        assert_ne!(bad, text, "{what}");
        assert_eq!(
            Evidence::parse(bad.as_bytes()),
            Err(EvidenceError::Form),
            "{what}"
        );
    }
    let spoiled = text.replace(&first, "not a note\n");
    assert_eq!(
        Evidence::parse(spoiled.as_bytes()),
        Err(EvidenceError::Note(NoteError::Malformed))
    );
    assert_eq!(Evidence::parse(b"\xff"), Err(EvidenceError::Form));
}
