//! Quotas: how many persons may be asked about in how long (token buckets of the covenant's `[[quota]]`).
//!
//! A bucket holds as many persons as its quota says and fills up evenly. A question takes as many persons as it is
//! about from every bucket that applies to it, from all of them or from none. Kept is what is *missing* from a bucket:
//! a full one need not be remembered, and a covenant that widens a quota widens it at once, while what was taken stays
//! taken.
//!
//! Integers only: what is missing is counted in person-milliseconds, of which a full bucket has `persons` times the
//! milliseconds in which it fills, and of which each millisecond gives back `persons`. Nothing is rounded, so nothing
//! drifts. A clock that goes back gives nothing and takes nothing: a bucket fills again from the latest moment it saw.

use std::collections::{HashMap, HashSet};
use std::fmt;

use zeroize::ZeroizeOnDrop;

use crate::covenant::{Quota, QuotaOf};
use crate::ids::{Oin, PartnerId, PurposeCode, UserId};
use crate::refusal::Refusal;

const MS_PER_HOUR: u64 = 3_600_000;

/// Key of [`Digest`]s. It never leaves the hub.
#[derive(Clone, ZeroizeOnDrop)]
pub struct DigestKey([u8; 32]);

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(…)")
    }
}

/// A partner, a user or a bucket under a name that means nothing to who lacks the key: names of users are in no table
/// and in no public entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::str::FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl DigestKey {
    /// From 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A partner, or a user of it.
    pub fn who(&self, oin: &Oin, user: Option<&UserId>) -> Digest {
        self.digest("who", &[oin.as_str(), user.map_or("", UserId::as_str)], 0)
    }

    fn digest(&self, label: &str, texts: &[&str], number: u8) -> Digest {
        let mut hash = blake3::Hasher::new_keyed(&self.0);
        for text in std::iter::once(&label).chain(texts) {
            hash.update(&(text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(&[number]);
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Digest(digest)
    }
}

/// What a question demands: who asks about how many persons, and why.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The partner.
    pub partner: &'a PartnerId,
    /// Its number.
    pub oin: &'a Oin,
    /// The person who asks; absent only where the log has erased it, and then no bucket of a user is touched.
    pub user: Option<&'a UserId>,
    /// Why.
    pub purpose: &'a PurposeCode,
    /// How many persons.
    pub persons: u32,
}

impl Quota {
    fn applies(&self, asked: &Demand<'_>) -> bool {
        self.partner
            .as_ref()
            .is_none_or(|partner| partner == asked.partner)
            && self
                .purpose
                .as_ref()
                .is_none_or(|purpose| purpose == asked.purpose)
            && (self.of == QuotaOf::Partner || asked.user.is_some())
    }

    /// In which an empty bucket is full again.
    fn period_ms(&self) -> u64 {
        u64::from(self.hours) * MS_PER_HOUR
    }

    fn size(&self) -> u64 {
        u64::from(self.persons) * self.period_ms()
    }
}

/// What is missing from one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// In person-milliseconds: persons times `period_ms`.
    missing: u64,
    /// Of the quota that it was last used under.
    period_ms: u64,
    /// The latest moment seen, in milliseconds since 1970.
    at_ms: i64,
}

impl Bucket {
    /// As it is at `now` under `quota`, which may have changed.
    fn at(self, quota: &Quota, now_ms: i64) -> Self {
        let period_ms = quota.period_ms();
        let mut missing = self.missing;
        if period_ms != self.period_ms {
            // The same number of persons, counted in the new measure; rounded up.
            let scaled = u128::from(missing) * u128::from(period_ms);
            missing = u64::try_from(scaled.div_ceil(u128::from(self.period_ms.max(1)))).unwrap_or(u64::MAX);
        }
        let passed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        let filled = passed.min(period_ms) * u64::from(quota.persons);
        Self {
            missing: missing.min(quota.size()).saturating_sub(filled),
            period_ms,
            at_ms: self.at_ms.max(now_ms),
        }
    }
}

/// What one question took, to be put back if it is not answered after all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken(Vec<(Digest, u64)>);

/// Why a question does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It fits after so many milliseconds, if nobody takes from the same buckets before.
    Later(u64),
    /// It is about more persons than a full bucket holds.
    Never,
}

impl From<Over> for Refusal {
    fn from(over: Over) -> Self {
        match over {
            Over::Later(retry_after_ms) => Self::OverQuota { retry_after_ms },
            Over::Never => Self::OverQuotaSize,
        }
    }
}

/// All buckets that are not full.
#[derive(Clone, Debug)]
pub struct Buckets {
    key: DigestKey,
    missing: HashMap<Digest, Bucket>,
    changed: HashSet<Digest>,
}

impl Buckets {
    /// All of them full.
    pub fn new(key: DigestKey) -> Self {
        Self {
            key,
            missing: HashMap::new(),
            changed: HashSet::new(),
        }
    }

    /// The key of their names.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    /// How many are not full, as far as has been looked at.
    pub fn len(&self) -> usize {
        self.missing.len()
    }

    /// Whether all are full.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// The buckets that a question takes from. Quotas of the same scope are told apart by their hours, so that their
    /// order in the file, and whether one names the partner, mean nothing.
    fn applying<'a>(
        &'a self,
        quotas: &'a [Quota],
        asked: &'a Demand<'a>,
    ) -> impl Iterator<Item = (&'a Quota, Digest)> {
        let applying = move || quotas.iter().filter(move |quota| quota.applies(asked));
        applying().map(move |quota| {
            let rank = |other: &Quota| (other.hours, other.persons);
            let before = applying().filter(|other| {
                other.of == quota.of && other.purpose == quota.purpose && rank(other) < rank(quota)
            });
            let number = u8::try_from(before.count()).unwrap_or(u8::MAX);
            let user = match quota.of {
                QuotaOf::Partner => "",
                QuotaOf::User => asked.user.map_or("", UserId::as_str),
            };
            let purpose = quota.purpose.as_ref().map_or("", PurposeCode::as_str);
            (
                quota,
                self.key
                    .digest("bucket", &[asked.oin.as_str(), user, purpose], number),
            )
        })
    }

    fn bucket(&self, id: &Digest, quota: &Quota, now_ms: i64) -> Bucket {
        let full = Bucket {
            missing: 0,
            period_ms: quota.period_ms(),
            at_ms: now_ms,
        };
        self.missing.get(id).copied().unwrap_or(full).at(quota, now_ms)
    }

    /// Takes a question's persons from every bucket that applies, or from none.
    ///
    /// # Errors
    /// [`Over`], the latest moment of all buckets; nothing was taken.
    pub fn take(&mut self, quotas: &[Quota], asked: &Demand<'_>, now_ms: i64) -> Result<Taken, Over> {
        let mut later = None;
        let mut taken: Vec<(Digest, Bucket)> = Vec::with_capacity(quotas.len());
        for (quota, id) in self.applying(quotas, asked) {
            let bucket = self.bucket(&id, quota, now_ms);
            let wanted = u64::from(asked.persons).saturating_mul(quota.period_ms());
            if wanted > quota.size() {
                return Err(Over::Never);
            }
            let missing = bucket.missing + wanted;
            match missing.checked_sub(quota.size()).filter(|over| *over > 0) {
                None => taken.push((id, Bucket { missing, ..bucket })),
                Some(over) => {
                    // A bucket whose clock is ahead fills only from then on.
                    let ahead = u64::try_from(bucket.at_ms.saturating_sub(now_ms)).unwrap_or(0);
                    let after = over.div_ceil(u64::from(quota.persons)).saturating_add(ahead);
                    later = later.max(Some(after));
                }
            }
        }
        if let Some(after) = later {
            return Err(Over::Later(after));
        }
        for (id, bucket) in &taken {
            self.set(*id, *bucket);
        }
        let persons = u64::from(asked.persons);
        let amount = |(id, bucket): (Digest, Bucket)| (id, persons * bucket.period_ms);
        Ok(Taken(taken.into_iter().map(amount).collect()))
    }

    /// Takes what the log says was taken, fitting or not.
    pub fn charge(&mut self, quotas: &[Quota], asked: &Demand<'_>, at_ms: i64) {
        let charged: Vec<_> = self
            .applying(quotas, asked)
            .map(|(quota, id)| {
                let mut bucket = self.bucket(&id, quota, at_ms);
                let wanted = u64::from(asked.persons).saturating_mul(quota.period_ms());
                bucket.missing = bucket.missing.saturating_add(wanted).min(quota.size());
                (id, bucket)
            })
            .collect();
        for (id, bucket) in charged {
            self.set(id, bucket);
        }
    }

    /// Puts back what a question took that was neither logged nor answered.
    pub fn give_back(&mut self, taken: Taken) {
        for (id, amount) in taken.0 {
            if let Some(bucket) = self.missing.get_mut(&id) {
                bucket.missing = bucket.missing.saturating_sub(amount);
                self.changed.insert(id);
            }
        }
    }

    fn set(&mut self, id: Digest, bucket: Bucket) {
        self.missing.insert(id, bucket);
        self.changed.insert(id);
    }

    /// Forgets those that are full by `now_ms` under any quota: untouched for as long as an empty one needs.
    pub fn forget_full(&mut self, now_ms: i64) {
        let changed = &mut self.changed;
        self.missing.retain(|id, bucket| {
            let idle = u64::try_from(now_ms.saturating_sub(bucket.at_ms)).unwrap_or(0);
            let keep = idle < bucket.period_ms;
            if !keep {
                changed.insert(*id);
            }
            keep
        });
    }

    /// What has changed since this was called last: a bucket's bytes, or nothing for one that was forgotten.
    pub fn take_changes(&mut self) -> Vec<(Digest, Option<[u8; 24]>)> {
        let changed = std::mem::take(&mut self.changed);
        let bytes = |id: &Digest| {
            let bucket = self.missing.get(id)?;
            let mut bytes = [0; 24];
            bytes[..8].copy_from_slice(&bucket.missing.to_be_bytes());
            bytes[8..16].copy_from_slice(&bucket.period_ms.to_be_bytes());
            bytes[16..].copy_from_slice(&bucket.at_ms.to_be_bytes());
            Some(bytes)
        };
        changed.into_iter().map(|id| (id, bytes(&id))).collect()
    }

    /// Puts back a bucket that [`take_changes`](Self::take_changes) gave.
    pub fn restore(&mut self, id: Digest, bytes: [u8; 24]) {
        let number = |place: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[place..place + 8]);
            number
        };
        let bucket = Bucket {
            missing: u64::from_be_bytes(number(0)),
            period_ms: u64::from_be_bytes(number(8)),
            at_ms: i64::from_be_bytes(number(16)),
        };
        self.missing.insert(id, bucket);
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
