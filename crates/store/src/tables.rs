//! What the broker must remember beside registrations and log: small values in named tables.
//!
//! Nothing in it is about a person: counts, places in the log, states. Each value has a checksum; one that does not
//! fit is damage, and never read as something else.

use std::path::Path;
use std::sync::Arc;

use crate::durable::{Batch, DbError, DurableDb};
use crate::sealed::{opened, sealed};
use crate::tree::Tree;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The engine failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A value is not what was written.
    #[error("a value in the hub's table {0} is damaged")]
    Damaged(&'static str),
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The broker's tables, in a folder of their own.
#[derive(Clone)]
pub struct HubTables {
    db: Arc<DurableDb>,
}

/// One of them: values by key, in the order of the keys.
#[derive(Clone)]
pub struct Table {
    name: &'static str,
    tree: Tree,
    db: Arc<DurableDb>,
}

impl HubTables {
    /// Opens or creates them in `dir`.
    ///
    /// # Errors
    /// The engine's.
    pub fn open(dir: &Path) -> Result<Self, TableError> {
        Ok(Self {
            db: Arc::new(DurableDb::open(dir)?),
        })
    }

    /// The table with this name; made if it is not there.
    ///
    /// # Errors
    /// The engine's.
    pub fn table(&self, name: &'static str) -> Result<Table, TableError> {
        Ok(Table {
            name,
            tree: self.db.tree(name)?,
            db: Arc::clone(&self.db),
        })
    }
}

impl Table {
    fn opened(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, TableError> {
        opened(self.name, key, value)
            .map(<[u8]>::to_vec)
            .ok_or(TableError::Damaged(self.name))
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        self.tree
            .get(key)?
            .map(|value| self.opened(key, &value))
            .transpose()
    }

    /// Changes values together, all of them durable when it returns: a key with a value is set, one without is
    /// removed.
    ///
    /// # Errors
    /// [`TableError`]; then none or all of them may be there at the next start.
    pub fn change<K: AsRef<[u8]>>(&self, changes: &[(K, Option<Vec<u8>>)]) -> Result<(), TableError> {
        let mut batch = Batch::default();
        for (key, value) in changes {
            let key = key.as_ref();
            match value {
                Some(value) => batch.insert(key, sealed(self.name, key, value)),
                None => batch.remove(key),
            }
        }
        self.tree.apply_batch(batch)?;
        Ok(self.db.commit()?)
    }

    /// All keys that begin with `prefix`, and their values, ascending by key.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, TableError> {
        self.tree
            .scan_prefix(prefix)
            .map(|item| {
                let (key, value) = item?;
                let value = self.opened(&key, &value)?;
                Ok((key.to_vec(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_reopening_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        {
            let tables = HubTables::open(dir.path()).unwrap();
            let (one, two) = (tables.table("one").unwrap(), tables.table("two").unwrap());
            one.change(&[("a1", Some(b"first".to_vec())), ("a2", Some(b"second".to_vec()))])
                .unwrap();
            one.change(&[("a2", None)]).unwrap();
            two.change(&[("a1", Some(b"elsewhere".to_vec()))]).unwrap();
        }
        let tables = HubTables::open(dir.path()).unwrap();
        let one = tables.table("one").unwrap();
        assert_eq!(one.get(b"a1").unwrap().as_deref(), Some(b"first".as_slice()));
        assert_eq!(one.get(b"a2").unwrap(), None);
        assert_eq!(one.scan(b"a").unwrap(), [(b"a1".to_vec(), b"first".to_vec())]);
        let foreign = tables.table("two").unwrap().tree.get("a1").unwrap().unwrap();
        one.tree.insert("a1", foreign).unwrap();
        assert!(matches!(one.get(b"a1"), Err(TableError::Damaged("one"))));
        assert!(one.scan(b"").is_err());
    }
}
