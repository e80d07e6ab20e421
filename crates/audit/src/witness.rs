//! A witness of logs (C2SP tlog-witness v1.0.0, `add-checkpoint`): cosigns a head only if it follows from the
//! last one it cosigned, and remembers it before it answers. No network: the caller carries bytes and
//! statuses, over HTTP or anything else.
//!
//! Per log one state is kept; its bytes are described in [`state`].

mod request;
mod state;

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
};

pub use self::request::AddCheckpoint;
use self::state::State;
use crate::{
    checkpoint::{Checkpoint, Head},
    cosignature::{MAX_TIME, WitnessSigner, WitnessVerifier},
    evidence::Evidence,
    hash::{Hash, empty_root},
    merkle::verify_consistency,
    note::{LogVerifier, NoteError, Origin, lines::SignedNote},
};

/// What a witness asks of durable storage: one small value per log. The caller makes sure that one witness at
/// a time uses it.
pub trait WitnessStore: Send + Sync {
    /// The value saved last for this log; `None` if there never was one.
    ///
    /// # Errors
    /// If it is not known whether there is a value, or what it is. Nothing is cosigned then.
    fn load(&self, origin: &Origin) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the value of this log as a whole. `Ok` means that it survives a power cut. After an error the
    /// value before or this one is there, whole.
    ///
    /// # Errors
    /// If it is not known to be durable. Nothing is cosigned then.
    fn save(&self, origin: &Origin, bytes: &[u8]) -> io::Result<()>;
}

/// Why a checkpoint was not cosigned.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is not an add-checkpoint request, or its text not a checkpoint of three lines.
    Malformed,
    /// The old size is above that of the checkpoint.
    Shrinks {
        /// In the request.
        old: u64,
        /// In the checkpoint.
        size: u64,
    },
    /// Not signed by a key that is trusted for this log, or a signature by such a key does not fit.
    Signature(NoteError),
    /// A log this witness does not know.
    UnknownLog,
    /// The old size is not that of the head cosigned last. The log may go on from the size named here; if it is
    /// one the log never had, the log was rolled back.
    Conflict {
        /// Size of the head held, 0 if there is none.
        held: u64,
        /// If the log signed another root at the size held.
        evidence: Option<Box<Evidence>>,
    },
    /// The checkpoint does not follow from the head held, or that was not shown.
    Inconsistent {
        /// Both notes and the proof offered, if there is a head to conflict with.
        evidence: Option<Box<Evidence>>,
    },
    /// The state could not be read or made durable. Nothing was cosigned.
    Store(io::Error),
    /// The clock says 0 or a time that cannot be cosigned.
    Clock,
}

impl Refusal {
    /// Status of the answer (tlog-witness, "add-checkpoint"). With 409 the answer's body is the size held, in
    /// decimal, and a newline.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed | Self::Shrinks { .. } => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent { .. } => 422,
            Self::Store(_) | Self::Clock => 500,
        }
    }

    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "request_malformed",
            Self::Shrinks { .. } => "old_size_above_new",
            Self::Signature(error) => error.code(),
            Self::UnknownLog => "unknown_log",
            Self::Conflict { .. } => "not_the_held_size",
            Self::Inconsistent { .. } => "inconsistent",
            Self::Store(_) => "witness_store",
            Self::Clock => "witness_clock",
        }
    }

    /// Proof or suspicion of a fork, to be kept and shown to the other partners.
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Conflict { evidence, .. } | Self::Inconsistent { evidence } => evidence.as_deref(),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not an add-checkpoint request"),
            Self::Shrinks { old, size } => write!(f, "old size {old} is above the new size {size}"),
            Self::Signature(_) => f.write_str("checkpoint is not signed by a trusted key"),
            Self::UnknownLog => f.write_str("unknown log"),
            Self::Conflict { held, .. } => write!(f, "the size cosigned last is {held}"),
            Self::Inconsistent { .. } => {
                f.write_str("checkpoint does not follow from the head cosigned last")
            }
            Self::Store(_) => f.write_str("state of the witness is not available"),
            Self::Clock => f.write_str("clock of the witness is not set"),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Signature(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

/// The head of a log that a witness holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHead {
    /// Size and root.
    pub head: Head,
    /// The text and the log's own signature, without the lines of others.
    pub note: Vec<u8>,
    /// Time of the last cosignature, or of one that was about to be made; seconds since 1970.
    pub time_s: u64,
}

/// A witness with its key, the logs it knows and what it remembers of them.
#[derive(Debug)]
pub struct Witness<S> {
    signer: WitnessSigner,
    logs: Vec<LogVerifier>,
    store: S,
    /// Held from the check until the state is durable. Without it two requests could both be checked against
    /// the old state, and the later save would take back what the earlier one promised.
    turn: Mutex<()>,
}

impl<S: WitnessStore> Witness<S> {
    /// A witness of these logs. Two keys of one origin are both trusted for it.
    pub fn new(signer: WitnessSigner, logs: Vec<LogVerifier>, store: S) -> Self {
        Self {
            signer,
            logs,
            store,
            turn: Mutex::new(()),
        }
    }

    /// The public half of its key.
    pub fn verifier(&self) -> WitnessVerifier {
        self.signer.verifier()
    }

    /// Answers one request: the body as it came, the time now in seconds since 1970. Returns the signature line
    /// to answer with, status 200.
    ///
    /// The times of one log's cosignatures never run backwards: while the clock is behind the last one, that
    /// time is used again.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was cosigned.
    pub fn add_checkpoint(&self, body: &[u8], time_s: u64) -> Result<Vec<u8>, Refusal> {
        let request = AddCheckpoint::parse(body)?;
        let note = SignedNote::parse(&request.checkpoint).map_err(|_| Refusal::Malformed)?;
        let (checkpoint, stripped) = self.open(&note)?;
        if request.old > checkpoint.size {
            return Err(Refusal::Shrinks {
                old: request.old,
                size: checkpoint.size,
            });
        }
        if !(1..=MAX_TIME).contains(&time_s) {
            return Err(Refusal::Clock);
        }
        // The state is in the store, whole, also after a panic of another thread.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.load(&checkpoint.origin).map_err(Refusal::Store)?;
        check(held.as_ref(), &checkpoint, &stripped, &request)?;
        let next = State {
            head: checkpoint.head(),
            note: stripped,
            time_s: held.map_or(time_s, |held| held.time_s.max(time_s)),
        };
        // Before the signature exists. Also when only the time is new: a restart must not take it back either.
        self.store
            .save(&checkpoint.origin, &next.encode())
            .map_err(Refusal::Store)?;
        let line = self.signer.cosign(&checkpoint, next.time_s);
        // The time was looked at above.
        line.map(String::into_bytes).map_err(|_| Refusal::Clock)
    }

    /// The head held of this log, for the log to compare itself with when it starts. It may be one larger than
    /// the last cosigned: remembered, but the power failed before the answer.
    ///
    /// # Errors
    /// If the store fails or holds something else than a state of this log.
    pub fn held(&self, origin: &Origin) -> io::Result<Option<HeldHead>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.load(origin)?;
        Ok(held.map(|State { head, note, time_s }| HeldHead { head, note, time_s }))
    }

    fn load(&self, origin: &Origin) -> io::Result<Option<State>> {
        let Some(bytes) = self.store.load(origin)? else {
            return Ok(None);
        };
        let state = State::decode(&bytes, origin);
        let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "not a state of this log's witness");
        state.map(Some).ok_or_else(unreadable)
    }

    /// The checkpoint, and the note without the lines of others.
    fn open(&self, note: &SignedNote<'_>) -> Result<(Checkpoint, Vec<u8>), Refusal> {
        // Not verified yet: only picks the keys to verify with.
        let origin = note.text.lines().next().unwrap_or_default();
        let keys: Vec<&LogVerifier> = self
            .logs
            .iter()
            .filter(|log| log.origin().as_str() == origin)
            .collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog);
        }
        let mut checkpoint = None;
        for key in &keys {
            // All of them: a bad signature by any trusted key spoils the note.
            if key.has_signed(note).map_err(Refusal::Signature)? {
                checkpoint = Some(key.open_parsed(note).map_err(|_| Refusal::Malformed)?);
            }
        }
        let checkpoint = checkpoint.ok_or(Refusal::Signature(NoteError::NotSigned))?;
        let own = note
            .lines
            .iter()
            .filter(|line| keys.iter().any(|key| key.is_author(line)));
        let stripped = SignedNote::write(note.text, own).map_err(|_| Refusal::Malformed)?;
        Ok((checkpoint, stripped))
    }
}

/// The checks against what is held, in the order of the standard.
fn check(
    held: Option<&State>,
    new: &Checkpoint,
    new_note: &[u8],
    request: &AddCheckpoint,
) -> Result<(), Refusal> {
    // Never cosigned is as the empty tree ("or zero if it never cosigned").
    let head = held.map_or_else(
        || Head {
            size: 0,
            root: empty_root(),
        },
        |held| held.head,
    );
    let two_roots = head.size == new.size && head.root != new.root;
    let evidence = |proof: Option<Vec<Hash>>| {
        let held = held?;
        let evidence = Evidence::new(held.note.clone(), new_note.to_vec(), proof);
        evidence.ok().map(Box::new)
    };
    if request.old != head.size {
        return Err(Refusal::Conflict {
            held: head.size,
            evidence: if two_roots { evidence(None) } else { None },
        });
    }
    if verify_consistency(head.size, new.size, &head.root, &new.root, &request.proof) {
        return Ok(());
    }
    let evidence = match (two_roots, head.size == new.size) {
        (true, _) => evidence(None),
        // The same head with a proof too much: wrong, but no conflict.
        (false, true) => None,
        (false, false) => evidence(Some(request.proof.clone())),
    };
    Err(Refusal::Inconsistent { evidence })
}

#[cfg(test)]
mod tests;
