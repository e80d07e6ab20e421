//! The node's own register, once for each key epoch that it registers in.

use std::sync::Arc;

use hitmachine_core::epoch::EpochKeys;
use hitmachine_pseudonym::KeyEpoch;
#[cfg(test)]
use hitmachine_pseudonym::{IdentifierType, Token};

use super::HeldKey;
use crate::register::LocalRegister;
#[cfg(test)]
use crate::state::Held;
use crate::state::{Slot, State, StateError};

/// What the hub has acknowledged in one epoch, in memory and on the disk.
pub(crate) struct EpochRegister {
    pub(crate) keys: EpochKeys,
    pub(crate) slot: Slot,
    pub(crate) local: LocalRegister,
}

/// One for each key that this node holds and has registered with.
pub(crate) struct Registers {
    state: Arc<State>,
    open: Vec<EpochRegister>,
}

impl Registers {
    /// Reads what there is of the keys held, and forgets what was registered under any other.
    pub(crate) fn load(state: &Arc<State>, held: &[Arc<HeldKey>]) -> Result<Self, StateError> {
        let kept: Vec<_> = held
            .iter()
            .map(|key| *key.keys.key_check_value.as_bytes())
            .collect();
        Slot::forget_others(state, &kept)?;
        let mut registers = Self {
            state: Arc::clone(state),
            open: Vec::new(),
        };
        for key in held {
            registers.of(&key.keys)?;
        }
        Ok(registers)
    }

    /// The register of one epoch; an empty one if nothing was registered in it.
    pub(crate) fn of(&mut self, keys: &EpochKeys) -> Result<&mut EpochRegister, StateError> {
        let place = if let Some(place) = self.open.iter().position(|each| each.keys == *keys) {
            place
        } else {
            let slot = Slot::open(&self.state, keys.number.get(), keys.key_check_value.as_bytes())?;
            let local = LocalRegister::load(&slot)?;
            self.open.push(EpochRegister {
                keys: keys.clone(),
                slot,
                local,
            });
            self.open.len() - 1
        };
        self.open.get_mut(place).ok_or(StateError::DoesNotOpen)
    }

    /// The register of an epoch, if there is one.
    pub(crate) fn get(&self, number: KeyEpoch) -> Option<&LocalRegister> {
        let found = self.open.iter().find(|each| each.keys.number == number);
        found.map(|each| &each.local)
    }

    /// What is registered about a token, in whichever epoch it is of: a hit found in one is told when another is in use.
    #[cfg(test)]
    fn find(&self, token: &Token) -> Option<&Held> {
        let mut found = self.open.iter();
        found.find_map(|each| each.local.find(IdentifierType::Bsn, token))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &EpochRegister> {
        self.open.iter()
    }

    /// Forgets what was registered in epochs that are over.
    pub(crate) fn forget(&mut self, over: &[EpochKeys]) -> Result<(), StateError> {
        for each in self.open.extract_if(.., |each| over.contains(&each.keys)) {
            tracing::info!(epoch = %each.keys.number, "the register of a key epoch that is over is forgotten");
            each.slot.forget()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hitmachine_core::{Day, SubjectClass};
    use hitmachine_pseudonym::{DeploymentId, IdentifierType, NodeKey};

    use super::*;
    use crate::register::Wanted;
    use crate::state::StateKey;

    fn key(number: u32) -> Arc<HeldKey> {
        let bytes = [u8::try_from(number).unwrap(); 32];
        let deployment = DeploymentId::from_bytes([1; 16]);
        let number = KeyEpoch::new(number).unwrap();
        Arc::new(HeldKey::new(NodeKey::from_bytes(bytes), deployment, number))
    }

    fn register(of: &mut EpochRegister, token: u8, reference: &str) {
        of.local.restart(1);
        of.slot.start_generation(of.local.mark).unwrap();
        let wanted = Wanted {
            identifier: IdentifierType::Bsn,
            token: Token::from_bytes([token; 32]),
            class: SubjectClass::Adult,
            reference: Some(reference.into()),
        };
        let difference = of.local.difference(&[wanted], Day(20_778), 365);
        let batches = difference.into_batches(1).unwrap();
        of.slot.append(of.local.mark, &batches).unwrap();
        of.local.in_doubt = batches;
        of.local.acknowledge(1);
        of.slot.set_mark(of.local.mark).unwrap();
    }

    #[test]
    fn each_epoch_has_its_own_and_a_token_is_found_in_either() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Arc::new(State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap());
        let both = [key(1), key(2)];
        let reference = |registers: &Registers, token: u8| {
            let held = registers.find(&Token::from_bytes([token; 32]));
            held.and_then(|held| held.reference.clone())
        };
        {
            let mut registers = Registers::load(&open(), &both).unwrap();
            register(registers.of(&both[0].keys).unwrap(), 7, "LP-1");
            register(registers.of(&both[1].keys).unwrap(), 8, "LP-1");
        }
        {
            let registers = Registers::load(&open(), &both).unwrap();
            assert_eq!(reference(&registers, 7).as_deref(), Some("LP-1"));
            assert_eq!(reference(&registers, 8).as_deref(), Some("LP-1"));
            assert_eq!(reference(&registers, 9), None);
        }
        {
            // As the configuration is after the change: the second is the only one.
            let mut registers = Registers::load(&open(), &both[1..]).unwrap();
            assert_eq!(reference(&registers, 7), None);
            assert_eq!(reference(&registers, 8).as_deref(), Some("LP-1"));
            assert_eq!(registers.of(&both[1].keys).unwrap().local.len(), 1);
        }
        let mut registers = Registers::load(&open(), &both).unwrap();
        assert_eq!(reference(&registers, 7), None, "forgotten for good");
        registers.forget(&[both[1].keys.clone()]).unwrap();
        assert_eq!(reference(&registers, 8), None);
        drop(registers);
        assert_eq!(reference(&Registers::load(&open(), &both).unwrap(), 8), None);
    }
}
