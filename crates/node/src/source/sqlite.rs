//! Rows of a query to an `SQLite` database file, opened for reading only.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::cells::{Line, Value, Values, Visit};
use super::header;
use super::issue::{DatabaseProblem, IssueKind, SourceError};

/// How long to wait for another program that writes, and the longest time for the rows.
const BUSY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_mins(10);
/// How many rows pass between two looks at the clock.
const LOOK_EVERY: u64 = 1024;

/// Calls `visit` with each row of the result; returns the names of its columns. Rows are counted from 1.
pub(super) fn each_row(
    path: &Path,
    query: &str,
    wanted: &[&str],
    visit: Visit<'_>,
) -> Result<Vec<String>, SourceError> {
    // SQLite would say "cannot open" without saying why.
    std::fs::File::open(path).map_err(|source| SourceError::Open {
        path: path.to_owned(),
        source,
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).map_err(|error| refused(&error))?;
    let ask = || -> rusqlite::Result<_> {
        database.busy_timeout(BUSY)?;
        database.pragma_update(None, "query_only", true)?;
        // Functions that a stranger put into the file's schema are not run.
        database.pragma_update(None, "trusted_schema", false)?;
        database.prepare(query)
    };
    let mut statement = ask().map_err(|error| refused(&error))?;
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(SourceError::Database {
            code: "readonly".into(),
            problem: DatabaseProblem::Query,
        });
    }
    let names: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
    let places = header::places(&names, wanted)?;
    let begun = Instant::now();
    let mut rows = statement.query([]).map_err(|error| refused(&error))?;
    let mut number = 0_u64;
    while let Some(row) = rows.next().map_err(|error| refused(&error))? {
        number += 1;
        if number.is_multiple_of(LOOK_EVERY) && begun.elapsed() > TIMEOUT {
            return Err(SourceError::Database {
                code: "timeout".into(),
                problem: DatabaseProblem::TooLong,
            });
        }
        let cell = |place: &usize| value(row.get_ref(*place).map_err(|_| IssueKind::CellType)?);
        let values = Values(places.iter().map(cell).collect());
        visit(Line {
            row: number,
            bytes_read: 0,
            cells: Ok(&values),
        });
    }
    Ok(names)
}

fn value(held: ValueRef<'_>) -> Result<Value<'_>, IssueKind> {
    Ok(match held {
        ValueRef::Null => Value::Empty,
        ValueRef::Integer(number) => Value::Whole(number),
        ValueRef::Real(number) => Value::number(number),
        ValueRef::Text(bytes) => Value::text(std::str::from_utf8(bytes).map_err(|_| IssueKind::Encoding)?),
        ValueRef::Blob(_) => return Err(IssueKind::CellType),
    })
}

/// Only the result code goes on.
fn refused(error: &rusqlite::Error) -> SourceError {
    let Some(code) = error.sqlite_error() else {
        let code = match error {
            rusqlite::Error::MultipleStatement => "multiple",
            _ => "other",
        };
        return SourceError::Database {
            code: code.into(),
            problem: DatabaseProblem::Query,
        };
    };
    let problem = match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged => {
            DatabaseProblem::Busy
        }
        ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => DatabaseProblem::File,
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            DatabaseProblem::NotAllowed
        }
        ErrorCode::ReadOnly => DatabaseProblem::Writes,
        ErrorCode::OperationInterrupted => DatabaseProblem::TooLong,
        // SQLITE_ERROR stands for everything that is wrong with a query.
        ErrorCode::Unknown => DatabaseProblem::Query,
        _ => DatabaseProblem::Other,
    };
    SourceError::Database {
        code: code.extended_code.to_string(),
        problem,
    }
}
