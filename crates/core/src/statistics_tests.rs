use proptest::prelude::*;

use super::*;

fn table(values: &[Vec<u64>], threshold: u64) -> Table<usize, usize> {
    let counts = values.iter().enumerate().flat_map(|(row, line)| {
        let line = line.iter().enumerate();
        line.map(move |(column, value)| ((row, column), *value))
    });
    tabulate(counts, threshold)
}

/// The table as published, its totals last, and the truth in the same form.
fn grids(values: &[Vec<u64>], threshold: u64) -> (Vec<Vec<Option<u64>>>, Vec<Vec<u64>>) {
    let published = table(values, threshold);
    let mut shown: Vec<Vec<Option<u64>>> = Vec::new();
    for row in &published.rows {
        shown.push(row.counts.iter().copied().chain([row.total]).collect());
    }
    shown.push(
        published
            .totals
            .iter()
            .copied()
            .chain([published.total])
            .collect(),
    );
    let inner = published
        .rows
        .iter()
        .map(|row| {
            published
                .columns
                .iter()
                .map(|column| values[row.label][*column])
                .collect()
        })
        .collect();
    (shown, with_totals(inner))
}

fn with_totals(mut inner: Vec<Vec<u64>>) -> Vec<Vec<u64>> {
    for row in &mut inner {
        row.push(row.iter().sum());
    }
    let columns = inner.first().map_or(1, Vec::len);
    inner.push(
        (0..columns)
            .map(|column| inner.iter().map(|row| row[column]).sum())
            .collect(),
    );
    inner
}

/// The attacker: tries every table whose cells differ by at most 1 from the true ones, and keeps those that agree
/// with all that is shown. Gives, for each value, whether two of them disagree about it. (An attacker who tries
/// more tables is left with more, and so knows less.)
fn undetermined(shown: &[Vec<Option<u64>>], truth: &[Vec<u64>]) -> Vec<Vec<bool>> {
    let (rows, columns) = (truth.len() - 1, truth[0].len() - 1);
    let cells = u32::try_from(rows * columns).unwrap();
    let mut open = vec![vec![false; columns + 1]; rows + 1];
    'tables: for code in 0..3_u32.pow(cells) {
        let (mut rest, mut inner) = (code, Vec::new());
        for row in truth.iter().take(rows) {
            let mut line = Vec::new();
            for value in row.iter().take(columns) {
                let Some(value) = (value + u64::from(rest % 3)).checked_sub(1) else {
                    continue 'tables;
                };
                line.push(value);
                rest /= 3;
            }
            inner.push(line);
        }
        let guess = with_totals(inner);
        let pairs = || shown.iter().flatten().zip(guess.iter().flatten());
        if pairs().all(|(shown, guess)| shown.map_or(*guess > 0, |shown| shown == *guess)) {
            for (open, (guess, truth)) in open
                .iter_mut()
                .flatten()
                .zip(guess.iter().flatten().zip(truth.iter().flatten()))
            {
                *open |= guess != truth;
            }
        }
    }
    open
}

fn values() -> impl Strategy<Value = Vec<Vec<u64>>> {
    // Many zeros, ones and small counts: those are what makes it hard.
    let value = prop_oneof![
        2 => Just(0_u64),
        3 => Just(1),
        3 => 1..6_u64,
        2 => 5..40_u64,
    ];
    (1..=3_usize, 1..=3_usize).prop_flat_map(move |(rows, columns)| {
        proptest::collection::vec(proptest::collection::vec(value.clone(), columns), rows)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nobody_can_compute_what_is_suppressed(values in values(), threshold in 2..8_u64) {
        let (shown, truth) = grids(&values, threshold);
        let open = undetermined(&shown, &truth);
        for (row, line) in shown.iter().enumerate() {
            for (column, value) in line.iter().enumerate() {
                let true_value = truth[row][column];
                if let Some(value) = value {
                    prop_assert_eq!(*value, true_value);
                    prop_assert!(true_value == 0 || true_value >= threshold, "{} is shown", true_value);
                } else {
                    prop_assert!(true_value > 0);
                    prop_assert!(open[row][column], "{} at {},{} of {:?}: {:?}", true_value, row, column, truth, shown);
                }
            }
        }
    }

    #[test]
    fn suppressed_groups_are_no_cells_in_disguise(values in values(), threshold in 2..8_u64) {
        let (shown, truth) = grids(&values, threshold);
        let columns = truth[0].len();
        let rows = (0..truth.len()).map(|row| (0..columns).map(|column| (row, column)).collect::<Vec<_>>());
        let lines = rows.chain((0..columns).map(|column| (0..truth.len()).map(|row| (row, column)).collect()));
        for line in lines {
            let hidden: Vec<u64> = line.iter()
                .filter(|(row, column)| shown[*row][*column].is_none())
                .map(|(row, column)| truth[*row][*column])
                .collect();
            prop_assert_ne!(hidden.len(), 1, "{:?}", shown);
            let (row, column) = *line.last().unwrap();
            if shown[row][column].is_some() && !hidden.is_empty() {
                prop_assert!(hidden.iter().sum::<u64>() >= threshold, "{:?}", shown);
            }
        }
    }

    /// Nothing is lost where nothing is small.
    #[test]
    fn large_counts_are_shown(values in proptest::collection::vec(proptest::collection::vec(5..90_u64, 3), 1..4)) {
        let (shown, _) = grids(&values, 5);
        prop_assert!(shown.iter().flatten().all(Option::is_some));
        let (shown, _) = grids(&values, 0);
        prop_assert!(shown.iter().flatten().all(Option::is_some));
    }
}

#[test]
fn one_small_cell_takes_three_others_with_it() {
    let values = [vec![3, 60, 50], vec![70, 80, 90], vec![40, 70, 10]];
    let (shown, _) = grids(&values, 5);
    let expected = [
        vec![None, Some(60), None, Some(113)],
        vec![Some(70), Some(80), Some(90), Some(240)],
        vec![None, Some(70), None, Some(120)],
        vec![Some(113), Some(210), Some(150), Some(473)],
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_sum_that_pins_its_parts_is_not_left() {
    // Five ones under a total of 5: the sum is not small and there are five of them, and yet each is 1.
    let (shown, _) = grids(
        &[vec![1, 1, 1, 1, 1], vec![9, 9, 9, 9, 9], vec![8, 8, 8, 8, 8]],
        5,
    );
    assert_eq!(shown[0][5], None, "{shown:?}");
}

#[test]
fn statistics_are_by_month_organisation_and_purpose() {
    let cell = |month: &str, purpose: Option<&str>, outcome| Cell {
        month: month.parse().unwrap(),
        requester: "00000099000000001000".parse().unwrap(),
        purpose: purpose.map(|code| code.parse().unwrap()),
        outcome,
    };
    let cells = BTreeMap::from([
        (cell("2026-01", Some("screening"), Outcome::Hit), 10),
        (cell("2026-01", Some("screening"), Outcome::NoHit), 20),
        (cell("2026-02", None, Outcome::Refused), 7),
    ]);
    let table = statistics(&cells, DEFAULT_THRESHOLD);
    assert_eq!(table.columns, [Outcome::Hit, Outcome::NoHit, Outcome::Refused]);
    let rows: Vec<_> = table
        .rows
        .iter()
        .map(|row| (row.label.0.to_string(), row.counts.clone(), row.total))
        .collect();
    let some = |values: [u64; 3]| values.map(Some).to_vec();
    assert_eq!(
        rows,
        [
            ("2026-01".to_owned(), some([10, 20, 0]), Some(30)),
            ("2026-02".to_owned(), some([0, 0, 7]), Some(7)),
        ]
    );
    assert_eq!((table.totals, table.total), (some([10, 20, 7]), Some(37)));
    let nothing = statistics(&BTreeMap::new(), 5);
    assert_eq!((nothing.rows.len(), nothing.total), (0, Some(0)));
}
