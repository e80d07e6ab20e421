//! Maps inside a database, for which damage is an error and never a panic.
//!
//! sled reads its pages when they are asked for, and panics on some damage to them.

use std::cell::Cell;
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once};

use sled::{Batch, IVec};

use crate::durable::DbError;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs sled; nothing if it panicked, of which nobody reads on standard error: whoever called says in words what is wrong.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    done.ok()
}

/// A named map of byte strings inside a [`DurableDb`](crate::DurableDb).
#[derive(Clone)]
pub struct Tree {
    tree: sled::Tree,
    dir: Arc<Path>,
}

/// A key and its value, or why they cannot be read.
type Item = Result<(IVec, IVec), DbError>;

fn judged<T>(dir: &Path, done: Option<sled::Result<T>>) -> Result<T, DbError> {
    match done {
        Some(Ok(done)) => Ok(done),
        None | Some(Err(sled::Error::Corruption { .. })) => Err(DbError::Damaged(dir.to_owned())),
        Some(Err(error)) => Err(error.into()),
    }
}

impl Tree {
    pub(crate) fn new(tree: sled::Tree, dir: Arc<Path>) -> Self {
        Self { tree, dir }
    }

    fn run<T>(&self, work: impl FnOnce(&sled::Tree) -> sled::Result<T>) -> Result<T, DbError> {
        judged(&self.dir, guarded(|| work(&self.tree)))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, DbError> {
        self.run(|tree| tree.get(key))
    }

    /// Sets a value; the one before it.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl Into<IVec>) -> Result<Option<IVec>, DbError> {
        self.run(|tree| tree.insert(key, value))
    }

    /// Removes a key; the value that it had.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, DbError> {
        self.run(|tree| tree.remove(key))
    }

    /// Makes changes together.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn apply_batch(&self, batch: Batch) -> Result<(), DbError> {
        self.run(|tree| tree.apply_batch(batch))
    }

    /// Removes everything.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn clear(&self) -> Result<(), DbError> {
        self.run(sled::Tree::clear)
    }

    /// Whether nothing is in it.
    ///
    /// # Errors
    /// [`DbError::Damaged`], or the engine's.
    pub fn is_empty(&self) -> Result<bool, DbError> {
        self.iter().next().transpose().map(|first| first.is_none())
    }

    /// Everything, ascending by key.
    pub fn iter(&self) -> Items {
        self.items(self.tree.iter())
    }

    /// What lies between these keys, ascending.
    pub fn range<K: AsRef<[u8]>>(&self, keys: impl RangeBounds<K>) -> Items {
        self.items(self.tree.range(keys))
    }

    /// What has keys that begin so, ascending.
    pub fn scan_prefix(&self, prefix: impl AsRef<[u8]>) -> Items {
        self.items(self.tree.scan_prefix(prefix))
    }

    fn items(&self, under: sled::Iter) -> Items {
        Items {
            under,
            dir: Arc::clone(&self.dir),
            broken: false,
        }
    }
}

impl IntoIterator for &Tree {
    type Item = Item;
    type IntoIter = Items;

    fn into_iter(self) -> Items {
        self.iter()
    }
}

/// Keys and values of a [`Tree`]; ends after the first error.
pub struct Items {
    under: sled::Iter,
    dir: Arc<Path>,
    broken: bool,
}

impl Items {
    fn step(
        &mut self,
        next: impl FnOnce(&mut sled::Iter) -> Option<sled::Result<(IVec, IVec)>>,
    ) -> Option<Item> {
        if self.broken {
            return None;
        }
        let under = &mut self.under;
        let item = judged(&self.dir, guarded(|| next(under).transpose())).transpose();
        self.broken = matches!(item, Some(Err(_)));
        item
    }

    /// Only the keys.
    pub fn keys(self) -> impl DoubleEndedIterator<Item = Result<IVec, DbError>> {
        self.map(|item| item.map(|(key, _)| key))
    }
}

impl Iterator for Items {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.step(sled::Iter::next)
    }
}

impl DoubleEndedIterator for Items {
    fn next_back(&mut self) -> Option<Item> {
        self.step(sled::Iter::next_back)
    }
}
