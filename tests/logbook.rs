//! The broker's log as it lies on the disk, read while the broker is stopped.
#![expect(clippy::panic, reason = "helpers of tests: a failure is a failed test")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hitmachine_audit::{
    EntryKind, FieldId, Fields, Hash, Log, LogConfig, LogSigner, LogVerifier, Origin, RealDisk, Recovery,
    StoredContent, WrappingKey,
};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::{Deployment, LOG_ORIGIN};

/// One entry that holds a question.
pub struct Entry {
    /// Its place, from 0.
    pub index: u64,
    /// Its leaf.
    pub leaf: Hash,
    /// What it says.
    pub fields: Fields,
}

impl Entry {
    /// What happened.
    pub fn kind(&self) -> EntryKind {
        EntryKind::from_code(self.fields.get(FieldId::Event).unwrap()[0]).unwrap()
    }

    /// The OIN of who asked.
    pub fn requester(&self) -> String {
        String::from_utf8(self.fields.get(FieldId::Requester).unwrap().to_vec()).unwrap()
    }

    /// The code of a refusal; nothing if it was answered.
    pub fn refusal(&self) -> Option<String> {
        refusal(&self.fields)
    }
}

/// The code of a refusal in field 7: `2 ‖ u16 length ‖ code`.
pub fn refusal(fields: &Fields) -> Option<String> {
    match fields.get(FieldId::Result).unwrap() {
        [2, high, low, code @ ..] => {
            assert_eq!(code.len(), usize::from(u16::from_be_bytes([*high, *low])));
            Some(String::from_utf8(code.to_vec()).unwrap())
        }
        [1, ..] => None,
        _ => panic!("field 7 is neither an answer nor a refusal"),
    }
}

/// The key by which anybody checks what the log signs.
pub fn verifier(deployment: &Deployment) -> LogVerifier {
    signer(deployment).verifier()
}

fn signer(deployment: &Deployment) -> LogSigner {
    let key = secret(deployment, "audit-signing.key", Purpose::AuditSigning);
    LogSigner::new(Origin::new(LOG_ORIGIN).unwrap(), &key)
}

fn secret(deployment: &Deployment, name: &str, purpose: Purpose) -> [u8; 32] {
    *SecretFile::read(deployment.dir().join("broker").join(name), purpose)
        .unwrap()
        .1
}

/// Opens a copy of a stopped broker's log: opening repairs its end, which is the broker's to do. The copy comes first, so
/// that who names all three closes the log before its folders go: a log in use makes what is missing again.
pub fn open(deployment: &Deployment) -> ([tempfile::TempDir; 2], Recovery, Log) {
    let broker = deployment.dir().join("broker");
    let audit = copy(&broker.join("data").join("audit"));
    let keys = copy(&broker.join("audit-keys"));
    let wrapping = WrappingKey::from_bytes(secret(deployment, "audit-wrapping.key", Purpose::AuditWrapping));
    let (dir, keys_dir) = (audit.path().into(), keys.path().into());
    let mut config = LogConfig::new(dir, keys_dir, signer(deployment), wrapping);
    config.segment_size = 16 << 20;
    let (log, recovery) = Log::open(config, Arc::new(RealDisk)).unwrap();
    ([audit, keys], recovery, log)
}

/// Every question in the log of a stopped broker, in order.
pub fn read(deployment: &Deployment) -> Vec<Entry> {
    let (_copies, _, log) = open(deployment);
    let entries = log.entries().map(Result::unwrap);
    entries
        .filter_map(|entry| match entry.content {
            StoredContent::Open(opening) => Some(Entry {
                index: entry.index,
                leaf: entry.leaf_hash,
                fields: opening.into_fields(),
            }),
            StoredContent::Control(_) => None,
            StoredContent::Processing(_) | StoredContent::Erased => panic!("nobody erased anything"),
        })
        .collect()
}

/// Every control entry of these types in the log of a stopped broker, in order.
pub fn controls(deployment: &Deployment, types: &[&str]) -> Vec<serde_json::Value> {
    let (_copies, _, log) = open(deployment);
    let entries = log.entries().map(Result::unwrap);
    entries
        .filter_map(|entry| match entry.content {
            StoredContent::Control(content) => Some(serde_json::Value::Object(content)),
            _ => None,
        })
        .filter(|content| content["type"].as_str().is_some_and(|kind| types.contains(&kind)))
        .collect()
}

/// A copy of a folder with everything in it.
pub fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to.path())
        .status()
        .unwrap();
    assert!(copied.success());
    to
}
