//! Telling a system outside the network something by HTTP: one `POST` of JSON over TLS 1.3, or without TLS to this
//! machine itself. [`WebClient`] asks one for something in the same way.
//!
//! No error holds the address, which may have something of value in its path, or what the other side said.

use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::secret::SecretText;
use crate::tls::{TlsError, roots, setup};

mod client;

pub use client::{WebAnswer, WebClient};

/// Bytes of an answer that are read before it counts as too long.
const MAX_ANSWER: usize = 64 * 1024;

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebAddressError {
    /// Not `https://…`, or `http://` with a loopback address.
    #[error("must be an https address, or http with a loopback address such as 127.0.0.1")]
    Form,
    /// An authority for an address without TLS.
    #[error("an authority is for https only")]
    Authority,
    /// The token cannot be sent in a header.
    #[error("the token has characters that cannot be sent in a header")]
    Token,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Why it was not told. It may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// No connection.
    #[error("the system cannot be reached")]
    Unreachable,
    /// It shows no certificate that is trusted here, or has no TLS 1.3.
    #[error("no safe connection: the certificate is not trusted, or TLS 1.3 is not spoken")]
    Tls,
    /// It took too long.
    #[error("the system did not answer in time")]
    TimedOut,
    /// Something that is no HTTP, or far too much.
    #[error("the system gave no proper answer")]
    Protocol,
    /// It answered, but not that all is well.
    #[error("the system answered with status {0}")]
    Status(u16),
    /// Not `https://…`, or `http://` with a loopback address.
    #[error("not an https address")]
    Address,
}

impl WebError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "web_unreachable",
            Self::Tls => "web_tls",
            Self::TimedOut => "web_timeout",
            Self::Protocol => "web_protocol",
            Self::Status(_) => "web_status",
            Self::Address => "web_address",
        }
    }
}

/// Where a safe address leads.
struct Place {
    uri: Uri,
    host: String,
    port: u16,
    /// That its certificate must have; `None` without TLS.
    name: Option<ServerName<'static>>,
}

impl Place {
    /// `None` for what is not `https://…`, or `http://` with a loopback address.
    fn parse(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        let (scheme, host, authority) = (uri.scheme_str()?, uri.host()?, uri.authority()?);
        if authority.as_str().contains('@') {
            return None;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (port, name) = match scheme {
            "https" => (443, Some(ServerName::try_from(host.clone()).ok()?)),
            // An address and not a name such as `localhost`: a name can lead elsewhere.
            "http" if host.parse().is_ok_and(|address: IpAddr| address.is_loopback()) => (80, None),
            _ => return None,
        };
        Some(Self {
            port: uri.port_u16().unwrap_or(port),
            uri,
            host,
            name,
        })
    }
}

/// Where is posted to. `Debug` does not show it.
pub struct WebAddress {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for WebAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebAddress(…)")
    }
}

impl WebAddress {
    /// Reads an address. The certificate must come from `authority` (PEM), or else from one that this machine trusts.
    /// With a token each request has `Authorization: Bearer <token>`.
    ///
    /// # Errors
    /// [`WebAddressError`].
    pub fn new(
        address: &str,
        authority: Option<&Path>,
        token: Option<&SecretText>,
    ) -> Result<Self, WebAddressError> {
        let place = Place::parse(address).ok_or(WebAddressError::Form)?;
        let tls = match place.name {
            Some(name) => Some((TlsConnector::from(client_config(authority)?), name)),
            None if authority.is_some() => return Err(WebAddressError::Authority),
            None => None,
        };
        let authorization = token.map(|token| {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            value
                .map(|mut value| {
                    value.set_sensitive(true);
                    value
                })
                .map_err(|_| WebAddressError::Token)
        });
        Ok(Self {
            port: place.port,
            host: place.host,
            tls,
            authorization: authorization.transpose()?,
            uri: place.uri,
        })
    }

    /// Posts JSON; well is any status from 200 to 299. Redirects are not followed.
    ///
    /// # Errors
    /// [`WebError`].
    pub async fn post(&self, json: Vec<u8>, patience: Duration) -> Result<(), WebError> {
        let posting = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port))
                .await
                .map_err(|_| WebError::Unreachable)?;
            match &self.tls {
                None => self.exchange(tcp, json).await,
                Some((connector, name)) => {
                    let stream = connector.connect(name.clone(), tcp).await;
                    let stream = stream.map_err(|error| tls_error(&error))?;
                    self.exchange(stream, json).await
                }
            }
        };
        tokio::time::timeout(patience, posting)
            .await
            .unwrap_or(Err(WebError::TimedOut))
    }

    async fn exchange<S>(&self, stream: S, json: Vec<u8>) -> Result<(), WebError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(|_| WebError::Protocol)?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |place| place.as_str());
        let mut request = Request::post(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json");
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        let request = request
            .body(Full::new(Bytes::from(json)))
            .map_err(|_| WebError::Protocol)?;
        let answered = async {
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|_| WebError::Protocol)?;
            let status = answer.status();
            if !status.is_success() {
                return Err(WebError::Status(status.as_u16()));
            }
            // Read to its end, so that the other side sees an orderly one.
            let read = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
            read.map(|_| ()).map_err(|_| WebError::Protocol)
        };
        let mut answered = pin!(answered);
        tokio::select! {
            ended = &mut answered => ended,
            // It may end with the answer; else the request hears that there will be none.
            _ = connection => answered.await,
        }
    }
}

/// What rustls found wrong is about trust; everything else is a connection that broke.
fn tls_error(error: &std::io::Error) -> WebError {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if inner.is_some() {
        WebError::Tls
    } else {
        WebError::Unreachable
    }
}

/// TLS 1.3 as others speak it: with the usual groups, the post-quantum one first, and no certificate of our own.
fn client_config(authority: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = if let Some(authority) = authority {
        roots(authority)?
    } else {
        let mut roots = RootCertStore::empty();
        // What cannot be read is not trusted; with nothing at all every connection is refused.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
