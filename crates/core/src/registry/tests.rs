use std::collections::BTreeMap;
use std::sync::Mutex;

use hitmachine_pseudonym::{DeploymentId, KeyEpoch, Pepper, Scheme};
use proptest::prelude::*;

use super::*;
use crate::covenant::Answers;
use crate::ids::SubjectClass;

const TODAY: Day = Day(20_778);

/// A store in memory: for the rules, which do not care where batches lie. Engines have their own suite.
#[derive(Default)]
struct Memory {
    bound: Mutex<Option<[u8; 8]>>,
    batches: Mutex<BTreeMap<(PartnerId, u32, u64), Vec<u8>>>,
    states: Mutex<BTreeMap<PartnerId, PartnerState>>,
}

impl Store for Memory {
    fn bind(&self, key_check: [u8; 8]) -> Result<(), StoreError> {
        let mut bound = self.bound.lock().unwrap();
        if *bound.get_or_insert(key_check) == key_check {
            Ok(())
        } else {
            Err(StoreError::OtherKey)
        }
    }

    fn append(&self, batches: &[StoredBatch]) -> Result<(), StoreError> {
        for batch in batches {
            let key = (batch.partner.clone(), batch.generation, batch.sequence);
            self.batches.lock().unwrap().insert(key, batch.bytes.clone());
        }
        Ok(())
    }

    fn batches(
        &self,
        partner: &PartnerId,
        generation: u32,
        visit: &mut dyn FnMut(StoredBatch) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for ((own, number, sequence), bytes) in self.batches.lock().unwrap().iter() {
            if own == partner && *number == generation {
                let (partner, bytes) = (own.clone(), bytes.clone());
                visit(StoredBatch {
                    partner,
                    generation,
                    sequence: *sequence,
                    bytes,
                })?;
            }
        }
        Ok(())
    }

    fn states(&self) -> Result<Vec<(PartnerId, PartnerState)>, StoreError> {
        Ok(self
            .states
            .lock()
            .unwrap()
            .iter()
            .map(|(id, state)| (id.clone(), *state))
            .collect())
    }

    fn set_state(&self, partner: &PartnerId, state: PartnerState) -> Result<(), StoreError> {
        self.states.lock().unwrap().insert(partner.clone(), state);
        let named = [state.active, state.filling];
        let mut batches = self.batches.lock().unwrap();
        batches.retain(|(own, number, _), _| own != partner || named.contains(&Some(*number)));
        Ok(())
    }

    fn remove(&self, partner: &PartnerId) -> Result<(), StoreError> {
        self.states.lock().unwrap().remove(partner);
        self.batches.lock().unwrap().retain(|(own, ..), _| own != partner);
        Ok(())
    }
}

fn keys(pepper: u8) -> (TagKeys, TallyMask) {
    let pepper = Pepper::from_bytes([pepper; 32]);
    let keys = TagKeys::derive(&pepper, &deployment(), epoch(), Scheme::HmacSha256);
    (
        keys,
        TallyMask::derive(&pepper, &deployment(), epoch(), Scheme::HmacSha256),
    )
}

fn register() -> Register {
    let (keys, mask) = keys(0xc5);
    Register::new(keys, mask)
}

fn load(store: &Memory) -> Result<Register, StoreError> {
    let (keys, mask) = keys(0xc5);
    Register::load(keys, mask, store)
}

fn deployment() -> DeploymentId {
    DeploymentId::from_bytes([1; 16])
}

fn epoch() -> KeyEpoch {
    KeyEpoch::new(1).unwrap()
}

fn partner(registers: Vec<SubjectClass>) -> Partner {
    Partner {
        id: "leerplicht".parse().unwrap(),
        name: "Leerplicht".into(),
        oin: "00000099000000000002".parse().unwrap(),
        domain: "gemeente".into(),
        contact: "x".into(),
        answers: Answers::Index,
        registers,
        registration_days: 365,
        stale_after_hours: 72,
        key_pins: vec![],
        signing_keys: vec![],
        live_deadline_ms: 2_000,
    }
}

fn token(person: u8) -> Token {
    Token::from_bytes([person; 32])
}

fn change(person: u8, registration: Option<(SubjectClass, Day)>) -> Change {
    Change {
        identifier: IdentifierType::Bsn,
        token: token(person),
        registration,
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// What a broker does with batches: prepare, store, apply.
fn send(
    register: &mut Register,
    store: &Memory,
    partner: &Partner,
    generation: u32,
    batches: Vec<(u64, Vec<Change>)>,
) -> Result<u64, RegistryError> {
    let prepared = register.prepare(partner, generation, batches, TODAY)?;
    store.append(&prepared.stored).unwrap();
    let acknowledged = prepared.acknowledges;
    prepared.batches.iter().for_each(|batch| register.apply(batch));
    Ok(acknowledged)
}

/// What a broker does at the end of a sync; whether both sides agreed.
fn complete(
    register: &mut Register,
    store: &Memory,
    partner: &Partner,
    generation: u32,
    tally: Tally,
) -> bool {
    match register.complete(&partner.id, generation, tally, now()).unwrap() {
        Completed::Agreed { state } => {
            store.set_state(&partner.id, state).unwrap();
            register.switch(&partner.id, state);
            true
        }
        Completed::Differs => false,
    }
}

fn known(register: &Register, partner: &Partner, person: u8, today: Day) -> bool {
    let tags = register.tags(&[(IdentifierType::Bsn, token(person))]);
    register.is_known(&partner.id, &tags[0], today)
}

#[test]
fn a_register_answers_only_when_complete_fresh_and_unexpired() {
    let (mut register, store) = (register(), Memory::default());
    let partner = partner(vec![SubjectClass::Minor]);
    let until = TODAY.plus(10);
    let begun = register.begin(&partner.id, false).unwrap();
    assert_eq!((begun.generation, begun.next_sequence), (1, 1));
    store.set_state(&partner.id, begun.state.unwrap()).unwrap();
    send(
        &mut register,
        &store,
        &partner,
        1,
        vec![(1, vec![change(7, Some((SubjectClass::Minor, until)))])],
    )
    .unwrap();
    assert!(!register.is_fresh(&partner.id, 72, now()), "not complete yet");
    assert!(!known(&register, &partner, 7, TODAY));

    let mut tally = Tally::default();
    tally.add(IdentifierType::Bsn, &token(7), SubjectClass::Minor, until);
    assert!(complete(&mut register, &store, &partner, 1, tally));
    assert!(register.is_fresh(&partner.id, 72, now()));
    assert!(known(&register, &partner, 7, TODAY) && known(&register, &partner, 7, until));
    assert!(
        !known(&register, &partner, 7, until.plus(1)),
        "expired the day after its last"
    );
    assert!(!known(&register, &partner, 8, TODAY));

    let hour = jiff::SignedDuration::from_hours(1);
    assert!(register.is_fresh(&partner.id, 72, now() + hour * 72));
    assert!(!register.is_fresh(&partner.id, 72, now() + hour * 73), "stale");
    assert!(
        !register.is_fresh(&partner.id, 72, now() - hour),
        "a clock that jumped back"
    );

    let filled = register.filled(&partner.id);
    assert_eq!(
        (filled.count, filled.complete_at, filled.pending),
        (1, Some(now()), false)
    );
    let second = jiff::SignedDuration::from_secs(1);
    register.withhold(partner.id.clone(), now() + second);
    assert!(
        !register.is_fresh(&partner.id, 72, now() + hour),
        "left behind by a change of key epoch"
    );
    register.withhold(partner.id.clone(), now());
    assert!(
        register.is_fresh(&partner.id, 72, now() + hour),
        "complete since then"
    );

    let loaded = load(&store).unwrap();
    assert!(known(&loaded, &partner, 7, TODAY) && loaded.is_fresh(&partner.id, 72, now()));
    assert_eq!(loaded.summary(), register.summary());
    let again = change(8, Some((SubjectClass::Minor, until)));
    send(&mut register, &store, &partner, 1, vec![(2, vec![again])]).unwrap();
    assert!(
        register.filled(&partner.id).pending,
        "changed, and not yet agreed on"
    );
}

#[test]
fn what_the_covenant_does_not_allow_is_refused_whole() {
    let (mut register, store) = (register(), Memory::default());
    let partner = partner(vec![SubjectClass::Minor]);
    register.begin(&partner.id, false).unwrap();
    let good = change(1, Some((SubjectClass::Minor, TODAY.plus(365))));
    for (name, sequence, changes, expected) in [
        (
            "class",
            1,
            vec![good.clone(), change(2, Some((SubjectClass::Adult, TODAY)))],
            RegistryError::ClassNotAllowed,
        ),
        (
            "term",
            1,
            vec![
                good.clone(),
                change(2, Some((SubjectClass::Minor, TODAY.plus(367)))),
            ],
            RegistryError::TermTooLong,
        ),
        (
            "past",
            1,
            vec![
                good.clone(),
                change(2, Some((SubjectClass::Minor, Day(TODAY.0 - 2)))),
            ],
            RegistryError::TermInPast,
        ),
        ("empty", 1, vec![], RegistryError::BatchSize),
        (
            "large",
            1,
            vec![good.clone(); MAX_CHANGES + 1],
            RegistryError::BatchSize,
        ),
        ("gap", 2, vec![good.clone()], RegistryError::Gap),
    ] {
        let refused = send(&mut register, &store, &partner, 1, vec![(sequence, changes)]);
        assert_eq!(refused, Err(expected), "{name}");
        assert_eq!(register.persons(), 0, "{name}");
        assert!(store.batches.lock().unwrap().is_empty(), "{name}");
    }
    assert_eq!(
        send(&mut register, &store, &partner, 2, vec![(1, vec![good])]),
        Err(RegistryError::NotBegun)
    );
}

#[test]
fn a_full_resync_replaces_the_register_at_once() {
    let (mut register, store) = (register(), Memory::default());
    let partner = partner(vec![SubjectClass::Adult]);
    let until = TODAY.plus(100);
    let adult = Some((SubjectClass::Adult, until));
    let tally_of = |persons: &[u8]| {
        persons.iter().fold(Tally::default(), |mut tally, person| {
            tally.add(IdentifierType::Bsn, &token(*person), SubjectClass::Adult, until);
            tally
        })
    };
    register.begin(&partner.id, false).unwrap();
    send(
        &mut register,
        &store,
        &partner,
        1,
        vec![(1, vec![change(1, adult), change(2, adult)])],
    )
    .unwrap();
    assert!(
        !complete(&mut register, &store, &partner, 1, tally_of(&[1])),
        "a difference is noticed"
    );
    assert!(complete(&mut register, &store, &partner, 1, tally_of(&[1, 2])));

    let begun = register.begin(&partner.id, true).unwrap();
    assert_eq!((begun.generation, begun.next_sequence), (2, 1));
    store.set_state(&partner.id, begun.state.unwrap()).unwrap();
    send(
        &mut register,
        &store,
        &partner,
        2,
        vec![(1, vec![change(2, adult), change(3, adult)])],
    )
    .unwrap();
    assert!(
        known(&register, &partner, 1, TODAY) && !known(&register, &partner, 3, TODAY),
        "the old one answers"
    );
    let resumed = load(&store).unwrap();
    assert!(
        known(&resumed, &partner, 1, TODAY) && !known(&resumed, &partner, 3, TODAY),
        "also after a restart"
    );

    assert!(complete(&mut register, &store, &partner, 2, tally_of(&[2, 3])));
    for register in [&register, &load(&store).unwrap()] {
        assert!(!known(register, &partner, 1, TODAY) && known(register, &partner, 3, TODAY));
        assert_eq!(register.persons(), 2, "nothing is left of the old generation");
    }

    let third = register.begin(&partner.id, true).unwrap();
    let fourth = register.begin(&partner.id, true).unwrap();
    assert_eq!(
        (third.generation, fourth.generation, fourth.state.unwrap().filling),
        (3, 4, Some(4))
    );
}

#[test]
fn a_damaged_batch_is_noticed_at_start() {
    let (mut register, store) = (register(), Memory::default());
    let partner = partner(vec![SubjectClass::Adult]);
    let adult = Some((SubjectClass::Adult, TODAY.plus(1)));
    let begun = register.begin(&partner.id, false).unwrap();
    store.set_state(&partner.id, begun.state.unwrap()).unwrap();
    for sequence in 1..=3u8 {
        let batch = (u64::from(sequence), vec![change(sequence, adult)]);
        send(&mut register, &store, &partner, 1, vec![batch]).unwrap();
    }
    let key = |sequence| (partner.id.clone(), 1, sequence);
    let whole = store.batches.lock().unwrap().clone();
    for (name, damage) in [("removed", None), ("cut", Some(20))] {
        {
            let mut batches = store.batches.lock().unwrap();
            match damage {
                None => drop(batches.remove(&key(2))),
                Some(length) => batches.get_mut(&key(2)).unwrap().truncate(length),
            }
        }
        assert!(matches!(load(&store), Err(StoreError::Damaged { .. })), "{name}");
        *store.batches.lock().unwrap() = whole.clone();
    }
    assert!(load(&store).is_ok());
}

/// Tags under another pepper never match: a register of them would say "not known" about everybody.
#[test]
fn a_store_filled_under_another_pepper_is_refused() {
    let store = Memory::default();
    load(&store).unwrap();
    let (other_keys, other_mask) = keys(0xc6);
    assert!(matches!(
        Register::load(other_keys, other_mask, &store),
        Err(StoreError::OtherKey)
    ));
    load(&store).unwrap();
}

#[test]
fn a_stored_tally_does_not_show_the_digest() {
    let (_, mask) = keys(0xc5);
    let mut tally = Tally::default();
    tally.add(IdentifierType::Bsn, &token(1), SubjectClass::Adult, TODAY);
    let batch = |sequence| Batch {
        partner: "leerplicht".parse().unwrap(),
        generation: 1,
        sequence,
        changes: vec![],
        after: tally,
    };
    let (first, second) = (batch(1).pack(&mask), batch(2).pack(&mask));
    assert_ne!(first[first.len() - 32..], tally.digest());
    assert_ne!(
        first[first.len() - 32..],
        second[second.len() - 32..],
        "each batch has a mask of its own"
    );
    let partner: PartnerId = "leerplicht".parse().unwrap();
    assert_eq!(Batch::unpack(partner, 1, 1, &first, &mask), Ok(batch(1)));
}

proptest! {
    /// However changes are cut into batches, repeated and interrupted by restarts, the broker ends up with what
    /// the node has: same persons, same tally.
    #[test]
    fn both_sides_agree_whatever_happens(
        steps in prop::collection::vec((prop::collection::vec((0u8..12, 0u8..3, 1u32..300), 1..20), 0u8..4), 1..25)
    ) {
        let store = Memory::default();
        let mut register = register();
        let partner = partner(vec![SubjectClass::Minor, SubjectClass::Adult]);
        let begun = register.begin(&partner.id, false).unwrap();
        store.set_state(&partner.id, begun.state.unwrap()).unwrap();
        let mut node: BTreeMap<u8, (SubjectClass, Day)> = BTreeMap::new();
        for (sequence, (changes, trouble)) in (1u64..).zip(steps) {
            let changes: Vec<Change> = changes.into_iter().map(|(person, action, days)| {
                let class = if action == 1 { SubjectClass::Minor } else { SubjectClass::Adult };
                let registration = (action > 0).then_some((class, TODAY.plus(days)));
                match registration {
                    Some(made) => { node.insert(person, made); }
                    None => { node.remove(&person); }
                }
                change(person, registration)
            }).collect();
            send(&mut register, &store, &partner, 1, vec![(sequence, changes.clone())]).unwrap();
            if trouble == 1 {
                prop_assert_eq!(send(&mut register, &store, &partner, 1, vec![(sequence, changes)]), Ok(sequence));
            }
            if trouble == 2 {
                register = load(&store).unwrap();
                prop_assert_eq!(register.begin(&partner.id, false).unwrap().next_sequence, sequence + 1);
            }
        }
        let mut tally = Tally::default();
        for (person, (class, until)) in &node {
            tally.add(IdentifierType::Bsn, &token(*person), *class, *until);
        }
        prop_assert!(complete(&mut register, &store, &partner, 1, tally));
        for person in 0..12 {
            prop_assert_eq!(known(&register, &partner, person, TODAY), node.contains_key(&person));
        }
    }
}
