//! The elfproef ("test of eleven") of a BSN: Σ (9,8,7,6,5,4,3,2,−1)·d ≡ 0 (mod 11).

/// The ninth digit of the BSN whose first eight digits are the decimal places of `first8`.
///
/// `None` if there is none (1 in 11), if `first8` has more than eight digits, or if it is 0, because
/// nine zeros are no BSN. Whoever makes test numbers uses this, so that the test exists once.
pub fn check_digit(first8: u32) -> Option<u8> {
    if first8 == 0 || first8 > 99_999_999 {
        return None;
    }
    let (mut rest, mut sum) = (first8, 0);
    for weight in 2..=9 {
        sum += weight * (rest % 10);
        rest /= 10;
    }
    // The last digit has weight −1, so it equals the sum of the others; 10 is not a digit.
    u8::try_from(sum % 11).ok().filter(|digit| *digit < 10)
}

/// Whether nine ASCII digits pass. Nine zeros do: refusing them is up to the caller.
pub(crate) fn passes(digits: &[u8; 9]) -> bool {
    let [first @ .., last] = digits.map(|digit| u32::from(digit - b'0'));
    let sum: u32 = first
        .iter()
        .zip((2..=9).rev())
        .map(|(digit, weight)| weight * digit)
        .sum();
    sum % 11 == last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two routes to the same answer: the digit computed, and the nine digits tested.
    fn valid_with_prefix(prefix: u32) -> usize {
        let computed = (0..10_000)
            .filter_map(|n| check_digit(prefix * 10_000 + n))
            .count();
        let tested = (0..100_000)
            .map(|n| u64::from(prefix) * 100_000 + n)
            .filter(|n| *n != 0 && passes(&crate::digits::decimal(*n).unwrap()))
            .count();
        assert_eq!(computed, tested, "{prefix}");
        computed
    }

    #[test]
    fn the_test_ranges_hold_as_many_numbers_as_published() {
        assert_eq!(valid_with_prefix(9999), 9_091);
        assert_eq!(valid_with_prefix(0), 9_090);
    }

    #[test]
    fn known_check_digits() {
        for (first8, digit) in [
            (99_999_001, Some(9)),
            (99_990_000, Some(6)),
            (1, Some(2)),
            (0, None),
            (100_000_000, None),
        ] {
            assert_eq!(check_digit(first8), digit, "{first8}");
        }
        // 2·5 leaves 10: no such BSN.
        assert_eq!(check_digit(5), None);
    }
}
