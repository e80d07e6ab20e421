//! Where the batches of one key epoch lie.
//!
//! The first epoch's slot is the tree `batches` and the values `sync` and `key-check`; another epoch's have its number
//! behind these names. A slot is marked with the check value of the key that its tokens are made with.

use std::sync::Arc;

use hitmachine_store::Tree;

use super::{BATCHES, Bytes, LocalChange, META, State, StateError, SyncMark, batch_key, pack, unpack};

const KEY_CHECK: &str = "key-check";
const SYNC: &str = "sync";

/// The batches of one key epoch, and how far their sync is.
#[derive(Clone)]
pub struct Slot {
    state: Arc<State>,
    /// Behind each name: nothing, or `-` and the epoch's number.
    suffix: String,
    batches: Tree,
}

impl Slot {
    fn named(state: &Arc<State>, suffix: String) -> Result<Self, StateError> {
        let batches = state.db.tree(&format!("{BATCHES}{suffix}"))?;
        Ok(Self {
            state: Arc::clone(state),
            suffix,
            batches,
        })
    }

    /// The slot of the key with this check value; one is taken for it if there is none, and what lay there before is
    /// forgotten: its tokens match nothing any more.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(state: &Arc<State>, epoch: u32, key_check: &[u8; 8]) -> Result<Self, StateError> {
        let numbered = Self::named(state, format!("-{epoch}"))?;
        if numbered.key_check()?.as_deref() == Some(key_check) {
            return Ok(numbered);
        }
        let first = Self::named(state, String::new())?;
        let slot = match first.key_check()? {
            Some(bound) if bound == key_check => return Ok(first),
            Some(_) => numbered,
            None => first,
        };
        // The mark goes last: a stop before it forgets once more, which is harmless.
        slot.start_generation(SyncMark::default())?;
        slot.put(KEY_CHECK, key_check)?;
        state.db.commit()?;
        Ok(slot)
    }

    /// Forgets every slot but those of the keys with these check values.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget_others(state: &Arc<State>, kept: &[[u8; 8]]) -> Result<(), StateError> {
        let mut suffixes = Vec::new();
        for name in state.meta.scan_prefix(KEY_CHECK).keys() {
            let name = name?;
            let name = std::str::from_utf8(&name).map_err(|_| StateError::DoesNotOpen)?;
            suffixes.extend(name.strip_prefix(KEY_CHECK).map(str::to_owned));
        }
        for suffix in suffixes {
            let slot = Self::named(state, suffix)?;
            let bound = slot.key_check()?;
            if !bound.is_some_and(|bound| kept.iter().any(|kept| kept.as_slice() == bound)) {
                slot.forget()?;
            }
        }
        Ok(())
    }

    /// Forgets all of it, durably.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn forget(&self) -> Result<(), StateError> {
        self.start_generation(SyncMark::default())?;
        let name = self.name(KEY_CHECK);
        self.state.meta.remove(name)?;
        Ok(self.state.db.commit()?)
    }

    fn name(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    fn tree(&self) -> String {
        self.name(BATCHES)
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        let name = self.name(name);
        let sealed = self.state.seal(META, name.as_bytes(), value)?;
        self.state.meta.insert(name, sealed)?;
        Ok(())
    }

    /// What was noted under a name beside the batches, as [`Slot::set_note`] got it.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn note(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        self.state.value(&self.name(name))
    }

    /// Notes a value, durable when it returns.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn set_note(&self, name: &str, value: &[u8]) -> Result<(), StateError> {
        self.put(name, value)?;
        Ok(self.state.db.commit()?)
    }

    fn key_check(&self) -> Result<Option<Vec<u8>>, StateError> {
        self.state.value(&self.name(KEY_CHECK))
    }

    /// How far the sync is.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn mark(&self) -> Result<SyncMark, StateError> {
        let Some(value) = self.state.value(&self.name(SYNC))? else {
            return Ok(SyncMark::default());
        };
        let mut bytes = Bytes(&value);
        let mark = (|| {
            Some(SyncMark {
                generation: u32::from_be_bytes(bytes.take()?),
                acknowledged: u64::from_be_bytes(bytes.take()?),
                complete_ms: i64::from_be_bytes(bytes.take()?),
                complete_count: u64::from_be_bytes(bytes.take()?),
            })
        })();
        mark.ok_or(StateError::DoesNotOpen)
    }

    /// Remembers how far the sync is, durably.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn set_mark(&self, mark: SyncMark) -> Result<(), StateError> {
        let mut value = Vec::with_capacity(28);
        value.extend_from_slice(&mark.generation.to_be_bytes());
        value.extend_from_slice(&mark.acknowledged.to_be_bytes());
        value.extend_from_slice(&mark.complete_ms.to_be_bytes());
        value.extend_from_slice(&mark.complete_count.to_be_bytes());
        self.put(SYNC, &value)?;
        Ok(self.state.db.commit()?)
    }

    /// Forgets all batches and starts the generation of `mark`, durably.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn start_generation(&self, mark: SyncMark) -> Result<(), StateError> {
        self.batches.clear()?;
        self.set_mark(mark)
    }

    /// Writes batches that are about to be sent, and the mark, in one durable step.
    ///
    /// # Errors
    /// [`StateError`]; then nothing may be sent.
    pub fn append(&self, mark: SyncMark, batches: &[(u64, Vec<LocalChange>)]) -> Result<(), StateError> {
        let tree = self.tree();
        for (sequence, changes) in batches {
            let key = batch_key(mark.generation, *sequence);
            let value = pack(changes);
            self.batches.insert(key, self.state.seal(&tree, &key, &value)?)?;
        }
        self.set_mark(mark)
    }

    /// Calls `visit` with each batch of a generation, in order.
    ///
    /// # Errors
    /// [`StateError::DoesNotOpen`] if one is damaged or missing.
    pub fn batches(
        &self,
        generation: u32,
        visit: &mut dyn FnMut(u64, Vec<LocalChange>),
    ) -> Result<(), StateError> {
        let tree = self.tree();
        for (item, expected) in self.batches.scan_prefix(generation.to_be_bytes()).zip(1u64..) {
            let (key, sealed) = item?;
            if *key != batch_key(generation, expected) {
                return Err(StateError::DoesNotOpen);
            }
            let value = self.state.open_value(&tree, &key, &sealed)?;
            visit(expected, unpack(&value).ok_or(StateError::DoesNotOpen)?);
        }
        Ok(())
    }
}
