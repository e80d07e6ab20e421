//! What nodes make of numbers, in each key epoch, to find persons in the log.

use std::collections::BTreeMap;
use std::path::Path;

use hitmachine_core::Covenant;
use hitmachine_pseudonym::{
    CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Token,
};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};

/// By key epoch.
pub(super) struct Tokens {
    deployment: DeploymentId,
    epochs: BTreeMap<KeyEpoch, HmacSha256Pseudonymiser>,
}

impl Tokens {
    /// Of the first epoch.
    pub(super) fn of(deployment: &Deployment) -> Self {
        let covenant = Covenant::parse(&std::fs::read(deployment.covenant()).unwrap()).unwrap();
        let mut tokens = Self {
            deployment: covenant.deployment().id,
            epochs: BTreeMap::new(),
        };
        let key = deployment.node_config(COORDINATOR).with_file_name("node-key.key");
        tokens.add(KeyEpoch::FIRST, &key);
        tokens
    }

    /// Also of this epoch.
    pub(super) fn add(&mut self, epoch: KeyEpoch, key: &Path) {
        let (_, key) = SecretFile::read(key, Purpose::NodeKey).unwrap();
        let key = NodeKey::from_bytes(*key);
        let pseudonymiser = HmacSha256Pseudonymiser::new(key, self.deployment, epoch);
        self.epochs.insert(epoch, pseudonymiser);
    }

    /// Whether this is the token of that number.
    pub(super) fn is(&self, epoch: KeyEpoch, bsn: &str, token: &Token) -> bool {
        let number = CanonicalIdentifier::new(IdentifierType::Bsn, bsn.as_bytes()).unwrap();
        let of = self.epochs.get(&epoch);
        of.is_some_and(|of| of.token(&number) == *token)
    }
}
