//! The person in a row: number and class.

use hitmachine_core::SubjectClass;
use hitmachine_identifier::{Admission, Bsn, Skn};
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::civil::Date;

use super::cells::{Cells, Value, needed, needed_text};
use super::columns::{ClassFrom, NumberType};
use super::date::{Age, birth_date};
use super::issue::IssueKind;

/// Positions of the columns in [`PersonReader::columns`].
pub(super) const IDENTIFIER: usize = 0;
const CLASS: usize = 1;

/// How to read a person from a row. The identifier is the first column asked of the table, the class the second.
pub(super) struct PersonReader<'a> {
    number: NumberType,
    numeric: bool,
    identifier_column: &'a str,
    class: &'a ClassFrom,
    admission: &'a Admission,
    today: Date,
}

/// An issue and the column it is about.
pub(super) type InColumn<'a> = (Option<&'a str>, IssueKind);

impl<'a> PersonReader<'a> {
    pub(super) fn new(
        number: NumberType,
        numeric: bool,
        identifier_column: &'a str,
        class: &'a ClassFrom,
        admission: &'a Admission,
        today: Date,
    ) -> Self {
        Self {
            number,
            numeric,
            identifier_column,
            class,
            admission,
            today,
        }
    }

    /// The columns to ask of the table, first of all.
    pub(super) fn columns(&self) -> Vec<&'a str> {
        std::iter::once(self.identifier_column)
            .chain(self.class_column())
            .collect()
    }

    pub(super) fn class_column(&self) -> Option<&'a str> {
        match self.class {
            ClassFrom::BirthDate(column) | ClassFrom::Column(column) => Some(column),
            ClassFrom::Fixed(_) => None,
        }
    }

    /// The number, and how old the person is as far as the source says.
    pub(super) fn read(&self, cells: &dyn Cells) -> Result<(CanonicalIdentifier, Age), InColumn<'a>> {
        let identifier = self
            .identifier(cells)
            .map_err(|kind| (Some(self.identifier_column), kind))?;
        let age = self.age(cells).map_err(|kind| (self.class_column(), kind))?;
        Ok((identifier, age))
    }

    fn identifier(&self, cells: &dyn Cells) -> Result<CanonicalIdentifier, IssueKind> {
        let admission = self.admission;
        Ok(match (needed(cells, IDENTIFIER)?, self.number, self.numeric) {
            (Value::Text(text), NumberType::Bsn, false) => Bsn::parse(&text, admission)?.canonical(),
            (Value::Text(text), NumberType::Bsn, true) => {
                Bsn::parse_numeric_text(&text, admission)?.canonical()
            }
            (Value::Text(text), NumberType::Skn, false) => Skn::parse(&text)?.canonical(),
            (Value::Text(text), NumberType::Skn, true) => Skn::parse_numeric_text(&text)?.canonical(),
            // A field that is stored as a number has lost its leading zeros.
            (Value::Whole(number), of, _) => {
                let number = u64::try_from(number).map_err(|_| IssueKind::NotWhole)?;
                match of {
                    NumberType::Bsn => Bsn::from_number(number, admission)?.canonical(),
                    NumberType::Skn => Skn::from_number(number)?.canonical(),
                }
            }
            (Value::Fraction(_), ..) => return Err(IssueKind::NotWhole),
            (Value::Date(_), ..) => return Err(IssueKind::CellType),
            (Value::Empty, ..) => return Err(IssueKind::Empty),
        })
    }

    fn age(&self, cells: &dyn Cells) -> Result<Age, IssueKind> {
        match self.class {
            ClassFrom::Fixed(class) => Ok(Age::of_class(*class)),
            ClassFrom::BirthDate(_) => {
                let birth = match needed(cells, CLASS)? {
                    Value::Date(date) => date,
                    Value::Fraction(_) => return Err(IssueKind::DateForm),
                    other => birth_date(&other.shown().ok_or(IssueKind::Empty)?)?,
                };
                Age::on(self.today, birth)
            }
            ClassFrom::Column(_) => {
                let word = needed_text(cells, CLASS)?;
                let is = |words: [&str; 2]| words.iter().any(|one| word.eq_ignore_ascii_case(one));
                match (is(["minor", "minderjarig"]), is(["adult", "volwassen"])) {
                    (true, _) => Ok(Age::of_class(SubjectClass::Minor)),
                    (_, true) => Ok(Age::of_class(SubjectClass::Adult)),
                    _ => Err(IssueKind::Class),
                }
            }
        }
    }
}
