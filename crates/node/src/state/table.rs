//! A part of the local state with a name of its own.

use std::sync::Arc;

use hitmachine_store::{Batch, Tree};
use zeroize::Zeroizing;

use super::{State, StateError};

/// Values by key, each sealed like all local state; keys are not, so they say nothing about a person.
pub struct Table {
    name: &'static str,
    tree: Tree,
    state: Arc<State>,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Zeroizing<Vec<u8>>);

impl State {
    /// The table with this name; made if it is not there.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn table(self: &Arc<Self>, name: &'static str) -> Result<Table, StateError> {
        Ok(Table {
            name,
            tree: self.db.tree(&format!("table/{name}"))?,
            state: Arc::clone(self),
        })
    }
}

impl Table {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let sealed = self.tree.get(key)?;
        sealed
            .map(|sealed| self.state.open_value(self.name, key, &sealed))
            .transpose()
    }

    /// Changes values together, all of them durable when it returns: a key with a value is set, one without is
    /// removed.
    ///
    /// # Errors
    /// [`StateError`]; then none or all of them may be there at the next start.
    pub fn change<K: AsRef<[u8]>>(&self, changes: &[(K, Option<Vec<u8>>)]) -> Result<(), StateError> {
        self.stage(changes)?;
        Ok(self.state.db.commit()?)
    }

    /// Changes values together; durable with the next commit of the state, whoever makes it.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn stage<K: AsRef<[u8]>>(&self, changes: &[(K, Option<Vec<u8>>)]) -> Result<(), StateError> {
        let mut batch = Batch::default();
        for (key, value) in changes {
            let key = key.as_ref();
            match value {
                Some(value) => batch.insert(key, self.state.seal(self.name, key, value)?),
                None => batch.remove(key),
            }
        }
        Ok(self.tree.apply_batch(batch)?)
    }

    /// All keys from this one on, ascending, without opening their values.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keys(&self, from: &[u8]) -> Result<Vec<Vec<u8>>, StateError> {
        let keys = self.tree.range(from..).keys();
        keys.map(|key| Ok(key?.to_vec())).collect()
    }

    /// The values of the last keys, descending by key.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn newest(&self, most: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, StateError> {
        let items = self.tree.iter().rev().take(most);
        items
            .map(|item| {
                let (key, sealed) = item?;
                self.state.open_value(self.name, &key, &sealed)
            })
            .collect()
    }

    /// All keys that begin with `prefix`, and their values, ascending by key.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, StateError> {
        self.tree
            .scan_prefix(prefix)
            .map(|item| {
                let (key, sealed) = item?;
                let value = self.state.open_value(self.name, &key, &sealed)?;
                Ok((key.to_vec(), value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateKey;

    #[test]
    fn tables_are_apart_and_survive_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let key = || StateKey::from_bytes([3; 32]);
        {
            let state = Arc::new(State::open(dir.path(), &key()).unwrap());
            let (one, two) = (state.table("one").unwrap(), state.table("two").unwrap());
            let set = |text: &str| Some(text.as_bytes().to_vec());
            one.change(&[("a1", set("first")), ("a2", set("second")), ("b", set("other"))])
                .unwrap();
            one.change(&[("a2", None)]).unwrap();
            two.change(&[("a1", set("elsewhere"))]).unwrap();
        }
        let state = Arc::new(State::open(dir.path(), &key()).unwrap());
        let one = state.table("one").unwrap();
        assert_eq!(
            one.get(b"a1").unwrap().as_deref().map(Vec::as_slice),
            Some(b"first".as_slice())
        );
        assert_eq!(one.get(b"a2").unwrap(), None);
        let keys: Vec<_> = one.scan(b"a").unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [b"a1".to_vec()]);
        assert_eq!(one.keys(b"a2").unwrap(), [b"b".to_vec()]);
        let newest: Vec<_> = one
            .newest(5)
            .unwrap()
            .iter()
            .map(|value| value.to_vec())
            .collect();
        assert_eq!(newest, [b"other".to_vec(), b"first".to_vec()]);
        assert_eq!(one.newest(1).unwrap().len(), 1);
        // A value of another table in its place does not open.
        let foreign = state.table("two").unwrap().tree.get("a1").unwrap().unwrap();
        one.tree.insert("a1", foreign).unwrap();
        assert!(matches!(one.get(b"a1"), Err(StateError::DoesNotOpen)));
    }
}
