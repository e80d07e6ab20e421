//! The own journal of a live partner: which questions its node got, and what it said.
//!
//! # Layout
//!
//! Table `live-journal`: time u64 (ms since 1970) ‖ number u32 ‖ request 16 ‖ last day u32 → the entry as JSON, sealed
//! like all local state. Entries lie in the order of time, and a key tells without opening when its entry goes.
//!
//! Of a person it holds a digest of each token: with the pseudonym key this organisation, and nobody else, finds back
//! who asked about somebody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hitmachine_core::{Covenant, Day, LiveFrame, LiveStatus, RequestId};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::gate::Checked;
use crate::state::{State, StateError, Table};

const TABLE: &str = "live-journal";
const TOKEN_CONTEXT: &[u8] = b"hitmachine/v1/live-journal\0";
/// How long a refused question that names no purpose of the covenant is kept, in months.
const MONTHS_WITHOUT_PURPOSE: u16 = 12;
/// Entries that are removed in one step.
const TOGETHER: usize = 1024;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Its name, if that much could be read.
    pub(crate) request: Option<String>,
    /// Who is said to ask; proven unless it was refused.
    pub(crate) asker: Option<String>,
    /// Why.
    pub(crate) purpose: Option<String>,
    /// How many persons this organisation was asked about.
    pub(crate) persons: usize,
    /// One for each person, as on the wire; empty if it was refused.
    pub(crate) statuses: Vec<u8>,
    /// Why it was refused, or why the set could not say anything.
    pub(crate) code: Option<String>,
    /// It had been answered before, and got the same answer.
    #[serde(default)]
    pub(crate) again: bool,
    /// For each person, digests of the tokens in hexadecimal.
    tokens: Vec<Vec<String>>,
    /// Digest of the whole question in hexadecimal.
    question: Option<String>,
    /// The last day on which it is kept.
    until: u32,
}

impl Line {
    /// Of a question that is answered. `unable` says why the set could not say anything.
    pub(crate) fn of(
        now: Timestamp,
        checked: &Checked,
        statuses: &[LiveStatus],
        unable: Option<&str>,
    ) -> Self {
        let tokens = checked.subjects.iter().map(|subject| {
            let digests = subject.tokens.iter().map(|(_, token)| {
                let digest = Sha256::new()
                    .chain_update(TOKEN_CONTEXT)
                    .chain_update(token.expose_secret());
                hex::encode(digest.finalize())
            });
            digests.collect()
        });
        Self {
            at_ms: now.as_millisecond(),
            request: Some(checked.frame.request.to_string()),
            asker: Some(checked.frame.asker.to_string()),
            purpose: Some(checked.frame.purpose.to_string()),
            persons: checked.subjects.len(),
            statuses: statuses.iter().map(|status| status.code()).collect(),
            code: unable.map(ToOwned::to_owned),
            again: checked.before.is_some(),
            tokens: tokens.collect(),
            question: Some(hex::encode(checked.digest)),
            until: last_day(now, checked.months).0,
        }
    }

    /// Of a question that is refused; what it says of itself is in it as far as the covenant has such names.
    pub(crate) fn refused(
        now: Timestamp,
        ground: Option<(&LiveFrame, &Covenant)>,
        code: &str,
        persons: usize,
    ) -> Self {
        let purpose = ground.and_then(|(frame, covenant)| covenant.purpose(&frame.purpose));
        let asker = ground.and_then(|(frame, covenant)| covenant.partner(&frame.asker));
        let months = purpose.map_or(MONTHS_WITHOUT_PURPOSE, |purpose| purpose.log_retention_months);
        Self {
            at_ms: now.as_millisecond(),
            request: ground.map(|(frame, _)| frame.request.to_string()),
            asker: asker.map(|asker| asker.id.to_string()),
            purpose: purpose.map(|purpose| purpose.code.to_string()),
            persons,
            statuses: Vec::new(),
            code: Some(code.to_owned()),
            again: false,
            tokens: Vec::new(),
            question: None,
            until: last_day(now, months).0,
        }
    }

    /// Name, digest and answer of a question that was answered.
    pub(crate) fn answered(&self) -> Option<(RequestId, [u8; 32], Vec<LiveStatus>)> {
        let statuses = self.statuses.iter().map(|code| LiveStatus::from_code(*code));
        let mut digest = [0; 32];
        hex::decode_to_slice(self.question.as_ref()?, &mut digest).ok()?;
        Some((self.name()?, digest, statuses.collect::<Option<_>>()?))
    }

    fn name(&self) -> Option<RequestId> {
        let text = self.request.as_ref()?.replace('-', "");
        RequestId::from_bytes(&hex::decode(text).ok()?).ok()
    }

    fn key(&self, number: u32) -> [u8; 32] {
        let mut key = [0; 32];
        let request = self.name().map_or([0; 16], |name| *name.as_bytes());
        key[..8].copy_from_slice(&u64::try_from(self.at_ms).unwrap_or(0).to_be_bytes());
        key[8..12].copy_from_slice(&number.to_be_bytes());
        key[12..28].copy_from_slice(&request);
        key[28..].copy_from_slice(&self.until.to_be_bytes());
        key
    }
}

/// The last day on which an entry of `now` is kept.
fn last_day(now: Timestamp, months: u16) -> Day {
    let date = now.to_zoned(TimeZone::UTC).date();
    Day::from_date(date.saturating_add(i32::from(months).months()))
}

/// The journal.
pub(crate) struct LiveJournal {
    table: Table,
    /// Tells entries of one millisecond apart.
    number: AtomicU32,
}

impl LiveJournal {
    /// The one in this state.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn open(state: &Arc<State>) -> Result<Self, StateError> {
        let mut first = [0; 4];
        getrandom::fill(&mut first).map_err(|_| StateError::Random)?;
        Ok(Self {
            table: state.table(TABLE)?,
            number: AtomicU32::new(u32::from_be_bytes(first)),
        })
    }

    /// Writes entries, all durable when it returns.
    ///
    /// # Errors
    /// [`StateError`]; then nothing may be answered.
    pub(crate) fn write(&self, lines: &[Line]) -> Result<(), StateError> {
        if lines.is_empty() {
            return Ok(());
        }
        let changes = lines.iter().map(|line| {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let value = serde_json::to_vec(line).map_err(|_| StateError::DoesNotOpen)?;
            Ok((line.key(number), Some(value)))
        });
        self.table
            .change(&changes.collect::<Result<Vec<_>, StateError>>()?)
    }

    /// Entries from a moment on, in milliseconds since 1970, oldest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn since(&self, ms: i64) -> Result<Vec<Line>, StateError> {
        let keys = self.table.keys(&from(ms))?;
        let lines = keys.iter().filter_map(|key| match self.table.get(key) {
            Ok(value) => value.map(|value| read(&value)),
            Err(error) => Some(Err(error)),
        });
        lines.collect()
    }

    /// How many entries there are from a moment on.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn count_since(&self, ms: i64) -> Result<u64, StateError> {
        Ok(self.table.keys(&from(ms))?.len() as u64)
    }

    /// The last entries, newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn newest(&self, most: usize) -> Result<Vec<Line>, StateError> {
        let values = self.table.newest(most)?;
        values.iter().map(|value| read(value)).collect()
    }

    /// Removes entries whose term is over.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn prune(&self, today: Day) -> Result<(), StateError> {
        let over = |key: &Vec<u8>| {
            let until = key.get(28..).and_then(|until| until.try_into().ok());
            until.is_some_and(|until| Day(u32::from_be_bytes(until)) < today)
        };
        let keys: Vec<_> = self.table.keys(&[])?.into_iter().filter(over).collect();
        for some in keys.chunks(TOGETHER) {
            let changes: Vec<_> = some.iter().map(|key| (key, None)).collect();
            self.table.change(&changes)?;
        }
        Ok(())
    }
}

fn from(ms: i64) -> [u8; 8] {
    u64::try_from(ms).unwrap_or(0).to_be_bytes()
}

fn read(value: &[u8]) -> Result<Line, StateError> {
    serde_json::from_slice(value).map_err(|_| StateError::DoesNotOpen)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
