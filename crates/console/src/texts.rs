//! The words on the pages, in one place for translation: `texts/nl/*.toml` and `texts/en/*.toml`, a file for each part of the
//! console. A text is found by `part.name`; `{0}`, `{1}` … in it are filled in.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hitmachine_node::language::Language;

/// Texts of one language, by `part.name`.
type Texts = BTreeMap<String, String>;

macro_rules! parts {
    ($($part:literal),* $(,)?) => {
        /// Each part's file in Dutch and in English.
        const PARTS: &[(&str, &str, &str)] = &[$((
            $part,
            include_str!(concat!("../texts/nl/", $part, ".toml")),
            include_str!(concat!("../texts/en/", $part, ".toml")),
        )),*];
    };
}

parts!(
    "account",
    "admin",
    "ask",
    "common",
    "dashboard",
    "notice",
    "officer",
    "oidc",
    "review",
    "screening",
    "sign_in",
    "users",
);

static DUTCH: LazyLock<Texts> = LazyLock::new(|| read(|(_, nl, _)| nl));
static ENGLISH: LazyLock<Texts> = LazyLock::new(|| read(|(_, _, en)| en));

/// A file that is no TOML has no texts; the tests would see it.
fn read(of: fn(&(&str, &'static str, &'static str)) -> &'static str) -> Texts {
    let mut texts = Texts::new();
    for part in PARTS {
        let names: Texts = toml::from_str(of(part)).unwrap_or_default();
        texts.extend(
            names
                .into_iter()
                .map(|(name, text)| (format!("{}.{name}", part.0), text)),
        );
    }
    texts
}

/// The text of a name. One that is not there is shown by its name; the tests see to it that none is.
pub(crate) fn text(language: Language, name: &str) -> &'static str {
    let texts: &'static Texts = match language {
        Language::Nl => &DUTCH,
        Language::En => &ENGLISH,
    };
    texts.get(name).map_or("?", String::as_str)
}

/// The same with `{0}`, `{1}` … filled in.
pub(crate) fn filled(language: Language, name: &str, values: &[&dyn std::fmt::Display]) -> String {
    let mut text = text(language, name).to_owned();
    for (place, value) in values.iter().enumerate() {
        text = text.replace(&format!("{{{place}}}"), &value.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Every `t("…")` and `text(…, "…")` in templates and sources.
    fn used() -> BTreeSet<String> {
        fn look(dir: &Path, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look(&path, found);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split('"') {
                    let is_name = part.split_once('.').is_some_and(|(file, name)| {
                        PARTS.iter().any(|(part, ..)| *part == file)
                            && !name.is_empty()
                            && name.bytes().all(|byte| {
                                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
                            })
                    });
                    if is_name
                        && !["html", "toml", "rs", "css", "js"]
                            .iter()
                            .any(|end| part.ends_with(&format!(".{end}")))
                    {
                        found.insert(part.to_owned());
                    }
                }
            }
        }
        let mut found = BTreeSet::new();
        for dir in ["templates", "src"] {
            look(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut found);
        }
        found
    }

    #[test]
    fn every_text_is_there_in_both_languages_and_used() {
        for (part, nl, en) in PARTS {
            for file in [nl, en] {
                toml::from_str::<Texts>(file).unwrap_or_else(|error| panic!("{part}: {error}"));
            }
        }
        let names = |texts: &Texts| texts.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&DUTCH), names(&ENGLISH));
        assert_eq!(names(&DUTCH), used(), "left: there, right: used");
        for (name, dutch) in DUTCH.iter() {
            let english = &ENGLISH[name];
            for place in 0..6 {
                let place = format!("{{{place}}}");
                assert_eq!(dutch.contains(&place), english.contains(&place), "{name} {place}");
            }
        }
    }
}
