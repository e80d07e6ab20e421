//! What must be in the log and at the partners after everything, whatever the network did.

use std::collections::{BTreeMap, BTreeSet};

use hitmachine_core::record::{DecodedRecord, DecodedResult};
use hitmachine_core::{PartnerId, PartnerStatus};
use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::population::{AgeClass, Person, Population, Register};

use crate::logbook::Entry;
use crate::wire::Shared;

/// Who only asks.
pub(in crate::torture) const COORDINATOR: &str = "veiligheidshuis";
/// Who is told of hits.
pub(in crate::torture) const TOLD: &str = "regieteams";
/// Who answers live.
pub(in crate::torture) const OM: &str = "om-reclassering";

/// Persons that are asked about, and what is true of them.
pub(in crate::torture) struct Truth {
    persons: Vec<Person>,
    tokens: BTreeMap<[u8; 32], usize>,
}

/// What a log says that was checked.
#[derive(Debug)]
pub(in crate::torture) struct Checked {
    /// Entries of which the told partner must have a notice, in order.
    pub(in crate::torture) notices: Vec<u64>,
    /// Lookups.
    pub(in crate::torture) lookups: u64,
}

impl Truth {
    /// So many adults of each kind that matters: known to the live partner or not, to the told one or not.
    pub(in crate::torture) fn of(deployment: &Deployment, population: &Population, each: usize) -> Self {
        let shared = Shared::of(deployment);
        let mut kinds = BTreeMap::<_, usize>::new();
        let mut persons = Vec::new();
        for person in population.persons() {
            if person.class != AgeClass::Adult {
                continue;
            }
            let knows = |register| person.references.contains_key(&register);
            let kind = (knows(Register::OmReclassering), knows(Register::Regieteams));
            let count = kinds.entry(kind).or_default();
            if *count < each {
                *count += 1;
                persons.push(person.clone());
            }
        }
        assert_eq!(kinds.len(), 4, "somebody of each kind");
        let tokens = persons.iter().enumerate();
        let tokens = tokens.map(|(place, person)| (*shared.token(&person.bsn).expose_secret(), place));
        Self {
            tokens: tokens.collect(),
            persons,
        }
    }

    /// Everybody.
    pub(in crate::torture) fn persons(&self) -> &[Person] {
        &self.persons
    }

    /// Somebody whom both the live and the told partner know.
    pub(in crate::torture) fn known_to_both(&self) -> usize {
        let both = |person: &Person| Self::knows(person, OM) && Self::knows(person, TOLD);
        self.persons.iter().position(both).unwrap()
    }

    fn knows(person: &Person, partner: &str) -> bool {
        person.references.keys().any(|register| register.id() == partner)
    }

    /// Statuses of a person are what is true; only the live partner may not have been asked. Whether it was.
    ///
    /// # Panics
    /// When one is wrong.
    pub(in crate::torture) fn fits(&self, person: usize, statuses: &[(PartnerId, PartnerStatus)]) -> bool {
        let mut complete = true;
        assert_eq!(statuses.len(), Register::ALL.len());
        for (partner, status) in statuses {
            let partner = partner.as_str();
            let expected = if partner == Register::Leerplicht.id() {
                // It registers minors only.
                PartnerStatus::DoesNotApply
            } else if Self::knows(&self.persons[person], partner) {
                PartnerStatus::Known
            } else {
                PartnerStatus::NotKnown
            };
            if partner == OM && *status == PartnerStatus::CouldNotAsk {
                complete = false;
            } else {
                assert_eq!(*status, expected, "{partner} of person {person}");
            }
        }
        complete
    }

    /// Each entry says what is true, and no question stands in the log twice.
    ///
    /// # Panics
    /// When it is not so.
    pub(in crate::torture) fn check(&self, entries: &[Entry]) -> Checked {
        let mut requests = BTreeSet::new();
        let mut checked = Checked {
            notices: Vec::new(),
            lookups: 0,
        };
        for entry in entries {
            let record = DecodedRecord::decode(&entry.fields).unwrap();
            let DecodedResult::Answered(statuses) = &record.result else {
                continue;
            };
            let (_, subject) = record.subject.as_ref().unwrap();
            let token = subject.tokens[0].1.expose_secret();
            let person = *self
                .tokens
                .get(token)
                .expect("somebody was asked about whom nobody asked about");
            self.fits(person, statuses);
            assert!(
                requests.insert(*record.request.unwrap().as_bytes()),
                "one question stands in the log twice"
            );
            checked.lookups += 1;
            if Self::knows(&self.persons[person], TOLD) {
                checked.notices.push(entry.index);
            }
        }
        checked
    }
}
