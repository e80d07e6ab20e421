//! Distinct valid numbers within given prefixes, without remembering any.

use hitmachine_identifier::check_digit;

use crate::rng::Rng;

/// Walks through every valid BSN with the given prefixes once, in scattered order.
///
/// The first eight digits of the candidates form one range of `size` values; a stride without a common
/// divisor with `size` visits each once. About one in eleven has no check digit and is passed over.
pub(super) struct BsnWalk {
    /// First eight-digit value of each prefix, with how many values it has.
    ranges: Vec<(u32, u32)>,
    size: u64,
    stride: u64,
    at: u64,
    left: u64,
}

impl BsnWalk {
    /// Prefixes are one to eight digits and none begins with another; anything else yields no number.
    pub(super) fn new(mut rng: Rng, prefixes: &[&str]) -> Self {
        let ranges: Vec<(u32, u32)> = prefixes.iter().filter_map(|prefix| range(prefix)).collect();
        let size: u64 = ranges.iter().map(|&(_, values)| u64::from(values)).sum();
        // Near the golden section, so that neighbours in the walk lie far apart and no part is visited late.
        let mut stride = size * 61_803 / 100_000 + rng.below(size / 10_000) + 1;
        while gcd(stride, size) > 1 {
            stride += 1;
        }
        Self {
            at: rng.below(size),
            left: size,
            ranges,
            size,
            stride,
        }
    }

    /// How many valid numbers the prefixes hold.
    pub(super) fn numbers(prefixes: &[&str]) -> usize {
        Self::new(Rng::new(0), prefixes).count()
    }

    fn first_eight(&self) -> Option<u32> {
        let mut at = u32::try_from(self.at).ok()?;
        for &(first, values) in &self.ranges {
            match at.checked_sub(values) {
                Some(rest) => at = rest,
                None => return Some(first + at),
            }
        }
        None
    }
}

impl Iterator for BsnWalk {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        while self.left > 0 {
            self.left -= 1;
            let first_eight = self.first_eight()?;
            self.at = (self.at + self.stride) % self.size;
            if let Some(digit) = check_digit(first_eight) {
                return Some(format!("{first_eight:08}{digit}"));
            }
        }
        None
    }
}

/// A number with prefix `9999` that fails the elfproef: the row somebody mistyped.
pub(super) fn mistyped(rng: &mut Rng) -> String {
    let first_eight = 99_990_000 + u32::try_from(rng.below(10_000)).unwrap_or_default();
    // Every digit but the right one fails; where none is right, all fail.
    let right = check_digit(first_eight).map_or(0, u64::from);
    let wrong = (right + 1 + rng.below(9)) % 10;
    format!("{first_eight:08}{wrong}")
}

/// Whether every prefix is one to eight digits and no two overlap.
pub(super) fn are_prefixes(prefixes: &[&str]) -> bool {
    let overlap = |(at, prefix): (usize, &&str)| {
        prefixes
            .iter()
            .enumerate()
            .any(|(other, longer)| other != at && longer.starts_with(*prefix))
    };
    !prefixes.is_empty()
        && prefixes.iter().all(|prefix| range(prefix).is_some())
        && !prefixes.iter().enumerate().any(overlap)
}

/// First value and number of values of the eight-digit numbers that begin with `prefix`.
fn range(prefix: &str) -> Option<(u32, u32)> {
    if !(1..=8).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let values = 10_u32.pow(u32::try_from(8 - prefix.len()).ok()?);
    Some((prefix.parse::<u32>().ok()? * values, values))
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Written out here, apart from the product's own: Σ(9,8,7,6,5,4,3,2,−1)·d ≡ 0 (mod 11).
    fn passes(bsn: &str) -> bool {
        let digits: Vec<i32> = bsn.bytes().map(|byte| i32::from(byte - b'0')).collect();
        let sum: i32 = [9, 8, 7, 6, 5, 4, 3, 2, -1]
            .iter()
            .zip(&digits)
            .map(|(weight, digit)| weight * digit)
            .sum();
        digits.len() == 9 && sum % 11 == 0 && digits.iter().any(|&digit| digit > 0)
    }

    #[test]
    fn each_number_once_and_valid() {
        let numbers: Vec<String> = BsnWalk::new(Rng::new(3), &["9999", "0000"]).collect();
        assert_eq!(numbers.len(), 9_091 + 9_090, "known counts of both test ranges");
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        assert!(numbers.iter().all(|bsn| passes(bsn)));
        assert!(
            numbers
                .iter()
                .all(|bsn| bsn.starts_with("9999") || bsn.starts_with("0000"))
        );
        assert_ne!(
            numbers[..100],
            BsnWalk::new(Rng::new(4), &["9999", "0000"]).collect::<Vec<_>>()[..100]
        );
    }

    #[test]
    fn mistyped_numbers_fail() {
        let mut rng = Rng::new(5);
        for _ in 0..2_000 {
            let bsn = mistyped(&mut rng);
            assert!(bsn.len() == 9 && bsn.starts_with("9999") && !passes(&bsn));
        }
    }

    #[test]
    fn prefixes_are_digits_without_overlap() {
        assert!(are_prefixes(&["9999", "0000"]));
        for wrong in [
            &["9", "9999"][..],
            &["99", "99"],
            &[""],
            &["12345678", "x"],
            &["123456789"],
            &[],
        ] {
            assert!(!are_prefixes(wrong), "{wrong:?}");
        }
        assert_eq!(BsnWalk::new(Rng::new(0), &["x"]).count(), 0);
    }
}
