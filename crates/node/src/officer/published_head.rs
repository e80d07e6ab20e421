//! The checkpoint that the hub publishes, and who cosigned it.

use std::io;
use std::sync::Arc;

use hitmachine_audit::{Checkpoint, LogVerifier, Policy, QuorumTime, ReadTile};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::published::Hub;
use crate::failure::Failure;
use crate::link::LinkError;
use crate::node::Node;

/// A published checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedHead {
    /// Entries that it is about.
    pub size: u64,
    /// Root of the tree, in hexadecimal.
    pub root: String,
    /// The signed note.
    pub note: String,
    /// Each partner that may cosign, in the policy's order.
    pub witnesses: Vec<WitnessView>,
    /// Cosignatures that make a quorum, if it is a matter of numbers; 0 if none are asked for.
    pub needed: Option<usize>,
    /// Whether it has them.
    pub holds: bool,
}

/// One partner that may cosign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessView {
    /// Its name in the policy.
    pub name: String,
    /// When it cosigned this checkpoint, in seconds since 1970, by its own clock; absent if it did not.
    pub cosigned_s: Option<u64>,
}

impl PublishedHead {
    /// Cosignatures on it.
    pub fn cosigned(&self) -> usize {
        let witnesses = self.witnesses.iter();
        witnesses.filter(|witness| witness.cosigned_s.is_some()).count()
    }

    /// When the last partner cosigned it, in seconds since 1970.
    pub fn newest_s(&self) -> Option<u64> {
        self.witnesses
            .iter()
            .filter_map(|witness| witness.cosigned_s)
            .max()
    }

    /// Of a note that the log signed; `None` if it did not, or if a known witness's line does not fit.
    pub(crate) fn open(note: &[u8], verifier: &LogVerifier, policy: &Policy) -> Option<(Checkpoint, Self)> {
        let (cosigned, quorum) = policy.open(note).ok()?;
        let checkpoint = verifier.open(note).ok()?;
        let witnesses = policy.witnesses().map(|witness| {
            let own = cosigned.cosignatures.iter();
            let own = own.filter(|cosignature| cosignature.witness() == witness.verifier());
            WitnessView {
                name: witness.verifier().name().as_str().to_owned(),
                cosigned_s: own.map(hitmachine_audit::Cosignature::time_s).max(),
            }
        });
        let head = Self {
            size: checkpoint.size,
            root: hex::encode(checkpoint.root.as_bytes()),
            note: String::from_utf8_lossy(note).into_owned(),
            witnesses: witnesses.collect(),
            needed: policy.needed(),
            holds: quorum != QuorumTime::Missing,
        };
        Some((checkpoint, head))
    }
}

impl Node {
    /// The published checkpoint; `None` if the hub has published none. It is public, and to read it is no entry.
    ///
    /// # Errors
    /// [`Failure`] if the hub cannot be reached, or what it publishes is not signed by the log.
    pub async fn published_head(&self) -> Result<Option<PublishedHead>, Failure> {
        let (verifier, policy) = (
            self.inquirer.notes.verifier().clone(),
            self.inquirer.heads.policy().clone(),
        );
        let note = self.with_hub(ReadTile::checkpoint).await?;
        let Some(note) = note else { return Ok(None) };
        let opened = PublishedHead::open(&note, &verifier, &policy);
        let opened = opened.ok_or(LinkError::Unreadable("the published checkpoint"));
        Ok(Some(opened.map_err(Failure::from)?.1))
    }

    /// Entries of the log that this node has seen proof of.
    pub fn log_size_seen(&self) -> u64 {
        self.inquirer.heads.largest()
    }

    /// Reads public files of the hub, on a thread that may wait.
    pub(super) async fn with_hub<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Hub) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let hub = Hub {
            link: Arc::clone(&self.link),
            runtime: Handle::current(),
        };
        let reading = tokio::task::spawn_blocking(move || read(&hub)).await;
        let read = reading.map_err(|_| Failure::node("task stopped"))?;
        read.map_err(|error| match error.downcast::<LinkError>() {
            Ok(error) => Failure::from(error),
            Err(error) => Failure::node(&hitmachine_service::console::chain(&error)),
        })
    }
}
