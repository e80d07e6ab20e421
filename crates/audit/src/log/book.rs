//! What the log's writer and its readers share.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{checkpoint::Head, merkle::Front, replay::Place};

/// The tree and where its entries lie. The writer adds leaves before they are durable, so readers look no further
/// than `durable`.
pub(super) struct Book {
    pub(super) front: Front,
    /// The head up to which everything is flushed.
    pub(super) durable: Head,
    /// Of all frames, but for those in segments that were unlinked after an erasure.
    pub(super) places: Vec<Place>,
    pub(super) segments: BTreeMap<u64, PathBuf>,
    /// The ids of the keys that payloads in each segment are sealed with.
    pub(super) key_ids: BTreeMap<u64, BTreeSet<u32>>,
    /// Indexes of the public control entries.
    pub(super) controls: Vec<u64>,
}

impl Book {
    /// Index of the first entry whose frame is there; the durable size if there is none.
    pub(super) fn first_framed(&self) -> u64 {
        self.places
            .first()
            .map_or(self.durable.size, |place| place.first_index)
    }
}
