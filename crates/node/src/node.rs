//! A node: configuration and keys made into something that synchronises and asks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{
    LogVerifier, NoteError, OpenedNotes, Policy, PolicyError, WitnessName, WitnessSigner,
};
use hitmachine_core::{Clock, Covenant, PartnerId, RequestSigner, SystemClock};
use hitmachine_identifier::AdmissionError;
use hitmachine_pseudonym::{
    DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey, Pseudonymiser, Scheme, SelfTestError, self_test,
};
use hitmachine_service::exit;
use hitmachine_service::network::{Dial, Tcp};
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use hitmachine_service::tls::{TlsError, client_config, install_provider};
use hitmachine_store::DbError;

use crate::accounts::Accounts;
use crate::agreements::{Agreements, PastCovenant};
use crate::alarm::Alarms;
use crate::ask::Inquirer;
use crate::canary::Canaries;
use crate::config::NodeConfig;
use crate::epochs::{HeldKey, Keys, Registers};
use crate::heads::Heads;
use crate::health::LastPlace;
use crate::link::{Link, LinkError, Own};
use crate::live::{Answering, LocalSet};
use crate::notice::Which;
use crate::notice::book::NoticeBook;
use crate::notice::hook::{Hook, HookConfigError};
use crate::notification::Queue;
use crate::screening::Screenings;
use crate::state::{State, StateError, StateKey, Table};
use crate::sync::Synchroniser;
use crate::sync_book::SyncBook;
use crate::witness::Witnessing;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The published vectors do not come out: this build must not make pseudonyms.
    #[error("the cryptographic self-test failed")]
    SelfTest(#[from] SelfTestError),
    /// A setting is not valid.
    #[error("setting {0} is not valid")]
    Setting(&'static str),
    /// The test ranges are not valid.
    #[error("deployment.test_bsn_prefixes is not valid")]
    Admission(#[from] AdmissionError),
    /// A key file cannot be used.
    #[error("a key cannot be used")]
    Secret(#[from] SecretError),
    /// A key file is for another epoch.
    #[error("the pseudonym key is for key epoch {found}, the configuration says {expected}")]
    KeyEpoch {
        /// In the configuration.
        expected: u32,
        /// In the file.
        found: u32,
    },
    /// The log's verifier key is not one.
    #[error("audit.verifier is not a verifier key of a log")]
    Verifier(#[from] NoteError),
    /// The witness policy cannot be read.
    #[error("cannot read the witness policy {}", path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The witness policy is not valid.
    #[error("witness policy {}: {source}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Line and problem.
        source: PolicyError,
    },
    /// The witness policy names another log than `audit.verifier`, or several.
    #[error("witness policy {} must name the log of audit.verifier and no other", .0.display())]
    PolicyOfAnotherLog(PathBuf),
    /// A hook for hit notices cannot be used.
    #[error("a hook for hit notices cannot be used")]
    Hook(#[from] HookConfigError),
    /// Certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The address of the hub is not valid.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The local state cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
}

impl OpenError {
    /// Whether another process has the state open.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::State(StateError::Db(DbError::InUse(_))))
    }

    /// Exit code of the process: 4 for a failed self-test or damaged state, 1 if the state is in use, otherwise 2.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SelfTest(_)
            | Self::State(StateError::DoesNotOpen | StateError::Db(DbError::Damaged(_))) => exit::INTEGRITY,
            Self::State(_) => exit::REFUSED,
            _ => exit::USAGE,
        }
    }
}

/// What a node has outside of itself: the machine's clock and network, or those of a simulation.
#[derive(Clone)]
pub struct Surroundings {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The way to the hub.
    pub network: Arc<dyn Dial>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            network: Arc::new(Tcp),
        }
    }
}

/// One organisation's agent.
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) link: Arc<Link>,
    pub(crate) synchroniser: Synchroniser,
    pub(crate) inquirer: Inquirer,
    /// Of key epochs that are over, for a privacy officer's searches.
    pub(crate) past: Vec<Arc<dyn Pseudonymiser>>,
    pub(crate) witnessing: Option<Witnessing>,
    pub(crate) notices: Arc<NoticeBook>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) answering: Answering,
    pub(crate) screenings: Screenings,
    pub(crate) canaries: Canaries,
    /// Where the own register was when somebody could last look.
    pub(crate) place: LastPlace,
    accounts: Arc<Accounts>,
}

/// What the local state holds, as it is read at start.
struct Local {
    state: Arc<State>,
    registers: Registers,
    heads: Arc<Heads>,
    alarms: Arc<Alarms>,
    agreements: Arc<Agreements>,
    notices: Arc<NoticeBook>,
    live_set: Arc<LocalSet>,
    screenings: Screenings,
    notifications: Option<Arc<Queue>>,
    sync_book: SyncBook,
    accounts: Arc<Accounts>,
}

impl Local {
    fn read(
        config: &NodeConfig,
        key: &StateKey,
        held: &[Arc<HeldKey>],
        policy: Policy,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        let state = Arc::new(State::open(&config.state_dir, key)?);
        let registers = Registers::load(&state, held)?;
        let heads = Heads::load(&state, policy)?;
        let evidence_dir = config.state_dir.join("evidence");
        let with = (Arc::clone(&state), Arc::clone(clock));
        let alarms = Alarms::load(evidence_dir, config.partner.clone(), with.0, with.1)?;
        let trusted = config.covenant_administrators.clone();
        let notifying = config.notification.clone();
        let notifications = (notifying.enabled && config.signing_key.is_some())
            .then(|| Queue::load(&state, notifying, Arc::clone(clock)))
            .transpose()?;
        Ok(Self {
            agreements: Arc::new(Agreements::load(&state, trusted)?),
            notices: Arc::new(NoticeBook::load(&state, Arc::clone(clock))?),
            live_set: Arc::new(LocalSet::load(&registers)?),
            notifications: notifications.map(Arc::new),
            screenings: Screenings::open(&state, config.screening.keep_days)?,
            heads: Arc::new(heads),
            alarms: Arc::new(alarms),
            sync_book: SyncBook::load(&state, &config.source, Arc::clone(clock))?,
            accounts: Arc::new(Accounts::load(
                &state,
                &config.partner,
                config.console.clone().unwrap_or_default(),
                Arc::clone(clock),
            )?),
            registers,
            state,
        })
    }
}

impl Node {
    /// Reads keys and certificates, opens the state, and makes the link; connects at the first call.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: NodeConfig) -> Result<Self, OpenError> {
        Box::pin(Self::open_in(config, Surroundings::default())).await
    }

    /// As [`Node::open`], with a clock and a network of one's own.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_in(config: NodeConfig, surroundings: Surroundings) -> Result<Self, OpenError> {
        install_provider();
        self_test()?;
        let clock = surroundings.clock;
        let partner: PartnerId = config
            .partner
            .parse()
            .map_err(|_| OpenError::Setting("partner"))?;
        let deployment: DeploymentId = config
            .deployment
            .id
            .parse()
            .map_err(|_| OpenError::Setting("deployment.id"))?;
        let admission = config.admission()?;
        let epoch = KeyEpoch::new(config.epoch.number).ok_or(OpenError::Setting("epoch.number"))?;
        let _: Scheme = config
            .epoch
            .scheme
            .parse()
            .map_err(|_| OpenError::Setting("epoch.scheme"))?;
        let (found, key) = SecretFile::read(&config.epoch.key, Purpose::NodeKey)?;
        if found != epoch.get() {
            return Err(OpenError::KeyEpoch {
                expected: epoch.get(),
                found,
            });
        }
        let present = HeldKey::new(NodeKey::from_bytes(*key), deployment, epoch);
        let keys = Arc::new(Keys::new(deployment, present, config.epoch.next_key.clone()));
        keys.look_for_next();
        let mut past: Vec<Arc<dyn Pseudonymiser>> = Vec::new();
        for section in &config.past_epoch {
            let of = KeyEpoch::new(section.number)
                .filter(|of| *of != epoch && past.iter().all(|other| other.epoch() != *of))
                .ok_or(OpenError::Setting("past_epoch.number"))?;
            let (found, key) = SecretFile::read(&section.key, Purpose::NodeKey)?;
            if found != of.get() {
                return Err(OpenError::KeyEpoch {
                    expected: of.get(),
                    found,
                });
            }
            let key = NodeKey::from_bytes(*key);
            past.push(Arc::new(HmacSha256Pseudonymiser::new(key, deployment, of)));
        }
        let verifier: LogVerifier = config.audit.verifier.parse()?;
        let path = &config.audit.policy;
        let policy = std::fs::read(path).map_err(|source| OpenError::PolicyFile {
            path: path.clone(),
            source,
        })?;
        let policy = Policy::parse(&policy).map_err(|source| OpenError::Policy {
            path: path.clone(),
            source,
        })?;
        if !matches!(policy.logs(), [log] if *log.verifier() == verifier) {
            return Err(OpenError::PolicyOfAnotherLog(path.clone()));
        }
        let witness = match &config.audit.witness {
            None => None,
            Some(witness) => {
                let name = WitnessName::new(witness.name.as_str())
                    .map_err(|_| OpenError::Setting("audit.witness.name"))?;
                let (_, key) = SecretFile::read(&witness.key, Purpose::Witness)?;
                Some(WitnessSigner::new(name, &key))
            }
        };

        let tls = client_config(&config.tls.identity(), &config.tls.authority)?;
        let origin = verifier.origin().as_str().to_owned();
        let own = Own {
            partner,
            deployment,
            kind: admission.kind(),
            origin,
        };
        let hooks = Hook::all(&config.notice, &config.partner)?;
        let (_, state_key) = SecretFile::read(&config.state_key, Purpose::NodeState)?;
        let state_key = StateKey::from_bytes(*state_key);
        let (opening, with_clock, held) = (config.clone(), Arc::clone(&clock), keys.held());
        let opened = tokio::task::spawn_blocking(move || {
            Local::read(&opening, &state_key, &held, policy, &with_clock)
        });
        let opened = opened
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let Local {
            state,
            registers,
            heads,
            alarms,
            agreements,
            notices,
            live_set,
            screenings,
            notifications,
            accounts,
            sync_book,
        } = opened?;
        let timeout = Duration::from_secs(config.broker.timeout_seconds.max(1));
        let link = Link::new(
            (&config.broker.address, &config.broker.server_name),
            tls,
            surroundings.network,
            own,
            Arc::clone(&keys),
            timeout,
            agreements,
        )?;
        let link = Arc::new(link);
        let with = (Arc::clone(&link), Arc::clone(&alarms), Arc::clone(&clock));
        let answering = Answering::open(&state, Arc::clone(&live_set), &config.live, with)?;

        let synchroniser = Synchroniser {
            sources: config.source.clone(),
            settings: config.sync.clone(),
            admission,
            keys: Arc::clone(&keys),
            link: Arc::clone(&link),
            clock: Arc::clone(&clock),
            registers: tokio::sync::Mutex::new(registers),
            local: live_set,
            book: Arc::new(sync_book),
        };
        let signing = config.signing_key.as_ref();
        let signing = signing.map(|path| SecretFile::read(path, Purpose::RequestSigning));
        let signer = signing.transpose()?.map(|(_, key)| RequestSigner::new(&key));
        let witnessing = witness.map(|signer| {
            let with = (Arc::clone(&state), Arc::clone(&link), Arc::clone(&clock));
            let (heads, alarms) = (Arc::clone(&heads), Arc::clone(&alarms));
            Witnessing::new(signer, verifier.clone(), heads, alarms, with)
        });
        let canaries = Canaries::new(config.canary.minutes, Arc::clone(&link), Arc::clone(&clock));
        let inquirer = Inquirer {
            keys,
            signer,
            link: Arc::clone(&link),
            state,
            clock,
            notes: OpenedNotes::new(verifier),
            heads,
            alarms,
            notifications,
        };
        Ok(Self {
            config,
            link,
            synchroniser,
            inquirer,
            past,
            witnessing,
            notices,
            hooks,
            answering,
            screenings,
            canaries,
            place: LastPlace::default(),
            accounts,
        })
    }

    /// Looks for the next pseudonym key, hears from the hub which epoch may do what, and forgets what was registered in one
    /// that is over. A hub that cannot be reached now is asked again the next time.
    pub async fn follow_epochs(&self) {
        let keys = Arc::clone(&self.synchroniser.keys);
        let looked = tokio::task::spawn_blocking(move || keys.look_for_next()).await;
        if looked.is_err() {
            tracing::error!("an internal task stopped");
        }
        if let Err(error) = self.link.refresh().await {
            tracing::debug!(%error, "the hub cannot be asked for its key epochs");
            return;
        }
        let over = self.synchroniser.keys.retired();
        if over.is_empty() {
            return;
        }
        for keys in &over {
            self.synchroniser.local.forget(keys.number);
        }
        let mut registers = self.synchroniser.registers.lock().await;
        if let Err(error) = registers.forget(&over) {
            tracing::error!(%error, "the register of a key epoch that is over could not be forgotten");
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Witnesses the hub's log for ever, if it is configured to; [`serve`](crate::serve::serve) does so too.
    pub async fn witness(&self) {
        match &self.witnessing {
            Some(witnessing) => witnessing.keep().await,
            None => std::future::pending().await,
        }
    }

    /// Tells the hooks of hit notices for ever, if there are any; [`serve`](crate::serve::serve) does so too.
    pub async fn tell_hooks(&self) {
        let clock = self.inquirer.clock.as_ref();
        let telling = async |hook: Option<&Hook>| match hook {
            Some(hook) => hook.keep(&self.notices, clock).await,
            None => std::future::pending().await,
        };
        // There are two kinds of hooks, each at most once.
        let mut hooks = self.hooks.iter();
        tokio::join!(telling(hooks.next()), telling(hooks.next()));
    }

    /// Answers questions live for ever, if the covenant says that this organisation does;
    /// [`serve`](crate::serve::serve) does so too.
    pub async fn answer_live(&self) {
        self.answering.keep().await;
    }

    /// Checks for ever that this node's tokens meet the others'; [`serve`](crate::serve::serve) does so too.
    pub async fn watch_canaries(&self) {
        self.canaries.keep().await;
    }

    /// Whether the hub takes this node's live answers at this moment.
    pub fn is_answering_live(&self) -> bool {
        self.answering.is_connected()
    }

    /// Whether the hub takes questions: it does so once enough partners have confirmed its log (`grpc.health.v1`).
    pub async fn is_hub_serving(&self) -> bool {
        self.link.is_serving().await
    }

    /// When a quorum of partners cosigned the log, as far as this node knows; seconds since 1970.
    pub fn witnessed_at(&self) -> Option<u64> {
        let (_, time) = self.inquirer.heads.cosigned()?.name();
        Some(time)
    }

    /// Seconds since then.
    pub fn witnessed_s(&self) -> Option<u64> {
        let now = u64::try_from(self.inquirer.clock.now().as_second()).unwrap_or(0);
        self.witnessed_at().map(|time| now.saturating_sub(time))
    }

    /// Who may sign in at its console.
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// A table of the local state, sealed like all of it, for what the console must remember.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn table(&self, name: &'static str) -> Result<Table, StateError> {
        self.inquirer.state.table(name)
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &dyn Clock {
        self.inquirer.clock.as_ref()
    }

    /// The covenant that this node accepted last, whether or not the hub can be reached.
    pub fn covenant_held(&self) -> Option<Arc<Covenant>> {
        self.link.agreements().held()
    }

    /// Alarms that this node raised itself or was told of, oldest first; there may be more in the log.
    pub fn alarms(&self) -> Vec<crate::Alarm> {
        self.inquirer.alarms.all()
    }

    /// The covenants that this node heard of, newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn covenant_history(&self) -> Result<Vec<PastCovenant>, StateError> {
        self.link.agreements().history()
    }

    /// Hit notices that this node has.
    pub fn notices(&self, which: Which) -> usize {
        self.notices.list(which, None).notices.len()
    }

    /// The covenant that is in force, as this node accepted it.
    ///
    /// # Errors
    /// [`LinkError`]: the hub gives none that could be accepted.
    pub async fn covenant_in_force(&self) -> Result<Arc<Covenant>, LinkError> {
        self.link.covenant().await
    }

    /// Asks, synchronises one at a time, and verifies; see [`Inquirer`].
    pub fn inquirer(&self) -> &Inquirer {
        &self.inquirer
    }
}
