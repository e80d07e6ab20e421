//! Who is registered where: batches are the truth, memory is the index.
//!
//! [`Register`] is a pure state machine. The broker prepares incoming batches against it
//! ([`Register::prepare`]), writes them with a [`Store`], and only then
//! applies them ([`Register::apply`]): what is in memory is on disk. A partner's register has generations; a
//! full resync fills a new one beside the one that answers, and [`Register::complete`] switches between them
//! when count and digest agree.

mod batch;
mod index;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use hitmachine_pseudonym::{IdentifierType, Tag, TagKeys, Token};
use jiff::Timestamp;

use crate::clock::Day;
use crate::covenant::Partner;
use crate::epoch::Filled;
use crate::ids::PartnerId;
use crate::store::{PartnerState, Store, StoreError, StoredBatch};
use index::{Column, Entry, Index, Later};

pub use batch::{Batch, Change, MAX_CHANGES, Registration, Tally, TallyMask};

/// How far a partner's clock may run ahead, in days, before its registrations are refused.
const DAYS_OF_GRACE: u32 = 1;
/// How far in the future "complete at" may lie before the clock is taken to have jumped, in seconds.
const SECONDS_OF_GRACE: i64 = 300;

/// Whether a register that was complete at `complete_at` may still answer `now`. A completion in the future means that
/// a clock jumped, and then nothing is known.
pub fn is_fresh(complete_at: Timestamp, stale_after_hours: u32, now: Timestamp) -> bool {
    let age = now.as_second() - complete_at.as_second();
    age >= -SECONDS_OF_GRACE && age <= i64::from(stale_after_hours) * 3600
}

/// Why a batch or the end of a sync is refused. Nothing of a refused batch is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A batch that leaves others out.
    #[error("a batch is missing before this one")]
    Gap,
    /// More than 1,024 changes, or none.
    #[error("a batch holds 1 to 1,024 changes")]
    BatchSize,
    /// A class that the covenant does not let this partner register.
    #[error("the covenant does not let this organisation register this class of persons")]
    ClassNotAllowed,
    /// A last day that lies further away than the covenant's term; often a wrong clock.
    #[error("a registration would answer longer than the covenant allows; check the node's clock")]
    TermTooLong,
    /// A last day that has passed; often a wrong clock.
    #[error("a registration has already expired; check the node's clock")]
    TermInPast,
    /// No sync has begun for this generation.
    #[error("no sync is under way for this generation")]
    NotBegun,
    /// Stored bytes that this program cannot have written.
    #[error("a stored batch cannot be read")]
    Packed,
    /// 32,767 registers and generations in use at once.
    #[error("too many registers")]
    TooManyRegisters,
}

impl RegistryError {
    /// Stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Gap => "batch_gap",
            Self::BatchSize => "batch_size",
            Self::ClassNotAllowed => "class_not_allowed",
            Self::TermTooLong => "term_too_long",
            Self::TermInPast => "term_in_past",
            Self::NotBegun => "sync_not_begun",
            Self::Packed => "packed",
            Self::TooManyRegisters => "too_many_registers",
        }
    }
}

/// One generation in memory.
#[derive(Clone, Copy, Debug)]
struct Generation {
    number: u32,
    column: Column,
    last_sequence: u64,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct PartnerRegister {
    active: Option<Generation>,
    filling: Option<Generation>,
    complete_at: Option<Timestamp>,
    /// Whether the generation that answers has changed since it was last complete, as far as this process knows.
    pending: bool,
}

impl PartnerRegister {
    fn generation(&self, number: u32) -> Option<&Generation> {
        [&self.active, &self.filling]
            .into_iter()
            .flatten()
            .find(|generation| generation.number == number)
    }

    fn state(&self) -> PartnerState {
        PartnerState {
            active: self.active.map(|generation| generation.number),
            filling: self.filling.map(|generation| generation.number),
            complete_at: self.complete_at,
        }
    }
}

/// All partners' registers of one key epoch.
pub struct Register {
    keys: TagKeys,
    mask: TallyMask,
    index: Index,
    partners: HashMap<PartnerId, PartnerRegister>,
    next_column: u16,
    free_columns: Vec<Column>,
    /// Partners whose register answers only once it was completed after this moment.
    not_before: HashMap<PartnerId, Timestamp>,
}

/// Where a sync starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The generation to send batches for.
    pub generation: u32,
    /// The first batch that the broker does not have.
    pub next_sequence: u64,
    /// What the broker's register of this generation tallies to.
    pub tally: Tally,
    /// How many registrations answer now, whatever the generation.
    pub registered: u64,
    /// The state to store before the first batch is accepted, if it changed.
    pub state: Option<PartnerState>,
}

/// Batches that are checked and packed but not yet durable.
pub struct Prepared {
    /// What to hand to [`Store::append`].
    pub stored: Vec<StoredBatch>,
    /// The last sequence that is durable once `stored` is.
    pub acknowledges: u64,
    /// What to hand to [`Register::apply`] after that, in this order.
    pub batches: Vec<Batch>,
}

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// Both sides agree.
    Agreed {
        /// The state to store: this is what switches generations.
        state: PartnerState,
    },
    /// Count or digest differ: the node must send everything again, into a new generation.
    Differs,
}

impl Register {
    /// An empty one.
    pub fn new(keys: TagKeys, mask: TallyMask) -> Self {
        Self {
            keys,
            mask,
            index: Index::default(),
            partners: HashMap::new(),
            next_column: 0,
            free_columns: Vec::new(),
            not_before: HashMap::new(),
        }
    }

    /// Folds all stored batches into memory.
    ///
    /// # Errors
    /// [`StoreError::OtherKey`] if the store was filled under other keys; [`StoreError::Damaged`] if a batch is
    /// missing, unreadable, or does not fit those before it; whatever the store returns.
    pub fn load(keys: TagKeys, mask: TallyMask, store: &dyn Store) -> Result<Self, StoreError> {
        store.bind(mask.check_value())?;
        let mut register = Self::new(keys, mask);
        let mut later = Later::new();
        for (partner, state) in store.states()? {
            let mut fold = |number| register.fold(store, &partner, number, &mut later);
            let active = state.active.map(&mut fold).transpose()?;
            let filling = state.filling.map(&mut fold).transpose()?;
            let loaded = PartnerRegister {
                active,
                filling,
                complete_at: state.complete_at,
                pending: false,
            };
            register.partners.insert(partner, loaded);
        }
        Ok(register)
    }

    fn fold(
        &mut self,
        store: &dyn Store,
        partner: &PartnerId,
        number: u32,
        later: &mut Later,
    ) -> Result<Generation, StoreError> {
        let damaged = |sequence: u64| StoreError::Damaged {
            place: format!("{partner}, generation {number}, batch {sequence}"),
        };
        let column = self.column().map_err(|_| damaged(0))?;
        let mut generation = Generation {
            number,
            column,
            last_sequence: 0,
            tally: Tally::default(),
        };
        let mut count = 0u64;
        // What each batch that is put off says of the count after it.
        let mut counts: Vec<(u64, u64)> = Vec::new();
        let agree = |growth: Vec<i64>, counts: &mut Vec<(u64, u64)>, count: &mut u64| {
            for ((sequence, said), growth) in counts.drain(..).zip(growth) {
                *count = count.wrapping_add_signed(growth);
                if *count != said {
                    return Err(damaged(sequence));
                }
            }
            Ok(())
        };
        store.batches(partner, number, &mut |stored| {
            let Ok(batch) = Batch::unpack(
                stored.partner,
                stored.generation,
                stored.sequence,
                &stored.bytes,
                &self.mask,
            ) else {
                return Err(damaged(stored.sequence));
            };
            if batch.sequence != generation.last_sequence + 1 {
                return Err(damaged(batch.sequence));
            }
            generation.last_sequence = batch.sequence;
            generation.tally = batch.after;
            later.push(batch.changes.into_iter().map(|change| match change {
                Ok(made) => (made.tag, Some(Entry::new(column, made.class, made.valid_until))),
                Err(tag) => (tag, None),
            }));
            counts.push((batch.sequence, batch.after.count));
            if later.is_much() {
                agree(self.index.set_all(column, later), &mut counts, &mut count)?;
            }
            Ok(())
        })?;
        agree(self.index.set_all(column, later), &mut counts, &mut count)?;
        Ok(generation)
    }

    /// Puts changes into the index; by how many the register grew.
    fn fold_changes(&mut self, column: Column, changes: &[Result<Registration, Tag>]) -> i64 {
        let mut growth = 0;
        for change in changes {
            match change {
                Ok(made) => {
                    let entry = Entry::new(column, made.class, made.valid_until);
                    growth += i64::from(!self.index.set(made.tag, entry));
                }
                Err(tag) => growth -= i64::from(self.index.remove(tag, column)),
            }
        }
        growth
    }

    fn column(&mut self) -> Result<Column, RegistryError> {
        if let Some(column) = self.free_columns.pop() {
            return Ok(column);
        }
        let column = Column(self.next_column);
        self.next_column = self
            .next_column
            .checked_add(1)
            .filter(|next| *next < Column::END)
            .ok_or(RegistryError::TooManyRegisters)?;
        Ok(column)
    }

    fn give_up(&mut self, generation: Generation) {
        self.index.sweep(generation.column);
        self.free_columns.push(generation.column);
    }

    /// Starts a sync: goes on where the last one ended or, with `full`, into a new generation.
    ///
    /// # Errors
    /// [`RegistryError::TooManyRegisters`].
    pub fn begin(&mut self, partner: &PartnerId, full: bool) -> Result<Begun, RegistryError> {
        let mut own = self.partners.get(partner).copied().unwrap_or_default();
        let before = own.state();
        let newest = own.filling.or(own.active);
        let generation = match newest {
            Some(generation) if !full => generation,
            _ => {
                if let Some(old) = own.filling.take() {
                    self.give_up(old);
                }
                let number = newest.map_or(1, |generation| generation.number.saturating_add(1));
                let made = Generation {
                    number,
                    column: self.column()?,
                    last_sequence: 0,
                    tally: Tally::default(),
                };
                own.filling = Some(made);
                made
            }
        };
        self.partners.insert(partner.clone(), own);
        Ok(Begun {
            generation: generation.number,
            next_sequence: generation.last_sequence + 1,
            tally: generation.tally,
            registered: own.active.map_or(0, |active| active.tally.count),
            state: Some(own.state()).filter(|state| *state != before),
        })
    }

    /// Checks batches, in the order sent, and packs those that are new for the store. Batches that are already
    /// there are acknowledged again and change nothing.
    ///
    /// # Errors
    /// [`RegistryError`]: nothing of any of them is to be stored.
    pub fn prepare(
        &self,
        partner: &Partner,
        generation: u32,
        incoming: Vec<(u64, Vec<Change>)>,
        today: Day,
    ) -> Result<Prepared, RegistryError> {
        let own = self.partners.get(&partner.id).ok_or(RegistryError::NotBegun)?;
        let generation = own.generation(generation).ok_or(RegistryError::NotBegun)?;
        let latest = partner.latest_valid_until(today).plus(DAYS_OF_GRACE);
        let mut prepared = Prepared {
            stored: Vec::new(),
            acknowledges: generation.last_sequence,
            batches: Vec::new(),
        };
        let mut tally = generation.tally;
        // What earlier batches of this call did to a tag: the index does not know it yet.
        let mut ahead: HashMap<Tag, Option<(crate::SubjectClass, Day)>> = HashMap::new();
        for (sequence, changes) in incoming {
            if changes.is_empty() || changes.len() > MAX_CHANGES {
                return Err(RegistryError::BatchSize);
            }
            if sequence <= prepared.acknowledges {
                continue;
            }
            if sequence != prepared.acknowledges + 1 {
                return Err(RegistryError::Gap);
            }
            let mut packed = Vec::with_capacity(changes.len());
            for change in &changes {
                let tag = self.keys.tag(change.identifier, &change.token);
                let before = ahead.get(&tag).copied().unwrap_or_else(|| {
                    self.index
                        .get(&tag, generation.column)
                        .map(|entry| (entry.class, entry.until()))
                });
                if let Some((class, until)) = before {
                    tally.remove(change.identifier, &change.token, class, until);
                }
                packed.push(match change.registration {
                    Some((class, valid_until)) => {
                        if !partner.registers(class) {
                            return Err(RegistryError::ClassNotAllowed);
                        }
                        if valid_until > latest {
                            return Err(RegistryError::TermTooLong);
                        }
                        if valid_until.plus(DAYS_OF_GRACE) < today {
                            return Err(RegistryError::TermInPast);
                        }
                        tally.add(change.identifier, &change.token, class, valid_until);
                        Ok(Registration {
                            tag,
                            class,
                            valid_until,
                        })
                    }
                    None => Err(tag),
                });
                ahead.insert(tag, change.registration);
            }
            let batch = Batch {
                partner: partner.id.clone(),
                generation: generation.number,
                sequence,
                changes: packed,
                after: tally,
            };
            prepared.stored.push(StoredBatch {
                partner: partner.id.clone(),
                generation: generation.number,
                sequence,
                bytes: batch.pack(&self.mask),
            });
            prepared.batches.push(batch);
            prepared.acknowledges = sequence;
        }
        Ok(prepared)
    }

    /// Applies a batch that is durable now.
    pub fn apply(&mut self, batch: &Batch) {
        let Some(own) = self.partners.get_mut(&batch.partner) else {
            return;
        };
        let found = [&mut own.active, &mut own.filling]
            .into_iter()
            .flatten()
            .find(|generation| generation.number == batch.generation);
        let Some(generation) = found else { return };
        own.pending = true;
        generation.last_sequence = batch.sequence;
        generation.tally = batch.after;
        let column = generation.column;
        self.fold_changes(column, &batch.changes);
    }

    /// Ends a sync: compares the node's tally with ours.
    ///
    /// The caller stores the new state first and calls [`Register::switch`] after that.
    ///
    /// # Errors
    /// [`RegistryError::NotBegun`] for a generation that is not there.
    pub fn complete(
        &self,
        partner: &PartnerId,
        generation: u32,
        tally: Tally,
        now: Timestamp,
    ) -> Result<Completed, RegistryError> {
        let own = self.partners.get(partner).ok_or(RegistryError::NotBegun)?;
        let ours = own.generation(generation).ok_or(RegistryError::NotBegun)?;
        if ours.tally != tally {
            return Ok(Completed::Differs);
        }
        let filled = own.filling.is_some_and(|filling| filling.number == generation);
        // An older register may go on being used while a newer one is filled.
        let filling = own.filling.map(|filling| filling.number).filter(|_| !filled);
        let state = PartnerState {
            active: Some(generation),
            filling,
            complete_at: Some(now),
        };
        Ok(Completed::Agreed { state })
    }

    /// Makes memory follow a state that [`Register::complete`] gave and that is durable now.
    pub fn switch(&mut self, partner: &PartnerId, state: PartnerState) {
        let Some(own) = self.partners.get_mut(partner) else {
            return;
        };
        own.complete_at = state.complete_at;
        own.pending = false;
        let fills = own
            .filling
            .is_some_and(|filling| Some(filling.number) == state.active);
        if fills {
            let replaced = std::mem::replace(&mut own.active, own.filling.take());
            if let Some(replaced) = replaced {
                self.give_up(replaced);
            }
        }
    }

    /// Forgets a partner's registrations: what memory follows when [`Store::remove`] has returned, or comes before it.
    pub fn remove(&mut self, partner: &PartnerId) {
        let own = self.partners.remove(partner).unwrap_or_default();
        for generation in [own.active, own.filling].into_iter().flatten() {
            self.give_up(generation);
        }
    }

    /// The broker's names for a person.
    pub fn tags(&self, tokens: &[(IdentifierType, Token)]) -> Vec<Tag> {
        tokens
            .iter()
            .map(|(identifier, token)| self.keys.tag(*identifier, token))
            .collect()
    }

    /// The broker's name for a canary. It is in no register, and can be that of no person.
    pub fn canary_tag(&self, token: &Token) -> Tag {
        self.keys.canary_tag(token)
    }

    /// Whether `partner` has an unexpired registration of this tag. Expiry is decided here, at reading.
    pub fn is_known(&self, partner: &PartnerId, tag: &Tag, today: Day) -> bool {
        let active = self.partners.get(partner).and_then(|own| own.active);
        active
            .and_then(|generation| self.index.get(tag, generation.column))
            .is_some_and(|entry| entry.until() >= today)
    }

    /// Has `partner`'s register answer only once it is completed again, after `moment`: it lacks changes that a register
    /// of another key epoch has.
    pub fn withhold(&mut self, partner: PartnerId, moment: Timestamp) {
        self.not_before.insert(partner, moment);
    }

    /// Whether `partner`'s register may answer: complete, and completed at most `stale_after_hours` ago. A
    /// completion in the future means that a clock jumped, and then nothing is known.
    pub fn is_fresh(&self, partner: &PartnerId, stale_after_hours: u32, now: Timestamp) -> bool {
        let complete_at = self
            .partners
            .get(partner)
            .filter(|own| own.active.is_some())
            .and_then(|own| own.complete_at);
        let not_before = self.not_before.get(partner).copied().unwrap_or(Timestamp::MIN);
        complete_at
            .filter(|at| *at >= not_before)
            .is_some_and(|at| is_fresh(at, stale_after_hours, now))
    }

    /// How full a partner's answering register is, and since when it is complete.
    pub fn filled(&self, partner: &PartnerId) -> Filled {
        let own = self.partners.get(partner).copied().unwrap_or_default();
        let newest = own.active.or(own.filling);
        Filled {
            count: newest.map_or(0, |generation| generation.tally.count),
            complete_at: own.complete_at.filter(|_| own.active.is_some()),
            pending: own.pending,
        }
    }

    /// State and tally of each partner's answering register, for status and metrics.
    pub fn summary(&self) -> Vec<(PartnerId, PartnerState, u64)> {
        let mut rows: Vec<_> = self
            .partners
            .iter()
            .map(|(id, own)| {
                (
                    id.clone(),
                    own.state(),
                    own.active.map_or(0, |active| active.tally.count),
                )
            })
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    }

    /// Number of registrations in one generation of a partner's register.
    pub fn count(&self, partner: &PartnerId, generation: u32) -> u64 {
        let own = self.partners.get(partner);
        own.and_then(|own| own.generation(generation))
            .map_or(0, |generation| generation.tally.count)
    }

    /// Number of persons in the index, whoever knows them.
    pub fn persons(&self) -> usize {
        self.index.tags()
    }
}
