//! What is used of the hub, and by whom: quotas, stops and what is unusual, in one place.
//!
//! Everything here follows from the questions of the log: [`Usage::replay`] does with an entry what
//! [`take`](Usage::take) and [`saw`](Usage::saw) did when the question came, so that a hub that was killed knows what
//! it knew.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use crate::covenant::Covenant;
use crate::enumeration::Run;
use crate::ids::{Oin, PartnerId, UserId};
use crate::query::PartnerStatus;
use crate::quota::{Buckets, Demand, Digest, DigestKey, Taken};
use crate::record::{DecodedRecord, DecodedResult};
use crate::refusal::Refusal;
use crate::volume::{Volume, local};

/// After how long without a question what was seen of somebody is forgotten, in milliseconds: a year.
const FORGOTTEN_AFTER_MS: i64 = 366 * 24 * 3_600_000;

/// Something that a privacy officer must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What: the code of an alarm.
    pub code: &'static str,
    /// The partner it is about.
    pub partner: PartnerId,
    /// Who was stopped: the partner, or a user of it.
    pub who: Option<Digest>,
}

/// What somebody who asks is told about one person: a hit, a miss, or neither.
pub fn hit(statuses: impl IntoIterator<Item = PartnerStatus>) -> Option<bool> {
    let mut miss = None;
    for status in statuses {
        match status {
            PartnerStatus::Known => return Some(true),
            PartnerStatus::NotKnown => miss = Some(false),
            PartnerStatus::CouldNotAsk | PartnerStatus::DoesNotApply => {}
        }
    }
    miss
}

/// Use, as far as rules look at it. Names of users are in it as digests only.
#[derive(Clone, Debug)]
pub struct Usage {
    buckets: Buckets,
    runs: HashMap<Digest, Run>,
    volumes: BTreeMap<PartnerId, Volume>,
    stopped: HashSet<Digest>,
    changed: HashSet<Digest>,
    changed_volumes: HashSet<PartnerId>,
}

/// What has changed of a [`Usage`]: bytes to keep, or nothing for what was forgotten.
#[derive(Debug, Default)]
pub struct Changes {
    /// Buckets of quotas.
    pub buckets: Vec<(Digest, Option<[u8; 24]>)>,
    /// Runs of users and partners.
    pub runs: Vec<(Digest, Option<[u8; 21]>)>,
    /// Days of partners.
    pub volumes: Vec<(PartnerId, Vec<u8>)>,
}

impl Usage {
    /// Of a hub that was not used yet.
    pub fn new(key: DigestKey) -> Self {
        Self {
            buckets: Buckets::new(key),
            runs: HashMap::new(),
            volumes: BTreeMap::new(),
            stopped: HashSet::new(),
            changed: HashSet::new(),
            changed_volumes: HashSet::new(),
        }
    }

    /// The name of a partner or a user here.
    pub fn who(&self, oin: &Oin, user: Option<&UserId>) -> Digest {
        self.buckets.key().who(oin, user)
    }

    /// Lets a question pass that fits the quotas and whose asker is not stopped.
    ///
    /// # Errors
    /// [`Refusal::Suspended`], [`Refusal::OverQuota`], [`Refusal::OverQuotaSize`]; nothing is taken from any quota.
    pub fn take(
        &mut self,
        covenant: &Covenant,
        asked: &Demand<'_>,
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let stopped = !self.stopped.is_empty()
            && [None, asked.user]
                .into_iter()
                .any(|user| self.stopped.contains(&self.who(asked.oin, user)));
        if stopped {
            return Err(Refusal::Suspended);
        }
        let taken = self.buckets.take(covenant.quotas(), asked, now.as_millisecond());
        taken.map_err(Refusal::from)
    }

    /// Puts back what a question took that was neither logged nor answered.
    pub fn give_back(&mut self, taken: Taken) {
        self.buckets.give_back(taken);
    }

    /// Sees what came of a question, person by person ([`hit`]).
    pub fn saw(
        &mut self,
        covenant: &Covenant,
        asked: &Demand<'_>,
        persons: impl IntoIterator<Item = Option<bool>>,
        now: Timestamp,
    ) -> Vec<Notice> {
        let mut notices = self.counted(covenant, asked.partner, asked.persons, now);
        let (rules, at_ms) = (covenant.alarm_rules(), now.as_millisecond());
        let partner = self.who(asked.oin, None);
        let user = asked.user.map(|user| self.who(asked.oin, Some(user)));
        let mut stops = Vec::new();
        // Person by person, as the log is replayed.
        for hit in persons.into_iter().flatten() {
            if let Some(user) = user
                && self.runs.entry(user).or_default().see(rules, hit, at_ms)
            {
                stops.push(user);
            }
            let run = self.runs.entry(partner).or_default();
            if run.see(rules, hit, at_ms) {
                if user.is_some_and(|user| stops.contains(&user) || self.stopped.contains(&user)) {
                    run.pardon(rules);
                } else {
                    stops.push(partner);
                }
            }
        }
        self.changed.extend(user);
        self.changed.insert(partner);
        for who in stops {
            self.stopped.insert(who);
            notices.push(Notice {
                code: "enumeration",
                partner: asked.partner.clone(),
                who: Some(who),
            });
        }
        notices
    }

    /// Counts a question that was refused: it takes from no quota, but who hammers is noticed.
    pub fn refused(
        &mut self,
        covenant: &Covenant,
        partner: &PartnerId,
        persons: u32,
        now: Timestamp,
    ) -> Vec<Notice> {
        self.counted(covenant, partner, persons, now)
    }

    fn counted(
        &mut self,
        covenant: &Covenant,
        partner: &PartnerId,
        persons: u32,
        now: Timestamp,
    ) -> Vec<Notice> {
        if !self.volumes.contains_key(partner) {
            self.volumes.insert(partner.clone(), Volume::default());
        }
        let Some(volume) = self.volumes.get_mut(partner) else {
            return Vec::new();
        };
        let unusual = volume.count(covenant.alarm_rules(), persons, local(now));
        if !self.changed_volumes.contains(partner) {
            self.changed_volumes.insert(partner.clone());
        }
        let of = |code| Notice {
            code,
            partner: partner.clone(),
            who: None,
        };
        let notices = [
            unusual.volume.then(|| of("unusual_volume")),
            unusual.hours.then(|| of("unusual_hours")),
        ];
        notices.into_iter().flatten().collect()
    }

    /// Does with an entry of the log what was done when its question came.
    pub fn replay(&mut self, covenant: &Covenant, record: &DecodedRecord) -> Vec<Notice> {
        let Some(partner) = covenant.partner_by_oin(&record.requester) else {
            return Vec::new();
        };
        let (DecodedResult::Answered(statuses), Some(ground)) = (&record.result, &record.ground) else {
            return match record.result {
                // What officers are refused is about nobody.
                DecodedResult::Refused(_) if record.subject.is_some() => {
                    self.refused(covenant, &partner.id, 1, record.time)
                }
                _ => Vec::new(),
            };
        };
        let asked = Demand {
            partner: &partner.id,
            oin: &record.requester,
            user: record.user.as_ref().map(|user| &user.id),
            purpose: &ground.purpose,
            persons: 1,
        };
        self.buckets
            .charge(covenant.quotas(), &asked, record.time.as_millisecond());
        let person = hit(statuses.iter().map(|(_, status)| *status));
        self.saw(covenant, &asked, [person], record.time)
    }

    /// Whether somebody is stopped.
    pub fn is_stopped(&self, who: &Digest) -> bool {
        self.stopped.contains(who)
    }

    /// Everybody who is stopped.
    pub fn stopped(&self) -> impl Iterator<Item = Digest> + '_ {
        self.stopped.iter().copied()
    }

    /// Stops somebody: the log says so.
    pub fn stop(&mut self, who: Digest) {
        self.stopped.insert(who);
    }

    /// Ends a stop; what was seen of them begins anew.
    pub fn lift(&mut self, who: &Digest) {
        self.stopped.remove(who);
        self.runs.remove(who);
        self.changed.insert(*who);
    }

    /// Forgets what makes no difference any more.
    pub fn tidy(&mut self, now: Timestamp) {
        let now_ms = now.as_millisecond();
        self.buckets.forget_full(now_ms);
        let (changed, stopped) = (&mut self.changed, &self.stopped);
        self.runs.retain(|who, run| {
            let keep = stopped.contains(who) || now_ms.saturating_sub(run.at_ms()) < FORGOTTEN_AFTER_MS;
            if !keep {
                changed.insert(*who);
            }
            keep
        });
    }

    /// What has changed since this was called last.
    pub fn take_changes(&mut self) -> Changes {
        let bytes = |who: Digest| (who, self.runs.get(&who).map(|run| run.to_bytes()));
        let volume = |partner: PartnerId| {
            let volume = self.volumes.get(&partner).map(Volume::to_bytes);
            (partner, volume.unwrap_or_default())
        };
        Changes {
            runs: std::mem::take(&mut self.changed).into_iter().map(bytes).collect(),
            volumes: std::mem::take(&mut self.changed_volumes)
                .into_iter()
                .map(volume)
                .collect(),
            buckets: self.buckets.take_changes(),
        }
    }

    /// Puts back a bucket.
    pub fn restore_bucket(&mut self, id: Digest, bytes: [u8; 24]) {
        self.buckets.restore(id, bytes);
    }

    /// Puts back a run; a run that had stopped is stopped.
    pub fn restore_run(&mut self, who: Digest, bytes: [u8; 21]) {
        let run = Run::from_bytes(bytes);
        if run.is_stopped() {
            self.stopped.insert(who);
        }
        self.runs.insert(who, run);
    }

    /// Puts back a partner's days; `None` if these are not the bytes of days.
    pub fn restore_volume(&mut self, partner: PartnerId, bytes: &[u8]) -> Option<()> {
        self.volumes.insert(partner, Volume::from_bytes(bytes)?);
        Some(())
    }

    /// How many buckets, runs and partners are remembered.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.buckets.len(), self.runs.len(), self.volumes.len())
    }
}

#[cfg(test)]
#[path = "usage_tests.rs"]
mod tests;
