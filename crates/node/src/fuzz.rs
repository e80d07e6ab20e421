//! For the fuzzer: rows of the node's state as they are when the seal is off, written again.
//!
//! No program uses this.

use crate::journal::JournalEntry;
use crate::{heads, state};

/// A batch of changes of the own register.
pub fn local_changes(bytes: &[u8]) -> Option<Vec<u8>> {
    state::unpack(bytes).map(|changes| state::pack(&changes).to_vec())
}

/// The heads of the log that are kept with their notes.
pub fn heads(bytes: &[u8]) -> Option<Vec<u8>> {
    heads::unpack(bytes).map(|notes| heads::pack(&notes))
}

/// An own entry.
pub fn journal_entry(bytes: &[u8]) -> Option<Vec<u8>> {
    JournalEntry::decode(0, bytes).map(|entry| entry.encode())
}
