//! A list of households that somebody sends, such as to the console: what its bytes and its header tell of how it is
//! written, and the list itself. Nothing of it is written to a disk.

use std::io::Cursor;
use std::path::PathBuf;

use hitmachine_identifier::Admission;
use jiff::civil::Date;

use super::columns::{Delimiter, Encoding};
use super::households::{HouseholdColumns, HouseholdOutcome, HouseholdSource, read_rows};
use super::issue::SourceError;
use super::table::{self, Format};
use super::{header, xlsx};

/// Characters that separate fields in files that people send, the usual first.
const DELIMITERS: [char; 4] = [';', ',', '\t', '|'];
/// How far a file is looked at to see whether it is text.
const LOOKED_AT: usize = 8 * 1024;
/// What stands in the place of a file name in messages: people's own names of files can hold anything.
const NAME: &str = "lijst";

/// Headings that are known, written as [`plain`] writes them.
const HOUSEHOLD: [&str; 11] = [
    "huishouden",
    "huishoudennummer",
    "huishoudnummer",
    "huishoudenid",
    "huishoudid",
    "gezin",
    "gezinsnummer",
    "gezinnummer",
    "household",
    "householdid",
    "householdnumber",
];
const IDENTIFIER: [&str; 6] = [
    "bsn",
    "burgerservicenummer",
    "bsnnummer",
    "bsnnr",
    "sofinummer",
    "citizenservicenumber",
];
const BIRTH_DATE: [&str; 10] = [
    "geboortedatum",
    "geboren",
    "geboortedag",
    "gebdatum",
    "gebdat",
    "birthdate",
    "dateofbirth",
    "born",
    "dob",
    "datumgeboorte",
];
const CLASS: [&str; 5] = [
    "klasse",
    "leeftijdsklasse",
    "leeftijdscategorie",
    "class",
    "ageclass",
];
const REFERENCE: [&str; 9] = [
    "kenmerk",
    "eigenkenmerk",
    "label",
    "dossier",
    "dossiernummer",
    "zaaknummer",
    "referentie",
    "reference",
    "traject",
];

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// A spreadsheet; then delimiter and encoding mean nothing.
    pub spreadsheet: bool,
    /// Between fields.
    pub delimiter: Delimiter,
    /// How letters are written.
    pub encoding: Encoding,
    /// The names in the header row.
    names: Vec<String>,
}

/// Places of columns whose headings are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The household.
    pub household: Option<usize>,
    /// The BSN.
    pub identifier: Option<usize>,
    /// The birth date.
    pub birth_date: Option<usize>,
    /// The class in words.
    pub class: Option<usize>,
    /// The asker's own label.
    pub reference: Option<usize>,
}

/// Looks how a file is written, as far as nobody has said.
///
/// # Errors
/// [`SourceError`] if it cannot be a list. No text holds a value of it.
pub fn look(
    bytes: &[u8],
    delimiter: Option<Delimiter>,
    encoding: Option<Encoding>,
) -> Result<Written, SourceError> {
    let spreadsheet = bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]);
    let encoding = encoding.unwrap_or_else(|| match std::str::from_utf8(bytes) {
        Ok(_) => Encoding::Utf8,
        Err(_) => Encoding::Windows1252,
    });
    let delimiter = delimiter.unwrap_or_else(|| separates(bytes));
    let mut written = Written {
        spreadsheet,
        delimiter,
        encoding,
        names: Vec::new(),
    };
    written.names = if spreadsheet {
        xlsx::each_row(Cursor::new(bytes), None, &[], &mut |_| ())?
    } else {
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        if !utf16 && !is_text(bytes) {
            return Err(SourceError::NotAList);
        }
        table::names(bytes, written.format())?
    };
    if written.known().identifier.is_none() && written.names.iter().any(|name| header::is_data(name)) {
        return Err(SourceError::NoHeaderRow { wanted: "bsn".into() });
    }
    Ok(written)
}

/// Whether the beginning of a file is text rather than a picture or a program.
fn is_text(bytes: &[u8]) -> bool {
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let odd = |byte: &u8| *byte < b' ' && !b"\t\r\n".contains(byte);
    !head.starts_with(b"%PDF") && !head.iter().any(odd)
}

/// The delimiter that occurs most in the first line that holds anything, outside quotation marks.
fn separates(bytes: &[u8]) -> Delimiter {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let line = lines
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default();
    let mut inside = false;
    let mut counts = [0_usize; DELIMITERS.len()];
    for byte in line {
        inside ^= *byte == b'"';
        if inside {
            continue;
        }
        for (count, delimiter) in counts.iter_mut().zip(DELIMITERS) {
            *count += usize::from(char::from(*byte) == delimiter);
        }
    }
    // The first of several with the same count: the usual one.
    let most = counts
        .iter()
        .zip(DELIMITERS)
        .rev()
        .max_by_key(|(count, _)| **count);
    most.and_then(|(_, delimiter)| Delimiter::try_from(delimiter).ok())
        .unwrap_or_default()
}

/// A heading without what people write differently.
fn plain(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric())
        .collect()
}

impl Written {
    fn format(&self) -> Format {
        Format {
            delimiter: self.delimiter,
            encoding: self.encoding,
        }
    }

    /// The columns that can be chosen, with their places: those with a heading of their own. A heading that looks like a
    /// person's data is none.
    pub fn columns(&self) -> Vec<(usize, &str)> {
        let alone = |name: &str| {
            let lower = name.to_lowercase();
            self.names
                .iter()
                .filter(|other| other.to_lowercase() == lower)
                .count()
                == 1
        };
        let named = self.names.iter().map(String::as_str).enumerate();
        named
            .filter(|(_, name)| !name.is_empty() && !header::is_data(name) && alone(name))
            .collect()
    }

    /// The heading of a column that can be chosen.
    pub fn column(&self, place: usize) -> Option<&str> {
        self.columns()
            .into_iter()
            .find(|(at, _)| *at == place)
            .map(|(_, name)| name)
    }

    /// The columns whose headings are known.
    pub fn known(&self) -> Known {
        let columns = self.columns();
        let find = |words: &[&str]| {
            // In the order of the words: the first is the surest.
            words.iter().find_map(|word| {
                let found = columns.iter().find(|(_, name)| plain(name) == *word);
                found.map(|(place, _)| *place)
            })
        };
        Known {
            household: find(&HOUSEHOLD),
            identifier: find(&IDENTIFIER),
            birth_date: find(&BIRTH_DATE),
            class: find(&CLASS),
            reference: find(&REFERENCE),
        }
    }
}

/// Reads the households of a list that lies in memory; `today` decides who is a minor. Blocks.
///
/// # Errors
/// [`SourceError`] if the list as a whole cannot be trusted.
pub fn read(
    bytes: &[u8],
    written: &Written,
    columns: HouseholdColumns,
    admission: &Admission,
    today: Date,
) -> Result<HouseholdOutcome, SourceError> {
    let source = HouseholdSource {
        path: PathBuf::from(NAME),
        delimiter: written.delimiter,
        encoding: written.encoding,
        columns,
    };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    read_rows(
        size,
        &source,
        admission,
        today,
        &mut |_, _| (),
        &mut |wanted, visit| {
            if written.spreadsheet {
                xlsx::each_row(Cursor::new(bytes), None, wanted, visit)
            } else {
                table::each_row(bytes, written.format(), wanted, visit)
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ClassFrom;

    fn known(header: &str) -> (char, Known) {
        let written = look(header.as_bytes(), None, None).unwrap();
        (char::from(written.delimiter.byte()), written.known())
    }

    #[test]
    fn headings_and_delimiters_are_recognised() {
        let all = |delimiter: char| {
            let known = Known {
                household: Some(0),
                identifier: Some(1),
                birth_date: Some(2),
                class: None,
                reference: Some(3),
            };
            (delimiter, known)
        };
        assert_eq!(known("huishouden;bsn;geboortedatum;kenmerk\n"), all(';'));
        assert_eq!(
            known("\u{feff}Gezin,BSN-nummer,\"Geb. datum\",Dossier\n"),
            all(',')
        );
        assert_eq!(
            known("\n\nHousehold ID\tBurgerservicenummer\tDate of birth\tlabel"),
            all('\t')
        );
        assert_eq!(known("huishouden|bsn|geboren|\"a;b;c;d\"").0, '|');
        // Twice the same heading: nobody knows which is meant.
        assert_eq!(known("bsn;BSN;gezin").1.identifier, None);
        assert_eq!(known("naam;adres").1, Known::default());
    }

    #[test]
    fn what_is_no_list_is_said_without_its_values() {
        let said = |bytes: &[u8]| look(bytes, None, None).unwrap_err();
        assert!(matches!(said(b""), SourceError::Empty));
        assert!(matches!(said(b"\x89PNG\r\n\x1a\n\0\0\0"), SourceError::NotAList));
        assert!(matches!(said(b"%PDF-1.7\nabc"), SourceError::NotAList));
        assert!(matches!(said(b"\xff\xfeb\0s\0n\0"), SourceError::Utf16));
        assert!(matches!(
            said(b"PK\x03\x04nothing"),
            SourceError::DamagedSpreadsheet
        ));
        assert!(matches!(
            said(&[0xd0, 0xcf, 0x11, 0xe0, 0, 0, 0, 0]),
            SourceError::Protected
        ));
        let error = said(b"H1;999990019;1-2-1980\n");
        assert!(matches!(error, SourceError::NoHeaderRow { .. }));
        assert!(!error.to_string().contains("99999"), "{error}");
    }

    #[test]
    fn letters_of_older_programs_are_read() {
        let bytes = b"huishouden;bsn;kenmerk\nCo\xebhoorn;111222333;a\n";
        let written = look(bytes, None, None).unwrap();
        assert_eq!(written.encoding, Encoding::Windows1252);
        let columns = HouseholdColumns {
            household: "huishouden".into(),
            identifier: "bsn".into(),
            numeric: false,
            class: ClassFrom::Fixed(hitmachine_core::SubjectClass::Adult),
            reference: Some("kenmerk".into()),
        };
        let admission = Admission::new("production".parse().unwrap(), vec!["9999".into()]);
        let outcome = read(
            bytes,
            &written,
            columns,
            &admission.unwrap(),
            jiff::civil::date(2026, 1, 1),
        )
        .unwrap();
        assert_eq!(&*outcome.households[0].name, "Coëhoorn");
        // Some other encoding than chosen is said, not guessed at.
        assert!(look(b"hui\xebs;bsn\n", None, Some(Encoding::Utf8)).is_err());
    }
}
