//! One TOML file per process, unknown fields refused, single settings overridable by the environment.
//!
//! Secrets do not belong here: a configuration names key *files* (see [`crate::secret`]).

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Variables under the prefix that programs use to find the file itself; they are no fields of it.
const NOT_FIELDS: [&str; 1] = ["CONFIG"];

/// Where a setting came from, for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Line of the file, counted from 1.
    Line(usize),
    /// Name of the environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Why a configuration was not taken. Texts of the file are not repeated: somebody may have pasted a key into it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is missing, unreadable or not UTF-8.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML, a field is unknown or missing, or a value is of the wrong kind.
    #[error("{}, {origin}{}: {problem}", path.display(), in_field(field))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, or the environment variable that overrides it.
        origin: Origin,
        /// Dotted path of the field or of the table it is missing from; empty at the top.
        field: String,
        /// What is wrong, without the value.
        problem: String,
    },
    /// An environment variable is not Unicode or does not name a field (`__` between the parts).
    #[error("environment variable {name} cannot override a field: {problem}")]
    Override {
        /// Name of the variable.
        name: String,
        /// Why not.
        problem: &'static str,
    },
}

fn in_field(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!(", {field}")
    }
}

/// Reads the configuration file at `path`, with overrides from the environment.
///
/// A variable `<env_prefix>LISTEN` replaces the field `listen`, `<env_prefix>LIMITS__MAX_CONNECTIONS` the field
/// `max_connections` in `[limits]`. The prefix ends in `_`: `HITMACHINE_BROKER_`. The text is read as a TOML value
/// (`1024`, `true`, `["a"]`) and as a string if it is none; put quotes around it to force a string. The variable
/// `<env_prefix>CONFIG` is left alone: programs use it for the path of this file.
///
/// `T` should carry `#[serde(deny_unknown_fields)]`, also on the structs inside it.
///
/// # Errors
/// [`ConfigError`]: it names the file, line and field, or the environment variable.
pub fn load<T: DeserializeOwned>(path: &Path, env_prefix: &str) -> Result<T, ConfigError> {
    load_with(path, env_prefix, std::env::vars_os())
}

/// [`load`] with the environment given, for tests and for programs that start others.
///
/// # Errors
/// See [`load`].
pub fn load_with<T: DeserializeOwned>(
    path: &Path,
    env_prefix: &str,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let overrides = overrides(env_prefix, env)?;
    let invalid = |error: &toml::de::Error| {
        let origin = match error.span() {
            // Values from the environment carry a span behind the end of the file: see `insert`.
            Some(span) if span.start > text.len() => {
                let at = span.start - text.len() - 1;
                Origin::Variable(overrides.get(at).map(|one| one.name.clone()).unwrap_or_default())
            }
            Some(span) => Origin::Line(line_of(&text, span.start)),
            None => Origin::Line(1),
        };
        let field = field_of(error);
        ConfigError::Invalid {
            path: path.to_owned(),
            origin,
            field,
            problem: without_values(error.message()),
        }
    };

    let mut table = DeTable::parse(&text).map_err(|error| invalid(&error))?;
    for (index, one) in overrides.iter().enumerate() {
        let at = text.len() + 1 + index;
        insert(table.get_mut(), &one.keys, value_of(&one.value, at), at).map_err(|problem| {
            ConfigError::Override {
                name: one.name.clone(),
                problem,
            }
        })?;
    }
    T::deserialize(toml::de::Deserializer::from(table)).map_err(|mut error| {
        error.set_input(None);
        invalid(&error)
    })
}

/// A path that stands in the configuration file `config_file`, seen from the folder of that file. Absolute paths and
/// credential names (`credential:node-key`, see [`crate::secret`]) come back as they are.
pub fn resolve(config_file: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    if crate::secret::credential_name(path).is_some() {
        return path.to_owned();
    }
    config_file
        .parent()
        .map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

struct Override {
    name: String,
    keys: Vec<String>,
    value: String,
}

/// The overrides in `env`, in the order of their names so that a result never depends on the environment's order.
fn overrides(
    prefix: &str,
    env: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<Override>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in env {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(prefix) else {
            continue;
        };
        if NOT_FIELDS.contains(&rest) {
            continue;
        }
        let fail = |problem| ConfigError::Override {
            name: name.to_owned(),
            problem,
        };
        let keys: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        if keys.iter().any(String::is_empty) {
            return Err(fail("a part of the name is empty"));
        }
        let value = value.into_string().map_err(|_| fail("its text is not Unicode"))?;
        found.push(Override {
            name: name.to_owned(),
            keys,
            value,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn value_of(text: &str, at: usize) -> DeValue<'_> {
    match DeValue::parse(text) {
        Ok(value) => moved(value.into_inner(), at),
        Err(_) => DeValue::String(Cow::Borrowed(text)),
    }
}

/// `value` with everything inside it at `at`: errors deep inside must point at the variable, not at a line of the
/// file that happens to have the same number.
fn moved(value: DeValue<'_>, at: usize) -> DeValue<'_> {
    match value {
        DeValue::Array(items) => DeValue::Array(
            items
                .into_iter()
                .map(|item| Spanned::new(at..at, moved(item.into_inner(), at)))
                .collect(),
        ),
        DeValue::Table(fields) => {
            let place = |(key, value): (Spanned<_>, Spanned<_>)| {
                (
                    Spanned::new(at..at, key.into_inner()),
                    Spanned::new(at..at, moved(value.into_inner(), at)),
                )
            };
            DeValue::Table(fields.into_iter().map(place).collect())
        }
        plain => plain,
    }
}

fn insert<'a>(
    table: &mut DeTable<'a>,
    keys: &[String],
    value: DeValue<'a>,
    at: usize,
) -> Result<(), &'static str> {
    let Some((first, rest)) = keys.split_first() else {
        return Err("it names no field");
    };
    let key = || Spanned::new(at..at, Cow::Owned(first.clone()));
    if rest.is_empty() {
        // Taken out first: a map keeps the old key, and with it the line of the value that no longer counts.
        table.remove(first.as_str());
        table.insert(key(), Spanned::new(at..at, value));
        return Ok(());
    }
    if !table.contains_key(first.as_str()) {
        table.insert(key(), Spanned::new(at..at, DeValue::Table(DeTable::new())));
    }
    match table.get_mut(first.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => insert(inner, rest, value, at),
        _ => Err("a part of its name is no table in the file"),
    }
}

fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

/// The dotted path in a TOML error. The library shows it only in its text, on the last line, and only when it does
/// not show the line of the file itself.
fn field_of(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.strip_prefix("in `")
        .and_then(|rest| rest.strip_suffix('`'))
        .unwrap_or_default()
        .to_owned()
}

/// serde repeats a string of the wrong type in full: `invalid type: string "…", expected u16`. Leaves it out.
fn without_values(message: &str) -> String {
    // serde: "invalid type: integer `5`, expected a string", "unknown variant `x`, expected `a` or `b`".
    let with_value = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
    ];
    if !with_value.iter().any(|start| message.starts_with(start)) {
        return match message.split_once("string \"") {
            Some((head, _)) => format!("{head}string"),
            None => message.to_owned(),
        };
    }
    let what = message.split(['`', '"']).next().unwrap_or_default().trim_end();
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{what}, expected {expected}"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        listen: String,
        #[serde(default)]
        names: Vec<String>,
        #[serde(default)]
        limits: Limits,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        #[serde(default)]
        max_connections: u16,
    }

    const FILE: &str = "# sample\nlisten = \"127.0.0.1:1\"\n\n[limits]\nmax_connections = 7\n";

    fn read(file: &str, env: &[(&str, &str)]) -> Result<Sample, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.toml");
        fs::write(&path, file).unwrap();
        load_with(
            &path,
            "HM_",
            env.iter().map(|(name, value)| (name.into(), value.into())),
        )
    }

    fn invalid(file: &str, env: &[(&str, &str)]) -> (Origin, String, String) {
        match read(file, env) {
            Err(ConfigError::Invalid {
                origin,
                field,
                problem,
                path,
            }) => {
                assert!(path.ends_with("broker.toml"));
                (origin, field, problem)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_alone() {
        let sample = read(FILE, &[("OTHER_LISTEN", "x"), ("HM_CONFIG", "/etc/x")]).unwrap();
        assert_eq!(sample.listen, "127.0.0.1:1");
        assert_eq!(sample.limits.max_connections, 7);
    }

    #[test]
    fn the_environment_wins_and_reaches_into_tables() {
        let env = [
            ("HM_LISTEN", "127.0.0.1:2"),
            ("HM_LIMITS__MAX_CONNECTIONS", "9"),
            ("HM_NAMES", "[\"a\", \"b\"]"),
        ];
        for file in [FILE, "listen = \"x\"\n"] {
            let sample = read(file, &env).unwrap();
            assert_eq!(sample.listen, "127.0.0.1:2");
            assert_eq!(sample.limits.max_connections, 9);
            assert_eq!(sample.names, ["a", "b"]);
        }
        // Not a way to slip a second field in.
        let sample = read(FILE, &[("HM_LISTEN", "\"x\"\nnames = [\"y\"]")]).unwrap();
        assert_eq!(
            (sample.listen.as_str(), sample.names.len()),
            ("\"x\"\nnames = [\"y\"]", 0)
        );
    }

    #[test]
    fn errors_name_file_line_and_field_but_no_value() {
        let cases = [
            (
                "unknown field",
                "listen = \"x\"\nlissten = 1\n",
                Origin::Line(2),
                "",
                "unknown field `lissten`",
            ),
            (
                "unknown nested",
                "listen = \"x\"\n[limits]\nmax = 1\n",
                Origin::Line(3),
                "limits",
                "unknown field `max`",
            ),
            (
                "missing",
                "[limits]\n",
                Origin::Line(1),
                "",
                "missing field `listen`",
            ),
            (
                "wrong type",
                "listen = \"x\"\n[limits]\nmax_connections = \"s3cret\"\n",
                Origin::Line(3),
                "limits.max_connections",
                "invalid type: string, expected u16",
            ),
            (
                "syntax",
                "listen = \"x\"\n\nlimits = [\n",
                Origin::Line(3),
                "",
                "unclosed array",
            ),
        ];
        for (name, file, origin, field, problem) in cases {
            let found = invalid(file, &[]);
            assert_eq!(
                (&found.0, found.1.as_str()),
                (&origin, field),
                "{name}: {found:?}"
            );
            assert!(found.2.contains(problem), "{name}: {found:?}");
            assert!(!found.2.contains("s3cret"), "{name}: {found:?}");
        }
    }

    #[test]
    fn errors_from_the_environment_name_the_variable() {
        let variable = |name: &str| Origin::Variable(name.to_owned());
        let name = "HM_LIMITS__MAX_CONNECTIONS";
        assert_eq!(invalid(FILE, &[(name, "many")]).0, variable(name));
        assert_eq!(invalid(FILE, &[(name, "70000")]).0, variable(name));
        assert_eq!(
            invalid(FILE, &[("HM_LISTEN", "x"), ("HM_LISSTEN", "x")]).0,
            variable("HM_LISSTEN")
        );
        assert_eq!(
            invalid(FILE, &[("HM_LIMITS__MAX", "1")]).0,
            variable("HM_LIMITS__MAX")
        );
        assert_eq!(
            invalid(FILE, &[("HM_NAMES", "[\"a\", 1]")]).0,
            variable("HM_NAMES")
        );
        assert_eq!(
            invalid(FILE, &[("HM_LIMITS", "{ max = 1 }")]).0,
            variable("HM_LIMITS")
        );
        for name in ["HM_LISTEN__DEEPER", "HM_", "HM_LIMITS____X"] {
            match read(FILE, &[(name, "1")]) {
                Err(ConfigError::Override { name: found, .. }) => assert_eq!(found, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load_with::<Sample>(Path::new("/nowhere/node.toml"), "HM_", []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read configuration file /nowhere/node.toml"
        );
    }

    #[test]
    fn paths_are_seen_from_the_folder_of_the_file() {
        let file = Path::new("/etc/hitmachine/node.toml");
        for (given, expected) in [
            ("tls/node.pem", "/etc/hitmachine/tls/node.pem"),
            ("/var/key", "/var/key"),
            ("credential:node-key", "credential:node-key"),
        ] {
            assert_eq!(resolve(file, given), Path::new(expected), "{given}");
        }
        assert_eq!(resolve(Path::new("node.toml"), "a.pem"), Path::new("a.pem"));
    }

    #[test]
    fn no_kind_of_value_is_repeated() {
        for (message, expected) in [
            (
                "invalid type: integer `999900006`, expected a string",
                "invalid type: integer, expected a string",
            ),
            (
                "invalid type: string \"geheim, expected x\", expected u32",
                "invalid type: string, expected u32",
            ),
            (
                "invalid value: integer `-5`, expected u32",
                "invalid value: integer, expected u32",
            ),
            (
                "unknown variant `s3cret`, expected `text` or `json`",
                "unknown variant, expected `text` or `json`",
            ),
            (
                "unknown field `titel`, expected `title`",
                "unknown field `titel`, expected `title`",
            ),
            ("missing field `listen`", "missing field `listen`"),
        ] {
            assert_eq!(without_values(message), expected);
        }
    }
}
