//! What a person does to their own account.

use super::book::{Kind, New};
use super::sign_in::SignInError;
use super::{AccountError, Accounts, Next, PendingToken, RecoveryCodes, SessionToken};

impl Accounts {
    /// Another password; ends the person's other sessions. Takes some 120 ms of a processor.
    ///
    /// # Errors
    /// [`SignInError::Wrong`] or [`SignInError::Locked`] for the old one, [`SignInError::Rule`] for the new one,
    /// [`AccountError::External`].
    pub fn change_password(
        &self,
        user: &str,
        old: &str,
        new: &str,
        keep: Option<&SessionToken>,
    ) -> Result<(), SignInError> {
        self.prove(user, old)?;
        let hash = self.good_password(user, new)?;
        self.change(
            user,
            |record| {
                record.password = Some(hash);
                record.must_change = false;
                Ok(())
            },
            |_, _| {
                self.book.write(&New::of(Kind::Password, user))?;
                self.end_all_now(user, keep, None)?;
                Ok(())
            },
        )?;
        self.forget_waiting(user, None);
        Ok(())
    }

    /// Ten new recovery codes; the old ones are worth nothing any more. Takes some 40 ms of a processor.
    ///
    /// # Errors
    /// [`SignInError::Wrong`] or [`SignInError::Locked`] for the password, [`AccountError::External`].
    pub fn new_recovery_codes(&self, user: &str, password: &str) -> Result<RecoveryCodes, SignInError> {
        self.prove(user, password)?;
        let codes = RecoveryCodes::random()?;
        let kept = codes.kept();
        self.change(
            user,
            |record| {
                record.recovery = kept;
                Ok(())
            },
            |_, _| self.book.write(&New::of(Kind::RecoveryCodes, user)),
        )?;
        Ok(codes)
    }

    /// Begins to set up another second factor: `pending` shows its secret, `enrol` takes its first code, ends all sessions
    /// and begins a new one. Until then the old one stays. Takes some 40 ms of a processor.
    ///
    /// # Errors
    /// [`SignInError::Wrong`] or [`SignInError::Locked`] for the password, [`AccountError::External`].
    pub fn second_factor_anew(&self, user: &str, password: &str) -> Result<PendingToken, SignInError> {
        let record = self.prove(user, password)?;
        self.wait(&record, Next::Enrol, true)
    }

    /// How many recovery codes were not used.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], [`AccountError::State`].
    pub fn recovery_codes_left(&self, user: &str) -> Result<usize, AccountError> {
        let record = self.record(user)?.ok_or(AccountError::Unknown)?;
        Ok(record.recovery.left())
    }
}
