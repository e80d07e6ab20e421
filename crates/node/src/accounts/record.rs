//! An account as it is kept.

use hitmachine_core::RoleCode;
use hitmachine_identifier::contains_bsn;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::book::{Kind, New};
use super::recovery::KeptCodes;
use super::totp::SecondFactor;
use super::{AccountError, Accounts, Roles, User};
use crate::state::StateError;

/// The most characters of a user name, as the hub's log takes it.
const LONGEST_ID: usize = 64;
const LONGEST_NAME: usize = 100;

/// An account with what proves who its owner is. It has no `Debug` and goes nowhere but into the sealed state.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) user: User,
    /// argon2id, as a PHC string; without one nobody signs in by password.
    #[serde(default)]
    pub(super) password: Option<String>,
    #[serde(default)]
    pub(super) second: Option<SecondFactor>,
    #[serde(default)]
    pub(super) recovery: KeptCodes,
    /// May not sign in.
    #[serde(default)]
    pub(super) blocked: bool,
    /// Signs in at an identity provider; never has a password here.
    #[serde(default)]
    pub(super) external: bool,
    /// The password was somebody else's making.
    #[serde(default)]
    pub(super) must_change: bool,
    #[serde(default)]
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) changed: Timestamp,
    #[serde(default)]
    pub(super) last_sign_in: Option<Timestamp>,
}

impl Record {
    /// A new account without a password.
    pub(super) fn new(user: User, now: Timestamp) -> Result<Self, AccountError> {
        check_id(&user.id)?;
        check_name(&user.name)?;
        check_roles(&user.roles)?;
        Ok(Self {
            user,
            password: None,
            second: None,
            recovery: KeptCodes::default(),
            blocked: false,
            external: false,
            must_change: false,
            created: now,
            changed: now,
            last_sign_in: None,
        })
    }

    /// Whether this one can keep the accounts.
    pub(super) fn is_administrator(&self) -> bool {
        self.user.roles.administers && !self.blocked
    }
}

/// A typed user name as it is kept: small letters, no space around it.
pub(super) fn kept_id(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Whether an account can have this user name, apart from capitals and space around it.
pub fn is_user_id(typed: &str) -> bool {
    check_id(&kept_id(typed)).is_ok()
}

pub(super) fn check_id(id: &str) -> Result<(), AccountError> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-@".contains(&byte);
    let fits = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(good);
    // A path would take these for "here" and "above", and the console has pages of these names beside accounts.
    let is_path = matches!(id, "." | ".." | "log" | "new");
    if !fits || is_path || contains_bsn(id) || id == super::book::UNKNOWN {
        return Err(AccountError::Name);
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), AccountError> {
    let length = name.trim().chars().count();
    if !(1..=LONGEST_NAME).contains(&length) || name.chars().any(char::is_control) || contains_bsn(name) {
        return Err(AccountError::Name);
    }
    Ok(())
}

pub(super) fn check_roles(roles: &Roles) -> Result<(), AccountError> {
    let codes = [&roles.asks_as, &roles.reviews_as].into_iter().flatten();
    let mut codes = codes.map(|code| code.parse::<RoleCode>());
    if codes.any(|code| code.is_err()) {
        return Err(AccountError::Roles);
    }
    Ok(())
}

impl Accounts {
    pub(super) fn record(&self, id: &str) -> Result<Option<Record>, AccountError> {
        let value = self.users.get(id.as_bytes())?;
        value
            .map(|value| serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen.into()))
            .transpose()
    }

    pub(super) fn records(&self) -> Result<Vec<Record>, AccountError> {
        let pairs = self.users.scan(b"")?;
        let records = pairs.iter().map(|(_, value)| serde_json::from_slice(value));
        let records: Result<_, _> = records.collect();
        Ok(records.map_err(|_| StateError::DoesNotOpen)?)
    }

    pub(super) fn put(&self, record: &Record) -> Result<(), AccountError> {
        let value = serde_json::to_vec(record).map_err(|_| StateError::DoesNotOpen)?;
        let mut changes = [(record.user.id.as_bytes(), Some(value))];
        let done = self.users.change(&changes);
        // Secrets were in it.
        changes[0].1.zeroize();
        Ok(done?)
    }

    /// A new account; who made it goes into the book.
    pub(super) fn insert(&self, record: &Record, by: Option<&str>) -> Result<(), AccountError> {
        let _one = self.one_at_a_time();
        if self.users.get(record.user.id.as_bytes())?.is_some() {
            return Err(AccountError::Exists);
        }
        let roles = record.user.roles.to_string();
        let new = New::of(Kind::Created, &record.user.id).with(&roles);
        self.book.write(&New { by, ..new })?;
        self.put(record)
    }

    /// Changes an account, after the book says so.
    pub(super) fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Record) -> Result<(), AccountError>,
        entry: impl FnOnce(&Record, &Record) -> Result<(), AccountError>,
    ) -> Result<Record, AccountError> {
        let _one = self.one_at_a_time();
        let before = self.record(id)?.ok_or(AccountError::Unknown)?;
        let mut after = before.clone();
        change(&mut after)?;
        after.changed = self.clock.now();
        entry(&before, &after)?;
        self.put(&after)?;
        Ok(after)
    }
}

// The hub's log takes what an account may be called.
const _: () = assert!(LONGEST_ID <= hitmachine_core::UserId::MOST);
