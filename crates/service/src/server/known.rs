//! A connection whose peer has shown its certificate, and what it may ask for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::{Request, Response};
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::{Connected, TcpConnectInfo, TlsConnectInfo};
use tower::{Layer, Service};

use super::connection::Connection;
use super::peers::{Admitted, UnderWay};
use super::write_through::write_through;
use crate::network::Stream;

/// Length of what every HTTP/2 client says first (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// A connection that is counted as its peer's.
pub(super) struct Known<S> {
    stream: TlsStream<Connection<S>>,
    /// How much of the client's first words is missing, and until when they are waited for: keep-alive begins after
    /// them.
    missing: usize,
    patience: Pin<Box<Sleep>>,
    admitted: Admitted,
}

impl<S> Known<S> {
    pub(super) fn new(stream: TlsStream<Connection<S>>, admitted: Admitted, patience: Duration) -> Self {
        Self {
            stream,
            missing: PREFACE,
            patience: Box::pin(sleep(patience)),
            admitted,
        }
    }
}

/// Who is on the other side, with every request.
#[derive(Clone)]
pub(super) struct KnownInfo {
    tls: TlsConnectInfo<TcpConnectInfo>,
    requests: Arc<Semaphore>,
}

impl<S> Connected for Known<S> {
    type ConnectInfo = KnownInfo;

    fn connect_info(&self) -> KnownInfo {
        KnownInfo {
            tls: self.stream.connect_info(),
            requests: Arc::clone(self.admitted.requests()),
        }
    }
}

impl<S: Stream> AsyncRead for Known<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.missing > 0 {
            self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
            if read.is_pending() && self.patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

write_through!(Known);

/// Lets through as many requests of a peer at the same time as it may have; the others hear at once that it is busy.
///
/// A request is under way until its answer has been taken whole: a peer that does not read keeps its own places.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) refused: Counter,
}

impl<S> Layer<S> for Bounds {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded {
            inner,
            refused: self.refused.clone(),
        }
    }
}

/// What [`Bounds`] makes.
#[derive(Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    refused: Counter,
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Held>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let begun = request.extensions_mut().remove::<KnownInfo>().and_then(|info| {
            let under_way = UnderWay::begin(&info.requests)?;
            // Where `Request::peer_certs()` looks.
            request.extensions_mut().insert(info.tls);
            Some(under_way)
        });
        let Some(under_way) = begun else {
            self.refused.inc();
            let busy = Status::resource_exhausted(
                "busy: too many requests of this organisation at this moment; try again",
            );
            return Box::pin(async move { Ok(busy.into_http()) });
        };
        request.extensions_mut().insert(under_way.clone());
        let answering = self.inner.call(request);
        Box::pin(async move {
            let answer = answering.await?;
            Ok(answer.map(|body| Held {
                body,
                _under_way: Some(under_way),
            }))
        })
    }
}

/// The body of an answer; while it is there, its request is under way.
#[derive(Default)]
pub(super) struct Held {
    body: Body,
    _under_way: Option<UnderWay>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
