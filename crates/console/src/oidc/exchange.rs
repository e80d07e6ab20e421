//! The token for a code, and what more the provider says about a person.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hitmachine_service::web::WebError;
use openidconnect::PkceCodeVerifier;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::OidcError;
use super::known::Known;
use super::person::found;
use super::settings::Settings;
use super::token::Claims;

/// What the provider gives for a code. Not kept, and without `Debug`.
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(rename = "access_token")]
    pub(super) access: String,
    #[serde(rename = "id_token")]
    pub(super) id: String,
    #[serde(rename = "token_type")]
    kind: String,
}

/// Exchanges a code.
pub(super) async fn tokens(
    settings: &Settings,
    known: &Known,
    code: &str,
    verifier: &PkceCodeVerifier,
) -> Result<Tokens, OidcError> {
    let (basic, form) = asking(settings, known, code, verifier);
    let place = &known.metadata.token_endpoint;
    let basic = basic.as_ref().map(|text| text.as_str());
    let answer = settings.web.post_form(place, basic, form).await;
    let answer = answer.map_err(OidcError::Unreachable)?;
    match answer.status {
        200 => {}
        status @ 500.. => return Err(OidcError::Unreachable(WebError::Status(status))),
        status => return Err(refusal(status, &answer.body)),
    }
    let tokens: Tokens = serde_json::from_slice(&answer.body).map_err(|_| OidcError::Answer("token"))?;
    if tokens.kind.eq_ignore_ascii_case("bearer") {
        Ok(tokens)
    } else {
        Err(OidcError::Answer("token"))
    }
}

/// The header and the form; the secret is in one of them.
fn asking(
    settings: &Settings,
    known: &Known,
    code: &str,
    verifier: &PkceCodeVerifier,
) -> (Option<Zeroizing<String>>, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &settings.back)
        .append_pair("code_verifier", verifier.secret());
    let mut basic = None;
    match &settings.secret {
        Some(secret) if in_header(known) => {
            basic = Some(authorization(&settings.client_id, secret.expose_secret()));
        }
        secret => {
            form.append_pair("client_id", &settings.client_id);
            if let Some(secret) = secret {
                form.append_pair("client_secret", secret.expose_secret());
            }
        }
    }
    (basic, form.finish())
}

/// Whether the provider takes the secret in a header, as it does unless it says otherwise.
fn in_header(known: &Known) -> bool {
    let methods = known.metadata.token_endpoint_auth_methods_supported.as_ref();
    methods.is_none_or(|methods| {
        let has = |name| methods.iter().any(|method| method == name);
        has("client_secret_basic") || !has("client_secret_post")
    })
}

/// RFC 6749, 2.3.1.
fn authorization(client: &str, secret: &str) -> Zeroizing<String> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = Zeroizing::new(format!("{}:{}", encoded(client), encoded(secret)));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())))
}

/// By the codes of RFC 6749, 5.2: the code is worth nothing, or this console is not set up well.
fn refusal(status: u16, body: &[u8]) -> OidcError {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let said = serde_json::from_slice::<Said>(body);
    match said.as_ref().map(|said| said.error.as_str()) {
        Ok("invalid_grant") => OidcError::Code,
        Ok(_) => OidcError::Client,
        Err(_) if status == 401 => OidcError::Client,
        Err(_) => OidcError::Answer("token"),
    }
}

/// Adds what the token lacks from the provider's userinfo. What the token says stays as it is.
pub(super) async fn with_user_info(
    settings: &Settings,
    known: &Known,
    tokens: &Tokens,
    mut claims: Claims,
) -> Result<Claims, OidcError> {
    let lacks = |claim: &str| found(&claims, claim).is_none();
    let (needed, wished) = (
        lacks(&settings.user_claim) || lacks(&settings.role_claim),
        lacks(&settings.name_claim),
    );
    let Some(place) = known
        .metadata
        .userinfo_endpoint
        .as_ref()
        .filter(|_| needed || wished)
    else {
        return Ok(claims);
    };
    match user_info(settings, place, tokens, &claims).await {
        Ok(more) => {
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
            Ok(claims)
        }
        // Without a name for people the user name does.
        Err(_) if !needed => Ok(claims),
        Err(error) => Err(error),
    }
}

async fn user_info(
    settings: &Settings,
    place: &str,
    tokens: &Tokens,
    claims: &Claims,
) -> Result<Claims, OidcError> {
    let bearer = Zeroizing::new(format!("Bearer {}", tokens.access));
    let answer = settings.web.get(place, Some(&bearer)).await;
    let answer = answer.map_err(OidcError::Unreachable)?;
    match answer.status {
        200 => {}
        status @ 500.. => return Err(OidcError::Unreachable(WebError::Status(status))),
        _ => return Err(OidcError::Answer("userinfo")),
    }
    let said: Claims = serde_json::from_slice(&answer.body).map_err(|_| OidcError::Answer("userinfo"))?;
    // It must be about the person of the token (Core, 5.3.2).
    let subject = said.get("sub").and_then(Value::as_str);
    if subject.is_none() || subject != claims.get("sub").and_then(Value::as_str) {
        return Err(OidcError::Answer("userinfo"));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_out_as_the_rfc_says() {
        let text = authorization("client 1", "a:b%");
        assert_eq!(
            text.as_str(),
            format!("Basic {}", STANDARD.encode("client+1:a%3Ab%25"))
        );
    }

    #[test]
    fn a_refusal_tells_whose_fault_it_is() {
        assert!(matches!(
            refusal(400, br#"{"error":"invalid_grant"}"#),
            OidcError::Code
        ));
        assert!(matches!(
            refusal(400, br#"{"error":"invalid_client"}"#),
            OidcError::Client
        ));
        assert!(matches!(refusal(401, b"<html>"), OidcError::Client));
        assert!(matches!(refusal(302, b""), OidcError::Answer("token")));
    }
}
