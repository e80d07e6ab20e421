use std::collections::BTreeSet;

use super::*;

/// `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn random(rng: &mut Rng) -> (Vec<Cell>, usize) {
    let sets = 1 + usize::try_from(rng.below(3)).unwrap();
    let mut cells = Vec::new();
    let tiny = rng.below(3) == 0;
    for combination in 0..1_u32 << sets {
        let persons = match rng.below(4) {
            _ if tiny => rng.below(3),
            0 => 0,
            1 => 1 + rng.below(4),
            _ => 1 + rng.below(12),
        };
        if persons > 0 {
            cells.push(Cell {
                sets: (0..sets).filter(|set| combination >> set & 1 == 1).collect(),
                persons,
            });
        }
    }
    (cells, sets)
}

/// Everything that fits what is shown, by trying: whoever reads a table can do the same.
struct Attack<'a> {
    cells: &'a [Cell],
    shown: &'a Shown,
    values: Vec<u64>,
    /// Values that each cell, each set and the sum of all take in some solution.
    seen_cells: Vec<BTreeSet<u64>>,
    seen_sets: Vec<BTreeSet<u64>>,
}

impl Attack<'_> {
    fn fits(&self, whole: bool) -> bool {
        let sum = |of: &dyn Fn(&Cell) -> bool| -> u64 {
            let values = self.values.iter().zip(self.cells);
            values.filter(|(_, cell)| of(cell)).map(|(value, _)| value).sum()
        };
        let at_most = |sum: u64, total: Option<u64>| {
            total.is_none_or(|total| if whole { sum == total } else { sum <= total })
        };
        at_most(sum(&|_| true), self.shown.total)
            && self
                .shown
                .sets
                .iter()
                .enumerate()
                .all(|(set, total)| at_most(sum(&|cell: &Cell| cell.sets.contains(&set)), *total))
    }

    fn run(&mut self) {
        let place = self.values.len();
        if !self.fits(place == self.cells.len()) {
            return;
        }
        if place == self.cells.len() {
            for (value, seen) in self.values.iter().zip(&mut self.seen_cells) {
                seen.insert(*value);
            }
            for set in 0..self.shown.sets.len() {
                let values = self.values.iter().zip(self.cells);
                let sum = values
                    .filter(|(_, cell)| cell.sets.contains(&set))
                    .map(|(value, _)| value)
                    .sum();
                self.seen_sets[set].insert(sum);
            }
            return;
        }
        // Enough to see that there is another value.
        if self.seen_cells.iter().all(|seen| seen.len() > 1)
            && self.seen_sets.iter().all(|seen| seen.len() > 1)
        {
            return;
        }
        let range = match self.shown.cells[place] {
            Some(value) => value..=value,
            // Around the truth, which is where other solutions begin.
            None => self.cells[place].persons.saturating_sub(3).max(1)..=self.cells[place].persons + 3,
        };
        for value in range {
            self.values.push(value);
            self.run();
            self.values.pop();
        }
    }
}

#[test]
fn nothing_left_out_can_be_computed_from_what_is_shown() {
    let mut rng = Rng(20_261_122);
    let (mut left_out, mut shown_beside) = (0, 0);
    for _ in 0..20_000 {
        let (cells, sets) = random(&mut rng);
        let threshold = 5;
        let shown = protect(&cells, sets, threshold);
        let all: u64 = cells.iter().map(|cell| cell.persons).sum();
        for (cell, count) in cells.iter().zip(&shown.cells) {
            assert!(
                count.is_none_or(|count| count == cell.persons && count >= threshold),
                "{cells:?}"
            );
        }
        for (set, count) in shown.sets.iter().enumerate() {
            let members = cells.iter().filter(|cell| cell.sets.contains(&set));
            let total: u64 = members.map(|cell| cell.persons).sum();
            assert!(
                count.is_none_or(|count| count == total && (count == 0 || count >= threshold)),
                "{cells:?}"
            );
            // What is left out under a total that is shown is no small group either.
            if count.is_some() {
                let hidden: u64 = cells
                    .iter()
                    .zip(&shown.cells)
                    .filter(|(cell, count)| cell.sets.contains(&set) && count.is_none())
                    .map(|(cell, _)| cell.persons)
                    .sum();
                assert!(hidden == 0 || hidden >= threshold, "{cells:?} {shown:?}");
            }
        }
        assert!(
            shown
                .total
                .is_none_or(|total| total == all && (total == 0 || total >= threshold))
        );
        if shown.cells.iter().all(Option::is_some) && shown.sets.iter().all(Option::is_some) {
            continue;
        }
        left_out += 1;
        shown_beside += usize::from(shown.cells.iter().any(Option::is_some));
        let mut attack = Attack {
            cells: &cells,
            shown: &shown,
            values: Vec::new(),
            seen_cells: vec![BTreeSet::new(); cells.len()],
            seen_sets: vec![BTreeSet::new(); sets],
        };
        attack.run();
        for (place, seen) in attack.seen_cells.iter().enumerate() {
            assert!(
                shown.cells[place].is_some() || seen.len() > 1,
                "cell {place} of {cells:?} is given away by {shown:?}"
            );
        }
        for (set, seen) in attack.seen_sets.iter().enumerate() {
            assert!(
                shown.sets[set].is_some() || seen.len() > 1,
                "total {set} of {cells:?} is given away by {shown:?}"
            );
        }
    }
    let ones: Vec<Cell> = (0..5)
        .map(|set| Cell {
            sets: vec![set],
            persons: 1,
        })
        .collect();
    assert_eq!(protect(&ones, 5, 5).total, None, "a total of 5 over 5 cells");
    assert!(left_out > 10_000, "{left_out}");
    assert!(shown_beside > 1_000, "too much is left out: {shown_beside}");
}

#[test]
fn only_what_must_be_is_left_out() {
    let cell = |sets: &[usize], persons| Cell {
        sets: sets.to_vec(),
        persons,
    };
    let big = [cell(&[], 100), cell(&[0], 20), cell(&[1], 30), cell(&[0, 1], 5)];
    let shown = protect(&big, 2, 5);
    assert_eq!(shown.cells, [Some(100), Some(20), Some(30), Some(5)]);
    assert_eq!((shown.sets, shown.total), (vec![Some(25), Some(35)], Some(155)));
    // One small cell: its neighbours hide it, and the largest stay.
    let one = [cell(&[], 100), cell(&[0], 20), cell(&[1], 30), cell(&[0, 1], 3)];
    let shown = protect(&one, 2, 5);
    assert_eq!(shown.cells[3], None);
    assert_eq!(shown.total, Some(153));
    assert!(
        shown.cells.iter().flatten().count() + shown.sets.iter().flatten().count() >= 2,
        "{shown:?}"
    );
    // Nothing is small with a threshold of 1, and everything is in a small list.
    assert!(protect(&one, 2, 1).cells.iter().all(Option::is_some));
    let few = protect(&[cell(&[0], 3)], 2, 5);
    assert_eq!(
        few,
        Shown {
            cells: vec![None],
            sets: vec![None, Some(0)],
            total: None
        }
    );
    assert_eq!(
        protect(&[], 1, 5),
        Shown {
            cells: vec![],
            sets: vec![Some(0)],
            total: Some(0)
        }
    );
}
