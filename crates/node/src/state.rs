//! What a node remembers between runs, encrypted at rest.
//!
//! # Layout (sled)
//!
//! | tree | key | value (sealed) |
//! |---|---|---|
//! | `batches` | generation u32 ‖ sequence u64 | the batch as it was sent, with local references |
//! | `meta` | `sync` | [`SyncMark`] |
//! | `meta` | `key-check` | key check value of the pseudonym key that the tokens are made with |
//! | `batches-N`, `meta` | …, `sync-N`, `key-check-N` | the same of key epoch N, if another came before it: see [`Slot`] |
//! | `meta` | `heads`, `head-notes` | log heads not yet proven prefixes of a later one, and their signed notes |
//! | `meta` | `cosigned` | the newest checkpoint that a quorum of partners cosigned |
//! | `meta` | `witness/<log>` | what this node cosigned last |
//! | `meta` | `alarms` | what this node found wrong with the log |
//!
//! Other parts of the node keep theirs in a [`Table`] of their own.
//!
//! Like at the broker, batches are the truth: a batch is written here before it is sent, so that after a stop the
//! node knows what a broker that had taken it holds. Every value is sealed with XChaCha20-Poly1305 under the node's
//! state key, a random nonce before it, tree and key as associated data: a value that was changed, moved or sealed
//! with another key does not open.

mod slot;
mod table;

use std::path::Path;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hitmachine_core::{Day, SubjectClass};
use hitmachine_pseudonym::{IdentifierType, Token};
use hitmachine_store::{DbError, DurableDb, Tree};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::journal::JournalEntry;

pub use slot::Slot;
pub use table::{Pair, Table};

const NONCE: usize = 24;
const BATCHES: &str = "batches";
const META: &str = "meta";
const JOURNAL: &str = "journal";

/// Why the local state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The database failed.
    #[error("the node's local database failed")]
    Db(#[from] DbError),
    /// A value does not open: damaged, or another state key.
    #[error(
        "the node's local state does not open: it is damaged, or the state key is another one; put the \
         right key or a backup back"
    )]
    DoesNotOpen,
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

/// Key under which local state is sealed.
#[derive(ZeroizeOnDrop)]
pub struct StateKey([u8; 32]);

impl StateKey {
    /// From its 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// One change as the node keeps it: what the broker gets, and the local reference that it does not get.
#[derive(Clone, Debug)]
pub struct LocalChange {
    /// Which kind of number the token was made of.
    pub identifier: IdentifierType,
    /// The pseudonym.
    pub token: Token,
    /// Class, last day and local reference; `None` withdraws.
    pub registration: Option<Held>,
}

/// What the node holds as registered about one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Minor or adult.
    pub class: SubjectClass,
    /// The last day on which the broker answers with it.
    pub valid_until: Day,
    /// The organisation's own file, by which a hit is found back.
    pub reference: Option<Box<str>>,
}

/// How far the sync is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncMark {
    /// Generation in use at the broker; 0 before the first sync.
    pub generation: u32,
    /// The broker has acknowledged everything up to here.
    pub acknowledged: u64,
    /// When both sides last agreed, in milliseconds since 1970; 0 if never.
    pub complete_ms: i64,
    /// Registrations at that moment.
    pub complete_count: u64,
}

/// Something to be written to the state, without a commit of its own.
pub(crate) type Write = Box<dyn FnOnce() -> Result<(), StateError> + Send>;

/// The node's local database.
pub struct State {
    db: DurableDb,
    meta: Tree,
    journal: Tree,
    cipher: XChaCha20Poly1305,
}

impl State {
    /// Opens or creates the state in `dir`.
    ///
    /// # Errors
    /// [`StateError`]; [`DbError::InUse`] if another process has it.
    pub fn open(dir: &Path, key: &StateKey) -> Result<Self, StateError> {
        let db = DurableDb::open(&dir.join("sled"))?;
        let (meta, journal) = (db.tree(META)?, db.tree(JOURNAL)?);
        Ok(Self {
            db,
            meta,
            journal,
            cipher: XChaCha20Poly1305::new((&key.0).into()),
        })
    }

    fn seal(&self, tree: &str, key: &[u8], value: &[u8]) -> Result<Vec<u8>, StateError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| StateError::Random)?;
        let aad = [tree.as_bytes(), &[0], key].concat();
        let sealed = self.cipher.encrypt(
            (&nonce).into(),
            Payload {
                msg: value,
                aad: &aad,
            },
        );
        let sealed = sealed.map_err(|_| StateError::DoesNotOpen)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open_value(&self, tree: &str, key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE>()
            .ok_or(StateError::DoesNotOpen)?;
        let aad = [tree.as_bytes(), &[0], key].concat();
        let opened = self.cipher.decrypt(
            nonce.into(),
            Payload {
                msg: sealed,
                aad: &aad,
            },
        );
        opened.map(Zeroizing::new).map_err(|_| StateError::DoesNotOpen)
    }

    /// A value kept under a name, as [`State::set_values`] got it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn value(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let Some(sealed) = self.meta.get(name)? else {
            return Ok(None);
        };
        Ok(Some(self.open_value(META, name.as_bytes(), &sealed)?.to_vec()))
    }

    /// Remembers values by name, all durable when it returns.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn set_values<N: AsRef<str>>(&self, values: &[(N, Vec<u8>)]) -> Result<(), StateError> {
        self.write_values(values)?;
        Ok(self.db.commit()?)
    }

    /// As [`State::set_values`], with entries for the journal and what others have to write, all durable together when it
    /// returns.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn set_values_and_more<N: AsRef<str>>(
        &self,
        values: &[(N, Vec<u8>)],
        entries: &[JournalEntry],
        beside: Vec<Write>,
    ) -> Result<(), StateError> {
        for write in beside {
            write()?;
        }
        for entry in entries {
            let key = entry.index.to_be_bytes();
            let sealed = self.seal(JOURNAL, &key, &entry.encode())?;
            self.journal.insert(key, sealed)?;
        }
        self.set_values(values)
    }

    /// This organisation's own log entries, by index.
    ///
    /// # Errors
    /// [`StateError::DoesNotOpen`] if one is damaged.
    pub(crate) fn journal(&self) -> Result<Vec<JournalEntry>, StateError> {
        let mut entries = Vec::new();
        for item in &self.journal {
            let (key, sealed) = item?;
            let value = self.open_value(JOURNAL, &key, &sealed)?;
            let index = key.as_ref().try_into().ok().map(u64::from_be_bytes);
            let entry = index.and_then(|index| JournalEntry::decode(index, &value));
            entries.push(entry.ok_or(StateError::DoesNotOpen)?);
        }
        Ok(entries)
    }

    fn write_values<N: AsRef<str>>(&self, values: &[(N, Vec<u8>)]) -> Result<(), StateError> {
        for (name, value) in values {
            let name = name.as_ref();
            let sealed = self.seal(META, name.as_bytes(), value)?;
            self.meta.insert(name, sealed)?;
        }
        Ok(())
    }
}

fn batch_key(generation: u32, sequence: u64) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&generation.to_be_bytes());
    key[4..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// `identifier type u8 ‖ token 32 ‖ class u8 (0 withdraws) ‖ valid-until u32 ‖ reference length u16 ‖ reference`.
pub(crate) fn pack(changes: &[LocalChange]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(changes.len() * 64));
    for change in changes {
        bytes.push(change.identifier.code());
        bytes.extend_from_slice(change.token.expose_secret());
        let held = change.registration.as_ref();
        bytes.push(held.map_or(0, |held| held.class.code()));
        bytes.extend_from_slice(&held.map_or(0, |held| held.valid_until.0).to_be_bytes());
        let reference = held.and_then(|held| held.reference.as_deref()).unwrap_or("");
        // A longer one is cut between two characters, or it would not read back at all.
        let length = reference.floor_char_boundary(usize::from(u16::MAX));
        bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&reference.as_bytes()[..length]);
    }
    bytes
}

pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<LocalChange>> {
    let mut bytes = Bytes(bytes);
    let mut changes = Vec::new();
    while !bytes.0.is_empty() {
        let [identifier] = bytes.take()?;
        let token = Token::from_bytes(bytes.take()?);
        let [class] = bytes.take()?;
        let valid_until = Day(u32::from_be_bytes(bytes.take()?));
        let length = usize::from(u16::from_be_bytes(bytes.take()?));
        let (reference, rest) = bytes.0.split_at_checked(length)?;
        bytes.0 = rest;
        let reference = std::str::from_utf8(reference)
            .ok()
            .filter(|text| !text.is_empty())
            .map(Box::from);
        let registration = match class {
            0 => None,
            code => Some(Held {
                class: SubjectClass::from_code(code)?,
                valid_until,
                reference,
            }),
        };
        changes.push(LocalChange {
            identifier: IdentifierType::try_from(identifier).ok()?,
            token,
            registration,
        });
    }
    Some(changes)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn change(person: u8, reference: Option<&str>) -> LocalChange {
        LocalChange {
            identifier: IdentifierType::Bsn,
            token: Token::from_bytes([person; 32]),
            registration: Some(Held {
                class: SubjectClass::Adult,
                valid_until: Day(21_000),
                reference: reference.map(Box::from),
            }),
        }
    }

    #[test]
    fn state_survives_reopening_and_is_not_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        let key = StateKey::from_bytes([3; 32]);
        let mark = SyncMark {
            generation: 2,
            acknowledged: 0,
            complete_ms: 5,
            complete_count: 1,
        };
        {
            let state = Arc::new(State::open(dir.path(), &key).unwrap());
            let slot = Slot::open(&state, 1, &[1; 8]).unwrap();
            let withdrawn = LocalChange {
                registration: None,
                ..change(2, None)
            };
            slot.append(mark, &[(1, vec![change(1, Some("LP-2026-0042")), withdrawn])])
                .unwrap();
            state.set_values(&[("heads", b"heads".to_vec())]).unwrap();
        }
        let state = Arc::new(State::open(dir.path(), &key).unwrap());
        let slot = Slot::open(&state, 1, &[1; 8]).unwrap();
        assert_eq!(slot.mark().unwrap(), mark);
        assert_eq!(
            state.value("heads").unwrap().as_deref(),
            Some(b"heads".as_slice())
        );
        let mut seen = Vec::new();
        slot.batches(2, &mut |sequence, changes| seen.push((sequence, changes)))
            .unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen[0].1[0].registration,
            change(1, Some("LP-2026-0042")).registration
        );
        assert!(seen[0].1[1].registration.is_none());
        drop((slot, state));
        for entry in std::fs::read_dir(dir.path().join("sled")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(path).unwrap();
                assert!(!bytes.windows(12).any(|part| part == b"LP-2026-0042"));
                assert!(!bytes.windows(32).any(|part| part == [1; 32]));
            }
        }
        let other = Arc::new(State::open(dir.path(), &StateKey::from_bytes([4; 32])).unwrap());
        let opened = Slot::open(&other, 1, &[1; 8]);
        assert!(matches!(opened.err(), Some(StateError::DoesNotOpen)));
    }

    #[test]
    fn tokens_of_another_key_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap());
        let slot = Slot::open(&state, 1, &[1; 8]).unwrap();
        let mark = SyncMark {
            generation: 1,
            ..SyncMark::default()
        };
        slot.append(mark, &[(1, vec![change(1, None)])]).unwrap();
        Slot::forget_others(&state, &[[1; 8]]).unwrap();
        assert_eq!(Slot::open(&state, 1, &[1; 8]).unwrap().mark().unwrap(), mark);
        // The same epoch with another key, as after a mistake that was put right.
        Slot::forget_others(&state, &[[2; 8]]).unwrap();
        for key_check in [[2; 8], [1; 8]] {
            let slot = Slot::open(&state, 1, &key_check).unwrap();
            assert_eq!(slot.mark().unwrap(), SyncMark::default());
            slot.batches(1, &mut |_, _| panic!("a batch is left")).unwrap();
        }
    }

    #[test]
    fn a_reference_that_is_too_long_is_cut_between_characters() {
        let long = "é".repeat(40_000);
        let read = unpack(&pack(&[change(1, Some(&long)), change(2, Some("x"))])).unwrap();
        let reference = |at: usize| read[at].registration.as_ref().unwrap().reference.as_deref();
        assert_eq!(reference(0).map(str::len), Some(65_534));
        assert_eq!(reference(1), Some("x"));
    }

    #[test]
    fn a_missing_batch_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap());
        let slot = Slot::open(&state, 1, &[1; 8]).unwrap();
        let mark = SyncMark {
            generation: 1,
            ..SyncMark::default()
        };
        slot.append(mark, &[(1, vec![change(1, None)]), (2, vec![change(2, None)])])
            .unwrap();
        state.db.tree(BATCHES).unwrap().remove(batch_key(1, 1)).unwrap();
        assert!(slot.batches(1, &mut |_, _| ()).is_err());
    }
}
