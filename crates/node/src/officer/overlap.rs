//! Comparing the log with the node's own journal: what this organisation asked, and what the log says it asked.
//!
//! An entry that the journal does not have is no fault by itself: the answer may never have arrived. Then the entry
//! holds a request that this node signed, and no other answer to that request did arrive. Anything else under this
//! organisation's name was invented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hitmachine_audit::Hash;
use hitmachine_core::SignedRequest;
use hitmachine_proto::officer::{Action, MAX_ROWS};
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};

use super::OfficerError;
use super::client::{Officer, OfficerFrame};
use super::page::OwnEntry;
use super::rows::{Content, VerifiedRow};
use super::task::Range;
use crate::ask::AskError;
use crate::journal::JournalEntry;
use crate::sync::Progress;

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverlapView {
    /// Own entries of the journal that were looked up in the log.
    pub journal: u64,
    /// Entries of this organisation in the log that were looked up in the journal.
    pub log: u64,
    /// The first entry in the journal, from 0; older entries of the log are not compared.
    pub began: Option<u64>,
    /// Entries of requests that this node signed, but to which no answer arrived.
    pub unanswered: Vec<u64>,
    /// Entries that do not agree, by index.
    pub differences: Vec<Difference>,
}

/// One entry that does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its place in the log, from 0.
    pub log_index: u64,
    /// `changed`, `not_signed`, `repeated` or `unknown`.
    pub code: String,
    /// The request's name, if there is one.
    pub request_id: Option<String>,
}

impl Difference {
    fn new(log_index: u64, code: &str, request: Option<&[u8; 16]>) -> Self {
        let named = request.and_then(|id| hitmachine_core::RequestId::from_bytes(id).ok());
        Self {
            log_index,
            code: code.to_owned(),
            request_id: named.map(|id| id.to_string()),
        }
    }
}

/// One entry under this organisation's name, as the log has it.
struct Logged {
    index: u64,
    leaf: Hash,
    request: Option<[u8; 16]>,
    digest: [u8; 32],
    signed: Option<SignedRequest>,
    /// Without the part that would hold the signed request.
    partial: bool,
}

impl Officer<'_> {
    /// Compares the log with this node's journal.
    ///
    /// # Errors
    /// [`OfficerError`].
    pub(crate) async fn overlap(
        &self,
        frame: &OfficerFrame,
        range: Range,
        progress: &Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<(OverlapView, Option<OwnEntry>), OfficerError> {
        let journal = self.journal().await?;
        let within = |entry: &&JournalEntry| {
            entry.time_ms >= range.from_ms && (range.to_ms == 0 || entry.time_ms <= range.to_ms)
        };
        let due: Vec<u64> = journal.iter().filter(within).map(|entry| entry.index).collect();
        let mut own = None;
        let mut found = BTreeMap::new();
        let page = usize::try_from(MAX_ROWS).unwrap_or(usize::MAX);
        for indexes in due.chunks(page) {
            let entries = v1::Entries {
                indexes: indexes.to_vec(),
                r#use: v1::Use::View.into(),
            };
            let acted = self.act(frame, &Action::Entries(entries)).await?;
            found.extend(acted.rows.iter().map(|row| (row.index, row.leaf)));
            own = Some(OwnEntry::from(&acted));
            progress(Progress::Log {
                done: found.len() as u64,
                total: due.len() as u64,
            });
        }
        let began = journal.first().map(|entry| entry.index);
        let mut logged = Vec::new();
        let mut before = 0;
        while began.is_some() {
            let acted = self.act(frame, &self.own_entries(range, before).await?).await?;
            let first = began.unwrap_or(0);
            let rows = acted.rows.iter().filter(|row| row.index >= first);
            logged.extend(rows.filter_map(Logged::of));
            own = Some(OwnEntry::from(&acted));
            let v1::officer_result::Result::Rows(page) = &acted.outcome else {
                break;
            };
            if page.next <= first {
                break;
            }
            before = page.next;
            progress(Progress::Log {
                done: acted.head.size.saturating_sub(before),
                total: acted.head.size.saturating_sub(first),
            });
        }
        // Once more: what was asked meanwhile, this comparison included, is in the log too.
        let journal = self.journal().await?;
        let keys = self.own_keys().await?;
        let signed = |request: &SignedRequest| keys.iter().any(|key| key.verifies(request));
        Ok((compare(&journal, &found, &logged, &signed), own))
    }

    async fn journal(&self) -> Result<Vec<JournalEntry>, OfficerError> {
        let state = Arc::clone(&self.inquirer.state);
        let reading = tokio::task::spawn_blocking(move || state.journal());
        let journal = reading.await.map_err(|_| AskError::Stopped)?;
        Ok(journal.map_err(AskError::from)?)
    }

    async fn own_entries(&self, range: Range, before: u64) -> Result<Action, OfficerError> {
        let link = &self.inquirer.link;
        let covenant = link.covenant().await.map_err(AskError::from)?;
        let own = covenant.partner(&link.own().partner);
        Ok(Action::Search(v1::Search {
            from_ms: range.from_ms,
            to_ms: range.to_ms,
            requester: own.map(|own| own.oin.to_string()).unwrap_or_default(),
            before,
            limit: MAX_ROWS,
            r#use: v1::Use::View.into(),
            ..v1::Search::default()
        }))
    }

    /// Its own, and those that the covenant names for it: it may have had another one before.
    async fn own_keys(&self) -> Result<Vec<hitmachine_core::RequestKey>, OfficerError> {
        let link = &self.inquirer.link;
        let covenant = link.covenant().await.map_err(AskError::from)?;
        let own = covenant.partner(&link.own().partner);
        let mut keys = own.map(|own| own.signing_keys.clone()).unwrap_or_default();
        keys.extend(
            self.inquirer
                .signer
                .as_ref()
                .map(hitmachine_core::RequestSigner::key),
        );
        Ok(keys)
    }
}

impl Logged {
    fn of(row: &VerifiedRow) -> Option<Self> {
        let record = row.record.as_ref()?;
        Some(Self {
            index: row.index,
            leaf: row.leaf,
            request: record.request.map(|id| *id.as_bytes()),
            digest: record.request_digest,
            signed: record.signed.clone(),
            partial: matches!(row.content, Content::Processing(_)),
        })
    }
}

/// `found` is what the log has at the indexes of the journal; `logged` are its entries under this organisation's name.
fn compare(
    journal: &[JournalEntry],
    found: &BTreeMap<u64, Hash>,
    logged: &[Logged],
    signed_by_us: &dyn Fn(&SignedRequest) -> bool,
) -> OverlapView {
    let by_index: BTreeMap<u64, &JournalEntry> = journal.iter().map(|entry| (entry.index, entry)).collect();
    let answered: BTreeSet<[u8; 16]> = journal.iter().map(|entry| entry.request).collect();
    let mut differences = BTreeMap::new();
    for (index, leaf) in found {
        let own = by_index.get(index);
        if own.is_some_and(|own| own.leaf != *leaf) {
            let request = own.map(|own| &own.request);
            differences.insert(*index, Difference::new(*index, "changed", request));
        }
    }
    // Ascending, so that the first entry of a request comes before those of its other persons.
    let mut ascending: Vec<&Logged> = logged.iter().collect();
    ascending.sort_unstable_by_key(|entry| entry.index);
    let mut open: BTreeSet<[u8; 32]> = BTreeSet::new();
    let mut unanswered = Vec::new();
    for entry in ascending {
        let code = match by_index.get(&entry.index) {
            Some(own) if own.leaf == entry.leaf => continue,
            Some(_) => "changed",
            None if entry.request.is_some_and(|request| answered.contains(&request)) => "repeated",
            None => match &entry.signed {
                Some(signed) if !signed_by_us(signed) => "not_signed",
                Some(_) if !open.insert(entry.digest) => "repeated",
                None if !open.contains(&entry.digest) && entry.partial => "unknown",
                None if !open.contains(&entry.digest) => "not_signed",
                _ => {
                    unanswered.push(entry.index);
                    continue;
                }
            },
        };
        let difference = Difference::new(entry.index, code, entry.request.as_ref());
        differences.insert(entry.index, difference);
    }
    OverlapView {
        journal: found.len() as u64,
        log: logged.len() as u64,
        began: journal.first().map(|entry| entry.index),
        unanswered,
        differences: differences.into_values().collect(),
    }
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
