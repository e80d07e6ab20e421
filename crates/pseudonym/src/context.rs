//! What a token is bound to: deployment, epoch, scheme.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use crate::key::{RandomError, fill_random};

/// Text or bytes that are not what they should be. Says what was expected, never what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct ParseError {
    expected: &'static str,
}

impl ParseError {
    pub(crate) fn expected(expected: &'static str) -> Self {
        Self { expected }
    }
}

/// Names one Hitmachine network: 16 bytes, random, public, inside every frame.
///
/// Tokens of two deployments can never match, not even under the same key. Text form: 32
/// hexadecimal digits, written in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeploymentId([u8; 16]);

impl DeploymentId {
    /// The deployment with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A new deployment, from the operating system's random generator.
    ///
    /// # Errors
    /// [`RandomError`] when the system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The 16 bytes as they stand in the frame.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeploymentId({self})")
    }
}

impl FromStr for DeploymentId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 16];
        // The hex error repeats the character it disliked: not kept as the cause.
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| ParseError::expected("a deployment id: 32 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

/// Whether the persons of a deployment are real. Text form: lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeploymentKind {
    /// Real persons; numbers of the test ranges are refused.
    Production,
    /// Made-up persons only.
    Test,
    /// Made-up persons only.
    Demo,
}

impl DeploymentKind {
    /// `production`, `test` or `demo`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Test => "test",
            Self::Demo => "demo",
        }
    }
}

impl fmt::Display for DeploymentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeploymentKind {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::Production, Self::Test, Self::Demo]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(ParseError::expected(
                "a deployment kind: production, test or demo",
            ))
    }
}

/// The life of one node key, counted from 1. Text form: decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyEpoch(NonZeroU32);

impl KeyEpoch {
    /// The first epoch of a deployment.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The epoch with this number; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number, 1 or more.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<NonZeroU32> for KeyEpoch {
    fn from(number: NonZeroU32) -> Self {
        Self(number)
    }
}

impl TryFrom<u32> for KeyEpoch {
    type Error = ParseError;

    fn try_from(number: u32) -> Result<Self, ParseError> {
        Self::new(number).ok_or(ParseError::expected(EPOCH))
    }
}

impl fmt::Display for KeyEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for KeyEpoch {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(Self).map_err(|_| ParseError::expected(EPOCH))
    }
}

const EPOCH: &str = "a key epoch: a whole number from 1 to 4294967295";

/// How a token is made. The code goes into the broker's tag key, so it never changes meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Scheme {
    /// Scheme 1: HMAC-SHA256 under a key that all nodes of the epoch share.
    HmacSha256 = 1,
}

impl Scheme {
    /// The code on the wire and in the tag key.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// `hmac-sha256`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

impl TryFrom<u8> for Scheme {
    type Error = ParseError;

    fn try_from(code: u8) -> Result<Self, ParseError> {
        match code {
            1 => Ok(Self::HmacSha256),
            _ => Err(ParseError::expected("a scheme this version knows: 1")),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scheme {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "hmac-sha256" => Ok(Self::HmacSha256),
            _ => Err(ParseError::expected("a scheme this version knows: hmac-sha256")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_go_round_and_refuse_the_rest() {
        let id = DeploymentId::generate().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in [
            "",
            "00",
            "g0000000000000000000000000000000",
            " 00000000000000000000000000000000",
        ] {
            assert!(bad.parse::<DeploymentId>().is_err(), "{bad:?}");
        }
        for kind in [
            DeploymentKind::Production,
            DeploymentKind::Test,
            DeploymentKind::Demo,
        ] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("Production".parse::<DeploymentKind>().is_err());
        assert_eq!("7".parse(), Ok(KeyEpoch::new(7).unwrap()));
        for bad in ["0", "-1", "", "4294967296", "1.0"] {
            assert!(bad.parse::<KeyEpoch>().is_err(), "{bad:?}");
        }
        assert_eq!(KeyEpoch::try_from(1), Ok(KeyEpoch::FIRST));
        assert!(KeyEpoch::try_from(0).is_err());
        assert_eq!(Scheme::HmacSha256.to_string().parse(), Ok(Scheme::HmacSha256));
        assert_eq!(
            Scheme::try_from(Scheme::HmacSha256.code()),
            Ok(Scheme::HmacSha256)
        );
        assert!(Scheme::try_from(2).is_err() && "voprf".parse::<Scheme>().is_err());
    }
}
