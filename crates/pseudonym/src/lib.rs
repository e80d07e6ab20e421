//! Turns identifiers into tokens and tokens into tags. No I/O, no clock, no network.
//!
//! A partner's node turns the canonical bytes of a person number into a 32-byte [`Token`] with a
//! key the broker does not have; the broker turns the token into a 16-byte [`Tag`] with a pepper
//! the nodes do not have, and stores only the tag.
//!
//! ```text
//! F(purpose, type, body) = "hitmachine/v1/" ‖ purpose ‖ 0x00 ‖ deployment[16] ‖ u32(epoch) ‖ u8(type) ‖ u16(len) ‖ body
//! T     = HMAC-SHA256(K_E, F("id", type, canonical))           scheme 1, at the node
//! C     = HMAC-SHA256(K_E, F("canary", 0x0f, OIN[20]))          a canary: of a partner, of no person
//! KCV   = HMAC-SHA256(K_E, F("kcv", 0, ""))[..8]               compared when a node connects
//! K_tag = BLAKE3.derive_key("hitmachine v1 2026-11-21 broker tag", pepper ‖ deployment ‖ u32(epoch) ‖ u8(scheme) ‖ u8(type))
//! S     = BLAKE3.keyed_hash(K_tag, T)[..16]                    at the broker
//! ```
//!
//! What is *not* here: which numbers are valid persons (crate `hitmachine-identifier`, which the
//! broker may not link), where keys are kept, and who may ask. Whoever takes a token must not care
//! how it was made: later schemes come behind [`Pseudonymiser`].
//!
//! The published vectors are in `vectors/v1.json`; [`self_test`] checks a few of them in every
//! process that starts.

pub mod frame;

mod context;
mod hmac_sha256;
mod identifier;
mod key;
mod self_test;
mod tag_key;
mod token;

pub use context::{DeploymentId, DeploymentKind, KeyEpoch, ParseError, Scheme};
pub use hmac_sha256::HmacSha256Pseudonymiser;
pub use identifier::{CanonicalError, CanonicalIdentifier, IdentifierType};
pub use key::{NodeKey, Pepper, RandomError};
pub use self_test::{SelfTestError, self_test};
pub use tag_key::{TagKey, TagKeys};
pub use token::{KeyCheckValue, Tag, Token};

use std::pin::Pin;

/// Largest number of identifiers in one call of [`Pseudonymiser::tokens`].
pub const MAX_BATCH: usize = 1024;

/// The type code of canaries, in frames and tag keys; no [`IdentifierType`] has it.
pub const CANARY_CODE: u8 = 0x0f;

/// What a canary stands for: a partner's OIN, 20 ASCII characters. Public.
pub type CanaryName = [u8; 20];

/// What [`Pseudonymiser::tokens`] returns: tokens in the order of the identifiers.
pub type TokensFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Token>, PseudonymError>> + Send + 'a>>;

/// Makes tokens under one key of one epoch.
///
/// Asynchronous and in batches, because in later schemes the key lives with other parties and a
/// call is a round trip. Usable as `dyn Pseudonymiser`.
pub trait Pseudonymiser: Send + Sync {
    /// How the tokens are made. Part of the broker's tag key, so schemes never match each other.
    fn scheme(&self) -> Scheme;

    /// The life of the key. Tokens of two epochs never match.
    fn epoch(&self) -> KeyEpoch;

    /// One token per identifier, in the order given; none for an empty batch.
    ///
    /// # Errors
    /// [`PseudonymError::BatchTooLarge`] for more than [`MAX_BATCH`] identifiers, before any key is
    /// used. It is all or nothing: there are no partial batches.
    fn tokens<'a>(&'a self, ids: &'a [CanonicalIdentifier]) -> TokensFuture<'a>;

    /// The canaries of these partners, in the order given: made as persons' tokens are, and equal to none of them.
    /// Nodes that make the same canaries make the same tokens.
    ///
    /// # Errors
    /// As [`Pseudonymiser::tokens`].
    fn canaries<'a>(&'a self, names: &'a [CanaryName]) -> TokensFuture<'a>;
}

/// Why there are no tokens. No variant carries an identifier: these texts reach logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PseudonymError {
    /// Split the batch and ask again.
    #[error("{len} identifiers in one batch; at most {MAX_BATCH} are allowed")]
    BatchTooLarge {
        /// Identifiers in the refused batch.
        len: usize,
    },
}
