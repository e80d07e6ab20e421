//! Things that the console keeps in memory for one session, for a while: an officer's reference, a search, a report.
//!
//! Nothing of it is on disk. A value is found by its name and the session that it was put there in, so the name in an
//! address is worth nothing to anybody else. What was not touched for [`LONGEST`] is forgotten, and of one session the
//! oldest goes when there are more than [`MOST`].

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hitmachine_node::accounts::SessionToken;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// How long a value that nobody looks at is kept.
const LONGEST: Duration = Duration::from_mins(30);
/// Values of one session.
const MOST: usize = 40;

type Session = [u8; 32];
type Value = Arc<dyn Any + Send + Sync>;

/// Values of all sessions.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<HashMap<(Session, String), Kept>>);

struct Kept {
    value: Value,
    used: Instant,
}

impl Shelf {
    /// Keeps a value under a name, in place of what was there.
    pub(crate) fn put<T: Any + Send + Sync>(&self, token: &SessionToken, name: &str, value: T) -> Arc<T> {
        let (session, value) = (session(token), Arc::new(value));
        let mut all = self.lock();
        let kept = Kept {
            value: Arc::clone(&value) as Value,
            used: Instant::now(),
        };
        all.insert((session, name.to_owned()), kept);
        let mut own: Vec<(Instant, String)> = all
            .iter()
            .filter(|((of, _), _)| *of == session)
            .map(|((_, name), kept)| (kept.used, name.clone()))
            .collect();
        own.sort_unstable();
        let surplus = own.len().saturating_sub(MOST);
        for (_, name) in own.into_iter().take(surplus) {
            all.remove(&(session, name));
        }
        value
    }

    /// Keeps a value under a new name that nobody can guess: 16 letters and digits, fit for an address.
    ///
    /// # Errors
    /// [`Problem::node`] if the machine has no random numbers.
    pub(crate) fn add<T: Any + Send + Sync>(
        &self,
        token: &SessionToken,
        value: T,
    ) -> Result<String, Problem> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| Problem::node(&error))?;
        let name = hex::encode(bytes);
        self.put(token, &name, value);
        Ok(name)
    }

    /// The value of a name in this session, if it is of this kind.
    pub(crate) fn get<T: Any + Send + Sync>(&self, token: &SessionToken, name: &str) -> Option<Arc<T>> {
        let mut all = self.lock();
        let kept = all.get_mut(&(session(token), name.to_owned()))?;
        let value = Arc::clone(&kept.value).downcast().ok()?;
        kept.used = Instant::now();
        Some(value)
    }

    /// As [`get`](Self::get), for a name that came in an address.
    ///
    /// # Errors
    /// [`Problem::not_found`], the same for a name of another session and one that never was.
    pub(crate) fn find<T: Any + Send + Sync>(
        &self,
        token: &SessionToken,
        name: &str,
    ) -> Result<Arc<T>, Problem> {
        self.get(token, name).ok_or_else(Problem::not_found)
    }

    /// Forgets a value.
    pub(crate) fn remove(&self, token: &SessionToken, name: &str) {
        self.lock().remove(&(session(token), name.to_owned()));
    }

    /// What is there, without what was kept long enough.
    fn lock(&self) -> MutexGuard<'_, HashMap<(Session, String), Kept>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| kept.used.elapsed() < LONGEST);
        all
    }
}

/// Sessions are known here by a hash: the cookie's secret is not kept a second time.
fn session(token: &SessionToken) -> Session {
    let digest = Sha256::new()
        .chain_update("shelf\0")
        .chain_update(token.expose_text());
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(digit: &str) -> SessionToken {
        SessionToken::parse(&digit.repeat(64)).unwrap()
    }

    #[test]
    fn a_value_belongs_to_its_session_and_kind() {
        let (shelf, one, two) = (Shelf::default(), token("1"), token("2"));
        let name = shelf.add(&one, "text".to_owned()).unwrap();
        assert_eq!(shelf.find::<String>(&one, &name).unwrap().as_str(), "text");
        assert_eq!(shelf.find::<String>(&two, &name).unwrap_err().code, "not_found");
        assert!(shelf.get::<u64>(&one, &name).is_none(), "of another kind");
        shelf.put(&two, &name, 7_u64);
        assert_eq!(*shelf.get::<u64>(&two, &name).unwrap(), 7);
        shelf.remove(&one, &name);
        assert!(shelf.get::<String>(&one, &name).is_none());
        assert!(shelf.get::<u64>(&two, &name).is_some());
    }

    #[test]
    fn a_session_keeps_so_much_and_no_more() {
        let (shelf, one, two) = (Shelf::default(), token("1"), token("2"));
        shelf.put(&two, "other", 0_usize);
        shelf.put(&one, "first", 0_usize);
        for place in 0..MOST {
            shelf.put(&one, &place.to_string(), place);
        }
        assert!(shelf.get::<usize>(&one, "first").is_none(), "the oldest is gone");
        assert_eq!(*shelf.get::<usize>(&one, "0").unwrap(), 0);
        assert!(
            shelf.get::<usize>(&two, "other").is_some(),
            "others have their own"
        );
    }
}
