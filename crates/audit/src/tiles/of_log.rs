//! The log as a source to publish from.

use std::ops::Range;

use super::{PublishSource, SourceError};
use crate::{hash::Hash, log::LogReader, log::ReadError};

impl PublishSource for LogReader {
    fn size(&self) -> u64 {
        self.head().size
    }

    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        Self::node(self, level, index)
    }

    fn entries(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, SourceError> {
        self.leaf_entries(range).map_err(|error| match error {
            ReadError::NoEntry(index) => SourceError::Gone(index),
            error => SourceError::Read(error.into()),
        })
    }
}
