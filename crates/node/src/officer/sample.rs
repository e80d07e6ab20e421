//! Random entries for review (steekproef): the node draws, so that nobody else chooses what is looked at.

use std::collections::BTreeSet;

use hitmachine_core::record::Outcome;
use hitmachine_proto::officer::Action;
use hitmachine_proto::v1;

use super::OfficerError;
use super::client::{Acted, Officer, OfficerFrame};
use super::rows::VerifiedRow;
use super::task::Range;
use crate::ask::AskError;
use crate::state::StateError;

/// Draws after which a sample stays as small as it is.
const MOST_DRAWS: usize = 40;
/// The most entries of one sample.
pub(crate) const MOST: u32 = 200;

impl Officer<'_> {
    /// Draws `count` questions of a stretch of time, each with the same chance, in the order drawn. Control entries,
    /// officers' own entries and erased ones are passed over and drawn again. The rows come with the last result, whose
    /// head proves only its own; each keeps the proof it came with.
    ///
    /// # Errors
    /// [`OfficerError`].
    pub(crate) async fn sample(
        &self,
        frame: &OfficerFrame,
        count: u32,
        range: Range,
    ) -> Result<(Vec<(Acted, VerifiedRow)>, Acted), OfficerError> {
        let last = self.newest(frame, range).await?;
        let mut low = 0;
        if let Some(before) = range.from_ms.checked_sub(1).filter(|before| *before > 0) {
            let earlier = Range {
                from_ms: 0,
                to_ms: before,
            };
            let earlier = self.newest(frame, earlier).await?;
            low = earlier.rows.first().map_or(0, |row| row.index + 1);
        }
        let mut drawn = Vec::new();
        let mut latest = last;
        let Some(high) = latest.rows.first().map(|row| row.index) else {
            return Ok((drawn, latest));
        };
        let mut seen = BTreeSet::new();
        let wanted = usize::try_from(count.min(MOST)).unwrap_or(usize::MAX);
        for _ in 0..MOST_DRAWS {
            let missing = wanted.saturating_sub(drawn.len());
            let indexes = draw(low, high, missing, &mut seen)?;
            if indexes.is_empty() {
                break;
            }
            let entries = v1::Entries {
                indexes,
                r#use: v1::Use::Sample.into(),
            };
            let acted = self.act(frame, &Action::Entries(entries)).await?;
            let fitting = acted.rows.iter().filter(|row| is_question(row, range));
            drawn.extend(fitting.map(|row| (acted.clone(), row.clone())));
            latest = acted;
        }
        Ok((drawn, latest))
    }

    async fn newest(&self, frame: &OfficerFrame, range: Range) -> Result<Acted, OfficerError> {
        let search = v1::Search {
            from_ms: range.from_ms,
            to_ms: range.to_ms,
            limit: 1,
            r#use: v1::Use::Sample.into(),
            ..v1::Search::default()
        };
        self.act(frame, &Action::Search(search)).await
    }
}

fn is_question(row: &VerifiedRow, range: Range) -> bool {
    let Some(record) = &row.record else { return false };
    let ms = u64::try_from(record.time.as_millisecond()).unwrap_or(0);
    record.outcome() != Outcome::Officer && ms >= range.from_ms && (range.to_ms == 0 || ms <= range.to_ms)
}

/// Up to `count` indexes from `low` to `high` that were not drawn before, ascending.
fn draw(low: u64, high: u64, count: usize, seen: &mut BTreeSet<u64>) -> Result<Vec<u64>, OfficerError> {
    let left = (high.checked_sub(low))
        .map_or(0, |more| more.saturating_add(1))
        .saturating_sub(seen.len() as u64);
    let count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
    let mut indexes = Vec::with_capacity(count);
    while indexes.len() < count {
        let index = low.saturating_add(below((high - low).saturating_add(1))?);
        if seen.insert(index) {
            indexes.push(index);
        }
    }
    indexes.sort_unstable();
    Ok(indexes)
}

/// A number below `limit`, each with the same chance: numbers from the incomplete last run of `limit` are thrown away.
fn below(limit: u64) -> Result<u64, OfficerError> {
    let limit = limit.max(1);
    let fair = u64::MAX - u64::MAX % limit;
    loop {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| AskError::State(StateError::Random))?;
        let number = u64::from_be_bytes(bytes);
        if number < fair {
            return Ok(number % limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_its_turn_and_none_has_two() {
        let mut seen = BTreeSet::new();
        let mut all = BTreeSet::new();
        while let indexes = draw(10, 29, 7, &mut seen).unwrap()
            && !indexes.is_empty()
        {
            assert!(indexes.len() <= 7);
            for index in indexes {
                assert!(all.insert(index), "{index} twice");
            }
        }
        assert_eq!(all, (10..=29).collect());
        assert!(draw(30, 29, 7, &mut BTreeSet::new()).unwrap().is_empty());
        assert_eq!(draw(5, 5, 7, &mut BTreeSet::new()).unwrap(), [5]);
    }

    #[test]
    fn chances_are_even() {
        let mut counts = [0_u32; 6];
        for _ in 0..6_000 {
            counts[usize::try_from(below(6).unwrap()).unwrap()] += 1;
        }
        // Eight standard deviations around 1,000.
        assert!(
            counts.iter().all(|count| (770..=1_230).contains(count)),
            "{counts:?}"
        );
    }
}
