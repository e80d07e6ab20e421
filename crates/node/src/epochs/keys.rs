//! The keys that a node holds.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hitmachine_core::epoch::{EpochKeys, EpochState};
use hitmachine_proto::v1;
use hitmachine_pseudonym::{
    DeploymentId, HmacSha256Pseudonymiser, KeyCheckValue, KeyEpoch, NodeKey, Pseudonymiser, Scheme,
};
use hitmachine_service::console::chain;
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::link::LinkError;

/// The key of one epoch.
pub struct HeldKey {
    /// What is public about it.
    pub keys: EpochKeys,
    /// Makes its tokens.
    pub pseudonymiser: Arc<dyn Pseudonymiser>,
}

impl HeldKey {
    /// From the key's bytes.
    pub(crate) fn new(key: NodeKey, deployment: DeploymentId, number: KeyEpoch) -> Self {
        let pseudonymiser = HmacSha256Pseudonymiser::new(key, deployment, number);
        Self {
            keys: EpochKeys {
                number,
                scheme: Scheme::HmacSha256,
                key_check_value: pseudonymiser.key_check_value(),
            },
            pseudonymiser: Arc::new(pseudonymiser),
        }
    }
}

/// A key epoch, as the hub last told of it.
#[derive(Clone)]
struct Told {
    keys: EpochKeys,
    state: EpochState,
}

/// A key epoch as a status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStatus {
    /// Its number.
    pub number: u32,
    /// The hub's word: `prepared`, `filling`, `active`, `draining` or `retired`.
    pub state: String,
    /// `right`, `wrong` or `missing`: this node's key of it.
    pub key: String,
}

impl EpochStatus {
    /// For people.
    pub fn text(&self, language: Language) -> String {
        let state = match EpochState::from_word(&self.state) {
            Some(EpochState::Prepared) => language.pick("voorbereid", "prepared"),
            Some(EpochState::Filling) => language.pick("wordt gevuld", "being filled"),
            Some(EpochState::Active) => language.pick("in gebruik", "in use"),
            Some(EpochState::Draining) => language.pick("loopt af", "draining"),
            Some(EpochState::Retired) | None => language.pick("voorbij", "over"),
        };
        let key = match self.key.as_str() {
            "right" => language.pick("sleutel aanwezig", "key present"),
            "wrong" => language.pick(
                "VERKEERDE SLEUTEL: haal de juiste bij de sleutelbeheerder",
                "WRONG KEY: get the right one from the key administrator",
            ),
            _ => language.pick("geen sleutel", "no key"),
        };
        format!("{state}; {key}")
    }
}

/// All keys that this node holds, and what the hub says of their epochs.
pub struct Keys {
    deployment: DeploymentId,
    present: KeyEpoch,
    next: Option<PathBuf>,
    held: RwLock<Vec<Arc<HeldKey>>>,
    told: RwLock<Vec<Told>>,
    /// Said once, not every few seconds.
    complaint: Mutex<String>,
}

impl Keys {
    /// With the key of the present epoch, and the file in which the next one will be found.
    pub(crate) fn new(deployment: DeploymentId, present: HeldKey, next: Option<PathBuf>) -> Self {
        Self {
            deployment,
            present: present.keys.number,
            next,
            held: RwLock::new(vec![Arc::new(present)]),
            told: RwLock::default(),
            complaint: Mutex::default(),
        }
    }

    /// Looks whether the next key has arrived; whether one was taken up.
    pub(crate) fn look_for_next(&self) -> bool {
        let Some(path) = &self.next else { return false };
        let (number, key) = match SecretFile::read(path, Purpose::NodeKey) {
            Ok(read) => read,
            Err(SecretError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return false;
            }
            Err(error) => {
                self.complain(chain(&error));
                return false;
            }
        };
        let Some(number) = KeyEpoch::new(number) else {
            self.complain("the next pseudonym key names no key epoch".into());
            return false;
        };
        let found = HeldKey::new(NodeKey::from_bytes(*key), self.deployment, number);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match held.iter().find(|own| own.keys.number == number) {
            Some(own) if own.keys == found.keys => false,
            Some(_) if number == self.present => {
                drop(held);
                self.complain("the next pseudonym key has the number of the present one".into());
                false
            }
            _ => {
                // The right key takes the place of a wrong one that came before it.
                held.retain(|own| own.keys.number != number);
                held.push(Arc::new(found));
                tracing::info!(epoch = %number, "the next pseudonym key has arrived");
                true
            }
        }
    }

    fn complain(&self, text: String) {
        let mut last = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != text {
            tracing::error!(error = text, "the next pseudonym key cannot be used");
            *last = text;
        }
    }

    /// All keys.
    pub fn held(&self) -> Vec<Arc<HeldKey>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key that the configuration names as the present one, whatever the hub says.
    pub fn present(&self) -> Option<Arc<HeldKey>> {
        self.of(self.present)
    }

    fn of(&self, number: KeyEpoch) -> Option<Arc<HeldKey>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|own| own.keys.number == number).cloned()
    }

    /// What the hub is told of them.
    pub(crate) fn describe(&self) -> Vec<v1::HeldKey> {
        let held = self.held();
        let described = held.iter().map(|own| v1::HeldKey {
            number: own.keys.number.get(),
            key_check_value: own.keys.key_check_value.as_bytes().to_vec(),
        });
        described.collect()
    }

    /// The hub says which epochs there are.
    ///
    /// # Errors
    /// [`LinkError::Disagree`] if this node has no right key of an epoch in which questions are answered;
    /// [`LinkError::Unreadable`].
    pub(crate) fn hear(&self, fetched: &v1::FetchResponse) -> Result<(), LinkError> {
        let one = [v1::KeyEpochInfo {
            number: fetched.key_epoch,
            state: EpochState::Active.as_str().to_owned(),
            scheme: fetched.scheme.clone(),
            key_check_value: fetched.key_check_value.clone(),
        }];
        let infos = if fetched.epochs.is_empty() {
            one.as_slice()
        } else {
            &fetched.epochs
        };
        let mut told = Vec::with_capacity(infos.len());
        for info in infos {
            let number = KeyEpoch::new(info.number).ok_or(LinkError::Unreadable("a key epoch"))?;
            let state = EpochState::from_word(&info.state).ok_or(LinkError::Unreadable("a key epoch"))?;
            let unknown = LinkError::Disagree("the pseudonym scheme");
            let scheme = info.scheme.parse().map_err(|_| unknown)?;
            let key_check_value = KeyCheckValue::try_from(info.key_check_value.as_slice())
                .map_err(|_| LinkError::Unreadable("a key check value"))?;
            told.push(Told {
                keys: EpochKeys {
                    number,
                    scheme,
                    key_check_value,
                },
                state,
            });
        }
        let wrong = told
            .iter()
            .filter(|epoch| epoch.state != EpochState::Retired)
            .find(|epoch| {
                self.of(epoch.keys.number)
                    .is_some_and(|own| own.keys != epoch.keys)
            });
        if let Some(wrong) = wrong {
            self.complain(format!(
                "the key of epoch {} is another than the hub's",
                wrong.keys.number
            ));
        }
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
        match self.asking() {
            Some(_) => Ok(()),
            None => Err(LinkError::Disagree(self.what_differs())),
        }
    }

    /// In what way this node's key of the epoch in use is not the hub's.
    fn what_differs(&self) -> &'static str {
        let active = self.in_state(EpochState::Active);
        let own = active.as_ref().and_then(|keys| self.of(keys.number));
        match (active, own) {
            (Some(keys), Some(own)) if own.keys.scheme != keys.scheme => "the pseudonym scheme",
            (Some(_), Some(_)) => "the pseudonym key (key check value differs)",
            _ => "the key epoch",
        }
    }

    fn in_state(&self, state: EpochState) -> Option<EpochKeys> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.iter()
            .find(|epoch| epoch.state == state)
            .map(|epoch| epoch.keys.clone())
    }

    /// The right key of the epoch in this state.
    fn right(&self, state: EpochState) -> Option<Arc<HeldKey>> {
        let keys = self.in_state(state)?;
        self.of(keys.number).filter(|own| own.keys == keys)
    }

    /// The key to ask with: of the epoch in use or, for a node that was off when that changed, of the one before it as
    /// long as it is answered.
    pub fn asking(&self) -> Option<Arc<HeldKey>> {
        self.right(EpochState::Active)
            .or_else(|| self.right(EpochState::Draining))
    }

    /// The keys to register with: of the epoch in use, and after that of one that is being filled. In this order a
    /// register that is complete in the second lacks nothing of the first.
    pub fn registering(&self) -> Vec<Arc<HeldKey>> {
        let states = [EpochState::Active, EpochState::Filling];
        states.into_iter().filter_map(|state| self.right(state)).collect()
    }

    /// The epochs in which questions are answered now, of those that this node has the right key of.
    pub(crate) fn answering(&self) -> Vec<KeyEpoch> {
        let states = [EpochState::Active, EpochState::Draining];
        let keys = states.into_iter().filter_map(|state| self.right(state));
        keys.map(|key| key.keys.number).collect()
    }

    /// Epochs of this node's keys that are over.
    pub(crate) fn retired(&self) -> Vec<EpochKeys> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        let over = told.iter().filter(|epoch| epoch.state == EpochState::Retired);
        over.map(|epoch| epoch.keys.clone()).collect()
    }

    /// Epochs and keys for people: nothing to say if there is one epoch and its key is right.
    pub fn status(&self) -> Vec<EpochStatus> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner).clone();
        let status = told.iter().map(|epoch| EpochStatus {
            number: epoch.keys.number.get(),
            state: epoch.state.as_str().to_owned(),
            key: match self.of(epoch.keys.number) {
                Some(own) if own.keys == epoch.keys => "right",
                Some(_) => "wrong",
                None => "missing",
            }
            .to_owned(),
        });
        status.collect()
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
