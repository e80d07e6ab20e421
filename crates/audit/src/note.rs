//! Signed notes (C2SP signed-note v1.0.0): the origin, the log's key and its public half.

pub(crate) mod lines;
mod opened;
mod signed_text;

use std::{fmt, str::FromStr, sync::Arc};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::ZeroizeOnDrop;

use self::lines::{KeyId, SignatureLine, SignedNote};
use crate::checkpoint::Checkpoint;

pub use opened::OpenedNotes;
pub use signed_text::{NoteSigner, NoteVerifier, SignedText};

/// Ed25519, in key ids and verifier keys (signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// Why a note, a checkpoint or a key text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not 1 to 255 bytes, or with a space, a plus or a control character.
    #[error("not a log origin")]
    Origin,
    /// Not 1 to 255 bytes, or with a space, a plus or a control character.
    #[error("not a witness name")]
    WitnessName,
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
    /// A known witness's signature does not fit the text.
    #[error("signature of a known witness does not fit")]
    BadCosignature,
    /// The time of a cosignature is 0 or does not fit 63 bits.
    #[error("not a time for a cosignature")]
    Time,
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
            Self::WitnessName => "witness_name",
            Self::Key => "key",
            Self::Malformed => "malformed",
            Self::NotSigned => "not_signed",
            Self::BadSignature => "bad_signature",
            Self::BadCosignature => "bad_cosignature",
            Self::Time => "cosignature_time",
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
        if lines::is_short_key_name(&name) {
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
        let name = self.origin.as_str();
        let id = lines::key_id(name, ED25519, &self.key.verifying_key());
        let line = SignatureLine::write(name, id, &self.key.sign(text.as_bytes()).to_bytes());
        Ok(format!("{text}\n{line}\n").into_bytes())
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
    id: KeyId,
}

impl LogVerifier {
    fn from_key(origin: Origin, key: VerifyingKey) -> Self {
        let id = lines::key_id(origin.as_str(), ED25519, &key);
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
        self.open_parsed(&SignedNote::parse(note)?)
    }

    pub(crate) fn open_parsed(&self, note: &SignedNote<'_>) -> Result<Checkpoint, NoteError> {
        if !self.has_signed(note)? {
            return Err(NoteError::NotSigned);
        }
        let checkpoint = Checkpoint::from_text(note.text)?;
        if checkpoint.origin != self.origin {
            return Err(NoteError::OtherLog);
        }
        Ok(checkpoint)
    }

    /// Whether a line is by this key; an error if one claims to be and does not fit.
    pub(crate) fn has_signed(&self, note: &SignedNote<'_>) -> Result<bool, NoteError> {
        let mut signed = false;
        for line in note.lines.iter().filter(|line| self.is_author(line)) {
            if !lines::verify(&self.key, note.text.as_bytes(), line.signature()) {
                return Err(NoteError::BadSignature);
            }
            signed = true;
        }
        Ok(signed)
    }

    /// True if the line claims to be by this key.
    pub(crate) fn is_author(&self, line: &SignatureLine<'_>) -> bool {
        line.is_by(self.origin.as_str(), self.id)
    }

    /// True if both are the same public key, whatever they are called.
    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for LogVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines::write_vkey(f, self.origin.as_str(), ED25519, &self.key)
    }
}

impl FromStr for LogVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = lines::parse_vkey(text, ED25519).ok_or(NoteError::Key)?;
        let origin = Origin::new(name).map_err(|_| NoteError::Key)?;
        Ok(Self::from_key(origin, key))
    }
}

#[cfg(test)]
mod tests;
