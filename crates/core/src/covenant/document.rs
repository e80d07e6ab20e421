//! A covenant as it travels and is kept: the file's bytes and the administrators' signatures.

use super::{Covenant, CovenantError};

/// The file, and the signed note beside it. Public, both of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Exactly the bytes whose SHA-256 is the covenant's version.
    pub file: Vec<u8>,
    /// The signed note (`covenant.toml.sig`); empty if nobody signed.
    pub signatures: Vec<u8>,
}

impl Document {
    /// Reads the file.
    ///
    /// # Errors
    /// [`CovenantError`].
    pub fn covenant(&self) -> Result<Covenant, CovenantError> {
        Covenant::parse(&self.file)
    }

    /// One value for storage: `length of file u32 big-endian ‖ file ‖ signatures`.
    pub fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.file.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes(), self.file.as_slice(), &self.signatures].concat()
    }

    /// Reads [`encode`](Self::encode); `None` if it is too short.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (file, signatures) = rest.split_at_checked(length)?;
        Some(Self {
            file: file.to_vec(),
            signatures: signatures.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_one_value_in_storage() {
        for (file, signatures) in [("file", "signatures"), ("file", ""), ("", "")] {
            let document = Document {
                file: file.into(),
                signatures: signatures.into(),
            };
            assert_eq!(Document::decode(&document.encode()), Some(document));
        }
        for short in [&b""[..], &[0, 0, 0], &[0, 0, 0, 2, 1]] {
            assert_eq!(Document::decode(short), None);
        }
    }
}
