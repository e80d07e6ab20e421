//! The command line and a running node: JSON lines over a socket that only the node's user can open.
//!
//! A node that serves holds its state open, so `query`, `sync` and `status` go through it; without one they open the
//! state themselves. Both ways end in [`Node::handle`].
//!
//! One request per connection, one line; replies are lines, any number of `progress` and one other at the end.
//! Person numbers pass here in clear: the socket is a file (mode 0600) and never leaves the machine.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hitmachine_core::covenant::Answers;
use hitmachine_core::covenant::Document;
use hitmachine_core::{SubjectClass, TextError, User};
use hitmachine_identifier::{Admission, Bsn, Skn};
use hitmachine_pseudonym::CanonicalIdentifier;
use hitmachine_service::console::chain;
use hitmachine_service::exit;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::accounts::task::{AccountAsk, AccountReply};
use crate::ask::{AskError, AskedPerson, Question};
use crate::config::NodeConfig;
use crate::failure::Failure;
use crate::health::Place;
use crate::live::LiveListView;
use crate::node::{Node, OpenError};
use crate::notice::{NoticeAsk, NoticeReply, Which};
use crate::notification::task::{NotificationAsk, NotificationReply};
use crate::officer::task::{OfficerAsk, OfficerReply};
use crate::screening::{ScreenAsk, ScreenReply};
use crate::source::AgeBracket;
use crate::sync::{Progress, SyncOptions, SyncReport};
use crate::view::{AnswerView, StatusView};

/// How long a command waits for another that has the state open.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest request: a list of some 200,000 persons. It is read as it comes, from this machine's own user.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What the command line asks of a node.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Ask one question.
    Ask(Ask),
    /// Synchronise now.
    Sync(SyncOptions),
    /// Say how things are.
    Status,
    /// Show the last questions that were answered live, at most so many.
    Live(usize),
    /// Do a privacy officer's task.
    Officer(Box<OfficerAsk>),
    /// Do something with hit notices.
    Notice(NoticeAsk),
    /// Say what the covenant is, and what the one before it was.
    Covenant,
    /// Do something about a screening.
    Screening(Box<ScreenAsk>),
    /// Do something with the queue of persons to be informed.
    Notification(Box<NotificationAsk>),
    /// Do something with the accounts of the console.
    Account(Box<AccountAsk>),
}

/// One question as typed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Purpose, by its short name.
    pub purpose: String,
    /// Case reference.
    pub case: String,
    /// Who asks.
    pub user: String,
    /// In which role.
    pub role: String,
    /// On whose behalf.
    pub responsible: Option<String>,
    /// About whom.
    pub persons: Vec<AskPerson>,
}

/// One person as typed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskPerson {
    /// `bsn` or `skn`.
    pub kind: NumberKind,
    /// The number; 8 or 9 digits for a BSN.
    pub number: Zeroizing<String>,
    /// Minor or adult.
    pub class: ClassWord,
    /// Age, as far as it matters for whom to inform.
    #[serde(default)]
    pub age: AgeBracket,
    /// The asker's own reference of the person; it does not leave this machine.
    #[serde(default)]
    pub reference: Option<String>,
}

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberKind {
    /// Burgerservicenummer.
    Bsn,
    /// Strafrechtsketennummer.
    Skn,
}

/// [`SubjectClass`] in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWord {
    /// Younger than 18.
    Minor,
    /// 18 or older.
    Adult,
}

impl From<ClassWord> for SubjectClass {
    fn from(word: ClassWord) -> Self {
        match word {
            ClassWord::Minor => Self::Minor,
            ClassWord::Adult => Self::Adult,
        }
    }
}

impl From<SubjectClass> for ClassWord {
    fn from(class: SubjectClass) -> Self {
        match class {
            SubjectClass::Minor => Self::Minor,
            SubjectClass::Adult => Self::Adult,
        }
    }
}

/// What a node says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// More is to come.
    Progress(Progress),
    /// A verified answer.
    Asked(AnswerView),
    /// A sync that ended well.
    Synced(SyncReport),
    /// How things are.
    Status(Box<StatusView>),
    /// The last questions that were answered live.
    Live(LiveListView),
    /// What came of an officer's task; everything in it is proven.
    Officer(OfficerReply),
    /// Hit notices, or what was done with them.
    Notice(NoticeReply),
    /// The covenant that this node accepted.
    Covenant(CovenantReply),
    /// What came of it; every answer in it is proven.
    Screening(Box<ScreenReply>),
    /// Persons to be informed.
    Notification(NotificationReply),
    /// Accounts, or what was done with them.
    Account(AccountReply),
    /// It did not work.
    Failed(Failure),
}

/// The covenant that this node accepted, and the one before it: the files' texts, which are public.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CovenantReply {
    /// This organisation, by its short name.
    pub partner: String,
    /// Why the hub gave no covenant that could be accepted, if so; then this is the one accepted last.
    pub hub: Option<Failure>,
    /// The file.
    pub covenant: String,
    /// The file before it, if there was one.
    pub previous: Option<String>,
}

impl Node {
    /// Does what is asked; `progress` hears how far it is.
    pub async fn handle(&self, request: Request, progress: Arc<dyn Fn(Progress) + Send + Sync>) -> Reply {
        let result = match request {
            Request::Ask(ask) => self.ask(ask).await.map(Reply::Asked),
            Request::Sync(options) => self
                .synchroniser
                .run(options, progress)
                .await
                .map(Reply::Synced)
                .map_err(Failure::from),
            Request::Status => Ok(Reply::Status(Box::new(self.status(false).await))),
            Request::Live(most) => self
                .answering
                .list(most)
                .map(Reply::Live)
                .map_err(|error| Failure::from(AskError::from(error))),
            Request::Officer(ask) => self.officer(*ask, progress).await.map(Reply::Officer),
            Request::Notice(ask) => self.notice(ask).await.map(Reply::Notice),
            Request::Covenant => self.covenant().await.map(Reply::Covenant),
            Request::Screening(ask) => {
                let replied = Box::pin(self.screening(*ask, progress)).await;
                replied.map(Box::new).map(Reply::Screening)
            }
            Request::Notification(ask) => self.notification(*ask).await.map(Reply::Notification),
            Request::Account(ask) => self.account(*ask).await.map(Reply::Account),
        };
        result.unwrap_or_else(Reply::Failed)
    }

    async fn ask(&self, ask: Ask) -> Result<AnswerView, Failure> {
        let question = self.question(ask)?;
        let answer = self.inquirer.ask(&question).await.map_err(Failure::from)?;
        let covenant = self.link.covenant().await.map_err(Failure::from)?;
        Ok(AnswerView::new(&answer, &covenant))
    }

    pub(crate) fn question(&self, ask: Ask) -> Result<Question, Failure> {
        let admission = self.admission()?;
        let mut persons = Vec::with_capacity(ask.persons.len());
        for (place, person) in ask.persons.iter().enumerate() {
            let identifier = identifier(person, &admission).map_err(|mut failure| {
                let n = place + 1;
                failure.text_en = format!("person {n}: {}", failure.text_en);
                failure.text_nl = format!("persoon {n}: {}", failure.text_nl);
                failure
            })?;
            persons.push(AskedPerson {
                identifier,
                class: person.class.into(),
                bracket: match person.class {
                    ClassWord::Adult => AgeBracket::From16,
                    ClassWord::Minor => person.age,
                },
                reference: person.reference.clone().map(Into::into),
            });
        }
        let responsible = ask.responsible.filter(|id| !id.is_empty());
        let user = User {
            id: field(&ask.user, "user")?,
            role: field(&ask.role, "role")?,
            responsible: responsible.map(|id| field(&id, "responsible user")).transpose()?,
        };
        Ok(Question {
            purpose: field(&ask.purpose, "purpose")?,
            case: field(&ask.case, "case reference")?,
            user,
            persons,
        })
    }

    pub(crate) fn admission(&self) -> Result<Admission, Failure> {
        let failed = |error| Failure::new("configuration", exit::USAGE, chain(&error), chain(&error));
        self.config.admission().map_err(failed)
    }

    /// The covenant, fetched anew if the hub can be reached, otherwise the one accepted last.
    async fn covenant(&self) -> Result<CovenantReply, Failure> {
        self.link.forget_covenant();
        let hub = match self.link.covenant().await {
            Ok(_) => None,
            Err(error) if self.link.agreements().held().is_some() => Some(error.into()),
            Err(error) => return Err(error.into()),
        };
        let agreements = Arc::clone(self.link.agreements());
        let reading = tokio::task::spawn_blocking(move || agreements.documents()).await;
        let documents = reading.map_err(|_| Failure::node("task stopped"))?;
        let (held, previous) = documents.map_err(|error| Failure::node(&chain(&error)))?;
        let text = |document: Document| String::from_utf8_lossy(&document.file).into_owned();
        let held = held.ok_or_else(|| Failure::node("no covenant"))?;
        Ok(CovenantReply {
            partner: self.link.own().partner.to_string(),
            hub,
            covenant: text(held),
            previous: previous.map(text),
        })
    }

    /// How things are; asks the hub whether it is there.
    pub async fn status(&self, serving: bool) -> StatusView {
        self.look(serving, Duration::MAX).await.0
    }

    /// The same, and why the hub cannot be used, if so; the hub gets so long to answer, and a sync that is under way to end.
    pub(crate) async fn look(&self, serving: bool, patience: Duration) -> (StatusView, Option<Failure>) {
        self.link.forget_covenant();
        let covenant = tokio::time::timeout(patience, self.link.covenant()).await;
        let covenant = covenant.unwrap_or(Err(crate::link::LinkError::TimedOut));
        let own = self.link.own();
        let keys = &self.synchroniser.keys;
        let key = keys.asking().or_else(|| keys.present());
        // A sync that is under way has them for as long as it takes.
        let registers = tokio::time::timeout(patience, self.synchroniser.registers.lock())
            .await
            .ok();
        let found = registers.map(|registers| {
            let register = key.as_ref().and_then(|key| registers.get(key.keys.number));
            register.map_or_else(Place::default, |register| Place {
                complete_ms: register.mark.complete_ms,
                persons: register.mark.complete_count,
                in_doubt: register.in_doubt.len(),
            })
        });
        let place = self.place.or_last(found);
        let at = jiff::Timestamp::from_millisecond(place.complete_ms)
            .ok()
            .filter(|_| place.complete_ms > 0);
        let view = StatusView {
            partner: own.partner.to_string(),
            serving,
            hub: covenant
                .as_ref()
                .map_or_else(ToString::to_string, |_| "ok".into()),
            covenant_number: covenant.as_ref().ok().map(|covenant| covenant.number()),
            covenant_version: covenant
                .as_ref()
                .ok()
                .map(|covenant| covenant.version().to_string()),
            key_epoch: key.as_ref().map_or(0, |key| key.keys.number.get()),
            key_check_value: key.map_or_else(String::new, |key| key.keys.key_check_value.to_string()),
            epochs: keys.status(),
            sources: self.config.source.len(),
            persons: place.persons,
            synchronised_at: at.map(|at| at.to_string()),
            batches_in_doubt: place.in_doubt,
            last_sync: Some(self.synchroniser.book.view()),
            log_size_seen: self.inquirer.heads.largest(),
            witness_quorum: self.inquirer.heads.policy().needed().unwrap_or(1),
            witnessed_s: self.witnessed_s(),
            notices_new: self.notices.list(Which::New, None).new,
            notices_connected: self.notices.is_connected(),
            alarms: self.inquirer.alarms.all(),
            live: covenant
                .as_ref()
                .ok()
                .and_then(|covenant| covenant.partner(&own.partner))
                .filter(|own| own.answers == Answers::Live)
                .and_then(|_| self.answering.view().ok()),
            notifications: self.notification_counts(),
            canaries: self.canaries.view(),
        };
        (view, covenant.err().map(Failure::from))
    }
}

/// A field that a person typed.
pub(crate) fn field<T: std::str::FromStr<Err = TextError>>(
    text: &str,
    field: &'static str,
) -> Result<T, AskError> {
    text.parse().map_err(|problem| AskError::Field { field, problem })
}

/// A person's number, checked. No error repeats it.
pub(crate) fn identifier(person: &AskPerson, admission: &Admission) -> Result<CanonicalIdentifier, Failure> {
    let failed = |code: &str, en: String, nl: &str| Failure::new(code, exit::USAGE, en, nl);
    match person.kind {
        NumberKind::Bsn => Bsn::parse(&person.number, admission)
            .map(|bsn| bsn.canonical())
            .map_err(|error| failed(error.code(), error.to_string(), error.text_nl())),
        NumberKind::Skn => Skn::parse(&person.number)
            .map(|skn| skn.canonical())
            .map_err(|error| failed(error.code(), error.to_string(), error.text_nl())),
    }
}

impl From<AskError> for Reply {
    fn from(error: AskError) -> Self {
        Self::Failed(error.into())
    }
}

/// Opens the socket of a node that serves. A socket that a stopped node left behind is replaced; the state's lock
/// keeps a second node out.
///
/// # Errors
/// When the file cannot be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers requests on the socket until the task is dropped.
///
/// # Errors
/// When the socket fails.
pub async fn listen(node: Arc<Node>, listener: UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            if let Err(error) = one_request(&node, stream).await {
                tracing::debug!(%error, "local request broken off");
            }
        });
    }
}

async fn one_request(node: &Arc<Node>, stream: UnixStream) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Zeroizing::new(String::new());
    BufReader::new(reading.take(MOST_BYTES))
        .read_line(&mut line)
        .await?;
    let (progress, mut replies) = mpsc::unbounded_channel();
    let request: Result<Request, _> = serde_json::from_str(&line);
    let node = Arc::clone(node);
    let work = tokio::spawn(async move {
        let reply = match request {
            // The text of the error could repeat what was sent.
            Err(_) => Reply::Failed(Failure::new(
                "request",
                exit::USAGE,
                "not a request",
                "geen geldig verzoek",
            )),
            Ok(Request::Status) => Reply::Status(Box::new(node.status(true).await)),
            Ok(request) => {
                let hears = progress.clone();
                let report = Arc::new(move |at| drop(hears.send(Reply::Progress(at))));
                node.handle(request, report).await
            }
        };
        // The command line may have gone.
        let _ = progress.send(reply);
    });
    while let Some(reply) = replies.recv().await {
        let mut line = serde_json::to_vec(&reply)?;
        line.push(b'\n');
        writing.write_all(&line).await?;
        if !matches!(reply, Reply::Progress(_)) {
            break;
        }
    }
    work.await.map_err(io::Error::other)
}

/// A node to speak to: one that serves, or one opened for this command.
pub enum Client {
    /// Through its socket.
    Serving(std::path::PathBuf),
    /// In this process.
    Own(Arc<Node>),
}

impl Client {
    /// Speaks to the node that serves with this configuration, or opens one.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn connect(config: NodeConfig) -> Result<Self, OpenError> {
        let socket = config.socket();
        let begun = Instant::now();
        loop {
            if UnixStream::connect(&socket).await.is_ok() {
                return Ok(Self::Serving(socket));
            }
            match Node::open(config.clone()).await {
                // Another command is at it, or a node that is starting and will open its socket.
                Err(error) if error.is_in_use() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                opened => return Ok(Self::Own(Arc::new(opened?))),
            }
        }
    }

    /// One request.
    ///
    /// # Errors
    /// When the socket breaks; what was asked may have been done.
    pub async fn call(
        &self,
        request: Request,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> io::Result<Reply> {
        let socket = match self {
            Self::Own(node) => return Ok(node.handle(request, progress).await),
            Self::Serving(socket) => socket,
        };
        let (reading, mut writing) = UnixStream::connect(socket).await?.into_split();
        let mut line = Zeroizing::new(serde_json::to_vec(&request)?);
        line.push(b'\n');
        writing.write_all(&line).await?;
        let mut lines = BufReader::new(reading).lines();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str(&line)? {
                Reply::Progress(at) => progress(at),
                reply => return Ok(reply),
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
