//! Screening a list: the node asks one question after another, and can be stopped at any moment.
//!
//! The node owns a screening, not the command line that began it: list, questions and answers lie in its sealed state.
//! A question's bytes are durable there before they are sent, and its answer before the question is forgotten. Whoever
//! resumes sends the very bytes that may have been sent before, and the hub answers those from its log: nobody is asked
//! about twice, wherever node, command line or hub was stopped.
//!
//! A person's number is kept until the question about that person has its answer, and no longer.

mod desk;
mod plan;
mod run;
mod store;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hitmachine_service::exit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::control::{AskPerson, NumberKind};
use crate::failure::Failure;
use crate::node::Node;
use crate::screen::{Frame, ScreeningReport};
use crate::source::households::HouseholdOutcome;
use crate::state::{State, StateError};
use crate::sync::Progress;
use crate::view::IssueView;

pub use desk::ScreeningState;
pub use plan::{Plan, PlanPartner, PlanQuota};
use store::Store;
pub(crate) use store::{Request, Whole};

/// What is to be done with a screening.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreenAsk {
    /// Say what asking about this list would mean. Nothing is asked and nothing kept.
    Plan {
        /// What is the same for every question.
        frame: Frame,
        /// About whom.
        list: List,
    },
    /// Ask about this list, from the beginning.
    Start {
        /// What is the same for every question.
        frame: Frame,
        /// About whom.
        list: List,
        /// What to do when a quota is used up.
        on_quota: OnQuota,
    },
    /// Go on with a screening, or look at how far it is until it ends.
    Resume {
        /// Which.
        id: String,
        /// What to do when a quota is used up.
        on_quota: OnQuota,
    },
    /// Name all screenings that this node remembers.
    List,
    /// Forget one, with its results.
    Forget {
        /// Which.
        id: String,
    },
}

/// What to do when a quota is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum OnQuota {
    /// Wait until it may go on.
    #[default]
    Wait,
    /// Stop; it can be resumed.
    Stop,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreenReply {
    /// What asking would mean.
    Planned(Plan),
    /// Everything that is known now; it says whether that is the end.
    Ended(ScreeningReport),
    /// Screenings that this node remembers.
    Listed(Vec<ScreeningView>),
    /// It is forgotten.
    Forgotten(String),
}

/// A list as it goes to the node.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The households, in their order.
    pub households: Vec<ListHousehold>,
    /// What was wrong with rows, the first of them.
    pub issues: Vec<IssueView>,
    /// How many rows were left out.
    pub issue_count: u64,
}

/// One household of a list.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListHousehold {
    /// Its name or number on the list.
    pub name: String,
    /// Rows left out.
    pub bad_rows: Vec<u64>,
    /// Its persons.
    pub persons: Vec<ListPerson>,
}

/// One person of a list.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListPerson {
    /// Row of the list.
    pub row: u64,
    /// The asker's own label.
    pub label: Option<String>,
    /// Number and class.
    pub person: AskPerson,
}

impl From<&HouseholdOutcome> for List {
    fn from(outcome: &HouseholdOutcome) -> Self {
        let households = outcome.households.iter().map(|household| ListHousehold {
            name: household.name.to_string(),
            bad_rows: household.bad_rows.clone(),
            persons: household
                .persons
                .iter()
                .map(|person| ListPerson {
                    row: person.row,
                    label: person.reference.as_deref().map(str::to_owned),
                    person: AskPerson {
                        kind: NumberKind::Bsn,
                        // Canonical numbers are ASCII digits.
                        number: String::from_utf8_lossy(person.identifier.expose_secret())
                            .into_owned()
                            .into(),
                        class: person.class.into(),
                        age: person.bracket,
                        reference: person.reference.as_deref().map(Into::into),
                    },
                })
                .collect(),
        });
        Self {
            households: households.collect(),
            issues: outcome.issues.iter().map(IssueView::from).collect(),
            issue_count: outcome.issue_count,
        }
    }
}

impl List {
    /// Persons with a usable number.
    pub fn persons(&self) -> usize {
        self.households
            .iter()
            .map(|household| household.persons.len())
            .sum()
    }
}

/// How a screening stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// Questions are being asked.
    Running,
    /// Stopped before the end; it can be resumed.
    Stopped,
    /// Every person has an answer.
    Done,
    /// Ended by a refusal that will not pass; it cannot be resumed.
    Ended,
}

/// A screening that a node remembers, in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScreeningView {
    /// Its name.
    pub id: String,
    /// How it stands.
    pub stand: Stand,
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// Who asked.
    pub user: String,
    /// When it was begun (RFC 3339).
    pub started_at: String,
    /// Households on the list.
    pub households: usize,
    /// Persons on the list.
    pub persons: usize,
    /// Persons of whom the answer is there.
    pub answered: usize,
    /// When it will be forgotten (RFC 3339).
    pub kept_until: String,
}

/// How far a running screening is.
#[derive(Clone, Debug, Default)]
struct At {
    done: u64,
    total: u64,
    /// How many were done when it was taken up.
    before: u64,
    /// Until when it waits for a quota.
    waits: Option<Timestamp>,
}

impl At {
    fn progress(&self) -> Progress {
        match self.waits {
            Some(until) => Progress::Waiting {
                done: self.done,
                total: self.total,
                until_s: until.as_second(),
            },
            None => Progress::Screening {
                done: self.done,
                total: self.total,
            },
        }
    }
}

/// A screening that runs.
#[derive(Clone)]
struct Running {
    hear: watch::Receiver<At>,
    /// Set by whoever wants it to stop.
    stop: Arc<AtomicBool>,
    since: Instant,
}

/// All screenings of a node.
pub(crate) struct Screenings {
    store: Store,
    running: Mutex<BTreeMap<String, Running>>,
}

impl Screenings {
    pub(crate) fn open(state: &Arc<State>, keep_days: u32) -> Result<Self, StateError> {
        Ok(Self {
            store: Store::open(state, keep_days)?,
            running: Mutex::default(),
        })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        // Nothing panics while holding it.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_running(&self, id: &str) -> bool {
        self.running().contains_key(id)
    }

    /// Has a screening be run by whoever asks, unless somebody else runs it.
    fn take_up(&self, id: &str) -> Result<(watch::Sender<At>, Running), Running> {
        let (tell, hear) = watch::channel(At::default());
        let mut all = self.running();
        if let Some(other) = all.get(id) {
            return Err(other.clone());
        }
        let running = Running {
            hear,
            stop: Arc::default(),
            since: Instant::now(),
        };
        all.insert(id.to_owned(), running.clone());
        Ok((tell, running))
    }
}

/// Takes a screening off the list of those that run.
struct Runs<'a> {
    of: &'a Screenings,
    id: String,
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.of.running().remove(&self.id);
    }
}

impl Node {
    /// Does what is asked about a screening.
    pub(crate) async fn screening(
        &self,
        ask: ScreenAsk,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<ScreenReply, Failure> {
        self.forget_old_screenings().await?;
        match ask {
            ScreenAsk::Plan { frame, list } => self.plan_of(&frame, &list).await.map(ScreenReply::Planned),
            ScreenAsk::Start {
                frame,
                list,
                on_quota,
            } => {
                self.check_list(&frame, &list)?;
                let id = self
                    .screenings
                    .store
                    .create(&frame, list, self.clock_now())
                    .await?;
                self.run_or_watch(&id, on_quota, progress)
                    .await
                    .map(ScreenReply::Ended)
            }
            ScreenAsk::Resume { id, on_quota } => self
                .run_or_watch(&id, on_quota, progress)
                .await
                .map(ScreenReply::Ended),
            ScreenAsk::List => {
                let running = |id: &str| self.screenings.is_running(id);
                self.screenings
                    .store
                    .views(running)
                    .await
                    .map(ScreenReply::Listed)
            }
            ScreenAsk::Forget { id } => {
                self.forget(&id).await?;
                Ok(ScreenReply::Forgotten(id))
            }
        }
    }

    /// Forgets one that does not run.
    async fn forget(&self, id: &str) -> Result<(), Failure> {
        if self.screenings.is_running(id) {
            return Err(Failure::new(
                "screening_running",
                exit::REFUSED,
                "this screening is running; it can be forgotten when it has stopped",
                "deze screening loopt; zij kan worden vergeten als zij is gestopt",
            ));
        }
        self.screenings.store.forget(id).await
    }

    /// Forgets screenings that were kept long enough.
    ///
    /// # Errors
    /// [`Failure`] if the local state fails.
    pub(crate) async fn forget_old_screenings(&self) -> Result<(), Failure> {
        let running: Vec<String> = self.screenings.running().keys().cloned().collect();
        self.screenings.store.sweep(self.clock_now(), running).await
    }

    /// Runs a screening that nobody runs; otherwise hears how far it is until it ends.
    async fn run_or_watch(
        &self,
        id: &str,
        on_quota: OnQuota,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<ScreeningReport, Failure> {
        let (tell, running) = match self.screenings.take_up(id) {
            Ok(own) => own,
            Err(mut other) => {
                while other.hear.changed().await.is_ok() {
                    progress(other.hear.borrow_and_update().progress());
                }
                return self.report_of(id, None).await;
            }
        };
        let runs = Runs {
            of: &self.screenings,
            id: id.to_owned(),
        };
        let run = self.run_screening(id, on_quota, tell, &running.stop);
        let mut hear = running.hear.clone();
        let told = async {
            while hear.changed().await.is_ok() {
                progress(hear.borrow_and_update().progress());
            }
        };
        let (ended, ()) = tokio::join!(run, told);
        drop(runs);
        self.report_of(id, ended?).await
    }
}

/// A screening that this node does not have.
fn unknown(id: &str) -> Failure {
    Failure::new(
        "unknown_screening",
        exit::REFUSED,
        format!("this node has no screening {id}; `screen list` names those it has"),
        format!("dit station heeft geen screening {id}; `screen list` noemt die er zijn"),
    )
}
