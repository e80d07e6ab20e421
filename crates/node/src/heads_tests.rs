use hitmachine_audit::{Front, LogSigner, Origin, leaf_hash};

use super::*;
use crate::state::StateKey;

fn policy() -> Policy {
    let signer = LogSigner::new(Origin::new("log.example/hub").unwrap(), &[7; 32]);
    let text = Policy::generate(&signer.verifier(), &[]).unwrap();
    Policy::parse(text.as_bytes()).unwrap()
}

fn front(leaves: u8) -> Front {
    let mut front = Front::new();
    (0..leaves).for_each(|leaf| front.push(leaf_hash(&[leaf])));
    front
}

fn head(front: &Front) -> Head {
    Head {
        size: front.size(),
        root: front.root(),
    }
}

fn entry(index: u64) -> JournalEntry {
    JournalEntry {
        index,
        request: [7; 16],
        leaf: Hash([1; 32]),
        time_ms: 5,
    }
}

#[tokio::test]
async fn a_head_and_the_own_entry_under_it_are_kept_together() {
    let dir = tempfile::tempdir().unwrap();
    let key = StateKey::from_bytes([3; 32]);
    let state = Arc::new(State::open(dir.path(), &key).unwrap());
    let heads = Heads::load(&state, policy()).unwrap();
    let (old, new) = (front(3), front(5));
    heads
        .accept_history(&heads.named(), head(&old), b"old", &[])
        .unwrap();
    let named = heads.named();
    let proofs = [(3, new.consistency_proof(3).unwrap())];
    heads.accept_history(&named, head(&new), b"new", &proofs).unwrap();
    heads.journal([entry(4)]);
    assert!(state.journal().unwrap().is_empty(), "not before it is asked for");
    heads.persist(&state).await.unwrap();
    assert_eq!(state.journal().unwrap(), [entry(4)]);
    // An entry alone is a change too.
    heads.journal([entry(9)]);
    heads.persist(&state).await.unwrap();
    assert_eq!(state.journal().unwrap(), [entry(4), entry(9)]);
    let again = Heads::load(&state, policy()).unwrap();
    assert_eq!(again.all(), [head(&new)]);
    assert_eq!(again.notes(), [b"new".to_vec()]);
}

#[test]
fn a_history_that_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path(), &StateKey::from_bytes([3; 32])).unwrap();
    let heads = Heads::load(&state, policy()).unwrap();
    let (old, new) = (front(3), front(5));
    heads
        .accept_history(&heads.named(), head(&new), b"new", &[])
        .unwrap();
    let shrunk = heads.accept_history(&heads.named(), head(&old), b"old", &[]);
    assert!(matches!(shrunk, Err(AskerError::Rollback { seen: 5, got: 3 })));
    let mut other = front(4);
    other.push(leaf_hash(b"other"));
    let fork = heads.accept_history(&heads.named(), head(&other), b"other", &[]);
    assert!(matches!(fork, Err(AskerError::Fork { size: 5, .. })));
    let unproven = heads.accept_history(&heads.named(), head(&front(6)), b"six", &[]);
    assert!(matches!(unproven, Err(AskerError::NoProof { from: 5 })));
    assert_eq!(heads.all(), [head(&new)]);
    assert_eq!(heads.notes(), [b"new".to_vec()]);
}
