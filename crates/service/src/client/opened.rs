//! A TLS connection on which the server has spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::network::Stream;

/// Room for the server's first words: a SETTINGS frame with its usual neighbours.
const GREETING: usize = 256;

/// The connection with the first bytes of the server, which were read to know that it accepted us.
pub(super) struct Opened {
    stream: TlsStream<Box<dyn Stream>>,
    greeting: Vec<u8>,
    given: usize,
}

impl Opened {
    /// Waits for the first bytes of the server.
    pub(super) async fn greeted(mut stream: TlsStream<Box<dyn Stream>>) -> io::Result<Self> {
        let mut greeting = vec![0; GREETING];
        let count = stream.read(&mut greeting).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        greeting.truncate(count);
        Ok(Self {
            stream,
            greeting,
            given: 0,
        })
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.greeting.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        self.given += count;
        if self.given == self.greeting.len() {
            self.greeting = Vec::new();
            self.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Opened {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
