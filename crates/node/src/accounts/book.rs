//! The book of sign-ins: who signed in and who could not, and every change of what somebody may do.
//!
//! Entries are only added. Each is chained to the one before it by SHA-256, so that one which was changed, removed or put in
//! between later is found by [`Book::check`]. Whoever holds the state key could write the whole book anew: note the
//! fingerprint that a check shows elsewhere, and compare it at the next. Entries older than `console.book_months` are cut
//! off at the head; what the first one left is chained to is kept.
//!
//! No secret is in it, and no name that somebody typed which is no account's: that may be a password or a person's number.
//!
//! # Layout (table `sign-ins`)
//!
//! | key | value |
//! |---|---|
//! | `e` ‖ number u64 | SHA-256 of (the one before ‖ entry) ‖ entry as JSON |
//! | `mark` | [`Mark`]: first and next number, what the first is chained to, and the newest fingerprint |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_core::Clock;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AccountError;
use crate::language::Language;
use crate::state::{State, StateError, Table};

const DOMAIN: &[u8] = b"hitmachine/book-of-sign-ins/v1\0";
const MARK: &[u8] = b"mark";
/// The book is kept so many months at least, whatever is configured.
const FEWEST_MONTHS: u32 = 13;
/// What strangers make happen is written so often in an hour; the rest is counted.
const STRANGERS: u32 = 60;
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// So often old entries are looked for, and so many are cut at once.
const CUT_EVERY: SignedDuration = SignedDuration::from_hours(24);
const CUT_MOST: u64 = 10_000;
/// In place of a name that is no account's.
pub(super) const UNKNOWN: &str = "unknown";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody signed in.
    SignIn,
    /// Somebody could not.
    Failure,
    /// Too many failures: an account is closed for a while.
    Lock,
    /// Somebody signed out.
    SignOut,
    /// All sessions of somebody were ended.
    SessionsEnded,
    /// Another password.
    Password,
    /// Another second factor.
    SecondFactor,
    /// New recovery codes.
    RecoveryCodes,
    /// An account was made.
    Created,
    /// Other roles.
    Roles,
    /// May not sign in any more.
    Blocked,
    /// May sign in again.
    Unblocked,
    /// A new first password, and no second factor.
    Reset,
    /// The account is gone.
    Removed,
    /// A token for an application was made.
    ApplicationCreated,
    /// An application's token is worth nothing any more.
    ApplicationRevoked,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::SignIn,
        Self::Failure,
        Self::Lock,
        Self::SignOut,
        Self::SessionsEnded,
        Self::Password,
        Self::SecondFactor,
        Self::RecoveryCodes,
        Self::Created,
        Self::Roles,
        Self::Blocked,
        Self::Unblocked,
        Self::Reset,
        Self::Removed,
        Self::ApplicationCreated,
        Self::ApplicationRevoked,
    ];

    /// Its word for machines and in addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Failure => "failure",
            Self::Lock => "lock",
            Self::SignOut => "sign_out",
            Self::SessionsEnded => "sessions_ended",
            Self::Password => "password",
            Self::SecondFactor => "second_factor",
            Self::RecoveryCodes => "recovery_codes",
            Self::Created => "created",
            Self::Roles => "roles",
            Self::Blocked => "blocked",
            Self::Unblocked => "unblocked",
            Self::Reset => "reset",
            Self::Removed => "removed",
            Self::ApplicationCreated => "application_created",
            Self::ApplicationRevoked => "application_revoked",
        }
    }

    /// The kind of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// For people.
    pub fn text(self, language: Language) -> &'static str {
        let (nl, en) = match self {
            Self::SignIn => ("Ingelogd", "Signed in"),
            Self::Failure => ("Inloggen mislukt", "Sign-in failed"),
            Self::Lock => ("Tijdelijk dicht", "Locked for a while"),
            Self::SignOut => ("Uitgelogd", "Signed out"),
            Self::SessionsEnded => ("Overal uitgelogd", "Signed out everywhere"),
            Self::Password => ("Ander wachtwoord", "Password changed"),
            Self::SecondFactor => ("Andere tweede stap", "Second factor changed"),
            Self::RecoveryCodes => ("Nieuwe herstelcodes", "New recovery codes"),
            Self::Created => ("Account gemaakt", "Account made"),
            Self::Roles => ("Rollen gewijzigd", "Roles changed"),
            Self::Blocked => ("Geblokkeerd", "Blocked"),
            Self::Unblocked => ("Blokkade opgeheven", "Unblocked"),
            Self::Reset => ("Opnieuw ingesteld", "Reset"),
            Self::Removed => ("Account verwijderd", "Account removed"),
            Self::ApplicationCreated => ("Toepassing toegevoegd", "Application added"),
            Self::ApplicationRevoked => ("Toepassing ingetrokken", "Application revoked"),
        };
        language.pick(nl, en)
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1.
    pub number: u64,
    /// When, by this node's clock.
    pub time: Timestamp,
    /// What.
    pub kind: Kind,
    /// Whose account, `app:<id>` for an application, or `unknown`.
    pub user: String,
    /// Who did it, if somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// A word that says how or why, or roles before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Entry {
    /// The detail in words for people.
    pub fn detail_text(&self, language: Language) -> String {
        let Some(detail) = self.detail.as_deref() else {
            return String::new();
        };
        let (word, rest) = detail.split_once(';').unwrap_or((detail, ""));
        let text = match word {
            "wrong_password" => language.pick("verkeerd wachtwoord", "wrong password"),
            "wrong_code" => language.pick("verkeerde code", "wrong code"),
            "blocked" => language.pick("account is geblokkeerd", "account is blocked"),
            "no_password" => language.pick("account zonder wachtwoord", "account without a password"),
            "unknown_user" => language.pick("onbekende gebruikersnaam", "unknown user name"),
            "token" => language.pick(
                "onbekend of vervallen token van een toepassing",
                "unknown or expired application token",
            ),
            "code" => language.pick("met code", "with a code"),
            "recovery_code" => language.pick("met herstelcode", "with a recovery code"),
            "enrolled" => language.pick("eerste keer", "first time"),
            "provider" => language.pick("via de inlogdienst", "by the identity provider"),
            "session" => language.pick("zonder formulier", "without the form"),
            "files" => language.pick("uit bestanden", "from files"),
            other => other,
        };
        match rest {
            "" => text.to_owned(),
            rest => format!("{text} ({rest})"),
        }
    }
}

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// About this account, or done by it.
    pub user: Option<String>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Before this number.
    pub before: Option<u64>,
}

/// Some entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Whether there are older ones.
    pub more: bool,
}

/// What a check of the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How many entries are kept.
    pub entries: u64,
    /// The newest number; 0 if there is none.
    pub last: u64,
    /// SHA-256 of everything up to there, in hexadecimal.
    pub fingerprint: String,
    /// The first entry that is not what it was; none if all is well.
    pub broken: Option<u64>,
}

/// What goes into an entry.
pub(super) struct New<'a> {
    pub(super) kind: Kind,
    pub(super) user: &'a str,
    pub(super) by: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
}

impl<'a> New<'a> {
    pub(super) fn of(kind: Kind, user: &'a str) -> Self {
        Self {
            kind,
            user,
            by: None,
            detail: None,
        }
    }

    pub(super) fn by(self, by: &'a str) -> Self {
        Self { by: Some(by), ..self }
    }

    pub(super) fn with(self, detail: &'a str) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }
}

/// An entry's hash, the entry, and the bytes that are hashed.
type Read = ([u8; 32], Entry, Vec<u8>);

/// Where the book begins and ends.
#[derive(Clone, Serialize, Deserialize)]
struct Mark {
    first: u64,
    next: u64,
    /// The hash that the first entry is chained to.
    before: String,
    /// The newest hash.
    head: String,
}

impl Default for Mark {
    fn default() -> Self {
        let nothing = hex::encode([0; 32]);
        Self {
            first: 1,
            next: 1,
            before: nothing.clone(),
            head: nothing,
        }
    }
}

#[derive(Default)]
struct Inner {
    mark: Mark,
    cut_at: Option<Timestamp>,
    /// Since when strangers' entries are counted, how many were written and how many were not.
    strangers: Option<(Timestamp, u32, u32)>,
}

/// The book of sign-ins of one node.
pub struct Book {
    table: Table,
    months: u32,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

impl Book {
    pub(super) fn load(state: &Arc<State>, months: u32, clock: Arc<dyn Clock>) -> Result<Self, StateError> {
        let table = state.table("sign-ins")?;
        let mark = match table.get(MARK)? {
            Some(value) => serde_json::from_slice(&value).map_err(|_| StateError::DoesNotOpen)?,
            None => Mark::default(),
        };
        let inner = Inner {
            mark,
            ..Inner::default()
        };
        Ok(Self {
            table,
            months: months.max(FEWEST_MONTHS),
            clock,
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an entry; durable when it returns.
    pub(super) fn write(&self, new: &New<'_>) -> Result<(), AccountError> {
        self.append(&mut self.lock(), std::slice::from_ref(new))
    }

    /// Writes entries together.
    pub(super) fn write_all(&self, new: &[New<'_>]) -> Result<(), AccountError> {
        self.append(&mut self.lock(), new)
    }

    /// Writes what a stranger made happen, unless that was often in this hour: nobody fills the disk from outside. What was
    /// left out is counted in the next one. Takes as long either way.
    pub(super) fn write_of_stranger(&self, kind: Kind, reason: &str) -> Result<(), AccountError> {
        let mut inner = self.lock();
        let now = self.clock.now();
        let (since, written, left_out) = match inner.strangers {
            Some(counted) if now.duration_since(counted.0) < HOUR => counted,
            Some((_, _, left_out)) => (now, 0, left_out),
            None => (now, 0, 0),
        };
        if written >= STRANGERS {
            inner.strangers = Some((since, written, left_out.saturating_add(1)));
            let mark = serde_json::to_vec(&inner.mark).map_err(|_| StateError::DoesNotOpen)?;
            return Ok(self.table.change(&[(MARK, Some(mark))])?);
        }
        let detail = match left_out {
            0 => reason.to_owned(),
            others => format!("{reason};+{others}"),
        };
        self.append(&mut inner, &[New::of(kind, UNKNOWN).with(&detail)])?;
        inner.strangers = Some((since, written + 1, 0));
        Ok(())
    }

    fn append(&self, inner: &mut Inner, news: &[New<'_>]) -> Result<(), AccountError> {
        let now = self.clock.now();
        let mut mark = inner.mark.clone();
        let mut changes = Vec::with_capacity(news.len() + 1);
        let due = inner.cut_at.is_none_or(|at| now.duration_since(at) >= CUT_EVERY);
        if due {
            self.cut(&mut mark, now, &mut changes)?;
        }
        for new in news {
            let entry = Entry {
                number: mark.next,
                time: now,
                kind: new.kind,
                user: new.user.to_owned(),
                by: new.by.map(Into::into),
                detail: new.detail.map(Into::into),
            };
            let text = serde_json::to_vec(&entry).map_err(|_| StateError::DoesNotOpen)?;
            let hash = chained(&mark.head, &text);
            changes.push((key(entry.number), Some([hash.as_slice(), &text].concat())));
            mark.next += 1;
            mark.head = hex::encode(hash);
        }
        let written = serde_json::to_vec(&mark).map_err(|_| StateError::DoesNotOpen)?;
        changes.push((MARK.to_vec(), Some(written)));
        self.table.change(&changes)?;
        inner.mark = mark;
        if due {
            inner.cut_at = Some(now);
        }
        Ok(())
    }

    /// Cuts off what is too old; the first that stays is still chained to what was before it.
    fn cut(
        &self,
        mark: &mut Mark,
        now: Timestamp,
        changes: &mut Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ) -> Result<(), AccountError> {
        let months = Span::new().try_months(self.months).unwrap_or_default();
        let Ok(oldest) = now.to_zoned(TimeZone::UTC).checked_sub(months) else {
            return Ok(());
        };
        for number in mark.first..mark.next.min(mark.first + CUT_MOST) {
            let Some((hash, entry, _)) = self.read(number)? else {
                break;
            };
            if entry.time >= oldest.timestamp() {
                break;
            }
            changes.push((key(number), None));
            mark.first = number + 1;
            mark.before = hex::encode(hash);
        }
        Ok(())
    }

    /// The entry of a number with its hash and its bytes; none if it is not there or cannot be read.
    fn read(&self, number: u64) -> Result<Option<Read>, StateError> {
        let Some(value) = self.table.get(&key(number))? else {
            return Ok(None);
        };
        let Some((hash, text)) = value.split_first_chunk() else {
            return Ok(None);
        };
        let entry = serde_json::from_slice(text).ok();
        Ok(entry.map(|entry| (*hash, entry, text.to_vec())))
    }

    /// The newest entries that a filter lets through, at most so many.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn list(&self, filter: &Filter, most: usize) -> Result<Entries, AccountError> {
        let (first, next) = {
            let inner = self.lock();
            (inner.mark.first, inner.mark.next)
        };
        let end = filter.before.map_or(next, |before| before.min(next));
        let mut entries = Vec::new();
        for number in (first..end).rev() {
            let Some((_, entry, _)) = self.read(number)? else {
                continue;
            };
            let about = |user: &String| entry.user == *user || entry.by.as_ref() == Some(user);
            if !filter.user.as_ref().is_none_or(about) || filter.kind.is_some_and(|kind| kind != entry.kind) {
                continue;
            }
            if entries.len() == most {
                return Ok(Entries { entries, more: true });
            }
            entries.push(entry);
        }
        Ok(Entries { entries, more: false })
    }

    /// Follows the chain from the first entry to the newest.
    ///
    /// # Errors
    /// [`AccountError::State`] if the database fails; an entry that does not open is a break.
    pub fn check(&self) -> Result<Checked, AccountError> {
        let mark = self.lock().mark.clone();
        let mut hash = mark.before.clone();
        let mut broken = None;
        for number in mark.first..mark.next {
            let read = match self.read(number) {
                Err(StateError::DoesNotOpen) => None,
                read => read?,
            };
            let good =
                read.filter(|(kept, entry, text)| entry.number == number && *kept == chained(&hash, text));
            let Some((kept, ..)) = good else {
                broken = Some(number);
                break;
            };
            hash = hex::encode(kept);
        }
        // The last one was replaced by another that fits what was before it.
        if broken.is_none() && hash != mark.head {
            broken = Some(mark.next.saturating_sub(1));
        }
        Ok(Checked {
            entries: mark.next - mark.first,
            last: mark.next - 1,
            fingerprint: mark.head,
            broken,
        })
    }
}

fn key(number: u64) -> Vec<u8> {
    [b"e".as_slice(), &number.to_be_bytes()].concat()
}

fn chained(before: &str, text: &[u8]) -> [u8; 32] {
    let digest = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(before)
        .chain_update(text);
    digest.finalize().into()
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
