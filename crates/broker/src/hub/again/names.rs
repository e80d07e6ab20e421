//! The names of questions that were logged and are not remembered otherwise, as fingerprints.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// The most fingerprints: about 40 MB, and half an hour at 500 questions a second.
const MOST: usize = 1 << 20;

/// Says of a name whether it was not among those added, or may have been. Forgets what is old.
pub(super) struct Names {
    hasher: RandomState,
    /// How many of those in `order` have this fingerprint.
    prints: HashMap<u64, u32>,
    /// The oldest first, with the time in ms since 1970.
    order: VecDeque<(u64, u64)>,
    /// For how long names are kept, in ms.
    keep_ms: u64,
    /// Names of questions logged up to this time may have been forgotten.
    forgotten_ms: u64,
}

impl Names {
    /// Knows nothing of what was logged up to `forgotten_ms`.
    pub(super) fn new(forgotten_ms: u64, keep_ms: u64) -> Self {
        Self {
            hasher: RandomState::new(),
            prints: HashMap::new(),
            order: VecDeque::new(),
            keep_ms,
            forgotten_ms,
        }
    }

    /// Adds the name of a question that was logged at `logged_ms`.
    pub(super) fn add(&mut self, name: &super::Name, logged_ms: u64) {
        let print = self.hasher.hash_one(name);
        *self.prints.entry(print).or_default() += 1;
        self.order.push_back((print, logged_ms));
        let is_old = |oldest_ms: u64| oldest_ms.saturating_add(self.keep_ms) < logged_ms;
        while let Some(&(oldest, oldest_ms)) = self.order.front()
            && (self.order.len() > MOST || is_old(oldest_ms))
        {
            self.order.pop_front();
            self.forgotten_ms = self.forgotten_ms.max(oldest_ms);
            if let Some(count) = self.prints.get_mut(&oldest) {
                *count -= 1;
                if *count == 0 {
                    self.prints.remove(&oldest);
                }
            }
        }
    }

    /// Whether it may have been added.
    pub(super) fn may_have(&self, name: &super::Name) -> bool {
        self.prints.contains_key(&self.hasher.hash_one(name))
    }

    /// Up to which time names that were logged may be missing, in ms since 1970.
    pub(super) fn forgotten_ms(&self) -> u64 {
        self.forgotten_ms
    }
}

#[cfg(test)]
mod tests {
    use hitmachine_core::RequestId;

    use super::*;

    fn name() -> super::super::Name {
        ("00000099000000001000".parse().unwrap(), RequestId::generate())
    }

    #[test]
    fn names_are_known_until_they_are_old() {
        let mut names = Names::new(5, 100);
        let (first, second, third) = (name(), name(), name());
        assert!(!names.may_have(&first));
        assert_eq!(names.forgotten_ms(), 5);
        names.add(&first, 1_000);
        names.add(&first, 1_010);
        names.add(&second, 1_050);
        assert!(names.may_have(&first) && names.may_have(&second) && !names.may_have(&third));
        // The first of both is old now; the name was added twice.
        names.add(&third, 1_105);
        assert_eq!(names.forgotten_ms(), 1_000);
        assert!(names.may_have(&first));
        names.add(&third, 1_120);
        assert_eq!(names.forgotten_ms(), 1_010);
        assert!(!names.may_have(&first) && names.may_have(&second));
    }

    #[test]
    fn there_are_never_too_many() {
        let mut names = Names::new(0, u64::MAX);
        let first = name();
        names.add(&first, 1);
        for n in 0..MOST as u64 {
            names.add(&name(), 2 + n);
        }
        assert_eq!((names.order.len(), names.forgotten_ms()), (MOST, 1));
        assert!(!names.may_have(&first));
    }
}
