//! The privacy officer's actions: authorise, find, log, and only then release.

mod alarms;
mod trend;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_audit::{
    Incomplete, LogReader, Opening, Period, Processing, ReadError, StoredContent, StoredEntry, completeness,
};
use hitmachine_core::record::{Kind, Outcome};
use hitmachine_core::statistics::{DEFAULT_THRESHOLD, statistics};
use hitmachine_core::{Asker, Covenant, OfficerPermit, Refusal, SignedRequest};
use hitmachine_proto::officer::{Action, MAX_ROWS, action_code, is_export, parse};
use hitmachine_proto::query::MalformedQuery;
use hitmachine_proto::v1::officer_result::Result as Found;
use hitmachine_proto::v1::row::Content;
use hitmachine_proto::{MAX_KNOWN_SIZES, receipt, v1};
use hitmachine_pseudonym::{DeploymentKind, Token};
use hitmachine_store::AuditIndex;
use hitmachine_store::audit_index::{Filter, IndexError};
use prost::Message;

use crate::alarm::Alarms;
use crate::erasure::{self, Eraser, ErasingError};
use crate::hub::{AskError, Hub};
use crate::indexer::Indexed;
use crate::notice::Notices;
use crate::overview;

/// How long completeness waits for an erasure that is under way. One that takes longer has failed, or shows as such.
const ERASURE_PATIENCE: Duration = Duration::from_secs(30);
/// Pause before it reads the log again.
const ERASURE_PAUSE: Duration = Duration::from_millis(50);

/// Why an action has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ActError {
    /// The log does not take the entry.
    #[error(transparent)]
    Log(#[from] AskError),
    /// The index failed.
    #[error("the search index failed: {0}")]
    Index(#[from] IndexError),
    /// The log cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Erasing failed.
    #[error("{0}")]
    Erase(#[from] ErasingError),
    /// A part of the hub stopped.
    #[error("a part of the hub stopped")]
    Stopped,
}

/// What officers' actions work with.
pub(crate) struct Office {
    pub(crate) hub: Arc<Hub>,
    pub(crate) reader: LogReader,
    pub(crate) index: Arc<Indexed>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) eraser: Eraser,
}

/// What came of an action.
pub(crate) type Answer = Result<Found, Refusal>;

impl Office {
    /// Carries out one action.
    ///
    /// # Errors
    /// [`ActError`]; a refusal is a result.
    pub(crate) async fn act(
        self: &Arc<Self>,
        asker: &Asker,
        request: v1::OfficerRequest,
    ) -> Result<v1::OfficerResponse, ActError> {
        let (now, clock_is_sound) = self.hub.now();
        let covenant = self.hub.covenant();
        let signature = <[u8; 64]>::try_from(request.signature.as_slice());
        let signed = SignedRequest::new(request.action, signature.unwrap_or([0; 64]));
        let digest = signed.digest();
        let mut known = request.known_sizes;
        known.truncate(MAX_KNOWN_SIZES);
        let parsed = if signature.is_err() {
            Err(MalformedQuery {
                request: None,
                field: "signature",
            })
        } else {
            parse(signed)
        };
        let (request, action) = match parsed {
            Ok(parsed) => parsed,
            Err(MalformedQuery { request, field }) => {
                let refused =
                    covenant.refuse_officer(asker, Refusal::Malformed(field), Err((request, digest)));
                return self.refuse(refused, now, known).await;
            }
        };
        let permit = if clock_is_sound {
            covenant.authorise_officer(asker, request, now)
        } else {
            Err(Box::new(covenant.refuse_officer(
                asker,
                Refusal::ClockBehind,
                Ok(request),
            )))
        };
        let permit = match permit {
            Ok(permit) => permit,
            Err(refused) => return self.refuse(*refused, now, known).await,
        };
        match self.find(&permit, &action).await? {
            Err(refusal) => self.refuse(permit.refuse(refusal), now, known).await,
            Ok(found) => self.release(permit, &action, found, now, known).await,
        }
    }

    async fn refuse(
        &self,
        refused: hitmachine_core::RefusedOfficer,
        now: jiff::Timestamp,
        known: Vec<u64>,
    ) -> Result<v1::OfficerResponse, ActError> {
        let code = refused.refusal().code();
        tracing::warn!(code, "an officer's action was refused");
        let result = v1::OfficerResult {
            request_id: refused
                .request()
                .map(|id| id.as_bytes().to_vec())
                .unwrap_or_default(),
            result: Some(Found::Refused(v1::Refused {
                code: code.to_owned(),
                retry_after_ms: 0,
            })),
        };
        let (draft, unreleased) = refused.seal(now, result.encode_to_vec());
        let receipts = self.hub.commit(vec![draft], known).await?;
        let released = unreleased.release(receipts).map_err(|_| AskError::LogStopped)?;
        Ok(self.response(released, &[]))
    }

    async fn release(
        &self,
        permit: OfficerPermit,
        action: &Action,
        found: Found,
        now: jiff::Timestamp,
        known: Vec<u64>,
    ) -> Result<v1::OfficerResponse, ActError> {
        let rows: Vec<u64> = match &found {
            Found::Rows(rows) => rows.rows.iter().map(|row| row.index).collect(),
            _ => Vec::new(),
        };
        let result = v1::OfficerResult {
            request_id: permit.request().request.as_bytes().to_vec(),
            result: Some(found),
        };
        let kind = if is_export(action) {
            Kind::Export
        } else {
            Kind::OfficerSearch
        };
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let change = Self::change(&permit, action, &result, now);
        let (draft, unreleased) = permit.seal(now, kind, action_code(action), count, result.encode_to_vec());
        let (control, changed) = change.unzip();
        let drafts = std::iter::once(draft).chain(control).collect();
        let mut receipts = self.hub.commit(drafts, known).await?;
        // The second is that of the public entry beside it.
        receipts.truncate(1);
        if let Some(changed) = changed {
            self.changed(&changed);
        }
        let released = unreleased.release(receipts).map_err(|_| AskError::LogStopped)?;
        Ok(self.response(released, &rows))
    }

    /// The result with its receipt, and the proof of each row under the same checkpoint.
    fn response(&self, released: Vec<hitmachine_core::Released>, rows: &[u64]) -> v1::OfficerResponse {
        let size = released.first().map_or(0, |one| one.receipt.head().size);
        let proof = |index: &u64| self.reader.inclusion_proof(*index, size).unwrap_or_default();
        let inclusion = rows
            .iter()
            .map(proof)
            .map(|proof| receipt::flat(&proof))
            .collect();
        let asked = receipt::response(released, None);
        let answer = asked.answers.into_iter().next().unwrap_or_default();
        v1::OfficerResponse {
            result: answer.answer,
            receipt: answer.receipt,
            checkpoint: asked.checkpoint,
            consistency: asked.consistency,
            inclusion,
        }
    }

    /// Reads the whole log. Entries whose erasure is under way look lost until it is done, so then it is read again.
    async fn complete(&self) -> Result<v1::CompletenessReport, ActError> {
        let begun = Instant::now();
        loop {
            let reader = self.reader.clone();
            let (report, erasing) = blocking(move || Ok(complete(&reader))).await?;
            if !erasing || begun.elapsed() > ERASURE_PATIENCE {
                return Ok(report);
            }
            tokio::time::sleep(ERASURE_PAUSE).await;
        }
    }

    async fn find(self: &Arc<Self>, permit: &OfficerPermit, action: &Action) -> Result<Answer, ActError> {
        let covenant = Arc::clone(permit.covenant());
        Ok(match action {
            Action::Search(search) => {
                let Some(filter) = filter(search) else {
                    return Ok(Err(Refusal::Malformed("search")));
                };
                // The result says how far the index is.
                self.index.is_in_step(&self.reader).await;
                let (office, search) = (Arc::clone(self), search.clone());
                Ok(blocking(move || office.search(&covenant, &filter, &search)).await?)
            }
            Action::Entries(entries) => {
                let ascending = entries.indexes.is_sorted_by(|a, b| a < b);
                let most = usize::try_from(MAX_ROWS).unwrap_or(usize::MAX);
                if entries.indexes.is_empty() || entries.indexes.len() > most || !ascending {
                    return Ok(Err(Refusal::Malformed("indexes")));
                }
                let (office, entries) = (Arc::clone(self), entries.clone());
                Ok(blocking(move || office.entries(&covenant, &entries.indexes, entries.r#use())).await?)
            }
            Action::Statistics(wanted) => {
                let Some(cuts) = trend::stretches(wanted) else {
                    return Ok(Err(Refusal::Malformed("cuts")));
                };
                // The result says how far the index is.
                self.index.is_in_step(&self.reader).await;
                let (index, wanted) = (Arc::clone(&self.index), wanted.clone());
                Ok(blocking(move || {
                    Ok(Found::Statistics(if cuts.is_empty() {
                        table(&index, &wanted)?
                    } else {
                        trend::table(&index, &cuts)?
                    }))
                })
                .await?)
            }
            Action::Completeness(_) => {
                let report = self.complete().await?;
                if report.broken {
                    self.alarms.raise("log_incomplete", "");
                }
                Ok(Found::Completeness(report))
            }
            Action::Review(review) => {
                let known = ["in_order", "question", "breach"].contains(&review.verdict.as_str());
                let length = review.note.chars().count();
                if !known || !(1..=1_000).contains(&length) || review.index >= self.reader.head().size {
                    return Ok(Err(Refusal::Malformed("review")));
                }
                // The entry of this action holds the request, and so the note.
                Ok(Found::Reviewed(v1::Reviewed {}))
            }
            Action::Alarms(_) => {
                let office = Arc::clone(self);
                Ok(blocking(move || Ok(Found::Alarms(office.list()))).await?)
            }
            Action::WaitingNotices(_) => {
                let notices = Arc::clone(&self.notices);
                Ok(Found::WaitingNotices(
                    blocking(move || Ok(notices.summary(&covenant))).await?,
                ))
            }
            Action::Acknowledge(wanted) => self.acknowledge(wanted, self.hub.now().0),
            Action::Lift(wanted) => self.lift(&covenant, wanted, self.hub.now().0),
            Action::Erase(erase) => self.erase(&covenant, permit, erase).await?,
            Action::Overview(wanted) => {
                let wanted = match overview::wanted(wanted) {
                    Ok(wanted) => wanted,
                    Err(field) => return Ok(Err(Refusal::Malformed(field))),
                };
                let (reader, registrations) = (self.reader.clone(), self.hub.registrations());
                let (now, _) = self.hub.now();
                let count = move || overview::tables(&reader, &covenant, &registrations, wanted, now);
                Ok(Found::Overview(blocking(count).await?))
            }
        })
    }

    fn search(&self, covenant: &Covenant, filter: &Filter, search: &v1::Search) -> Result<Found, ActError> {
        let limit = usize::try_from(search.limit.clamp(1, MAX_ROWS)).unwrap_or(1);
        let before = Some(search.before).filter(|before| *before > 0);
        let page = self.index.search(filter, before, limit)?;
        Ok(Found::Rows(v1::Rows {
            rows: self.rows(covenant, &page.rows, search.r#use())?,
            next: page.next.unwrap_or(0),
            indexed: page.indexed,
            withholds: withholds(covenant, search.r#use()),
            erasures: self.erasures(),
        }))
    }

    fn entries(&self, covenant: &Covenant, indexes: &[u64], use_: v1::Use) -> Result<Found, ActError> {
        Ok(Found::Rows(v1::Rows {
            rows: self.rows(covenant, indexes, use_)?,
            next: 0,
            indexed: self.reader.head().size,
            withholds: withholds(covenant, use_),
            erasures: self.erasures(),
        }))
    }

    /// The rows of these entries; an index beyond the log has none.
    fn rows(&self, covenant: &Covenant, indexes: &[u64], use_: v1::Use) -> Result<Vec<v1::Row>, ActError> {
        let mut rows = Vec::with_capacity(indexes.len());
        for entry in self.reader.read_entries(indexes) {
            let entry = match entry {
                Err(ReadError::NoEntry(_)) => continue,
                entry => entry?,
            };
            if !(is_confidential(covenant, &entry) && withholds(covenant, use_)) {
                rows.push(row(&entry, use_));
            }
        }
        Ok(rows)
    }

    fn erasures(&self) -> Vec<v1::Erasure> {
        let entries = self.reader.read_entries(&self.reader.controls());
        let entries = entries.into_iter().flatten();
        entries.filter_map(|entry| erasure::of_entry(&entry)).collect()
    }

    async fn erase(
        &self,
        covenant: &Covenant,
        permit: &OfficerPermit,
        erase: &v1::Erase,
    ) -> Result<Answer, ActError> {
        let expired = self.eraser.expired();
        let periods = if erase.up_to.is_empty() {
            expired
        } else {
            let Ok(last) = erase.up_to.parse::<Period>() else {
                return Ok(Err(Refusal::Malformed("up_to")));
            };
            let wanted = self.eraser.up_to(last);
            // Evidence is not destroyed before its term, but for what is made up.
            let early = wanted.iter().any(|period| !expired.contains(period));
            if early && covenant.deployment().kind == DeploymentKind::Production {
                return Ok(Err(Refusal::TermNotEnded));
            }
            wanted
        };
        let partner = covenant.partner_by_oin(permit.oin());
        let by = partner.map_or("hub", |partner| partner.id.as_str());
        let ground = if erase.up_to.is_empty() {
            "retention"
        } else {
            "order"
        };
        self.eraser.erase(&periods, ground, by).await?;
        Ok(Ok(Found::Erased(v1::ErasureReport {
            erasures: self.erasures(),
        })))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ActError> + Send + 'static,
) -> Result<T, ActError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ActError::Stopped)?
}

/// Whether confidential processing activities are left out of rows for this use.
fn withholds(covenant: &Covenant, use_: v1::Use) -> bool {
    use_ == v1::Use::Report && covenant.purposes().iter().any(|purpose| purpose.confidential)
}

fn is_confidential(covenant: &Covenant, entry: &StoredEntry) -> bool {
    let fields = match &entry.content {
        StoredContent::Open(opening) => opening.fields(),
        StoredContent::Processing(processing) => processing.fields(),
        StoredContent::Control(_) | StoredContent::Erased => return false,
    };
    let record = hitmachine_core::record::DecodedRecord::decode(fields).ok();
    let ground = record.and_then(|record| record.ground);
    let purpose = ground.and_then(|ground| {
        covenant
            .purpose(&ground.purpose)
            .map(|purpose| purpose.confidential)
    });
    purpose.unwrap_or(false)
}

/// Users and cases go along only where they are reviewed.
fn row(entry: &StoredEntry, use_: v1::Use) -> v1::Row {
    let apart = matches!(use_, v1::Use::Report | v1::Use::Ldv);
    let whole = |opening: &Opening| match Processing::of(opening).filter(|_| apart) {
        Some(processing) => Content::Processing(processing.encode()),
        None if apart => Content::Erased(opening.commitment().leaf_hash().0.to_vec()),
        None => Content::Opening(opening.encode()),
    };
    let content = match &entry.content {
        StoredContent::Open(opening) => whole(opening),
        StoredContent::Processing(processing) => Content::Processing(processing.encode()),
        // The bytes that were hashed are those that this gives: keys in order, no spaces.
        StoredContent::Control(json) => Content::Control(serde_json::to_vec(json).unwrap_or_default()),
        StoredContent::Erased => Content::Erased(entry.leaf_hash.0.to_vec()),
    };
    v1::Row {
        index: entry.index,
        time_ms: entry.time_ms,
        content: Some(content),
    }
}

/// What a search asks for; `None` if a field is not well-formed.
fn filter(search: &v1::Search) -> Option<Filter> {
    let tokens = search
        .tokens
        .iter()
        .map(|token| Some(Token::from_bytes(token.as_slice().try_into().ok()?)));
    let tokens = tokens.collect::<Option<Vec<_>>>()?;
    let request = bytes(&search.request_id).ok()?;
    Some(Filter {
        from_ms: Some(search.from_ms).filter(|ms| *ms > 0),
        until_ms: Some(search.to_ms)
            .filter(|ms| *ms > 0)
            .map(|ms| ms.saturating_add(1)),
        requester: named(&search.requester).ok()?,
        user: named(&search.user).ok()?,
        purpose: named(&search.purpose).ok()?,
        case: named(&search.case_reference).ok()?,
        outcome: match search.outcome() {
            v1::Outcome::Unspecified => None,
            v1::Outcome::Hit => Some(Outcome::Hit),
            v1::Outcome::Miss => Some(Outcome::NoHit),
            v1::Outcome::CouldNotAsk => Some(Outcome::CouldNotAsk),
            v1::Outcome::Refused => Some(Outcome::Refused),
            v1::Outcome::Officer => Some(Outcome::Officer),
        },
        person: (!tokens.is_empty()).then_some(tokens),
        request: match request {
            None => None,
            Some(id) => Some(hitmachine_core::RequestId::from_bytes(&id).ok()?),
        },
        trace: bytes(&search.trace_id).ok()?,
    })
}

/// Nothing for an empty text.
fn named<T: std::str::FromStr>(text: &str) -> Result<Option<T>, T::Err> {
    Some(text)
        .filter(|text| !text.is_empty())
        .map(str::parse)
        .transpose()
}

/// Nothing for no bytes.
fn bytes(bytes: &[u8]) -> Result<Option<[u8; 16]>, std::array::TryFromSliceError> {
    Some(bytes)
        .filter(|bytes| !bytes.is_empty())
        .map(TryInto::try_into)
        .transpose()
}

fn table(index: &AuditIndex, wanted: &v1::Statistics) -> Result<v1::StatisticsTable, ActError> {
    let from = Some(wanted.from_ms).filter(|ms| *ms > 0);
    let until = Some(wanted.to_ms)
        .filter(|ms| *ms > 0)
        .map(|ms| ms.saturating_add(1));
    let cells = index.counts(from, until)?;
    let table = statistics(&cells, DEFAULT_THRESHOLD);
    let shown = |count: Option<u64>| count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX));
    let place = |outcome: Outcome| table.columns.iter().position(|column| *column == outcome);
    let counts = |counts: &[Option<u64>]| {
        Outcome::ALL
            .into_iter()
            .map(|outcome| {
                place(outcome)
                    .and_then(|place| counts.get(place))
                    .map_or(0, |count| shown(*count))
            })
            .collect()
    };
    let mut rows: Vec<v1::StatisticsRow> = table
        .rows
        .iter()
        .map(|row| {
            let (month, requester, purpose) = &row.label;
            v1::StatisticsRow {
                month: month.to_string(),
                requester: requester.as_str().to_owned(),
                purpose: purpose.as_ref().map_or_else(String::new, ToString::to_string),
                counts: counts(&row.counts),
                total: shown(row.total),
            }
        })
        .collect();
    rows.push(v1::StatisticsRow {
        counts: counts(&table.totals),
        total: shown(table.total),
        ..v1::StatisticsRow::default()
    });
    Ok(v1::StatisticsTable {
        rows,
        threshold: u32::try_from(DEFAULT_THRESHOLD).unwrap_or(u32::MAX),
    })
}

/// What the log has of every entry, and whether what it misses is being erased at this moment.
fn complete(reader: &LogReader) -> (v1::CompletenessReport, bool) {
    let found = completeness(reader, &mut |_, _| ());
    let erasing = matches!(found.first_bad, Some((_, Incomplete::Unfinished(_))));
    let report = v1::CompletenessReport {
        entries: found.entries,
        control: found.control,
        whole: found.open,
        processing_only: found.processing_only,
        erased: found.erased,
        broken: found.first_bad.is_some(),
        first_bad: found.first_bad.as_ref().map_or(0, |(index, _)| *index),
        reason: found
            .first_bad
            .map_or_else(String::new, |(_, reason)| reason.code().to_owned()),
    };
    (report, erasing)
}
