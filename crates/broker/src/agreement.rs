//! The covenant file on the disk: read, judged, remembered, and followed while the broker runs.
//!
//! A change takes effect in this order, so that a stop at any point leaves nothing undone that the next start does not
//! do, and nothing done twice: accepted by the rules, in the audit log, remembered, in force, and what partners who left
//! had registered deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hitmachine_audit::{Draft, LogReader, StoredContent};
use hitmachine_core::covenant::{
    Administrators, Change, Document, NotAccepted, Trust, acceptance, difference,
};
use hitmachine_core::{Covenant, CovenantError};
use hitmachine_pseudonym::DeploymentKind;
use hitmachine_store::{HubTables, Table, TableError};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::hub::{AskError, Hub};
use crate::rules::Agreed;

/// The type of the control entry.
const TYPE: &str = "covenant";
/// Most bytes of a covenant, and of its signatures.
const MOST_BYTES: u64 = 1024 * 1024;
const TABLE: &str = "covenant";
const HELD: &[u8] = b"held";
/// Before the number, big-endian, and the SHA-256 of each covenant that was ever in force.
const EVERY: &[u8] = b"every/";

/// Why a covenant is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// File or signatures cannot be read.
    #[error("cannot read the covenant {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is not valid.
    #[error("covenant {}: {source}", path.display())]
    Covenant {
        /// The file.
        path: PathBuf,
        /// Line, field and problem.
        source: CovenantError,
    },
    /// The administrators did not agree to it.
    #[error("covenant {} is not accepted: {source}", path.display())]
    NotAccepted {
        /// The file.
        path: PathBuf,
        /// Why.
        source: NotAccepted,
    },
    /// What was accepted before cannot be read, or what is accepted now not be remembered.
    #[error("the covenant that was accepted last cannot be read or kept")]
    Table(#[from] TableError),
    /// What was accepted before is no covenant any more.
    #[error("the covenant that was accepted last is damaged in the hub's tables")]
    Damaged,
    /// It could not be logged, so it is not in force.
    #[error("the change of the covenant could not be logged")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A part of the broker has ended.
    #[error("a part of the broker has ended")]
    Stopped,
}

impl From<AskError> for AgreementError {
    fn from(error: AskError) -> Self {
        Self::Log(Box::new(error))
    }
}

/// The name of the signatures beside a covenant file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Reads a covenant file and the signatures beside it, if there are any.
///
/// # Errors
/// [`AgreementError::File`].
pub(crate) fn read(path: &Path) -> Result<Document, AgreementError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AgreementError::File { path, source }
    };
    let file = read_bounded(path).map_err(failed(path))?;
    let beside = beside(path);
    let signatures = match read_bounded(&beside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(failed(&beside))?,
    };
    Ok(Document { file, signatures })
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB"));
    }
    Ok(bytes)
}

/// A covenant in the log.
struct Logged {
    number: u64,
    sha256: String,
}

/// The newest change of covenant in the log, and the index of its entry.
fn newest_logged(reader: &LogReader) -> Option<(u64, Logged)> {
    let controls = reader.controls();
    controls.into_iter().rev().find_map(|index| {
        let entry = reader.read_entry(index).ok()?;
        let StoredContent::Control(content) = &entry.content else {
            return None;
        };
        let text = |name: &str| content.get(name).and_then(Value::as_str);
        let logged = Logged {
            number: content.get("number").and_then(Value::as_u64)?,
            sha256: text("sha256")?.to_owned(),
        };
        (text("type")? == TYPE).then_some((index, logged))
    })
}

/// From where in the log entries are about the covenant in force.
pub(crate) fn in_force_since(reader: &LogReader) -> u64 {
    newest_logged(reader).map_or(0, |(index, _)| index)
}

/// The covenant file, and what was accepted before.
pub(crate) struct Agreement {
    path: PathBuf,
    trusted: Option<Administrators>,
    table: Table,
}

/// What a start found: the covenant to go on with and, if it is another than before, the difference.
pub(crate) struct Found {
    pub(crate) agreed: Agreed,
    /// To be logged before anything is answered.
    pub(crate) change: Option<Changed>,
}

/// A change that is to be logged.
pub(crate) struct Changed {
    previous: Option<String>,
    changes: Vec<Change>,
}

impl Agreement {
    /// With the file at `path` and, for the first covenant, these administrators.
    ///
    /// # Errors
    /// [`AgreementError::Table`].
    pub(crate) fn open(
        path: &Path,
        trusted: Option<Administrators>,
        tables: &HubTables,
    ) -> Result<Self, AgreementError> {
        Ok(Self {
            path: path.to_owned(),
            trusted,
            table: tables.table(TABLE)?,
        })
    }

    fn held(&self) -> Result<Option<(Covenant, Document)>, AgreementError> {
        let Some(bytes) = self.table.get(HELD)? else {
            return Ok(None);
        };
        let document = Document::decode(&bytes).ok_or(AgreementError::Damaged)?;
        let covenant = document.covenant().map_err(|_| AgreementError::Damaged)?;
        Ok(Some((covenant, document)))
    }

    fn before(&self) -> Result<Vec<(u32, Document)>, AgreementError> {
        let number = |key: &[u8]| key.get(EVERY.len()..EVERY.len() + 4)?.try_into().ok();
        let rows = self.table.scan(EVERY)?.into_iter();
        rows.map(|(key, value)| {
            let number = number(&key).map(u32::from_be_bytes);
            let document = Document::decode(&value);
            number.zip(document).ok_or(AgreementError::Damaged)
        })
        .collect()
    }

    /// Judges the covenant that a start read.
    ///
    /// # Errors
    /// [`AgreementError`]; then the broker does not start.
    pub(crate) fn begin(
        &self,
        covenant: Covenant,
        document: Document,
        reader: &LogReader,
    ) -> Result<Found, AgreementError> {
        let held = self.held()?;
        let logged = newest_logged(reader).map(|(_, logged)| logged);
        let trust = match &held {
            Some((held, _)) => Trust::Held(held),
            None => Trust::Configured(self.trusted.as_ref()),
        };
        let refused = |source| AgreementError::NotAccepted {
            path: self.path.clone(),
            source,
        };
        acceptance::accept(trust, &covenant, &document).map_err(refused)?;
        // Tables that were lost do not make an older covenant good: the log remembers, too.
        let newest = logged.as_ref().map_or(0, |logged| logged.number);
        let same = logged
            .as_ref()
            .is_some_and(|logged| logged.sha256 == covenant.version().to_string());
        let is_demo = covenant.deployment().kind == DeploymentKind::Demo;
        if held.is_none() && !is_demo && !same && u64::from(covenant.number()) <= newest {
            let held = u32::try_from(newest).unwrap_or(u32::MAX);
            let offered = covenant.number();
            return Err(refused(NotAccepted::Older { held, offered }));
        }
        let (document, change) = match held {
            // Signatures that somebody took away are not needed again.
            Some((held, kept)) if held.version() == covenant.version() => (kept, None),
            Some((held, _)) => {
                let change = Changed {
                    previous: Some(held.version().to_string()),
                    changes: difference(&held, &covenant),
                };
                (document, Some(change))
            }
            None => {
                self.remember(&covenant, &document)?;
                // In a log that is empty every entry will be under this covenant, and names it.
                let change = Changed {
                    previous: logged.map(|logged| logged.sha256),
                    changes: Vec::new(),
                };
                (document, (reader.head().size > 0).then_some(change))
            }
        };
        let mut before = self.before()?;
        before.retain(|(_, earlier)| earlier.file != document.file);
        let agreed = Agreed {
            covenant: Arc::new(covenant),
            document,
            before,
        };
        // Logged, but not remembered before a stop.
        let change = change.filter(|_| !same);
        Ok(Found { agreed, change })
    }

    /// Logs what [`begin`](Self::begin) found to be another covenant, remembers it, and deletes what partners had
    /// registered who are not in it.
    ///
    /// # Errors
    /// [`AgreementError`]; then nothing may be answered.
    pub(crate) async fn begun(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        change: Option<Changed>,
    ) -> Result<(), AgreementError> {
        let agreed = hub.rules().agreed();
        if let Some(change) = change {
            log(hub, &agreed.covenant, &change).await?;
        }
        self.remember_soon(&agreed.covenant, &agreed.document).await?;
        hub.forget_partners_who_left().await;
        Ok(())
    }

    fn remember(&self, covenant: &Covenant, document: &Document) -> Result<(), TableError> {
        let number = covenant.number().to_be_bytes();
        let every = [EVERY, &number, &covenant.version().0].concat();
        let value = document.encode();
        let changes = [(HELD.to_vec(), Some(value.clone())), (every, Some(value))];
        self.table.change(&changes)
    }

    async fn remember_soon(
        self: &Arc<Self>,
        covenant: &Arc<Covenant>,
        document: &Document,
    ) -> Result<(), AgreementError> {
        let (own, covenant, document) = (Arc::clone(self), Arc::clone(covenant), document.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let held = own.table.get(HELD)?;
            if held.is_some_and(|held| held == document.encode()) {
                return Ok(());
            }
            own.remember(&covenant, &document)
        });
        Ok(kept.await.map_err(|_| AgreementError::Stopped)??)
    }

    /// Follows the file for ever: looks every `every`, and at once when `reload` is notified. Two looks must find the
    /// same, since file and signatures are not replaced together; a person who asks for it has put both in place.
    pub(crate) async fn keep(self: Arc<Self>, hub: Arc<Hub>, every: Duration, reload: Arc<Notify>) {
        let mut last_look: Option<Document> = None;
        let mut refused: Option<Document> = None;
        let mut unreadable = false;
        loop {
            let asked_for = tokio::select! {
                () = reload.notified() => true,
                () = tokio::time::sleep(every) => false,
            };
            let path = self.path.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || read(&path)).await else {
                continue;
            };
            let document = match read {
                Ok(document) => document,
                Err(error) => {
                    // While a file is replaced it may be gone for a moment; said once for each time it is.
                    if asked_for || !unreadable {
                        hub.refused_covenant(&error);
                    }
                    (unreadable, last_look) = (true, None);
                    continue;
                }
            };
            unreadable = false;
            let lies_still = last_look.as_ref() == Some(&document);
            let is_new = hub.rules().agreed().document.file != document.file;
            let was_refused = refused.as_ref() == Some(&document);
            if is_new && (asked_for || (lies_still && !was_refused)) {
                match self.take(&hub, &document).await {
                    Ok(()) => refused = None,
                    Err(error) => {
                        hub.refused_covenant(&error);
                        refused = Some(document.clone());
                    }
                }
            }
            last_look = Some(document);
        }
    }

    /// Puts a covenant in force, whole or not at all.
    async fn take(self: &Arc<Self>, hub: &Arc<Hub>, document: &Document) -> Result<(), AgreementError> {
        let covenant = document.covenant().map_err(|source| AgreementError::Covenant {
            path: self.path.clone(),
            source,
        })?;
        let held = hub.rules().agreed();
        acceptance::accept(Trust::Held(&held.covenant), &covenant, document).map_err(|source| {
            AgreementError::NotAccepted {
                path: self.path.clone(),
                source,
            }
        })?;
        let change = Changed {
            previous: Some(held.covenant.version().to_string()),
            changes: difference(&held.covenant, &covenant),
        };
        let covenant = Arc::new(covenant);
        log(hub, &covenant, &change).await?;
        self.remember_soon(&covenant, document).await?;
        let mut before = held.before.clone();
        before.push((held.covenant.number(), held.document.clone()));
        hub.rules().change(Agreed {
            covenant: Arc::clone(&covenant),
            document: document.clone(),
            before,
        });
        hub.covenant_changed(&covenant);
        for change in &change.changes {
            tracing::info!(change = change.text_en(), "the covenant has changed");
        }
        hub.forget_partners_who_left().await;
        Ok(())
    }
}

async fn log(hub: &Hub, covenant: &Covenant, change: &Changed) -> Result<(), AgreementError> {
    let (now, _) = hub.now();
    let entry = json!({
        "type": TYPE,
        "id": covenant.id(),
        "number": covenant.number(),
        "sha256": covenant.version().to_string(),
        "previous_sha256": change.previous,
        "changes": change.changes.len(),
        "time_ms": now.as_millisecond(),
    });
    let draft = Draft::control(&entry).map_err(|error| AgreementError::Log(Box::new(error)))?;
    hub.commit(vec![draft], Vec::new()).await?;
    let changes = change.changes.len();
    tracing::info!(number = covenant.number(), version = %covenant.version(), changes, "another covenant");
    Ok(())
}
