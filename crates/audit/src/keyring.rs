//! The keys that payloads are sealed with: one for each group, retention class and month.
//!
//! Folder layout, on another disk than the log if possible and never in the same backup:
//!
//! ```text
//! key-<id>.sealed   "HMAKEY01" ‖ id u32 ‖ group u8 ‖ class u16 ‖ year u16 ‖ month u8
//!                   ‖ nonce 24 ‖ XChaCha20-Poly1305(wrapping key, nonce, aad = all before the nonce, key 32)
//! next-key-id       the lowest id never given out, in decimal; raised before a key is made
//! lock              held while open
//! ```
//!
//! A key is on disk before anything is sealed with it. An id is never given out twice, also after its key was
//! destroyed. Removing a key file makes its payloads unreadable for ever; the tree does not need them.
//!
//! Destroying a key is unlinking its file and making that durable, nothing more: where a disk copies on write,
//! overwriting a file first proves nothing about the old bytes. What may be left of them is sealed under the
//! wrapping key, which must not be kept where the disk is.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    codec::Reader,
    disk::{self, Disk, DiskLock},
    fields::Group,
    period::{Period, RetentionClass},
};

const MAGIC: &[u8; 8] = b"HMAKEY01";
const HEADER: usize = 18;
const NEXT_ID: &str = "next-key-id";
/// Bytes by which sealing makes a text longer.
pub(crate) const TAG: usize = 16;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// Another process has the folder.
    #[error("key folder is in use by another process")]
    Locked,
    /// The file does not open: another wrapping key, or damage.
    #[error("key {id} does not open with this wrapping key")]
    Sealed {
        /// The key.
        id: u32,
    },
    /// `next-key-id` is not a number.
    #[error("next-key-id is damaged")]
    NextId,
    /// All ids are used up.
    #[error("no key id left")]
    Exhausted,
    /// The system has no random bytes.
    #[error("no random bytes")]
    Random(#[source] getrandom::Error),
    /// The disk refused.
    #[error("key folder cannot be read or written")]
    Io(#[from] io::Error),
}

impl KeyRingError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked => "keys_locked",
            Self::Sealed { .. } => "key_sealed",
            Self::NextId => "next_key_id",
            Self::Exhausted => "key_ids_exhausted",
            Self::Random(_) => "random",
            Self::Io(_) => "keys_io",
        }
    }
}

/// The key that wraps all others. Wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct WrappingKey([u8; 32]);

impl WrappingKey {
    /// From 32 random bytes; the caller wipes its own copy.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappingKey(REDACTED)")
    }
}

/// Key of one group, class and month. Wiped on drop, never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PeriodKey {
    #[zeroize(skip)]
    id: u32,
    bytes: [u8; 32],
}

impl PeriodKey {
    /// The id by which records name it.
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Ciphertext and tag. The nonce must be random: after a torn frame the same index is used again.
    pub(crate) fn seal(&self, nonce: &[u8; 24], aad: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        seal(&self.bytes, nonce, aad, text)
    }

    /// The text, if nothing was changed.
    pub(crate) fn open(&self, nonce: &[u8; 24], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        open(&self.bytes, nonce, aad, sealed)
    }
}

impl fmt::Debug for PeriodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeriodKey({}, REDACTED)", self.id)
    }
}

/// What a period key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyUse {
    /// The id by which records name it.
    pub id: u32,
    /// Half of the entries.
    pub group: Group,
    /// How long they are kept.
    pub class: RetentionClass,
    /// The month in which they were committed.
    pub period: Period,
}

impl KeyUse {
    /// True from the first day of month p + m + 1 on, for class m of month p.
    pub fn is_expired(&self, now: Period) -> bool {
        self.period.expires(self.class).is_some_and(|month| now >= month)
    }
}

struct Kept {
    key: Arc<PeriodKey>,
    use_: Use,
}

type Use = (Group, RetentionClass, Period);

/// All period keys of one log. Holds the lock of its folder, unless the log took it over.
pub struct KeyRing {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    wrapping: WrappingKey,
    keys: BTreeMap<u32, Kept>,
    current: HashMap<Use, u32>,
    next: u32,
    lock: Option<DiskLock>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Opens the folder (created if need be) and unwraps every key in it.
    ///
    /// # Errors
    /// [`KeyRingError`]; a key that does not open stops the start, so that a wrong wrapping key is loud.
    pub fn open(dir: &Path, wrapping: WrappingKey, disk: Arc<dyn Disk>) -> Result<Self, KeyRingError> {
        disk::make_dir(&*disk, dir)?;
        let lock = disk.lock(&dir.join("lock")).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => KeyRingError::Locked,
            _ => error.into(),
        })?;
        disk::remove_temporary(&*disk, dir)?;
        let (mut keys, mut next) = (BTreeMap::new(), 1);
        for entry in disk.list(dir)? {
            if entry.name == NEXT_ID {
                let bytes = disk::read(&*disk, &dir.join(NEXT_ID))?;
                let text = std::str::from_utf8(&bytes).map_err(|_| KeyRingError::NextId)?;
                next = next.max(text.trim_end().parse().map_err(|_| KeyRingError::NextId)?);
            }
            let Some(id) = id_of(&entry.name) else { continue };
            let bytes = disk::read(&*disk, &dir.join(&entry.name))?;
            let (key, use_) = unwrap(&wrapping, id, &bytes).ok_or(KeyRingError::Sealed { id })?;
            let key = Arc::new(key);
            keys.insert(id, Kept { key, use_ });
            next = next.max(id.saturating_add(1));
        }
        // The name of the newest may not be durable yet, if making it durable failed.
        disk.sync_dir(dir)?;
        // Were there two keys for one use, the newest is the one to go on with.
        let current = keys.iter().map(|(id, kept)| (kept.use_, *id)).collect();
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            wrapping,
            keys,
            current,
            next,
            lock: Some(lock),
        })
    }

    /// The key to seal with. The first call for a group, class and month makes it and returns when it is
    /// durable.
    ///
    /// # Errors
    /// [`KeyRingError::Exhausted`], [`KeyRingError::Random`], [`KeyRingError::Io`]. After an error of the
    /// disk the ring must not be used further: open it again.
    pub fn key(
        &mut self,
        group: Group,
        class: RetentionClass,
        period: Period,
    ) -> Result<&PeriodKey, KeyRingError> {
        let use_ = (group, class, period);
        let id = match self.current.get(&use_) {
            Some(id) => *id,
            None => self.create(use_)?,
        };
        let kept = self.keys.get(&id);
        kept.map(|kept| &*kept.key).ok_or(KeyRingError::Sealed { id })
    }

    /// The key with this id, unless it was destroyed.
    pub fn by_id(&self, id: u32) -> Option<Arc<PeriodKey>> {
        self.keys.get(&id).map(|kept| Arc::clone(&kept.key))
    }

    /// All keys, by id.
    pub fn uses(&self) -> Vec<KeyUse> {
        self.keys.keys().filter_map(|id| self.use_of(*id)).collect()
    }

    /// What the key with this id is for, unless it was destroyed.
    pub fn use_of(&self, id: u32) -> Option<KeyUse> {
        let (group, class, period) = self.keys.get(&id)?.use_;
        Some(KeyUse {
            id,
            group,
            class,
            period,
        })
    }

    /// The keys of which no entry need be kept any more in the month `now`, by id.
    pub fn expired(&self, now: Period) -> Vec<KeyUse> {
        let mut uses = self.uses();
        uses.retain(|use_| use_.is_expired(now));
        uses
    }

    /// Destroys keys, in this order, each durably before the next: after a crash the first of them are gone
    /// and the others there. A key that is gone already is no error, so a destruction can be repeated.
    ///
    /// Whoever took a key with [`by_id`](Self::by_id) before can use it until that is dropped.
    ///
    /// # Errors
    /// [`KeyRingError::Io`]; the ring must then not be used further: open it again.
    pub fn destroy(&mut self, ids: &[u32]) -> Result<(), KeyRingError> {
        self.retire(ids);
        for id in ids {
            match self.disk.unlink(&self.dir.join(file_name(*id))) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                // Also if it was gone: that may not be durable.
                _ => self.disk.sync_dir(&self.dir)?,
            }
            self.keys.remove(id);
        }
        Ok(())
    }

    /// Seals nothing more with these keys; what was sealed can still be read.
    pub(crate) fn retire(&mut self, ids: &[u32]) {
        self.current.retain(|_, id| !ids.contains(id));
    }

    /// The lock of the folder, for whoever alone will change the ring: others may still read keys when it is
    /// given back.
    pub(crate) const fn take_lock(&mut self) -> Option<DiskLock> {
        self.lock.take()
    }

    /// Says that ids up to `used` stand in the log, so that none of them is given out again even if the
    /// folder was lost or restored from an old backup.
    pub(crate) fn raise(&mut self, used: u32) {
        self.next = self.next.max(used.saturating_add(1));
    }

    fn create(&mut self, use_: Use) -> Result<u32, KeyRingError> {
        let id = self.next;
        let next = id.checked_add(1).ok_or(KeyRingError::Exhausted)?;
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(KeyRingError::Random)?;
        let key = PeriodKey { id, bytes };
        bytes.zeroize();
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(KeyRingError::Random)?;
        let file = wrap(&self.wrapping, &key, use_, &nonce).ok_or(KeyRingError::Sealed { id })?;
        disk::put(&*self.disk, &self.dir, NEXT_ID, format!("{next}\n").as_bytes())?;
        self.next = next;
        disk::put(&*self.disk, &self.dir, &file_name(id), &file)?;
        let key = Arc::new(key);
        self.keys.insert(id, Kept { key, use_ });
        self.current.insert(use_, id);
        Ok(id)
    }
}

fn file_name(id: u32) -> String {
    format!("key-{id}.sealed")
}

fn id_of(name: &str) -> Option<u32> {
    let id = name.strip_prefix("key-")?.strip_suffix(".sealed")?.parse().ok()?;
    (file_name(id) == name).then_some(id)
}

fn wrap(
    wrapping: &WrappingKey,
    key: &PeriodKey,
    (group, class, period): Use,
    nonce: &[u8; 24],
) -> Option<Vec<u8>> {
    let mut file = MAGIC.to_vec();
    file.extend(key.id.to_be_bytes());
    file.push(group.code());
    file.extend(class.0.to_be_bytes());
    file.extend(period.year().to_be_bytes());
    file.push(period.month());
    let sealed = seal(&wrapping.0, nonce, &file, &key.bytes)?;
    file.extend(nonce);
    file.extend(sealed);
    Some(file)
}

fn unwrap(wrapping: &WrappingKey, id: u32, file: &[u8]) -> Option<(PeriodKey, Use)> {
    let (header, _) = file.split_at_checked(HEADER)?;
    let mut input = Reader::new(file);
    if input.array()? != *MAGIC || input.u32()? != id {
        return None;
    }
    let group = Group::from_code(input.u8()?)?;
    let class = RetentionClass(input.u16()?);
    let period = Period::new(input.u16()?, input.u8()?)?;
    let nonce = input.array()?;
    let sealed = input.take(32 + TAG)?;
    if !input.is_empty() {
        return None;
    }
    let bytes = open(&wrapping.0, &nonce, header, sealed)?;
    Some((
        PeriodKey {
            id,
            bytes: bytes.as_slice().try_into().ok()?,
        },
        (group, class, period),
    ))
}

/// `None` only for texts of more than 256 GiB.
fn seal(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    XChaCha20Poly1305::new(key.into())
        .encrypt(nonce.into(), Payload { msg, aad })
        .ok()
}

fn open(key: &[u8; 32], nonce: &[u8; 24], aad: &[u8], msg: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    XChaCha20Poly1305::new(key.into())
        .decrypt(nonce.into(), Payload { msg, aad })
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
