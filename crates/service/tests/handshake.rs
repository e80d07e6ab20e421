//! Who gets in and who does not: real handshakes on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::{Authority, BROKER, Noting, OIN, Running, broker, soon};
use hitmachine_service::client::{ConnectError, classify, connect, connect_lazy};
use hitmachine_service::server::{HandshakeFailure, ServerLimits};
use hitmachine_service::tls::{self, TlsError, TlsIdentity};
use rcgen::date_time_ymd;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::{AlertDescription, ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const POST_QUANTUM: &[&dyn SupportedKxGroup] = &[aws_lc_rs::kx_group::X25519MLKEM768];
const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

async fn ask(channel: Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map(|_| ())
}

/// A client put together by hand, without the checks of this crate.
fn foreign_client(
    authority: &Authority,
    identity: Option<&TlsIdentity>,
    groups: &[&'static dyn SupportedKxGroup],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = CryptoProvider {
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.path()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(files) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(&files.certificate).unwrap()],
                PrivateKeyDer::from_pem_file(&files.key).unwrap(),
            )
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Connecting fails, also at the first call of a lazy channel; returns how.
async fn refusal(server: &Running, client: Arc<ClientConfig>) -> ConnectError {
    let eager = connect(&server.endpoint(), BROKER, Arc::clone(&client))
        .await
        .unwrap_err();
    let lazy = connect_lazy(&server.endpoint(), BROKER, client).unwrap();
    let status = ask(lazy).await.unwrap_err();
    assert_eq!(classify(&status), Some(eager.clone()), "{status:?}");
    assert!(
        server.service.asked_by.lock().unwrap().is_empty(),
        "a request came through"
    );
    eager
}

fn alert_of(error: &ConnectError) -> AlertDescription {
    match error {
        ConnectError::OurCertificateRefused { alert } => *alert,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_partner_gets_in_and_the_handler_knows_its_oin() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    let channel = connect(&server.endpoint(), BROKER, Arc::clone(&client))
        .await
        .unwrap();
    ask(channel).await.unwrap();
    ask(connect_lazy(&server.endpoint(), BROKER, client).unwrap())
        .await
        .unwrap();
    assert_eq!(*server.service.asked_by.lock().unwrap(), [OIN, OIN]);
    assert!(server.metrics.connections() >= 1);
}

#[tokio::test]
async fn without_a_certificate_nobody_gets_in() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let error = refusal(&server, foreign_client(&authority, None, POST_QUANTUM, TLS13)).await;
    assert_eq!(alert_of(&error), AlertDescription::CertificateRequired);
    soon(|| server.metrics.failures(HandshakeFailure::NoCertificate) == 2).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    // Also one by the same name: names prove nothing.
    for (count, name) in [(2, "Other CA"), (4, "Test CA")] {
        let stranger = Authority::new(name);
        let other = stranger.identity("node");
        let error = refusal(
            &server,
            foreign_client(&authority, Some(&other), POST_QUANTUM, TLS13),
        )
        .await;
        let alert = alert_of(&error);
        assert!(
            matches!(
                alert,
                AlertDescription::UnknownCA | AlertDescription::DecryptError
            ),
            "{alert:?}"
        );
        soon(|| server.metrics.failures(HandshakeFailure::CertificateRefused) == count).await;
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_its_owner_and_by_the_server() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let expired = authority.identity_with("node", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let at_start = tls::client_config(&expired, &authority.path()).unwrap_err();
    assert!(matches!(at_start, TlsError::Expired { .. }), "{at_start:?}");
    assert!(
        at_start
            .to_string()
            .ends_with("node.pem expired at 2020-01-01T00:00:00Z"),
        "{at_start}"
    );
    let error = refusal(
        &server,
        foreign_client(&authority, Some(&expired), POST_QUANTUM, TLS13),
    )
    .await;
    assert_eq!(alert_of(&error), AlertDescription::CertificateExpired);
    soon(|| server.metrics.failures(HandshakeFailure::CertificateExpired) == 2).await;
}

#[tokio::test]
async fn a_certificate_of_tomorrow_is_refused_by_its_owner() {
    let authority = Authority::new("Test CA");
    let early = authority.identity_with("node", |params| params.not_before = date_time_ymd(4000, 1, 1));
    let error = tls::server_config(&early, &authority.path()).unwrap_err();
    assert!(matches!(error, TlsError::NotYetValid { .. }), "{error:?}");
}

#[tokio::test]
async fn classical_key_exchange_is_refused() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let node = authority.identity("node");
    let classical: &[&dyn SupportedKxGroup] = &[aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    let error = refusal(&server, foreign_client(&authority, Some(&node), classical, TLS13)).await;
    assert_eq!(error, ConnectError::KeyExchange);
    soon(|| server.metrics.failures(HandshakeFailure::Incompatible) == 2).await;
    // One that prefers classical and has the other as well is talked into it.
    let both: &[&dyn SupportedKxGroup] = &[aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::X25519MLKEM768];
    let client = foreign_client(&authority, Some(&node), both, TLS13);
    ask(connect(&server.endpoint(), BROKER, client).await.unwrap())
        .await
        .unwrap();
}

/// The client of this crate does not fall back either, whatever the server prefers.
#[tokio::test]
async fn a_server_with_classical_key_exchange_is_refused() {
    let authority = Authority::new("Test CA");
    let files = authority.identity("broker");
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(TLS13)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&files.certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&files.key).unwrap(),
        )
        .unwrap();
    let server = common::start(Arc::new(config), ServerLimits::default(), Noting::default()).await;
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    assert_eq!(refusal(&server, client).await, ConnectError::KeyExchange);
}

/// TLS 1.2 can be built here because tonic switches rustls' `tls12` feature on for the whole tree.
#[tokio::test]
async fn tls_1_2_is_refused() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let node = authority.identity("node");
    let groups: &[&dyn SupportedKxGroup] = &[aws_lc_rs::kx_group::X25519];
    let client = foreign_client(&authority, Some(&node), groups, &[&rustls::version::TLS12]);
    assert_eq!(refusal(&server, client).await, ConnectError::Protocol);
    soon(|| server.metrics.failures(HandshakeFailure::Incompatible) == 2).await;
}

/// A resumed session would bring back a certificate that has expired since.
#[tokio::test]
async fn sessions_are_not_resumed() {
    use tokio::io::AsyncReadExt as _;

    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let client = foreign_client(&authority, Some(&authority.identity("node")), POST_QUANTUM, TLS13);
    for attempt in ["first", "second"] {
        let tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client));
        let mut stream = connector.connect(BROKER.try_into().unwrap(), tcp).await.unwrap();
        stream.read_u8().await.unwrap(); // a ticket would have come before the server's first words
        let kind = stream.get_ref().1.handshake_kind();
        assert_eq!(kind, Some(rustls::HandshakeKind::Full), "{attempt}");
    }
}

#[tokio::test]
async fn a_server_by_another_authority_or_name_is_refused() {
    let authority = Authority::new("Test CA");
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    let impostor = broker(&Authority::new("Other CA")).await;
    let error = refusal(&impostor, Arc::clone(&client)).await;
    assert_eq!(
        error,
        ConnectError::ServerCertificateInvalid {
            reason: "it is not by our authority"
        }
    );
    soon(|| impostor.metrics.failures(HandshakeFailure::OursRefused) == 2).await;

    let server = broker(&authority).await;
    let error = connect(&server.endpoint(), "another.test", client)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        ConnectError::ServerCertificateInvalid {
            reason: "it is for another name"
        }
    );
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_wrong_address() {
    let authority = Authority::new("Test CA");
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    let free: SocketAddr = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let of = |endpoint: String| {
        let client = Arc::clone(&client);
        async move { connect(&endpoint, BROKER, client).await.unwrap_err() }
    };
    assert_eq!(of(free.to_string()).await, ConnectError::Refused);
    assert!(matches!(
        of("host.invalid:1".into()).await,
        ConnectError::Unreachable { .. }
    ));
    for endpoint in [
        "broker.test",
        "broker.test:x",
        "broker.test:70000",
        ":1",
        "::1:8443",
        "",
    ] {
        assert_eq!(of(endpoint.into()).await, ConnectError::Endpoint, "{endpoint}");
    }
    let error = connect("127.0.0.1:1", "no name", client).await.unwrap_err();
    assert_eq!(error, ConnectError::ServerName);
}

#[test]
fn a_key_that_others_can_read_or_that_does_not_fit_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let authority = Authority::new("Test CA");
    let node = authority.identity("node");
    let other = authority.identity("other");
    std::fs::set_permissions(&node.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = |identity: &TlsIdentity| tls::server_config(identity, &authority.path()).unwrap_err();
    assert!(matches!(error(&node), TlsError::KeyFile(_)));
    let mixed = TlsIdentity {
        certificate: node.certificate.clone(),
        key: other.key.clone(),
    };
    assert!(matches!(error(&mixed), TlsError::NotAPair { .. }));
    let swapped = TlsIdentity {
        certificate: other.key.clone(),
        key: other.key.clone(),
    };
    assert!(matches!(error(&swapped), TlsError::Certificate { .. }));
    common::write_secret(&node.key, "no key");
    assert!(matches!(error(&node), TlsError::Key { .. }));
    let nowhere = tls::server_config(&other, "/nowhere/ca.pem".as_ref()).unwrap_err();
    assert_eq!(
        nowhere.to_string(),
        "cannot read certificate file /nowhere/ca.pem"
    );
    // rustls prints its configurations; a key must not be in there.
    let shown = format!("{:?}", tls::server_config(&other, &authority.path()).unwrap());
    assert!(
        shown.contains("other.key") && !shown.contains("SigningKey"),
        "{shown}"
    );
}
