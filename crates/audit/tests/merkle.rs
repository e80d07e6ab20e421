//! Proofs against the literal recursion of the RFC and against an independent crate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use hitmachine_audit::{Front, Hash, empty_root, leaf_hash, node_hash, verify_consistency, verify_inclusion};
use sha2::Sha256;

const LIMIT: u64 = 70;

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&entry(index))).collect()
}

fn front(count: u64) -> Front {
    let mut front = Front::new();
    for leaf in leaves(count) {
        front.push(leaf);
    }
    front
}

/// RFC 9162 §2.1.1, word for word: k is the largest power of two smaller than n.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = k(leaves.len());
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

fn k(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// RFC 9162 §2.1.3.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = k(leaves.len());
    let (mut proof, sibling) = if m < k {
        (path(m, &leaves[..k]), mth(&leaves[k..]))
    } else {
        (path(m - k, &leaves[k..]), mth(&leaves[..k]))
    };
    proof.push(sibling);
    proof
}

/// RFC 9162 §2.1.4.1.
fn subproof(m: usize, leaves: &[Hash], b: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if b { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = k(leaves.len());
    let (mut proof, sibling) = if m <= k {
        (subproof(m, &leaves[..k], b), mth(&leaves[k..]))
    } else {
        (subproof(m - k, &leaves[k..], false), mth(&leaves[..k]))
    };
    proof.push(sibling);
    proof
}

/// The proof with one hash flipped, removed or added, in every place.
fn mutants(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut mutants = Vec::new();
    for place in 0..=proof.len() {
        let mut added = proof.to_vec();
        added.insert(place, Hash([7; 32]));
        mutants.push(added);
        if place < proof.len() {
            let mut flipped = proof.to_vec();
            flipped[place].0[place % 32] ^= 1 << (place % 8);
            let mut removed = proof.to_vec();
            removed.remove(place);
            mutants.extend([flipped, removed]);
        }
    }
    mutants
}

#[test]
fn inclusion_for_every_leaf_of_every_small_tree() {
    let whole = front(LIMIT);
    for size in 0..=LIMIT {
        let (front, leaves) = (front(size), leaves(size));
        let root = mth(&leaves);
        assert_eq!(front.root(), root, "{size}");
        assert_eq!(whole.root_at(size), Some(root), "{size}");
        assert_eq!(front.inclusion_proof(size), None);
        for index in 0..size {
            let at = usize::try_from(index).unwrap();
            let proof = front.inclusion_proof(index).unwrap();
            assert_eq!(proof, path(at, &leaves), "{index} of {size}");
            assert_eq!(whole.inclusion_proof_at(index, size).as_ref(), Some(&proof));
            assert!(verify_inclusion(&leaves[at], index, size, &proof, &root));
            for mutant in mutants(&proof) {
                assert!(
                    !verify_inclusion(&leaves[at], index, size, &mutant, &root),
                    "{index} of {size}"
                );
            }
            assert!(!verify_inclusion(&Hash([0; 32]), index, size, &proof, &root));
            assert!(!verify_inclusion(&leaves[at], size, size, &proof, &root));
            for other in (0..size).filter(|other| *other != index) {
                assert!(
                    !verify_inclusion(&leaves[at], other, size, &proof, &root),
                    "{index} as {other}"
                );
            }
        }
    }
    assert_eq!(whole.inclusion_proof_at(0, LIMIT + 1), None);
    assert!(!verify_inclusion(
        &Hash([0; 32]),
        0,
        u64::MAX,
        &[Hash([0; 32]); 65],
        &Hash([0; 32])
    ));
}

#[test]
fn consistency_for_every_pair_of_small_trees() {
    let all = leaves(LIMIT);
    let whole = front(LIMIT);
    let root = |size: u64| mth(&all[..usize::try_from(size).unwrap()]);
    for new in 0..=LIMIT {
        let front = front(new);
        assert_eq!(front.consistency_proof(new + 1), None);
        for old in 0..=new {
            let proof = front.consistency_proof(old).unwrap();
            if old > 0 {
                let leaves = &all[..usize::try_from(new).unwrap()];
                assert_eq!(
                    proof,
                    subproof(usize::try_from(old).unwrap(), leaves, true),
                    "{old} to {new}"
                );
            }
            assert_eq!(whole.consistency_proof_at(old, new).as_ref(), Some(&proof));
            let (old_root, new_root) = (root(old), root(new));
            assert!(
                verify_consistency(old, new, &old_root, &new_root, &proof),
                "{old} to {new}"
            );
            for mutant in mutants(&proof) {
                assert!(
                    !verify_consistency(old, new, &old_root, &new_root, &mutant),
                    "{old} to {new}"
                );
            }
            let wrong = Hash([1; 32]);
            assert!(
                !verify_consistency(old, new, &wrong, &new_root, &proof),
                "{old} to {new}"
            );
            assert!(
                old == 0 || !verify_consistency(old, new, &old_root, &wrong, &proof),
                "{old} to {new}"
            );
            assert!(old == new || !verify_consistency(new, old, &new_root, &old_root, &proof));
        }
    }
    assert_eq!(whole.consistency_proof_at(0, LIMIT + 1), None);
    assert_eq!(whole.root_at(LIMIT + 1), None);
}

#[test]
fn nodes_are_roots_of_complete_subtrees_only() {
    let (front, leaves) = (front(13), leaves(13));
    assert_eq!(front.node(0, 12), Some(leaves[12]));
    assert_eq!(front.node(2, 1), Some(mth(&leaves[4..8])));
    assert_eq!(front.node(3, 0), Some(mth(&leaves[..8])));
    for (level, index) in [
        (0, 13),
        (1, 6),
        (2, 3),
        (3, 1),
        (4, 0),
        (64, 0),
        (u32::MAX, u64::MAX),
    ] {
        assert_eq!(front.node(level, index), None, "{level} {index}");
    }
}

/// The same tree in `ct-merkle`, which shares no code with ours; sizes around the tile borders.
#[test]
fn an_independent_crate_agrees() {
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    let mut ours = Front::new();
    let stops = [1, 2, 3, 255, 256, 257, 1_000, 2_047, 2_049];
    let mut roots = Vec::new();
    for index in 0..=2_049_u64 {
        if stops.contains(&index) {
            let root = theirs.root();
            assert_eq!(ours.root().0.as_slice(), root.as_bytes().as_slice(), "{index}");
            for leaf in [0, index / 3, index / 2, index - 1] {
                let at = usize::try_from(leaf).unwrap();
                let proof: Vec<u8> = ours
                    .inclusion_proof(leaf)
                    .unwrap()
                    .iter()
                    .flat_map(|hash| hash.0)
                    .collect();
                assert_eq!(theirs.prove_inclusion(at).as_bytes(), proof, "{leaf} of {index}");
            }
            for (old, old_root) in &roots {
                let added = usize::try_from(index - old).unwrap();
                let proof = ours.consistency_proof(*old).unwrap();
                assert!(verify_consistency(*old, index, old_root, &ours.root(), &proof));
                let bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
                assert_eq!(
                    theirs.prove_consistency(added).as_bytes(),
                    bytes,
                    "{old} to {index}"
                );
            }
            roots.push((index, ours.root()));
        }
        theirs.push(entry(index).to_vec());
        ours.push(leaf_hash(&entry(index)));
    }
}
