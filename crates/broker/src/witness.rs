//! The partners as witnesses: who is connected, what they saw, and rounds of cosigning.
//!
//! A node opens a stream and says which heads of this log it holds. Each must lie on the log, or the broker stops: it
//! was rolled back, or somebody signed with its key. Until as many witnesses as make a quorum have said so, nothing is
//! answered ([`Witnesses::confirmed`]): a log that was cut off cannot tell by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hitmachine_audit::{
    AddCheckpoint, HeadConflict, LogReader, LogVerifier, Policy, PolicyWitness, QuorumTime, SignedHead,
    WitnessVerifier,
};
use hitmachine_core::PartnerId;
use hitmachine_proto::v1;
use hitmachine_proto::v1::hub_message::Message as ToNode;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::cosigned::{Cosigned, Newest};

/// How long a witness may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages that wait for a node; one that does not read is left behind.
const WAITING: usize = 16;

/// What is sent to a node.
pub(crate) type Outgoing = mpsc::Receiver<v1::HubMessage>;

/// A partner holds a head, signed with this log's key, that this log does not have: a rollback or a fork. Fatal.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{partner} holds a signed checkpoint that this log does not continue: {conflict}")]
pub(crate) struct Contradicted {
    /// Who showed it.
    pub(crate) partner: PartnerId,
    /// In what way.
    #[source]
    pub(crate) conflict: HeadConflict,
    /// The signed note.
    pub(crate) note: Vec<u8>,
}

/// Why a node's first message is refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum HelloError {
    /// Not in the policy, or named after another partner.
    #[error("the witness policy names no witness of this organisation with this key")]
    Unknown,
    /// See [`Contradicted`].
    #[error("the hub's log does not continue what this node holds; the hub stops")]
    Contradicted,
}

struct Connection {
    number: u64,
    partner: PartnerId,
    to: mpsc::Sender<v1::HubMessage>,
    /// Size of the head that it cosigned last, as far as is known.
    size: u64,
    waiting: BTreeMap<u64, oneshot::Sender<v1::AddCheckpointResponse>>,
}

/// All witnesses of this log.
pub(crate) struct Witnesses {
    policy: Policy,
    verifier: LogVerifier,
    reader: LogReader,
    needed: usize,
    connections: Mutex<BTreeMap<String, Connection>>,
    heard: watch::Sender<BTreeSet<String>>,
    newest: watch::Sender<Option<Arc<Cosigned>>>,
    alarms: watch::Sender<Vec<v1::Alarm>>,
    contradicted: watch::Sender<Option<Arc<Contradicted>>>,
    hurry: Notify,
    numbers: AtomicU64,
}

/// The policy is not one that a hub can use: another log's, or with groups of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsuitable;

impl Witnesses {
    /// For a policy that names this log and one group of witnesses.
    ///
    /// # Errors
    /// [`Unsuitable`].
    pub(crate) fn new(policy: Policy, verifier: LogVerifier, reader: LogReader) -> Result<Self, Unsuitable> {
        let ours = matches!(policy.logs(), [log] if *log.verifier() == verifier);
        let needed = policy.needed().filter(|_| ours).ok_or(Unsuitable)?;
        Ok(Self {
            policy,
            verifier,
            reader,
            needed,
            connections: Mutex::default(),
            heard: watch::channel(BTreeSet::new()).0,
            newest: watch::channel(None).0,
            alarms: watch::channel(Vec::new()).0,
            contradicted: watch::channel(None).0,
            hurry: Notify::new(),
            numbers: AtomicU64::new(1),
        })
    }

    /// Returns once as many witnesses as make a quorum have shown what they hold and it lies on this log.
    pub(crate) async fn confirmed(&self) {
        let mut heard = self.heard.subscribe();
        if heard.borrow().len() < self.needed {
            tracing::warn!(
                needed = self.needed,
                "waiting for partners to confirm the log; until then nothing is answered"
            );
        }
        // The sender lives as long as this.
        let _ = heard.wait_for(|heard| heard.len() >= self.needed).await;
    }

    /// Returns when a partner has shown a head that this log does not have.
    pub(crate) async fn contradicted(&self) -> Arc<Contradicted> {
        let mut contradicted = self.contradicted.subscribe();
        loop {
            if let Some(found) = contradicted.borrow_and_update().clone() {
                return found;
            }
            if contradicted.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The newest checkpoint that a quorum cosigned.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.subscribe()
    }

    /// What partners must hear of.
    pub(crate) fn alarms(&self) -> &watch::Sender<Vec<v1::Alarm>> {
        &self.alarms
    }

    /// Has a round begin at once: an answer waits for it.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Returns when somebody is in a hurry.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    /// How many witnesses are connected, and how many make a quorum.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.connections().len(), self.needed)
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<String, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a node's first message. Its number names the connection.
    ///
    /// # Errors
    /// [`HelloError`].
    pub(crate) fn hello(
        &self,
        partner: &PartnerId,
        hello: &v1::WitnessHello,
    ) -> Result<(u64, Outgoing), HelloError> {
        // A partner may say hello only as the witness that carries its name, so that one cannot stand for many.
        let known = self.policy.witnesses().find(|witness| {
            let verifier = witness.verifier();
            verifier.to_string() == hello.verifier && is_of(verifier.name().as_str(), partner)
        });
        known.ok_or(HelloError::Unknown)?;
        for note in &hello.notes {
            self.compare(partner, note)?;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (to, outgoing) = mpsc::channel(WAITING);
        let connection = Connection {
            number,
            partner: partner.clone(),
            to,
            size: 0,
            waiting: BTreeMap::new(),
        };
        self.connections().insert(hello.verifier.clone(), connection);
        self.heard
            .send_if_modified(|heard| heard.insert(hello.verifier.clone()));
        tracing::info!(%partner, "witness connected");
        self.hurry();
        Ok((number, outgoing))
    }

    fn compare(&self, partner: &PartnerId, note: &[u8]) -> Result<(), HelloError> {
        let Ok(checkpoint) = self.verifier.open(note) else {
            // Anybody can write a note; without our signature it says nothing about us.
            tracing::warn!(%partner, "a witness showed a note that this log did not sign");
            return Ok(());
        };
        let Err(conflict) = self.reader.confirm(&checkpoint.head()) else {
            return Ok(());
        };
        tracing::error!(%partner, %conflict, "a partner holds a checkpoint that this log does not continue");
        self.contradicted.send_replace(Some(Arc::new(Contradicted {
            partner: partner.clone(),
            conflict,
            note: note.to_vec(),
        })));
        Err(HelloError::Contradicted)
    }

    /// Takes a node's answer to a round.
    pub(crate) fn answer(&self, verifier: &str, number: u64, response: v1::AddCheckpointResponse) {
        let mut connections = self.connections();
        let connection = connections.get_mut(verifier);
        let waiting = connection.filter(|connection| connection.number == number);
        if let Some(waiting) = waiting.and_then(|connection| connection.waiting.remove(&response.round)) {
            // Whoever waited may have lost patience.
            let _ = waiting.send(response);
        }
    }

    /// The stream has ended.
    pub(crate) fn gone(&self, verifier: &str, number: u64) {
        let mut connections = self.connections();
        if connections
            .get(verifier)
            .is_some_and(|connection| connection.number == number)
        {
            connections.remove(verifier);
        }
    }

    /// Asks every connected witness to cosign this head; the note with all cosignatures that came in time. Sends the
    /// note to all of them if it has a quorum.
    pub(crate) async fn round(self: &Arc<Self>, signed: &SignedHead) -> Vec<u8> {
        let verifiers: Vec<String> = self.connections().keys().cloned().collect();
        let mut asked = JoinSet::new();
        for verifier in verifiers {
            let (witnesses, signed) = (Arc::clone(self), signed.clone());
            asked.spawn(async move {
                let asking = witnesses.ask(&verifier, &signed);
                tokio::time::timeout(PATIENCE, asking).await.ok().flatten()
            });
        }
        let mut note = signed.note.to_vec();
        let known: Vec<&WitnessVerifier> = self.policy.witnesses().map(PolicyWitness::verifier).collect();
        while let Some(answered) = asked.join_next().await {
            let Some(lines) = answered.ok().flatten() else {
                continue;
            };
            match self.verifier.add_cosignatures(&note, &lines, &known) {
                Ok(more) => note = more,
                Err(error) => tracing::warn!(%error, "a cosignature does not fit and is left out"),
            }
        }
        if let Ok((cosigned, QuorumTime::Held { since_s })) = self.policy.open(&note) {
            let newest = Cosigned {
                note: note.clone().into(),
                head: cosigned.checkpoint.head(),
                time: since_s,
            };
            self.newest.send_replace(Some(Arc::new(newest)));
            self.send_all(&v1::HubMessage {
                message: Some(ToNode::Cosigned(note.clone())),
            });
        }
        note
    }

    /// Sends to every node; one that does not read misses it.
    pub(crate) fn send_all(&self, message: &v1::HubMessage) {
        for connection in self.connections().values() {
            let _ = connection.to.try_send(message.clone());
        }
    }

    /// Cosignature lines of one witness.
    async fn ask(&self, verifier: &str, signed: &SignedHead) -> Option<Vec<u8>> {
        let size = signed.head.size;
        // Twice: after a 409 we know what it holds.
        for _ in 0..2 {
            let (answer, partner) = self.send(verifier, signed)?;
            let answer = answer.await.ok()?;
            match answer.status {
                200 => {
                    self.held(verifier, size);
                    return Some(answer.body);
                }
                409 => {
                    let held = String::from_utf8(answer.body).ok()?.trim_end().parse().ok()?;
                    if held > size {
                        // It proves so with a signed note, in a new hello, or it is wrong about us.
                        tracing::error!(%partner, "a witness says that it holds a larger log");
                        return None;
                    }
                    self.held(verifier, held);
                }
                status => {
                    tracing::warn!(%partner, status, "a witness did not cosign");
                    return None;
                }
            }
        }
        None
    }

    fn held(&self, verifier: &str, size: u64) {
        if let Some(connection) = self.connections().get_mut(verifier) {
            connection.size = size;
        }
    }

    fn send(
        &self,
        verifier: &str,
        signed: &SignedHead,
    ) -> Option<(oneshot::Receiver<v1::AddCheckpointResponse>, PartnerId)> {
        let round = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut connections = self.connections();
        let connection = connections.get_mut(verifier)?;
        let (old, size) = (connection.size.min(signed.head.size), signed.head.size);
        let body = AddCheckpoint {
            old,
            proof: self.reader.consistency_proof(old, size)?,
            checkpoint: signed.note.to_vec(),
        };
        let message = v1::HubMessage {
            message: Some(ToNode::AddCheckpoint(v1::AddCheckpointRequest {
                round,
                body: body.format(),
            })),
        };
        connection.to.try_send(message).ok()?;
        let (answer, waiting) = oneshot::channel();
        // What was not answered in earlier rounds nobody waits for any more.
        connection.waiting.retain(|_, waiting| !waiting.is_closed());
        connection.waiting.insert(round, answer);
        Some((waiting, connection.partner.clone()))
    }
}

/// A witness is named `<domain>/<partner>/witness`.
fn is_of(name: &str, partner: &PartnerId) -> bool {
    let mut parts = name.rsplit('/');
    (parts.next(), parts.next()) == (Some("witness"), Some(partner.as_str()))
}
