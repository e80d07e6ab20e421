//! Recovery codes: for who has lost the telephone with the codes. Ten, each good for one sign-in.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::readable;
use crate::state::StateError;

const COUNT: usize = 10;
const DOMAIN: &[u8] = b"hitmachine/recovery-code/v1\0";

/// New recovery codes, to be shown once.
pub struct RecoveryCodes(Vec<Zeroizing<String>>);

impl RecoveryCodes {
    pub(super) fn random() -> Result<Self, StateError> {
        (0..COUNT)
            .map(|_| readable::random())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Each code, as it is shown and typed.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|code| code.as_str())
    }

    /// What is kept of them.
    pub(super) fn kept(&self) -> KeptCodes {
        KeptCodes(self.codes().map(hashed).collect())
    }
}

impl fmt::Debug for RecoveryCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCodes(..)")
    }
}

/// Hashes of the codes that were not used. A code has 80 random bits: no slow hash is needed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct KeptCodes(Vec<String>);

impl KeptCodes {
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// Takes a code; it is gone then.
    pub(super) fn take(&mut self, typed: &str) -> bool {
        let typed = hashed(typed);
        let before = self.0.len();
        self.0
            .retain(|each| !bool::from(each.as_bytes().ct_eq(typed.as_bytes())));
        self.0.len() < before
    }
}

fn hashed(code: &str) -> String {
    let code = readable::meant(code);
    hex::encode(
        Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(code.as_bytes())
            .finalize(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_good_once() {
        let codes = RecoveryCodes::random().unwrap();
        let mut kept = codes.kept();
        assert_eq!(kept.left(), COUNT);
        let one = codes.codes().nth(3).unwrap();
        assert!(kept.take(&one.to_uppercase().replace('-', " ")));
        assert!(!kept.take(one), "again");
        assert_eq!(kept.left(), COUNT - 1);
        assert!(!kept.take("") && !kept.take("0000-0000-0000-0000"));
        let text = serde_json::to_string(&kept).unwrap();
        assert!(codes.codes().all(|code| !text.contains(code)));
        assert_eq!(format!("{codes:?}"), "RecoveryCodes(..)");
    }
}
