//! Connections: TLS with the organisation's certificate, or plain HTTP on loopback only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hitmachine_node::config::ConsoleSection;
use hitmachine_service::pages::{PageLimits, serve_pages};
use hitmachine_service::tls::{TlsError, pages_config};
use tokio::net::TcpListener;

use crate::oidc::OidcConfigError;

/// Connections at the same time. When there are more, whoever has the most makes room.
const MOST_CONNECTIONS: usize = 256;
/// After which a connection is closed, whatever it does; a page or an upload is done by then.
const LONGEST: Duration = Duration::from_mins(10);

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
    let limits = PageLimits {
        connections: MOST_CONNECTIONS,
        longest: LONGEST,
    };
    serve_pages(listener, tls, router, limits, std::future::pending()).await
}
