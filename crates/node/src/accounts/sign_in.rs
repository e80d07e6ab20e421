//! Signing in, step by step: a password, perhaps a new one, and a code. Between the steps a token stands for who got so far.
//!
//! An attempt is counted before it is looked at and forgiven when it was right, so that many at the same time get no more
//! than many after each other. Names that are no account's take the same steps with the same answers in the same time.

use std::fmt;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::book::{Kind, New};
use super::record::{Record, kept_id};
use super::totp::{self, Enrolment, SecondFactor, Secret};
use super::{AccountError, Accounts, Lock, PasswordRule, RecoveryCodes, SessionToken, password};
use crate::state::StateError;

/// A sign-in must be finished in this time.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Sign-ins of one account that may be half-way at the same time; the oldest goes.
const MOST_WAITING: usize = 8;
/// Names that are no account's of which failures are remembered; the one that is free first goes.
const MOST_STRANGERS: usize = 4_096;
/// What the app on a telephone shows above its codes.
const ISSUER: &str = "Hitmachine";

/// What comes after a right password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A code of the app, or a recovery code.
    Code,
    /// Setting up the app that makes the codes.
    Enrol,
    /// A password of one's own.
    NewPassword,
}

/// Stands for a sign-in that is half-way.
pub struct PendingToken(SessionToken);

impl fmt::Debug for PendingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingToken(..)")
    }
}

impl PendingToken {
    /// As it stands in a cookie.
    pub fn expose_text(&self) -> String {
        self.0.expose_text()
    }

    /// From a cookie.
    pub fn parse(text: &str) -> Option<Self> {
        SessionToken::parse(text).map(Self)
    }
}

/// A sign-in that is half-way.
#[derive(Debug)]
pub struct Pending {
    /// User name.
    pub user: String,
    /// Name for people.
    pub name: String,
    /// What must be done now.
    pub next: Next,
    /// For [`Next::Enrol`].
    pub enrolment: Option<Enrolment>,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// Name, password or code is wrong; which of them is not said.
    #[error("name, password or code is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many failures; closed until {until}")]
    Locked {
        /// From when on attempts are looked at again.
        until: Timestamp,
    },
    /// The sign-in took too long, or this is not its next step: it begins anew.
    #[error("this sign-in is over")]
    Over,
    /// The new password is not good enough.
    #[error(transparent)]
    Rule(#[from] PasswordRule),
    /// Something else.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<StateError> for SignInError {
    fn from(error: StateError) -> Self {
        Self::Account(error.into())
    }
}

/// How far a sign-in is.
pub(super) struct Waiting {
    user: String,
    next: Next,
    begun: Timestamp,
    /// For [`Next::Enrol`].
    secret: Option<Secret>,
    /// Somebody who has a second factor already makes another.
    anew: bool,
}

/// Which failures are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Password,
    Code,
}

impl Step {
    fn key(self, user: &str) -> Vec<u8> {
        let step: &[u8] = match self {
            Self::Password => b"password/",
            Self::Code => b"code/",
        };
        [step, user.as_bytes()].concat()
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Password => "wrong_password",
            Self::Code => "wrong_code",
        }
    }
}

impl Accounts {
    /// The first step: user name and password. Takes some 40 ms of a processor.
    ///
    /// # Errors
    /// [`SignInError::Wrong`] whatever is wrong, [`SignInError::Locked`], [`SignInError::Account`].
    pub fn password(&self, user: &str, password: &str) -> Result<(PendingToken, Next), SignInError> {
        let id = kept_id(user);
        let nobodys = password::nobodys()?;
        let Some(record) = self.record(&id)? else {
            self.count_stranger(&id)?;
            password::is(password, nobodys)?;
            self.book.write_of_stranger(Kind::Failure, "unknown_user")?;
            return Err(self.stranger_closed(&id));
        };
        let hash = record.password.as_deref().unwrap_or(nobodys);
        self.count(Step::Password, &id)?;
        let right = password::is(password, hash)?;
        // Meanwhile it may have been changed or blocked.
        let now = self.record(&id)?.filter(|now| now.password == record.password);
        let reason = match now.as_ref().unwrap_or(&record) {
            _ if now.is_none() => Step::Password.reason(),
            Record { password: None, .. } => "no_password",
            Record { blocked: true, .. } if right => "blocked",
            record if right => {
                self.forgive(Step::Password, &id)?;
                if !password::is_of_today(hash) {
                    self.hash_anew(&id, hash, password)?;
                }
                let next = next(record);
                return Ok((self.wait(record, next, false)?, next));
            }
            _ => Step::Password.reason(),
        };
        Err(self.failed(Step::Password, &id, reason)?)
    }

    /// How far a sign-in is; `None` if it is over.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn pending(&self, token: &PendingToken) -> Result<Option<Pending>, AccountError> {
        let Some((user, next, enrolment)) = self.waiting(token, |waiting| {
            let secret = waiting.secret.as_ref();
            let enrolment = secret.map(|secret| secret.enrolment(&self.issuer(), &waiting.user));
            (waiting.user.clone(), waiting.next, enrolment)
        }) else {
            return Ok(None);
        };
        let record = self.record(&user)?.filter(|record| !record.blocked);
        Ok(record.map(|record| Pending {
            name: record.user.name,
            user,
            next,
            enrolment,
        }))
    }

    /// Sets the first password of one's own. Takes some 80 ms of a processor.
    ///
    /// # Errors
    /// [`SignInError::Over`], [`SignInError::Rule`], [`SignInError::Account`].
    pub fn new_password(&self, token: &PendingToken, new: &str) -> Result<Next, SignInError> {
        let user = self.at(token, Next::NewPassword)?;
        let hash = self.good_password(&user, new)?;
        let changed = self.change(
            &user,
            |record| {
                if record.blocked || !record.must_change {
                    return Err(AccountError::Unknown);
                }
                record.password = Some(hash);
                record.must_change = false;
                Ok(())
            },
            |_, _| self.book.write(&New::of(Kind::Password, &user)),
        );
        let next = match changed {
            Err(AccountError::Unknown) => return Err(SignInError::Over),
            changed => next(&changed?),
        };
        self.forget_waiting(&user, Some(token));
        let secret = (next == Next::Enrol).then(Secret::random).transpose()?;
        let moved = self.waiting_mut(token, |waiting| {
            waiting.next = next;
            waiting.secret = secret;
        });
        moved.map(|()| next).ok_or(SignInError::Over)
    }

    /// Takes the first code of a new second factor, and signs in.
    ///
    /// # Errors
    /// [`SignInError::Over`], [`SignInError::Wrong`], [`SignInError::Account`].
    pub fn enrol(
        &self,
        token: &PendingToken,
        code: &str,
    ) -> Result<(SessionToken, RecoveryCodes), SignInError> {
        let user = self.at(token, Next::Enrol)?;
        let found = self.waiting(token, |waiting| (waiting.secret.clone(), waiting.anew));
        let Some((Some(secret), anew)) = found else {
            return Err(SignInError::Over);
        };
        let mut second = SecondFactor::new(secret);
        let code = totp::digits(code).ok_or(SignInError::Wrong)?;
        if !second.take(&code, self.clock.now()) {
            return Err(SignInError::Wrong);
        }
        let codes = RecoveryCodes::random()?;
        let kept = codes.kept();
        let changed = self.change(
            &user,
            |record| {
                if record.blocked || (record.second.is_some() && !anew) {
                    return Err(AccountError::Unknown);
                }
                record.second = Some(second);
                record.recovery = kept;
                Ok(())
            },
            |_, _| {
                self.book.write(&New::of(Kind::SecondFactor, &user))?;
                self.end_all_now(&user, None, None)?;
                Ok(())
            },
        );
        match changed {
            Err(AccountError::Unknown) => return Err(SignInError::Over),
            changed => changed?,
        };
        self.forget_waiting(&user, None);
        Ok((self.begin(&user, if anew { "code" } else { "enrolled" })?, codes))
    }

    /// Takes a code of the app, or a recovery code, and signs in.
    ///
    /// # Errors
    /// [`SignInError::Over`], [`SignInError::Wrong`], [`SignInError::Locked`], [`SignInError::Account`].
    pub fn code(&self, token: &PendingToken, code: &str) -> Result<SessionToken, SignInError> {
        let user = self.at(token, Next::Code)?;
        self.count(Step::Code, &user)?;
        let digits = totp::digits(code);
        let taken = self.one_change_of(&user, |record| match (&digits, &mut record.second) {
            (Some(digits), Some(second)) => second.take(digits, self.clock.now()),
            _ => record.recovery.take(code),
        })?;
        if !taken {
            return Err(self.failed(Step::Code, &user, Step::Code.reason())?);
        }
        self.forgive(Step::Code, &user)?;
        self.drop_waiting(token);
        Ok(self.begin(&user, if digits.is_some() { "code" } else { "recovery_code" })?)
    }

    /// Changes an account if `change` says so, without an entry of its own.
    fn one_change_of(
        &self,
        user: &str,
        change: impl FnOnce(&mut Record) -> bool,
    ) -> Result<bool, SignInError> {
        let _one = self.one_at_a_time();
        let record = self.record(user)?.filter(|record| !record.blocked);
        let mut record = record.ok_or(SignInError::Over)?;
        let changed = change(&mut record);
        if changed {
            self.put(&record)?;
        }
        Ok(changed)
    }

    /// Keeps a password under the costs of today.
    fn hash_anew(&self, user: &str, old: &str, password: &str) -> Result<(), SignInError> {
        let hash = password::hash(password)?;
        self.one_change_of(user, |record| {
            let same = record.password.as_deref() == Some(old);
            if same {
                record.password = Some(hash);
            }
            same
        })?;
        Ok(())
    }

    /// Whether somebody may have this new password; then its hash.
    pub(super) fn good_password(&self, user: &str, new: &str) -> Result<String, SignInError> {
        let record = self.record(user)?.ok_or(SignInError::Over)?;
        PasswordRule::check(new, &[user, &self.partner, ISSUER])?;
        if let Some(old) = &record.password
            && password::is(new, old)?
        {
            return Err(PasswordRule::Same.into());
        }
        Ok(password::hash(new)?)
    }

    /// A password that must be right before something is changed.
    pub(super) fn prove(&self, user: &str, password: &str) -> Result<Record, SignInError> {
        let record = self.record(user)?.filter(|record| !record.blocked);
        let record = record.ok_or(AccountError::Unknown)?;
        let hash = record.password.as_deref().ok_or(AccountError::External)?;
        self.count(Step::Password, user)?;
        if !password::is(password, hash)? {
            return Err(self.failed(Step::Password, user, Step::Password.reason())?);
        }
        self.forgive(Step::Password, user)?;
        Ok(record)
    }

    fn issuer(&self) -> String {
        format!("{ISSUER} {}", self.partner)
    }
}

/// Failures.
impl Accounts {
    /// Counts an attempt as a failure until it is forgiven; refuses it while the account is closed.
    fn count(&self, step: Step, user: &str) -> Result<(), SignInError> {
        let _one = self.one_at_a_time();
        let key = step.key(user);
        let now = self.clock.now();
        let lock = self.lock_of(&key)?;
        if let Some(until) = lock.closed_at(now) {
            return Err(SignInError::Locked { until });
        }
        let value = serde_json::to_vec(&lock.failed(now)).map_err(|_| StateError::DoesNotOpen)?;
        Ok(self.locks.change(&[(key, Some(value))])?)
    }

    fn lock_of(&self, key: &[u8]) -> Result<Lock, SignInError> {
        let value = self.locks.get(key)?;
        let lock = value.map(|value| serde_json::from_slice(&value)).transpose();
        Ok(lock.map_err(|_| StateError::DoesNotOpen)?.unwrap_or_default())
    }

    fn forgive(&self, step: Step, user: &str) -> Result<(), SignInError> {
        Ok(self.locks.change(&[(step.key(user), None)])?)
    }

    /// Forgives all failures of an account.
    pub(super) fn forgive_all(&self, user: &str) -> Result<(), AccountError> {
        let keys = [Step::Password, Step::Code].map(|step| (step.key(user), None));
        Ok(self.locks.change(&keys)?)
    }

    /// Writes a failure into the book, and says until when the account is closed by it.
    fn failed(&self, step: Step, user: &str, reason: &str) -> Result<SignInError, SignInError> {
        let failure = New::of(Kind::Failure, user).with(reason);
        let Some(until) = self.lock_of(&step.key(user))?.closed_at(self.clock.now()) else {
            self.book.write(&failure)?;
            return Ok(SignInError::Wrong);
        };
        self.book
            .write_all(&[failure, New::of(Kind::Lock, user).with(reason)])?;
        Ok(SignInError::Locked { until })
    }

    /// As [`count`](Self::count), for a name that is no account's.
    fn count_stranger(&self, name: &str) -> Result<(), SignInError> {
        let now = self.clock.now();
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = stranger(name);
        let lock = strangers.get(&key).copied().unwrap_or_default();
        if let Some(until) = lock.closed_at(now) {
            return Err(SignInError::Locked { until });
        }
        if strangers.len() >= MOST_STRANGERS && !strangers.contains_key(&key) {
            let free_first = strangers.iter().min_by_key(|(_, lock)| lock.closed_at(now));
            if let Some(free_first) = free_first.map(|(key, _)| *key) {
                strangers.remove(&free_first);
            }
        }
        strangers.insert(key, lock.failed(now));
        drop(strangers);
        // An account's failure costs a write; this one too, always the same.
        Ok(self.locks.change(&[(b"stranger", Some(Vec::new()))])?)
    }

    fn stranger_closed(&self, name: &str) -> SignInError {
        let strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = strangers.get(&stranger(name)).copied().unwrap_or_default();
        let until = lock.closed_at(self.clock.now());
        until.map_or(SignInError::Wrong, |until| SignInError::Locked { until })
    }
}

/// Names are not kept, not even in memory.
fn stranger(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// Sign-ins that are half-way.
impl Accounts {
    /// Begins one.
    pub(super) fn wait(&self, record: &Record, next: Next, anew: bool) -> Result<PendingToken, SignInError> {
        let token = PendingToken(SessionToken::random()?);
        let now = self.clock.now();
        let new = Waiting {
            user: record.user.id.clone(),
            next,
            begun: now,
            secret: (next == Next::Enrol).then(Secret::random).transpose()?,
            anew,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, each| !each.is_over(now));
        let own = waiting.iter().filter(|(_, each)| each.user == new.user);
        let mut own: Vec<_> = own.map(|(key, each)| (each.begun, *key)).collect();
        own.sort_unstable();
        for (_, key) in own.iter().rev().skip(MOST_WAITING - 1) {
            waiting.remove(key);
        }
        waiting.insert(token.0.key(), new);
        Ok(token)
    }

    fn waiting<T>(&self, token: &PendingToken, of: impl FnOnce(&Waiting) -> T) -> Option<T> {
        self.waiting_mut(token, |waiting| of(waiting))
    }

    fn waiting_mut<T>(&self, token: &PendingToken, of: impl FnOnce(&mut Waiting) -> T) -> Option<T> {
        let now = self.clock.now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let found = waiting.get_mut(&token.0.key())?;
        (!found.is_over(now)).then(|| of(found))
    }

    /// Who is at this step.
    fn at(&self, token: &PendingToken, next: Next) -> Result<String, SignInError> {
        let user = self.waiting(token, |waiting| {
            (waiting.next == next).then(|| waiting.user.clone())
        });
        user.flatten().ok_or(SignInError::Over)
    }

    fn drop_waiting(&self, token: &PendingToken) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.remove(&token.0.key());
    }

    /// Ends what is half-way of an account, but for one.
    pub(super) fn forget_waiting(&self, user: &str, except: Option<&PendingToken>) {
        let except = except.map(|token| token.0.key());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|key, each| each.user != user || Some(*key) == except);
    }
}

impl Waiting {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.begun) > PATIENCE
    }
}

/// What somebody with a right password must do.
fn next(record: &Record) -> Next {
    if record.must_change {
        Next::NewPassword
    } else if record.second.is_none() {
        Next::Enrol
    } else {
        Next::Code
    }
}
