use std::cell::Cell;

use hitmachine_audit::{Checkpoint, Front, WitnessName, WitnessSigner};

use super::*;
use crate::officer::page::{ProofView, RecordView};
use crate::officer::rows;
use crate::officer::test_log::TestLog;

fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::new(WitnessName::new(format!("w{seed}.example")).unwrap(), &[seed; 32])
}

/// The log's note, cosigned by these witnesses.
fn note(log: &TestLog, seeds: &[u8]) -> Vec<u8> {
    let mut note = log.note();
    let head = log.head();
    let checkpoint = Checkpoint {
        origin: log.verifier().origin().clone(),
        size: head.size,
        root: head.root,
    };
    for seed in seeds {
        note.extend(witness(*seed).cosign(&checkpoint, 50).unwrap().into_bytes());
    }
    note
}

/// Three witnesses, of which three are needed.
fn policy(log: &TestLog) -> Policy {
    let verifiers = [1, 2, 3].map(|seed| witness(seed).verifier());
    let text = Policy::generate(&log.verifier(), &verifiers).unwrap();
    Policy::parse(text.as_bytes()).unwrap()
}

/// An entry as it is shown, with its proof.
fn row(log: &TestLog, index: u64) -> RowView {
    let verified = rows::verify(&[log.whole(index)], &[log.path(index)], &log.head()).unwrap();
    let verified = verified.into_iter().next().unwrap();
    RowView {
        log_index: index,
        leaf: hex::encode(verified.leaf.as_bytes()),
        record: Some(RecordView::default()),
        proof: Some(ProofView {
            path: Vec::new(),
            tlog_proof: String::from_utf8(verified.proof(&log.note()).format()).unwrap(),
        }),
        ..RowView::default()
    }
}

fn public(log: &TestLog, index: u64, seeds: &[u8]) -> Public {
    let path = log.path(index);
    Public {
        note: Some(note(log, seeds)),
        path: Some(
            path.chunks(32)
                .map(|hash| Hash::from_slice(hash).unwrap())
                .collect(),
        ),
    }
}

/// The proof with something else in it.
fn with_proof(row: &RowView, change: impl FnOnce(&mut TlogProof)) -> RowView {
    let mut row = row.clone();
    let proof = row.proof.as_mut().unwrap();
    let mut parsed = TlogProof::parse(proof.tlog_proof.as_bytes()).unwrap();
    change(&mut parsed);
    proof.tlog_proof = String::from_utf8(parsed.format()).unwrap();
    row
}

fn states(check: &EntryCheck) -> [StepState; 5] {
    check.states()
}

use StepState::{Done, Failed, Open};

#[test]
fn every_step_of_an_honest_entry_is_done() {
    let log = TestLog::of(&[1, 2, 3, 4, 5]);
    for index in 0..5 {
        let check = check(
            &row(&log, index),
            &public(&log, index, &[1, 2, 3]),
            &log.verifier(),
            &policy(&log),
        );
        assert!(check.is_complete() && check.is_right(), "{check:?}");
        let last = check.path.hops.last().unwrap();
        assert_eq!(
            last.result, check.path.expected,
            "the hashes shown end at the root"
        );
        assert_eq!(check.leaf.computed, check.leaf.expected);
        assert_eq!(check.published.head.unwrap().cosigned(), 3);
    }
}

#[test]
fn a_changed_field_is_seen() {
    let log = TestLog::of(&[1, 2, 3]);
    let honest = row(&log, 1);
    // The opening of another entry under this one's path: what it says is not what was logged.
    let other = TlogProof::parse(row(&log, 0).proof.unwrap().tlog_proof.as_bytes()).unwrap();
    let forged = with_proof(&honest, |proof| proof.extra = other.extra);
    let check = check(
        &forged,
        &public(&log, 1, &[1, 2, 3]),
        &log.verifier(),
        &policy(&log),
    );
    assert_eq!(states(&check), [Failed, Failed, Done, Done, Failed]);
    assert!(!check.is_right());
}

#[test]
fn a_changed_path_is_seen() {
    let log = TestLog::of(&[1, 2, 3]);
    let honest = row(&log, 1);
    let public = public(&log, 1, &[1, 2, 3]);
    for forged in [
        with_proof(&honest, |proof| proof.path[0] = Hash([9; 32])),
        with_proof(&honest, |proof| proof.index = 2),
        with_proof(&honest, |proof| {
            proof.path.pop();
        }),
    ] {
        let check = check(&forged, &public, &log.verifier(), &policy(&log));
        assert_eq!(states(&check), [Done, Failed, Done, Done, Done], "{check:?}");
    }
    // A whole proof of another entry is right in itself, but not of this one.
    let mut other = honest.clone();
    other.proof = row(&log, 2).proof;
    let check = check(&other, &public, &log.verifier(), &policy(&log));
    assert_eq!(states(&check)[..3], [Failed, Failed, Done]);
}

#[test]
fn a_changed_signature_is_seen() {
    let log = TestLog::of(&[1, 2, 3]);
    let honest = row(&log, 1);
    let public_note = public(&log, 1, &[1, 2, 3]);
    let forged = with_proof(&honest, |proof| {
        let text = String::from_utf8(proof.checkpoint.clone()).unwrap();
        proof.checkpoint = text.replacen("\n4\n", "\n5\n", 1).into_bytes();
    });
    let signed = check(&forged, &public_note, &log.verifier(), &policy(&log));
    assert_eq!(states(&signed), [Done, Failed, Failed, Done, Done]);
    // The same of what is published, and of one cosignature under it.
    for (from, to) in [("\n4\n", "\n5\n"), ("— w2.example ", "— w2.example A")] {
        let text = String::from_utf8(note(&log, &[1, 2, 3])).unwrap();
        let public = Public {
            note: Some(text.replacen(from, to, 1).into_bytes()),
            ..public_note.clone()
        };
        let check = check(&honest, &public, &log.verifier(), &policy(&log));
        assert_eq!(states(&check), [Done, Done, Done, Failed, Failed], "{from}");
        assert_eq!(check.published.head, None);
    }
}

#[test]
fn what_partners_did_not_cosign_is_not_right() {
    let log = TestLog::of(&[1, 2, 3]);
    let (entry, policy) = (row(&log, 1), policy(&log));
    let few = check(&entry, &public(&log, 1, &[1, 3]), &log.verifier(), &policy);
    assert_eq!(states(&few), [Done, Done, Done, Failed, Done]);
    let head = few.published.head.unwrap();
    assert_eq!(
        (head.cosigned(), head.witnesses.len(), head.needed),
        (2, 3, Some(3))
    );
    assert_eq!(head.witnesses[1].cosigned_s, None);
    // Partners cosigned a tree that has another leaf at this place.
    let forked = TestLog::of(&[1, 7, 3]);
    let fork = check(&entry, &public(&forked, 1, &[1, 2, 3]), &log.verifier(), &policy);
    assert_eq!(states(&fork), [Done, Done, Done, Done, Failed]);
    // They have not come as far, or nothing is published: nothing is wrong, and nothing is said.
    let short = TestLog::of(&[]);
    let behind = Public {
        note: Some(note(&short, &[1, 2, 3])),
        path: None,
    };
    let behind = check(&entry, &behind, &log.verifier(), &policy);
    assert_eq!(states(&behind), [Done, Done, Done, Done, Open]);
    let nothing = check(&entry, &Public::default(), &log.verifier(), &policy);
    assert_eq!(states(&nothing), [Done, Done, Done, Open, Open]);
    assert!(nothing.is_right() && !nothing.is_complete());
    // A file that is missing proves nothing.
    let lost = Public {
        path: None,
        ..public(&log, 1, &[1, 2, 3])
    };
    assert_eq!(
        check(&entry, &lost, &log.verifier(), &policy).published.included,
        Failed
    );
}

#[test]
fn an_erased_entry_has_its_leaf_only() {
    let log = TestLog::of(&[1, 2, 3]);
    let mut erased = with_proof(&row(&log, 1), |proof| proof.extra = None);
    let public = public(&log, 1, &[1, 2, 3]);
    let shown = check(&erased, &public, &log.verifier(), &policy(&log));
    assert_eq!(
        states(&shown)[0],
        Failed,
        "fields are shown that nothing vouches for"
    );
    erased.record = None;
    let gone = check(&erased, &public, &log.verifier(), &policy(&log));
    assert_eq!(states(&gone), [Open, Done, Done, Done, Done]);
    // Without any proof nothing is right.
    erased.proof = None;
    let bare = check(&erased, &public, &log.verifier(), &policy(&log));
    assert_eq!(states(&bare)[..3], [Failed, Failed, Failed]);
}

/// A published log in memory.
struct Files {
    front: Front,
    read: Cell<usize>,
    spoilt: bool,
}

impl ReadTile for Files {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        self.read.set(self.read.get() + 1);
        let level = path.level().unwrap();
        let hash = |place: u64| {
            self.front
                .node(8 * u32::from(level), path.index() * 256 + place)
                .unwrap()
        };
        let mut bytes: Vec<u8> = (0..u64::from(path.width()))
            .flat_map(|place| hash(place).0)
            .collect();
        if self.spoilt {
            bytes.truncate(40);
        }
        Ok(Some(bytes))
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

#[test]
fn paths_from_files_are_those_of_the_tree() {
    let mut files = Files {
        front: Front::new(),
        read: Cell::new(0),
        spoilt: false,
    };
    for leaf in 0..1_000_u32 {
        files.front.push(leaf_hash(&leaf.to_be_bytes()));
        let size = files.front.size();
        if ![1, 2, 3, 255, 256, 257, 511, 512, 700, 1_000].contains(&size) {
            continue;
        }
        for index in [0, 1, size / 2, size - 1]
            .into_iter()
            .filter(|index| *index < size)
        {
            files.read.set(0);
            let path = Tree::new(&files, size).path(index).unwrap();
            assert_eq!(path, files.front.inclusion_proof(index), "{index} of {size}");
            assert!(
                files.read.get() <= 5,
                "each file is read once: {}",
                files.read.get()
            );
        }
    }
    files.spoilt = true;
    let spoilt = Tree::new(&files, 1_000).path(3).unwrap();
    assert_ne!(
        spoilt,
        files.front.inclusion_proof(3),
        "and does not end at the root"
    );
}
