use super::*;
use crate::{
    Front,
    cosignature::WitnessSigner,
    hash::leaf_hash,
    note::{LogSigner, Origin},
};

const SIZE: u64 = 11;

fn log() -> LogSigner {
    LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
}

fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::new(format!("w{seed}").parse().unwrap(), &[seed; 32])
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn checkpoint() -> (Front, Checkpoint) {
    let mut front = Front::new();
    (0..SIZE).for_each(|index| front.push(leaf(index)));
    let checkpoint = Checkpoint {
        origin: log().origin().clone(),
        size: SIZE,
        root: front.root(),
    };
    (front, checkpoint)
}

fn proof(index: u64, witnesses: &[u8]) -> TlogProof {
    let (front, checkpoint) = checkpoint();
    let mut note = log().sign(&checkpoint).unwrap();
    for seed in witnesses {
        note.extend(witness(*seed).cosign(&checkpoint, 50).unwrap().into_bytes());
    }
    TlogProof {
        extra: Some(b"opening".to_vec()),
        index,
        path: front.inclusion_proof(index).unwrap(),
        checkpoint: note,
    }
}

#[test]
fn every_leaf_is_proven_and_no_other() {
    let verifier = log().verifier();
    for index in 0..SIZE {
        let proof = proof(index, &[]);
        assert_eq!(TlogProof::parse(&proof.format()), Ok(proof.clone()));
        assert_eq!(proof.verify(&verifier, &leaf(index)), Ok(checkpoint().1));
        for other in 0..=SIZE {
            if other != index {
                assert_eq!(
                    proof.verify(&verifier, &leaf(other)),
                    Err(TlogProofError::Inclusion)
                );
                let moved = TlogProof {
                    index: other,
                    ..proof.clone()
                };
                assert_eq!(
                    moved.verify(&verifier, &leaf(index)),
                    Err(TlogProofError::Inclusion)
                );
            }
        }
    }
    assert!(!format!("{:?}", proof(0, &[])).contains("extra"));
}

#[test]
fn other_logs_and_missing_witnesses() {
    let proof_of = |witnesses: &[u8]| proof(3, witnesses);
    let named = |name: &str, seed: u8| {
        let origin: Origin = name.parse().unwrap();
        LogSigner::new(origin, &[seed; 32]).verifier()
    };
    let refused = proof_of(&[]).verify(&named("log.example/a/audit/1", 6), &leaf(3));
    assert_eq!(refused, Err(NoteError::NotSigned.into()));
    let witnesses: Vec<_> = (1..=4).map(|seed| witness(seed).verifier()).collect();
    let policy = |log: &LogVerifier| {
        let text = Policy::generate(log, &witnesses).unwrap();
        Policy::parse(text.as_bytes()).unwrap()
    };
    let ours = policy(&log().verifier());
    let (cosigned, quorum) = proof_of(&[1, 2, 4]).verify_cosigned(&ours, &leaf(3)).unwrap();
    assert_eq!(cosigned.checkpoint, checkpoint().1);
    assert_eq!(quorum, QuorumTime::Held { since_s: 50 });
    for (what, proof, policy, leaf_index, error) in [
        (
            "two of four",
            proof_of(&[1, 2]),
            &ours,
            3,
            TlogProofError::NoQuorum,
        ),
        (
            "a stranger",
            proof_of(&[1, 2, 9]),
            &ours,
            3,
            TlogProofError::NoQuorum,
        ),
        (
            "another leaf",
            proof_of(&[1, 2, 3]),
            &ours,
            4,
            TlogProofError::Inclusion,
        ),
        (
            "another log",
            proof_of(&[1, 2, 3]),
            &policy(&named("log.example/b", 7)),
            3,
            NoteError::NotSigned.into(),
        ),
    ] {
        let refused = proof.verify_cosigned(policy, &leaf(leaf_index));
        assert_eq!(refused.unwrap_err(), error, "{what}");
    }
}

#[test]
fn proofs_have_one_form() {
    let text = String::from_utf8(proof(3, &[1]).format()).unwrap();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra b3BlbmluZw==\nindex 3\n"));
    let bare = TlogProof {
        extra: None,
        ..proof(3, &[1])
    };
    assert!(bare.format().starts_with(b"c2sp.org/tlog-proof@v1\nindex 3\n"));
    assert_eq!(TlogProof::parse(&bare.format()), Ok(bare.clone()));
    let empty = TlogProof {
        extra: Some(Vec::new()),
        ..bare.clone()
    };
    assert_eq!(empty.format(), bare.format());
    let line = text.lines().nth(3).unwrap();
    for (what, bad) in [
        ("nothing", String::new()),
        ("other version", text.replace("@v1", "@v2")),
        ("no header", text.replace("c2sp.org/tlog-proof@v1\n", "")),
        ("space after the header", text.replace("@v1", "@v1 ")),
        ("empty extra", text.replace("b3BlbmluZw==", "")),
        ("extra without padding", text.replace("==\nindex", "\nindex")),
        ("extra with loose bits", text.replace("Zw==", "Zx==")),
        ("extra twice", text.replace("index", "extra b3BlbmluZw==\nindex")),
        (
            "extra after index",
            text.replace("extra b3BlbmluZw==\nindex 3\n", "index 3\nextra b3BlbmluZw==\n"),
        ),
        ("no index", text.replace("index 3\n", "")),
        ("leading zero", text.replace("index 3", "index 03")),
        ("negative", text.replace("index 3", "index -3")),
        (
            "above 64 bits",
            text.replace("index 3", "index 18446744073709551616"),
        ),
        ("short hash", text.replace(line, "AAAA")),
        ("no note", text.split_once("\n\n").unwrap().0.to_owned()),
        ("65 hashes", text.replace(line, &vec![line; 62].join("\n"))),
        ("too long", format!("{text}{}", "a".repeat(MAX_PROOF))),
    ] {
        assert_ne!(bad, text, "{what}");
        assert_eq!(
            TlogProof::parse(bad.as_bytes()),
            Err(TlogProofError::Malformed),
            "{what}"
        );
    }
    let full = text.replace(line, &vec![line; 61].join("\n"));
    assert_eq!(TlogProof::parse(full.as_bytes()).unwrap().path.len(), 64);
    assert_eq!(TlogProof::parse(b"\xff\n\n"), Err(TlogProofError::Malformed));
    // Carriage returns: the lines before the note are refused here, the note by its verification.
    assert!(TlogProof::parse(text.replace('\n', "\r\n").as_bytes()).is_err());
}

#[test]
fn a_receipt_becomes_a_proof() {
    let source = proof(3, &[]);
    let parts = ReceiptParts {
        opening: b"opening".to_vec(),
        leaf_index: 3,
        inclusion: source.path.clone(),
        checkpoint: source.checkpoint.clone(),
        consistency: Vec::new(),
    };
    assert_eq!(TlogProof::from(parts), source);
}
