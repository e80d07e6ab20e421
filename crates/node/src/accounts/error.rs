//! Why something about an account was not done.

use hitmachine_service::console::chain;
use hitmachine_service::exit;

use super::PasswordRule;
use crate::failure::Failure;
use crate::state::StateError;

/// Why something about an account was not done. No text repeats what was typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// No such account or application, or it is blocked.
    #[error("no such account or application")]
    Unknown,
    /// There is one already.
    #[error("an account of this name exists")]
    Exists,
    /// Not a name that an account can have.
    #[error(
        "a user name has 1 to 64 letters, digits, and . _ - @; a name for people 1 to 100 characters; neither holds what \
         looks like a BSN"
    )]
    Name,
    /// A role that cannot be held, or a purpose that cannot be named.
    #[error("these roles or purposes cannot be given; name the covenant's role after the = sign")]
    Roles,
    /// Nobody would be left who can keep the accounts.
    #[error("this is the last administrator; make another one first")]
    LastAdministrator,
    /// The account signs in at an identity provider.
    #[error("this account signs in at the identity provider and has no password here")]
    External,
    /// Not a good password.
    #[error(transparent)]
    Rule(#[from] PasswordRule),
    /// Not a secret for codes.
    #[error("the secret for codes is 32 letters and digits in base32 (20 bytes)")]
    Secret,
    /// A password could not be hashed.
    #[error("a password could not be hashed")]
    Hash,
    /// The local state failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl AccountError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown => "no_such_account",
            Self::Exists => "account_exists",
            Self::Name => "account_name",
            Self::Roles => "account_roles",
            Self::LastAdministrator => "last_administrator",
            Self::External => "account_external",
            Self::Rule(rule) => rule.code(),
            Self::Secret => "account_secret",
            Self::Hash | Self::State(_) => "node",
        }
    }

    /// For people, in Dutch.
    pub fn text_nl(&self) -> &'static str {
        match self {
            Self::Unknown => "Dit account of deze toepassing is er niet.",
            Self::Exists => "Deze naam is al in gebruik.",
            Self::Name => {
                "Een gebruikersnaam heeft 1 tot 64 letters, cijfers en de tekens . _ - @. Een naam voor mensen heeft 1 tot \
                 100 tekens. Gebruik niets wat op een BSN lijkt."
            }
            Self::Roles => "Deze rollen of doelen kunnen niet. Kies een rol uit het convenant.",
            Self::LastAdministrator => "Dit is de laatste beheerder. Maak eerst iemand anders beheerder.",
            Self::External => {
                "Dit account logt in via de inlogdienst van de organisatie en heeft hier geen wachtwoord."
            }
            Self::Rule(rule) => rule.text_nl(),
            Self::Secret => "Het geheim voor codes heeft 32 letters en cijfers (base32, 20 bytes).",
            Self::Hash | Self::State(_) => "Dit station heeft een storing. Waarschuw uw beheerder.",
        }
    }

    /// For people, in English.
    pub fn text_en(&self) -> String {
        match self {
            Self::Rule(rule) => rule.text_en().to_owned(),
            Self::Hash | Self::State(_) => "This node has a fault. Tell your administrator.".to_owned(),
            other => {
                let text = other.to_string();
                let mut letters = text.chars();
                let first = letters.next().map(|letter| letter.to_ascii_uppercase());
                first.into_iter().chain(letters).chain(['.']).collect()
            }
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        let exit = match &error {
            AccountError::State(error) => return Self::node(&chain(error)),
            AccountError::Hash => return Self::node(&chain(&error)),
            AccountError::Name | AccountError::Roles | AccountError::Rule(_) | AccountError::Secret => {
                exit::USAGE
            }
            _ => exit::REFUSED,
        };
        Self::new(error.code(), exit, error.text_en(), error.text_nl())
    }
}
