//! Notices as this node keeps them.
//!
//! # Layout of the table `notices` (sealed as all local state)
//!
//! | key | value |
//! |---|---|
//! | `n` ‖ log index u64 ‖ leaf hash 32 | [`NoticeView`], JSON |
//! | `last` | number of the last notice that came, u64 |
//! | `mutes` | every [`MuteView`], JSON |
//! | `told/` ‖ hook | number up to which a hook was told, u64 |

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_audit::{Period, RetentionClass};
use hitmachine_core::{CaseReference, Clock, Covenant, HitNotice, PartnerId, UserId};
use tokio::sync::watch;

use super::{AskerView, MuteView, NoticeView, NoticesView, StateWord, Which};
use crate::register::LocalRegister;
use crate::state::{State, StateError, Table};

const NOTICE: u8 = b'n';
const LAST: &[u8] = b"last";
const MUTES: &[u8] = b"mutes";

/// Place and leaf of the entry that a notice comes from: the same in both is the same notice.
type Place = (u64, [u8; 32]);
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A notice that came, with what this node knows of it.
pub(crate) struct Incoming {
    place: Place,
    view: NoticeView,
}

#[derive(Default)]
struct Inner {
    notices: BTreeMap<Place, NoticeView>,
    mutes: Vec<MuteView>,
    last: u64,
}

/// Every notice of this node. Methods may wait for the disk.
pub(crate) struct NoticeBook {
    table: Table,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    came: watch::Sender<u64>,
    connected: watch::Sender<bool>,
}

impl Incoming {
    /// A notice in the words of this organisation: its own file number instead of the token, names from the covenant.
    /// `register` is that of the notice's key epoch, if this node has one.
    pub(crate) fn new(notice: &HitNotice, covenant: &Covenant, register: Option<&LocalRegister>) -> Self {
        let asker = covenant.partner_by_oin(&notice.requester);
        let purpose = covenant.purpose(&notice.purpose);
        let mut references: Vec<String> = Vec::new();
        let mut registered = false;
        for (identifier, token) in &notice.subject.tokens {
            let held = register.and_then(|register| register.find(*identifier, token));
            registered |= held.is_some();
            let reference = held.and_then(|held| held.reference.as_deref());
            if let Some(reference) = reference.filter(|new| references.iter().all(|old| old != new)) {
                references.push(reference.to_owned());
            }
        }
        // Without the purpose its term is not known: as long as any may be.
        let months = purpose.map_or(covenant.terms().log_months_at_most, |purpose| {
            purpose.log_retention_months
        });
        let asked_ms = u64::try_from(notice.time.as_millisecond()).unwrap_or(0);
        let until = Period::of_unix_ms(asked_ms).expires(RetentionClass(months));
        let view = NoticeView {
            log_index: notice.index,
            number: 0,
            asked_at: notice.time.to_string(),
            received_at: String::new(),
            asker: AskerView {
                partner: asker.map_or_else(String::new, |asker| asker.id.to_string()),
                name: asker.map_or_else(|| notice.requester.to_string(), |asker| asker.name.clone()),
                oin: notice.requester.to_string(),
                contact: asker.map_or_else(String::new, |asker| asker.contact.clone()),
            },
            purpose: notice.purpose.to_string(),
            purpose_title: purpose.map_or_else(String::new, |purpose| purpose.title.clone()),
            case: notice.case.as_ref().map(|case| case.as_str().to_owned()),
            request_id: notice.request.to_string(),
            class: notice.subject.class.into(),
            registered,
            references,
            state: StateWord::New,
            seen_by: None,
            seen_at: None,
            kept_until: until.map(|until| until.to_string()),
        };
        Self {
            place: (notice.index, notice.leaf),
            view,
        }
    }
}

impl NoticeBook {
    /// Reads what is stored.
    ///
    /// # Errors
    /// [`StateError::DoesNotOpen`] if something is damaged.
    pub(crate) fn load(state: &Arc<State>, clock: Arc<dyn Clock>) -> Result<Self, StateError> {
        let table = state.table("notices")?;
        let damaged = || StateError::DoesNotOpen;
        let mut inner = Inner::default();
        for (key, value) in table.scan(&[NOTICE])? {
            let place = place(&key).ok_or_else(damaged)?;
            let view: NoticeView = serde_json::from_slice(&value).map_err(|_| damaged())?;
            inner.notices.insert(place, view);
        }
        inner.last = number(&table, LAST)?;
        if let Some(mutes) = table.get(MUTES)? {
            inner.mutes = serde_json::from_slice(&mutes).map_err(|_| damaged())?;
        }
        let book = Self {
            table,
            clock,
            came: watch::channel(inner.last).0,
            connected: watch::channel(false).0,
            inner: Mutex::new(inner),
        };
        book.tidy()?;
        Ok(book)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Memory changes after the table, and in steps that cannot panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> String {
        self.clock.now().to_string()
    }

    fn is_over(&self, view: &NoticeView) -> bool {
        let now = Period::of_unix_ms(u64::try_from(self.clock.now().as_millisecond()).unwrap_or(0));
        let until = view
            .kept_until
            .as_deref()
            .and_then(|until| until.parse::<Period>().ok());
        until.is_some_and(|until| until <= now)
    }

    /// Stores what came, durably; how many of them are new here. Notices of a muted case are stored as muted.
    ///
    /// # Errors
    /// [`StateError`]; then none may be acknowledged.
    pub(crate) fn store(&self, incoming: Vec<Incoming>) -> Result<usize, StateError> {
        let received_at = self.now();
        let mut inner = self.inner();
        let mut last = inner.last;
        let mut new: BTreeMap<Place, NoticeView> = BTreeMap::new();
        for Incoming { place, mut view } in incoming {
            if inner.notices.contains_key(&place) || new.contains_key(&place) || self.is_over(&view) {
                continue;
            }
            last += 1;
            view.number = last;
            view.received_at.clone_from(&received_at);
            if is_muted(&inner.mutes, &view) {
                view.state = StateWord::Muted;
            }
            new.insert(place, view);
        }
        if new.is_empty() {
            return Ok(0);
        }
        let mut changes: Changes = vec![(LAST.to_vec(), Some(last.to_be_bytes().to_vec()))];
        for (place, view) in &new {
            changes.push((key(place), Some(json(view)?)));
        }
        self.table.change(&changes)?;
        let count = new.len();
        inner.last = last;
        inner.notices.append(&mut new);
        drop(inner);
        self.came.send_replace(last);
        Ok(count)
    }

    /// Forgets notices whose term has ended.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn tidy(&self) -> Result<(), StateError> {
        let mut inner = self.inner();
        let over: Vec<Place> = inner
            .notices
            .iter()
            .filter(|(_, view)| self.is_over(view))
            .map(|(place, _)| *place)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let gone: Changes = over.iter().map(|place| (key(place), None)).collect();
        self.table.change(&gone)?;
        for place in over {
            inner.notices.remove(&place);
        }
        Ok(())
    }

    fn view(&self, wanted: impl Fn(&NoticeView) -> bool) -> NoticesView {
        let inner = self.inner();
        let kept = || inner.notices.values().filter(|view| !self.is_over(view));
        let count = |state| kept().filter(|view| view.state == state).count();
        let mut notices: Vec<NoticeView> = kept().filter(|view| wanted(view)).cloned().collect();
        notices.sort_by_key(|view| view.number);
        NoticesView {
            notices,
            new: count(StateWord::New),
            muted: count(StateWord::Muted),
            last: inner.last,
        }
    }

    /// Notices, oldest first; with a case only those of it.
    pub(crate) fn list(&self, which: Which, case: Option<&CaseReference>) -> NoticesView {
        self.view(|view| {
            let state = match which {
                Which::New => view.state == StateWord::New,
                Which::Open => view.state != StateWord::Muted,
                Which::All => true,
            };
            state && case.is_none_or(|case| view.case.as_deref() == Some(case.as_str()))
        })
    }

    /// What came from a log entry, from 0.
    pub(crate) fn of_entry(&self, index: u64) -> NoticesView {
        self.view(|view| view.log_index == index)
    }

    /// What came after a number and is not muted.
    pub(crate) fn after(&self, number: u64) -> NoticesView {
        self.view(|view| view.number > number && view.state != StateWord::Muted)
    }

    /// Somebody has seen these; how many notices that are. `None`, and nothing is changed, if one is not there.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn seen(&self, indexes: &[u64], user: &UserId) -> Result<Option<usize>, StateError> {
        let at = self.now();
        let mut inner = self.inner();
        let of = |index: &u64| inner.notices.range((*index, [0; 32])..=(*index, [255; 32]));
        if indexes.iter().any(|index| of(index).next().is_none()) {
            return Ok(None);
        }
        let marked: BTreeMap<Place, NoticeView> = indexes
            .iter()
            .flat_map(of)
            .map(|(place, view)| {
                let mut view = view.clone();
                // Who saw it first stays.
                if view.state != StateWord::Seen {
                    view.state = StateWord::Seen;
                    view.seen_by = Some(user.as_str().to_owned());
                    view.seen_at = Some(at.clone());
                }
                (*place, view)
            })
            .collect();
        let mut changes: Changes = Vec::with_capacity(marked.len());
        for (place, view) in &marked {
            changes.push((key(place), Some(json(view)?)));
        }
        self.table.change(&changes)?;
        let count = marked.len();
        inner.notices.extend(marked);
        Ok(Some(count))
    }

    /// From now on notices of this case are stored as muted; how many cases are muted. A second time changes nothing.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn mute(
        &self,
        asker: &PartnerId,
        case: &CaseReference,
        user: &UserId,
        reason: Option<String>,
    ) -> Result<usize, StateError> {
        let mute = MuteView {
            asker: asker.to_string(),
            case: case.as_str().to_owned(),
            by: user.as_str().to_owned(),
            at: self.now(),
            reason,
        };
        let mut inner = self.inner();
        let mut mutes = inner.mutes.clone();
        if !mutes.iter().any(|other| is_of(other, &mute.asker, &mute.case)) {
            mutes.push(mute);
        }
        self.set_mutes(&mut inner, mutes)
    }

    /// From now on notices of this case are shown again; how many cases are muted. `None` if it was not muted.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn unmute(
        &self,
        asker: &PartnerId,
        case: &CaseReference,
    ) -> Result<Option<usize>, StateError> {
        let mut inner = self.inner();
        let mut mutes = inner.mutes.clone();
        mutes.retain(|mute| !is_of(mute, asker.as_str(), case.as_str()));
        if mutes.len() == inner.mutes.len() {
            return Ok(None);
        }
        self.set_mutes(&mut inner, mutes).map(Some)
    }

    fn set_mutes(&self, inner: &mut Inner, mutes: Vec<MuteView>) -> Result<usize, StateError> {
        self.table.change(&[(MUTES, Some(json(&mutes)?))])?;
        inner.mutes = mutes;
        Ok(inner.mutes.len())
    }

    /// Cases that are muted, oldest first.
    pub(crate) fn mutes(&self) -> Vec<MuteView> {
        self.inner().mutes.clone()
    }

    /// Hears the number of each last notice that came.
    pub(crate) fn came(&self) -> watch::Receiver<u64> {
        self.came.subscribe()
    }

    /// Up to which number a hook was told.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn told(&self, hook: &str) -> Result<u64, StateError> {
        number(&self.table, &told_key(hook))
    }

    /// A hook was told up to this number.
    ///
    /// # Errors
    /// [`StateError`].
    pub(crate) fn set_told(&self, hook: &str, up_to: u64) -> Result<(), StateError> {
        let up_to = up_to.to_be_bytes().to_vec();
        self.table.change(&[(told_key(hook), Some(up_to))])
    }

    /// How many came after a number that nobody has seen, and the number of the last.
    pub(crate) fn untold(&self, after: u64) -> (usize, u64) {
        let view = self.view(|view| view.number > after && view.state == StateWord::New);
        (view.notices.len(), view.last)
    }

    /// Whether the stream from the hub is open.
    pub(crate) fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.send_replace(connected);
    }
}

fn is_of(mute: &MuteView, asker: &str, case: &str) -> bool {
    mute.asker == asker && mute.case == case
}

fn is_muted(mutes: &[MuteView], view: &NoticeView) -> bool {
    let case = view.case.as_deref();
    case.is_some_and(|case| mutes.iter().any(|mute| is_of(mute, &view.asker.partner, case)))
}

fn key(place: &Place) -> Vec<u8> {
    [&[NOTICE], place.0.to_be_bytes().as_slice(), &place.1].concat()
}

fn place(key: &[u8]) -> Option<Place> {
    let (index, leaf) = key.get(1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*index), leaf.try_into().ok()?))
}

fn told_key(hook: &str) -> Vec<u8> {
    format!("told/{hook}").into_bytes()
}

fn number(table: &Table, key: &[u8]) -> Result<u64, StateError> {
    let Some(value) = table.get(key)? else {
        return Ok(0);
    };
    let value = value.as_slice().try_into().map_err(|_| StateError::DoesNotOpen)?;
    Ok(u64::from_be_bytes(value))
}

/// What is kept here always has a form in JSON.
fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, StateError> {
    serde_json::to_vec(value).map_err(|_| StateError::DoesNotOpen)
}

#[cfg(test)]
#[path = "book_tests.rs"]
pub(crate) mod tests;
