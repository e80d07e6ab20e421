//! For the administrator: how the node is, what is wrong and what to do, and its sources.

use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{MAX_AGE_S, WARN_AGE_S};
use hitmachine_node::control::Request;
use hitmachine_node::health::{CertificateOf, HealthView, SourcesView};
use hitmachine_node::live::LiveWord;
use hitmachine_node::sync::SyncOptions;

use crate::app::App;
use crate::caller::Administrator;
use crate::problem::Problem;

/// How long the page waits for the hub.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the page waits for a sync before it shows how far it is.
const SYNC_PATIENCE: Duration = Duration::from_secs(2);
/// Days before its end from which a certificate or the covenant is a warning.
pub const WARN_DAYS: i64 = 30;
/// Below this share of the disk, in percent, room is a warning.
const LEAST_ROOM_PERCENT: u64 = 5;
/// And below this room, in bytes.
const LEAST_ROOM: u64 = 1 << 30;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something will not work, or needs a look.
    Warning,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The hub cannot be used.
    Hub,
    /// A certificate is over.
    CertificateOver(CertificateOf),
    /// A certificate is over in so many days.
    CertificateSoon(CertificateOf, i64),
    /// A certificate file cannot be read.
    CertificateUnread(CertificateOf),
    /// The covenant is over.
    CovenantOver,
    /// The covenant is over in so many days.
    CovenantSoon(i64),
    /// The key of an epoch is wrong.
    KeyWrong(u32),
    /// The key of an epoch that is to come, or in use, is missing.
    KeyMissing(u32),
    /// Canaries of these partners were missed.
    Canaries(String),
    /// Partners did not cosign the log for so long that no answer is shown.
    WitnessesGone,
    /// Partners cosigned the log too long ago.
    WitnessesLate,
    /// This node has not cosigned for long.
    NotWitnessing,
    /// This organisation answers live, and the hub does not take its answers.
    LiveGone,
    /// Another node of this organisation answers live.
    LiveReplaced,
    /// Hit notices do not come in.
    Notices,
    /// A sync did not end well.
    Sync,
    /// A source shrank: so many persons of so many.
    Shrunk(u64, u64),
    /// There are sources, and none was ever synchronised.
    NeverSynchronised,
    /// So many rows were left out.
    BadRows(u64),
    /// So many alarms.
    Alarms(usize),
    /// The disk has so much room left, in MiB.
    Disk(u64),
}

impl Finding {
    /// How bad it is.
    pub fn level(&self) -> Level {
        match self {
            Self::Hub
            | Self::CertificateOver(_)
            | Self::CertificateUnread(_)
            | Self::CovenantOver
            | Self::KeyWrong(_)
            | Self::Canaries(_)
            | Self::WitnessesGone
            | Self::LiveGone
            | Self::Sync => Level::Error,
            Self::CertificateSoon(..)
            | Self::CovenantSoon(_)
            | Self::KeyMissing(_)
            | Self::WitnessesLate
            | Self::NotWitnessing
            | Self::LiveReplaced
            | Self::Notices
            | Self::Shrunk(..)
            | Self::NeverSynchronised
            | Self::BadRows(_)
            | Self::Alarms(_)
            | Self::Disk(_) => Level::Warning,
        }
    }
}

/// How the node is, for one who keeps it.
pub struct State {
    /// What was seen.
    pub health: HealthView,
    /// The sources.
    pub sources: SourcesView,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

/// How things are. Works without the hub, too.
pub async fn state(app: &App, _: Administrator<'_>) -> State {
    let health = app.node().health(PATIENCE).await;
    let sources = app.node().sources();
    let findings = findings(&health, &sources);
    State {
        health,
        sources,
        findings,
    }
}

/// How the sources are.
pub fn sources(app: &App, _: Administrator<'_>) -> SourcesView {
    app.node().sources()
}

/// Begins a sync, unless one is under way, and waits a moment for it; how it ends is remembered. `confirmed_loss` is what
/// somebody saw that a source has lost, and confirmed.
///
/// # Errors
/// [`Problem`] of code `not_shrunk` if there is no such loss to confirm any more.
pub async fn synchronise(
    app: &App,
    administrator: Administrator<'_>,
    confirmed_loss: Option<u64>,
) -> Result<(), Problem> {
    let seen = app.node().sources();
    if seen.running {
        return Ok(());
    }
    if confirmed_loss.is_some() && confirmed_loss != seen.last.shrunk.map(|shrunk| shrunk.lost) {
        return Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "not_shrunk",
            "De bron is intussen opnieuw gelezen. Bekijk de getallen opnieuw.",
            "The source has been read again meanwhile. Look at the numbers again.",
        ));
    }
    let user = administrator.user();
    tracing::info!(user, confirmed_loss, "a sync was begun at the console");
    let options = SyncOptions {
        confirmed_loss,
        ..SyncOptions::default()
    };
    let node = Arc::clone(app.node());
    // It goes on when nobody waits for it any more.
    let syncing = tokio::spawn(async move { node.handle(Request::Sync(options), Arc::new(|_| ())).await });
    let _ = tokio::time::timeout(SYNC_PATIENCE, syncing).await;
    Ok(())
}

/// What is wrong, the worst first.
pub fn findings(health: &HealthView, sources: &SourcesView) -> Vec<Finding> {
    let mut found = Vec::new();
    let status = &health.status;
    let hub_is_there = health.hub_failure.is_none();
    let mut add = |is: bool, finding: Finding| {
        if is {
            found.push(finding);
        }
    };
    add(!hub_is_there, Finding::Hub);
    for certificate in &health.certificates {
        match certificate.days_left {
            None => add(true, Finding::CertificateUnread(certificate.of)),
            Some(days) if days < 0 => add(true, Finding::CertificateOver(certificate.of)),
            Some(days) => add(days < WARN_DAYS, Finding::CertificateSoon(certificate.of, days)),
        }
    }
    if let Some(days) = health.covenant_days_left.map(i64::from) {
        add(days < 0, Finding::CovenantOver);
        add((0..WARN_DAYS).contains(&days), Finding::CovenantSoon(days));
    }
    for epoch in status.epochs.iter().filter(|epoch| epoch.state != "retired") {
        add(epoch.key == "wrong", Finding::KeyWrong(epoch.number));
        // One that drains is over soon; who has no key of it asks in the one after it.
        let needed = epoch.state != "draining";
        add(
            needed && epoch.key == "missing",
            Finding::KeyMissing(epoch.number),
        );
    }
    let missed = status.canaries.as_ref().map(|view| view.missed.as_slice());
    let missed = missed.unwrap_or_default();
    let names: Vec<&str> = missed.iter().map(|missed| missed.name.as_str()).collect();
    add(!missed.is_empty(), Finding::Canaries(names.join(", ")));
    if status.witness_quorum > 0 {
        let age = status.witnessed_s.unwrap_or(u64::MAX);
        add(age >= MAX_AGE_S, Finding::WitnessesGone);
        add((WARN_AGE_S..MAX_AGE_S).contains(&age), Finding::WitnessesLate);
        let own = health
            .witness
            .as_ref()
            .map(|own| own.cosigned_s.unwrap_or(u64::MAX));
        add(own.is_some_and(|age| age >= WARN_AGE_S), Finding::NotWitnessing);
    }
    if hub_is_there {
        let live = status.live.as_ref().map(|live| live.state);
        add(live == Some(LiveWord::NotConnected), Finding::LiveGone);
        add(live == Some(LiveWord::Replaced), Finding::LiveReplaced);
        add(!status.notices_connected, Finding::Notices);
    }
    let last = &sources.last;
    match (last.shrunk, &last.failure) {
        (Some(shrunk), _) => add(true, Finding::Shrunk(shrunk.lost, shrunk.before)),
        (None, Some(_)) => add(true, Finding::Sync),
        (None, None) => add(
            !last.sources.is_empty() && last.good.is_none(),
            Finding::NeverSynchronised,
        ),
    }
    let bad: u64 = last.sources.iter().map(|source| source.bad_rows).sum();
    add(bad > 0, Finding::BadRows(bad));
    add(!status.alarms.is_empty(), Finding::Alarms(status.alarms.len()));
    if let Some(disk) = health.disk {
        let little = disk.free < LEAST_ROOM || disk.free < disk.total / 100 * LEAST_ROOM_PERCENT;
        add(little, Finding::Disk(disk.free >> 20));
    }
    found.sort_by_key(Finding::level);
    found
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
