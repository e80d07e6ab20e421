//! A TLS connection on which the server has spoken.

use std::io::{self, Cursor};

use tokio::io::{AsyncReadExt as _, Chain, Join, ReadHalf, WriteHalf};
use tokio_rustls::client::TlsStream;

use crate::network::Stream;

/// Room for the server's first words: a SETTINGS frame with its usual neighbours.
const GREETING: usize = 256;

type Encrypted = TlsStream<Box<dyn Stream>>;

/// The connection with the first bytes of the server before what comes.
pub(super) type Opened = Join<Chain<Cursor<Vec<u8>>, ReadHalf<Encrypted>>, WriteHalf<Encrypted>>;

/// Waits for the first bytes of the server: by them one knows that it accepted us.
pub(super) async fn greeted(mut stream: Encrypted) -> io::Result<Opened> {
    let mut greeting = vec![0; GREETING];
    let count = stream.read(&mut greeting).await?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    greeting.truncate(count);
    let (read, write) = tokio::io::split(stream);
    Ok(tokio::io::join(Cursor::new(greeting).chain(read), write))
}
