//! Batches of registrations as the hub stores them.

use std::sync::LazyLock;

use hitmachine_core::registry::{Batch, TallyMask};
use hitmachine_pseudonym::{DeploymentId, KeyEpoch, Pepper, Scheme};

static MASK: LazyLock<TallyMask> = LazyLock::new(|| {
    let (pepper, deployment) = (Pepper::from_bytes([3; 32]), DeploymentId::from_bytes([1; 16]));
    TallyMask::derive(&pepper, &deployment, KeyEpoch::FIRST, Scheme::HmacSha256)
});

/// The target.
pub fn check(input: &[u8]) {
    let unpack = |sequence, bytes: &[u8]| Batch::unpack("om".parse().unwrap(), 1, sequence, bytes, &MASK);
    let Ok(batch) = unpack(1, input) else {
        return;
    };
    assert!(batch.changes.len() <= 1024);
    let packed = batch.pack(&MASK);
    assert_eq!(packed.len(), input.len());
    assert_eq!(unpack(1, &packed).as_ref(), Ok(&batch));
    // In another place the same bytes hold another tally: the mask is of the place.
    let elsewhere = unpack(2, input).expect("the same form");
    assert_eq!(elsewhere.changes, batch.changes);
    assert_ne!(elsewhere.after, batch.after);
    assert!(unpack(1, &input[..input.len() - 1]).is_err());
}
