//! What an identity provider says: never believed unsigned, and signed only if it is about this sign-in.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hitmachine_console::fuzz::{claims, id_token};
use hitmachine_identifier::contains_bsn;
use jiff::Timestamp;
use serde_json::{Value, json};

const NONCE: &str = "n-0S6_WzA2Mj";
/// What signed tokens begin with.
const HEADER: &[u8] = b"{\"alg\":\"EdDSA\",\"kid\":\"k\"}";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static NOW: LazyLock<Timestamp> = LazyLock::new(|| "2026-11-22T12:00:00Z".parse().unwrap());

fn answer(token: &str) -> Vec<u8> {
    json!({"access_token": "a", "id_token": token, "token_type": "Bearer"})
        .to_string()
        .into_bytes()
}

fn keys() -> Vec<u8> {
    let x = URL_SAFE_NO_PAD.encode(KEY.verifying_key().as_bytes());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k", "use": "sig", "alg": "EdDSA"});
    json!({"keys": [key]}).to_string().into_bytes()
}

fn signed(payload: &[u8]) -> String {
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(HEADER),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = KEY.sign(text.as_bytes()).to_bytes();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The target.
pub fn check(input: &[u8]) {
    // The provider's whole answer, its keys, and a token that nobody signed.
    assert!(id_token(input, &keys(), NONCE, *NOW).is_err());
    assert!(id_token(&answer(&signed(b"{}")), input, NONCE, *NOW).is_err());
    let text = String::from_utf8_lossy(input);
    assert!(id_token(&answer(&text), &keys(), NONCE, *NOW).is_err());
    if let Ok(said) = id_token(&answer(&signed(input)), &keys(), NONCE, *NOW) {
        believed(&said);
        // The same for another sign-in, and much later, is worth nothing.
        let token = answer(&signed(input));
        assert!(id_token(&token, &keys(), "other", *NOW).is_err());
        let later = Timestamp::from_second(NOW.as_second() + 1_000_000_000).unwrap();
        assert!(id_token(&token, &keys(), NONCE, later).is_err());
    }
    let Some((id, name, _)) = claims(input) else {
        return;
    };
    for text in [&id, &name] {
        assert!(!contains_bsn(text) && !text.chars().any(char::is_control));
        assert!((1..=100).contains(&text.chars().count()) && text.trim() == text);
    }
    assert_eq!(id, id.to_lowercase());
}

fn believed(said: &Value) {
    assert_eq!(said["iss"], "https://login.example");
    assert_eq!(said["nonce"], NONCE);
    let audience = &said["aud"];
    assert!(audience == "hitmachine" || audience == &json!(["hitmachine"]));
    let time = |name: &str| said[name].as_f64().unwrap();
    let now = NOW.as_second() as f64;
    assert!(time("exp") > now - 1_000.0 && (time("iat") - now).abs() < 1_000.0);
    assert!(said["azp"].is_null() || said["azp"] == "hitmachine");
}
