//! CSV for a spreadsheet: `;` between fields, UTF-8 with a byte order mark, as Excel opens it by itself.
//!
//! A cell that a spreadsheet would compute gets an apostrophe in front: it holds what people typed elsewhere (OWASP,
//! "CSV Injection").

/// Byte order mark.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A writer of lines into memory; `first` brings the byte order mark.
pub(crate) fn writer(first: bool) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new()
        .delimiter(b';')
        .terminator(csv::Terminator::CRLF)
        .from_writer(if first { BOM.to_vec() } else { Vec::new() })
}

/// A whole file of these lines, no cell of it a formula.
///
/// # Errors
/// As the writer, which is memory here.
pub fn lines(lines: &[Vec<String>]) -> std::io::Result<Vec<u8>> {
    let mut out = writer(true);
    for line in lines {
        out.write_record(line.iter().map(|cell| safe(cell)))?;
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}

/// Never a formula. White space in front would not keep a spreadsheet from computing it.
pub(crate) fn safe(cell: &str) -> String {
    let formula = cell
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']);
    let apostrophe = if formula || cell.starts_with(['\t', '\r', '\n']) {
        "'"
    } else {
        ""
    };
    format!("{apostrophe}{cell}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_computes_nothing() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+31 6", "'+31 6"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" =1", "' =1"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("zaak = 1", "zaak = 1"),
            ("", ""),
        ] {
            assert_eq!(safe(cell), written);
        }
    }
}
