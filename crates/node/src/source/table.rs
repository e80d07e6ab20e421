//! Rows of a CSV file (RFC 4180, with a choice of delimiter), of which only the wanted columns are looked at.

use std::borrow::Cow;
use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use super::csv_source::{Delimiter, Encoding};
use super::guard::{Guard, Stop};
use super::issue::{IssueKind, SourceError};
use super::person::IDENTIFIER;

const BUFFER: usize = 64 * 1024;
/// Most columns, and characters of each, that a message about the header shows.
const SHOWN_COLUMNS: usize = 20;
const SHOWN_CHARACTERS: usize = 40;
/// A header cell with this many digits is data: a BSN without its leading zeros still has seven.
const DATA_DIGITS: usize = 7;

/// How a file is written.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) delimiter: Delimiter,
    pub(super) encoding: Encoding,
}

/// A CSV file, read row by row.
pub(super) struct Table<R> {
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

/// A row that is not empty.
pub(super) struct Line<'a> {
    /// Number as a spreadsheet shows it.
    pub(super) row: u64,
    /// Bytes of the file taken so far.
    pub(super) bytes_read: u64,
    /// The wanted fields, unless the row is not as wide as the header.
    pub(super) cells: Result<Cells<'a>, IssueKind>,
}

/// The fields of a row.
pub(super) struct Cells<'a> {
    record: &'a ByteRecord,
    places: &'a [usize],
    encoding: Encoding,
}

impl<'a> Cells<'a> {
    /// The text of wanted column `at`, without white space around it; an issue if there is none.
    pub(super) fn needed(&self, at: usize) -> Result<Cow<'a, str>, IssueKind> {
        let text = self.text(at)?;
        if text.is_empty() {
            Err(IssueKind::Empty)
        } else {
            Ok(text)
        }
    }

    /// The text of wanted column `at`, without white space around it; `None` if there is none.
    pub(super) fn optional(&self, at: usize) -> Result<Option<Box<str>>, IssueKind> {
        let text = self.text(at)?;
        Ok(if text.is_empty() { None } else { Some(text.into()) })
    }

    fn text(&self, at: usize) -> Result<Cow<'a, str>, IssueKind> {
        let field = self
            .places
            .get(at)
            .and_then(|place| self.record.get(*place))
            .unwrap_or_default();
        let text = decode(field, self.encoding).ok_or(IssueKind::Encoding)?;
        Ok(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        })
    }
}

impl<R: Read> Table<R> {
    /// Reads the header and finds the `wanted` columns; the first of them is the identifier.
    pub(super) fn open(bytes: R, mut format: Format, wanted: &[&str]) -> Result<Self, SourceError> {
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
        table.places = header(&table.record, format.encoding, wanted)?;
        table.width = table.record.len();
        Ok(table)
    }

    /// The next row that holds anything.
    pub(super) fn next_line(&mut self) -> Result<Option<Line<'_>>, SourceError> {
        let Some(row) = self.advance()? else {
            return Ok(None);
        };
        let bytes_read = self.reader.get_ref().passed();
        let cells = if self.record.len() == self.width {
            Ok(Cells {
                record: &self.record,
                places: &self.places,
                encoding: self.format.encoding,
            })
        } else {
            Err(IssueKind::Width)
        };
        Ok(Some(Line {
            row,
            bytes_read,
            cells,
        }))
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

fn header(record: &ByteRecord, encoding: Encoding, wanted: &[&str]) -> Result<Vec<usize>, SourceError> {
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
    let place = |wanted: &&str| {
        let wanted = wanted.trim();
        let mut places = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.to_lowercase() == wanted.to_lowercase());
        match (places.next(), places.next()) {
            (Some((place, _)), None) => Ok(place),
            (Some(_), Some(_)) => Err(SourceError::AmbiguousColumn {
                wanted: wanted.to_owned(),
            }),
            (None, _) => Err(missing(wanted, &names)),
        }
    };
    wanted.iter().map(place).collect()
}

fn missing(wanted: &str, names: &[String]) -> SourceError {
    let wanted = wanted.to_owned();
    let digits = |name: &String| name.chars().filter(|character| character.is_numeric()).count();
    if names.iter().any(|name| digits(name) >= DATA_DIGITS) {
        return SourceError::NoHeaderRow { wanted };
    }
    let shown = |name: &String| {
        let mut short: String = name
            .chars()
            .take(SHOWN_CHARACTERS)
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        if name.chars().nth(SHOWN_CHARACTERS).is_some() {
            short.push('…');
        }
        short
    };
    let mut found: Vec<String> = names.iter().take(SHOWN_COLUMNS).map(shown).collect();
    if names.len() > SHOWN_COLUMNS {
        found.push("…".into());
    }
    SourceError::MissingColumn {
        wanted,
        found: found.join(", "),
    }
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
