//! Partners that answer live: whose node is connected, and questions to them.
//!
//! A node opens a stream and says hello; from then on it is asked. One stream for each partner: the newest wins, and
//! the older one is told so and ends. Whatever happens to a node, a question about it ends, at its deadline at the
//! latest, and what did not answer could not be asked. Nothing is kept of an answer here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hitmachine_core::{LiveAnswers, LiveQuestion, LiveStatus, PartnerId};
use hitmachine_proto::v1::hub_live_message::Message as ToNode;
use hitmachine_proto::{live, v1};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tonic::Status;

/// The most questions that wait for one partner; more could not be asked.
const MOST_WAITING: usize = 1024;

/// What is sent to a node.
pub(crate) type Outgoing = mpsc::Receiver<Result<v1::HubLiveMessage, Status>>;

/// Another node of the same organisation answers already, and this one does not want its place.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("another node of this organisation answers already")]
pub(crate) struct Taken;

/// A partner. Its short name stands in the covenant and says nothing about a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartnerLabel {
    partner: String,
}

/// How a question to a partner ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabel {
    partner: String,
    outcome: &'static str,
}

/// What is counted of live partners.
#[derive(Clone)]
pub(crate) struct LiveMetrics {
    questions: Family<EndLabel, Counter>,
    seconds: Family<PartnerLabel, Histogram>,
    connected: Family<PartnerLabel, Gauge>,
    complete: Family<PartnerLabel, Gauge>,
}

impl LiveMetrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let buckets = || Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        let metrics = Self {
            questions: Family::default(),
            seconds: Family::new_with_constructor(buckets),
            connected: Family::default(),
            complete: Family::default(),
        };
        registry.register(
            "hitmachine_live_questions",
            "Questions to partners that answer live, by how they ended",
            metrics.questions.clone(),
        );
        registry.register(
            "hitmachine_live_seconds",
            "Time in which a live partner answered",
            metrics.seconds.clone(),
        );
        registry.register(
            "hitmachine_live_connected",
            "Whether the node of a live partner is connected",
            metrics.connected.clone(),
        );
        registry.register(
            "hitmachine_live_complete_timestamp_seconds",
            "Since when the set of a live partner's node is complete; 0 if it is not",
            metrics.complete.clone(),
        );
        metrics
    }
}

struct Connection {
    number: u64,
    to: mpsc::Sender<Result<v1::HubLiveMessage, Status>>,
    waiting: HashMap<u64, oneshot::Sender<Vec<LiveStatus>>>,
    /// Dropped with the connection, which ends the task that reads from the node.
    _ended: oneshot::Sender<()>,
}

/// A stream that was taken.
pub(crate) struct Accepted {
    /// Names the connection.
    pub(crate) number: u64,
    /// What goes to the node; ends with the connection.
    pub(crate) outgoing: Outgoing,
    /// Resolves when another node has taken its place.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// All partners that answer live.
pub(crate) struct Live {
    connections: Mutex<HashMap<PartnerId, Connection>>,
    numbers: AtomicU64,
    metrics: LiveMetrics,
}

impl Live {
    pub(crate) fn new(metrics: LiveMetrics) -> Arc<Self> {
        Arc::new(Self {
            connections: Mutex::default(),
            numbers: AtomicU64::new(1),
            metrics,
        })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<PartnerId, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a node's stream. The node of the same partner that answered before is told, and its open questions end.
    ///
    /// # Errors
    /// [`Taken`] if there is one and the new one asked for a place that nobody has.
    pub(crate) fn hello(&self, partner: &PartnerId, hello: &v1::LiveHello) -> Result<Accepted, Taken> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // One place more than questions, for the last message.
        let (to, outgoing) = mpsc::channel(MOST_WAITING + 1);
        let (end, ended) = oneshot::channel();
        let connection = Connection {
            number,
            to,
            waiting: HashMap::new(),
            _ended: end,
        };
        {
            let mut connections = self.connections();
            if hello.only_if_none && connections.contains_key(partner) {
                return Err(Taken);
            }
            if let Some(old) = connections.insert(partner.clone(), connection) {
                tracing::warn!(%partner, "another node of this organisation answers from now on");
                let replaced = ToNode::Replaced(v1::LiveReplaced {});
                // A node that does not read finds out when its stream ends.
                let _ = old.to.try_send(Ok(message(replaced)));
            }
            let label = label(partner);
            self.metrics.connected.get_or_create(&label).set(1);
        }
        tracing::info!(%partner, "answers live");
        Ok(Accepted {
            number,
            outgoing,
            ended,
        })
    }

    /// Since when a node's set is complete.
    pub(crate) fn complete(&self, partner: &PartnerId, number: u64, complete: v1::LiveComplete) {
        let connections = self.connections();
        if connections.get(partner).is_some_and(|own| own.number == number) {
            let since = i64::try_from(complete.since_s).unwrap_or(i64::MAX);
            self.metrics.complete.get_or_create(&label(partner)).set(since);
        }
    }

    /// Takes a node's answer.
    pub(crate) fn answer(&self, partner: &PartnerId, number: u64, answer: &v1::LiveAnswer) {
        let waiting = {
            let mut connections = self.connections();
            let own = connections.get_mut(partner).filter(|own| own.number == number);
            own.and_then(|own| own.waiting.remove(&answer.id))
        };
        // A question that has reached its deadline is not waited for any more.
        let Some(waiting) = waiting else { return };
        match live::statuses(answer) {
            Ok(statuses) => drop(waiting.send(statuses)),
            // Dropped: it could not be asked.
            Err(error) => tracing::warn!(%partner, %error, "a live answer cannot be read"),
        }
    }

    /// The stream has ended; what still waits could not be asked.
    pub(crate) fn gone(&self, partner: &PartnerId, number: u64) {
        let mut connections = self.connections();
        if connections.get(partner).is_some_and(|own| own.number == number) {
            connections.remove(partner);
            self.metrics.connected.get_or_create(&label(partner)).set(0);
            tracing::info!(%partner, "does not answer live any more");
        }
    }

    /// Asks partners, all at once; what each of them said before its deadline.
    pub(crate) async fn ask(self: &Arc<Self>, questions: Vec<LiveQuestion>) -> LiveAnswers {
        let mut asked = JoinSet::new();
        for question in questions {
            let live = Arc::clone(self);
            asked.spawn(async move {
                let statuses = live.ask_one(&question).await;
                (question.partner, statuses)
            });
        }
        let mut answers = LiveAnswers::default();
        while let Some(answered) = asked.join_next().await {
            if let Ok((partner, Some(statuses))) = answered {
                answers.insert(partner, statuses);
            }
        }
        answers
    }

    async fn ask_one(&self, question: &LiveQuestion) -> Option<Vec<LiveStatus>> {
        let (partner, begun) = (&question.partner, Instant::now());
        let (outcome, statuses) = match self.send(question) {
            Err(outcome) => (outcome, None),
            Ok((answer, _waiting)) => match tokio::time::timeout(question.deadline, answer).await {
                Ok(Ok(statuses)) if statuses.len() == question.subjects.len() => ("answered", Some(statuses)),
                Ok(Ok(_)) => ("unreadable", None),
                Ok(Err(_)) => ("gone", None),
                Err(_) => ("timed_out", None),
            },
        };
        let name = partner.to_string();
        self.metrics
            .questions
            .get_or_create(&EndLabel {
                partner: name,
                outcome,
            })
            .inc();
        if statuses.is_some() {
            let seconds = self.metrics.seconds.get_or_create(&label(partner));
            seconds.observe(begun.elapsed().as_secs_f64());
        } else {
            tracing::warn!(%partner, outcome, "a live partner could not be asked");
        }
        statuses
    }

    /// Sends a question; where its answer comes, and what stops waiting for it.
    fn send(
        &self,
        question: &LiveQuestion,
    ) -> Result<(oneshot::Receiver<Vec<LiveStatus>>, Waiting<'_>), &'static str> {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut connections = self.connections();
        let connection = connections.get_mut(&question.partner).ok_or("not_connected")?;
        if connection.waiting.len() >= MOST_WAITING {
            return Err("busy");
        }
        let sent = message(ToNode::Question(live::question(id, question)));
        connection.to.try_send(Ok(sent)).map_err(|_| "busy")?;
        let (waiting, answer) = oneshot::channel();
        connection.waiting.insert(id, waiting);
        let waiting = Waiting {
            live: self,
            partner: question.partner.clone(),
            number: connection.number,
            id,
        };
        Ok((answer, waiting))
    }
}

/// Forgets a question that nobody waits for any more.
struct Waiting<'a> {
    live: &'a Live,
    partner: PartnerId,
    number: u64,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut connections = self.live.connections();
        let own = connections.get_mut(&self.partner);
        if let Some(own) = own.filter(|own| own.number == self.number) {
            own.waiting.remove(&self.id);
        }
    }
}

fn message(message: ToNode) -> v1::HubLiveMessage {
    v1::HubLiveMessage {
        message: Some(message),
    }
}

fn label(partner: &PartnerId) -> PartnerLabel {
    PartnerLabel {
        partner: partner.to_string(),
    }
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
