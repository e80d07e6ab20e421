//! A person's telephone: an app that makes codes.

use totp_rs::{Builder, Secret};

/// A secret for accounts that tests set up.
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
/// A password for accounts that tests set up.
pub const PASSWORD: &str = "vier losse woorden samen";

/// The code that the app shows, so many steps of 30 seconds from now: a code of a step is taken once, and one of the step
/// before or after is all right.
pub fn code(secret: &str, step: i64) -> String {
    let at = jiff::Timestamp::now().as_second() + 30 * step;
    let secret = Secret::new_stack(of_base32(secret).try_into().unwrap());
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    totp.generate(u64::try_from(at).unwrap()).to_string()
}

/// RFC 4648, 6; the app takes spaces too.
fn of_base32(text: &str) -> Vec<u8> {
    let letters = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let bits: Vec<u8> = letters
        .flat_map(|letter| {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
            let value = alphabet.iter().position(|each| *each == letter).unwrap();
            (0..5).rev().map(move |bit| u8::from(value >> bit & 1 == 1))
        })
        .collect();
    bits.chunks_exact(8)
        .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit))
        .collect()
}
