//! Trouble at random, in rounds: each does its worst with what its seed says, and then compares with the truth.
//!
//! A [`Plan`] says which rounds there are and how often each comes. The seed of a round follows from the main seed and
//! the round's number, so one main seed repeats everything; a round that found a fault names its own seed, so that it
//! alone can be repeated ([`Round::repeat_command`]).

pub mod kills;
pub mod load;
pub mod network;
pub mod power;
pub mod simulation;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use hitmachine_testkit::rng::Rng;

use crate::secrets::{Printed, Secrets};

/// One kind of round.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name, in arguments and tables.
    pub name: &'static str,
    /// How often it comes, next to the others.
    pub weight: u64,
    run: fn(&mut Rng) -> Done,
}

/// All kinds of rounds.
pub const KINDS: [Kind; 5] = [
    Kind {
        name: "kills",
        weight: 4,
        run: kills::round,
    },
    Kind {
        name: "power",
        weight: 1,
        run: power::round,
    },
    Kind {
        name: "network",
        weight: 1,
        run: network::round,
    },
    Kind {
        name: "simulation",
        weight: 1,
        run: simulation::round,
    },
    Kind {
        name: "load",
        weight: 1,
        run: load::round,
    },
];

impl Kind {
    /// The kind of that name.
    pub fn of(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// Does the round of this seed, to its end whatever happens.
    pub fn run(self, seed: u64) -> Round {
        let begun = Instant::now();
        let mut rng = Rng::new(seed);
        let ended = catch_unwind(AssertUnwindSafe(|| (self.run)(&mut rng)));
        let (done, fault) = match ended {
            // A round that does nothing would pass for one that finds nothing.
            Ok(done) if done.iter().all(|(_, times)| times == 0) => (done, Some("it did nothing".to_owned())),
            Ok(done) => (done, None),
            Err(panic) => (Done::default(), Some(words(panic.as_ref()))),
        };
        Round {
            kind: self.name,
            seed,
            took: begun.elapsed(),
            done,
            fault,
        }
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a word".to_owned())
}

/// A round that was done.
#[derive(Clone, Debug)]
pub struct Round {
    /// Which kind.
    pub kind: &'static str,
    /// Its own seed.
    pub seed: u64,
    /// How long it took.
    pub took: Duration,
    /// What it did; nothing if it found a fault.
    pub done: Done,
    /// What it found.
    pub fault: Option<String>,
}

impl Round {
    /// The command that does this round again.
    pub fn repeat_command(&self) -> String {
        format!("cargo xtask torture --repeat {}={}", self.kind, self.seed)
    }

    /// Fails, with all that is needed to do it again, if the round found a fault.
    pub fn must_be_clean(&self) {
        if let Some(fault) = &self.fault {
            panic!("{fault}\nto repeat this round: {}", self.repeat_command());
        }
    }
}

/// Which rounds there are, one after the other.
#[derive(Clone)]
pub struct Plan {
    seed: u64,
    kinds: Vec<Kind>,
    number: u64,
}

impl Plan {
    /// All rounds of these kinds that follow from `seed`.
    pub fn new(seed: u64, kinds: &[Kind]) -> Self {
        Self {
            seed,
            kinds: kinds.to_vec(),
            number: 0,
        }
    }
}

/// Without an end, unless there are no kinds.
impl Iterator for Plan {
    type Item = (Kind, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let mut rng = Rng::stream(self.seed, &format!("round {}", self.number));
        self.number += 1;
        let mut drawn = rng.below(self.kinds.iter().map(|kind| kind.weight).sum());
        let kind = self.kinds.iter().find(|kind| {
            let here = drawn < kind.weight;
            drawn = drawn.saturating_sub(kind.weight);
            here
        })?;
        Some((*kind, rng.next_u64()))
    }
}

/// Nothing secret may be in anything that a round's programs printed; `what` printed it.
pub fn clean(secrets: &Secrets, printed: Vec<(String, Vec<u8>)>) {
    let mut all = Printed::default();
    for (what, bytes) in printed {
        all.add(what, bytes);
    }
    secrets.check_printed(&all);
}

/// What rounds did: how often each thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done(BTreeMap<&'static str, u64>);

impl Done {
    /// One more of `what`.
    pub fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    /// So many more of `what`.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    /// How often `what` was done.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// How often anything was done whose name begins so.
    pub fn all_of(&self, begin: &str) -> u64 {
        let those = self.iter().filter(|(what, _)| what.starts_with(begin));
        those.map(|(_, times)| times).sum()
    }

    /// All of it, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, times)| (*what, *times))
    }

    /// Adds what others did.
    pub fn merge(&mut self, other: &Self) {
        for (what, times) in other.iter() {
            self.add(what, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_rounds_and_each_kind_comes_as_often_as_it_should() {
        let drawn = |seed: u64| -> Vec<(&str, u64)> {
            let plan = Plan::new(seed, &KINDS).take(800);
            plan.map(|(kind, seed)| (kind.name, seed)).collect()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        for kind in KINDS {
            let times = drawn(3).iter().filter(|(name, _)| *name == kind.name).count();
            let expected = usize::try_from(100 * kind.weight).unwrap();
            assert!(times.abs_diff(expected) < 60, "{}: {times}", kind.name);
        }
        assert!(Plan::new(1, &[]).next().is_none());
    }

    #[test]
    fn a_fault_is_caught_and_says_how_to_repeat_it() {
        let kind = |run| Kind {
            name: "kills",
            weight: 1,
            run,
        };
        let fault = kind(|rng| panic!("number {}", rng.below(1))).run(17);
        assert_eq!(fault.fault.as_deref(), Some("number 0"));
        assert_eq!(fault.repeat_command(), "cargo xtask torture --repeat kills=17");
        let idle = kind(|_| Done::default()).run(18);
        assert_eq!(idle.fault.as_deref(), Some("it did nothing"));
        let clean = kind(|_| {
            let mut done = Done::default();
            done.add("kill -9 of the broker", 2);
            done.count("kill -9 of a node");
            done
        });
        let clean = clean.run(19);
        assert_eq!((clean.fault.as_deref(), clean.done.all_of("kill -9")), (None, 3));
    }
}
