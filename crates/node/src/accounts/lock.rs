//! Lock-out with back-off: guessing gets slow, and a person who mistypes is not kept out for long.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many failures in a row cost nothing.
const FREE: u32 = 5;
/// The longest wait, in minutes.
const LONGEST: u32 = 60;

/// Failures in a row of one account, at one step of signing in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lock {
    failures: u32,
    until: Option<Timestamp>,
}

impl Lock {
    /// Until when no attempt is looked at.
    pub(super) fn closed_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }

    /// One more failure: after the free ones 1 minute, then 2, 4 … up to 60.
    #[must_use]
    pub(super) fn failed(self, now: Timestamp) -> Self {
        let failures = self.failures.saturating_add(1);
        let wait = SignedDuration::from_mins(i64::from(minutes(failures)));
        let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        Self {
            failures,
            until: (!wait.is_zero()).then_some(until),
        }
    }
}

/// How long to wait after so many failures in a row, in minutes.
fn minutes(failures: u32) -> u32 {
    match failures.checked_sub(FREE) {
        None | Some(0) => 0,
        Some(over) => 1_u32.checked_shl(over - 1).unwrap_or(LONGEST).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_are_free_and_then_it_doubles_up_to_an_hour() {
        let waits: Vec<_> = (0..14).map(minutes).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    proptest! {
        #[test]
        fn the_wait_never_gets_shorter_or_longer_than_an_hour(failures in 0_u32..=u32::MAX) {
            let wait = minutes(failures);
            prop_assert!(wait <= LONGEST);
            prop_assert!(minutes(failures.saturating_add(1)) >= wait);
            prop_assert_eq!(wait == 0, failures <= FREE);
        }

        #[test]
        fn it_is_closed_for_exactly_the_wait(failures in 0_u32..200, at in 0_i64..4_000_000_000) {
            let now = Timestamp::from_second(at).unwrap();
            let mut lock = Lock::default();
            for _ in 0..failures {
                lock = lock.failed(now);
            }
            let wait = SignedDuration::from_mins(i64::from(minutes(failures)));
            let before_end = now + wait - SignedDuration::from_nanos(1);
            prop_assert_eq!(lock.closed_at(now).is_some(), failures > FREE);
            prop_assert_eq!(lock.closed_at(before_end).is_some(), failures > FREE);
            prop_assert_eq!(lock.closed_at(now + wait), None);
        }
    }
}
