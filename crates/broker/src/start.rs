//! From configuration to a running broker.

mod error;
mod loaded;
mod offline;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{CommitError, Committer, CommitterOptions};
use hitmachine_core::{Clock, SystemClock};
use hitmachine_pseudonym::self_test;
use hitmachine_service::exit;
use hitmachine_service::metrics::{bind_metrics, serve_metrics};
use hitmachine_service::network::{Bind, Listen as _, Tcp};
use hitmachine_service::server::{ServerMetrics, serve};
use hitmachine_service::tls::{install_provider, server_config};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic_health::server::HealthReporter;

use crate::config::BrokerConfig;
use crate::control;
use crate::epochs::EpochChanger;
use crate::erasure::{self, Eraser};
use crate::hub::Hub;
use crate::indexer;
use crate::notice;
use crate::officer::Office;
use crate::publication;
use crate::services::{self, Shared};
use crate::witness::Contradicted;

use self::loaded::Loaded;

pub use self::error::StartError;
pub use self::offline::{check, move_store_aside, rebuild_index};

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
