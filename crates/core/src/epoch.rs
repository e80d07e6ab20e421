//! The change of key epoch: which epochs there are, what each may do, and when one may follow another.
//!
//! ```text
//! PREPARED ──fill──▶ FILLING ──switch──▶ ACTIVE ──(the next one switches)──▶ DRAINING ──retire──▶ RETIRED
//!     └────────────────┴── abandon ──────────────────────────────────────────────────────────────────▶
//! ```
//!
//! Pure: the broker writes an [`EpochChange`] to the audit log first and applies it after that, so that [`Epochs`] can
//! always be folded from the log again. There is always exactly one active epoch, and at most two hold data.

use hitmachine_pseudonym::{KeyCheckValue, KeyEpoch, Scheme};
use jiff::{SignedDuration, Timestamp};

use crate::covenant::{Answers, Covenant, Partner};
use crate::ids::PartnerId;

/// Where a key epoch is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EpochState {
    /// Keys are made and handed out; nothing is registered yet.
    Prepared,
    /// Partners register everybody again; nobody asks in it yet.
    Filling,
    /// Questions are asked and registers kept in it.
    Active,
    /// Replaced: questions of nodes that were off are still answered, nothing is registered.
    Draining,
    /// Over: its tags are gone and nothing is answered.
    Retired,
}

impl EpochState {
    /// All, in the order of a life.
    pub const ALL: [Self; 5] = [
        Self::Prepared,
        Self::Filling,
        Self::Active,
        Self::Draining,
        Self::Retired,
    ];

    /// The word on the wire and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Filling => "filling",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }

    /// The state with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether questions with tokens of such an epoch are answered.
    pub fn answers(self) -> bool {
        matches!(self, Self::Active | Self::Draining)
    }

    /// Whether registers of such an epoch are changed.
    pub fn registers(self) -> bool {
        matches!(self, Self::Active | Self::Filling)
    }

    /// Whether the broker holds data of such an epoch.
    pub fn holds_data(self) -> bool {
        self.answers() || self.registers()
    }
}

/// What is public about the keys of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochKeys {
    /// Its number.
    pub number: KeyEpoch,
    /// How tokens are made.
    pub scheme: Scheme,
    /// Tells whether a node has the right key.
    pub key_check_value: KeyCheckValue,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// What is public about its keys.
    pub keys: EpochKeys,
    /// Where it is.
    pub state: EpochState,
    /// Since when; the smallest time for the first epoch.
    pub since: Timestamp,
    /// Partners that were left behind when it became active: until each completes a sync after that, it reads "could
    /// not be asked".
    pub without: Vec<PartnerId>,
}

/// One step, as the log has it: what it says about one epoch. An epoch that becomes active makes the one before it
/// drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochChange {
    /// Of which epoch.
    pub keys: EpochKeys,
    /// What it is now.
    pub state: EpochState,
    /// When.
    pub time: Timestamp,
    /// Partners left behind; only when it becomes active.
    pub without: Vec<PartnerId>,
}

/// Why an epoch does not change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EpochError {
    /// One change at a time.
    #[error("key epoch {number} is {state}; finish that change first", state = .state.as_str())]
    UnderWay {
        /// The epoch that is not done.
        number: KeyEpoch,
        /// What it is.
        state: EpochState,
    },
    /// Numbers only rise, and are never used again.
    #[error("the next key epoch needs a number higher than {0}")]
    Number(KeyEpoch),
    /// A new epoch with the key of an old one.
    #[error("the next key epoch has the key of an earlier one")]
    SameKey,
    /// There is no epoch in the state that this step starts from.
    #[error("no key epoch is {state}", state = .0.as_str())]
    None(EpochState),
    /// Partners that would be lost.
    #[error("not ready: {}", list(.0))]
    NotReady(Vec<PartnerId>),
    /// A partner to be left behind that the covenant does not have.
    #[error("the covenant has no partner {0}")]
    UnknownPartner(PartnerId),
    /// The time for nodes that were off has not passed.
    #[error("questions in the old key epoch are answered until {0}")]
    StillDraining(Timestamp),
    /// The log tells of a step that the rules do not know.
    #[error("the log tells of a change of key epoch that cannot be")]
    History,
}

fn list(partners: &[PartnerId]) -> String {
    let names: Vec<&str> = partners.iter().map(PartnerId::as_str).collect();
    names.join(", ")
}

impl EpochError {
    /// Stable code for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnderWay { .. } => "epoch_under_way",
            Self::Number(_) => "epoch_number",
            Self::SameKey => "epoch_same_key",
            Self::None(_) => "epoch_state",
            Self::NotReady(_) => "epoch_not_ready",
            Self::UnknownPartner(_) => "unknown_partner",
            Self::StillDraining(_) => "epoch_draining",
            Self::History => "epoch_history",
        }
    }
}

/// All key epochs that the log knows of, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    rows: Vec<Epoch>,
}

impl Epochs {
    /// With a first epoch, which is active.
    pub fn first(keys: EpochKeys) -> Self {
        Self {
            rows: vec![Epoch {
                keys,
                state: EpochState::Active,
                since: Timestamp::MIN,
                without: Vec::new(),
            }],
        }
    }

    /// Folds what the log says; a log that says nothing has `configured` as its first epoch.
    ///
    /// # Errors
    /// [`EpochError::History`].
    pub fn restore(
        configured: EpochKeys,
        changes: impl IntoIterator<Item = EpochChange>,
    ) -> Result<Self, EpochError> {
        let mut changes = changes.into_iter().peekable();
        let mut epochs = match changes.next_if(|first| first.state == EpochState::Active) {
            Some(first) => Self::first(first.keys),
            None => Self::first(configured),
        };
        for change in changes {
            epochs.apply(&change)?;
        }
        Ok(epochs)
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Epoch] {
        &self.rows
    }

    /// One of them.
    pub fn get(&self, number: KeyEpoch) -> Option<&Epoch> {
        self.rows.iter().find(|row| row.keys.number == number)
    }

    /// The first that there was.
    pub fn is_first(&self, number: KeyEpoch) -> bool {
        self.rows.first().is_some_and(|row| row.keys.number == number)
    }

    fn in_state(&self, states: &[EpochState]) -> Option<&Epoch> {
        self.rows.iter().find(|row| states.contains(&row.state))
    }

    /// The one in use. There always is one: `None` cannot happen.
    pub fn active(&self) -> Option<&Epoch> {
        self.in_state(&[EpochState::Active])
    }

    /// The one being prepared or filled.
    pub fn next(&self) -> Option<&Epoch> {
        self.in_state(&[EpochState::Prepared, EpochState::Filling])
    }

    fn require(&self, state: EpochState) -> Result<&Epoch, EpochError> {
        self.in_state(&[state]).ok_or(EpochError::None(state))
    }

    fn change(epoch: &Epoch, state: EpochState, time: Timestamp) -> EpochChange {
        EpochChange {
            keys: epoch.keys.clone(),
            state,
            time,
            without: Vec::new(),
        }
    }

    /// A new epoch.
    ///
    /// # Errors
    /// [`EpochError`] if a change is under way, or number or key were used before.
    pub fn prepare(&self, keys: EpochKeys, time: Timestamp) -> Result<EpochChange, EpochError> {
        let open = [EpochState::Prepared, EpochState::Filling, EpochState::Draining];
        if let Some(row) = self.in_state(&open) {
            return Err(EpochError::UnderWay {
                number: row.keys.number,
                state: row.state,
            });
        }
        if let Some(newest) = self.rows.iter().map(|row| row.keys.number).max()
            && keys.number <= newest
        {
            return Err(EpochError::Number(newest));
        }
        if self
            .rows
            .iter()
            .any(|row| row.keys.key_check_value == keys.key_check_value)
        {
            return Err(EpochError::SameKey);
        }
        Ok(EpochChange {
            keys,
            state: EpochState::Prepared,
            time,
            without: Vec::new(),
        })
    }

    /// Partners may register in the prepared epoch.
    ///
    /// # Errors
    /// [`EpochError::None`].
    pub fn fill(&self, time: Timestamp) -> Result<EpochChange, EpochError> {
        let row = self.require(EpochState::Prepared)?;
        Ok(Self::change(row, EpochState::Filling, time))
    }

    /// Questions go to the filled epoch from now on. Every partner in `readiness` must be ready or be named in
    /// `without`.
    ///
    /// # Errors
    /// [`EpochError::NotReady`] names those that are not; [`EpochError::None`], [`EpochError::UnknownPartner`].
    pub fn switch(
        &self,
        readiness: &[Readiness],
        without: &[PartnerId],
        time: Timestamp,
    ) -> Result<EpochChange, EpochError> {
        let row = self.require(EpochState::Filling)?;
        let unknown = |id: &&PartnerId| readiness.iter().all(|partner| partner.partner != **id);
        if let Some(unknown) = without.iter().find(unknown) {
            return Err(EpochError::UnknownPartner(unknown.clone()));
        }
        let late = readiness.iter().filter(|partner| !partner.is_ready());
        let (left, missed): (Vec<PartnerId>, Vec<PartnerId>) = late
            .map(|partner| partner.partner.clone())
            .partition(|id| without.contains(id));
        if !missed.is_empty() {
            return Err(EpochError::NotReady(missed));
        }
        Ok(EpochChange {
            without: left,
            ..Self::change(row, EpochState::Active, time)
        })
    }

    /// Nothing is answered in the draining epoch any more, and its tags go. Unless `early`, it must have drained for
    /// `drain_hours`.
    ///
    /// # Errors
    /// [`EpochError::None`], [`EpochError::StillDraining`].
    pub fn retire(&self, time: Timestamp, drain_hours: u32, early: bool) -> Result<EpochChange, EpochError> {
        let row = self.require(EpochState::Draining)?;
        let drained = SignedDuration::from_hours(drain_hours.into());
        let until = row.since.checked_add(drained).unwrap_or(Timestamp::MAX);
        if !early && time < until {
            return Err(EpochError::StillDraining(until));
        }
        Ok(Self::change(row, EpochState::Retired, time))
    }

    /// Gives up an epoch that nobody asks in yet.
    ///
    /// # Errors
    /// [`EpochError::None`].
    pub fn abandon(&self, time: Timestamp) -> Result<EpochChange, EpochError> {
        let row = self.next().ok_or(EpochError::None(EpochState::Prepared))?;
        Ok(Self::change(row, EpochState::Retired, time))
    }

    /// Makes memory follow a step that the log has.
    ///
    /// # Errors
    /// [`EpochError::History`] for a step that the rules do not know; nothing has changed then.
    pub fn apply(&mut self, change: &EpochChange) -> Result<(), EpochError> {
        let place = self.rows.iter().position(|row| row.keys == change.keys);
        let before = place.and_then(|place| self.rows.get(place)).map(|row| row.state);
        match (before, change.state) {
            (None, EpochState::Prepared) => {
                self.prepare(change.keys.clone(), change.time)
                    .map_err(|_| EpochError::History)?;
                self.rows.push(Epoch {
                    keys: change.keys.clone(),
                    state: EpochState::Prepared,
                    since: change.time,
                    without: Vec::new(),
                });
                return Ok(());
            }
            (Some(EpochState::Prepared), EpochState::Filling | EpochState::Retired)
            | (Some(EpochState::Filling), EpochState::Active | EpochState::Retired)
            | (Some(EpochState::Draining), EpochState::Retired) => {}
            _ => return Err(EpochError::History),
        }
        if change.state == EpochState::Active
            && let Some(old) = self.rows.iter_mut().find(|row| row.state == EpochState::Active)
        {
            old.state = EpochState::Draining;
            old.since = change.time;
        }
        if let Some(row) = place.and_then(|place| self.rows.get_mut(place)) {
            row.state = change.state;
            row.since = change.time;
            row.without.clone_from(&change.without);
        }
        Ok(())
    }
}

/// What the broker has heard about a partner's key of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeld {
    /// Its node has not said that it has the key.
    NotSaid,
    /// It has it.
    Right,
    /// It has another one under this number: it would find nobody.
    Wrong,
}

/// One partner's register in one epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Registrations.
    pub count: u64,
    /// When both sides last agreed on it.
    pub complete_at: Option<Timestamp>,
    /// Whether it has changed since: a sync is under way, or was cut short.
    pub pending: bool,
}

/// How far one partner is with the next epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Who.
    pub partner: PartnerId,
    /// Whether it keeps a register at the broker; the others need the key alone.
    pub registers: bool,
    /// Its key of the next epoch.
    pub key: KeyHeld,
    /// Its register in the epoch in use.
    pub present: Filled,
    /// Its register in the next epoch.
    pub next: Filled,
}

impl Readiness {
    /// Who must be ready: every partner of the covenant, each with what it takes part with.
    pub fn keeps_register(partner: &Partner) -> bool {
        partner.answers == Answers::Index && !partner.registers.is_empty()
    }

    /// Whether nothing of this partner is lost by asking in the next epoch: its register there is complete, and was
    /// completed after the one in use was last completed, so that it lacks no change that the other has.
    pub fn is_ready(&self) -> bool {
        if self.key == KeyHeld::Wrong || self.present.pending || self.next.pending {
            return false;
        }
        if !self.registers {
            return self.key == KeyHeld::Right;
        }
        match (self.present.complete_at, self.next.complete_at) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(present), Some(next)) => next >= present,
        }
    }

    /// The readiness of every partner of `covenant`; `of` says what the broker knows of one.
    pub fn of_all(
        covenant: &Covenant,
        mut of: impl FnMut(&PartnerId) -> (KeyHeld, Filled, Filled),
    ) -> Vec<Self> {
        let partners = covenant.partners().iter();
        let readiness = partners.map(|partner| {
            let (key, present, next) = of(&partner.id);
            Self {
                partner: partner.id.clone(),
                registers: Self::keeps_register(partner),
                key,
                present,
                next,
            }
        });
        readiness.collect()
    }
}

#[cfg(test)]
#[path = "epoch_tests.rs"]
mod tests;
