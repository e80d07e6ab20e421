//! HTTP/2 by hand: frames that no library would send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_testkit::deployment::BROKER_NAME;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a connection or a write may take; a server that does not read makes a writer wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// Types of frames (RFC 9113 §6).
pub const DATA: u8 = 0;
/// Headers of a request.
pub const HEADERS: u8 = 1;
/// The end of a stream, at once.
pub const RST_STREAM: u8 = 3;
/// Settings of a connection.
pub const SETTINGS: u8 = 4;
/// A sign of life.
pub const PING: u8 = 6;
/// More bytes may come.
pub const WINDOW_UPDATE: u8 = 8;
/// More headers of the request before.
pub const CONTINUATION: u8 = 9;

const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
/// No more headers follow.
pub const END_HEADERS: u8 = 4;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header as it is, in no table (RFC 7541 §6.2.2). Neither may be longer than 126 bytes.
pub fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend(value.as_bytes());
    bytes
}

/// The headers of a call of a service's method.
pub fn call(path: &str) -> Vec<u8> {
    // POST and https, by their places in the static table (RFC 7541, appendix A).
    let mut bytes = vec![0x83, 0x87];
    for (name, value) in [
        (":path", path),
        (":authority", BROKER_NAME),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        bytes.extend(header(name, value));
    }
    bytes
}

/// A message as gRPC frames it.
pub fn message(bytes: &[u8]) -> Vec<u8> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    framed.extend(bytes);
    framed
}

/// What a frame is that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The connection is over.
    End,
    /// The server says that it will be, with this error (RFC 9113 §7).
    GoAway(u32),
    /// The server has ended a stream.
    Reset(u32),
    /// The server asks for a sign of life.
    Ping([u8; 8]),
    /// Another frame.
    Other(u8),
}

/// A connection with a partner's certificate.
pub struct Raw {
    stream: TlsStream<TcpStream>,
}

impl Raw {
    /// Shakes hands and says nothing.
    ///
    /// # Errors
    /// When the connection is refused or ends.
    pub async fn silent(address: SocketAddr, tls: Arc<ClientConfig>) -> std::io::Result<Self> {
        let name = ServerName::try_from(BROKER_NAME).unwrap();
        let connecting = async {
            let tcp = TcpStream::connect(address).await?;
            TlsConnector::from(tls).connect(name, tcp).await
        };
        let stream = timeout(PATIENCE, connecting).await??;
        Ok(Self { stream })
    }

    /// Shakes hands and begins HTTP/2 with these settings.
    ///
    /// # Errors
    /// As [`Raw::silent`].
    pub async fn open(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        settings: &[(u16, u32)],
    ) -> std::io::Result<Self> {
        let mut raw = Self::silent(address, tls).await?;
        let mut payload = Vec::new();
        for (setting, value) in settings {
            payload.extend(setting.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(SETTINGS, 0, 0, &payload));
        raw.write(&bytes).await?;
        Ok(raw)
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the connection has ended, or nothing is taken.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(PATIENCE, writing).await?
    }

    /// A request without its body.
    ///
    /// # Errors
    /// As [`Raw::write`].
    pub async fn begin(&mut self, stream: u32, path: &str) -> std::io::Result<()> {
        self.write(&frame(HEADERS, END_HEADERS, stream, &call(path)))
            .await
    }

    /// A whole request.
    ///
    /// # Errors
    /// As [`Raw::write`].
    pub async fn request(&mut self, stream: u32, path: &str, body: &[u8]) -> std::io::Result<()> {
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &call(path));
        bytes.extend(frame(DATA, END_STREAM, stream, &message(body)));
        self.write(&bytes).await
    }

    /// The next frame.
    pub async fn hear(&mut self) -> Heard {
        let mut head = [0; 9];
        if self.stream.read_exact(&mut head).await.is_err() {
            return Heard::End;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if self.stream.read_exact(&mut payload).await.is_err() {
            return Heard::End;
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            GOAWAY => Heard::GoAway(code(4)),
            RST_STREAM => Heard::Reset(code(0)),
            PING if head[4] & ACK == 0 => Heard::Ping(payload[..8].try_into().unwrap()),
            kind => Heard::Other(kind),
        }
    }

    /// Gives signs of life until the connection is over, and nothing else.
    pub async fn stay(mut self) {
        loop {
            match self.hear().await {
                Heard::End | Heard::GoAway(_) => return,
                Heard::Ping(payload) => {
                    let written = self.write(&frame(PING, ACK, 0, &payload)).await;
                    if written.is_err() {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// Reads until the connection is over, at most for so long; why it ended, if the server said so. `None` if it is
    /// still there.
    pub async fn ends_within(&mut self, most: Duration) -> Option<Heard> {
        let ending = async {
            loop {
                if let end @ (Heard::End | Heard::GoAway(_)) = self.hear().await {
                    return end;
                }
            }
        };
        timeout(most, ending).await.ok()
    }
}
