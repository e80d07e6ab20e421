//! Stands between the file and the CSV library and keeps both from growing without bound.

use std::io::{self, Read};

use super::issue::SourceError;

/// Longest line, in bytes.
pub(super) const MAX_LINE: u64 = 64 * 1024;
/// Longest row, in bytes. Longer than a line because a quoted field may hold several.
pub(super) const MAX_ROW: u64 = 256 * 1024;

/// Passes bytes on until a line or a row is too long. The bytes beyond are never handed over, so whoever collects
/// them holds a bounded number.
pub(super) struct Guard<R> {
    inner: R,
    /// Bytes seen ahead of everything else, to recognise the kind of file.
    head: Vec<u8>,
    head_given: usize,
    line: u64,
    in_line: u64,
    in_row: u64,
    passed: u64,
    ended_in_newline: bool,
    at_end: bool,
}

/// Why the guard stopped. Travels through the CSV library inside an I/O error.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Stop {
    #[error("line too long")]
    Line(u64),
    #[error("row too long")]
    Row,
}

impl<R: Read> Guard<R> {
    /// Looks at the beginning of the file. Returns whether it says that it is UTF-8, too.
    pub(super) fn open(mut inner: R) -> Result<(Self, bool), SourceError> {
        let mut head = [0; 4];
        let mut length = 0;
        while let Some(rest) = head.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match inner.read(rest) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SourceError::Read(error)),
            }
        }
        let head = head.get(..length).unwrap_or_default();
        let marked = head.starts_with(b"\xef\xbb\xbf");
        let rest = if marked {
            head.get(3..).unwrap_or_default()
        } else {
            head
        };
        match rest {
            [] => return Err(SourceError::Empty),
            // Marks of UTF-16 (and, the first one, of UTF-32); and UTF-16 without a mark.
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, ..] | [_, 0, ..] => return Err(SourceError::Utf16),
            // A ZIP archive (.xlsx, .ods) and the container of .xls.
            b"PK\x03\x04" | [0xd0, 0xcf, 0x11, 0xe0] => return Err(SourceError::Spreadsheet),
            _ => {}
        }
        let guard = Self {
            inner,
            head: rest.to_vec(),
            head_given: 0,
            line: 1,
            in_line: 0,
            in_row: 0,
            passed: 0,
            ended_in_newline: false,
            at_end: false,
        };
        Ok((guard, marked))
    }

    /// To be called before each row: the row begins in bytes that were passed earlier or right here.
    pub(super) fn row_begins(&mut self) {
        self.in_row = 0;
    }

    /// Bytes handed over so far.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether the file is over and its last line had no end.
    pub(super) fn ended_without_newline(&self) -> bool {
        self.at_end && !self.ended_in_newline
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = self.head.get(self.head_given..).unwrap_or_default();
        if head.is_empty() {
            return loop {
                match self.inner.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
        }
        let count = head.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(head) {
            *to = *from;
        }
        self.head_given += count;
        Ok(count)
    }

    /// Follows the lines in `bytes`.
    fn follow(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        for (index, piece) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                self.line += 1;
                self.in_line = 0;
            }
            self.in_line += piece.len() as u64;
            if self.in_line > MAX_LINE {
                return Err(Stop::Line(self.line));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Everything passed since the row began belongs to it, or nobody would ask for more.
        if self.in_row > MAX_ROW {
            return Err(io::Error::other(Stop::Row));
        }
        let count = self.fill(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        self.follow(bytes).map_err(io::Error::other)?;
        match bytes.last() {
            Some(last) => self.ended_in_newline = *last == b'\n',
            None => self.at_end = true,
        }
        self.in_row += count as u64;
        self.passed += count as u64;
        Ok(count)
    }
}
