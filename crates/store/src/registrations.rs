//! The broker's registrations on sled.
//!
//! # Layout
//!
//! | tree | key | value |
//! |---|---|---|
//! | `batches` | partner ‖ 0x00 ‖ generation u32 ‖ sequence u64 | checksum 16 ‖ packed batch |
//! | `meta` | `key-check` | check value of the keys that the tags are made with, 8 |
//! | `partners` | partner | checksum 16 ‖ active u32 ‖ filling u32 ‖ complete-at ms i64 |
//!
//! Integers are big-endian, so keys sort by partner, generation, sequence. Generation 0 and the smallest time
//! mean "none". The checksum is the first 16 bytes of BLAKE3 over `"hitmachine/v1/store" ‖ 0x00 ‖ tree ‖ 0x00 ‖
//! key length u32 ‖ key ‖ value`: a value that was changed or moved is noticed.
//!
//! sled cuts off a damaged tail without a word. So the file `watermark`, beside sled's own folder, remembers for
//! each partner the generation and the last sequence at its last completed sync; a store that has less is
//! damaged. It is a check, not the truth: it may lag, never lead.
//!
//! # Invariants
//!
//! - A batch is written once; its sequence follows the one before.
//! - A generation named in `partners` has all its batches; others are left over from a stop and may go.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hitmachine_core::{PartnerId, PartnerState, Store, StoreError, StoredBatch};
use jiff::Timestamp;

use crate::durable::{DbError, DurableDb};
use crate::sealed::{opened, sealed};
use crate::tree::Tree;

const SLED: &str = "sled";
const BATCHES: &str = "batches";
const META: &str = "meta";
const PARTNERS: &str = "partners";
const WATERMARK: &str = "watermark";
const KEY_CHECK: &str = "key-check";
const NEVER: i64 = i64::MIN;

/// [`Store`] on sled: the default engine.
pub struct SledStore {
    db: DurableDb,
    batches: Tree,
    meta: Tree,
    partners: Tree,
    watermark: PathBuf,
    /// Serialises commits, and holds what the watermark file says.
    marks: Mutex<BTreeMap<PartnerId, (u32, u64)>>,
}

impl SledStore {
    /// Opens or creates the store in `dir`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if less is there than the watermark says; the engine's errors.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let db = DurableDb::open(&dir.join(SLED)).map_err(engine)?;
        let (batches, partners) = (
            db.tree(BATCHES).map_err(engine)?,
            db.tree(PARTNERS).map_err(engine)?,
        );
        let meta = db.tree(META).map_err(engine)?;
        let watermark = dir.join(WATERMARK);
        let marks = read_watermark(&watermark)?;
        let store = Self {
            db,
            batches,
            meta,
            partners,
            watermark,
            marks: Mutex::new(BTreeMap::new()),
        };
        for (partner, (generation, sequence)) in &marks {
            let state = store.state(partner)?.unwrap_or_default();
            let active = state.active.unwrap_or(0);
            let lost = active < *generation
                || (active == *generation && store.last_sequence(partner, active)? < *sequence);
            if lost {
                return Err(damaged(format!(
                    "{partner}: batches that were acknowledged are missing"
                )));
            }
        }
        for (partner, state) in store.states()? {
            store.keep_only(&partner, state)?;
        }
        if let Ok(mut held) = store.marks.lock() {
            *held = marks;
        }
        Ok(store)
    }

    /// The same store, closed and opened anew, without what it holds in memory: sled 0.34 looks at a part of its cache at each
    /// 64th access to it, and a page here is some hundred kilobytes, so that what is read once, from begin to end, stays.
    ///
    /// # Errors
    /// As [`SledStore::open`].
    pub fn opened_anew(self) -> Result<Self, StoreError> {
        let dir = self.watermark.parent().unwrap_or(Path::new(".")).to_owned();
        drop(self);
        crate::durable::until_closed(&dir.join(SLED)).map_err(engine)?;
        Self::open(&dir)
    }

    fn state(&self, partner: &PartnerId) -> Result<Option<PartnerState>, StoreError> {
        let value = self.partners.get(partner.as_str()).map_err(engine)?;
        value.map(|value| unpack_state(partner, &value)).transpose()
    }

    fn last_sequence(&self, partner: &PartnerId, generation: u32) -> Result<u64, StoreError> {
        let last = self
            .batches
            .scan_prefix(generation_key(partner, generation))
            .next_back();
        let Some((key, _)) = last.transpose().map_err(engine)? else {
            return Ok(0);
        };
        sequence_of(&key).ok_or_else(|| damaged(format!("{partner}, generation {generation}: a key")))
    }

    /// Deletes the batches of generations that `state` does not name.
    fn keep_only(&self, partner: &PartnerId, state: PartnerState) -> Result<(), StoreError> {
        let named = [state.active, state.filling];
        let prefix = generation_key(partner, 0);
        let prefix = &prefix[..prefix.len() - 4];
        let mut changes = sled::Batch::default();
        let mut left_over = false;
        // From generation to generation: to read all keys would be to read all batches.
        let mut next = Some(0);
        while let Some(from) = next {
            let Some(first) = self.batches.range(generation_key(partner, from)..).keys().next() else {
                break;
            };
            let first = first.map_err(engine)?;
            let number = first.strip_prefix(prefix).and_then(|rest| rest.first_chunk());
            let Some(number) = number.copied().map(u32::from_be_bytes) else {
                break;
            };
            if !named.contains(&Some(number)) {
                for key in self.batches.scan_prefix(generation_key(partner, number)).keys() {
                    changes.remove(key.map_err(engine)?);
                }
                left_over = true;
            }
            next = number.checked_add(1);
        }
        if left_over {
            self.batches.apply_batch(changes).map_err(engine)?;
            self.db.commit().map_err(engine)?;
        }
        Ok(())
    }

    fn write_watermark(&self, marks: &BTreeMap<PartnerId, (u32, u64)>) -> io::Result<()> {
        let mut text = String::new();
        for (partner, (generation, sequence)) in marks {
            text.push_str(&format!("{partner} {generation} {sequence}\n"));
        }
        let temporary = self.watermark.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.watermark)?;
        self.watermark
            .parent()
            .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }
}

impl Store for SledStore {
    fn bind(&self, key_check: [u8; 8]) -> Result<(), StoreError> {
        match self.meta.get(KEY_CHECK).map_err(engine)? {
            Some(bound) if *bound == key_check => Ok(()),
            Some(_) => Err(StoreError::OtherKey),
            // A store with registers is always marked; without its mark nothing says what the tags are.
            None if !self.partners.is_empty().map_err(engine)? => Err(damaged("its key check value".into())),
            None => {
                self.meta.insert(KEY_CHECK, &key_check[..]).map_err(engine)?;
                self.db.commit().map_err(engine)
            }
        }
    }

    fn append(&self, batches: &[StoredBatch]) -> Result<(), StoreError> {
        let _one_at_a_time = self.marks.lock();
        let mut changes = sled::Batch::default();
        for batch in batches {
            let key = batch_key(batch);
            let value = sealed(BATCHES, &key, &batch.bytes);
            match self.batches.get(&key).map_err(engine)? {
                Some(present) if *present != *value => {
                    return Err(StoreError::Conflict {
                        partner: batch.partner.clone(),
                        sequence: batch.sequence,
                    });
                }
                _ => changes.insert(key, value),
            }
        }
        self.batches.apply_batch(changes).map_err(engine)?;
        self.db.commit().map_err(engine)
    }

    fn batches(
        &self,
        partner: &PartnerId,
        generation: u32,
        visit: &mut dyn FnMut(StoredBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for (item, expected) in self
            .batches
            .scan_prefix(generation_key(partner, generation))
            .zip(1u64..)
        {
            let (key, value) = item.map_err(engine)?;
            let place = || damaged(format!("{partner}, generation {generation}, batch {expected}"));
            if sequence_of(&key) != Some(expected) {
                return Err(place());
            }
            let bytes = opened(BATCHES, &key, &value).ok_or_else(place)?.to_vec();
            visit(StoredBatch {
                partner: partner.clone(),
                generation,
                sequence: expected,
                bytes,
            })?;
        }
        Ok(())
    }

    fn states(&self) -> Result<Vec<(PartnerId, PartnerState)>, StoreError> {
        self.partners
            .iter()
            .map(|item| {
                let (key, value) = item.map_err(engine)?;
                let partner = std::str::from_utf8(&key).ok().and_then(|id| id.parse().ok());
                let partner: PartnerId = partner.ok_or_else(|| damaged("the list of partners".into()))?;
                let state = unpack_state(&partner, &value)?;
                Ok((partner, state))
            })
            .collect()
    }

    fn set_state(&self, partner: &PartnerId, state: PartnerState) -> Result<(), StoreError> {
        let mut marks = self
            .marks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = partner.as_str().as_bytes();
        self.partners
            .insert(key, sealed(PARTNERS, key, &pack_state(state)))
            .map_err(engine)?;
        self.db.commit().map_err(engine)?;
        if let Some(active) = state.active {
            marks.insert(partner.clone(), (active, self.last_sequence(partner, active)?));
            self.write_watermark(&marks)
                .map_err(|error| StoreError::Engine(Box::new(error)))?;
        }
        self.keep_only(partner, state)
    }

    fn remove(&self, partner: &PartnerId) -> Result<(), StoreError> {
        let mut marks = self
            .marks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = partner.as_str().as_bytes();
        if self.partners.get(key).map_err(engine)?.is_none() {
            return Ok(());
        }
        // First the mark, or what is missing then would be taken for damage; last the state, which is what a stop in
        // between is noticed by.
        if marks.remove(partner).is_some() {
            self.write_watermark(&marks)
                .map_err(|error| StoreError::Engine(Box::new(error)))?;
        }
        let nothing = PartnerState::default();
        self.partners
            .insert(key, sealed(PARTNERS, key, &pack_state(nothing)))
            .map_err(engine)?;
        self.db.commit().map_err(engine)?;
        self.keep_only(partner, nothing)?;
        self.partners.remove(key).map_err(engine)?;
        self.db.commit().map_err(engine)
    }
}

fn engine(error: impl Into<DbError>) -> StoreError {
    match error.into() {
        DbError::Damaged(place) => damaged(place.display().to_string()),
        other => StoreError::Engine(Box::new(other)),
    }
}

fn damaged(place: String) -> StoreError {
    StoreError::Damaged { place }
}

fn generation_key(partner: &PartnerId, generation: u32) -> Vec<u8> {
    let mut key = partner.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&generation.to_be_bytes());
    key
}

fn batch_key(batch: &StoredBatch) -> Vec<u8> {
    let mut key = generation_key(&batch.partner, batch.generation);
    key.extend_from_slice(&batch.sequence.to_be_bytes());
    key
}

fn sequence_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(
        key.get(key.len().checked_sub(8)?..)?.try_into().ok()?,
    ))
}

fn pack_state(state: PartnerState) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16);
    bytes.extend_from_slice(&state.active.unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(&state.filling.unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(
        &state
            .complete_at
            .map_or(NEVER, Timestamp::as_millisecond)
            .to_be_bytes(),
    );
    bytes
}

fn unpack_state(partner: &PartnerId, sealed: &[u8]) -> Result<PartnerState, StoreError> {
    let state = || {
        let value: [u8; 16] = opened(PARTNERS, partner.as_str().as_bytes(), sealed)?
            .try_into()
            .ok()?;
        let number = |bytes: [u8; 4]| Some(u32::from_be_bytes(bytes)).filter(|number| *number != 0);
        let ms = i64::from_be_bytes(value[8..].try_into().ok()?);
        let complete_at = if ms == NEVER {
            None
        } else {
            Some(Timestamp::from_millisecond(ms).ok()?)
        };
        Some(PartnerState {
            active: number(value[..4].try_into().ok()?),
            filling: number(value[4..8].try_into().ok()?),
            complete_at,
        })
    };
    state().ok_or_else(|| damaged(format!("{partner}: its state")))
}

fn read_watermark(path: &Path) -> Result<BTreeMap<PartnerId, (u32, u64)>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        // No text: it was not written so.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(damaged("the file watermark".into()));
        }
        Err(error) => return Err(StoreError::Engine(Box::new(error))),
    };
    text.lines()
        .map(|line| {
            let mut words = line.split(' ');
            let mut mark = || {
                let partner = words.next()?.parse().ok()?;
                Some((
                    partner,
                    (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
                ))
            };
            mark().ok_or_else(|| damaged("the file watermark".into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: u64, bytes: &[u8]) -> StoredBatch {
        StoredBatch {
            partner: "om".parse().unwrap(),
            generation: 1,
            sequence,
            bytes: bytes.to_vec(),
        }
    }

    fn state() -> PartnerState {
        PartnerState {
            active: Some(1),
            filling: None,
            complete_at: None,
        }
    }

    #[test]
    fn sled_passes_the_suite_of_every_store() {
        let dir = tempfile::tempdir().unwrap();
        crate::conformance::check(&mut || Box::new(SledStore::open(dir.path()).unwrap()));
    }

    #[test]
    fn opened_anew_it_has_what_it_had_and_only_what_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let partner: PartnerId = "om".parse().unwrap();
        let mut store = SledStore::open(dir.path()).unwrap();
        store.append(&[batch(1, b"one"), batch(2, b"two")]).unwrap();
        store.set_state(&partner, state()).unwrap();
        for generation in [2, 7, u32::MAX] {
            let stray = StoredBatch {
                generation,
                ..batch(1, b"stray")
            };
            store.batches.insert(batch_key(&stray), b"stray").unwrap();
        }
        let other = StoredBatch {
            partner: "om-2".parse().unwrap(),
            ..batch(1, b"of another")
        };
        store.append(&[other]).unwrap();
        for _ in 0..20 {
            store = store.opened_anew().unwrap();
            let mut read = Vec::new();
            let mut visit = |batch: StoredBatch| {
                read.push(batch.bytes);
                Ok(())
            };
            store.batches(&partner, 1, &mut visit).unwrap();
            assert_eq!(read, [b"one", b"two"]);
            assert_eq!(store.batches.iter().count(), 3, "and that of the other");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let partner: PartnerId = "om".parse().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        store.append(&[batch(1, b"one"), batch(2, b"two")]).unwrap();
        store.set_state(&partner, state()).unwrap();
        let key = batch_key(&batch(2, b""));
        let mut value = store.batches.get(&key).unwrap().unwrap().to_vec();
        value[17] ^= 1;
        store.batches.insert(&key, value).unwrap();
        let read = store.batches(&partner, 1, &mut |_| Ok(()));
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "{read:?}");
        // Another batch's value in its place is damage too.
        let other = store.batches.get(batch_key(&batch(1, b""))).unwrap().unwrap();
        store.batches.insert(&key, other).unwrap();
        assert!(store.batches(&partner, 1, &mut |_| Ok(())).is_err());
    }

    #[test]
    fn a_lost_tail_is_noticed_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let partner: PartnerId = "om".parse().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        store.append(&[batch(1, b"one"), batch(2, b"two")]).unwrap();
        store.set_state(&partner, state()).unwrap();
        store.batches.remove(batch_key(&batch(2, b""))).unwrap();
        store.db.commit().unwrap();
        drop(store);
        let opened = SledStore::open(dir.path());
        assert!(
            matches!(opened, Err(StoreError::Damaged { .. })),
            "{:?}",
            opened.err()
        );
    }
}
