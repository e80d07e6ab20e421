//! Whether an older signed head is the beginning of the log in the folder.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU8;

use hitmachine_audit::{Hash, Head, ReadTile, TilePath, node_hash, verify_consistency};

/// Hashes in a full tile (C2SP tlog-tiles).
const FULL: u64 = 256;

/// Where a head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the head of the folder, or its beginning.
    OnLog,
    /// Its root is not that of the log at its size, or the tiles cannot show that it is.
    OffLog,
    /// It has more entries than the folder: the copy is old, or the log was rolled back.
    Beyond,
}

/// The tree of a published log, below its signed head.
///
/// Nothing read here is taken on trust: a head counts as on the log only by a consistency proof
/// (RFC 9162 §2.1.4) that ends in the signed root, so it does not matter if the files change meanwhile.
pub(super) struct Tree<'a> {
    reader: &'a dyn ReadTile,
    head: Head,
    /// Exported proofs often share a head.
    known: HashMap<Head, Place>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(reader: &'a dyn ReadTile, head: Head) -> Self {
        Self {
            reader,
            head,
            known: HashMap::new(),
        }
    }

    /// Where a head that the log signed lies.
    pub(super) fn place(&mut self, head: Head) -> io::Result<Place> {
        if let Some(place) = self.known.get(&head) {
            return Ok(*place);
        }
        let place = self.find(head)?;
        self.known.insert(head, place);
        Ok(place)
    }

    fn find(&self, old: Head) -> io::Result<Place> {
        if old.size > self.head.size {
            return Ok(Place::Beyond);
        }
        let proof = self.consistency(old.size)?;
        let fits = |proof: Vec<Hash>| {
            verify_consistency(old.size, self.head.size, &old.root, &self.head.root, &proof)
        };
        Ok(if proof.is_some_and(fits) {
            Place::OnLog
        } else {
            Place::OffLog
        })
    }

    /// The leaf hash at this index; `None` if there is none.
    pub(super) fn leaf(&self, index: u64) -> io::Result<Option<Hash>> {
        self.node(0, index)
    }

    /// `PROOF(from, D[n])` of RFC 9162 §2.1.4.1; `None` if tiles are missing.
    fn consistency(&self, from: u64) -> io::Result<Option<Vec<Hash>>> {
        let (mut start, mut end, mut proof) = (0, self.head.size, Vec::new());
        if from == 0 || from == end {
            return Ok(Some(proof));
        }
        // Down to where the old tree ends. `start` moves only when the old tree reaches beyond the left half, which
        // is when the RFC's flag b turns false.
        while end != from {
            let middle = start + split(end - start);
            let sibling = if from <= middle {
                let right = self.range(middle, end)?;
                end = middle;
                right
            } else {
                let left = self.range(start, middle)?;
                start = middle;
                left
            };
            let Some(sibling) = sibling else { return Ok(None) };
            proof.push(sibling);
        }
        if start != 0 {
            let Some(old) = self.range(start, end)? else {
                return Ok(None);
            };
            proof.push(old);
        }
        proof.reverse();
        Ok(Some(proof))
    }

    /// `MTH(D[start:end])` of a range that begins where a subtree of its size may begin.
    fn range(&self, start: u64, end: u64) -> io::Result<Option<Hash>> {
        let width = end - start;
        if width.is_power_of_two() {
            return self.node(width.ilog2(), start / width);
        }
        let middle = start + split(width);
        let (left, right) = (self.range(start, middle)?, self.range(middle, end)?);
        Ok(left.zip(right).map(|(left, right)| node_hash(&left, &right)))
    }

    /// Root of subtree number `index` of `2^level` leaves, from the tile that holds it or its parts.
    fn node(&self, level: u32, index: u64) -> io::Result<Option<Hash>> {
        let (tile_level, within) = (level / 8, level % 8);
        // The hashes of the tile's level below this node.
        let (first, count) = (index << within, 1_usize << within);
        let items = self.head.size.checked_shr(8 * tile_level).unwrap_or(0);
        let number = first / FULL;
        let width = if number < items / FULL { 0 } else { items % FULL };
        let width = u8::try_from(width).ok().and_then(NonZeroU8::new);
        let tile = u8::try_from(tile_level).ok().and_then(|level| {
            Some((
                TilePath::tile(level, number, width)?,
                TilePath::tile(level, number, None)?,
            ))
        });
        let Some((tile, full)) = tile else { return Ok(None) };
        let bytes = match self.reader.read(&tile)? {
            // The log has grown meanwhile.
            None if tile.is_partial() => self.reader.read(&full)?,
            bytes => bytes,
        };
        let place = usize::try_from(first % FULL).unwrap_or(usize::MAX);
        let mut row: Vec<Hash> = bytes
            .unwrap_or_default()
            .chunks_exact(32)
            .skip(place)
            .take(count)
            .filter_map(Hash::from_slice)
            .collect();
        if row.len() < count {
            return Ok(None);
        }
        while let [_, _, ..] = row.as_slice() {
            let pairs = row.as_chunks::<2>().0.iter();
            row = pairs.map(|[left, right]| node_hash(left, right)).collect();
        }
        Ok(row.first().copied())
    }
}

/// The largest power of two below `width`, which is at least 2 (RFC 9162 §2.1.1).
fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
