//! The person in a row: number and class.

use hitmachine_core::SubjectClass;
use hitmachine_identifier::{Admission, Bsn, Skn};
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::civil::Date;

use super::csv_source::{ClassFrom, NumberType};
use super::date::class_on;
use super::issue::IssueKind;
use super::table::Cells;

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

    pub(super) fn read(
        &self,
        cells: &Cells<'_>,
    ) -> Result<(CanonicalIdentifier, SubjectClass), InColumn<'a>> {
        let identifier = self
            .identifier(cells)
            .map_err(|kind| (Some(self.identifier_column), kind))?;
        let class = self.class(cells).map_err(|kind| (self.class_column(), kind))?;
        Ok((identifier, class))
    }

    fn identifier(&self, cells: &Cells<'_>) -> Result<CanonicalIdentifier, IssueKind> {
        let text = cells.needed(IDENTIFIER)?;
        let admission = self.admission;
        Ok(match (self.number, self.numeric) {
            (NumberType::Bsn, false) => Bsn::parse(&text, admission)?.canonical(),
            (NumberType::Bsn, true) => Bsn::parse_numeric_text(&text, admission)?.canonical(),
            (NumberType::Skn, false) => Skn::parse(&text)?.canonical(),
            (NumberType::Skn, true) => Skn::parse_numeric_text(&text)?.canonical(),
        })
    }

    fn class(&self, cells: &Cells<'_>) -> Result<SubjectClass, IssueKind> {
        match self.class {
            ClassFrom::Fixed(class) => Ok(*class),
            ClassFrom::BirthDate(_) => class_on(self.today, &cells.needed(CLASS)?),
            ClassFrom::Column(_) => {
                let word = cells.needed(CLASS)?;
                let is = |words: [&str; 2]| words.iter().any(|one| word.eq_ignore_ascii_case(one));
                match (is(["minor", "minderjarig"]), is(["adult", "volwassen"])) {
                    (true, _) => Ok(SubjectClass::Minor),
                    (_, true) => Ok(SubjectClass::Adult),
                    _ => Err(IssueKind::Class),
                }
            }
        }
    }
}
