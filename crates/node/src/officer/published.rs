//! Checking the whole published log over the hub's connection: every entry, every tile, the signature, the
//! cosignatures, and that every head this node holds lies on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use hitmachine_audit::tiles::{Observer, VerifyError};
use hitmachine_audit::{
    Hash, Head, LogVerifier, ReadTile, TilePath, empty_root, node_hash, verify_published,
};
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::OfficerError;
use super::client::Officer;
use crate::ask::AskError;
use crate::link::{Link, LinkError};
use crate::sync::Progress;

/// Problems that are listed; more of them say nothing more.
const MOST_LISTED: usize = 20;
/// Hashes in a full tile.
const FULL: u64 = 256;

/// What a check of the published log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyView {
    /// Entries that the published checkpoint is about.
    pub log_size: u64,
    /// Entries that were looked at.
    pub checked: u64,
    /// Whether everything is there and adds up to the signed root.
    pub sound: bool,
    /// What is wrong, the first of it.
    pub problems: Vec<String>,
    /// How many files are wrong.
    pub problem_count: usize,
    /// The first entry that is wrong, from 0.
    pub first_bad: Option<u64>,
    /// Whether the checkpoint has the cosignatures that the policy asks for.
    pub cosigned: bool,
    /// Heads held by this node that lie on it.
    pub heads_on_it: usize,
    /// Heads held by this node that are newer than what is published.
    pub heads_ahead: usize,
    /// Sizes of heads held by this node that do not lie on it: the hub signed two different logs.
    pub heads_off: Vec<u64>,
}

impl Officer<'_> {
    /// Checks the published log. It holds no personal data and to read it is no entry.
    ///
    /// # Errors
    /// [`OfficerError::Published`] if nothing can be said.
    pub(crate) async fn verify_published(
        &self,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<VerifyView, OfficerError> {
        let link = Arc::clone(&self.inquirer.link);
        let verifier = self.inquirer.notes.verifier().clone();
        let heads = self.inquirer.heads.all();
        let runtime = Handle::current();
        let checking = tokio::task::spawn_blocking(move || {
            let hub = Hub { link, runtime };
            let log = Watched::new(&hub, &verifier, heads.iter().map(|head| head.size));
            let report = verify_published(&log, &verifier, &mut Shown(progress))?;
            let roots = log.walk.into_inner().roots;
            Ok::<_, VerifyError>((report, heads, roots))
        });
        let (report, heads, roots) = checking
            .await
            .map_err(|_| AskError::Stopped)?
            .map_err(OfficerError::Published)?;
        let opened = self.inquirer.heads.policy().open(&report.note);
        let mut view = VerifyView {
            log_size: report.checkpoint.size,
            checked: report.checked,
            sound: report.is_sound(),
            problems: report
                .problems
                .iter()
                .take(MOST_LISTED)
                .map(ToString::to_string)
                .collect(),
            problem_count: report.problems.len(),
            first_bad: report.first_bad(),
            cosigned: opened.is_ok_and(|(_, quorum)| quorum.holds()),
            ..VerifyView::default()
        };
        if view.sound {
            view.place(&heads, &report.checkpoint.head(), &roots);
        }
        Ok(view)
    }
}

impl VerifyView {
    fn place(&mut self, heads: &[Head], published: &Head, roots: &BTreeMap<u64, Hash>) {
        for head in heads {
            if head.size > published.size {
                self.heads_ahead += 1;
            } else if roots.get(&head.size) == Some(&head.root) {
                self.heads_on_it += 1;
            } else {
                self.heads_off.push(head.size);
            }
        }
    }

    /// Whether what was checked is right.
    pub fn is_right(&self) -> bool {
        self.sound && self.heads_off.is_empty()
    }
}

struct Shown(Arc<dyn Fn(Progress) + Send + Sync>);

impl Observer for Shown {
    fn progress(&mut self, done: u64, size: u64) {
        (self.0)(Progress::Log { done, total: size });
    }
}

/// The hub's published files.
pub(super) struct Hub {
    pub(super) link: Arc<Link>,
    pub(super) runtime: Handle,
}

impl Hub {
    /// `None` for a file that is not there.
    fn wait<T>(&self, call: impl Future<Output = Result<T, tonic::Status>>) -> io::Result<Option<T>> {
        let call = async {
            match call.await {
                Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
                result => result.map(Some),
            }
        };
        let result: Result<_, LinkError> = self.runtime.block_on(self.link.within(call));
        result.map_err(io::Error::other)
    }
}

impl ReadTile for Hub {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        let mut client = self.link.log();
        let request = v1::TileRequest {
            path: path.to_string(),
        };
        let tile = self.wait(async { Ok(client.tile(request).await?.into_inner().content) })?;
        // One byte more than a file may have is enough to see that it is too long.
        let most = usize::try_from(path.max_len() + 1).unwrap_or(usize::MAX);
        Ok(tile.map(|mut bytes| {
            bytes.truncate(most);
            bytes
        }))
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        let mut client = self.link.log();
        let request = v1::CheckpointRequest {};
        let note = self.wait(async { Ok(client.checkpoint(request).await?.into_inner().note) })?;
        Ok(note.filter(|note| !note.is_empty()))
    }
}

/// Files on their way to the check, with the roots of certain sizes worked out of the leaves that pass.
struct Watched<'a> {
    files: &'a dyn ReadTile,
    verifier: &'a LogVerifier,
    walk: RefCell<Walk>,
}

/// The tree so far: its complete subtrees, the largest first, as `(leaves, root)`.
#[derive(Default)]
struct Walk {
    size: u64,
    /// No leaf at or beyond this is taken.
    end: u64,
    subtrees: Vec<(u64, Hash)>,
    wanted: BTreeSet<u64>,
    roots: BTreeMap<u64, Hash>,
}

impl<'a> Watched<'a> {
    fn new(files: &'a dyn ReadTile, verifier: &'a LogVerifier, wanted: impl Iterator<Item = u64>) -> Self {
        let mut walk = Walk {
            wanted: wanted.collect(),
            ..Walk::default()
        };
        walk.note();
        Self {
            files,
            verifier,
            walk: RefCell::new(walk),
        }
    }
}

impl ReadTile for Watched<'_> {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.files.read(path)?;
        let mut walk = self.walk.borrow_mut();
        let next = path.level() == Some(0) && path.index().checked_mul(FULL) == Some(walk.size);
        if let Some(bytes) = bytes.as_ref().filter(|_| next) {
            for leaf in bytes.chunks_exact(32).filter_map(Hash::from_slice) {
                walk.push(leaf);
            }
        }
        Ok(bytes)
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        let note = self.files.checkpoint()?;
        let opened = note.as_ref().and_then(|note| self.verifier.open(note).ok());
        self.walk.borrow_mut().end = opened.map_or(0, |checkpoint| checkpoint.size);
        Ok(note)
    }
}

impl Walk {
    fn push(&mut self, leaf: Hash) {
        if self.size >= self.end {
            return;
        }
        let (mut leaves, mut hash) = (1, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(other, _)| *other == leaves) {
            hash = node_hash(&left, &hash);
            leaves *= 2;
        }
        self.subtrees.push((leaves, hash));
        self.size += 1;
        self.note();
    }

    fn note(&mut self) {
        if self.wanted.contains(&self.size) {
            let mut right = self.subtrees.iter().rev().map(|(_, hash)| *hash);
            let last = right.next();
            let root = last.map(|last| right.fold(last, |root, left| node_hash(&left, &root)));
            self.roots.insert(self.size, root.unwrap_or_else(empty_root));
        }
    }
}

#[cfg(test)]
mod tests {
    use hitmachine_audit::{Front, leaf_hash};

    use super::*;

    #[test]
    fn roots_are_those_of_the_tree() {
        let mut front = Front::new();
        let sizes: Vec<u64> = (0..=90).collect();
        let mut walk = Walk {
            end: 70,
            wanted: sizes.iter().copied().collect(),
            ..Walk::default()
        };
        walk.note();
        for leaf in 0_u8..100 {
            front.push(leaf_hash(&[leaf]));
            walk.push(leaf_hash(&[leaf]));
        }
        for size in 0..=70 {
            assert_eq!(walk.roots.get(&size), front.root_at(size).as_ref(), "{size}");
        }
        assert_eq!(walk.roots.len(), 71, "nothing beyond the checkpoint");
    }

    #[test]
    fn heads_are_on_it_ahead_or_off() {
        let root = |byte| Hash([byte; 32]);
        let head = |size, byte| Head {
            size,
            root: root(byte),
        };
        let roots = BTreeMap::from([(3, root(3)), (5, root(5))]);
        let mut view = VerifyView {
            sound: true,
            ..VerifyView::default()
        };
        let held = [head(3, 3), head(5, 4), head(9, 9)];
        view.place(&held, &head(5, 5), &roots);
        assert_eq!((view.heads_on_it, view.heads_ahead), (1, 1));
        assert_eq!(view.heads_off, [5]);
        assert!(!view.is_right());
    }
}
