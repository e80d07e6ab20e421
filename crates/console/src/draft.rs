//! What was typed in a form whose session had ended: kept for the same person until they have signed in again.
//!
//! Every form carries the word of its session (`csrf`), which nobody else knows. While a session lives it is remembered whose
//! word that is; a form that arrives too late is then known by it, and what was typed waits in memory under that person's
//! name and the page's path. It is shown on that page to that person only, never to who signs in instead. Nothing of it goes
//! through the browser, so it is in no page, cookie or address.
//!
//! A page says at its route which fields may be kept ([`Keep`]); numbers of persons, passwords and codes never are.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};
use hitmachine_identifier::contains_bsn;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::app::App;
use crate::fields::Fields;
use crate::visitor::{Visitor, to_sign_in};

/// How long it waits.
const KEPT: SignedDuration = SignedDuration::from_mins(30);
/// How long a form may have stood open: over a long weekend.
const OPEN: SignedDuration = SignedDuration::from_hours(24 * 5);
/// Of either; more than that many people do not use one console.
const MOST: usize = 4096;
/// Fields whose names begin like this are kept by no page.
const NEVER: [&str; 5] = ["bsn", "number", "csrf", "password", "code"];

/// Which fields of a form may be kept, and the page that shows the form. An extension of the form's route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    page: &'static str,
    names: &'static [&'static str],
}

impl Keep {
    /// `page` is the path that shows the form; a name that ends in `*` stands for all that begin like it.
    pub(crate) const fn of(page: &'static str, names: &'static [&'static str]) -> Self {
        Self { page, names }
    }

    /// The path that shows the form.
    pub(crate) fn page(&self) -> &'static str {
        self.page
    }

    /// What may be kept of a form.
    pub(crate) fn of_form(&self, fields: &Fields) -> Fields {
        fields.only(|name, value| self.keeps(name) && holds_no_bsn(value))
    }

    fn keeps(&self, name: &str) -> bool {
        let listed = self.names.iter().any(|each| match each.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == *each,
        });
        listed && !NEVER.iter().any(|never| name.starts_with(never))
    }
}

/// What this visitor typed on this page before they had to sign in again, if anything.
pub(crate) struct Draft {
    /// As typed; without a number of a person.
    pub(crate) fields: Option<Fields>,
}

impl FromRequestParts<App> for Draft {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        // Who is not signed in, or cannot be known, has none; the page itself says what is wrong.
        let visitor = Visitor::of_parts(app, parts).ok().flatten();
        let fields = visitor.and_then(|visitor| {
            let now = app.node().clock().now();
            app.drafts().of(&visitor.caller.user, parts.uri.path(), now)
        });
        Ok(Self { fields })
    }
}

/// The answer to a form whose session has ended: to sign in, and then back to the form's page, filled in again.
pub(crate) fn interrupted(app: &App, keep: &Keep, fields: &Fields) -> Response {
    app.drafts().keep(keep, fields, app.node().clock().now());
    to_sign_in(keep.page, true).into_response()
}

/// The answer to a form of an earlier session of a visitor who has signed in again since, in another tab say; `None` if it is
/// no form of theirs.
pub(crate) fn resumed(app: &App, keep: &Keep, visitor: &Visitor, fields: &Fields) -> Option<Response> {
    let drafts = app.drafts();
    let now = app.node().clock().now();
    if drafts.owner(fields.get("csrf"), now)? != visitor.caller.user {
        return None;
    }
    drafts.keep(keep, fields, now);
    Some(Redirect::to(keep.page).into_response())
}

/// What waits for whom.
#[derive(Default)]
pub(crate) struct Drafts(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By the hash of a session's word.
    owners: HashMap<[u8; 32], Dated<String>>,
    /// By person and path.
    kept: HashMap<(String, String), Dated<Fields>>,
}

struct Dated<T> {
    what: T,
    at: Timestamp,
}

impl Drafts {
    /// Remembers whose forms carry this word.
    pub(crate) fn remember(&self, csrf: &str, user: &str, now: Timestamp) {
        let what = user.to_owned();
        put(
            &mut self.lock().owners,
            digest(csrf),
            Dated { what, at: now },
            OPEN,
        );
    }

    /// Keeps what may be kept, if it is known whose form it is.
    fn keep(&self, keep: &Keep, fields: &Fields, now: Timestamp) {
        let Some(user) = self.owner(fields.get("csrf"), now) else {
            return;
        };
        let what = keep.of_form(fields);
        put(
            &mut self.lock().kept,
            (user, keep.page.to_owned()),
            Dated { what, at: now },
            KEPT,
        );
    }

    /// What this person typed on this page.
    fn of(&self, user: &str, page: &str, now: Timestamp) -> Option<Fields> {
        let mut inner = self.lock();
        inner.kept.retain(|_, draft| now.duration_since(draft.at) <= KEPT);
        let draft = inner.kept.get(&(user.to_owned(), page.to_owned()))?;
        Some(draft.what.clone())
    }

    /// The form was sent after all.
    pub(crate) fn sent(&self, user: &str, page: &str) {
        self.lock().kept.remove(&(user.to_owned(), page.to_owned()));
    }

    fn owner(&self, csrf: &str, now: Timestamp) -> Option<String> {
        let inner = self.lock();
        let owner = inner.owners.get(&digest(csrf))?;
        (now.duration_since(owner.at) <= OPEN).then(|| owner.what.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether no number of a person was typed in a field for something else; the name of a form may look like one.
fn holds_no_bsn(value: &str) -> bool {
    !contains_bsn(value) || Uuid::parse_str(value).is_ok()
}

fn digest(csrf: &str) -> [u8; 32] {
    Sha256::digest(csrf).into()
}

/// Puts something in its place; there is always room, by forgetting what is over, or else the oldest.
fn put<K: Clone + Eq + std::hash::Hash, T>(
    map: &mut HashMap<K, Dated<T>>,
    key: K,
    value: Dated<T>,
    lasts: SignedDuration,
) {
    if map.len() >= MOST && !map.contains_key(&key) {
        map.retain(|_, each| value.at.duration_since(each.at) <= lasts);
        if map.len() >= MOST {
            let oldest = map.iter().min_by_key(|(_, each)| each.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                map.remove(&oldest);
            }
        }
    }
    map.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Keep = Keep::of("/ask", &["purpose", "reference-*", "number-*", "bsn", "*"]);
    const CASE: Keep = Keep::of("/ask", &["case", "reference-*"]);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn typed(csrf: &str) -> Fields {
        let body =
            format!("csrf={csrf}&case=Z-1&reference-1=a&reference-2=b&bsn=999990019&number-1=1&other=x");
        Fields::parse(body.as_bytes())
    }

    #[test]
    fn numbers_passwords_and_codes_are_never_kept_whatever_a_page_says() {
        for name in [
            "bsn",
            "bsn-2",
            "number-1",
            "csrf",
            "password",
            "password-again",
            "code",
        ] {
            assert!(!FORM.keeps(name), "{name}");
        }
        assert!(FORM.keeps("purpose") && FORM.keeps("reference-3"));
        assert!(CASE.keeps("case") && !CASE.keeps("case-2") && !CASE.keeps("other"));
    }

    #[test]
    fn a_number_in_a_field_for_something_else_is_not_kept() {
        for wrong in ["999990019", "zaak van 999990019", "9999.90.019"] {
            assert!(!holds_no_bsn(wrong), "{wrong}");
        }
        assert!((1..29).all(|day| holds_no_bsn(&format!("{day:02}-03-2015"))));
        assert!(holds_no_bsn("ZVH-2026-0042") && holds_no_bsn("01890a5d-ac96-774b-bcce-b302099a8057"));
    }

    #[test]
    fn the_same_person_finds_it_again_on_the_same_page_for_half_an_hour() {
        let drafts = Drafts::default();
        drafts.remember("word", "jansen", at(0));
        drafts.keep(&CASE, &typed("word"), at(60));
        let found = drafts.of("jansen", "/ask", at(60)).unwrap();
        assert_eq!((found.get("case"), found.get("reference-2")), ("Z-1", "b"));
        assert_eq!(
            (
                found.get("bsn"),
                found.get("number-1"),
                found.get("csrf"),
                found.get("other")
            ),
            ("", "", "", "")
        );
        assert!(drafts.of("pietersen", "/ask", at(60)).is_none());
        assert!(drafts.of("jansen", "/other", at(60)).is_none());
        assert!(drafts.of("jansen", "/ask", at(60 + 30 * 60)).is_some());
        assert!(drafts.of("jansen", "/ask", at(61 + 30 * 60)).is_none());
    }

    #[test]
    fn nothing_is_kept_of_a_form_of_nobody_and_after_it_was_sent() {
        let drafts = Drafts::default();
        drafts.remember("word", "jansen", at(0));
        drafts.keep(&CASE, &typed("guess"), at(1));
        assert!(drafts.of("jansen", "/ask", at(1)).is_none());
        drafts.keep(&CASE, &typed("word"), at(1) + OPEN);
        assert!(drafts.of("jansen", "/ask", at(1) + OPEN).is_none());
        drafts.keep(&CASE, &typed("word"), at(1));
        drafts.sent("jansen", "/ask");
        assert!(drafts.of("jansen", "/ask", at(1)).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let drafts = Drafts::default();
        for n in 0..=MOST {
            drafts.remember(&n.to_string(), "jansen", at(i64::try_from(n).unwrap()));
        }
        let last = at(i64::try_from(MOST).unwrap());
        assert_eq!(drafts.lock().owners.len(), MOST);
        assert!(drafts.owner("0", last).is_none());
        assert!(drafts.owner("1", last).is_some());
    }
}
