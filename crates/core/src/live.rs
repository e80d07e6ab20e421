//! Questions to partners that answer live: what their nodes get, signed by the asking node.
//!
//! ```text
//! frame   = version 1 ‖ request 16 ‖ covenant 32 ‖ key epoch u32 ‖ text(asker) ‖ text(purpose)
//!           ‖ count u8 ‖ count × SHA-256("hitmachine/v1/live-subject\0" ‖ opening)
//! opening = salt 16 ‖ class u8 ‖ count u8 ‖ count × (identifier type u8 ‖ token 32)
//! salt    = SHA-256("hitmachine/v1/live-salt\0" ‖ signature of the request 64 ‖ place u8)[..16]
//! text(s) = length u8 ‖ s                                          numbers are big-endian
//! ```
//!
//! Asking node and hub make the same frame from the same question; the asking node signs it, the hub hands it on. So a
//! hub cannot ask a partner anything that nobody asked it. User and case are not in it: the partner that answers needs
//! neither.
//!
//! The hub opens only those digests that the partner is asked about. The salt keeps the partner, which could make a
//! token of any number it likes, from finding out who the others are: it comes from the request's signature, which the
//! partner never gets and nobody can make without the asking node's key.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use hitmachine_pseudonym::{IdentifierType, KeyEpoch, Token};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::covenant::CovenantVersion;
use crate::ids::{PartnerId, PurposeCode, RequestId, SubjectClass};
use crate::query::{PartnerStatus, Query, Subject};

const VERSION: u8 = 1;
const SUBJECT_CONTEXT: &[u8] = b"hitmachine/v1/live-subject\0";
const SALT_CONTEXT: &[u8] = b"hitmachine/v1/live-salt\0";
/// The most persons in one question.
const MOST: usize = 64;

/// What a node says about one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LiveStatus {
    /// Bekend.
    Known = 1,
    /// Niet bekend.
    NotKnown = 2,
    /// It cannot say: its set is not complete, too old, or the question does not hold.
    CouldNotAsk = 3,
}

impl LiveStatus {
    /// The byte on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The status with that byte.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Known, Self::NotKnown, Self::CouldNotAsk]
            .into_iter()
            .find(|status| status.code() == code)
    }
}

impl From<LiveStatus> for PartnerStatus {
    fn from(status: LiveStatus) -> Self {
        match status {
            LiveStatus::Known => Self::Known,
            LiveStatus::NotKnown => Self::NotKnown,
            LiveStatus::CouldNotAsk => Self::CouldNotAsk,
        }
    }
}

/// The part of a question that the asking node signs for partners which answer live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFrame {
    /// The question's name.
    pub request: RequestId,
    /// The covenant that it was asked under.
    pub covenant: CovenantVersion,
    /// The epoch of its tokens.
    pub epoch: KeyEpoch,
    /// Who asks.
    pub asker: PartnerId,
    /// Why.
    pub purpose: PurposeCode,
    /// A digest for each person asked about, 1 to 64.
    pub digests: Vec<[u8; 32]>,
}

impl LiveFrame {
    /// The frame of a question that `asker` has signed.
    pub fn of(asker: &PartnerId, query: &Query) -> Self {
        Self {
            request: query.request,
            covenant: query.covenant,
            epoch: query.epoch,
            asker: asker.clone(),
            purpose: query.purpose.clone(),
            digests: openings(query).map(|opening| opening.digest()).collect(),
        }
    }

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.request.as_bytes());
        bytes.extend_from_slice(&self.covenant.0);
        bytes.extend_from_slice(&self.epoch.get().to_be_bytes());
        for text in [self.asker.as_str(), self.purpose.as_str()] {
            // Short names have at most 32 characters.
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.push(u8::try_from(self.digests.len()).unwrap_or(u8::MAX));
        for digest in &self.digests {
            bytes.extend_from_slice(digest);
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) writes and nothing else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let frame = (bytes.byte()? == VERSION).then_some(Self {
            request: RequestId::from_bytes(&bytes.take::<16>()?).ok()?,
            covenant: CovenantVersion(bytes.take()?),
            epoch: KeyEpoch::new(u32::from_be_bytes(bytes.take()?))?,
            asker: bytes.text()?.parse().ok()?,
            purpose: bytes.text()?.parse().ok()?,
            digests: {
                let count = usize::from(bytes.byte()?);
                (1..=MOST).contains(&count).then_some(())?;
                (0..count)
                    .map(|_| bytes.take())
                    .collect::<Option<Vec<[u8; 32]>>>()?
            },
        })?;
        bytes.0.is_empty().then_some(frame)
    }
}

/// One person asked about, and what makes its digest tell nothing. `Debug` shows neither.
#[derive(Clone)]
pub struct LiveSubject {
    salt: [u8; 16],
    /// The person.
    pub subject: Subject,
}

impl LiveSubject {
    /// What the digest is of.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let tokens = &self.subject.tokens;
        let mut bytes = Zeroizing::new(Vec::with_capacity(18 + tokens.len() * 33));
        bytes.extend_from_slice(&self.salt);
        bytes.push(self.subject.class.code());
        // At most 4.
        bytes.push(u8::try_from(tokens.len()).unwrap_or(u8::MAX));
        for (identifier, token) in tokens {
            bytes.push(identifier.code());
            bytes.extend_from_slice(token.expose_secret());
        }
        bytes
    }

    /// Reads what [`encode`](Self::encode) writes and nothing else: at least one token, all of different types.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let salt = bytes.take()?;
        let class = SubjectClass::from_code(bytes.byte()?)?;
        let mut tokens: Vec<(IdentifierType, Token)> = Vec::new();
        for _ in 0..bytes.byte()? {
            let identifier = IdentifierType::try_from(bytes.byte()?).ok()?;
            let is_new = tokens.iter().all(|(other, _)| *other != identifier);
            is_new.then_some(())?;
            tokens.push((identifier, Token::from_bytes(bytes.take()?)));
        }
        let whole = bytes.0.is_empty() && !tokens.is_empty();
        whole.then_some(Self {
            salt,
            subject: Subject { class, tokens },
        })
    }

    /// Its digest, as the frame has it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(SUBJECT_CONTEXT)
            .chain_update(self.encode().as_slice())
            .finalize()
            .into()
    }
}

impl fmt::Debug for LiveSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveSubject(…)")
    }
}

/// What the digests in a question's frame are of, in the order of its persons; the query must be signed already.
pub fn openings(query: &Query) -> impl Iterator<Item = LiveSubject> + '_ {
    (0u8..).zip(&query.subjects).map(|(place, subject)| {
        let hash = Sha256::new()
            .chain_update(SALT_CONTEXT)
            .chain_update(query.signed.signature())
            .chain_update([place])
            .finalize();
        let mut salt = [0; 16];
        salt.copy_from_slice(&hash[..16]);
        LiveSubject {
            salt,
            subject: subject.clone(),
        }
    })
}

/// A question to one partner that answers live. `Debug` shows whom it is for.
#[derive(Clone)]
pub struct LiveQuestion {
    /// Who is asked.
    pub partner: PartnerId,
    /// How long the hub waits for it.
    pub deadline: Duration,
    /// See [`LiveFrame`].
    pub frame: Vec<u8>,
    /// The asking node's.
    pub signature: [u8; 64],
    /// The persons that it is asked about, by their places in the frame.
    pub subjects: Vec<(usize, LiveSubject)>,
}

impl fmt::Debug for LiveQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "LiveQuestion({} about {} persons)",
            self.partner,
            self.subjects.len()
        )
    }
}

/// What partners said in time.
#[derive(Debug, Default)]
pub struct LiveAnswers(HashMap<PartnerId, Vec<LiveStatus>>);

impl LiveAnswers {
    /// One partner's answer: a status for each person that it was asked about, in that order.
    pub fn insert(&mut self, partner: PartnerId, statuses: Vec<LiveStatus>) {
        self.0.insert(partner, statuses);
    }

    /// What `partner` said, if it said something about exactly `count` persons.
    pub(crate) fn of(&self, partner: &PartnerId, count: usize) -> Option<&[LiveStatus]> {
        let statuses = self.0.get(partner)?;
        (statuses.len() == count).then_some(statuses)
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
