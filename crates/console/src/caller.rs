//! Who calls, and what that lets them do.

use hitmachine_node::accounts::{Role, Roles};

use crate::problem::Problem;

/// A person who has signed in, or an application with a token.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name in the hub's log.
    pub user: String,
    /// Name for people.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
    /// The purposes they may ask for, by short name; all that the covenant grants if absent.
    pub purposes: Option<Vec<String>>,
}

/// A caller who may ask.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    caller: &'a Caller,
    role: &'a str,
}

/// A caller who may review the log.
#[derive(Clone, Copy, Debug)]
pub struct Officer<'a> {
    caller: &'a Caller,
    role: &'a str,
}

/// A caller who keeps the node.
#[derive(Clone, Copy, Debug)]
pub struct Administrator<'a> {
    caller: &'a Caller,
}

impl Caller {
    /// As one who may ask.
    ///
    /// # Errors
    /// [`Problem::role_missing`].
    pub fn asker(&self) -> Result<Asker<'_>, Problem> {
        let role = self.roles.asks_as.as_deref();
        let role = role.ok_or_else(|| Problem::role_missing(Role::Asker))?;
        Ok(Asker { caller: self, role })
    }

    /// As one who may review the log.
    ///
    /// # Errors
    /// [`Problem::role_missing`].
    pub fn officer(&self) -> Result<Officer<'_>, Problem> {
        let role = self.roles.reviews_as.as_deref();
        let role = role.ok_or_else(|| Problem::role_missing(Role::Officer))?;
        Ok(Officer { caller: self, role })
    }

    /// As one who keeps the node.
    ///
    /// # Errors
    /// [`Problem::role_missing`].
    pub fn administrator(&self) -> Result<Administrator<'_>, Problem> {
        if self.roles.administers {
            Ok(Administrator { caller: self })
        } else {
            Err(Problem::role_missing(Role::Administrator))
        }
    }
}

impl<'a> Asker<'a> {
    /// Name in the hub's log.
    pub fn user(&self) -> &'a str {
        &self.caller.user
    }

    /// Name for people.
    pub fn name(&self) -> &'a str {
        &self.caller.name
    }

    /// Role in the covenant.
    pub fn role(&self) -> &'a str {
        self.role
    }

    /// Whether this purpose is one they may ask for; the covenant has its own word on it.
    pub fn may_ask_for(&self, purpose: &str) -> bool {
        let purposes = self.caller.purposes.as_ref();
        purposes.is_none_or(|purposes| purposes.iter().any(|each| each == purpose))
    }
}

impl<'a> Officer<'a> {
    /// Name in the hub's log.
    pub fn user(&self) -> &'a str {
        &self.caller.user
    }

    /// Name for people.
    pub fn name(&self) -> &'a str {
        &self.caller.name
    }

    /// Role in the covenant.
    pub fn role(&self) -> &'a str {
        self.role
    }
}

impl<'a> Administrator<'a> {
    /// Name of the account.
    pub fn user(&self) -> &'a str {
        &self.caller.user
    }

    /// Name for people.
    pub fn name(&self) -> &'a str {
        &self.caller.name
    }
}
