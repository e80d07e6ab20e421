//! The loop: one question after another, several at once, each durable before it is sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hitmachine_core::{PurposeCode, Refusal};
use hitmachine_proto::answer::Outcome;
use hitmachine_service::exit;
use jiff::Timestamp;
use tokio::sync::watch;

use super::store::{Answered, Asked, End, Request, Store};
use super::{At, List, OnQuota};
use crate::ask::{AskError, Inquirer, Prepared, VerifiedAnswer};
use crate::control::Ask;
use crate::failure::Failure;
use crate::node::Node;
use crate::screen::{Frame, ScreeningReport};
use crate::view::AnswerView;

/// How often a question that could not be asked is tried, with a pause before each further try.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How long to wait for a quota whose refusal does not say so.
const QUOTA_PAUSE: Duration = Duration::from_mins(1);
/// How often a screening that waits for a quota looks whether the wait is over: a machine may have slept.
const LOOK: Duration = Duration::from_secs(1);

/// Refusals that hold for every further question too: the screening ends with them.
const FINAL: [&str; 7] = [
    "unknown_partner",
    "key_not_pinned",
    "not_signed",
    "covenant_not_in_force",
    "unknown_purpose",
    "purpose_not_granted",
    "role_not_granted",
];
/// Refusals of one request that a new one may not meet.
const PASSING: [&str; 4] = [
    "covenant_changed",
    "clock_behind",
    "wrong_epoch",
    "request_id_used",
];
/// The refusal of a question beyond a quota.
const OVER_QUOTA: &str = "over_quota";

struct Run<'a> {
    node: &'a Node,
    store: &'a Store,
    id: &'a str,
    frame: Frame,
    persons: usize,
    on_quota: OnQuota,
    queue: Mutex<VecDeque<(u32, Asked)>>,
    next_number: AtomicU32,
    halted: Mutex<Option<Failure>>,
    waits: Mutex<Option<Timestamp>>,
    done: AtomicU64,
    before: u64,
    tell: watch::Sender<At>,
    stop: &'a AtomicBool,
}

/// What to do with an answer.
enum Verdict {
    /// Everybody in it has an answer.
    Answered,
    /// Make a new request of it.
    Anew(String),
    /// Wait, and make a new request.
    Quota(Timestamp),
    /// Nothing more is asked.
    Halt(String),
}

impl Node {
    pub(super) fn clock_now(&self) -> Timestamp {
        self.inquirer.clock.now()
    }

    /// Asks what has not been asked. `Some` says why it stopped before the end.
    pub(super) async fn run_screening(
        &self,
        id: &str,
        on_quota: OnQuota,
        tell: watch::Sender<At>,
        stop: &AtomicBool,
    ) -> Result<Option<Failure>, Failure> {
        let store = &self.screenings.store;
        let whole = store.load(id).await?;
        if let Some(End { because }) = whole.end {
            return Ok(because);
        }
        let answered = whole.persons_answered() as u64;
        let run = Run {
            node: self,
            store,
            id,
            persons: whole.persons(),
            frame: whole.meta.frame,
            on_quota,
            next_number: AtomicU32::new(
                u32::try_from(whole.answered.len() + whole.asked.len()).unwrap_or(u32::MAX),
            ),
            queue: Mutex::new(whole.asked.into_iter().collect()),
            halted: Mutex::default(),
            waits: Mutex::default(),
            done: AtomicU64::new(answered),
            before: answered,
            tell,
            stop,
        };
        store.set_stopped(id, None).await?;
        run.say();
        let begun = Instant::now();
        // One alone: what is refused for all of them is then asked once.
        Box::pin(run.work(1)).await;
        // Eight at once, as far as they wait for the hub.
        let work = || Box::pin(run.work(usize::MAX));
        tokio::join!(work(), work(), work(), work(), work(), work(), work(), work());
        let asked = run.done.load(Ordering::Relaxed).saturating_sub(answered);
        // The time that it waited for a quota says nothing about the next one.
        let waited = lock(&run.waits).is_some();
        let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(rate) = elapsed.checked_div(asked).filter(|_| !waited) {
            store.set_rate_ms(rate).await?;
        }
        let halted = lock(&run.halted).take();
        run.finish(halted).await
    }

    /// What is known of a screening now; `ended` says why it stopped just now.
    pub(super) async fn report_of(
        &self,
        id: &str,
        ended: Option<Failure>,
    ) -> Result<ScreeningReport, Failure> {
        let whole = self.screenings.store.load(id).await?;
        Ok(ScreeningReport::of(id, &whole, ended))
    }

    /// What can be seen of a list before it is kept: that its frame can be asked with, and its numbers are numbers.
    pub(super) fn check_list(&self, frame: &Frame, list: &List) -> Result<(), Failure> {
        for household in &list.households {
            let persons = household.persons.iter().map(|person| person.person.clone());
            let persons: Vec<_> = persons.collect();
            for some in persons.chunks(hitmachine_proto::query::MAX_SUBJECTS) {
                let question = self.question(question(frame, some.to_vec()))?;
                Inquirer::check(&question)?;
            }
        }
        Ok(())
    }
}

fn question(frame: &Frame, persons: Vec<crate::control::AskPerson>) -> Ask {
    Ask {
        purpose: frame.purpose.clone(),
        case: frame.case.clone(),
        user: frame.user.clone(),
        role: frame.role.clone(),
        responsible: frame.responsible.clone(),
        persons,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run<'_> {
    fn say(&self) {
        let waits = lock(&self.waits).filter(|until| *until > self.node.clock_now());
        self.tell.send_replace(At {
            done: self.done.load(Ordering::Relaxed),
            total: self.persons as u64,
            before: self.before,
            waits,
        });
    }

    fn is_halted(&self) -> bool {
        let mut halted = lock(&self.halted);
        if self.stop.load(Ordering::Relaxed) && halted.is_none() {
            *halted = Some(stopped());
        }
        halted.is_some()
    }

    /// Takes questions from the queue, at most so many.
    async fn work(&self, most: usize) {
        for _ in 0..most {
            if self.is_halted() {
                return;
            }
            let Some((number, asked)) = lock(&self.queue).pop_front() else {
                return;
            };
            if let Err(failure) = self.one(number, asked).await {
                // Of several at once, the gravest.
                let mut halted = lock(&self.halted);
                if halted.as_ref().is_none_or(|other| other.exit < failure.exit) {
                    *halted = Some(failure);
                }
            }
        }
    }

    /// Asks one question until it has its answer, or nothing more can be asked.
    async fn one(&self, number: u32, mut asked: Asked) -> Result<(), Failure> {
        let mut tries = 0;
        // What was kept by an earlier run may have been sent.
        let mut again = true;
        loop {
            self.wait().await;
            if self.is_halted() {
                // The question stays as it is kept.
                return Ok(());
            }
            let result = match self.ready(number, &mut asked, &mut again).await {
                Ok(prepared) => {
                    let sent = self.node.inquirer.send(&prepared, again).await;
                    sent.map(|proven| (prepared, proven))
                }
                Err(Stop::Ask(error)) => Err(error),
                Err(Stop::Failure(failure)) => return Err(failure),
            };
            again = true;
            let (prepared, proven) = match result {
                Ok(done) => done,
                Err(error) if error.may_pass() => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(error.into());
                    }
                    tokio::time::sleep(PAUSE * tries).await;
                    continue;
                }
                Err(error) if error.never_asked() => {
                    // It was kept, and did not leave before the stop; by now it is too old to be put.
                    asked.request = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // First, so that a stop in between cannot leave somebody uninformed.
            let question = self.node.question(question(&self.frame, asked.persons.clone()))?;
            let inquirer = &self.node.inquirer;
            let answer = inquirer.settle(&question, proven, prepared.covenant()).await?;
            let view = Self::answered(&asked, &prepared, &answer);
            let verdict = self.verdict(&answer);
            if matches!(verdict, Verdict::Answered) {
                self.store.answer(self.id, number, &view).await?;
                self.done.fetch_add(view.persons.len() as u64, Ordering::Relaxed);
                self.say();
                return Ok(());
            }
            asked.request = None;
            asked.refused = Some(view);
            self.store.ask(self.id, number, &asked).await?;
            match verdict {
                Verdict::Answered => return Ok(()),
                Verdict::Anew(code) => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(refusal(&code));
                    }
                    tokio::time::sleep(PAUSE * (tries - 1)).await;
                }
                Verdict::Quota(until) => {
                    if self.on_quota == OnQuota::Stop {
                        return Err(over_quota(until));
                    }
                    let mut waits = lock(&self.waits);
                    *waits = Some(waits.map_or(until, |other| other.max(until)));
                    drop(waits);
                    self.say();
                }
                Verdict::Halt(code) => return Err(refusal(&code)),
            }
        }
    }

    /// The request of a question: as it was kept, or made anew and kept.
    async fn ready(&self, number: u32, asked: &mut Asked, again: &mut bool) -> Result<Prepared, Stop> {
        let inquirer = &self.node.inquirer;
        if let Some((signed, made)) = asked.request.as_ref().and_then(Request::signed)
            && let Some(prepared) = inquirer.take_up(signed, made).await?
        {
            return Ok(prepared);
        }
        let most = self.most_in_one().await?;
        if asked.persons.len() > most {
            self.split(number, asked, most).await?;
        }
        let question = self.node.question(question(&self.frame, asked.persons.clone()))?;
        let prepared = inquirer.prepare(&question).await?;
        asked.request = Some(Request::new(prepared.signed(), prepared.made()));
        self.store.ask(self.id, number, asked).await?;
        *again = false;
        Ok(prepared)
    }

    /// How many persons a question may be about, under the covenant as it is now.
    async fn most_in_one(&self) -> Result<usize, Stop> {
        let covenant = self.node.link.covenant().await.map_err(AskError::from)?;
        let code = self.frame.purpose.parse::<PurposeCode>().ok();
        // A purpose that is not there is refused by the hub, and logged.
        let Some(purpose) = code.and_then(|code| covenant.purpose(&code)) else {
            return Ok(hitmachine_proto::query::MAX_SUBJECTS);
        };
        if self.persons > usize::try_from(purpose.max_screening).unwrap_or(usize::MAX) {
            return Err(Stop::Failure(too_many(self.persons, purpose.max_screening)));
        }
        Ok(purpose
            .max_subjects
            .clamp(1, hitmachine_proto::query::MAX_SUBJECTS))
    }

    /// Leaves `most` persons in a question and makes another of the rest.
    async fn split(&self, number: u32, asked: &mut Asked, most: usize) -> Result<(), Stop> {
        let rest = Asked {
            household: asked.household,
            from: asked.from + most,
            persons: asked.persons.split_off(most),
            request: None,
            refused: None,
        };
        asked.request = None;
        asked.refused = None;
        let other = self.next_number.fetch_add(1, Ordering::Relaxed);
        self.store.split(self.id, (number, asked), (other, &rest)).await?;
        lock(&self.queue).push_front((other, rest));
        Ok(())
    }

    fn answered(asked: &Asked, prepared: &Prepared, answer: &VerifiedAnswer) -> Answered {
        let covenant = prepared.covenant();
        Answered {
            household: asked.household,
            from: asked.from,
            covenant: covenant.number(),
            request: answer.request.to_string(),
            persons: AnswerView::new(answer, covenant).persons,
        }
    }

    fn verdict(&self, answer: &VerifiedAnswer) -> Verdict {
        let refused = answer.persons.iter().find_map(|person| match &person.outcome {
            Outcome::Refused(code) => Some(code.clone()),
            Outcome::Found(_) => None,
        });
        match refused {
            None => Verdict::Answered,
            Some(code) if PASSING.contains(&code.as_str()) => Verdict::Anew(code),
            Some(code) if code == OVER_QUOTA => Verdict::Quota(self.may_ask_at(answer)),
            Some(code) => Verdict::Halt(code),
        }
    }

    /// When a question that was refused for a quota may be asked.
    fn may_ask_at(&self, answer: &VerifiedAnswer) -> Timestamp {
        let now = self.node.clock_now();
        let said = answer.persons.iter().filter_map(|person| person.retry_at).max();
        said.unwrap_or_else(|| now.checked_add(QUOTA_PAUSE).unwrap_or(now))
    }

    /// Waits as long as a quota is used up.
    async fn wait(&self) {
        loop {
            let now = self.node.clock_now();
            let until = *lock(&self.waits);
            let Some(until) = until.filter(|until| *until > now) else {
                self.say();
                return;
            };
            if self.is_halted() {
                return;
            }
            let left = until.duration_since(now).unsigned_abs();
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// Writes down how it ended, if it will not go on.
    async fn finish(self, halted: Option<Failure>) -> Result<Option<Failure>, Failure> {
        let whole = self.store.load(self.id).await?;
        let final_ = halted
            .as_ref()
            .is_some_and(|failure| FINAL.contains(&failure.code.as_str()));
        if whole.asked.is_empty() {
            self.store
                .end(self.id, &End { because: None }, Vec::new())
                .await?;
        } else if final_ {
            let end = End {
                because: halted.clone(),
            };
            self.store
                .end(self.id, &end, whole.asked.into_iter().collect())
                .await?;
        } else if let Some(because) = &halted {
            self.store.set_stopped(self.id, Some(because)).await?;
        }
        Ok(halted)
    }
}

/// Why a question is not sent now.
enum Stop {
    Ask(AskError),
    Failure(Failure),
}

impl From<AskError> for Stop {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

fn refusal(code: &str) -> Failure {
    Failure::new(
        code,
        exit::REFUSED,
        format!("refused: {}", Refusal::text_en(code)),
        format!("geweigerd: {}", Refusal::text_nl(code)),
    )
}

/// Somebody stopped it.
fn stopped() -> Failure {
    Failure::new(
        "stopped",
        exit::REFUSED,
        "somebody stopped this screening; it can be resumed",
        "iemand heeft deze screening gestopt; zij kan verdergaan",
    )
}

fn over_quota(until: Timestamp) -> Failure {
    let local =
        until.to_zoned(jiff::tz::TimeZone::get("Europe/Amsterdam").unwrap_or(jiff::tz::TimeZone::UTC));
    let local = local.strftime("%d-%m-%Y %H:%M");
    Failure::new(
        OVER_QUOTA,
        exit::REFUSED,
        format!("the covenant's quota is used up; resume it after {local} (Dutch time)"),
        format!("het quotum van het convenant is op; ga verder na {local}"),
    )
}

/// More persons than one screening may be about.
pub(super) fn too_many(persons: usize, most: u32) -> Failure {
    Failure::new(
        "too_many_to_screen",
        exit::REFUSED,
        format!(
            "the list has {persons} persons; the covenant allows {most} in one screening for this purpose"
        ),
        format!(
            "de lijst heeft {persons} personen; het convenant staat er {most} toe in één screening voor dit doel"
        ),
    )
}
