//! Many persons in one question, beside one at a time.

use std::sync::Arc;

use hitmachine_node::ask::Question;

use super::Bench;
use super::drive::drive;
use super::ground::{Ground, MOST_SUBJECTS, asker};
use super::machine::Probe;
use super::stats::{Bar, Figure, Row, Unit};

const PART: &str = "households";
/// Questions in flight, whatever their size.
const IN_FLIGHT: usize = 16;
/// Persons in one question: alone, a household, a part of a list.
const SIZES: [usize; 3] = [1, 4, MOST_SUBJECTS];

/// Measures.
pub(crate) async fn rows(bench: &Bench, ground: &Ground) -> Vec<Row> {
    let node = ground.coordinator().await;
    let single = ground.questions(&node);
    let questions = SIZES.map(|size| {
        let together = |part: &[Question]| {
            let mut question = part[0].clone();
            question.persons = part.iter().flat_map(|each| each.persons.clone()).collect();
            question
        };
        Arc::new(single.chunks_exact(size).map(together).collect::<Vec<_>>())
    });
    let mut rates = [const { Vec::new() }; SIZES.len()];
    let mut noisy = false;
    for round in 0..bench.rounds() {
        bench.say(&format!("households: round {}", round + 1));
        for (place, size) in SIZES.into_iter().enumerate() {
            let probe = Probe::begin(&[]);
            let slice = drive(IN_FLIGHT, bench.slice(), asker(&node, &questions[place])).await;
            noisy |= probe.is_noisy();
            #[expect(clippy::cast_precision_loss, reason = "at most 64")]
            rates[place].push(slice.per_second() * size as f64);
        }
        bench.weather.look();
    }
    let [single, rest @ ..] = rates.map(|rates| Figure::of(&rates, Unit::PerSecond));
    let row = |(size, rate): (usize, Figure)| {
        let row = Row::new(PART, format!("lookups, {size} persons in a question"), rate)
            .against("one person in a question", single)
            .noisy(noisy)
            .detail(format!("{IN_FLIGHT} questions in flight"));
        if size == MOST_SUBJECTS {
            row.bar(Bar::RatioAtLeast(10.0))
        } else {
            row
        }
    };
    SIZES[1..].iter().copied().zip(rest).map(row).collect()
}
