//! Alarms: what partners or their privacy officers must hear of. Each is a public entry of the log.
//!
//! Whose node is told of which, `hitmachine_core::alarm` says. An entry names the partner and never a person: who of
//! the partner it was is a keyed digest, and the number of a sealed entry in which an officer finds the name.

mod book;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hitmachine_audit::{CommitHandle, Draft, Evidence, LogVerifier, Receipt, StoredEntry, Verdict};
use hitmachine_core::alarm::AlarmKind;
use hitmachine_core::quota::Digest;
use hitmachine_core::usage::Notice;
use hitmachine_core::{Clock, Covenant, PartnerId};
use hitmachine_proto::v1;
use serde_json::json;

use crate::witness::Witnesses;

pub(crate) use book::{Act, Book, Logged, act_of_entry};

/// Most alarms that a node is told; older ones are in the log.
const MOST: usize = 256;

/// All alarms, in the log and at the nodes.
pub(crate) struct Alarms {
    verifier: LogVerifier,
    witnesses: Arc<Witnesses>,
    clock: Arc<dyn Clock>,
    log: OnceLock<CommitHandle>,
    book: Mutex<Book>,
}

impl Alarms {
    /// With the alarms that stand in the log already.
    pub(crate) fn new(
        verifier: LogVerifier,
        witnesses: Arc<Witnesses>,
        clock: Arc<dyn Clock>,
        logged: Book,
    ) -> Arc<Self> {
        let alarms = Self {
            verifier,
            witnesses,
            clock,
            log: OnceLock::new(),
            book: Mutex::new(logged),
        };
        alarms.tell();
        Arc::new(alarms)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets alarms be logged; until then they are refused, since nothing is signed yet.
    pub(crate) fn log_to(&self, log: CommitHandle) {
        // Called once.
        let _ = self.log.set(log);
    }

    /// Every alarm, oldest first.
    pub(crate) fn list(&self) -> Vec<v1::Alarm> {
        self.book().alarms().map(|logged| logged.alarm.clone()).collect()
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

    /// Logs an alarm and tells the nodes whose business it is. `partner` is the one that it is about, or the one that
    /// reported it if it is about the log; empty for the hub.
    pub(crate) fn raise(self: &Arc<Self>, code: &str, partner: &str) {
        let partner = partner.to_owned();
        let about = AlarmKind::of(code).is_about_a_partner();
        let (by, about) = if about {
            (String::new(), partner)
        } else {
            (partner, String::new())
        };
        self.log(code, by, about, 0, None);
    }

    /// Logs what was noticed of a partner's use. `entry` is the log entry that it follows from, counted from 1. Whether
    /// the log has it or takes it; if not, it is to be tried again.
    pub(crate) fn noticed(self: &Arc<Self>, notice: &Notice, entry: u64) -> bool {
        let about = notice.partner.to_string();
        self.log(notice.code, String::new(), about, entry, notice.who)
    }

    fn log(self: &Arc<Self>, code: &str, by: String, about: String, entry: u64, who: Option<Digest>) -> bool {
        let time_ms = u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0);
        let logged = Logged {
            alarm: v1::Alarm {
                time_ms,
                code: code.to_owned(),
                by,
                about,
                entry,
                stops: who.is_some(),
                ..v1::Alarm::default()
            },
            who,
        };
        if !self.book().begin(&logged) {
            return true;
        }
        let alarm = &logged.alarm;
        tracing::error!(code, by = alarm.by, about = alarm.about, "alarm");
        let mut content = json!({"type": book::ALARM, "code": code, "by": alarm.by, "time_ms": time_ms});
        if let Some(fields) = content.as_object_mut() {
            if !alarm.about.is_empty() {
                fields.insert("about".to_owned(), json!(alarm.about));
            }
            if entry > 0 {
                fields.insert("entry".to_owned(), json!(entry));
            }
            if let Some(who) = who {
                fields.insert("who".to_owned(), json!(who.to_string()));
            }
        }
        let (Ok(draft), Some(log)) = (Draft::control(&content), self.log.get()) else {
            self.book().ended(&logged, None);
            return false;
        };
        let (alarms, waiting) = (Arc::clone(self), logged.clone());
        let submitted = log.submit(vec![draft], Vec::new(), move |result| {
            let receipts = result.map(|committed| committed.receipts).unwrap_or_default();
            let index = receipts.first().map(Receipt::leaf_index);
            alarms.book().ended(&waiting, index);
            alarms.tell();
        });
        if let Err(error) = &submitted {
            tracing::error!(%error, "the alarm could not be logged");
            self.book().ended(&logged, None);
        }
        submitted.is_ok()
    }

    /// Whether every alarm that was raised is in the log.
    pub(crate) fn all_logged(&self) -> bool {
        self.book().is_settled()
    }

    /// The alarm at this place of the log.
    pub(crate) fn at(&self, index: u64) -> Option<Logged> {
        self.book()
            .alarms()
            .find(|logged| logged.alarm.index == index)
            .cloned()
    }

    /// The alarm that stops somebody now.
    pub(crate) fn stop_of(&self, who: &Digest) -> Option<Logged> {
        self.book().stop_of(who).cloned()
    }

    /// The entry that says what an officer did about an alarm.
    pub(crate) fn draft(act: Act, alarm: u64, by: &str, time_ms: u64) -> Option<Draft> {
        Draft::control(&json!({"type": act.code(), "alarm": alarm, "by": by, "time_ms": time_ms})).ok()
    }

    /// An officer's act is in the log.
    pub(crate) fn acted(&self, act: Act, alarm: u64, time_ms: u64) {
        self.book().acted(act, alarm, time_ms);
        self.tell();
    }

    fn tell(&self) {
        self.witnesses.alarms().send_replace(self.list());
    }
}

/// What a partner's node is told: what is its business, of what is no partner's log alarm only what nobody has dealt
/// with, and nothing of what officers did.
pub(crate) fn told(alarms: &[v1::Alarm], covenant: &Covenant, partner: &PartnerId) -> Vec<v1::Alarm> {
    let told = alarms.iter().filter(|alarm| {
        let kind = AlarmKind::of(&alarm.code);
        kind.is_for(covenant, &alarm.about, partner)
            && (!kind.is_about_a_partner() || alarm.acknowledged_ms == 0)
    });
    let told = told.map(|alarm| v1::Alarm {
        acknowledged_ms: 0,
        lifted_ms: 0,
        user: String::new(),
        ..alarm.clone()
    });
    let mut told: Vec<_> = told.collect();
    told.drain(..told.len().saturating_sub(MOST));
    told
}

/// The alarms of a log and what officers did about them.
pub(crate) fn book(entries: impl IntoIterator<Item = StoredEntry>) -> Book {
    let mut book = Book::default();
    for entry in entries {
        book.read(&entry);
    }
    book
}
