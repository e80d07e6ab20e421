//! Whether a question that the hub forwards is one to answer. Pure: no clock, no network.
//!
//! The hub cannot make one up: the asking node signed it, under the covenant that this node has, for a purpose that
//! lets it ask and lets this organisation be asked. It cannot use one twice, and the asker itself is bounded.

use std::collections::{HashMap, VecDeque};

use hitmachine_core::{Covenant, LiveFrame, LiveStatus, PartnerId, RequestId, Subject};
use hitmachine_proto::live::AskedLive;
use hitmachine_pseudonym::KeyEpoch;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// How far the clocks of two organisations may differ, in milliseconds.
const TOLERANCE_MS: i64 = 5 * 60 * 1000;
/// How long an answered question is remembered, in milliseconds: as long as its name can be in time.
pub(super) const REMEMBER_MS: i64 = 2 * TOLERANCE_MS;

/// Why a question is not answered. No variant carries anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LiveRefusal {
    /// It cannot be read.
    #[error("the question cannot be read")]
    Malformed,
    /// Under another covenant than this node has, also after it was fetched anew.
    #[error("the question was asked under another covenant")]
    OtherCovenant,
    /// Not in force today.
    #[error("the covenant is not in force today")]
    NotInForce,
    /// Signed by nobody, or not by whom it names.
    #[error("the question is not signed by the partner that it names")]
    NotSigned,
    /// The covenant does not let this partner ask for this purpose, or not ask this organisation.
    #[error("the covenant does not grant this question")]
    NotGranted,
    /// Too many persons, or others than were signed, or of a class that this organisation is not asked about.
    #[error("the persons are not those that this organisation may be asked about")]
    Persons,
    /// Tokens of an epoch that this node has no set of.
    #[error("the question has tokens of another key epoch")]
    WrongEpoch,
    /// Made too long ago, or in the future.
    #[error("the question was not asked just now")]
    NotNow,
    /// Its name was used for another question.
    #[error("the question's name was used before")]
    Replayed,
    /// More persons in a minute than this node answers for.
    #[error("more persons in a minute than this node answers for")]
    TooMany,
}

impl LiveRefusal {
    /// Stable code for machines.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "live_malformed",
            Self::OtherCovenant => "covenant_changed",
            Self::NotInForce => "covenant_not_in_force",
            Self::NotSigned => "not_signed",
            Self::NotGranted => "purpose_not_granted",
            Self::Persons => "live_persons",
            Self::WrongEpoch => "wrong_epoch",
            Self::NotNow => "live_not_now",
            Self::Replayed => "live_replayed",
            Self::TooMany => "live_too_many",
        }
    }

    /// Whether an honest hub never forwards such a question: then somebody must hear of it. The others pass while a
    /// covenant or a key epoch changes.
    pub(crate) fn is_alarming(self) -> bool {
        !matches!(self, Self::OtherCovenant | Self::NotInForce | Self::WrongEpoch)
    }
}

/// A question to answer.
#[derive(Debug)]
pub(crate) struct Checked {
    /// As signed.
    pub(crate) frame: LiveFrame,
    /// Of everything that was sent.
    pub(crate) digest: [u8; 32],
    /// The persons that this organisation is asked about.
    pub(crate) subjects: Vec<Subject>,
    /// How long its entry is kept, in months.
    pub(crate) months: u16,
    /// What was answered to exactly this question a moment ago: a hub that lost the answer may ask again, and learns
    /// nothing new.
    pub(crate) before: Option<Vec<LiveStatus>>,
}

struct Seen {
    at_ms: i64,
    digest: [u8; 32],
    statuses: Vec<LiveStatus>,
}

/// What a node must remember to tell good questions from bad ones.
pub(crate) struct Gate {
    own: PartnerId,
    /// Key epochs in which questions are answered now.
    epochs: Vec<KeyEpoch>,
    rate: Rate,
    seen: HashMap<RequestId, Seen>,
    order: VecDeque<(i64, RequestId)>,
}

impl Gate {
    /// One that answers in no key epoch yet; see [`Gate::answer_in`].
    pub(crate) fn new(own: PartnerId, persons_per_minute: u64, now: Timestamp) -> Self {
        Self {
            own,
            epochs: Vec::new(),
            rate: Rate::new(persons_per_minute, now),
            seen: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Names the key epochs in which questions are answered from now on.
    pub(crate) fn answer_in(&mut self, epochs: Vec<KeyEpoch>) {
        self.epochs = epochs;
    }

    /// Checks a question under the covenant that this node has.
    ///
    /// # Errors
    /// [`LiveRefusal`]: nothing may be looked up.
    pub(crate) fn check(
        &mut self,
        asked: &AskedLive,
        covenant: &Covenant,
        now: Timestamp,
    ) -> Result<Checked, LiveRefusal> {
        let frame = LiveFrame::decode(&asked.frame).ok_or(LiveRefusal::Malformed)?;
        if frame.covenant != covenant.version() {
            return Err(LiveRefusal::OtherCovenant);
        }
        let asker = covenant.partner(&frame.asker);
        if !asker.is_some_and(|asker| asker.signed_live(&asked.frame, &asked.signature)) {
            return Err(LiveRefusal::NotSigned);
        }
        if !covenant.in_force(now) {
            return Err(LiveRefusal::NotInForce);
        }
        let purpose = covenant.purpose(&frame.purpose);
        let purpose = purpose.filter(|purpose| {
            purpose.askers.contains(&frame.asker)
                && purpose.consulted_by(&frame.asker).any(|id| *id == self.own)
        });
        let purpose = purpose.ok_or(LiveRefusal::NotGranted)?;
        if frame.digests.len() > purpose.max_subjects {
            return Err(LiveRefusal::Persons);
        }
        let subjects = self
            .persons(asked, &frame, covenant)
            .ok_or(LiveRefusal::Persons)?;
        if !self.epochs.contains(&frame.epoch) {
            return Err(LiveRefusal::WrongEpoch);
        }
        let now_ms = now.as_millisecond();
        let made_ms = i64::try_from(frame.request.time_ms()).unwrap_or(i64::MAX);
        if made_ms.abs_diff(now_ms) > TOLERANCE_MS.unsigned_abs() {
            return Err(LiveRefusal::NotNow);
        }
        self.forget(now_ms);
        let digest = digest(asked);
        let before = self.seen.get(&frame.request);
        let before = match before {
            None => None,
            Some(seen) if seen.digest == digest => Some(seen.statuses.clone()),
            Some(_) => return Err(LiveRefusal::Replayed),
        };
        if before.is_none() && !self.rate.take(subjects.len() as u64, now) {
            return Err(LiveRefusal::TooMany);
        }
        Ok(Checked {
            frame,
            digest,
            subjects,
            months: purpose.log_retention_months,
            before,
        })
    }

    /// The persons, if each of them is one that the asker signed, none twice, and this organisation is asked about
    /// such persons.
    fn persons(&self, asked: &AskedLive, frame: &LiveFrame, covenant: &Covenant) -> Option<Vec<Subject>> {
        let own = covenant.partner(&self.own)?;
        let ascending = asked.subjects.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if asked.subjects.is_empty() || !ascending {
            return None;
        }
        let persons = asked.subjects.iter().map(|(place, opening)| {
            let is_signed = frame.digests.get(*place) == Some(&opening.digest());
            let applies = own.registers(opening.subject.class);
            (is_signed && applies).then(|| opening.subject.clone())
        });
        persons.collect()
    }

    /// Remembers a question and its answer.
    pub(crate) fn remember(
        &mut self,
        request: RequestId,
        digest: [u8; 32],
        statuses: Vec<LiveStatus>,
        at_ms: i64,
    ) {
        let seen = Seen {
            at_ms,
            digest,
            statuses,
        };
        // An older memory of it must not take this one away.
        self.seen.insert(request, seen);
        self.order.push_back((at_ms, request));
    }

    fn forget(&mut self, now_ms: i64) {
        while let Some((at_ms, request)) = self.order.front().copied() {
            if at_ms.saturating_add(REMEMBER_MS) >= now_ms {
                break;
            }
            self.order.pop_front();
            if self.seen.get(&request).is_some_and(|seen| seen.at_ms == at_ms) {
                self.seen.remove(&request);
            }
        }
    }
}

fn digest(asked: &AskedLive) -> [u8; 32] {
    let mut hash = Sha256::new()
        .chain_update(Sha256::digest(&asked.frame))
        .chain_update(asked.signature);
    for (place, opening) in &asked.subjects {
        hash.update((*place as u64).to_be_bytes());
        hash.update(opening.digest());
    }
    hash.finalize().into()
}

/// So many in a minute: a bucket that is full at the beginning and fills up again evenly.
pub(crate) struct Rate {
    per_minute: u64,
    /// In persons times milliseconds of a minute.
    level: u64,
    at_ms: i64,
}

const MINUTE_MS: u64 = 60_000;

impl Rate {
    pub(crate) fn new(per_minute: u64, now: Timestamp) -> Self {
        Self {
            per_minute,
            level: per_minute.saturating_mul(MINUTE_MS),
            at_ms: now.as_millisecond(),
        }
    }

    /// Takes `count`, if there is room for all of it.
    pub(crate) fn take(&mut self, count: u64, now: Timestamp) -> bool {
        let now_ms = now.as_millisecond();
        // A clock that goes back fills nothing.
        let passed = u64::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(0);
        self.at_ms = self.at_ms.max(now_ms);
        let full = self.per_minute.saturating_mul(MINUTE_MS);
        let grown = passed.saturating_mul(self.per_minute);
        self.level = self.level.saturating_add(grown).min(full);
        let wanted = count.saturating_mul(MINUTE_MS);
        let fits = wanted <= self.level;
        if fits {
            self.level -= wanted;
        }
        fits
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
