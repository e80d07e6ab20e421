//! Cosignatures of witnesses (C2SP tlog-cosignature v1.0.1, `cosignature/v1`, timestamped Ed25519).
//!
//! A cosignature says: at that time this was the largest head of the log this witness had seen, and it follows
//! from all that it had seen before. It does not cover the witness's name, so each witness has a key of its
//! own.

use std::{borrow::Borrow, fmt, str::FromStr};

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use zeroize::ZeroizeOnDrop;

use crate::{
    checkpoint::Checkpoint,
    note::{
        LogVerifier, NoteError,
        lines::{self, KeyId, SignatureLine, SignedNote},
    },
};

/// Timestamped Ed25519, in key ids and verifier keys (signed-note, "Signature types").
const COSIGNATURE: u8 = 0x04;
/// Bytes of the time before the Ed25519 signature.
const TIME: usize = 8;
/// The latest time that can be cosigned (tlog-cosignature, "Format"), in seconds since 1970.
pub(crate) const MAX_TIME: u64 = i64::MAX.unsigned_abs();

/// Name of a witness and of its key: `<domain>/<node id>/witness`, say. 1 to 255 bytes without spaces, `+` and
/// control characters (signed-note: key names).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WitnessName(String);

impl WitnessName {
    /// Checks and takes the name.
    ///
    /// # Errors
    /// [`NoteError::WitnessName`].
    pub fn new(name: impl Into<String>) -> Result<Self, NoteError> {
        let name = name.into();
        if lines::is_short_key_name(&name) {
            Ok(Self(name))
        } else {
            Err(NoteError::WitnessName)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WitnessName {
    type Err = NoteError;

    fn from_str(name: &str) -> Result<Self, NoteError> {
        Self::new(name)
    }
}

impl fmt::Display for WitnessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A witness's signing key. Wiped on drop, never printed.
///
/// It signs whatever it is given: [`Witness`](crate::Witness) is what checks and remembers.
#[derive(ZeroizeOnDrop)]
pub struct WitnessSigner {
    #[zeroize(skip)]
    name: WitnessName,
    /// Wipes itself.
    #[zeroize(skip)]
    key: SigningKey,
}

impl WitnessSigner {
    /// The key with this 32-byte Ed25519 seed (RFC 8032 §5.1.5). The caller wipes its own copy. The seed must
    /// serve nothing else: the message does not name the witness.
    pub fn new(name: WitnessName, seed: &[u8; 32]) -> Self {
        Self {
            name,
            key: SigningKey::from_bytes(seed),
        }
    }

    /// The witness.
    pub fn name(&self) -> &WitnessName {
        &self.name
    }

    /// The public half.
    pub fn verifier(&self) -> WitnessVerifier {
        WitnessVerifier::from_key(self.name.clone(), self.key.verifying_key())
    }

    /// The signature line, with its newline, that cosigns this checkpoint at `time_s` (seconds since 1970).
    /// Deterministic.
    ///
    /// # Errors
    /// [`NoteError::Time`] for 0, which would say that there is no time, and above 2⁶³ − 1.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_s: u64) -> Result<String, NoteError> {
        if !(1..=MAX_TIME).contains(&time_s) {
            return Err(NoteError::Time);
        }
        let signature = self.key.sign(message(&checkpoint.to_text(), time_s).as_bytes());
        let name = self.name.as_str();
        let id = lines::key_id(name, COSIGNATURE, &self.key.verifying_key());
        let timestamped = [time_s.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        Ok(SignatureLine::write(name, id, &timestamped) + "\n")
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessSigner")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The pinned public key of one witness. Text form: the verifier key `name+hash+base64(0x04 ‖ key)` of
/// signed-note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessVerifier {
    name: WitnessName,
    key: VerifyingKey,
    id: KeyId,
}

impl WitnessVerifier {
    fn from_key(name: WitnessName, key: VerifyingKey) -> Self {
        let id = lines::key_id(name.as_str(), COSIGNATURE, &key);
        Self { name, key, id }
    }

    /// The witness.
    pub fn name(&self) -> &WitnessName {
        &self.name
    }

    /// True if both are the same public key, whatever they are called.
    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The time of this line over this text, if the line is this witness's and fits.
    fn verify(&self, text: &str, line: &SignatureLine<'_>) -> Option<u64> {
        let (time, signature) = line.signature().split_first_chunk::<TIME>()?;
        let time_s = u64::from_be_bytes(*time);
        let fits =
            time_s <= MAX_TIME && lines::verify(&self.key, message(text, time_s).as_bytes(), signature);
        fits.then_some(time_s)
    }

    fn is_author(&self, line: &SignatureLine<'_>) -> bool {
        line.is_by(self.name.as_str(), self.id)
    }
}

impl fmt::Display for WitnessVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lines::write_vkey(f, self.name.as_str(), COSIGNATURE, &self.key)
    }
}

impl FromStr for WitnessVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, key) = lines::parse_vkey(text, COSIGNATURE).ok_or(NoteError::Key)?;
        let name = WitnessName::new(name).map_err(|_| NoteError::Key)?;
        Ok(Self::from_key(name, key))
    }
}

/// A cosignature that was verified; there is no other way to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    witness: WitnessVerifier,
    time_s: u64,
}

impl Cosignature {
    /// Whose it is.
    pub fn witness(&self) -> &WitnessVerifier {
        &self.witness
    }

    /// What the witness is called.
    pub fn name(&self) -> &WitnessName {
        &self.witness.name
    }

    /// When it was made, by the clock of the witness, in seconds since 1970.
    pub const fn time_s(&self) -> u64 {
        self.time_s
    }
}

/// A checkpoint and the cosignatures under it that were verified, one per witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// What the log signed.
    pub checkpoint: Checkpoint,
    /// The newest of each witness, in the order in which the witnesses were given.
    pub cosignatures: Vec<Cosignature>,
}

impl LogVerifier {
    /// As [`open`](Self::open), and reads the cosignatures of these witnesses. Lines by unknown keys are
    /// ignored; of several lines by one witness the newest counts. One key under two names would be two
    /// witnesses: a [`Policy`](crate::Policy) refuses that.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`NoteError::BadCosignature`] if any line that claims to be by one of these
    /// witnesses does not fit (signed-note: such a note is rejected as a whole).
    pub fn open_cosigned<W: Borrow<WitnessVerifier>>(
        &self,
        note: &[u8],
        witnesses: &[W],
    ) -> Result<Cosigned, NoteError> {
        let note = SignedNote::parse(note)?;
        Ok(Cosigned {
            checkpoint: self.open_parsed(&note)?,
            cosignatures: cosignatures(&note, witnesses)?,
        })
    }

    /// The note with these cosignature lines, as a witness answered them, added to it. Only what was verified
    /// comes in: lines by keys that are not among `witnesses` are left out. One line per witness stays, the
    /// newest. What else the note carries stays as it is.
    ///
    /// # Errors
    /// As [`open_cosigned`](Self::open_cosigned), also for the added lines; [`NoteError::Malformed`] for
    /// lines that are none, and if the result would be too long.
    pub fn add_cosignatures<W: Borrow<WitnessVerifier>>(
        &self,
        note: &[u8],
        lines: &[u8],
        witnesses: &[W],
    ) -> Result<Vec<u8>, NoteError> {
        let note = SignedNote::parse(note)?;
        self.open_parsed(&note)?;
        let added = SignatureLine::parse_answer(lines)?;
        let mut kept: Vec<(Option<Cosignature>, &SignatureLine<'_>)> = Vec::new();
        for (line, is_new) in note
            .lines
            .iter()
            .map(|line| (line, false))
            .chain(added.iter().map(|line| (line, true)))
        {
            let Some(newer) = cosignature(note.text, line, witnesses)? else {
                if !is_new {
                    kept.push((None, line));
                }
                continue;
            };
            let same = kept.iter_mut().find_map(|(held, place)| {
                let held = held.as_mut()?;
                (held.witness == newer.witness).then_some((held, place))
            });
            match same {
                Some((held, place)) if held.time_s < newer.time_s => (*held, *place) = (newer, line),
                Some(_) => {}
                None => kept.push((Some(newer), line)),
            }
        }
        SignedNote::write(note.text, kept.into_iter().map(|(_, line)| line))
    }
}

/// The newest cosignature of each of these witnesses, in their order.
pub(crate) fn cosignatures<W: Borrow<WitnessVerifier>>(
    note: &SignedNote<'_>,
    witnesses: &[W],
) -> Result<Vec<Cosignature>, NoteError> {
    let mut found = Vec::new();
    for line in &note.lines {
        found.extend(cosignature(note.text, line, witnesses)?);
    }
    let newest = |witness: &W| {
        let own = found
            .iter()
            .filter(|cosignature| cosignature.witness == *witness.borrow());
        own.max_by_key(|cosignature| cosignature.time_s).cloned()
    };
    Ok(witnesses.iter().filter_map(newest).collect())
}

/// The cosignature in this line; `None` if it claims to be by none of these witnesses.
fn cosignature<W: Borrow<WitnessVerifier>>(
    text: &str,
    line: &SignatureLine<'_>,
    witnesses: &[W],
) -> Result<Option<Cosignature>, NoteError> {
    // More than one only if somebody made a second key for the four bytes of an id.
    let mut claimed = witnesses
        .iter()
        .map(Borrow::borrow)
        .filter(|witness| witness.is_author(line))
        .peekable();
    if claimed.peek().is_none() {
        return Ok(None);
    }
    let verified = claimed.find_map(|witness| {
        witness.verify(text, line).map(|time_s| Cosignature {
            witness: witness.clone(),
            time_s,
        })
    });
    verified.map(Some).ok_or(NoteError::BadCosignature)
}

/// What is signed: two lines, then the whole text of the note (tlog-cosignature, "Signed message").
fn message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

#[cfg(test)]
#[path = "cosignature_tests.rs"]
mod tests;
