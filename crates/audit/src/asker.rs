//! The asking node's duty before it shows an answer: check the receipt, and that the log only ever grew.
//!
//! For each request: [`SeenHeads::name`] the heads to send along; with the answer [`verify_receipt`], compare
//! the opened fields with the own request, [`SeenHeads::accept`] the head, store [`SeenHeads::encode`]
//! durably, [`CosignedHead::check`] what the witnesses say, show. After any error nothing is shown, and both
//! notes are kept as [`Evidence`](crate::Evidence).

mod fresh;

use std::collections::BTreeMap;

use crate::{
    checkpoint::Head,
    codec::Reader,
    fields::{FieldsError, Opening},
    hash::Hash,
    merkle::{verify_consistency, verify_inclusion},
    note::{LogVerifier, NoteError, Origin},
    receipt::ReceiptParts,
};

pub use fresh::{CosignedAge, CosignedHead, FreshError, MAX_AGE_S, MAX_AHEAD_S, WARN_AGE_S};

/// Most heads that are named in one request. Each costs a proof in the answer (about 0.7 kB and 3 µs on each side), and
/// each answer covers all that its request named, so a few are enough to keep the list short.
pub const MAX_NAMED: usize = 3;
/// Most heads that are held. See [`SeenHeads`].
pub const MAX_HELD: usize = 4_096;

/// Why an answer must not be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskerError {
    /// The pinned key is of another log than was asked.
    #[error("pinned key is of another log")]
    Origin,
    /// The checkpoint is not signed by the log.
    #[error("checkpoint is not the log's")]
    Note(#[from] NoteError),
    /// The opening cannot be read.
    #[error("receipt has no readable opening")]
    Opening(#[from] FieldsError),
    /// The opened entry is not at that place in the signed tree.
    #[error("entry is not in the signed tree")]
    Inclusion,
    /// The log is smaller than it was.
    #[error("log shrank from {seen} to {got} entries")]
    Rollback {
        /// Largest size sent with the request.
        seen: u64,
        /// Size of the answer.
        got: u64,
    },
    /// Two roots at one size: with both notes a complete proof of a fork.
    #[error("two roots at {size} entries")]
    Fork {
        /// The size.
        size: u64,
        /// The root seen before.
        held: Hash,
        /// The root in the answer.
        got: Hash,
    },
    /// No proof from a size sent with the request.
    #[error("no consistency proof from {from} entries")]
    NoProof {
        /// The size.
        from: u64,
    },
    /// The proof from a size sent with the request does not hold.
    #[error("consistency proof from {from} entries does not hold")]
    Consistency {
        /// The size.
        from: u64,
    },
    /// More than [`MAX_HELD`] heads wait for proofs.
    #[error("too many heads without proof")]
    TooManyHeads,
    /// Stored heads cannot be read.
    #[error("not encoded heads")]
    Encoding,
}

impl AskerError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Origin => "other_log",
            Self::Note(error) => error.code(),
            Self::Opening(error) => error.code(),
            Self::Inclusion => "inclusion",
            Self::Rollback { .. } => "rollback",
            Self::Fork { .. } => "fork",
            Self::NoProof { .. } => "no_consistency_proof",
            Self::Consistency { .. } => "consistency",
            Self::TooManyHeads => "too_many_heads",
            Self::Encoding => "heads_encoding",
        }
    }
}

impl AskerError {
    /// Whether the error is about the proof from this size.
    pub fn is_from(&self, size: u64) -> bool {
        matches!(self, Self::Consistency { from } if *from == size)
    }
}

/// A receipt whose signature and inclusion hold. Whether the entry says what was asked and answered, and
/// whether the head follows those seen before, is still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    head: Head,
    opening: Opening,
    leaf: Hash,
    leaf_index: u64,
}

impl VerifiedReceipt {
    /// The signed head, for [`SeenHeads::accept`].
    pub const fn head(&self) -> Head {
        self.head
    }

    /// What the log says.
    pub const fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The leaf hash of it.
    pub const fn leaf(&self) -> Hash {
        self.leaf
    }

    /// Where it says it.
    pub const fn leaf_index(&self) -> u64 {
        self.leaf_index
    }
}

/// Checks that the log called `origin` signed a head under which this payload is at this index.
///
/// # Errors
/// [`AskerError::Origin`], [`AskerError::Note`], [`AskerError::Opening`] (also for a control entry, which has
/// no opening), [`AskerError::Inclusion`].
pub fn verify_receipt(
    parts: &ReceiptParts,
    verifier: &LogVerifier,
    origin: &Origin,
) -> Result<VerifiedReceipt, AskerError> {
    if verifier.origin() != origin {
        return Err(AskerError::Origin);
    }
    let head = verifier.open(&parts.checkpoint)?.head();
    verify_entry(&parts.opening, parts.leaf_index, &parts.inclusion, head)
}

/// Checks that this opening is at this index under a head whose signature holds.
///
/// # Errors
/// [`AskerError::Opening`], [`AskerError::Inclusion`].
pub fn verify_entry(
    opening: &[u8],
    leaf_index: u64,
    inclusion: &[Hash],
    head: Head,
) -> Result<VerifiedReceipt, AskerError> {
    let opening = Opening::decode(opening)?;
    let leaf = opening.commitment().leaf_hash();
    if !verify_inclusion(&leaf, leaf_index, head.size, inclusion, &head.root) {
        return Err(AskerError::Inclusion);
    }
    Ok(VerifiedReceipt {
        head,
        opening,
        leaf,
        leaf_index,
    })
}

/// The heads of one log that one request names. Kept with the request until its answer comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named(Vec<Head>);

impl Named {
    /// The sizes to send, ascending.
    pub fn sizes(&self) -> Vec<u64> {
        self.0.iter().map(|head| head.size).collect()
    }
}

/// A head that is proven to follow the heads that a request named.
#[derive(Debug)]
pub struct Follows<'a> {
    named: &'a Named,
    head: Head,
}

/// Heads of one log that are not yet proven to be the beginning of a later one.
///
/// With one request at a time that is one head. Answers to parallel requests each prove only what their own
/// request named, so two of them may lie on different branches: sizes 150 and 170 that both follow 100 prove
/// nothing about each other. Both are held, in whatever order they came, until one later answer covers both;
/// on a fork none can.
///
/// A request names at most [`MAX_NAMED`] heads: the largest, so that a rollback shows at once, and of the
/// others those that were not named for longest, so that every head gets its turn however many requests are
/// under way. More than [`MAX_HELD`] are never held: an answer that would add one is refused until others
/// have been covered.
#[derive(Debug, Clone, Default)]
pub struct SeenHeads {
    heads: BTreeMap<u64, Held>,
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    root: Hash,
    /// Number of the request that named it last; 0 for none.
    named: u64,
}

impl PartialEq for SeenHeads {
    /// The same heads; when they were named does not matter.
    fn eq(&self, other: &Self) -> bool {
        self.heads().eq(other.heads())
    }
}

impl Eq for SeenHeads {}

impl SeenHeads {
    /// Nothing seen: the first head is believed if it is signed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The heads held, sizes ascending.
    pub fn heads(&self) -> impl Iterator<Item = Head> {
        self.heads.iter().map(|(size, held)| Head {
            size: *size,
            root: held.root,
        })
    }

    /// The heads that the next request names. Call it for each request.
    pub fn name(&mut self) -> Named {
        self.turn += 1;
        let mut order: Vec<(u64, u64)> = self
            .heads
            .iter()
            .map(|(size, held)| (held.named, *size))
            .collect();
        let largest = order.pop();
        order.sort_unstable();
        order.truncate(MAX_NAMED - 1);
        let mut sizes: Vec<u64> = order.into_iter().chain(largest).map(|(_, size)| size).collect();
        sizes.sort_unstable();
        let turn = self.turn;
        let name = |size: u64| {
            let held = self.heads.get_mut(&size)?;
            held.named = turn;
            Some(Head {
                size,
                root: held.root,
            })
        };
        Named(sizes.into_iter().filter_map(name).collect())
    }

    /// Whether one of the heads held has this size.
    pub fn holds(&self, size: u64) -> bool {
        self.heads.contains_key(&size)
    }

    /// Checks the head of an answer to the request that named `named`. Every named head must be proven to be the beginning
    /// of it, also one that another answer has covered meanwhile.
    ///
    /// # Errors
    /// [`AskerError::Rollback`], [`AskerError::Fork`], [`AskerError::NoProof`], [`AskerError::Consistency`],
    /// [`AskerError::TooManyHeads`].
    pub fn check<'a>(
        &self,
        named: &'a Named,
        head: Head,
        proofs: &[(u64, Vec<Hash>)],
    ) -> Result<Follows<'a>, AskerError> {
        if let Some(largest) = named.0.last().filter(|largest| largest.size > head.size) {
            return Err(AskerError::Rollback {
                seen: largest.size,
                got: head.size,
            });
        }
        // A head of this size that came meanwhile counts as well.
        let same_size = self.heads.get(&head.size).map(|held| Head {
            size: head.size,
            root: held.root,
        });
        for seen in named.0.iter().copied().chain(same_size) {
            covers(&head, &seen, proofs)?;
        }
        let covered = named.0.iter().filter(|seen| self.is_held(seen)).count();
        if same_size.is_none() && self.heads.len() - covered >= MAX_HELD {
            return Err(AskerError::TooManyHeads);
        }
        Ok(Follows { named, head })
    }

    /// Takes a head that was checked, in the place of those that it follows.
    pub fn take(&mut self, Follows { named, head }: Follows<'_>) {
        for seen in &named.0 {
            if self.is_held(seen) {
                self.heads.remove(&seen.size);
            }
        }
        let (root, named) = (head.root, 0);
        self.heads.insert(head.size, Held { root, named });
    }

    /// Takes the head of an answer, if it passes [`SeenHeads::check`]. On an error nothing changes.
    ///
    /// # Errors
    /// As [`SeenHeads::check`].
    pub fn accept(
        &mut self,
        named: &Named,
        head: Head,
        proofs: &[(u64, Vec<Hash>)],
    ) -> Result<(), AskerError> {
        let follows = self.check(named, head, proofs)?;
        self.take(follows);
        Ok(())
    }

    fn is_held(&self, head: &Head) -> bool {
        self.heads
            .get(&head.size)
            .is_some_and(|held| held.root == head.root)
    }

    /// For durable storage: `0x01 ‖ u32 count ‖ (u64 size ‖ root 32)*`, sizes ascending.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        // At most MAX_HELD.
        out.extend(u32::try_from(self.heads.len()).unwrap_or(u32::MAX).to_be_bytes());
        for head in self.heads() {
            out.extend(head.size.to_be_bytes());
            out.extend(head.root.0);
        }
        out
    }

    /// Reads what [`encode`](Self::encode) writes and nothing else.
    ///
    /// # Errors
    /// [`AskerError::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, AskerError> {
        let mut input = Reader::new(bytes);
        let mut read = || {
            if input.u8()? != VERSION {
                return None;
            }
            let count = usize::try_from(input.u32()?)
                .ok()
                .filter(|count| *count <= MAX_HELD)?;
            let mut heads: BTreeMap<u64, Held> = BTreeMap::new();
            for _ in 0..count {
                let (size, root) = (input.u64()?, Hash(input.array()?));
                if heads.last_key_value().is_some_and(|(last, _)| *last >= size) {
                    return None;
                }
                heads.insert(size, Held { root, named: 0 });
            }
            input.is_empty().then_some(Self { heads, turn: 0 })
        };
        read().ok_or(AskerError::Encoding)
    }
}

const VERSION: u8 = 1;

/// Checks that `seen` is the beginning of `head`.
fn covers(head: &Head, seen: &Head, proofs: &[(u64, Vec<Hash>)]) -> Result<(), AskerError> {
    if seen.size == head.size {
        let same = seen.root == head.root;
        let fork = AskerError::Fork {
            size: head.size,
            held: seen.root,
            got: head.root,
        };
        return if same { Ok(()) } else { Err(fork) };
    }
    let proof = proofs.iter().find(|(from, _)| *from == seen.size);
    let (from, proof) = proof.ok_or(AskerError::NoProof { from: seen.size })?;
    if verify_consistency(*from, head.size, &seen.root, &head.root, proof) {
        Ok(())
    } else {
        Err(AskerError::Consistency { from: *from })
    }
}

#[cfg(test)]
#[path = "asker_tests.rs"]
mod tests;
