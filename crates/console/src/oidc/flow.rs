//! Who went to the provider and has not come back yet. Kept in memory: after a restart people begin again.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use hitmachine_node::language::Language;
use jiff::{SignedDuration, Timestamp};
use openidconnect::{Nonce, PkceCodeChallenge, PkceCodeVerifier};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::OidcError;

/// How long somebody may take at the provider.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// The same in seconds, for the cookie.
pub(crate) const BROWSER_SECONDS: u32 = 600;
/// Sign-ins under way; the oldest makes place for one more.
const MOST: usize = 1024;

/// What makes a browser known again when it comes back: the value of a cookie. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Browser([u8; 32]);

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Browser(..)")
    }
}

impl Browser {
    /// For a browser that has none.
    pub(crate) fn random() -> Result<Self, OidcError> {
        random().map(Self)
    }

    /// From a cookie.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// For a cookie.
    pub(crate) fn expose_text(&self) -> String {
        hex::encode(self.0)
    }

    fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// Where a person goes on after signing in, and in which language: the cookie that says so does not come along from
/// another site.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) path: String,
    pub(crate) language: Language,
}

/// A sign-in that was begun.
pub(crate) struct Flow {
    browser: [u8; 32],
    pub(super) nonce: Nonce,
    pub(super) verifier: PkceCodeVerifier,
    pub(super) begun: Timestamp,
    pub(crate) next: Next,
}

/// What goes to the provider.
pub(super) struct Begun {
    pub(super) state: String,
    pub(super) nonce: Nonce,
    pub(super) challenge: PkceCodeChallenge,
}

/// By state.
#[derive(Default)]
pub(super) struct Flows(Mutex<HashMap<String, Flow>>);

impl Flows {
    pub(super) fn begin(&self, browser: &Browser, next: Next, now: Timestamp) -> Result<Begun, OidcError> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = hex::encode(random()?);
        let nonce = Nonce::new(hex::encode(random()?));
        let flow = Flow {
            browser: browser.digest(),
            nonce: nonce.clone(),
            verifier,
            begun: now,
            next,
        };
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.retain(|_, flow| flow.lives(now));
        if flows.len() >= MOST {
            let oldest = flows.iter().min_by_key(|(_, flow)| flow.begun);
            if let Some(oldest) = oldest.map(|(state, _)| state.clone()) {
                flows.remove(&oldest);
            }
        }
        flows.insert(state.clone(), flow);
        Ok(Begun {
            state,
            nonce,
            challenge,
        })
    }

    /// The sign-in of a state, once, for the browser that began it.
    pub(super) fn take(&self, state: &str, browser: Option<&Browser>, now: Timestamp) -> Option<Flow> {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = flows.remove(state)?;
        let same = browser.is_some_and(|browser| bool::from(browser.digest().ct_eq(&flow.browser)));
        (same && flow.lives(now)).then_some(flow)
    }
}

impl Flow {
    fn lives(&self, now: Timestamp) -> bool {
        now.duration_since(self.begun) <= PATIENCE
    }
}

fn random() -> Result<[u8; 32], OidcError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| OidcError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next() -> Next {
        Next {
            path: "/ask".into(),
            language: Language::Nl,
        }
    }

    #[test]
    fn a_state_is_good_once_in_its_own_browser_and_not_for_ever() {
        let (flows, now) = (Flows::default(), Timestamp::UNIX_EPOCH);
        let browser = Browser::random().unwrap();
        let begin = |flows: &Flows| flows.begin(&browser, next(), now).unwrap().state;
        let state = begin(&flows);
        assert_eq!(flows.take(&state, Some(&browser), now).unwrap().next.path, "/ask");
        assert!(flows.take(&state, Some(&browser), now).is_none());
        // Another browser, or none: and it is over for the first one too.
        for other in [None, Some(Browser::random().unwrap())] {
            let state = begin(&flows);
            assert!(flows.take(&state, other.as_ref(), now).is_none());
            assert!(flows.take(&state, Some(&browser), now).is_none());
        }
        let (in_time, late) = (now + PATIENCE, now + PATIENCE + SignedDuration::from_secs(1));
        assert!(flows.take(&begin(&flows), Some(&browser), in_time).is_some());
        assert!(flows.take(&begin(&flows), Some(&browser), late).is_none());
        assert!(flows.take("", Some(&browser), now).is_none());
    }

    #[test]
    fn a_browser_is_the_cookie_that_it_was_given() {
        let browser = Browser::random().unwrap();
        assert_eq!(Browser::parse(&browser.expose_text()), Some(browser.clone()));
        assert_eq!(Browser::parse("12"), None);
        assert_eq!(format!("{browser:?}"), "Browser(..)");
    }

    #[test]
    fn they_are_bounded() {
        let (flows, mut now) = (Flows::default(), Timestamp::UNIX_EPOCH);
        let browser = Browser::random().unwrap();
        let first = flows.begin(&browser, next(), now).unwrap().state;
        now += SignedDuration::from_secs(1);
        let second = flows.begin(&browser, next(), now).unwrap().state;
        for _ in 0..MOST - 1 {
            now += SignedDuration::from_millis(1);
            flows.begin(&browser, next(), now).unwrap();
        }
        assert_eq!(flows.0.lock().unwrap().len(), MOST);
        assert!(flows.take(&first, Some(&browser), now).is_none());
        assert!(flows.take(&second, Some(&browser), now).is_some());
        // Those that are over make place as well.
        flows.begin(&browser, next(), now + PATIENCE * 2).unwrap();
        assert_eq!(flows.0.lock().unwrap().len(), 1);
    }
}
