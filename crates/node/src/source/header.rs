//! Finds the wanted columns by name, and says what is there without ever showing a person's data.

use super::issue::SourceError;

/// Most columns, and characters of each, that a message about the header shows.
const SHOWN_COLUMNS: usize = 20;
const SHOWN_CHARACTERS: usize = 40;
/// A header cell with this many digits is data: a BSN without its leading zeros still has seven.
pub(super) const DATA_DIGITS: usize = 7;

/// Where the `wanted` columns are among `names`, in the order they were asked for. Upper and lower case are the same.
pub(super) fn places(names: &[String], wanted: &[&str]) -> Result<Vec<usize>, SourceError> {
    let place = |wanted: &&str| {
        let wanted = wanted.trim();
        let mut places = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.to_lowercase() == wanted.to_lowercase());
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(SourceError::AmbiguousColumn {
                wanted: wanted.to_owned(),
            }),
            (None, _) => Err(missing(wanted, names)),
        }
    };
    wanted.iter().map(place).collect()
}

fn missing(wanted: &str, names: &[String]) -> SourceError {
    let wanted = wanted.to_owned();
    if names.iter().any(|name| is_data(name)) {
        return SourceError::NoHeaderRow { wanted };
    }
    SourceError::MissingColumn {
        wanted,
        found: listed(names),
    }
}

/// Whether it looks like a person's data rather than a name of something.
pub(super) fn is_data(name: &str) -> bool {
    name.chars().filter(|character| character.is_numeric()).count() >= DATA_DIGITS
}

/// Names, shortened, for a message.
pub(super) fn listed(names: &[String]) -> String {
    let mut found: Vec<String> = names.iter().take(SHOWN_COLUMNS).map(|name| shown(name)).collect();
    if names.len() > SHOWN_COLUMNS {
        found.push("…".into());
    }
    found.join(", ")
}

/// A name as messages show it: short, on one line, and not if it looks like a person's data.
pub(super) fn shown(name: &str) -> String {
    if is_data(name) {
        return "…".into();
    }
    let mut short: String = name
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    if name.chars().nth(SHOWN_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}
