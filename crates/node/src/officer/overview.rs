//! The overview for a council: the hub's protected tables with the covenant's names.
//!
//! Everything that is shown, written or drawn comes from [`Report`]; what is added up here is added up from published
//! counts only, so it says nothing that they do not say.

use hitmachine_core::{Covenant, PartnerId, PurposeCode};
use hitmachine_proto::v1;
use serde::{Deserialize, Serialize};

use super::page::{self, OwnEntry};
use crate::language::Language;

/// An overview, and the entry of this look at the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OverviewView {
    /// The entry.
    pub own: OwnEntry,
    /// The overview.
    pub report: Report,
}

/// The overview. A count that is `null` is suppressed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Title of the covenant.
    pub covenant: String,
    /// Its number.
    pub covenant_number: u32,
    /// First month, yyyy-mm, in UTC.
    pub first_month: String,
    /// Last month.
    pub last_month: String,
    /// Whether the last month was over when this was counted.
    pub over: bool,
    /// When it was counted, RFC 3339.
    pub counted_at: String,
    /// Log entry of this overview, as people count them.
    pub log_entry: u64,
    /// Counts from 1 to below this are suppressed.
    pub threshold: u32,
    /// Questions by month, of those that have begun.
    pub months: Vec<MonthView>,
    /// Questions of all months.
    pub all: MonthView,
    /// Answered questions by purpose.
    pub purposes: Vec<PurposeView>,
    /// All answered questions.
    pub answered: Option<u64>,
    /// What partners answered, by purpose.
    pub consulted: Vec<ConsultedView>,
    /// How often each partner could be asked, over the purposes in `consulted`.
    pub response: Vec<ResponseView>,
    /// Who asked what was refused, the columns of `refusals`.
    pub refused_askers: Vec<String>,
    /// Refused requests by reason; the last row are all.
    pub refusals: Vec<RefusalView>,
    /// Distinct cases by purpose and who asked.
    pub cases: Vec<CaseView>,
    /// There are questions whose case was erased; they are in no case.
    pub some_without_case: bool,
    /// Registrations at the hub when this was counted.
    pub registered: Vec<RegisteredView>,
    /// Entries of these months that were erased, and so are in no table.
    pub erased: u64,
    /// Erased entries of which not even the time is left.
    pub erased_undated: u64,
    /// Entries of these months that could not be read, and so are in no table.
    pub unreadable: u64,
}

/// Questions of one month.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthView {
    /// yyyy-mm; empty for all.
    pub month: String,
    /// Somebody knows the person.
    pub hit: Option<u64>,
    /// Nobody does.
    pub no_hit: Option<u64>,
    /// Nobody who could be asked does.
    pub could_not_ask: Option<u64>,
    /// Not answered.
    pub refused: Option<u64>,
    /// All together.
    pub total: Option<u64>,
}

/// Answered questions of one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurposeView {
    /// Short name.
    pub purpose: String,
    /// Name for people.
    pub title: String,
    /// Somebody knows the person.
    pub hit: Option<u64>,
    /// Nobody does.
    pub no_hit: Option<u64>,
    /// Nobody who could be asked does.
    pub could_not_ask: Option<u64>,
    /// All together.
    pub total: Option<u64>,
    /// What partners answered is withheld.
    pub consulted_withheld: bool,
    /// So are its cases.
    pub cases_withheld: bool,
}

/// What one partner answered under one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsultedView {
    /// Short name of the purpose.
    pub purpose: String,
    /// Short name of the partner.
    pub partner: String,
    /// Its name.
    pub name: String,
    /// Nothing of it is shown.
    pub withheld: bool,
    /// Hits.
    pub known: Option<u64>,
    /// Not known; with those to whom it does not apply if `together`.
    pub not_known: Option<u64>,
    /// Could not be asked.
    pub could_not_ask: Option<u64>,
    /// The covenant does not let it register such persons.
    pub does_not_apply: Option<u64>,
    /// Those to whom it does not apply are counted as not known.
    pub together: bool,
    /// All questions.
    pub total: Option<u64>,
}

/// How often a partner could be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseView {
    /// Short name.
    pub partner: String,
    /// Its name.
    pub name: String,
    /// It answers each question itself.
    pub live: bool,
    /// Answers.
    pub answered: Option<u64>,
    /// Questions without an answer.
    pub could_not_ask: Option<u64>,
}

impl ResponseView {
    /// Answers of 100 questions, rounded down so that 100 means all.
    pub fn percent(&self) -> Option<u64> {
        let (answered, not) = (self.answered?, self.could_not_ask?);
        answered
            .saturating_mul(100)
            .checked_div(answered.saturating_add(not))
    }
}

/// Requests refused for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    /// Stable code; empty for all.
    pub code: String,
    /// By who asked.
    pub counts: Vec<Option<u64>>,
    /// All together.
    pub total: Option<u64>,
}

/// Cases of one organisation under one purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseView {
    /// Short name of the purpose.
    pub purpose: String,
    /// Name of who asked; empty if it is not in the covenant any more.
    pub organisation: String,
    /// How many.
    pub count: Option<u64>,
}

/// What one partner has registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredView {
    /// Short name.
    pub partner: String,
    /// Its name.
    pub name: String,
    /// It answers itself and registers nothing.
    pub live: bool,
    /// How many.
    pub count: Option<u64>,
}

/// -1 is suppressed, and so is what is not there.
fn shown(count: i64) -> Option<u64> {
    u64::try_from(count).ok()
}

impl Report {
    /// The tables as the hub gave them, in the words of the covenant.
    pub(super) fn new(tables: &v1::OverviewTables, covenant: &Covenant, entry: u64) -> Self {
        let name = |id: &str| {
            let partner = id.parse().ok().and_then(|id: PartnerId| covenant.partner(&id));
            partner.map_or_else(|| id.to_owned(), |partner| partner.name.clone())
        };
        let title = |code: &str| {
            let purpose = code
                .parse()
                .ok()
                .and_then(|code: PurposeCode| covenant.purpose(&code));
            purpose.map_or_else(|| code.to_owned(), |purpose| purpose.title.clone())
        };
        let (all, months): (Vec<_>, Vec<_>) = tables
            .months
            .iter()
            .map(month)
            .partition(|row| row.month.is_empty());
        let consulted: Vec<ConsultedView> = tables
            .consulted
            .iter()
            .map(|row| ConsultedView {
                name: name(&row.partner),
                ..consulted(row)
            })
            .collect();
        let end = |row: Option<&MonthView>| row.map_or_else(String::new, |row| row.month.clone());
        let (first_month, last_month) = (end(months.first()), end(months.last()));
        // A month that has not begun has no questions, and a 0 would read as if nobody had asked.
        let counted_at = page::time(tables.counted_ms);
        let now = counted_at.get(..7).unwrap_or_default();
        let months: Vec<MonthView> = months
            .into_iter()
            .filter(|row| row.month.as_str() <= now)
            .collect();
        Self {
            covenant: covenant.title().to_owned(),
            covenant_number: covenant.number(),
            first_month,
            last_month,
            over: tables.over,
            counted_at,
            log_entry: entry.saturating_add(1),
            threshold: tables.threshold,
            all: all.into_iter().next().unwrap_or_default(),
            months,
            purposes: tables
                .purposes
                .iter()
                .map(|row| PurposeView {
                    title: title(&row.purpose),
                    ..purpose(row)
                })
                .collect(),
            answered: shown(tables.answered),
            response: response(&consulted, covenant),
            consulted,
            refused_askers: tables.refused_askers.iter().map(|id| name(id)).collect(),
            refusals: tables
                .refusals
                .iter()
                .map(|row| RefusalView {
                    code: row.code.clone(),
                    counts: row.counts.iter().copied().map(shown).collect(),
                    total: shown(row.total),
                })
                .collect(),
            cases: tables
                .cases
                .iter()
                .map(|row| CaseView {
                    purpose: row.purpose.clone(),
                    organisation: name(&row.partner),
                    count: shown(row.count),
                })
                .collect(),
            some_without_case: tables.some_without_case,
            registered: tables
                .registered
                .iter()
                .map(|row| RegisteredView {
                    partner: row.partner.clone(),
                    name: name(&row.partner),
                    live: row.live,
                    count: shown(row.count),
                })
                .collect(),
            erased: tables.erased,
            erased_undated: tables.erased_undated,
            unreadable: tables.unreadable,
        }
    }

    /// The whole report as a page to print.
    pub fn html(&self, language: Language) -> String {
        super::overview_html::html(self, language)
    }

    /// What stands on that page under its heading, for a page around it: HTML without styles, every text escaped.
    pub fn body(&self, language: Language) -> String {
        super::overview_html::body(self, language)
    }

    /// Title of a purpose of this overview.
    pub(super) fn title(&self, purpose: &str) -> String {
        let row = self.purposes.iter().find(|row| row.purpose == purpose);
        row.map_or_else(|| purpose.to_owned(), |row| row.title.clone())
    }
}

fn month(row: &v1::OverviewMonth) -> MonthView {
    let count = |place: usize| row.counts.get(place).copied().and_then(shown);
    MonthView {
        month: row.month.clone(),
        hit: count(0),
        no_hit: count(1),
        could_not_ask: count(2),
        refused: count(3),
        total: shown(row.total),
    }
}

fn purpose(row: &v1::OverviewPurpose) -> PurposeView {
    let count = |place: usize| row.counts.get(place).copied().and_then(shown);
    PurposeView {
        purpose: row.purpose.clone(),
        title: String::new(),
        hit: count(0),
        no_hit: count(1),
        could_not_ask: count(2),
        total: shown(row.total),
        consulted_withheld: row.consulted_withheld,
        cases_withheld: row.cases_withheld,
    }
}

fn consulted(row: &v1::OverviewConsulted) -> ConsultedView {
    let count = |count: i64| shown(count).filter(|_| !row.withheld);
    ConsultedView {
        purpose: row.purpose.clone(),
        partner: row.partner.clone(),
        name: String::new(),
        withheld: row.withheld,
        known: count(row.known),
        not_known: count(row.not_known),
        could_not_ask: count(row.could_not_ask),
        does_not_apply: count(row.does_not_apply),
        together: !row.withheld && row.does_not_apply == -2,
        total: count(row.total),
    }
}

/// Partners in the covenant's order, each over all purposes in which it is shown; suppressed if one of these is.
fn response(consulted: &[ConsultedView], covenant: &Covenant) -> Vec<ResponseView> {
    let mut found = Vec::new();
    for partner in covenant.partners() {
        let id = partner.id.as_str();
        let rows: Vec<&ConsultedView> = consulted
            .iter()
            .filter(|row| row.partner == id && !row.withheld)
            .collect();
        if rows.is_empty() {
            continue;
        }
        let could_not_ask: Option<u64> = rows.iter().map(|row| row.could_not_ask).sum();
        let asked: Option<u64> = rows
            .iter()
            .map(|row| Some(row.total?.saturating_sub(row.does_not_apply.unwrap_or(0))))
            .sum();
        let answered = asked
            .zip(could_not_ask)
            .map(|(asked, not)| asked.saturating_sub(not));
        found.push(ResponseView {
            partner: id.to_owned(),
            name: partner.name.clone(),
            live: partner.answers == hitmachine_core::covenant::Answers::Live,
            answered,
            could_not_ask,
        });
    }
    found
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
