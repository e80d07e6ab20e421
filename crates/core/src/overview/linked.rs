//! Questions by month, by purpose, and refusals: tables that share totals, as one network.

use std::collections::{BTreeMap, BTreeSet};

use hitmachine_audit::Period;

use super::Purpose;
use super::partners::Answers;
use super::publish::{Detail, MonthRow, PurposeRow};
use crate::disclosure::{Count, Network, Node};
use crate::ids::{PartnerId, PurposeCode};
use crate::statistics::{Row, Table};

/// The tables that share totals, as one network.
pub(super) struct Linked {
    network: Network,
    /// By outcome, and the total, of each month.
    months: Vec<(Period, Vec<Count>, Count)>,
    outcomes: Vec<Count>,
    total: Count,
    purposes: BTreeMap<PurposeCode, (Node, Vec<Count>, Count)>,
    answered: Count,
    codes: Vec<(String, Vec<Count>, Count)>,
    askers: Vec<(Option<PartnerId>, Count)>,
}

impl Linked {
    /// From the beginning through months to outcomes; answered ones on through purposes, refused ones through reasons
    /// and organisations, to the end; and all back to the beginning.
    pub(super) fn new(
        months: &BTreeMap<Period, [u64; 4]>,
        purposes: &BTreeMap<PurposeCode, Purpose>,
        refusals: &BTreeMap<(String, Option<PartnerId>), u64>,
    ) -> Self {
        let mut network = Network::default();
        let (begin, end, answered_node) = (network.node(), network.node(), network.node());
        let (by_month, by_purpose) = (network.nodes(4), network.nodes(3));
        let by_reason = network.node();
        let sum = |values: &mut dyn Iterator<Item = u64>| values.sum::<u64>();

        let mut month_counts = Vec::new();
        for (month, counts) in months {
            let node = network.node();
            let total = network.count(begin, node, counts.iter().sum(), 1);
            let each = counts.iter().zip(&by_month);
            let each: Vec<Count> = each
                .map(|(count, outcome)| network.count(node, *outcome, *count, 0))
                .collect();
            network.line(each.clone(), total);
            month_counts.push((*month, each, total));
        }
        let after = by_purpose.iter().chain([&by_reason]);
        let outcomes: Vec<Count> = by_month
            .iter()
            .zip(after)
            .enumerate()
            .map(|(place, (from, to))| {
                let total = sum(&mut months.values().filter_map(|counts| counts.get(place).copied()));
                network.count(*from, *to, total, 1)
            })
            .collect();
        for (place, outcome) in outcomes.iter().enumerate() {
            let parts = month_counts.iter().filter_map(|(_, counts, _)| counts.get(place));
            let parts: Vec<Count> = parts.copied().collect();
            network.line(parts, *outcome);
        }

        let mut purpose_counts = BTreeMap::new();
        for (code, purpose) in purposes {
            let node = network.node();
            let each = purpose.outcomes.iter().zip(&by_purpose);
            let each: Vec<Count> = each
                .map(|(count, outcome)| network.count(*outcome, node, *count, 0))
                .collect();
            let total = network.count(node, answered_node, purpose.total(), 1);
            network.line(each.clone(), total);
            purpose_counts.insert(code.clone(), (node, each, total));
        }
        let answered = sum(&mut purposes.values().map(Purpose::total));
        let answered = network.count(answered_node, end, answered, 2);
        for (place, outcome) in outcomes.iter().take(3).enumerate() {
            let parts = purpose_counts
                .values()
                .filter_map(|(_, counts, _)| counts.get(place));
            let parts: Vec<Count> = parts.copied().collect();
            network.line(parts, *outcome);
        }
        let parts: Vec<Count> = purpose_counts.values().map(|(_, _, total)| *total).collect();
        network.line(parts, answered);
        network.line(outcomes.iter().copied().take(3), answered);

        let askers: BTreeSet<&Option<PartnerId>> = refusals.keys().map(|(_, asker)| asker).collect();
        let codes: BTreeSet<&String> = refusals.keys().map(|(code, _)| code).collect();
        let asker_nodes = network.nodes(askers.len());
        let mut code_counts = Vec::new();
        for code in codes {
            let node = network.node();
            let values: Vec<u64> = askers
                .iter()
                .map(|asker| {
                    refusals
                        .get(&(code.clone(), (*asker).clone()))
                        .copied()
                        .unwrap_or(0)
                })
                .collect();
            let total = network.count(by_reason, node, values.iter().sum(), 1);
            let each = values.iter().zip(&asker_nodes);
            let each: Vec<Count> = each
                .map(|(count, asker)| network.count(node, *asker, *count, 0))
                .collect();
            network.line(each.clone(), total);
            code_counts.push((code.clone(), each, total));
        }
        let mut asker_counts = Vec::new();
        for (place, (asker, node)) in askers.iter().zip(&asker_nodes).enumerate() {
            let own = refusals.iter().filter(|((_, of), _)| of == *asker);
            let total = network.count(*node, end, own.map(|(_, count)| count).sum(), 1);
            let parts = code_counts.iter().filter_map(|(_, counts, _)| counts.get(place));
            let parts: Vec<Count> = parts.copied().collect();
            network.line(parts, total);
            asker_counts.push(((*asker).clone(), total));
        }
        if let Some(refused) = outcomes.last() {
            let parts: Vec<Count> = code_counts.iter().map(|(_, _, total)| *total).collect();
            network.line(parts, *refused);
            let parts: Vec<Count> = asker_counts.iter().map(|(_, total)| *total).collect();
            network.line(parts, *refused);
        }

        let all = sum(&mut months.values().flatten().copied());
        let total = network.count(end, begin, all, 2);
        let parts: Vec<Count> = month_counts.iter().map(|(_, _, total)| *total).collect();
        network.line(parts, total);
        network.line(outcomes.clone(), total);
        network.line(outcomes.last().copied().into_iter().chain([answered]), total);
        Self {
            network,
            months: month_counts,
            outcomes,
            total,
            purposes: purpose_counts,
            answered,
            codes: code_counts,
            askers: asker_counts,
        }
    }

    fn shown<const N: usize>(&self, counts: &[Count]) -> [Option<u64>; N] {
        let mut shown = [None; N];
        for (shown, count) in shown.iter_mut().zip(counts) {
            *shown = self.network.shown(*count);
        }
        shown
    }

    /// Suppresses all that must be.
    pub(super) fn suppress(&mut self, threshold: u64) {
        self.network.suppress(threshold);
    }

    /// All answered questions.
    pub(super) fn answered(&self) -> Option<u64> {
        self.network.shown(self.answered)
    }

    pub(super) fn month_rows(&self) -> Vec<MonthRow> {
        let rows = self.months.iter().map(|(month, counts, total)| MonthRow {
            month: Some(*month),
            counts: self.shown(counts),
            total: self.network.shown(*total),
        });
        rows.collect()
    }

    pub(super) fn all(&self) -> MonthRow {
        MonthRow {
            month: None,
            counts: self.shown(&self.outcomes),
            total: self.network.shown(self.total),
        }
    }

    /// With nothing under it yet.
    pub(super) fn purpose_row(&self, code: &PurposeCode) -> PurposeRow {
        let own = self.purposes.get(code);
        PurposeRow {
            purpose: code.clone(),
            counts: own.map_or([None; 3], |(_, counts, _)| self.shown(counts)),
            total: own.and_then(|(_, _, total)| self.network.shown(*total)),
            consulted: Detail::Withheld,
            cases: Detail::Withheld,
        }
    }

    /// Whether the purpose's table of partners may be shown: suppressed counts stay undetermined.
    pub(super) fn bind(&mut self, code: &PurposeCode, purpose: &Purpose, table: &[Answers]) -> bool {
        let Some((node, counts, _)) = self.purposes.get(code) else {
            return false;
        };
        let count = |place: usize| counts.get(place).copied();
        let exchanges = purpose.exchanges(table).into_iter();
        let exchanges = exchanges.filter_map(|(lost, gained)| Some((count(lost)?, count(gained)?)));
        self.network.restrict(*node, exchanges.collect())
    }

    pub(super) fn refusals(&self) -> Table<String, Option<PartnerId>> {
        let rows = self.codes.iter().map(|(code, counts, total)| Row {
            label: code.clone(),
            counts: counts.iter().map(|count| self.network.shown(*count)).collect(),
            total: self.network.shown(*total),
        });
        let totals = self.askers.iter().map(|(_, total)| self.network.shown(*total));
        Table {
            columns: self.askers.iter().map(|(asker, _)| asker.clone()).collect(),
            rows: rows.collect(),
            totals: totals.collect(),
            total: self
                .outcomes
                .last()
                .and_then(|refused| self.network.shown(*refused)),
        }
    }
}
