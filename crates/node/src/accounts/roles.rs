//! What a person may do at the console.

use serde::{Deserialize, Serialize};

/// A role at the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Asks questions and reads hit notices.
    #[serde(rename = "vrager")]
    Asker,
    /// Reviews the log.
    #[serde(rename = "privacyfunctionaris")]
    Officer,
    /// Keeps the node and its accounts.
    #[serde(rename = "beheerder")]
    Administrator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Asker, Self::Officer, Self::Administrator];

    /// Its word in configuration, commands and claims: `vrager`, `privacyfunctionaris` or `beheerder`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asker => "vrager",
            Self::Officer => "privacyfunctionaris",
            Self::Administrator => "beheerder",
        }
    }

    /// The role of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// The roles that a person holds; several are possible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Roles {
    /// Asks, in this role of the covenant.
    pub asks_as: Option<String>,
    /// Reviews the log, in this role of the covenant.
    pub reviews_as: Option<String>,
    /// Keeps the node.
    pub administers: bool,
}

impl Roles {
    /// Whether this one is among them.
    pub fn holds(&self, role: Role) -> bool {
        match role {
            Role::Asker => self.asks_as.is_some(),
            Role::Officer => self.reviews_as.is_some(),
            Role::Administrator => self.administers,
        }
    }

    /// All that are held.
    pub fn held(&self) -> impl Iterator<Item = Role> + '_ {
        Role::ALL.into_iter().filter(|role| self.holds(*role))
    }
}
