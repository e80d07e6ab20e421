//! Questions that were asked at this console, with their answers, for who asked them.
//!
//! The node's sealed table `answers` has one row for each question: key = the 16 bytes of its form's id, value = `Row` as
//! JSON. No number of a person is in it, nor anything that a number could be found back from, but for the time that nobody
//! knows what came of a question: until then its row holds what was sent ([`Parcel`]). Rows are removed after `keep_days`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hitmachine_node::asking::{Given, Parcel};
use hitmachine_node::control::ClassWord;
use hitmachine_node::failure::Failure;
use hitmachine_node::state::{StateError, Table};
use hitmachine_node::view::StatusWord;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How often rows that were kept long enough are looked for.
const SWEEP: Duration = Duration::from_mins(10);
/// How long what was sent is kept if nobody asks what came of it. The hub takes it no longer by then.
const PARCEL: SignedDuration = SignedDuration::from_hours(24);

/// A question that was asked, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Name here: that of the form it was asked with.
    pub id: Uuid,
    /// Who asked.
    pub user: String,
    /// In which role of the covenant.
    pub role: String,
    /// On whose behalf.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub responsible: Option<String>,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Its title when it was asked.
    pub title: String,
    /// Its lawful basis in words.
    pub legal_basis: String,
    /// Case reference.
    pub case: String,
    /// When.
    pub asked_at: Timestamp,
    /// About whom, in the order of the answers.
    pub persons: Vec<KeptPerson>,
    /// What came of it.
    pub outcome: Outcome,
}

/// One person asked about, without any number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPerson {
    /// Minor or adult.
    pub class: ClassWord,
    /// The asker's own reference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
}

/// What came of a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered or refused by the hub; the proof has been checked.
    Answered(Box<Given>),
    /// It was not asked.
    NotAsked(Failure),
    /// Nobody knows yet whether it is in the log. Asked again with the same form, it gets the answer that the log has.
    InDoubt(Failure),
    /// The answer was not proven and is not shown.
    NotProven(Failure),
}

impl Kept {
    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The failure.
    pub fn answer(&self) -> Result<&Given, &Failure> {
        match &self.outcome {
            Outcome::Answered(given) => Ok(given),
            Outcome::NotAsked(failure) | Outcome::InDoubt(failure) | Outcome::NotProven(failure) => {
                Err(failure)
            }
        }
    }

    /// It in one line.
    pub fn result(&self) -> ResultWord {
        match &self.outcome {
            Outcome::Answered(given) if given.view.refusal().is_some() => ResultWord::Refused,
            Outcome::Answered(given) => {
                let mut statuses = given.view.persons.iter().flat_map(|person| &person.partners);
                let any = |word| statuses.clone().any(|partner| partner.status == word);
                if any(StatusWord::Known) {
                    ResultWord::Known
                } else if statuses.any(|partner| partner.status == StatusWord::CouldNotAsk) {
                    ResultWord::CouldNotAsk
                } else {
                    ResultWord::NotKnown
                }
            }
            Outcome::NotAsked(_) => ResultWord::NotAsked,
            Outcome::InDoubt(_) => ResultWord::InDoubt,
            Outcome::NotProven(_) => ResultWord::NotProven,
        }
    }
}

/// What came of a question, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultWord {
    /// Somebody in it is known somewhere.
    Known,
    /// Nobody in it is known anywhere, as far as all partners could be asked.
    NotKnown,
    /// Nobody is known, and not all partners could be asked.
    CouldNotAsk,
    /// The hub refused it.
    Refused,
    /// It was not asked.
    NotAsked,
    /// Nobody knows yet.
    InDoubt,
    /// The answer was not proven.
    NotProven,
}

/// A question in the list of one's own.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name here.
    pub id: Uuid,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Its title then.
    pub title: String,
    /// Case reference.
    pub case: String,
    /// When.
    pub asked_at: Timestamp,
    /// Persons asked about.
    pub persons: usize,
    /// The asker's own references of them, as far as there are any.
    pub references: Vec<String>,
    /// What came of it.
    pub result: ResultWord,
}

impl From<&Kept> for Summary {
    fn from(kept: &Kept) -> Self {
        Self {
            id: kept.id,
            purpose: kept.purpose.clone(),
            title: kept.title.clone(),
            case: kept.case.clone(),
            asked_at: kept.asked_at,
            persons: kept.persons.len(),
            references: kept
                .persons
                .iter()
                .filter_map(|person| person.reference.clone())
                .collect(),
            result: kept.result(),
        }
    }
}

/// What the table holds of a question.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) kept: Kept,
    /// A C2SP tlog-proof for each person.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) proofs: Vec<String>,
    /// What was sent, as long as nobody knows what came of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) parcel: Option<Parcel>,
}

/// All rows, and a summary of each in memory.
pub(crate) struct Book {
    table: Arc<Table>,
    keep: SignedDuration,
    summaries: Arc<Mutex<Summaries>>,
}

/// By who asked.
type Summaries = HashMap<String, Vec<Summary>>;

fn lock(summaries: &Mutex<Summaries>) -> MutexGuard<'_, Summaries> {
    summaries.lock().unwrap_or_else(PoisonError::into_inner)
}

fn decode(value: &[u8]) -> Result<Row, StateError> {
    serde_json::from_slice(value).map_err(|_| StateError::DoesNotOpen)
}

impl Book {
    /// All that the table has.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn open(table: Table, keep_days: u32) -> Result<Self, StateError> {
        let mut summaries = Summaries::new();
        for (_, value) in table.scan(b"")? {
            let row = decode(&value)?;
            summaries
                .entry(row.kept.user.clone())
                .or_default()
                .push((&row.kept).into());
        }
        Ok(Self {
            table: Arc::new(table),
            keep: SignedDuration::from_hours(24 * i64::from(keep_days)),
            summaries: Arc::new(Mutex::new(summaries)),
        })
    }

    /// The row of this name, whoever's it is.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn row(&self, id: Uuid) -> Result<Option<Row>, StateError> {
        self.table
            .get(id.as_bytes())?
            .map(|value| decode(&value))
            .transpose()
    }

    /// Keeps a row; durable when it returns.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) async fn put(&self, row: Row) -> Result<(), StateError> {
        let (table, summaries) = (Arc::clone(&self.table), Arc::clone(&self.summaries));
        let writing = tokio::task::spawn_blocking(move || {
            let value = serde_json::to_vec(&row).map_err(|_| StateError::DoesNotOpen)?;
            table.change(&[(row.kept.id.as_bytes(), Some(value))])?;
            let mut summaries = lock(&summaries);
            let of = summaries.entry(row.kept.user.clone()).or_default();
            of.retain(|each| each.id != row.kept.id);
            of.push((&row.kept).into());
            Ok(())
        });
        // A task that stopped did not say that it is durable.
        writing.await.unwrap_or(Err(StateError::DoesNotOpen))
    }

    /// What somebody asked, newest first.
    pub(crate) fn of(&self, user: &str) -> Vec<Summary> {
        let mut summaries = lock(&self.summaries).get(user).cloned().unwrap_or_default();
        summaries.sort_by_key(|each| (std::cmp::Reverse(each.asked_at), each.id));
        summaries
    }

    /// Removes what was kept long enough, and what was sent and never asked after; how many rows were removed.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn sweep(&self, now: Timestamp) -> Result<usize, StateError> {
        let old = |keep| move |each: &Summary| now.duration_since(each.asked_at) >= keep;
        let (mut gone, mut stale) = (Vec::new(), Vec::new());
        {
            let mut summaries = lock(&self.summaries);
            for of in summaries.values_mut() {
                gone.extend(of.iter().filter(|each| old(self.keep)(each)).map(|each| each.id));
                of.retain(|each| !old(self.keep)(each));
                let doubt = of.iter().filter(|each| each.result == ResultWord::InDoubt);
                stale.extend(doubt.filter(|each| old(PARCEL)(each)).map(|each| each.id));
            }
            summaries.retain(|_, of| !of.is_empty());
        }
        let mut changes: Vec<_> = gone.iter().map(|id| (*id, None)).collect();
        for id in stale {
            if let Some(mut row) = self.row(id)?
                && row.parcel.take().is_some()
            {
                let value = serde_json::to_vec(&row).map_err(|_| StateError::DoesNotOpen)?;
                changes.push((id, Some(value)));
            }
        }
        if !changes.is_empty() {
            let changes: Vec<_> = changes
                .into_iter()
                .map(|(id, value)| (id.into_bytes(), value))
                .collect();
            self.table.change(&changes)?;
        }
        Ok(gone.len())
    }
}

/// Sweeps for ever, also when nobody looks.
pub(crate) async fn keep_swept(app: crate::app::App) {
    loop {
        let sweeping = app.clone();
        let swept = tokio::task::spawn_blocking(move || {
            let now = sweeping.node().clock().now();
            sweeping.asked().book.sweep(now)
        });
        match swept.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "kept answers could not be swept"),
            Err(_) => tracing::error!("an internal task stopped"),
        }
        tokio::time::sleep(SWEEP).await;
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
