//! Spreadsheets, made part by part so that each rule has its file.

use std::fs;
use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::households::{self, HouseholdSource};
use super::*;

/// A spreadsheet with one sheet of these rows (inner XML of `sheetData`) and what follows them.
struct Book {
    rows: String,
    after: &'static str,
    from_1904: bool,
    strings: &'static [&'static str],
}

impl Book {
    fn new(rows: &str) -> Self {
        Self {
            rows: rows.to_owned(),
            after: "",
            from_1904: false,
            strings: &[],
        }
    }

    fn bytes(&self) -> Vec<u8> {
        archive(self.parts())
    }

    /// With another text in one of the parts.
    fn with(&self, part: &str, from: &str, to: &str) -> Vec<u8> {
        let mut parts = self.parts();
        let (_, text) = parts.iter_mut().find(|(name, _)| *name == part).unwrap();
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
        archive(parts)
    }

    fn parts(&self) -> [(&'static str, String); 8] {
        const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        const MAIN: &str = "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\"";
        const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let sheet = format!(
            "{HEAD}<worksheet {MAIN}><sheetData>{}</sheetData>{}</worksheet>",
            self.rows, self.after
        );
        let mut strings = String::new();
        for text in self.strings {
            strings.extend(["<si><t>", text, "</t></si>"]);
        }
        let epoch = if self.from_1904 { " date1904=\"1\"" } else { "" };
        let other = format!(
            "{HEAD}<worksheet {MAIN}><sheetData>{}</sheetData></worksheet>",
            text_row(1, &["naam"])
        );
        [
            (
                "[Content_Types].xml",
                format!(
                    "{HEAD}<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\"/>"
                ),
            ),
            (
                "_rels/.rels",
                format!(
                    "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    "{HEAD}<workbook {MAIN}><workbookPr{epoch}/><sheets><sheet name=\"Blad1\" sheetId=\"1\" r:id=\"rId1\"/><sheet name=\"Uitleg\" sheetId=\"2\" r:id=\"rId2\"/></sheets></workbook>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    "{HEAD}<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\"><Relationship Id=\"rId1\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet1.xml\"/><Relationship Id=\"rId2\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet2.xml\"/><Relationship Id=\"rId3\" Type=\"{RELATIONS}/styles\" Target=\"styles.xml\"/><Relationship Id=\"rId4\" Type=\"{RELATIONS}/sharedStrings\" Target=\"sharedStrings.xml\"/></Relationships>"
                ),
            ),
            // Style 0 is general, 1 is a date (format 14), 2 a number with nine places, 3 a duration.
            (
                "xl/styles.xml",
                format!(
                    "{HEAD}<styleSheet {MAIN}><numFmts count=\"2\"><numFmt numFmtId=\"170\" formatCode=\"000000000\"/><numFmt numFmtId=\"171\" formatCode=\"[h]:mm:ss\"/></numFmts><cellXfs count=\"4\"><xf numFmtId=\"0\"/><xf numFmtId=\"14\" applyNumberFormat=\"1\"/><xf numFmtId=\"170\" applyNumberFormat=\"1\"/><xf numFmtId=\"171\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>"
                ),
            ),
            (
                "xl/sharedStrings.xml",
                format!("{HEAD}<sst {MAIN}>{strings}</sst>"),
            ),
            ("xl/worksheets/sheet1.xml", sheet),
            ("xl/worksheets/sheet2.xml", other),
        ]
    }

    fn read(&self) -> ReadOutcome {
        try_bytes("", &self.bytes()).unwrap()
    }
}

fn archive(parts: impl IntoIterator<Item = (&'static str, String)>) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn spreadsheet(more: &str) -> Source {
    source(&format!(
        "kind = \"xlsx\"\n{more}\n[columns]\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\nreference = \"dossier\""
    ))
}

fn try_bytes(more: &str, bytes: &[u8]) -> Result<ReadOutcome, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clients.csv");
    fs::write(&path, bytes).unwrap();
    let mut source = spreadsheet(more);
    source.resolve(|_| path.clone());
    read(&source, &admission(), TODAY, BOTH, &mut |_, _| {})
}

fn text_row(row: u32, cells: &[&str]) -> String {
    let columns = ["A", "B", "C", "D", "E"];
    let cell = |(column, text): (&&str, &&str)| {
        format!("<c r=\"{column}{row}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
    };
    let cells: String = columns.iter().zip(cells).map(cell).collect();
    format!("<row r=\"{row}\">{cells}</row>")
}

const HEADER: [&str; 3] = ["BSN", "Geboren", "Dossier"];

/// The usual header with these rows under it.
fn with_header(rows: &str) -> Book {
    Book::new(&(text_row(1, &HEADER) + rows))
}

#[test]
fn each_kind_of_cell() {
    // A number that lost its leading zero (000099995 is nobody; 999990019 as number and as text), dates of both sorts.
    let leading = made_up_with_leading_zero();
    let number: u32 = leading.parse().unwrap();
    let rows = [
        format!(
            "<row r=\"2\"><c r=\"A2\"><v>{number}</v></c><c r=\"B2\" s=\"1\"><v>42401</v></c><c r=\"C2\" t=\"s\"><v>0</v></c></row>"
        ),
        format!(
            "<row r=\"3\"><c r=\"A3\" t=\"str\"><v>{A}</v></c><c r=\"B3\" t=\"inlineStr\"><is><t>1966-02-01</t></is></c><c r=\"C3\"><v>17</v></c></row>"
        ),
        format!(
            "<row r=\"4\" hidden=\"1\"><c r=\"A4\" s=\"2\"><v>{B}</v></c><c r=\"B4\" t=\"d\"><v>2016-02-01T00:00:00</v></c></row>"
        ),
        "<row r=\"5\"/><row r=\"6\"><c r=\"A6\" s=\"1\"/></row>".into(),
        format!(
            "<row r=\"9\"><c r=\"A9\"><v>{}</v></c><c r=\"B9\"><v>20160201</v></c></row>",
            made_up(7)
        ),
    ];
    let mut book = with_header(&rows.concat());
    book.strings = &["LP-1"];
    let outcome = book.read();
    assert_eq!(numbers(&outcome), [leading.as_str(), A, B, &made_up(7)]);
    let classes: Vec<_> = outcome.rows.iter().map(|row| row.class).collect();
    let (minor, adult) = (SubjectClass::Minor, SubjectClass::Adult);
    assert_eq!(classes, [minor, adult, minor, minor]);
    let references: Vec<_> = outcome.rows.iter().map(|row| row.reference.as_deref()).collect();
    assert_eq!(references, [Some("LP-1"), Some("17"), None, None]);
    assert_eq!(
        (outcome.total_rows, outcome.issue_count),
        (4, 0),
        "{:?}",
        outcome.issues
    );
    assert_eq!(outcome.names, HEADER);
}

/// A valid made-up number that begins with a zero: what a spreadsheet stores as a number of five to eight digits.
fn made_up_with_leading_zero() -> String {
    let valid = |digits: &String| Bsn::parse(digits, &admission()).is_ok();
    (10_000..100_000_u32)
        .map(|candidate| format!("{candidate:09}"))
        .find(valid)
        .unwrap()
}

#[test]
fn a_number_without_its_zero_is_refused_as_text() {
    let leading = made_up_with_leading_zero();
    let short = leading.trim_start_matches('0');
    let rows = text_row(2, &[short, "1-2-2016", "x"]);
    assert_eq!(issues(&with_header(&rows).read()), ["2/bsn/bsn_length"]);
}

#[test]
fn dates_count_from_1900_or_1904() {
    let row = |serial: &str| {
        with_header(&format!(
            "<row r=\"2\"><c r=\"A2\"><v>{A}</v></c><c r=\"B2\" s=\"1\"><v>{serial}</v></c></row>"
        ))
    };
    // 30 and 31 July 2008 and 1 August 2008: 18 on the day of reading, or a day later.
    for (from_1904, serial, expected) in [
        (false, "39661", SubjectClass::Adult),
        (false, "39662", SubjectClass::Minor),
        (false, "39661.75", SubjectClass::Adult),
        (true, "38199", SubjectClass::Adult),
        (true, "38200", SubjectClass::Minor),
    ] {
        let mut book = row(serial);
        book.from_1904 = from_1904;
        let outcome = book.read();
        assert_eq!(
            outcome.rows.first().map(|row| row.class),
            Some(expected),
            "{from_1904} {serial}"
        );
    }
    for (serial, code) in [
        ("60", "birth_date_form"), // 29 February 1900
        ("0", "birth_date_form"),
        ("-5", "birth_date_form"),
        ("2", "birth_date_implausible"), // 2 January 1900 is more than 126 years ago, and in 2026 not yet 130
        ("99999999", "birth_date_implausible"),
    ] {
        let found = issues(&row(serial).read());
        if serial == "2" {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert_eq!(found, [format!("2/geboren/{code}")], "{serial}");
        }
    }
}

#[test]
fn each_reason_to_leave_a_row_out() {
    let good = format!("<row r=\"3\"><c r=\"A3\"><v>{B}</v></c><c r=\"B3\" s=\"1\"><v>42401</v></c></row>");
    let date = "<c r=\"B2\" s=\"1\"><v>42401</v></c>";
    for (cells, expected) in [
        (
            format!("<c r=\"A2\"><v>999990019.5</v></c>{date}"),
            "bsn/number_not_whole",
        ),
        (
            format!("<c r=\"A2\"><v>-999990019</v></c>{date}"),
            "bsn/number_not_whole",
        ),
        (
            format!("<c r=\"A2\"><v>1e300</v></c>{date}"),
            "bsn/number_not_whole",
        ),
        (
            format!("<c r=\"A2\"><v>1999990019</v></c>{date}"),
            "bsn/bsn_length",
        ),
        (
            format!("<c r=\"A2\"><v>999990018</v></c>{date}"),
            "bsn/bsn_check_digit",
        ),
        (format!("<c r=\"A2\" t=\"b\"><v>1</v></c>{date}"), "bsn/cell_type"),
        (
            format!("<c r=\"A2\" t=\"e\"><v>#N/A</v></c>{date}"),
            "bsn/cell_type",
        ),
        (
            format!("<c r=\"A2\" s=\"1\"><v>42401</v></c>{date}"),
            "bsn/cell_type",
        ),
        (date.to_owned(), "bsn/field_empty"),
        (
            format!("<c r=\"A2\"><f>D2</f><v>{A}</v></c>{date}"),
            "bsn/cell_formula",
        ),
        (
            format!("<c r=\"A2\"><f t=\"shared\" si=\"0\"/><v>{A}</v></c>{date}"),
            "bsn/cell_formula",
        ),
        (
            format!("<c r=\"A2\"><v>{A}</v></c><c r=\"B2\" s=\"1\"><f>TODAY()-3000</f></c>"),
            "geboren/cell_formula",
        ),
        (
            format!("<c r=\"A2\"><v>{A}</v></c><c r=\"B2\" s=\"3\"><v>42401</v></c>"),
            "geboren/cell_type",
        ),
        (
            format!("<c r=\"A2\"><v>{A}</v></c><c r=\"B2\"><v>0.5</v></c>"),
            "geboren/birth_date_form",
        ),
        (
            format!("<c r=\"A2\"><v>{A}</v></c><c r=\"B2\"><v>42401</v></c>"),
            "geboren/birth_date_form",
        ),
        (
            format!("<c r=\"A2\"><v>{A}</v></c>{date}<c r=\"C2\"><f>A2</f><v>1</v></c>"),
            "dossier/cell_formula",
        ),
    ] {
        let outcome = with_header(&format!("<row r=\"2\">{cells}</row>{good}")).read();
        assert_eq!(issues(&outcome), [format!("2/{expected}")], "{cells}");
        assert_eq!(numbers(&outcome), [B], "the rest goes on after {cells}");
    }
    // In a column that nobody asked for it is nothing to us.
    let rows =
        format!("<row r=\"2\"><c r=\"A2\"><v>{A}</v></c>{date}<c r=\"D2\"><f>A2</f><v>1</v></c></row>");
    assert_eq!(numbers(&with_header(&rows).read()), [A]);
}

#[test]
fn merged_cells_are_refused_in_each_of_their_rows() {
    let person = |row: u32, number: &str| {
        format!(
            "<row r=\"{row}\"><c r=\"A{row}\"><v>{number}</v></c><c r=\"B{row}\" s=\"1\"><v>42401</v></c></row>"
        )
    };
    let rows = [
        person(2, A),
        person(3, B),
        person(4, &made_up(5)),
        person(5, &made_up(6)),
    ]
    .concat();
    let mut book = with_header(&rows);
    book.after = "<mergeCells count=\"2\"><mergeCell ref=\"B3:B4\"/><mergeCell ref=\"D2:E5\"/></mergeCells>";
    let outcome = book.read();
    assert_eq!(
        issues(&outcome),
        ["3/geboren/cell_merged", "4/geboren/cell_merged"]
    );
    assert_eq!(numbers(&outcome), [A, &made_up(6)]);
}

#[test]
fn sheets_by_name() {
    let book = with_header(&text_row(2, &[A, "1-2-2016", "x"])).bytes();
    assert_eq!(numbers(&try_bytes("sheet = \"blad1\"", &book).unwrap()), [A]);
    let other = try_bytes("sheet = \"Uitleg\"", &book).unwrap_err();
    assert!(
        matches!(other, SourceError::MissingColumn { ref found, .. } if found == "naam"),
        "{other:?}"
    );
    let none = try_bytes("sheet = \"Blad3\"", &book).unwrap_err();
    assert_eq!(
        none.to_string(),
        "no sheet 'Blad3' in the spreadsheet; found: Blad1, Uitleg"
    );
}

#[test]
fn a_first_row_with_a_person_is_never_shown() {
    let rows = format!(
        "<row r=\"1\"><c r=\"A1\"><v>{A}</v></c><c r=\"B1\" t=\"inlineStr\"><is><t>Jansen</t></is></c></row>"
    );
    let error = try_bytes("", &Book::new(&rows).bytes()).unwrap_err();
    assert!(matches!(error, SourceError::NoHeaderRow { .. }), "{error:?}");
    assert!(!error.to_string().contains("9999"));
}

#[test]
fn files_that_are_no_good() {
    let good = with_header(&text_row(2, &[A, "1-2-2016", "x"])).bytes();
    let code = |bytes: &[u8]| {
        try_bytes("", bytes)
            .map(|outcome| outcome.total_rows)
            .map_err(|error| error.code())
    };
    assert_eq!(code(&good), Ok(1));
    assert_eq!(code(b""), Err("source_empty"));
    assert_eq!(code(b"bsn;geboren;dossier\n"), Err("spreadsheet_not"));
    assert_eq!(code(b"PK\x03\x04 and then nothing"), Err("spreadsheet_damaged"));
    assert_eq!(
        code(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        Err("spreadsheet_protected")
    );
    assert_eq!(code(&good[..good.len() / 2]), Err("spreadsheet_damaged"));
    assert_eq!(code(&Book::new("").bytes()), Err("source_empty"));
    assert_eq!(code(&with_header("").bytes()), Ok(0));
    // Rows or cells out of order: a reader could miss one or count one twice.
    let swapped = text_row(3, &[A, "1-2-2016", "x"]) + &text_row(2, &[B, "1-2-2016", "x"]);
    assert_eq!(code(&with_header(&swapped).bytes()), Err("spreadsheet_damaged"));
    let twice = format!("<row r=\"2\"><c r=\"A2\"><v>{A}</v></c><c r=\"A2\"><v>{B}</v></c></row>");
    assert_eq!(code(&with_header(&twice).bytes()), Err("spreadsheet_damaged"));
    let outside = format!("<row r=\"2000000\"><c r=\"A2000000\"><v>{A}</v></c></row>");
    assert_eq!(code(&with_header(&outside).bytes()), Err("spreadsheet_damaged"));
    // Every byte of the archive's directory and parts matters; none makes the program stop.
    for at in (0..good.len()).step_by(7) {
        let mut bent = good.clone();
        bent[at] ^= 0x55;
        let _ = code(&bent);
    }
}

#[test]
fn a_file_that_unpacks_to_gigabytes_is_refused() {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive
        .start_file("xl/sharedStrings.xml", SimpleFileOptions::default())
        .unwrap();
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..200 {
        archive.write_all(&zeros).unwrap();
    }
    let bytes = archive.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let error = try_bytes("", &bytes).unwrap_err();
    assert!(
        matches!(error, SourceError::TooLarge { most_mib: 192 }),
        "{error:?}"
    );
}

#[test]
fn a_list_of_a_screening_may_be_a_spreadsheet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.xlsx");
    let rows = text_row(1, &["gezin", "bsn", "geboren", "label"])
        + &text_row(2, &["H1", A, "2-8-2014", "a"])
        + &text_row(3, &["H1", B, "1-8-2014", "b"]);
    fs::write(&path, Book::new(&rows).bytes()).unwrap();
    let mut list: HouseholdSource = toml::from_str(
        "path = \"x\"\n[columns]\nhousehold = \"gezin\"\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\nreference = \"label\"",
    )
    .unwrap();
    list.path = path;
    let outcome = households::read(&list, &admission(), TODAY, &mut |_, _| {}).unwrap();
    assert_eq!((outcome.total_rows, outcome.issue_count), (2, 0));
    let brackets: Vec<_> = outcome.households[0]
        .persons
        .iter()
        .map(|person| (person.row, person.bracket))
        .collect();
    assert_eq!(brackets, [(2, AgeBracket::Under12), (3, AgeBracket::From12)]);
}

/// The library makes room for as many texts as a file announces, and a process that cannot have the room is ended.
#[test]
fn texts_that_are_announced_but_not_there_end_no_process() {
    let book = with_header(&text_row(2, &[A, "1-2-2016", "x"]));
    let read = |bytes: &[u8]| {
        let outcome = try_bytes("", bytes).map_err(|error| error.code())?;
        Ok(outcome.rows.len())
    };
    let announcing = |count: &str| {
        read(&book.with(
            "xl/sharedStrings.xml",
            "<sst",
            &format!("<sst uniqueCount=\"{count}\""),
        ))
    };
    assert_eq!(announcing("3"), Ok(1));
    assert_eq!(announcing("1000000"), Ok(1));
    for many in ["1000000000000", "384307168202282325", "18446744073709551615"] {
        assert_eq!(announcing(many), Err("spreadsheet_damaged"), "{many}");
    }
}

#[test]
fn a_workbook_among_the_sheets_is_not_counted_as_one() {
    let book = with_header(&text_row(2, &[A, "1-2-2016", "x"]));
    for elsewhere in ["xl/worksheets/workbook.xml", "xl/work&#115;heets/workbook.xml"] {
        let bytes = book.with("_rels/.rels", "xl/workbook.xml", elsewhere);
        assert_eq!(
            try_bytes("", &bytes).unwrap_err().code(),
            "spreadsheet_damaged",
            "{elsewhere}"
        );
    }
    // The texts of all cells are held wherever they lie.
    let mut parts = book.parts();
    parts[5] = ("xl/worksheets/SharedStrings.xml", " ".repeat(193 << 20));
    let error = try_bytes("", &archive(parts)).unwrap_err();
    assert!(
        matches!(error, SourceError::TooLarge { most_mib: 192 }),
        "{error:?}"
    );
}

#[test]
fn a_cell_beyond_the_last_column_is_damage() {
    let beyond = format!("<row r=\"2\"><c r=\"A2\"><v>{A}</v></c><c r=\"XFE2\"><v>1</v></c></row>");
    let error = try_bytes("", &with_header(&beyond).bytes()).unwrap_err();
    assert_eq!(error.code(), "spreadsheet_damaged");
}

/// 2^32 + 2, which the library would count as 2 if it did not look: see `profile.release.package.calamine`.
#[test]
fn a_row_or_column_is_never_taken_for_another() {
    for place in ["A4294967298", "MWLQKWX2"] {
        let wrapped = format!("<row r=\"2\"><c r=\"{place}\"><v>{A}</v></c></row>");
        let error = try_bytes("", &with_header(&wrapped).bytes()).unwrap_err();
        assert_eq!(error.code(), "spreadsheet_damaged", "{place}");
    }
}
