//! A connection that holds its place among the connections allowed and can be cut off.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::write_through::write_through;
use crate::network::Stream;

pub(super) struct Connection<S> {
    stream: S,
    peer: SocketAddr,
    /// Resolves when the server cuts off what is left. tonic's tasks cannot be ended from outside otherwise.
    cut_off: Pin<Box<dyn Future<Output = ()> + Send>>,
    open: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl<S> Connection<S> {
    pub(super) fn new(
        stream: S,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
        mut closing: watch::Receiver<bool>,
        open: Gauge,
    ) -> Self {
        open.inc();
        let cut_off = Box::pin(async move {
            // An error says that the server is gone, which is a reason to stop as well.
            let _ = closing.wait_for(|closing| *closing).await;
        });
        Self {
            stream,
            peer,
            cut_off,
            open,
            _slot: slot,
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// So that `Request::peer_certs()` finds what it looks for, the information of a plain TCP connection.
impl<S> Connected for Connection<S> {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(self.peer),
        }
    }
}

impl<S: Stream> AsyncRead for Connection<S> {
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
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

write_through!(Connection);
