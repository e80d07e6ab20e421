//! What every page has at hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use hitmachine_core::Covenant;
use hitmachine_node::Node;
use hitmachine_node::accounts::Accounts;
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::failure::Failure;
use hitmachine_node::language::Language;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::draft::Drafts;
use hitmachine_node::state::StateError;

use crate::jobs::ask::Asked;
use crate::kept::Book;
use hitmachine_node::sync::Progress;

use crate::jobs::log_check::Running;
use crate::listen::ConsoleError;
use crate::oidc::Oidc;
use crate::problem::Problem;
use crate::shelf::Shelf;

/// Passwords that are looked at at the same time: each takes tens of megabytes and a whole core for a moment, and who guesses
/// passwords must not take them all.
const PASSWORDS_AT_ONCE: usize = 2;
/// How long one waits for its turn.
const PASSWORD_PATIENCE: Duration = Duration::from_secs(10);

/// The node, and how its console is set up. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    settings: ConsoleSection,
    address: SocketAddr,
    url: String,
    drafts: Drafts,
    passwords: Arc<Semaphore>,
    oidc: Option<Arc<Oidc>>,
    asked: Asked,
    shelf: Shelf,
    checking: Running,
}

impl App {
    pub(crate) fn new(
        node: Arc<Node>,
        settings: ConsoleSection,
        address: SocketAddr,
    ) -> Result<Self, ConsoleError> {
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let url = settings
            .url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{address}"));
        let url = url.trim_end_matches('/').to_owned();
        let oidc = settings.oidc.as_ref().map(|section| Oidc::open(section, &url));
        let book = Book::open(node.table("answers")?, settings.keep_days)?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| StateError::Random)?;
        Ok(Self(Arc::new(Inner {
            asked: Asked::new(book, key),
            node,
            oidc: oidc.transpose()?.map(Arc::new),
            url,
            settings,
            address,
            drafts: Drafts::default(),
            passwords: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
            shelf: Shelf::default(),
            checking: Running::default(),
        })))
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.0.node
    }

    /// What is kept in memory for sessions.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.0.shelf
    }

    /// The check of the log that is on its way.
    pub(crate) fn checking(&self) -> &Running {
        &self.0.checking
    }

    /// How the console is set up.
    pub fn settings(&self) -> &ConsoleSection {
        &self.0.settings
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// How people reach it, without a slash at the end; also the origin that forms must come from.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Forms that came after their session had ended.
    pub(crate) fn drafts(&self) -> &Drafts {
        &self.0.drafts
    }

    /// Does something with a password, beside the pages and only a few at a time; more wait for their turn.
    ///
    /// # Errors
    /// [`Problem`] if the turn does not come.
    pub(crate) async fn with_password<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Accounts) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Er loggen nu heel veel mensen tegelijk in. Probeer het over een minuut opnieuw.",
                "Very many people are signing in at the moment. Try again in a minute.",
            )
        };
        let turn = timeout(PASSWORD_PATIENCE, Arc::clone(&self.0.passwords).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let node = Arc::clone(self.node());
        let working = tokio::task::spawn_blocking(move || {
            // A visitor who goes away does not make room for another before the work is done.
            let _turn = turn;
            work(node.accounts())
        });
        working.await.map_err(|error| Problem::node(&error))
    }

    /// The identity provider, if there is one.
    pub(crate) fn oidc(&self) -> Option<&Arc<Oidc>> {
        self.0.oidc.as_ref()
    }

    /// What was asked here.
    pub(crate) fn asked(&self) -> &Asked {
        &self.0.asked
    }

    /// The covenant as this node accepted it; the hub is asked only if there is none yet.
    ///
    /// # Errors
    /// [`Problem`]: there is none, and the hub gives none that could be accepted.
    pub async fn covenant(&self) -> Result<Arc<Covenant>, Problem> {
        match self.node().covenant_held() {
            Some(covenant) => Ok(covenant),
            None => self
                .node()
                .covenant_in_force()
                .await
                .map_err(|error| Problem::from(Failure::from(error))),
        }
    }

    /// The name of the organisation, as the covenant has it; its short name while there is none.
    pub fn organisation(&self) -> String {
        let partner = &self.node().config().partner;
        let covenant = self.node().covenant_held();
        let id = partner.parse().ok();
        let name = covenant
            .as_ref()
            .zip(id)
            .and_then(|(covenant, id)| covenant.partner(&id));
        name.map_or_else(|| partner.clone(), |of| of.name.clone())
    }

    /// The language of people who have chosen none.
    pub fn language(&self) -> Language {
        self.node().config().language.unwrap_or(Language::Nl)
    }

    /// Does what is asked of the node.
    ///
    /// # Errors
    /// [`Problem`] for what the node says it cannot do.
    pub async fn call(&self, request: Request) -> Result<Reply, Problem> {
        self.call_with(request, Arc::new(|_| ())).await
    }

    /// The same; `progress` hears how far it is.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_with(
        &self,
        request: Request,
        progress: Arc<dyn Fn(Progress) + Send + Sync>,
    ) -> Result<Reply, Problem> {
        match self.node().handle(request, progress).await {
            Reply::Failed(failure) => Err(Problem::from(failure)),
            reply => Ok(reply),
        }
    }
}
