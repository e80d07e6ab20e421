//! The set that is answered from: what it says, and what is left of it after a stop.

use hitmachine_core::SubjectClass;
use hitmachine_pseudonym::{IdentifierType, Token};

use super::set::LiveSet;
use super::*;
use crate::register::{LocalRegister, Wanted};
use crate::state::StateKey;

const TODAY: Day = Day(20_778);

fn at() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn state(dir: &std::path::Path) -> State {
    State::open(dir, &StateKey::from_bytes([3; 32])).unwrap()
}

fn subject(persons: &[u8]) -> Subject {
    Subject {
        class: SubjectClass::Adult,
        tokens: persons
            .iter()
            .map(|person| (IdentifierType::Bsn, Token::from_bytes([*person; 32])))
            .collect(),
    }
}

/// A register with these persons, as a fill leaves it.
fn filled(state: &State, persons: std::ops::Range<u8>) -> LocalRegister {
    let mut register = LocalRegister::load(state).unwrap();
    let wanted: Vec<_> = persons
        .map(|person| Wanted {
            identifier: IdentifierType::Bsn,
            token: Token::from_bytes([person; 32]),
            class: SubjectClass::Adult,
            reference: None,
        })
        .collect();
    if register.mark.generation == 0 {
        register.restart(1);
    }
    let mark = register.mark;
    let batches = register
        .difference(&wanted, TODAY, 10)
        .into_batches(register.next_sequence())
        .unwrap();
    state.append(mark, &batches).unwrap();
    register.in_doubt = batches;
    register.acknowledge(u64::MAX);
    register
}

fn complete(state: &State, register: &LocalRegister) {
    let mark = register.mark;
    let remembered = LocalSet::remembered(mark.generation, mark.acknowledged, at());
    state.set_values(&[remembered]).unwrap();
    state.set_mark(mark).unwrap();
}

#[test]
fn a_set_knows_its_persons_until_their_last_day() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let set = LiveSet::new(&filled(&state, 1..3), at());
    for (persons, day, status) in [
        (vec![1], 0, LiveStatus::Known),
        (vec![9], 0, LiveStatus::NotKnown),
        (vec![9, 2], 0, LiveStatus::Known),
        (vec![1], 10, LiveStatus::Known),
        (vec![1], 11, LiveStatus::NotKnown),
    ] {
        assert_eq!(
            set.status(&subject(&persons), TODAY.plus(day)),
            status,
            "{persons:?} {day}"
        );
    }
}

#[test]
fn after_a_stop_the_last_complete_set_answers_or_none() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let load = |state: &State| {
        let register = LocalRegister::load(state).unwrap();
        LocalSet::load(state, &register).unwrap()
    };
    assert!(load(&state).get().is_none(), "nothing was ever read");
    let mut register = filled(&state, 1..3);
    assert!(load(&state).get().is_none(), "written, not complete");
    complete(&state, &register);
    let set = load(&state);
    assert_eq!(set.complete_at(), Some(at()));
    let status = |set: &LocalSet, person| set.get().unwrap().status(&subject(&[person]), TODAY);
    assert_eq!(status(&set, 1), LiveStatus::Known);
    // A second fill stops in the middle: person 5 is written, person 1 withdrawn, neither counts yet.
    register = filled(&state, 2..6);
    let set = load(&state);
    assert_eq!(
        (status(&set, 1), status(&set, 5)),
        (LiveStatus::Known, LiveStatus::NotKnown)
    );
    // The new set is remembered, its mark is not: nobody can tell what the register holds.
    let mark = register.mark;
    let remembered = LocalSet::remembered(mark.generation, mark.acknowledged, at());
    state.set_values(&[remembered]).unwrap();
    assert!(load(&state).get().is_none());
    state.set_mark(mark).unwrap();
    let set = load(&state);
    assert_eq!(
        (status(&set, 1), status(&set, 5)),
        (LiveStatus::NotKnown, LiveStatus::Known)
    );
    // A register that begins anew, or is synchronised with a hub, is no complete set.
    let mut fresh = LocalRegister::load(&state).unwrap();
    fresh.restart(2);
    state.start_generation(fresh.mark).unwrap();
    assert!(load(&state).get().is_none());
}
