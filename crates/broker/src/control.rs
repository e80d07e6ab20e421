//! The command line and a running broker: JSON over a socket that only the broker's user can open.
//!
//! One request per connection, one line; one line comes back.

use std::io;
use std::path::Path;
use std::sync::Arc;

use hitmachine_core::epoch::{EpochError, KeyHeld};
use hitmachine_service::console::chain;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::epochs::{EpochChanger, Step, StepError};

/// The longest request.
const MOST_BYTES: u64 = 64 * 1024;

/// What the command line asks of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Which key epochs there are, and who is ready for the next.
    EpochStatus,
    /// Take up the epoch of `[next_epoch]`.
    EpochPrepare,
    /// Let partners register in it.
    EpochFill,
    /// Ask in it from now on.
    EpochSwitch {
        /// Partners that may be left behind.
        without: Vec<String>,
    },
    /// End the one before it.
    EpochRetire {
        /// Also before it has drained.
        early: bool,
    },
    /// Give up the next epoch.
    EpochAbandon,
}

/// What a broker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It is done; how the epochs are now.
    Epochs(EpochsView),
    /// It is not done.
    Failed(Failed),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Stable code.
    pub code: String,
    /// In English.
    pub text: String,
    /// The partners it is about, if it is about any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partners: Vec<String>,
}

/// All key epochs, and who is how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochsView {
    /// Oldest first.
    pub epochs: Vec<EpochView>,
    /// One for each partner of the covenant, in its order.
    pub partners: Vec<PartnerView>,
}

/// One key epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochView {
    /// Its number.
    pub number: u32,
    /// `prepared`, `filling`, `active`, `draining` or `retired`.
    pub state: String,
    /// Pseudonym scheme.
    pub scheme: String,
    /// Key check value of the nodes' key.
    pub key_check_value: String,
    /// Since when, RFC 3339; absent for the first epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Partners that were left behind when it became active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// How far one partner is with the next epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartnerView {
    /// Short name in the covenant.
    pub partner: String,
    /// Whether it keeps a register at the hub.
    pub registers: bool,
    /// `right`, `wrong`, or `not_said`: its key of the next epoch, or of the one in use if there is no next.
    pub key: String,
    /// Registrations in the epoch in use.
    pub present: u64,
    /// Registrations in the next epoch.
    pub filled: u64,
    /// Whether the next epoch can do without waiting for it.
    pub ready: bool,
}

/// How the epochs of a hub are.
fn view(changer: &EpochChanger) -> EpochsView {
    let hub = changer.hub();
    let plan = hub.registers().plan();
    let epochs = plan.all().iter().map(|row| EpochView {
        number: row.keys.number.get(),
        state: row.state.as_str().to_owned(),
        scheme: row.keys.scheme.to_string(),
        key_check_value: row.keys.key_check_value.to_string(),
        since: (row.since != jiff::Timestamp::MIN).then(|| row.since.to_string()),
        without: row.without.iter().map(ToString::to_string).collect(),
    });
    let readiness = hub.registers().readiness(&hub.covenant());
    let partners = readiness.into_iter().map(|one| PartnerView {
        partner: one.partner.to_string(),
        registers: one.registers,
        key: match one.key {
            KeyHeld::NotSaid => "not_said",
            KeyHeld::Right => "right",
            KeyHeld::Wrong => "wrong",
        }
        .to_owned(),
        present: one.present.count,
        filled: one.next.count,
        ready: one.is_ready(),
    });
    EpochsView {
        epochs: epochs.collect(),
        partners: partners.collect(),
    }
}

impl From<&StepError> for Failed {
    fn from(error: &StepError) -> Self {
        let partners = match error {
            StepError::Rules(EpochError::NotReady(partners)) => {
                partners.iter().map(ToString::to_string).collect()
            }
            StepError::Rules(EpochError::UnknownPartner(partner)) => vec![partner.to_string()],
            _ => Vec::new(),
        };
        Self {
            code: error.code().to_owned(),
            text: chain(error),
            partners,
        }
    }
}

async fn handle(changer: &EpochChanger, request: Request) -> Reply {
    let step = match request {
        Request::EpochStatus => return Reply::Epochs(view(changer)),
        Request::EpochPrepare => Step::Prepare,
        Request::EpochFill => Step::Fill,
        Request::EpochSwitch { without } => {
            let mut partners = Vec::with_capacity(without.len());
            for name in without {
                match name.parse() {
                    Ok(partner) => partners.push(partner),
                    Err(_) => {
                        return Reply::Failed(Failed {
                            code: "unknown_partner".into(),
                            text: "a name of a partner is not one".into(),
                            partners: Vec::new(),
                        });
                    }
                }
            }
            Step::Switch(partners)
        }
        Request::EpochRetire { early } => Step::Retire { early },
        Request::EpochAbandon => Step::Abandon,
    };
    match changer.step(step).await {
        Ok(()) => Reply::Epochs(view(changer)),
        Err(error) => {
            tracing::warn!(code = error.code(), "a step of the key epoch was refused");
            Reply::Failed((&error).into())
        }
    }
}

/// Opens the socket. One that a stopped broker left behind is replaced; the lock on the data keeps a second broker out.
///
/// # Errors
/// When the file cannot be made.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers requests until the task is dropped. A step that was begun is finished, whether or not anybody waits for it.
pub(crate) async fn listen(changer: Arc<EpochChanger>, listener: UnixListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a local request could not be taken");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                continue;
            }
        };
        let changer = Arc::clone(&changer);
        tokio::spawn(async move {
            if let Err(error) = one_request(&changer, stream).await {
                tracing::debug!(%error, "local request broken off");
            }
        });
    }
}

async fn one_request(changer: &Arc<EpochChanger>, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reading.take(MOST_BYTES))
        .read_line(&mut line)
        .await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => handle(changer, request).await,
        Err(_) => Reply::Failed(Failed {
            code: "request".into(),
            text: "not a request".into(),
            partners: Vec::new(),
        }),
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    writing.write_all(&line).await
}

/// Asks a running broker, over the socket of its configuration.
///
/// # Errors
/// When no broker listens there, or it stops before it answers: what was asked may have been done.
pub fn call(socket: &Path, request: &Request) -> io::Result<Reply> {
    use std::io::{BufRead, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    io::BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}
