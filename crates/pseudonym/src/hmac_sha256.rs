//! Scheme 1: `T = HMAC-SHA256(K_E, F("id", type, canonical))`; a canary's is over `F("canary", 0x0f, OIN)`.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::frame::{Header, Purpose};
use crate::{
    CANARY_CODE, CanaryName, CanonicalIdentifier, DeploymentId, KeyCheckValue, KeyEpoch, MAX_BATCH, NodeKey,
    PseudonymError, Pseudonymiser, Scheme, Token, TokensFuture,
};

/// Makes tokens with the node key in this process.
///
/// The key is absorbed once; each token clones that state and costs two SHA-256 compressions. The
/// state *is* the key: it is erased on drop by the hash library.
pub struct HmacSha256Pseudonymiser {
    keyed: Hmac<Sha256>,
    deployment: DeploymentId,
    epoch: KeyEpoch,
}

// Fails to compile if the `zeroize` feature of the hash crates is ever lost. `Hmac` has no such marker
// of its own, but is made of the same two parts as `Sha256`: states and a block buffer.
const _: () = {
    const fn erases_on_drop<T: ZeroizeOnDrop>() {}
    erases_on_drop::<Sha256>();
};

impl HmacSha256Pseudonymiser {
    /// Prepares `key`, which belongs to `epoch` of `deployment`, and erases it.
    #[expect(clippy::needless_pass_by_value, reason = "taking the key erases it")]
    pub fn new(key: NodeKey, deployment: DeploymentId, epoch: KeyEpoch) -> Self {
        // RFC 2104 §2: a key shorter than the block of 64 bytes is padded with zeros. Done here because
        // this constructor cannot fail.
        let mut block = [0; 64];
        block[..32].copy_from_slice(key.expose_secret());
        let keyed = Hmac::new((&block).into());
        block.zeroize();
        Self {
            keyed,
            deployment,
            epoch,
        }
    }

    /// The deployment whose tokens these are.
    pub fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    /// `HMAC-SHA256(K_E, F("kcv", 0, ""))[..8]`: sent when a node connects, so that a wrong key is
    /// refused at once and never reads as "not known".
    pub fn key_check_value(&self) -> KeyCheckValue {
        let mac = self.mac(Purpose::Kcv, 0, 0, b"");
        let mut kcv = [0; 8];
        kcv.copy_from_slice(&mac.expose_secret()[..8]);
        KeyCheckValue::from_bytes(kcv)
    }

    /// The token of one identifier.
    pub fn token(&self, id: &CanonicalIdentifier) -> Token {
        self.mac(Purpose::Id, id.kind().code(), id.len(), id.expose_secret())
    }

    /// The canary of one partner.
    pub fn canary(&self, name: &CanaryName) -> Token {
        // The length of the name: it is its type.
        self.mac(Purpose::Canary, CANARY_CODE, 20, name)
    }

    fn mac(&self, purpose: Purpose, code: u8, len: u8, body: &[u8]) -> Token {
        let header = Header::new(purpose, &self.deployment, self.epoch, code, len.into());
        let mut mac = self.keyed.clone();
        mac.update(header.as_bytes());
        mac.update(body);
        Token::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl Pseudonymiser for HmacSha256Pseudonymiser {
    fn scheme(&self) -> Scheme {
        Scheme::HmacSha256
    }

    fn epoch(&self) -> KeyEpoch {
        self.epoch
    }

    fn tokens<'a>(&'a self, ids: &'a [CanonicalIdentifier]) -> TokensFuture<'a> {
        // A full batch takes well under a millisecond: it may run on the caller's thread.
        Box::pin(async move {
            if ids.len() > MAX_BATCH {
                return Err(PseudonymError::BatchTooLarge { len: ids.len() });
            }
            Ok(ids.iter().map(|id| self.token(id)).collect())
        })
    }

    fn canaries<'a>(&'a self, names: &'a [CanaryName]) -> TokensFuture<'a> {
        Box::pin(async move {
            if names.len() > MAX_BATCH {
                return Err(PseudonymError::BatchTooLarge { len: names.len() });
            }
            Ok(names.iter().map(|name| self.canary(name)).collect())
        })
    }
}

impl fmt::Debug for HmacSha256Pseudonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacSha256Pseudonymiser")
            .field("deployment", &self.deployment)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
