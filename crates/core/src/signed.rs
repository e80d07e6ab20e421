//! Requests signed by the asking node, so that nobody can invent a log entry in its name.
//!
//! ```text
//! signature = Ed25519(key of the node, "hitmachine/v1/request\0" ‖ request bytes)       RFC 8032
//! digest    = SHA-256(signature 64 ‖ request bytes)        first half of field 9 of the log entry
//! ```
//!
//! The covenant pins the public keys of each partner's node. The first entry of a request holds signature and bytes
//! (field 10), so that an officer can check years later who asked.
//!
//! Partners that answer live get a frame of their own (see [`crate::live`]), which the asking node signs beside:
//!
//! ```text
//! live signature = Ed25519(key of the node, "hitmachine/v1/live\0" ‖ frame)
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

const CONTEXT: &[u8] = b"hitmachine/v1/request\0";
const LIVE_CONTEXT: &[u8] = b"hitmachine/v1/live\0";

/// Request bytes and the node's signature over them. `Debug` shows neither.
#[derive(Clone)]
pub struct SignedRequest {
    signature: [u8; 64],
    bytes: Vec<u8>,
    live: Option<[u8; 64]>,
    /// The key that was found to have signed them. A check costs more than all else that a hub computes for a question,
    /// and what was checked cannot change.
    signed_by: OnceLock<VerifyingKey>,
}

impl PartialEq for SignedRequest {
    /// The same bytes and signatures; whether somebody checked them does not matter.
    fn eq(&self, other: &Self) -> bool {
        (&self.signature, &self.bytes, &self.live) == (&other.signature, &other.bytes, &other.live)
    }
}

impl Eq for SignedRequest {}

impl SignedRequest {
    /// As received; [`RequestKey::verifies`] says whether the signature holds.
    pub const fn new(bytes: Vec<u8>, signature: [u8; 64]) -> Self {
        Self {
            signature,
            bytes,
            live: None,
            signed_by: OnceLock::new(),
        }
    }

    /// With the signature that goes to partners which answer live. Neither log nor digest has it.
    #[must_use]
    pub fn with_live(self, signature: [u8; 64]) -> Self {
        Self {
            live: Some(signature),
            ..self
        }
    }

    /// The signature that goes to partners which answer live, if there is one.
    pub const fn live(&self) -> Option<&[u8; 64]> {
        self.live.as_ref()
    }

    /// Reads [`encode`](Self::encode); `None` if it is too short.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (signature, bytes) = bytes.split_first_chunk()?;
        Some(Self::new(bytes.to_vec(), *signature))
    }

    /// `signature 64 ‖ request bytes`, as the log keeps it.
    pub fn encode(&self) -> Vec<u8> {
        [self.signature.as_slice(), &self.bytes].concat()
    }

    /// The request.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The signature.
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// SHA-256 of [`encode`](Self::encode).
    pub fn digest(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.signature)
            .chain_update(&self.bytes)
            .finalize()
            .into()
    }
}

impl Default for SignedRequest {
    /// Nothing, signed by nobody.
    fn default() -> Self {
        Self::new(Vec::new(), [0; 64])
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedRequest({} bytes)", self.bytes.len())
    }
}

/// The node's private key for requests. Wiped on drop, never printed.
pub struct RequestSigner(SigningKey);

impl RequestSigner {
    /// The key with this 32-byte Ed25519 seed (RFC 8032 §5.1.5). The caller wipes its own copy.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half, for the covenant.
    pub fn key(&self) -> RequestKey {
        RequestKey(self.0.verifying_key())
    }

    /// Signs a request.
    pub fn sign(&self, bytes: Vec<u8>) -> SignedRequest {
        let signature = self.0.sign(&[CONTEXT, &bytes].concat()).to_bytes();
        SignedRequest::new(bytes, signature)
    }

    /// Signs what partners that answer live get of a question: a [`LiveFrame`](crate::live::LiveFrame), encoded.
    pub fn sign_live(&self, frame: &[u8]) -> [u8; 64] {
        self.0.sign(&[LIVE_CONTEXT, frame].concat()).to_bytes()
    }
}

impl fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestSigner(REDACTED)")
    }
}

/// A public key that signs requests, as the covenant pins it: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestKey(VerifyingKey);

impl RequestKey {
    /// Whether the holder of this key signed the request (RFC 8032, as strict as `verify_strict`).
    pub fn verifies(&self, request: &SignedRequest) -> bool {
        if request.signed_by.get() == Some(&self.0) {
            return true;
        }
        let message = [CONTEXT, &request.bytes].concat();
        let signature = Signature::from_bytes(&request.signature);
        let verifies = self.0.verify_strict(&message, &signature).is_ok();
        if verifies {
            // Under two keys no signature is right.
            let _ = request.signed_by.set(self.0);
        }
        verifies
    }

    /// Whether the holder of this key signed a question for partners that answer live.
    pub fn verifies_live(&self, frame: &[u8], signature: &[u8; 64]) -> bool {
        let message = [LIVE_CONTEXT, frame].concat();
        self.0
            .verify_strict(&message, &Signature::from_bytes(signature))
            .is_ok()
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestKey({self})")
    }
}

/// The text is not a usable Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an Ed25519 public key in 64 hexadecimal digits, as `hitmachine keys show` prints it")]
pub struct RequestKeyError;

impl FromStr for RequestKey {
    type Err = RequestKeyError;

    fn from_str(text: &str) -> Result<Self, RequestKeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| RequestKeyError)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| RequestKeyError)?;
        // A weak key accepts signatures nobody made; a second spelling would be a second key.
        let sound = !key.is_weak() && hex::encode(key.as_bytes()) == text;
        if sound {
            Ok(Self(key))
        } else {
            Err(RequestKeyError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_by_one_key_over_one_request() {
        let signer = RequestSigner::new(&[9; 32]);
        let signed = signer.sign(b"request".to_vec());
        assert!(signer.key().verifies(&signed));
        assert!(signer.key().verifies(&signed), "also when it was checked before");
        assert!(
            !RequestSigner::new(&[8; 32]).key().verifies(&signed),
            "another key"
        );
        let other = SignedRequest::new(b"requesu".to_vec(), *signed.signature());
        assert!(!signer.key().verifies(&other), "another request");
        assert_ne!(other.digest(), signed.digest());
        // The same bytes without the context: what a key signs elsewhere is no request.
        let bare = SignedRequest::new(b"request".to_vec(), signer.0.sign(b"request").to_bytes());
        assert!(!signer.key().verifies(&bare));
        assert_ne!(bare.digest(), signed.digest(), "the digest covers the signature");
        assert_eq!(SignedRequest::decode(&signed.encode()), Some(signed.clone()));
        assert_eq!(SignedRequest::decode(&[0; 63]), None);
        // One signature never stands for the other.
        let live = signer.sign_live(b"request");
        assert!(signer.key().verifies_live(b"request", &live));
        assert!(!signer.key().verifies_live(b"requesu", &live));
        assert!(!signer.key().verifies_live(b"request", signed.signature()));
        assert!(
            !signer
                .key()
                .verifies(&SignedRequest::new(b"request".to_vec(), live))
        );
        let with = signed.clone().with_live(live);
        assert_eq!((with.encode(), with.digest()), (signed.encode(), signed.digest()));
        assert_eq!(
            format!("{signed:?} {signer:?}"),
            "SignedRequest(7 bytes) RequestSigner(REDACTED)"
        );
    }

    #[test]
    fn keys_have_one_text() {
        let key = RequestSigner::new(&[9; 32]).key();
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        let weak = format!("01{}", "00".repeat(31));
        for bad in [&text[..62], &text.to_uppercase(), &weak, "", &"zz".repeat(32)] {
            assert_eq!(bad.parse::<RequestKey>(), Err(RequestKeyError), "{bad:?}");
        }
    }
}
