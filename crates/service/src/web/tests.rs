use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers one request with `answer`; what was asked.
fn answering(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        converse(&mut stream, answer)
    });
    (address, serving)
}

fn converse(stream: &mut (impl Read + Write), answer: &str) -> String {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"}") && stream.read(&mut byte).unwrap_or(0) == 1 {
        asked.push(byte[0]);
    }
    stream.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(asked).unwrap()
}

const WELL: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn json_is_posted_with_the_token_and_the_status_is_what_counts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "geheim-123\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).unwrap();
    let token = SecretText::read(&path).unwrap();
    assert_eq!(format!("{token:?}"), "SecretText(REDACTED)");

    let (address, serving) = answering(WELL);
    let web = WebAddress::new(&format!("http://{address}/hook?x=1"), None, Some(&token)).unwrap();
    assert_eq!(format!("{web:?}"), "WebAddress(…)");
    web.post(b"{\"n\":1}".to_vec(), PATIENCE).await.unwrap();
    let asked = serving.join().unwrap();
    assert!(asked.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer geheim-123\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/json\r\n") && asked.ends_with("{\"n\":1}"));

    for (answer, error) in [
        (
            "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
            WebError::Status(503),
        ),
        // Followed, it could lead anywhere.
        (
            "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n",
            WebError::Status(302),
        ),
        ("nothing like it\r\n\r\n", WebError::Protocol),
        ("", WebError::Protocol),
    ] {
        let (address, serving) = answering(answer);
        let web = WebAddress::new(&format!("http://{address}/"), None, None).unwrap();
        assert_eq!(web.post(b"{}".to_vec(), PATIENCE).await, Err(error), "{answer}");
        let _ = serving.join();
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_who_answers() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let web = WebAddress::new(&format!("http://{gone}/"), None, None).unwrap();
    assert_eq!(
        web.post(b"{}".to_vec(), PATIENCE).await,
        Err(WebError::Unreachable)
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = WebAddress::new(&format!("http://{}/", silent.local_addr().unwrap()), None, None).unwrap();
    let soon = Duration::from_millis(100);
    assert_eq!(web.post(b"{}".to_vec(), soon).await, Err(WebError::TimedOut));
}

#[test]
fn only_safe_addresses_are_accepted() {
    for address in [
        "http://localhost/hook",
        "http://192.0.2.1/hook",
        "http://example.org/hook",
        "ftp://example.org/",
        "https://user:word@example.org/",
        "example.org",
        "",
    ] {
        let refused = WebAddress::new(address, None, None).unwrap_err();
        assert!(matches!(refused, WebAddressError::Form), "{address}: {refused}");
    }
    for address in ["http://127.0.0.1:9/x", "http://[::1]:9/", "https://example.org"] {
        WebAddress::new(address, None, None).unwrap();
    }
    let authority = Some(Path::new("/nowhere.pem"));
    assert!(matches!(
        WebAddress::new("http://127.0.0.1/", authority, None),
        Err(WebAddressError::Authority)
    ));
    assert!(matches!(
        WebAddress::new("https://example.org/", authority, None),
        Err(WebAddressError::Tls(_))
    ));
}

#[tokio::test]
async fn a_certificate_must_come_from_the_authority() {
    let dir = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        (Issuer::new(params, key), path)
    };
    let ((issuer, ours), (_, other)) = (authority("ours.pem"), authority("other.pem"));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = params.signed_by(&key, &issuer).unwrap().into();
    for (trusted, result) in [(&ours, Ok(())), (&other, Err(WebError::Tls))] {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn(move || {
            let config = Arc::new(config);
            for _ in 0..2 {
                let (tcp, _) = listener.accept().unwrap();
                let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(session, tcp);
                if stream.conn.complete_io(&mut stream.sock).is_ok() {
                    converse(&mut stream, WELL);
                }
            }
        });
        let address = format!("https://localhost:{port}/");
        let web = WebAddress::new(&address, Some(trusted), None).unwrap();
        assert_eq!(web.post(b"{}".to_vec(), PATIENCE).await, result);
        let client = WebClient::new(Some(trusted), PATIENCE).unwrap();
        let answer = client.post_form(&address, None, "{}".into()).await;
        assert_eq!(answer.map(|answer| answer.status), result.map(|()| 204));
        serving.join().unwrap();
    }
}
