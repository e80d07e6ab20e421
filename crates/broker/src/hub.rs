//! What the broker does with a question and with a batch, between network and disk.

mod again;
mod leaving;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hitmachine_audit::{CommitHandle, Draft, LogReader, Receipt, SignedHead, SubmitError};
use hitmachine_core::covenant::Answers;
use hitmachine_core::registry::{Begun, Change, Completed, RegistryError, Tally};
use hitmachine_core::{
    Asker, Clock, Covenant, LiveAnswers, Partner, PartnerId, Query, Refusal, RefusedQuery, SignedRequest,
    StoreError, Unreleased,
};
use hitmachine_proto::{MAX_KNOWN_SIZES, answer, query, receipt, v1};
use hitmachine_pseudonym::{KeyCheckValue, KeyEpoch};
use hitmachine_store::HubTables;
use jiff::Timestamp;
use tokio::sync::{OwnedMutexGuard, oneshot};

use self::again::{Before, Claimed, Coming, Memory};
use crate::cosigned::{self, Newest};
use crate::epochs::{EpochRegister, Registers};
use crate::indexer::Indexed;
use crate::live::Live;
use crate::metrics::{Metrics, OutcomeLabel};
use crate::rules::Rules;
use crate::watch::{Watch, Watched};
use crate::witness::Witnesses;

/// How far the clock may fall behind a time already logged, in milliseconds, before nothing is answered.
const CLOCK_TOLERANCE_MS: i64 = 5 * 60 * 1000;
/// How long a sync waits for another of the same partner to end. A node that broke one off to send everything again, or
/// was started anew, comes back before the end of the old stream has been noticed here.
const SYNC_PATIENCE: Duration = Duration::from_secs(3);

/// Why a question got no answer at all, logged or not. It may be asked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AskError {
    /// More questions wait for the log than it can take.
    #[error("too many questions at this moment; try again")]
    Busy,
    /// The purpose asks for a quorum of witnesses, and there is none at this moment. The question is logged.
    #[error("too few partners witness the log at this moment, and this purpose asks for them; try again")]
    NoQuorum,
    /// The log has stopped; without it nothing is answered.
    #[error("the audit log does not take entries; nothing is answered")]
    LogStopped,
    /// The question is in the log, but its answer cannot be made from that again.
    #[error("this question was asked before, and its answer cannot be given again; ask it as a new one")]
    NotRepeatable,
    /// The asker does not know whether it asked this before; it did not, and by now its pseudonyms are old.
    #[error("the log does not have this question; ask it as a new one")]
    NeverAsked,
}

/// Why a sync is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SyncError {
    /// The covenant does not let this organisation register.
    #[error("{0}")]
    NotAllowed(Refusal),
    /// It registers nobody, or answers live.
    #[error("the covenant does not let this organisation register persons at the hub")]
    RegistersNobody,
    /// It does not answer live.
    #[error("the covenant does not let this organisation answer live")]
    NotLive,
    /// Another sync of the same organisation is under way.
    #[error("another synchronisation of this organisation is under way")]
    UnderWay,
    /// The node has another key: its pseudonyms would silently never match.
    #[error("the node's pseudonym key is not the one of this key epoch (key check value differs)")]
    WrongKey,
    /// Another epoch.
    #[error("the node uses another key epoch than the hub")]
    WrongEpoch,
    /// A production node at a test hub, or the reverse.
    #[error("the node belongs to another deployment than the hub")]
    WrongDeployment,
    /// The rules refuse a batch.
    #[error(transparent)]
    Refused(#[from] RegistryError),
    /// The store failed; nothing more is accepted until the hub is started again.
    #[error("the hub cannot store registrations")]
    Storage(#[source] Option<StoreError>),
}

impl SyncError {
    /// Stable code for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotAllowed(refusal) => refusal.code(),
            Self::RegistersNobody => "registers_nobody",
            Self::NotLive => "not_live",
            Self::UnderWay => "sync_under_way",
            Self::WrongKey => "wrong_key",
            Self::WrongEpoch => "wrong_epoch",
            Self::WrongDeployment => "wrong_deployment",
            Self::Refused(error) => error.code(),
            Self::Storage(_) => "storage",
        }
    }
}

/// Word for the metrics, what the log must hold, what waits for it, whether that waits for a quorum too, and what the
/// watch remembers of it.
type Decided = (&'static str, Vec<Draft>, Unreleased, bool, Watched);

/// Held while a sync goes on.
type OneAtATime = Arc<tokio::sync::Mutex<()>>;

/// The broker's state: covenant, register, log.
pub(crate) struct Hub {
    rules: Arc<Rules>,
    tables: HubTables,
    watch: Arc<Watch>,
    registers: Arc<Registers>,
    log: CommitHandle,
    reader: LogReader,
    index: Arc<Indexed>,
    memory: Arc<Memory>,
    witnesses: Arc<Witnesses>,
    cosigned: Newest,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    latest_ms: AtomicI64,
    syncs: Mutex<HashMap<(PartnerId, KeyEpoch), OneAtATime>>,
    metrics: Metrics,
}

/// A sync that has begun; while it is there, no other of the same partner in the same epoch begins.
pub(crate) struct Syncing {
    partner: PartnerId,
    epoch: KeyEpoch,
    generation: u32,
    _guard: OwnedMutexGuard<()>,
}

/// What a [`Hub`] is made of.
pub(crate) struct Parts {
    pub(crate) rules: Arc<Rules>,
    pub(crate) tables: HubTables,
    pub(crate) watch: Arc<Watch>,
    pub(crate) registers: Arc<Registers>,
    pub(crate) reader: LogReader,
    pub(crate) index: Arc<Indexed>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) last_logged: Option<Timestamp>,
    pub(crate) metrics: Metrics,
}

impl Hub {
    pub(crate) fn new(parts: Parts, log: CommitHandle) -> Self {
        let hub = Self {
            rules: parts.rules,
            tables: parts.tables,
            watch: parts.watch,
            registers: parts.registers,
            log,
            reader: parts.reader,
            index: parts.index,
            memory: Memory::new(parts.last_logged),
            cosigned: parts.witnesses.newest(),
            witnesses: parts.witnesses,
            live: Live::new(parts.metrics.live.clone()),
            clock: parts.clock,
            latest_ms: AtomicI64::new(parts.last_logged.map_or(i64::MIN, Timestamp::as_millisecond)),
            syncs: Mutex::new(HashMap::new()),
            metrics: parts.metrics,
        };
        hub.covenant_changed(&hub.covenant());
        hub.count_persons();
        hub
    }

    /// The covenant in force.
    pub(crate) fn covenant(&self) -> Arc<Covenant> {
        self.rules.covenant()
    }

    /// The covenant in force, and how it changes.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Says that another covenant is in force.
    pub(crate) fn covenant_changed(&self, covenant: &Covenant) {
        self.metrics.covenant_number.set(covenant.number().into());
    }

    /// Says that a change of the covenant was refused, and counts it; the one in force stays.
    pub(crate) fn refused_covenant(&self, error: &dyn std::error::Error) {
        let error = hitmachine_service::console::chain(error);
        let number = self.covenant().number();
        tracing::warn!(
            error,
            in_force = number,
            "a change of the covenant is refused; nothing of it holds"
        );
        self.metrics.covenants_refused.inc();
    }

    /// What else must be remembered.
    #[allow(dead_code)]
    pub(crate) fn tables(&self) -> &HubTables {
        &self.tables
    }

    /// The partners that answer live.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The newest signed head of the log.
    pub(crate) fn head(&self) -> SignedHead {
        self.log.head()
    }

    /// What looks after quotas.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Whether the index of a partner may answer, in the epoch in use; `None` of one that has none here.
    pub(crate) fn is_fresh(&self, partner: &Partner, now: Timestamp) -> Option<bool> {
        (partner.answers == Answers::Index).then(|| {
            let registers = self.registers.active();
            registers.is_some_and(|each| each.read().is_fresh(&partner.id, partner.asked_for_hours(), now))
        })
    }

    /// How many persons each partner has registered, in the register that answers.
    pub(crate) fn registrations(&self) -> BTreeMap<PartnerId, u64> {
        let summary = self.registers.active().map(|each| each.read().summary());
        let rows = summary.into_iter().flatten();
        rows.map(|(partner, _, count)| (partner, count)).collect()
    }

    /// The registers of every key epoch.
    pub(crate) fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Sets the figure of persons in the index.
    pub(crate) fn count_persons(&self) {
        let persons = self.registers.active().map_or(0, |each| each.read().persons());
        self.metrics
            .persons
            .set(i64::try_from(persons).unwrap_or(i64::MAX));
    }

    /// The present time, and whether the clock can be trusted: it may not lie before what was logged.
    pub(crate) fn now(&self) -> (Timestamp, bool) {
        let now = self.clock.now();
        let ms = now.as_millisecond();
        let latest = self.latest_ms.fetch_max(ms, Ordering::Relaxed);
        (now, ms >= latest.saturating_sub(CLOCK_TOLERANCE_MS))
    }

    /// Answers one question: authorise, look up, log, and only then release.
    ///
    /// # Errors
    /// [`AskError`] if the log cannot take the entries; a refusal by the covenant is an answer.
    pub(crate) async fn ask(
        &self,
        asker: &Asker,
        request: v1::AskRequest,
    ) -> Result<v1::AskResponse, AskError> {
        let begun = Instant::now();
        let (now, clock_is_sound) = self.now();
        let covenant = self.covenant();
        let signature = <[u8; 64]>::try_from(request.signature.as_slice());
        let mut signed = SignedRequest::new(request.query, signature.unwrap_or([0; 64]));
        // One that has another length is none, and where one is needed that is refused.
        if let Ok(live) = request.live_signature.as_slice().try_into() {
            signed = signed.with_live(live);
        }
        let digest = signed.digest();
        let malformed = |field| Err(query::MalformedQuery { request: None, field });
        let parsed = if request.known_sizes.len() > MAX_KNOWN_SIZES {
            malformed("known_sizes")
        } else if signature.is_err() {
            malformed("signature")
        } else {
            query::parse(signed)
        };
        let mut claimed = None;
        let (outcome, drafts, unreleased, strict, watched) = match parsed {
            Ok(query) if clock_is_sound => {
                let again = request.again;
                let coming = Coming {
                    asker,
                    query: &query,
                    now,
                    again,
                };
                match self.asked_before(&covenant, &coming).await? {
                    // Partners that answer live take a question for some minutes only, or it could be kept and repeated.
                    Before::Never(Some(_)) if again && coming.is_old() => return Err(AskError::NeverAsked),
                    Before::Never(new) => {
                        claimed = new;
                        self.decide(&covenant, asker, query, now, clock_is_sound).await
                    }
                    Before::Other(other) => {
                        claimed = Some(other);
                        let refused = RefusedQuery::other(&covenant, asker, Refusal::RequestIdUsed, query);
                        self.refuse(&covenant, asker, refused, now)
                    }
                    Before::Same(entries) => {
                        let known = request.known_sizes.into_iter().take(MAX_KNOWN_SIZES).collect();
                        let held = (request.cosigned_size, request.cosigned_time);
                        return self.repeat(&covenant, &coming, entries, (known, held)).await;
                    }
                }
            }
            Ok(query) => self.decide(&covenant, asker, query, now, clock_is_sound).await,
            Err(query::MalformedQuery { request, field }) => {
                let refused = RefusedQuery::malformed(&covenant, asker, field, request, digest);
                self.refuse(&covenant, asker, refused, now)
            }
        };
        let persons = drafts.len() as u64;
        let known = request.known_sizes.into_iter().take(MAX_KNOWN_SIZES).collect();
        let committed = self.commit_claimed(drafts, known, claimed).await;
        self.watch.logged(watched, committed.as_deref().ok());
        let receipts = committed?;
        let size = receipts.first().map_or(0, |receipt| receipt.head().size);
        if strict {
            self.witnesses.hurry();
            if !cosigned::covers(&self.cosigned, size).await {
                return Err(AskError::NoQuorum);
            }
        }
        let held = (request.cosigned_size, request.cosigned_time);
        let beside = cosigned::beside(&self.cosigned, &self.reader, size, held);
        let released = unreleased.release(receipts).map_err(|error| {
            tracing::error!(%error, "the log's receipts do not fit the answers");
            AskError::LogStopped
        })?;
        self.metrics
            .lookups
            .get_or_create(&OutcomeLabel { outcome })
            .inc_by(persons);
        self.metrics.answer_seconds.observe(begun.elapsed().as_secs_f64());
        Ok(receipt::response(released, beside))
    }

    async fn decide(
        &self,
        covenant: &Arc<Covenant>,
        asker: &Asker,
        query: Query,
        now: Timestamp,
        clock_is_sound: bool,
    ) -> Decided {
        if !clock_is_sound {
            let refused = RefusedQuery::other(covenant, asker, Refusal::ClockBehind, query);
            return self.refuse(covenant, asker, refused, now);
        }
        // The registers of the tokens' own epoch, or those that the question does not agree with and is refused for.
        let Some(registers) = self.registers.asked(query.epoch) else {
            let refused = RefusedQuery::other(covenant, asker, Refusal::WrongEpoch, query);
            return self.refuse(covenant, asker, refused, now);
        };
        let permit = match covenant.authorise(asker, query, registers.keys.number, now) {
            Ok(permit) => permit,
            Err(refused) => return self.refuse(covenant, asker, *refused, now),
        };
        let watched = match self.watch.take(covenant, &permit, now) {
            Ok(watched) => watched,
            Err(refusal) => return self.refuse(covenant, asker, permit.refuse(refusal), now),
        };
        let strict = permit.is_strict();
        let lookup = permit.look_up(&registers.read(), now);
        let questions = lookup.live_questions();
        let (answers, now) = if questions.is_empty() {
            (LiveAnswers::default(), now)
        } else {
            // The entry says when it was answered.
            (self.live.ask(questions).await, self.now().0.max(now))
        };
        let finding = lookup.answered(&answers);
        self.watch.saw(&watched, covenant, &finding, now);
        let (drafts, unreleased) = finding.seal(now, answer::encode);
        ("answered", drafts, unreleased, strict, watched)
    }

    fn refuse(&self, covenant: &Covenant, asker: &Asker, refused: RefusedQuery, now: Timestamp) -> Decided {
        tracing::warn!(oin = %asker.oin, code = refused.refusal().code(), "question refused");
        let partner = covenant.identify(asker).ok();
        let watched = partner.map(|partner| self.watch.refused(covenant, &partner.id, &refused, now));
        let (drafts, unreleased) = refused.seal(now, answer::encode);
        ("refused", drafts, unreleased, false, watched.unwrap_or_default())
    }

    /// Logs entries; their receipts once they are durable.
    ///
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn commit(
        &self,
        drafts: Vec<Draft>,
        known_sizes: Vec<u64>,
    ) -> Result<Vec<Receipt>, AskError> {
        self.commit_claimed(drafts, known_sizes, None).await
    }

    /// As [`Hub::commit`]; whoever asks the same question waits until it is done.
    async fn commit_claimed(
        &self,
        drafts: Vec<Draft>,
        known_sizes: Vec<u64>,
        claimed: Option<Claimed>,
    ) -> Result<Vec<Receipt>, AskError> {
        let (done, waiting) = oneshot::channel();
        let submitted = self.log.submit(drafts, known_sizes, move |result| {
            if let Some(claimed) = claimed {
                claimed.committed(&result);
            }
            // The asker may have gone; its question is logged all the same.
            let _ = done.send(result);
        });
        submitted.map_err(log_error)?;
        let committed = waiting
            .await
            .map_err(|_| AskError::LogStopped)?
            .map_err(log_error)?;
        let (size, stats) = (self.log.head().head.size, self.log.stats());
        self.metrics.log_size.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.metrics
            .log_batches
            .set(i64::try_from(stats.batches).unwrap_or(i64::MAX));
        self.metrics
            .log_flush_us
            .set(i64::try_from(stats.last_flush.as_micros()).unwrap_or(i64::MAX));
        Ok(committed.receipts)
    }

    /// Starts a sync of the partner that `asker` is, in the epoch that it names; what it gives keeps others of the same
    /// partner out.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) async fn begin_sync(
        self: &Arc<Self>,
        asker: &Asker,
        begin: &v1::SyncBegin,
    ) -> Result<(Syncing, Begun), SyncError> {
        let covenant = self.covenant();
        let partner = covenant.identify(asker).map_err(SyncError::NotAllowed)?;
        let (now, clock_is_sound) = self.now();
        if !clock_is_sound {
            return Err(SyncError::NotAllowed(Refusal::ClockBehind));
        }
        if !covenant.in_force(now) {
            return Err(SyncError::NotAllowed(Refusal::CovenantNotInForce));
        }
        if !partner.keeps_register() {
            return Err(SyncError::RegistersNobody);
        }
        if begin.deployment != covenant.deployment().id.as_bytes() {
            return Err(SyncError::WrongDeployment);
        }
        let epoch = KeyEpoch::new(begin.key_epoch).ok_or(SyncError::WrongEpoch)?;
        let registers = self.registers.registering(epoch).ok_or(SyncError::WrongEpoch)?;
        let theirs = KeyCheckValue::try_from(begin.key_check_value.as_slice()).ok();
        if theirs.as_ref() != Some(&registers.keys.key_check_value) {
            tracing::warn!(partner = %partner.id, "key check value differs; sync refused");
            self.watch.wrong_key(&partner.id);
            return Err(SyncError::WrongKey);
        }
        drop(registers);
        let lock = {
            let mut syncs = self.syncs.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(syncs.entry((partner.id.clone(), epoch)).or_default())
        };
        let free = tokio::time::timeout(SYNC_PATIENCE, lock.lock_owned()).await;
        let guard = free.map_err(|_| SyncError::UnderWay)?;
        let (id, full) = (partner.id.clone(), begin.full);
        let begun = self
            .storage(epoch, move |hub, of| {
                // It may have left the covenant since.
                if !hub.covenant().partner(&id).is_some_and(Partner::keeps_register) {
                    return Err(SyncError::RegistersNobody);
                }
                let begun = of.write().begin(&id, full)?;
                if let Some(state) = begun.state {
                    let stored = of.store.set_state(&id, state);
                    stored.map_err(|error| SyncError::Storage(Some(error)))?;
                }
                Ok(begun)
            })
            .await?;
        let syncing = Syncing {
            partner: partner.id.clone(),
            epoch,
            generation: begun.generation,
            _guard: guard,
        };
        Ok((syncing, begun))
    }

    /// Whether the node that `asker` is may answer live, and has the right key; which partner that is.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) fn begin_live(&self, asker: &Asker, hello: &v1::LiveHello) -> Result<PartnerId, SyncError> {
        let covenant = self.covenant();
        let partner = covenant.identify(asker).map_err(SyncError::NotAllowed)?;
        if partner.registers.is_empty() || partner.answers != Answers::Live {
            return Err(SyncError::NotLive);
        }
        if hello.deployment != covenant.deployment().id.as_bytes() {
            return Err(SyncError::WrongDeployment);
        }
        let active = self.registers.active().ok_or(SyncError::WrongEpoch)?;
        let number = active.keys.number.get();
        let key = hello.keys.iter().find(|key| key.number == number);
        let key = key.ok_or(SyncError::WrongEpoch)?;
        let theirs = KeyCheckValue::try_from(key.key_check_value.as_slice()).ok();
        if theirs.as_ref() != Some(&active.keys.key_check_value) {
            tracing::warn!(partner = %partner.id, "key check value differs; its node does not answer live");
            self.watch.wrong_key(&partner.id);
            return Err(SyncError::WrongKey);
        }
        Ok(partner.id.clone())
    }

    /// Makes batches durable and then visible; the last sequence that is durable now.
    ///
    /// # Errors
    /// [`SyncError`]; nothing of the batches is acknowledged.
    pub(crate) async fn take_batches(
        self: &Arc<Self>,
        syncing: &Syncing,
        batches: Vec<(u64, Vec<Change>)>,
    ) -> Result<u64, SyncError> {
        let count = batches.len() as u64;
        let (partner, generation) = (syncing.partner.clone(), syncing.generation);
        let acknowledged = self
            .storage(syncing.epoch, move |hub, of| {
                let covenant = hub.covenant();
                let partner = covenant
                    .partner(&partner)
                    .filter(|partner| partner.keeps_register());
                let partner = partner.ok_or(SyncError::RegistersNobody)?;
                let prepared = of
                    .read()
                    .prepare(partner, generation, batches, hub.clock.today())?;
                of.store
                    .append(&prepared.stored)
                    .map_err(|error| SyncError::Storage(Some(error)))?;
                for batch in &prepared.batches {
                    // One batch at a time, so that questions need not wait for all of them.
                    of.write().apply(batch);
                }
                Ok(prepared.acknowledges)
            })
            .await?;
        self.metrics.batches.inc_by(count);
        Ok(acknowledged)
    }

    /// Ends a sync: whether both sides agree, and our count.
    ///
    /// # Errors
    /// [`SyncError`].
    pub(crate) async fn end_sync(
        self: &Arc<Self>,
        syncing: &Syncing,
        tally: Tally,
    ) -> Result<v1::SyncEnded, SyncError> {
        let (partner, generation) = (syncing.partner.clone(), syncing.generation);
        let ended = self
            .storage(syncing.epoch, move |hub, of| {
                let now = hub.clock.now();
                let completed = of.read().complete(&partner, generation, tally, now)?;
                if let Completed::Agreed { state } = completed {
                    of.store
                        .set_state(&partner, state)
                        .map_err(|error| SyncError::Storage(Some(error)))?;
                    of.write().switch(&partner, state);
                }
                let agreed = completed != Completed::Differs;
                let count = of.read().count(&partner, generation);
                tracing::info!(%partner, epoch = %of.keys.number, generation, count, agreed, "sync ended");
                Ok(v1::SyncEnded { agreed, count })
            })
            .await?;
        self.count_persons();
        Ok(ended)
    }

    /// Runs `work` on the registers of `epoch`, on a thread that may block. After their store failed once, memory and
    /// disk may differ, so nothing more is accepted; questions go on being answered from what was acknowledged.
    async fn storage<T: Send + 'static>(
        self: &Arc<Self>,
        epoch: KeyEpoch,
        work: impl FnOnce(&Self, &EpochRegister) -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, SyncError> {
        let gate = Arc::clone(&self.registers.gate).read_owned().await;
        // Asked each time: between two batches the epoch may have been replaced.
        let registers = self.registers.registering(epoch).ok_or(SyncError::WrongEpoch)?;
        if registers.has_failed() {
            return Err(SyncError::Storage(None));
        }
        let (hub, of) = (Arc::clone(self), Arc::clone(&registers));
        // Held until the work is done, also if whoever asked for it has gone.
        let working = tokio::task::spawn_blocking(move || {
            let _with_others = gate;
            work(&hub, &of)
        });
        let result = working.await;
        let result = result.unwrap_or_else(|_panic| Err(SyncError::Storage(None)));
        if let Err(SyncError::Storage(cause)) = &result {
            registers.fail();
            let cause = cause.as_ref().map(|error| error as &dyn std::error::Error);
            tracing::error!(
                error = cause,
                "storing registrations failed; no sync is accepted until a restart"
            );
        }
        result
    }
}

fn log_error(error: SubmitError) -> AskError {
    match error {
        SubmitError::Full => AskError::Busy,
        _ => AskError::LogStopped,
    }
}

#[cfg(test)]
mod tests;
