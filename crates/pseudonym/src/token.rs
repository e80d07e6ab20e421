//! What comes out: token, tag, key check value.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use zeroize::ZeroizeOnDrop;

use crate::context::ParseError;
use crate::key::fill_random;

/// `T`: pseudonym of a person number, 32 bytes. Nodes send it, the broker never stores it.
///
/// Secret in transit: whoever ever gets the node key can find the number behind it. Erased on drop,
/// compared in constant time, printed as a short id that holds within one process only. The order
/// (by bytes, not in constant time) is for sorting.
#[derive(Clone, Eq, PartialOrd, Ord, ZeroizeOnDrop)]
pub struct Token([u8; 32]);

impl Token {
    /// The token with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the wire and for the tag. The only way to them.
    pub fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Token {
    type Error = ParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseError::expected("a token: 32 bytes"))
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Token {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_short_id(f, "Token", &self.0)
    }
}

/// `S`: what the broker's index holds, 16 bytes. Means nothing without the pepper.
///
/// 16 bytes are enough: for 17 million persons an accidental collision has probability 4·10⁻²⁵,
/// and nobody without the pepper can search for one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag([u8; 16]);

impl Tag {
    /// The tag with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Tag {
    type Error = ParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseError::expected("a tag: 16 bytes"))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_short_id(f, "Tag", &self.0)
    }
}

/// Tells whether two parties hold the same key without showing it: 8 bytes, public.
///
/// Compared in constant time. Text form: 16 hexadecimal digits, written in lower case.
#[derive(Clone, Copy, Eq)]
pub struct KeyCheckValue([u8; 8]);

impl KeyCheckValue {
    /// The check value with these bytes.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The 8 bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl TryFrom<&[u8]> for KeyCheckValue {
    type Error = ParseError;

    fn try_from(bytes: &[u8]) -> Result<Self, ParseError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseError::expected("a key check value: 8 bytes"))
    }
}

impl PartialEq for KeyCheckValue {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for KeyCheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyCheckValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyCheckValue({self})")
    }
}

impl FromStr for KeyCheckValue {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut bytes = [0; 8];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| ParseError::expected("a key check value: 16 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

/// Writes `Token(#a1b2c3)`: lines of one run can be correlated, and mean nothing outside it.
fn write_short_id(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    /// Drawn on first use; `None` when the system gave no random bytes: then no id is shown.
    static KEY: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = [0; 32];
        fill_random(&mut key).ok().map(|()| key)
    });
    let Some(key) = key else {
        return write!(f, "{name}(…)");
    };
    let id = blake3::keyed_hash(key, bytes);
    let [a, b, c, ..] = id.as_bytes();
    write!(f, "{name}(#{a:02x}{b:02x}{c:02x})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_correlates_and_reveals_nothing() {
        let (a, b) = (Token::from_bytes([0xab; 32]), Token::from_bytes([0xac; 32]));
        let shown = format!("{a:?}");
        assert_eq!(shown.len(), "Token(#a1b2c3)".len());
        assert!(shown.starts_with("Token(#") && shown.ends_with(')'));
        assert_eq!(shown, format!("{:?}", a.clone()));
        assert_ne!(shown, format!("{b:?}"));
        assert!(!shown.contains("abab"), "{shown}");
        // The id is keyed: it is not the plain hash of the bytes.
        assert!(!shown.contains(&blake3::hash(a.expose_secret()).to_hex()[..6]));
        let tag = format!("{:?}", Tag::from_bytes([0xab; 16]));
        assert!(
            tag.starts_with("Tag(#") && tag.len() == 12 && !tag.contains("abab"),
            "{tag}"
        );
    }

    #[test]
    fn equality_sees_every_byte() {
        let token = Token::from_bytes([7; 32]);
        for at in 0..32 {
            let mut bytes = [7; 32];
            bytes[at] ^= 1;
            assert_ne!(token, Token::from_bytes(bytes), "{at}");
        }
        assert_eq!(token, Token::from_bytes([7; 32]));
        assert_ne!(
            KeyCheckValue::from_bytes([1; 8]),
            KeyCheckValue::from_bytes([1, 1, 1, 1, 1, 1, 1, 0])
        );
    }

    #[test]
    fn only_whole_values_come_in() {
        assert!(Token::try_from(&[0; 31][..]).is_err() && Token::try_from(&[0; 32][..]).is_ok());
        assert!(Tag::try_from(&[0; 17][..]).is_err() && Tag::try_from(&[0; 16][..]).is_ok());
        assert!(KeyCheckValue::try_from(&[0; 7][..]).is_err());
        let kcv: KeyCheckValue = "f5d550f53d837a16".parse().unwrap();
        assert_eq!(kcv.to_string(), "f5d550f53d837a16");
        for bad in ["", "f5d550f53d837a1", "f5d550f53d837a1g", "f5d550f53d837a1600"] {
            assert!(bad.parse::<KeyCheckValue>().is_err(), "{bad}");
        }
    }
}
