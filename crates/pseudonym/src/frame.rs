//! The one input format of everything that is keyed here.
//!
//! ```text
//! F(purpose, type, body) =
//!     "hitmachine/v1/" ‖ purpose ‖ 0x00 ‖ deployment[16] ‖ u32(epoch) ‖ u8(type) ‖ u16(len(body)) ‖ body
//! ```
//! Integers are big-endian. Injective: the purpose ends at the first `0x00`, everything after it has
//! a fixed length or a length in front. A BSN gives 49 bytes, at most 55, so HMAC-SHA256 with a
//! prepared key is two compressions.

use zeroize::Zeroizing;

use crate::{DeploymentId, KeyEpoch};

const VERSION: &[u8] = b"hitmachine/v1/";

/// What a frame is for. Closed, so that no two meanings can share an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Token of an identifier, scheme 1.
    Id,
    /// Input of the oblivious PRF, schemes 2 and 3.
    OprfIn,
    /// Token from the output of the oblivious PRF, scheme 2.
    OprfOut,
    /// Token from that output under the node key, scheme 3.
    OprfMix,
    /// Key check value.
    Kcv,
    /// Token of a canary, which stands for a partner and for no person.
    Canary,
}

impl Purpose {
    /// Every purpose there is.
    pub const ALL: [Self; 6] = [
        Self::Id,
        Self::OprfIn,
        Self::OprfOut,
        Self::OprfMix,
        Self::Kcv,
        Self::Canary,
    ];

    /// The label in the frame: ASCII, no zero byte, at most 8 bytes.
    pub fn label(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::OprfIn => "oprf-in",
            Self::OprfOut => "oprf-out",
            Self::OprfMix => "oprf-mix",
            Self::Kcv => "kcv",
            Self::Canary => "canary",
        }
    }
}

/// The body does not fit: its length is written in 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame holds at most 65535 bytes")]
pub struct FrameTooLong;

/// The whole frame; `code` is an identifier type's code, or 0 where there is none. Erased on drop,
/// because the body may be a person number.
///
/// # Errors
/// [`FrameTooLong`] for a body of more than 65,535 bytes.
pub fn frame(
    purpose: Purpose,
    deployment: &DeploymentId,
    epoch: KeyEpoch,
    code: u8,
    body: &[u8],
) -> Result<Zeroizing<Vec<u8>>, FrameTooLong> {
    let len = u16::try_from(body.len()).map_err(|_| FrameTooLong)?;
    let header = Header::new(purpose, deployment, epoch, code, len);
    // At its final size from the start: growing would leave copies of the body behind.
    let mut out = Zeroizing::new(Vec::with_capacity(header.as_bytes().len() + body.len()));
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    Ok(out)
}

/// All of a frame but the body, on the stack. Holds nothing secret.
pub(crate) struct Header {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl Header {
    /// With the longest label, `oprf-out`.
    const MAX_LEN: usize = VERSION.len() + 8 + 1 + 16 + 4 + 1 + 2;

    pub(crate) fn new(
        purpose: Purpose,
        deployment: &DeploymentId,
        epoch: KeyEpoch,
        code: u8,
        body_len: u16,
    ) -> Self {
        let mut header = Self {
            bytes: [0; Self::MAX_LEN],
            len: 0,
        };
        header.push(VERSION);
        header.push(purpose.label().as_bytes());
        header.push(&[0]);
        header.push(deployment.as_bytes());
        header.push(&epoch.get().to_be_bytes());
        header.push(&[code]);
        header.push(&body_len.to_be_bytes());
        header
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> DeploymentId {
        DeploymentId::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap()))
    }

    #[test]
    fn every_purpose_fits_and_its_label_ends_the_first_part() {
        for purpose in Purpose::ALL {
            let label = purpose.label();
            assert!(
                label.len() <= 8 && label.is_ascii() && !label.contains('\0'),
                "{label}"
            );
            let bytes = frame(purpose, &deployment(), KeyEpoch::FIRST, 0, b"").unwrap();
            assert_eq!(bytes.len(), VERSION.len() + label.len() + 1 + 16 + 4 + 1 + 2);
            let first_zero = bytes.iter().position(|b| *b == 0).unwrap();
            assert_eq!(&bytes[..first_zero], [VERSION, label.as_bytes()].concat());
        }
    }

    #[test]
    fn the_frame_of_a_bsn_leaves_hmac_at_two_compressions() {
        let bytes = frame(Purpose::Id, &deployment(), KeyEpoch::FIRST, 1, b"999990019").unwrap();
        assert_eq!(bytes.len(), 49);
        assert_eq!(
            hex::encode(&*bytes),
            "6869746d616368696e652f76312f696400000102030405060708090a0b0c0d0e0f00000001010009393939393930303139"
        );
    }

    #[test]
    fn the_length_has_two_bytes() {
        let long = vec![7; 65_536];
        assert!(
            frame(
                Purpose::OprfIn,
                &deployment(),
                KeyEpoch::FIRST,
                1,
                &long[..65_535]
            )
            .is_ok()
        );
        assert_eq!(
            frame(Purpose::OprfIn, &deployment(), KeyEpoch::FIRST, 1, &long),
            Err(FrameTooLong)
        );
    }
}
