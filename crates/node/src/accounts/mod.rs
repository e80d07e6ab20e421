//! Who may sign in at this node's console, and in which roles.
//!
//! Accounts, sessions and the book of sign-ins lie in the node's sealed state. What a person may do follows from the
//! [`Roles`] of the account; in which role of the covenant somebody asks or reviews stands there too, because the hub's log
//! names it with every question.

mod roles;
mod session;

use std::sync::{Arc, Mutex, PoisonError};

use hitmachine_core::Clock;
use serde::{Deserialize, Serialize};

use crate::config::ConsoleSection;
use crate::state::{State, StateError, Table};

pub use roles::{Role, Roles};
pub use session::{Session, SessionToken};

/// Why something about an account was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No such account, or it is blocked.
    #[error("no such account")]
    Unknown,
    /// There is one already.
    #[error("an account of this name exists")]
    Exists,
    /// The local state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// An account of the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name by which the person signs in, and by which the hub's log knows who asked.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
}

/// The accounts of a node.
pub struct Accounts {
    users: Table,
    sessions: Table,
    settings: ConsoleSection,
    clock: Arc<dyn Clock>,
    /// One change at a time.
    changing: Mutex<()>,
}

impl Accounts {
    /// Those in the local state.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn load(
        state: &Arc<State>,
        settings: ConsoleSection,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        Ok(Self {
            users: state.table("users")?,
            sessions: state.table("sessions")?,
            settings,
            clock,
            changing: Mutex::new(()),
        })
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::State`].
    pub fn add(&self, user: &User) -> Result<(), AccountError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.users.get(user.id.as_bytes())?.is_some() {
            return Err(AccountError::Exists);
        }
        self.put(user)
    }

    /// The account of this name.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn user(&self, id: &str) -> Result<Option<User>, AccountError> {
        let value = self.users.get(id.as_bytes())?;
        value
            .map(|value| serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen.into()))
            .transpose()
    }

    fn put(&self, user: &User) -> Result<(), AccountError> {
        let value = serde_json::to_vec(user).map_err(|_| StateError::DoesNotOpen)?;
        Ok(self.users.change(&[(user.id.as_bytes(), Some(value))])?)
    }
}
