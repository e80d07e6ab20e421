//! What a person may do at the console.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::AccountError;

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

impl fmt::Display for Roles {
    /// `vrager=informatiecoordinator, beheerder`, or `-` for none; as [`Roles::of_words`] reads each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        for role in self.held() {
            let code = match role {
                Role::Asker => self.asks_as.as_deref(),
                Role::Officer => self.reviews_as.as_deref(),
                Role::Administrator => None,
            };
            words.push(code.map_or_else(
                || role.word().to_owned(),
                |code| format!("{}={code}", role.word()),
            ));
        }
        f.write_str(if words.is_empty() { "-" } else { "" })?;
        f.write_str(&words.join(", "))
    }
}

impl Roles {
    /// Of words such as `vrager=informatiecoordinator`, `privacyfunctionaris` and `beheerder`. Who asks names the role in
    /// the covenant; for a privacy officer it is `privacyfunctionaris` unless named.
    ///
    /// # Errors
    /// [`AccountError::Roles`] for a word that is none, or one that comes twice.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, AccountError> {
        let mut roles = Self::default();
        for word in words {
            let (word, code) = match word.split_once('=') {
                Some((word, code)) => (word.trim(), Some(code.trim())),
                None => (word.trim(), None),
            };
            let role = Role::of(word).ok_or(AccountError::Roles)?;
            if roles.holds(role) {
                return Err(AccountError::Roles);
            }
            match (role, code) {
                (Role::Asker, Some(code)) => roles.asks_as = Some(code.to_owned()),
                (Role::Officer, code) => roles.reviews_as = Some(code.unwrap_or(role.word()).to_owned()),
                (Role::Administrator, None) => roles.administers = true,
                (Role::Asker, None) | (Role::Administrator, Some(_)) => return Err(AccountError::Roles),
            }
        }
        super::record::check_roles(&roles)?;
        Ok(roles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_as_they_are_written() {
        let words = ["vrager=informatiecoordinator", "privacyfunctionaris", "beheerder"];
        let roles = Roles::of_words(words).unwrap();
        assert_eq!(
            roles.to_string(),
            "vrager=informatiecoordinator, privacyfunctionaris=privacyfunctionaris, beheerder"
        );
        let text = roles.to_string();
        assert_eq!(Roles::of_words(text.split(", ")).unwrap(), roles);
        assert_eq!(Roles::default().to_string(), "-");
        for wrong in [
            &["vrager"][..],
            &["vrager="],
            &["vrager=Met Spatie"],
            &["beheerder=iets"],
            &["baas"],
            &[""],
            &["beheerder", "beheerder"],
        ] {
            assert!(Roles::of_words(wrong.iter().copied()).is_err(), "{wrong:?}");
        }
    }
}
