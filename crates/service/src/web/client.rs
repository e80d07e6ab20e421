//! Asking another system something by HTTP, and reading what it says.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Place, WebAddressError, WebError, client_config, tls_error};

/// The longest answer, in bytes.
const MOST_ANSWER: usize = 512 * 1024;

/// Asks over TLS 1.3, or without TLS this machine itself; each request has a connection of its own. Redirects are not
/// followed.
pub struct WebClient {
    tls: TlsConnector,
    patience: Duration,
}

impl std::fmt::Debug for WebClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebClient(…)")
    }
}

/// What another system said. `Debug` does not show it: there may be a token in it.
pub struct WebAnswer {
    /// Status, such as 200.
    pub status: u16,
    /// The body, at most 512 KiB.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for WebAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebAnswer({}, …)", self.status)
    }
}

impl WebClient {
    /// Certificates must come from `authority` (PEM), or else from one that this machine trusts. A request with its answer
    /// may take `patience`.
    ///
    /// # Errors
    /// [`WebAddressError::Tls`] if the authority cannot be read.
    pub fn new(authority: Option<&Path>, patience: Duration) -> Result<Self, WebAddressError> {
        let tls = TlsConnector::from(client_config(authority)?);
        Ok(Self { tls, patience })
    }

    /// Whether this client would go there: `https://…`, or `http://` with a loopback address.
    pub fn accepts(address: &str) -> bool {
        Place::parse(address).is_some()
    }

    /// Reads an address; `authorization` goes along as that header.
    ///
    /// # Errors
    /// [`WebError`], but never [`WebError::Status`]: the status is in the answer.
    pub async fn get(&self, address: &str, authorization: Option<&str>) -> Result<WebAnswer, WebError> {
        self.send(address, authorization, None).await
    }

    /// Posts the fields of a form, already encoded.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn post_form(
        &self,
        address: &str,
        authorization: Option<&str>,
        fields: String,
    ) -> Result<WebAnswer, WebError> {
        self.send(address, authorization, Some(fields)).await
    }

    async fn send(
        &self,
        address: &str,
        authorization: Option<&str>,
        form: Option<String>,
    ) -> Result<WebAnswer, WebError> {
        let place = Place::parse(address).ok_or(WebError::Address)?;
        let request = request(&place, authorization, form)?;
        let sending = async {
            let tcp = TcpStream::connect((place.host.as_str(), place.port))
                .await
                .map_err(|_| WebError::Unreachable)?;
            match place.name {
                None => exchange(tcp, request).await,
                Some(name) => {
                    let stream = self.tls.connect(name, tcp).await;
                    exchange(stream.map_err(|error| tls_error(&error))?, request).await
                }
            }
        };
        tokio::time::timeout(self.patience, sending)
            .await
            .unwrap_or(Err(WebError::TimedOut))
    }
}

fn request(
    place: &Place,
    authorization: Option<&str>,
    form: Option<String>,
) -> Result<Request<Full<Bytes>>, WebError> {
    let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = place.uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .uri(path)
        .header(HOST, host)
        .header(ACCEPT, "application/json");
    if let Some(text) = authorization {
        let mut value = HeaderValue::try_from(text).map_err(|_| WebError::Protocol)?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    if form.is_some() {
        request = request
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = Full::new(Bytes::from(form.unwrap_or_default()));
    request.body(body).map_err(|_| WebError::Protocol)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<WebAnswer, WebError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opened = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(|_| WebError::Protocol)?;
    let answered = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|_| WebError::Protocol)?;
        let status = answer.status().as_u16();
        let read = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
        let body = read.map_err(|_| WebError::Protocol)?.to_bytes().to_vec();
        Ok(WebAnswer { status, body })
    };
    let mut answered = pin!(answered);
    tokio::select! {
        ended = &mut answered => ended,
        // It may end with the answer; else the request hears that there will be none.
        _ = connection => answered.await,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    /// Reads one request up to `end`, and answers.
    fn answering(end: &'static str, answer: Vec<u8>) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut byte) = (Vec::new(), [0]);
            while !asked.ends_with(end.as_bytes()) && stream.read(&mut byte).unwrap_or(0) == 1 {
                asked.push(byte[0]);
            }
            // One who has read enough closes.
            let _ = stream.write_all(&answer);
            String::from_utf8(asked).unwrap()
        });
        (address, serving)
    }

    fn client(patience: u64) -> WebClient {
        WebClient::new(None, Duration::from_millis(patience)).unwrap()
    }

    #[tokio::test]
    async fn a_form_goes_out_and_the_answer_comes_back_with_its_status() {
        let answer = b"HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}".to_vec();
        let (address, serving) = answering("code=1", answer);
        let address = format!("http://{address}/token?x=1");
        let said = client(5000)
            .post_form(&address, Some("Basic geheim"), "code=1".into())
            .await
            .unwrap();
        assert_eq!((said.status, said.body.as_slice()), (400, b"{}".as_slice()));
        assert_eq!(format!("{said:?}"), "WebAnswer(400, …)");
        let asked = serving.join().unwrap();
        assert!(asked.starts_with("POST /token?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Basic geheim\r\n"), "{asked}");
        assert!(
            asked.contains("content-type: application/x-www-form-urlencoded\r\n"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_too_much_is_not_read() {
        let answer =
            b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n".to_vec();
        let (address, _serving) = answering("\r\n\r\n", answer);
        let said = client(5000)
            .get(&format!("http://{address}/"), None)
            .await
            .unwrap();
        assert_eq!(said.status, 302);
        let mut answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MOST_ANSWER + 1).into_bytes();
        answer.resize(answer.len() + MOST_ANSWER + 1, b' ');
        let (address, _serving) = answering("\r\n\r\n", answer);
        let said = client(5000).get(&format!("http://{address}/"), None).await;
        assert_eq!(said.unwrap_err(), WebError::Protocol);
    }

    #[tokio::test]
    async fn only_safe_addresses_and_only_so_long() {
        for address in [
            "http://localhost/",
            "http://192.0.2.1/",
            "ftp://example.org/",
            "https://a:b@example.org/",
            "",
        ] {
            assert!(!WebClient::accepts(address), "{address}");
            assert_eq!(
                client(10).get(address, None).await.unwrap_err(),
                WebError::Address,
                "{address}"
            );
        }
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", silent.local_addr().unwrap());
        assert_eq!(
            client(100).get(&address, None).await.unwrap_err(),
            WebError::TimedOut
        );
    }
}
