//! Who asks in a simulation, and what must hold of the answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hitmachine_node::ask::AskError;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::notice::{NoticeAsk, NoticeReply};
use hitmachine_node::{Node, NodeConfig, Surroundings};
use hitmachine_proto::answer::Outcome;
use hitmachine_testkit::rng::Rng;
use tokio::time::{Instant, sleep};

use super::hosts::{Sent, Serving};
use super::template::Template;
use super::trouble::HEALED;
use crate::screening;
use crate::torture::network::truth::Truth;

/// What the node promises: the covenant, the question, and the same question once more, each in the time that it has for
/// the hub, and the hub in the time that it has for live partners. A second for the pause between, and for steps.
const TIMEOUT: Duration = Duration::from_secs(10);
const LIVE: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(3 * TIMEOUT.as_secs() + 2 * LIVE.as_secs() + 1);
/// How long after the network has healed all must have come back: the longest pauses of the streams, with room.
const COMES_BACK: Duration = Duration::from_mins(2);

/// How long what was held may take to arrive.
const ARRIVES: Duration = Duration::from_secs(5);

/// How questions went.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) questions: u64,
    pub(super) answered: u64,
    /// Answered, but the live partner could not be asked.
    pub(super) incomplete: u64,
}

/// What the asker works with.
pub(super) struct Asker {
    pub(super) template: Arc<Template>,
    pub(super) rng: Rng,
    pub(super) told: Serving,
    pub(super) sent: Sent,
    pub(super) asked: Arc<Mutex<Asked>>,
}

impl Asker {
    fn truth(&self) -> &Truth {
        &self.template.truth
    }

    /// Asks as long as there is trouble, and then until everything has come back.
    pub(super) async fn go_on(mut self, config: NodeConfig, surroundings: Surroundings) -> turmoil::Result {
        let node = Node::open_in(config, surroundings).await?;
        while !Self::has_healed() {
            let place = self.rng.index(self.truth().persons().len());
            let pause = Duration::from_millis(self.rng.between(100, 1_500));
            self.ask(&node, place).await;
            sleep(pause).await;
        }
        // What was under way arrives, and may be logged although nobody waits for it any more.
        sleep(ARRIVES).await;
        let healed = Instant::now();
        let in_time = |what: &str| assert!(healed.elapsed() < COMES_BACK, "{what}: not in time");
        let last = loop {
            // Its notice is the last of all, and notices come in order.
            if let Some(index) = self.ask(&node, self.truth().known_to_both()).await {
                break index;
            }
            in_time("a whole answer");
            sleep(Duration::from_secs(1)).await;
        };
        while !self.was_told(last).await {
            in_time("the last hit notice");
            sleep(Duration::from_millis(500)).await;
        }
        while self.sent.lock().unwrap_or_else(PoisonError::into_inner)[2] == 0 {
            in_time("the register is in step");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    fn has_healed() -> bool {
        turmoil::sim_elapsed() > Some(HEALED)
    }

    /// Asks one question; the place of its entry if the answer is there and complete.
    async fn ask(&self, node: &Node, place: usize) -> Option<u64> {
        let person = &self.truth().persons()[place];
        let question = screening(node, &person.bsn, &person.birth_date.to_string());
        let begun = Instant::now();
        let answered = node.inquirer().ask(&question).await;
        let took = begun.elapsed();
        assert!(took <= DEADLINE, "a question took {took:?}");
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.questions += 1;
        match answered {
            Ok(answer) => {
                let Some((one, Outcome::Found(statuses))) =
                    answer.persons.first().map(|one| (one, &one.outcome))
                else {
                    panic!("not an answer about a person: {:?}", answer.persons);
                };
                let complete = self.truth().fits(place, statuses);
                asked.answered += 1;
                asked.incomplete += u64::from(!complete);
                complete.then_some(one.log_index)
            }
            // No connection, or no answer in time.
            Err(AskError::Link(error)) if error.may_pass() => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether the told partner has stored the notice of this entry.
    async fn was_told(&self, index: u64) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(told) = told else {
            return false;
        };
        let shown = told
            .handle(Request::Notice(NoticeAsk::Show(index)), Arc::new(|_| ()))
            .await;
        matches!(shown, Reply::Notice(NoticeReply::Notices(_)))
    }
}
