//! Whether a token is the provider's word about this sign-in.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use openidconnect::core::{
    CoreGenderClaim, CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, ClaimsVerificationError, ClientId, IdToken,
    IdTokenClaims, IdTokenVerifier, IssuerUrl, Nonce, SignatureVerificationError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::exchange::Tokens;
use super::settings::Settings;

/// Signatures that are accepted: with a public key of the provider only. `none` is not among them, nor are those with a
/// shared secret: with these a public key could be passed off as the secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 5] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// What is said about a person.
pub(super) type Claims = Map<String, Value>;

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It cannot be read, or lacks what each token has.
    #[error("not a token")]
    Malformed,
    /// Not signed, or in a way that is not accepted.
    #[error("not signed in a way that is accepted")]
    Algorithm,
    /// Signed with a key that the provider does not show.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// Of another provider.
    #[error("another issuer")]
    Issuer,
    /// For another client.
    #[error("another audience")]
    Audience,
    /// Of another sign-in.
    #[error("another nonce, or none")]
    Nonce,
    /// Too old.
    #[error("expired")]
    Expired,
    /// From the future: a clock is wrong.
    #[error("not valid yet")]
    NotYet,
    /// Came with an access token that it does not belong to.
    #[error("another access token")]
    AccessToken,
    /// The person did not sign in as strongly as it has to be.
    #[error("the person did not sign in strongly enough")]
    Weak,
}

impl TokenError {
    /// Stable code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "oidc_token_malformed",
            Self::Algorithm => "oidc_token_algorithm",
            Self::UnknownKey => "oidc_token_key",
            Self::Signature => "oidc_token_signature",
            Self::Issuer => "oidc_token_issuer",
            Self::Audience => "oidc_token_audience",
            Self::Nonce => "oidc_token_nonce",
            Self::Expired => "oidc_token_expired",
            Self::NotYet => "oidc_token_not_yet",
            Self::AccessToken => "oidc_token_access_token",
            Self::Weak => "oidc_weak",
        }
    }

    /// Name of the text for people. Details would help nobody but who made the token.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Expired => "oidc.expired",
            Self::NotYet => "oidc.clock",
            Self::Weak => "oidc.weak",
            _ => "oidc.untrusted",
        }
    }
}

/// What the library has no field for. `Debug` does not show it.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Others(Claims);

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Others(..)")
    }
}

impl AdditionalClaims for Others {}

type Token = IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Verifier<'a> = IdTokenVerifier<'a, CoreJsonWebKey>;

/// What a token is held against.
pub(super) struct Checking<'a> {
    pub(super) settings: &'a Settings,
    /// Of this sign-in.
    pub(super) nonce: &'a Nonce,
    /// When it was begun.
    pub(super) begun: Timestamp,
    pub(super) now: Timestamp,
}

impl Checking<'_> {
    /// What the token says, if it is to be believed (`OpenID` Connect Core 1.0, 3.1.3.7).
    pub(super) fn claims(&self, tokens: &Tokens, keys: &CoreJsonWebKeySet) -> Result<Claims, TokenError> {
        let token: Token = tokens.id.parse().map_err(|_| TokenError::Malformed)?;
        let verifier = self.verifier(keys)?;
        let claims = token
            .claims(&verifier, self.nonce)
            .map_err(|error| reason(&error))?;
        self.check_times(claims)?;
        // Other audiences are refused by the verifier; who the token was made for must be this client as well.
        if claims
            .authorized_party()
            .is_some_and(|party| party.as_str() != self.settings.client_id)
        {
            return Err(TokenError::Audience);
        }
        if let Some(hash) = claims.access_token_hash() {
            let expected = hash_of(&token, &verifier, &tokens.access).ok_or(TokenError::AccessToken)?;
            if *hash != expected {
                return Err(TokenError::AccessToken);
            }
        }
        self.check_strength(claims)?;
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(TokenError::Malformed),
        }
    }

    fn verifier(&self, keys: &CoreJsonWebKeySet) -> Result<Verifier<'static>, TokenError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|_| TokenError::Issuer)?;
        let client = ClientId::new(self.settings.client_id.clone());
        // It expires when the slowest clock that is allowed says so.
        let time = self.now.checked_sub(self.settings.skew).unwrap_or(Timestamp::MIN);
        // A public client's verifier knows no shared secret.
        let verifier = Verifier::new_public_client(client, issuer, keys.clone());
        Ok(verifier
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || SystemTime::from(time).into()))
    }

    /// Made after this sign-in was begun, and not in the future.
    fn check_times(&self, claims: &IdTokenClaims<Others, CoreGenderClaim>) -> Result<(), TokenError> {
        let issued = claims.issue_time().timestamp();
        let skew = self.settings.skew.as_secs();
        if issued < self.begun.as_second() - skew {
            return Err(TokenError::Expired);
        }
        let not_before = match claims.additional_claims().0.get("nbf") {
            None => issued,
            Some(time) => time.as_i64().ok_or(TokenError::Malformed)?,
        };
        if issued.max(not_before) > self.now.as_second() + skew {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    fn check_strength(&self, claims: &IdTokenClaims<Others, CoreGenderClaim>) -> Result<(), TokenError> {
        let (acr, amr) = (&self.settings.acr, &self.settings.amr);
        let level = claims.auth_context_ref().map(|level| level.as_str());
        if !acr.is_empty() && !level.is_some_and(|level| acr.iter().any(|each| each == level)) {
            return Err(TokenError::Weak);
        }
        let methods = claims.auth_method_refs().map_or(&[][..], Vec::as_slice);
        if !amr
            .iter()
            .all(|need| methods.iter().any(|method| method.as_str() == need))
        {
            return Err(TokenError::Weak);
        }
        Ok(())
    }
}

fn hash_of(token: &Token, verifier: &Verifier<'_>, access: &str) -> Option<AccessTokenHash> {
    let algorithm = token.signing_alg().ok()?;
    let key = token.signing_key(verifier).ok()?;
    AccessTokenHash::from_token(&AccessToken::new(access.to_owned()), algorithm, key).ok()
}

fn reason(error: &ClaimsVerificationError) -> TokenError {
    match error {
        ClaimsVerificationError::Expired(_) => TokenError::Expired,
        ClaimsVerificationError::InvalidAudience(_) => TokenError::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => TokenError::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => TokenError::Nonce,
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::NoMatchingKey => TokenError::UnknownKey,
            SignatureVerificationError::NoSignature
            | SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::UnsupportedAlg(_) => TokenError::Algorithm,
            _ => TokenError::Signature,
        },
        _ => TokenError::Malformed,
    }
}
