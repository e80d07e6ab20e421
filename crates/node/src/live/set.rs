//! The set that a live partner answers from: the tokens of its own register, in memory, complete at one moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hitmachine_core::{Day, LiveStatus, Subject};
use hitmachine_pseudonym::{KeyEpoch, Token};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::epochs::{EpochRegister, Registers};
use crate::register::LocalRegister;
use crate::state::{StateError, SyncMark};

/// Where it is kept for which state of the register the set was complete.
const COMPLETE: &str = "live-complete";

/// One complete set. It is replaced as a whole, never changed.
pub(crate) struct LiveSet {
    complete_at: Timestamp,
    until: HashMap<Token, Day>,
}

impl LiveSet {
    pub(crate) fn new(register: &LocalRegister, complete_at: Timestamp) -> Self {
        let until = register
            .held()
            .map(|(token, until)| (token.clone(), until))
            .collect();
        Self { complete_at, until }
    }

    /// When it was complete.
    pub(crate) fn complete_at(&self) -> Timestamp {
        self.complete_at
    }

    /// Whether one of a person's tokens is in it. A registration that has expired answers no more.
    pub(crate) fn status(&self, subject: &Subject, today: Day) -> LiveStatus {
        // Every token is looked up, whatever the one before said.
        let hits = subject.tokens.iter().filter(|(_, token)| {
            let until = self.until.get(token);
            until.is_some_and(|until| *until >= today)
        });
        if hits.count() > 0 {
            LiveStatus::Known
        } else {
            LiveStatus::NotKnown
        }
    }
}

/// The set of each key epoch that this node registers in, and who wants to know when one changes.
pub(crate) struct LocalSet(watch::Sender<BTreeMap<KeyEpoch, Arc<LiveSet>>>);

impl LocalSet {
    /// The sets as they were last complete; none of an epoch if it never was, or the register has changed since in
    /// another way than by being read whole.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn load(registers: &Registers) -> Result<Self, StateError> {
        let mut sets = BTreeMap::new();
        for register in registers.all() {
            let mark = register.local.mark;
            let found = register.slot.note(COMPLETE)?.and_then(|bytes| {
                let at = Complete::decode(&bytes)?;
                (at.mark == (mark.generation, mark.acknowledged)).then_some(at)
            });
            if let Some(at) = found.and_then(|at| Timestamp::from_millisecond(at.at_ms).ok()) {
                let set = LiveSet::new(&register.local, at);
                sets.insert(register.keys.number, Arc::new(set));
            }
        }
        Ok(Self(watch::channel(sets).0))
    }

    /// What must be remembered in the register's slot for [`LocalSet::load`], before the register's mark is.
    pub(crate) fn remembered(mark: SyncMark, at: Timestamp) -> (&'static str, Vec<u8>) {
        let complete = Complete {
            mark: (mark.generation, mark.acknowledged),
            at_ms: at.as_millisecond(),
        };
        (COMPLETE, complete.encode())
    }

    /// The set of tokens of this epoch.
    pub(crate) fn get(&self, epoch: KeyEpoch) -> Option<Arc<LiveSet>> {
        self.0.borrow().get(&epoch).cloned()
    }

    /// When a set was last complete.
    pub(crate) fn complete_at(&self) -> Option<Timestamp> {
        self.0.borrow().values().map(|set| set.complete_at()).max()
    }

    /// Answers about tokens of this epoch from this one from now on.
    pub(crate) fn replace(&self, epoch: KeyEpoch, set: LiveSet) {
        self.0.send_modify(|sets| {
            sets.insert(epoch, Arc::new(set));
        });
    }

    /// Answers no more about tokens of an epoch that is over.
    pub(crate) fn forget(&self, epoch: KeyEpoch) {
        self.0.send_if_modified(|sets| sets.remove(&epoch).is_some());
    }

    /// There is no set any more: the register changes in another way than by being read whole.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn unset(&self, of: &EpochRegister) -> Result<(), StateError> {
        if of.slot.note(COMPLETE)?.is_some_and(|bytes| !bytes.is_empty()) {
            of.slot.set_note(COMPLETE, &[])?;
        }
        self.forget(of.keys.number);
        Ok(())
    }

    /// Hears of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<KeyEpoch, Arc<LiveSet>>> {
        self.0.subscribe()
    }
}

struct Complete {
    mark: (u32, u64),
    at_ms: i64,
}

impl Complete {
    /// `generation u32 ‖ acknowledged u64 ‖ time i64`, big-endian.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.mark.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.mark.1.to_be_bytes());
        bytes.extend_from_slice(&self.at_ms.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (generation, rest) = bytes.split_first_chunk()?;
        let (acknowledged, rest) = rest.split_first_chunk()?;
        Some(Self {
            mark: (u32::from_be_bytes(*generation), u64::from_be_bytes(*acknowledged)),
            at_ms: i64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}
