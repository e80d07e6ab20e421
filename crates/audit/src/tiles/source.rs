//! What the publisher needs from the log.

use std::{error::Error, ops::Range};

use crate::{
    checkpoint::Head,
    hash::{Hash, empty_root, node_hash},
    log::HeadConflict,
};

/// Why the log does not give entries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The log no longer holds this entry, the first of those asked for that is gone: its segment was
    /// removed after erasure.
    #[error("entry {0} is no longer in the log")]
    Gone(u64),
    /// The log cannot be read.
    #[error("entries of the log cannot be read")]
    Read(#[source] Box<dyn Error + Send + Sync>),
}

impl SourceError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Gone(_) => "entry_gone",
            Self::Read(_) => "source_read",
        }
    }
}

/// A log as the publisher sees it. It may grow meanwhile; what it has it keeps, but for the bytes of old
/// entries. Everything in it must be durable already.
pub trait PublishSource {
    /// Number of leaves.
    fn size(&self) -> u64;

    /// Root of the complete subtree number `index` (from 0) of `2^level` leaves; `None` if it is not complete
    /// at [`size`](Self::size). Of every complete one, also of entries that are gone.
    fn node(&self, level: u32, index: u64) -> Option<Hash>;

    /// The leaf entries of this range, all of it: `0x01 ‖ C` or `0x02 ‖ JSON`. At most 256 are asked for at
    /// once, all below [`size`](Self::size).
    ///
    /// # Errors
    /// [`SourceError`].
    fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, SourceError>;
}

/// Root of the source's tree at `size` leaves; `None` beyond it.
fn root_at(source: &dyn PublishSource, size: u64) -> Option<Hash> {
    let (mut rest, mut root) = (size, None);
    // The complete subtrees of the binary digits of the size, from the right.
    while rest != 0 {
        let level = rest.trailing_zeros();
        rest &= rest - 1;
        let left = source.node(level, rest >> level)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    Some(root.unwrap_or_else(empty_root))
}

/// That a signed head lies on the source's tree.
pub(crate) fn check_head(source: &dyn PublishSource, head: Head) -> Result<(), HeadConflict> {
    let ours = source.size();
    match root_at(source, head.size) {
        Some(root) if root == head.root => Ok(()),
        Some(root) if head.size <= ours => Err(HeadConflict::Fork {
            size: head.size,
            seen: head.root,
            ours: root,
        }),
        _ => Err(HeadConflict::Rollback {
            seen: head.size,
            ours,
        }),
    }
}
