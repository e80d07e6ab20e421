//! Where a partner's people come from: files exported by its own systems (CSV, spreadsheets) or a query to a database
//! (PostgreSQL, `SQLite`).
//!
//! [`read`] turns a source into rows that may be registered and a list of what was wrong with the others. A bad row is
//! reported by file, row, column and reason, never by value, and the rest goes on. What makes a whole file
//! untrustworthy (no such column, a quotation mark that swallows rows, a change while it was read) is a
//! [`SourceError`] instead, because persons that are missing from a list are withdrawn from the register.
//!
//! [`households`] reads the list of a screening by the same rules, [`upload`] one that somebody sends.
//!
//! Each kind of source brings rows of values; what a row means is told in one place for all.
//!
//! Person numbers live in [`CanonicalIdentifier`], which erases itself. The file's own bytes pass through buffers of
//! the CSV library and the operating system: the last row read is overwritten here, the rest is out of reach.

mod cells;
pub mod check;
mod columns;
mod database;
mod date;
mod guard;
mod header;
pub mod households;
mod issue;
mod person;
mod postgresql;
mod settings;
mod sqlite;
mod table;
#[cfg(test)]
mod tests;
pub mod upload;
mod xlsx;

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use hitmachine_core::SubjectClass;
use hitmachine_identifier::Admission;
use hitmachine_pseudonym::CanonicalIdentifier;
use jiff::civil::Date;

use self::cells::{Visit, optional_text};
pub use self::columns::{ClassFrom, Columns, Delimiter, Encoding, NumberType};
pub use self::date::{Age, AgeBracket, age_on, class_on};
use self::issue::Issues;
pub use self::issue::{DatabaseProblem, IssueKind, MAX_ISSUES, RowIssue, SourceError, Unreached};
use self::person::PersonReader;
#[doc(hidden)]
pub use self::postgresql::tls as database_tls;
use self::settings::file_name;
pub use self::settings::{Place, Postgresql, Source};
use self::table::Format;

/// Called with the bytes read so far and the bytes in all, now and then and at the end.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// A person who may be registered.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// The number, canonical.
    pub identifier: CanonicalIdentifier,
    /// Minor or adult on the day of reading.
    pub class: SubjectClass,
    /// The organisation's own reference of its file, so that a hit notice finds it.
    pub reference: Option<Box<str>>,
}

/// Without the reference: it may be a name.
impl fmt::Debug for SourceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceRow")
            .field("identifier", &self.identifier)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

/// What a source held.
#[derive(Debug, Default)]
pub struct ReadOutcome {
    /// The names in its header row, or of the columns of its result.
    pub names: Vec<String>,
    /// The persons who may be registered, each once, in the order of the file.
    pub rows: Vec<SourceRow>,
    /// What was wrong with other rows: the first [`MAX_ISSUES`], in the order of the file.
    pub issues: Vec<RowIssue>,
    /// How many issues there were in all. A row has at most one.
    pub issue_count: u64,
    /// Rows in the file, without the header and without empty rows.
    pub total_rows: u64,
    /// Rows left out because the person stood in an earlier row; part of `issue_count`.
    pub duplicates: u64,
}

/// Reads all persons in `source`.
///
/// `today` decides who is a minor (younger than 18). A person whose class is not among `allowed_classes` is left out
/// and reported, because the covenant does not let this partner register them. Two rows about one person: the first
/// counts. A million rows take a second or two; the call blocks.
///
/// # Errors
/// [`SourceError`] if the file as a whole cannot be trusted; nothing of it may then be used.
pub fn read(
    source: &Source,
    admission: &Admission,
    today: Date,
    allowed_classes: &[SubjectClass],
    progress: Progress<'_>,
) -> Result<ReadOutcome, SourceError> {
    let mut with = |size: u64, rows: Rows<'_>| {
        read_rows(
            source,
            admission,
            today,
            allowed_classes,
            (size, &mut *progress),
            rows,
        )
    };
    match &source.place {
        Place::Csv {
            path,
            delimiter,
            encoding,
        } => {
            let format = Format {
                delimiter: *delimiter,
                encoding: *encoding,
            };
            with_file(path, |file, size| {
                with(size, &mut |wanted, visit| {
                    table::each_row(file, format, wanted, visit)
                })
            })
        }
        Place::Xlsx { path, sheet } => with_file(path, |file, size| {
            with(size, &mut |wanted, visit| {
                xlsx::each_row(file, sheet.as_deref(), wanted, visit)
            })
        }),
        Place::Sqlite { path, query } => with(0, &mut |wanted, visit| {
            sqlite::each_row(path, query, wanted, visit)
        }),
        Place::Postgresql(server) => with(0, &mut |wanted, visit| {
            postgresql::each_row(&source.name, server, wanted, visit)
        }),
    }
}

/// Calls the visitor with each row of a source, of which it wants these columns; returns the names of all columns.
type Rows<'a> = &'a mut dyn FnMut(&[&str], Visit<'_>) -> Result<Vec<String>, SourceError>;

fn read_rows(
    source: &Source,
    admission: &Admission,
    today: Date,
    allowed_classes: &[SubjectClass],
    (size, progress): (u64, Progress<'_>),
    rows: Rows<'_>,
) -> Result<ReadOutcome, SourceError> {
    let columns = &source.columns;
    let persons = PersonReader::new(
        columns.identifier_type,
        columns.numeric,
        &columns.identifier,
        &columns.class,
        admission,
        today,
    );
    let mut wanted = persons.columns();
    let reference = columns.reference.as_deref().map(|name| {
        wanted.push(name);
        wanted.len() - 1
    });
    let mut issues = Issues::new(source.name.clone());
    let mut outcome = ReadOutcome::default();
    let mut seen = Seen::default();
    let names = rows(&wanted, &mut |line| {
        outcome.total_rows += 1;
        if outcome.total_rows.is_multiple_of(PROGRESS_ROWS) && line.bytes_read > 0 {
            progress(line.bytes_read.min(size), size);
        }
        let row = line.row;
        let parsed = line.cells.map_err(|kind| (None, kind)).and_then(|cells| {
            let (identifier, age) = persons.read(cells)?;
            if !allowed_classes.contains(&age.class) {
                return Err((persons.class_column(), IssueKind::ClassNotRegistered));
            }
            let reference = match reference {
                Some(at) => optional_text(cells, at).map_err(|kind| (columns.reference.as_deref(), kind))?,
                None => None,
            };
            Ok(SourceRow {
                identifier,
                class: age.class,
                reference,
            })
        });
        match parsed {
            Ok(person) => match seen.class_of(&person.identifier, &outcome.rows) {
                None => {
                    seen.add(&person.identifier, outcome.rows.len());
                    outcome.rows.push(person);
                }
                Some(class) => {
                    outcome.duplicates += 1;
                    let other_class = class != person.class;
                    let kind = if other_class {
                        IssueKind::DuplicateOtherClass
                    } else {
                        IssueKind::Duplicate
                    };
                    issues.add(row, Some(&columns.identifier), kind);
                }
            },
            Err((column, kind)) => issues.add(row, column, kind),
        }
    })?;
    progress(size, size);
    outcome.names = names;
    (outcome.issues, outcome.issue_count) = issues.finish();
    Ok(outcome)
}

/// Rows between two calls of the progress callback.
const PROGRESS_ROWS: u64 = 4096;

/// Who stood in an earlier row. Holds keyed hashes (the key is drawn per run), not numbers, and looks at the row
/// itself before it believes one.
#[derive(Default)]
struct Seen {
    hashes: RandomState,
    rows: HashMap<u64, usize>,
}

impl Seen {
    fn class_of(&self, identifier: &CanonicalIdentifier, rows: &[SourceRow]) -> Option<SubjectClass> {
        let earlier = rows.get(*self.rows.get(&self.hashes.hash_one(identifier))?)?;
        (earlier.identifier == *identifier).then_some(earlier.class)
    }

    fn add(&mut self, identifier: &CanonicalIdentifier, row: usize) {
        self.rows.insert(self.hashes.hash_one(identifier), row);
    }
}

/// Opens the file, lets `read` have it and its size, and makes sure that it was the same file all the time.
fn with_file<T>(
    path: &Path,
    read: impl FnOnce(&File, u64) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let open = |source| SourceError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(open)?;
    let before = file.metadata().map_err(open)?;
    if !before.is_file() {
        return Err(open(std::io::ErrorKind::InvalidInput.into()));
    }
    let outcome = read(&file, before.len());
    // An error in a file that is being written is most likely that.
    let after = file.metadata().map_err(SourceError::Read)?;
    if state(&before) != state(&after) {
        return Err(SourceError::Changed);
    }
    outcome
}

fn state(metadata: &Metadata) -> (u64, Option<std::time::SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}
