//! A log on a disk whose power can be cut, everything it ever gave away, and the invariants over both.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hitmachine_audit::{
    Checkpoint, CommitError, Draft, FieldId, Fields, Head, Log, LogConfig, LogSigner, LogVerifier, OpenError,
    ReceiptParts, Recovery, RetentionClass, StoredContent, WrappingKey,
    disk::testing::{FailingDisk, Op, OpKind, SimulatedDisk},
    verify_consistency, verify_receipt,
};

pub(crate) const JANUARY: u64 = 1_767_225_600_000;
pub(crate) const FEBRUARY: u64 = JANUARY + 31 * 86_400_000;
pub(crate) const ORIGIN: &str = "hitmachine.example/broker-a/audit/1";

pub(crate) struct World {
    pub(crate) disk: SimulatedDisk,
    pub(crate) segment_size: u64,
    pub(crate) clock: Arc<AtomicU64>,
    /// Set: the process dies instead of making a signature.
    pub(crate) die_signing: Arc<AtomicBool>,
    signed: Arc<Mutex<Vec<Checkpoint>>>,
    released: Vec<ReceiptParts>,
    /// What the disk was asked for by each successful commit, up to the release of its receipts.
    batches: Vec<Vec<Op>>,
    made: u64,
}

impl World {
    pub(crate) fn new(segment_size: u64) -> Self {
        Self {
            disk: SimulatedDisk::new(),
            segment_size,
            clock: Arc::new(AtomicU64::new(JANUARY)),
            die_signing: Arc::default(),
            signed: Arc::default(),
            released: Vec::new(),
            batches: Vec::new(),
            made: 0,
        }
    }

    /// The same world, to go another way from here.
    pub(crate) fn fork(&self) -> Self {
        Self {
            disk: self.disk.fork(),
            segment_size: self.segment_size,
            clock: Arc::new(AtomicU64::new(self.clock.load(Ordering::SeqCst))),
            die_signing: Arc::default(),
            signed: Arc::new(Mutex::new(self.signed.lock().unwrap().clone())),
            released: self.released.clone(),
            batches: self.batches.clone(),
            made: self.made,
        }
    }

    pub(crate) fn failing(&self) -> FailingDisk {
        FailingDisk::new(self.disk.clone())
    }

    pub(crate) fn verifier() -> LogVerifier {
        LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32]).verifier()
    }

    /// The helper thread is waited for, so that operations come in one order.
    pub(crate) fn open(&self, disk: &FailingDisk) -> Result<(Log, Recovery), OpenError> {
        let (signed, die) = (Arc::clone(&self.signed), Arc::clone(&self.die_signing));
        let signer =
            LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32]).with_hook(Arc::new(move |checkpoint| {
                assert!(!die.load(Ordering::SeqCst), "dies before signing");
                signed.lock().unwrap().push(checkpoint.clone());
            }));
        let clock = Arc::clone(&self.clock);
        let config = LogConfig {
            segment_size: self.segment_size,
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
            ..LogConfig::new(
                "/log".into(),
                "/keys".into(),
                signer,
                WrappingKey::from_bytes([3; 32]),
            )
        };
        let (mut log, recovery) = Log::open(config, Arc::new(disk.clone()))?;
        log.wait_for_spare()?;
        Ok((log, recovery))
    }

    /// Opens with nothing failing and checks everything.
    pub(crate) fn reopen(&self) -> (Log, Recovery) {
        let (log, recovery) = self.open(&self.failing()).unwrap();
        self.check(&log);
        (log, recovery)
    }

    pub(crate) fn drafts(&mut self, count: usize) -> Vec<Draft> {
        (0..count)
            .map(|_| {
                self.made += 1;
                let fields = Fields::new()
                    .with(FieldId::Ground, format!("ground {}", self.made))
                    .and_then(|fields| fields.with(FieldId::User, format!("user {}", self.made)))
                    .unwrap();
                Draft::payload(fields, RetentionClass(60))
            })
            .collect()
    }

    /// Commits, and releases the receipts if that succeeds.
    pub(crate) fn commit(
        &mut self,
        log: &mut Log,
        disk: &FailingDisk,
        count: usize,
    ) -> Result<Head, CommitError> {
        let drafts = self.drafts(count);
        // What recovery owes is a batch of its own.
        log.settle()?;
        let begin = disk.ops().len();
        let known: Vec<u64> = self.released.iter().map(|parts| Self::head(parts).size).collect();
        let batch = log.commit(drafts)?;
        let head = batch.signed().head;
        let receipts = log.receipts(batch, &known);
        assert_eq!(receipts.len(), count);
        self.batches.push(disk.ops()[begin..].to_vec());
        self.released
            .extend(receipts.iter().map(hitmachine_audit::Receipt::to_parts));
        Ok(head)
    }

    pub(crate) fn head(parts: &ReceiptParts) -> Head {
        Self::verifier().open(&parts.checkpoint).unwrap().head()
    }

    pub(crate) fn released(&self) -> &[ReceiptParts] {
        &self.released
    }

    /// All heads ever signed.
    pub(crate) fn signed(&self) -> Vec<Head> {
        self.signed.lock().unwrap().iter().map(Checkpoint::head).collect()
    }

    /// The invariants of the log. Called after every step of every test.
    pub(crate) fn check(&self, log: &Log) {
        let (verifier, origin) = (Self::verifier(), ORIGIN.parse().unwrap());
        let mut heads: Vec<Head> = Vec::new();
        for parts in &self.released {
            // I1: each receipt ever released verifies, against the log as it is now.
            let receipt = verify_receipt(parts, &verifier, &origin).unwrap();
            assert_eq!(
                log.confirm(&receipt.head()),
                Ok(()),
                "I1: head of a released receipt"
            );
            let stored = log.read_entry(receipt.leaf_index()).unwrap();
            assert_eq!(
                stored.content,
                StoredContent::Open(receipt.opening().clone()),
                "I1: entry of a receipt"
            );
            // Its consistency proofs hold from every head released before.
            for (from, proof) in &parts.consistency {
                let old = heads.iter().find(|head| head.size == *from).unwrap();
                let Head { size, root } = receipt.head();
                assert!(
                    verify_consistency(*from, size, &old.root, &root, proof),
                    "I1: consistency"
                );
            }
            heads.push(receipt.head());
        }
        // I2: the log is at least as large as anything released.
        let largest = heads.iter().map(|head| head.size).max().unwrap_or(0);
        assert!(
            log.head().size >= largest,
            "I2: {} entries, {largest} released",
            log.head().size
        );
        // I3: all signatures ever made are pairwise consistent: each lies on this one log.
        for head in self.signed() {
            assert_eq!(log.confirm(&head), Ok(()), "I3: signed head");
        }
        // I7: one flush for each batch, after its one write and before its receipts.
        for ops in &self.batches {
            let on_log = |op: &&Op| op.path.to_string_lossy().ends_with(".seg");
            let on_log = ops.iter().filter(on_log).map(|op| op.kind);
            let flushes: Vec<OpKind> = on_log
                .filter(|kind| matches!(kind, OpKind::Write | OpKind::Sync))
                .collect();
            assert_eq!(flushes, [OpKind::Write, OpKind::Sync], "I7");
        }
        // Nothing in the log is unreadable.
        let read = log.entries().map(|entry| entry.unwrap().index);
        assert!(read.eq(0..log.head().size), "all entries in order");
    }

    /// The segment files, in order of their numbers.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut files = self.disk.files();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "seg"));
        files.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        files
    }

    /// The bodies of all `recovered` entries.
    pub(crate) fn recovered(log: &Log) -> Vec<serde_json::Map<String, serde_json::Value>> {
        let control = |entry: hitmachine_audit::StoredEntry| match entry.content {
            StoredContent::Control(entry) if entry["type"] == "recovered" => Some(entry),
            _ => None,
        };
        log.entries()
            .filter_map(|entry| control(entry.unwrap()))
            .collect()
    }
}

pub(crate) fn is_log(op: &Op) -> bool {
    op.path.to_string_lossy().ends_with(".seg")
}
