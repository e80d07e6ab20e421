//! A log on a disk whose power can be cut, everything it ever gave away, and the invariants over both.

#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use hitmachine_audit::{
    Checkpoint, CommitError, Disk, Draft, Erasure, FieldId, Fields, Group, Head, Incomplete, Log, LogConfig,
    LogSigner, LogVerifier, OpenError, ReceiptParts, Recovery, RetentionClass, StoredContent, StoredEntry,
    VerifiedReceipt, WrappingKey, completeness,
    disk::testing::{FailingDisk, Op, OpKind, SimulatedDisk},
    verify_consistency, verify_receipt,
};

pub(crate) mod erasing;

pub(crate) const JANUARY: u64 = 1_767_225_600_000;
pub(crate) const FEBRUARY: u64 = JANUARY + 31 * 86_400_000;
pub(crate) const MARCH: u64 = FEBRUARY + 28 * 86_400_000;
/// The class of all entries but those that are to expire.
pub(crate) const LONG: RetentionClass = RetentionClass(60);
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
        self.drafts_of(count, LONG)
    }

    pub(crate) fn drafts_of(&mut self, count: usize, class: RetentionClass) -> Vec<Draft> {
        (0..count)
            .map(|_| {
                self.made += 1;
                let fields = Fields::new()
                    .with(FieldId::Ground, format!("ground {}", self.made))
                    .and_then(|fields| fields.with(FieldId::User, format!("user {}", self.made)))
                    .unwrap();
                Draft::payload(fields, class)
            })
            .collect()
    }

    /// Publishes the bundles of all entries, durably; says how many there are.
    pub(crate) fn publish(&self, log: &Log) -> u64 {
        publish(log, &self.disk, Path::new("/log/tiles"))
    }

    /// Commits, and releases the receipts if that succeeds.
    pub(crate) fn commit(
        &mut self,
        log: &mut Log,
        disk: &FailingDisk,
        count: usize,
    ) -> Result<Head, CommitError> {
        self.commit_of(log, disk, count, LONG)
    }

    pub(crate) fn commit_of(
        &mut self,
        log: &mut Log,
        disk: &FailingDisk,
        count: usize,
        class: RetentionClass,
    ) -> Result<Head, CommitError> {
        let drafts = self.drafts_of(count, class);
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
        let erasures = Told::of(log);
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
            erasures.check(&receipt, &stored);
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
        // I4: each entry has its payload or a covering erasure that is done.
        let complete = completeness(&log.reader(), &mut |_, _| {});
        assert_eq!(complete.entries, log.head().size, "I4: all entries");
        match complete.first_bad {
            None => {}
            Some((_, Incomplete::Unfinished(_))) if log.unfinished_erasure().is_some() => {}
            bad => panic!("I4: {bad:?}"),
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
        let control = |entry: StoredEntry| match entry.content {
            StoredContent::Control(entry) if entry["type"] == "recovered" => Some(entry),
            _ => None,
        };
        log.entries()
            .filter_map(|entry| control(entry.unwrap()))
            .collect()
    }
}

/// What the control entries of a log say of erasures.
struct Told {
    intents: Vec<Erasure>,
    done: Vec<Erasure>,
}

impl Told {
    fn of(log: &Log) -> Self {
        let (mut intents, mut done) = (Vec::new(), Vec::new());
        for entry in log.entries() {
            if let StoredContent::Control(entry) = entry.unwrap().content
                && let Some(erasure) = Erasure::from_control(&entry)
            {
                let to = if entry["type"] == "erase-done" {
                    &mut done
                } else {
                    &mut intents
                };
                to.push(erasure);
            }
        }
        Self { intents, done }
    }

    fn keys(erasures: &[Erasure]) -> BTreeSet<u32> {
        let keys = erasures.iter().flat_map(|erasure| &erasure.keys);
        keys.map(|use_| use_.id).collect()
    }

    /// I1: the entry of a receipt is there, unless an erasure took it, and is gone if one did.
    fn check(&self, receipt: &VerifiedReceipt, stored: &StoredEntry) {
        let opening = receipt.opening();
        assert_eq!(
            stored.leaf_hash,
            opening.commitment().leaf_hash(),
            "I1: leaf of a receipt"
        );
        let Some([a, b]) = stored.key_ids else {
            assert_eq!(
                stored.content,
                StoredContent::Erased,
                "I1: of an unlinked segment"
            );
            let told = |erasure: &Erasure| erasure.indexes.contains(&stored.index);
            assert!(self.intents.iter().any(told), "I1: unlinked without an intent");
            return;
        };
        let (may, must) = (Self::keys(&self.intents), Self::keys(&self.done));
        match &stored.content {
            StoredContent::Open(stored) => {
                assert_eq!(stored, opening, "I1: entry of a receipt");
                assert!(
                    !must.contains(&a) && !must.contains(&b),
                    "erased, and still there"
                );
            }
            StoredContent::Processing(processing) => {
                let of_a = opening.fields().iter().filter(|(id, _)| id.group() == Group::A);
                assert!(processing.fields().iter().eq(of_a), "I1: group A of a receipt");
                assert!(
                    may.contains(&b) && !must.contains(&a),
                    "group B, and only that, was erased"
                );
            }
            StoredContent::Erased => assert!(may.contains(&a), "I1: payload of a receipt is lost"),
            StoredContent::Control(_) => panic!("a payload"),
        }
    }
}

/// Writes what is missing of the bundles of all entries, full ones and the last.
pub(crate) fn publish(log: &Log, disk: &dyn Disk, dir: &Path) -> u64 {
    let (reader, size) = (log.reader(), log.head().size);
    let folder = dir.join("tile/entries");
    for (number, start) in (0..size).step_by(256).enumerate() {
        let end = size.min(start + 256);
        let (folder, name) = match end - start {
            256 => (folder.clone(), format!("{number:03}")),
            width => (folder.join(format!("{number:03}.p")), width.to_string()),
        };
        disk.create_dir(&folder).unwrap();
        if disk.list(&folder).unwrap().iter().any(|entry| entry.name == name) {
            continue;
        }
        // Of unlinked segments only the bundles have the entries.
        let mut bytes = Vec::new();
        let framed = (start..end).find(|index| reader.leaf_entries(*index..index + 1).is_ok());
        let framed = framed.unwrap_or(end);
        if framed > start {
            bytes = first_of_bundle(disk, dir, number, usize::try_from(framed - start).unwrap());
        }
        for entry in reader.leaf_entries(framed..end).unwrap() {
            bytes.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
            bytes.extend(entry);
        }
        let mut file = disk.create(&folder.join(name)).unwrap();
        file.write_at(0, &bytes).unwrap();
        file.sync().unwrap();
        for made in folder
            .ancestors()
            .filter(|made| made.starts_with(dir.parent().unwrap()))
        {
            disk.sync_dir(made).unwrap();
        }
    }
    size
}

/// The bytes of the first entries of a bundle, from the widest partial one.
fn first_of_bundle(disk: &dyn Disk, dir: &Path, number: usize, count: usize) -> Vec<u8> {
    let folder = dir.join(format!("tile/entries/{number:03}.p"));
    let names = disk.list(&folder).unwrap().into_iter();
    let widest = names
        .map(|entry| entry.name.parse::<u64>().unwrap())
        .max()
        .unwrap();
    let mut file = disk.open(&folder.join(widest.to_string())).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    let mut end = 0;
    for _ in 0..count {
        end += 2 + usize::from(u16::from_be_bytes([bytes[end], bytes[end + 1]]));
    }
    bytes.truncate(end);
    bytes
}

pub(crate) fn is_log(op: &Op) -> bool {
    op.path.to_string_lossy().ends_with(".seg")
}
