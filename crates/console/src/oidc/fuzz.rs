//! For the fuzzer: tokens and claims as a provider sends them, held against settings of its own.
//!
//! No program uses this.

use std::sync::LazyLock;

use jiff::Timestamp;
use openidconnect::Nonce;
use openidconnect::core::CoreJsonWebKeySet;
use serde_json::Value;

use super::exchange::Tokens;
use super::person::Person;
use super::settings::Settings;
use super::token::Checking;

const SETTINGS: &str = "issuer = 'https://login.example'\nclient_id = 'hitmachine'\nname = 'Gemeente'\n\
                        role_claim = 'realm.roles'\n\
                        [[role]]\nvalue = 'hit-vrager'\nrole = 'vrager'\ncovenant_role = 'informatiecoordinator'\n\
                        [[role]]\nvalue = 'hit-beheer'\nrole = 'beheerder'\n";

static CHECKED: LazyLock<Option<Settings>> =
    LazyLock::new(|| Settings::check(&toml::from_str(SETTINGS).ok()?, "https://hub.example").ok());

/// What the provider answers when it is asked for a token, with the keys that it shows.
///
/// # Errors
/// Why it is not believed; `not_read` if it could not even be read.
pub fn id_token(answer: &[u8], keys: &[u8], nonce: &str, now: Timestamp) -> Result<Value, &'static str> {
    let settings = CHECKED.as_ref().ok_or("not_read")?;
    let tokens: Tokens = serde_json::from_slice(answer).map_err(|_| "not_read")?;
    let keys: CoreJsonWebKeySet = serde_json::from_slice(keys).map_err(|_| "not_read")?;
    let checking = Checking {
        settings,
        nonce: &Nonce::new(nonce.to_owned()),
        begun: now,
        now,
    };
    let claims = checking
        .claims(&tokens, &keys)
        .map_err(super::token::TokenError::code)?;
    Ok(Value::Object(claims))
}

/// Who it is by these claims: user name, name for people, and roles in words.
pub fn claims(claims: &[u8]) -> Option<(String, String, String)> {
    let claims = serde_json::from_slice(claims).ok()?;
    let person = Person::of(&claims, CHECKED.as_ref()?).ok()?;
    let roles = format!("{:?}", person.roles);
    Some((person.id, person.name, roles))
}
