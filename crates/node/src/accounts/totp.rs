//! The second factor: codes of six digits that change every 30 seconds (RFC 6238 with SHA-1, what every app knows).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::state::StateError;

/// 160 bits, as RFC 4226 recommends.
const BYTES: usize = 20;
const DIGITS: usize = 6;
const STEP: u64 = 30;

/// What an app needs to know to make a person's codes.
pub struct Enrolment {
    /// In base32, for who cannot scan a picture.
    pub secret: Zeroizing<String>,
    /// `otpauth://totp/…`, for the picture.
    pub uri: Zeroizing<String>,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolment(..)")
    }
}

/// The secret that a person's app and this node share.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub(super) struct Secret([u8; BYTES]);

/// The secret, and the last step of which a code was taken.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SecondFactor {
    secret: Secret,
    #[serde(default)]
    last: u64,
}

impl Secret {
    pub(super) fn random() -> Result<Self, StateError> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|_| StateError::Random)?;
        Ok(Self(bytes))
    }

    /// From base32, 20 bytes; spaces and small letters are all right.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let letters = text
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '=');
        let letters: Zeroizing<String> =
            Zeroizing::new(letters.map(|letter| letter.to_ascii_uppercase()).collect());
        let secret = totp_rs::Secret::try_from_base32(letters.as_str()).ok()?;
        Some(Self(secret.as_bytes().try_into().ok()?))
    }

    fn base32(&self) -> Zeroizing<String> {
        Zeroizing::new(totp_rs::Secret::new_stack(self.0).to_base32())
    }

    /// For the app of this account; `issuer` is what the app shows above the code.
    pub(super) fn enrolment(&self, issuer: &str, account: &str) -> Enrolment {
        let secret = self.base32();
        let (issuer, account) = (escaped(issuer), escaped(account));
        let uri = format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}",
            *secret
        );
        Enrolment {
            secret,
            uri: Zeroizing::new(uri),
        }
    }

    pub(super) fn totp(&self) -> Totp {
        let secret = totp_rs::Secret::new_stack(self.0);
        Builder::new().with_secret(secret).build_noncompliant()
    }
}

impl SecondFactor {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, last: 0 }
    }

    /// Takes a code of this step, the one before or the one after. Each step's code is taken once, and none of a step
    /// before the last one taken (RFC 6238, 5.2).
    pub(super) fn take(&mut self, code: &str, now: Timestamp) -> bool {
        let Ok(now) = u64::try_from(now.as_second()) else {
            return false;
        };
        let totp = self.secret.totp();
        let present = now / STEP;
        let mut taken = None;
        for step in present.saturating_sub(1)..=present.saturating_add(1) {
            let expected = Zeroizing::new(totp.generate(step.saturating_mul(STEP)).to_string());
            if bool::from(expected.as_bytes().ct_eq(code.as_bytes())) && step > self.last {
                taken = Some(step);
            }
        }
        self.last = taken.unwrap_or(self.last);
        taken.is_some()
    }
}

/// The digits of a code, if what was typed is one: spaces in it are all right.
pub(super) fn digits(typed: &str) -> Option<Zeroizing<String>> {
    let digits: Zeroizing<String> =
        Zeroizing::new(typed.chars().filter(|each| !each.is_whitespace()).collect());
    (digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// For an address: everything but letters, digits and `-._~` percent-encoded.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6238, appendix B (SHA-1), the last six of its eight digits.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn factor() -> SecondFactor {
        SecondFactor::new(Secret(*b"12345678901234567890"))
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (second, code) in VECTORS {
            assert!(factor().take(code, at(second)), "{second}");
            let wrong = if code == "000000" { "000001" } else { "000000" };
            assert!(!factor().take(wrong, at(second)), "{second}");
        }
    }

    #[test]
    fn one_step_early_or_late_is_near_enough_and_two_are_not() {
        let (second, code) = VECTORS[2];
        for (off, good) in [(-60, false), (-30, true), (0, true), (30, true), (60, false)] {
            assert_eq!(factor().take(code, at(second + off)), good, "{off}");
        }
    }

    #[test]
    fn a_code_is_taken_once_and_none_from_before_it() {
        let mut factor = factor();
        let (first, second) = (VECTORS[1], VECTORS[2]);
        assert_eq!(first.0 / 30 + 1, second.0 / 30, "the RFC's times are neighbours");
        assert!(factor.take(second.1, at(second.0)));
        assert!(!factor.take(second.1, at(second.0)), "twice");
        assert!(!factor.take(first.1, at(second.0)), "an earlier one");
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        let secret = Secret(*b"12345678901234567890");
        assert_eq!(*secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(Secret::parse("gezd gnbv gy3t qojq gezd gnbv gy3t qojq") == Some(secret.clone()));
        for wrong in [
            "",
            "GEZDGNBV",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGE",
        ] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
        let enrolment = secret.enrolment("Hitmachine van ons", "jansen");
        assert_eq!(
            *enrolment.uri,
            "otpauth://totp/Hitmachine%20van%20ons:jansen?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Hitmachine%20van%20ons&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(format!("{enrolment:?}"), "Enrolment(..)");
    }

    #[test]
    fn six_digits_are_a_code_and_nothing_else_is() {
        assert_eq!(digits(" 123 456 ").as_deref().map(String::as_str), Some("123456"));
        for text in ["", "12345", "1234567", "12345a", "k7pm-2x9d-hq4w-8e3t", "١٢٣٤٥٦"] {
            assert!(digits(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn base32_comes_back(bytes in any::<[u8; BYTES]>()) {
            let secret = Secret(bytes);
            prop_assert!(Secret::parse(&secret.base32()) == Some(secret));
        }

        #[test]
        fn no_step_is_taken_twice(start in 0_i64..4_000_000_000, moves in prop::collection::vec(-90_i64..90, 1..20)) {
            let mut factor = factor();
            let mut now = start.max(2_000);
            let mut taken = std::collections::BTreeSet::new();
            for by in moves {
                now += by;
                let step = u64::try_from(now).unwrap() / STEP;
                let code = factor.secret.totp().generate(step * STEP).to_string();
                if factor.take(&code, at(now)) {
                    // Two steps may have the same digits; what counts is the step.
                    prop_assert!(taken.insert(factor.last), "step {} again", factor.last);
                }
            }
        }
    }
}
