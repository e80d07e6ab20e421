//! Serving HTTP/1.1 to whoever comes, with or without TLS: pages, metrics, published files. Bounded in connections,
//! heads and time, so that strangers who open connections and say little, slowly or without end shut nobody out.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::places::{Place, Places, affordable};

/// For the handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the operating system refused a connection, mostly because files ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What requests under way get to finish when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);
/// Headers of a request.
const MOST_HEADERS: usize = 64;
/// Connections have at most one of so many files that the process may have open.
const PART_OF_FILES: usize = 8;
/// What is read ahead of a connection; a head of a request must fit.
const MOST_READ: usize = 64 * 1024;

/// Bounds on what those who come may take.
#[derive(Clone, Copy, Debug)]
pub struct PageLimits {
    /// Connections at the same time; when there are more, see [`crate::places`].
    pub connections: usize,
    /// After which a connection is closed, whatever it does.
    pub longest: Duration,
}

impl Default for PageLimits {
    /// For small files that are read and gone.
    fn default() -> Self {
        Self {
            connections: 128,
            longest: Duration::from_mins(1),
        }
    }
}

/// Serves `router` until `shutdown` resolves; requests under way may then finish.
///
/// # Errors
/// Never at present; a connection that fails is that peer's business.
pub async fn serve_pages(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    limits: PageLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let places = Places::new(affordable(limits.connections, PART_OF_FILES));
    let tls = tls.map(TlsAcceptor::from);
    let (closing, when_closing) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let visit = Visit {
            place: places.take(peer.ip()),
            peer: peer.ip(),
            tls: tls.clone(),
            router: router.clone(),
            closing: when_closing.clone(),
        };
        tokio::spawn(visit.run(tcp, limits.longest));
    }
    drop((listener, when_closing));
    closing.send_replace(true);
    // What is not done by then is cut off with the process.
    let _ = timeout(GRACE, closing.closed()).await;
    Ok(())
}

/// One connection.
struct Visit {
    place: Place,
    peer: IpAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    closing: watch::Receiver<bool>,
}

impl Visit {
    async fn run(self, tcp: TcpStream, longest: Duration) {
        let Self {
            mut place,
            peer,
            tls,
            router,
            closing,
        } = self;
        let served = async {
            match tls {
                None => http(tcp, router, closing).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(tcp)).await {
                        http(stream, router, closing).await;
                    }
                }
            }
        };
        tokio::select! {
            // A connection that breaks, or lasts too long, is the other side's business.
            _ = timeout(longest, served) => {}
            () = place.lost() => tracing::debug!(%peer, "a connection made room for others"),
        }
    }
}

async fn http<S>(stream: S, router: Router, mut closing: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_headers(MOST_HEADERS)
            .max_buf_size(MOST_READ)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
    );
    let asked_to_stop = async {
        // An error says that the server is gone, which is a reason to stop as well.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = asked_to_stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
