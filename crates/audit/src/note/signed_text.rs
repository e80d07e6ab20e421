//! Any text signed by several people (C2SP signed-note v1.0.0): what a log's checkpoint is a special case of.
//!
//! Whoever signs a text of their own kind starts it with a line that says which, so that a signature over one kind is
//! never one over another; the keys are for one kind only, too.

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use super::lines::{self, KeyId, SignatureLine, SignedNote};
use super::{ED25519, NoteError};

/// A private key with a name that signs texts. Wiped on drop, never printed.
pub struct NoteSigner {
    name: String,
    /// Wipes itself.
    key: SigningKey,
}

impl NoteSigner {
    /// The key with this 32-byte Ed25519 seed (RFC 8032 §5.1.5), under a name of 1 to 255 bytes without spaces, `+`
    /// and control characters. The caller wipes its own copy of the seed.
    ///
    /// # Errors
    /// [`NoteError::Origin`] if the name is none.
    pub fn new(name: impl Into<String>, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let name = name.into();
        if !lines::is_short_key_name(&name) {
            return Err(NoteError::Origin);
        }
        let key = SigningKey::from_bytes(seed);
        Ok(Self { name, key })
    }

    /// The public half.
    pub fn verifier(&self) -> NoteVerifier {
        NoteVerifier::from_key(self.name.clone(), self.key.verifying_key())
    }

    /// The note with this text, the signature lines of `others` over the same text (if any), and this key's line at
    /// the end. A line that this key has there already is replaced. Nothing of `others` is verified.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] if the text is none, `others` is no note, has another text, or has too many lines.
    pub fn sign(&self, text: &str, others: Option<&[u8]>) -> Result<Vec<u8>, NoteError> {
        if !text.ends_with('\n') || text.contains("\n\n") {
            return Err(NoteError::Malformed);
        }
        let own = self.verifier();
        let others = others.map(SignedNote::parse).transpose()?;
        if others.as_ref().is_some_and(|others| others.text != text) {
            return Err(NoteError::Malformed);
        }
        let kept = others.iter().flat_map(|others| &others.lines);
        let kept = kept.filter(|line| !line.is_by(&own.name, own.id));
        let line = SignatureLine::write(&own.name, own.id, &self.key.sign(text.as_bytes()).to_bytes());
        let line = SignatureLine::parse(&line)?;
        SignedNote::write(text, kept.chain([&line]))
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The public half of a [`NoteSigner`]. Text form: the verifier key `name+hash+base64(0x01 ‖ key)` of signed-note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    key: VerifyingKey,
    id: KeyId,
}

impl NoteVerifier {
    fn from_key(name: String, key: VerifyingKey) -> Self {
        let id = lines::key_id(&name, ED25519, &key);
        Self { name, key, id }
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if both are the same public key, whatever they are called.
    pub fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines::write_vkey(f, &self.name, ED25519, &self.key)
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = lines::parse_vkey(text, ED25519).ok_or(NoteError::Key)?;
        if !lines::is_short_key_name(name) {
            return Err(NoteError::Key);
        }
        Ok(Self::from_key(name.to_owned(), key))
    }
}

/// A signed text taken apart. Nothing of it is verified yet but its form.
#[derive(Debug, Clone)]
pub struct SignedText<'a>(SignedNote<'a>);

impl<'a> SignedText<'a> {
    /// Reads a note of at most 64 KiB and 100 signature lines.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        SignedNote::parse(note).map(Self)
    }

    /// The text, with its final newline.
    pub fn text(&self) -> &'a str {
        self.0.text
    }

    /// Whether the holder of this key signed the text (Ed25519 as strict as `verify_strict` is). Lines of other keys
    /// are passed over.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if a line claims to be by this key and does not fit.
    pub fn is_signed_by(&self, verifier: &NoteVerifier) -> Result<bool, NoteError> {
        let mut signed = false;
        let claims = |line: &&SignatureLine<'_>| line.is_by(&verifier.name, verifier.id);
        for line in self.0.lines.iter().filter(claims) {
            if !lines::verify(&verifier.key, self.0.text.as_bytes(), line.signature()) {
                return Err(NoteError::BadSignature);
            }
            signed = true;
        }
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "hitmachine.v1/test\nsomething\n";

    fn signer(name: &str, seed: u8) -> NoteSigner {
        NoteSigner::new(name, &[seed; 32]).unwrap()
    }

    #[test]
    fn people_sign_one_after_the_other() {
        let (ann, bob, eve) = (signer("ann", 1), signer("bob", 2), signer("eve", 3));
        let one = ann.sign(TEXT, None).unwrap();
        let both = bob.sign(TEXT, Some(&one)).unwrap();
        let note = SignedText::parse(&both).unwrap();
        assert_eq!(note.text(), TEXT);
        for (who, signed) in [(&ann, true), (&bob, true), (&eve, false)] {
            assert_eq!(note.is_signed_by(&who.verifier()), Ok(signed), "{who:?}");
        }
        // Twice is once.
        assert_eq!(ann.sign(TEXT, Some(&one)).unwrap(), one);
        // The same key under another name is another signer, and the same name with another key, too.
        for other in [signer("anna", 1), signer("ann", 3)] {
            assert_eq!(note.is_signed_by(&other.verifier()), Ok(false));
        }
        assert!(signer("anna", 1).verifier().same_key(&ann.verifier()));
    }

    #[test]
    fn a_changed_text_or_line_is_noticed() {
        let ann = signer("ann", 1);
        let note = String::from_utf8(ann.sign(TEXT, None).unwrap()).unwrap();
        let changed = note.replace("something", "Something");
        let parsed = SignedText::parse(changed.as_bytes()).unwrap();
        assert_eq!(parsed.is_signed_by(&ann.verifier()), Err(NoteError::BadSignature));
        // Nobody signs under what others signed about something else.
        let bob = signer("bob", 2);
        assert_eq!(
            bob.sign(TEXT, Some(changed.as_bytes())),
            Err(NoteError::Malformed)
        );
        for text in ["", "no end", "two\n\nparts\n"] {
            assert_eq!(bob.sign(text, None), Err(NoteError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn keys_have_one_text_and_signers_show_nothing() {
        let ann = signer("ann.example/admin", 1);
        let text = ann.verifier().to_string();
        assert_eq!(text.parse(), Ok(ann.verifier()));
        assert_eq!(
            text.replace("ann", "bob").parse::<NoteVerifier>(),
            Err(NoteError::Key)
        );
        for bad in ["", "a b", "a+b", "a\nb"] {
            assert!(
                matches!(NoteSigner::new(bad, &[1; 32]), Err(NoteError::Origin)),
                "{bad:?}"
            );
        }
        assert_eq!(
            format!("{ann:?}"),
            "NoteSigner { name: \"ann.example/admin\", .. }"
        );
    }
}
