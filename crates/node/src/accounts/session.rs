//! Sessions: what a cookie stands for. The cookie holds random bytes, the state their hash; a session ends by itself when
//! it was idle or has lasted too long, and at once when it is ended.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::ZeroizeOnDrop;

use super::book::{Kind, New};
use super::{AccountError, Accounts, User};
use crate::state::StateError;

/// How exact the time of last use is: a page does not cost a write each time.
const EXACT: SignedDuration = SignedDuration::from_secs(30);

/// The secret that a cookie holds.
#[derive(ZeroizeOnDrop)]
pub struct SessionToken([u8; 32]);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(..)")
    }
}

impl SessionToken {
    pub(super) fn random() -> Result<Self, StateError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| StateError::Random)?;
        Ok(Self(bytes))
    }

    /// As it stands in a cookie.
    pub fn expose_text(&self) -> String {
        hex::encode(self.0)
    }

    /// From a cookie.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Its key in the state.
    pub(super) fn key(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who.
    pub user: User,
    /// What each form of this session carries.
    pub csrf: String,
    /// When it was begun.
    pub begun: Timestamp,
}

/// A session in a list. Its cookie does not follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Name in lists.
    pub id: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it was last used, to half a minute.
    pub used: Timestamp,
}

impl SessionView {
    /// Whether this is the session of a token.
    pub fn is(&self, token: &SessionToken) -> bool {
        self.id == name(&token.key())
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    user: String,
    csrf: String,
    begun: Timestamp,
    used: Timestamp,
}

impl Accounts {
    /// Begins a session for a person whose identity was proven elsewhere than at the form.
    ///
    /// # Errors
    /// [`AccountError::Unknown`] also for a blocked account, [`AccountError::State`].
    pub fn begin_session(&self, user: &str) -> Result<SessionToken, AccountError> {
        self.begin(user, "session")
    }

    /// Begins a session; `how` goes into the book. Its token is new: none that somebody brought along becomes a session.
    pub(super) fn begin(&self, user: &str, how: &str) -> Result<SessionToken, AccountError> {
        let _one = self.one_at_a_time();
        let record = self.record(user)?.filter(|record| !record.blocked);
        let mut record = record.ok_or(AccountError::Unknown)?;
        let now = self.clock.now();
        self.sweep()?;
        self.book.write(&New::of(Kind::SignIn, user).with(how))?;
        record.last_sign_in = Some(now);
        self.put(&record)?;
        let token = SessionToken::random()?;
        let kept = Kept {
            user: user.to_owned(),
            csrf: SessionToken::random()?.expose_text(),
            begun: now,
            used: now,
        };
        self.keep(&token, &kept)?;
        Ok(token)
    }

    /// The session that a cookie stands for, if it has not ended; it counts as used now.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn session(&self, token: &SessionToken) -> Result<Option<Session>, AccountError> {
        let Some(value) = self.sessions.get(&token.key())? else {
            return Ok(None);
        };
        let mut kept = read(&value)?;
        let record = self.record(&kept.user)?;
        let Some(record) = record.filter(|record| !record.blocked && !self.is_over(&kept)) else {
            self.sessions.change(&[(token.key(), None)])?;
            return Ok(None);
        };
        let now = self.clock.now();
        if now.duration_since(kept.used) > EXACT {
            // Not while sessions are being ended: this one must not come back.
            let _one = self.one_at_a_time();
            if self.sessions.get(&token.key())?.is_none() {
                return Ok(None);
            }
            kept.used = now;
            self.keep(token, &kept)?;
        }
        Ok(Some(Session {
            user: record.user,
            csrf: kept.csrf,
            begun: kept.begun,
        }))
    }

    /// Ends a session, as somebody does who signs out; its cookie is worth nothing any more.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn end_session(&self, token: &SessionToken) -> Result<(), AccountError> {
        let _one = self.one_at_a_time();
        let Some(value) = self.sessions.get(&token.key())? else {
            return Ok(());
        };
        self.book.write(&New::of(Kind::SignOut, &read(&value)?.user))?;
        Ok(self.sessions.change(&[(token.key(), None)])?)
    }

    /// The sessions of an account, the newest first.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn sessions_of(&self, user: &str) -> Result<Vec<SessionView>, AccountError> {
        let mut views = Vec::new();
        for (key, value) in self.sessions.scan(b"")? {
            let kept = read(&value)?;
            if kept.user == user && !self.is_over(&kept) {
                views.push(SessionView {
                    id: name(&key),
                    begun: kept.begun,
                    used: kept.used,
                });
            }
        }
        views.sort_by_key(|view| std::cmp::Reverse(view.begun));
        Ok(views)
    }

    /// Ends all sessions of an account but one; how many there were.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn end_all(&self, user: &str, except: Option<&SessionToken>) -> Result<usize, AccountError> {
        let _one = self.one_at_a_time();
        self.end_all_now(user, except, None)
    }

    /// The same while this change is the only one.
    pub(super) fn end_all_now(
        &self,
        user: &str,
        except: Option<&SessionToken>,
        by: Option<&str>,
    ) -> Result<usize, AccountError> {
        let except = except.map(SessionToken::key);
        let mut ended = Vec::new();
        for (key, value) in self.sessions.scan(b"")? {
            let stays = except.is_some_and(|except| except == *key);
            if !stays && read(&value)?.user == user {
                ended.push((key, None));
            }
        }
        if !ended.is_empty() {
            let entry = New::of(Kind::SessionsEnded, user);
            self.book.write(&New { by, ..entry })?;
            self.sessions.change(&ended)?;
        }
        Ok(ended.len())
    }

    /// How many sessions each account has.
    pub(super) fn session_counts(&self) -> Result<std::collections::HashMap<String, usize>, AccountError> {
        let mut counts = std::collections::HashMap::new();
        for (_, value) in self.sessions.scan(b"")? {
            let kept = read(&value)?;
            if !self.is_over(&kept) {
                *counts.entry(kept.user).or_default() += 1;
            }
        }
        Ok(counts)
    }

    /// Forgets sessions that are over.
    fn sweep(&self) -> Result<(), AccountError> {
        let mut over = Vec::new();
        for (key, value) in self.sessions.scan(b"")? {
            if self.is_over(&read(&value)?) {
                over.push((key, None));
            }
        }
        if !over.is_empty() {
            self.sessions.change(&over)?;
        }
        Ok(())
    }

    fn is_over(&self, kept: &Kept) -> bool {
        let now = self.clock.now();
        let minutes = |minutes: u32| SignedDuration::from_mins(i64::from(minutes));
        now.duration_since(kept.used) > minutes(self.settings.idle_minutes)
            || now.duration_since(kept.begun) > minutes(self.settings.session_minutes)
    }

    fn keep(&self, token: &SessionToken, kept: &Kept) -> Result<(), AccountError> {
        let value = serde_json::to_vec(kept).map_err(|_| StateError::DoesNotOpen)?;
        Ok(self.sessions.change(&[(token.key(), Some(value))])?)
    }
}

fn read(value: &[u8]) -> Result<Kept, AccountError> {
    Ok(serde_json::from_slice(value).map_err(|_| StateError::DoesNotOpen)?)
}

/// What a session is called in lists: the first digits of its key's hash.
fn name(key: &[u8]) -> String {
    hex::encode(&Sha256::digest(key)[..8])
}
