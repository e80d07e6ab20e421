//! What every store must pass, whichever engine.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test suite that other crates call"
)]

use hitmachine_core::{PartnerId, PartnerState, Store, StoreError, StoredBatch};

fn id(name: &str) -> PartnerId {
    name.parse().unwrap()
}

fn batch(partner: &str, generation: u32, sequence: u64, bytes: &[u8]) -> StoredBatch {
    StoredBatch {
        partner: id(partner),
        generation,
        sequence,
        bytes: bytes.to_vec(),
    }
}

fn read(store: &dyn Store, partner: &str, generation: u32) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    store
        .batches(&id(partner), generation, &mut |batch| {
            found.push((batch.sequence, batch.bytes));
            Ok(())
        })
        .unwrap();
    found
}

/// Runs the suite; `open` opens the same, at first empty, store each time.
pub fn check(open: &mut dyn FnMut() -> Box<dyn Store>) {
    let store = open();
    assert!(
        store.states().unwrap().is_empty(),
        "the suite wants an empty store"
    );
    assert!(read(&*store, "a", 1).is_empty());

    // Marked once, for ever.
    store.bind([1; 8]).unwrap();
    store.bind([1; 8]).unwrap();
    assert!(matches!(store.bind([2; 8]), Err(StoreError::OtherKey)));

    // Written once, in order, each generation and partner apart; names that are prefixes do not mix.
    store
        .append(&[batch("a", 1, 1, b"one"), batch("a", 1, 2, b"two")])
        .unwrap();
    store.append(&[batch("ab", 1, 1, b"other partner")]).unwrap();
    store.append(&[batch("a", 1, 3, &vec![7; 40_000])]).unwrap();
    assert_eq!(
        read(&*store, "a", 1),
        [(1, b"one".to_vec()), (2, b"two".to_vec()), (3, vec![7; 40_000])]
    );

    // The same again changes nothing; other content is refused, and with it the rest of the call.
    store.append(&[batch("a", 1, 2, b"two")]).unwrap();
    let conflict = store.append(&[batch("a", 1, 4, b"four"), batch("a", 1, 2, b"changed")]);
    assert!(
        matches!(conflict, Err(StoreError::Conflict { sequence: 2, .. })),
        "{conflict:?}"
    );
    assert_eq!(read(&*store, "a", 1).len(), 3);

    // States are replaced in one step.
    let at = "2026-11-21T12:00:00.123Z".parse().unwrap();
    let first = PartnerState {
        active: None,
        filling: Some(1),
        complete_at: None,
    };
    let second = PartnerState {
        active: Some(1),
        filling: None,
        complete_at: Some(at),
    };
    store.set_state(&id("a"), first).unwrap();
    assert_eq!(store.states().unwrap(), [(id("a"), first)]);
    store.set_state(&id("a"), second).unwrap();
    store.set_state(&id("ab"), first).unwrap();

    // All of it is there after reopening.
    drop(store);
    let store = open();
    assert!(matches!(store.bind([2; 8]), Err(StoreError::OtherKey)));
    store.bind([1; 8]).unwrap();
    assert_eq!(store.states().unwrap(), [(id("a"), second), (id("ab"), first)]);
    assert_eq!(read(&*store, "a", 1).len(), 3);

    // A new state keeps the generations that it names, and no other.
    let filling = PartnerState {
        active: Some(1),
        filling: Some(2),
        complete_at: Some(at),
    };
    store.set_state(&id("a"), filling).unwrap();
    store.append(&[batch("a", 2, 1, b"next generation")]).unwrap();
    assert_eq!((read(&*store, "a", 1).len(), read(&*store, "a", 2).len()), (3, 1));
    let switched = PartnerState {
        active: Some(2),
        filling: None,
        complete_at: Some(at),
    };
    store.set_state(&id("a"), switched).unwrap();
    assert!(read(&*store, "a", 1).is_empty());
    assert_eq!(
        (read(&*store, "a", 2).len(), read(&*store, "ab", 1).len()),
        (1, 1)
    );

    // What a stop leaves of other generations goes at the next opening.
    store.append(&[batch("a", 7, 1, b"nobody names this")]).unwrap();
    drop(store);
    let store = open();
    assert!(read(&*store, "a", 7).is_empty());
    assert_eq!(read(&*store, "a", 2).len(), 1);

    // A partner that is removed leaves nothing, may come back, and takes nothing of others with it.
    store.append(&[batch("ab", 1, 2, b"more")]).unwrap();
    store.remove(&id("ab")).unwrap();
    store.remove(&id("ab")).unwrap();
    store.remove(&id("never")).unwrap();
    drop(store);
    let store = open();
    assert_eq!(store.states().unwrap(), [(id("a"), switched)]);
    assert!(read(&*store, "ab", 1).is_empty());
    assert_eq!(read(&*store, "a", 2).len(), 1);
    store.set_state(&id("ab"), first).unwrap();
    store.append(&[batch("ab", 1, 1, b"came back")]).unwrap();
    assert_eq!(read(&*store, "ab", 1), [(1, b"came back".to_vec())]);

    // A visitor's error ends the reading.
    let refused = store.batches(&id("a"), 2, &mut |_| {
        Err(StoreError::Damaged { place: "here".into() })
    });
    assert!(matches!(refused, Err(StoreError::Damaged { .. })));
}
