//! Questions of one node through a bad network.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hitmachine_node::ask::{AskError, PersonAnswer};
use hitmachine_node::{LinkError, Node, NodeConfig};
use hitmachine_proto::answer::Outcome;
use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::rng::Rng;
use tokio::runtime::Runtime;

use super::truth::{COORDINATOR, Truth};
use crate::screening;

/// How long the node waits for the hub.
const TIMEOUT_S: u64 = 5;
/// How long the hub waits for a live partner at most, and what a busy machine may add.
const LIVE_S: u64 = 2;
const MARGIN_S: u64 = 10;
/// The covenant, the question, and the same question once more.
const DEADLINE: Duration = Duration::from_secs(TIMEOUT_S + 2 * (TIMEOUT_S + LIVE_S) + 1 + MARGIN_S);
/// Questions at once.
const AT_ONCE: usize = 3;

/// How questions went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) questions: u64,
    pub(super) answered: u64,
    /// Answered, but the live partner could not be asked.
    pub(super) incomplete: u64,
}

/// A node that asks.
pub(super) struct Asking<'a> {
    runtime: Runtime,
    node: Node,
    truth: &'a Truth,
    asked: Mutex<Asked>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(deployment: &Deployment, address: SocketAddr, truth: &'a Truth) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut config = NodeConfig::load(&deployment.node_config(COORDINATOR)).unwrap();
        config.broker.address = address.to_string();
        config.broker.timeout_seconds = TIMEOUT_S;
        let node = runtime.block_on(Node::open(config)).unwrap();
        Self {
            runtime,
            node,
            truth,
            asked: Mutex::default(),
        }
    }

    /// Asks about anybody, until it is told to stop.
    pub(super) fn go_on(&self, mut rng: Rng, stop: &AtomicBool) {
        self.runtime.block_on(async {
            let one = |mut rng: Rng| async move {
                while !stop.load(Ordering::SeqCst) {
                    self.ask(rng.index(self.truth.persons().len())).await;
                    tokio::time::sleep(Duration::from_millis(rng.below(60))).await;
                }
            };
            let mut draw = || Box::pin(one(Rng::new(rng.next_u64())));
            let [a, b, c]: [_; AT_ONCE] = [draw(), draw(), draw()];
            tokio::join!(a, b, c);
        });
    }

    /// Asks one question; the place of its entry if the answer is there and complete.
    async fn ask(&self, place: usize) -> Option<u64> {
        let person = &self.truth.persons()[place];
        let question = screening(&self.node, &person.bsn, &person.birth_date.to_string());
        let begun = Instant::now();
        let answered = self.node.inquirer().ask(&question).await;
        let took = begun.elapsed();
        assert!(took < DEADLINE, "a question took {took:?}");
        let mut asked = self.asked.lock().unwrap();
        asked.questions += 1;
        match answered {
            Ok(answer) => {
                let [
                    PersonAnswer {
                        outcome: Outcome::Found(statuses),
                        log_index,
                        ..
                    },
                ] = answer.persons.as_slice()
                else {
                    panic!("not an answer about one person: {:?}", answer.persons);
                };
                let complete = self.truth.fits(place, statuses);
                asked.answered += 1;
                asked.incomplete += u64::from(!complete);
                complete.then_some(*log_index)
            }
            // No connection: a damaged handshake may end in any way. Or no answer in time.
            Err(AskError::Link(error)) if error.may_pass() || matches!(error, LinkError::Connect(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Asks now; the place of its entry if the answer is there and complete.
    pub(super) fn complete(&self, place: usize) -> Option<u64> {
        self.runtime.block_on(self.ask(place))
    }

    /// How they went.
    pub(super) fn end(self) -> Asked {
        *self.asked.lock().unwrap()
    }
}
