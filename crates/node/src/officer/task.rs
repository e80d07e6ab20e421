//! What the command line asks of a node on behalf of a privacy officer, and what the node says.

use serde::{Deserialize, Serialize};

use super::alarms::{AlarmChangedView, AlarmsView};
use super::overlap::OverlapView;
use super::overview::OverviewView;
use super::page::{ErasureView, OwnEntry, PageView};
use super::published::VerifyView;
use super::waiting::WaitingView;
use crate::control::AskPerson;

/// One task, with who does it and why.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficerAsk {
    /// Who.
    pub user: String,
    /// In which role.
    pub role: String,
    /// On whose behalf.
    pub responsible: Option<String>,
    /// Why: a file, an instruction, a request.
    pub reference: String,
    /// What.
    pub task: Task,
}

/// What is to be done.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One page of a search.
    Search(SearchAsk),
    /// These entries, whatever they are, from 0.
    Show(Vec<u64>),
    /// Counts by organisation, purpose and month.
    Statistics(Range),
    /// Counts of all questions together from each of these times up to the next, ascending, in ms since 1970. For the
    /// officer's own eyes: small counts are in it.
    Trend(Vec<u64>),
    /// Whether each index has a payload or a covering erasure.
    Completeness,
    /// A note on an entry.
    Review {
        /// Which, from 0.
        index: u64,
        /// `in_order`, `question` or `breach`.
        verdict: String,
        /// Why.
        note: String,
    },
    /// Hit notices that partners did not fetch.
    Notices,
    /// Alarms in the log.
    Alarms,
    /// An alarm was seen.
    Acknowledge {
        /// Its entry, from 0.
        index: u64,
        /// What was found.
        note: String,
    },
    /// Allow questions again that were stopped.
    Lift {
        /// Whose, by the short name of the partner.
        organisation: String,
        /// Of which of its people; empty for the whole partner.
        user: String,
        /// Why.
        note: String,
    },
    /// Erase what has reached its term.
    Erase {
        /// Up to and including this month (yyyy-mm), before its term; empty for terms only.
        up_to: String,
    },
    /// Random entries.
    Sample {
        /// How many.
        count: u32,
        /// From when to when.
        range: Range,
    },
    /// Check the whole published log.
    Verify,
    /// Compare the log with this node's journal.
    Overlap(Range),
    /// The overview of a year or a quarter.
    Overview {
        /// In UTC.
        year: u32,
        /// 1 to 4; 0 for the whole year.
        quarter: u32,
        /// Counts from 1 to below this are suppressed; 0 for the usual.
        threshold: u32,
    },
}

/// A stretch of time in ms since 1970, both ends included; 0 is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// From when.
    pub from_ms: u64,
    /// To when.
    pub to_ms: u64,
}

/// A search as typed. Empty texts do not restrict.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchAsk {
    /// When.
    pub range: Range,
    /// Partner that asked, by its short name.
    pub organisation: String,
    /// Person that asked.
    pub user: String,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// `hit`, `no_hit`, `could_not_ask`, `refused` or `officer`.
    pub outcome: String,
    /// About whom; looked up under every key epoch that this node has.
    pub person: Option<AskPerson>,
    /// Only entries below this index; 0 for no bound.
    pub before: u64,
    /// At most so many entries, 1 to 500.
    pub limit: u32,
    /// What for.
    pub aim: Aim,
    /// Whether the proofs come along.
    pub proofs: bool,
}

/// What entries are for; the log says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// To be shown.
    #[default]
    View,
    /// To be written to a file.
    Export,
    /// For the person they are about: without users and cases.
    Report,
    /// As data-processing records: without users and cases.
    Ldv,
}

/// What a node says to an officer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfficerReply {
    /// Entries.
    Page(Box<PageView>),
    /// Counts.
    Statistics(StatisticsView),
    /// Counts by stretches of time.
    Trend(TrendView),
    /// What is there of the log.
    Completeness(CompletenessView),
    /// The note is an entry.
    Reviewed(OwnEntry),
    /// Hit notices that partners did not fetch.
    Notices(WaitingView),
    /// Alarms in the log.
    Alarms(AlarmsView),
    /// An alarm as it is now.
    AlarmChanged(Box<AlarmChangedView>),
    /// What was erased.
    Erased(ErasedView),
    /// The published log was checked.
    Verified(VerifyView),
    /// Log and journal were compared.
    Overlap(OverlapView),
    /// The overview.
    Overview(Box<OverviewView>),
}

/// A table of counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatisticsView {
    /// The entry of this look at the log.
    pub own: OwnEntry,
    /// By month, organisation and purpose.
    pub rows: Vec<StatisticsRowView>,
    /// Counts below this are suppressed.
    pub threshold: u32,
}

/// One row of it. `null` is suppressed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatisticsRowView {
    /// yyyy-mm.
    pub month: String,
    /// OIN of the organisation.
    pub oin: String,
    /// Its name; the OIN if the covenant has none.
    pub organisation: String,
    /// Short name of the purpose; empty if the question named none that the covenant has.
    pub purpose: String,
    /// Hits.
    pub hit: Option<u64>,
    /// No hits.
    pub no_hit: Option<u64>,
    /// Neither, because a partner could not be asked.
    pub could_not_ask: Option<u64>,
    /// Refused questions.
    pub refused: Option<u64>,
    /// Officers' actions.
    pub officer: Option<u64>,
    /// All together.
    pub total: Option<u64>,
}

/// Counts by stretches of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrendView {
    /// The entry of this look at the log.
    pub own: OwnEntry,
    /// In the order of time.
    pub stretches: Vec<StretchView>,
}

/// All questions of one stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StretchView {
    /// When it begins, in ms since 1970; it ends where the next begins.
    pub from_ms: u64,
    /// Somebody knows the person.
    pub hit: u64,
    /// Nobody does.
    pub no_hit: u64,
    /// Neither, because a partner could not be asked.
    pub could_not_ask: u64,
    /// Refused questions.
    pub refused: u64,
    /// Officers' actions.
    pub officer: u64,
}

impl StretchView {
    /// Questions, answered or not; officers' actions are none.
    pub fn questions(&self) -> u64 {
        let answered = self
            .hit
            .saturating_add(self.no_hit)
            .saturating_add(self.could_not_ask);
        answered.saturating_add(self.refused)
    }
}

/// What is there of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CompletenessView {
    /// The entry of this look at the log.
    pub own: OwnEntry,
    /// Entries looked at.
    pub entries: u64,
    /// Public control entries.
    pub control: u64,
    /// With all their fields.
    pub whole: u64,
    /// Users and cases erased, the rest there.
    pub processing_only: u64,
    /// Erased.
    pub erased: u64,
    /// The first entry, from 0, that is neither there nor erased.
    pub first_bad: Option<u64>,
    /// Why not.
    pub reason: String,
}

/// What was erased.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErasedView {
    /// The entry of this action.
    pub own: OwnEntry,
    /// What was done now.
    pub erasures: Vec<ErasureView>,
}
