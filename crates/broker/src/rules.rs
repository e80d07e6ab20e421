//! The covenant in force.

use std::sync::{Arc, PoisonError, RwLock};

use hitmachine_core::Covenant;

/// A covenant and the file it was read from.
pub(crate) struct Agreed {
    /// The covenant.
    pub(crate) covenant: Arc<Covenant>,
    /// Exactly the bytes whose SHA-256 is its version.
    pub(crate) file: Vec<u8>,
}

/// The covenant in force, which may change at any moment: who needs it twice for one thing keeps what it got first.
pub(crate) struct Rules {
    agreed: RwLock<Arc<Agreed>>,
}

impl Rules {
    /// With the covenant in force at the start.
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self {
            agreed: RwLock::new(Arc::new(agreed)),
        }
    }

    /// The covenant in force and its file.
    pub(crate) fn agreed(&self) -> Arc<Agreed> {
        Arc::clone(&self.agreed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The covenant in force.
    pub(crate) fn covenant(&self) -> Arc<Covenant> {
        Arc::clone(&self.agreed().covenant)
    }
}
