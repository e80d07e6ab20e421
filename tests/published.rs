//! A made-up log of any length, published as a broker publishes it: tiles, a checkpoint that four witnesses cosigned,
//! and some proofs. For programs that check it from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hitmachine_audit::{
    Checkpoint, Draft, FieldId, Fields, Hash, Log, LogConfig, LogReader, LogSigner, LogVerifier, Opening,
    Policy, Processing, Publisher, RealDisk, Receipt, RetentionClass, TlogProof, WitnessName, WitnessSigner,
    WitnessVerifier, WrappingKey,
};
use serde_json::json;

/// Name of the log.
pub const ORIGIN: &str = "hitmachine.example/broker-a/audit/1";
/// When the witnesses cosigned: 1 January 2026, and a second later each.
const COSIGNED_S: u64 = 1_767_225_600;
/// Entries of one batch, at most; the first ones are smaller.
const BATCH: u64 = 1_000;
/// Every so many entries one is a public control entry.
const CONTROL_EVERY: u64 = 10_000;
/// Of every so many entries a receipt is kept, and of the first few.
const KEPT_EVERY: u64 = 4_999;

/// The log, and what its broker and its witnesses have.
#[derive(Debug)]
pub struct GrownLog {
    log: LogReader,
    /// As they were given when the entry was committed.
    receipts: Vec<Receipt>,
}

impl GrownLog {
    /// A log of `size` entries in a new folder, committed in batches of 1, 2, 4 … 1,000.
    pub fn grow(dir: &Path, size: u64) -> Self {
        fs::create_dir_all(dir).unwrap();
        let wrapping = WrappingKey::from_bytes([6; 32]);
        let config = LogConfig::new(dir.join("log"), dir.join("keys"), signer(), wrapping);
        let (mut log, _) = Log::open(config, Arc::new(RealDisk)).unwrap();
        let (mut receipts, mut at, mut batch) = (Vec::new(), 0, 1);
        while at < size {
            let end = size.min(at + batch);
            let committed = log.commit((at..end).map(draft).collect()).unwrap();
            // A receipt for each entry of a million would take longer than all the rest.
            if (at..end).any(is_kept) {
                let given = log.receipts(committed, &[]);
                receipts.extend(given.into_iter().filter(|receipt| is_kept(receipt.leaf_index())));
            }
            (at, batch) = (end, BATCH.min(2 * batch));
        }
        Self {
            log: log.reader(),
            receipts,
        }
    }

    /// The checkpoint at this size, cosigned by all witnesses.
    pub fn note(&self, size: u64) -> Vec<u8> {
        let checkpoint = self.checkpoint(size);
        let note = signer().sign(&checkpoint).unwrap();
        let lines: String = (COSIGNED_S..)
            .zip(witness_signers())
            .map(|(time_s, witness)| witness.cosign(&checkpoint, time_s).unwrap())
            .collect();
        let added = verifier().add_cosignatures(&note, lines.as_bytes(), &witnesses());
        added.unwrap()
    }

    /// What the log signs at this size.
    pub fn checkpoint(&self, size: u64) -> Checkpoint {
        let root = self.log.root_at(size).unwrap();
        let origin = ORIGIN.parse().unwrap();
        Checkpoint { origin, size, root }
    }

    /// Publishes the first `size` entries in a folder, which may hold fewer, with some proofs in `proofs` below it.
    pub fn publish(&self, dir: &Path, size: u64) {
        fs::create_dir_all(dir).unwrap();
        let mut publisher = Publisher::open(dir, Arc::new(RealDisk), verifier()).unwrap();
        publisher.publish(&self.log, size, &self.note(size)).unwrap();
        let proofs = dir.join("proofs");
        fs::create_dir_all(&proofs).unwrap();
        for (name, proof) in self.proofs(size) {
            fs::write(proofs.join(name), proof.format()).unwrap();
        }
    }

    /// Of each kept entry of the first `size` its proof, with all fields, in part or public; and for some the
    /// receipt as it was, under an older checkpoint.
    fn proofs(&self, size: u64) -> Vec<(String, TlogProof)> {
        let (note, mut proofs) = (self.note(size), Vec::new());
        for receipt in self.receipts.iter().filter(|receipt| receipt.leaf_index() < size) {
            let index = receipt.leaf_index();
            let proof = |extra: Vec<u8>| TlogProof {
                extra: Some(extra),
                index,
                path: self.log.inclusion_proof(index, size).unwrap(),
                checkpoint: note.clone(),
            };
            let parts = receipt.to_parts();
            proofs.push((format!("{index}.tlog-proof"), proof(parts.opening.clone())));
            if let Some(opening) = receipt.opening() {
                let part = Processing::of(opening).unwrap().encode();
                let name = format!("{index}-part.tlog-proof");
                proofs.push((name, proof([&[3], part.as_slice()].concat())));
            }
            if receipt.head().size <= size {
                proofs.push((format!("{index}-then.tlog-proof"), parts.into()));
            }
        }
        proofs
    }

    /// The whole opening of a kept entry.
    pub fn opening(&self, index: u64) -> Opening {
        let receipt = self.receipts.iter().find(|receipt| receipt.leaf_index() == index);
        receipt.unwrap().opening().unwrap().clone()
    }
}

fn is_kept(index: u64) -> bool {
    index < 3 || index % KEPT_EVERY == 17 || index % CONTROL_EVERY == 7
}

/// Lookups by made-up people, and a control entry now and then.
fn draft(index: u64) -> Draft {
    if index % CONTROL_EVERY == 7 {
        let entry = json!({ "type": "policy", "n": index });
        return Draft::control(&entry).unwrap();
    }
    let event = [
        &[1][..],
        &(COSIGNED_S * 1_000 + index).to_be_bytes(),
        &u128::from(index).to_be_bytes(),
    ]
    .concat();
    let subject = [
        &1_u32.to_be_bytes()[..],
        &[u8::try_from(index % 251).unwrap(); 32],
    ]
    .concat();
    let fields = Fields::new()
        .with(FieldId::Event, event)
        .and_then(|fields| fields.with(FieldId::Requester, "00000099000000000001"))
        .and_then(|fields| fields.with(FieldId::User, format!("user-{}", index % 50)))
        .and_then(|fields| fields.with(FieldId::Ground, "https://register.example/v1/act/12"))
        .and_then(|fields| fields.with(FieldId::Case, format!("ZK-2026-{index:06}")))
        .and_then(|fields| fields.with(FieldId::Subject, subject))
        .and_then(|fields| fields.with(FieldId::Result, vec![1, 0, 0]))
        .unwrap();
    Draft::payload(fields, RetentionClass(60))
}

/// The log's key.
pub fn signer() -> LogSigner {
    LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32])
}

/// Its public half.
pub fn verifier() -> LogVerifier {
    signer().verifier()
}

/// A checkpoint of the log that nothing stands behind.
pub fn signed(size: u64, root: Hash) -> Vec<u8> {
    let origin = ORIGIN.parse().unwrap();
    signer().sign(&Checkpoint { origin, size, root }).unwrap()
}

fn witness_signers() -> Vec<WitnessSigner> {
    let signer = |(number, partner)| {
        let name = WitnessName::new(format!("partner-{partner}.example/witness")).unwrap();
        WitnessSigner::new(name, &[number; 32])
    };
    (8..).zip(["b", "c", "d", "e"]).map(signer).collect()
}

/// The public halves of the four witnesses' keys.
pub fn witnesses() -> Vec<WitnessVerifier> {
    witness_signers().iter().map(WitnessSigner::verifier).collect()
}

/// Three of the four have to cosign. Written to a file in this folder.
pub fn write_policy(dir: &Path) -> PathBuf {
    let path = dir.join("policy.txt");
    fs::write(&path, Policy::generate(&verifier(), &witnesses()).unwrap()).unwrap();
    path
}
