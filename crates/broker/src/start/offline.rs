//! What is done with the files of a broker that does not run.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hitmachine_audit::{Disk, RealDisk};
use hitmachine_core::covenant::acceptance;
use hitmachine_pseudonym::self_test;
use hitmachine_service::tls::{install_provider, server_config};
use hitmachine_store::AuditIndex;
use jiff::Timestamp;

use crate::agreement::AgreementError;
use crate::config::BrokerConfig;
use crate::epochs::Configured;
use crate::indexer;
use crate::ldv::Exporter;

use super::StartError;
use super::loaded::{Settings, index_key, open_log};

/// Reads everything that a start needs but the data: covenant, keys, certificates.
///
/// # Errors
/// [`StartError`] for the first thing that would stop a start.
pub fn check(config: &BrokerConfig) -> Result<(), StartError> {
    install_provider();
    self_test()?;
    server_config(&config.tls.identity(), &config.tls.authority)?;
    Exporter::read(config)?;
    for epoch in Configured::all(config)? {
        epoch.pepper()?;
    }
    let settings = Settings::read(config)?;
    let signed = acceptance::signed_by_its_own(&settings.covenant, &settings.document);
    signed.map_err(|source| AgreementError::NotAccepted {
        path: config.covenant.clone(),
        source,
    })?;
    Ok(())
}

/// Builds the search index of the audit log anew; how many entries the log has. `progress` hears how many are done,
/// of how many.
///
/// # Errors
/// [`StartError`]; also if a broker has the log open.
pub fn rebuild_index(config: &BrokerConfig, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, StartError> {
    let Settings { signer, wrapping, .. } = Settings::read(config)?;
    let key = index_key(&wrapping);
    let (log, _) = open_log(config, signer, wrapping, &(Arc::new(RealDisk) as Arc<dyn Disk>))?;
    let size = log.head().size;
    let index = AuditIndex::rebuild(&config.index_dir(), key)?;
    indexer::catch_up(&index, &log.reader(), size, &mut |done| progress(done, size))?;
    index.flush()?;
    Ok(size)
}

/// Moves damaged stores of registrations aside, so that the next start begins with empty ones and the nodes
/// send everything again. The audit log is not touched. Returns where the old ones are, one for each key epoch.
///
/// # Errors
/// When there is none, or one cannot be moved.
pub fn move_store_aside(config: &BrokerConfig) -> io::Result<Vec<PathBuf>> {
    let mut dirs = vec![config.registry_dir()];
    let of_later_epoch = |name: &str| {
        let number = name.strip_prefix("registry-")?;
        number.bytes().all(|byte| byte.is_ascii_digit()).then_some(())
    };
    for found in fs::read_dir(&config.data_dir)? {
        let found = found?;
        if found.file_name().to_str().and_then(of_later_epoch).is_some() {
            dirs.push(found.path());
        }
    }
    dirs.retain(|dir| dir.is_dir());
    if dirs.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut moved = Vec::with_capacity(dirs.len());
    for from in dirs {
        let mut name = from.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{stamp}"));
        let to = from.with_file_name(name);
        fs::rename(from, &to)?;
        moved.push(to);
    }
    fs::File::open(&config.data_dir)?.sync_all()?;
    Ok(moved)
}
