//! What is wrong with a file as a whole, and what is big.

use std::fs;
use std::io::{self, Read, Write as _};
use std::time::Instant;

use super::*;

fn error(bytes: &[u8]) -> SourceError {
    read_bytes(&usual(), bytes).unwrap_err()
}

#[test]
fn empty_is_not_the_same_as_a_header_alone() {
    for bytes in ["", "\u{feff}", "\n\r\n \n", ";;\n"] {
        assert!(matches!(error(bytes.as_bytes()), SourceError::Empty), "{bytes:?}");
    }
    for text in [
        "bsn;geboren;dossier",
        "bsn;geboren;dossier\r\n",
        "bsn;geboren;dossier\n;;\n\n",
    ] {
        let outcome = read_text(text);
        assert_eq!(
            (outcome.rows.len(), outcome.total_rows, outcome.issue_count),
            (0, 0, 0),
            "{text:?}"
        );
    }
}

#[test]
fn other_kinds_of_files_are_named_with_the_remedy() {
    let utf16: Vec<u8> = "bsn;geboren".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_big: Vec<u8> = "bsn;geboren".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [
        [b"\xff\xfe".as_slice(), &utf16].concat(),
        [b"\xfe\xff".as_slice(), &utf16_big].concat(),
        utf16,
        utf16_big,
    ] {
        let error = error(&bytes);
        assert!(matches!(error, SourceError::Utf16), "{error:?}");
        assert!(error.to_string().contains("save it as 'CSV UTF-8'"));
    }
    assert!(matches!(
        error(b"PK\x03\x04\x14\0\x06\0"),
        SourceError::Spreadsheet
    ));
    assert!(matches!(
        error(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        SourceError::Spreadsheet
    ));
    assert!(matches!(
        error(b"bsn;geboren;dossier\r999990019;1-2-2016;x\r"),
        SourceError::LineEnds
    ));
}

#[test]
fn a_missing_column_is_named_with_what_is_there() {
    let missing = |header: &str| error(format!("{header}\n{A};1-2-2016;x\n").as_bytes()).to_string();
    assert_eq!(
        missing("Burgerservicenummer;geboren;dossier"),
        "no column 'bsn' in the header row; found: Burgerservicenummer, geboren, dossier"
    );
    assert_eq!(
        missing("bsn,geboren,dossier"),
        "no column 'bsn' in the header row; found: bsn,geboren,dossier"
    );
    let long = missing(&format!("{};{}", "k".repeat(60), "a;".repeat(40)));
    assert!(
        long.contains(&format!("{}…", "k".repeat(40))) && !long.contains(&"k".repeat(41)),
        "{long}"
    );
    assert!(
        long.ends_with("a, a, …") && long.matches(", a").count() == 19,
        "{long}"
    );
    assert!(
        matches!(error(b"bsn;bsn;geboren;dossier\n"), SourceError::AmbiguousColumn { wanted } if wanted == "bsn")
    );
}

#[test]
fn a_first_row_with_a_person_is_never_shown() {
    for row in [
        "999990019;Jansen;x",
        "Jansen;9999.90.019;x",
        "Jansen;1-2-2016 999990019;x",
        "Jansen;01-02-2016;x",
    ] {
        let error = error(format!("{row}\n{row}\n").as_bytes());
        let shown = format!("{error} {error:?} {}", error.text_nl());
        assert!(
            matches!(error, SourceError::NoHeaderRow { .. }),
            "{row}: {error:?}"
        );
        assert!(!shown.contains("Jansen") && !shown.contains("9999"), "{shown}");
    }
}

#[test]
fn a_quotation_mark_that_swallows_rows_is_noticed() {
    let more = format!("{B};1-2-2016;y\n").repeat(3);
    let header = "bsn;geboren;dossier\n";
    let row = |row: &str| match error(format!("{header}{row}\n{more}").as_bytes()) {
        SourceError::QuoteNotClosed { row } => row,
        other => panic!("{other:?}"),
    };
    assert_eq!(row(&format!("{A};1-2-2016;\"never closed")), 2);
    assert_eq!(row("\"999990019;1-2-2016;x"), 2);
    assert_eq!(
        row(&format!(
            "{B};1-2-2016;x\n\n{A};1-2-2016;\"closed later\n{more}x\"y"
        )),
        4
    );
    // A note of several lines is none of that, even with the delimiter in it.
    let outcome = read_text(&format!(
        "{header}{A};1-2-2016;\"call;\nthen; 1-2-2016\nask\"\n{more}"
    ));
    assert_eq!(numbers(&outcome), [A, B]);
}

#[test]
fn an_open_quotation_mark_is_not_read_to_the_end_of_a_large_file() {
    let line = b"some words; and more of them, but nothing that looks like a person number\n";
    let mut taken = 0_u64;
    let endless = CountingReader {
        first: b"bsn;geboren;dossier\n\"".to_vec(),
        then: line,
        taken: &mut taken,
    };
    let result = read_stream(&usual(), endless, 0, BOTH, &mut |_, _| {});
    assert!(
        matches!(result, Err(SourceError::QuoteNotClosed { row: 2 })),
        "{result:?}"
    );
    assert!(taken <= 512 * 1024, "{taken} bytes were read");
}

/// Gives `first` and then 100 MB of `then`, and counts what is taken.
struct CountingReader<'a> {
    first: Vec<u8>,
    then: &'static [u8],
    taken: &'a mut u64,
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        for byte in buffer.iter_mut() {
            if *self.taken == 100_000_000 {
                break;
            }
            let at = usize::try_from(*self.taken).unwrap();
            *byte = match self.first.get(at) {
                Some(byte) => *byte,
                None => self.then[(at - self.first.len()) % self.then.len()],
            };
            *self.taken += 1;
            count += 1;
        }
        Ok(count)
    }
}

#[test]
fn a_line_of_100_megabytes_is_refused_after_the_first_of_them() {
    for (first, line) in [
        ("", 1),
        ("bsn;geboren;dossier\n", 2),
        ("bsn;geboren;dossier\n\"a\nb\"", 3),
    ] {
        let mut taken = 0;
        let reader = CountingReader {
            first: first.into(),
            then: b"x",
            taken: &mut taken,
        };
        let result = read_stream(&usual(), reader, 0, BOTH, &mut |_, _| {});
        match result {
            Err(SourceError::LineTooLong { line: found }) => assert_eq!(found, line),
            other => panic!("{other:?}"),
        }
        assert!(taken <= 192 * 1024, "{taken} bytes were read");
    }
}

#[test]
fn the_longest_line_allowed_is_read() {
    let header = "bsn;geboren;dossier\n";
    let row = |length: usize| {
        let fixed = format!("{A};1-2-2016;");
        let reference = "r".repeat(length - fixed.len());
        read_bytes(
            &usual(),
            format!("{header}{fixed}{reference}\n{B};1-2-2016;\n").as_bytes(),
        )
    };
    assert_eq!(row(64 * 1024).unwrap().rows.len(), 2);
    assert!(matches!(
        row(64 * 1024 + 1),
        Err(SourceError::LineTooLong { line: 2 })
    ));
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = usual();
    let path = folder.path().join("clients.csv");
    source.resolve(|_| path.clone());
    fs::write(&path, format!("bsn;geboren;dossier\n{A};1-2-2016;\n")).unwrap();
    let reading = |progress: Progress<'_>| read(&source, &admission(), TODAY, BOTH, progress);
    assert_eq!(reading(&mut |_, _| {}).unwrap().rows.len(), 1);
    let append = |_, _| {
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"more").unwrap();
    };
    assert!(matches!(reading(&mut { append }), Err(SourceError::Changed)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(reading(&mut |_, _| {}), Err(SourceError::Open { .. })));
    source.resolve(|_| folder.path().to_owned());
    let folder_read = read(&source, &admission(), TODAY, BOTH, &mut |_, _| {});
    assert!(
        matches!(folder_read, Err(SourceError::Open { .. })),
        "{folder_read:?}"
    );
}

#[test]
fn progress_grows_to_the_size_of_the_file() {
    let text = format!("bsn;geboren;dossier\n{}", "x;y;z\n".repeat(50_000));
    let size = text.len() as u64;
    let mut calls = Vec::new();
    read_stream(&usual(), text.as_bytes(), size, BOTH, &mut |done, of| {
        calls.push((done, of));
    })
    .unwrap();
    assert!(calls.len() > 5 && calls.is_sorted(), "{calls:?}");
    assert_eq!(calls.last(), Some(&(size, size)));
}

/// A second or less in a release build; the bound leaves room for a busy machine and a debug build. SKNs, because
/// there are not as many made-up BSNs.
#[test]
fn a_million_persons_in_reasonable_time() {
    let source = source(
        "[columns]\nidentifier = \"skn\"\nidentifier_type = \"skn\"\nbirth_date = \"geboren\"\nreference = \"dossier\"",
    );
    let mut text = String::from("skn;naam;geboren;dossier\r\n");
    for number in 1..=1_000_000 {
        text.extend([&*format!("{number:08}"), ";\"Jansen, P.\";1-2-2016;", "LP-1\r\n"]);
    }
    let began = Instant::now();
    let outcome = read_bytes(&source, text.as_bytes()).unwrap();
    let took = began.elapsed();
    println!("{} MB in {took:?}", text.len() / 1_000_000);
    assert_eq!(
        (outcome.rows.len(), outcome.total_rows, outcome.duplicates),
        (1_000_000, 1_000_000, 0)
    );
    assert!(took.as_secs() < 30, "{took:?}");
}
