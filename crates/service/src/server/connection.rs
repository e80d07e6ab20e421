//! A TCP connection that holds its place among the connections allowed and can be cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::transport::server::{Connected, TcpConnectInfo};

pub(super) struct Connection {
    tcp: TcpStream,
    /// Resolves when the server cuts off what is left. tonic's tasks cannot be ended from outside otherwise.
    cut_off: Pin<Box<dyn Future<Output = ()> + Send>>,
    open: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(
        tcp: TcpStream,
        slot: OwnedSemaphorePermit,
        mut closing: watch::Receiver<bool>,
        open: Gauge,
    ) -> Self {
        // Small answers should not wait for more bytes to come; without the option they still arrive.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(kind = ?error.kind(), "TCP_NODELAY refused");
        }
        open.inc();
        let cut_off = Box::pin(async move {
            // An error says that the server is gone, which is a reason to stop as well.
            let _ = closing.wait_for(|closing| *closing).await;
        });
        Self {
            tcp,
            cut_off,
            open,
            _slot: slot,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// So that `Request::peer_certs()` finds what it looks for, the information of a plain TCP connection.
impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.tcp.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut_off.as_mut().poll(cx).is_ready() {
            // A future may not be polled after its end.
            self.cut_off = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
