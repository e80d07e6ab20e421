//! The server under way: renewal of certificates, bounds, and its end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod common;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Authority, BROKER, Noting, Running, broker, soon, start};
use hitmachine_service::client::connect;
use hitmachine_service::server::{HandshakeFailure, ServerLimits};
use hitmachine_service::tls::{self, TlsIdentity};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn channel(authority: &Authority, server: &Running) -> Channel {
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    connect(&server.endpoint(), BROKER, client).await.unwrap()
}

async fn ask(channel: Channel) -> Result<(), tonic::Status> {
    HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await
        .map(|_| ())
}

/// The certificate that the server shows to a new connection.
async fn shown(authority: &Authority, server: &Running) -> Vec<u8> {
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from(BROKER).unwrap();
    let stream = tokio_rustls::TlsConnector::from(client)
        .connect(name, tcp)
        .await
        .unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn certificate(identity: &TlsIdentity) -> Vec<u8> {
    CertificateDer::from_pem_file(&identity.certificate)
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn renewed_certificates_are_shown_without_a_restart_and_bad_ones_are_not() {
    let authority = Authority::new("Test CA");
    let identity = authority.identity("broker");
    let config = tls::server_config_reloading(&identity, &authority.path(), Duration::ZERO).unwrap();
    let server = start(config, ServerLimits::default(), Noting::default()).await;
    let first = certificate(&identity);
    assert_eq!(shown(&authority, &server).await, first);

    let renewed = authority.identity("renewed");
    fs::copy(&renewed.certificate, &identity.certificate).unwrap(); // half a renewal: the key is still the old one
    assert_eq!(
        shown(&authority, &server).await,
        first,
        "certificate without its key"
    );
    fs::copy(&renewed.key, &identity.key).unwrap();
    let second = certificate(&renewed);
    assert_eq!(shown(&authority, &server).await, second);
    assert_ne!(first, second);

    fs::write(&identity.certificate, "-----BEGIN CERTIFICATE-----\nrubbish").unwrap();
    assert_eq!(shown(&authority, &server).await, second, "damaged file");
    let expired = authority.identity_with("expired", |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    fs::copy(&expired.key, &identity.key).unwrap();
    fs::copy(&expired.certificate, &identity.certificate).unwrap();
    assert_eq!(shown(&authority, &server).await, second, "expired");
    fs::remove_file(&identity.certificate).unwrap();
    assert_eq!(shown(&authority, &server).await, second, "gone");
    let third = authority.identity("third");
    fs::copy(&third.key, &identity.key).unwrap();
    fs::copy(&third.certificate, &identity.certificate).unwrap();
    assert_eq!(shown(&authority, &server).await, certificate(&third));
}

#[tokio::test]
async fn the_files_are_looked_at_once_per_interval() {
    let authority = Authority::new("Test CA");
    let identity = authority.identity("broker");
    let config = tls::server_config_reloading(&identity, &authority.path(), Duration::from_hours(1)).unwrap();
    let server = start(config, ServerLimits::default(), Noting::default()).await;
    let first = certificate(&identity);
    authority.identity("broker"); // writes new files over the old ones
    assert_eq!(shown(&authority, &server).await, first);
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_up_others_and_is_dropped() {
    let authority = Authority::new("Test CA");
    let config = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    let limits = ServerLimits {
        handshake_timeout_seconds: 1,
        ..ServerLimits::default()
    };
    let server = start(config, limits, Noting::default()).await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    ask(channel(&authority, &server).await).await.unwrap();
    soon(|| server.metrics.failures(HandshakeFailure::Timeout) == 1).await;
    drop(silent);
}

#[tokio::test]
async fn connections_are_bounded_and_a_free_place_is_used() {
    let authority = Authority::new("Test CA");
    let config = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    let limits = ServerLimits {
        max_connections: 1,
        ..ServerLimits::default()
    };
    let server = Arc::new(start(config, limits, Noting::default()).await);
    let first = channel(&authority, &server).await;
    ask(first.clone()).await.unwrap();
    let client = tls::client_config(&authority.identity("node"), &authority.path()).unwrap();
    let endpoint = server.endpoint();
    let waiting = tokio::spawn(async move { connect(&endpoint, BROKER, client).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.metrics.connections(), 1);
    assert!(!waiting.is_finished());
    drop(first);
    ask(waiting.await.unwrap().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_shutdown_began() {
    let authority = Authority::new("Test CA");
    let config = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    let service = Noting {
        delay: Duration::from_millis(500),
        ..Noting::default()
    };
    let server = start(config, ServerLimits::default(), service).await;
    let asking = tokio::spawn(ask(channel(&authority, &server).await));
    soon(|| !server.service.asked_by.lock().unwrap().is_empty()).await;
    server.stop.fire();
    asking.await.unwrap().unwrap();
    server.task.await.unwrap().unwrap();
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "the port is closed"
    );
    assert_eq!(server.metrics.connections(), 0);
}

#[tokio::test]
async fn a_stream_without_end_is_cut_off_after_the_grace() {
    let authority = Authority::new("Test CA");
    let config = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    let limits = ServerLimits {
        shutdown_grace_seconds: 1,
        ..ServerLimits::default()
    };
    let server = start(config, limits, Noting::default()).await;
    let mut client = HealthClient::new(channel(&authority, &server).await);
    let mut stream = client
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let began = Instant::now();
    server.stop.fire();
    server.task.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(5)).contains(&took),
        "{took:?}"
    );
    assert!(stream.message().await.is_err(), "cut off, not ended in order");
    soon(|| server.metrics.connections() == 0).await;
}

#[tokio::test]
async fn a_channel_finds_a_restarted_server_again() {
    let authority = Authority::new("Test CA");
    let server = broker(&authority).await;
    let channel = channel(&authority, &server).await;
    ask(channel.clone()).await.unwrap();
    server.stop.fire();
    server.task.await.unwrap().unwrap();
    let status = ask(channel.clone()).await.unwrap_err();
    assert_eq!(
        hitmachine_service::client::classify(&status),
        Some(hitmachine_service::client::ConnectError::Refused),
        "{status:?}"
    );
    let listener = tokio::net::TcpListener::bind(server.address).await.unwrap();
    let config = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    let routes = tonic::service::Routes::new(tonic_health::pb::health_server::HealthServer::new(
        Noting::default(),
    ));
    tokio::spawn(async move {
        let (limits, metrics) = (ServerLimits::default(), server.metrics.clone());
        hitmachine_service::server::serve(
            listener,
            config,
            routes,
            &limits,
            &metrics,
            std::future::pending(),
        )
        .await
    });
    ask(channel).await.unwrap();
}
