//! Certificate and private key of this process, read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, fs};

use jiff::Timestamp;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureScheme};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::{TlsError, certificate, certificates};
use crate::secret;

/// Longest private key file accepted, in bytes: RSA of 8192 bits takes 6.5 kB.
const MAX_KEY_FILE: usize = 32 * 1024;

/// The `[tls]` section of a process configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM certificate chain of this process, with the organisation's OIN.
    pub certificate: PathBuf,
    /// Its private key, readable by the owner only.
    pub key: PathBuf,
    /// PEM certificates of the authority that the other side's certificate must come from.
    pub authority: PathBuf,
}

impl TlsFiles {
    /// The same files, seen from the folder of the configuration file they stand in.
    #[must_use]
    pub fn resolve(&self, config_file: &Path) -> Self {
        let resolved = |path| crate::config::resolve(config_file, path);
        Self {
            certificate: resolved(&self.certificate),
            key: resolved(&self.key),
            authority: resolved(&self.authority),
        }
    }

    /// Certificate and key.
    pub fn identity(&self) -> TlsIdentity {
        TlsIdentity {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        }
    }
}

/// The files that make up the TLS identity of a process; a section of its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsIdentity {
    /// PEM: the certificate first, then the intermediates up to (not including) the root.
    pub certificate: PathBuf,
    /// PEM private key; path or `credential:<name>`, with the rights of a key file (see [`crate::secret`]).
    pub key: PathBuf,
}

impl TlsIdentity {
    /// The same files, seen from the folder of the configuration file they stand in.
    #[must_use]
    pub fn resolve(&self, config_file: &Path) -> Self {
        Self {
            certificate: crate::config::resolve(config_file, &self.certificate),
            key: crate::config::resolve(config_file, &self.key),
        }
    }

    fn load(&self, provider: &CryptoProvider, now: Timestamp) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.certificate)?;
        let path = || self.certificate.clone();
        let (not_before, not_after) = chain
            .first()
            .and_then(|leaf| certificate::validity(leaf).ok())
            .ok_or_else(|| TlsError::Certificate { path: path() })?;
        if now < not_before {
            return Err(TlsError::NotYetValid {
                path: path(),
                at: not_before,
            });
        }
        if now > not_after {
            return Err(TlsError::Expired {
                path: path(),
                at: not_after,
            });
        }
        let (key_path, pem) = secret::read_guarded(&self.key, MAX_KEY_FILE).map_err(TlsError::KeyFile)?;
        let unusable = || TlsError::Key {
            path: key_path.clone(),
        };
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| unusable())?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => TlsError::NotAPair { path: path() },
            _ => unusable(),
        })
    }

    fn state_of_files(&self) -> FileState {
        let state = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let key = secret::locate(&self.key).ok().and_then(|(path, _)| state(&path));
        [state(&self.certificate), key]
    }
}

/// Time of change and size of certificate and key; `None` where there is no file.
type FileState = [Option<(SystemTime, u64)>; 2];

/// Gives rustls the current certificate. Files are looked at during a handshake, at most once per interval; new
/// files that are not good leave the old certificate in place and are reported once.
pub(super) struct Reloading {
    identity: TlsIdentity,
    provider: Arc<CryptoProvider>,
    interval: Duration,
    state: Mutex<State>,
}

struct State {
    current: Arc<CertifiedKey>,
    seen: FileState,
    looked: Instant,
}

impl Reloading {
    pub(super) fn open(
        identity: &TlsIdentity,
        provider: Arc<CryptoProvider>,
        interval: Duration,
    ) -> Result<Self, TlsError> {
        let seen = identity.state_of_files(); // before reading: a change in between is then seen next time
        let current = Arc::new(identity.load(&provider, Timestamp::now())?);
        let state = Mutex::new(State {
            current,
            seen,
            looked: Instant::now(),
        });
        Ok(Self {
            identity: identity.clone(),
            provider,
            interval,
            state,
        })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        // Nothing below leaves the state half-changed, so a panic elsewhere does not spoil it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= self.interval {
            state.looked = Instant::now();
            let now = self.identity.state_of_files();
            if now != state.seen {
                state.seen = now;
                self.replace(&mut state);
            }
        }
        Arc::clone(&state.current)
    }

    fn replace(&self, state: &mut State) {
        let path = self.identity.certificate.display();
        match self.identity.load(&self.provider, Timestamp::now()) {
            Ok(new) => {
                tracing::info!(certificate = %path, "TLS certificate read again");
                state.current = Arc::new(new);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                tracing::warn!(certificate = %path, %error, cause, "new TLS certificate refused; the old one stays");
            }
        }
    }
}

/// Without the key: rustls prints its configurations, and with them this.
impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Reloading {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
