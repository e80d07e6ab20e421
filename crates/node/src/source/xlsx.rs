//! Rows of a spreadsheet (`.xlsx`, ECMA-376), read cell by cell.
//!
//! A cell knows its own type, so numbers that lost their leading zeros are recognised without a setting. Hidden rows
//! are rows: a filter that was left on must not withdraw persons. A formula is refused, because what is in the file is
//! what it came to when somebody last opened it; so is a merged cell, because only the first of its rows has the
//! value.

mod parts;

use std::borrow::Cow;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use calamine::{DataRef, Reader, SheetType, Xlsx, XlsxCellReader};
use jiff::civil::Date;

use super::cells::{Line, Value, Values, Visit};
use super::header;
use super::issue::{IssueKind, SourceError};

/// Most columns of a sheet: as many as Excel has.
const MAX_COLUMNS: u32 = 16_384;
/// Most rows of a sheet, of Excel too.
const MAX_ROWS: u32 = 1_048_576;

/// Calls `visit` with each row of a sheet that holds anything; returns the names in its header row, which is the first
/// such row.
pub(super) fn each_row<R: Read + Seek>(
    mut file: R,
    sheet: Option<&str>,
    wanted: &[&str],
    visit: Visit<'_>,
) -> Result<Vec<String>, SourceError> {
    recognise(&mut file)?;
    parts::bounded(&mut file)?;
    // The library is made for files that mean well. A node must not lose its sync, or a person their answer, over a sheet
    // at which it panics; nothing of what was read so far is used then.
    let read = catch_unwind(AssertUnwindSafe(|| read_rows(file, sheet, wanted, visit)));
    read.unwrap_or(Err(SourceError::DamagedSpreadsheet))
}

fn read_rows<R: Read + Seek>(
    file: R,
    sheet: Option<&str>,
    wanted: &[&str],
    visit: Visit<'_>,
) -> Result<Vec<String>, SourceError> {
    let mut book = Xlsx::new(BufReader::new(file)).map_err(damaged)?;
    let sheet = find_sheet(&book, sheet)?;
    let merged = book.merge_cells_by_sheet_name(&sheet).map_err(damaged)?;
    let from_1904 = book.has_1904_epoch();
    let mut rows = Rows {
        cells: book.worksheet_cells_reader(&sheet).map_err(damaged)?,
        ahead: None,
        ended: false,
        from_1904,
    };

    let names = loop {
        let Some((_, row)) = rows.next()? else {
            return Err(SourceError::Empty);
        };
        if row.iter().any(Found::holds_anything) {
            break header_names(row);
        }
    };
    let places = header::places(&names, wanted)?;
    let merged: Vec<Intervals> = places
        .iter()
        .map(|place| {
            let column = u32::try_from(*place).unwrap_or(u32::MAX);
            let over = merged
                .iter()
                .filter(|area| area.start.1 <= column && column <= area.end.1);
            Intervals::new(over.map(|area| (area.start.0, area.end.0)))
        })
        .collect();
    while let Some((number, row)) = rows.next()? {
        let is_merged = merged.iter().any(|merged| merged.contains(number));
        if !is_merged && !row.iter().any(Found::holds_anything) {
            continue;
        }
        let value = |(place, merged): (&usize, &Intervals)| {
            if merged.contains(number) {
                return Err(IssueKind::Merged);
            }
            let found = row.iter().find(|found| found.column as usize == *place);
            found.map_or(Ok(Value::Empty), |found| found.value.clone())
        };
        let values = Values(places.iter().zip(&merged).map(value).collect());
        visit(Line {
            row: u64::from(number) + 1,
            bytes_read: 0,
            cells: Ok(&values),
        });
    }
    Ok(names)
}

/// What a cell held.
struct Found {
    column: u32,
    value: Result<Value<'static>, IssueKind>,
}

impl Found {
    fn holds_anything(&self) -> bool {
        self.value != Ok(Value::Empty)
    }
}

/// The rows of a sheet. They must come in order: what came late would otherwise be missed or counted twice.
struct Rows<'a, R: Read + Seek> {
    cells: XlsxCellReader<'a, BufReader<R>>,
    ahead: Option<(u32, Found)>,
    /// The library must not be asked again after it said that there is no more.
    ended: bool,
    from_1904: bool,
}

impl<R: Read + Seek> Rows<'_, R> {
    /// The next row with any cells, empty ones perhaps, with its number from 0.
    fn next(&mut self) -> Result<Option<(u32, Vec<Found>)>, SourceError> {
        let Some((row, first)) = self
            .ahead
            .take()
            .map_or_else(|| self.cell(), |ahead| Ok(Some(ahead)))?
        else {
            return Ok(None);
        };
        let mut found = vec![first];
        while let Some((of, cell)) = self.cell()? {
            if of != row {
                if of < row {
                    return Err(SourceError::DamagedSpreadsheet);
                }
                self.ahead = Some((of, cell));
                break;
            }
            if found.last().is_some_and(|last| last.column >= cell.column) {
                return Err(SourceError::DamagedSpreadsheet);
            }
            found.push(cell);
        }
        Ok(Some((row, found)))
    }

    fn cell(&mut self) -> Result<Option<(u32, Found)>, SourceError> {
        if self.ended {
            return Ok(None);
        }
        let Some(cell) = self.cells.next_cell_with_formula_metadata().map_err(damaged)? else {
            self.ended = true;
            return Ok(None);
        };
        let value = if cell.formula.is_some() {
            Err(IssueKind::Formula)
        } else {
            value(&cell.value, self.from_1904)
        };
        let (row, column) = cell.pos;
        if row >= MAX_ROWS || column >= MAX_COLUMNS {
            return Err(SourceError::DamagedSpreadsheet);
        }
        Ok(Some((row, Found { column, value })))
    }
}

fn value(cell: &DataRef<'_>, from_1904: bool) -> Result<Value<'static>, IssueKind> {
    let text = |text: &str| Value::text(Cow::Owned(text.to_owned()));
    Ok(match cell {
        DataRef::Empty => Value::Empty,
        DataRef::String(held) => text(held),
        DataRef::SharedString(held) => text(held),
        DataRef::Int(number) => Value::Whole(*number),
        DataRef::Float(number) => Value::number(*number),
        DataRef::DateTime(date) if date.is_datetime() => {
            // Day 0 and days before it are no dates; the library would give its first day for them.
            let first = if from_1904 { 0.0 } else { 1.0 };
            if date.as_f64() < first {
                return Err(IssueKind::DateForm);
            }
            let (year, month, day, ..) = date.to_ymd_hms_milli();
            Value::Date(civil(year, month, day).ok_or(IssueKind::DateForm)?)
        }
        DataRef::DateTimeIso(iso) => {
            let day = iso.split('T').next().unwrap_or_default();
            Value::Date(day.parse().map_err(|_| IssueKind::DateForm)?)
        }
        _ => return Err(IssueKind::CellType),
    })
}

/// `None` for days that never were: Excel has a 29 February 1900.
fn civil(year: u16, month: u8, day: u8) -> Option<Date> {
    let (year, month, day) = (
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    );
    Date::new(year, month, day).ok()
}

fn header_names(row: Vec<Found>) -> Vec<String> {
    let mut names = Vec::new();
    for found in row {
        names.resize(found.column as usize, String::new());
        let name = found.value.ok().and_then(Value::shown);
        names.push(name.map(Cow::into_owned).unwrap_or_default());
    }
    names
}

fn find_sheet<R: Read + Seek>(book: &Xlsx<R>, wanted: Option<&str>) -> Result<String, SourceError> {
    let sheets = book.sheets_metadata().iter();
    let names: Vec<String> = sheets
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let found = match wanted {
        None => names.first(),
        Some(wanted) => names
            .iter()
            .find(|name| name.to_lowercase() == wanted.trim().to_lowercase()),
    };
    found.cloned().ok_or_else(|| SourceError::NoSheet {
        wanted: wanted.unwrap_or_default().to_owned(),
        found: header::listed(&names),
    })
}

/// Tells by its first bytes whether a file is a spreadsheet, and which.
fn recognise(mut file: impl Read + Seek) -> Result<(), SourceError> {
    let mut head = Vec::new();
    file.by_ref()
        .take(8)
        .read_to_end(&mut head)
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(SourceError::Read)?;
    match head.as_slice() {
        [] => Err(SourceError::Empty),
        // A compound file: .xls, or an .xlsx with a password.
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(SourceError::Protected),
        [b'P', b'K', 3, 4, ..] => Ok(()),
        _ => Err(SourceError::NotASpreadsheet),
    }
}

/// The library's texts can hold values, so they go no further.
fn damaged(error: calamine::XlsxError) -> SourceError {
    match error {
        calamine::XlsxError::Io(error) => SourceError::Read(error.kind().into()),
        calamine::XlsxError::Password => SourceError::Protected,
        _ => SourceError::DamagedSpreadsheet,
    }
}

/// Rows that are covered, as sorted intervals that do not touch.
struct Intervals(Vec<(u32, u32)>);

impl Intervals {
    fn new(intervals: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut sorted: Vec<_> = intervals.collect();
        sorted.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::new();
        for (start, end) in sorted {
            match joined.last_mut() {
                Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
                _ => joined.push((start, end)),
            }
        }
        Self(joined)
    }

    fn contains(&self, row: u32) -> bool {
        let before = self.0.partition_point(|(start, _)| *start <= row);
        before
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|(_, end)| row <= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let covered = Intervals::new([(7, 9), (1, 2), (3, 4), (8, 12), (20, 20)].into_iter());
        assert_eq!(covered.0, [(1, 4), (7, 12), (20, 20)]);
        let rows: Vec<u32> = (0..25).filter(|row| covered.contains(*row)).collect();
        assert_eq!(rows, [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 20]);
        assert!(!Intervals::new(std::iter::empty()).contains(0));
    }
}
