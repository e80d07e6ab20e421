//! The configuration of columns, and of how a CSV file is written.

use hitmachine_core::SubjectClass;
use hitmachine_pseudonym::IdentifierType;
use serde::Deserialize;

/// Columns of a [`Source`](super::Source), by their names in the header row or in the result of its query; upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawColumns")]
pub struct Columns {
    /// The person number.
    pub identifier: String,
    /// Which number it is.
    pub identifier_type: NumberType,
    /// Whether text in the column is of a numeric one, so that leading zeros are lost (see
    /// `Bsn::parse_numeric_text`). A cell that is stored as a number is read as one in any case.
    pub numeric: bool,
    /// Where the subject class comes from.
    pub class: ClassFrom,
    /// The organisation's own reference of its file.
    pub reference: Option<String>,
}

/// Where the subject class of a person comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassFrom {
    /// Computed from the birth date in this column. The date goes no further.
    BirthDate(String),
    /// Read from this column: `minor`, `minderjarig`, `adult` or `volwassen`.
    Column(String),
    /// The same for everybody in the file.
    Fixed(SubjectClass),
}

/// Which person number a source has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberType {
    /// Burgerservicenummer.
    #[default]
    Bsn,
    /// Strafrechtsketennummer.
    Skn,
}

impl From<NumberType> for IdentifierType {
    fn from(number: NumberType) -> Self {
        match number {
            NumberType::Bsn => Self::Bsn,
            NumberType::Skn => Self::Skn,
        }
    }
}

/// How letters are written in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Encoding {
    /// UTF-8, with or without a mark at the beginning.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1252 (Western European), what older programs write.
    #[serde(rename = "windows-1252")]
    Windows1252,
}

/// The character between two fields: one ASCII character that can be nothing else in a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "char")]
pub struct Delimiter(u8);

impl Delimiter {
    /// The byte.
    pub fn byte(self) -> u8 {
        self.0
    }
}

impl Default for Delimiter {
    /// The semicolon, which is what Dutch systems write.
    fn default() -> Self {
        Self(b';')
    }
}

impl TryFrom<char> for Delimiter {
    type Error = NotADelimiter;

    fn try_from(character: char) -> Result<Self, NotADelimiter> {
        let byte = u8::try_from(character).map_err(|_| NotADelimiter)?;
        let usable = byte == b'\t' || (byte.is_ascii_punctuation() && !matches!(byte, b'"' | b'-' | b'.'));
        if usable {
            Ok(Self(byte))
        } else {
            Err(NotADelimiter)
        }
    }
}

/// The character cannot separate fields: it has another meaning in the file or in its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delimiter is one character such as ; , | or a tab")]
pub struct NotADelimiter;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumns {
    identifier: String,
    #[serde(default)]
    identifier_type: NumberType,
    #[serde(default)]
    numeric: bool,
    birth_date: Option<String>,
    class: Option<String>,
    fixed_class: Option<ClassWord>,
    reference: Option<String>,
}

impl TryFrom<RawColumns> for Columns {
    type Error = OneClass;

    fn try_from(raw: RawColumns) -> Result<Self, OneClass> {
        Ok(Self {
            identifier: raw.identifier,
            identifier_type: raw.identifier_type,
            numeric: raw.numeric,
            class: ClassFrom::one_of(raw.birth_date, raw.class, raw.fixed_class)?,
            reference: raw.reference,
        })
    }
}

/// A subject class in the configuration.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClassWord {
    Minor,
    Adult,
}

/// The class of a person must come from one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exactly one of birth_date, class and fixed_class is needed")]
pub(super) struct OneClass;

impl ClassFrom {
    pub(super) fn one_of(
        birth_date: Option<String>,
        class: Option<String>,
        fixed: Option<ClassWord>,
    ) -> Result<Self, OneClass> {
        match (birth_date, class, fixed) {
            (Some(column), None, None) => Ok(Self::BirthDate(column)),
            (None, Some(column), None) => Ok(Self::Column(column)),
            (None, None, Some(ClassWord::Minor)) => Ok(Self::Fixed(SubjectClass::Minor)),
            (None, None, Some(ClassWord::Adult)) => Ok(Self::Fixed(SubjectClass::Adult)),
            _ => Err(OneClass),
        }
    }
}
