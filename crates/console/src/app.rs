//! What every page has at hand.

use std::net::SocketAddr;
use std::sync::Arc;

use hitmachine_node::Node;
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::language::Language;

use crate::listen::ConsoleError;
use crate::problem::Problem;

/// The node, and how its console is set up. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    settings: ConsoleSection,
    address: SocketAddr,
    url: String,
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
        Ok(Self(Arc::new(Inner {
            node,
            url: url.trim_end_matches('/').to_owned(),
            settings,
            address,
        })))
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.0.node
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
        match self.node().handle(request, Arc::new(|_| ())).await {
            Reply::Failed(failure) => Err(Problem::from(failure)),
            reply => Ok(reply),
        }
    }
}
