//! Prometheus metrics on an address of their own, apart from the service that partners reach.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::pages::{PageLimits, serve_pages};

/// Media type of the `OpenMetrics` text format 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The `[metrics]` section of a process configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Address and port, for example `127.0.0.1:9464`.
    pub listen: SocketAddr,
    /// The page has no access control, so other addresses than loopback are refused unless this is set.
    #[serde(default)]
    pub allow_non_loopback: bool,
}

/// Why metrics are not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The address can be reached from other machines and the configuration does not say that this is meant.
    #[error("metrics address {0} is not a loopback address; set allow_non_loopback if that is meant")]
    NotLoopback(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen for metrics on {address}")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The server stopped.
    #[error("metrics server stopped")]
    Serve(#[source] io::Error),
}

/// Opens the metrics port, so that a wrong address stops the start and not the night.
///
/// # Errors
/// [`MetricsError::NotLoopback`] and [`MetricsError::Listen`].
pub async fn bind_metrics(config: &MetricsConfig) -> Result<TcpListener, MetricsError> {
    let address = config.listen;
    if !address.ip().is_loopback() && !config.allow_non_loopback {
        return Err(MetricsError::NotLoopback(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| MetricsError::Listen { address, source })
}

/// Serves `registry` as `OpenMetrics` text at `/metrics` until `shutdown` resolves.
///
/// # Errors
/// [`MetricsError::Serve`] if the listener fails.
pub async fn serve_metrics(
    listener: TcpListener,
    registry: Arc<Registry>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), MetricsError> {
    let router = Router::new().route("/metrics", get(page)).with_state(registry);
    serve_pages(listener, None, router, PageLimits::default(), shutdown)
        .await
        .map_err(MetricsError::Serve)
}

async fn page(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_page_shows_the_registry_and_ends_on_shutdown() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        registry.register("questions", "Questions answered", counter.clone());
        counter.inc_by(3);
        let config = MetricsConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            allow_non_loopback: false,
        };
        let listener = bind_metrics(&config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trigger, shutdown) = crate::shutdown::channel();
        let serving = tokio::spawn(serve_metrics(listener, Arc::new(registry), shutdown.wait()));

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(OPEN_METRICS), "{answer}");
        assert!(answer.contains("questions_total 3"), "{answer}");
        trigger.fire();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn only_loopback_unless_the_configuration_says_so() {
        let mut config = MetricsConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            allow_non_loopback: false,
        };
        assert!(matches!(
            bind_metrics(&config).await,
            Err(MetricsError::NotLoopback(_))
        ));
        config.allow_non_loopback = true;
        assert!(bind_metrics(&config).await.is_ok());
    }
}
