//! The console of a node: pages for the person who asks, the privacy officer and the administrator, and the local API.
//!
//! Everything that is asked of the node goes through [`jobs`]: a job takes the role that it needs as a value
//! ([`caller::Asker`], [`caller::Officer`], [`caller::Administrator`]), which only a caller who holds it can give. Pages and
//! API are two faces of the same jobs.
//!
//! - `listen` accepts connections (TLS with the organisation's certificate; without only on loopback).
//! - `security` sets the headers and refuses what comes from elsewhere; `visitor` knows who asks for a page.
//! - `pages` are HTML from templates, `texts` their words in Dutch and English. They work without scripts.
//! - `problem` is what is shown when something cannot be done.
//!
//! A person's number comes in the body of a form or an API request and goes to the node. It is in no address, title,
//! session, log or kept answer.

mod api;
mod app;
mod assets;
pub mod caller;
mod draft;
mod fields;
#[doc(hidden)]
pub mod fuzz;
pub mod jobs;
pub mod kept;
mod listen;
mod moment;
mod oidc;
mod page;
mod pages;
pub mod problem;
mod security;
#[cfg(test)]
mod session_tests;
mod shelf;
mod texts;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;

use hitmachine_node::Node;
use tokio::net::TcpListener;

pub use app::App;
pub use listen::ConsoleError;
pub use oidc::OidcConfigError;

/// The console of one node, bound to its address.
pub struct Console {
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    app: App,
}

impl Console {
    /// Binds to the configured address; `None` if the node has no `[console]`.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub async fn bind(node: Arc<Node>) -> Result<Option<Self>, ConsoleError> {
        let Some(settings) = node.config().console.clone() else {
            return Ok(None);
        };
        let (listener, tls) = listen::bind(&settings).await?;
        let address = listener.local_addr().map_err(ConsoleError::Listen)?;
        let app = App::new(node, settings, address)?;
        Ok(Some(Self { listener, tls, app }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.app.address()
    }

    /// How people reach it.
    pub fn url(&self) -> &str {
        self.app.url()
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the operating system closes the port.
    pub async fn serve(self) -> std::io::Result<()> {
        let sweeping = kept::keep_swept(self.app.clone());
        let router = pages::router(self.app);
        tokio::select! {
            served = listen::serve(self.listener, self.tls, router) => served,
            () = sweeping => Ok(()),
        }
    }
}
