//! Whether somebody tries numbers: the hit-ratio test.
//!
//! Who asks about people from a case list finds one in ten or more of them known somewhere. Who tries numbers finds
//! what chance gives: with 500,000 persons registered, 0.55 % of all valid BSNs. The covenant says which share is
//! that of trying numbers: at most `hits` in a `window` (5 in 200).
//!
//! Looking at a sliding window after each question would stop honest people: at 10 % hits a window of 200 has at most
//! 5 with probability 3.9·10⁻⁵, and in 100 months of 1,000 persons there are 500 windows that do not overlap. So there
//! are two tests, of which the first is done once in the life of a user or partner:
//!
//! 1. **The first window.** When `window` persons have been counted, at most `hits` hits among them stop. This is the
//!    most powerful test there is of that many persons (Neyman–Pearson), and no other has its power at fewer errors.
//! 2. **A cumulative sum**, from the first person on (Page, 1954). It counts misses: each miss adds one, each hit takes
//!    `window / (hits + 1) − 1` off, down to zero; it stops at nine tenths of `window`. With 5 in 200 a hit takes 32
//!    off: the sum falls on average where more than 3 % are hits, and rises below.
//!
//! Figures for 5 in 200, exact (a Markov chain over the sum; `enumeration_tests.rs` computes them again):
//!
//! | who | what | probability |
//! |---|---|---|
//! | tries numbers, 0.55 % hits, new | stopped by the 200th person | 0.9991 |
//! | tries numbers without any hit | stopped by the 180th person | 1 |
//! | tries numbers after a normal history | stopped by the 200th further person | 0.50 |
//! | | … by the 264th / 342nd / 413th | 0.90 / 0.99 / 0.999 |
//! | asks, 10 % hits, independent | stopped by the first window, once in a life | 3.9·10⁻⁵ |
//! | | stopped by the sum, per person asked about after that | 9.8·10⁻¹⁰ |
//! | | … in 100 months of 1,000 persons | 1.0·10⁻⁴ |
//!
//! A normal history cannot cost less: 413 persons are what a sum needs that errs once in a thousand million persons,
//! and a sum at 150 instead (0.82 by the 200th person) errs twenty times as often. Hits come in households. With 30 %
//! hits and whole households of up to four either known or not, simulated hundreds of months have no false stop. Whole
//! households of three on average at 10 % do trip it within some thousands of persons: a covenant whose use is like
//! that sets a window as much larger as its households are (15 in 600), and stops later by as much.
//!
//! Who mixes numbers with enough persons known to be known is not found by this test; quotas bound what they get.
//!
//! Persons about whom nobody could be asked, or to whom nobody applies, count neither way.

use crate::covenant::AlarmRules;

/// What has been seen of one user or one partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Persons counted, up to the first window.
    looked: u32,
    /// Hits among those.
    hits: u32,
    /// The cumulative sum.
    sum: u32,
    /// Stopped until somebody lifts it.
    stopped: bool,
    /// When it was last changed, in milliseconds since 1970.
    at_ms: i64,
}

impl Run {
    /// Sees one more person; whether that stops whoever asked. Once stopped it does not stop again.
    pub fn see(&mut self, rules: &AlarmRules, hit: bool, at_ms: i64) -> bool {
        self.at_ms = self.at_ms.max(at_ms);
        let mut few = false;
        if self.looked < rules.enumeration_window {
            self.looked += 1;
            self.hits += u32::from(hit);
            few = self.looked == rules.enumeration_window && self.hits <= rules.enumeration_hits;
        }
        self.sum = if hit {
            self.sum.saturating_sub(taken_by_a_hit(rules))
        } else {
            self.sum.saturating_add(1).min(limit(rules))
        };
        let stops = !self.stopped && (few || self.sum >= limit(rules));
        self.stopped |= stops;
        stops
    }

    /// Whether it has stopped and was not lifted.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// When it was last changed, in milliseconds since 1970.
    pub fn at_ms(&self) -> i64 {
        self.at_ms
    }

    /// A partner is not stopped for what one of its users was stopped for at the same moment, but it has spent half of
    /// what it had: the next user does not begin where the first did.
    pub fn pardon(&mut self, rules: &AlarmRules) {
        self.stopped = false;
        self.looked = rules.enumeration_window;
        self.sum = limit(rules) / 2;
    }

    /// For a table.
    pub fn to_bytes(self) -> [u8; 21] {
        let mut bytes = [0; 21];
        bytes[..4].copy_from_slice(&self.looked.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.hits.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.sum.to_be_bytes());
        bytes[12] = u8::from(self.stopped);
        bytes[13..].copy_from_slice(&self.at_ms.to_be_bytes());
        bytes
    }

    /// As [`to_bytes`](Self::to_bytes) wrote it.
    pub fn from_bytes(bytes: [u8; 21]) -> Self {
        let (numbers, rest) = bytes.split_at(12);
        let number = |place: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&numbers[place..place + 4]);
            u32::from_be_bytes(number)
        };
        let mut at_ms = [0; 8];
        at_ms.copy_from_slice(&rest[1..]);
        Self {
            looked: number(0),
            hits: number(4),
            sum: number(8),
            stopped: rest[0] != 0,
            at_ms: i64::from_be_bytes(at_ms),
        }
    }
}

/// What a hit takes off the sum: the misses that go with it where exactly one hit more than `hits` falls in a window.
fn taken_by_a_hit(rules: &AlarmRules) -> u32 {
    let share = rules.enumeration_window / rules.enumeration_hits.saturating_add(1);
    share.saturating_sub(1).max(1)
}

/// The sum that stops.
fn limit(rules: &AlarmRules) -> u32 {
    let tenths = u64::from(rules.enumeration_window) * 9 / 10;
    u32::try_from(tenths).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
#[path = "enumeration_tests.rs"]
mod tests;
