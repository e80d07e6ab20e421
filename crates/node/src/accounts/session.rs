//! Sessions: what a cookie stands for. The cookie holds random bytes, the state their hash; a session ends by itself when
//! it was idle or has lasted too long, and at once when it is ended.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::ZeroizeOnDrop;

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
    fn random() -> Result<Self, StateError> {
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
    fn key(&self) -> [u8; 32] {
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

#[derive(Serialize, Deserialize)]
struct Kept {
    user: String,
    csrf: String,
    begun: Timestamp,
    used: Timestamp,
}

impl Accounts {
    /// Begins a session for a person who has proven who they are.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn begin_session(&self, user: &str) -> Result<SessionToken, AccountError> {
        if self.user(user)?.is_none() {
            return Err(AccountError::Unknown);
        }
        let token = SessionToken::random()?;
        let now = self.clock.now();
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
        let mut kept: Kept = serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen)?;
        let now = self.clock.now();
        let minutes = |minutes: u32| SignedDuration::from_mins(i64::from(minutes));
        let over = now.duration_since(kept.used) > minutes(self.settings.idle_minutes)
            || now.duration_since(kept.begun) > minutes(self.settings.session_minutes);
        let user = self.user(&kept.user)?;
        let Some(user) = user.filter(|_| !over) else {
            self.end_session(token)?;
            return Ok(None);
        };
        if now.duration_since(kept.used) > EXACT {
            kept.used = now;
            self.keep(token, &kept)?;
        }
        Ok(Some(Session {
            user,
            csrf: kept.csrf,
            begun: kept.begun,
        }))
    }

    /// Ends a session; its cookie is worth nothing any more.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn end_session(&self, token: &SessionToken) -> Result<(), AccountError> {
        Ok(self.sessions.change(&[(token.key(), None)])?)
    }

    fn keep(&self, token: &SessionToken, kept: &Kept) -> Result<(), AccountError> {
        let value = serde_json::to_vec(kept).map_err(|_| StateError::DoesNotOpen)?;
        Ok(self.sessions.change(&[(token.key(), Some(value))])?)
    }
}
