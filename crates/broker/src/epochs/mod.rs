//! The registers of every key epoch that holds data, and which epoch may do what.
//!
//! The log is what says which epochs there are: each step of a change is an entry before it happens, and a start folds
//! those entries again. Each epoch has a pepper and a store of its own; a question is looked up in the epoch of its
//! tokens and in no other.

mod change;
mod entry;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hitmachine_audit::{LogReader, ReadError};
use hitmachine_core::canary::{Canaries, CanaryState};
use hitmachine_core::epoch::{
    EpochChange, EpochError, EpochKeys, EpochState, Epochs, Filled, KeyHeld, Readiness,
};
use hitmachine_core::registry::{Register, TallyMask};
use hitmachine_core::{Covenant, PartnerId, Store, StoreError};
use hitmachine_proto::v1;
use hitmachine_pseudonym::{DeploymentId, KeyCheckValue, KeyEpoch, Pepper, TagKeys, Token};
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use hitmachine_store::SledStore;

use crate::config::{BrokerConfig, EpochSection};

pub(crate) use change::{EpochChanger, Step, StepError};

/// With more persons than this, what the store holds of them in memory after it was read is let go.
const MANY: usize = 100_000;

/// Why the registers of the epochs cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpochsError {
    /// A setting is not valid.
    #[error("setting {0} is not valid")]
    Setting(&'static str),
    /// The log names an epoch that the configuration has no keys of.
    #[error(
        "the audit log says that key epoch {number} is {state}; the configuration has no section for it with key check \
         value {key_check_value}"
    )]
    NotConfigured {
        /// Which.
        number: u32,
        /// What it is.
        state: &'static str,
        /// Of its nodes' key.
        key_check_value: String,
    },
    /// The log tells of a change that cannot be, or that this version does not know.
    #[error("the audit log tells of a change of key epoch that this program cannot follow")]
    History,
    /// A pepper cannot be used.
    #[error("a key cannot be used")]
    Secret(#[from] SecretError),
    /// A pepper is for another epoch.
    #[error("the pepper is for key epoch {found}, the configuration says {expected}")]
    PepperEpoch {
        /// In the configuration.
        expected: u32,
        /// In the file.
        found: u32,
    },
    /// Registrations cannot be read.
    #[error("the registrations cannot be read")]
    Store(#[from] StoreError),
    /// The audit log cannot be read.
    #[error("the audit log cannot be read")]
    Log(#[from] ReadError),
    /// What is left of an epoch that is over cannot be removed.
    #[error("the tags of a key epoch that is over cannot be removed")]
    Remove(#[source] io::Error),
}

/// What a section of the configuration says about an epoch.
pub(crate) struct Configured {
    pub(crate) keys: EpochKeys,
    pepper: PathBuf,
}

impl Configured {
    pub(crate) fn new(section: &EpochSection) -> Result<Self, EpochsError> {
        let keys = EpochKeys {
            number: KeyEpoch::new(section.number).ok_or(EpochsError::Setting("epoch.number"))?,
            scheme: section
                .scheme
                .parse()
                .map_err(|_| EpochsError::Setting("epoch.scheme"))?,
            key_check_value: section
                .key_check_value
                .parse()
                .map_err(|_| EpochsError::Setting("epoch.key_check_value"))?,
        };
        Ok(Self {
            keys,
            pepper: section.pepper.clone(),
        })
    }

    /// The sections of a configuration: the epoch in use, and the one that follows if there is one.
    pub(crate) fn all(config: &BrokerConfig) -> Result<Vec<Self>, EpochsError> {
        let next = config
            .next_epoch
            .as_ref()
            .map(crate::config::NextEpochSection::section);
        std::iter::once(&config.epoch)
            .chain(next.as_ref())
            .map(Self::new)
            .collect()
    }

    /// The pepper in its file.
    pub(crate) fn pepper(&self) -> Result<Pepper, EpochsError> {
        let (found, pepper) = SecretFile::read(&self.pepper, Purpose::Pepper)?;
        let expected = self.keys.number.get();
        if found != expected {
            return Err(EpochsError::PepperEpoch { expected, found });
        }
        Ok(Pepper::from_bytes(*pepper))
    }
}

/// The registers of one epoch, in memory and on the disk.
pub(crate) struct EpochRegister {
    /// What is public about its keys.
    pub(crate) keys: EpochKeys,
    /// Where it is kept.
    pub(crate) store: Arc<dyn Store>,
    register: RwLock<Register>,
    /// As the partners' nodes made them since the start; in no store.
    canaries: Mutex<Canaries>,
    failed: AtomicBool,
}

impl EpochRegister {
    /// With a register that was read from `store`.
    pub(crate) fn new(keys: EpochKeys, register: Register, store: Arc<dyn Store>) -> Self {
        Self {
            keys,
            store,
            register: RwLock::new(register),
            canaries: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    fn open(configured: &Configured, deployment: &DeploymentId, dir: &Path) -> Result<Self, EpochsError> {
        let keys = &configured.keys;
        let pepper = configured.pepper()?;
        let tags = TagKeys::derive(&pepper, deployment, keys.number, keys.scheme);
        let mask = TallyMask::derive(&pepper, deployment, keys.number, keys.scheme);
        drop(pepper);
        let store = SledStore::open(dir)?;
        let register = Register::load(tags, mask, &store)?;
        let store = if register.persons() > MANY {
            store.opened_anew()?
        } else {
            store
        };
        for (partner, state, count) in register.summary() {
            tracing::info!(%partner, epoch = %keys.number, generation = state.active, count, "register loaded");
        }
        Ok(Self::new(keys.clone(), register, Arc::new(store)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Register> {
        // A panic under the lock cannot leave the table half changed in a way that matters: readers only read.
        self.register.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Register> {
        self.register.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `partner`'s own canary and looks for those of others; what came of each, in their order.
    pub(crate) fn check_canaries(
        &self,
        covenant: &Covenant,
        partner: &PartnerId,
        own: &Token,
        others: &[(PartnerId, Token)],
    ) -> Vec<CanaryState> {
        let register = self.read();
        let mut canaries = self.canaries.lock().unwrap_or_else(PoisonError::into_inner);
        canaries.put(covenant, partner, register.canary_tag(own));
        let looked = others
            .iter()
            .map(|(other, token)| canaries.look(covenant, other, &register.canary_tag(token)));
        looked.collect()
    }

    /// Whether its store failed: memory and disk may differ then, and nothing more is accepted until a restart.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }
}

/// All epochs, and the registers of those that hold data.
pub(crate) struct Registers {
    plan: RwLock<Epochs>,
    open: RwLock<Vec<Arc<EpochRegister>>>,
    heard: Mutex<HashMap<(PartnerId, KeyEpoch), KeyHeld>>,
    /// Whether the log says which epoch was the first.
    first_is_logged: AtomicBool,
    /// Whoever changes a register holds it for reading; a switch holds it for writing, so that no register changes
    /// between the look at who is ready and the switch.
    pub(crate) gate: Arc<tokio::sync::RwLock<()>>,
}

impl Registers {
    /// With what is open already.
    pub(crate) fn new(plan: Epochs, open: Vec<EpochRegister>) -> Self {
        for each in &open {
            let row = plan.get(each.keys.number);
            for partner in row.into_iter().flat_map(|row| &row.without) {
                let since = row.map_or(jiff::Timestamp::MAX, |row| row.since);
                each.write().withhold(partner.clone(), since);
            }
        }
        Self {
            plan: RwLock::new(plan),
            open: RwLock::new(open.into_iter().map(Arc::new).collect()),
            heard: Mutex::default(),
            first_is_logged: AtomicBool::new(false),
            gate: Arc::default(),
        }
    }

    /// Opens the registers of every epoch that the log says is not over, and removes what is left of the others.
    pub(crate) fn load(
        config: &BrokerConfig,
        deployment: &DeploymentId,
        reader: &LogReader,
    ) -> Result<Self, EpochsError> {
        let configured = Configured::all(config)?;
        let mut changes: Vec<EpochChange> = Vec::new();
        for index in reader.controls() {
            if let Some(change) = entry::of_content(&reader.read_entry(index)?.content) {
                changes.push(change.map_err(|_| EpochsError::History)?);
            }
        }
        let first = configured.first().ok_or(EpochsError::Setting("epoch"))?;
        let is_logged = !changes.is_empty();
        let plan = Epochs::restore(first.keys.clone(), changes).map_err(|_| EpochsError::History)?;
        let mut open = Vec::new();
        for row in plan.all() {
            let number = row.keys.number;
            let dir = registry_dir(config, &plan, number);
            if row.state == EpochState::Retired {
                remove(&dir).map_err(EpochsError::Remove)?;
                continue;
            }
            let found = configured.iter().find(|each| each.keys == row.keys);
            let configured = found.ok_or_else(|| EpochsError::NotConfigured {
                number: number.get(),
                state: row.state.as_str(),
                key_check_value: row.keys.key_check_value.to_string(),
            })?;
            open.push(EpochRegister::open(configured, deployment, &dir)?);
        }
        let registers = Self::new(plan, open);
        registers.first_is_logged.store(is_logged, Ordering::Release);
        Ok(registers)
    }

    /// Which epochs there are.
    pub(crate) fn plan(&self) -> Epochs {
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, number: KeyEpoch) -> Option<Arc<EpochRegister>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|each| each.keys.number == number).cloned()
    }

    fn state(&self, number: KeyEpoch) -> Option<EpochState> {
        let plan = self.plan.read().unwrap_or_else(PoisonError::into_inner);
        plan.get(number).map(|row| row.state)
    }

    /// The registers of every epoch that holds data.
    pub(crate) fn open(&self) -> Vec<Arc<EpochRegister>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The registers of the epoch in use.
    pub(crate) fn active(&self) -> Option<Arc<EpochRegister>> {
        let number = self.plan().active()?.keys.number;
        self.find(number)
    }

    /// Where a question with tokens of epoch `number` is looked up; the epoch in use if that one does not answer, with
    /// which the question does not agree then.
    pub(crate) fn asked(&self, number: KeyEpoch) -> Option<Arc<EpochRegister>> {
        match self.state(number) {
            Some(state) if state.answers() => self.find(number),
            _ => None,
        }
        .or_else(|| self.active())
    }

    /// The registers of epoch `number`, if they may be changed now.
    pub(crate) fn registering(&self, number: KeyEpoch) -> Option<Arc<EpochRegister>> {
        self.state(number)
            .filter(|state| state.registers())
            .and_then(|_| self.find(number))
    }

    /// The registers of epoch `number`, if they may be changed now or answer.
    pub(crate) fn in_use(&self, number: KeyEpoch) -> Option<Arc<EpochRegister>> {
        self.state(number)
            .filter(|state| state.holds_data())
            .and_then(|_| self.find(number))
    }

    /// A node says which keys it has. Whether one of them is not the key that its number stands for.
    pub(crate) fn hear(&self, partner: &PartnerId, held: &[v1::HeldKey]) -> bool {
        let plan = self.plan();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wrong = false;
        for row in plan.all() {
            let number = row.keys.number;
            let Some(said) = held.iter().find(|said| said.number == number.get()) else {
                heard.remove(&(partner.clone(), number));
                continue;
            };
            let theirs = KeyCheckValue::try_from(said.key_check_value.as_slice()).ok();
            let key = if theirs.as_ref() == Some(&row.keys.key_check_value) {
                KeyHeld::Right
            } else {
                KeyHeld::Wrong
            };
            wrong |= key == KeyHeld::Wrong;
            heard.insert((partner.clone(), number), key);
        }
        wrong
    }

    /// Who is how far with the next epoch, or was with the one in use if there is none.
    pub(crate) fn readiness(&self, covenant: &Covenant) -> Vec<Readiness> {
        let plan = self.plan();
        let active = plan.active().map(|row| row.keys.number);
        let next = plan.next().map(|row| row.keys.number);
        let (present, following) = (
            active.and_then(|number| self.find(number)),
            next.and_then(|number| self.find(number)),
        );
        let filled = |of: &Option<Arc<EpochRegister>>, partner: &PartnerId| {
            of.as_ref()
                .map_or_else(Filled::default, |each| each.read().filled(partner))
        };
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        Readiness::of_all(covenant, |partner| {
            let key = next
                .or(active)
                .and_then(|number| heard.get(&(partner.clone(), number)));
            (
                key.copied().unwrap_or(KeyHeld::NotSaid),
                filled(&present, partner),
                filled(&following, partner),
            )
        })
    }

    /// What every partner may know of the epochs.
    pub(crate) fn describe(&self, fetched: &mut v1::FetchResponse) {
        let plan = self.plan();
        if let Some(active) = plan.active() {
            fetched.key_epoch = active.keys.number.get();
            fetched.scheme = active.keys.scheme.to_string();
            fetched.key_check_value = active.keys.key_check_value.as_bytes().to_vec();
        }
        let epochs = plan.all().iter().map(|row| v1::KeyEpochInfo {
            number: row.keys.number.get(),
            state: row.state.as_str().to_owned(),
            scheme: row.keys.scheme.to_string(),
            key_check_value: row.keys.key_check_value.as_bytes().to_vec(),
        });
        fetched.epochs = epochs.collect();
    }

    /// Makes memory follow a step that the log has.
    fn apply(&self, change: &EpochChange) -> Result<(), EpochError> {
        if let Some(register) = self.find(change.keys.number) {
            let mut register = register.write();
            for partner in &change.without {
                register.withhold(partner.clone(), change.time);
            }
        }
        let mut plan = self.plan.write().unwrap_or_else(PoisonError::into_inner);
        plan.apply(change)
    }

    fn add(&self, register: EpochRegister) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.push(Arc::new(register));
    }

    fn take_out(&self, number: KeyEpoch) -> Option<Arc<EpochRegister>> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let place = open.iter().position(|each| each.keys.number == number)?;
        Some(open.swap_remove(place))
    }
}

/// Where the registers of an epoch are: the first one's where they always were, each other's in a folder of its own.
fn registry_dir(config: &BrokerConfig, plan: &Epochs, number: KeyEpoch) -> PathBuf {
    if plan.is_first(number) {
        config.registry_dir()
    } else {
        config.registry_dir_of(number.get())
    }
}

/// Removes a folder of registrations and the damaged ones that were moved aside from it; none is fine.
fn remove(dir: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let aside = format!("{name}.damaged-");
    for found in fs::read_dir(parent)? {
        let found = found?;
        let is_of_it = found
            .file_name()
            .to_str()
            .is_some_and(|other| other == name || other.starts_with(&aside));
        if is_of_it {
            fs::remove_dir_all(found.path())?;
        }
    }
    fs::File::open(parent)?.sync_all()
}
