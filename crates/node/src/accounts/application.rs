//! Applications that use the local API: what an application's token stands for.
//!
//! # Layout (table `applications`)
//!
//! | key | value |
//! |---|---|
//! | `id/` ‖ id | the application as JSON, with the hash of its token |
//! | `token/` ‖ SHA-256 of the token | its id |

use std::fmt;

use hitmachine_core::PurposeCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::book::{Kind, New};
use super::record::{check_name, check_roles};
use super::{AccountError, Accounts, Roles};
use crate::state::StateError;

/// How a token begins, so that it is found where it should not be.
const PREFIX: &str = "hm_";
/// How exact the time of last use is: a call does not cost a write each time.
const EXACT: SignedDuration = SignedDuration::from_mins(1);
/// With `app:` before it, it is a user name that the hub's log takes.
const LONGEST_ID: usize = 40;

/// An application that may use the local API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Short name.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// The purposes it may ask for, by short name; all that the covenant grants if absent.
    pub purposes: Option<Vec<String>>,
    /// When its token was made.
    pub created: Timestamp,
    /// When it was used last, to a minute.
    pub last_used: Option<Timestamp>,
    /// When its token ends; never by itself if absent.
    pub expires: Option<Timestamp>,
}

impl Application {
    /// Its user name in the hub's log. No person's account can have it: those have no colon.
    pub fn user(&self) -> String {
        user_of(&self.id)
    }
}

fn user_of(id: &str) -> String {
    format!("app:{id}")
}

/// An application to be added.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApplication {
    /// Short name: 1 to 40 small letters, digits and hyphens.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// The purposes it may ask for; all that the covenant grants if absent.
    pub purposes: Option<Vec<String>>,
    /// When its token ends.
    pub expires: Option<Timestamp>,
}

/// A token, to be shown once.
pub struct ApplicationToken(Zeroizing<String>);

impl ApplicationToken {
    /// As it goes into the `Authorization` header.
    pub fn expose_text(&self) -> &str {
        &self.0
    }

    fn random() -> Result<Self, StateError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|_| StateError::Random)?;
        let digits = Zeroizing::new(hex::encode(bytes.as_ref()));
        Ok(Self(Zeroizing::new(format!("{PREFIX}{}", *digits))))
    }
}

impl fmt::Debug for ApplicationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApplicationToken(..)")
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    application: Application,
    token: [u8; 32],
}

fn id_key(id: &str) -> Vec<u8> {
    [b"id/", id.as_bytes()].concat()
}

fn token_key(hash: [u8; 32]) -> Vec<u8> {
    [b"token/".as_slice(), &hash].concat()
}

impl Accounts {
    /// Adds an application; its token is shown once.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::Name`], [`AccountError::Roles`] (also for a purpose that is no short name, a
    /// role of nothing, and an end in the past), [`AccountError::State`].
    pub fn create_application(
        &self,
        new: NewApplication,
        by: &str,
    ) -> Result<ApplicationToken, AccountError> {
        let now = self.clock.now();
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=LONGEST_ID).contains(&new.id.len()) && new.id.bytes().all(good);
        if !fits || hitmachine_identifier::contains_bsn(&new.id) {
            return Err(AccountError::Name);
        }
        check_name(&new.name)?;
        check_roles(&new.roles)?;
        let mut purposes = new
            .purposes
            .iter()
            .flatten()
            .map(|purpose| purpose.parse::<PurposeCode>());
        let ended = new.expires.is_some_and(|end| end <= now);
        if new.roles == Roles::default() || ended || purposes.any(|purpose| purpose.is_err()) {
            return Err(AccountError::Roles);
        }
        let _one = self.one_at_a_time();
        if self.applications.get(&id_key(&new.id))?.is_some() {
            return Err(AccountError::Exists);
        }
        let token = ApplicationToken::random()?;
        let kept = Kept {
            application: Application {
                id: new.id,
                name: new.name.trim().to_owned(),
                roles: new.roles,
                purposes: new.purposes,
                created: now,
                last_used: None,
                expires: new.expires,
            },
            token: Sha256::digest(token.expose_text()).into(),
        };
        let application = &kept.application;
        let purposes = application.purposes.as_ref();
        let purposes = purposes.map_or_else(String::new, |purposes| format!(";{}", purposes.join(", ")));
        let detail = format!("{}{purposes}", application.roles);
        let user = application.user();
        self.book
            .write(&New::of(Kind::ApplicationCreated, &user).by(by).with(&detail))?;
        let id = application.id.clone().into_bytes();
        self.applications.change(&[
            (id_key(&application.id), Some(text(&kept)?)),
            (token_key(kept.token), Some(id)),
        ])?;
        Ok(token)
    }

    /// The application of a token; none if there is no such token, it was revoked or it has ended. A refused token is in the
    /// book, at most 60 an hour.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn application(&self, token: &str) -> Result<Option<Application>, AccountError> {
        let now = self.clock.now();
        let found = self.kept_of(token)?;
        let Some(mut kept) = found.filter(|kept| kept.application.expires.is_none_or(|end| now < end)) else {
            self.book.write_of_stranger(Kind::Failure, "token")?;
            return Ok(None);
        };
        let last = kept.application.last_used;
        if last.is_none_or(|last| now.duration_since(last) > EXACT) {
            // Not while it is being revoked: it must not come back.
            let _one = self.one_at_a_time();
            if self.kept_of(token)?.is_none() {
                return Ok(None);
            }
            kept.application.last_used = Some(now);
            let key = id_key(&kept.application.id);
            self.applications.change(&[(key, Some(text(&kept)?))])?;
        }
        Ok(Some(kept.application))
    }

    fn kept_of(&self, token: &str) -> Result<Option<Kept>, AccountError> {
        if !token.starts_with(PREFIX) || token.len() != PREFIX.len() + 64 {
            return Ok(None);
        }
        // Found by its hash: how long that takes says nothing about the token.
        let Some(id) = self.applications.get(&token_key(Sha256::digest(token).into()))? else {
            return Ok(None);
        };
        let value = self.applications.get(&[b"id/", id.as_slice()].concat())?;
        let kept = value.map(|value| serde_json::from_slice(&value)).transpose();
        Ok(kept.map_err(|_| StateError::DoesNotOpen)?)
    }

    /// All applications, by short name.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn applications(&self) -> Result<Vec<Application>, AccountError> {
        let pairs = self.applications.scan(b"id/")?;
        let read = |value: &[u8]| serde_json::from_slice::<Kept>(value).map(|kept| kept.application);
        let all: Result<_, _> = pairs.iter().map(|(_, value)| read(value)).collect();
        Ok(all.map_err(|_| StateError::DoesNotOpen)?)
    }

    /// Removes an application; its token is worth nothing any more.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::State`].
    pub fn revoke_application(&self, id: &str, by: &str) -> Result<(), AccountError> {
        let _one = self.one_at_a_time();
        let value = self.applications.get(&id_key(id))?.ok_or(AccountError::Unknown)?;
        let kept: Kept = serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen)?;
        self.book
            .write(&New::of(Kind::ApplicationRevoked, &user_of(id)).by(by))?;
        Ok(self
            .applications
            .change(&[(id_key(id), None), (token_key(kept.token), None)])?)
    }
}

fn text(kept: &Kept) -> Result<Vec<u8>, AccountError> {
    Ok(serde_json::to_vec(kept).map_err(|_| StateError::DoesNotOpen)?)
}
