//! How a node is, for who keeps it: the status, and what else tells in time that something will go wrong.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hitmachine_core::covenant::Answers;
use hitmachine_core::volume::local;
use hitmachine_service::tls::validity_of_file;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::node::Node;
use crate::sync::Progress;
use crate::sync_book::SyncView;
use crate::view::StatusView;

/// How a node is, for who keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealthView {
    /// When this was (RFC 3339).
    pub at: String,
    /// Version of this program.
    pub version: String,
    /// What the status says.
    pub status: StatusView,
    /// Why the hub cannot be used, if so.
    pub hub_failure: Option<Failure>,
    /// Days that the covenant held here is still in force, today not counted; negative if it is over.
    pub covenant_days_left: Option<i32>,
    /// Milliseconds that the hub took to answer, if it did.
    pub hub_ms: Option<u64>,
    /// Certificates: of this node, of its console, and the one that the hub showed last.
    pub certificates: Vec<CertificateView>,
    /// How this node witnesses the log; absent if it does not.
    pub witness: Option<WitnessView>,
    /// Names of the witnesses that the policy counts.
    pub witnesses: Vec<String>,
    /// Room on the disk of the local state, if the operating system says it.
    pub disk: Option<DiskView>,
    /// The other partners of the covenant that this node holds.
    pub partners: Vec<OtherPartnerView>,
}

/// Which certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateOf {
    /// This node's, towards the hub.
    Node,
    /// The console's, towards browsers.
    Console,
    /// The hub's.
    Hub,
}

/// Until when a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateView {
    /// Whose.
    pub of: CertificateOf,
    /// When it ends (RFC 3339); absent if the file cannot be read.
    pub not_after: Option<String>,
    /// Whole days until then; negative if it is over.
    pub days_left: Option<i64>,
}

/// What this node does as a witness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessView {
    /// Its name.
    pub name: String,
    /// When it cosigned last (RFC 3339), if ever.
    pub cosigned_at: Option<String>,
    /// Seconds since then.
    pub cosigned_s: Option<u64>,
    /// Entries of the log that it stands for.
    pub size: u64,
}

/// Room on a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskView {
    /// Free for this program.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Another partner, as far as this node can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPartnerView {
    /// Short name.
    pub partner: String,
    /// Name for people.
    pub name: String,
    /// How to reach it.
    pub contact: String,
    /// Whether it answers live.
    pub live: bool,
    /// Whether it registers anybody.
    pub registers: bool,
    /// How the last canary went.
    pub canary: CanaryWord,
}

/// How the last canary of a partner went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryWord {
    /// It was met.
    Met,
    /// It was another than expected.
    Missed,
    /// Its node has not been at the hub since that was started.
    NotThereYet,
    /// Nothing was checked.
    NotChecked,
}

/// What is known of the sources.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourcesView {
    /// How the last syncs went.
    pub last: SyncView,
    /// Whether one is under way.
    pub running: bool,
    /// How far it is, if it has said so.
    pub progress: Option<Progress>,
    /// When the next is due by schedule (RFC 3339), if this node keeps one.
    pub next_at: Option<String>,
    /// A source may lose this share of its persons, in percent, without a confirmation.
    pub max_loss_percent: u64,
}

/// The last known place of the own register: while a sync is under way nobody else may look at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) complete_ms: i64,
    pub(crate) persons: u64,
    pub(crate) in_doubt: usize,
}

/// A place that is looked up now, or remembered.
#[derive(Debug, Default)]
pub(crate) struct LastPlace(Mutex<Place>);

impl LastPlace {
    /// The place just found, or the last one if none could be.
    pub(crate) fn or_last(&self, found: Option<Place>) -> Place {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found {
            *last = found;
        }
        *last
    }
}

impl Node {
    /// How things are, for who keeps the node. The hub gets `patience` to answer.
    pub async fn health(&self, patience: Duration) -> HealthView {
        let begun = Instant::now();
        let (status, hub_failure) = self.look(true, patience).await;
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = self.clock().now();
        let (config, state_dir) = (self.config(), self.config().state_dir.clone());
        let mut certificates = vec![of_file(CertificateOf::Node, &config.tls.certificate, now)];
        if let Some(tls) = config.console.as_ref().and_then(|console| console.tls.as_ref()) {
            certificates.push(of_file(CertificateOf::Console, &tls.certificate, now));
        }
        if let Some(end) = self.link.hub_certificate_end() {
            certificates.push(certificate(CertificateOf::Hub, Some(end), now));
        }
        let policy = self.inquirer.heads.policy();
        let disk = tokio::task::spawn_blocking(move || disk(&state_dir)).await;
        HealthView {
            at: now.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hub_ms: hub_failure.is_none().then_some(took),
            hub_failure,
            covenant_days_left: self.covenant_days_left(),
            certificates,
            witness: self.witness_view(now),
            witnesses: policy
                .witnesses()
                .map(|witness| witness.verifier().name().as_str().to_owned())
                .collect(),
            disk: disk.ok().flatten(),
            partners: self.other_partners(&status),
            status,
        }
    }

    /// What is known of the sources.
    pub fn sources(&self) -> SourcesView {
        let book = &self.synchroniser.book;
        let running = book.running();
        SourcesView {
            last: book.view(),
            running: running.is_some(),
            progress: running.and_then(|running| running.progress),
            next_at: book.next().map(|at| at.to_string()),
            max_loss_percent: self.config().sync.max_loss_percent,
        }
    }

    fn covenant_days_left(&self) -> Option<i32> {
        let (_, until) = self.covenant_held()?.validity();
        let today = local(self.clock().now()).date();
        today.until(until).ok().map(|span| span.get_days())
    }

    fn witness_view(&self, now: Timestamp) -> Option<WitnessView> {
        let witnessing = self.witnessing.as_ref()?;
        let held = witnessing
            .witness
            .held(witnessing.verifier.origin())
            .ok()
            .flatten();
        let seconds = held.as_ref().and_then(|held| i64::try_from(held.time_s).ok());
        let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Some(WitnessView {
            name: witnessing.witness.verifier().name().as_str().to_owned(),
            cosigned_s: at.map(|at| u64::try_from(now.as_second() - at.as_second()).unwrap_or(0)),
            cosigned_at: at.map(|at| at.to_string()),
            size: held.map_or(0, |held| held.head.size),
        })
    }

    fn other_partners(&self, status: &StatusView) -> Vec<OtherPartnerView> {
        let Some(covenant) = self.covenant_held() else {
            return Vec::new();
        };
        let own = &self.link.own().partner;
        let others = covenant.partners().iter().filter(|partner| partner.id != *own);
        let canary = |id: &str| match &status.canaries {
            Some(view) if view.checked_at.is_some() => {
                if view.missed.iter().any(|missed| missed.partner == id) {
                    CanaryWord::Missed
                } else if view.not_there_yet.iter().any(|other| other == id) {
                    CanaryWord::NotThereYet
                } else {
                    CanaryWord::Met
                }
            }
            _ => CanaryWord::NotChecked,
        };
        others
            .map(|partner| OtherPartnerView {
                partner: partner.id.to_string(),
                name: partner.name.clone(),
                contact: partner.contact.clone(),
                live: partner.answers == Answers::Live,
                registers: !partner.registers.is_empty(),
                canary: canary(partner.id.as_str()),
            })
            .collect()
    }
}

fn of_file(of: CertificateOf, path: &Path, now: Timestamp) -> CertificateView {
    let end = validity_of_file(path).ok().map(|(_, end)| end);
    certificate(of, end, now)
}

fn certificate(of: CertificateOf, end: Option<Timestamp>, now: Timestamp) -> CertificateView {
    CertificateView {
        of,
        not_after: end.map(|end| end.to_string()),
        days_left: end.map(|end| (end.as_second() - now.as_second()).div_euclid(86_400)),
    }
}

fn disk(dir: &Path) -> Option<DiskView> {
    let room = rustix::fs::statvfs(dir).ok()?;
    Some(DiskView {
        free: room.f_bavail.saturating_mul(room.f_frsize),
        total: room.f_blocks.saturating_mul(room.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_one_that_is_over_is_negative() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let days = |end: &str| certificate(CertificateOf::Node, end.parse().ok(), now).days_left;
        assert_eq!(days("2026-12-22T12:00:00Z"), Some(30));
        assert_eq!(days("2026-12-22T11:59:59Z"), Some(29));
        assert_eq!(days("2026-11-22T12:00:01Z"), Some(0));
        assert_eq!(days("2026-11-22T11:59:59Z"), Some(-1));
        let gone = of_file(CertificateOf::Node, Path::new("/nowhere/node.pem"), now);
        assert_eq!((gone.not_after, gone.days_left), (None, None));
    }

    #[test]
    fn a_disk_has_room_and_none_that_is_not_there_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let view = disk(dir.path()).unwrap();
        assert!(view.total >= view.free && view.total > 0, "{view:?}");
        assert_eq!(disk(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn a_place_is_remembered_while_nobody_may_look() {
        let last = LastPlace::default();
        assert_eq!(last.or_last(None).persons, 0);
        let found = Place {
            persons: 7,
            ..Place::default()
        };
        last.or_last(Some(found));
        assert_eq!(last.or_last(None).persons, 7);
    }
}
