//! From configuration to a running broker.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::tiles::PublishError;
use hitmachine_audit::{
    CommitError, Committer, CommitterOptions, Disk, EraseError, HeadConflict, KeyRingError, Log, LogConfig,
    LogSigner, NoteError, OpenError, Origin, Policy, PolicyError, ReadError, RealDisk, WrappingKey,
};
use hitmachine_core::covenant::{Document, acceptance};
use hitmachine_core::{Clock, Covenant, StoreError, SystemClock};
use hitmachine_proto::v1;
use hitmachine_pseudonym::{SelfTestError, self_test};
use hitmachine_service::exit;
use hitmachine_service::metrics::{MetricsError, bind_metrics, serve_metrics};
use hitmachine_service::network::{Bind, Listen as _, Tcp};
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use hitmachine_service::server::{ServeError, ServerMetrics, serve};
use hitmachine_service::tls::{TlsError, install_provider, server_config};
use hitmachine_store::audit_index::IndexError;
use hitmachine_store::{AuditIndex, DbError, HubTables, TableError};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic_health::server::HealthReporter;

use crate::agreement::{self, Agreement, AgreementError, Changed, Found};
use crate::alarm::{self, Alarms};
use crate::config::BrokerConfig;
use crate::control;
use crate::epochs::{Configured, EpochChanger, EpochsError, Registers};
use crate::erasure::{self, Eraser};
use crate::hub::{Hub, Parts};
use crate::indexer::{self, IndexingError};
use crate::ldv::Exporter;
use crate::metrics::Metrics;
use crate::notice::{self, Notices};
use crate::officer::Office;
use crate::publication::{self, Publication};
use crate::rules::Rules;
use crate::services::{self, Shared};
use crate::watch::{Watch, WatchError};
use crate::witness::{Contradicted, Witnesses};

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
    /// The covenant cannot be read, is not valid or not accepted; without one nothing is answered.
    #[error(transparent)]
    Covenant(#[from] AgreementError),
    /// A key file cannot be used.
    #[error("a key cannot be used")]
    Secret(#[from] SecretError),
    /// The key epochs, or their registrations.
    #[error(transparent)]
    Epochs(#[from] EpochsError),
    /// Certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The name of the log is not valid.
    #[error("audit.origin is not a valid name of a log")]
    Origin(#[source] NoteError),
    /// The audit log cannot be opened.
    #[error("the audit log cannot be opened")]
    Log(#[from] OpenError),
    /// The witness policy cannot be read.
    #[error("cannot read the witness policy {}", path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The witness policy is not valid.
    #[error("witness policy {}: {source}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Line and problem.
        source: PolicyError,
    },
    /// The witness policy is for another log, or has groups of groups.
    #[error("witness policy {} must name this log's verifier key, and one group as its quorum", .0.display())]
    PolicyUnsuitable(PathBuf),
    /// The published log cannot be mended, or is not this log's.
    #[error("the published log does not fit the audit log")]
    Publish(#[source] Box<PublishError>),
    /// A partner holds a checkpoint, signed with this log's key, that the log does not continue.
    #[error(
        "{partner} holds a signed checkpoint that this log does not continue ({conflict}): a backup was restored, \
         the end was lost, or two brokers sign with one key. Kept in {}", kept.display()
    )]
    Contradicted {
        /// Who showed it.
        partner: String,
        /// In what way.
        conflict: Box<HeadConflict>,
        /// Where the note is kept.
        kept: PathBuf,
    },
    /// An erasure that was cut short cannot be finished.
    #[error("an erasure that was cut short cannot be finished")]
    Erase(#[source] Box<EraseError>),
    /// The search index cannot be opened.
    #[error("the search index of the audit log cannot be opened")]
    Index(#[from] IndexError),
    /// The search index cannot be built.
    #[error("the search index of the audit log cannot be built")]
    Indexing(#[from] IndexingError),
    /// The audit log cannot be read back.
    #[error("the audit log cannot be read")]
    LogRead(#[from] ReadError),
    /// The audit log does not start.
    #[error("the audit log does not start")]
    Commit(#[from] CommitError),
    /// The hub's tables cannot be read.
    #[error("the hub's tables cannot be read")]
    Tables(#[from] TableError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The socket for the command line cannot be made.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Metrics cannot be served.
    #[error("metrics")]
    Metrics(#[from] MetricsError),
    /// A part of the broker that runs for ever has ended.
    #[error("a part of the broker has ended")]
    Stopped,
    /// The server stopped.
    #[error("the server stopped")]
    Serve(#[from] ServeError),
}

impl StartError {
    /// Exit code of the process: 2 wrong use, 4 integrity, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SelfTest(_)
            | Self::Log(
                OpenError::Damaged { .. }
                | OpenError::Identity
                | OpenError::Keys(KeyRingError::Sealed { .. } | KeyRingError::NextId),
            )
            | Self::Contradicted { .. }
            | Self::Covenant(AgreementError::NotAccepted { .. } | AgreementError::Damaged)
            | Self::Epochs(
                EpochsError::Store(StoreError::Damaged { .. } | StoreError::OtherKey) | EpochsError::History,
            )
            | Self::Tables(TableError::Damaged(_) | TableError::Db(DbError::Damaged(_))) => exit::INTEGRITY,
            Self::Publish(error) if matches!(**error, PublishError::Conflict(_)) => exit::INTEGRITY,
            Self::Setting(_)
            | Self::Covenant(AgreementError::File { .. } | AgreementError::Covenant { .. })
            | Self::Secret(_)
            | Self::Epochs(
                EpochsError::Setting(_)
                | EpochsError::Secret(_)
                | EpochsError::PepperEpoch { .. }
                | EpochsError::NotConfigured { .. },
            )
            | Self::Tls(_)
            | Self::PolicyFile { .. }
            | Self::Policy { .. }
            | Self::PolicyUnsuitable(_)
            | Self::Origin(_) => exit::USAGE,
            _ => exit::REFUSED,
        }
    }
}

impl StartError {
    /// What to do about it, where the text of the error itself does not say so.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Log(OpenError::Identity) => Some(
                "set the name and the signing key that this log was made with, or put the log back from the newest backup",
            ),
            Self::Log(
                OpenError::Damaged { .. }
                | OpenError::Keys(KeyRingError::Sealed { .. } | KeyRingError::NextId),
            ) => Some(
                "keep these files as evidence, and put log and period keys back from the newest backup: nodes that saw \
                 more of the log than there is will say so",
            ),
            Self::Publish(error) if !matches!(**error, PublishError::Io(_)) => Some(
                "if the log is right, move the folder audit/tiles away and start again, and it is made anew; else put log \
                 and period keys back from the newest backup",
            ),
            Self::Tables(TableError::Db(DbError::Damaged(_))) => {
                Some("the covenant is then taken anew, and notices that wait are made again from the log")
            }
            Self::Tables(TableError::Damaged(_)) | Self::Covenant(AgreementError::Damaged) => Some(
                "put the folder tables back from a backup, or move it away and start again: the covenant is then taken \
                 anew, and notices that wait are made again from the log",
            ),
            _ => None,
        }
    }
}

impl From<WatchError> for StartError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Table(error) => Self::Tables(error),
            WatchError::Log(error) => Self::LogRead(error),
        }
    }
}

impl From<PublishError> for StartError {
    fn from(error: PublishError) -> Self {
        Self::Publish(Box::new(error))
    }
}

/// What a caller may want to know of a broker that listens.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Where nodes reach it.
    pub address: SocketAddr,
    /// Where its metrics are.
    pub metrics: Option<SocketAddr>,
    /// Where the published log is.
    pub published: Option<SocketAddr>,
}

/// Starts a broker and serves until `shutdown` resolves. `ready` is called once, when it listens; questions are
/// answered as soon as a quorum of partners has confirmed the log.
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
    Box::pin(run_reloading(config, shutdown, Arc::default(), ready)).await
}

/// As [`run`]; looks whether the covenant has changed each time `reload` is notified, and not only now and then.
///
/// # Errors
/// [`StartError`].
pub async fn run_reloading(
    config: BrokerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
    reload: Arc<Notify>,
    ready: impl FnOnce(Running) + Send,
) -> Result<(), StartError> {
    Box::pin(run_in(
        config,
        (Arc::new(SystemClock), Tcp),
        shutdown,
        reload,
        ready,
    ))
    .await
}

/// As [`run_reloading`], with a clock and a network of one's own. Metrics and the published log, where they are
/// configured, are on the machine's.
///
/// # Errors
/// [`StartError`].
pub async fn run_in(
    config: BrokerConfig,
    (clock, network): (Arc<dyn Clock>, impl Bind),
    shutdown: impl Future<Output = ()> + Send + 'static,
    reload: Arc<Notify>,
    ready: impl FnOnce(Running) + Send,
) -> Result<(), StartError> {
    install_provider();
    self_test()?;
    let tls = server_config(&config.tls.identity(), &config.tls.authority)?;
    let loading = (config.clone(), Arc::clone(&clock));
    let loaded = tokio::task::spawn_blocking(move || Loaded::read(&loading.0, loading.1)).await;
    let mut loaded = loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    let server_metrics = ServerMetrics::default();
    server_metrics.register(&mut loaded.registry);
    let address = config.listen;
    let listen = |source| StartError::Listen { address, source };
    let listener = network.bind(address).await.map_err(listen)?;
    let address = listener.address().map_err(listen)?;
    let (trigger, stopping) = hitmachine_service::shutdown::channel();

    let mut tasks = JoinSet::new();
    let mut metrics = None;
    if let Some(wanted) = &config.metrics {
        let listener = bind_metrics(wanted).await?;
        metrics = listener.local_addr().ok();
        let registry = Arc::new(std::mem::take(&mut loaded.registry));
        let stop = stopping.clone().wait();
        tasks.spawn(async move {
            serve_metrics(listener, registry, stop)
                .await
                .map_err(io::Error::other)
        });
    }
    let mut published = None;
    if let Some(address) = config.audit.publish_listen {
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        published = listener.local_addr().ok();
        let serving = publication::serve(
            listener,
            loaded.shared.publication.clone(),
            stopping.clone().wait(),
        );
        tasks.spawn(serving);
    }

    let shared = Shared {
        stopping: stopping.clone(),
        ..loaded.shared.clone()
    };
    let (routes, health) = services::routes(shared).await;
    ready(Running {
        address,
        metrics,
        published,
    });
    let stop_serving = stopping.clone().wait();
    let server = serve(
        listener,
        tls,
        routes,
        &config.limits,
        &server_metrics,
        stop_serving,
    );
    let (witnesses, hub) = (
        Arc::clone(&loaded.shared.witnesses),
        Arc::clone(&loaded.shared.hub),
    );
    let (publication, index) = (loaded.shared.publication.clone(), Arc::clone(&loaded.index));
    let watch = Arc::clone(&loaded.parts.watch);
    let audit_dir = config.audit_dir();
    let looking = (Duration::from_secs(config.covenant_check_seconds.max(1)), reload);
    let mut committer = None;
    let work = async {
        tokio::select! {
            () = shutdown => {
                if let Some(hub) = hub.get() {
                    publication::finish(&publication, &witnesses, &hub.head()).await;
                }
                Ok(())
            }
            () = stopping.clone().wait() => Ok(()),
            found = witnesses.contradicted() => Err(contradicted(&audit_dir, &found)),
            error = confirm_and_work(loaded, &mut committer, &health, &config, address, looking) => Err(error),
        }
    };
    // Whatever ends the work ends the server too, and the other way round.
    let work = async {
        let ended = work.await;
        trigger.fire();
        ended
    };
    let server = async {
        let ended = server.await;
        trigger.fire();
        ended
    };
    let (served, worked) = tokio::join!(server, work);
    while tasks.join_next().await.is_some() {}
    // What waits is committed before the process ends.
    let committer: Option<Committer> = committer;
    let ending = move || {
        if let Err(error) = index.flush() {
            tracing::error!(%error, "the search index could not be made durable; the next start goes on from before");
        }
        let log = committer.and_then(Committer::shutdown)?;
        if let Err(error) = watch.save(Timestamp::now()) {
            tracing::error!(%error, "use of the hub could not be made durable; the next start replays the log");
        }
        let signed = log.sign_head().ok()?;
        // What the last round published has cosignatures, too.
        (publication.size() < signed.head.size).then(|| publication.publish(signed.head.size, &signed.note))
    };
    if let Ok(Some(Err(error))) = tokio::task::spawn_blocking(ending).await {
        let error = hitmachine_service::console::chain(&error);
        tracing::error!(
            error,
            "the end of the log could not be published; the next start does"
        );
    }
    // Made only when the work began; it may not be there.
    let _ = fs::remove_file(config.socket());
    tracing::info!("broker stopped");
    worked?;
    Ok(served?)
}

/// Waits until partners have confirmed the log, then opens the hub and keeps the published log in step.
async fn confirm_and_work(
    loaded: Loaded,
    committing: &mut Option<Committer>,
    health: &HealthReporter,
    config: &BrokerConfig,
    address: SocketAddr,
    (look_every, reload): (Duration, Arc<Notify>),
) -> StartError {
    let Loaded {
        shared,
        mut log,
        parts,
        index,
        ldv,
        agreement,
        change,
        ..
    } = loaded;
    shared.witnesses.confirmed().await;
    let finishing = Arc::clone(&index);
    let finished = tokio::task::spawn_blocking(move || {
        let erased = log.finish_erasure(&mut |plan| erasure::drop_from(&finishing, plan));
        (log, erased)
    });
    let log = match finished.await {
        Ok((log, Ok(erased))) => {
            if erased.is_some() {
                tracing::warn!("an erasure that was cut short has been finished");
            }
            log
        }
        Ok((_, Err(error))) => return StartError::Erase(Box::new(error)),
        Err(_) => return StartError::Stopped,
    };
    let die = |error: &CommitError| {
        tracing::error!(%error, "the audit log cannot be written; this process ends");
        std::process::exit(i32::from(exit::INTEGRITY));
    };
    let committer = match Committer::spawn(log, CommitterOptions::default(), Box::new(die)) {
        Ok(committer) => committing.insert(committer),
        Err(error) => return error.into(),
    };
    let log = committer.handle();
    shared.alarms.log_to(log.clone());
    let (metrics, clock, reader) = (
        parts.metrics.clone(),
        Arc::clone(&parts.clock),
        parts.reader.clone(),
    );
    let hub = Arc::new(Hub::new(parts, log.clone()));
    if let Err(error) = agreement.begun(&hub, change).await {
        return error.into();
    }
    let eraser = Eraser {
        log: log.clone(),
        reader: reader.clone(),
        index: Arc::clone(&index),
        publication: shared.publication.clone(),
        clock,
        cosigned: shared.witnesses.newest(),
    };
    let office = Office {
        hub: Arc::clone(&hub),
        reader: reader.clone(),
        index: Arc::clone(&index),
        alarms: Arc::clone(&shared.alarms),
        notices: Arc::clone(&shared.notices),
        eraser: eraser.clone(),
    };
    // Nobody else sets them.
    let _ = shared.office.set(Arc::new(office));
    let _ = shared.hub.set(Arc::clone(&hub));
    let mut working = JoinSet::new();
    if let Some(ldv) = ldv {
        working.spawn(ldv.follow(reader.clone()));
    }
    let changer = Arc::new(EpochChanger::new(Arc::clone(&hub), config.clone()));
    let socket = config.socket();
    match control::bind(&socket) {
        Ok(listener) => working.spawn(control::listen(changer, listener)),
        Err(source) => return StartError::Socket { path: socket, source },
    };
    working.spawn(indexer::follow(index, reader, Arc::clone(&shared.alarms)));
    working.spawn(notice::keep(shared.notices, Arc::clone(&shared.alarms)));
    working.spawn(eraser.keep());
    working.spawn(agreement.keep(Arc::clone(&hub), look_every, reload));
    working.spawn(Arc::clone(hub.watch()).keep(Arc::clone(&hub)));
    services::serving(health).await;
    tracing::info!(%address, covenant = %hub.covenant().version(), "broker ready");
    publication::keep(shared.publication, shared.witnesses, log, metrics).await;
    StartError::Stopped
}

fn contradicted(audit_dir: &Path, found: &Contradicted) -> StartError {
    let name = format!("contradicted-by-{}.note", found.partner);
    let kept = publication::keep_note(audit_dir, &name, &found.note).unwrap_or_else(|error| {
        tracing::error!(%error, "the evidence could not be kept");
        PathBuf::from("(not kept)")
    });
    StartError::Contradicted {
        partner: found.partner.to_string(),
        conflict: Box::new(found.conflict),
        kept,
    }
}

/// What the configuration names, read and checked.
struct Settings {
    covenant: Covenant,
    document: Document,
    policy: Policy,
    signer: LogSigner,
    wrapping: WrappingKey,
}

impl Settings {
    fn read(config: &BrokerConfig) -> Result<Self, StartError> {
        let document = agreement::read(&config.covenant)?;
        let covenant = document.covenant().map_err(|source| AgreementError::Covenant {
            path: config.covenant.clone(),
            source,
        })?;
        let path = &config.audit.policy;
        let policy = fs::read(path).map_err(|source| StartError::PolicyFile {
            path: path.clone(),
            source,
        })?;
        let policy = Policy::parse(&policy).map_err(|source| StartError::Policy {
            path: path.clone(),
            source,
        })?;
        let origin = Origin::new(config.audit.origin.clone()).map_err(StartError::Origin)?;
        let (_, signing) = SecretFile::read(&config.audit.signing_key, Purpose::AuditSigning)?;
        let (_, wrapping) = SecretFile::read(&config.audit.wrapping_key, Purpose::AuditWrapping)?;
        Ok(Self {
            covenant,
            document,
            policy,
            signer: LogSigner::new(origin, &signing),
            wrapping: WrappingKey::from_bytes(*wrapping),
        })
    }
}

/// What a broker has read before it serves. The log is not signed yet.
struct Loaded {
    shared: Shared,
    log: Log,
    parts: Parts,
    index: Arc<AuditIndex>,
    ldv: Option<Exporter>,
    registry: Registry,
    agreement: Arc<Agreement>,
    change: Option<Changed>,
}

impl Loaded {
    fn read(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let Settings {
            covenant,
            document,
            policy,
            signer,
            wrapping,
        } = Settings::read(config)?;
        let ldv = Exporter::read(config)?;
        let configured = Configured::all(config)?;
        // The log says which epochs there are. Before there is one nothing is begun with keys that cannot be used.
        if let Some(first) = configured.first().filter(|_| !config.audit_dir().exists()) {
            first.pepper()?;
        }
        let tables = HubTables::open(&config.tables_dir())?;
        let verifier = signer.verifier();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let index_key = index_key(&wrapping);
        let usage_key = usage_key(&wrapping);
        let (log, last_logged) = open_log(config, signer, wrapping, &disk)?;
        let reader = log.reader();
        let registers = Registers::load(config, &covenant.deployment().id, &reader)?;
        let registers = Arc::new(registers);
        let index = Arc::new(indexer::open(&config.index_dir(), index_key, log.head().size)?);
        let logged = reader
            .controls()
            .into_iter()
            .filter_map(|index| reader.read_entry(index).ok());
        let logged = alarm::book(logged);
        let witnesses = Witnesses::new(policy, verifier.clone(), reader.clone())
            .map_err(|_| StartError::PolicyUnsuitable(config.audit.policy.clone()))?;
        let witnesses = Arc::new(witnesses);
        let tiles = config.audit_dir().join("tiles");
        let publication = Publication::open(tiles, &disk, verifier.clone(), reader.clone())?;
        let alarms = Alarms::new(
            verifier.clone(),
            Arc::clone(&witnesses),
            Arc::clone(&clock),
            logged,
        );

        let trusted = config.covenant_administrators.clone();
        let agreement = Arc::new(Agreement::open(&config.covenant, trusted, &tables)?);
        let Found { agreed, change } = agreement.begin(covenant, document, &reader)?;
        let rules = Arc::new(Rules::new(agreed));
        let public = v1::FetchResponse {
            covenant: Vec::new(),
            covenant_signatures: Vec::new(),
            missed: Vec::new(),
            log_origin: verifier.origin().as_str().to_owned(),
            ..v1::FetchResponse::default()
        };
        let (covenant, now) = (rules.covenant(), clock.now());
        let watch = Watch::open(
            &tables,
            usage_key,
            reader.clone(),
            Arc::clone(&alarms),
            &covenant,
            now,
        )?;
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let notices = Notices::open(
            &tables,
            reader.clone(),
            Arc::clone(&rules),
            Arc::clone(&clock),
            metrics.notices.clone(),
        )?;
        let parts = Parts {
            rules: Arc::clone(&rules),
            tables,
            watch: Arc::new(watch),
            registers: Arc::clone(&registers),
            reader,
            index: Arc::clone(&index),
            witnesses: Arc::clone(&witnesses),
            clock,
            last_logged,
            metrics,
        };
        let shared = Shared {
            hub: Arc::default(),
            office: Arc::default(),
            rules,
            registers,
            public: Arc::new(public),
            witnesses,
            publication,
            alarms,
            notices: Arc::new(notices),
            peers: Arc::default(),
            stopping: hitmachine_service::shutdown::channel().1,
        };
        Ok(Self {
            shared,
            log,
            parts,
            index,
            ldv,
            registry,
            agreement,
            change,
        })
    }
}

/// The log, and the time of its last entry.
fn open_log(
    config: &BrokerConfig,
    signer: LogSigner,
    wrapping: WrappingKey,
    disk: &Arc<dyn Disk>,
) -> Result<(Log, Option<Timestamp>), StartError> {
    let mut log_config = LogConfig::new(
        config.audit_dir(),
        config.audit.keys_dir.clone(),
        signer,
        wrapping,
    );
    log_config.segment_size = config.audit.segment_mib.clamp(2, 1024) << 20;
    let (log, recovery) = Log::open(log_config, Arc::clone(disk))?;
    tracing::info!(
        size = recovery.head.size,
        frames = recovery.frames,
        "audit log recovered"
    );
    if !recovery.destroyed_again.is_empty() {
        tracing::warn!(
            keys = recovery.destroyed_again.len(),
            "period keys that had been erased were back, from a backup perhaps; destroyed again"
        );
    }
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
    Ok((log, last_logged))
}

/// Reads everything that a start needs but the data: covenant, keys, certificates.
///
/// # Errors
/// [`StartError`] for the first thing that would stop a start.
pub fn check(config: &BrokerConfig) -> Result<(), StartError> {
    install_provider();
    self_test()?;
    server_config(&config.tls.identity(), &config.tls.authority)?;
    Exporter::read(config)?;
    for epoch in Configured::all(config)? {
        epoch.pepper()?;
    }
    let settings = Settings::read(config)?;
    let signed = acceptance::signed_by_its_own(&settings.covenant, &settings.document);
    signed.map_err(|source| AgreementError::NotAccepted {
        path: config.covenant.clone(),
        source,
    })?;
    Ok(())
}

/// The index is derived from the log, and its key from the key of the log's keys.
fn index_key(wrapping: &WrappingKey) -> [u8; 32] {
    blake3::derive_key("hitmachine 2026 audit index v1", wrapping.expose_secret())
}

/// Names of users in tables and alarms are digests under this key.
fn usage_key(wrapping: &WrappingKey) -> [u8; 32] {
    blake3::derive_key("hitmachine 2026 usage v1", wrapping.expose_secret())
}

/// Builds the search index of the audit log anew; how many entries the log has. `progress` hears how many are done,
/// of how many.
///
/// # Errors
/// [`StartError`]; also if a broker has the log open.
pub fn rebuild_index(config: &BrokerConfig, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, StartError> {
    let Settings { signer, wrapping, .. } = Settings::read(config)?;
    let key = index_key(&wrapping);
    let (log, _) = open_log(config, signer, wrapping, &(Arc::new(RealDisk) as Arc<dyn Disk>))?;
    let size = log.head().size;
    let index = AuditIndex::rebuild(&config.index_dir(), key)?;
    indexer::catch_up(&index, &log.reader(), size, &mut |done| progress(done, size))?;
    index.flush()?;
    Ok(size)
}

/// Moves damaged stores of registrations aside, so that the next start begins with empty ones and the nodes
/// send everything again. The audit log is not touched. Returns where the old ones are, one for each key epoch.
///
/// # Errors
/// When there is none, or one cannot be moved.
pub fn move_store_aside(config: &BrokerConfig) -> io::Result<Vec<PathBuf>> {
    let mut dirs = vec![config.registry_dir()];
    let of_later_epoch = |name: &str| {
        let number = name.strip_prefix("registry-")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())
    };
    for found in fs::read_dir(&config.data_dir)? {
        let found = found?;
        if found.file_name().to_str().and_then(of_later_epoch).is_some() {
            dirs.push(found.path());
        }
    }
    dirs.retain(|dir| dir.is_dir());
    if dirs.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut moved = Vec::with_capacity(dirs.len());
    for from in dirs {
        let mut name = from.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{stamp}"));
        let to = from.with_file_name(name);
        fs::rename(from, &to)?;
        moved.push(to);
    }
    fs::File::open(&config.data_dir)?.sync_all()?;
    Ok(moved)
}
