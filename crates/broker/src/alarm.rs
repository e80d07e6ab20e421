//! Alarms: what every partner must hear of. Each is a public entry of the log.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hitmachine_audit::{CommitHandle, Draft, Evidence, LogVerifier, StoredContent, StoredEntry, Verdict};
use hitmachine_core::{Clock, PartnerId};
use hitmachine_proto::v1;
use serde_json::{Map, Value, json};

use crate::witness::Witnesses;

/// The type of the control entry.
const TYPE: &str = "alarm";
/// The same alarm by the same partner is not raised again for so long, in milliseconds.
const AGAIN_AFTER_MS: u64 = 60 * 60 * 1000;
/// Most alarms that are told; older ones are in the log.
const MOST: usize = 256;

/// All alarms, in the log and at the nodes.
pub(crate) struct Alarms {
    verifier: LogVerifier,
    witnesses: Arc<Witnesses>,
    clock: Arc<dyn Clock>,
    log: OnceLock<CommitHandle>,
    list: Mutex<Vec<v1::Alarm>>,
}

impl Alarms {
    /// With the alarms that stand in the log already.
    pub(crate) fn new(
        verifier: LogVerifier,
        witnesses: Arc<Witnesses>,
        clock: Arc<dyn Clock>,
        logged: Vec<v1::Alarm>,
    ) -> Arc<Self> {
        let alarms = Self {
            verifier,
            witnesses,
            clock,
            log: OnceLock::new(),
            list: Mutex::new(logged),
        };
        alarms.tell();
        Arc::new(alarms)
    }

    /// Lets alarms be logged; until then they are refused, since nothing is signed yet.
    pub(crate) fn log_to(&self, log: CommitHandle) {
        // Called once.
        let _ = self.log.set(log);
    }

    /// Every alarm, oldest first.
    pub(crate) fn list(&self) -> Vec<v1::Alarm> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A node says that it found something. What can be checked is checked.
    pub(crate) fn reported(self: &Arc<Self>, partner: &PartnerId, report: &v1::AlarmReport) {
        let code = match Evidence::parse(&report.evidence).and_then(|found| found.verify(&self.verifier)) {
            Ok(Verdict::SameSizeTwoRoots { .. }) => "fork_proven",
            Ok(_) => "log_not_continued",
            Err(_) if report.code == "receipt" => "receipt_refused",
            Err(_) if report.code == "live_question_refused" => "live_question_refused",
            Err(_) => "reported",
        };
        self.raise(code, partner.as_str());
    }

    /// Logs an alarm and tells every node. `by` is a partner, or empty for the hub.
    pub(crate) fn raise(self: &Arc<Self>, code: &str, by: &str) {
        let time_ms = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        let recent = |alarm: &v1::Alarm| {
            alarm.code == code && alarm.by == by && alarm.time_ms.saturating_add(AGAIN_AFTER_MS) > time_ms
        };
        if self.list().iter().any(recent) {
            return;
        }
        tracing::error!(code, by, "alarm");
        let entry = json!({"type": TYPE, "code": code, "by": by, "time_ms": time_ms});
        let (Ok(draft), Some(log)) = (Draft::control(&entry), self.log.get()) else {
            return;
        };
        let (alarms, code, by) = (Arc::clone(self), code.to_owned(), by.to_owned());
        let logged = log.submit(vec![draft], Vec::new(), move |result| {
            let receipts = result.map(|committed| committed.receipts).unwrap_or_default();
            let Some(index) = receipts.first().map(hitmachine_audit::Receipt::leaf_index) else {
                return;
            };
            let alarm = v1::Alarm {
                index,
                time_ms,
                code,
                by,
            };
            alarms
                .list
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(alarm);
            alarms.tell();
        });
        if let Err(error) = logged {
            tracing::error!(%error, "the alarm could not be logged");
        }
    }

    fn tell(&self) {
        let mut list = self.list();
        list.drain(..list.len().saturating_sub(MOST));
        self.witnesses.alarms().send_replace(list);
    }
}

/// The alarm in a control entry, if it is one.
pub(crate) fn of_entry(entry: &StoredEntry) -> Option<v1::Alarm> {
    let StoredContent::Control(content) = &entry.content else {
        return None;
    };
    let text = |name: &str| text(content, name);
    (text("type")? == TYPE).then_some(())?;
    Some(v1::Alarm {
        index: entry.index,
        time_ms: content.get("time_ms").and_then(Value::as_u64)?,
        code: text("code")?,
        by: text("by")?,
    })
}

fn text(content: &Map<String, Value>, name: &str) -> Option<String> {
    content.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}
