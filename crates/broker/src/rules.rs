//! The covenant in force.

use std::sync::Arc;

use hitmachine_core::covenant::Document;
use hitmachine_core::{Asker, Covenant};
use tokio::sync::watch;

/// A covenant and what it was read from.
pub(crate) struct Agreed {
    /// The covenant.
    pub(crate) covenant: Arc<Covenant>,
    /// The file, whose SHA-256 is its version, and its signatures.
    pub(crate) document: Document,
    /// Those in force before it, with their numbers, oldest first.
    pub(crate) before: Vec<(u32, Document)>,
}

/// The covenant in force, which may change at any moment: who needs it twice for one thing keeps what it got first.
pub(crate) struct Rules {
    agreed: watch::Sender<Arc<Agreed>>,
}

impl Rules {
    /// With the covenant in force at the start.
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self {
            agreed: watch::Sender::new(Arc::new(agreed)),
        }
    }

    /// The covenant in force and its file.
    pub(crate) fn agreed(&self) -> Arc<Agreed> {
        Arc::clone(&self.agreed.borrow())
    }

    /// The covenant in force.
    pub(crate) fn covenant(&self) -> Arc<Covenant> {
        Arc::clone(&self.agreed.borrow().covenant)
    }

    /// Puts another covenant in force; whoever calls this has logged it.
    pub(crate) fn change(&self, agreed: Agreed) {
        self.agreed.send_replace(Arc::new(agreed));
    }

    /// Resolves when the covenant in force does not know this organisation, or this key of it, any more: then streams
    /// that would last for ever end.
    pub(crate) async fn no_longer_know(&self, asker: &Asker) {
        let mut changes = self.agreed.subscribe();
        // The sender lives as long as `self`.
        let _ = changes
            .wait_for(|agreed| agreed.covenant.identify(asker).is_err())
            .await;
    }
}
