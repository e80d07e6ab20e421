//! Kinds of person numbers and their canonical bytes.

use std::fmt;
use std::str::FromStr;

use zeroize::ZeroizeOnDrop;

use crate::context::ParseError;

/// Kind of person number. The code is inside the frame, so kinds never match each other.
///
/// `0x05` to `0x0f` are reserved for other numbers, `0x10` to `0x1f` for match keys made of names
/// and birth dates. Text form: `bsn`, `a-nummer`, `v-nummer`, `skn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum IdentifierType {
    /// Burgerservicenummer, 9 digits.
    Bsn = 0x01,
    /// Administratienummer of the BRP, 10 digits.
    ANummer = 0x02,
    /// Vreemdelingennummer, 10 digits.
    VNummer = 0x03,
    /// Strafrechtsketennummer, 8 digits.
    Skn = 0x04,
}

impl IdentifierType {
    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 4] = [Self::Bsn, Self::ANummer, Self::VNummer, Self::Skn];

    /// The code in frames, tag keys and on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bsn => "bsn",
            Self::ANummer => "a-nummer",
            Self::VNummer => "v-nummer",
            Self::Skn => "skn",
        }
    }

    /// Length of the canonical form in digits.
    pub fn digits(self) -> usize {
        match self {
            Self::Bsn => 9,
            Self::ANummer | Self::VNummer => 10,
            Self::Skn => 8,
        }
    }
}

impl TryFrom<u8> for IdentifierType {
    type Error = ParseError;

    fn try_from(code: u8) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or(ParseError::expected(
                "an identifier type this version knows: 1 to 4",
            ))
    }
}

impl fmt::Display for IdentifierType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IdentifierType {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(ParseError::expected(
                "an identifier type: bsn, a-nummer, v-nummer or skn",
            ))
    }
}

/// Bytes that are not the canonical form of their type. Never says which bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the canonical form of type {0} is {digits} ASCII digits", digits = .0.digits())]
pub struct CanonicalError(pub IdentifierType);

/// A person number in the one spelling that goes into the cryptography; erased on drop.
///
/// Two partners that differ in one byte silently never match. So the shape (length, ASCII digits)
/// is checked here; check digits and test ranges are the business of whoever parsed the number.
#[derive(Clone, PartialEq, Eq, Hash, ZeroizeOnDrop)]
pub struct CanonicalIdentifier {
    #[zeroize(skip)]
    kind: IdentifierType,
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl CanonicalIdentifier {
    /// Room for a canonical form, in bytes.
    pub const MAX_LEN: usize = 16;

    /// Takes bytes that are canonical already.
    ///
    /// # Errors
    /// [`CanonicalError`] unless `canonical` is exactly as many ASCII digits as `kind` has.
    pub fn new(kind: IdentifierType, canonical: &[u8]) -> Result<Self, CanonicalError> {
        if canonical.len() != kind.digits() || !canonical.iter().all(u8::is_ascii_digit) {
            return Err(CanonicalError(kind));
        }
        let len = u8::try_from(canonical.len()).map_err(|_| CanonicalError(kind))?;
        let mut bytes = [0; Self::MAX_LEN];
        bytes[..canonical.len()].copy_from_slice(canonical);
        Ok(Self { kind, len, bytes })
    }

    /// Which number this is.
    pub fn kind(&self) -> IdentifierType {
        self.kind
    }

    /// Length of the number in bytes.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// The number itself, in ASCII. The only way to it, so that a search lists every use.
    pub fn expose_secret(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for CanonicalIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanonicalIdentifier({}, …)", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_round() {
        for kind in IdentifierType::ALL {
            assert_eq!(IdentifierType::try_from(kind.code()), Ok(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(kind.digits() <= CanonicalIdentifier::MAX_LEN);
        }
        for code in [0, 5, 0x10, 255] {
            assert!(IdentifierType::try_from(code).is_err(), "{code}");
        }
    }

    #[test]
    fn only_the_canonical_shape_is_taken() {
        let id = CanonicalIdentifier::new(IdentifierType::Bsn, b"999990019").unwrap();
        assert_eq!(
            (id.kind(), id.expose_secret()),
            (IdentifierType::Bsn, &b"999990019"[..])
        );
        for bad in [
            &b""[..],
            b"99999001",
            b"9999900190",
            b"99999001x",
            b"99999 019",
            "９99990".as_bytes(),
        ] {
            assert!(
                CanonicalIdentifier::new(IdentifierType::Bsn, bad).is_err(),
                "{}",
                bad.len()
            );
        }
        let error = CanonicalIdentifier::new(IdentifierType::Skn, b"1234567").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the canonical form of type skn is 8 ASCII digits"
        );
    }

    #[test]
    fn the_same_digits_of_two_kinds_differ() {
        let a = CanonicalIdentifier::new(IdentifierType::ANummer, b"0000000001").unwrap();
        let v = CanonicalIdentifier::new(IdentifierType::VNummer, b"0000000001").unwrap();
        assert_ne!(a, v);
    }

    #[test]
    fn debug_shows_the_kind_only() {
        let id = CanonicalIdentifier::new(IdentifierType::Bsn, b"999990019").unwrap();
        assert_eq!(format!("{id:?}"), "CanonicalIdentifier(bsn, …)");
    }
}
