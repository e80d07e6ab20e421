use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Add {
        fork: u8,
        /// `None`: as the witness's last answer or refusal said.
        old: Option<u64>,
        size: u64,
        clock: u64,
        fate: Fate,
        /// The answer does not arrive: the log still believes the old size.
        lost: bool,
    },
    /// Power cut, and a new process.
    Crash,
}

fn steps(fates: &[Fate]) -> impl Strategy<Value = Vec<Step>> + use<> {
    let add = (
        1_u8..3,
        proptest::option::weighted(0.2, 0_u64..10),
        0_u64..10,
        1_u64..30,
        proptest::sample::select(fates.to_vec()),
        any::<bool>(),
    );
    let add = add.prop_map(|(fork, old, size, clock, fate, lost)| Step::Add {
        fork,
        old,
        size,
        clock,
        fate,
        lost,
    });
    proptest::collection::vec(prop_oneof![4 => add, 1 => Just(Step::Crash)], 1..25)
}

/// Runs the steps and checks after each: all that was ever cosigned is one history that never goes back, in
/// time neither, and what is held is at least that.
fn run(steps: &[Step]) -> Result<(), String> {
    let store = TestStore::default();
    let mut witness = witness(&store);
    let mut cosigned_ever: Vec<(u8, u64, u64)> = Vec::new();
    let mut believed = 0;
    for step in steps {
        let Step::Add {
            fork,
            old,
            size,
            clock,
            fate,
            lost,
        } = step
        else {
            store.crash();
            witness = super::witness(&store);
            continue;
        };
        store.fate(*fate);
        let request = request(*fork, old.unwrap_or(believed), *size);
        match witness.add_checkpoint(&request.format(), *clock) {
            Ok(answer) => {
                let cosigned = cosigned(&request, &answer);
                let time_s = cosigned.cosignatures[0].time_s();
                for (earlier, at, time) in &cosigned_ever {
                    if at > size || time_s < *time {
                        return Err(format!("goes back: {at} at {time}, then {size} at {time_s}"));
                    }
                    if history(*earlier, *at).root() != history(*fork, *at).root() {
                        return Err(format!("two histories: {at} of {earlier}, {size} of {fork}"));
                    }
                }
                cosigned_ever.push((*fork, *size, time_s));
                if !lost {
                    believed = *size;
                }
            }
            Err(Refusal::Conflict { held, .. }) => believed = held,
            Err(Refusal::Store(_)) if *fate == Fate::Kept || *fate == Fate::Lies => {
                return Err("refused although it was saved".to_owned());
            }
            Err(_) => {}
        }
        let held = witness.held(log().origin()).map_err(|error| error.to_string())?;
        let largest = cosigned_ever.last().map_or(0, |(_, size, _)| *size);
        if held.map_or(0, |held| held.head.size) < largest {
            return Err("holds less than it cosigned".to_owned());
        }
    }
    Ok(())
}

const HONEST: [Fate; 6] = [
    Fate::Kept,
    Fate::Kept,
    Fate::Kept,
    Fate::FailsLost,
    Fate::FailsKept,
    Fate::FailsSeen,
];

proptest! {
    #![proptest_config(Config { cases: 1_000, ..Config::default() })]

    #[test]
    fn cosigned_heads_are_one_history(steps in steps(&HONEST)) {
        prop_assert_eq!(run(&steps), Ok(()));
    }
}

/// The property can fail: a store that says yes before the value is durable breaks it.
#[test]
fn a_store_that_answers_before_it_is_durable_is_noticed() {
    let config = Config {
        cases: 1_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let found = runner.run(&steps(&[Fate::Kept, Fate::Lies]), |steps| {
        run(&steps).map_err(TestCaseError::fail)
    });
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

/// C9: remembered, but the answer did not arrive. The log asks again and is told where to go on from.
#[test]
fn an_answer_that_was_lost() {
    let store = TestStore::default();
    witness(&store)
        .add_checkpoint(&request(1, 0, 5).format(), 10)
        .unwrap();
    let _lost = witness(&store).add_checkpoint(&request(1, 5, 7).format(), 11);
    store.crash();
    let witness = witness(&store);
    let refused = witness
        .add_checkpoint(&request(1, 5, 7).format(), 12)
        .unwrap_err();
    let Refusal::Conflict {
        held: 7,
        evidence: None,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert!(witness.add_checkpoint(&request(1, 7, 7).format(), 12).is_ok());
    assert!(witness.add_checkpoint(&request(1, 7, 9).format(), 13).is_ok());
}

/// As before, but the power failed between the save and the signature: the store kept what it said it did not.
#[test]
fn a_save_that_failed_and_was_kept() {
    let store = TestStore::default();
    store.fate(Fate::FailsKept);
    let refused = witness(&store).add_checkpoint(&request(1, 0, 5).format(), 10);
    assert_eq!(refused.unwrap_err().status(), 500);
    store.fate(Fate::Kept);
    store.crash();
    let refused = witness(&store).add_checkpoint(&request(1, 0, 5).format(), 10);
    assert!(matches!(refused, Err(Refusal::Conflict { held: 5, .. })));
    assert!(
        witness(&store)
            .add_checkpoint(&request(1, 5, 5).format(), 10)
            .is_ok()
    );
}
