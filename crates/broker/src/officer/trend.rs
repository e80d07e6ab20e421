//! Counts of all questions by stretches of time, for an officer's dashboard.
//!
//! Small counts are in it: the officer may see the entries themselves. What is published comes from the tables that
//! suppress them.

use hitmachine_core::record::Outcome;
use hitmachine_proto::officer::MAX_CUTS;
use hitmachine_proto::v1;
use hitmachine_store::AuditIndex;

use super::ActError;

/// The stretches of time that are asked for, none for a table by month; `None` if these are none.
pub(super) fn stretches(wanted: &v1::Statistics) -> Option<Vec<(u64, u64)>> {
    let cuts = &wanted.cuts;
    let ascending = cuts.is_sorted_by(|a, b| a < b);
    let many = cuts.is_empty() || (2..=MAX_CUTS).contains(&cuts.len());
    let pairs = cuts
        .windows(2)
        .filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    (ascending && many).then(|| pairs.collect())
}

/// Counts by outcome of each stretch.
pub(super) fn table(index: &AuditIndex, stretches: &[(u64, u64)]) -> Result<v1::StatisticsTable, ActError> {
    let mut rows = Vec::with_capacity(stretches.len());
    for (from, until) in stretches {
        let cells = index.counts(Some(*from), Some(*until))?;
        let count = |outcome: Outcome| {
            let of = cells.iter().filter(|(cell, _)| cell.outcome == outcome);
            of.map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX))
                .fold(0, i64::saturating_add)
        };
        let counts: Vec<i64> = Outcome::ALL.into_iter().map(count).collect();
        rows.push(v1::StatisticsRow {
            total: counts.iter().copied().fold(0, i64::saturating_add),
            counts,
            ..v1::StatisticsRow::default()
        });
    }
    Ok(v1::StatisticsTable { rows, threshold: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_lie_between_two_times() {
        let of = |cuts: &[u64]| {
            let cuts = cuts.to_vec();
            stretches(&v1::Statistics {
                cuts,
                ..v1::Statistics::default()
            })
        };
        assert_eq!(of(&[]), Some(vec![]), "a table by month");
        assert_eq!(of(&[0, 5, 9]), Some(vec![(0, 5), (5, 9)]));
        for bad in [&[5][..], &[5, 5], &[9, 5], &[0, 9, 5]] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
        let many: Vec<u64> = (0..=61).collect();
        assert_eq!(of(&many[..MAX_CUTS]).map(|stretches| stretches.len()), Some(60));
        assert_eq!(of(&many), None);
    }
}
