//! Two covenants that differ from a whole one in what the two halves of the input say: there are words for it if and only
//! if something changed, and in the other direction they say the opposite.

use std::sync::LazyLock;

use hitmachine_core::Covenant;
use hitmachine_core::covenant::difference;
use hitmachine_core::covenant::difference::{ChangeKind, Subject, Value};
use toml::Value as Toml;

use super::SAMPLE;

static WHOLE: LazyLock<Toml> = LazyLock::new(|| Toml::Table(SAMPLE.parse().unwrap()));

/// What is put in the place of other texts, beside texts of the input itself.
const TEXTS: [&str; 10] = [
    "om",
    "leerplicht",
    "veiligheidshuis",
    "minor",
    "adult",
    "live",
    "index",
    "signalering",
    "2029-02-28",
    "12:30",
];
/// The most edits of one covenant.
const EDITS: usize = 6;

/// The target.
pub fn check(input: &[u8]) {
    let (one, other) = input.split_at(input.len() / 2);
    let (Some(old), Some(new)) = (edited(one), edited(other)) else {
        return;
    };
    let (there, back) = (difference(&old, &new), difference(&new, &old));
    assert_eq!(there.is_empty(), facts(&old) == facts(&new), "{there:?}");
    assert_eq!(there.len(), back.len(), "{there:?} {back:?}");
    for change in &there {
        for text in [change.text_nl(), change.text_en()] {
            let one_line = !text.trim().is_empty() && !text.chars().any(char::is_control);
            assert!(one_line, "{text:?}");
        }
        let opposite = back.iter().any(|other| {
            part(&other.subject) == part(&change.subject)
                && other.field == change.field
                && kind(&other.kind, true) == kind(&change.kind, false)
        });
        assert!(opposite, "{change:?} is not undone by {back:?}");
    }
}

/// The whole covenant with the edits that these bytes say, if it is still one.
fn edited(mut bytes: &[u8]) -> Option<Covenant> {
    let mut covenant = WHOLE.clone();
    for _ in 0..EDITS {
        let Some(([place, how], rest)) = bytes.split_first_chunk() else {
            break;
        };
        let length = usize::from(how >> 4).min(rest.len());
        let (text, rest) = rest.split_at(length);
        bytes = rest;
        let mut left = usize::from(*place);
        edit(&mut covenant, &mut left, *how, text);
    }
    Covenant::parse(toml::to_string(&covenant).ok()?.as_bytes()).ok()
}

/// Edits the value with this number, counted through the tree as it is now; a number past the end edits nothing.
fn edit(value: &mut Toml, left: &mut usize, how: u8, text: &[u8]) -> bool {
    if *left == 0 {
        change(value, how, text);
        return true;
    }
    *left -= 1;
    match value {
        Toml::Table(table) => table.iter_mut().any(|(_, inner)| edit(inner, left, how, text)),
        Toml::Array(items) => items.iter_mut().any(|inner| edit(inner, left, how, text)),
        _ => false,
    }
}

fn change(value: &mut Toml, how: u8, text: &[u8]) {
    let choice = usize::from(how & 15);
    match value {
        Toml::String(held) => {
            *held = TEXTS.get(choice).map_or_else(
                || String::from_utf8_lossy(text).into_owned(),
                |text| (*text).to_owned(),
            );
        }
        Toml::Integer(number) => *number = text.first().map_or(*number + 1, |byte| i64::from(*byte)),
        Toml::Boolean(held) => *held = !*held,
        Toml::Array(items) if choice & 1 == 0 => items.reverse(),
        Toml::Array(items) if choice & 2 == 0 => {
            items.pop();
        }
        Toml::Array(items) => items.extend(items.first().cloned()),
        Toml::Table(table) => {
            if let Some(name) = table.keys().nth(choice % table.len().max(1)).cloned() {
                table.remove(&name);
            }
        }
        _ => {}
    }
}

/// All that a covenant says, but for what nothing depends on: version, order where it means nothing, repetitions.
fn facts(covenant: &Covenant) -> String {
    let mut partners = covenant.partners().to_vec();
    partners.sort_by(|one, other| one.id.cmp(&other.id));
    for partner in &mut partners {
        partner.registers.sort_unstable();
        partner.registers.dedup();
        partner.key_pins.sort_unstable();
        partner.key_pins.dedup();
        partner.signing_keys.sort_by_key(ToString::to_string);
        partner.signing_keys.dedup();
    }
    let mut purposes = covenant.purposes().to_vec();
    purposes.sort_by(|one, other| one.code.cmp(&other.code));
    for purpose in &mut purposes {
        purpose.askers.sort();
        purpose.notifies.sort();
        purpose.roles.sort();
        purpose.askers.dedup();
        purpose.notifies.dedup();
        purpose.roles.dedup();
    }
    let mut officers = covenant.officers().to_vec();
    officers.sort_by(|one, other| one.partner.cmp(&other.partner));
    for officer in &mut officers {
        officer.roles.sort();
        officer.roles.dedup();
    }
    let mut quotas: Vec<String> = covenant
        .quotas()
        .iter()
        .map(|quota| format!("{quota:?}"))
        .collect();
    quotas.sort();
    quotas.dedup();
    let administrators = covenant.administrators().map(|held| {
        let mut keys: Vec<String> = held.keys().iter().map(ToString::to_string).collect();
        keys.sort();
        (held.needed(), keys)
    });
    let whole = (
        covenant.id(),
        covenant.title(),
        covenant.number(),
        covenant.validity(),
        covenant.deployment(),
    );
    let limits = (covenant.terms(), covenant.alarm_rules(), quotas);
    format!("{whole:?} {administrators:?} {limits:?} {partners:?} {purposes:?} {officers:?}")
}

/// Which part it is, without names for people: in either direction the newer covenant's are shown.
fn part(subject: &Subject) -> String {
    let quota = match subject {
        Subject::Quota(name) => Some((
            name.each_user,
            name.partner.as_ref().map(|(id, _)| id),
            &name.purpose,
        )),
        _ => None,
    };
    format!("{} {:?} {quota:?}", subject.table(), subject.which())
}

/// What happened, or what undoes it.
fn kind(kind: &ChangeKind, undone: bool) -> String {
    let word = |forth, back| if undone { back } else { forth };
    match kind {
        ChangeKind::Added => word("came", "went").to_owned(),
        ChangeKind::Removed => word("went", "came").to_owned(),
        ChangeKind::Gained(one) => format!("{} {}", word("more", "less"), value(one)),
        ChangeKind::Lost(one) => format!("{} {}", word("less", "more"), value(one)),
        ChangeKind::Set { from, to } if undone => format!("{} {}", value(to), value(from)),
        ChangeKind::Set { from, to } => format!("{} {}", value(from), value(to)),
        ChangeKind::Reordered => "order".to_owned(),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Partner(id, _) => id.to_string(),
        other => format!("{other:?}"),
    }
}
