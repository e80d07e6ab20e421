//! Signed notes (C2SP signed-note v1.0.0): the origin, the log's key and its public half.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::ZeroizeOnDrop;

use crate::{checkpoint::Checkpoint, hash::sha256};

/// Ed25519, in key ids and verifier keys (signed-note, "Signature types").
const ED25519: u8 = 0x01;
/// Longest note looked at. A checkpoint with 16 signatures takes less than 8 KiB.
const MAX_NOTE: usize = 64 * 1024;
/// Most signature lines looked at; the standard asks for at least 16.
const MAX_SIGNATURES: usize = 100;

/// Why a note, a checkpoint or a key text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not 1 to 255 bytes, or with a space, a plus or a control character.
    #[error("not a log origin")]
    Origin,
    /// Not `name+hash+base64`, a hash that does not fit, or not a usable Ed25519 key.
    #[error("not a verifier key")]
    Key,
    /// Not a text, an empty line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// No signature by the pinned key.
    #[error("note is not signed by the pinned key")]
    NotSigned,
    /// The pinned key's signature does not fit the text.
    #[error("signature of the pinned key does not fit")]
    BadSignature,
    /// The text is not a checkpoint of three lines.
    #[error("note is not a checkpoint")]
    Checkpoint,
    /// The checkpoint names another log than the key does.
    #[error("checkpoint is of another log")]
    OtherLog,
}

impl NoteError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Key => "key",
            Self::Malformed => "malformed",
            Self::NotSigned => "not_signed",
            Self::BadSignature => "bad_signature",
            Self::Checkpoint => "checkpoint",
            Self::OtherLog => "other_log",
        }
    }
}

/// Name of one log, and of its key: `<domain>/<broker id>/audit/<epoch>`. 1 to 255 bytes without spaces, `+`
/// and control characters (signed-note: key names; tlog-checkpoint: origin line).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String);

impl Origin {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// [`NoteError::Origin`].
    pub fn new(name: impl Into<String>) -> Result<Self, NoteError> {
        let name = name.into();
        let fits = (1..=255).contains(&name.len());
        let clean = !name
            .chars()
            .any(|c| c == '+' || c.is_whitespace() || c.is_control());
        if fits && clean {
            Ok(Self(name))
        } else {
            Err(NoteError::Origin)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NoteError;

    fn from_str(name: &str) -> Result<Self, NoteError> {
        Self::new(name)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Called with each checkpoint just before its signature is made; see [`LogSigner::with_hook`].
pub type SignHook = Arc<dyn Fn(&Checkpoint) + Send + Sync>;

/// The log's signing key, named after the log. Wiped on drop, never printed.
#[derive(ZeroizeOnDrop)]
pub struct LogSigner {
    #[zeroize(skip)]
    origin: Origin,
    /// Wipes itself.
    #[zeroize(skip)]
    key: SigningKey,
    #[zeroize(skip)]
    hook: Option<SignHook>,
}

impl LogSigner {
    /// The key with this 32-byte Ed25519 seed (RFC 8032 §5.1.5). The caller wipes its own copy.
    pub fn new(origin: Origin, seed: &[u8; 32]) -> Self {
        Self {
            origin,
            key: SigningKey::from_bytes(seed),
            hook: None,
        }
    }

    /// Has every signature reported before it is made: a record of all heads this key ever stood for, by
    /// which a second, inconsistent one can be noticed.
    #[must_use]
    pub fn with_hook(mut self, hook: SignHook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The public half.
    pub fn verifier(&self) -> LogVerifier {
        LogVerifier::from_key(self.origin.clone(), self.key.verifying_key())
    }

    /// The signed note over the checkpoint's text. Deterministic: the same checkpoint gives the same bytes.
    ///
    /// # Errors
    /// [`NoteError::OtherLog`] if the checkpoint is not of this log: one key signs for one log.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, NoteError> {
        if checkpoint.origin != self.origin {
            return Err(NoteError::OtherLog);
        }
        if let Some(hook) = &self.hook {
            hook(checkpoint);
        }
        let text = checkpoint.to_text();
        let mut line = key_id(&self.origin, &self.key.verifying_key()).to_vec();
        line.extend(self.key.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n\u{2014} {} {}\n", self.origin, STANDARD.encode(line)).into_bytes())
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSigner")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The pinned public key of one log. Text form: the verifier key `name+hash+base64(0x01 ‖ key)` of
/// signed-note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogVerifier {
    origin: Origin,
    key: VerifyingKey,
    id: [u8; 4],
}

impl LogVerifier {
    fn from_key(origin: Origin, key: VerifyingKey) -> Self {
        let id = key_id(&origin, &key);
        Self { origin, key, id }
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Checks a signed note and reads its checkpoint. Signatures by other keys (witnesses) are ignored; every
    /// signature that claims to be by this key must be right. Ed25519 as strict as `verify_strict` is.
    ///
    /// # Errors
    /// [`NoteError`], one variant per check; the text is not looked at before its signature holds.
    pub fn open(&self, note: &[u8]) -> Result<Checkpoint, NoteError> {
        let (text, signatures) = split(note)?;
        let mut signed = false;
        for line in signatures {
            let (name, bytes) = signature_line(line)?;
            let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
            if name != self.origin.as_str() || *id != self.id {
                continue;
            }
            let signature = Signature::from_slice(signature).map_err(|_| NoteError::BadSignature)?;
            self.key
                .verify_strict(text.as_bytes(), &signature)
                .map_err(|_| NoteError::BadSignature)?;
            signed = true;
        }
        if !signed {
            return Err(NoteError::NotSigned);
        }
        let checkpoint = Checkpoint::from_text(text)?;
        if checkpoint.origin != self.origin {
            return Err(NoteError::OtherLog);
        }
        Ok(checkpoint)
    }
}

impl fmt::Display for LogVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.origin,
            hex::encode(self.id),
            STANDARD.encode(key)
        )
    }
}

impl FromStr for LogVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The name has no plus; base64 may have.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key);
        };
        let origin = Origin::new(name).map_err(|_| NoteError::Key)?;
        let key = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let Some((&ED25519, key)) = key.split_first() else {
            return Err(NoteError::Key);
        };
        let key = VerifyingKey::try_from(key).map_err(|_| NoteError::Key)?;
        let verifier = Self::from_key(origin, key);
        // A weak key accepts signatures nobody made.
        let sound = hash == hex::encode(verifier.id) && !key.is_weak();
        if sound { Ok(verifier) } else { Err(NoteError::Key) }
    }
}

/// First four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ key)` (signed-note, "Key ID").
fn key_id(origin: &Origin, key: &VerifyingKey) -> [u8; 4] {
    let hash = sha256(&[origin.as_str().as_bytes(), b"\n", &[ED25519], key.as_bytes()]);
    let [a, b, c, d, ..] = hash.0;
    [a, b, c, d]
}

/// The text with its final newline, and the signature lines.
fn split(note: &[u8]) -> Result<(&str, impl Iterator<Item = &str>), NoteError> {
    if note.len() > MAX_NOTE {
        return Err(NoteError::Malformed);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(NoteError::Malformed);
    }
    // The last empty line ends the text: the text itself may contain some.
    let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
    let text = &note[..=text.len()];
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    if signatures.split('\n').count() > MAX_SIGNATURES {
        return Err(NoteError::Malformed);
    }
    Ok((text, signatures.split('\n')))
}

/// `— <name> <base64(id ‖ signature)>`.
fn signature_line(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let rest = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed)?;
    let (name, bytes) = rest.split_once(' ').ok_or(NoteError::Malformed)?;
    let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Malformed)?;
    if name.is_empty() || bytes.len() < 5 {
        return Err(NoteError::Malformed);
    }
    Ok((name, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::empty_root;

    fn signer() -> LogSigner {
        LogSigner::new("log.example/a/audit/1".parse().unwrap(), &[7; 32])
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            origin: signer().origin().clone(),
            size: 0,
            root: empty_root(),
        }
    }

    #[test]
    fn origins() {
        for good in ["a", "log.example/a/audit/1", &"x".repeat(255)] {
            assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{7f}", &"x".repeat(256)] {
            assert_eq!(bad.parse::<Origin>(), Err(NoteError::Origin), "{bad:?}");
        }
    }

    #[test]
    fn keys_have_one_text() {
        let verifier = signer().verifier();
        let text = verifier.to_string();
        assert_eq!(text.parse::<LogVerifier>().unwrap(), verifier);
        let (rest, key) = text.rsplit_once('+').unwrap();
        let id = rest.rsplit_once('+').unwrap().1;
        // The identity point: every signature of its kind would fit.
        let mut weak = vec![ED25519, 1];
        weak.extend([0; 31]);
        let weak_id = sha256(&[b"log.example/a/audit/1\n", &weak]);
        for (what, bad) in [
            ("other hash", text.replace(id, "00000000")),
            ("upper case hash", text.replace(id, &id.to_uppercase())),
            ("two parts", rest.to_owned()),
            ("other name", text.replace("/1+", "/2+")),
            ("empty name", format!("+{id}+{key}")),
            ("other type", text.replace("+AepK", "+BOpK")),
            ("short key", text[..text.len() - 4].to_owned()),
            (
                "weak key",
                format!(
                    "log.example/a/audit/1+{}+{}",
                    hex::encode(&weak_id.0[..4]),
                    STANDARD.encode(&weak)
                ),
            ),
        ] {
            assert_ne!(bad, text, "{what}");
            assert_eq!(bad.parse::<LogVerifier>(), Err(NoteError::Key), "{what}");
        }
    }

    #[test]
    fn signing_is_deterministic_and_for_one_log_only() {
        let signer = signer();
        let note = signer.sign(&checkpoint()).unwrap();
        assert_eq!(note, signer.sign(&checkpoint()).unwrap());
        assert_eq!(signer.verifier().open(&note), Ok(checkpoint()));
        let foreign = Checkpoint {
            origin: "other.example/log".parse().unwrap(),
            ..checkpoint()
        };
        assert_eq!(signer.sign(&foreign), Err(NoteError::OtherLog));
        assert!(!format!("{signer:?}").contains('7'), "the seed is not printed");
    }

    #[test]
    fn notes_are_refused_for_each_reason() {
        let signer = signer();
        let note = String::from_utf8(signer.sign(&checkpoint()).unwrap()).unwrap();
        let (text, line) = note.split_once("\n\n").unwrap();
        let open = |note: &str| signer.verifier().open(note.as_bytes());
        let witness = "\u{2014} partner-b.example/witness AAAAAAAA\n";
        let forged = {
            let (_, bytes) = signature_line(line.trim_end()).unwrap();
            let mut forged = bytes;
            forged[40] ^= 1;
            format!("\u{2014} {} {}\n", signer.origin(), STANDARD.encode(forged))
        };
        assert!(
            open(&format!("{note}{witness}")).is_ok(),
            "unknown keys are ignored"
        );
        assert!(open(&format!("{text}\n\n{witness}{line}")).is_ok());
        let same_key_other_name = LogSigner::new("log.example/b/audit/1".parse().unwrap(), &[7; 32]);
        let other = Checkpoint {
            origin: same_key_other_name.origin().clone(),
            ..checkpoint()
        };
        let other = String::from_utf8(same_key_other_name.sign(&other).unwrap()).unwrap();
        let short = format!(
            "{text}\n\n\u{2014} {} {}\n",
            signer.origin(),
            &line[line.len() - 9..line.len() - 1]
        );
        for (what, note, error) in [
            ("another log's note", other, NoteError::NotSigned),
            (
                "only a witness",
                format!("{text}\n\n{witness}"),
                NoteError::NotSigned,
            ),
            ("short signature of an unknown key", short, NoteError::NotSigned),
            (
                "changed size",
                note.replace("\n0\n", "\n1\n"),
                NoteError::BadSignature,
            ),
            (
                "forged line",
                format!("{text}\n\n{forged}"),
                NoteError::BadSignature,
            ),
            (
                "good and forged line",
                format!("{note}{forged}"),
                NoteError::BadSignature,
            ),
            ("no signature", format!("{text}\n\n"), NoteError::Malformed),
            ("no empty line", format!("{text}\n{line}"), NoteError::Malformed),
            (
                "no newline at the end",
                note.trim_end().to_owned(),
                NoteError::Malformed,
            ),
            (
                "control character",
                note.replace("\n0\n", "\n0\r\n"),
                NoteError::Malformed,
            ),
            (
                "hyphen for dash",
                note.replace('\u{2014}', "-"),
                NoteError::Malformed,
            ),
            (
                "too many lines",
                format!("{note}{}", witness.repeat(100)),
                NoteError::Malformed,
            ),
            (
                "too long",
                format!("{note}{}", "a".repeat(MAX_NOTE)),
                NoteError::Malformed,
            ),
        ] {
            assert_eq!(open(&note), Err(error), "{what}");
        }
        assert_eq!(signer.verifier().open(b"\xff\n\n\n"), Err(NoteError::Malformed));
    }

    #[test]
    fn a_signed_text_must_be_a_checkpoint_of_this_log() {
        let signer = signer();
        let sign = |text: &str| {
            let mut line = signer.verifier().id.to_vec();
            line.extend(signer.key.sign(text.as_bytes()).to_bytes());
            format!("{text}\n\u{2014} {} {}\n", signer.origin(), STANDARD.encode(line))
        };
        let open = |text: &str| signer.verifier().open(sign(text).as_bytes());
        let text = checkpoint().to_text();
        assert_eq!(open(&text), Ok(checkpoint()));
        assert_eq!(open(&format!("{text}extension\n")), Err(NoteError::Checkpoint));
        assert_eq!(open(&text.replace("/a/", "/b/")), Err(NoteError::OtherLog));
    }
}
