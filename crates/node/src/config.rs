//! The node's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hitmachine_core::covenant::Administrators;
use hitmachine_identifier::{Admission, DEFAULT_TEST_PREFIXES};
use hitmachine_service::config::{ConfigError, load, resolve};
use hitmachine_service::telemetry::LogConfig;
use hitmachine_service::tls::{TlsFiles, TlsIdentity};
use serde::Deserialize;

use crate::OpenError;
use crate::language::Language;
use crate::source::Source;

mod oidc;

pub use oidc::{OidcRole, OidcSection};

/// Prefix of environment variables that override single settings.
pub const ENV_PREFIX: &str = "HITMACHINE_NODE_";

/// `node.toml`. Paths are relative to the folder it is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Short name of this organisation in the covenant.
    pub partner: String,
    /// Language of texts for people; the machine's own if absent.
    pub language: Option<Language>,
    /// Where this node keeps what it must remember.
    pub state_dir: PathBuf,
    /// Key file that encrypts it.
    pub state_key: PathBuf,
    /// Key file that signs requests; its public half stands in the covenant. A node without one cannot ask.
    pub signing_key: Option<PathBuf>,
    /// The hub.
    pub broker: BrokerSection,
    /// Certificate, key and the authority that the hub's certificate must come from.
    pub tls: TlsFiles,
    /// Which installation this node is part of.
    pub deployment: DeploymentSection,
    /// The key epoch in use.
    pub epoch: EpochSection,
    /// Key epochs that are over, of which the log may still hold tokens: what a privacy officer asks about a person
    /// is looked up under these keys too.
    #[serde(default)]
    pub past_epoch: Vec<PastEpochSection>,
    /// Who signed the first covenant that this node takes from the hub; not needed in a demo, nor looked at after the
    /// first: then the administrators in the covenant that it holds sign the next.
    pub covenant_administrators: Option<Administrators>,
    /// `serve` asks the hub this often whether the covenant has changed.
    #[serde(default = "default_covenant_check_seconds")]
    pub covenant_check_seconds: u64,
    /// The hub's audit log, as agreed when this node was set up.
    pub audit: AuditSection,
    /// How sources are kept in step.
    #[serde(default)]
    pub sync: SyncSection,
    /// What is done when hit notices come.
    #[serde(default)]
    pub notice: NoticeSection,
    /// How questions are answered, if the covenant says that this organisation answers live.
    #[serde(default)]
    pub live: LiveSection,
    /// How it is watched that this node's tokens meet the others'.
    #[serde(default)]
    pub canary: CanarySection,
    /// Screenings of lists.
    #[serde(default)]
    pub screening: ScreeningSection,
    /// Files and databases with the persons this organisation knows; none for one that only asks.
    #[serde(default)]
    pub source: Vec<Source>,
    /// How persons are informed that one asked about them.
    #[serde(default)]
    pub notification: NotificationSection,
    /// The pages for people, and the local API; none if absent.
    pub console: Option<ConsoleSection>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
}

/// `[broker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSection {
    /// Host and port.
    pub address: String,
    /// Name that its certificate must have.
    pub server_name: String,
    /// How long a question may take.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
}

fn default_covenant_check_seconds() -> u64 {
    60
}

fn default_timeout_seconds() -> u64 {
    10
}

/// `[deployment]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentSection {
    /// 32 hexadecimal digits, the same as in the covenant.
    pub id: String,
    /// `production`, `test` or `demo`.
    pub kind: String,
    /// First digits of test numbers: refused in production, the only ones accepted elsewhere.
    #[serde(default = "default_prefixes")]
    pub test_bsn_prefixes: Vec<String>,
}

fn default_prefixes() -> Vec<String> {
    DEFAULT_TEST_PREFIXES.iter().map(ToString::to_string).collect()
}

/// `[epoch]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSection {
    /// Number, from 1.
    pub number: u32,
    /// Pseudonym scheme, such as `hmac-sha256`.
    pub scheme: String,
    /// Key file of the pseudonym key.
    pub key: PathBuf,
    /// Key file of the next epoch's pseudonym key. It need not be there: a node that serves takes it up when it arrives,
    /// and uses it when the hub says so.
    pub next_key: Option<PathBuf>,
}

/// `[[past_epoch]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastEpochSection {
    /// Number, from 1; not that of the epoch in use.
    pub number: u32,
    /// Key file of its pseudonym key.
    pub key: PathBuf,
}

/// `[audit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// Verifier key of the log, `<origin>+<hash>+<base64>`, as `hitmachine keys show` prints it.
    pub verifier: String,
    /// Witness policy (C2SP tlog-policy): which partners cosign the log, and how many make a quorum. The same file at
    /// the hub. With `quorum none` answers are shown without witnesses.
    pub policy: PathBuf,
    /// How this node witnesses; it does not if absent.
    pub witness: Option<WitnessSection>,
}

/// `[audit.witness]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSection {
    /// Name of this witness, `<domain>/<partner>/witness`, as in the policy.
    pub name: String,
    /// Key file that cosigns.
    pub key: PathBuf,
}

/// `[sync]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SyncSection {
    /// `serve` synchronises at least this often.
    pub every_minutes: u64,
    /// `serve` looks this often whether a file has changed.
    pub watch_seconds: u64,
    /// A source that lost more than this share of its persons needs a person's confirmation.
    pub max_loss_percent: u64,
    /// More bad rows than this stop the sync; no limit if absent.
    pub max_bad_rows: Option<u64>,
}

/// `[live]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LiveSection {
    /// The most persons in a minute that this node answers for, whoever asks; more could not be asked.
    pub persons_per_minute: u64,
}

impl Default for LiveSection {
    fn default() -> Self {
        Self {
            persons_per_minute: 60_000,
        }
    }
}

impl Default for SyncSection {
    fn default() -> Self {
        Self {
            every_minutes: 60,
            watch_seconds: 5,
            max_loss_percent: 20,
            max_bad_rows: None,
        }
    }
}

/// `[notice]`. Hooks hear how many hit notices are new, and nothing of what is in them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoticeSection {
    /// Address that gets `{"count_new": n, "partner": "…", "time": "…"}` by POST: https, or http at a loopback address.
    /// Put no secret in it: it stands in this file.
    pub webhook: Option<String>,
    /// PEM certificates of the authority that its certificate must come from; those that this machine trusts if absent.
    pub webhook_authority: Option<PathBuf>,
    /// File with a token that goes along as `Authorization: Bearer`, or `credential:<name>`.
    pub webhook_token: Option<PathBuf>,
    /// Program, by its absolute path, and its arguments; run without a shell, with the same JSON on its standard input
    /// and the count in `HITMACHINE_NOTICE_COUNT`. A wrapper around sendmail makes it an e-mail.
    pub command: Vec<String>,
    /// What comes within so long is told together.
    pub gather_seconds: u64,
    /// How long one call may take.
    pub timeout_seconds: u64,
}

impl Default for NoticeSection {
    fn default() -> Self {
        Self {
            webhook: None,
            webhook_authority: None,
            webhook_token: None,
            command: Vec::new(),
            gather_seconds: 10,
            timeout_seconds: 20,
        }
    }
}

/// `[notification]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationSection {
    /// Whether this node keeps a queue of persons to be informed (AVG art. 14). One that cannot ask keeps none.
    pub enabled: bool,
    /// Whether the person's number is kept with it, encrypted, for an organisation that has no reference of its own.
    pub keep_number: bool,
    /// How many months a notification is kept after it was sent or found not to be needed.
    pub keep_months: u16,
}

impl Default for NotificationSection {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_number: false,
            keep_months: 12,
        }
    }
}

/// `[canary]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanarySection {
    /// `serve` checks this often whether its tokens still meet those of the other partners; 0 turns it off.
    pub minutes: u32,
}

impl Default for CanarySection {
    fn default() -> Self {
        Self { minutes: 5 }
    }
}

/// `[screening]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScreeningSection {
    /// A screening is forgotten, with its results, so many days after it was begun.
    pub keep_days: u32,
}

impl Default for ScreeningSection {
    fn default() -> Self {
        Self { keep_days: 30 }
    }
}

/// `[console]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSection {
    /// Address and port to listen on. Without `tls` it must be a loopback address.
    pub listen: SocketAddr,
    /// How people reach it, such as `https://hitmachine.gemeente.example`; needed behind a name or a proxy. What comes
    /// from another origin changes nothing.
    pub url: Option<String>,
    /// Certificate, with what follows it up to its authority, and key of the organisation.
    pub tls: Option<TlsIdentity>,
    /// A session ends when it was not used for so long.
    #[serde(default = "default_idle_minutes")]
    pub idle_minutes: u32,
    /// And in any case after so long.
    #[serde(default = "default_session_minutes")]
    pub session_minutes: u32,
    /// Answers can be read again for so many days, by who asked.
    #[serde(default = "default_keep_days")]
    pub keep_days: u32,
    /// The book of sign-ins is kept for so many months; 13 at least.
    #[serde(default = "default_book_months")]
    pub book_months: u32,
    /// Sign-in through the organisation's identity provider; only accounts of this node if absent.
    pub oidc: Option<OidcSection>,
}

impl ConsoleSection {
    /// Whether people may sign in with an account of this node.
    pub fn local_accounts(&self) -> bool {
        self.oidc.as_ref().is_none_or(|oidc| oidc.local_accounts)
    }
}

impl Default for ConsoleSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            url: None,
            tls: None,
            idle_minutes: default_idle_minutes(),
            session_minutes: default_session_minutes(),
            keep_days: default_keep_days(),
            book_months: default_book_months(),
            oidc: None,
        }
    }
}

fn default_idle_minutes() -> u32 {
    15
}

fn default_session_minutes() -> u32 {
    600
}

fn default_keep_days() -> u32 {
    30
}

fn default_book_months() -> u32 {
    13
}

impl NodeConfig {
    /// Reads the file and resolves its paths.
    ///
    /// # Errors
    /// [`ConfigError`] names line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = load(path, ENV_PREFIX)?;
        config.tls = config.tls.resolve(path);
        for each in [
            &mut config.state_dir,
            &mut config.state_key,
            &mut config.epoch.key,
            &mut config.audit.policy,
        ] {
            *each = resolve(path, &*each);
        }
        if let Some(key) = &mut config.epoch.next_key {
            *key = resolve(path, &*key);
        }
        for past in &mut config.past_epoch {
            past.key = resolve(path, &past.key);
        }
        if let Some(key) = &mut config.signing_key {
            *key = resolve(path, &*key);
        }
        if let Some(witness) = &mut config.audit.witness {
            witness.key = resolve(path, &witness.key);
        }
        let notice = &mut config.notice;
        for file in [&mut notice.webhook_authority, &mut notice.webhook_token]
            .into_iter()
            .flatten()
        {
            *file = resolve(path, &*file);
        }
        if let Some(tls) = config.console.as_mut().and_then(|console| console.tls.as_mut()) {
            *tls = tls.resolve(path);
        }
        if let Some(oidc) = config.console.as_mut().and_then(|console| console.oidc.as_mut()) {
            oidc.resolve(path);
        }
        for source in &mut config.source {
            source.resolve(|each| resolve(path, each));
        }
        Ok(config)
    }

    /// The language for people.
    pub fn language(&self) -> Language {
        self.language.unwrap_or_else(Language::of_machine)
    }

    /// Which person numbers this deployment accepts.
    ///
    /// # Errors
    /// [`OpenError::Setting`], [`OpenError::Admission`].
    pub fn admission(&self) -> Result<Admission, OpenError> {
        let kind = self
            .deployment
            .kind
            .parse()
            .map_err(|_| OpenError::Setting("deployment.kind"))?;
        Ok(Admission::new(kind, self.deployment.test_bsn_prefixes.clone())?)
    }

    /// The socket by which the command line reaches a running node.
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join("node.sock")
    }
}
