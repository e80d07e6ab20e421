//! The list of a screening: households and the persons in them.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use hitmachine_core::SubjectClass;
use hitmachine_identifier::Admission;
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::civil::Date;
use serde::Deserialize;

use super::cells::{needed_text, optional_text};
use super::columns::{ClassFrom, ClassWord, Delimiter, Encoding, NumberType, OneClass};
use super::date::AgeBracket;
use super::issue::{IssueKind, Issues, RowIssue, SourceError};
use super::person::PersonReader;
use super::table::{self, Format};
use super::{PROGRESS_ROWS, Progress, Rows, file_name, with_file, xlsx};

/// A CSV file or a spreadsheet (`.xlsx`, of which the first sheet counts) with households. Which of the two it is
/// tells its content; `delimiter` and `encoding` are for CSV.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HouseholdSource {
    /// The file.
    pub path: PathBuf,
    /// What stands between the fields, `;` if nothing is said.
    #[serde(default)]
    pub delimiter: Delimiter,
    /// How letters are written, `utf-8` if nothing is said.
    #[serde(default)]
    pub encoding: Encoding,
    /// Which columns to read.
    pub columns: HouseholdColumns,
}

/// Columns of a [`HouseholdSource`], by their names in the header row; upper and lower case are the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawColumns")]
pub struct HouseholdColumns {
    /// Name or number of the household; rows with the same text are one household.
    pub household: String,
    /// The BSN.
    pub identifier: String,
    /// Whether that column is numeric, so that leading zeros are lost.
    pub numeric: bool,
    /// Where the subject class comes from.
    pub class: ClassFrom,
    /// The asker's own label of a person.
    pub reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumns {
    household: String,
    identifier: String,
    #[serde(default)]
    numeric: bool,
    birth_date: Option<String>,
    class: Option<String>,
    fixed_class: Option<ClassWord>,
    reference: Option<String>,
}

impl TryFrom<RawColumns> for HouseholdColumns {
    type Error = OneClass;

    fn try_from(raw: RawColumns) -> Result<Self, OneClass> {
        Ok(Self {
            household: raw.household,
            identifier: raw.identifier,
            numeric: raw.numeric,
            class: ClassFrom::one_of(raw.birth_date, raw.class, raw.fixed_class)?,
            reference: raw.reference,
        })
    }
}

/// A person to ask about.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Number of the row as a spreadsheet shows it.
    pub row: u64,
    /// The BSN, canonical.
    pub identifier: CanonicalIdentifier,
    /// Minor or adult on the day of reading.
    pub class: SubjectClass,
    /// Who is to be told that one asked, by the age on the day of reading.
    pub bracket: AgeBracket,
    /// The asker's own label.
    pub reference: Option<Box<str>>,
}

/// Without the reference: it may be a name.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("row", &self.row)
            .field("identifier", &self.identifier)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// A household, with those of its rows that can be asked about.
#[derive(Clone, PartialEq, Eq)]
pub struct Household {
    /// Its name or number in the file.
    pub name: Box<str>,
    /// The persons, in the order of the file. Empty if every row was bad.
    pub persons: Vec<Person>,
    /// Rows left out, whose answer the household lacks; a repeated person is none of them.
    pub bad_rows: Vec<u64>,
}

/// Without the name: it may be a family's.
impl fmt::Debug for Household {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Household")
            .field("persons", &self.persons)
            .field("bad_rows", &self.bad_rows)
            .finish_non_exhaustive()
    }
}

/// What a list held.
#[derive(Debug, Default)]
pub struct HouseholdOutcome {
    /// The households, in the order of their first rows.
    pub households: Vec<Household>,
    /// What was wrong with rows: the first [`MAX_ISSUES`](super::MAX_ISSUES), in the order of the file.
    pub issues: Vec<RowIssue>,
    /// How many issues there were in all. A row has at most one.
    pub issue_count: u64,
    /// Rows in the file, without the header and without empty rows.
    pub total_rows: u64,
}

/// Reads the households in `source`; `today` decides who is a minor.
///
/// A bad row is left out of its household and named in its `bad_rows`. Within a household a person counts once; in
/// two households the same person may well live.
///
/// # Errors
/// [`SourceError`] if the file as a whole cannot be trusted.
pub fn read(
    source: &HouseholdSource,
    admission: &Admission,
    today: Date,
    progress: Progress<'_>,
) -> Result<HouseholdOutcome, SourceError> {
    with_file(&source.path, |mut file, size| {
        let mut head = [0; 4];
        let is_spreadsheet = file.read_exact(&mut head).is_ok() && head == *b"PK\x03\x04";
        file.seek(SeekFrom::Start(0)).map_err(SourceError::Read)?;
        if is_spreadsheet {
            read_rows(size, source, admission, today, progress, &mut |wanted, visit| {
                xlsx::each_row(file, None, wanted, visit)
            })
        } else {
            let format = Format {
                delimiter: source.delimiter,
                encoding: source.encoding,
            };
            read_rows(size, source, admission, today, progress, &mut |wanted, visit| {
                table::each_row(file, format, wanted, visit)
            })
        }
    })
}

pub(super) fn read_rows(
    size: u64,
    source: &HouseholdSource,
    admission: &Admission,
    today: Date,
    progress: Progress<'_>,
    rows: Rows<'_>,
) -> Result<HouseholdOutcome, SourceError> {
    let columns = &source.columns;
    let persons = PersonReader::new(
        NumberType::Bsn,
        columns.numeric,
        &columns.identifier,
        &columns.class,
        admission,
        today,
    );
    let mut wanted = persons.columns();
    let household_at = wanted.len();
    wanted.push(&columns.household);
    let reference_at = columns.reference.as_deref().map(|name| {
        wanted.push(name);
        wanted.len() - 1
    });
    let mut issues = Issues::new(file_name(&source.path));
    let mut outcome = HouseholdOutcome::default();
    let mut by_name: HashMap<Box<str>, usize> = HashMap::new();
    rows(&wanted, &mut |line| {
        outcome.total_rows += 1;
        if outcome.total_rows.is_multiple_of(PROGRESS_ROWS) && line.bytes_read > 0 {
            progress(line.bytes_read.min(size), size);
        }
        let row = line.row;
        let cells = match line.cells {
            Ok(cells) => cells,
            Err(kind) => {
                issues.add(row, None, kind);
                return;
            }
        };
        let name: Box<str> = match needed_text(cells, household_at) {
            Ok(name) => name.into(),
            Err(kind) => {
                issues.add(row, Some(&columns.household), kind);
                return;
            }
        };
        let at = *by_name.entry(name).or_insert_with_key(|name| {
            let household = Household {
                name: name.clone(),
                persons: Vec::new(),
                bad_rows: Vec::new(),
            };
            outcome.households.push(household);
            outcome.households.len() - 1
        });
        let Some(household) = outcome.households.get_mut(at) else {
            return;
        }; // always there: put in above
        let person = persons.read(cells).and_then(|(identifier, age)| {
            let reference = match reference_at {
                Some(at) => optional_text(cells, at).map_err(|kind| (columns.reference.as_deref(), kind))?,
                None => None,
            };
            Ok(Person {
                row,
                identifier,
                class: age.class,
                bracket: age.bracket,
                reference,
            })
        });
        match person {
            Ok(person) => {
                match household
                    .persons
                    .iter()
                    .find(|other| other.identifier == person.identifier)
                {
                    None => household.persons.push(person),
                    Some(other) => {
                        let kind = if other.class == person.class {
                            IssueKind::Duplicate
                        } else {
                            IssueKind::DuplicateOtherClass
                        };
                        issues.add(row, Some(&columns.identifier), kind);
                    }
                }
            }
            Err((column, kind)) => {
                household.bad_rows.push(row);
                issues.add(row, column, kind);
            }
        }
    })?;
    progress(size, size);
    (outcome.issues, outcome.issue_count) = issues.finish();
    Ok(outcome)
}
