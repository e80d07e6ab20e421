//! For the fuzzer: rows of the index as they come from a disk.
//!
//! No program uses this.

use super::chunk::{self, Bounds};
use super::state::{self, State};
use super::terms::{self, ProcessingRow};

/// Bounds of a chunk (key ‖ value), written again.
pub fn bounds(bytes: &[u8]) -> Option<Vec<u8>> {
    let (key, value) = bytes.split_at_checked(8)?;
    let bounds = Bounds::parse(key, value)?;
    Some([&bounds.first.to_be_bytes(), bounds.value().as_slice()].concat())
}

/// A row of an entry; whether it reads.
pub fn row(bytes: &[u8]) -> bool {
    terms::counted(bytes);
    ProcessingRow::parse(bytes).is_some_and(|row| terms::counted(row.counted).is_some())
}

/// The rows of a group, if it reads to its end.
pub fn rows(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let rows = chunk::rows(0, bytes).map(|row| row.map(|(_, row)| row));
    rows.collect()
}

/// The lines of the index's state, with the right sum behind them; written again without it.
pub fn state(lines: &str) -> Option<String> {
    let (state, key): (State, _) = state::parse(&format!("{lines}sum {}\n", state::sum(lines)))?;
    let text = state.text(key);
    text.rfind("sum ")
        .and_then(|at| text.get(..at))
        .map(str::to_owned)
}

/// A value with its checksum.
pub fn sealed(tree: &str, key: &[u8], value: &[u8]) -> Vec<u8> {
    crate::sealed::sealed(tree, key, value)
}

/// A value whose checksum is right.
pub fn opened<'a>(tree: &str, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    crate::sealed::opened(tree, key, sealed)
}
