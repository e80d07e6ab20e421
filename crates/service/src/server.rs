//! A gRPC server behind TLS that knows its peers.
//!
//! tonic serves the requests; this module accepts the connections, because tonic's own listener shakes hands one at
//! a time and decides about TLS itself. Handlers find the certificate of the peer in
//! `tonic::Request::peer_certs()`; it has been checked against the authority.
//!
//! What nobody may take all of: connections whose peer is not known yet (the oldest of whoever has most makes room, see
//! [`crate::places`]), connections and requests of one peer.

mod connection;
mod known;
mod peers;
mod write_through;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use self::connection::Connection;
use self::known::{Bounds, Known};
use self::peers::Peers;
pub use self::peers::UnderWay;
use crate::network::{Listen, Stream};
use crate::places::{Place, Places, affordable};

/// Pause after the operating system refused a new connection, mostly because files ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections have at most one of so many files that the process may have open.
const PART_OF_FILES: usize = 2;
/// What connections that are cut off get to notice it.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Bounds on what peers may take; the `[limits]` section of a process configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Connections at the same time, those that still shake hands included. More wait in the listen queue.
    pub max_connections: usize,
    /// Of these, connections that have not shown a certificate yet. When there are more, the oldest of the address that
    /// has the most is closed.
    pub max_handshakes: usize,
    /// Connections of one organisation.
    pub max_connections_per_peer: usize,
    /// Requests of one organisation at the same time, over all its connections, until their answers have been taken.
    pub max_requests_per_peer: usize,
    /// Requests at the same time on one connection.
    pub max_streams_per_connection: u32,
    /// Time for the TLS handshake.
    pub handshake_timeout_seconds: u64,
    /// Time until a handler must have begun its answer. Streams that answer while they read are not cut off by it; a
    /// call that only answers after its last message is.
    pub request_timeout_seconds: u64,
    /// A connection without traffic is asked for a sign of life after this time.
    pub keep_alive_interval_seconds: u64,
    /// A peer that gives no sign of life within this time is gone. On a slow line its sign waits behind what it sent
    /// before, at most `stream_window_bytes` for each of its streams.
    pub keep_alive_timeout_seconds: u64,
    /// Unread bytes that a peer may have under way in one stream; a batch of 1,024 registrations takes some 50 kB.
    pub stream_window_bytes: u32,
    /// The same for all streams of a connection together.
    pub connection_window_bytes: u32,
    /// Time that requests under way get to finish when the process is asked to stop.
    pub shutdown_grace_seconds: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_handshakes: 256,
            max_connections_per_peer: 64,
            max_requests_per_peer: 512,
            max_streams_per_connection: 256,
            handshake_timeout_seconds: 10,
            request_timeout_seconds: 30,
            keep_alive_interval_seconds: 5,
            keep_alive_timeout_seconds: 10,
            stream_window_bytes: 256 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            shutdown_grace_seconds: 10,
        }
    }
}

/// What a server counts. Clone it to keep a handle.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics {
    connections: Gauge,
    handshakes: Counter,
    failures: Family<FailureLabel, Counter>,
    requests_refused: Counter,
}

impl ServerMetrics {
    /// Adds the metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tls_connections", "Open connections", self.connections.clone());
        registry.register(
            "tls_handshakes",
            "TLS handshakes that succeeded",
            self.handshakes.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, by reason",
            self.failures.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests refused because their organisation had too many under way",
            self.requests_refused.clone(),
        );
    }

    /// Connections open now.
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// Handshakes that failed for `reason` since the start.
    pub fn failures(&self, reason: HandshakeFailure) -> u64 {
        self.failures.get_or_create(&FailureLabel { reason }).get()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabel {
    reason: HandshakeFailure,
}

/// Why a handshake failed, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// The peer showed no certificate.
    NoCertificate,
    /// The peer's certificate is expired.
    CertificateExpired,
    /// The peer's certificate is refused for another reason, mostly another authority.
    CertificateRefused,
    /// The peer refused our certificate.
    OursRefused,
    /// No common TLS version, cipher suite or key exchange group.
    Incompatible,
    /// Not done in time.
    Timeout,
    /// Not done yet when others needed the place.
    MadeRoom,
    /// Its organisation has as many connections as it may.
    TooMany,
    /// The peer went away, or does not speak TLS.
    Other,
}

impl HandshakeFailure {
    fn of(error: &std::io::Error) -> Self {
        use rustls::{CertificateError, Error};

        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::NoCertificatesPresented) => Self::NoCertificate,
            Some(Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => Self::CertificateExpired,
            Some(Error::InvalidCertificate(_)) => Self::CertificateRefused,
            Some(Error::AlertReceived(alert)) if crate::client::is_about_a_certificate(*alert) => {
                Self::OursRefused
            }
            Some(Error::PeerIncompatible(_) | Error::AlertReceived(_)) => Self::Incompatible,
            _ => Self::Other,
        }
    }

    /// Whether somebody who means to be a partner has a problem, rather than a port scan or a lost connection.
    fn is_worth_a_warning(self) -> bool {
        !matches!(self, Self::Timeout | Self::MadeRoom | Self::Other)
    }
}

/// Why a server ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// tonic gave up.
    #[error("gRPC server failed")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves `routes` on `listener` to peers with a certificate until `shutdown` resolves.
///
/// Then the port closes, requests under way get `limits.shutdown_grace_seconds`, and what is left is cut off.
///
/// # Errors
/// [`ServeError`] if tonic fails. A connection that fails is logged and counted in `metrics`, no error here.
pub async fn serve<L: Listen>(
    listener: L,
    tls: Arc<ServerConfig>,
    routes: Routes,
    limits: &ServerLimits,
    metrics: &ServerMetrics,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let seconds = Duration::from_secs;
    let most_connections = affordable(limits.max_connections, PART_OF_FILES);
    let (closing, when_closing) = watch::channel(false);
    let (accepted, incoming) = mpsc::channel(1);
    let accepting = tokio::spawn(
        Acceptor {
            listener,
            tls: TlsAcceptor::from(tls),
            slots: Arc::new(Semaphore::new(most_connections.min(Semaphore::MAX_PERMITS))),
            // Never all of them, or nobody with a certificate would get in.
            handshakes: Places::new(limits.max_handshakes.min(most_connections.div_ceil(2))),
            peers: Arc::new(Peers::new(
                limits.max_connections_per_peer,
                limits.max_requests_per_peer,
            )),
            patience: seconds(limits.handshake_timeout_seconds),
            metrics: metrics.clone(),
            closing: when_closing,
            accepted,
        }
        .run(),
    );
    let (stopping, stopped) = oneshot::channel();
    let signal = async move {
        shutdown.await;
        let _ = stopping.send(()); // nobody listens only if serving is over already
    };
    let mut serving = pin!(
        tonic::transport::Server::builder()
            .timeout(seconds(limits.request_timeout_seconds))
            .max_concurrent_streams(limits.max_streams_per_connection)
            .initial_stream_window_size(limits.stream_window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes)
            .http2_keepalive_interval(Some(seconds(limits.keep_alive_interval_seconds)))
            .http2_keepalive_timeout(Some(seconds(limits.keep_alive_timeout_seconds)))
            .layer(Bounds {
                refused: metrics.requests_refused.clone(),
            })
            .add_routes(routes)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), signal)
    );
    let grace_is_over = async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await; // never asked to stop: `serving` ends by itself
        }
        sleep(seconds(limits.shutdown_grace_seconds)).await;
    };
    let result = tokio::select! {
        result = &mut serving => result,
        () = grace_is_over => {
            tracing::warn!(connections = metrics.connections(), "requests still under way are cut off");
            closing.send_replace(true);
            timeout(CUT_OFF, &mut serving).await.unwrap_or(Ok(()))
        }
    };
    accepting.abort();
    result.map_err(ServeError::Transport)
}

/// Accepts connections and shakes hands, many at a time.
struct Acceptor<L: Listen> {
    listener: L,
    tls: TlsAcceptor,
    slots: Arc<Semaphore>,
    handshakes: Places,
    peers: Arc<Peers>,
    patience: Duration,
    metrics: ServerMetrics,
    closing: watch::Receiver<bool>,
    /// Where connections go; closed when tonic no longer takes any.
    accepted: mpsc::Sender<std::io::Result<Known<L::Stream>>>,
}

impl<L: Listen> Acceptor<L> {
    async fn run(self) {
        let mut handshakes = JoinSet::new(); // dropping it ends those that are not done
        loop {
            let next = tokio::select! {
                () = self.accepted.closed() => return,
                next = self.next() => next,
            };
            while handshakes.try_join_next().is_some() {}
            match next {
                Ok((stream, peer, slot)) => {
                    let (closing, open) = (self.closing.clone(), self.metrics.connections.clone());
                    let connection = Connection::new(stream, peer, slot, closing, open);
                    let handshake = Handshake {
                        tls: self.tls.clone(),
                        peers: Arc::clone(&self.peers),
                        place: self.handshakes.take(peer.ip()),
                        peer,
                        patience: self.patience,
                        metrics: self.metrics.clone(),
                        accepted: self.accepted.clone(),
                    };
                    handshakes.spawn(handshake.run(connection));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn next(&self) -> std::io::Result<(L::Stream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let (stream, peer) = self.listener.accept().await?;
        Ok((stream, peer, slot))
    }
}

/// One connection until its peer is known.
struct Handshake<S> {
    tls: TlsAcceptor,
    peers: Arc<Peers>,
    place: Place,
    peer: SocketAddr,
    patience: Duration,
    metrics: ServerMetrics,
    accepted: mpsc::Sender<std::io::Result<Known<S>>>,
}

impl<S: Stream> Handshake<S> {
    async fn run(mut self, connection: Connection<S>) {
        let shaking = timeout(self.patience, self.tls.accept(connection));
        let shaken = tokio::select! {
            shaken = shaking => shaken,
            () = self.place.lost() => return self.failed(HandshakeFailure::MadeRoom, None),
        };
        match shaken {
            Ok(Ok(stream)) => {
                let Some(admitted) = self.peers.admit(stream.get_ref().1.peer_certificates()) else {
                    return self.failed(HandshakeFailure::TooMany, None);
                };
                self.metrics.handshakes.inc();
                let known = Known::new(stream, admitted, self.patience);
                let _ = self.accepted.send(Ok(known)).await; // nobody takes it only during a shutdown
            }
            Ok(Err(error)) => self.failed(HandshakeFailure::of(&error), Some(error.kind())),
            Err(_) => self.failed(HandshakeFailure::Timeout, None),
        }
    }

    fn failed(&self, reason: HandshakeFailure, kind: Option<std::io::ErrorKind>) {
        self.metrics
            .failures
            .get_or_create(&FailureLabel { reason })
            .inc();
        // The address is that of an organisation's gateway. rustls' text may hold names out of the certificate, so the
        // log has the class of the failure and, for developers only, the kind of input or output error.
        let peer = self.peer.ip();
        if reason.is_worth_a_warning() {
            tracing::warn!(%peer, ?reason, "TLS handshake failed");
        } else {
            tracing::debug!(%peer, ?reason, ?kind, "TLS handshake failed");
        }
    }
}
