//! Notes that were opened before.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::{LogVerifier, NoteError};
use crate::checkpoint::Head;

/// How many notes are remembered. Answers to questions that were asked together have the same note, or one of the last few.
const KEPT: usize = 8;

/// Opens the signed notes of one log, and checks the signature of each only once: all answers of one batch have the same
/// note, and a signature costs more than everything else that is checked of an answer.
#[derive(Debug)]
pub struct OpenedNotes {
    verifier: LogVerifier,
    /// The notes whose signature held, byte for byte, the newest last.
    newest: Mutex<VecDeque<(Box<[u8]>, Head)>>,
}

impl OpenedNotes {
    /// For the notes that `verifier` opens.
    pub fn new(verifier: LogVerifier) -> Self {
        Self {
            verifier,
            newest: Mutex::default(),
        }
    }

    /// The verifier.
    pub const fn verifier(&self) -> &LogVerifier {
        &self.verifier
    }

    /// The head that a note signs.
    ///
    /// # Errors
    /// As [`LogVerifier::open`]; what fails is not remembered.
    pub fn head(&self, note: &[u8]) -> Result<Head, NoteError> {
        let newest = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, head)) = newest().iter().rev().find(|(known, _)| **known == *note) {
            return Ok(*head);
        }
        // Not under the lock: others have notes to open meanwhile.
        let head = self.verifier.open(note)?.head();
        let mut newest = newest();
        if newest.len() == KEPT {
            newest.pop_front();
        }
        newest.push_back((note.into(), head));
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::hash::Hash;
    use crate::note::LogSigner;

    #[test]
    fn only_the_same_bytes_are_known() {
        let signer = LogSigner::new("test.invalid/log".parse().unwrap(), &[7; 32]);
        let note = |size: u64| {
            let checkpoint = Checkpoint {
                origin: signer.origin().clone(),
                size,
                root: Hash([1; 32]),
            };
            signer.sign(&checkpoint).unwrap()
        };
        let opened = OpenedNotes::new(signer.verifier());
        for size in 1..=3 * KEPT as u64 {
            let good = note(size);
            for _ in 0..2 {
                assert_eq!(opened.head(&good).unwrap().size, size);
            }
            // Each byte changed, also of one that is known.
            for place in 0..good.len() {
                let mut bad = good.clone();
                bad[place] ^= 1;
                assert!(opened.head(&bad).is_err(), "byte {place}");
            }
        }
        assert_eq!(opened.newest.lock().unwrap().len(), KEPT);
    }
}
