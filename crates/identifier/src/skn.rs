//! Strafrechtsketennummer.

use std::fmt;

use hitmachine_pseudonym::{CanonicalIdentifier, IdentifierType};
use zeroize::ZeroizeOnDrop;

use crate::digits::{self, Digits, Fault};

/// A strafrechtsketennummer in its canonical form: 8 digits. Erased on drop, never printed.
///
/// There is no public check digit and no known test range, so a typing error is not noticed and no
/// deployment refuses a number. Seven digits and eight with a leading zero are the same number.
#[derive(Clone, PartialEq, Eq, Hash, ZeroizeOnDrop)]
pub struct Skn([u8; 8]);

impl Skn {
    /// Reads a text field: digits only, ASCII white space around ignored; leading zeros do not count.
    ///
    /// # Errors
    /// [`SknError`], in this order: character, length, zero.
    pub fn parse(text: &str) -> Result<Self, SknError> {
        let text = text.trim_ascii();
        let significant = text.trim_start_matches('0');
        if significant.is_empty() {
            return Err(if text.is_empty() {
                SknError::Length
            } else {
                SknError::Zero
            });
        }
        // White space is around the digits, not behind the zeros among them.
        if significant.starts_with(|character: char| character.is_ascii_whitespace()) {
            return Err(SknError::Character);
        }
        let digits = Digits::<8>::read(significant, b"")?;
        Self::from_digits(digits::pad(digits.as_bytes()))
    }

    /// Reads a numeric column.
    ///
    /// # Errors
    /// [`SknError::Length`] above 99,999,999; [`SknError::Zero`] for 0.
    pub fn from_number(number: u64) -> Result<Self, SknError> {
        Self::from_digits(digits::decimal(number))
    }

    /// Reads a numeric column that was exported as text: as [`Skn::parse`], perhaps with `.0` after
    /// the digits. To be chosen per source field.
    ///
    /// # Errors
    /// [`SknError`] as for [`Skn::parse`].
    pub fn parse_numeric_text(text: &str) -> Result<Self, SknError> {
        Self::parse(digits::whole_number(text))
    }

    fn from_digits(digits: Option<[u8; 8]>) -> Result<Self, SknError> {
        let skn = Self(digits.ok_or(SknError::Length)?);
        // A placeholder would make one person of everybody whose number is missing.
        if skn.0 == [b'0'; 8] {
            Err(SknError::Zero)
        } else {
            Ok(skn)
        }
    }

    /// The eight digits. The only way to them besides [`Skn::canonical`], so that a search lists every use.
    #[expect(
        clippy::expect_used,
        reason = "the bytes are ASCII digits: checked by both constructors"
    )]
    #[expect(clippy::missing_panics_doc, reason = "cannot happen")]
    pub fn expose_secret(&self) -> &str {
        str::from_utf8(&self.0).expect("ASCII digits are UTF-8")
    }

    /// The bytes that go into the cryptography: eight ASCII digits under [`IdentifierType::Skn`].
    #[expect(clippy::expect_used, reason = "eight ASCII digits are exactly what is asked")]
    #[expect(clippy::missing_panics_doc, reason = "cannot happen")]
    pub fn canonical(&self) -> CanonicalIdentifier {
        CanonicalIdentifier::new(IdentifierType::Skn, &self.0).expect("eight ASCII digits are canonical")
    }
}

impl fmt::Debug for Skn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Skn(…)")
    }
}

/// Why a field is no SKN. Never says which value: these texts reach logs and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SknError {
    /// Something else than ASCII digits.
    #[error("the SKN holds a character that does not belong in it")]
    Character,
    /// Empty, or more than eight digits after the leading zeros.
    #[error("the SKN has no digits or more than eight")]
    Length,
    /// All zeros: a placeholder.
    #[error("the SKN is all zeros")]
    Zero,
}

impl SknError {
    /// Every reason there is, for tables in reports.
    pub const ALL: [Self; 3] = [Self::Character, Self::Length, Self::Zero];

    /// Stable name for machines and totals.
    pub fn code(self) -> &'static str {
        match self {
            Self::Character => "skn_character",
            Self::Length => "skn_length",
            Self::Zero => "skn_zero",
        }
    }

    /// The reason in Dutch, for people.
    pub fn text_nl(self) -> &'static str {
        match self {
            Self::Character => "het SKN bevat een teken dat er niet in hoort",
            Self::Length => "het SKN heeft geen cijfers of meer dan acht",
            Self::Zero => "het SKN bestaat alleen uit nullen",
        }
    }
}

impl From<Fault> for SknError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Character => Self::Character,
            Fault::Length => Self::Length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_space_behind_leading_zeros_is_no_digit() {
        for text in ["0 01234567", "00 1", "0\t12345678"] {
            assert_eq!(Skn::parse(text).err(), Some(SknError::Character), "{text:?}");
            assert_eq!(Skn::parse_numeric_text(text).err(), Some(SknError::Character));
        }
        assert_eq!(Skn::parse(" 0012345678 ").unwrap().expose_secret(), "12345678");
    }
}
