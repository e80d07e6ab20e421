//! Checking one entry, step by step, with nothing taken on trust: its leaf from its own fields, the path to the root,
//! the log's signature, and that partners cosigned a tree that has this very leaf in it.
//!
//! Each step says what was worked out and what it should be, so that a person can follow it.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU8;

use hitmachine_audit::{
    Hash, LogVerifier, Opening, Policy, Processing, ReadTile, TilePath, TlogProof, leaf_hash, node_hash,
    verify_inclusion,
};

use super::page::RowView;
use super::published_head::PublishedHead;
use crate::failure::Failure;
use crate::node::Node;

/// First byte of the extra data of a control entry's proof.
const CONTROL: u8 = 0x02;
/// First byte of the extra data of a proof that holds group A alone.
const PROCESSING: u8 = 0x03;
/// Hashes in a full tile, and the levels of the tree that it spans.
const FULL: u64 = 256;
const LEVELS: u32 = 8;

/// What a check of one entry found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryCheck {
    /// The entry, from 0.
    pub index: u64,
    /// Its leaf.
    pub leaf: LeafStep,
    /// The way from the leaf to the root.
    pub path: PathStep,
    /// The log's signature.
    pub signature: SignatureStep,
    /// What partners cosigned.
    pub published: PublishedStep,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It is right.
    Done,
    /// It is wrong.
    Failed,
    /// It cannot be said yet, or not any more.
    Open,
}

/// The leaf hash, from what the entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafStep {
    /// Open for an erased entry: of that only the leaf hash is left.
    pub state: StepState,
    /// Worked out from the entry; empty if there is nothing to work it out from.
    pub computed: String,
    /// As the log has it.
    pub expected: String,
}

/// The way from the leaf to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// Whether it ends at the signed root.
    pub state: StepState,
    /// Each hash on the way.
    pub hops: Vec<Hop>,
    /// Where it ends.
    pub computed: String,
    /// The root that the log signed; empty if it signed none.
    pub expected: String,
}

/// One hash on the way to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The hash beside.
    pub sibling: String,
    /// Whether it stands on the left.
    pub left: bool,
    /// Both together.
    pub result: String,
}

/// The log's signature under the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureStep {
    /// Whether it is the log's.
    pub state: StepState,
    /// The log's name.
    pub origin: String,
    /// Entries that the checkpoint is about; 0 if it cannot be read.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// What partners cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedStep {
    /// Whether enough partners cosigned. Open if the hub has published nothing yet.
    pub quorum: StepState,
    /// Whether this very leaf is in the tree that they cosigned. Open if they have not come as far as this entry.
    pub included: StepState,
    /// The published checkpoint, if there is one that the log signed.
    pub head: Option<PublishedHead>,
}

impl EntryCheck {
    /// Whether no step failed.
    pub fn is_right(&self) -> bool {
        self.states().iter().all(|state| *state != StepState::Failed)
    }

    /// Whether every step was done: nothing failed and nothing is open.
    pub fn is_complete(&self) -> bool {
        self.states().iter().all(|state| *state == StepState::Done)
    }

    fn states(&self) -> [StepState; 5] {
        [
            self.leaf.state,
            self.path.state,
            self.signature.state,
            self.published.quorum,
            self.published.included,
        ]
    }
}

/// What the hub publishes: the note, and the path of the leaf in the tree of its checkpoint.
#[derive(Clone, Debug, Default)]
struct Public {
    note: Option<Vec<u8>>,
    path: Option<Vec<Hash>>,
}

impl Node {
    /// Checks an entry that was shown with its proof. Reads public files only, so it is no entry.
    ///
    /// # Errors
    /// [`Failure`] if the hub's published files cannot be read. What is wrong with the entry is no error but a step.
    pub async fn check_entry(&self, row: &RowView) -> Result<EntryCheck, Failure> {
        let (verifier, policy) = (
            self.inquirer.notes.verifier().clone(),
            self.inquirer.heads.policy().clone(),
        );
        let (index, of) = (row.log_index, verifier.clone());
        let public = self.with_hub(move |hub| public(hub, &of, index)).await?;
        Ok(check(row, &public, &verifier, &policy))
    }
}

fn public(files: &dyn ReadTile, verifier: &LogVerifier, index: u64) -> io::Result<Public> {
    let note = files.checkpoint()?;
    let size = note.as_ref().and_then(|note| verifier.open(note).ok());
    let size = size.map_or(0, |checkpoint| checkpoint.size);
    let path = if index < size {
        Tree::new(files, size).path(index)?
    } else {
        None
    };
    Ok(Public { note, path })
}

/// All steps, from the row, its proof and what is public.
fn check(row: &RowView, public: &Public, verifier: &LogVerifier, policy: &Policy) -> EntryCheck {
    let text = row.proof.as_ref().map(|proof| proof.tlog_proof.as_bytes());
    let proof = text.and_then(|text| TlogProof::parse(text).ok());
    let claimed = Hash::from_slice(&hex::decode(&row.leaf).unwrap_or_default());
    let (leaf_step, leaf) = leaf(row, proof.as_ref(), claimed);
    let note = proof
        .as_ref()
        .map_or(&[] as &[u8], |proof| proof.checkpoint.as_slice());
    let signed = verifier.open(note).ok();
    let mut path = PathStep {
        state: StepState::Failed,
        hops: Vec::new(),
        computed: String::new(),
        expected: signed
            .as_ref()
            .map_or_else(String::new, |signed| hex::encode(signed.root.as_bytes())),
    };
    if let (Some(proof), Some(leaf), Some(signed)) = (&proof, leaf, &signed) {
        path.hops = hops(leaf, proof.index, signed.size, &proof.path);
        let end = path.hops.last().map(|hop| hop.result.clone());
        path.computed = end.unwrap_or_else(|| hex::encode(leaf.as_bytes()));
        let included = verify_inclusion(&leaf, proof.index, signed.size, &proof.path, &signed.root);
        path.state = done(included && proof.index == row.log_index);
    }
    EntryCheck {
        index: row.log_index,
        leaf: leaf_step,
        path,
        signature: SignatureStep {
            state: done(signed.is_some()),
            origin: verifier.origin().as_str().to_owned(),
            size: signed.as_ref().map_or(0, |signed| signed.size),
            note: String::from_utf8_lossy(note).into_owned(),
        },
        published: published(row.log_index, leaf, public, verifier, policy),
    }
}

fn done(right: bool) -> StepState {
    if right { StepState::Done } else { StepState::Failed }
}

/// The leaf worked out from the proof's own data; with it the leaf that the other steps go on with.
fn leaf(row: &RowView, proof: Option<&TlogProof>, claimed: Option<Hash>) -> (LeafStep, Option<Hash>) {
    let mut step = LeafStep {
        state: StepState::Failed,
        computed: String::new(),
        expected: row.leaf.clone(),
    };
    let Some(proof) = proof else {
        return (step, claimed);
    };
    let Some(extra) = proof.extra.as_deref() else {
        // Erased: only whether its leaf is in the log can be worked out.
        if row.record.is_none() && row.control.is_none() {
            step.state = StepState::Open;
        }
        return (step, claimed);
    };
    let computed = match extra.split_first() {
        Some((&CONTROL, _)) => Some(leaf_hash(extra)),
        Some((&PROCESSING, part)) => Processing::decode(part).map(|part| part.commitment().leaf_hash()),
        _ => Opening::decode(extra)
            .ok()
            .map(|opening| opening.commitment().leaf_hash()),
    };
    step.computed = computed.map_or_else(String::new, |leaf| hex::encode(leaf.as_bytes()));
    step.state = done(computed.is_some() && computed == claimed);
    (step, computed)
}

/// The hashes on the way, as RFC 9162 §2.1.3.2 goes it.
fn hops(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Vec<Hop> {
    let (mut node, mut last, mut hash) = (index, size.saturating_sub(1), leaf);
    let mut hops = Vec::with_capacity(path.len());
    for sibling in path {
        let left = node & 1 == 1 || node == last;
        hash = if left {
            node_hash(sibling, &hash)
        } else {
            node_hash(&hash, sibling)
        };
        if left {
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        }
        node >>= 1;
        last >>= 1;
        hops.push(Hop {
            sibling: hex::encode(sibling.as_bytes()),
            left,
            result: hex::encode(hash.as_bytes()),
        });
    }
    hops
}

fn published(
    index: u64,
    leaf: Option<Hash>,
    public: &Public,
    verifier: &LogVerifier,
    policy: &Policy,
) -> PublishedStep {
    let Some(note) = &public.note else {
        return PublishedStep {
            quorum: StepState::Open,
            included: StepState::Open,
            head: None,
        };
    };
    let Some((checkpoint, head)) = PublishedHead::open(note, verifier, policy) else {
        return PublishedStep {
            quorum: StepState::Failed,
            included: StepState::Failed,
            head: None,
        };
    };
    let included = if checkpoint.size <= index {
        StepState::Open
    } else {
        let proven = leaf.zip(public.path.as_ref());
        done(proven.is_some_and(|(leaf, path)| {
            verify_inclusion(&leaf, index, checkpoint.size, path, &checkpoint.root)
        }))
    };
    PublishedStep {
        quorum: done(head.holds),
        included,
        head: Some(head),
    }
}

/// A published tree of so many leaves. What its files say is not trusted: a path that is wrong does not end at the root.
struct Tree<'a> {
    files: &'a dyn ReadTile,
    size: u64,
    read: BTreeMap<(u8, u64), Option<Vec<u8>>>,
}

impl<'a> Tree<'a> {
    fn new(files: &'a dyn ReadTile, size: u64) -> Self {
        let read = BTreeMap::new();
        Self { files, size, read }
    }

    /// The hashes beside the way from a leaf to the root, the lowest first (RFC 9162 §2.1.3.1); `None` if a file is
    /// missing.
    fn path(&mut self, index: u64) -> io::Result<Option<Vec<Hash>>> {
        let (mut start, mut end) = (0, self.size);
        let mut path = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            let beside = if index < middle {
                let right = self.root(middle, end)?;
                end = middle;
                right
            } else {
                let left = self.root(start, middle)?;
                start = middle;
                left
            };
            let Some(beside) = beside else { return Ok(None) };
            path.push(beside);
        }
        path.reverse();
        Ok(Some(path))
    }

    /// Root of the leaves from `start` up to `end`, where `start` is where a subtree of that size begins.
    fn root(&mut self, start: u64, end: u64) -> io::Result<Option<Hash>> {
        let leaves = end - start;
        if leaves.is_power_of_two() {
            return self.complete(leaves.trailing_zeros(), start / leaves);
        }
        let middle = start + split(leaves);
        let left = self.root(start, middle)?;
        let right = self.root(middle, end)?;
        Ok(left.zip(right).map(|(left, right)| node_hash(&left, &right)))
    }

    /// Root of the complete subtree number `place` of `2^level` leaves: of the hashes of one tile that are under it.
    fn complete(&mut self, level: u32, place: u64) -> io::Result<Option<Hash>> {
        let Ok(row) = u8::try_from(level / LEVELS) else {
            return Ok(None);
        };
        let many = 1_u64 << (level % LEVELS);
        let first = place.saturating_mul(many);
        let Some(tile) = self.tile(row, first / FULL)? else {
            return Ok(None);
        };
        let from = usize::try_from(first % FULL * 32).unwrap_or(usize::MAX);
        let to = usize::try_from((first % FULL + many) * 32).unwrap_or(usize::MAX);
        let bytes = tile.get(from..to).unwrap_or_default();
        let mut hashes: Vec<Hash> = bytes.chunks(32).filter_map(Hash::from_slice).collect();
        while hashes.len() > 1 {
            let pairs = hashes.chunks(2);
            let joined = pairs.filter_map(|pair| Some(node_hash(pair.first()?, pair.last()?)));
            hashes = joined.collect();
        }
        Ok(hashes.pop())
    }

    fn tile(&mut self, row: u8, number: u64) -> io::Result<Option<&Vec<u8>>> {
        let (files, size) = (self.files, self.size);
        let tile = match self.read.entry((row, number)) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(none) => {
                let items = size.checked_shr(LEVELS * u32::from(row)).unwrap_or(0);
                let width = if number < items / FULL { 0 } else { items % FULL };
                let width = u8::try_from(width).ok().and_then(NonZeroU8::new);
                let path = TilePath::tile(row, number, width);
                none.insert(path.map(|path| files.read(&path)).transpose()?.flatten())
            }
        };
        Ok(tile.as_ref())
    }
}

/// The largest power of two below `leaves`, which are more than one.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
