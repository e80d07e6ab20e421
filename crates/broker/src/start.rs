//! From configuration to a running broker.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use hitmachine_audit::{
    CommitError, Committer, CommitterOptions, Log, LogConfig, LogSigner, NoteError, OpenError, Origin,
    ReadError, RealDisk, WrappingKey,
};
use hitmachine_core::registry::{Register, TallyMask};
use hitmachine_core::{Clock, Covenant, CovenantError, StoreError, SystemClock};
use hitmachine_pseudonym::{KeyEpoch, Pepper, SelfTestError, TagKeys, self_test};
use hitmachine_service::exit;
use hitmachine_service::metrics::{MetricsError, bind_metrics, serve_metrics};
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use hitmachine_service::server::{ServeError, ServerMetrics, serve};
use hitmachine_service::tls::{TlsError, install_provider, server_config};
use hitmachine_store::SledStore;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::config::BrokerConfig;
use crate::hub::{Epoch, Hub, Parts};
use crate::metrics::Metrics;
use crate::services;

/// Why a broker does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The published vectors do not come out: this build must not make pseudonyms.
    #[error("the cryptographic self-test failed")]
    SelfTest(#[from] SelfTestError),
    /// A setting is not valid.
    #[error("setting {0} is not valid")]
    Setting(&'static str),
    /// The covenant file cannot be read.
    #[error("cannot read the covenant {}", path.display())]
    CovenantFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The covenant is not valid; without one nothing is answered.
    #[error("covenant {}: {source}", path.display())]
    Covenant {
        /// The file.
        path: PathBuf,
        /// Line, field and problem.
        source: CovenantError,
    },
    /// A key file cannot be used.
    #[error("a key cannot be used")]
    Secret(#[from] SecretError),
    /// A key file is for another epoch.
    #[error("the pepper is for key epoch {found}, the configuration says {expected}")]
    PepperEpoch {
        /// In the configuration.
        expected: u32,
        /// In the file.
        found: u32,
    },
    /// Certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The name of the log is not valid.
    #[error("audit.origin is not a valid name of a log")]
    Origin(#[source] NoteError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened")]
    Log(#[from] OpenError),
    /// The audit log cannot be read back.
    #[error("the audit log cannot be read")]
    LogRead(#[from] ReadError),
    /// The audit log does not start.
    #[error("the audit log does not start")]
    Commit(#[from] CommitError),
    /// The registrations cannot be read.
    #[error("the registrations cannot be read")]
    Store(#[from] StoreError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Metrics cannot be served.
    #[error("metrics")]
    Metrics(#[from] MetricsError),
    /// The server stopped.
    #[error("the server stopped")]
    Serve(#[from] ServeError),
}

impl StartError {
    /// Exit code of the process: 2 wrong use, 4 integrity, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SelfTest(_)
            | Self::Log(OpenError::Damaged { .. })
            | Self::Store(StoreError::Damaged { .. } | StoreError::OtherKey) => exit::INTEGRITY,
            Self::Setting(_)
            | Self::CovenantFile { .. }
            | Self::Covenant { .. }
            | Self::Secret(_)
            | Self::PepperEpoch { .. }
            | Self::Tls(_)
            | Self::Origin(_) => exit::USAGE,
            _ => exit::REFUSED,
        }
    }
}

/// What a caller may want to know of a broker that is about to serve.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Where nodes reach it.
    pub address: SocketAddr,
    /// Where its metrics are.
    pub metrics: Option<SocketAddr>,
}

fn setting<T: FromStr>(text: &str, name: &'static str) -> Result<T, StartError> {
    text.parse().map_err(|_| StartError::Setting(name))
}

/// Starts a broker and serves until `shutdown` resolves. `ready` is called once, when it listens.
///
/// A log that can no longer be written ends the process with exit code 4: an answer without an entry is wrong, and
/// after a failed flush nothing more is known about the disk.
///
/// # Errors
/// [`StartError`].
pub async fn run(
    config: BrokerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce(Running) + Send,
) -> Result<(), StartError> {
    install_provider();
    self_test()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tls = server_config(&config.tls.identity(), &config.tls.authority)?;
    let loading = config.clone();
    let loaded = tokio::task::spawn_blocking(move || load(&loading, clock)).await;
    let (parts, committer, registry) =
        loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let mut registry = registry;
    let server_metrics = ServerMetrics::default();
    server_metrics.register(&mut registry);
    let hub = Arc::new(Hub::new(parts));

    let address = config.listen;
    let listen = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (trigger, stopping) = hitmachine_service::shutdown::channel();
    let (metrics, metrics_task) = match &config.metrics {
        None => (None, None),
        Some(wanted) => {
            let listener = bind_metrics(wanted).await?;
            let at = listener.local_addr().ok();
            let serving = serve_metrics(listener, Arc::new(registry), stopping.clone().wait());
            (at, Some(tokio::spawn(serving)))
        }
    };
    let routes = services::routes(Arc::clone(&hub)).await;
    tracing::info!(%address, covenant = %hub.covenant().version(), "broker ready");
    ready(Running { address, metrics });
    let served = serve(listener, tls, routes, &config.limits, &server_metrics, shutdown).await;
    trigger.fire();
    if let Some(task) = metrics_task {
        let _ = task.await;
    }
    // What waits is committed before the process ends.
    let _ = tokio::task::spawn_blocking(move || committer.shutdown()).await;
    tracing::info!("broker stopped");
    Ok(served?)
}

/// What the configuration names, read and checked.
struct Settings {
    covenant: Covenant,
    covenant_bytes: Vec<u8>,
    epoch: Epoch,
    pepper: Pepper,
    origin: Origin,
    signer: LogSigner,
    wrapping: WrappingKey,
}

impl Settings {
    fn read(config: &BrokerConfig) -> Result<Self, StartError> {
        let path = &config.covenant;
        let covenant_bytes = fs::read(path).map_err(|source| StartError::CovenantFile {
            path: path.clone(),
            source,
        })?;
        let covenant = Covenant::parse(&covenant_bytes).map_err(|source| StartError::Covenant {
            path: path.clone(),
            source,
        })?;
        let epoch = Epoch {
            number: KeyEpoch::new(config.epoch.number).ok_or(StartError::Setting("epoch.number"))?,
            scheme: setting(&config.epoch.scheme, "epoch.scheme")?,
            key_check_value: setting(&config.epoch.key_check_value, "epoch.key_check_value")?,
        };
        let (found, pepper) = SecretFile::read(&config.epoch.pepper, Purpose::Pepper)?;
        if found != epoch.number.get() {
            return Err(StartError::PepperEpoch {
                expected: epoch.number.get(),
                found,
            });
        }
        let origin = Origin::new(config.audit.origin.clone()).map_err(StartError::Origin)?;
        let (_, signing) = SecretFile::read(&config.audit.signing_key, Purpose::AuditSigning)?;
        let (_, wrapping) = SecretFile::read(&config.audit.wrapping_key, Purpose::AuditWrapping)?;
        Ok(Self {
            covenant,
            covenant_bytes,
            epoch,
            pepper: Pepper::from_bytes(*pepper),
            signer: LogSigner::new(origin.clone(), &signing),
            origin,
            wrapping: WrappingKey::from_bytes(*wrapping),
        })
    }
}

fn load(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<(Parts, Committer, Registry), StartError> {
    let Settings {
        covenant,
        covenant_bytes,
        epoch,
        pepper,
        origin,
        signer,
        wrapping,
    } = Settings::read(config)?;
    let tags = TagKeys::derive(&pepper, &covenant.deployment().id, epoch.number, epoch.scheme);
    let mask = TallyMask::derive(&pepper, &covenant.deployment().id, epoch.number, epoch.scheme);
    let store = SledStore::open(&config.registry_dir())?;
    let register = Register::load(tags, mask, &store)?;
    drop(pepper);
    for (partner, state, count) in register.summary() {
        tracing::info!(%partner, generation = state.active, count, "register loaded");
    }

    let mut log_config = LogConfig::new(
        config.audit_dir(),
        config.audit.keys_dir.clone(),
        signer,
        wrapping,
    );
    log_config.segment_size = config.audit.segment_mib.clamp(2, 1024) << 20;
    let (log, recovery) = Log::open(log_config, Arc::new(RealDisk))?;
    tracing::info!(
        size = recovery.head.size,
        frames = recovery.frames,
        "audit log recovered"
    );
    if let Some(torn) = &recovery.torn {
        tracing::warn!(bytes = torn.bytes, kept = %torn.kept.display(), "an unfinished end of the log was cut off");
    }
    let last_logged = match recovery.head.size.checked_sub(1) {
        None => None,
        Some(last) => {
            let ms = i64::try_from(log.read_entry(last)?.time_ms).unwrap_or(i64::MAX);
            Timestamp::from_millisecond(ms).ok()
        }
    };
    let die = |error: &CommitError| {
        tracing::error!(%error, "the audit log cannot be written; this process ends");
        std::process::exit(i32::from(exit::INTEGRITY));
    };
    let reader = log.reader();
    let committer = Committer::spawn(log, CommitterOptions::default(), Box::new(die))?;

    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let parts = Parts {
        covenant,
        covenant_bytes,
        epoch,
        origin: origin.as_str().to_owned(),
        register,
        store: Arc::new(store),
        log: committer.handle(),
        reader,
        cosigned: tokio::sync::watch::channel(None).1,
        clock,
        last_logged,
        metrics,
    };
    Ok((parts, committer, registry))
}

/// Reads everything that a start needs but the data: covenant, keys, certificates.
///
/// # Errors
/// [`StartError`] for the first thing that would stop a start.
pub fn check(config: &BrokerConfig) -> Result<(), StartError> {
    install_provider();
    self_test()?;
    server_config(&config.tls.identity(), &config.tls.authority)?;
    Settings::read(config).map(|_| ())
}

/// Moves a damaged store of registrations aside, so that the next start begins with an empty one and the nodes
/// send everything again. The audit log is not touched. Returns where the old one is.
///
/// # Errors
/// When there is none, or it cannot be moved.
pub fn move_store_aside(config: &BrokerConfig) -> io::Result<PathBuf> {
    let from = config.registry_dir();
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let to = config.data_dir.join(format!("registry.damaged-{stamp}"));
    fs::rename(from, &to)?;
    fs::File::open(&config.data_dir)?.sync_all()?;
    Ok(to)
}
