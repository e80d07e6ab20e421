//! Burgerservicenummer.

use std::fmt;

use hitmachine_pseudonym::{CanonicalIdentifier, IdentifierType};
use zeroize::ZeroizeOnDrop;

use crate::digits::{self, Digits, Fault};
use crate::{Admission, elfproef};

/// A valid burgerservicenummer that belongs in this deployment. Erased on drop, never printed.
///
/// Valid means: nine digits that pass the elfproef. It does not mean that the number was ever issued,
/// nor that it is a person's: **an RSIN (number of an organisation) passes the same test** and cannot
/// be told apart. Only the source field can: map person fields, never a field that may hold either.
#[derive(Clone, PartialEq, Eq, Hash, ZeroizeOnDrop)]
pub struct Bsn([u8; 9]);

impl Bsn {
    /// Reads a text field: 9 digits, or 8 where the leading zero was left out.
    ///
    /// ASCII white space around is ignored, and so are `.`, `-` and spaces between digits. A text of 7
    /// digits is refused: it is far more often a typing error than a BSN with two leading zeros.
    ///
    /// # Errors
    /// [`BsnError`], in this order: character, length, zero, check digit, test range.
    pub fn parse(text: &str, admission: &Admission) -> Result<Self, BsnError> {
        let digits = Digits::<9>::read(text, b".- ")?;
        if digits.as_bytes().len() < 8 {
            return Err(BsnError::Length);
        }
        Self::from_digits(digits::pad(digits.as_bytes()), admission)
    }

    /// Reads a numeric column, where leading zeros are always lost. To be chosen per source field.
    ///
    /// # Errors
    /// [`BsnError`] as for [`Bsn::parse`]; more than nine digits is a wrong length.
    pub fn from_number(number: u64, admission: &Admission) -> Result<Self, BsnError> {
        Self::from_digits(digits::decimal(number), admission)
    }

    /// Reads a numeric column that was exported as text: 1 to 9 digits, perhaps with `.0` after
    /// them. No separators. To be chosen per source field.
    ///
    /// # Errors
    /// [`BsnError`] as for [`Bsn::parse`].
    pub fn parse_numeric_text(text: &str, admission: &Admission) -> Result<Self, BsnError> {
        let digits = Digits::<9>::read(digits::whole_number(text), b"")?;
        Self::from_digits(digits::pad(digits.as_bytes()), admission)
    }

    fn from_digits(digits: Option<[u8; 9]>, admission: &Admission) -> Result<Self, BsnError> {
        // Wrapped before anything can fail, so that it is erased then too.
        let bsn = Self(digits.ok_or(BsnError::Length)?);
        if bsn.0 == [b'0'; 9] {
            return Err(BsnError::Zero);
        }
        if !elfproef::passes(&bsn.0) {
            return Err(BsnError::CheckDigit);
        }
        admission.admit(&bsn.0)?;
        Ok(bsn)
    }

    /// The nine digits. The only way to them besides [`Bsn::canonical`], so that a search lists every use.
    #[expect(
        clippy::expect_used,
        reason = "the bytes are ASCII digits: checked by both constructors"
    )]
    #[expect(clippy::missing_panics_doc, reason = "cannot happen")]
    pub fn expose_secret(&self) -> &str {
        str::from_utf8(&self.0).expect("ASCII digits are UTF-8")
    }

    /// The bytes that go into the cryptography: nine ASCII digits under [`IdentifierType::Bsn`].
    #[expect(clippy::expect_used, reason = "nine ASCII digits are exactly what is asked")]
    #[expect(clippy::missing_panics_doc, reason = "cannot happen")]
    pub fn canonical(&self) -> CanonicalIdentifier {
        CanonicalIdentifier::new(IdentifierType::Bsn, &self.0).expect("nine ASCII digits are canonical")
    }
}

impl fmt::Debug for Bsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bsn(…)")
    }
}

/// Why a field is no BSN. Never says which value: these texts reach logs and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BsnError {
    /// Something else than ASCII digits with `.`, `-` or spaces between them.
    #[error("the BSN holds a character that does not belong in it")]
    Character,
    /// Too few or too many digits for the kind of field.
    #[error("the BSN has too few or too many digits")]
    Length,
    /// All zeros: a placeholder.
    #[error("the BSN is all zeros")]
    Zero,
    /// Not a BSN: most often a typing error.
    #[error("the BSN fails its check (elfproef)")]
    CheckDigit,
    /// A made-up person among real ones.
    #[error("the BSN is a test number, which production refuses")]
    TestRange,
    /// Perhaps a real person where only made-up ones may be.
    #[error("the BSN is not a test number; this deployment takes nothing else")]
    NotTestRange,
}

impl BsnError {
    /// Every reason there is, for tables in reports.
    pub const ALL: [Self; 6] = [
        Self::Character,
        Self::Length,
        Self::Zero,
        Self::CheckDigit,
        Self::TestRange,
        Self::NotTestRange,
    ];

    /// Stable name for machines and totals.
    pub fn code(self) -> &'static str {
        match self {
            Self::Character => "bsn_character",
            Self::Length => "bsn_length",
            Self::Zero => "bsn_zero",
            Self::CheckDigit => "bsn_check_digit",
            Self::TestRange => "bsn_test_range",
            Self::NotTestRange => "bsn_not_test_range",
        }
    }

    /// The reason in Dutch, for people.
    pub fn text_nl(self) -> &'static str {
        match self {
            Self::Character => "het BSN bevat een teken dat er niet in hoort",
            Self::Length => "het BSN heeft te weinig of te veel cijfers",
            Self::Zero => "het BSN bestaat alleen uit nullen",
            Self::CheckDigit => "het BSN voldoet niet aan de elfproef",
            Self::TestRange => "het BSN is een testnummer en mag niet in productie",
            Self::NotTestRange => "het BSN is geen testnummer en deze omgeving is alleen voor testnummers",
        }
    }
}

impl From<Fault> for BsnError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Character => Self::Character,
            Fault::Length => Self::Length,
        }
    }
}
