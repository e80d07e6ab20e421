//! The queue itself: entries in memory, and sealed on disk.
//!
//! # Layout (table `notification`)
//!
//! | key | value (sealed) |
//! |---|---|
//! | `e` ‖ number u64 | the [`Entry`], as JSON |
//! | `next` | the next number, u64 |
//! | `salt` | 32 random bytes, under which persons are told apart |
//!
//! Keys are not sealed; they say how many notifications there were and nothing about anybody.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_core::{Clock, Covenant, SubjectClass};
use hitmachine_identifier::contains_bsn;
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::NotificationError;
use super::entry::{Act, By, Entry, KeptNumber, Kind, NotNeeded, State as Stand, What, due_after};
use crate::config::NotificationSection;
use crate::source::AgeBracket;
use crate::state::{State, StateError, Table, Write};

const TABLE: &str = "notification";
const ENTRY: u8 = b'e';
const NEXT: &[u8] = b"next";
const SALT: &[u8] = b"salt";
/// Sets this hash apart from every other use of SHA-256.
const PERSON: &[u8] = b"hitmachine notification person v1\0";

/// How many notifications there are to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// To be sent, in time.
    pub due: u64,
    /// To be sent, and the last day has passed; also of those put off.
    pub overdue: u64,
    /// Put off to a day that is still to come.
    pub deferred: u64,
}

/// One person of an answered question.
pub(crate) struct AskedAbout<'a> {
    pub(crate) identifier: &'a CanonicalIdentifier,
    pub(crate) class: SubjectClass,
    pub(crate) bracket: AgeBracket,
    pub(crate) reference: Option<&'a str>,
}

/// All notifications of this organisation.
pub(crate) struct Queue {
    settings: NotificationSection,
    table: Arc<Table>,
    clock: Arc<dyn Clock>,
    salt: [u8; 32],
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    entries: BTreeMap<u64, Entry>,
    by_person: HashMap<(Kind, [u8; 16], String), u64>,
    next: u64,
    /// The day on which those that are over were forgotten last.
    swept: Option<Date>,
}

impl Held {
    fn add(&mut self, entry: Entry) {
        let key = (entry.kind, entry.person, entry.case.clone());
        self.by_person.insert(key, entry.id);
        self.entries.insert(entry.id, entry);
    }

    fn take(&mut self, changed: Vec<Entry>, over: &[u64], today: Date) {
        for entry in changed {
            self.add(entry);
        }
        for id in over {
            if let Some(entry) = self.entries.remove(id) {
                self.by_person.remove(&(entry.kind, entry.person, entry.case));
            }
        }
        self.swept = Some(today);
    }
}

/// What is to be written in one durable step.
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

impl Queue {
    pub(crate) fn load(
        state: &Arc<State>,
        settings: NotificationSection,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        let table = state.table(TABLE)?;
        let salt = if let Some(salt) = table.get(SALT)? {
            salt.as_slice().try_into().map_err(|_| StateError::DoesNotOpen)?
        } else {
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(|_| StateError::Random)?;
            table.change(&[(SALT, Some(salt.to_vec()))])?;
            salt
        };
        let mut held = Held {
            next: 1,
            ..Held::default()
        };
        if let Some(next) = table.get(NEXT)? {
            let next = next.as_slice().try_into().map_err(|_| StateError::DoesNotOpen)?;
            held.next = u64::from_be_bytes(next);
        }
        for (_, value) in table.scan(&[ENTRY])? {
            let entry: Entry = serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen)?;
            held.next = held.next.max(entry.id + 1);
            held.add(entry);
        }
        Ok(Self {
            settings,
            table: Arc::new(table),
            clock,
            salt,
            held: Mutex::new(held),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, and its day where people live.
    pub(super) fn now(&self) -> (Timestamp, Date) {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
        let now = self.clock.now();
        (now, now.to_zoned(zone).date())
    }

    /// The same person has the same name here, whichever way the number came; it is of no use elsewhere.
    fn person(&self, identifier: &CanonicalIdentifier) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(PERSON);
        hash.update(self.salt);
        hash.update([identifier.kind().code()]);
        hash.update(identifier.expose_secret());
        let hash: [u8; 32] = hash.finalize().into();
        let mut name = [0; 16];
        name.copy_from_slice(&hash[..16]);
        name
    }

    /// Enters the persons of a question that was answered, each once for a case. What is to be written is given to `write`
    /// before anybody else sees the entries: durable with the next commit that begins after that.
    pub(crate) fn asked(
        &self,
        covenant: &Covenant,
        purpose: &hitmachine_core::PurposeCode,
        case: &str,
        user: &str,
        persons: &[AskedAbout<'_>],
        write: impl FnOnce(Write),
    ) -> Result<(), StateError> {
        let (now, today) = self.now();
        let at = now.to_string();
        let in_words = covenant.purpose(purpose);
        let mut held = self.held();
        let mut changed = Vec::new();
        // Two rows of one question may be about one person.
        let mut in_question = HashSet::new();
        for asked in persons {
            let person = self.person(asked.identifier);
            if !in_question.insert(person) {
                continue;
            }
            // What reads as a number is kept as one: not, unless the configuration says so.
            let reference = asked
                .reference
                .map(str::trim)
                .filter(|text| !text.is_empty() && !contains_bsn(text));
            let key = (Kind::Entry, person, case.to_owned());
            if let Some(earlier) = held.by_person.get(&key).and_then(|id| held.entries.get(id)) {
                changed.extend(completed(earlier, asked.bracket, reference));
                continue;
            }
            let entry = Entry {
                id: held.next,
                kind: Kind::Entry,
                person,
                number: self.settings.keep_number.then(|| {
                    // Canonical numbers are ASCII digits.
                    let digits = String::from_utf8_lossy(asked.identifier.expose_secret());
                    KeptNumber::new(digits.into_owned())
                }),
                reference: reference.map(ToOwned::to_owned),
                case: case.to_owned(),
                purpose: purpose.to_string(),
                purpose_title: in_words.map_or_else(String::new, |purpose| purpose.title.clone()),
                legal_basis: in_words.map_or_else(String::new, |purpose| purpose.legal_basis.clone()),
                processing_activity: in_words
                    .map_or_else(String::new, |purpose| purpose.processing_activity.clone()),
                since: today,
                due: due_after(today),
                minor: asked.class == SubjectClass::Minor,
                bracket: asked.bracket,
                state: Stand::Due,
                history: vec![Act {
                    at: at.clone(),
                    by: user.to_owned(),
                    what: What::Asked,
                }],
            };
            held.next += 1;
            changed.push(entry);
        }
        let (changes, over) = self.changes(&held, &changed, today)?;
        held.take(changed, &over, today);
        if !changes.is_empty() {
            let table = Arc::clone(&self.table);
            write(Box::new(move || table.stage(&changes)));
        }
        Ok(())
    }

    /// Writes entries and forgets those that are over, durably; then memory has the same.
    fn write(&self, held: &mut Held, changed: Vec<Entry>, today: Date) -> Result<(), StateError> {
        let (changes, over) = self.changes(held, &changed, today)?;
        if !changes.is_empty() {
            self.table.change(&changes)?;
        }
        held.take(changed, &over, today);
        Ok(())
    }

    /// What is to be written, and which entries are over: looked for once a day.
    fn changes(
        &self,
        held: &Held,
        changed: &[Entry],
        today: Date,
    ) -> Result<(Changes, Vec<u64>), StateError> {
        let mut changes: Changes = Vec::with_capacity(changed.len() + 1);
        for entry in changed {
            let value = serde_json::to_vec(entry).map_err(|_| StateError::DoesNotOpen)?;
            changes.push((key(entry.id), Some(value)));
        }
        let mut over = Vec::new();
        if held.swept != Some(today) {
            let is_over = |entry: &&Entry| entry.is_over(today, self.settings.keep_months);
            over.extend(held.entries.values().filter(is_over).map(|entry| entry.id));
            changes.extend(over.iter().map(|id| (key(*id), None)));
        }
        if !changes.is_empty() {
            changes.push((NEXT.to_vec(), Some(held.next.to_be_bytes().to_vec())));
        }
        Ok((changes, over))
    }

    /// All that are kept, the longest overdue first, settled ones last.
    pub(super) fn all(&self) -> Result<Vec<Entry>, NotificationError> {
        let (_, today) = self.now();
        let mut held = self.held();
        self.write(&mut held, Vec::new(), today)?;
        let mut entries: Vec<Entry> = held.entries.values().cloned().collect();
        entries.sort_by_key(|entry| (entry.last_day().is_none(), entry.last_day(), entry.id));
        Ok(entries)
    }

    /// Does the same with each of `ids`: with all of them, or with none.
    pub(super) fn apply(
        &self,
        ids: &[u64],
        what: &What,
        user: &str,
    ) -> Result<Vec<Entry>, NotificationError> {
        let (now, today) = self.now();
        let at = now.to_string();
        let by = By { user, at: &at, today };
        let mut held = self.held();
        let mut changed: Vec<Entry> = Vec::with_capacity(ids.len());
        for id in ids {
            if changed.iter().any(|entry| entry.id == *id) {
                continue;
            }
            let mut entry = held
                .entries
                .get(id)
                .cloned()
                .ok_or(NotificationError::Unknown(*id))?;
            entry.apply(what.clone(), by)?;
            changed.push(entry);
        }
        self.write(&mut held, changed.clone(), today)?;
        Ok(changed)
    }

    /// Those of a case that a letter is to be written for.
    pub(super) fn open_in(&self, case: &str) -> Result<Vec<u64>, NotificationError> {
        let (_, today) = self.now();
        let held = self.held();
        let mut of_case = held
            .entries
            .values()
            .filter(|entry| entry.case == case)
            .peekable();
        if of_case.peek().is_none() {
            return Err(NotificationError::UnknownCase);
        }
        Ok(of_case
            .filter(|entry| entry.wants_letter(today))
            .map(|entry| entry.id)
            .collect())
    }

    /// Closes a case: each person in it is to be told so, once; not who has died.
    pub(super) fn close(&self, case: &str, user: &str) -> Result<Vec<Entry>, NotificationError> {
        let (now, today) = self.now();
        let at = now.to_string();
        let mut held = self.held();
        let of_case: Vec<Entry> = held
            .entries
            .values()
            .filter(|entry| entry.case == case && entry.kind == Kind::Entry)
            .cloned()
            .collect();
        if of_case.is_empty() {
            return Err(NotificationError::UnknownCase);
        }
        let mut new = Vec::new();
        for told in of_case {
            let known = held
                .by_person
                .contains_key(&(Kind::Exit, told.person, told.case.clone()));
            if known || has_died(&told) {
                continue;
            }
            new.push(Entry {
                id: held.next,
                kind: Kind::Exit,
                since: today,
                due: due_after(today),
                state: Stand::Due,
                history: vec![Act {
                    at: at.clone(),
                    by: user.to_owned(),
                    what: What::Closed,
                }],
                ..told
            });
            held.next += 1;
        }
        self.write(&mut held, new.clone(), today)?;
        Ok(new)
    }

    /// How many there are to be sent.
    pub(crate) fn counts(&self) -> Counts {
        let (_, today) = self.now();
        let mut counts = Counts::default();
        for entry in self.held().entries.values() {
            match entry.last_day() {
                None => {}
                Some(_) if entry.is_overdue(today) => counts.overdue += 1,
                Some(_) if entry.wants_letter(today) => counts.due += 1,
                Some(_) => counts.deferred += 1,
            }
        }
        counts
    }
}

fn key(id: u64) -> Vec<u8> {
    [[ENTRY].as_slice(), &id.to_be_bytes()].concat()
}

fn has_died(entry: &Entry) -> bool {
    let died = |act: &Act| {
        matches!(
            act.what,
            What::NotNeeded {
                reason: NotNeeded::Deceased,
                ..
            }
        )
    };
    entry.history.iter().any(died)
}

/// What a later question about the same person in the same case adds to an open notification, if anything.
fn completed(earlier: &Entry, bracket: AgeBracket, reference: Option<&str>) -> Option<Entry> {
    let knows_age = earlier.bracket == AgeBracket::Unknown && bracket != AgeBracket::Unknown;
    let knows_reference = earlier.reference.is_none() && reference.is_some();
    if earlier.last_day().is_none() || !(knows_age || knows_reference) {
        return None;
    }
    let mut entry = earlier.clone();
    if knows_age {
        entry.bracket = bracket;
    }
    if knows_reference {
        entry.reference = reference.map(ToOwned::to_owned);
    }
    Some(entry)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
