//! What of a screening may be shared: how many persons are known in which combination of organisations, with small
//! numbers left out.

use std::collections::BTreeMap;

use hitmachine_core::combinations::{Cell, protect};

use super::{ScreenResult, ScreeningReport};
use crate::view::StatusWord;

/// What became of the persons of one combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An answer.
    Answered,
    /// The hub refused to answer.
    Refused,
    /// Nobody could be asked.
    NotAsked,
}

/// One combination that occurs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Combination {
    pub(super) kind: Kind,
    /// Places of the organisations where they are known, ascending.
    pub(super) known: Vec<usize>,
    /// Places of those that could not be asked.
    pub(super) could_not: Vec<usize>,
}

impl Combination {
    /// Answered, and known nowhere.
    fn is_unknown(&self) -> bool {
        self.kind == Kind::Answered && self.known.is_empty()
    }
}

/// Counts to show; `None` is left out.
pub(super) struct Picture {
    /// Names of the organisations.
    pub(super) partners: Vec<String>,
    /// What occurs: first what is counted, the largest first, then what is left out, in an order that says nothing.
    pub(super) rows: Vec<(Combination, Option<u64>)>,
    /// Persons known at each organisation, and persons about whom it could not be asked.
    pub(super) known: Vec<Option<u64>>,
    pub(super) could_not: Vec<Option<u64>>,
    pub(super) answered: Option<u64>,
    pub(super) refused: Option<u64>,
    pub(super) not_asked: Option<u64>,
    pub(super) persons: Option<u64>,
    pub(super) households: Option<u64>,
    /// Households of which every person was answered and nobody is known.
    pub(super) households_not_known: Option<u64>,
    pub(super) bad_rows: Option<u64>,
    pub(super) threshold: u64,
}

impl Picture {
    /// Of a report; with a threshold of 0 nothing is left out.
    pub(super) fn of(report: &ScreeningReport, threshold: u64) -> Self {
        let columns = report.partner_columns();
        let partners = columns.len();
        let mut counts: BTreeMap<Combination, u64> = BTreeMap::new();
        let persons = report.households.iter().flat_map(|household| &household.persons);
        for person in persons {
            *counts.entry(combination(&columns, &person.result)).or_default() += 1;
        }
        // A set for each organisation that knows, one for each that could not be asked, and two more.
        let (refused, not_asked) = (2 * partners, 2 * partners + 1);
        let cells: Vec<Cell> = counts
            .iter()
            .map(|(combination, persons)| {
                let known = combination.known.iter().copied();
                let could_not = combination.could_not.iter().map(|place| partners + place);
                let kind = match combination.kind {
                    Kind::Answered => None,
                    Kind::Refused => Some(refused),
                    Kind::NotAsked => Some(not_asked),
                };
                Cell {
                    sets: known.chain(could_not).chain(kind).collect(),
                    persons: *persons,
                }
            })
            .collect();
        let shown = protect(&cells, 2 * partners + 2, threshold);
        let unknown_is_shown = counts
            .keys()
            .zip(&shown.cells)
            .all(|(combination, count)| !combination.is_unknown() || count.is_some());
        let mut rows: Vec<_> = counts.into_keys().zip(shown.cells).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let total = |set: usize| shown.sets.get(set).copied().flatten();
        let (refused, not_asked) = (total(refused), total(not_asked));
        let households = report.totals.households as u64;
        let rest = households.saturating_sub(report.totals.households_not_known as u64);
        let small = |count: u64| (1..threshold).contains(&count);
        let households_shown = !small(households) && shown.total.is_some();
        Self {
            partners: columns.into_iter().map(|(_, name)| name).collect(),
            rows,
            known: (0..partners).map(total).collect(),
            could_not: (partners..2 * partners).map(total).collect(),
            // Follows from the others, and says no more than they do.
            answered: match (shown.total, refused, not_asked) {
                (Some(all), Some(refused), Some(not_asked)) => all.checked_sub(refused + not_asked),
                _ => None,
            },
            refused,
            not_asked,
            persons: shown.total,
            households: households_shown.then_some(households),
            // A household known nowhere is persons known nowhere: it may not tell what they may not.
            households_not_known: Some(households.saturating_sub(rest))
                .filter(|count| households_shown && unknown_is_shown && !small(*count) && !small(rest)),
            bad_rows: Some(report.totals.bad_rows as u64).filter(|count| !small(*count)),
            threshold,
        }
    }

    /// Whether anything is left out.
    pub(super) fn leaves_out(&self) -> bool {
        let counts = [
            self.answered,
            self.refused,
            self.not_asked,
            self.persons,
            self.households,
            self.households_not_known,
            self.bad_rows,
        ];
        let rows = self.rows.iter().map(|(_, count)| *count);
        let sets = self.known.iter().chain(&self.could_not).copied();
        counts
            .into_iter()
            .chain(rows)
            .chain(sets)
            .any(|count| count.is_none())
    }
}

fn combination(columns: &[(String, String)], result: &ScreenResult) -> Combination {
    let mut combination = Combination {
        kind: Kind::Answered,
        known: Vec::new(),
        could_not: Vec::new(),
    };
    match result {
        ScreenResult::NotAsked(_) => combination.kind = Kind::NotAsked,
        ScreenResult::Answer(answer) if answer.refused.is_some() => combination.kind = Kind::Refused,
        ScreenResult::Answer(answer) => {
            for (place, (id, _)) in columns.iter().enumerate() {
                let row = answer.partners.iter().find(|row| row.partner == *id);
                match row.map(|row| row.status) {
                    Some(StatusWord::Known) => combination.known.push(place),
                    Some(StatusWord::CouldNotAsk) => combination.could_not.push(place),
                    Some(StatusWord::NotKnown | StatusWord::DoesNotApply) | None => {}
                }
            }
        }
    }
    combination
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
