//! The broker's configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hitmachine_core::covenant::Administrators;
use hitmachine_core::ldv::REVIEW_ACTIVITY;
use hitmachine_service::config::{ConfigError, load, resolve};
use hitmachine_service::metrics::MetricsConfig;
use hitmachine_service::server::ServerLimits;
use hitmachine_service::telemetry::LogConfig;
use hitmachine_service::tls::TlsFiles;
use serde::Deserialize;

/// Prefix of environment variables that override single settings.
pub const ENV_PREFIX: &str = "HITMACHINE_BROKER_";

/// `broker.toml`. Paths are relative to the folder it is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerConfig {
    /// Address and port for the partners' nodes.
    pub listen: SocketAddr,
    /// The covenant file; its signatures are in the file beside it with `.sig` after its name.
    pub covenant: PathBuf,
    /// Who signed the first covenant that this broker takes; not needed in a demo, nor looked at after the first: then
    /// the administrators in the covenant that it holds sign the next.
    pub covenant_administrators: Option<Administrators>,
    /// How often the broker looks whether covenant or signatures have changed. SIGHUP has it look at once.
    #[serde(default = "default_covenant_check_seconds")]
    pub covenant_check_seconds: u64,
    /// Where registrations and the audit log are kept.
    pub data_dir: PathBuf,
    /// Certificate, key and the authority that nodes' certificates must come from.
    pub tls: TlsFiles,
    /// The key epoch in use.
    pub epoch: EpochSection,
    /// The key epoch that follows, once `hitmachine epoch prepare` has made it.
    pub next_epoch: Option<NextEpochSection>,
    /// The audit log.
    pub audit: AuditSection,
    /// Collector of data-processing records (LDV); none are told if absent.
    pub ldv: Option<LdvSection>,
    /// Bounds on connections, streams and time.
    #[serde(default)]
    pub limits: ServerLimits,
    /// Address of the metrics page; none if absent.
    pub metrics: Option<MetricsConfig>,
    /// What is logged, and how.
    #[serde(default)]
    pub log: LogConfig,
    /// The file that this was read from; what may change while a broker runs is read from it again.
    #[serde(skip)]
    pub file: PathBuf,
}

/// `[epoch]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSection {
    /// Number, from 1.
    pub number: u32,
    /// Pseudonym scheme, such as `hmac-sha256`.
    pub scheme: String,
    /// Key check value of the nodes' key, 16 hexadecimal digits.
    pub key_check_value: String,
    /// Key file of the pepper; better on another volume than `data_dir`.
    pub pepper: PathBuf,
}

/// `[next_epoch]`: as `[epoch]`, and how long the one before it drains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextEpochSection {
    /// Number, higher than any before.
    pub number: u32,
    /// Pseudonym scheme, such as `hmac-sha256`.
    pub scheme: String,
    /// Key check value of the nodes' new key, 16 hexadecimal digits.
    pub key_check_value: String,
    /// Key file of its own pepper.
    pub pepper: PathBuf,
    /// How long questions in the old epoch are answered after the switch, for nodes that were off.
    #[serde(default = "default_drain_hours")]
    pub drain_hours: u32,
}

impl NextEpochSection {
    /// What both sections have.
    pub fn section(&self) -> EpochSection {
        EpochSection {
            number: self.number,
            scheme: self.scheme.clone(),
            key_check_value: self.key_check_value.clone(),
            pepper: self.pepper.clone(),
        }
    }
}

fn default_drain_hours() -> u32 {
    24
}

/// `[audit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSection {
    /// Name of the log, `<domain>/<broker id>/audit/<epoch>`.
    pub origin: String,
    /// Key file that signs checkpoints.
    pub signing_key: PathBuf,
    /// Key file that wraps the period keys.
    pub wrapping_key: PathBuf,
    /// Where the period keys are kept; better on another disk than `data_dir`, with a backup of its own.
    pub keys_dir: PathBuf,
    /// Witness policy (C2SP tlog-policy): which partners cosign the log, and how many make a quorum. The same file at
    /// every node. `quorum none` runs without witnesses.
    pub policy: PathBuf,
    /// Address where the published log is served over HTTP, read-only and without personal data; none if absent.
    pub publish_listen: Option<SocketAddr>,
    /// Size of one segment file, in MiB.
    #[serde(default = "default_segment_mib")]
    pub segment_mib: u64,
}

/// `[ldv]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdvSection {
    /// Where the collector takes OTLP/gRPC: `http://127.0.0.1:4317`, without TLS and so only at a loopback address, or
    /// `https://<name>:<port>`.
    pub endpoint: String,
    /// PEM certificates of the authority that the collector's certificate must come from; with https, and only then.
    /// The broker shows the certificate of `[tls]`, and insists on TLS 1.3 with X25519MLKEM768 as everywhere.
    pub authority: Option<PathBuf>,
    /// `service.name` in the records.
    #[serde(default = "default_resource_name")]
    pub resource_name: String,
    /// URI, in the public register, of the processing activity of reviewing the log: of what privacy officers do, and
    /// of refused questions that name no ground.
    #[serde(default = "default_review_activity")]
    pub review_activity: String,
}

fn default_covenant_check_seconds() -> u64 {
    5
}

fn default_resource_name() -> String {
    "hitmachine-broker".to_owned()
}

fn default_review_activity() -> String {
    REVIEW_ACTIVITY.to_owned()
}

fn default_segment_mib() -> u64 {
    64
}

impl BrokerConfig {
    /// Reads the file and resolves its paths.
    ///
    /// # Errors
    /// [`ConfigError`] names line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = load(path, ENV_PREFIX)?;
        config.tls = config.tls.resolve(path);
        for each in [
            &mut config.covenant,
            &mut config.data_dir,
            &mut config.epoch.pepper,
            &mut config.audit.signing_key,
            &mut config.audit.wrapping_key,
            &mut config.audit.keys_dir,
            &mut config.audit.policy,
        ] {
            *each = resolve(path, &*each);
        }
        if let Some(next) = &mut config.next_epoch {
            next.pepper = resolve(path, &next.pepper);
        }
        path.clone_into(&mut config.file);
        if let Some(authority) = config.ldv.as_mut().and_then(|ldv| ldv.authority.as_mut()) {
            *authority = resolve(path, &*authority);
        }
        Ok(config)
    }

    /// Where registrations of the first key epoch are kept.
    pub fn registry_dir(&self) -> PathBuf {
        self.data_dir.join("registry")
    }

    /// Where registrations of a later key epoch are kept.
    pub fn registry_dir_of(&self, epoch: u32) -> PathBuf {
        self.data_dir.join(format!("registry-{epoch}"))
    }

    /// The socket by which the command line reaches a running broker.
    pub fn socket(&self) -> PathBuf {
        self.data_dir.join("broker.sock")
    }

    /// How long an epoch that was replaced drains, in hours.
    pub fn drain_hours(&self) -> u32 {
        self.next_epoch
            .as_ref()
            .map_or_else(default_drain_hours, |next| next.drain_hours)
    }

    /// Where small things that the broker must remember are kept.
    pub fn tables_dir(&self) -> PathBuf {
        self.data_dir.join("tables")
    }

    /// Where the search index of the audit log is kept.
    pub fn index_dir(&self) -> PathBuf {
        self.data_dir.join("audit-index")
    }

    /// Where the audit log is kept.
    pub fn audit_dir(&self) -> PathBuf {
        self.data_dir.join("audit")
    }
}
