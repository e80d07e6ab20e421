//! What the provider says of itself: its addresses and its keys, fetched when they are needed and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_service::web::{WebClient, WebError};
use openidconnect::core::CoreJsonWebKeySet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::OidcError;
use super::settings::Settings;

/// After this the provider is asked anew.
const FRESH: Duration = Duration::from_hours(1);
/// Newer keys are asked for at most this often, whatever tokens come along.
const KEYS_PAUSE: Duration = Duration::from_secs(10);
/// A provider that just failed is left alone for so long, so that people do not wait for it one after the other.
const FAILED_PAUSE: Duration = Duration::from_secs(2);

/// The part of the provider's description that is used here (`OpenID` Connect Discovery 1.0).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) userinfo_endpoint: Option<String>,
    jwks_uri: String,
    pub(super) end_session_endpoint: Option<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// Addresses and keys.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) metadata: Metadata,
    pub(super) keys: CoreJsonWebKeySet,
    fetched: Instant,
    keys_fetched: Instant,
}

/// Kept by the console; one fetches at a time.
#[derive(Default)]
pub(super) struct Provider(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    known: Option<Arc<Known>>,
    /// When newer keys were asked for.
    asked: Option<Instant>,
    failed: Option<(Instant, WebError)>,
}

impl Provider {
    /// What is known, fetched if it has to be.
    pub(super) async fn known(&self, settings: &Settings) -> Result<Arc<Known>, OidcError> {
        let mut cache = self.0.lock().await;
        if let Some(known) = cache
            .known
            .as_ref()
            .filter(|known| known.fetched.elapsed() < FRESH)
        {
            return Ok(Arc::clone(known));
        }
        if let Some((at, error)) = cache.failed
            && at.elapsed() < FAILED_PAUSE
        {
            return Err(OidcError::Unreachable(error));
        }
        match fetch(settings).await {
            Ok(known) => {
                let known = Arc::new(known);
                cache.known = Some(Arc::clone(&known));
                cache.failed = None;
                Ok(known)
            }
            Err(error) => {
                cache.known = None;
                if let OidcError::Unreachable(web) = error {
                    cache.failed = Some((Instant::now(), web));
                }
                Err(error)
            }
        }
    }

    /// The same with keys that are newer than `old`, if they may be asked for now.
    pub(super) async fn with_newer_keys(
        &self,
        settings: &Settings,
        old: &Known,
    ) -> Result<Arc<Known>, OidcError> {
        let mut cache = self.0.lock().await;
        if let Some(known) = &cache.known {
            // Another has fetched them meanwhile, or it is too soon.
            let too_soon = cache.asked.is_some_and(|asked| asked.elapsed() < KEYS_PAUSE);
            if known.keys_fetched > old.keys_fetched || too_soon {
                return Ok(Arc::clone(known));
            }
        }
        cache.asked = Some(Instant::now());
        let known = Arc::new(Known {
            keys: keys(settings, &old.metadata).await?,
            keys_fetched: Instant::now(),
            ..old.clone()
        });
        cache.known = Some(Arc::clone(&known));
        Ok(known)
    }
}

async fn fetch(settings: &Settings) -> Result<Known, OidcError> {
    let place = settings.issuer.trim_end_matches('/');
    let address = format!("{place}/.well-known/openid-configuration");
    let metadata: Metadata = read(&settings.web, &address, "discovery").await?;
    metadata.check(&settings.issuer)?;
    let keys = keys(settings, &metadata).await?;
    let now = Instant::now();
    Ok(Known {
        metadata,
        keys,
        fetched: now,
        keys_fetched: now,
    })
}

async fn keys(settings: &Settings, metadata: &Metadata) -> Result<CoreJsonWebKeySet, OidcError> {
    read(&settings.web, &metadata.jwks_uri, "keys").await
}

async fn read<T: DeserializeOwned>(
    web: &WebClient,
    address: &str,
    what: &'static str,
) -> Result<T, OidcError> {
    let answer = web.get(address, None).await.map_err(OidcError::Unreachable)?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|_| OidcError::Answer(what)),
        status @ 500.. => Err(OidcError::Unreachable(WebError::Status(status))),
        _ => Err(OidcError::Answer(what)),
    }
}

impl Metadata {
    /// It must speak of itself, and of addresses that are as safe as its own.
    fn check(&self, issuer: &str) -> Result<(), OidcError> {
        let scheme = |address: &str| address.split_once(':').map(|(scheme, _)| scheme.to_owned());
        let addresses = [
            Some(&self.authorization_endpoint),
            Some(&self.token_endpoint),
            Some(&self.jwks_uri),
            self.userinfo_endpoint.as_ref(),
            self.end_session_endpoint.as_ref(),
        ];
        let safe = |address: &&String| WebClient::accepts(address) && scheme(address) == scheme(issuer);
        let plain =
            |address: &&String| !address.contains('#') && address.bytes().all(|byte| byte.is_ascii_graphic());
        if self.issuer != issuer
            || !addresses
                .iter()
                .flatten()
                .all(|address| safe(address) && plain(address))
        {
            return Err(OidcError::Answer("discovery"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_speaks_of_itself_and_of_safe_places() {
        let issuer = "https://login.example";
        let good = serde_json::json!({
            "issuer": issuer,
            "authorization_endpoint": "https://login.example/auth",
            "token_endpoint": "https://login.example/token",
            "jwks_uri": "https://login.example/keys",
            "something_else": {"a": 1},
        });
        let check = |value: &serde_json::Value| {
            serde_json::from_value::<Metadata>(value.clone())
                .unwrap()
                .check(issuer)
                .is_ok()
        };
        assert!(check(&good));
        for (field, value) in [
            ("issuer", "https://login.example/"),
            ("issuer", "https://elsewhere.example"),
            ("authorization_endpoint", "javascript:alert(1)"),
            ("authorization_endpoint", "https://login.example/a\r\nb"),
            ("authorization_endpoint", "https://login.example/auth#x"),
            ("token_endpoint", "http://127.0.0.1/token"),
            ("jwks_uri", "file:///etc/passwd"),
            ("userinfo_endpoint", "http://192.0.2.1/"),
            ("end_session_endpoint", "/out"),
        ] {
            let mut bad = good.clone();
            bad[field] = value.into();
            assert!(!check(&bad), "{field} {value}");
        }
    }
}
