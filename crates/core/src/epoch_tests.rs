use proptest::prelude::*;

use super::*;

fn keys(number: u32) -> EpochKeys {
    EpochKeys {
        number: KeyEpoch::new(number).unwrap(),
        scheme: Scheme::HmacSha256,
        key_check_value: KeyCheckValue::from_bytes([u8::try_from(number % 251).unwrap(); 8]),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn partner(name: &str) -> PartnerId {
    name.parse().unwrap()
}

fn readiness(name: &str, present: Option<i64>, next: Option<i64>) -> Readiness {
    let filled = |time: Option<i64>| Filled {
        count: 5,
        complete_at: time.map(at),
        pending: false,
    };
    Readiness {
        partner: partner(name),
        registers: true,
        key: KeyHeld::NotSaid,
        present: filled(present),
        next: filled(next),
    }
}

fn state(epochs: &Epochs, number: u32) -> EpochState {
    epochs.get(KeyEpoch::new(number).unwrap()).unwrap().state
}

#[test]
fn a_change_from_begin_to_end() {
    let mut epochs = Epochs::first(keys(1));
    let ready = [readiness("om", Some(3), Some(4))];
    assert_eq!(epochs.fill(at(0)), Err(EpochError::None(EpochState::Prepared)));
    assert_eq!(
        epochs.prepare(keys(1), at(0)),
        Err(EpochError::Number(KeyEpoch::FIRST))
    );
    let same_key = EpochKeys {
        number: KeyEpoch::new(2).unwrap(),
        ..keys(1)
    };
    assert_eq!(epochs.prepare(same_key, at(0)), Err(EpochError::SameKey));
    epochs.apply(&epochs.prepare(keys(2), at(0)).unwrap()).unwrap();
    assert_eq!(
        epochs.switch(&ready, &[], at(1)),
        Err(EpochError::None(EpochState::Filling))
    );
    assert!(matches!(
        epochs.prepare(keys(3), at(1)),
        Err(EpochError::UnderWay { .. })
    ));
    epochs.apply(&epochs.fill(at(2)).unwrap()).unwrap();
    assert_eq!(
        (state(&epochs, 1), state(&epochs, 2)),
        (EpochState::Active, EpochState::Filling)
    );
    epochs
        .apply(&epochs.switch(&ready, &[], at(10)).unwrap())
        .unwrap();
    assert_eq!(
        (state(&epochs, 1), state(&epochs, 2)),
        (EpochState::Draining, EpochState::Active)
    );
    let end = at(10 + 24 * 3600);
    assert_eq!(
        epochs.retire(at(11), 24, false),
        Err(EpochError::StillDraining(end))
    );
    assert_eq!(
        epochs.retire(at(11), 24, true).unwrap().state,
        EpochState::Retired
    );
    epochs.apply(&epochs.retire(end, 24, false).unwrap()).unwrap();
    assert_eq!(state(&epochs, 1), EpochState::Retired);
    assert!(epochs.prepare(keys(3), at(12)).is_ok());
}

#[test]
fn who_is_not_ready_is_named_and_may_be_left_behind() {
    let mut epochs = Epochs::first(keys(1));
    epochs.apply(&epochs.prepare(keys(2), at(0)).unwrap()).unwrap();
    epochs.apply(&epochs.fill(at(2)).unwrap()).unwrap();
    let asks = |key| Readiness {
        registers: false,
        key,
        ..readiness("vraagt", None, None)
    };
    let all = [
        readiness("klaar", Some(3), Some(3)),
        readiness("leeg", Some(3), None),
        readiness("achter", Some(3), Some(2)),
        asks(KeyHeld::NotSaid),
    ];
    let late = ["leeg", "achter", "vraagt"].map(partner).to_vec();
    assert_eq!(
        epochs.switch(&all, &[], at(5)),
        Err(EpochError::NotReady(late.clone()))
    );
    assert_eq!(
        epochs.switch(&all, &late[..1], at(5)),
        Err(EpochError::NotReady(late[1..].to_vec()))
    );
    assert_eq!(
        epochs.switch(&all, &[partner("niemand")], at(5)),
        Err(EpochError::UnknownPartner(partner("niemand")))
    );
    // A partner that is ready is not left behind, whoever names it.
    let named = [late.as_slice(), &[partner("klaar")]].concat();
    assert_eq!(epochs.switch(&all, &named, at(5)).unwrap().without, late);
    assert!(asks(KeyHeld::Right).is_ready());
    let wrong = Readiness {
        key: KeyHeld::Wrong,
        ..readiness("klaar", Some(3), Some(4))
    };
    assert!(!wrong.is_ready(), "a wrong key is never ready");
    let pending = Filled {
        pending: true,
        ..readiness("klaar", Some(3), Some(4)).next
    };
    for half_way in [
        Readiness {
            present: pending,
            ..readiness("klaar", Some(3), Some(4))
        },
        Readiness {
            next: pending,
            ..readiness("klaar", Some(3), Some(4))
        },
    ] {
        assert!(!half_way.is_ready(), "what is changing is not ready");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Prepare(u32),
    Fill,
    Switch(bool, bool),
    Retire(bool),
    Abandon,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u32..12).prop_map(Step::Prepare),
        Just(Step::Fill),
        (any::<bool>(), any::<bool>()).prop_map(|(ready, without)| Step::Switch(ready, without)),
        any::<bool>().prop_map(Step::Retire),
        Just(Step::Abandon),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    /// Whatever is tried in whatever order: one epoch is active, at most two hold data, at most two answer and at most
    /// two register, numbers rise, nothing comes back from the dead, and the log alone gives the same again.
    #[test]
    fn the_machine_keeps_its_promises(steps in steps()) {
        let mut epochs = Epochs::first(keys(1));
        let mut log = Vec::new();
        for (second, step) in (0i64..).zip(steps) {
            let now = at(second * 3600);
            let before = epochs.clone();
            let result = match step {
                Step::Prepare(number) => epochs.prepare(keys(number), now),
                Step::Fill => epochs.fill(now),
                Step::Switch(ready, without) => {
                    let one = readiness("om", Some(1), ready.then_some(1));
                    let left = if without { vec![partner("om")] } else { Vec::new() };
                    let switched = epochs.switch(&[one], &left, now);
                    if let Ok(change) = &switched {
                        prop_assert!(ready || without, "nobody is left behind unnamed");
                        prop_assert_eq!(change.without.is_empty(), ready);
                    }
                    switched
                }
                Step::Retire(early) => {
                    let retired = epochs.retire(now, 24, early);
                    if retired.is_ok() && !early {
                        let since = before.in_state(&[EpochState::Draining]).unwrap().since;
                        prop_assert!(now.as_second() - since.as_second() >= 24 * 3600);
                    }
                    retired
                }
                Step::Abandon => epochs.abandon(now),
            };
            let Ok(change) = result else {
                prop_assert_eq!(&epochs, &before);
                continue;
            };
            epochs.apply(&change).unwrap();
            log.push(change);

            let count = |test: fn(EpochState) -> bool| epochs.all().iter().filter(|row| test(row.state)).count();
            prop_assert_eq!(count(|state| state == EpochState::Active), 1);
            prop_assert!(count(EpochState::holds_data) <= 2);
            prop_assert!(count(EpochState::answers) <= 2 && count(EpochState::registers) <= 2);
            prop_assert!(epochs.all().windows(2).all(|two| two[0].keys.number < two[1].keys.number));
            for row in before.all() {
                let after = epochs.get(row.keys.number).unwrap().state;
                prop_assert!(after >= row.state, "a life has one direction");
            }
            // Nobody may register where an answer is on its way out, nor ask where nobody has registered.
            prop_assert!(!EpochState::Draining.registers() && !EpochState::Filling.answers());
        }
        prop_assert_eq!(Epochs::restore(keys(1), log.clone()).unwrap(), epochs.clone());
        // With the first epoch told by the log, the configuration may name any other.
        let first = EpochChange { keys: keys(1), state: EpochState::Active, time: at(0), without: vec![] };
        let told = std::iter::once(first).chain(log.clone());
        prop_assert_eq!(Epochs::restore(keys(200), told).unwrap(), epochs);
        // A step told twice cannot be.
        if let Some(last) = log.last().cloned() {
            log.push(last);
            prop_assert_eq!(Epochs::restore(keys(1), log), Err(EpochError::History));
        }
    }
}
