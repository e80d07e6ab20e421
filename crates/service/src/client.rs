//! The way to another process: a gRPC channel over our own TLS, and errors that say what to do.
//!
//! A connection counts as open when the server's first bytes have come, not when the TLS handshake of the client is
//! done: with TLS 1.3 the client finishes before the server has looked at its certificate, and a refusal would
//! otherwise surface later as a connection that merely broke (RFC 8446 §4.4.2.4, appendix E.1.2). An HTTP/2 server
//! speaks first without being asked (its SETTINGS, RFC 9113 §3.4), so nothing is sent for this.

mod error;
mod opened;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::crypto::SupportedKxGroup;
use rustls::{ClientConfig, NamedGroup};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

pub(crate) use self::error::is_about_a_certificate;
pub use self::error::{ConnectError, classify};
use self::opened::{Opened, greeted};
use crate::network::{Dial, Tcp};
use crate::tls::certificate::validity;

/// Time for the TCP connection.
const TCP_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for the TLS handshake and the server's first bytes.
const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of signs of life and patience for them. Without them a channel stays on a dead connection after a
/// network break and answers nothing any more, even when the network is back. Together they are less than the time
/// that a question has, so that it can be sent again on another connection. A sign of life waits behind what was sent
/// before it: with less patience, or more under way, a slow line would be taken for a dead one. These two let one
/// stream be alive on a line of half a megabit a second.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const KEEP_ALIVE_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes under way per stream and per connection; the mirror of [`crate::server::ServerLimits`].
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Opens a channel to `endpoint` (`host:port`) whose certificate must be for `server_name`. The channel connects
/// again by itself after a break.
///
/// # Errors
/// [`ConnectError`], by kind of remedy.
pub async fn connect(
    endpoint: &str,
    server_name: &str,
    tls: Arc<ClientConfig>,
) -> Result<Channel, ConnectError> {
    let target = Target::new(endpoint, server_name, tls)?;
    let connector = tower::service_fn(move |_: Uri| target.clone().open());
    settings(server_name)?
        .connect_with_connector(connector)
        .await
        .map_err(|error| classify(&error).unwrap_or(ConnectError::Protocol))
}

/// Until when the certificate is valid that the other side of a channel showed last. Clones share what they know.
#[derive(Clone, Debug, Default)]
pub struct ShownCertificate(Arc<Mutex<Option<Timestamp>>>);

impl ShownCertificate {
    /// The end of its validity; `None` before the first connection.
    pub fn not_after(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, leaf: Option<&CertificateDer<'_>>) {
        let validity = leaf.and_then(|leaf| validity(leaf).ok());
        if let Some((_, end)) = validity {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        }
    }
}

/// [`connect`] that returns at once and connects at the first call; the error of a call then goes through
/// [`classify`].
///
/// # Errors
/// [`ConnectError::Endpoint`] and [`ConnectError::ServerName`].
pub fn connect_lazy(
    endpoint: &str,
    server_name: &str,
    tls: Arc<ClientConfig>,
) -> Result<Channel, ConnectError> {
    let (shown, network) = (ShownCertificate::default(), Arc::new(Tcp));
    connect_lazy_seeing(endpoint, server_name, tls, shown, network)
}

/// [`connect_lazy`] over a network of one's own, which remembers in `shown` until when the other side's certificate is
/// valid.
///
/// # Errors
/// [`ConnectError::Endpoint`] and [`ConnectError::ServerName`].
pub fn connect_lazy_seeing(
    endpoint: &str,
    server_name: &str,
    tls: Arc<ClientConfig>,
    shown: ShownCertificate,
    network: Arc<dyn Dial>,
) -> Result<Channel, ConnectError> {
    let target = Target {
        shown,
        network,
        ..Target::new(endpoint, server_name, tls)?
    };
    let connector = tower::service_fn(move |_: Uri| target.clone().open());
    Ok(settings(server_name)?.connect_with_connector_lazy(connector))
}

/// The settings of the channel. Its address is only a label: tonic wants `http` for a connector that does TLS
/// itself, and `https` as the origin that requests show.
fn settings(server_name: &str) -> Result<Endpoint, ConnectError> {
    let host = if server_name.contains(':') {
        format!("[{server_name}]")
    } else {
        server_name.to_owned()
    };
    let origin: Uri = format!("https://{host}")
        .parse()
        .map_err(|_| ConnectError::ServerName)?;
    Ok(Endpoint::from_static("http://connector.invalid")
        .origin(origin)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_PATIENCE)
        .keep_alive_while_idle(true))
}

/// Where a channel leads.
#[derive(Clone)]
struct Target {
    address: Arc<str>,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    shown: ShownCertificate,
    network: Arc<dyn Dial>,
}

impl Target {
    fn new(endpoint: &str, server_name: &str, tls: Arc<ClientConfig>) -> Result<Self, ConnectError> {
        let (host, port) = endpoint.rsplit_once(':').ok_or(ConnectError::Endpoint)?;
        let ipv6_unbracketed = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        if host.is_empty() || ipv6_unbracketed || port.parse::<u16>().is_err() {
            return Err(ConnectError::Endpoint);
        }
        let server_name =
            ServerName::try_from(server_name.to_owned()).map_err(|_| ConnectError::ServerName)?;
        Ok(Self {
            address: Arc::from(endpoint),
            server_name,
            tls: TlsConnector::from(tls),
            shown: ShownCertificate::default(),
            network: Arc::new(Tcp),
        })
    }

    async fn open(self) -> Result<TokioIo<Opened>, ConnectError> {
        let unreachable = |kind| ConnectError::Unreachable { kind };
        let timed_out = |_| unreachable(std::io::ErrorKind::TimedOut);
        let io = |error: std::io::Error| classify(&error).unwrap_or(unreachable(error.kind()));
        let dialled = timeout(TCP_TIMEOUT, self.network.dial(&self.address)).await;
        let plain = dialled.map_err(timed_out)?.map_err(io)?;
        let greeting = async {
            let stream = self.tls.connect(self.server_name, plain).await.map_err(io)?;
            let session = stream.get_ref().1;
            self.shown.saw(session.peer_certificates().and_then(<[_]>::first));
            let group = session
                .negotiated_key_exchange_group()
                .map(SupportedKxGroup::name);
            if group != Some(NamedGroup::X25519MLKEM768) {
                return Err(ConnectError::KeyExchange);
            }
            greeted(stream).await.map_err(io)
        };
        let opened = timeout(TLS_TIMEOUT, greeting).await.map_err(timed_out)??;
        Ok(TokioIo::new(opened))
    }
}
