//! Which combinations of sets occur, with small numbers left out: a partition of persons, and the total of each set.
//!
//! # The rule
//!
//! Every person is in exactly one *cell*: the combination of sets that he is in. A table shows each cell, the total of
//! each set, which is a sum of cells, and the total of all. It is protected as a whole. That a cell is there at all is
//! shown, so whoever reads it knows that a number left out is at least 1. Left out are:
//!
//! 1. *Primary*: every cell and every total from 1 to the threshold. If that is the total of all, everything is.
//! 2. *Complementary*: as many more as it takes until what is left out under a total that is shown adds up to the
//!    threshold at least, or the group would be what a cell must not be.
//! 3. *Audit*: and until for each number left out, cell or total, another value fits everything that is shown.
//!
//! For the audit a *witness* is looked for: a change of at most four cells that are left out, each by 1, that keeps all
//! shown totals and leaves no cell below 1, but changes the number in question. Finding none does not prove that there is
//! none, but then more is left out. Whatever is published has its witnesses, so no number left out can be computed from
//! it. With all set totals left out, any two cells are each other's witness if one of them is above 1. If all are 1, which their total would give away, that
//! is left out too. So it ends.
//!
//! Not covered, as in [`statistics`](crate::statistics): that a number lies within bounds, and what somebody knows from
//! elsewhere.

/// One cell: which sets it is in, ascending, and how many persons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Places of the sets, ascending.
    pub sets: Vec<usize>,
    /// Persons in exactly these sets; at least 1.
    pub persons: u64,
}

/// What may be shown. `None` is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Of each cell, in the order given.
    pub cells: Vec<Option<u64>>,
    /// Of each set.
    pub sets: Vec<Option<u64>>,
    /// Of all.
    pub total: Option<u64>,
}

/// A change of cells, by 1 each: the cell, and whether it grows.
type Change = [(usize, bool)];

struct Grid<'a> {
    cells: &'a [Cell],
    totals: Vec<u64>,
    all: u64,
    hidden_cells: Vec<bool>,
    hidden_sets: Vec<bool>,
    hidden_all: bool,
    threshold: u64,
}

/// Protects cells and their totals; numbers from 1 up to, not including, `threshold` are left out, and others with them.
/// With 0 or 1 nothing is. `sets` is how many sets there are.
pub fn protect(cells: &[Cell], sets: usize, threshold: u64) -> Shown {
    let sum = |of: &dyn Fn(&Cell) -> bool| {
        cells
            .iter()
            .filter(|cell| of(cell))
            .fold(0_u64, |sum, cell| sum.saturating_add(cell.persons))
    };
    let totals: Vec<u64> = (0..sets)
        .map(|set| sum(&|cell| cell.sets.contains(&set)))
        .collect();
    let all = sum(&|_| true);
    let small = |count: u64| (1..threshold).contains(&count);
    if small(all) {
        return Shown {
            cells: vec![None; cells.len()],
            sets: totals.iter().map(|total| (*total == 0).then_some(0)).collect(),
            total: None,
        };
    }
    let mut grid = Grid {
        cells,
        hidden_cells: cells.iter().map(|cell| small(cell.persons)).collect(),
        hidden_sets: totals.iter().map(|total| small(*total)).collect(),
        totals,
        all,
        hidden_all: false,
        threshold,
    };
    while grid.hide_more() {}
    Shown {
        cells: cells
            .iter()
            .zip(&grid.hidden_cells)
            .map(|(cell, hidden)| (!hidden).then_some(cell.persons))
            .collect(),
        sets: grid
            .totals
            .iter()
            .zip(&grid.hidden_sets)
            .map(|(total, hidden)| (!hidden).then_some(*total))
            .collect(),
        total: (!grid.hidden_all).then_some(grid.all),
    }
}

impl Grid<'_> {
    /// Whether something more had to be left out.
    fn hide_more(&mut self) -> bool {
        // A total of all is one more set, of every cell.
        let lines = (0..self.totals.len())
            .filter(|set| !self.hidden_sets[*set])
            .map(Some)
            .chain((!self.hidden_all).then_some(None));
        let weak: Vec<_> = lines.filter(|line| self.is_weak(*line)).collect();
        if let Some(line) = weak.first() {
            return self.hide_smallest(*line);
        }
        for cell in 0..self.cells.len() {
            if self.hidden_cells[cell] && !self.has_witness(|change| change.iter().any(|(at, _)| *at == cell))
            {
                return self.hide_near(cell);
            }
        }
        for set in 0..self.totals.len() {
            if self.hidden_sets[set] && !self.has_witness(|change| self.shift(change, set) != 0) {
                if self.hide_smallest(Some(set)) {
                    return true;
                }
                return self.hide_a_total();
            }
        }
        false
    }

    fn is_in(&self, cell: usize, set: Option<usize>) -> bool {
        set.is_none_or(|set| self.cells[cell].sets.contains(&set))
    }

    /// A shown total under which the cells left out are fewer than the threshold together.
    fn is_weak(&self, line: Option<usize>) -> bool {
        let hidden = (0..self.cells.len()).filter(|cell| self.hidden_cells[*cell] && self.is_in(*cell, line));
        let sum = hidden.fold(0_u64, |sum, cell| sum.saturating_add(self.cells[cell].persons));
        (1..self.threshold).contains(&sum)
    }

    /// Leaves out the smallest shown cell of a set, or of all; the set's total if there is none.
    fn hide_smallest(&mut self, line: Option<usize>) -> bool {
        let shown = (0..self.cells.len()).filter(|cell| !self.hidden_cells[*cell] && self.is_in(*cell, line));
        if let Some(cell) = shown.min_by_key(|cell| self.cells[*cell].persons) {
            self.hidden_cells[cell] = true;
            return true;
        }
        match line {
            Some(set) if !self.hidden_sets[set] => {
                self.hidden_sets[set] = true;
                true
            }
            _ => false,
        }
    }

    /// Leaves out something that helps a cell without a witness: the smallest cell that shares most with it, or else a
    /// total.
    fn hide_near(&mut self, cell: usize) -> bool {
        let distance = |other: &usize| {
            let (one, two) = (&self.cells[cell].sets, &self.cells[*other].sets);
            let apart = |a: &[usize], b: &[usize]| a.iter().filter(|set| !b.contains(set)).count();
            apart(one, two) + apart(two, one)
        };
        let shown = (0..self.cells.len()).filter(|other| !self.hidden_cells[*other]);
        let nearest = shown.min_by_key(|other| (distance(other), self.cells[*other].persons));
        // A cell that differs in one set stands in for this one once that set's total is left out.
        match nearest {
            Some(other) => {
                self.hidden_cells[other] = true;
                true
            }
            None => self.hide_a_total(),
        }
    }

    /// Leaves out the smallest total of a set that is still shown and not 0; at last that of all.
    fn hide_a_total(&mut self) -> bool {
        let shown = (0..self.totals.len()).filter(|set| !self.hidden_sets[*set] && self.totals[*set] > 0);
        match shown.min_by_key(|set| self.totals[*set]) {
            Some(set) => {
                self.hidden_sets[set] = true;
                true
            }
            None => !std::mem::replace(&mut self.hidden_all, true),
        }
    }

    /// By how much a change shifts the total of a set.
    fn shift(&self, change: &Change, set: usize) -> i32 {
        change
            .iter()
            .filter(|(cell, _)| self.is_in(*cell, Some(set)))
            .map(|(_, grows)| if *grows { 1 } else { -1 })
            .sum()
    }

    /// Whether there is a change of cells left out that keeps every shown total, leaves no cell below 1, and is one that
    /// `wanted` asks for: of two or four cells, of which as many grow as shrink, so that the total of all is kept; of one
    /// where that is left out too.
    fn has_witness(&self, wanted: impl Fn(&Change) -> bool) -> bool {
        let hidden: Vec<usize> = (0..self.cells.len())
            .filter(|cell| self.hidden_cells[*cell])
            .collect();
        let may_shrink: Vec<usize> = hidden
            .iter()
            .copied()
            .filter(|cell| self.cells[*cell].persons > 1)
            .collect();
        let keeps = |change: &Change| {
            let sets = 0..self.totals.len();
            wanted(change)
                && sets
                    .filter(|set| !self.hidden_sets[*set])
                    .all(|set| self.shift(change, set) == 0)
        };
        for (place, one) in hidden.iter().enumerate() {
            if self.hidden_all && keeps(&[(*one, true)]) {
                return true;
            }
            for less in may_shrink.iter().filter(|less| *less != one) {
                if keeps(&[(*one, true), (*less, false)]) {
                    return true;
                }
            }
            for two in &hidden[place + 1..] {
                for (place, less) in may_shrink.iter().enumerate() {
                    for other in &may_shrink[place + 1..] {
                        let apart = [one, two].iter().all(|grows| *grows != less && *grows != other);
                        if apart && keeps(&[(*one, true), (*two, true), (*less, false), (*other, false)]) {
                            return true;
                        }
                    }
                }
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "combinations_tests.rs"]
mod tests;
