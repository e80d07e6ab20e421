//! Rules for files and rows, each as a labelled case.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod files;
mod households;
mod spreadsheets;
mod sqlite_files;

use std::io;
use std::path::PathBuf;

use hitmachine_identifier::{Admission, Bsn};
use hitmachine_pseudonym::DeploymentKind;
use jiff::civil::{Date, date};

use super::*;

/// Made-up people: numbers of the test range that pass the elfproef.
const A: &str = "999990019";
const B: &str = "999990020";

const TODAY: Date = date(2026, 8, 1);
const BOTH: &[SubjectClass] = &[SubjectClass::Minor, SubjectClass::Adult];

fn admission() -> Admission {
    Admission::with_default_prefixes(DeploymentKind::Test)
}

/// The `number`th made-up BSN that begins with 9999.
fn made_up(number: usize) -> String {
    let valid = |digits: &String| Bsn::parse(digits, &admission()).is_ok();
    (999_900_000..1_000_000_000_u64)
        .map(|candidate| candidate.to_string())
        .filter(valid)
        .nth(number)
        .unwrap()
}

fn source(columns: &str) -> Source {
    toml::from_str(&format!("path = \"folder/clients.csv\"\n{columns}")).unwrap()
}

fn usual() -> Source {
    source("[columns]\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\nreference = \"dossier\"")
}

fn read_bytes(source: &Source, bytes: &[u8]) -> Result<ReadOutcome, SourceError> {
    read_classes(source, bytes, BOTH)
}

fn read_classes(source: &Source, bytes: &[u8], classes: &[SubjectClass]) -> Result<ReadOutcome, SourceError> {
    read_stream(source, bytes, bytes.len() as u64, classes, &mut |_, _| {})
}

fn read_stream(
    source: &Source,
    bytes: impl io::Read,
    size: u64,
    classes: &[SubjectClass],
    progress: Progress<'_>,
) -> Result<ReadOutcome, SourceError> {
    let Place::Csv {
        delimiter, encoding, ..
    } = source.place
    else {
        panic!("not CSV")
    };
    let format = Format { delimiter, encoding };
    let mut bytes = Some(bytes);
    let mut rows =
        |wanted: &[&str], visit: Visit<'_>| table::each_row(bytes.take().unwrap(), format, wanted, visit);
    read_rows(source, &admission(), TODAY, classes, (size, progress), &mut rows)
}

fn read_text(text: &str) -> ReadOutcome {
    read_bytes(&usual(), text.as_bytes()).unwrap()
}

/// `row/column/code` of each issue.
fn issues(outcome: &ReadOutcome) -> Vec<String> {
    let shown = |issue: &RowIssue| {
        assert_eq!(&*issue.file, "clients.csv");
        format!(
            "{}/{}/{}",
            issue.row,
            issue.column.as_deref().unwrap_or("-"),
            issue.code()
        )
    };
    outcome.issues.iter().map(shown).collect()
}

fn numbers(outcome: &ReadOutcome) -> Vec<String> {
    let shown = |row: &SourceRow| String::from_utf8(row.identifier.expose_secret().to_vec()).unwrap();
    outcome.rows.iter().map(shown).collect()
}

#[test]
fn the_usual_file() {
    let outcome = read_text(&format!(
        "bsn;geboren;dossier\n{A};1-2-2016;LP-1\n{B};1966-02-01;\n"
    ));
    assert_eq!(numbers(&outcome), [A, B]);
    let classes: Vec<_> = outcome.rows.iter().map(|row| row.class).collect();
    assert_eq!(classes, [SubjectClass::Minor, SubjectClass::Adult]);
    let references: Vec<_> = outcome.rows.iter().map(|row| row.reference.as_deref()).collect();
    assert_eq!(references, [Some("LP-1"), None]);
    assert_eq!(
        (outcome.total_rows, outcome.issue_count, outcome.duplicates),
        (2, 0, 0)
    );
}

#[test]
fn ways_of_writing_the_same_file() {
    let cases: &[(&str, Vec<u8>)] = &[
        (
            "mark",
            format!("\u{feff}bsn;geboren;dossier\n{A};1-2-2016;x\n").into(),
        ),
        (
            "CRLF",
            format!("bsn;geboren;dossier\r\n{A};1-2-2016;x\r\n").into(),
        ),
        ("no end", format!("bsn;geboren;dossier\n{A};1-2-2016;x").into()),
        (
            "CRLF without end",
            format!("bsn;geboren;dossier\r\n{A};1-2-2016;x").into(),
        ),
        (
            "quoted",
            format!("\"bsn\";\"geboren\";\"dossier\"\r\n\"{A}\";\"1-2-2016\";\"x\"\r\n").into(),
        ),
        (
            "upper case",
            format!("BSN;Geboren;DOSSIER\n{A};1-2-2016;x\n").into(),
        ),
        (
            "white space",
            format!(" bsn ; geboren;dossier\t\n {A} ; 1-2-2016 ; x \n").into(),
        ),
        (
            "other order",
            format!("dossier;naam;geboren;bsn\nx;Jansen;1-2-2016;{A}\n").into(),
        ),
        (
            "separators",
            "bsn;geboren;dossier\n9999.90.019;1-2-2016;x\n".into(),
        ),
        (
            "empty rows",
            format!("\n\r\nbsn;geboren;dossier\n;;\n\n{A};1-2-2016;x\n;;\n\n").into(),
        ),
        (
            "foreign field in another encoding",
            [
                b"naam;bsn;geboren;dossier\nJos\xe9;".as_slice(),
                A.as_bytes(),
                b";1-2-2016;x\n",
            ]
            .concat(),
        ),
        (
            "quoted delimiter",
            format!("bsn;geboren;dossier;n\n{A};1-2-2016;x;\"a;b\"\"c\"\n").into(),
        ),
    ];
    for (name, bytes) in cases {
        let outcome = read_bytes(&usual(), bytes).unwrap();
        assert_eq!(numbers(&outcome), [A], "{name}");
        assert_eq!(outcome.rows[0].reference.as_deref(), Some("x"), "{name}");
        assert_eq!(
            (outcome.total_rows, outcome.issue_count),
            (1, 0),
            "{name}: {:?}",
            outcome.issues
        );
    }
}

#[test]
fn each_reason_to_leave_a_row_out() {
    let cases: &[(&str, &str)] = &[
        ("999990018;1-2-2016;x", "2/bsn/bsn_check_digit"),
        ("9999900;1-2-2016;x", "2/bsn/bsn_length"),
        ("99999001O;1-2-2016;x", "2/bsn/bsn_character"),
        ("000000000;1-2-2016;x", "2/bsn/bsn_zero"),
        ("111222333;1-2-2016;x", "2/bsn/bsn_not_test_range"),
        (";1-2-2016;x", "2/bsn/field_empty"),
        ("999990019;;x", "2/geboren/field_empty"),
        ("999990019;1 feb 2016;x", "2/geboren/birth_date_form"),
        ("999990019;00-00-2016;x", "2/geboren/birth_date_partial"),
        ("999990019;01-02-2027;x", "2/geboren/birth_date_implausible"),
        ("999990019;1-2-2016", "2/-/row_width"),
        ("999990019;1-2-2016;x;y", "2/-/row_width"),
        ("999990019;1-2-2016;x;", "2/-/row_width"),
    ];
    for (row, expected) in cases {
        let outcome = read_text(&format!("bsn;geboren;dossier\n{row}\n{B};1-2-2016;x\n"));
        assert_eq!(issues(&outcome), [*expected], "{row}");
        assert_eq!(numbers(&outcome), [B], "the rest goes on after {row}");
        assert_eq!(outcome.total_rows, 2, "{row}");
    }
}

#[test]
fn no_text_about_a_row_holds_a_value() {
    let rows = "999990018;1-2-2016;Geheim\n99999001O;1-2-2016;x\n111222333;17-3-1999;x\n999990019;17-17-1999;x\n\
                999990019;17-3-1999;Geheim\n999990019;17-3-1999;x\n999990019;17-3-2019;x\n";
    let outcome = read_text(&format!("bsn;geboren;dossier\n{rows}"));
    assert_eq!(outcome.issue_count, 6);
    let mut shown = format!("{outcome:?}");
    for issue in &outcome.issues {
        shown.extend([issue.to_string(), format!("{issue:?}"), issue.text_nl()]);
        assert!(issue.to_string().starts_with("clients.csv, row "), "{issue}");
    }
    for value in ["99999", "11122", "1999", "2019", "Geheim"] {
        assert!(!shown.contains(value), "{value} in {shown}");
    }
    assert_eq!(
        outcome.issues[0].text_nl(),
        "clients.csv, rij 2, kolom bsn: het BSN voldoet niet aan de elfproef"
    );
}

#[test]
fn encodings() {
    let mut source = source(
        "encoding = \"windows-1252\"\n[columns]\nidentifier = \"bsn\"\nfixed_class = \"adult\"\nreference = \"caf\u{e9}\"",
    );
    let bytes = [b"bsn;caf\xe9\n".as_slice(), A.as_bytes(), b";\x80 5\n"].concat();
    let outcome = read_bytes(&source, &bytes).unwrap();
    assert_eq!(outcome.rows[0].reference.as_deref(), Some("€ 5"));
    // A mark proves UTF-8, whatever the configuration says.
    let outcome = read_bytes(&source, format!("\u{feff}bsn;café\n{A};€ 5\n").as_bytes()).unwrap();
    assert_eq!(outcome.rows[0].reference.as_deref(), Some("€ 5"));
    let Place::Csv { encoding, .. } = &mut source.place else {
        panic!()
    };
    *encoding = Encoding::Utf8;
    assert!(matches!(
        read_bytes(&source, &bytes),
        Err(SourceError::HeaderEncoding)
    ));
    let bytes = [b"bsn;caf\xc3\xa9\n".as_slice(), A.as_bytes(), b";\x80 5\n"].concat();
    assert_eq!(
        issues(&read_bytes(&source, &bytes).unwrap()),
        ["2/café/field_encoding"]
    );
}

#[test]
fn numeric_columns_and_other_numbers() {
    let number = |columns: &str, row: &str| {
        let source = source(&format!(
            "[columns]\nidentifier = \"nr\"\nfixed_class = \"adult\"\n{columns}"
        ));
        let outcome = read_bytes(&source, format!("nr;x\n{row};\n").as_bytes()).unwrap();
        (numbers(&outcome), issues(&outcome))
    };
    let none = Vec::<String>::new();
    assert_eq!(
        number("numeric = true", "999990019.0"),
        (vec![A.into()], none.clone())
    );
    assert_eq!(
        number("", "999990019.0"),
        (vec![], vec!["2/nr/bsn_length".into()])
    );
    assert_eq!(
        number("identifier_type = \"skn\"", "1234567"),
        (vec!["01234567".into()], none.clone())
    );
    assert_eq!(
        number("identifier_type = \"skn\"\nnumeric = true", "12.0"),
        (vec!["00000012".into()], none)
    );
    assert_eq!(
        number("identifier_type = \"skn\"", "123456789"),
        (vec![], vec!["2/nr/skn_length".into()])
    );
}

#[test]
fn classes_in_words_and_classes_not_allowed() {
    let source = source("[columns]\nidentifier = \"bsn\"\nclass = \"soort\"");
    for (word, expected) in [
        ("minor", Some(SubjectClass::Minor)),
        ("Minderjarig", Some(SubjectClass::Minor)),
        ("ADULT", Some(SubjectClass::Adult)),
        ("volwassen", Some(SubjectClass::Adult)),
        ("kind", None),
    ] {
        let outcome = read_bytes(&source, format!("bsn;soort\n{A};{word}\n").as_bytes()).unwrap();
        assert_eq!(outcome.rows.first().map(|row| row.class), expected, "{word}");
        let expected: &[&str] = if expected.is_some() {
            &[]
        } else {
            &["2/soort/class_unknown"]
        };
        assert_eq!(issues(&outcome), expected, "{word}");
    }
    let text = format!("bsn;soort\n{A};minor\n{B};adult\n");
    let allowed = &[SubjectClass::Minor];
    let outcome = read_classes(&source, text.as_bytes(), allowed).unwrap();
    assert_eq!(
        (numbers(&outcome), issues(&outcome)),
        (vec![A.into()], vec!["3/soort/class_not_registered".into()])
    );
}

#[test]
fn the_first_of_two_rows_about_a_person_counts() {
    let rows =
        format!("{A};1-2-2016;first\n{B};1-2-2016;\n{A};1-2-2016;second\n9999.90.019;1-2-1966;third\n");
    let outcome = read_text(&format!("bsn;geboren;dossier\n{rows}"));
    assert_eq!(numbers(&outcome), [A, B]);
    assert_eq!(outcome.rows[0].reference.as_deref(), Some("first"));
    assert_eq!(
        issues(&outcome),
        ["4/bsn/duplicate", "5/bsn/duplicate_other_class"]
    );
    assert_eq!((outcome.duplicates, outcome.total_rows), (2, 4));
}

#[test]
fn rows_are_numbered_as_a_spreadsheet_shows_them() {
    for end in ["\n", "\r\n"] {
        for last in ["", end] {
            let text = [
                "bsn;geboren;dossier",       // 1
                "x;1-2-2016;a",              // 2
                "",                          // 3
                ";;",                        // 4
                "x;1-2-2016;\"two\nlines\"", // 5
                "x;\"1-2\r\n\n-2016\";b",    // 6
                "",                          // 7
                "",                          // 8
                "x;1-2-2016;c",              // 9
                "x;1-2-2016;\"d\ne\"",       // 10
            ]
            .join(end)
                + last;
            let outcome = read_text(&text);
            let rows: Vec<u64> = outcome.issues.iter().map(|issue| issue.row).collect();
            assert_eq!(rows, [2, 5, 6, 9, 10], "{end:?} {last:?}");
            assert_eq!(outcome.total_rows, 5);
        }
    }
}

#[test]
fn a_last_row_without_line_end_after_empty_rows_has_its_number_too() {
    for end in ["\n", "\r\n"] {
        let text = ["bsn;geboren;dossier", "", "", "x;1-2-2016;\"a\nb\""].join(end);
        assert_eq!(read_text(&text).issues[0].row, 4, "{end:?}");
        assert_eq!(
            read_text(&format!("{text}{end}")).issues[0].row,
            4,
            "{end:?} at the end"
        );
    }
}

#[test]
fn issues_beyond_a_thousand_are_counted_only() {
    let text = format!("bsn;geboren;dossier\n{}", "x;y;z\n".repeat(1_500));
    let outcome = read_text(&text);
    assert_eq!(
        (outcome.issues.len(), outcome.issue_count, outcome.total_rows),
        (MAX_ISSUES, 1_500, 1_500)
    );
}
