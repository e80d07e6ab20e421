//! People whom an identity provider vouches for.

use super::book::{Kind, New};
use super::record::{Record, check_name, check_roles, kept_id};
use super::{AccountError, Accounts, Roles, SessionToken, User};

/// Who changed roles that came from an identity provider.
const PROVIDER: &str = "identity provider";

impl Accounts {
    /// Signs a person in whom the identity provider vouches for, with the roles that it gives them. The account is made or
    /// updated; it never has a password here.
    ///
    /// # Errors
    /// [`AccountError::Exists`] if an account of this name signs in here by password: that one may be somebody else.
    /// [`AccountError::Unknown`] if it is blocked, [`AccountError::Name`], [`AccountError::Roles`], [`AccountError::State`].
    pub fn external(&self, id: &str, name: &str, roles: &Roles) -> Result<SessionToken, AccountError> {
        let id = kept_id(id);
        check_name(name)?;
        check_roles(roles)?;
        match self.record(&id)? {
            None => {
                let user = User {
                    id: id.clone(),
                    name: name.trim().to_owned(),
                    roles: roles.clone(),
                };
                let record = Record {
                    external: true,
                    ..Record::new(user, self.clock.now())?
                };
                self.insert(&record, Some(PROVIDER))?;
            }
            Some(record) if !record.external => return Err(AccountError::Exists),
            Some(record) if record.blocked => {
                self.book.write(&New::of(Kind::Failure, &id).with("blocked"))?;
                return Err(AccountError::Unknown);
            }
            Some(record) if record.user.roles != *roles || record.user.name != name.trim() => {
                self.update(&id, name, roles)?;
            }
            Some(_) => {}
        }
        self.begin(&id, "provider")
    }

    fn update(&self, id: &str, name: &str, roles: &Roles) -> Result<(), AccountError> {
        self.change(
            id,
            |record| {
                name.trim().clone_into(&mut record.user.name);
                record.user.roles.clone_from(roles);
                Ok(())
            },
            |before, after| {
                if before.user.roles == after.user.roles {
                    return Ok(());
                }
                let detail = format!("{} → {}", before.user.roles, after.user.roles);
                self.book
                    .write(&New::of(Kind::Roles, id).by(PROVIDER).with(&detail))?;
                self.end_all_now(id, None, Some(PROVIDER))?;
                Ok(())
            },
        )?;
        Ok(())
    }

    /// Writes into the book that somebody came from the identity provider and was not let in; `reason` is a word of ours,
    /// nothing that came along. At most 60 an hour are written, the others are counted.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn provider_failed(&self, reason: &'static str) -> Result<(), AccountError> {
        self.book
            .write_of_stranger(Kind::Failure, &format!("provider;{reason}"))
    }
}
