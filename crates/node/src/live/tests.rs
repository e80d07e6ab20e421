//! The set that is answered from: what it says, and what is left of it after a stop.

use hitmachine_core::{Subject, SubjectClass};
use hitmachine_pseudonym::{DeploymentId, IdentifierType, KeyEpoch, NodeKey, Token};

use super::set::LiveSet;
use super::*;
use crate::epochs::{HeldKey, Registers};
use crate::register::Wanted;
use crate::state::StateKey;

const TODAY: Day = Day(20_778);

fn at() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn state(dir: &std::path::Path) -> Arc<State> {
    Arc::new(State::open(dir, &StateKey::from_bytes([3; 32])).unwrap())
}

fn key() -> Arc<HeldKey> {
    let key = NodeKey::from_bytes([1; 32]);
    Arc::new(HeldKey::new(
        key,
        DeploymentId::from_bytes([1; 16]),
        KeyEpoch::FIRST,
    ))
}

fn registers(state: &Arc<State>) -> Registers {
    Registers::load(state, &[key()]).unwrap()
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
fn filled(state: &Arc<State>, persons: std::ops::Range<u8>) -> Registers {
    let mut registers = registers(state);
    let of = registers.of(&key().keys).unwrap();
    let wanted: Vec<_> = persons
        .map(|person| Wanted {
            identifier: IdentifierType::Bsn,
            token: Token::from_bytes([person; 32]),
            class: SubjectClass::Adult,
            reference: None,
        })
        .collect();
    if of.local.mark.generation == 0 {
        of.local.restart(1);
    }
    let mark = of.local.mark;
    let batches = of
        .local
        .difference(&wanted, TODAY, 10)
        .into_batches(of.local.next_sequence())
        .unwrap();
    of.slot.append(mark, &batches).unwrap();
    of.local.in_doubt = batches;
    of.local.acknowledge(u64::MAX);
    registers
}

fn remember(registers: &mut Registers) {
    let of = registers.of(&key().keys).unwrap();
    let (name, complete) = LocalSet::remembered(of.local.mark, at());
    of.slot.set_note(name, &complete).unwrap();
}

fn mark(registers: &mut Registers) {
    let of = registers.of(&key().keys).unwrap();
    of.slot.set_mark(of.local.mark).unwrap();
}

#[test]
fn a_set_knows_its_persons_until_their_last_day() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let filled = filled(&state, 1..3);
    let set = LiveSet::new(filled.get(KeyEpoch::FIRST).unwrap(), at());
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
    let load = |state: &Arc<State>| LocalSet::load(&registers(state)).unwrap();
    let is_there = |set: &LocalSet| set.get(KeyEpoch::FIRST).is_some();
    assert!(!is_there(&load(&state)), "nothing was ever read");
    let mut register = filled(&state, 1..3);
    assert!(!is_there(&load(&state)), "written, not complete");
    remember(&mut register);
    mark(&mut register);
    let set = load(&state);
    assert_eq!(set.complete_at(), Some(at()));
    let status = |set: &LocalSet, person| {
        set.get(KeyEpoch::FIRST)
            .unwrap()
            .status(&subject(&[person]), TODAY)
    };
    assert_eq!(status(&set, 1), LiveStatus::Known);
    // Of tokens of another epoch there is no set.
    assert!(set.get(KeyEpoch::new(2).unwrap()).is_none());
    // A second fill stops in the middle: person 5 is written, person 1 withdrawn, neither counts yet.
    register = filled(&state, 2..6);
    let set = load(&state);
    assert_eq!(
        (status(&set, 1), status(&set, 5)),
        (LiveStatus::Known, LiveStatus::NotKnown)
    );
    // The new set is remembered, its mark is not: nobody can tell what the register holds.
    remember(&mut register);
    assert!(!is_there(&load(&state)));
    mark(&mut register);
    let set = load(&state);
    assert_eq!(
        (status(&set, 1), status(&set, 5)),
        (LiveStatus::NotKnown, LiveStatus::Known)
    );
    set.forget(KeyEpoch::FIRST);
    assert!(!is_there(&set), "an epoch that is over");
    // A register that begins anew, or is synchronised with a hub, is no complete set.
    let mut fresh = registers(&state);
    let of = fresh.of(&key().keys).unwrap();
    of.local.restart(2);
    of.slot.start_generation(of.local.mark).unwrap();
    assert!(!is_there(&load(&state)));
}
