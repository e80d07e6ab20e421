//! The steps of a change of key epoch, on a hub that goes on answering: into the log first, and then done.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hitmachine_core::PartnerId;
use hitmachine_core::epoch::{EpochChange, EpochError, EpochKeys, EpochState};
use hitmachine_service::config::ConfigError;

use super::{Configured, EpochRegister, EpochsError, entry, registry_dir, remove};
use crate::config::BrokerConfig;
use crate::hub::{AskError, Hub};

/// How long the removal of an epoch's tags waits for a look-up that is under way in them.
const PATIENCE: Duration = Duration::from_mins(1);

/// One step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Take up the epoch that the configuration names as the next one.
    Prepare,
    /// Let partners register in it.
    Fill,
    /// Ask in it from now on; these partners may be left behind.
    Switch(Vec<PartnerId>),
    /// End the one before it, `early` also before it has drained.
    Retire {
        /// Whether not to wait for nodes that were off.
        early: bool,
    },
    /// Give up the next epoch.
    Abandon,
}

/// Why a step is not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StepError {
    /// The rules do not allow it.
    #[error(transparent)]
    Rules(#[from] EpochError),
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It names no next epoch.
    #[error("the configuration has no section [next_epoch]")]
    NoSection,
    /// Keys or registers of the epoch cannot be opened.
    #[error(transparent)]
    Open(#[from] EpochsError),
    /// The log does not take the entry.
    #[error(transparent)]
    Log(#[from] AskError),
    /// The hub's clock cannot be trusted.
    #[error("the hub's clock cannot be trusted at this moment")]
    Clock,
    /// The step is logged and in force; only the old tags could not be removed yet. The next start does.
    #[error("the epoch is over, but its tags could not be removed yet; restart the broker")]
    NotRemoved,
    /// A part of the broker stopped unexpectedly.
    #[error("an internal task stopped")]
    Stopped,
}

impl StepError {
    /// Stable code for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Rules(error) => error.code(),
            Self::Config(_) | Self::NoSection => "configuration",
            Self::Open(_) => "epoch_keys",
            Self::Log(_) => "log",
            Self::Clock => "clock_behind",
            Self::NotRemoved => "not_removed",
            Self::Stopped => "stopped",
        }
    }
}

/// Changes the key epoch of a hub.
pub(crate) struct EpochChanger {
    hub: Arc<Hub>,
    config: BrokerConfig,
    /// One step at a time.
    turn: tokio::sync::Mutex<()>,
}

impl EpochChanger {
    pub(crate) fn new(hub: Arc<Hub>, config: BrokerConfig) -> Self {
        Self {
            hub,
            config,
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The hub whose epochs these are.
    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Does one step.
    ///
    /// # Errors
    /// [`StepError`]; nothing has changed then, but for [`StepError::NotRemoved`].
    pub(crate) async fn step(&self, step: Step) -> Result<(), StepError> {
        let _turn = self.turn.lock().await;
        let (now, clock_is_sound) = self.hub.now();
        if !clock_is_sound {
            return Err(StepError::Clock);
        }
        let registers = self.hub.registers();
        let plan = registers.plan();
        match step {
            Step::Prepare => self.prepare(now).await,
            Step::Fill => self.log_and_apply(plan.fill(now)?).await,
            Step::Switch(without) => {
                let _gate = registers.gate.write().await;
                let readiness = registers.readiness(&self.hub.covenant());
                self.log_and_apply(plan.switch(&readiness, &without, now)?)
                    .await?;
                self.hub.count_persons();
                Ok(())
            }
            Step::Retire { early } => {
                // The configuration may have become the new epoch's alone.
                let config = self.reread().unwrap_or_else(|_| self.config.clone());
                self.end(plan.retire(now, config.drain_hours(), early)?).await
            }
            Step::Abandon => self.end(plan.abandon(now)?).await,
        }
    }

    fn reread(&self) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::load(&self.config.file)
    }

    async fn prepare(&self, now: jiff::Timestamp) -> Result<(), StepError> {
        let config = self.reread()?;
        let section = config.next_epoch.as_ref().ok_or(StepError::NoSection)?.section();
        let configured = Configured::new(&section)?;
        let registers = self.hub.registers();
        let plan = registers.plan();
        let change = plan.prepare(configured.keys.clone(), now)?;
        let deployment = self.hub.covenant().deployment().id;
        let dir = self.config.registry_dir_of(section.number);
        let opening = tokio::task::spawn_blocking(move || {
            // What a preparation that was cut short has left: the log knows nothing of it.
            remove(&dir).map_err(EpochsError::Remove)?;
            EpochRegister::open(&configured, &deployment, &dir)
        });
        let opened = opening.await.map_err(|_| StepError::Stopped)??;
        let mut drafts = Vec::new();
        // A log that has not said which epoch was its first says so now.
        let is_logged = registers.first_is_logged.load(Ordering::Acquire);
        if let Some(first) = plan.active().filter(|_| !is_logged) {
            let told = EpochChange {
                keys: EpochKeys::clone(&first.keys),
                state: EpochState::Active,
                time: now,
                without: Vec::new(),
            };
            drafts.push(draft(&told)?);
        }
        drafts.push(draft(&change)?);
        self.hub.commit(drafts, Vec::new()).await?;
        registers.first_is_logged.store(true, Ordering::Release);
        // In this order: whoever hears of the epoch finds its registers.
        registers.add(opened);
        registers.apply(&change)?;
        told(&change);
        Ok(())
    }

    async fn log_and_apply(&self, change: EpochChange) -> Result<(), StepError> {
        self.hub.commit(vec![draft(&change)?], Vec::new()).await?;
        self.hub.registers().apply(&change)?;
        told(&change);
        Ok(())
    }

    /// Ends an epoch: from its entry on nothing is answered in it, and then its tags go.
    async fn end(&self, change: EpochChange) -> Result<(), StepError> {
        let number = change.keys.number;
        let registers = self.hub.registers();
        let dir = registry_dir(&self.config, &registers.plan(), number);
        self.log_and_apply(change).await?;
        let Some(mut out) = registers.take_out(number) else {
            return Ok(());
        };
        let begun = tokio::time::Instant::now();
        let alone = loop {
            match Arc::try_unwrap(out) {
                Ok(alone) => break alone,
                Err(_) if begun.elapsed() > PATIENCE => return Err(StepError::NotRemoved),
                Err(shared) => out = shared,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let removing = tokio::task::spawn_blocking(move || {
            // The engine closes its files before the folder goes.
            drop(alone);
            remove(&dir)
        });
        let removed = removing.await.map_err(|_| StepError::Stopped)?;
        removed.map_err(|error| {
            tracing::error!(%error, "the tags of a key epoch that is over could not be removed");
            StepError::NotRemoved
        })
    }
}

fn draft(change: &EpochChange) -> Result<hitmachine_audit::Draft, StepError> {
    // Only a list of partners left behind could be too long, and a covenant has no such number of them.
    entry::draft(change).map_err(|_| StepError::Stopped)
}

fn told(change: &EpochChange) {
    tracing::warn!(
        epoch = %change.keys.number,
        state = change.state.as_str(),
        left_behind = change.without.len(),
        "key epoch changed"
    );
}
