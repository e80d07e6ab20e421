//! One synchronisation: read the sources, compare with what the broker acknowledged, send the difference, and
//! agree on the result.

use std::sync::Arc;

use hitmachine_core::covenant::Answers;
use hitmachine_core::epoch::EpochKeys;
use hitmachine_core::{Clock, Covenant, Day, SubjectClass};
use hitmachine_identifier::Admission;
use hitmachine_proto::v1::sync_request::Step;
use hitmachine_proto::v1::sync_response::Step as Reply;
use hitmachine_proto::{registry, v1};
use hitmachine_pseudonym::{MAX_BATCH, PseudonymError};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::config::SyncSection;
use crate::epochs::{EpochRegister, HeldKey, Keys, Registers};
use crate::link::{Link, LinkError};
use crate::live::LocalSet;
use crate::register::{LocalRegister, Wanted, for_broker};
use crate::source::{self, ReadOutcome, Source, SourceError};
use crate::state::{LocalChange, StateError};
use crate::sync_book::{SourceRead, SyncBook, source_read};
use crate::view::IssueView;

/// How many batches are written in one durable step before they are sent.
pub(crate) const TOGETHER: usize = 64;
/// How many row issues a report shows.
const ISSUES_SHOWN: usize = 50;

/// Why a sync did not end well. What was acknowledged before stays acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// No source is configured.
    #[error("this node has no [[source]] to synchronise")]
    NoSource,
    /// The covenant does not let this organisation register anybody.
    #[error("the covenant does not let this organisation register persons")]
    RegistersNobody,
    /// A source cannot be read.
    #[error("the source cannot be read")]
    Source(#[from] SourceError),
    /// More bad rows than the configuration allows; nothing was sent.
    #[error("{bad} bad rows, more than max_bad_rows = {limit}; nothing was sent")]
    TooManyBadRows {
        /// Bad rows found.
        bad: u64,
        /// The configured limit.
        limit: u64,
    },
    /// The source lost so many persons that a person must confirm; nothing was sent.
    #[error(
        "the source had {before} persons and would lose {lost} of them; if that is right, sync with --confirm-shrink"
    )]
    Shrunk {
        /// Registered before.
        before: u64,
        /// Would be withdrawn.
        lost: u64,
    },
    /// The hub cannot be reached or refuses.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The local state fails.
    #[error(transparent)]
    State(#[from] StateError),
    /// Tokens cannot be made.
    #[error("pseudonyms cannot be made")]
    Pseudonym(#[from] PseudonymError),
    /// Hub and node differ also after everything was sent again.
    #[error("hub and node still differ after a full synchronisation")]
    StillDiffers,
    /// A part of this program stopped unexpectedly.
    #[error("an internal task stopped")]
    Stopped,
}

impl SyncError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Link(error) => error.may_pass(),
            Self::Source(error) => error.may_pass(),
            _ => false,
        }
    }
}

/// Where a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum Progress {
    /// Reading sources: bytes.
    Reading {
        /// So far.
        done: u64,
        /// Of all files.
        total: u64,
    },
    /// Sending: registrations and withdrawals that are acknowledged.
    Sending {
        /// So far.
        done: u64,
        /// In this sync.
        total: u64,
    },
    /// Reading the hub's log: entries.
    Log {
        /// So far.
        done: u64,
        /// Of what is looked at.
        total: u64,
    },
    /// Screening a list: persons.
    Screening {
        /// So far.
        done: u64,
        /// On the list.
        total: u64,
    },
    /// Screening a list, waiting for a quota.
    Waiting {
        /// Persons so far.
        done: u64,
        /// Persons on the list.
        total: u64,
        /// Until when, in seconds since 1970.
        until_s: i64,
    },
}

/// Hears where a sync is.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// What a person may decide about a sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOptions {
    /// Send everything again, into a new generation.
    pub full: bool,
    /// The source may have shrunk.
    pub confirm_shrink: bool,
    /// The source may have lost up to so many persons: what somebody saw and confirmed, and not what it lost since.
    #[serde(default)]
    pub confirmed_loss: Option<u64>,
}

/// How a sync went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncReport {
    /// Rows in all sources.
    pub rows: u64,
    /// Rows that were left out.
    pub bad_rows: u64,
    /// The first of them: file, row, column and reason, never the value.
    pub issues: Vec<IssueView>,
    /// Registrations sent: new, changed or renewed.
    pub registered: u64,
    /// Withdrawals sent.
    pub withdrawn: u64,
    /// Persons registered now, as both sides agree.
    pub persons: u64,
    /// Whether everything was sent again.
    pub full: bool,
    /// Whether this organisation answers live: then nothing was sent, and `registered` and `withdrawn` count what came,
    /// changed or went in the node's own set.
    #[serde(default)]
    pub live: bool,
    /// The same of the next key epoch, while it is being filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_epoch: Option<NextEpochReport>,
    /// Seconds for reading, pseudonyms and sending.
    pub seconds: [f64; 3],
}

/// What a sync sent in the next key epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEpochReport {
    /// Its number.
    pub number: u32,
    /// Registrations sent.
    pub registered: u64,
    /// Withdrawals sent.
    pub withdrawn: u64,
    /// Persons registered now, as both sides agree.
    pub persons: u64,
}

/// What a sync works with.
pub struct Synchroniser {
    pub(crate) sources: Vec<Source>,
    pub(crate) settings: SyncSection,
    pub(crate) admission: Admission,
    pub(crate) keys: Arc<Keys>,
    pub(crate) link: Arc<Link>,
    pub(crate) clock: Arc<dyn Clock>,
    /// One sync at a time.
    pub(crate) registers: tokio::sync::Mutex<Registers>,
    /// What a live partner answers from.
    pub(crate) local: Arc<LocalSet>,
    /// How syncs went.
    pub(crate) book: Arc<SyncBook>,
}

/// How one attempt ended.
enum Attempt {
    Agreed,
    /// The broker has lost batches, or another generation, or differs: send everything again.
    SendAll,
}

impl Synchroniser {
    /// Runs one sync. A second call waits for the first.
    ///
    /// # Errors
    /// [`SyncError`]; local state and broker stay consistent and the next sync goes on from there.
    pub async fn run(&self, options: SyncOptions, progress: OnProgress) -> Result<SyncReport, SyncError> {
        if self.sources.is_empty() {
            return Err(SyncError::NoSource);
        }
        let mut registers = self.registers.lock().await;
        let running = self.book.begin();
        let book = Arc::clone(&self.book);
        let told: OnProgress = Arc::new(move |at| {
            book.is_at(at);
            progress(at);
        });
        let mut reads = Vec::new();
        let result = self.run_once(&mut registers, options, told, &mut reads).await;
        self.book.ended(reads, &result).await;
        drop(running);
        result
    }

    async fn run_once(
        &self,
        registers: &mut Registers,
        options: SyncOptions,
        progress: OnProgress,
        reads: &mut Vec<SourceRead>,
    ) -> Result<SyncReport, SyncError> {
        let begun = std::time::Instant::now();
        // Terms and classes may have changed since the last sync.
        self.link.forget_covenant();
        let covenant = self.link.covenant().await?;
        let (classes, term_days, live) = self.grant(&covenant)?;
        let (outcome, read) = self.read(classes, Arc::clone(&progress)).await?;
        *reads = read;
        let outcome = outcome?;
        let read_in = begun.elapsed();
        if let Some(limit) = self
            .settings
            .max_bad_rows
            .filter(|limit| outcome.issue_count > *limit)
        {
            return Err(SyncError::TooManyBadRows {
                bad: outcome.issue_count,
                limit,
            });
        }
        let (total_rows, bad_rows) = (outcome.total_rows, outcome.issue_count);
        let issues = outcome
            .issues
            .iter()
            .take(ISSUES_SHOWN)
            .map(IssueView::from)
            .collect();
        let today = self.clock.today();
        let mut report = SyncReport {
            rows: total_rows,
            bad_rows,
            issues,
            registered: 0,
            withdrawn: 0,
            persons: 0,
            full: options.full,
            live,
            next_epoch: None,
            seconds: [read_in.as_secs_f64(), 0.0, 0.0],
        };
        let keys = self.keys.registering();
        if keys.is_empty() {
            return Err(LinkError::Disagree("the key epoch").into());
        }
        for (place, key) in keys.iter().enumerate() {
            let begun = std::time::Instant::now();
            let wanted = wanted(&outcome, key).await?;
            report.seconds[1] += begun.elapsed().as_secs_f64();
            let begun = std::time::Instant::now();
            let of = registers.of(&key.keys)?;
            let term = (today, term_days);
            let (full, sent) = if live {
                (options.full, self.fill(of, &wanted, term, options).await?)
            } else {
                // What is synchronised with the hub is no set to answer from.
                self.local.unset(of)?;
                self.agree(of, &wanted, term, options, &progress).await?
            };
            report.seconds[2] += begun.elapsed().as_secs_f64();
            if place == 0 {
                (report.registered, report.withdrawn) = sent;
                (report.persons, report.full) = (of.local.len(), full);
            } else {
                report.next_epoch = Some(NextEpochReport {
                    number: key.keys.number.get(),
                    registered: sent.0,
                    withdrawn: sent.1,
                    persons: of.local.len(),
                });
            }
        }
        Ok(report)
    }

    /// Brings the hub's register of one key epoch in step; whether everything was sent again, and how many
    /// registrations and withdrawals were sent.
    async fn agree(
        &self,
        of: &mut EpochRegister,
        wanted: &[Wanted],
        term: (Day, u32),
        options: SyncOptions,
        progress: &OnProgress,
    ) -> Result<(bool, (u64, u64)), SyncError> {
        let mut full = options.full;
        let mut sent = (0, 0);
        for last_chance in [false, true] {
            let attempt = self
                .attempt(of, wanted, term, full, options, &mut sent, progress)
                .await?;
            match attempt {
                Attempt::Agreed => return Ok((full, sent)),
                Attempt::SendAll if last_chance => break,
                Attempt::SendAll => {
                    tracing::warn!("hub and node differ; everything is sent again");
                    full = true;
                }
            }
        }
        Err(SyncError::StillDiffers)
    }

    /// Which classes it may register, for how many days, and whether it answers live.
    fn grant(&self, covenant: &Covenant) -> Result<(Vec<SubjectClass>, u32, bool), SyncError> {
        let own = covenant
            .partner(&self.link.own().partner)
            .ok_or(SyncError::RegistersNobody)?;
        if own.registers.is_empty() {
            return Err(SyncError::RegistersNobody);
        }
        let live = own.answers == Answers::Live;
        Ok((own.registers.clone(), own.registration_days, live))
    }

    /// Reads all sources, up to the first that cannot be read; how each of them went comes along.
    async fn read(
        &self,
        classes: Vec<SubjectClass>,
        progress: OnProgress,
    ) -> Result<(Result<ReadOutcome, SourceError>, Vec<SourceRead>), SyncError> {
        let (sources, admission) = (self.sources.clone(), self.admission.clone());
        // Ages change at midnight where people live, not in UTC.
        let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
        let today = self.clock.now().to_zoned(zone).date();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut all, mut reads) = (ReadOutcome::default(), Vec::new());
            for one in &sources {
                let mut report = |done, total| progress(Progress::Reading { done, total });
                let read = source::read(one, &admission, today, &classes, &mut report);
                reads.push(source_read(one, &read));
                let read = match read {
                    Ok(read) => read,
                    Err(error) => return (Err(error), reads),
                };
                all.rows.extend(read.rows);
                all.issues.extend(read.issues);
                all.issue_count += read.issue_count;
                all.total_rows += read.total_rows;
                all.duplicates += read.duplicates;
            }
            (Ok(all), reads)
        });
        reading.await.map_err(|_| SyncError::Stopped)
    }

    /// A broken export must not wipe a register.
    pub(crate) fn guard(&self, before: u64, lost: u64, options: SyncOptions) -> Result<(), SyncError> {
        let most = u128::from(before) * u128::from(self.settings.max_loss_percent.min(100));
        let confirmed =
            options.confirm_shrink || options.confirmed_loss.is_some_and(|confirmed| lost <= confirmed);
        if !confirmed && u128::from(lost) * 100 > most {
            return Err(SyncError::Shrunk { before, lost });
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of `run`, split off to be readable"
    )]
    async fn attempt(
        &self,
        of: &mut EpochRegister,
        wanted: &[Wanted],
        (today, term_days): (Day, u32),
        full: bool,
        options: SyncOptions,
        sent: &mut (u64, u64),
        progress: &OnProgress,
    ) -> Result<Attempt, SyncError> {
        let mut stream = SyncStream::open(&self.link, &of.keys, full).await?;
        let (slot, register) = (&of.slot, &mut of.local);
        let begun = stream.begun;
        // The hub may hold more than this node remembers.
        let before = register.len().max(begun.registered);
        let missing = before.saturating_sub(wanted.len() as u64);
        if full {
            let withdrawn = register.difference(wanted, today, term_days).withdrawn;
            self.guard(before, withdrawn.max(missing), options)?;
        }
        if full || (register.mark.generation == 0 && begun.next_sequence == 1) {
            register.restart(begun.generation);
            slot.start_generation(register.mark)?;
        } else if begun.generation != register.mark.generation
            || begun.next_sequence <= register.mark.acknowledged
            || begun.next_sequence > register.next_sequence()
        {
            return Ok(Attempt::SendAll);
        }
        // What we wrote before a stop: the broker tells how much of it arrived, and the rest goes first.
        register.acknowledge(begun.next_sequence - 1);
        if !register.in_doubt.is_empty() {
            let last = register.next_sequence() - 1;
            stream.send_batches(begun.generation, &register.in_doubt).await?;
            stream.acknowledged(last, register, &mut |_| ()).await?;
        }

        let difference = register.difference(wanted, today, term_days);
        if !full {
            self.guard(before, difference.withdrawn.max(missing), options)?;
        }
        sent.0 += difference.registered;
        sent.1 += difference.withdrawn;
        let total = difference.changes.len() as u64;
        let mut batches = difference.into_batches(register.next_sequence())?;
        let mut done = 0;
        progress(Progress::Sending { done, total });
        while !batches.is_empty() {
            let window: Vec<_> = batches.drain(..batches.len().min(TOGETHER)).collect();
            let last = window.last().map_or(0, |(sequence, _)| *sequence);
            // Written before sent: after a stop we know what the broker may have.
            let (slot, mark) = (slot.clone(), register.mark);
            let written = tokio::task::spawn_blocking(move || slot.append(mark, &window).map(|()| window));
            let window = written.await.map_err(|_| SyncError::Stopped)??;
            register.in_doubt = window;
            stream.send_batches(begun.generation, &register.in_doubt).await?;
            let mut told = |changes: usize| {
                done += changes as u64;
                progress(Progress::Sending { done, total });
            };
            stream.acknowledged(last, register, &mut told).await?;
        }

        let tally = register.tally();
        if !stream.end(begun.generation, tally).await? {
            return Ok(Attempt::SendAll);
        }
        register.mark.complete_ms = self.clock.now().as_millisecond();
        register.mark.complete_count = register.len();
        slot.set_mark(register.mark)?;
        Ok(Attempt::Agreed)
    }
}

/// What the sources say, in the tokens of one key.
async fn wanted(outcome: &ReadOutcome, key: &HeldKey) -> Result<Vec<Wanted>, SyncError> {
    let mut wanted = Vec::with_capacity(outcome.rows.len());
    for rows in outcome.rows.chunks(MAX_BATCH) {
        let identifiers: Vec<_> = rows.iter().map(|row| row.identifier.clone()).collect();
        let tokens = key.pseudonymiser.tokens(&identifiers).await?;
        wanted.extend(tokens.into_iter().zip(rows).map(|(token, row)| Wanted {
            identifier: row.identifier.kind(),
            token,
            class: row.class,
            reference: row.reference.clone(),
        }));
    }
    Ok(wanted)
}

/// The two halves of one sync on the wire.
struct SyncStream {
    requests: mpsc::Sender<v1::SyncRequest>,
    responses: Streaming<v1::SyncResponse>,
    begun: v1::SyncBegun,
    silence: std::time::Duration,
}

/// A broker that says nothing for so long is gone.
const SILENCE: std::time::Duration = std::time::Duration::from_mins(1);

impl SyncStream {
    async fn open(link: &Link, keys: &EpochKeys, full: bool) -> Result<Self, SyncError> {
        let (requests, outgoing) = mpsc::channel(TOGETHER);
        let own = link.own();
        let begin = v1::SyncBegin {
            key_epoch: keys.number.get(),
            key_check_value: keys.key_check_value.as_bytes().to_vec(),
            deployment: own.deployment.as_bytes().to_vec(),
            full,
        };
        let first = v1::SyncRequest {
            step: Some(Step::Begin(begin)),
        };
        requests.send(first).await.map_err(|_| SyncError::Stopped)?;
        let mut client = link.registry();
        let response = link.within(client.sync(ReceiverStream::new(outgoing))).await?;
        let begun = v1::SyncBegun::default();
        let mut stream = Self {
            requests,
            responses: response.into_inner(),
            begun,
            silence: SILENCE,
        };
        match stream.next().await? {
            Reply::Begun(begun) if begun.next_sequence > 0 && begun.generation > 0 => stream.begun = begun,
            _ => return Err(LinkError::Unreadable("the begin of a sync").into()),
        }
        Ok(stream)
    }

    async fn next(&mut self) -> Result<Reply, SyncError> {
        let message = tokio::time::timeout(self.silence, self.responses.message()).await;
        let message = message
            .map_err(|_| LinkError::TimedOut)?
            .map_err(LinkError::from)?;
        let step = message.and_then(|message| message.step);
        Ok(step.ok_or(LinkError::Unreadable("the end of a sync"))?)
    }

    async fn send(&self, step: Step) -> Result<(), SyncError> {
        // A closed channel means that the call has ended; the reason comes with the next response.
        let _ = self.requests.send(v1::SyncRequest { step: Some(step) }).await;
        Ok(())
    }

    async fn send_batches(
        &self,
        generation: u32,
        batches: &[(u64, Vec<LocalChange>)],
    ) -> Result<(), SyncError> {
        for (sequence, changes) in batches {
            let changes: Vec<_> = changes.iter().map(for_broker).collect();
            let batch = v1::SyncBatch {
                generation,
                sequence: *sequence,
                changes: registry::pack(&changes),
            };
            self.send(Step::Batch(batch)).await?;
        }
        Ok(())
    }

    /// Waits until everything up to `last` is acknowledged.
    async fn acknowledged(
        &mut self,
        last: u64,
        register: &mut LocalRegister,
        told: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(), SyncError> {
        while register.mark.acknowledged < last {
            let Reply::Acknowledged(v1::SyncAcknowledged { sequence }) = self.next().await? else {
                return Err(LinkError::Unreadable("an acknowledgement").into());
            };
            let of: usize = register
                .in_doubt
                .iter()
                .filter(|(own, _)| *own <= sequence)
                .map(|(_, changes)| changes.len())
                .sum();
            register.acknowledge(sequence.min(last));
            told(of);
        }
        Ok(())
    }

    async fn end(&mut self, generation: u32, tally: hitmachine_core::Tally) -> Result<bool, SyncError> {
        let end = v1::SyncEnd {
            generation,
            count: tally.count,
            digest: tally.digest().to_vec(),
        };
        self.send(Step::End(end)).await?;
        match self.next().await? {
            Reply::Ended(ended) => Ok(ended.agreed),
            _ => Err(LinkError::Unreadable("the end of a sync").into()),
        }
    }
}
