//! Configuration files of hub and node: what is wrong is said with line and field, and without the text that stands there.

use std::ffi::OsString;
use std::fs;

use hitmachine_broker::BrokerConfig;
use hitmachine_node::NodeConfig;
use hitmachine_node::source::Source;
use hitmachine_service::config::{ConfigError, Origin, load_with};
use toml::Value;

/// Fewest characters of a text that an error may not repeat: shorter ones stand in other words by chance.
const PART: usize = 10;

/// The target.
pub fn check(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    fs::write(&path, input).unwrap();
    let none = || std::iter::empty::<(OsString, OsString)>();
    let node = load_with::<NodeConfig>(&path, "HITMACHINE_NODE_", none());
    let broker = load_with::<BrokerConfig>(&path, "HITMACHINE_BROKER_", none());
    assert!(node.is_err() || broker.is_err(), "a file is for one of them");
    for error in [node.err(), broker.err()].into_iter().flatten() {
        is_safe(&error, input);
    }
    // As the text of a variable in a file that is whole.
    if let Ok(text) = std::str::from_utf8(input)
        && !text.contains('\0')
    {
        variable(text);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(source) = toml::from_str::<Source>(text) {
        assert!(!source.name.trim().is_empty() || source.watched().is_some());
    }
}

fn variable(text: &str) {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/node.toml");
    for name in [
        "PARTNER",
        "BROKER__TIMEOUT_SECONDS",
        "SYNC",
        "SOURCE",
        "AUDIT__WITNESS__NAME",
    ] {
        let variable = (
            OsString::from(format!("HITMACHINE_NODE_{name}")),
            OsString::from(text),
        );
        let read = load_with::<NodeConfig>(sample.as_ref(), "HITMACHINE_NODE_", [variable]);
        let Err(error) = read else {
            continue;
        };
        let ConfigError::Invalid { origin, .. } = &error else {
            continue;
        };
        // What is wrong is the variable's, or the part of the file that it made incomplete.
        assert!(
            matches!(origin, Origin::Variable(named) if named.ends_with(name))
                || name == "SYNC"
                || name == "SOURCE"
        );
        no_text(&error.to_string(), &Value::String(text.to_owned()));
        if let Ok(Value::Table(table)) = format!("x = {text}").parse::<toml::Table>().map(Value::Table) {
            no_text(&error.to_string(), &Value::Table(table));
        }
    }
}

fn is_safe(error: &ConfigError, input: &[u8]) {
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count();
    if let ConfigError::Invalid {
        origin: Origin::Line(line),
        problem,
        ..
    } = error
    {
        assert!((1..=lines).contains(line), "{error}");
        assert!(!problem.contains('\n'), "one line: {error}");
    }
    let Ok(Value::Table(table)) = String::from_utf8_lossy(input)
        .parse::<toml::Table>()
        .map(Value::Table)
    else {
        return;
    };
    no_text(&error.to_string(), &Value::Table(table));
}

/// No text of the file stands in what is said, unless it is the name of a field.
fn no_text(said: &str, value: &Value) {
    match value {
        Value::String(text) => {
            let long =
                text.chars().count() >= PART && text.chars().any(|character| character.is_ascii_digit());
            assert!(
                !long || !said.contains(text.as_str()),
                "a text of the file in: {said}"
            );
        }
        Value::Array(items) => items.iter().for_each(|item| no_text(said, item)),
        Value::Table(table) => table.values().for_each(|item| no_text(said, item)),
        _ => {}
    }
}
