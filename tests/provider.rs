//! An identity provider (`OpenID` Connect) that signs real tokens, and can be told to do each thing wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// By which the provider knows the console.
pub const CLIENT: &str = "hitmachine-console";
/// What goes with it.
pub const SECRET: &str = "geheim:van/de+console%1";

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With the provider's own RSA key.
    Rs256,
    /// With its elliptic key.
    Es256,
    /// With its Edwards key.
    EdDsa,
    /// Not at all: `alg: none`.
    Nothing,
    /// HS256, the key being the modulus that the provider publishes.
    PublicKeyAsSecret,
    /// HS256 with the secret of the client.
    ClientSecret,
    /// RS256 with somebody else's key under the provider's key id.
    OtherKey,
    /// The same under an id that nobody knows.
    UnknownKey,
    /// Signed well, and changed afterwards.
    Tampered,
}

/// What the provider does. Change it in [`Provider::set`].
pub struct Ways {
    /// How tokens are signed.
    pub signing: Signing,
    /// What it says about the person, besides what each token has.
    pub person: Value,
    /// Whether it says that only at its userinfo address.
    pub in_user_info: bool,
    /// How many seconds its clock is ahead.
    pub ahead: i64,
    /// Done to the claims before they are signed.
    pub change: fn(&mut Value),
    /// Answers of an address instead of its own: path, status, body.
    pub instead: Vec<(&'static str, u16, String)>,
    /// It waits so long before it answers, at an address.
    pub slow: Option<(&'static str, Duration)>,
    /// It shows a page with a link before it sends people back, as one that asks for a password does.
    pub page: bool,
    /// It sends people back with this instead of a code.
    pub error: Option<&'static str>,
    /// What it says its name is when it sends people back.
    pub says_issuer: Option<String>,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            signing: Signing::Rs256,
            person: json!({"preferred_username": "jansen", "name": "J. Jansen", "roles": ["hit-vrager"]}),
            in_user_info: false,
            ahead: 0,
            change: |_| (),
            instead: Vec::new(),
            slow: None,
            page: false,
            error: None,
            says_issuer: None,
        }
    }
}

struct Keys {
    number: u32,
    rsa: RsaKeyPair,
    elliptic: EcdsaKeyPair,
    edwards: Ed25519KeyPair,
    /// Shown to nobody.
    other: RsaKeyPair,
}

impl Keys {
    fn new(number: u32) -> Self {
        Self {
            number,
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            elliptic: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            edwards: Ed25519KeyPair::generate().unwrap(),
            other: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn modulus(&self) -> Vec<u8> {
        // DER of a key of 2048 bits with the usual exponent: two lengths, a zero, the modulus, the exponent.
        self.rsa.public_key().as_ref()[9..265].to_vec()
    }

    fn published(&self) -> Value {
        let (x, y) = self.elliptic.public_key().as_ref()[1..].split_at(32);
        let key = |name: &str| format!("{name}-{}", self.number);
        json!({"keys": [
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key("rsa"), "n": text(&self.modulus()),
             "e": "AQAB"},
            {"kty": "EC", "use": "sig", "crv": "P-256", "kid": key("elliptic"), "x": text(x), "y": text(y)},
            {"kty": "OKP", "use": "sig", "crv": "Ed25519", "kid": key("edwards"),
             "x": text(self.edwards.public_key().as_ref())},
            {"kty": "new-kind", "kid": "nobody knows it yet"},
        ]})
    }

    fn sign(&self, signing: Signing, claims: &Value) -> String {
        let (algorithm, key) = match signing {
            Signing::Rs256 | Signing::OtherKey | Signing::Tampered => ("RS256", "rsa"),
            Signing::UnknownKey => ("RS256", "unknown"),
            Signing::Es256 => ("ES256", "elliptic"),
            Signing::EdDsa => ("EdDSA", "edwards"),
            Signing::Nothing => ("none", "rsa"),
            Signing::PublicKeyAsSecret | Signing::ClientSecret => ("HS256", "rsa"),
        };
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": format!("{key}-{}", self.number)});
        let message = format!(
            "{}.{}",
            text(header.to_string().as_bytes()),
            text(claims.to_string().as_bytes())
        );
        let rsa = |key: &RsaKeyPair| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message.as_bytes(),
                &mut signature,
            )
            .unwrap();
            signature
        };
        let shared = |secret: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        };
        let signature = match signing {
            Signing::Rs256 | Signing::Tampered => rsa(&self.rsa),
            Signing::OtherKey | Signing::UnknownKey => rsa(&self.other),
            Signing::Es256 => {
                let signature = self.elliptic.sign(&SystemRandom::new(), message.as_bytes());
                signature.unwrap().as_ref().to_vec()
            }
            Signing::EdDsa => self.edwards.sign(message.as_bytes()).as_ref().to_vec(),
            Signing::Nothing => Vec::new(),
            Signing::PublicKeyAsSecret => shared(&self.modulus()),
            Signing::ClientSecret => shared(SECRET.as_bytes()),
        };
        let (head, _) = message.split_once('.').unwrap();
        if signing == Signing::Tampered {
            let mut claims = claims.clone();
            claims["preferred_username"] = "directeur".into();
            return format!(
                "{head}.{}.{}",
                text(claims.to_string().as_bytes()),
                text(&signature)
            );
        }
        format!("{message}.{}", text(&signature))
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What somebody was sent back with, until it is exchanged.
struct Granted {
    challenge: String,
    nonce: Option<String>,
    back: String,
}

struct Inner {
    url: String,
    ways: Ways,
    keys: Keys,
    codes: BTreeMap<String, Granted>,
    number: u64,
    asked: BTreeMap<String, usize>,
    tokens: Vec<String>,
}

/// A provider that serves on loopback, at an address that browsers take for another site than the console's.
pub struct Provider {
    inner: Arc<Mutex<Inner>>,
    url: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Provider {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.2", 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let inner = Arc::new(Mutex::new(Inner {
            url: url.clone(),
            ways: Ways::default(),
            keys: Keys::new(1),
            codes: BTreeMap::new(),
            number: 0,
            asked: BTreeMap::new(),
            tokens: Vec::new(),
        }));
        let serving = Arc::clone(&inner);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let inner = Arc::clone(&serving);
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(Arc::clone(&inner), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // A connection that breaks is the other side's business.
                    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self { inner, url, serving }
    }

    /// Its address, and how it calls itself.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it does as usual but for this.
    pub fn set(&self, change: impl FnOnce(&mut Ways)) {
        let mut ways = Ways::default();
        change(&mut ways);
        self.inner().ways = ways;
    }

    /// It takes new keys, and shows only those.
    pub fn rotate(&self) {
        let mut inner = self.inner();
        inner.keys = Keys::new(inner.keys.number + 1);
    }

    /// How often an address was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.inner().asked.get(path).copied().unwrap_or(0)
    }

    /// Everything that it gave out and that nobody but the console may see.
    pub fn tokens(&self) -> Vec<String> {
        self.inner().tokens.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = Response<Full<Bytes>>;

fn say(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
    let response = Response::builder().status(status).header("content-type", kind);
    response.body(Full::new(body.into())).unwrap()
}

fn say_json(status: u16, body: &Value) -> Answer {
    say(status, "application/json", body.to_string())
}

async fn answer(
    inner: Arc<Mutex<Inner>>,
    request: Request<Incoming>,
) -> Result<Answer, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let path = head.uri.path().to_owned();
    let slow = inner.lock().unwrap().ways.slow;
    if let Some((_, pause)) = slow.filter(|(at, _)| path.ends_with(at)) {
        tokio::time::sleep(pause).await;
    }
    let mut inner = inner.lock().unwrap();
    *inner.asked.entry(path.clone()).or_default() += 1;
    if let Some((_, status, body)) = inner.ways.instead.iter().find(|(at, ..)| path.ends_with(at)) {
        return Ok(say(*status, "application/json", body.clone()));
    }
    let header = |name: &str| {
        head.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let query: BTreeMap<String, String> = query.into_owned().collect();
    Ok(match path.as_str() {
        "/.well-known/openid-configuration" => inner.describe(),
        "/keys" => say_json(200, &inner.keys.published()),
        "/auth" => inner.authorize(&query),
        "/token" => inner.exchange(&header("authorization"), &body),
        "/userinfo" => inner.user_info(&header("authorization")),
        "/out" => say(
            200,
            "text/html",
            "<!DOCTYPE html><title>Uit</title><h1>Bij ons bent u ook uitgelogd</h1>",
        ),
        "/elsewhere" => {
            let to = query.get("to").cloned().unwrap_or_default();
            say(
                200,
                "text/html",
                format!("<!DOCTYPE html><title>x</title><a id=\"link\" href=\"{to}\">x</a>"),
            )
        }
        _ => say(404, "text/plain", ""),
    })
}

impl Inner {
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_second() + self.ways.ahead
    }

    fn describe(&self) -> Answer {
        let at = |path: &str| format!("{}/{path}", self.url);
        let mut said = json!({
            "issuer": self.url,
            "authorization_endpoint": at("auth"),
            "token_endpoint": at("token"),
            "userinfo_endpoint": at("userinfo"),
            "jwks_uri": at("keys"),
            "end_session_endpoint": at("out"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        });
        if self.ways.says_issuer.is_some() {
            said["authorization_response_iss_parameter_supported"] = true.into();
        }
        say_json(200, &said)
    }

    /// The person is always the same, and always agrees.
    fn authorize(&mut self, query: &BTreeMap<String, String>) -> Answer {
        let field = |name: &str| query.get(name).cloned().unwrap_or_default();
        let good = field("response_type") == "code"
            && field("client_id") == CLIENT
            && field("scope").split(' ').any(|scope| scope == "openid")
            && field("code_challenge_method") == "S256"
            && field("code_challenge").len() == 43
            && field("state").len() >= 32;
        if !good {
            return say(400, "text/plain", "this is no request for a sign-in");
        }
        self.number += 1;
        let code = format!("code-{}-geheim", self.number);
        let back = field("redirect_uri");
        let mut answer = form_urlencoded::Serializer::new(String::new());
        answer.append_pair("state", &field("state"));
        match self.ways.error {
            Some(error) => {
                answer.append_pair("error", error);
                answer.append_pair("error_description", "<b>stoute</b> tekst van de aanbieder");
            }
            None => {
                answer.append_pair("code", &code);
            }
        }
        if let Some(issuer) = &self.ways.says_issuer {
            answer.append_pair("iss", issuer);
        }
        let to = format!("{back}?{}", answer.finish());
        let granted = Granted {
            challenge: field("code_challenge"),
            nonce: query.get("nonce").cloned(),
            back,
        };
        self.tokens.push(code.clone());
        self.codes.insert(code, granted);
        if self.ways.page {
            let to = to.replace('&', "&amp;");
            let page =
                format!("<!DOCTYPE html><title>Inloggen</title><a id=\"link\" href=\"{to}\">Ik ben het</a>");
            return say(200, "text/html", page);
        }
        let response = Response::builder().status(303).header("location", to);
        response.body(Full::default()).unwrap()
    }

    fn exchange(&mut self, authorization: &str, body: &[u8]) -> Answer {
        let fields: BTreeMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
        if authorization != format!("Basic {expected}") {
            return say_json(401, &json!({"error": "invalid_client"}));
        }
        let refused = || say_json(400, &json!({"error": "invalid_grant"}));
        // A code is good once.
        let Some(granted) = self.codes.remove(&field("code")) else {
            return refused();
        };
        let challenge = digest::digest(&digest::SHA256, field("code_verifier").as_bytes());
        if text(challenge.as_ref()) != granted.challenge
            || field("redirect_uri") != granted.back
            || field("grant_type") != "authorization_code"
        {
            return refused();
        }
        let access = format!("access-{}-geheim", self.number);
        let now = self.now();
        let mut claims = json!({
            "iss": self.url,
            "sub": "00u1",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
        });
        if let Some(nonce) = granted.nonce {
            claims["nonce"] = nonce.into();
        }
        let hash = match self.ways.signing {
            Signing::EdDsa => digest::digest(&digest::SHA512, access.as_bytes()),
            _ => digest::digest(&digest::SHA256, access.as_bytes()),
        };
        claims["at_hash"] = text(&hash.as_ref()[..hash.as_ref().len() / 2]).into();
        if !self.ways.in_user_info {
            for (name, value) in self.ways.person.as_object().unwrap() {
                claims[name] = value.clone();
            }
        }
        (self.ways.change)(&mut claims);
        let token = self.keys.sign(self.ways.signing, &claims);
        self.tokens.extend([access.clone(), token.clone()]);
        say_json(
            200,
            &json!({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}),
        )
    }

    fn user_info(&self, authorization: &str) -> Answer {
        if authorization != format!("Bearer access-{}-geheim", self.number) {
            return say_json(401, &json!({"error": "invalid_token"}));
        }
        let mut said = self.ways.person.clone();
        said["sub"] = "00u1".into();
        say_json(200, &said)
    }
}
