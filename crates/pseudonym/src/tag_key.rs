//! The broker's side: tokens to tags.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{CANARY_CODE, DeploymentId, IdentifierType, KeyEpoch, Pepper, Scheme, Tag, Token};

/// Context of the key derivation (BLAKE3 paper §2.3): fixed, unique, never reused elsewhere.
const CONTEXT: &str = "hitmachine v1 2026-11-21 broker tag";

/// Makes the tags of one epoch, scheme and identifier type. Erased on drop.
#[derive(ZeroizeOnDrop)]
pub struct TagKey([u8; 32]);

impl TagKey {
    /// `BLAKE3.derive_key(context, pepper ‖ deployment ‖ u32(epoch) ‖ u8(scheme) ‖ u8(type))`.
    pub fn derive(
        pepper: &Pepper,
        deployment: &DeploymentId,
        epoch: KeyEpoch,
        scheme: Scheme,
        kind: IdentifierType,
    ) -> Self {
        Self::of_code(pepper, deployment, epoch, scheme, kind.code())
    }

    fn of_code(
        pepper: &Pepper,
        deployment: &DeploymentId,
        epoch: KeyEpoch,
        scheme: Scheme,
        code: u8,
    ) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(pepper.expose_secret());
        hasher.update(deployment.as_bytes());
        hasher.update(&epoch.get().to_be_bytes());
        hasher.update(&[scheme.code(), code]);
        let mut derived = hasher.finalize();
        let key = Self(*derived.as_bytes());
        // Neither erases itself on drop.
        hasher.zeroize();
        derived.zeroize();
        key
    }

    /// `BLAKE3.keyed_hash(K_tag, T)[..16]`, one compression.
    pub fn tag(&self, token: &Token) -> Tag {
        let hash = blake3::keyed_hash(&self.0, token.expose_secret());
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash.as_bytes()[..16]);
        Tag::from_bytes(tag)
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(REDACTED)")
    }
}

/// The tag keys of all identifier types, and of canaries, of one epoch and scheme.
pub struct TagKeys {
    scheme: Scheme,
    epoch: KeyEpoch,
    bsn: TagKey,
    a_nummer: TagKey,
    v_nummer: TagKey,
    skn: TagKey,
    canary: TagKey,
}

impl TagKeys {
    /// Derives every key once, at start or when an epoch begins; the pepper is not needed after.
    pub fn derive(pepper: &Pepper, deployment: &DeploymentId, epoch: KeyEpoch, scheme: Scheme) -> Self {
        let key = |kind| TagKey::derive(pepper, deployment, epoch, scheme, kind);
        Self {
            scheme,
            epoch,
            bsn: key(IdentifierType::Bsn),
            a_nummer: key(IdentifierType::ANummer),
            v_nummer: key(IdentifierType::VNummer),
            skn: key(IdentifierType::Skn),
            canary: TagKey::of_code(pepper, deployment, epoch, scheme, CANARY_CODE),
        }
    }

    /// The scheme whose tokens these keys take.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The epoch whose tokens these keys take.
    pub fn epoch(&self) -> KeyEpoch {
        self.epoch
    }

    /// The tag of a token that was made from an identifier of type `kind`.
    pub fn tag(&self, kind: IdentifierType, token: &Token) -> Tag {
        match kind {
            IdentifierType::Bsn => &self.bsn,
            IdentifierType::ANummer => &self.a_nummer,
            IdentifierType::VNummer => &self.v_nummer,
            IdentifierType::Skn => &self.skn,
        }
        .tag(token)
    }

    /// The tag of a canary; never that of a person, even for the same token.
    pub fn canary_tag(&self, token: &Token) -> Tag {
        self.canary.tag(token)
    }
}

impl fmt::Debug for TagKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TagKeys")
            .field("scheme", &self.scheme)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
