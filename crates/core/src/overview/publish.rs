//! The tables of an overview, protected together.
//!
//! # What hangs together, and how it is protected
//!
//! 1. Questions by month and by purpose, and refusals by reason and organisation, share their totals: they are one
//!    network (`disclosure`), whose audit is exact. Whatever fits its totals could be the log, for a month says nothing about a
//!    purpose, nor a reason about a month. (Refusals have no purpose here: some reasons mean that there was none.)
//! 2. What each partner answered is nested under its purpose, without totals over purposes or partners. An answer is a
//!    hit if one partner at least knows the person, so hits lie between the most known at one partner and the sum of
//!    all: tables of purposes and of partners bind each other. Here every suppressed value must have a *witness*,
//!    another log with the same shown values: either some answer in which this partner's status could be another
//!    without another outcome, or an exchange between two answers under the same purpose that moves a status from the
//!    one to the other, so that an outcome changes and no partner's counts do ([`Purpose::exchanges`]). The statuses that
//!    occur say which of these there are, structure included: at partners that register different classes no answer has
//!    two hits. A purpose whose row would be bound too much has no table of partners.
//! 3. A partner is not asked about its own questions, so its total gives how many it asked. Where anybody's own number is
//!    small, the rows of all who ask are withheld. And those to whom a person's class does not apply are as many at each
//!    such partner: they are counted with the not known, unless there are enough of either class and no partner asks.
//! 4. Cases have no totals. They are at most as many as questions; where that would give a suppressed one, all of the
//!    purpose are withheld. Registrations are of today and sum up to nothing.
//!
//! Small counts in what is withheld are at least as unknown as if their cells were suppressed.

use std::collections::BTreeMap;

use hitmachine_audit::Period;

use super::linked::Linked;
use super::{Overview, Purpose};
use crate::covenant::{self, Covenant};
use crate::ids::{Oin, PartnerId, PurposeCode};
use crate::statistics::Table;

/// The tables of an overview. A count that is `None` is suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverviewTables {
    /// Counts from 1 to below this are suppressed.
    pub threshold: u64,
    /// Questions, by month.
    pub months: Vec<MonthRow>,
    /// Of all months; its counts of answered questions are those of all purposes too, and that of refusals theirs.
    pub all: MonthRow,
    /// Answered questions, by purpose.
    pub purposes: Vec<PurposeRow>,
    /// Answered questions.
    pub answered: Option<u64>,
    /// What consulted partners answered, by purpose and partner. Only of purposes that show it.
    pub consulted: Vec<ConsultedRow>,
    /// Refused requests by code and who asked; `None` is an organisation that is not in the covenant.
    pub refusals: Table<String, Option<PartnerId>>,
    /// Distinct cases, by purpose and who asked. Only of purposes that show them.
    pub cases: Vec<CaseRow>,
    /// Whether there are questions whose case was erased; they are in no case.
    pub some_without_case: bool,
    /// Registrations at the hub at this moment.
    pub registered: Vec<RegisteredRow>,
    /// Entries of these months that were erased, and so are in no table.
    pub erased: u64,
    /// Erased entries of which not even the time is left.
    pub erased_undated: u64,
    /// Entries of these months that this version cannot read; they are in no table.
    pub unreadable: u64,
}

/// One month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthRow {
    /// Which; `None` for all.
    pub month: Option<Period>,
    /// Hits, no hits, could not be asked (as [`ANSWERED`](super::ANSWERED)), refused.
    pub counts: [Option<u64>; 4],
    /// All questions.
    pub total: Option<u64>,
}

/// One purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurposeRow {
    /// Which.
    pub purpose: PurposeCode,
    /// As [`ANSWERED`](super::ANSWERED).
    pub counts: [Option<u64>; 3],
    /// All answered questions.
    pub total: Option<u64>,
    /// Whether what partners answered is shown.
    pub consulted: Detail,
    /// Whether its cases are shown.
    pub cases: Detail,
}

/// Whether a table is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it, but for suppressed counts.
    Shown,
    /// Nothing of it.
    Withheld,
}

/// What one partner answered under one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsultedRow {
    /// Under which purpose.
    pub purpose: PurposeCode,
    /// Who.
    pub partner: PartnerId,
    /// How often; `None` is withheld.
    pub counts: Option<ConsultedCounts>,
}

/// How often one partner gave each answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsultedCounts {
    /// It knows the person.
    pub known: Option<u64>,
    /// It does not.
    pub not_known: Option<u64>,
    /// It could not be asked.
    pub could_not_ask: Option<u64>,
    /// The covenant does not let it register persons of this class; `None` if these are counted as not known.
    pub does_not_apply: Option<u64>,
    /// All questions in which it was consulted.
    pub total: u64,
}

/// Cases of one organisation under one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseRow {
    /// Under which purpose.
    pub purpose: PurposeCode,
    /// Who asked; `None` if it is not in the covenant any more.
    pub partner: Option<PartnerId>,
    /// How many.
    pub count: Option<u64>,
}

/// What one partner has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredRow {
    /// Who.
    pub partner: PartnerId,
    /// It answers itself and has nothing at the hub.
    pub live: bool,
    /// How many registrations.
    pub count: Option<u64>,
}

impl Overview {
    /// The tables, with counts below `threshold` suppressed and as many others as it takes (see the module).
    /// `registrations` are those at the hub now.
    pub fn publish(
        &self,
        covenant: &Covenant,
        registrations: &BTreeMap<PartnerId, u64>,
        threshold: u64,
    ) -> OverviewTables {
        let partner = |oin: &Oin| covenant.partner_by_oin(oin).map(|partner| partner.id.clone());
        let mut purposes: BTreeMap<PurposeCode, Purpose> = self.purposes.clone();
        for purpose in covenant.purposes() {
            purposes.entry(purpose.code.clone()).or_default();
        }
        let mut refusals: BTreeMap<(String, Option<PartnerId>), u64> = BTreeMap::new();
        for ((code, oin), count) in &self.refusals {
            *refusals.entry((code.clone(), partner(oin))).or_default() += count;
        }
        let mut cases: BTreeMap<(PurposeCode, Option<PartnerId>), u64> = BTreeMap::new();
        for ((oin, purpose), count) in &self.cases {
            *cases.entry((purpose.clone(), partner(oin))).or_default() += count;
        }
        let mut linked = Linked::new(&self.months, &purposes, &refusals);
        linked.suppress(threshold);
        let (mut rows, mut consulted, mut case_rows) = (Vec::new(), Vec::new(), Vec::new());
        for (code, purpose) in &purposes {
            let mut row = linked.purpose_row(code);
            let own = cases.iter().filter(|((of, _), _)| of == code);
            let own: Vec<_> = own
                .map(|((_, partner), count)| (partner.clone(), *count))
                .collect();
            if row.total.is_some() && cases_stand(&own, purpose.total(), threshold) {
                row.cases = Detail::Shown;
                case_rows.extend(own.into_iter().map(|(partner, count)| CaseRow {
                    purpose: code.clone(),
                    partner,
                    count: Some(count).filter(|count| *count >= threshold),
                }));
            }
            let table = purpose.table(threshold).filter(|_| row.total.is_some());
            if let Some(table) = table.filter(|table| linked.bind(code, purpose, table)) {
                row.consulted = Detail::Shown;
                consulted.extend(table.into_iter().map(|(partner, counts)| ConsultedRow {
                    purpose: code.clone(),
                    partner,
                    counts,
                }));
            }
            rows.push(row);
        }
        let registering = covenant
            .partners()
            .iter()
            .filter(|partner| !partner.registers.is_empty());
        let registered = registering.map(|partner| RegisteredRow {
            partner: partner.id.clone(),
            live: partner.answers == covenant::Answers::Live,
            count: Some(registrations.get(&partner.id).copied().unwrap_or(0))
                .filter(|count| *count == 0 || *count >= threshold),
        });
        OverviewTables {
            threshold,
            months: linked.month_rows(),
            all: linked.all(),
            purposes: rows,
            answered: linked.answered(),
            consulted,
            refusals: linked.refusals(),
            cases: case_rows,
            some_without_case: self.without_case > 0,
            registered: registered.collect(),
            erased: self.erased,
            erased_undated: self.erased_undated,
            unreadable: self.unreadable,
        }
    }
}

/// Whether no suppressed number of cases is given by there being no more cases than questions: then each might be one
/// more, or each is more than one and might be one fewer.
fn cases_stand(cases: &[(Option<PartnerId>, u64)], questions: u64, threshold: u64) -> bool {
    let (small, shown): (Vec<u64>, Vec<u64>) = cases
        .iter()
        .map(|(_, count)| *count)
        .partition(|count| *count < threshold);
    let least = shown.iter().sum::<u64>() + small.len() as u64;
    small.is_empty() || least < questions
}
