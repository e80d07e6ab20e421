//! What an erasure is, and what the log says of those there were.
//!
//! ```text
//! erase-intent  {"type", "keys": [{"id", "group", "class", "period"}…], "segments": […], "first", "end",
//!                "ground", "by", "time_ms"}
//! erase-done    the same, and "intent": index of the intent
//! ```
//!
//! Both are public control entries. `group` is "A" or "B", `class` a number of months, `period` yyyy-mm.
//! `segments` are the numbers of the segments that were unlinked, and `first` to `end` (excluded) the entries
//! in them. An intent says what may be under way, a done what may be missing. One that is malformed, or a done
//! that does not repeat its intent, says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use serde_json::{Map, Value, json};

use crate::{
    draft::{ERASE_DONE, ERASE_INTENT},
    fields::Group,
    keyring::KeyUse,
    period::{Period, RetentionClass},
};

/// Which keys to destroy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// All whose term is over in this month ([`KeyUse::is_expired`]). The month comes from a clock, and a
    /// clock that is far ahead would have everything erased: the caller vouches for it.
    Expired(Period),
    /// Both groups of these classes and months, expired or not.
    Both(Vec<(RetentionClass, Period)>),
    /// One group of these classes and months, expired or not.
    Group(Group, Vec<(RetentionClass, Period)>),
}

impl Selection {
    pub(super) fn takes(&self, use_: &KeyUse) -> bool {
        let named = |of: &[(RetentionClass, Period)]| of.contains(&(use_.class, use_.period));
        match self {
            Self::Expired(now) => use_.is_expired(*now),
            Self::Both(of) => named(of),
            Self::Group(group, of) => *group == use_.group && named(of),
        }
    }
}

/// An erasure that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EraseRequest {
    /// Which keys to destroy.
    pub selection: Selection,
    /// Why: a short code such as `retention`, or a public reference. Everybody reads it, for ever.
    pub ground: String,
    /// Who: `hub`, or the id of an organisation. Everybody reads it, for ever; no personal data.
    pub by: String,
    /// Size of a published checkpoint whose entry bundles the caller verified; 0 for none. Only segments
    /// below it are unlinked, since from then on the beginning of the tree can come from nowhere else.
    pub published: u64,
}

/// What an erasure takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The keys, by id.
    pub keys: Vec<KeyUse>,
    /// Why.
    pub ground: String,
    /// Who.
    pub by: String,
    /// Numbers of the segments that are unlinked: consecutive, the first the lowest that there was.
    pub segments: Vec<u64>,
    /// The entries in these segments.
    pub indexes: Range<u64>,
}

impl Erasure {
    /// What an `erase-intent` or `erase-done` entry says; `None` for any other entry, or a malformed one.
    pub fn from_control(entry: &Map<String, Value>) -> Option<Self> {
        let number = |name: &str| entry.get(name)?.as_u64();
        let text = |name: &str| Some(entry.get(name)?.as_str()?.to_owned());
        if ![ERASE_INTENT, ERASE_DONE].contains(&entry.get("type")?.as_str()?) {
            return None;
        }
        let keys = entry.get("keys")?.as_array()?.iter().map(key_from_json);
        let segments = entry.get("segments")?.as_array()?.iter().map(Value::as_u64);
        let erasure = Self {
            keys: keys.collect::<Option<_>>()?,
            ground: text("ground")?,
            by: text("by")?,
            segments: segments.collect::<Option<_>>()?,
            indexes: number("first")?..number("end")?,
        };
        let consecutive = erasure
            .segments
            .windows(2)
            .all(|pair| matches!(pair, [one, next] if one.checked_add(1) == Some(*next)));
        let Range { start, end } = erasure.indexes;
        (consecutive && start <= end).then_some(erasure)
    }

    /// The intent, or the done of the intent at this index.
    pub(super) fn to_control(&self, intent: Option<u64>, time_ms: u64) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(key_to_json).collect();
        let mut entry = json!({
            "type": ERASE_INTENT,
            "keys": keys,
            "segments": self.segments,
            "first": self.indexes.start,
            "end": self.indexes.end,
            "ground": self.ground,
            "by": self.by,
            "time_ms": time_ms,
        });
        if let Some(intent) = intent {
            entry["type"] = ERASE_DONE.into();
            entry["intent"] = intent.into();
        }
        entry
    }

    /// Ids of the keys, in their order.
    pub(crate) fn key_ids(&self) -> Vec<u32> {
        self.keys.iter().map(|use_| use_.id).collect()
    }
}

fn key_to_json(use_: &KeyUse) -> Value {
    json!({
        "id": use_.id,
        "group": group_name(use_.group),
        "class": use_.class.0,
        "period": use_.period.to_string(),
    })
}

fn key_from_json(key: &Value) -> Option<KeyUse> {
    let group = key.get("group")?.as_str()?;
    Some(KeyUse {
        id: key.get("id")?.as_u64()?.try_into().ok()?,
        group: Group::ALL.into_iter().find(|known| group_name(*known) == group)?,
        class: RetentionClass(key.get("class")?.as_u64()?.try_into().ok()?),
        period: key.get("period")?.as_str()?.parse().ok()?,
    })
}

const fn group_name(group: Group) -> &'static str {
    match group {
        Group::A => "A",
        Group::B => "B",
    }
}

/// An erasure that fits the log as it is. Made by [`Log::plan_erasure`](super::Log::plan_erasure) only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasurePlan(pub(super) Erasure);

impl ErasurePlan {
    /// What it takes away.
    pub const fn erasure(&self) -> &Erasure {
        &self.0
    }
}

/// The erasures of a log, gathered from its control entries in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Erasures {
    /// Begun and not done, by index of the intent.
    open: BTreeMap<u64, Erasure>,
    done_keys: BTreeSet<u32>,
    /// All entries below were in unlinked segments, according to a done.
    done_end: u64,
    /// According to an intent: the highest segment that may be missing, all below it as well, and the end of
    /// the entries in them.
    named: (u64, u64),
    highest_key: u32,
}

impl Erasures {
    /// Takes in the next control entry.
    pub(crate) fn control(&mut self, index: u64, entry: &Map<String, Value>) {
        let Some(erasure) = Erasure::from_control(entry) else {
            return;
        };
        let highest = erasure.keys.iter().map(|use_| use_.id).max();
        self.highest_key = self.highest_key.max(highest.unwrap_or_default());
        if entry.get("type").is_some_and(|kind| kind == ERASE_INTENT) {
            // Only a beginning is ever unlinked, so each goes on where another ended.
            if let (Some(first), Some(last)) = (erasure.segments.first(), erasure.segments.last())
                && *first <= self.named.0.saturating_add(1)
                && *last > self.named.0
            {
                self.named = (*last, erasure.indexes.end);
            }
            self.open.insert(index, erasure);
            return;
        }
        let intent = entry.get("intent").and_then(Value::as_u64).unwrap_or(index);
        if self.open.get(&intent) == Some(&erasure) {
            self.open.remove(&intent);
            self.done_keys.extend(erasure.keys.iter().map(|use_| use_.id));
            if erasure.indexes.start <= self.done_end {
                self.done_end = self.done_end.max(erasure.indexes.end);
            }
        }
    }

    /// The one that is not done, and the index of its intent.
    pub(crate) fn unfinished(&self) -> Option<(u64, &Erasure)> {
        self.open
            .first_key_value()
            .map(|(intent, erasure)| (*intent, erasure))
    }

    /// The key was destroyed by an erasure that is done.
    pub(crate) fn has_key(&self, id: u32) -> bool {
        self.done_keys.contains(&id)
    }

    /// The frames of all entries below this were unlinked by erasures that are done.
    pub(crate) const fn done_end(&self) -> u64 {
        self.done_end
    }

    /// Up to which segment an intent allows them to be missing, and the end of the entries in those.
    pub(crate) const fn named(&self) -> (u64, u64) {
        self.named
    }

    /// Highest id of a key that was to be destroyed.
    pub(crate) const fn highest_key(&self) -> u32 {
        self.highest_key
    }
}

#[cfg(test)]
#[path = "erasure_tests.rs"]
mod tests;
