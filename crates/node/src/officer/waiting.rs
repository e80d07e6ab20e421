//! Hit notices that partners did not fetch: counts, and nothing of what is in them.

use hitmachine_core::{Covenant, PartnerId};
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};

use super::page::{self, OwnEntry};
use super::text::{local, own, plain};
use crate::language::Language;
use crate::view::table;

/// Hit notices by partner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WaitingView {
    /// The entry of this look at the hub.
    pub own: OwnEntry,
    /// In the order of the covenant.
    pub partners: Vec<WaitingRowView>,
    /// After how many days a notice that was not fetched is an alarm.
    pub notice_days: u32,
}

/// Those of one partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRowView {
    /// Short name.
    pub partner: String,
    /// Its name; the short name if the covenant has none.
    pub organisation: String,
    /// Not fetched.
    pub waiting: u64,
    /// When the oldest of these was asked (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Whether the oldest waits longer than it may.
    pub overdue: bool,
    /// Fetched, of those whose log entry is not erased.
    pub acknowledged: u64,
    /// Whether its node fetches at this moment.
    pub connected: bool,
}

impl WaitingView {
    pub(crate) fn new(own: OwnEntry, waiting: &v1::WaitingNotices, covenant: &Covenant) -> Self {
        let partners = waiting.partners.iter().map(|row| {
            let id: Option<PartnerId> = row.partner.parse().ok();
            let partner = id.and_then(|id| covenant.partner(&id));
            WaitingRowView {
                partner: row.partner.clone(),
                organisation: partner.map_or_else(|| row.partner.clone(), |partner| partner.name.clone()),
                waiting: row.waiting,
                oldest: (row.oldest_ms > 0).then(|| page::time(row.oldest_ms)),
                overdue: row.overdue,
                acknowledged: row.acknowledged,
                connected: row.connected,
            }
        });
        Self {
            own,
            partners: partners.collect(),
            notice_days: waiting.notice_days,
        }
    }

    /// As text for people.
    pub fn text(&self, language: Language) -> String {
        let mut out = table(&[
            language.pick("Instantie", "Organisation"),
            language.pick("Wachten", "Waiting"),
            language.pick("Oudste", "Oldest"),
            language.pick("Opgehaald", "Fetched"),
            language.pick("Verbonden", "Connected"),
        ]);
        for row in &self.partners {
            let late = if row.overdue {
                language.pick(" (te lang)", " (too long)")
            } else {
                ""
            };
            let oldest = row.oldest.as_deref().map(|at| format!("{}{late}", local(at)));
            let connected = if row.connected {
                language.pick("ja", "yes")
            } else {
                language.pick("nee", "no")
            };
            out.add_row([
                plain(&row.organisation),
                row.waiting.to_string(),
                oldest.unwrap_or_default(),
                row.acknowledged.to_string(),
                connected.to_owned(),
            ]);
        }
        let days = self.notice_days;
        let rule = match language {
            Language::Nl => format!("Na {days} dagen zonder ophalen volgt een alarm."),
            Language::En => format!("After {days} days without fetching there is an alarm."),
        };
        format!("{out}\n{rule}\n{}", own(&self.own, language))
    }
}
