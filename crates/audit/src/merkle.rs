//! The Merkle tree of RFC 6962 / RFC 9162 §2.1: proofs, their verification, and the tree in memory.

use crate::hash::{Hash, empty_root, node_hash};

/// True if `proof` shows that `leaf` is leaf number `index` (from 0) of the tree of `size` leaves with root
/// `root`. RFC 9162 §2.1.3.2.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size || proof.len() > 64 {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// True if `proof` shows that the tree of `old_size` leaves with root `old` is the beginning of the tree of
/// `new_size` leaves with root `new`. RFC 9162 §2.1.4.2; equal sizes need equal roots and an empty proof, and
/// the empty tree is the beginning of every tree.
pub fn verify_consistency(old_size: u64, new_size: u64, old: &Hash, new: &Hash, proof: &[Hash]) -> bool {
    if old_size > new_size || proof.len() > 65 {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old == new;
    }
    if old_size == 0 {
        return proof.is_empty() && *old == empty_root();
    }
    let mut rest = proof.iter();
    let (mut node, mut last) = (old_size - 1, new_size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = if old_size.is_power_of_two() {
        (*old, *old)
    } else {
        match rest.next() {
            Some(first) => (*first, *first),
            None => return false,
        }
    };
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old && new_hash == *new
}

/// The tree in memory: all nodes of all complete subtrees, so it can prove from any size without a disk.
///
/// Costs 64 bytes per entry (one leaf hash and, on average, one inner node) and is never trimmed in this
/// version: ten million entries take 640 MB.
#[derive(Debug, Clone, Default)]
pub struct Front {
    size: u64,
    /// `levels[l][i]` is the root of the complete subtree over leaves `i·2^l .. (i+1)·2^l`.
    levels: Vec<Vec<Hash>>,
}

impl Front {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf hash at index `size()`.
    pub fn push(&mut self, leaf: Hash) {
        let (mut hash, mut index, mut level) = (leaf, self.size, 0);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(hash);
            if index & 1 == 0 {
                break;
            }
            hash = node_hash(&nodes[nodes.len() - 2], &nodes[nodes.len() - 1]);
            index >>= 1;
            level += 1;
        }
        self.size += 1;
    }

    /// Root of the complete subtree number `index` (from 0) of `2^level` leaves; `None` if it is not complete
    /// yet.
    pub fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let nodes = self.levels.get(usize::try_from(level).ok()?)?;
        nodes.get(usize::try_from(index).ok()?).copied()
    }

    /// Root of the whole tree.
    pub fn root(&self) -> Hash {
        self.range(0, self.size).unwrap_or_else(empty_root)
    }

    /// Root of the tree as it was at `size` leaves; `None` beyond the current size.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        match size {
            0 => Some(empty_root()),
            _ => self.range(0, size),
        }
    }

    /// Inclusion proof of leaf `index` in the current tree: the sibling hashes from the leaf up
    /// (`PATH(m, D[n])`, RFC 9162 §2.1.3.1). `None` if there is no such leaf.
    pub fn inclusion_proof(&self, index: u64) -> Option<Vec<Hash>> {
        self.inclusion_proof_at(index, self.size)
    }

    /// As [`inclusion_proof`](Self::inclusion_proof), in the tree as it was at `size` leaves.
    pub fn inclusion_proof_at(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size {
            return None;
        }
        let mut proof = Vec::new();
        let (mut start, mut end) = (0, size);
        // From the root down; turned round at the end, since proofs run from the leaf up.
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// Proof that the tree of `from` leaves is the beginning of the current tree (`PROOF(m, D[n])`,
    /// RFC 9162 §2.1.4.1). Empty for `from` 0 and for the current size; `None` beyond it.
    pub fn consistency_proof(&self, from: u64) -> Option<Vec<Hash>> {
        self.consistency_proof_at(from, self.size)
    }

    /// As [`consistency_proof`](Self::consistency_proof), in the tree as it was at `size` leaves.
    pub fn consistency_proof_at(&self, from: u64, size: u64) -> Option<Vec<Hash>> {
        if from > size || size > self.size {
            return None;
        }
        let mut proof = Vec::new();
        if from == 0 || from == size {
            return Some(proof);
        }
        let (mut start, mut end) = (0, size);
        // SUBPROOF: walk down to where the old tree ends. `start` moves only when the old tree reaches beyond
        // the left half, which is the moment the RFC's flag b turns false.
        while end != from {
            let middle = start + split(end - start);
            if from <= middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
            }
        }
        if start != 0 {
            proof.push(self.range(start, end)?);
        }
        proof.reverse();
        Some(proof)
    }

    /// `MTH(D[start:end])` for a range that starts where a subtree of its size may start.
    fn range(&self, start: u64, end: u64) -> Option<Hash> {
        let width = end.checked_sub(start)?;
        if width == 0 || end > self.size {
            return None;
        }
        if width.is_power_of_two() {
            return self.node(width.ilog2(), start / width);
        }
        let middle = start + split(width);
        Some(node_hash(&self.range(start, middle)?, &self.range(middle, end)?))
    }
}

/// The largest power of two below `width` (RFC 9162 §2.1.1: `k < n <= 2k`); `width` is at least 2.
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// Only the right edge of a tree: enough for the next root, in 32 bytes per level. The committer keeps one
/// beside its [`Front`] and computes every root twice, from different memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    size: u64,
    /// Roots of the complete subtrees of the binary digits of `size`, largest first.
    peaks: Vec<Hash>,
}

impl Edge {
    /// The right edge of this tree.
    pub(crate) fn of(front: &Front) -> Option<Self> {
        let mut edge = Self {
            size: front.size,
            peaks: Vec::new(),
        };
        let mut start = 0;
        for level in (0..u64::BITS).rev().filter(|level| front.size >> level & 1 == 1) {
            edge.peaks.push(front.node(level, start >> level)?);
            start += 1 << level;
        }
        Some(edge)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    pub(crate) fn root(&self) -> Hash {
        let folded = self
            .peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(empty_root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    #[test]
    fn the_edge_has_the_roots_of_the_tree() {
        let (mut front, mut edge) = (Front::new(), Edge::default());
        for index in 0..600_u64 {
            assert_eq!(edge.root(), front.root(), "{index}");
            let taken = Edge::of(&front).unwrap();
            assert_eq!(
                (taken.size(), taken.peaks),
                (edge.size(), edge.peaks.clone()),
                "{index}"
            );
            let leaf = leaf_hash(&index.to_be_bytes());
            front.push(leaf);
            edge.push(leaf);
        }
    }
}
