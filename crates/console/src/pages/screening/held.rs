//! Lists that were uploaded and not yet asked about. They lie in memory only, for the person and the session they came
//! from, and are forgotten after some minutes; the node keeps a list, sealed, when it begins to ask about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hitmachine_node::screening::OnQuota;
use hitmachine_node::source::upload::Written;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::columns::Chosen;
use crate::jobs::screening::Screening;
use crate::problem::Problem;
use crate::visitor::Visitor;

/// How long a list is held after somebody last worked on it.
const HELD: Duration = Duration::from_mins(15);
/// Lists of one person at the same time; the oldest makes place.
const MOST_OF_ONE: usize = 3;
/// Bytes of all lists together.
const MOST_BYTES: usize = 96 * 1024 * 1024;

/// An uploaded file.
pub(super) struct File {
    pub(super) bytes: Arc<Zeroizing<Vec<u8>>>,
    pub(super) written: Written,
    pub(super) chosen: Chosen,
}

/// What is prepared: the form's fields, and the file.
pub(super) struct Prepared {
    pub(super) screening: Screening,
    pub(super) on_quota: OnQuota,
    pub(super) file: File,
}

/// Where it stands.
pub(super) enum Stage {
    /// Nobody was asked yet.
    Prepared(Box<Prepared>),
    /// It was begun as the screening of this name; the file is gone.
    Started(String),
}

/// Whose a list is: a person's, in one session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Owner {
    user: String,
    session: String,
}

impl Owner {
    /// Of what this visitor sends.
    pub(super) fn of(visitor: &Visitor) -> Self {
        Self {
            user: visitor.caller.user.clone(),
            session: visitor.csrf.clone(),
        }
    }
}

/// A list that is held. Whoever changes it locks its stage, so two at once are one after the other.
pub(super) struct Entry {
    owner: Owner,
    size: usize,
    until: Mutex<Instant>,
    pub(super) stage: tokio::sync::Mutex<Stage>,
}

/// All lists that are held.
pub(super) struct Held {
    lists: Mutex<BTreeMap<String, Arc<Entry>>>,
    /// How long.
    time: Duration,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            lists: Mutex::default(),
            time: HELD,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn is_over(&self) -> bool {
        *lock(&self.until) <= Instant::now()
    }
}

impl Held {
    /// Holds a list; its name.
    pub(super) fn hold(self: &Arc<Self>, owner: Owner, prepared: Prepared) -> Result<String, Problem> {
        let size = prepared.file.bytes.len();
        let entry = Arc::new(Entry {
            owner,
            size,
            until: Mutex::new(Instant::now() + self.time),
            stage: tokio::sync::Mutex::new(Stage::Prepared(Box::new(prepared))),
        });
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|_| busy())?;
        let name = hex::encode(name);
        let mut lists = lock(&self.lists);
        lists.retain(|_, entry| !entry.is_over());
        let mut own: Vec<_> = lists
            .iter()
            .filter(|(_, other)| other.owner.user == entry.owner.user)
            .map(|(name, other)| (*lock(&other.until), name.clone()))
            .collect();
        own.sort();
        for (_, name) in own.iter().rev().skip(MOST_OF_ONE - 1) {
            lists.remove(name);
        }
        if lists.values().map(|entry| entry.size).sum::<usize>() + size > MOST_BYTES {
            return Err(busy());
        }
        lists.insert(name.clone(), Arc::clone(&entry));
        drop(lists);
        self.forget_in_time(name.clone(), &entry);
        Ok(name)
    }

    /// Also when nobody looks any more.
    fn forget_in_time(self: &Arc<Self>, name: String, entry: &Arc<Entry>) {
        // Weak: what was forgotten earlier is gone then.
        let (held, entry) = (Arc::clone(self), Arc::downgrade(entry));
        tokio::spawn(async move {
            let until = || {
                entry
                    .upgrade()
                    .filter(|entry| !entry.is_over())
                    .map(|entry| *lock(&entry.until))
            };
            while let Some(until) = until() {
                tokio::time::sleep_until(until).await;
            }
            held.forget(&name);
        });
    }

    /// A list of this owner; it is held on from now.
    pub(super) fn get(&self, owner: &Owner, name: &str) -> Option<Arc<Entry>> {
        let entry = lock(&self.lists).get(name).cloned()?;
        if entry.owner != *owner || entry.is_over() {
            return None;
        }
        *lock(&entry.until) = Instant::now() + self.time;
        Some(entry)
    }

    /// Forgets a list of this owner.
    pub(super) fn forget_own(&self, owner: &Owner, name: &str) {
        if self.get(owner, name).is_some() {
            self.forget(name);
        }
    }

    /// Forgets a list.
    fn forget(&self, name: &str) {
        lock(&self.lists).remove(name);
    }
}

fn busy() -> Problem {
    Problem::new(
        axum::http::StatusCode::SERVICE_UNAVAILABLE,
        "too_many_lists",
        "Er worden nu te veel lijsten tegelijk voorbereid. Probeer het over een kwartier opnieuw.",
        "Too many lists are being prepared at the same time. Try again in a quarter of an hour.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user: &str, session: &str) -> Owner {
        Owner {
            user: user.into(),
            session: session.into(),
        }
    }

    fn prepared(size: usize) -> Prepared {
        let written = hitmachine_node::source::upload::look(b"bsn;gezin\n", None, None).unwrap();
        Prepared {
            screening: Screening::default(),
            on_quota: OnQuota::Wait,
            file: File {
                bytes: Arc::new(Zeroizing::new(vec![0; size])),
                chosen: Chosen::of(&written),
                written,
            },
        }
    }

    #[tokio::test]
    async fn a_list_is_its_sessions_alone_and_forgotten_in_time() {
        let held = Arc::new(Held {
            time: Duration::from_millis(200),
            ..Held::default()
        });
        let own = owner("pietersen", "a");
        let name = held.hold(own.clone(), prepared(10)).unwrap();
        for other in [owner("smit", "a"), owner("pietersen", "b")] {
            assert!(held.get(&other, &name).is_none());
            held.forget_own(&other, &name);
        }
        let entry = held.lists.lock().unwrap().get(&name).map(Arc::downgrade).unwrap();
        // Nobody looks, and it goes.
        while entry.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(held.get(&own, &name).is_none());
    }

    #[tokio::test]
    async fn what_is_forgotten_is_gone_at_once_and_few_are_held() {
        let held = Arc::new(Held::default());
        let own = owner("pietersen", "a");
        let mut names = Vec::new();
        for _ in 0..=MOST_OF_ONE {
            names.push(held.hold(own.clone(), prepared(10)).unwrap());
        }
        let there: Vec<_> = names.iter().map(|name| held.get(&own, name).is_some()).collect();
        assert_eq!(there, [false, true, true, true], "the oldest made place");
        let weak = Arc::downgrade(&held.get(&own, &names[1]).unwrap());
        held.forget_own(&own, &names[1]);
        assert!(weak.upgrade().is_none());
        for at in 0_u8..9 {
            held.hold(owner(&at.to_string(), "x"), prepared(10 * 1024 * 1024))
                .unwrap();
        }
        let full = held.hold(owner("last", "x"), prepared(10 * 1024 * 1024));
        assert_eq!(full.unwrap_err().status.as_u16(), 503);
    }
}
