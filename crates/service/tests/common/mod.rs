//! A made-up PKI, and a health service that notes who asked.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hitmachine_service::server::{ServeError, ServerLimits, ServerMetrics, serve};
use hitmachine_service::shutdown::Trigger;
use hitmachine_service::tls::{self, TlsIdentity};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub(crate) const BROKER: &str = "broker.test";
pub(crate) const OIN: &str = "00000099000000001000";

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Certificate and key files named `name`, for the host `broker.test` and with the OIN.
    pub(crate) fn identity(&self, name: &str) -> TlsIdentity {
        self.identity_with(name, |_| {})
    }

    pub(crate) fn identity_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsIdentity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![2, 5, 4, 5]), OIN);
        params.subject_alt_names = vec![SanType::DnsName(BROKER.try_into().unwrap())];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let identity = TlsIdentity {
            certificate: file("pem"),
            key: file("key"),
        };
        write_secret(&identity.key, &key.serialize_pem());
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        identity
    }
}

pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Answers after `delay`; a watch never ends.
#[derive(Clone, Default)]
pub(crate) struct Noting {
    pub(crate) asked_by: Arc<Mutex<Vec<String>>>,
    pub(crate) delay: Duration,
}

#[tonic::async_trait]
impl Health for Noting {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let certificates = request
            .peer_certs()
            .ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let facts = tls::certificate_facts(&certificates[0]).map_err(|e| Status::internal(e.to_string()))?;
        self.asked_by.lock().unwrap().push(facts.oin);
        tokio::time::sleep(self.delay).await;
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = tokio_stream::Pending<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::pending()))
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: ServerMetrics,
    pub(crate) service: Noting,
    pub(crate) stop: Trigger,
    pub(crate) task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub(crate) fn endpoint(&self) -> String {
        self.address.to_string()
    }
}

pub(crate) async fn start(tls: Arc<rustls::ServerConfig>, limits: ServerLimits, service: Noting) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metrics = ServerMetrics::default();
    let (stop, shutdown) = hitmachine_service::shutdown::channel();
    let routes = Routes::new(HealthServer::new(service.clone()));
    let counted = metrics.clone();
    let task =
        tokio::spawn(async move { serve(listener, tls, routes, &limits, &counted, shutdown.wait()).await });
    Running {
        address,
        metrics,
        service,
        stop,
        task,
    }
}

/// A server of `authority` with usual limits.
pub(crate) async fn broker(authority: &Authority) -> Running {
    let tls = tls::server_config(&authority.identity("broker"), &authority.path()).unwrap();
    start(tls, ServerLimits::default(), Noting::default()).await
}

/// Waits for something that happens soon.
pub(crate) async fn soon(mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("did not happen in 5 s");
}
