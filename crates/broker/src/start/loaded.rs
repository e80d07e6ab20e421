//! What a broker reads before it serves.

use std::fs;
use std::sync::Arc;

use hitmachine_audit::{Disk, Log, LogConfig, LogSigner, Origin, Policy, RealDisk, WrappingKey};
use hitmachine_core::covenant::Document;
use hitmachine_core::{Clock, Covenant};
use hitmachine_proto::v1;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_store::HubTables;
use jiff::Timestamp;
use prometheus_client::registry::Registry;

use crate::agreement::{self, Agreement, AgreementError, Changed, Found};
use crate::alarm::{self, Alarms};
use crate::config::BrokerConfig;
use crate::epochs::{Configured, Registers};
use crate::hub::Parts;
use crate::indexer::{self, Indexed};
use crate::ldv::Exporter;
use crate::metrics::Metrics;
use crate::notice::Notices;
use crate::publication::Publication;
use crate::rules::Rules;
use crate::services::Shared;
use crate::watch::Watch;
use crate::witness::Witnesses;

use super::StartError;

/// What the configuration names, read and checked.
pub(super) struct Settings {
    pub(super) covenant: Covenant,
    pub(super) document: Document,
    policy: Policy,
    pub(super) signer: LogSigner,
    pub(super) wrapping: WrappingKey,
}

impl Settings {
    pub(super) fn read(config: &BrokerConfig) -> Result<Self, StartError> {
        let document = agreement::read(&config.covenant)?;
        let covenant = document.covenant().map_err(|source| AgreementError::Covenant {
            path: config.covenant.clone(),
            source,
        })?;
        let path = &config.audit.policy;
        let policy = fs::read(path).map_err(|source| StartError::PolicyFile {
            path: path.clone(),
            source,
        })?;
        let policy = Policy::parse(&policy).map_err(|source| StartError::Policy {
            path: path.clone(),
            source,
        })?;
        let origin = Origin::new(config.audit.origin.clone()).map_err(StartError::Origin)?;
        let (_, signing) = SecretFile::read(&config.audit.signing_key, Purpose::AuditSigning)?;
        let (_, wrapping) = SecretFile::read(&config.audit.wrapping_key, Purpose::AuditWrapping)?;
        Ok(Self {
            covenant,
            document,
            policy,
            signer: LogSigner::new(origin, &signing),
            wrapping: WrappingKey::from_bytes(*wrapping),
        })
    }
}

/// What a broker has read before it serves. The log is not signed yet.
pub(super) struct Loaded {
    pub(super) shared: Shared,
    pub(super) log: Log,
    pub(super) parts: Parts,
    pub(super) index: Arc<Indexed>,
    pub(super) ldv: Option<Exporter>,
    pub(super) registry: Registry,
    pub(super) agreement: Arc<Agreement>,
    pub(super) change: Option<Changed>,
}

impl Loaded {
    pub(super) fn read(config: &BrokerConfig, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let Settings {
            covenant,
            document,
            policy,
            signer,
            wrapping,
        } = Settings::read(config)?;
        let ldv = Exporter::read(config)?;
        let configured = Configured::all(config)?;
        // The log says which epochs there are. Before there is one nothing is begun with keys that cannot be used.
        if let Some(first) = configured.first().filter(|_| !config.audit_dir().exists()) {
            first.pepper()?;
        }
        let tables = HubTables::open(&config.tables_dir())?;
        let verifier = signer.verifier();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let index_key = index_key(&wrapping);
        let usage_key = usage_key(&wrapping);
        let (log, last_logged) = open_log(config, signer, wrapping, &disk)?;
        let reader = log.reader();
        let registers = Registers::load(config, &covenant.deployment().id, &reader)?;
        let registers = Arc::new(registers);
        let index = Arc::new(indexer::open(&config.index_dir(), index_key, log.head().size)?);
        let controls = reader.read_entries(&reader.controls());
        let logged = alarm::book(controls.into_iter().flatten());
        let witnesses = Witnesses::new(policy, verifier.clone(), reader.clone())
            .map_err(|_| StartError::PolicyUnsuitable(config.audit.policy.clone()))?;
        let witnesses = Arc::new(witnesses);
        let tiles = config.audit_dir().join("tiles");
        let publication = Publication::open(tiles, &disk, verifier.clone(), reader.clone())?;
        let alarms = Alarms::new(
            verifier.clone(),
            Arc::clone(&witnesses),
            Arc::clone(&clock),
            logged,
        );

        let trusted = config.covenant_administrators.clone();
        let agreement = Arc::new(Agreement::open(&config.covenant, trusted, &tables)?);
        let Found { agreed, change } = agreement.begin(covenant, document, &reader)?;
        let rules = Arc::new(Rules::new(agreed));
        let public = v1::FetchResponse {
            covenant: Vec::new(),
            covenant_signatures: Vec::new(),
            missed: Vec::new(),
            log_origin: verifier.origin().as_str().to_owned(),
            ..v1::FetchResponse::default()
        };
        let (covenant, now) = (rules.covenant(), clock.now());
        let watch = Watch::open(
            &tables,
            usage_key,
            reader.clone(),
            Arc::clone(&alarms),
            &covenant,
            now,
        )?;
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let notices = Notices::open(
            &tables,
            reader.clone(),
            Arc::clone(&rules),
            Arc::clone(&clock),
            metrics.notices.clone(),
        )?;
        let parts = Parts {
            rules: Arc::clone(&rules),
            tables,
            watch: Arc::new(watch),
            registers: Arc::clone(&registers),
            reader,
            index: Arc::clone(&index),
            witnesses: Arc::clone(&witnesses),
            clock,
            last_logged,
            metrics,
        };
        let shared = Shared {
            hub: Arc::default(),
            office: Arc::default(),
            rules,
            registers,
            public: Arc::new(public),
            witnesses,
            publication,
            alarms,
            notices: Arc::new(notices),
            peers: Arc::default(),
            stopping: hitmachine_service::shutdown::channel().1,
        };
        Ok(Self {
            shared,
            log,
            parts,
            index,
            ldv,
            registry,
            agreement,
            change,
        })
    }
}

/// The log, and the time of its last entry.
pub(super) fn open_log(
    config: &BrokerConfig,
    signer: LogSigner,
    wrapping: WrappingKey,
    disk: &Arc<dyn Disk>,
) -> Result<(Log, Option<Timestamp>), StartError> {
    let mut log_config = LogConfig::new(
        config.audit_dir(),
        config.audit.keys_dir.clone(),
        signer,
        wrapping,
    );
    log_config.segment_size = config.audit.segment_mib.clamp(2, 1024) << 20;
    let (log, recovery) = Log::open(log_config, Arc::clone(disk))?;
    tracing::info!(
        size = recovery.head.size,
        frames = recovery.frames,
        "audit log recovered"
    );
    if !recovery.destroyed_again.is_empty() {
        tracing::warn!(
            keys = recovery.destroyed_again.len(),
            "period keys that had been erased were back, from a backup perhaps; destroyed again"
        );
    }
    if let Some(torn) = &recovery.torn {
        tracing::warn!(bytes = torn.bytes, kept = %torn.kept.display(), "an unfinished end of the log was cut off");
    }
    let last_logged = match recovery.head.size.checked_sub(1) {
        None => None,
        Some(last) => {
            let ms = i64::try_from(log.read_entry(last)?.time_ms).unwrap_or(i64::MAX);
            Timestamp::from_millisecond(ms).ok()
        }
    };
    Ok((log, last_logged))
}

/// The index is derived from the log, and its key from the key of the log's keys.
pub(super) fn index_key(wrapping: &WrappingKey) -> [u8; 32] {
    blake3::derive_key("hitmachine 2026 audit index v1", wrapping.expose_secret())
}

/// Names of users in tables and alarms are digests under this key.
fn usage_key(wrapping: &WrappingKey) -> [u8; 32] {
    blake3::derive_key("hitmachine 2026 usage v1", wrapping.expose_secret())
}
