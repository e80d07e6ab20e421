//! Screenings in the node's sealed state.
//!
//! | key | value |
//! |---|---|
//! | `key` | the key of fingerprints, 32 random bytes |
//! | `rate` | milliseconds per person asked about, as measured last |
//! | `s/<id>/meta` | [`Meta`]: frame, households and rows, without any number |
//! | `s/<id>/end` | [`End`]: why it stopped, if it cannot go on or is done |
//! | `s/<id>/stopped` | [`Failure`]: why it stopped last, if it can go on |
//! | `s/<id>/q/<n>` | [`Asked`]: a question without an answer, with the numbers it is about |
//! | `s/<id>/a/<n>` | [`Answered`]: an answer; the question is removed in the same step |
//!
//! Keys say nothing about a person; values are sealed like all local state.

use std::collections::BTreeMap;
use std::sync::Arc;

use hitmachine_core::SignedRequest;
use hitmachine_service::exit;
use jiff::{Timestamp, ToSpan};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{List, ScreeningView, Stand, unknown};
use crate::control::AskPerson;
use crate::failure::Failure;
use crate::screen::{Frame, ScreenResult};
use crate::state::{State, StateError, Table};
use crate::view::{IssueView, PersonView};

const TABLE: &str = "screenings";

/// What of a screening does not change.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) frame: Frame,
    pub(crate) started_ms: i64,
    /// Keyed hash of frame and list, by which the same list is known again.
    fingerprint: String,
    pub(crate) households: Vec<MetaHousehold>,
    pub(crate) issues: Vec<IssueView>,
    pub(crate) issue_count: u64,
}

/// A household without its numbers.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MetaHousehold {
    pub(crate) name: String,
    pub(crate) bad_rows: Vec<u64>,
    /// Row and label of each person.
    pub(crate) persons: Vec<(u64, Option<String>)>,
}

/// A question that has no answer yet.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Which household, and the first of its persons.
    pub(super) household: usize,
    pub(super) from: usize,
    pub(super) persons: Vec<AskPerson>,
    /// The bytes that may have been sent.
    pub(super) request: Option<Request>,
    /// The last refusal, one view for each person.
    pub(super) refused: Option<Answered>,
}

/// A signed request, hexadecimal, and when it was made.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    signed: String,
    pub(super) made_ms: i64,
}

impl Request {
    pub(crate) fn new(signed: &SignedRequest, made: Timestamp) -> Self {
        Self {
            signed: hex::encode(signed.encode()),
            made_ms: made.as_millisecond(),
        }
    }

    /// `None` if it is not one.
    pub(crate) fn signed(&self) -> Option<(SignedRequest, Timestamp)> {
        let bytes = hex::decode(&self.signed).ok()?;
        Some((
            SignedRequest::decode(&bytes)?,
            Timestamp::from_millisecond(self.made_ms).ok()?,
        ))
    }
}

/// A proven answer.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) household: usize,
    pub(crate) from: usize,
    /// Number of the covenant that it was asked under.
    pub(crate) covenant: u32,
    /// The question's name.
    pub(crate) request: String,
    pub(crate) persons: Vec<PersonView>,
}

/// Why a screening will not go on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct End {
    /// `None` if every person has an answer.
    pub(crate) because: Option<Failure>,
}

/// All of a screening.
pub(crate) struct Whole {
    pub(crate) meta: Meta,
    pub(crate) end: Option<End>,
    /// Why it stopped last; absent while it runs, and if the node stopped with it.
    pub(crate) stopped: Option<Failure>,
    pub(crate) asked: BTreeMap<u32, Asked>,
    pub(crate) answered: Vec<Answered>,
}

impl Meta {
    /// Persons on the list.
    pub(super) fn persons(&self) -> usize {
        self.households
            .iter()
            .map(|household| household.persons.len())
            .sum()
    }
}

impl Whole {
    pub(super) fn persons(&self) -> usize {
        self.meta.persons()
    }

    pub(super) fn persons_answered(&self) -> usize {
        self.answered.iter().map(|answer| answer.persons.len()).sum()
    }

    pub(crate) fn stand(&self) -> Stand {
        match &self.end {
            Some(End { because: Some(_) }) => Stand::Ended,
            _ if self.asked.is_empty() => Stand::Done,
            _ => Stand::Stopped,
        }
    }

    /// Results by household and person; `None` where there is no answer and no refusal.
    pub(crate) fn results(&self) -> Vec<Vec<Option<(ScreenResult, u32)>>> {
        let mut results: Vec<Vec<_>> = self
            .meta
            .households
            .iter()
            .map(|household| household.persons.iter().map(|_| None).collect())
            .collect();
        let refused = self.asked.values().filter_map(|asked| asked.refused.as_ref());
        for answer in refused.chain(&self.answered) {
            let places = results
                .get_mut(answer.household)
                .and_then(|household| household.get_mut(answer.from..));
            for (place, person) in places.into_iter().flatten().zip(&answer.persons) {
                *place = Some((ScreenResult::Answer(person.clone()), answer.covenant));
            }
        }
        results
    }
}

/// Where they are kept.
pub(super) struct Store {
    table: Arc<Table>,
    key: [u8; 32],
    keep_days: u32,
}

impl Store {
    pub(super) fn open(state: &Arc<State>, keep_days: u32) -> Result<Self, StateError> {
        let table = state.table(TABLE)?;
        let held = table.get(b"key")?;
        let key = if let Some(key) = held.as_deref().and_then(|held| held.as_slice().try_into().ok()) {
            key
        } else {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|_| StateError::Random)?;
            table.change(&[("key", Some(key.to_vec()))])?;
            key
        };
        Ok(Self {
            table: Arc::new(table),
            key,
            keep_days,
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Table) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, Failure> {
        let table = Arc::clone(&self.table);
        let done = tokio::task::spawn_blocking(move || work(&table)).await;
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(Failure::from(crate::ask::AskError::from(error))),
            Err(_) => Err(Failure::node("a task of the screening stopped")),
        }
    }

    /// Keyed hash by which the same list and frame are known again. Without the class: that changes at a birthday.
    fn fingerprint(&self, frame: &Frame, list: &List) -> String {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        let mut text = |text: &str| {
            hash.update(&(text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        for part in [&frame.purpose, &frame.case, &frame.user, &frame.role] {
            text(part);
        }
        text(frame.responsible.as_deref().unwrap_or(""));
        for household in &list.households {
            text(&household.name);
            text(&household.persons.len().to_string());
            for person in &household.persons {
                text(&person.row.to_string());
                text(person.label.as_deref().unwrap_or(""));
                text(&person.person.number);
            }
        }
        hash.finalize().to_hex().to_string()
    }

    /// Keeps a list and a question for each household, all or nothing; the screening's name.
    pub(super) async fn create(&self, frame: &Frame, list: List, now: Timestamp) -> Result<String, Failure> {
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|_| Failure::node("no random bytes"))?;
        let id = format!("s{}", hex::encode(random));
        let meta = Meta {
            frame: frame.clone(),
            started_ms: now.as_millisecond(),
            fingerprint: self.fingerprint(frame, &list),
            households: list
                .households
                .iter()
                .map(|household| MetaHousehold {
                    name: household.name.clone(),
                    bad_rows: household.bad_rows.clone(),
                    persons: household
                        .persons
                        .iter()
                        .map(|person| (person.row, person.label.clone()))
                        .collect(),
                })
                .collect(),
            issues: list.issues,
            issue_count: list.issue_count,
        };
        let mut changes = vec![(key(&id, "meta"), Some(encode(&meta)?))];
        let mut number = 0;
        for (household, of) in list.households.into_iter().enumerate() {
            if of.persons.is_empty() {
                continue;
            }
            let asked = Asked {
                household,
                from: 0,
                persons: of.persons.into_iter().map(|person| person.person).collect(),
                request: None,
                refused: None,
            };
            changes.push((numbered(&id, 'q', number), Some(encode(&asked)?)));
            number += 1;
        }
        self.with(move |table| table.change(&changes)).await?;
        Ok(id)
    }

    /// Keeps a question as it is now.
    pub(super) async fn ask(&self, id: &str, number: u32, asked: &Asked) -> Result<(), Failure> {
        let change = [(numbered(id, 'q', number), Some(encode(asked)?))];
        self.with(move |table| table.change(&change)).await
    }

    /// Keeps a question as two, since it is too large for one.
    pub(super) async fn split(
        &self,
        id: &str,
        first: (u32, &Asked),
        second: (u32, &Asked),
    ) -> Result<(), Failure> {
        let change = |(number, asked): (u32, &Asked)| {
            Ok::<_, Failure>((numbered(id, 'q', number), Some(encode(asked)?)))
        };
        let changes = [change(first)?, change(second)?];
        self.with(move |table| table.change(&changes)).await
    }

    /// Keeps an answer, and forgets the question and its numbers.
    pub(super) async fn answer(&self, id: &str, number: u32, answered: &Answered) -> Result<(), Failure> {
        let changes = [
            (numbered(id, 'a', number), Some(encode(answered)?)),
            (numbered(id, 'q', number), None),
        ];
        self.with(move |table| table.change(&changes)).await
    }

    /// Keeps that it will not go on. If something ended it, the numbers that were not asked about are forgotten.
    pub(super) async fn end(&self, id: &str, end: &End, asked: Vec<(u32, Asked)>) -> Result<(), Failure> {
        let mut changes = vec![(key(id, "end"), Some(encode(end)?))];
        for (number, mut left) in asked {
            left.persons.clear();
            left.request = None;
            changes.push((numbered(id, 'q', number), Some(encode(&left)?)));
        }
        self.with(move |table| table.change(&changes)).await
    }

    /// Keeps why it stopped, or that it goes on.
    pub(super) async fn set_stopped(&self, id: &str, because: Option<&Failure>) -> Result<(), Failure> {
        let change = [(key(id, "stopped"), because.map(encode).transpose()?)];
        self.with(move |table| table.change(&change)).await
    }

    /// What of a screening does not change.
    pub(super) async fn meta(&self, id: &str) -> Result<Meta, Failure> {
        check(id)?;
        let of = key(id, "meta");
        let held = self.with(move |table| table.get(&of)).await?;
        decode(&held.ok_or_else(|| unknown(id))?)
    }

    /// All of a screening.
    pub(super) async fn load(&self, id: &str) -> Result<Whole, Failure> {
        check(id)?;
        let prefix = key(id, "");
        let of = id.to_owned();
        let rows = self.with(move |table| table.scan(&prefix)).await?;
        whole(&of, rows)
    }

    /// All screenings, the oldest first.
    async fn all(&self) -> Result<Vec<(String, Whole)>, Failure> {
        let rows = self.with(|table| table.scan(b"s/")).await?;
        let mut by_id: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (key, value) in rows {
            let id = key[2..].split(|byte| *byte == b'/').next().unwrap_or_default();
            let id = String::from_utf8_lossy(id).into_owned();
            by_id.entry(id).or_default().push((key, value));
        }
        let mut all = by_id
            .into_iter()
            .map(|(id, rows)| whole(&id, rows).map(|whole| (id, whole)))
            .collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|(_, whole)| whole.meta.started_ms);
        Ok(all)
    }

    fn kept_until(&self, meta: &Meta) -> Timestamp {
        let started = Timestamp::from_millisecond(meta.started_ms).unwrap_or(Timestamp::MIN);
        started
            .checked_add((i64::from(self.keep_days) * 24).hours())
            .unwrap_or(Timestamp::MAX)
    }

    /// All screenings in short.
    pub(super) async fn views(&self, running: impl Fn(&str) -> bool) -> Result<Vec<ScreeningView>, Failure> {
        let all = self.all().await?.into_iter();
        Ok(all
            .map(|(id, whole)| {
                let stand = if running(&id) {
                    Stand::Running
                } else {
                    whole.stand()
                };
                self.view(id, &whole.meta, whole.persons_answered(), stand)
            })
            .collect())
    }

    pub(super) fn view(&self, id: String, meta: &Meta, answered: usize, stand: Stand) -> ScreeningView {
        ScreeningView {
            id,
            stand,
            purpose: meta.frame.purpose.clone(),
            case: meta.frame.case.clone(),
            user: meta.frame.user.clone(),
            started_at: Timestamp::from_millisecond(meta.started_ms)
                .unwrap_or_default()
                .to_string(),
            households: meta.households.len(),
            persons: meta.persons(),
            answered,
            kept_until: self.kept_until(meta).to_string(),
        }
    }

    /// The newest screening of this very list and frame that has not come to an end.
    pub(super) async fn unfinished(
        &self,
        frame: &Frame,
        list: &List,
        running: impl Fn(&str) -> bool,
    ) -> Result<Option<ScreeningView>, Failure> {
        let fingerprint = self.fingerprint(frame, list);
        let all = self.all().await?.into_iter().rev();
        let mut same =
            all.filter(|(_, whole)| whole.meta.fingerprint == fingerprint && whole.stand() == Stand::Stopped);
        Ok(same.next().map(|(id, whole)| {
            let stand = if running(&id) {
                Stand::Running
            } else {
                Stand::Stopped
            };
            self.view(id, &whole.meta, whole.persons_answered(), stand)
        }))
    }

    /// Forgets one.
    pub(super) async fn forget(&self, id: &str) -> Result<(), Failure> {
        check(id)?;
        let prefix = key(id, "");
        let found = self
            .with(move |table| {
                let rows = table.scan(&prefix)?;
                let changes: Vec<_> = rows.into_iter().map(|(key, _)| (key, None)).collect();
                if !changes.is_empty() {
                    table.change(&changes)?;
                }
                Ok(!changes.is_empty())
            })
            .await?;
        found.then_some(()).ok_or_else(|| unknown(id))
    }

    /// Forgets those that were kept long enough, but for those that run.
    pub(super) async fn sweep(&self, now: Timestamp, running: Vec<String>) -> Result<(), Failure> {
        for (id, whole) in self.all().await? {
            if self.kept_until(&whole.meta) <= now && !running.contains(&id) {
                self.forget(&id).await?;
            }
        }
        Ok(())
    }

    /// Milliseconds per person asked about, as measured last.
    pub(super) async fn rate_ms(&self) -> Result<Option<u64>, Failure> {
        let held = self.with(|table| table.get(b"rate")).await?;
        let held = held.and_then(|held| held.as_slice().try_into().ok());
        Ok(held.map(u64::from_be_bytes))
    }

    /// Keeps the rate that was measured.
    pub(super) async fn set_rate_ms(&self, rate: u64) -> Result<(), Failure> {
        let change = [("rate", Some(rate.to_be_bytes().to_vec()))];
        self.with(move |table| table.change(&change)).await
    }
}

/// A name has one form, so that none reaches into another's keys.
fn check(id: &str) -> Result<(), Failure> {
    let digits = id.strip_prefix('s').unwrap_or_default();
    let sound = digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then_some(()).ok_or_else(|| unknown(id))
}

fn key(id: &str, name: &str) -> Vec<u8> {
    format!("s/{id}/{name}").into_bytes()
}

fn numbered(id: &str, kind: char, number: u32) -> Vec<u8> {
    let mut key = key(id, &format!("{kind}/"));
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn whole(id: &str, rows: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>) -> Result<Whole, Failure> {
    let (mut meta, mut end, mut stopped) = (None, None, None);
    let (mut asked, mut answered) = (BTreeMap::new(), Vec::new());
    let prefix = key(id, "").len();
    for (key, value) in rows {
        match key.get(prefix..).unwrap_or_default() {
            b"meta" => meta = Some(decode(&value)?),
            b"end" => end = Some(decode(&value)?),
            b"stopped" => stopped = Some(decode(&value)?),
            [b'q', b'/', number @ ..] => {
                let number = number.try_into().map(u32::from_be_bytes);
                asked.insert(number.map_err(|_| damaged())?, decode(&value)?);
            }
            [b'a', b'/', ..] => answered.push(decode(&value)?),
            _ => return Err(damaged()),
        }
    }
    Ok(Whole {
        meta: meta.ok_or_else(|| unknown(id))?,
        end,
        stopped,
        asked,
        answered,
    })
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|_| damaged())
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, Failure> {
    // The error's text could repeat what was read.
    serde_json::from_slice(value).map_err(|_| damaged())
}

fn damaged() -> Failure {
    Failure::new(
        "screening_damaged",
        exit::INTEGRITY,
        "the screening in this node's state cannot be read",
        "de screening in de opslag van dit station is niet te lezen",
    )
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
