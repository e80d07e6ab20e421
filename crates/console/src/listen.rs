//! Connections: TLS with the organisation's certificate, or plain HTTP on loopback only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hitmachine_node::config::ConsoleSection;
use hitmachine_service::tls::{TlsError, pages_config};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::oidc::OidcConfigError;

/// Connections at the same time; more wait.
const MOST_CONNECTIONS: usize = 256;
/// For the handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After which a connection is closed, whatever it does; a page or an upload is done by then.
const LONGEST: Duration = Duration::from_mins(10);
/// After the operating system refused a connection, mostly because files ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a console does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsoleError {
    /// The address is taken, or not this machine's.
    #[error("the console cannot listen at its address")]
    Listen(#[source] std::io::Error),
    /// Plain HTTP beyond this machine.
    #[error("console.listen is no loopback address: [console.tls] is needed there")]
    NeedsTls(SocketAddr),
    /// What was asked before cannot be read.
    #[error("the console's part of the node's state cannot be used")]
    State(#[from] hitmachine_node::state::StateError),
    /// Certificate or key cannot be used.
    #[error("the console's certificate cannot be used")]
    Tls(#[from] TlsError),
    /// The identity provider is not set up well.
    #[error("sign-in through the identity provider cannot be set up")]
    Oidc(#[from] OidcConfigError),
}

pub(crate) async fn bind(
    settings: &ConsoleSection,
) -> Result<(TcpListener, Option<Arc<rustls::ServerConfig>>), ConsoleError> {
    let tls = match &settings.tls {
        Some(files) => Some(pages_config(files)?),
        None if settings.listen.ip().is_loopback() => None,
        None => return Err(ConsoleError::NeedsTls(settings.listen)),
    };
    let listener = TcpListener::bind(settings.listen).await;
    Ok((listener.map_err(ConsoleError::Listen)?, tls))
}

pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
) -> std::io::Result<()> {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let tls = tls.map(TlsAcceptor::from);
    loop {
        let slot = Arc::clone(&slots)
            .acquire_owned()
            .await
            .map_err(std::io::Error::other)?;
        let (tcp, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection to the console not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            let _slot = slot;
            // A connection that breaks is the browser's business.
            let _ = timeout(LONGEST, connection(tcp, tls, router)).await;
        });
    }
}

async fn connection(tcp: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    match tls {
        None => http(tcp, router).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(tcp)).await {
                http(stream, router).await;
            }
        }
    }
}

async fn http<S>(stream: S, router: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection to the console ended");
    }
}
