//! A change of key epoch as a public entry of the log.

use hitmachine_audit::{Draft, DraftError, StoredContent};
use hitmachine_core::PartnerId;
use hitmachine_core::epoch::{EpochChange, EpochKeys, EpochState};
use hitmachine_pseudonym::KeyEpoch;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The type of the control entry.
const TYPE: &str = "epoch";

/// The entry of one step.
///
/// # Errors
/// [`DraftError::TooLong`] if too many partners are left behind.
pub(super) fn draft(change: &EpochChange) -> Result<Draft, DraftError> {
    let without: Vec<&str> = change.without.iter().map(PartnerId::as_str).collect();
    let mut entry = json!({
        "type": TYPE,
        "number": change.keys.number.get(),
        "state": change.state.as_str(),
        "scheme": change.keys.scheme.as_str(),
        "kcv": change.keys.key_check_value.to_string(),
        "time_ms": change.time.as_millisecond(),
    });
    if let (Some(object), false) = (entry.as_object_mut(), without.is_empty()) {
        object.insert("without".into(), json!(without));
    }
    Draft::control(&entry)
}

/// An entry of this type that cannot be read: the log of a newer program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The step in a control entry; `None` if it is about something else.
pub(crate) fn of_content(content: &StoredContent) -> Option<Result<EpochChange, Unreadable>> {
    let StoredContent::Control(content) = content else {
        return None;
    };
    (content.get("type").and_then(Value::as_str)? == TYPE).then(|| read(content).ok_or(Unreadable))
}

fn read(content: &Map<String, Value>) -> Option<EpochChange> {
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    let number = content.get("number").and_then(Value::as_u64)?;
    let without = match content.get("without") {
        None => Vec::new(),
        Some(names) => names
            .as_array()?
            .iter()
            .map(|name| name.as_str()?.parse::<PartnerId>().ok())
            .collect::<Option<_>>()?,
    };
    Some(EpochChange {
        keys: EpochKeys {
            number: KeyEpoch::new(u32::try_from(number).ok()?)?,
            scheme: text("scheme")?.parse().ok()?,
            key_check_value: text("kcv")?.parse().ok()?,
        },
        state: EpochState::from_word(text("state")?)?,
        time: Timestamp::from_millisecond(content.get("time_ms").and_then(Value::as_i64)?).ok()?,
        without,
    })
}

#[cfg(test)]
mod tests {
    use hitmachine_pseudonym::{KeyCheckValue, Scheme};

    use super::*;

    fn stored(value: &Value) -> StoredContent {
        StoredContent::Control(value.as_object().unwrap().clone())
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let change = EpochChange {
            keys: EpochKeys {
                number: KeyEpoch::new(2).unwrap(),
                scheme: Scheme::HmacSha256,
                key_check_value: KeyCheckValue::from_bytes([0xab; 8]),
            },
            state: EpochState::Active,
            time: Timestamp::from_millisecond(1_800_000_000_123).unwrap(),
            without: vec!["om".parse().unwrap()],
        };
        draft(&change).unwrap();
        let entry = json!({
            "type": "epoch", "number": 2, "state": "active", "scheme": "hmac-sha256", "kcv": "abababababababab",
            "time_ms": 1_800_000_000_123_i64, "without": ["om"],
        });
        assert_eq!(of_content(&stored(&entry)), Some(Ok(change)));
        assert_eq!(of_content(&stored(&json!({"type": "alarm"}))), None);
        for (name, bad) in [
            ("number", json!(0)),
            ("state", json!("gone")),
            ("without", json!([1])),
        ] {
            let mut changed = entry.clone();
            changed.as_object_mut().unwrap().insert(name.into(), bad);
            assert_eq!(of_content(&stored(&changed)), Some(Err(Unreadable)), "{name}");
        }
    }
}
