//! A signed note taken apart, and the text form of keys (C2SP signed-note v1.0.0).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

use super::NoteError;
use crate::hash::sha256;

/// Longest note looked at. A checkpoint with 16 signatures takes less than 8 KiB.
pub(crate) const MAX_NOTE: usize = 64 * 1024;
/// Most signature lines looked at; the standard asks for at least 16.
pub(crate) const MAX_SIGNATURES: usize = 100;
/// First characters of each signature line.
const DASH: &str = "\u{2014} ";

/// First four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ key)` (signed-note, "Signatures").
pub(crate) type KeyId = [u8; 4];

/// Text and signature lines of a note. Nothing of it is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedNote<'a> {
    /// With its final newline, without the empty line.
    pub(crate) text: &'a str,
    /// At least one, at most [`MAX_SIGNATURES`].
    pub(crate) lines: Vec<SignatureLine<'a>>,
}

impl<'a> SignedNote<'a> {
    pub(crate) fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        let note = clean(note)?;
        // The last empty line ends the text: the text itself may contain some.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        Ok(Self {
            text: &note[..=text.len()],
            lines: SignatureLine::parse_all(lines)?,
        })
    }

    /// The note with this text and these lines, if it keeps the bounds.
    pub(crate) fn write<'b>(
        text: &str,
        lines: impl IntoIterator<Item = &'b SignatureLine<'b>>,
    ) -> Result<Vec<u8>, NoteError> {
        let (mut note, mut count) = (format!("{text}\n"), 0);
        for line in lines {
            note.push_str(line.raw);
            note.push('\n');
            count += 1;
        }
        let fits = (1..=MAX_SIGNATURES).contains(&count) && note.len() <= MAX_NOTE;
        fits.then_some(note.into_bytes()).ok_or(NoteError::Malformed)
    }
}

/// `— <name> <base64(id ‖ signature)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignatureLine<'a> {
    raw: &'a str,
    name: &'a str,
    id: KeyId,
    signature: Vec<u8>,
}

impl<'a> SignatureLine<'a> {
    /// Lines outside a note, as a witness answers with. No bytes are no lines.
    pub(crate) fn parse_answer(lines: &'a [u8]) -> Result<Vec<Self>, NoteError> {
        let lines = clean(lines)?;
        if lines.is_empty() {
            return Ok(Vec::new());
        }
        Self::parse_all(lines)
    }

    fn parse_all(lines: &'a str) -> Result<Vec<Self>, NoteError> {
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::Malformed);
        }
        lines.split('\n').map(Self::parse).collect()
    }

    pub(crate) fn parse(raw: &'a str) -> Result<Self, NoteError> {
        let read = || {
            let (name, bytes) = raw.strip_prefix(DASH)?.split_once(' ')?;
            let bytes = STANDARD.decode(bytes).ok()?;
            let (id, signature) = bytes.split_first_chunk::<4>()?;
            (is_key_name(name) && !signature.is_empty()).then(|| Self {
                raw,
                name,
                id: *id,
                signature: signature.to_vec(),
            })
        };
        read().ok_or(NoteError::Malformed)
    }

    /// The line with this signature, without newline.
    pub(crate) fn write(name: &str, id: KeyId, signature: &[u8]) -> String {
        format!("{DASH}{name} {}", STANDARD.encode([&id, signature].concat()))
    }

    /// True if the line claims to be by this key. Both must fit: either alone is of another key.
    pub(crate) fn is_by(&self, name: &str, id: KeyId) -> bool {
        self.name == name && self.id == id
    }

    /// The bytes after the key id.
    pub(crate) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// Text of bounded length without control characters but newline.
fn clean(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > MAX_NOTE {
        return Err(NoteError::Malformed);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed)?;
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed);
    }
    Ok(text)
}

/// Not empty, no spaces of any script, no plus, no control characters.
pub(crate) fn is_key_name(name: &str) -> bool {
    let unfit = |c: char| c == '+' || c.is_whitespace() || c.is_control();
    !name.is_empty() && !name.contains(unfit)
}

/// Bytes that a name of ours may have, in a note and on disk.
pub(crate) fn is_short_key_name(name: &str) -> bool {
    name.len() <= 255 && is_key_name(name)
}

/// Key id of an Ed25519 key for signatures of this type.
pub(crate) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> KeyId {
    let hash = sha256(&[name.as_bytes(), b"\n", &[kind], key.as_bytes()]);
    let [a, b, c, d, ..] = hash.0;
    [a, b, c, d]
}

/// Writes `name+hash+base64(type ‖ key)`.
pub(crate) fn write_vkey(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    kind: u8,
    key: &VerifyingKey,
) -> fmt::Result {
    let id = hex::encode(key_id(name, kind, key));
    let key = STANDARD.encode([&[kind], key.as_bytes().as_slice()].concat());
    write!(f, "{name}+{id}+{key}")
}

/// Name and key of a verifier key of this type; `None` if the hash does not fit or the key is not usable.
pub(crate) fn parse_vkey(text: &str, kind: u8) -> Option<(&str, VerifyingKey)> {
    // The name has no plus; base64 may have.
    let mut parts = text.splitn(3, '+');
    let (name, hash, key) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = STANDARD.decode(key).ok()?;
    let (found, bytes) = bytes.split_first()?;
    let key = VerifyingKey::try_from(bytes).ok()?;
    // A weak key accepts signatures nobody made; a point with two encodings would be two keys.
    let sound = !key.is_weak() && key.to_edwards().compress().as_bytes() == key.as_bytes();
    let fits = *found == kind && hash == hex::encode(key_id(name, kind, &key));
    (sound && fits).then_some((name, key))
}

/// Ed25519 as strict as `verify_strict` is, over exactly 64 bytes of signature.
pub(crate) fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    let signature = Signature::from_slice(signature);
    signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}
