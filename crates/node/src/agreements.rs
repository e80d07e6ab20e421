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

use crate::state::{State, StateError, Table};

const TABLE: &str = "covenant";
const HELD: &[u8] = b"held";
const PREVIOUS: &[u8] = b"previous";

/// Why a covenant from the hub is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    #[error(transparent)]
    State(#[from] StateError),
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
        self.table
            .change(&[(HELD, Some(document.encode())), (PREVIOUS, previous)])?;
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
        assert_eq!(held.unwrap().file, second.into_bytes());
        assert_eq!(previous.unwrap().file, first.into_bytes());
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
