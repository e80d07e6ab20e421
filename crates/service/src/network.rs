//! Where connections come from: TCP, or a network that a simulation makes.
//!
//! What stands above it (TLS, HTTP/2, deadlines, signs of life) is the same for both, so that a simulation tries what
//! runs in production.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A connection: bytes in both directions, in order.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// A connection that is being made.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections.
pub trait Dial: Send + Sync + 'static {
    /// Connects to an address of the form `host:port`. Whoever calls bounds it in time.
    fn dial<'a>(&'a self, address: &'a str) -> Dialling<'a>;
}

/// Takes connections.
pub trait Listen: Send + Sync + 'static {
    /// What it takes.
    type Stream: Stream;

    /// The next connection, and whose it is.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where it listens.
    ///
    /// # Errors
    /// The network's.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// Opens addresses to listen on.
pub trait Bind: Send + Sync + 'static {
    /// What it opens.
    type Listener: Listen;

    /// Listens on an address, which must be one's own.
    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;
}

/// The operating system's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Dial for Tcp {
    fn dial<'a>(&'a self, address: &'a str) -> Dialling<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

impl Bind for Tcp {
    type Listener = TcpListener;

    fn bind(&self, address: SocketAddr) -> impl Future<Output = io::Result<TcpListener>> + Send {
        TcpListener::bind(address)
    }
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // Small answers should not wait for more bytes to come; without the option they still arrive.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(kind = ?error.kind(), "TCP_NODELAY refused");
        }
        Ok((stream, peer))
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
