//! Certificates: whose they are, from all of their bytes and no others.

use hitmachine_service::tls::certificate_facts;

/// The target.
pub fn check(input: &[u8]) {
    let Ok(facts) = certificate_facts(input) else {
        return;
    };
    assert!(facts.oin.len() == 20 && facts.oin.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(certificate_facts(input).as_ref(), Ok(&facts));
    // The name stands in it, and nothing may be missing or follow.
    assert!(input.windows(20).any(|window| window == facts.oin.as_bytes()));
    assert!(certificate_facts(&input[..input.len() - 1]).is_err());
    assert!(certificate_facts(&[input, b"\0"].concat()).is_err());
}
