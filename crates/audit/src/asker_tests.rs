//! Each check of the asker left out must be missed by somebody: one case for each.

use proptest::prelude::*;

use super::*;
use crate::{Checkpoint, FieldId, Fields, Front, LogSigner, Salt, empty_root, leaf_hash};

const ORIGIN: &str = "hitmachine.example/broker-a/audit/1";

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32])
}

fn opening(text: &str) -> Opening {
    let fields = Fields::new().with(FieldId::Ground, text).unwrap();
    Opening::new(Salt::from_bytes([1; 32]), Salt::from_bytes([2; 32]), fields)
}

/// A receipt for leaf 5 of 9.
fn parts() -> ReceiptParts {
    let mut front = Front::new();
    for index in 0..9_u8 {
        let leaf = leaf_hash(&[index]);
        front.push(if index == 5 {
            opening("ours").commitment().leaf_hash()
        } else {
            leaf
        });
    }
    let checkpoint = Checkpoint {
        origin: ORIGIN.parse().unwrap(),
        size: 9,
        root: front.root(),
    };
    ReceiptParts {
        opening: opening("ours").encode(),
        leaf_index: 5,
        inclusion: front.inclusion_proof(5).unwrap(),
        checkpoint: signer().sign(&checkpoint).unwrap(),
        consistency: Vec::new(),
    }
}

fn verify(parts: &ReceiptParts) -> Result<VerifiedReceipt, AskerError> {
    verify_receipt(parts, &signer().verifier(), &ORIGIN.parse().unwrap())
}

#[test]
fn a_good_receipt_is_verified() {
    let verified = verify(&parts()).unwrap();
    assert_eq!((verified.head().size, verified.leaf_index()), (9, 5));
    assert_eq!(*verified.opening(), opening("ours"));
}

type Change<'a> = &'a dyn Fn(&mut ReceiptParts);

#[test]
fn a_receipt_is_refused_for_each_reason() {
    let bit = |bytes: &mut Vec<u8>, place: usize| bytes[place] ^= 1;
    let cases: [(&str, Change<'_>, &str); 12] = [
        (
            "flipped signature",
            &|parts| {
                // A digit of the base64 well inside the signature.
                let place = parts.checkpoint.len() - 20;
                parts.checkpoint[place] = if parts.checkpoint[place] == b'A' {
                    b'B'
                } else {
                    b'A'
                };
            },
            "bad_signature",
        ),
        (
            "changed size",
            &|parts| {
                let text = String::from_utf8(parts.checkpoint.clone()).unwrap();
                parts.checkpoint = text.replace("\n9\n", "\n8\n").into_bytes();
            },
            "bad_signature",
        ),
        ("no note", &|parts| parts.checkpoint.clear(), "malformed"),
        ("changed salt", &|parts| bit(&mut parts.opening, 3), "inclusion"),
        ("changed value", &|parts| bit(&mut parts.opening, 70), "inclusion"),
        (
            "another opening",
            &|parts| parts.opening = opening("others").encode(),
            "inclusion",
        ),
        (
            "opening cut off",
            &|parts| parts.opening.truncate(60),
            "opening_encoding",
        ),
        (
            "control entry",
            &|parts| parts.opening = b"\x02{\"type\":\"policy\"}".to_vec(),
            "opening_encoding",
        ),
        ("wrong index", &|parts| parts.leaf_index = 4, "inclusion"),
        (
            "index beyond the tree",
            &|parts| parts.leaf_index = 9,
            "inclusion",
        ),
        (
            "missing path hash",
            &|parts| parts.inclusion.truncate(parts.inclusion.len() - 1),
            "inclusion",
        ),
        (
            "extra path hash",
            &|parts| parts.inclusion.push(Hash([0; 32])),
            "inclusion",
        ),
    ];
    for (what, change, code) in cases {
        let mut parts = parts();
        change(&mut parts);
        assert_eq!(verify(&parts).map_err(|error| error.code()), Err(code), "{what}");
    }
}

#[test]
fn the_key_and_the_origin_are_the_pinned_ones() {
    let origin: Origin = ORIGIN.parse().unwrap();
    let other_key = LogSigner::new(origin.clone(), &[8; 32]).verifier();
    let refused = verify_receipt(&parts(), &other_key, &origin);
    assert_eq!(refused, Err(AskerError::Note(NoteError::NotSigned)));
    // The same key under another origin signs another log.
    let next: Origin = "hitmachine.example/broker-a/audit/2".parse().unwrap();
    let next_key = LogSigner::new(next.clone(), &[7; 32]).verifier();
    assert_eq!(
        verify_receipt(&parts(), &next_key, &next),
        Err(AskerError::Note(NoteError::NotSigned))
    );
    // A pinned key that is not of the log that was asked.
    assert_eq!(
        verify_receipt(&parts(), &signer().verifier(), &next),
        Err(AskerError::Origin)
    );
}

/// One history of a log; branches share the first leaves.
struct Branch {
    front: Front,
    common: u64,
    name: u8,
}

impl Branch {
    fn new(name: u8, common: u64) -> Self {
        Self {
            front: Front::new(),
            common,
            name,
        }
    }

    fn head(&mut self, size: u64) -> Head {
        while self.front.size() < size {
            let index = self.front.size();
            let name = if index < self.common { 0 } else { self.name };
            self.front
                .push(leaf_hash(&[&[name], &index.to_be_bytes()[..]].concat()));
        }
        Head {
            size,
            root: self.front.root_at(size).unwrap(),
        }
    }

    /// An answer at `size` to a request that named these heads.
    fn answer(&mut self, size: u64, named: &Named) -> (Head, Vec<(u64, Vec<Hash>)>) {
        let head = self.head(size);
        let proof = |from: u64| Some((from, self.front.consistency_proof_at(from, size)?));
        (head, named.sizes().into_iter().filter_map(proof).collect())
    }
}

fn sizes(seen: &SeenHeads) -> Vec<u64> {
    seen.heads().map(|head| head.size).collect()
}

/// Has seen the log at this size.
fn seen_at(branch: &mut Branch, size: u64) -> SeenHeads {
    let mut seen = SeenHeads::new();
    let named = seen.name();
    assert_eq!(named.sizes(), Vec::<u64>::new());
    seen.accept(&named, branch.head(size), &[]).unwrap();
    seen
}

#[test]
fn one_after_the_other_holds_one_head() {
    let mut log = Branch::new(1, 0);
    let mut seen = SeenHeads::new();
    for size in [1, 2, 3, 100, 101, 170] {
        let named = seen.name();
        let (head, proofs) = log.answer(size, &named);
        seen.accept(&named, head, &proofs).unwrap();
        assert_eq!(sizes(&seen), [size]);
    }
    // The same head again, as an answer without a new entry might have.
    let named = seen.name();
    seen.accept(&named, log.head(170), &[]).unwrap();
    assert_eq!(sizes(&seen), [170]);
}

#[test]
fn heads_are_refused_for_each_reason_and_nothing_changes() {
    let mut log = Branch::new(1, 0);
    let mut fork = Branch::new(2, 50);
    let mut seen = seen_at(&mut log, 100);
    let before = seen.clone();
    let named = seen.name();
    let (head, proofs) = log.answer(150, &named);
    let held = log.head(100).root;

    let smaller = log.answer(99, &named);
    let refused = seen.accept(&named, smaller.0, &smaller.1);
    assert_eq!(refused, Err(AskerError::Rollback { seen: 100, got: 99 }));
    let other = fork.head(100);
    let refused = seen.accept(&named, other, &[]);
    assert_eq!(
        refused,
        Err(AskerError::Fork {
            size: 100,
            held,
            got: other.root
        })
    );
    assert_eq!(
        seen.accept(&named, head, &[]),
        Err(AskerError::NoProof { from: 100 })
    );
    let of_another_size = vec![(99, proofs[0].1.clone())];
    assert_eq!(
        seen.accept(&named, head, &of_another_size),
        Err(AskerError::NoProof { from: 100 })
    );
    let wrong = Err(AskerError::Consistency { from: 100 });
    for place in 0..proofs[0].1.len() {
        let mut proofs = proofs.clone();
        proofs[0].1[place].0[0] ^= 1;
        assert_eq!(seen.accept(&named, head, &proofs), wrong);
        proofs[0].1.remove(place);
        assert_eq!(seen.accept(&named, head, &proofs), wrong);
    }
    let mut longer = proofs.clone();
    longer[0].1.push(Hash([0; 32]));
    assert_eq!(seen.accept(&named, head, &longer), wrong);
    // The other branch proves from its own 100, not from ours.
    let forked = fork.answer(150, &named);
    assert_eq!(seen.accept(&named, forked.0, &forked.1), wrong);
    let empty = Head {
        size: 0,
        root: empty_root(),
    };
    assert_eq!(
        seen.accept(&named, empty, &[]),
        Err(AskerError::Rollback { seen: 100, got: 0 })
    );
    assert_eq!(seen, before, "a refused head leaves no trace");
    seen.accept(&named, head, &proofs).unwrap();
    assert_eq!(sizes(&seen), [150]);
}

/// Two parallel answers, 150 on one branch and 170 on another, both after 100: both pass, neither is
/// forgotten, and no later answer can cover both. In either order of arrival.
#[test]
fn a_fork_between_parallel_answers_shows_at_the_next() {
    for swap in [false, true] {
        let (mut x, mut y) = (Branch::new(1, 100), Branch::new(2, 100));
        let mut seen = seen_at(&mut x, 100);
        let (first, second) = (seen.name(), seen.name());
        let answers = [x.answer(150, &first), y.answer(170, &second)];
        let order = if swap { [1, 0] } else { [0, 1] };
        for which in order {
            let (head, proofs) = &answers[which];
            seen.accept(&first, *head, proofs).unwrap();
        }
        assert_eq!(sizes(&seen), [150, 170]);
        let named = seen.name();
        assert_eq!(named.sizes(), [150, 170]);
        let on_x = x.answer(200, &named);
        assert_eq!(
            seen.accept(&named, on_x.0, &on_x.1),
            Err(AskerError::Consistency { from: 170 })
        );
        let on_y = y.answer(200, &named);
        assert_eq!(
            seen.accept(&named, on_y.0, &on_y.1),
            Err(AskerError::Consistency { from: 150 })
        );
        let stored = SeenHeads::decode(&seen.encode()).unwrap();
        assert_eq!(sizes(&stored), [150, 170], "not forgotten by storing either");
    }
}

#[test]
fn parallel_answers_of_an_honest_log_settle_in_any_order() {
    let mut log = Branch::new(1, 0);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut seen = seen_at(&mut log, 100);
        let named = [seen.name(), seen.name(), seen.name()];
        let answers = [150, 160, 170].map(|size| log.answer(size, &named[0]));
        for which in order {
            let (head, proofs) = &answers[which];
            seen.accept(&named[which], *head, proofs).unwrap();
        }
        assert_eq!(sizes(&seen), [150, 160, 170]);
        // A head that came while the request was under way stays beside the new one.
        let before_last = seen.name();
        let (late, proofs) = log.answer(180, &named[0]);
        seen.accept(&named[0], late, &proofs).unwrap();
        let (head, proofs) = log.answer(190, &before_last);
        seen.accept(&before_last, head, &proofs).unwrap();
        assert_eq!(sizes(&seen), [180, 190]);
        let all = seen.name();
        let (head, proofs) = log.answer(200, &all);
        seen.accept(&all, head, &proofs).unwrap();
        assert_eq!(sizes(&seen), [200]);
    }
}

#[test]
fn a_head_of_the_same_size_that_came_meanwhile_must_have_the_same_root() {
    let (mut x, mut y) = (Branch::new(1, 100), Branch::new(2, 100));
    let mut seen = seen_at(&mut x, 100);
    let named = seen.name();
    let (head, proofs) = x.answer(150, &named);
    seen.accept(&named, head, &proofs).unwrap();
    seen.accept(&named, head, &proofs).unwrap();
    let (other, proofs) = y.answer(150, &named);
    let fork = AskerError::Fork {
        size: 150,
        held: head.root,
        got: other.root,
    };
    assert_eq!(seen.accept(&named, other, &proofs), Err(fork));
    assert_eq!(sizes(&seen), [150]);
}

/// An answer must prove what its request named, also if another answer has covered that meanwhile.
#[test]
fn an_overtaken_answer_must_still_prove_what_it_was_asked() {
    let mut log = Branch::new(1, 0);
    let mut seen = seen_at(&mut log, 100);
    let (first, second) = (seen.name(), seen.name());
    let (head, proofs) = log.answer(150, &first);
    seen.accept(&first, head, &proofs).unwrap();
    assert_eq!(
        seen.accept(&second, log.head(160), &[]),
        Err(AskerError::NoProof { from: 100 })
    );
    let rolled_back = log.answer(90, &second);
    let refused = seen.accept(&second, rolled_back.0, &rolled_back.1);
    assert_eq!(refused, Err(AskerError::Rollback { seen: 100, got: 90 }));
}

#[test]
fn many_heads_get_their_turn_and_have_a_limit() {
    let mut log = Branch::new(1, 0);
    let mut seen = SeenHeads::new();
    let nothing = seen.name();
    for size in 1..=200 {
        seen.accept(&nothing, log.head(size), &[]).unwrap();
    }
    let mut named_at_all = std::collections::BTreeSet::new();
    // Each request names the largest, and of the others as many as there is room for.
    let requests = 200_u64.div_ceil(MAX_NAMED as u64 - 1);
    for _ in 0..requests {
        let sizes = seen.name().sizes();
        assert_eq!(
            (sizes.len(), sizes.last()),
            (MAX_NAMED, Some(&200)),
            "the largest is always named"
        );
        assert!(sizes.is_sorted());
        named_at_all.extend(sizes);
    }
    assert_eq!(named_at_all.len(), 200, "all were named, each in its turn");
    for round in 0.. {
        let named = seen.name();
        let (head, proofs) = log.answer(201 + round, &named);
        seen.accept(&named, head, &proofs).unwrap();
        if sizes(&seen).len() == 1 {
            assert!(round <= requests, "{round}");
            break;
        }
    }
    let mut full = SeenHeads::new();
    for size in 1..=MAX_HELD as u64 {
        full.accept(
            &nothing,
            Head {
                size,
                root: Hash([1; 32]),
            },
            &[],
        )
        .unwrap();
    }
    let one_more = Head {
        size: MAX_HELD as u64 + 1,
        root: Hash([1; 32]),
    };
    assert_eq!(
        full.accept(&nothing, one_more, &[]),
        Err(AskerError::TooManyHeads)
    );
    assert_eq!(SeenHeads::decode(&full.encode()), Ok(full));
}

#[test]
fn stored_heads_have_one_form() {
    let mut log = Branch::new(1, 0);
    let mut seen = seen_at(&mut log, 3);
    let nothing = SeenHeads::new().name();
    seen.accept(&nothing, log.head(5), &[]).unwrap();
    let good = seen.encode();
    let (three, five) = (log.head(3).root, log.head(5).root);
    assert_eq!(
        hex::encode(&good),
        format!("01000000020000000000000003{three}0000000000000005{five}")
    );
    assert_eq!(SeenHeads::decode(&good), Ok(seen));
    assert_eq!(
        SeenHeads::decode(&SeenHeads::new().encode()),
        Ok(SeenHeads::new())
    );
    let refused = |what: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(SeenHeads::decode(&bytes), Err(AskerError::Encoding), "{what}");
    };
    refused("other version", &|bytes| bytes[0] = 2);
    refused("a byte more", &|bytes| bytes.push(0));
    refused("a byte less", &|bytes| bytes.truncate(bytes.len() - 1));
    refused("more than counted", &|bytes| bytes[4] = 1);
    refused("same size twice", &|bytes| bytes[52] = 3);
    refused("sizes descending", &|bytes| bytes[52] = 2);
    refused("huge count", &|bytes| bytes[1] = 0xff);
    refused("empty", &|bytes| bytes.clear());
}

proptest! {
    #[test]
    fn foreign_bytes_are_harmless(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "\\PC{0,40}\n[0-9]{0,3}\n\n\u{2014} \\PC{0,20}\n",
    ) {
        if let Ok(seen) = SeenHeads::decode(&bytes) {
            prop_assert_eq!(seen.encode(), bytes.clone());
        }
        let verifier = signer().verifier();
        prop_assert!(verifier.open(&bytes).is_err());
        prop_assert!(verifier.open(text.as_bytes()).is_err());
        prop_assert!(text.parse::<LogVerifier>().is_err());
        let mut parts = parts();
        parts.opening = bytes;
        prop_assert!(verify(&parts).is_err());
    }

    #[test]
    fn changed_notes_are_refused(place in 0..200_usize, byte in any::<u8>()) {
        let mut parts = parts();
        let place = place % parts.checkpoint.len();
        prop_assume!(parts.checkpoint[place] != byte);
        parts.checkpoint[place] = byte;
        prop_assert!(verify(&parts).is_err());
    }
}
