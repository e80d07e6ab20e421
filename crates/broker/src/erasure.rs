//! Erasing what the covenant's terms no longer allow to be kept.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{
    CommitHandle, Draft, EraseError, EraseRequest, ErasurePlan, LogReader, Period, RetentionClass, Selection,
    StoredContent, StoredEntry, SubmitError,
};
use hitmachine_core::Clock;
use hitmachine_proto::v1;
use hitmachine_store::AuditIndex;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::cosigned::Newest;
use crate::indexer::Indexed;
use crate::publication::Publication;

/// The type of the control entry that counts what an erasure took.
const TYPE: &str = "erased";
/// How often terms are looked at.
const EVERY: Duration = Duration::from_hours(6);
/// How far the own clock may be ahead of what witnesses last said, in seconds, when terms are judged: a clock that is
/// far ahead must not erase anything.
const AHEAD_S: u64 = 24 * 60 * 60;

/// Why nothing, or not everything, was erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErasingError {
    /// The log does not take it.
    #[error("the audit log does not take the erasure")]
    Submit(#[from] SubmitError),
    /// The erasure failed; a restart finishes it.
    #[error("the erasure failed; the next start finishes it")]
    Erase(#[from] EraseError),
    /// The log stopped meanwhile.
    #[error("the audit log has stopped")]
    Stopped,
}

/// What erasing works with.
#[derive(Clone)]
pub(crate) struct Eraser {
    pub(crate) log: CommitHandle,
    pub(crate) reader: LogReader,
    pub(crate) index: Arc<Indexed>,
    pub(crate) publication: Publication,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cosigned: Newest,
}

impl Eraser {
    /// Erases what is expired, at start and then every six hours.
    pub(crate) async fn keep(self) {
        loop {
            match self.erase(&self.expired(), "retention", "hub").await {
                Ok(0) => {}
                Ok(entries) => tracing::info!(entries, "entries whose term has ended were erased"),
                Err(error) => {
                    let error = hitmachine_service::console::chain(&error);
                    tracing::error!(error, "entries whose term has ended could not be erased");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Classes and months whose term has ended.
    pub(crate) fn expired(&self) -> Vec<(RetentionClass, Period)> {
        let now = self.period();
        self.of(|class, period| period.expires(class).is_some_and(|end| end <= now))
    }

    /// Classes and months up to and including this one.
    pub(crate) fn up_to(&self, last: Period) -> Vec<(RetentionClass, Period)> {
        self.of(|_, period| period <= last)
    }

    /// The present month, by the own clock but not far ahead of what witnesses said.
    fn period(&self) -> Period {
        let own = u64::try_from(self.clock.now().as_second()).unwrap_or(0);
        let bound = self
            .cosigned
            .borrow()
            .as_ref()
            .map(|newest| newest.time.saturating_add(AHEAD_S));
        Period::of_unix_ms(own.min(bound.unwrap_or(u64::MAX)).saturating_mul(1000))
    }

    fn of(&self, wanted: impl Fn(RetentionClass, Period) -> bool) -> Vec<(RetentionClass, Period)> {
        let uses = self.reader.key_uses();
        let mut periods: Vec<_> = uses.iter().map(|use_| (use_.class, use_.period)).collect();
        periods.retain(|(class, period)| wanted(*class, *period));
        periods.sort_unstable();
        periods.dedup();
        periods
    }

    /// Erases these classes and months; how many entries were in them.
    ///
    /// # Errors
    /// [`ErasingError`].
    pub(crate) async fn erase(
        &self,
        periods: &[(RetentionClass, Period)],
        ground: &str,
        by: &str,
    ) -> Result<u64, ErasingError> {
        if periods.is_empty() {
            return Ok(0);
        }
        let (reader, wanted) = (self.reader.clone(), periods.to_vec());
        let counted = tokio::task::spawn_blocking(move || count(&reader, &wanted)).await;
        let entries = counted.map_err(|_| ErasingError::Stopped)?;
        let request = EraseRequest {
            selection: Selection::Both(periods.to_vec()),
            ground: ground.to_owned(),
            by: by.to_owned(),
            published: self.publication.size(),
        };
        let (done, waiting) = oneshot::channel();
        let index = Arc::clone(&self.index);
        let hook = move |plan: &ErasurePlan| drop_from(&index, plan);
        self.log.erase(request, hook, move |result| {
            let _ = done.send(result);
        })?;
        let erased = waiting.await.map_err(|_| ErasingError::Stopped)??;
        let Some(erased) = erased else { return Ok(0) };
        let names: Vec<String> = periods
            .iter()
            .map(|(class, period)| format!("{period}/{}", class.0))
            .collect();
        let entry = json!({
            "type": TYPE,
            "intent": erased.intent,
            "periods": names,
            "entries": entries,
            "ground": ground,
            "by": by,
            "time_ms": u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0),
        });
        if let Ok(draft) = Draft::control(&entry) {
            let (done, waiting) = oneshot::channel();
            self.log.submit(vec![draft], Vec::new(), move |result| {
                let _ = done.send(result.map(|_| ()));
            })?;
            waiting.await.map_err(|_| ErasingError::Stopped)??;
        }
        Ok(entries)
    }
}

/// Unlinks the parts of the search index that an erasure covers.
pub(crate) fn drop_from(index: &AuditIndex, plan: &ErasurePlan) -> io::Result<()> {
    let mut periods: Vec<_> = plan
        .erasure()
        .keys
        .iter()
        .map(|use_| (use_.class, use_.period))
        .collect();
    periods.sort_unstable();
    periods.dedup();
    for (class, period) in periods {
        index.drop_period(class, period).map_err(io::Error::other)?;
    }
    Ok(())
}

/// How many entries there are of these classes and months.
fn count(reader: &LogReader, periods: &[(RetentionClass, Period)]) -> u64 {
    let mut counts: BTreeMap<u32, bool> = BTreeMap::new();
    let mut entries = 0;
    for entry in reader.entries(0..reader.head().size) {
        let Some([id, _]) = entry.ok().and_then(|entry| entry.key_ids) else {
            continue;
        };
        let counts = counts.entry(id).or_insert_with(|| {
            let use_ = reader.key_use(id);
            use_.is_some_and(|use_| periods.contains(&(use_.class, use_.period)))
        });
        entries += u64::from(*counts);
    }
    entries
}

/// The erasure that a control entry counts, if it is one.
pub(crate) fn of_entry(entry: &StoredEntry) -> Option<v1::Erasure> {
    let StoredContent::Control(content) = &entry.content else {
        return None;
    };
    (text(content, "type")? == TYPE).then_some(())?;
    let periods = content.get("periods")?.as_array()?.iter();
    Some(v1::Erasure {
        index: entry.index,
        time_ms: content.get("time_ms")?.as_u64()?,
        ground: text(content, "ground")?,
        by: text(content, "by")?,
        periods: periods
            .filter_map(|period| Some(period.as_str()?.to_owned()))
            .collect(),
        entries: content.get("entries")?.as_u64()?,
    })
}

fn text(content: &Map<String, Value>, name: &str) -> Option<String> {
    content.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}
