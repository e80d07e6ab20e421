//! What this node found wrong with the hub's log, and what it was told: kept, reported and shown in the status.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hitmachine_audit::Evidence;
use hitmachine_core::Clock;
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::state::{State, StateError};

const OWN: &str = "alarms";
const LIVE_QUESTION: &str = "live_question_refused";
/// The same alarm about live questions is not raised again for so long, in milliseconds.
const AGAIN_AFTER_MS: i64 = 60 * 60 * 1000;
/// Most own alarms that are kept; the evidence files stay.
const MOST: usize = 100;

/// An alarm, as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// When, RFC 3339.
    pub at: String,
    /// Stable code.
    pub code: String,
    /// Who found it; empty for the hub.
    pub by: String,
    /// The partner it is about; empty if it is about the log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Its entry in the log, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Where this node keeps the evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PathBuf>,
    /// Whether the hub has logged it.
    #[serde(default)]
    pub reported: bool,
}

/// All alarms that this node knows of.
pub(crate) struct Alarms {
    dir: PathBuf,
    partner: String,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    own: Mutex<Vec<Alarm>>,
    told: Mutex<Vec<Alarm>>,
    reports: watch::Sender<Vec<v1::AlarmReport>>,
}

impl Alarms {
    pub(crate) fn load(
        dir: PathBuf,
        partner: String,
        state: Arc<State>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        let own = state.value(OWN)?;
        let own = own.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        let own: Vec<Alarm> = own.map_err(|_| StateError::DoesNotOpen)?.unwrap_or_default();
        // What an earlier run found and could not tell.
        let due = own.iter().filter(|alarm| !alarm.reported).map(report).collect();
        Ok(Self {
            dir,
            partner,
            state,
            clock,
            own: Mutex::new(own),
            told: Mutex::default(),
            reports: watch::channel(due).0,
        })
    }

    /// Own ones and those that the hub told of, oldest first.
    pub(crate) fn all(&self) -> Vec<Alarm> {
        let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |alarm: &&Alarm| alarm.by != self.partner || !is_report(&alarm.code);
        all.extend(told.iter().filter(others).cloned());
        all.sort_by(|a, b| a.at.cmp(&b.at));
        all
    }

    /// Reports that are still to be sent; each stream sends all of them again, and the hub leaves out what it has.
    pub(crate) fn reports(&self) -> watch::Receiver<Vec<v1::AlarmReport>> {
        self.reports.subscribe()
    }

    /// What the hub tells of; replaces what it told before.
    pub(crate) fn told(&self, alarms: Vec<v1::Alarm>) {
        let alarms = alarms.into_iter().map(|alarm| Alarm {
            at: time(alarm.time_ms),
            code: alarm.code,
            by: alarm.by,
            about: alarm.about,
            log_index: Some(alarm.index),
            evidence: None,
            reported: true,
        });
        let alarms: Vec<Alarm> = alarms.collect();
        self.are_reported(&alarms);
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = alarms;
    }

    /// What the hub has logged in this partner's name need not be reported again.
    fn are_reported(&self, told: &[Alarm]) {
        let logged = told
            .iter()
            .filter(|alarm| alarm.by == self.partner && is_report(&alarm.code))
            .map(|alarm| alarm.at.as_str())
            .max();
        let Some(logged) = logged else { return };
        let bytes = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            if own
                .iter()
                .all(|alarm| alarm.reported || alarm.at.as_str() > logged)
            {
                return;
            }
            for alarm in own.iter_mut().filter(|alarm| alarm.at.as_str() <= logged) {
                alarm.reported = true;
            }
            let due = own.iter().filter(|alarm| !alarm.reported).map(report).collect();
            self.reports.send_replace(due);
            serde_json::to_vec(&*own).unwrap_or_default()
        };
        self.remember(bytes);
    }

    fn remember(&self, own: Vec<u8>) {
        if let Err(error) = self.state.set_values(&[(OWN, own)]) {
            tracing::error!(%error, "the alarms could not be remembered");
        }
    }

    /// Two signed notes that do not fit: kept, reported, shown.
    pub(crate) fn contradiction(&self, name: &str, evidence: &Evidence) {
        let text = evidence.to_text();
        let file = self.keep(&format!("{name}-{}.evidence", self.stamp()), &text);
        self.raise("log_not_continued", file);
    }

    /// A receipt that does not hold: `text` is what proves it, without anything of the question.
    pub(crate) fn receipt(&self, name: &str, text: &[u8]) {
        let file = self.keep(&format!("{name}.txt"), text);
        self.raise("receipt_refused", file);
    }

    /// The hub forwarded a question that no partner asked, or that the covenant does not grant. Raised once an hour at
    /// most: the live journal has each of them.
    pub(crate) fn live_question(&self) {
        let since = self.clock.now().as_millisecond().saturating_sub(AGAIN_AFTER_MS);
        let since = time(u64::try_from(since).unwrap_or(0));
        let recent = |alarm: &Alarm| alarm.code == LIVE_QUESTION && alarm.at > since;
        let is_known = self
            .own
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .any(recent);
        if !is_known {
            self.raise(LIVE_QUESTION, None);
        }
    }

    fn stamp(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    fn raise(&self, code: &str, evidence: Option<PathBuf>) {
        let ms = u64::try_from(self.stamp()).unwrap_or(0);
        tracing::error!(code, "the hub is not what it says; alarm");
        let bytes = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            own.push(Alarm {
                at: time(ms),
                code: code.to_owned(),
                by: self.partner.clone(),
                about: String::new(),
                log_index: None,
                evidence,
                reported: false,
            });
            let surplus = own.len().saturating_sub(MOST);
            own.drain(..surplus);
            let due = own.iter().filter(|alarm| !alarm.reported).map(report).collect();
            self.reports.send_replace(due);
            serde_json::to_vec(&*own).unwrap_or_default()
        };
        self.remember(bytes);
    }

    fn keep(&self, name: &str, text: &[u8]) -> Option<PathBuf> {
        match write(&self.dir, name, text) {
            Ok(path) => {
                tracing::error!(path = %path.display(), "evidence kept");
                Some(path)
            }
            Err(error) => {
                tracing::error!(%error, "evidence could not be kept");
                None
            }
        }
    }
}

/// Whether an alarm is one that a node reports, and not one about the partner that it names.
fn is_report(code: &str) -> bool {
    ["fork_proven", "log_not_continued", "receipt_refused", "reported"].contains(&code)
}

/// What the hub is told of an alarm: evidence that it can check, if there is any.
fn report(alarm: &Alarm) -> v1::AlarmReport {
    let is_evidence = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "evidence");
    let evidence = alarm
        .evidence
        .as_ref()
        .filter(is_evidence)
        .and_then(|path| fs::read(path).ok());
    let code = match alarm.code.as_str() {
        LIVE_QUESTION => LIVE_QUESTION,
        _ if evidence.is_some() => "fork",
        _ => "receipt",
    };
    v1::AlarmReport {
        code: code.to_owned(),
        evidence: evidence.unwrap_or_default(),
    }
}

/// For its owner only: it says when this organisation asked.
fn write(dir: &Path, name: &str, text: &[u8]) -> std::io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let path = dir.join(name);
    let mut file = fs::OpenOptions::new();
    file.write(true).create(true).truncate(true).mode(0o600);
    let mut file = file.open(&path)?;
    file.write_all(text)?;
    file.sync_all()?;
    Ok(path)
}

fn time(ms: u64) -> String {
    let at = i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(String::new, |at| at.to_string())
}
