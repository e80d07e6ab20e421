//! The covenants that this node accepted: the one in force and the one before it.
//!
//! Kept in the local state, so that the hub can neither put an unsigned covenant in force here, nor bring an older one
//! back, nor say that nothing has changed.

use std::sync::{Arc, Mutex, PoisonError};

use hitmachine_core::covenant::{
    Administrators, Change, Document, NotAccepted, Trust, acceptance, difference,
};
use hitmachine_core::{Covenant, CovenantVersion};
use hitmachine_proto::v1;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{State, StateError, Table};

const TABLE: &str = "covenant";
const HELD: &[u8] = b"held";
const PREVIOUS: &[u8] = b"previous";
/// Before the place of each covenant in the order in which this node heard of them.
const HISTORY: &str = "history/";
/// So many covenants are remembered.
const MOST_HISTORY: usize = 50;

/// Why a covenant from the hub is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    #[error(transparent)]
    State(#[from] StateError),
}

/// A covenant that was accepted, or missed while this node was off.
#[derive(Clone, Debug)]
pub struct PastCovenant {
    /// When this node heard of it.
    pub heard: Timestamp,
    /// It.
    pub covenant: Arc<Covenant>,
    /// The file, as it was sent.
    pub file: Vec<u8>,
}

/// A key with what is written under it, or nothing to forget it.
type Written = (Vec<u8>, Option<Vec<u8>>);

/// How one of them is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    heard: Timestamp,
    document: Vec<u8>,
}

struct Held {
    covenant: Arc<Covenant>,
    document: Document,
}

/// What this node accepted.
pub struct Agreements {
    trusted: Option<Administrators>,
    table: Table,
    held: Mutex<Option<Held>>,
}

impl Agreements {
    /// Reads what was accepted. `trusted` are the administrators who signed the first.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn load(state: &Arc<State>, trusted: Option<Administrators>) -> Result<Self, StateError> {
        let table = state.table(TABLE)?;
        let held = table.get(HELD)?.map(|bytes| {
            let document = Document::decode(&bytes)?;
            let covenant = Arc::new(document.covenant().ok()?);
            Some(Held { covenant, document })
        });
        // What was written here was a covenant.
        let held = held.map(|held| held.ok_or(StateError::DoesNotOpen)).transpose()?;
        Ok(Self {
            trusted,
            table,
            held: Mutex::new(held),
        })
    }

    /// The covenant accepted last.
    pub fn held(&self) -> Option<Arc<Covenant>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|held| Arc::clone(&held.covenant))
    }

    /// Its number, 0 if none was accepted.
    pub(crate) fn held_number(&self) -> u32 {
        self.held().map_or(0, |held| held.number())
    }

    /// Its version.
    pub(crate) fn held_version(&self) -> Option<CovenantVersion> {
        self.held().map(|held| held.version())
    }

    /// The covenant accepted last, and the one before it, as they were sent.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn documents(&self) -> Result<(Option<Document>, Option<Document>), StateError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().map(|held| held.document.clone());
        let previous = self.table.get(PREVIOUS)?;
        Ok((held, previous.and_then(|bytes| Document::decode(&bytes))))
    }

    /// The covenants that this node heard of, newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn history(&self) -> Result<Vec<PastCovenant>, StateError> {
        let mut history = Vec::new();
        for (_, value) in self.table.scan(HISTORY.as_bytes())? {
            let kept: Kept = serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen)?;
            let document = Document::decode(&kept.document).ok_or(StateError::DoesNotOpen)?;
            // One of a version of this program that read other files cannot be shown.
            if let Ok(covenant) = document.covenant() {
                history.push(PastCovenant {
                    heard: kept.heard,
                    covenant: Arc::new(covenant),
                    file: document.file,
                });
            }
        }
        history.reverse();
        Ok(history)
    }

    /// What to write so that these are remembered, and the oldest forgotten. A state of before there was a history has
    /// at least the one that is `held`.
    fn remembered<'a>(
        &self,
        documents: impl Iterator<Item = &'a Document>,
        held: Option<&'a Held>,
    ) -> Result<Vec<Written>, StateError> {
        let heard = Timestamp::now();
        let mut keys = self.table.keys(HISTORY.as_bytes())?;
        keys.retain(|key| key.starts_with(HISTORY.as_bytes()));
        let last = keys
            .last()
            .and_then(|key| std::str::from_utf8(key).ok()?.strip_prefix(HISTORY)?.parse().ok());
        let first: u64 = last.map_or(0, |last: u64| last.saturating_add(1));
        let before = held.map(|held| &held.document).filter(|_| keys.is_empty());
        let mut changes = Vec::new();
        for (number, document) in (first..).zip(before.into_iter().chain(documents)) {
            let kept = Kept {
                heard,
                document: document.encode(),
            };
            let value = serde_json::to_vec(&kept).map_err(|_| StateError::DoesNotOpen)?;
            changes.push((format!("{HISTORY}{number:010}").into_bytes(), Some(value)));
        }
        let surplus = (keys.len() + changes.len()).saturating_sub(MOST_HISTORY);
        changes.extend(keys.into_iter().take(surplus).map(|key| (key, None)));
        Ok(changes)
    }

    /// Accepts what the hub sent, or refuses it: then nothing may be asked. What is accepted is remembered durably
    /// before it is used. Blocks for the disk when it is another than before; what is different is then returned.
    pub(crate) fn take(
        &self,
        covenant: Covenant,
        fetched: &v1::FetchResponse,
    ) -> Result<(Arc<Covenant>, Option<Vec<Change>>), TakeError> {
        let document = Document {
            file: fetched.covenant.clone(),
            signatures: fetched.covenant_signatures.clone(),
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held
            .as_ref()
            .filter(|held| held.covenant.version() == covenant.version())
        {
            return Ok((Arc::clone(&held.covenant), None));
        }
        let missed = fetched.missed.iter().map(|each| Document {
            file: each.covenant.clone(),
            signatures: each.signatures.clone(),
        });
        let missed: Vec<Document> = missed.collect();
        let trust = match held.as_ref() {
            Some(held) => Trust::Held(&held.covenant),
            None => Trust::Configured(self.trusted.as_ref()),
        };
        acceptance::accept_after(trust, &missed, &covenant, &document)?;
        let changes = held.as_ref().map(|held| difference(&held.covenant, &covenant));
        let previous = held.as_ref().map(|held| held.document.encode());
        let mut written = vec![
            (HELD.to_vec(), Some(document.encode())),
            (PREVIOUS.to_vec(), previous),
        ];
        written.extend(self.remembered(missed.iter().chain([&document]), held.as_ref())?);
        self.table.change(&written)?;
        let covenant = Arc::new(covenant);
        *held = Some(Held {
            covenant: Arc::clone(&covenant),
            document,
        });
        Ok((covenant, changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateKey;

    const SAMPLE: &str = include_str!("../../../deploy/covenant.toml");

    fn offered(text: &str) -> (Covenant, v1::FetchResponse) {
        let covenant = Covenant::parse(text.as_bytes()).unwrap();
        let fetched = v1::FetchResponse {
            covenant: text.as_bytes().to_vec(),
            ..v1::FetchResponse::default()
        };
        (covenant, fetched)
    }

    #[test]
    fn what_was_accepted_survives_and_is_compared_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Arc::new(State::open(dir.path(), &StateKey::from_bytes([1; 32])).unwrap());
        let first = SAMPLE.replace("kind = \"test\"", "kind = \"demo\"");
        let second = first.replace("max_subjects = 16", "max_subjects = 12");
        {
            let agreements = Agreements::load(&open(), None).unwrap();
            assert_eq!(agreements.held_number(), 0);
            let (covenant, fetched) = offered(&first);
            let (_, changes) = agreements.take(covenant, &fetched).unwrap();
            assert!(changes.is_none(), "there was none to compare with");
            let (covenant, fetched) = offered(&first);
            assert!(
                agreements.take(covenant, &fetched).unwrap().1.is_none(),
                "the same"
            );
        }
        let agreements = Agreements::load(&open(), None).unwrap();
        let (covenant, fetched) = offered(&second);
        let version = covenant.version();
        let (_, changes) = agreements.take(covenant, &fetched).unwrap();
        assert_eq!(changes.unwrap().len(), 1);
        assert_eq!(agreements.held_version(), Some(version));
        let (held, previous) = agreements.documents().unwrap();
        assert_eq!(held.unwrap().file, second.clone().into_bytes());
        assert_eq!(previous.unwrap().file, first.clone().into_bytes());
        // All of them, newest first; a third one after a restart comes before both.
        let third = first.replace("max_subjects = 16", "max_subjects = 8");
        drop(agreements);
        let agreements = Agreements::load(&open(), None).unwrap();
        let (covenant, fetched) = offered(&third);
        agreements.take(covenant, &fetched).unwrap();
        let history = agreements.history().unwrap();
        let files: Vec<_> = history.iter().map(|past| past.file.as_slice()).collect();
        let wanted = [third, second, first].map(String::into_bytes);
        assert_eq!(files, wanted);
    }

    #[test]
    fn only_so_many_covenants_are_remembered_and_one_of_before_there_was_a_history_is() {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([1; 32])).unwrap());
        let text = |most: usize| {
            SAMPLE
                .replace("kind = \"test\"", "kind = \"demo\"")
                .replace("max_screening = ", &format!("# {most}\nmax_screening = "))
        };
        let (_, fetched) = offered(&text(0));
        let document = Document {
            file: fetched.covenant,
            signatures: Vec::new(),
        };
        let table = state.table(TABLE).unwrap();
        table.change(&[(HELD, Some(document.encode()))]).unwrap();
        let agreements = Agreements::load(&state, None).unwrap();
        for count in 1..=MOST_HISTORY {
            let (covenant, fetched) = offered(&text(count));
            agreements.take(covenant, &fetched).unwrap();
            let first = agreements.history().unwrap().pop().unwrap();
            let oldest = usize::from(count == MOST_HISTORY);
            assert_eq!(first.file, text(oldest).into_bytes(), "{count}");
        }
        assert_eq!(agreements.history().unwrap().len(), MOST_HISTORY);
    }

    #[test]
    fn outside_a_demo_an_unsigned_one_is_refused_and_the_held_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(dir.path(), &StateKey::from_bytes([1; 32])).unwrap());
        let agreements = Agreements::load(&state, None).unwrap();
        let (covenant, fetched) = offered(SAMPLE);
        let own = covenant.administrators().cloned();
        let refused = agreements.take(covenant, &fetched);
        assert!(matches!(
            refused,
            Err(TakeError::NotAccepted(NotAccepted::NobodyTrusted))
        ));
        let agreements = Agreements::load(&state, own).unwrap();
        let (covenant, fetched) = offered(SAMPLE);
        let refused = agreements.take(covenant, &fetched);
        assert!(matches!(
            refused,
            Err(TakeError::NotAccepted(NotAccepted::Unsigned))
        ));
        assert!(agreements.held().is_none());
    }
}
