//! What is handed in to be logged.

use serde_json::{Map, Value};

use crate::{
    fields::{Fields, Group, group_len},
    frame,
    keyring::TAG,
    period::RetentionClass,
};

/// Longest control entry: with its type byte it must fit the 16-bit length of an entry bundle (C2SP
/// tlog-tiles).
const MAX_CONTROL: usize = 65_534;

/// Types of the control entries that only the log itself writes.
const RESERVED: [&str; 3] = [RECOVERED, ERASE_INTENT, ERASE_DONE];
pub(crate) const RECOVERED: &str = "recovered";
pub(crate) const ERASE_INTENT: &str = "erase-intent";
pub(crate) const ERASE_DONE: &str = "erase-done";

/// Why a control entry was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// Not an object with a text under `type`.
    #[error("control entry is not a JSON object with a type")]
    NoType,
    /// More than 65,534 bytes of JSON.
    #[error("control entry is too long")]
    TooLong,
    /// Only the log itself writes entries of this type: they decide what may be missing.
    #[error("control entries of this type are written by the log itself")]
    Reserved,
}

impl DraftError {
    /// Stable name for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoType => "control_type",
            Self::TooLong => "control_too_long",
            Self::Reserved => "control_reserved",
        }
    }
}

/// An entry that is not in the log yet. `Debug` shows no values.
#[derive(Debug, Clone)]
pub struct Draft(pub(crate) Content);

#[derive(Clone)]
pub(crate) enum Content {
    Payload(Fields, RetentionClass),
    /// The JSON bytes exactly as they are hashed.
    Control(Vec<u8>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Payload(fields, class) => f.debug_tuple("Payload").field(fields).field(class).finish(),
            Self::Control(json) => write!(f, "Control({} bytes)", json.len()),
        }
    }
}

impl Draft {
    /// An entry with these fields, sealed under the keys of this class and the month of the commit.
    pub const fn payload(fields: Fields, class: RetentionClass) -> Self {
        Self(Content::Payload(fields, class))
    }

    /// A **public** control entry: everybody who mirrors the log reads it, and it is never erased. No
    /// personal data.
    ///
    /// # Errors
    /// [`DraftError::NoType`] unless `entry` is an object with a text under `type`; [`DraftError::TooLong`];
    /// [`DraftError::Reserved`] for `recovered`, `erase-intent` and `erase-done`.
    pub fn control(entry: &Value) -> Result<Self, DraftError> {
        let kind = entry.get("type").and_then(Value::as_str);
        if kind.is_some_and(|kind| RESERVED.contains(&kind)) {
            return Err(DraftError::Reserved);
        }
        Self::own_control(entry)
    }

    /// As [`control`](Self::control), of any type.
    pub(crate) fn own_control(entry: &Value) -> Result<Self, DraftError> {
        let kind = entry.as_object().and_then(|entry| entry.get("type"));
        if !kind.is_some_and(Value::is_string) {
            return Err(DraftError::NoType);
        }
        let json = entry.to_string().into_bytes();
        if json.len() > MAX_CONTROL {
            return Err(DraftError::TooLong);
        }
        Ok(Self(Content::Control(json)))
    }

    /// What it says, if it is an entry about a question or an officer's action; `None` for a control entry.
    pub const fn fields(&self) -> Option<&Fields> {
        match &self.0 {
            Content::Payload(fields, _) => Some(fields),
            Content::Control(_) => None,
        }
    }

    /// Bytes of its record in a frame.
    pub fn record_len(&self) -> usize {
        match &self.0 {
            Content::Payload(fields, _) => {
                let sealed = |group| group_len(fields, group) + TAG;
                frame::payload_len(sealed(Group::A), sealed(Group::B))
            }
            Content::Control(json) => frame::control_len(json.len()),
        }
    }
}

/// The object in the bytes of a control entry.
pub(crate) fn parse_control(json: &[u8]) -> Option<Map<String, Value>> {
    let entry: Map<String, Value> = serde_json::from_slice(json).ok()?;
    entry.get("type")?.is_string().then_some(entry)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_entries_are_typed_objects_of_bounded_length() {
        for bad in [
            json!(null),
            json!("policy"),
            json!(["type"]),
            json!({}),
            json!({"type": 1}),
        ] {
            assert_eq!(Draft::control(&bad).unwrap_err(), DraftError::NoType, "{bad}");
        }
        for kind in RESERVED {
            let entry = json!({"type": kind});
            assert_eq!(
                Draft::control(&entry).unwrap_err(),
                DraftError::Reserved,
                "{kind}"
            );
            assert!(Draft::own_control(&entry).is_ok());
        }
        let long = |bytes: usize| json!({"type": "x".repeat(bytes - r#"{"type":""}"#.len())});
        assert_eq!(
            Draft::control(&long(MAX_CONTROL + 1)).unwrap_err(),
            DraftError::TooLong
        );
        let longest = Draft::control(&long(MAX_CONTROL)).unwrap();
        assert_eq!(longest.record_len(), 3 + MAX_CONTROL);
        let Content::Control(json) = longest.0 else {
            panic!("a control entry")
        };
        assert!(parse_control(&json).is_some());
        assert_eq!(parse_control(b"[]"), None);
    }
}
