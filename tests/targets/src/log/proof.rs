//! tlog-proof: one text per proof; what is verified names a leaf of the signed tree.

use std::sync::LazyLock;

use hitmachine_audit::{Checkpoint, Front, LogSigner, LogVerifier, TlogProof, leaf_hash};

const SIZE: u64 = 5;

static WORLD: LazyLock<(LogVerifier, Vec<u8>)> = LazyLock::new(|| {
    let log = LogSigner::new("log.example/a".parse().unwrap(), &[7; 32]);
    let mut front = Front::new();
    (0..SIZE).for_each(|index| front.push(leaf_hash(&index.to_be_bytes())));
    let checkpoint = Checkpoint {
        origin: log.origin().clone(),
        size: SIZE,
        root: front.root(),
    };
    (log.verifier(), log.sign(&checkpoint).unwrap())
});

/// The target.
pub fn check(input: &[u8]) {
    let Ok(mut proof) = TlogProof::parse(input) else {
        return;
    };
    assert_eq!(proof.format(), input);
    let (log, note) = &*WORLD;
    let leaf = leaf_hash(&3_u64.to_be_bytes());
    proof.checkpoint.clone_from(note);
    if let Ok(checkpoint) = proof.verify(log, &leaf) {
        assert_eq!((proof.index, checkpoint.size), (3, SIZE));
    }
}
