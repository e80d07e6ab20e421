//! Batches: what a node sends, what the store keeps, and the tally on which both sides must agree.

use hitmachine_pseudonym::{DeploymentId, IdentifierType, KeyEpoch, Pepper, Scheme, Tag, Token};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::RegistryError;
use crate::clock::Day;
use crate::ids::{PartnerId, SubjectClass};

/// The most changes in one batch.
pub const MAX_CHANGES: usize = 1024;

/// One change as a node sends it: about a token, not yet a tag.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which kind of number the token was made of.
    pub identifier: IdentifierType,
    /// The pseudonym.
    pub token: Token,
    /// Register (class, last day) or, with `None`, withdraw.
    pub registration: Option<(SubjectClass, Day)>,
}

/// One registration as the index holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The broker's name for the person.
    pub tag: Tag,
    /// Minor or adult.
    pub class: SubjectClass,
    /// The last day on which it answers.
    pub valid_until: Day,
}

/// Count and order-independent digest of a register, kept by both sides of a sync.
///
/// The digest is the sum, in four lanes modulo 2⁶⁴, of BLAKE3 over `"hitmachine/v1/registration" ‖ 0x00 ‖
/// identifier type u8 ‖ T ‖ class u8 ‖ valid-until u32` of each registration. It finds accidents (a lost,
/// doubled or stale batch), not forgery: a node can only spoil its own register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of registrations.
    pub count: u64,
    lanes: [u64; 4],
}

impl Tally {
    /// Adds one registration.
    pub fn add(&mut self, identifier: IdentifierType, token: &Token, class: SubjectClass, until: Day) {
        self.count = self.count.wrapping_add(1);
        for (lane, part) in self.lanes.iter_mut().zip(lanes(identifier, token, class, until)) {
            *lane = lane.wrapping_add(part);
        }
    }

    /// Takes one registration out.
    pub fn remove(&mut self, identifier: IdentifierType, token: &Token, class: SubjectClass, until: Day) {
        self.count = self.count.wrapping_sub(1);
        for (lane, part) in self.lanes.iter_mut().zip(lanes(identifier, token, class, until)) {
            *lane = lane.wrapping_sub(part);
        }
    }

    /// The digest's 32 bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        for (bytes, lane) in digest.chunks_exact_mut(8).zip(self.lanes) {
            bytes.copy_from_slice(&lane.to_be_bytes());
        }
        digest
    }

    /// From count and digest.
    pub fn from_parts(count: u64, digest: &[u8; 32]) -> Self {
        let mut lanes = [0; 4];
        for (lane, bytes) in lanes.iter_mut().zip(digest.chunks_exact(8)) {
            *lane = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        Self { count, lanes }
    }
}

fn lanes(identifier: IdentifierType, token: &Token, class: SubjectClass, until: Day) -> [u64; 4] {
    let mut hash = blake3::Hasher::new();
    hash.update(b"hitmachine/v1/registration\0");
    hash.update(&[identifier.code()]);
    hash.update(token.expose_secret());
    hash.update(&[class.code()]);
    hash.update(&until.0.to_be_bytes());
    Tally::from_parts(0, hash.finalize().as_bytes()).lanes
}

/// Hides the tally's digest at rest, and tells which keys a store was filled under.
///
/// The digest of a register with one person, or the difference of two digests one change apart, is a hash of
/// a token: whoever held the node key and a stolen database could try all numbers on it. So it is stored
/// under a mask that only the pepper's holder can make, a different one for each batch.
#[derive(ZeroizeOnDrop)]
pub struct TallyMask([u8; 32]);

impl TallyMask {
    /// Derives the mask key: `BLAKE3.derive_key(context, pepper 32 ‖ deployment 16 ‖ epoch u32 ‖ scheme u8)`, all
    /// that a broker's tags depend on.
    pub fn derive(pepper: &Pepper, deployment: &DeploymentId, epoch: KeyEpoch, scheme: Scheme) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("hitmachine v1 2026-11-21 tally mask");
        hash.update(pepper.expose_secret()).update(deployment.as_bytes());
        hash.update(&epoch.get().to_be_bytes()).update(&[scheme.code()]);
        let mask = Self(*hash.finalize().as_bytes());
        hash.zeroize();
        mask
    }

    /// What a store is marked with: tags made under another pepper, deployment, epoch or scheme never match, and
    /// a register of them would silently answer "not known".
    pub fn check_value(&self) -> [u8; 8] {
        let mut value = [0; 8];
        value.copy_from_slice(&blake3::keyed_hash(&self.0, b"hitmachine/v1/registry-check").as_bytes()[..8]);
        value
    }

    fn apply(&self, partner: &PartnerId, generation: u32, sequence: u64, digest: [u8; 32]) -> [u8; 32] {
        let mut place = Vec::with_capacity(48);
        place.extend_from_slice(&generation.to_be_bytes());
        place.extend_from_slice(&sequence.to_be_bytes());
        place.extend_from_slice(partner.as_str().as_bytes());
        let mask = blake3::keyed_hash(&self.0, &place);
        let mut masked = digest;
        for (byte, mask) in masked.iter_mut().zip(mask.as_bytes()) {
            *byte ^= mask;
        }
        masked
    }
}

/// One batch with tags in place of tokens, and the register's tally after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whose register.
    pub partner: PartnerId,
    /// Generation, from 1.
    pub generation: u32,
    /// Place in the generation, from 1.
    pub sequence: u64,
    /// What changes: a registration, or a withdrawal of a tag.
    pub changes: Vec<Result<Registration, Tag>>,
    /// Count and digest of the register after it.
    pub after: Tally,
}

const FORMAT: u8 = 1;
const RECORD: usize = 21;
const WITHDRAW: u8 = 0;

impl Batch {
    /// The bytes that the store keeps:
    /// `format u8 = 1 ‖ n u32 ‖ n × (class u8 or 0 to withdraw ‖ tag 16 ‖ valid-until u32) ‖ count u64 ‖
    /// masked digest 32`. 21 bytes for each registration.
    pub fn pack(&self, mask: &TallyMask) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(5 + self.changes.len() * RECORD + 40);
        bytes.push(FORMAT);
        let count = u32::try_from(self.changes.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for change in &self.changes {
            let (class, tag, until) = match change {
                Ok(made) => (made.class.code(), made.tag, made.valid_until.0),
                Err(tag) => (WITHDRAW, *tag, 0),
            };
            bytes.push(class);
            bytes.extend_from_slice(tag.as_bytes());
            bytes.extend_from_slice(&until.to_be_bytes());
        }
        bytes.extend_from_slice(&self.after.count.to_be_bytes());
        bytes.extend_from_slice(&mask.apply(
            &self.partner,
            self.generation,
            self.sequence,
            self.after.digest(),
        ));
        bytes
    }

    /// Reads what [`Batch::pack`] wrote.
    ///
    /// # Errors
    /// [`RegistryError::Packed`] on bytes that it cannot have written.
    pub fn unpack(
        partner: PartnerId,
        generation: u32,
        sequence: u64,
        bytes: &[u8],
        mask: &TallyMask,
    ) -> Result<Self, RegistryError> {
        let (head, rest) = bytes.split_at_checked(5).ok_or(RegistryError::Packed)?;
        let count = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != FORMAT || count > MAX_CHANGES || rest.len() != count * RECORD + 40 {
            return Err(RegistryError::Packed);
        }
        let (records, tail) = rest.split_at(count * RECORD);
        let mut changes = Vec::with_capacity(count);
        for record in records.chunks_exact(RECORD) {
            let mut tag = [0; 16];
            tag.copy_from_slice(&record[1..17]);
            let tag = Tag::from_bytes(tag);
            changes.push(if record[0] == WITHDRAW {
                Err(tag)
            } else {
                let class = SubjectClass::from_code(record[0]).ok_or(RegistryError::Packed)?;
                let until = u32::from_be_bytes([record[17], record[18], record[19], record[20]]);
                Ok(Registration {
                    tag,
                    class,
                    valid_until: Day(until),
                })
            });
        }
        let (count, masked) = tail.split_at(8);
        let count = count.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut digest = [0; 32];
        digest.copy_from_slice(masked);
        let digest = mask.apply(&partner, generation, sequence, digest);
        Ok(Self {
            partner,
            generation,
            sequence,
            changes,
            after: Tally::from_parts(count, &digest),
        })
    }
}
