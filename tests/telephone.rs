//! A person's telephone: an app that makes codes.

use totp_rs::{Builder, Secret};

/// A secret for accounts that tests set up.
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
/// A password for accounts that tests set up.
pub const PASSWORD: &str = "vier losse woorden samen";

/// The code that the app shows, so many steps of 30 seconds from now: a code of a step is taken once, and one of the step
/// before or after is all right.
pub fn code(secret: &str, step: i64) -> String {
    let secret: String = secret.split_whitespace().collect();
    let secret = Secret::try_from_base32(secret).unwrap();
    let at = jiff::Timestamp::now().as_second() + 30 * step;
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    totp.generate(u64::try_from(at).unwrap()).to_string()
}
