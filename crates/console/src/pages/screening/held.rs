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
pub(super) const HELD: Duration = Duration::from_mins(15);
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

/// A list that is held. Whoever changes it locks its stage, so two at once are one after the other.
pub(super) struct Entry {
    user: String,
    session: String,
    size: usize,
    until: Mutex<Instant>,
    pub(super) stage: tokio::sync::Mutex<Stage>,
}

/// All lists that are held.
#[derive(Default)]
pub(super) struct Held {
    lists: Mutex<BTreeMap<String, Arc<Entry>>>,
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
    /// Holds a list for this visitor; its name.
    pub(super) fn hold(self: &Arc<Self>, visitor: &Visitor, prepared: Prepared) -> Result<String, Problem> {
        let size = prepared.file.bytes.len();
        let entry = Arc::new(Entry {
            user: visitor.caller.user.clone(),
            session: visitor.csrf.clone(),
            size,
            until: Mutex::new(Instant::now() + HELD),
            stage: tokio::sync::Mutex::new(Stage::Prepared(Box::new(prepared))),
        });
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|_| busy())?;
        let name = hex::encode(name);
        let mut lists = lock(&self.lists);
        lists.retain(|_, entry| !entry.is_over());
        let mut own: Vec<_> = lists
            .iter()
            .filter(|(_, other)| other.user == entry.user)
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
        self.forget_in_time(name.clone(), entry);
        Ok(name)
    }

    /// Also when nobody looks any more.
    fn forget_in_time(self: &Arc<Self>, name: String, entry: Arc<Entry>) {
        let held = Arc::clone(self);
        tokio::spawn(async move {
            while !entry.is_over() {
                let until = *lock(&entry.until);
                tokio::time::sleep_until(until).await;
            }
            held.forget(&name);
        });
    }

    /// A list of this visitor and session; it is held on from now.
    pub(super) fn get(&self, visitor: &Visitor, name: &str) -> Option<Arc<Entry>> {
        let entry = lock(&self.lists).get(name).cloned()?;
        let own = entry.user == visitor.caller.user && entry.session == visitor.csrf;
        if !own || entry.is_over() {
            return None;
        }
        *lock(&entry.until) = Instant::now() + HELD;
        Some(entry)
    }

    /// Forgets a list of this visitor and session.
    pub(super) fn forget_own(&self, visitor: &Visitor, name: &str) {
        if self.get(visitor, name).is_some() {
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
