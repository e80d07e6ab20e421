//! Names and references: newtypes with one text form each, checked when made.
//!
//! Whatever a person typed ([`CaseReference`], [`UserId`]) has a redacted `Debug`: it must not reach a
//! log by way of a `{:?}`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Why a text is not a valid name or reference. Never carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Nothing there.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("may have at most {0} characters")]
    TooLong(usize),
    /// A character that the form does not allow.
    #[error("holds a character that is not allowed")]
    Character,
    /// Another length or structure than the form has.
    #[error("does not have the required form")]
    Form,
}

fn slug(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > 32 {
        return Err(TextError::TooLong(32));
    }
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !text.bytes().all(inner) {
        return Err(TextError::Character);
    }
    Ok(())
}

fn printable(text: &str, most: usize) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().count() > most {
        return Err(TextError::TooLong(most));
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Character);
    }
    Ok(())
}

macro_rules! code {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 32 characters `a-z`, `0-9`, `-`, `_`.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                slug(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

code!(
    /// Short name of an organisation in the covenant, such as `leerplicht`.
    PartnerId
);
code!(
    /// Short name of a purpose in the covenant, such as `screening`.
    PurposeCode
);
code!(
    /// Short name of a role, such as `informatiecoordinator`.
    RoleCode
);

macro_rules! typed_by_a_person {
    ($(#[$doc:meta])* $name:ident, $most:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most characters it may have.
            pub const MOST: usize = $most;

            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                printable(text, $most)?;
                Ok(Self(text.trim().into()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

typed_by_a_person!(
    /// The case or file for which a question is asked, as the asking organisation writes it: 1 to 64
    /// printable characters. Required with every query; never a BSN (the node refuses that).
    CaseReference, 64
);
typed_by_a_person!(
    /// Who asks, inside the asking organisation: 1 to 64 printable characters.
    UserId, 64
);

/// Organisatie-identificatienummer: 20 characters, digits in the first eight.
///
/// Source: Logius OIN-Stelsel. The prefix `00000099` is for tests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oin(Box<str>);

impl Oin {
    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is from the range for tests.
    pub fn is_test(&self) -> bool {
        self.0.starts_with("00000099")
    }
}

impl FromStr for Oin {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        let bytes = text.as_bytes();
        if bytes.len() != 20 {
            return Err(TextError::Form);
        }
        let body = |b: &u8| b.is_ascii_digit() || b.is_ascii_uppercase();
        if !bytes[..8].iter().all(u8::is_ascii_digit) || !bytes[8..].iter().all(body) {
            return Err(TextError::Form);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Oin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one query: UUID version 7 (RFC 9562 §5.7), made by the asking node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new one, from the system's clock and randomness.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// From its 16 bytes.
    ///
    /// # Errors
    /// [`TextError::Form`] if they are not a version 7 UUID.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TextError> {
        let id = Uuid::from_slice(bytes).map_err(|_| TextError::Form)?;
        if id.get_version_num() != 7 {
            return Err(TextError::Form);
        }
        Ok(Self(id))
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When it was made, by the clock of whoever made it, in milliseconds since 1970 (RFC 9562 §5.7: the first 48
    /// bits).
    pub fn time_ms(&self) -> u64 {
        let bytes = self.as_bytes();
        bytes[..6].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Ids of W3C Trace Context that tie the node's and the broker's records of one query together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TraceContext {
    /// Trace id, the same over the whole chain.
    pub trace: [u8; 16],
    /// Span id of the asking node.
    pub parent: [u8; 8],
}

/// Which persons a registration or a question is about.
///
/// Computed by the node from the birth date, which never leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SubjectClass {
    /// Younger than 18.
    Minor = 1,
    /// 18 or older.
    Adult = 2,
}

impl SubjectClass {
    /// The byte in records and on disk.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The class with that byte.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Minor),
            2 => Some(Self::Adult),
            _ => None,
        }
    }

    /// The word in covenants and machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minor => "minor",
            Self::Adult => "adult",
        }
    }
}

impl fmt::Display for SubjectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_checked_and_texts_of_people_stay_out_of_debug() {
        for (text, expected) in [
            ("leerplicht", Ok(())),
            ("om-reclassering_2", Ok(())),
            ("", Err(TextError::Empty)),
            ("Leerplicht", Err(TextError::Character)),
            ("a b", Err(TextError::Character)),
            (&"a".repeat(33), Err(TextError::TooLong(32))),
        ] {
            assert_eq!(text.parse::<PartnerId>().map(|_| ()), expected, "{text:?}");
        }
        for (text, expected) in [
            ("ZK-2026-00042", Ok(())),
            ("  ", Err(TextError::Empty)),
            ("a\nb", Err(TextError::Character)),
            (&"é".repeat(64), Ok(())),
            (&"é".repeat(65), Err(TextError::TooLong(64))),
        ] {
            assert_eq!(text.parse::<CaseReference>().map(|_| ()), expected, "{text:?}");
        }
        let case: CaseReference = "geheim dossier".parse().unwrap();
        assert_eq!(format!("{case:?}"), "CaseReference(…)");
    }

    #[test]
    fn an_oin_has_twenty_positions() {
        assert!("00000099000000001000".parse::<Oin>().unwrap().is_test());
        assert!(!"00000003123456780000".parse::<Oin>().unwrap().is_test());
        for bad in [
            "",
            "0000009900000000100",
            "000000990000000010000",
            "0000009900000000100a",
            "abcdefgh000000001000",
        ] {
            assert_eq!(bad.parse::<Oin>(), Err(TextError::Form), "{bad:?}");
        }
    }

    #[test]
    fn request_ids_are_version_7() {
        let id = RequestId::generate();
        assert_eq!(RequestId::from_bytes(id.as_bytes()), Ok(id));
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        assert!(now.abs_diff(id.time_ms()) < 60_000, "{} {now}", id.time_ms());
        assert_eq!(RequestId::from_bytes(&[0; 16]), Err(TextError::Form));
        assert_eq!(RequestId::from_bytes(&[0; 15]), Err(TextError::Form));
    }
}
