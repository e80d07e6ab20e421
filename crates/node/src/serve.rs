//! A node that serves: keeps its register in step, and answers the command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hitmachine_pseudonym::KeyEpoch;
use tokio::time::Instant;

use crate::control::{bind, listen};
use crate::node::Node;
use crate::sync::SyncOptions;

/// First and longest pause after a sync that failed and may pass.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// How often old screenings are looked for.
const FORGETS_EVERY: Duration = Duration::from_hours(1);

/// What a file looked like: size and time of change.
type Look = Vec<Option<(u64, SystemTime)>>;

/// Serves until `shutdown` resolves. `ready` is called when the socket is open; `console` serves the pages for people beside
/// it, and never ends by itself.
///
/// # Errors
/// When the socket cannot be made, or fails.
pub async fn serve(
    node: Arc<Node>,
    shutdown: impl Future<Output = ()>,
    console: impl Future<Output = std::io::Result<()>>,
    ready: impl FnOnce(),
) -> std::io::Result<()> {
    let socket = node.config().socket();
    let listener = bind(&socket)?;
    tracing::info!(partner = node.config().partner, "node ready");
    ready();
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        listening = listen(Arc::clone(&node), listener) => listening,
        served = console => served,
        () = Box::pin(keep_in_step(&node)) => Ok(()),
        () = Box::pin(follow_epochs(&node)) => Ok(()),
        () = Box::pin(node.witness()) => Ok(()),
        () = Box::pin(node.follow_notices()) => Ok(()),
        () = Box::pin(node.tell_hooks()) => Ok(()),
        () = Box::pin(node.answer_live()) => Ok(()),
        () = Box::pin(node.watch_canaries()) => Ok(()),
        () = Box::pin(follow_covenant(&node)) => Ok(()),
        () = Box::pin(forget_old_screenings(&node)) => Ok(()),
    };
    // A sync that is under way stops between two batches; both sides know how far it was.
    let _ = std::fs::remove_file(socket);
    tracing::info!("node stopped");
    outcome
}

/// Asks the hub now and then whether the covenant has changed; what it finds is accepted or refused, and remembered.
async fn follow_covenant(node: &Arc<Node>) {
    let every = Duration::from_secs(node.config().covenant_check_seconds.max(1));
    let mut said = None;
    loop {
        tokio::time::sleep(every).await;
        node.link.forget_covenant();
        let failed = node.link.covenant().await.err().filter(|error| !error.may_pass());
        let failed = failed.map(|error| hitmachine_service::console::chain(&error));
        if let Some(error) = failed.as_ref().filter(|_| failed != said) {
            tracing::warn!(error, "the covenant cannot be followed; nothing is asked");
        }
        said = failed;
    }
}

/// Looks for the next key and for the hub's word on key epochs as often as for changed files.
async fn follow_epochs(node: &Arc<Node>) {
    let pause = Duration::from_secs(node.config().sync.watch_seconds.max(1));
    loop {
        node.follow_epochs().await;
        tokio::time::sleep(pause).await;
    }
}

/// Synchronises at start, on schedule, after a change of the covenant or of key epochs, when a file has changed and
/// lies still, and again after a failure that may pass. Polls files instead of asking the kernel for events: exports arrive on network shares, which have none.
async fn keep_in_step(node: &Arc<Node>) {
    if node.config().source.is_empty() {
        return std::future::pending().await;
    }
    let settings = &node.config().sync;
    let every = Duration::from_secs(settings.every_minutes.max(1) * 60);
    let watch = Duration::from_secs(settings.watch_seconds.max(1));
    let paths: Vec<PathBuf> = node
        .config()
        .source
        .iter()
        .filter_map(|source| source.watched().map(Into::into))
        .collect();
    let mut pause = FIRST_PAUSE;
    loop {
        let synchronised = look(&paths).await;
        let begun = Instant::now();
        // What it changes to while this sync runs is not what this sync was made under; the first is no change.
        let under = node.link.agreements().held_version();
        let epochs = registering(node);
        let result = node
            .synchroniser
            .run(SyncOptions::default(), Arc::new(|_| ()))
            .await;
        let wait = match result {
            Ok(report) => {
                let (persons, sent, bad) = (
                    report.persons,
                    report.registered + report.withdrawn,
                    report.bad_rows,
                );
                tracing::info!(
                    persons,
                    changes = sent,
                    bad_rows = bad,
                    full = report.full,
                    "in step with the hub"
                );
                pause = FIRST_PAUSE;
                every
            }
            Err(error) => {
                let may_pass = error.may_pass();
                let text = hitmachine_service::console::chain(&error);
                tracing::warn!(error = text, again = may_pass, "sync failed");
                let wait = if may_pass { pause } else { every };
                pause = (pause * 2).min(LONGEST_PAUSE);
                wait
            }
        };
        let due = node.clock().now().checked_add(wait).ok();
        node.synchroniser.book.plan(due);
        // Wait for the schedule, or for a change that is followed by a moment of rest.
        let mut last = synchronised.clone();
        while begun.elapsed() < wait {
            tokio::time::sleep(watch.min(wait.saturating_sub(begun.elapsed()))).await;
            let now = look(&paths).await;
            if registering(node) != epochs {
                tracing::info!("the key epochs to register in have changed");
                break;
            }
            if now != synchronised && now == last {
                tracing::info!("a source has changed");
                break;
            }
            if under.is_some_and(|under| node.link.agreements().held_version() != Some(under)) {
                tracing::info!("terms or classes may have changed with the covenant");
                break;
            }
            last = now;
        }
    }
}

/// Forgets screenings that were kept long enough, also when nobody asks for any.
async fn forget_old_screenings(node: &Node) {
    loop {
        if let Err(failure) = node.forget_old_screenings().await {
            tracing::warn!(code = failure.code, "old screenings cannot be forgotten");
        }
        tokio::time::sleep(FORGETS_EVERY).await;
    }
}

/// The key epochs that this node registers in at this moment.
fn registering(node: &Node) -> Vec<KeyEpoch> {
    let keys = node.synchroniser.keys.registering();
    keys.iter().map(|key| key.keys.number).collect()
}

async fn look(paths: &[PathBuf]) -> Look {
    let mut seen = Vec::with_capacity(paths.len());
    for path in paths {
        let data = tokio::fs::metadata(path).await.ok();
        seen.push(data.and_then(|data| Some((data.len(), data.modified().ok()?))));
    }
    seen
}
