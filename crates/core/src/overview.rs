//! The overview for a council: what was asked in a quarter or a year, counted straight from the log, nobody in it.
//!
//! [`Overview::add`] takes one entry after the other; [`Overview::publish`] gives the tables. What is kept meanwhile does
//! not grow with the entries, but for 16 bytes for each case. Months are those of the log, in UTC.
//!
//! Counted are lookups and refused requests, confidential purposes too: that a purpose is used says nothing about a
//! person. Officers' own actions are not.

mod linked;
mod partners;
mod publish;

use std::collections::{BTreeMap, HashSet};

use hitmachine_audit::Period;
use sha2::{Digest, Sha256};

use crate::ids::{Oin, PartnerId, PurposeCode};
use crate::query::PartnerStatus;
use crate::record::{DecodedRecord, DecodedResult, Outcome};

pub use publish::{
    CaseRow, ConsultedCounts, ConsultedRow, Detail, MonthRow, OverviewTables, PurposeRow, RegisteredRow,
};

/// The least threshold of an overview: counts of 1 to 4 are suppressed in any.
pub const LEAST_THRESHOLD: u64 = crate::statistics::DEFAULT_THRESHOLD;
/// The highest threshold that makes sense.
pub const MOST_THRESHOLD: u64 = 1_000;

/// A quarter or a year, in months of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: Period,
    months: u32,
}

impl Span {
    /// A year, or with 1 to 4 one of its quarters; `None` for what is neither.
    pub fn new(year: u16, quarter: Option<u8>) -> Option<Self> {
        let (month, months) = match quarter {
            None => (1, 12),
            Some(quarter @ 1..=4) => (3 * (quarter - 1) + 1, 3),
            Some(_) => return None,
        };
        (year >= 1970)
            .then(|| Period::new(year, month))
            .flatten()
            .map(|first| Self { first, months })
    }

    /// Its months, in order.
    pub fn months(self) -> impl Iterator<Item = Period> {
        (0..self.months).filter_map(move |later| self.first.plus_months(later))
    }

    /// Whether a month is one of them.
    pub fn contains(self, month: Period) -> bool {
        self.months().any(|own| own == month)
    }

    /// Whether its last month is over in `now`.
    pub fn is_over(self, now: Period) -> bool {
        self.months().all(|month| month < now)
    }
}

/// The outcomes that answered lookups can have, in the order of columns.
pub const ANSWERED: [Outcome; 3] = [Outcome::Hit, Outcome::NoHit, Outcome::CouldNotAsk];

/// What is counted of the log.
#[derive(Clone, Debug)]
pub struct Overview {
    span: Span,
    /// By month: as [`ANSWERED`], then refused.
    months: BTreeMap<Period, [u64; 4]>,
    purposes: BTreeMap<PurposeCode, Purpose>,
    refusals: BTreeMap<(String, Oin), u64>,
    /// Distinct cases by asking organisation and purpose.
    cases: BTreeMap<(Oin, PurposeCode), u64>,
    /// First 16 bytes of SHA-256 over organisation, purpose and case.
    seen: HashSet<[u8; 16]>,
    without_case: u64,
    erased: u64,
    erased_undated: u64,
    unreadable: u64,
}

/// What is counted under one purpose.
#[derive(Clone, Debug, Default)]
struct Purpose {
    /// As [`ANSWERED`].
    outcomes: [u64; 3],
    /// By who asked.
    askers: BTreeMap<Oin, u64>,
    /// By who was asked.
    consulted: BTreeMap<PartnerId, Consulted>,
}

/// What is counted of one partner under one purpose.
#[derive(Clone, Copy, Debug, Default)]
struct Consulted {
    /// By [`PartnerStatus::code`] less 1.
    statuses: [u64; 4],
    roles: Roles,
}

/// In which ways a partner's statuses occur in single answers: what could be otherwise without another outcome, and
/// what could not. A set of bits.
#[derive(Clone, Copy, Debug, Default)]
struct Roles(u16);

impl Roles {
    /// It alone knows the person, and all others could be asked.
    const SOLE_HIT: Self = Self(1);
    /// It alone knows the person, and another could not be asked.
    const SOLE_HIT_ELSE_COULD_NOT: Self = Self(1 << 1);
    /// It and another know the person.
    const SHARED_HIT: Self = Self(1 << 2);
    /// It does not know the person, another does.
    const HIT_ELSEWHERE: Self = Self(1 << 3);
    /// It could not be asked, another knows the person.
    const COULD_NOT_BUT_HIT: Self = Self(1 << 4);
    /// It does not know the person, nor does anybody, and all could be asked.
    const MISS: Self = Self(1 << 5);
    /// It does not know the person, nobody does, another could not be asked.
    const COULD_NOT_ELSEWHERE: Self = Self(1 << 6);
    /// It alone could not be asked, and nobody knows the person.
    const SOLE_COULD_NOT: Self = Self(1 << 7);
    /// It and another could not be asked, and nobody knows the person.
    const SHARED_COULD_NOT: Self = Self(1 << 8);

    fn of(status: PartnerStatus, known: usize, could_not: usize) -> Self {
        match (status, known, could_not) {
            (PartnerStatus::Known, ..=1, 0) => Self::SOLE_HIT,
            (PartnerStatus::Known, ..=1, _) => Self::SOLE_HIT_ELSE_COULD_NOT,
            (PartnerStatus::Known, ..) => Self::SHARED_HIT,
            (PartnerStatus::NotKnown, 0, 0) => Self::MISS,
            (PartnerStatus::NotKnown, 0, _) => Self::COULD_NOT_ELSEWHERE,
            (PartnerStatus::NotKnown, ..) => Self::HIT_ELSEWHERE,
            (PartnerStatus::CouldNotAsk, 0, ..=1) => Self::SOLE_COULD_NOT,
            (PartnerStatus::CouldNotAsk, 0, _) => Self::SHARED_COULD_NOT,
            (PartnerStatus::CouldNotAsk, ..) => Self::COULD_NOT_BUT_HIT,
            (PartnerStatus::DoesNotApply, ..) => Self(0),
        }
    }

    /// Whether one of these occurs.
    fn has(self, one: &[Self]) -> bool {
        one.iter().any(|role| self.0 & role.0 != 0)
    }
}

impl Overview {
    /// Nothing counted yet.
    pub fn new(span: Span) -> Self {
        Self {
            span,
            months: span.months().map(|month| (month, [0; 4])).collect(),
            purposes: BTreeMap::new(),
            refusals: BTreeMap::new(),
            cases: BTreeMap::new(),
            seen: HashSet::new(),
            without_case: 0,
            erased: 0,
            erased_undated: 0,
            unreadable: 0,
        }
    }

    /// Which months.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Counts an entry, if it is of these months.
    pub fn add(&mut self, record: &DecodedRecord) {
        let ms = u64::try_from(record.time.as_millisecond()).unwrap_or(0);
        let Some(month) = self.months.get_mut(&Period::of_unix_ms(ms)) else {
            return;
        };
        let [hit, no_hit, could_not_ask, refused] = month;
        match (&record.result, &record.ground) {
            (DecodedResult::Refused(code), _) => {
                *refused += 1;
                let of = (code.clone(), record.requester.clone());
                *self.refusals.entry(of).or_default() += 1;
            }
            (DecodedResult::Answered(partners), Some(ground)) => {
                match record.outcome() {
                    Outcome::Hit => *hit += 1,
                    Outcome::CouldNotAsk => *could_not_ask += 1,
                    _ => *no_hit += 1,
                }
                self.answered(&record.requester, &ground.purpose, partners);
                match &record.case {
                    Some(case) => self.case(&record.requester, &ground.purpose, case.as_str()),
                    None => self.without_case += 1,
                }
            }
            // Officers' actions; and there is no lookup without a ground.
            _ => {}
        }
    }

    fn answered(&mut self, requester: &Oin, purpose: &PurposeCode, partners: &[(PartnerId, PartnerStatus)]) {
        let own = self.purposes.entry(purpose.clone()).or_default();
        *own.askers.entry(requester.clone()).or_default() += 1;
        let count = |wanted| partners.iter().filter(|(_, status)| *status == wanted).count();
        let (known, could_not) = (count(PartnerStatus::Known), count(PartnerStatus::CouldNotAsk));
        let [hit, no_hit, could_not_ask] = &mut own.outcomes;
        match (known, could_not) {
            (1.., _) => *hit += 1,
            (0, 1..) => *could_not_ask += 1,
            (0, 0) => *no_hit += 1,
        }
        for (partner, status) in partners {
            let consulted = own.consulted.entry(partner.clone()).or_default();
            let place = usize::from(status.code().saturating_sub(1));
            if let Some(count) = consulted.statuses.get_mut(place) {
                *count += 1;
            }
            consulted.roles.0 |= Roles::of(*status, known, could_not).0;
        }
    }

    fn case(&mut self, requester: &Oin, purpose: &PurposeCode, case: &str) {
        let mut hash = Sha256::new();
        for text in [requester.as_str(), purpose.as_str(), case] {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        if self.seen.insert(name) {
            let of = (requester.clone(), purpose.clone());
            *self.cases.entry(of).or_default() += 1;
        }
    }

    /// Counts an entry whose payload was erased; of some not even the time is left.
    pub fn add_erased(&mut self, time_ms: Option<u64>) {
        match time_ms {
            Some(ms) if self.span.contains(Period::of_unix_ms(ms)) => self.erased += 1,
            Some(_) => {}
            None => self.erased_undated += 1,
        }
    }

    /// Counts an entry of this time that this version cannot read.
    pub fn add_unreadable(&mut self, time_ms: u64) {
        if self.span.contains(Period::of_unix_ms(time_ms)) {
            self.unreadable += 1;
        }
    }
}

#[cfg(test)]
mod attack_tests;
#[cfg(test)]
mod test_log;
#[cfg(test)]
mod tests;
