//! A register as CSV, in any of the ways in which one can be configured: against a reader that only splits lines, and
//! read again from what was read.
//!
//! The first byte of an input chooses the configuration, the rest is the file.

use std::fmt::Write as _;
use std::fs;

use hitmachine_core::SubjectClass;
use hitmachine_identifier::{Bsn, Skn};
use hitmachine_node::source::{ClassFrom, NumberType, ReadOutcome, Source, age_on};
use hitmachine_pseudonym::CanonicalIdentifier;

use super::{TODAY, admission, register};

const DELIMITERS: [char; 4] = [';', ',', '\t', '|'];

struct Written {
    text: String,
    delimiter: char,
}

/// A configuration. Its names never look like a number of a person.
fn written(choice: u8) -> Written {
    let delimiter = DELIMITERS[usize::from(choice & 3)];
    let encoding = if choice & 4 == 0 { "utf-8" } else { "windows-1252" };
    let number = if choice & 8 == 0 { "bsn" } else { "skn" };
    let class = match choice >> 4 & 3 {
        0 => "birth_date = \"geboren\"",
        1 => "class = \"klasse\"",
        2 => "fixed_class = \"minor\"",
        _ => "birth_date = \"Geboren\"\nreference = \"dossier\"",
    };
    let numeric = choice & 0x40 != 0;
    let text = format!(
        "name = \"register\"\ndelimiter = {:?}\nencoding = \"{encoding}\"\n[columns]\nidentifier = \"nummer\"\n\
         identifier_type = \"{number}\"\nnumeric = {numeric}\n{class}\n",
        delimiter.to_string()
    );
    Written { text, delimiter }
}

/// The target.
pub fn check(input: &[u8]) {
    let Some((choice, file)) = input.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("register.csv");
    let Written { text, delimiter } = written(*choice);
    let source: Source = toml::from_str(&format!("path = {:?}\n{text}", path.to_str().unwrap())).unwrap();
    fs::write(&path, file).unwrap();
    let Ok(outcome) = register(&source) else {
        return;
    };
    if let Some(persons) = by_splitting(file, &source, delimiter) {
        let found: Vec<_> = outcome
            .rows
            .iter()
            .map(|row| (row.identifier.clone(), row.class))
            .collect();
        assert!(found == persons, "persons are read as by splitting lines");
    }
    // Written as a program would, everybody is there again, with their references.
    if !source.columns.numeric && outcome.rows.iter().all(can_be_written) {
        fs::write(&path, again(&outcome, delimiter)).unwrap();
        let second = register(&source).expect("a file that is written well");
        assert_eq!(second.issue_count, 0);
        assert!(second.rows == outcome.rows, "the same persons");
    }
}

fn can_be_written(row: &hitmachine_node::source::SourceRow) -> bool {
    row.reference
        .as_deref()
        .is_none_or(|text| !text.contains(['\n', '\r']) && text.is_ascii())
}

/// Persons of a file without quotation marks and carriage returns, in plain letters; `None` for any other.
fn by_splitting(
    file: &[u8],
    source: &Source,
    delimiter: char,
) -> Option<Vec<(CanonicalIdentifier, SubjectClass)>> {
    let text = std::str::from_utf8(file)
        .ok()
        .filter(|text| text.is_ascii() && !text.contains(['"', '\r', '\0']))?;
    let mut lines = text
        .split('\n')
        .map(|line| line.split(delimiter).map(str::trim).collect::<Vec<_>>())
        .filter(|fields| fields.iter().any(|field| !field.is_empty()));
    let header = lines.next()?;
    let place = |name: &str| header.iter().position(|each| each.eq_ignore_ascii_case(name));
    let columns = &source.columns;
    let mut persons: Vec<(CanonicalIdentifier, SubjectClass)> = Vec::new();
    for fields in lines.filter(|fields| fields.len() == header.len()) {
        let number = fields[place(&columns.identifier)?];
        let identifier = match (columns.identifier_type, columns.numeric) {
            (NumberType::Bsn, false) => Bsn::parse(number, &admission()).ok().map(|bsn| bsn.canonical()),
            (NumberType::Bsn, true) => Bsn::parse_numeric_text(number, &admission())
                .ok()
                .map(|bsn| bsn.canonical()),
            (NumberType::Skn, false) => Skn::parse(number).ok().map(|skn| skn.canonical()),
            (NumberType::Skn, true) => Skn::parse_numeric_text(number).ok().map(|skn| skn.canonical()),
        };
        let class = match &columns.class {
            ClassFrom::Fixed(class) => Some(*class),
            ClassFrom::BirthDate(name) => age_on(TODAY, fields[place(name)?]).ok().map(|age| age.class),
            ClassFrom::Column(name) => match fields[place(name)?].to_ascii_lowercase().as_str() {
                "minor" | "minderjarig" => Some(SubjectClass::Minor),
                "adult" | "volwassen" => Some(SubjectClass::Adult),
                _ => None,
            },
        };
        let known = |one: &CanonicalIdentifier| persons.iter().any(|(other, _)| other == one);
        if let (Some(identifier), Some(class)) = (identifier, class)
            && !known(&identifier)
        {
            persons.push((identifier, class));
        }
    }
    Some(persons)
}

/// The same persons, every field in quotation marks.
fn again(outcome: &ReadOutcome, delimiter: char) -> String {
    let mut text = format!("\"nummer\"{delimiter}\"geboren\"{delimiter}\"klasse\"{delimiter}\"dossier\"\r\n");
    for row in &outcome.rows {
        let number = String::from_utf8_lossy(row.identifier.expose_secret()).into_owned();
        let (born, class) = match row.class {
            SubjectClass::Minor => ("1-1-2020", "minderjarig"),
            SubjectClass::Adult => ("1980-01-01", "Volwassen"),
        };
        let reference = row.reference.as_deref().unwrap_or_default().replace('"', "\"\"");
        writeln!(
            text,
            "\"{number}\"{delimiter}\"{born}\"{delimiter}\"{class}\"{delimiter}\"{reference}\""
        )
        .unwrap();
    }
    text
}
