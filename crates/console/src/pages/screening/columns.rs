//! Which column of an uploaded list is what: as its header tells, or as somebody chose.

use hitmachine_core::SubjectClass;
use hitmachine_node::source::households::HouseholdColumns;
use hitmachine_node::source::upload::Written;
use hitmachine_node::source::{ClassFrom, Delimiter, Encoding};

use crate::fields::Fields;

/// Where minor or adult comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    BirthDate(usize),
    Class(usize),
    Everybody(SubjectClass),
}

/// What was chosen, by place of the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) household: Option<usize>,
    pub(super) identifier: Option<usize>,
    pub(super) age: Option<Age>,
    pub(super) reference: Option<usize>,
    /// Leading zeros are missing, and are to be filled in.
    pub(super) numeric: bool,
}

impl Chosen {
    /// As the header tells.
    pub(super) fn of(written: &Written) -> Self {
        let known = written.known();
        let class = known.class.map(Age::Class);
        Self {
            household: known.household,
            identifier: known.identifier,
            age: known.birth_date.map(Age::BirthDate).or(class),
            reference: known.reference,
            numeric: false,
        }
    }

    /// As somebody chose.
    pub(super) fn read(fields: &Fields) -> Self {
        let place = |text: &str| text.parse().ok();
        let age = match fields.get("age").split_once('-') {
            Some(("date", at)) => place(at).map(Age::BirthDate),
            Some(("class", at)) => place(at).map(Age::Class),
            Some(("all", "minor")) => Some(Age::Everybody(SubjectClass::Minor)),
            Some(("all", "adult")) => Some(Age::Everybody(SubjectClass::Adult)),
            _ => None,
        };
        Self {
            household: place(fields.get("household")),
            identifier: place(fields.get("identifier")),
            age,
            reference: place(fields.get("reference")),
            numeric: fields.get("numeric") == "yes",
        }
    }

    /// The columns by name; `None` if one that is needed is not chosen, or is not there.
    pub(super) fn columns(&self, written: &Written) -> Option<HouseholdColumns> {
        let name = |place: usize| written.column(place).map(str::to_owned);
        Some(HouseholdColumns {
            household: name(self.household?)?,
            identifier: name(self.identifier?)?,
            numeric: self.numeric,
            class: match self.age? {
                Age::BirthDate(place) => ClassFrom::BirthDate(name(place)?),
                Age::Class(place) => ClassFrom::Column(name(place)?),
                Age::Everybody(class) => ClassFrom::Fixed(class),
            },
            reference: self.reference.and_then(name),
        })
    }

    /// Value of the field `age`.
    pub(super) fn age_word(&self) -> String {
        match self.age {
            Some(Age::BirthDate(place)) => format!("date-{place}"),
            Some(Age::Class(place)) => format!("class-{place}"),
            Some(Age::Everybody(SubjectClass::Minor)) => "all-minor".into(),
            Some(Age::Everybody(SubjectClass::Adult)) => "all-adult".into(),
            None => String::new(),
        }
    }
}

/// The delimiters that can be chosen, by the word of the form.
const DELIMITERS: [(&str, char); 4] = [("semicolon", ';'), ("comma", ','), ("tab", '\t'), ("bar", '|')];

/// A delimiter of the form.
pub(super) fn delimiter(word: &str) -> Option<Delimiter> {
    let found = DELIMITERS.iter().find(|(each, _)| *each == word);
    found.and_then(|(_, character)| Delimiter::try_from(*character).ok())
}

/// Its word.
pub(super) fn delimiter_word(delimiter: Delimiter) -> &'static str {
    let found = DELIMITERS
        .iter()
        .find(|(_, character)| *character == char::from(delimiter.byte()));
    found.map_or("", |(word, _)| word)
}

/// An encoding of the form.
pub(super) fn encoding(word: &str) -> Option<Encoding> {
    match word {
        "utf-8" => Some(Encoding::Utf8),
        "windows-1252" => Some(Encoding::Windows1252),
        _ => None,
    }
}

/// Its word.
pub(super) fn encoding_word(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Windows1252 => "windows-1252",
    }
}
