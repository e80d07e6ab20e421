//! Rows of a CSV file (RFC 4180, with a choice of delimiter), of which only the wanted columns are looked at.

use std::borrow::Cow;
use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::cells::{Cells, Line, Value, Visit};
use super::columns::{Delimiter, Encoding};
use super::guard::{Guard, Stop};
use super::header::{self, DATA_DIGITS};
use super::issue::{IssueKind, SourceError};
use super::person::IDENTIFIER;

const BUFFER: usize = 64 * 1024;

/// How a file is written.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) delimiter: Delimiter,
    pub(super) encoding: Encoding,
}

/// A CSV file, read row by row.
struct Table<R> {
    reader: Reader<Guard<R>>,
    record: ByteRecord,
    longest: usize,
    format: Format,
    width: usize,
    /// Where the wanted columns are, in the order they were asked for.
    places: Vec<usize>,
    /// Line ends inside quoted fields so far: a spreadsheet does not count those.
    inside: u64,
}

/// The fields of a row.
struct Fields<'a> {
    record: &'a ByteRecord,
    places: &'a [usize],
    encoding: Encoding,
}

impl Cells for Fields<'_> {
    fn value(&self, at: usize) -> Result<Value<'_>, IssueKind> {
        let field = self
            .places
            .get(at)
            .and_then(|place| self.record.get(*place))
            .unwrap_or_default();
        decode(field, self.encoding)
            .map(Value::text)
            .ok_or(IssueKind::Encoding)
    }
}

/// Calls `visit` with each row of a CSV file that holds anything; returns the names in its header row. The first of
/// the `wanted` columns is the identifier.
pub(super) fn each_row(
    bytes: impl Read,
    format: Format,
    wanted: &[&str],
    visit: Visit<'_>,
) -> Result<Vec<String>, SourceError> {
    let (mut table, names) = Table::open(bytes, format, wanted)?;
    while table.next_line(visit)? {}
    Ok(names)
}

/// The names in the header row of a CSV file; what follows it is not looked at.
pub(super) fn names(bytes: impl Read, format: Format) -> Result<Vec<String>, SourceError> {
    Table::open(bytes, format, &[]).map(|(_, names)| names)
}

impl<R: Read> Table<R> {
    /// Reads the header and finds the `wanted` columns; the first of them is the identifier.
    fn open(bytes: R, mut format: Format, wanted: &[&str]) -> Result<(Self, Vec<String>), SourceError> {
        let (guard, marked_utf8) = Guard::open(bytes)?;
        if marked_utf8 {
            format.encoding = Encoding::Utf8;
        }
        let reader = ReaderBuilder::new()
            .delimiter(format.delimiter.byte())
            .has_headers(false)
            .flexible(true)
            // Lines end in LF; a CR before it is white space. So line numbers stay exact.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(BUFFER)
            .from_reader(guard);
        let record = ByteRecord::new();
        let (width, places) = (0, Vec::new());
        let mut table = Self {
            reader,
            record,
            longest: 0,
            format,
            width,
            places,
            inside: 0,
        };
        if table.advance()?.is_none() {
            return Err(SourceError::Empty);
        }
        let names = header(&table.record, format.encoding)?;
        table.places = header::places(&names, wanted)?;
        table.width = table.record.len();
        Ok((table, names))
    }

    /// Calls `visit` with the next row that holds anything; `false` if there is none.
    fn next_line(&mut self, visit: Visit<'_>) -> Result<bool, SourceError> {
        let Some(row) = self.advance()? else {
            return Ok(false);
        };
        let fields = Fields {
            record: &self.record,
            places: &self.places,
            encoding: self.format.encoding,
        };
        let whole = self.record.len() == self.width;
        visit(Line {
            row,
            bytes_read: self.reader.get_ref().passed(),
            cells: if whole { Ok(&fields) } else { Err(IssueKind::Width) },
        });
        Ok(true)
    }

    /// Puts the next record that is not blank into `self.record`; returns its row number.
    fn advance(&mut self) -> Result<Option<u64>, SourceError> {
        loop {
            self.reader.get_mut().row_begins();
            let before = self.reader.position().line();
            let found = self.reader.read_byte_record(&mut self.record);
            // Line ends before this read, minus those inside fields, are the rows above.
            let row = before - self.inside;
            let more = found.map_err(|error| source_error(error, row))?;
            if !more {
                return Ok(None);
            }
            self.longest = self.longest.max(self.record.as_slice().len());
            let inside = newlines(self.record.as_slice());
            let passed = self.reader.position().line() - before;
            let own_end = u64::from(!self.is_unfinished_end());
            // The library skips empty lines without a word; a spreadsheet shows them as rows.
            let row = row + passed.saturating_sub(inside + own_end);
            self.inside += inside;
            if inside > 0 && self.has_swallowed_rows() {
                return Err(SourceError::QuoteNotClosed { row });
            }
            if !self.record.iter().all(|field| field.trim_ascii().is_empty()) {
                return Ok(Some(row));
            }
        }
    }

    /// Whether the record just read is the last of a file that does not end in a line end.
    fn is_unfinished_end(&self) -> bool {
        let guard = self.reader.get_ref();
        guard.ended_without_newline() && self.reader.position().byte() == guard.passed()
    }

    /// Whether a field of several lines holds what looks like other rows: lines that have a long number in the place
    /// of the identifier.
    fn has_swallowed_rows(&self) -> bool {
        let Some(place) = self.places.get(IDENTIFIER) else {
            return false;
        };
        let delimiter = self.format.delimiter.byte();
        self.record.iter().any(|field| {
            field.split(|byte| *byte == b'\n').skip(1).any(|line| {
                let cell = line
                    .split(|byte| *byte == delimiter)
                    .nth(*place)
                    .unwrap_or_default();
                is_long_number(cell)
            })
        })
    }
}

/// Overwrites the row that was read last, as far as the library lets us reach it.
impl<R> Drop for Table<R> {
    fn drop(&mut self) {
        self.record.clear();
        self.record.push_field(&vec![0; self.longest]);
        std::hint::black_box(&self.record); // or the compiler sees that nobody reads it and leaves it out
    }
}

fn header(record: &ByteRecord, encoding: Encoding) -> Result<Vec<String>, SourceError> {
    let names = record
        .iter()
        .map(|cell| decode(cell, encoding).map(|name| name.trim().to_owned()))
        .collect::<Option<Vec<_>>>()
        .ok_or(SourceError::HeaderEncoding)?;
    if names.iter().any(|name| name.contains('\0')) {
        return Err(SourceError::Utf16);
    }
    if names.iter().any(|name| name.replace("\r\n", "\n").contains('\r')) {
        return Err(SourceError::LineEnds);
    }
    Ok(names)
}

fn decode(field: &[u8], encoding: Encoding) -> Option<Cow<'_, str>> {
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(field).ok().map(Cow::Borrowed),
        Encoding::Windows1252 => Some(encoding_rs::WINDOWS_1252.decode_without_bom_handling(field).0),
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).count() as u64
}

/// Digits, perhaps with the separators people write, as long as a person number.
fn is_long_number(cell: &[u8]) -> bool {
    let cell = cell.trim_ascii();
    let digits = cell.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits >= DATA_DIGITS
        && cell
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"\"'.- ".contains(byte))
}

fn source_error(error: csv::Error, row: u64) -> SourceError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
            Some(Stop::Line(line)) => SourceError::LineTooLong { line: *line },
            Some(Stop::Row) => SourceError::QuoteNotClosed { row },
            None => SourceError::Read(error),
        },
        // Cannot happen: rows may have any width, and bytes need not be UTF-8 here.
        _ => SourceError::Read(std::io::ErrorKind::InvalidData.into()),
    }
}
