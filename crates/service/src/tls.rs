//! The TLS identity of a process and the rustls configuration on both sides of the wire.
//!
//! Built by hand because tonic's own settings have no say over versions, key exchange or certificate rotation: TLS
//! 1.3 only, key exchange X25519MLKEM768 only (hybrid post-quantum, draft-ietf-tls-ecdhe-mlkem), ALPN `h2`, client
//! certificate required. Sessions are not resumed, so every connection shows its certificate anew and one that has
//! expired since does not come back in.
//!
//! Private keys pass the same checks as key files ([`crate::secret`]). Certificate and key are read again when their
//! files change; the authority is read at start only.

pub(crate) mod certificate;
mod identity;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

pub use self::certificate::{CertificateError, CertificateFacts, certificate_facts};
use self::identity::Reloading;
pub use self::identity::{TlsFiles, TlsIdentity};
use crate::secret::SecretError;

/// How often, at most, the certificate files are looked at for a change.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// Protocol of every connection: HTTP/2, RFC 9113 §3.2.
const ALPN: &[u8] = b"h2";
/// Protocol of a connection to PostgreSQL.
const DATABASE_ALPN: &[u8] = b"postgresql";
/// Protocol of the pages for people.
const PAGES_ALPN: &[u8] = b"http/1.1";

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate file cannot be read.
    #[error("cannot read certificate file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file has no certificate or one that is damaged.
    #[error("{} holds no readable PEM certificate", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// The private key may not be used: see the cause.
    #[error("TLS key refused")]
    KeyFile(#[source] SecretError),
    /// The key file has no private key in PEM that can be used here.
    #[error("{} holds no usable PEM private key", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not a pair.
    #[error("certificate {} does not belong to its private key", path.display())]
    NotAPair {
        /// The certificate.
        path: PathBuf,
    },
    /// Our own certificate is over.
    #[error("certificate {} expired at {at}", path.display())]
    Expired {
        /// The certificate.
        path: PathBuf,
        /// End of its validity.
        at: Timestamp,
    },
    /// Our own certificate has not begun. (Or the clock of this machine is slow.)
    #[error("certificate {} is not valid before {at}; is the clock right?", path.display())]
    NotYetValid {
        /// The certificate.
        path: PathBuf,
        /// Begin of its validity.
        at: Timestamp,
    },
    /// rustls refused the configuration.
    #[error("TLS cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Makes the cryptography of this module the default of the process, for libraries that ask for one. To be called
/// first thing in `main`; later calls change nothing.
pub fn install_provider() {
    // An error says that one is installed already; nothing in this crate uses the default.
    let _ = provider().install_default();
}

/// aws-lc-rs with the one key exchange group of the network.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

/// aws-lc-rs for peers outside the network, which may not know its key exchange group yet: preferred, not demanded.
fn preferring_provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

/// Configuration of a server that shows `identity` and lets in who has a certificate of `authority` (PEM, one or
/// more roots). The certificate is renewed from its files without a restart.
///
/// # Errors
/// [`TlsError`]: files missing or damaged, key readable by others, certificate not valid today.
pub fn server_config(identity: &TlsIdentity, authority: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    server_config_reloading(identity, authority, RELOAD_INTERVAL)
}

/// [`server_config`] that looks at the files at most once per `interval`.
///
/// # Errors
/// See [`server_config`].
pub fn server_config_reloading(
    identity: &TlsIdentity,
    authority: &Path,
    interval: Duration,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider());
    let roots = Arc::new(roots(authority)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(setup)?;
    let reloading = Reloading::open(identity, Arc::clone(&provider), interval)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(reloading));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Configuration of a client that shows `identity` and talks to servers with a certificate of `authority` (PEM, one
/// or more roots). The certificate is renewed from its files without a restart.
///
/// # Errors
/// [`TlsError`]: files missing or damaged, key readable by others, certificate not valid today.
pub fn client_config(identity: &TlsIdentity, authority: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(provider());
    let reloading = Reloading::open(identity, Arc::clone(&provider), RELOAD_INTERVAL)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_root_certificates(roots(authority)?)
        .with_client_cert_resolver(Arc::new(reloading));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Configuration of a client that reads a database with a certificate of `authority` (PEM, one or more roots). TLS 1.3
/// as everywhere; because databases of today do not know it yet, X25519MLKEM768 is preferred, not demanded.
///
/// # Errors
/// [`TlsError`]: the file is missing or damaged.
pub fn database_config(authority: &Path) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(preferring_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_root_certificates(roots(authority)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![DATABASE_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Configuration of a server of pages for people: any browser of these years, without a certificate of its own. TLS 1.3 as
/// everywhere, X25519MLKEM768 preferred. The certificate is renewed from its files without a restart.
///
/// # Errors
/// See [`server_config`].
pub fn pages_config(identity: &TlsIdentity) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(preferring_provider());
    let reloading = Reloading::open(identity, Arc::clone(&provider), RELOAD_INTERVAL)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(reloading));
    config.alpn_protocols = vec![PAGES_ALPN.to_vec()];
    Ok(Arc::new(config))
}

/// From when until when the first certificate of a PEM file is valid, whether or not that is now.
///
/// # Errors
/// [`TlsError::Read`], [`TlsError::Certificate`].
pub fn validity_of_file(path: &Path) -> Result<(Timestamp, Timestamp), TlsError> {
    let leaf = certificates(path)?.into_iter().next();
    let validity = leaf.and_then(|leaf| certificate::validity(&leaf).ok());
    validity.ok_or_else(|| TlsError::Certificate {
        path: path.to_owned(),
    })
}

pub(crate) fn setup(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TlsError {
    TlsError::Setup(error.into())
}

pub(crate) fn roots(authority: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority)? {
        roots.add(certificate).map_err(|_| TlsError::Certificate {
            path: authority.to_owned(),
        })?;
    }
    Ok(roots)
}

/// The certificates in a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let damaged = || TlsError::Certificate {
        path: path.to_owned(),
    };
    let found = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| damaged())?;
    if found.is_empty() {
        Err(damaged())
    } else {
        Ok(found)
    }
}
