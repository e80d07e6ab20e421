//! Numbers of persons, birth dates, and texts in which there must be no number.

pub mod birth_date;
pub mod free_text;
pub mod person;

/// Whether nine digits pass the elfproef, as the law's formula says it: the sum of nine products is a multiple of eleven.
pub(crate) fn passes_elfproef(digits: &str) -> bool {
    let weights = [9, 8, 7, 6, 5, 4, 3, 2, -1];
    let products = digits
        .bytes()
        .zip(weights)
        .map(|(digit, weight)| i32::from(digit - b'0') * weight);
    digits.len() == 9 && digits.contains(|digit| digit != '0') && products.sum::<i32>() % 11 == 0
}
