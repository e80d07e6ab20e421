//! The node's own memory of what it asked: where each of its entries stands in the hub's log, and with which leaf.
//!
//! Written in the same commit as the heads, before the answer is shown. With it a privacy officer finds an entry that
//! was changed or removed, and one that was invented under this organisation's name.

use hitmachine_audit::Hash;

/// One own entry. Nothing in it says about whom, or what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    /// Place in the log, from 0.
    pub(crate) index: u64,
    /// The request's name, 16 bytes.
    pub(crate) request: [u8; 16],
    /// The leaf that must be there for ever.
    pub(crate) leaf: Hash,
    /// When the answer was verified, by this node's clock, in ms since 1970.
    pub(crate) time_ms: u64,
}

impl JournalEntry {
    /// `request 16 ‖ leaf 32 ‖ time u64`, big-endian; the index is the key.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [
            self.request.as_slice(),
            self.leaf.as_bytes(),
            &self.time_ms.to_be_bytes(),
        ]
        .concat()
    }

    /// Reads what [`encode`](Self::encode) writes and nothing else.
    pub(crate) fn decode(index: u64, bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk()?;
        let (leaf, rest) = rest.split_first_chunk()?;
        Some(Self {
            index,
            request: *request,
            leaf: Hash(*leaf),
            time_ms: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{State, StateKey};

    fn entry(index: u64) -> JournalEntry {
        JournalEntry {
            index,
            request: [7; 16],
            leaf: Hash([u8::try_from(index % 256).unwrap(); 32]),
            time_ms: 1_795_000_000_000 + index,
        }
    }

    #[test]
    fn entries_come_back_in_the_order_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let key = StateKey::from_bytes([3; 32]);
        {
            let state = State::open(dir.path(), &key).unwrap();
            assert!(state.journal().unwrap().is_empty());
            let values = [("heads", b"new heads".to_vec())];
            state
                .set_values_and_more(&values, &[entry(300), entry(2)], Vec::new())
                .unwrap();
            // Written again after a failure: still once.
            state
                .set_values_and_more::<&str>(&[], &[entry(2)], Vec::new())
                .unwrap();
        }
        let state = State::open(dir.path(), &key).unwrap();
        assert_eq!(state.journal().unwrap(), [entry(2), entry(300)]);
        assert_eq!(
            state.value("heads").unwrap().as_deref(),
            Some(b"new heads".as_slice())
        );
        drop(state);
        let other = State::open(dir.path(), &StateKey::from_bytes([4; 32])).unwrap();
        assert!(other.journal().is_err(), "sealed under the state key");
    }

    #[test]
    fn only_whole_entries_are_read() {
        let bytes = entry(5).encode();
        assert_eq!(JournalEntry::decode(5, &bytes), Some(entry(5)));
        assert_eq!(JournalEntry::decode(5, &bytes[1..]), None);
        assert_eq!(JournalEntry::decode(5, &[bytes, vec![0]].concat()), None);
        assert_eq!(JournalEntry::decode(5, &[]), None);
    }
}
