//! What an administrator does to other people's accounts, at the pages or the command line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::{Kind, New};
use super::record::{Record, check_roles, kept_id};
use super::recovery::KeptCodes;
use super::totp::{SecondFactor, Secret};
use super::{AccountError, Accounts, InitialPassword, PasswordRule, Roles, User, password};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Name by which the person signs in; kept in small letters.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
}

/// An account as administrators see it: no secret.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// User name.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What the person may do.
    pub roles: Roles,
    /// May not sign in.
    pub blocked: bool,
    /// Signs in at an identity provider.
    pub external: bool,
    /// Has not yet chosen a password of their own.
    pub must_change: bool,
    /// Has set up an app that makes codes.
    pub second_factor: bool,
    /// Can sign in by password.
    pub has_password: bool,
    /// Recovery codes that were not used.
    pub recovery_codes: usize,
    /// When the account was made.
    pub created: Timestamp,
    /// When its owner signed in last.
    pub last_sign_in: Option<Timestamp>,
    /// Sessions that have not ended.
    pub sessions: usize,
}

impl UserView {
    fn new(record: Record, sessions: usize) -> Self {
        Self {
            blocked: record.blocked,
            external: record.external,
            must_change: record.must_change,
            second_factor: record.second.is_some(),
            has_password: record.password.is_some(),
            recovery_codes: record.recovery.left(),
            created: record.created,
            last_sign_in: record.last_sign_in,
            sessions,
            id: record.user.id,
            name: record.user.name,
            roles: record.user.roles,
        }
    }
}

impl Accounts {
    /// All accounts, by name.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn users(&self) -> Result<Vec<UserView>, AccountError> {
        let counts = self.session_counts()?;
        let records = self.records()?.into_iter();
        let view = |record: Record| {
            let sessions = counts.get(&record.user.id).copied().unwrap_or(0);
            UserView::new(record, sessions)
        };
        Ok(records.map(view).collect())
    }

    /// One account.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn view(&self, id: &str) -> Result<Option<UserView>, AccountError> {
        let Some(record) = self.record(id)? else {
            return Ok(None);
        };
        let sessions = self.sessions_of(id)?.len();
        Ok(Some(UserView::new(record, sessions)))
    }

    /// Makes an account with a random password, which its owner replaces at first sign-in. Takes some 40 ms of a processor.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::Name`], [`AccountError::Roles`], [`AccountError::State`].
    pub fn create(&self, new: &NewUser, by: &str) -> Result<InitialPassword, AccountError> {
        let user = User {
            id: kept_id(&new.id),
            name: new.name.trim().to_owned(),
            roles: new.roles.clone(),
        };
        let mut record = Record::new(user, self.clock.now())?;
        let initial = InitialPassword::random()?;
        record.password = Some(password::hash(initial.expose_text())?);
        record.must_change = true;
        self.insert(&record, Some(by))?;
        Ok(initial)
    }

    /// Gives other roles, and ends the person's sessions.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::Roles`], [`AccountError::LastAdministrator`], [`AccountError::State`].
    pub fn set_roles(&self, id: &str, roles: &Roles, by: &str) -> Result<(), AccountError> {
        check_roles(roles)?;
        self.change(
            id,
            |record| {
                if !roles.administers {
                    self.not_the_last(record)?;
                }
                record.user.roles.clone_from(roles);
                Ok(())
            },
            |before, _| {
                if before.user.roles == *roles {
                    return Ok(());
                }
                let detail = format!("{} → {roles}", before.user.roles);
                self.book.write(&New::of(Kind::Roles, id).by(by).with(&detail))?;
                self.end_all_now(id, None, Some(by))?;
                Ok(())
            },
        )?;
        Ok(())
    }

    /// Lets somebody sign in no more, and ends their sessions.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::LastAdministrator`], [`AccountError::State`].
    pub fn block(&self, id: &str, by: &str) -> Result<(), AccountError> {
        self.change(
            id,
            |record| {
                self.not_the_last(record)?;
                record.blocked = true;
                Ok(())
            },
            |_, _| {
                self.book.write(&New::of(Kind::Blocked, id).by(by))?;
                self.end_all_now(id, None, Some(by))?;
                Ok(())
            },
        )?;
        self.forget_waiting(id, None);
        Ok(())
    }

    /// Lets somebody sign in again, also if it was closed for a while after too many failures.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::State`].
    pub fn unblock(&self, id: &str, by: &str) -> Result<(), AccountError> {
        self.change(
            id,
            |record| {
                record.blocked = false;
                Ok(())
            },
            |_, _| self.book.write(&New::of(Kind::Unblocked, id).by(by)),
        )?;
        self.forgive_all(id)
    }

    /// A new random password and no second factor any more, for who has lost both; ends the person's sessions. Takes some
    /// 40 ms of a processor.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::External`], [`AccountError::State`].
    pub fn reset(&self, id: &str, by: &str) -> Result<InitialPassword, AccountError> {
        let initial = InitialPassword::random()?;
        let hash = password::hash(initial.expose_text())?;
        self.change(
            id,
            |record| {
                if record.external {
                    return Err(AccountError::External);
                }
                record.password = Some(hash);
                record.must_change = true;
                record.second = None;
                record.recovery = KeptCodes::default();
                Ok(())
            },
            |_, _| {
                self.book.write(&New::of(Kind::Reset, id).by(by))?;
                self.end_all_now(id, None, Some(by))?;
                Ok(())
            },
        )?;
        self.forget_waiting(id, None);
        self.forgive_all(id)?;
        Ok(initial)
    }

    /// Ends all sessions of somebody.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::State`].
    pub fn sign_out_everywhere(&self, id: &str, by: &str) -> Result<usize, AccountError> {
        let _one = self.one_at_a_time();
        self.record(id)?.ok_or(AccountError::Unknown)?;
        self.end_all_now(id, None, Some(by))
    }

    /// Removes an account; what it did stays in the book and in the hub's log.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::LastAdministrator`], [`AccountError::State`].
    pub fn remove(&self, id: &str, by: &str) -> Result<(), AccountError> {
        {
            let _one = self.one_at_a_time();
            let record = self.record(id)?.ok_or(AccountError::Unknown)?;
            self.not_the_last(&record)?;
            self.book.write(&New::of(Kind::Removed, id).by(by))?;
            self.end_all_now(id, None, Some(by))?;
            self.users.change(&[(id.as_bytes(), None)])?;
        }
        self.forget_waiting(id, None);
        self.forgive_all(id)
    }

    /// Gives an account a password and a secret for codes, so that nothing is left to do at the first sign-in: for a demo,
    /// tests, and who sets up many machines. Ends its sessions. Takes some 40 ms of a processor.
    ///
    /// # Errors
    /// [`AccountError::Rule`], [`AccountError::Secret`], [`AccountError::Unknown`], [`AccountError::External`],
    /// [`AccountError::State`].
    pub fn set_up(&self, id: &str, new: &str, totp_secret: &str) -> Result<(), AccountError> {
        PasswordRule::check(new, &[id, &self.partner])?;
        let second = SecondFactor::new(Secret::parse(totp_secret).ok_or(AccountError::Secret)?);
        let hash = password::hash(new)?;
        self.change(
            id,
            |record| {
                if record.external {
                    return Err(AccountError::External);
                }
                record.password = Some(hash);
                record.must_change = false;
                record.second = Some(second);
                record.recovery = KeptCodes::default();
                Ok(())
            },
            |_, _| {
                let entries =
                    [Kind::Password, Kind::SecondFactor].map(|kind| New::of(kind, id).with("files"));
                self.book.write_all(&entries)?;
                self.end_all_now(id, None, None)?;
                Ok(())
            },
        )?;
        self.forget_waiting(id, None);
        Ok(())
    }

    /// Somebody must be left who can keep the accounts.
    fn not_the_last(&self, record: &Record) -> Result<(), AccountError> {
        let others = self.records()?.into_iter();
        let mut others = others.filter(|other| other.user.id != record.user.id);
        if record.is_administrator() && !others.any(|other| other.is_administrator()) {
            return Err(AccountError::LastAdministrator);
        }
        Ok(())
    }
}
