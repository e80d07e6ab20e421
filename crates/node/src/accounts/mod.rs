//! Who may sign in at this node's console, and in which roles.
//!
//! Accounts, sessions and the book of sign-ins lie in the node's sealed state. What a person may do follows from the
//! [`Roles`] of the account; in which role of the covenant somebody asks or reviews stands there too, because the hub's log
//! names it with every question.
//!
//! - `sign_in`: the steps of signing in, `own` what a person does to their own account, `administer` what an administrator
//!   does to others', `external` people whom an identity provider vouches for.
//! - `password`, `totp`, `recovery`: what proves who somebody is. `lock`: guessing gets slow.
//! - `session`: what a cookie stands for. `application`: what an application's token stands for.
//! - `book`: what happened. It is written before what it tells of is done, so nothing happens that is not in it.
//! - `task`: the same for the command line.

mod administer;
mod application;
mod book;
mod error;
mod external;
mod lock;
mod own;
mod password;
mod readable;
mod record;
mod recovery;
mod roles;
mod session;
mod sign_in;
pub mod task;
mod totp;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_core::Clock;
use serde::{Deserialize, Serialize};

use crate::config::ConsoleSection;
use crate::state::{State, StateError, Table};

use lock::Lock;
use record::Record;
use sign_in::Waiting;

pub use administer::{NewUser, UserView};
pub use application::{Application, ApplicationToken, NewApplication};
pub use book::{Book, Checked, Entries, Entry, Filter, Kind};
pub use error::AccountError;
pub use password::{InitialPassword, PasswordRule};
pub use record::is_user_id;
pub use recovery::RecoveryCodes;
pub use roles::{Role, Roles};
pub use session::{Session, SessionToken, SessionView};
pub use sign_in::{Next, Pending, PendingToken, SignInError};
pub use totp::Enrolment;

/// An account of the console, as others need to know it.
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
    /// Short name of the organisation.
    partner: String,
    users: Table,
    sessions: Table,
    locks: Table,
    applications: Table,
    book: Book,
    settings: ConsoleSection,
    clock: Arc<dyn Clock>,
    /// Sign-ins that are half-way, by the hash of their token. They do not outlive this process.
    waiting: Mutex<HashMap<[u8; 32], Waiting>>,
    /// Failures of names that are no account's, by their hash.
    strangers: Mutex<HashMap<[u8; 32], Lock>>,
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
        partner: &str,
        settings: ConsoleSection,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StateError> {
        Ok(Self {
            partner: partner.to_owned(),
            users: state.table("users")?,
            sessions: state.table("sessions")?,
            locks: state.table("sign-in-locks")?,
            applications: state.table("applications")?,
            book: Book::load(state, settings.book_months, Arc::clone(&clock))?,
            settings,
            clock,
            waiting: Mutex::default(),
            strangers: Mutex::default(),
            changing: Mutex::new(()),
        })
    }

    /// Adds an account without a password: its owner cannot sign in until it has one.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::Name`], [`AccountError::Roles`], [`AccountError::State`].
    pub fn add(&self, user: &User) -> Result<(), AccountError> {
        self.insert(&Record::new(user.clone(), self.clock.now())?, None)
    }

    /// The account of this name, also if it is blocked.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn user(&self, id: &str) -> Result<Option<User>, AccountError> {
        Ok(self.record(id)?.map(|record| record.user))
    }

    /// The book of sign-ins.
    pub fn book(&self) -> &Book {
        &self.book
    }

    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
