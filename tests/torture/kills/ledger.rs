//! What was shown, kept to be compared with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use hitmachine_audit::StoredContent;
use hitmachine_core::record::{DecodedRecord, DecodedResult, Kind};
use hitmachine_node::view::{AnswerView, PersonView, StatusWord};
use hitmachine_testkit::deployment::Deployment;
use serde_json::{Map, Value};

use super::tokens::Tokens;
use crate::logbook;

/// One answer about one person that somebody saw.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    request: Option<String>,
    bsn: String,
    statuses: Vec<(String, StatusWord)>,
}

/// Everything that was ever shown, by its place in the log.
#[derive(Default)]
pub(super) struct Ledger {
    shown: Mutex<BTreeMap<u64, Shown>>,
    /// Screenings that ended: case, and whom they were about.
    screened: Mutex<Vec<(String, BTreeSet<String>)>>,
}

/// What one entry of the log holds.
pub(super) enum Entry {
    Control(Map<String, Value>),
    Open(Box<DecodedRecord>),
    /// Erased, in whole or in part.
    Erased,
}

/// The whole log as it lies on the disk.
pub(super) struct Image(pub(super) Vec<Entry>);

impl Image {
    /// Of a broker that is down. Each entry is there, in its place, and fits its leaf.
    pub(super) fn read(deployment: &Deployment) -> Self {
        let (_copies, recovery, log) = logbook::open(deployment);
        let entries = log.entries().enumerate().map(|(place, entry)| {
            let entry = entry.unwrap();
            assert_eq!(entry.index, place as u64);
            match entry.content {
                StoredContent::Control(content) => Entry::Control(content),
                StoredContent::Open(opening) => {
                    let record = DecodedRecord::decode(&opening.into_fields()).unwrap();
                    Entry::Open(Box::new(record))
                }
                StoredContent::Processing(_) | StoredContent::Erased => Entry::Erased,
            }
        });
        let entries: Vec<_> = entries.collect();
        assert_eq!(recovery.head.size, entries.len() as u64);
        Self(entries)
    }

    /// The questions that can be read, with their places.
    pub(super) fn records(&self) -> impl Iterator<Item = (u64, &DecodedRecord)> {
        (0..).zip(&self.0).filter_map(|(place, entry)| match entry {
            Entry::Open(record) => Some((place, record.as_ref())),
            Entry::Control(_) | Entry::Erased => None,
        })
    }

    /// Places of the questions for this case.
    pub(super) fn of_case(&self, case: &str) -> BTreeSet<u64> {
        let records = self.records();
        let those = records.filter(|(_, record)| {
            record.kind == Kind::Lookup && record.case.as_ref().is_some_and(|of| of.as_str() == case)
        });
        those.map(|(place, _)| place).collect()
    }

    /// Control entries of one type.
    pub(super) fn controls(&self, kind: &str) -> Vec<&Map<String, Value>> {
        let controls = self.0.iter().filter_map(|entry| match entry {
            Entry::Control(content) if content["type"] == kind => Some(content),
            _ => None,
        });
        controls.collect()
    }

    /// Places of the questions of others that found somebody at this partner.
    pub(super) fn hits(&self, partner: &str, own_oin: &str) -> BTreeSet<u64> {
        let hit = |record: &DecodedRecord| match &record.result {
            DecodedResult::Answered(rows) => rows
                .iter()
                .any(|(of, status)| of.as_str() == partner && StatusWord::from(*status) == StatusWord::Known),
            _ => false,
        };
        let records = self.records();
        let those = records.filter(|(_, record)| record.requester.as_str() != own_oin && hit(record));
        those.map(|(place, _)| place).collect()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// An answer to a question was shown.
    pub(super) fn answer(&self, bsns: &[String], answer: &AnswerView) {
        assert_eq!(bsns.len(), answer.persons.len(), "an answer about each person");
        for (bsn, person) in bsns.iter().zip(&answer.persons) {
            assert!(person.log_index < answer.log_size);
            self.person(Some(&answer.request_id), bsn, person);
        }
    }

    /// An answer about one person was shown; its question's name may not have been.
    pub(super) fn person(&self, request: Option<&str>, bsn: &str, person: &PersonView) {
        let rows = person.partners.iter();
        let shown = Shown {
            request: request.map(str::to_owned),
            bsn: bsn.to_owned(),
            statuses: rows.map(|row| (row.partner.clone(), row.status)).collect(),
        };
        let before = locked(&self.shown).insert(person.log_index, shown.clone());
        // Shown again, as a screening is; never another.
        if let Some(before) = before {
            assert!(
                before == shown,
                "one place in the log, two answers: entry {}",
                person.log_index
            );
        }
    }

    /// A screening was done: about each of these once.
    pub(super) fn screened(&self, case: &str, bsns: BTreeSet<String>) {
        locked(&self.screened).push((case.to_owned(), bsns));
    }

    /// How many answers were shown.
    pub(super) fn len(&self) -> u64 {
        locked(&self.shown).len() as u64
    }

    /// Places of shown answers in which a partner knew the person.
    pub(super) fn hits(&self, partner: &str) -> BTreeSet<u64> {
        let shown = locked(&self.shown);
        let known = |shown: &Shown| {
            let mut rows = shown.statuses.iter();
            rows.any(|(of, status)| of == partner && *status == StatusWord::Known)
        };
        let hits = shown.iter().filter(|(_, shown)| known(shown));
        hits.map(|(place, _)| *place).collect()
    }

    /// Every answer that was ever shown is in the log, in its place and as it was shown; but for those before
    /// `erasing`, which may be erased. A screening that was done has asked about each of its persons once.
    pub(super) fn check(&self, image: &Image, tokens: &Tokens, erasing: u64) {
        for (place, shown) in locked(&self.shown).iter() {
            let entry = usize::try_from(*place).ok().and_then(|place| image.0.get(place));
            let record = match entry {
                Some(Entry::Open(record)) => record,
                Some(Entry::Erased) if *place < erasing => continue,
                Some(Entry::Erased) => panic!("entry {place} was erased, and was asked later"),
                Some(Entry::Control(_)) => panic!("entry {place} is none of a question"),
                None => panic!("the log has no entry {place}, of which the answer was shown"),
            };
            let DecodedResult::Answered(rows) = &record.result else {
                panic!("entry {place} holds no answer");
            };
            let rows = rows.iter();
            let statuses: Vec<_> = rows
                .map(|(partner, status)| (partner.to_string(), StatusWord::from(*status)))
                .collect();
            assert_eq!(statuses, shown.statuses, "entry {place} holds another answer");
            let request = record.request.map(|request| request.to_string());
            assert!(
                shown.request.is_none() || request == shown.request,
                "entry {place} is of another question"
            );
            let (epoch, subject) = record.subject.as_ref().unwrap();
            let token = &subject.tokens[0].1;
            assert!(
                tokens.is(*epoch, &shown.bsn, token),
                "entry {place} is about somebody else"
            );
        }
        let screened = locked(&self.screened);
        for (case, bsns) in screened.iter() {
            let places = image.of_case(case);
            if places.is_empty() && erasing > 0 {
                continue;
            }
            // Everybody who was shown is in the log, so with as many entries nobody was asked about twice.
            assert_eq!(
                places.len(),
                bsns.len(),
                "{case}: somebody was asked about twice, or not at all"
            );
        }
    }
}
