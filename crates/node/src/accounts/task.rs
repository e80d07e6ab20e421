//! What the command line asks about accounts and applications.

use std::sync::Arc;

use hitmachine_service::exit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{Record, kept_id};
use super::{
    AccountError, Accounts, Application, Checked, Entries, Filter, NewApplication, NewUser, Roles, User,
    UserView,
};
use crate::failure::Failure;
use crate::node::Node;

/// The most entries of the book in one answer.
const MOST_ENTRIES: usize = 10_000;
/// The most characters of who does it.
const LONGEST_BY: usize = 64;

/// What is asked, and who asks it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountAsk {
    /// The account of the machine whose command it is.
    pub by: String,
    /// What.
    pub task: AccountTask,
}

/// What can be done with accounts. It has no `Debug`: secrets may be in it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountTask {
    /// Make an account.
    Add {
        /// User name.
        id: String,
        /// Name for people.
        name: String,
        /// What the person may do.
        roles: Roles,
        /// Password and secret for codes; if absent a first password is made.
        set_up: Option<SetUp>,
    },
    /// List the accounts.
    Users,
    /// Give other roles.
    Roles {
        /// User name.
        id: String,
        /// What the person may do from now on.
        roles: Roles,
    },
    /// Let somebody sign in no more.
    Block(String),
    /// Let somebody sign in again.
    Unblock(String),
    /// Make a new first password, and forget the second factor.
    Reset(String),
    /// Remove an account.
    Remove(String),
    /// Show the book of sign-ins.
    Log {
        /// Which entries.
        filter: Filter,
        /// At most so many.
        most: usize,
    },
    /// Check the chain of the book.
    Check,
    /// Add an application.
    AddApplication(NewApplication),
    /// List the applications.
    Applications,
    /// Make an application's token worth nothing.
    Revoke(String),
}

/// What an account can sign in with.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// The password.
    pub password: Zeroizing<String>,
    /// The secret for codes in base32.
    pub totp: Zeroizing<String>,
}

/// What came of it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountReply {
    /// It was done.
    Done,
    /// It was done; this password is shown once.
    InitialPassword(Zeroizing<String>),
    /// It was done; this token is shown once.
    Token(Zeroizing<String>),
    /// The accounts.
    Users(Vec<UserView>),
    /// Entries of the book.
    Entries(Entries),
    /// What a check found.
    Checked(Checked),
    /// The applications.
    Applications(Vec<Application>),
}

impl std::fmt::Debug for AccountReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountReply(..)")
    }
}

/// Roles of the covenant that people here can have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CovenantRoles {
    /// In which this organisation may ask.
    pub asking: Vec<String>,
    /// In which it may review the log.
    pub reviewing: Vec<String>,
}

impl Node {
    /// The roles that the covenant knows for this organisation; none if it has no covenant yet.
    pub fn covenant_roles(&self) -> Option<CovenantRoles> {
        let covenant = self.covenant_held()?;
        let own = self.config().partner.parse().ok()?;
        let mut roles = CovenantRoles::default();
        for purpose in covenant
            .purposes()
            .iter()
            .filter(|purpose| purpose.askers.contains(&own))
        {
            roles.asking.extend(purpose.roles.iter().map(ToString::to_string));
        }
        for officer in covenant
            .officers()
            .iter()
            .filter(|officer| officer.partner == own)
        {
            roles
                .reviewing
                .extend(officer.roles.iter().map(ToString::to_string));
        }
        for list in [&mut roles.asking, &mut roles.reviewing] {
            list.sort_unstable();
            list.dedup();
        }
        Some(roles)
    }

    /// Roles that the covenant does not have would let nobody do anything.
    ///
    /// # Errors
    /// [`Failure`] names what the covenant has.
    pub fn check_covenant_roles(&self, roles: &Roles) -> Result<(), Failure> {
        let Some(known) = self.covenant_roles() else {
            return Ok(());
        };
        for (code, known) in [
            (&roles.asks_as, known.asking),
            (&roles.reviews_as, known.reviewing),
        ] {
            if code.as_ref().is_some_and(|code| !known.contains(code)) {
                let known = if known.is_empty() {
                    "-".to_owned()
                } else {
                    known.join(", ")
                };
                return Err(Failure::new(
                    "covenant_role",
                    exit::USAGE,
                    format!("the covenant does not give this organisation that role; it gives: {known}"),
                    format!("het convenant geeft deze organisatie die rol niet; wel: {known}"),
                ));
            }
        }
        Ok(())
    }

    /// Does what the command line asks about accounts.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn account(&self, ask: AccountAsk) -> Result<AccountReply, Failure> {
        if let AccountTask::Add { roles, .. } | AccountTask::Roles { roles, .. } = &ask.task {
            self.check_covenant_roles(roles)?;
        }
        if let AccountTask::AddApplication(new) = &ask.task {
            self.check_covenant_roles(&new.roles)?;
        }
        let accounts = Arc::clone(self.accounts());
        let done = tokio::task::spawn_blocking(move || accounts.do_task(ask)).await;
        let done = done.map_err(|_| Failure::node("a part of this node stopped"))?;
        Ok(done?)
    }
}

impl Accounts {
    fn do_task(&self, ask: AccountAsk) -> Result<AccountReply, AccountError> {
        let who = ask.by.chars().filter(|each| !each.is_control()).take(LONGEST_BY);
        let by = format!("command:{}", who.collect::<String>());
        match ask.task {
            AccountTask::Add {
                id,
                name,
                roles,
                set_up: Some(set_up),
            } => {
                let id = kept_id(&id);
                let user = User {
                    id: id.clone(),
                    name,
                    roles,
                };
                self.insert(&Record::new(user, self.clock.now())?, Some(&by))?;
                if let Err(error) = self.set_up(&id, &set_up.password, &set_up.totp) {
                    // Half an account is none.
                    self.remove(&id, &by)?;
                    return Err(error);
                }
            }
            AccountTask::Add { id, name, roles, .. } => {
                let initial = self.create(&NewUser { id, name, roles }, &by)?;
                let text = Zeroizing::new(initial.expose_text().to_owned());
                return Ok(AccountReply::InitialPassword(text));
            }
            AccountTask::Users => return Ok(AccountReply::Users(self.users()?)),
            AccountTask::Roles { id, roles } => self.set_roles(&id, &roles, &by)?,
            AccountTask::Block(id) => self.block(&id, &by)?,
            AccountTask::Unblock(id) => self.unblock(&id, &by)?,
            AccountTask::Reset(id) => {
                let initial = self.reset(&id, &by)?;
                let text = Zeroizing::new(initial.expose_text().to_owned());
                return Ok(AccountReply::InitialPassword(text));
            }
            AccountTask::Remove(id) => self.remove(&id, &by)?,
            AccountTask::Log { filter, most } => {
                let entries = self.book().list(&filter, most.min(MOST_ENTRIES))?;
                return Ok(AccountReply::Entries(entries));
            }
            AccountTask::Check => return Ok(AccountReply::Checked(self.book().check()?)),
            AccountTask::AddApplication(new) => {
                let token = self.create_application(new, &by)?;
                let text = Zeroizing::new(token.expose_text().to_owned());
                return Ok(AccountReply::Token(text));
            }
            AccountTask::Applications => return Ok(AccountReply::Applications(self.applications()?)),
            AccountTask::Revoke(id) => self.revoke_application(&id, &by)?,
        }
        Ok(AccountReply::Done)
    }
}

/// When an application's token ends that ends after so many days.
pub fn in_days(now: Timestamp, days: u32) -> Timestamp {
    let hours = jiff::SignedDuration::from_hours(i64::from(days) * 24);
    now.checked_add(hours).unwrap_or(Timestamp::MAX)
}
