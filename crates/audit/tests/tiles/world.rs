//! A log in memory, and what its published folder must be, computed the plain way.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use hitmachine_audit::{
    Checkpoint, Disk, Front, Hash, LogSigner, LogVerifier, Origin, PublishSource, SourceError,
    disk::testing::SimulatedDisk,
    empty_root, leaf_hash, node_hash,
    tiles::{Observer, PublishedFolder},
    verify_published,
};

pub(crate) const DIR: &str = "/published";
const ORIGIN: &str = "hitmachine.example/broker-a/audit/1";

/// Commitments, and a control entry now and then.
pub(crate) fn entry(index: u64) -> Vec<u8> {
    if index % 100 == 7 {
        return [b"\x02", control(index).as_slice()].concat();
    }
    [b"\x01", leaf_hash(&index.to_be_bytes()).as_bytes().as_slice()].concat()
}

fn control(index: u64) -> Vec<u8> {
    format!("{{\"type\":\"policy\",\"n\":{index}}}").into_bytes()
}

fn signer() -> LogSigner {
    LogSigner::new(ORIGIN.parse().unwrap(), &[7; 32])
}

pub(crate) fn verifier() -> LogVerifier {
    signer().verifier()
}

#[derive(Clone)]
pub(crate) struct TestLog {
    front: Front,
    /// `None`: gone.
    pub(crate) entries: Vec<Option<Vec<u8>>>,
    /// Gives one entry too few.
    pub(crate) short: bool,
}

impl TestLog {
    pub(crate) fn new(size: u64) -> Self {
        Self::forked(size, u64::MAX)
    }

    /// Another entry at this index.
    pub(crate) fn forked(size: u64, at: u64) -> Self {
        let mut log = Self {
            front: Front::new(),
            entries: Vec::new(),
            short: false,
        };
        for index in 0..size {
            log.push(if index == at {
                b"\x01fork".to_vec()
            } else {
                entry(index)
            });
        }
        log
    }

    pub(crate) fn push(&mut self, entry: Vec<u8>) {
        self.front.push(leaf_hash(&entry));
        self.entries.push(Some(entry));
    }

    pub(crate) fn origin() -> Origin {
        signer().origin().clone()
    }

    pub(crate) fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint {
            origin: Self::origin(),
            size,
            root: self.front.root_at(size).unwrap(),
        }
    }

    pub(crate) fn note(&self, size: u64) -> Vec<u8> {
        signer().sign(&self.checkpoint(size)).unwrap()
    }

    pub(crate) fn leaves(&self, size: u64) -> Vec<Hash> {
        (0..size)
            .map(|index| self.front.node(0, index).unwrap())
            .collect()
    }

    /// A checkpoint that nothing stands behind.
    pub(crate) fn note_of(size: u64, root: Hash) -> Vec<u8> {
        let origin = signer().origin().clone();
        signer().sign(&Checkpoint { origin, size, root }).unwrap()
    }

    /// The entries of this range are gone for good.
    pub(crate) fn forget(&mut self, range: Range<usize>) {
        self.entries[range].fill(None);
    }
}

impl PublishSource for TestLog {
    fn size(&self) -> u64 {
        self.front.size()
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.front.node(level, index)
    }

    fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, SourceError> {
        assert!(range.end <= self.size() && range.end - range.start <= 256);
        let end = range.end - u64::from(self.short);
        let entry = |index| {
            self.entries[usize::try_from(index).unwrap()]
                .clone()
                .ok_or(SourceError::Gone(index))
        };
        (range.start..end).map(entry).collect()
    }
}

/// RFC 9162 §2.1.1, word for word.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// `<N>`, from the example of the standard: 1234067 is `x001/x234/067`.
fn number(index: usize) -> String {
    let digits = format!("{index:03}");
    let digits = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    let groups: Vec<&str> = (0..digits.len())
        .step_by(3)
        .map(|at| &digits[at..at + 3])
        .collect();
    // All but the last begin with an x.
    let joined = format!("x{}", groups.join("/x"));
    let (before, last) = joined.rsplit_once('x').unwrap();
    format!("{before}{last}")
}

fn rows<T>(prefix: &str, items: &[T], encode: impl Fn(&T) -> Vec<u8>, files: &mut BTreeMap<String, Vec<u8>>) {
    for (index, chunk) in items.chunks(256).enumerate() {
        let partial = if chunk.len() < 256 {
            format!(".p/{}", chunk.len())
        } else {
            String::new()
        };
        let bytes = chunk.iter().flat_map(&encode).collect();
        files.insert(format!("{prefix}/{}{partial}", number(index)), bytes);
    }
}

/// The checkpoint and everything that it needs, and nothing else.
pub(crate) fn files_of(log: &TestLog, size: u64) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([("checkpoint".to_owned(), log.note(size))]);
    let entries: Vec<u64> = (0..size).collect();
    let encode = |index: &u64| {
        let entry = entry(*index);
        [
            &u16::try_from(entry.len()).unwrap().to_be_bytes(),
            entry.as_slice(),
        ]
        .concat()
    };
    rows("tile/entries", &entries, encode, &mut files);
    let mut hashes: Vec<Hash> = entries.iter().map(|index| leaf_hash(&entry(*index))).collect();
    assert_eq!(log.checkpoint(size).root, mth(&hashes));
    for level in 0.. {
        if hashes.is_empty() {
            break;
        }
        rows(
            &format!("tile/{level}"),
            &hashes,
            |hash| hash.0.to_vec(),
            &mut files,
        );
        hashes = hashes.chunks_exact(256).map(mth).collect();
    }
    files
}

/// I6: the checkpoint in the folder, if any, has every file it needs, and the verifier says so too. Gives its
/// size; `None` if anything is wrong. 0 also if nothing was published yet.
pub(crate) fn check_published(disk: &SimulatedDisk, log: &TestLog) -> Option<u64> {
    let read = |name: &str| {
        let mut file = disk.open(format!("{DIR}/{name}").as_ref()).ok()?;
        let mut bytes = vec![0; usize::try_from(file.size().ok()?).ok()?];
        file.read_at(0, &mut bytes).ok()?;
        Some(bytes)
    };
    let Some(note) = read("checkpoint") else {
        return Some(0);
    };
    let checkpoint = verifier().open(&note).ok()?;
    if checkpoint != log.checkpoint(checkpoint.size) {
        return None;
    }
    let mut whole = true;
    for (name, bytes) in files_of(log, checkpoint.size) {
        whole &= name == "checkpoint" || read(&name) == Some(bytes);
    }
    let mut heard = Heard::default();
    let folder = PublishedFolder::new(DIR, Arc::new(disk.clone()));
    let report = verify_published(&folder, &verifier(), &mut heard).unwrap();
    assert_eq!(report.is_sound(), whole, "{:?}", report.problems);
    if whole {
        heard.check(checkpoint.size);
    }
    whole.then_some(checkpoint.size)
}

/// Everything the verifier told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    progress: Vec<(u64, u64)>,
    controls: Vec<(u64, Vec<u8>)>,
}

impl Heard {
    /// Of a sound log.
    pub(crate) fn check(&self, size: u64) {
        let controls = (0..size).filter(|index| index % 100 == 7);
        let controls: Vec<_> = controls.map(|index| (index, control(index))).collect();
        assert_eq!(self.controls, controls);
        let ends = (1..=size.div_ceil(256)).map(|bundle| ((bundle * 256).min(size), size));
        assert_eq!(self.progress, ends.collect::<Vec<_>>());
    }

    pub(crate) fn controls(&self) -> Vec<u64> {
        self.controls.iter().map(|(index, _)| *index).collect()
    }
}

impl Observer for Heard {
    fn progress(&mut self, done: u64, size: u64) {
        self.progress.push((done, size));
    }

    fn control(&mut self, index: u64, json: &[u8]) {
        self.controls.push((index, json.to_vec()));
    }
}
