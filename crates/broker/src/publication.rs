//! The published log: kept in step with the log, cosigned by the witnesses, and served.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hitmachine_audit::tiles::{PublishError, PublishedFolder};
use hitmachine_audit::{
    CommitHandle, Disk, LogReader, LogVerifier, Publisher, ReadTile, SignedHead, TilePath,
};
use hitmachine_service::pages::{PageLimits, serve_pages};
use tokio::net::TcpListener;

use crate::metrics::Metrics;
use crate::witness::Witnesses;

/// Rounds at least so far apart, also when answers wait for them.
const EVERY: Duration = Duration::from_secs(1);
const IN_A_HURRY: Duration = Duration::from_millis(5);
/// A round also when the log has not grown; a little less than the minute after which a checkpoint counts as old.
const IDLE: Duration = Duration::from_secs(50);

/// The folder with tiles, bundles and checkpoint.
#[derive(Clone)]
pub(crate) struct Publication {
    publisher: Arc<Mutex<Publisher>>,
    folder: PublishedFolder,
    reader: LogReader,
}

impl Publication {
    /// Opens the folder and mends what is missing or wrong in it.
    ///
    /// # Errors
    /// [`PublishError`]: also if the checkpoint in it is not one of this log.
    pub(crate) fn open(
        dir: PathBuf,
        disk: &Arc<dyn Disk>,
        verifier: LogVerifier,
        reader: LogReader,
    ) -> Result<Self, PublishError> {
        let mut publisher = Publisher::open(dir.clone(), Arc::clone(disk), verifier)?;
        let healed = publisher.heal(&reader)?;
        if healed.rewritten > 0 {
            tracing::warn!(
                files = healed.rewritten,
                "files of the published log were missing or wrong; written again"
            );
        }
        Ok(Self {
            publisher: Arc::new(Mutex::new(publisher)),
            folder: PublishedFolder::new(dir, Arc::clone(disk)),
            reader,
        })
    }

    /// Publishes a checkpoint, or puts one of the same size with more cosignatures in its place.
    ///
    /// # Errors
    /// [`PublishError`]; what was published before still is.
    pub(crate) fn publish(&self, size: u64, note: &[u8]) -> Result<(), PublishError> {
        let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish(&self.reader, size, note).map(|_| ())
    }

    /// Size of the published checkpoint, whose files have been checked.
    pub(crate) fn size(&self) -> u64 {
        let publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.published().map_or(0, |head| head.size)
    }

    /// One file, by its path in the published log; `None` if there is no such file.
    ///
    /// # Errors
    /// As the disk says.
    pub(crate) fn file(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match path.parse::<TilePath>() {
            Ok(path) => self.folder.read(&path),
            Err(_) => Ok(None),
        }
    }

    /// The newest published checkpoint.
    ///
    /// # Errors
    /// As the disk says.
    pub(crate) fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.folder.checkpoint()
    }
}

/// Has each new head cosigned and published, once a second; once a minute when nothing is new.
pub(crate) async fn keep(
    publication: Publication,
    witnesses: Arc<Witnesses>,
    log: CommitHandle,
    metrics: Metrics,
) {
    let mut last: Option<(u64, Instant)> = None;
    loop {
        let head = log.head();
        let size = head.head.size;
        let due = last.is_none_or(|(done, at)| done != size || at.elapsed() >= IDLE);
        if due {
            let begun = Instant::now();
            let note = witnesses.round(&head).await;
            publish(&publication, &head, note).await;
            let (connected, _) = witnesses.count();
            metrics
                .witnesses
                .set(i64::try_from(connected).unwrap_or(i64::MAX));
            last = Some((size, begun));
        }
        let waited = tokio::time::timeout(EVERY, witnesses.hurried()).await;
        if waited.is_ok() {
            // A node has come, or an answer waits: a round even if nothing is new.
            last = None;
            tokio::time::sleep(IN_A_HURRY).await;
        }
    }
}

/// A last round, while the nodes are still there: what lies on the disk of a hub that has stopped is cosigned too.
pub(crate) async fn finish(publication: &Publication, witnesses: &Arc<Witnesses>, head: &SignedHead) {
    let cosigned = witnesses
        .newest()
        .borrow()
        .as_ref()
        .map(|newest| newest.head.size);
    if cosigned != Some(head.head.size) && witnesses.count().0 > 0 {
        let note = witnesses.round(head).await;
        publish(publication, head, note).await;
    }
}

async fn publish(publication: &Publication, head: &SignedHead, note: Vec<u8>) {
    let (publication, size) = (publication.clone(), head.head.size);
    let published = tokio::task::spawn_blocking(move || publication.publish(size, &note)).await;
    if let Ok(Err(error)) = published {
        // Nobody's answer depends on it; it is tried again with the next head.
        let error = hitmachine_service::console::chain(&error);
        tracing::error!(error, "the log could not be published");
    }
}

/// Serves the files over HTTP, read-only. They hold no personal data.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    publication: Publication,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .with_state(publication);
    serve_pages(listener, None, router, PageLimits::default(), shutdown).await
}

async fn checkpoint(State(publication): State<Publication>) -> Response {
    let read = tokio::task::spawn_blocking(move || publication.checkpoint()).await;
    respond(
        read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())),
        "text/plain; charset=utf-8",
        "no-store",
    )
}

async fn tile(State(publication): State<Publication>, UrlPath(path): UrlPath<String>) -> Response {
    let read = tokio::task::spawn_blocking(move || publication.file(&format!("tile/{path}"))).await;
    respond(
        read.unwrap_or_else(|_| Err(io::ErrorKind::Other.into())),
        "application/octet-stream",
        "public, max-age=31536000, immutable",
    )
}

fn respond(file: io::Result<Option<Vec<u8>>>, kind: &'static str, cache: &'static str) -> Response {
    match file {
        Ok(Some(bytes)) => (
            [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)],
            bytes,
        )
            .into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Writes the evidence of a rollback or fork beside the log; the path of the file.
///
/// # Errors
/// As the disk says.
pub(crate) fn keep_note(audit_dir: &Path, name: &str, note: &[u8]) -> io::Result<PathBuf> {
    let dir = audit_dir.join("evidence");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(name);
    std::fs::write(&path, note)?;
    Ok(path)
}
