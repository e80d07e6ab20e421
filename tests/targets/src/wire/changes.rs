//! Packed changes of a sync.

use hitmachine_proto::registry::{pack, unpack};

/// The target.
pub fn check(input: &[u8]) {
    let Ok(changes) = unpack(input) else {
        return;
    };
    assert!((1..=1024).contains(&changes.len()));
    let packed = pack(&changes);
    // A withdrawal has no last day; a node writes zeros there.
    let plain: Vec<u8> = input
        .chunks(38)
        .flat_map(|change| {
            let mut change = change.to_vec();
            if change[33] == 0 {
                change[34..].fill(0);
            }
            change
        })
        .collect();
    assert!(packed == plain, "one form");
}
