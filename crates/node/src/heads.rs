//! What this node has seen of the hub's log: heads not yet proven to be the beginning of a later one, with the signed
//! notes they came in, and the newest checkpoint that a quorum of partners cosigned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_audit::{
    AskerError, CosignedHead, Evidence, Follows, FreshError, Hash, Head, Named, Policy, SeenHeads,
};
use hitmachine_store::DbError;

use crate::journal::JournalEntry;
use crate::state::{State, StateError, Write};

/// Names in the state.
const HEADS: &str = "heads";
const NOTES: &str = "head-notes";
const COSIGNED: &str = "cosigned";

/// The log heads this node holds, in memory and on disk.
pub(crate) struct Heads {
    policy: Policy,
    held: Mutex<Held>,
    /// The count of changes that is on disk; locked while writing, so that one write serves all that wait.
    written: tokio::sync::Mutex<u64>,
}

#[derive(Default)]
struct Held {
    seen: SeenHeads,
    /// The signed note of each head in `seen`, by size.
    notes: BTreeMap<u64, Arc<[u8]>>,
    cosigned: Option<HeldCosigned>,
    /// Own entries that are not on disk yet.
    journal: Vec<JournalEntry>,
    /// What else goes to disk with them.
    beside: Vec<Write>,
    changes: u64,
    /// Something was not written. What was lost is not known, so nothing is durable any more before a new start.
    failed: bool,
}

/// A checkpoint that a quorum cosigned, and its note. A request keeps the one it named: meanwhile a newer one may come,
/// which the answer knows nothing of.
#[derive(Clone, Debug)]
pub(crate) struct HeldCosigned {
    head: CosignedHead,
    note: Arc<[u8]>,
}

impl HeldCosigned {
    /// Size, and the time by which the quorum held.
    pub(crate) fn name(&self) -> (u64, u64) {
        (self.head.head().size, self.head.since_s())
    }
}

/// What an answer said about the log, to be accepted as a whole.
pub(crate) struct Offered<'a> {
    /// The answer's head, whose signature and inclusion proofs hold.
    pub(crate) head: Head,
    /// The signed note of it.
    pub(crate) note: &'a [u8],
    /// Consistency proofs from the heads named with the request.
    pub(crate) proofs: &'a [(u64, Vec<Hash>)],
    /// The cosigned checkpoint that the request named.
    pub(crate) own: Option<&'a HeldCosigned>,
    /// A newer one, as a signed note; empty if that one is to be used.
    pub(crate) cosigned: &'a [u8],
    /// Proof between the smaller and the larger of cosigned checkpoint and head.
    pub(crate) between: &'a [Hash],
    /// Whether the cosigned checkpoint must cover the head.
    pub(crate) strict: bool,
    /// Now, in seconds since 1970.
    pub(crate) now_s: u64,
}

/// Why an answer is not backed by partners as the policy asks. Nothing is shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackingError {
    /// Too old, not connected, without a quorum.
    #[error("{0}")]
    Fresh(#[from] FreshError),
    /// The purpose is strict and the quorum has not seen this entry.
    #[error("a quorum of partners has not cosigned this entry yet")]
    NotCovered,
}

impl Heads {
    pub(crate) fn load(state: &State, policy: Policy) -> Result<Self, StateError> {
        let mut held = Held::default();
        if let Some(bytes) = state.value(HEADS)? {
            held.seen = SeenHeads::decode(&bytes).map_err(|_| StateError::DoesNotOpen)?;
        }
        if let Some(bytes) = state.value(NOTES)? {
            held.notes = unpack(&bytes).ok_or(StateError::DoesNotOpen)?;
        }
        if let Some(note) = state.value(COSIGNED)? {
            // Under another policy than before it may not be a quorum any more.
            held.cosigned = CosignedHead::open(&policy, &note).ok().map(|head| HeldCosigned {
                head,
                note: note.into(),
            });
        }
        Ok(Self {
            policy,
            held: Mutex::new(held),
            written: tokio::sync::Mutex::new(0),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The witness policy.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The heads that the next request names.
    pub(crate) fn named(&self) -> Named {
        self.held().seen.name()
    }

    /// The cosigned checkpoint held, for a request to name.
    pub(crate) fn cosigned(&self) -> Option<HeldCosigned> {
        self.held().cosigned.clone()
    }

    /// Takes the head of an answer: the log only grew, and a quorum of partners saw it not long ago. The age of the
    /// cosigned checkpoint in seconds, if the policy asks for one. On an error nothing changes.
    pub(crate) fn accept(&self, named: &Named, offered: &Offered<'_>) -> Result<Option<u64>, AcceptError> {
        let mut held = self.held();
        // Forks first: they are worse than an age.
        let follows = held.seen.check(named, offered.head, offered.proofs)?;
        let newer =
            (!offered.cosigned.is_empty()).then(|| CosignedHead::open(&self.policy, offered.cosigned));
        let newer = newer.transpose().map_err(BackingError::from)?;
        let mut age = None;
        if self.policy.needed() != Some(0) {
            let own = offered.own.map(|own| (own.head, own.note.as_ref()));
            let (cosigned, note) = newer
                .map(|newer| (newer, offered.cosigned))
                .or(own)
                .ok_or(BackingError::Fresh(FreshError::NoQuorum))?;
            let max_age = hitmachine_audit::MAX_AGE_S;
            age = match cosigned.check(&offered.head, offered.between, offered.now_s, max_age) {
                Ok(checked) => Some(checked.age_s),
                // Not a matter of slow partners: the hub's answer and what they cosigned are two histories.
                Err(error @ (FreshError::Fork { .. } | FreshError::NotConnected { .. })) => {
                    let note = note.to_vec();
                    return Err(AcceptError::Branch { error, note });
                }
                Err(error) => return Err(BackingError::from(error).into()),
            };
            if offered.strict && cosigned.head().size < offered.head.size {
                return Err(BackingError::NotCovered.into());
            }
        }
        Self::hold(&mut held, follows, offered.head.size, offered.note);
        if let Some(newer) = newer {
            Self::keep(&mut held, newer, offered.cosigned);
        }
        Ok(age)
    }

    /// Takes the head of an officer's result: the log only grew. Cosignatures come with answers, and the next answer
    /// proves that it continues this head too. On an error nothing changes.
    pub(crate) fn accept_history(
        &self,
        named: &Named,
        head: Head,
        note: &[u8],
        proofs: &[(u64, Vec<Hash>)],
    ) -> Result<(), AskerError> {
        let mut held = self.held();
        let follows = held.seen.check(named, head, proofs)?;
        Self::hold(&mut held, follows, head.size, note);
        Ok(())
    }

    fn hold(held: &mut Held, follows: Follows<'_>, size: u64, note: &[u8]) {
        held.seen.take(follows);
        held.notes.insert(size, note.into());
        let seen = &held.seen;
        held.notes.retain(|size, _| seen.holds(*size));
        held.changes += 1;
    }

    /// Own entries of an accepted answer; the next [`Heads::persist`] writes them in the same commit.
    pub(crate) fn journal(&self, entries: impl IntoIterator<Item = JournalEntry>) {
        let mut held = self.held();
        held.journal.extend(entries);
        held.changes += 1;
    }

    /// Something else that the next [`Heads::persist`] makes durable in the same commit.
    pub(crate) fn beside(&self, write: Write) {
        let mut held = self.held();
        held.beside.push(write);
        held.changes += 1;
    }

    /// The heads held, sizes ascending, and the cosigned one.
    pub(crate) fn all(&self) -> Vec<Head> {
        let held = self.held();
        let cosigned = held.cosigned.as_ref().map(|cosigned| cosigned.head.head());
        let mut heads: Vec<Head> = held.seen.heads().chain(cosigned).collect();
        heads.sort_unstable_by_key(|head| head.size);
        heads
    }

    /// Takes a cosigned checkpoint that came by itself. Only its quorum is checked: it is compared with the log at
    /// the next answer.
    pub(crate) fn take_cosigned(&self, note: &[u8]) -> Result<(), FreshError> {
        let newer = CosignedHead::open(&self.policy, note)?;
        Self::keep(&mut self.held(), newer, note);
        Ok(())
    }

    fn keep(held: &mut Held, newer: CosignedHead, note: &[u8]) {
        let older = held.cosigned.as_ref().map_or(0, |held| held.head.since_s());
        if newer.since_s() > older {
            held.cosigned = Some(HeldCosigned {
                head: newer,
                note: note.into(),
            });
            held.changes += 1;
        }
    }

    /// Both notes of a contradiction, if one of the heads held has to do with it.
    pub(crate) fn evidence(
        &self,
        error: &AskerError,
        offered: &[u8],
        proof: Option<Vec<Hash>>,
    ) -> Option<Evidence> {
        let size = match error {
            AskerError::Fork { size, .. } => *size,
            AskerError::Rollback { seen, .. } => *seen,
            AskerError::NoProof { from } | AskerError::Consistency { from } => *from,
            _ => return None,
        };
        let note = self.held().notes.get(&size)?.to_vec();
        Evidence::new(note, offered.to_vec(), proof).ok()
    }

    /// The signed notes of all heads held.
    pub(crate) fn notes(&self) -> Vec<Vec<u8>> {
        self.held().notes.values().map(|note| note.to_vec()).collect()
    }

    /// The heads in words: size and root.
    pub(crate) fn describe(&self) -> String {
        let lines = self
            .held()
            .seen
            .heads()
            .map(|head| format!("{} {}\n", head.size, head.root))
            .collect::<Vec<_>>();
        lines.concat()
    }

    pub(crate) fn largest(&self) -> u64 {
        self.held().seen.heads().map(|head| head.size).max().unwrap_or(0)
    }

    /// Returns when everything accepted so far is durable.
    pub(crate) async fn persist(&self, state: &Arc<State>) -> Result<(), StateError> {
        let due = self.held().changes;
        let mut written = self.written.lock().await;
        if *written >= due {
            return Ok(());
        }
        if self.held().failed {
            return Err(DbError::Failed.into());
        }
        let (values, journal, beside, upto) = {
            let mut held = self.held();
            let mut values = vec![(HEADS, held.seen.encode()), (NOTES, pack(&held.notes))];
            if let Some(HeldCosigned { note, .. }) = &held.cosigned {
                values.push((COSIGNED, note.to_vec()));
            }
            let beside = std::mem::take(&mut held.beside);
            (values, std::mem::take(&mut held.journal), beside, held.changes)
        };
        let state = Arc::clone(state);
        let writing = move || state.set_values_and_more(&values, &journal, beside);
        let writing = tokio::task::spawn_blocking(writing).await;
        if let Err(error) = writing.map_err(|_| StateError::DoesNotOpen).flatten() {
            self.held().failed = true;
            return Err(error);
        }
        *written = upto;
        Ok(())
    }
}

/// Why an answer's head is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// The history does not fit: evidence.
    #[error("{0}")]
    History(#[from] AskerError),
    /// Too few partners, or too long ago.
    #[error("{0}")]
    Backing(#[from] BackingError),
    /// The answer is on another history than the one that partners cosigned: evidence.
    #[error("{error}")]
    Branch {
        /// In what way.
        error: FreshError,
        /// The cosigned note.
        note: Vec<u8>,
    },
}

/// `(u64 size ‖ u32 length ‖ note)*`.
pub(crate) fn pack(notes: &BTreeMap<u64, Arc<[u8]>>) -> Vec<u8> {
    let mut out = Vec::new();
    for (size, note) in notes {
        // A note is at most 64 KiB.
        let length = u32::try_from(note.len()).unwrap_or(u32::MAX);
        out.extend(size.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(note.iter());
    }
    out
}

pub(crate) fn unpack(mut bytes: &[u8]) -> Option<BTreeMap<u64, Arc<[u8]>>> {
    let mut notes = BTreeMap::new();
    while !bytes.is_empty() {
        let (size, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (note, rest) = rest.split_at_checked(length)?;
        notes.insert(u64::from_be_bytes(*size), note.into());
        bytes = rest;
    }
    Some(notes)
}

#[cfg(test)]
#[path = "heads_tests.rs"]
mod tests;
