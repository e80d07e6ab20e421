//! Statistics about the log that say nothing about a person: tables with small cells suppressed.
//!
//! # The rule
//!
//! A table has rows, columns and totals, and is protected as a whole. A count of 0 is shown: nobody is in it. Of
//! the others, totals included, are suppressed:
//!
//! 1. *Primary*: every count below the threshold.
//! 2. *Complementary*: as many more as it takes until, in each row and each column,
//!    - not exactly one value is suppressed, for the total would give it;
//!    - what is suppressed under a total that is shown adds up to the threshold at least, or the group would be
//!      what the cell must not be.
//! 3. *Audit*: and until no suppressed value is determined by all shown values together. Whoever reads the table
//!    knows every sum, that counts are whole, and that a suppressed count is at least 1. So five suppressed cells
//!    under a total of 5 are all 1, and rows and columns can give what neither gives alone.
//!
//! The audit is exact. A table with totals is a circulation in a network: each row and each column is a node, each
//! cell an arc from its row to its column, each total an arc back. Two tables that agree in all shown values
//! differ by cycles of suppressed arcs, so a suppressed value is undetermined if and only if it lies on a cycle of
//! suppressed arcs along which every value may change by 1 (Ahuja, Magnanti and Orlin, *Network Flows*, theorem
//! 3.7).
//!
//! Each time, the smallest count that helps is suppressed, inner cells before totals. Not covered: someone who
//! knows part of what is suppressed, such as an organisation its own questions; that a suppressed value lies
//! within bounds; and two tables about the same entries, which must be one table.

use std::collections::{BTreeMap, BTreeSet};

use hitmachine_audit::Period;

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
    let mut shown = Grid::new(values, columns.len()).suppress(threshold).into_iter();
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

/// Row and column of a value; the last of each are the totals.
type Place = (usize, usize);

/// The values of a table with its totals, and which of them are suppressed.
struct Grid {
    values: Vec<Vec<u64>>,
    /// Those suppressed; never a 0.
    hidden: BTreeSet<Place>,
}

impl Grid {
    /// Adds the totals.
    fn new(mut values: Vec<Vec<u64>>, columns: usize) -> Self {
        let mut totals = vec![0_u64; columns + 1];
        for line in &mut values {
            line.push(line.iter().fold(0, |sum, value| sum.saturating_add(*value)));
            for (total, value) in totals.iter_mut().zip(line.iter()) {
                *total = total.saturating_add(*value);
            }
        }
        values.push(totals);
        Self {
            values,
            hidden: BTreeSet::new(),
        }
    }

    fn suppress(mut self, threshold: u64) -> Vec<Vec<Option<u64>>> {
        let all: Vec<Place> = self.places().collect();
        let small = |place: &&Place| (1..threshold).contains(&self.value(**place));
        self.hidden = all.iter().filter(small).copied().collect();
        let lines = self.lines();
        let mut changed = true;
        while changed {
            changed = false;
            for line in &lines {
                while self.is_weak(line, threshold) && self.hide_smallest(line) {
                    changed = true;
                }
            }
            if changed {
                continue; // a row's complement may leave a column weak
            }
            for (row, column) in self.hidden.clone() {
                if self.is_determined((row, column)) {
                    // When no shown value but 0 is left anywhere, nothing is determined: every cell then lies on the
                    // cycle of its row's total, the table's total and its column's total.
                    let near = [self.row(row), self.column(column), self.row(self.last_row())];
                    changed |= near.iter().any(|line| self.hide_smallest(line)) || self.hide_smallest(&all);
                }
            }
        }
        let shown = |place: Place| (!self.hidden.contains(&place)).then_some(self.value(place));
        let lines = 0..self.values.len();
        lines
            .map(|row| self.row(row).into_iter().map(shown).collect())
            .collect()
    }

    /// A line, its total last, that gives one of its values, or a group below the threshold.
    fn is_weak(&self, line: &[Place], threshold: u64) -> bool {
        let hidden = || line.iter().filter(|place| self.hidden.contains(place));
        let sum = hidden().fold(0_u64, |sum, place| sum.saturating_add(self.value(*place)));
        let under_a_total = line.last().is_some_and(|total| !self.hidden.contains(total));
        match hidden().count() {
            0 => false,
            1 => true,
            _ => under_a_total && sum < threshold,
        }
    }

    /// Hides the smallest shown value of a line that is not 0, its total only if nothing else is left.
    fn hide_smallest(&mut self, line: &[Place]) -> bool {
        let is_total = |(row, column): Place| row == self.last_row() || column == self.last_column();
        let shown = line
            .iter()
            .copied()
            .filter(|place| self.value(*place) > 0 && !self.hidden.contains(place));
        let smallest = shown.min_by_key(|place| (is_total(*place), self.value(*place)));
        smallest.is_some_and(|place| self.hidden.insert(place))
    }

    /// Whether only one value fits all shown ones.
    fn is_determined(&self, place: Place) -> bool {
        let (from, to) = self.arc(place);
        let may_grow = self.leads(to, from, place);
        let may_shrink = self.value(place) > 1 && self.leads(from, to, place);
        !may_grow && !may_shrink
    }

    /// Whether a path of suppressed values other than `without`, each of which may change by 1 in the path's
    /// direction, leads from node to node.
    fn leads(&self, from: usize, to: usize, without: Place) -> bool {
        let mut seen = vec![false; self.values.len() + self.last_column() + 1];
        let mut next = vec![from];
        while let Some(node) = next.pop() {
            if node == to {
                return true;
            }
            for place in self.around(node) {
                if place == without || !self.hidden.contains(&place) {
                    continue;
                }
                let (tail, head) = self.arc(place);
                let other = if tail == node { head } else { tail };
                let open = tail == node || self.value(place) > 1;
                let seen = seen.get_mut(other).filter(|seen| open && !**seen);
                if let Some(seen) = seen {
                    *seen = true;
                    next.push(other);
                }
            }
        }
        false
    }

    /// Nodes that a value's arc joins, from and to: rows first, then columns.
    fn arc(&self, (row, column): Place) -> (usize, usize) {
        let (row_node, column_node) = (row, self.values.len() + column);
        if (row == self.last_row()) == (column == self.last_column()) {
            (row_node, column_node)
        } else {
            (column_node, row_node)
        }
    }

    /// The values whose arcs meet at a node.
    fn around(&self, node: usize) -> impl Iterator<Item = Place> {
        let column = node.checked_sub(self.values.len());
        let across = if column.is_some() {
            self.last_row()
        } else {
            self.last_column()
        };
        (0..=across).map(move |other| column.map_or((node, other), |column| (other, column)))
    }

    fn lines(&self) -> Vec<Vec<Place>> {
        let rows = (0..=self.last_row()).map(|row| self.row(row));
        rows.chain((0..=self.last_column()).map(|column| self.column(column)))
            .collect()
    }

    fn row(&self, row: usize) -> Vec<Place> {
        (0..=self.last_column()).map(|column| (row, column)).collect()
    }

    fn column(&self, column: usize) -> Vec<Place> {
        (0..=self.last_row()).map(|row| (row, column)).collect()
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        (0..=self.last_row()).flat_map(|row| self.row(row))
    }

    fn last_row(&self) -> usize {
        self.values.len().saturating_sub(1)
    }

    fn last_column(&self) -> usize {
        self.values
            .last()
            .map_or(0, |totals| totals.len().saturating_sub(1))
    }

    fn value(&self, (row, column): Place) -> u64 {
        let value = self.values.get(row).and_then(|line| line.get(column));
        value.copied().unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "statistics_tests.rs"]
mod tests;
