//! A partner that answers live: its node answers each question from its own set, over a stream that it opens itself.
//!
//! Nothing is sent to the hub but statuses. A question is answered only if the asking node signed it and the covenant
//! grants it (`gate`); the hub is not taken at its word. Its entry in the node's own journal (`journal`) is durable
//! before the answer leaves.

mod fill;
mod gate;
mod journal;
mod set;
mod view;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hitmachine_core::covenant::Answers;
use hitmachine_core::registry::is_fresh;
use hitmachine_core::{Clock, Covenant, Day, LiveStatus};
use hitmachine_proto::v1::hub_live_message::Message as FromHub;
use hitmachine_proto::v1::live_message::Message;
use hitmachine_proto::{live, v1};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use self::gate::{Checked, Gate, LiveRefusal};
use self::journal::{Line, LiveJournal};
use crate::alarm::Alarms;
use crate::config::LiveSection;
use crate::link::{Link, LinkError};
use crate::state::{State, StateError};

pub(crate) use self::set::LocalSet;
pub use self::view::{LiveEntryView, LiveListView, LiveView, LiveWord};

/// First and longest pause before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a node whose place another took waits before it asks whether the place is free.
const STANDBY_PAUSE: Duration = Duration::from_mins(1);
/// How often it is looked whether the covenant lets this organisation answer live.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How often entries whose term is over are looked for.
const TIDY: Duration = Duration::from_hours(1);
/// Questions that wait for the journal; of these, how many share one write.
const WAITING: usize = 1024;
const TOGETHER: usize = 256;
/// The covenant is fetched anew for a question under another one, but not more often than this.
const FETCH_AGAIN: Duration = Duration::from_secs(2);
/// Refused questions that are written down in a minute; what comes on top of it is counted in the log only.
const REFUSALS_PER_MINUTE: u64 = 60;

/// How a stream ended.
enum End {
    Closed,
    Replaced,
}

/// What answering live works with.
pub(crate) struct Answering {
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    alarms: Arc<Alarms>,
    journal: Arc<LiveJournal>,
    set: Arc<LocalSet>,
    gate: Mutex<Gate>,
    refusals: Mutex<gate::Rate>,
    fetched: Mutex<Option<tokio::time::Instant>>,
    word: watch::Sender<LiveWord>,
}

/// A judged question on its way through the journal.
struct Judged {
    id: u64,
    line: Option<Line>,
    statuses: Vec<LiveStatus>,
}

impl Answering {
    /// Reads the journal of the last minutes, so that a question that was answered before a restart is known.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn open(
        state: &Arc<State>,
        set: Arc<LocalSet>,
        settings: &LiveSection,
        (link, alarms, clock): (Arc<Link>, Arc<Alarms>, Arc<dyn Clock>),
    ) -> Result<Self, StateError> {
        let journal = LiveJournal::open(state)?;
        let now = clock.now();
        let own = link.own();
        let mut gate = Gate::new(own.partner.clone(), settings.persons_per_minute, now);
        for line in journal.since(now.as_millisecond().saturating_sub(gate::REMEMBER_MS))? {
            if let Some((request, digest, statuses)) = line.answered() {
                gate.remember(request, digest, statuses, line.at_ms);
            }
        }
        Ok(Self {
            link,
            alarms,
            journal: Arc::new(journal),
            set,
            gate: Mutex::new(gate),
            refusals: Mutex::new(gate::Rate::new(REFUSALS_PER_MINUTE, now)),
            fetched: Mutex::default(),
            word: watch::channel(LiveWord::NotConnected).0,
            clock,
        })
    }

    /// Answers for ever, as long as the covenant says that this organisation answers live; opens the stream again when
    /// it breaks.
    pub(crate) async fn keep(&self) {
        tokio::join!(self.answer(), self.tidy());
    }

    async fn answer(&self) {
        let mut pause = FIRST_PAUSE;
        let mut standby = false;
        loop {
            match self.answers_live().await {
                Ok(true) => {}
                Ok(false) => {
                    self.word.send_replace(LiveWord::NotConnected);
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "the covenant cannot be fetched");
                    tokio::time::sleep(jittered(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
            }
            let begun = tokio::time::Instant::now();
            let ended = self.stream(standby).await;
            // It was in its place: nobody has pushed it out, unless the hub said so.
            if self.is_connected() {
                standby = false;
            }
            // The place is taken, or the hub is starting: nothing that anybody must look at.
            let is_expected = matches!(&ended, Err(LinkError::Refused(text))
                if text.starts_with("live_taken") || text.starts_with("log_unconfirmed"));
            match ended {
                Ok(End::Replaced) => standby = true,
                Err(error) if !is_expected => {
                    let error = hitmachine_service::console::chain(&error);
                    tracing::warn!(error, "cannot answer live at this moment");
                }
                _ => {}
            }
            if standby {
                self.word.send_replace(LiveWord::Replaced);
                tracing::warn!(
                    "another node of this organisation is connected and answers live; this one waits"
                );
                tokio::time::sleep(jittered(STANDBY_PAUSE)).await;
                continue;
            }
            self.word.send_replace(LiveWord::NotConnected);
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether the covenant says that this organisation answers live.
    async fn answers_live(&self) -> Result<bool, LinkError> {
        let covenant = self.link.covenant().await?;
        let own = covenant.partner(&self.link.own().partner);
        Ok(own.is_some_and(|own| own.answers == Answers::Live && !own.registers.is_empty()))
    }

    async fn tidy(&self) {
        loop {
            let (journal, today) = (Arc::clone(&self.journal), self.clock.today());
            let tidied = tokio::task::spawn_blocking(move || journal.prune(today)).await;
            if let Ok(Err(error)) = tidied {
                tracing::error!(%error, "the live journal cannot be tidied");
            }
            tokio::time::sleep(TIDY).await;
        }
    }

    /// One stream, until it ends.
    async fn stream(&self, standby: bool) -> Result<End, LinkError> {
        let (to_hub, outgoing) = mpsc::channel(WAITING);
        let own = self.link.own();
        let mut set = self.set.subscribe();
        let since = |set: &LocalSet| v1::LiveComplete {
            since_s: set
                .complete_at()
                .map_or(0, |at| u64::try_from(at.as_second()).unwrap_or(0)),
        };
        let hello = v1::LiveHello {
            deployment: own.deployment.as_bytes().to_vec(),
            keys: self.link.keys().describe(),
            complete: Some(since(&self.set)),
            only_if_none: standby,
        };
        // There is room.
        let _ = to_hub.send(message(Message::Hello(hello))).await;
        let mut client = self.link.live();
        let opening = client.answer(ReceiverStream::new(outgoing));
        let mut incoming = self.link.within(opening).await?.into_inner();
        self.word.send_replace(LiveWord::Connected);
        tracing::info!("answers live");
        let (judged, waiting) = mpsc::channel(WAITING);
        let reading = async {
            loop {
                tokio::select! {
                    received = incoming.message() => {
                        let Some(received) = received? else { return Ok::<_, LinkError>(End::Closed) };
                        match received.message {
                            Some(FromHub::Question(question)) => {
                                let one = self.judge(&question).await;
                                if judged.send(one).await.is_err() { return Ok(End::Closed) }
                            }
                            Some(FromHub::Replaced(_)) => return Ok(End::Replaced),
                            None => {}
                        }
                    }
                    changed = set.changed() => {
                        if changed.is_err() { return Ok(End::Closed) }
                        let complete = message(Message::Complete(since(&self.set)));
                        if to_hub.send(complete).await.is_err() { return Ok(End::Closed) }
                    }
                }
            }
        };
        tokio::select! {
            end = reading => end,
            () = self.write(waiting, &to_hub) => Ok(End::Closed),
        }
    }

    /// Writes judged questions down, many at once, and only then lets their answers leave.
    async fn write(&self, mut waiting: mpsc::Receiver<Judged>, to_hub: &mpsc::Sender<v1::LiveMessage>) {
        let mut taken = Vec::with_capacity(TOGETHER);
        while waiting.recv_many(&mut taken, TOGETHER).await > 0 {
            let lines: Vec<Line> = taken.iter_mut().filter_map(|one| one.line.take()).collect();
            let journal = Arc::clone(&self.journal);
            let written = tokio::task::spawn_blocking(move || journal.write(&lines)).await;
            let is_durable = match written {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the live journal cannot be written; nothing is answered");
                    false
                }
                Err(_) => false,
            };
            for mut one in taken.drain(..) {
                if !is_durable {
                    one.statuses.fill(LiveStatus::CouldNotAsk);
                }
                let answer = live::answer(one.id, &one.statuses);
                if to_hub.send(message(Message::Answer(answer))).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Checks a question and looks its persons up.
    async fn judge(&self, question: &v1::LiveQuestion) -> Judged {
        let now = self.clock.now();
        let count = question.subjects.len();
        let refuse = |refusal: LiveRefusal, line: Option<Line>| {
            tracing::warn!(code = refusal.code(), "a live question is not answered");
            if refusal.is_alarming() {
                self.alarms.live_question();
            }
            Judged {
                id: question.id,
                line,
                statuses: vec![LiveStatus::CouldNotAsk; count],
            }
        };
        let Ok(asked) = live::parse(question) else {
            let refusal = LiveRefusal::Malformed;
            return refuse(
                refusal,
                self.refused(Line::refused(now, None, refusal.code(), count), now),
            );
        };
        let (checked, covenant) = match self.check(&asked, now).await {
            Ok(checked) => checked,
            Err((refusal, covenant)) => {
                let frame = hitmachine_core::LiveFrame::decode(&asked.frame);
                let ground = frame.as_ref().zip(covenant.as_deref());
                let line = Line::refused(now, ground, refusal.code(), count);
                return refuse(refusal, self.refused(line, now));
            }
        };
        let (statuses, unable) = match &checked.before {
            Some(before) => (before.clone(), None),
            None => self.look_up(&checked, &covenant, now),
        };
        self.gate().remember(
            checked.frame.request,
            checked.digest,
            statuses.clone(),
            now.as_millisecond(),
        );
        Judged {
            id: question.id,
            line: Some(Line::of(now, &checked, &statuses, unable)),
            statuses,
        }
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of a refusal, unless there are too many of them.
    fn refused(&self, line: Line, now: Timestamp) -> Option<Line> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.take(1, now).then_some(line)
    }

    fn checked(
        &self,
        asked: &live::AskedLive,
        covenant: &Covenant,
        now: Timestamp,
    ) -> Result<Checked, LiveRefusal> {
        let epochs = self.link.keys().answering();
        let mut gate = self.gate();
        gate.answer_in(epochs);
        gate.check(asked, covenant, now)
    }

    /// The covenant of a question may be newer than the one that this node has: then it is fetched once more.
    async fn check(
        &self,
        asked: &live::AskedLive,
        now: Timestamp,
    ) -> Result<(Checked, Arc<Covenant>), (LiveRefusal, Option<Arc<Covenant>>)> {
        let fetch = async || {
            let covenant = self.link.covenant().await;
            covenant.map_err(|_| (LiveRefusal::OtherCovenant, None))
        };
        let mut covenant = fetch().await?;
        let mut checked = self.checked(asked, &covenant, now);
        if matches!(checked, Err(LiveRefusal::OtherCovenant)) && self.may_fetch() {
            self.link.forget_covenant();
            covenant = fetch().await?;
            checked = self.checked(asked, &covenant, now);
        }
        match checked {
            Ok(checked) => Ok((checked, covenant)),
            Err(refusal) => Err((refusal, Some(covenant))),
        }
    }

    fn may_fetch(&self) -> bool {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        let now = tokio::time::Instant::now();
        let may = fetched.is_none_or(|at| now.duration_since(at) >= FETCH_AGAIN);
        if may {
            *fetched = Some(now);
        }
        may
    }

    /// What the own set says; a code if it cannot say anything.
    fn look_up(
        &self,
        checked: &Checked,
        covenant: &Covenant,
        now: Timestamp,
    ) -> (Vec<LiveStatus>, Option<&'static str>) {
        let subjects = &checked.subjects;
        let unable = |code| (vec![LiveStatus::CouldNotAsk; subjects.len()], Some(code));
        let Some(set) = self.set.get(checked.frame.epoch) else {
            return unable("live_not_complete");
        };
        let own = covenant.partner(&self.link.own().partner);
        if !own.is_some_and(|own| is_fresh(set.complete_at(), own.stale_after_hours, now)) {
            return unable("live_stale");
        }
        let today = Day::of(now);
        (subjects.iter().map(|one| set.status(one, today)).collect(), None)
    }

    /// How things are, for the status.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn view(&self) -> Result<LiveView, StateError> {
        let midnight = view::midnight(self.clock.now());
        let last = self.journal.newest(1)?.pop();
        Ok(LiveView {
            state: *self.word.borrow(),
            complete_at: self.set.complete_at().map(|at| at.to_string()),
            questions_today: self.journal.count_since(midnight)?,
            last_at: last.map(|line| view::time(line.at_ms)),
        })
    }

    /// The last entries of the own journal, newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn list(&self, most: usize) -> Result<LiveListView, StateError> {
        let lines = self.journal.newest(most)?;
        Ok(LiveListView {
            entries: lines.iter().map(LiveEntryView::from).collect(),
        })
    }

    /// Whether the hub takes this node's answers at this moment.
    pub(crate) fn is_connected(&self) -> bool {
        *self.word.borrow() == LiveWord::Connected
    }
}

fn message(message: Message) -> v1::LiveMessage {
    v1::LiveMessage {
        message: Some(message),
    }
}

/// Up to a half longer, so that many nodes do not come back at one moment.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    // Without randomness all come at once, which is no worse than before.
    let _ = getrandom::fill(&mut random);
    pause + pause.mul_f64(f64::from(random[0]) / 512.0)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
