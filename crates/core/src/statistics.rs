//! Statistics about the log that say nothing about a person: tables with small cells suppressed.
//!
//! A table has rows, columns and totals, and is protected as a whole, as `disclosure` says it. Two tables about the same
//! entries must be one table, or one network.

use std::collections::{BTreeMap, BTreeSet};

use hitmachine_audit::Period;

use crate::disclosure::{Count, Network};
use crate::ids::{Oin, PurposeCode};
use crate::record::Outcome;

/// The threshold if nobody sets another one: counts of 1 to 4 are suppressed.
pub const DEFAULT_THRESHOLD: u64 = 5;

/// What log entries are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The month in UTC.
    pub month: Period,
    /// The asking organisation.
    pub requester: Oin,
    /// The purpose; `None` if the question named none that the covenant has.
    pub purpose: Option<PurposeCode>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A row of the statistics: month, organisation and purpose.
pub type Line = (Period, Oin, Option<PurposeCode>);

/// A table to publish. `None` is a suppressed count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<R, C> {
    /// The columns, ascending.
    pub columns: Vec<C>,
    /// The rows, ascending by label. A row in which nothing was counted is left out.
    pub rows: Vec<Row<R>>,
    /// Total of each column.
    pub totals: Vec<Option<u64>>,
    /// Total of all.
    pub total: Option<u64>,
}

/// One row of a [`Table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<R> {
    /// What it counts.
    pub label: R,
    /// A count for each column.
    pub counts: Vec<Option<u64>>,
    /// Their total.
    pub total: Option<u64>,
}

/// The statistics of these counts: a row for each month, organisation and purpose, a column for each outcome that
/// occurs. Counts below `threshold` are suppressed (see the module).
pub fn statistics(cells: &BTreeMap<Cell, u64>, threshold: u64) -> Table<Line, Outcome> {
    let counts = cells.iter().map(|(cell, count)| {
        let line = (cell.month, cell.requester.clone(), cell.purpose.clone());
        ((line, cell.outcome), *count)
    });
    tabulate(counts, threshold)
}

/// A table of these counts; counts for the same row and column are added up. Counts below `threshold` are
/// suppressed (see the module); with 0 or 1 none is.
pub fn tabulate<R: Ord, C: Ord>(
    counts: impl IntoIterator<Item = ((R, C), u64)>,
    threshold: u64,
) -> Table<R, C> {
    let counts: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    let mut by_row: BTreeMap<R, Vec<(C, u64)>> = BTreeMap::new();
    for ((row, column), count) in counts {
        by_row.entry(row).or_default().push((column, count));
    }
    let columns: BTreeSet<&C> = by_row.values().flatten().map(|(column, _)| column).collect();
    let columns: Vec<&C> = columns.into_iter().collect();
    let mut values = Vec::with_capacity(by_row.len() + 1);
    for row in by_row.values() {
        let mut line = vec![0_u64; columns.len()];
        for (column, count) in row {
            if let Some(value) = columns
                .binary_search(&column)
                .ok()
                .and_then(|place| line.get_mut(place))
            {
                *value = value.saturating_add(*count);
            }
        }
        values.push(line);
    }
    let mut shown = protect(&values, columns.len(), threshold).into_iter();
    let mut labels: Vec<C> = Vec::new();
    let mut rows = Vec::new();
    for (label, cells) in by_row {
        labels.extend(cells.into_iter().map(|(column, _)| column));
        let (counts, total) = split_total(shown.next());
        rows.push(Row { label, counts, total });
    }
    labels.sort_unstable();
    labels.dedup();
    let (totals, total) = split_total(shown.next());
    Table {
        columns: labels,
        rows,
        totals,
        total,
    }
}

fn split_total(line: Option<Vec<Option<u64>>>) -> (Vec<Option<u64>>, Option<u64>) {
    let mut line = line.unwrap_or_default();
    let total = line.pop().flatten();
    (line, total)
}

/// Suppresses in a table without its totals, all lines of one length; the table with its totals.
fn protect(values: &[Vec<u64>], columns: usize, threshold: u64) -> Vec<Vec<Option<u64>>> {
    let (mut network, counts) = network(values, columns);
    network.suppress(threshold);
    let shown = |line: &Vec<Count>| line.iter().map(|count| network.shown(*count)).collect();
    counts.iter().map(shown).collect()
}

/// A table as a network, with its counts: each row and each column is a node, each cell an arc from its row to its
/// column, each total an arc back.
fn network(values: &[Vec<u64>], columns: usize) -> (Network, Vec<Vec<Count>>) {
    let mut network = Network::default();
    let (row_nodes, column_nodes) = (network.nodes(values.len()), network.nodes(columns));
    let (all_rows, all_columns) = (network.node(), network.node());
    let sum = |values: &mut dyn Iterator<Item = u64>| values.fold(0, u64::saturating_add);
    let mut counts: Vec<Vec<Count>> = Vec::with_capacity(values.len() + 1);
    for (line, row) in values.iter().zip(&row_nodes) {
        let cells = line.iter().zip(&column_nodes);
        let mut cells: Vec<Count> = cells
            .map(|(value, column)| network.count(*row, *column, *value, 0))
            .collect();
        let total = sum(&mut line.iter().copied());
        let total = network.count(all_columns, *row, total, 1);
        network.line(cells.clone(), total);
        cells.push(total);
        counts.push(cells);
    }
    let mut totals = Vec::with_capacity(columns + 1);
    for (place, column) in column_nodes.iter().enumerate() {
        let cells = counts.iter().filter_map(|line| line.get(place).copied());
        let cells: Vec<Count> = cells.collect();
        let total = sum(&mut values.iter().filter_map(|line| line.get(place).copied()));
        let total = network.count(*column, all_rows, total, 1);
        network.line(cells, total);
        totals.push(total);
    }
    let all = sum(&mut values.iter().flatten().copied());
    let all = network.count(all_rows, all_columns, all, 1);
    network.line(totals.clone(), all);
    let lasts = counts.iter().filter_map(|line| line.last().copied());
    let lasts: Vec<Count> = lasts.collect();
    network.line(lasts, all);
    totals.push(all);
    counts.push(totals);
    (network, counts)
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
