//! The set that a live partner answers from: the tokens of its own register, in memory, complete at one moment.

use std::collections::HashMap;
use std::sync::Arc;

use hitmachine_core::{Day, LiveStatus, Subject};
use hitmachine_pseudonym::Token;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::register::LocalRegister;
use crate::state::{State, StateError};

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

/// The set in use, and who wants to know when it changes.
pub(crate) struct LocalSet(watch::Sender<Option<Arc<LiveSet>>>);

impl LocalSet {
    /// The set as it was last complete; none if it never was, or the register has changed since in another way than by
    /// being read whole.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn load(state: &State, register: &LocalRegister) -> Result<Self, StateError> {
        let found = state.value(COMPLETE)?.and_then(|bytes| {
            let at = Complete::decode(&bytes)?;
            (at.mark == (register.mark.generation, register.mark.acknowledged)).then_some(at)
        });
        let complete_at = found.and_then(|at| Timestamp::from_millisecond(at.at_ms).ok());
        let set = complete_at.map(|at| Arc::new(LiveSet::new(register, at)));
        Ok(Self(watch::channel(set).0))
    }

    /// What must be remembered for [`LocalSet::load`], before the register's mark is.
    pub(crate) fn remembered(generation: u32, acknowledged: u64, at: Timestamp) -> (&'static str, Vec<u8>) {
        let complete = Complete {
            mark: (generation, acknowledged),
            at_ms: at.as_millisecond(),
        };
        (COMPLETE, complete.encode())
    }

    /// The set in use.
    pub(crate) fn get(&self) -> Option<Arc<LiveSet>> {
        self.0.borrow().clone()
    }

    /// When the set in use was complete.
    pub(crate) fn complete_at(&self) -> Option<Timestamp> {
        self.0.borrow().as_ref().map(|set| set.complete_at())
    }

    /// Answers from this one from now on.
    pub(crate) fn replace(&self, set: LiveSet) {
        self.0.send_replace(Some(Arc::new(set)));
    }

    /// Hears of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<LiveSet>>> {
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
