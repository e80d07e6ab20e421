//! What the log's writer and its readers share.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{checkpoint::Head, merkle::Front, replay::Place};

/// The tree and where its entries lie. The writer adds leaves before they are durable, so readers look no further
/// than `durable`.
pub(super) struct Book {
    pub(super) front: Front,
    /// The head up to which everything is flushed.
    pub(super) durable: Head,
    pub(super) places: Vec<Place>,
    pub(super) segments: BTreeMap<u64, PathBuf>,
}
