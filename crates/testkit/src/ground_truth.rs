//! What a screening must answer, worked out from the plain files without the product.
//!
//! It reads the screening list and the registers as [`crate::population`] writes them and compares numbers as
//! text: no pseudonyms, no covenant, no store, and nothing of the product but the description of the file
//! styles. `tests/ground_truth.py` does the same once more in Python, and a test holds both against each
//! other.
//!
//! The rules, all there are:
//! - leerplicht is asked about minors, schuldhulpverlening about adults, regieteams and OM/reclassering about
//!   everybody; for anybody else the answer is "does not apply", whatever the register holds;
//! - a row counts if it has a BSN and is about somebody this register may hold, by its own birth date;
//! - a household has a municipal indication if one of its persons is known at leerplicht, schuldhulpverlening
//!   or regieteams.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::Serialize;

use crate::population::{LIST_FILE, LIST_HOUSEHOLD_COLUMN, Register, SourceStyle, TextEncoding, list_style};

/// Why the files give no answer. Names a file and a line, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroundTruthError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not what its style says: encoding, heading or a row.
    #[error("{} line {line}: {what}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Line in it, from 1; the heading is line 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// What is known about one person at one partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// In the register.
    Known,
    /// Asked about, and not in the register.
    NotKnown,
    /// Not asked: the partner does not deal with this age.
    DoesNotApply,
}

/// The right answer to a screening. The fields are in the order of their names, as in the JSON of both
/// programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroundTruth {
    /// Per partner id the number of persons on the list who are known there.
    pub hits_per_partner: BTreeMap<String, usize>,
    /// Households on the list.
    pub households: usize,
    /// Households without anybody known at a municipal register.
    pub households_without_municipal_indication: usize,
    /// How many of those have somebody known at OM/reclassering.
    pub of_those_known_at_om: usize,
    /// Per person, in the order of the list: household, reference (`kenmerk`), status per partner id.
    pub per_person: Vec<(String, String, BTreeMap<String, Status>)>,
    /// Persons on the list.
    pub persons: usize,
}

impl GroundTruth {
    /// The same bytes as `tests/ground_truth.py` prints: sorted keys, two spaces, one line feed at the end.
    ///
    /// # Errors
    /// Whatever `serde_json` reports; for this structure nothing is known that could fail.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

/// Works out the answer from the files in `dir`, with the ages of `today`.
///
/// # Errors
/// When a file is missing, cannot be decoded or has a row that cannot be understood. A row without BSN is no
/// error: real exports have them.
pub fn ground_truth(dir: &Path, today: Date) -> Result<GroundTruth, GroundTruthError> {
    let list = read(&dir.join(LIST_FILE), &list_style(), Some(LIST_HOUSEHOLD_COLUMN))?;
    let registers = Register::ALL
        .into_iter()
        .map(|register| {
            let rows = read(&dir.join(register.file_name()), &register.style(), None)?;
            let known: HashMap<String, String> = rows
                .into_iter()
                .filter(|row| deals_with(register, is_minor(row.birth_date, today)))
                .map(|row| (row.bsn, row.reference))
                .collect();
            Ok((register, known))
        })
        .collect::<Result<Vec<_>, GroundTruthError>>()?;

    let mut hits: BTreeMap<String, usize> = BTreeMap::new();
    let mut households = BTreeSet::new();
    let mut indicated = BTreeSet::new();
    let mut at_om = BTreeSet::new();
    let mut per_person = Vec::new();
    for person in list {
        households.insert(person.household.clone());
        let mut statuses = BTreeMap::new();
        for (register, known) in &registers {
            let hit = hits.entry(register.id().to_owned()).or_default();
            let status = if !deals_with(*register, is_minor(person.birth_date, today)) {
                Status::DoesNotApply
            } else if known.contains_key(&person.bsn) {
                *hit += 1;
                let set = if *register == Register::OmReclassering {
                    &mut at_om
                } else {
                    &mut indicated
                };
                set.insert(person.household.clone());
                Status::Known
            } else {
                Status::NotKnown
            };
            statuses.insert(register.id().to_owned(), status);
        }
        per_person.push((person.household, person.reference, statuses));
    }
    let without: Vec<&String> = households.difference(&indicated).collect();
    Ok(GroundTruth {
        hits_per_partner: hits,
        households: households.len(),
        households_without_municipal_indication: without.len(),
        of_those_known_at_om: without
            .into_iter()
            .filter(|household| at_om.contains(*household))
            .count(),
        persons: per_person.len(),
        per_person,
    })
}

/// The class rule, written out once more rather than taken from the population.
fn deals_with(register: Register, minor: bool) -> bool {
    match register {
        Register::Leerplicht => minor,
        Register::Schuldhulpverlening => !minor,
        Register::Regieteams | Register::OmReclassering => true,
    }
}

/// Under eighteen, counted on the calendar.
fn is_minor(birth_date: Date, today: Date) -> bool {
    let had_birthday = (today.month(), today.day()) >= (birth_date.month(), birth_date.day());
    today.year() - birth_date.year() - i16::from(!had_birthday) < 18
}

/// A row of a file with a BSN.
struct Row {
    bsn: String,
    birth_date: Date,
    reference: String,
    household: String,
}

fn read(path: &Path, style: &SourceStyle, household: Option<&str>) -> Result<Vec<Row>, GroundTruthError> {
    let format = |line, what| GroundTruthError::Format {
        path: path.to_owned(),
        line,
        what,
    };
    let bytes = fs::read(path).map_err(|source| GroundTruthError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = match style.encoding {
        TextEncoding::Utf8 | TextEncoding::Utf8WithMark => {
            String::from_utf8(bytes).map_err(|_| format(1, "not UTF-8"))?
        }
        TextEncoding::Windows1252 => encoding_rs::WINDOWS_1252
            .decode_without_bom_handling_and_without_replacement(&bytes)
            .ok_or_else(|| format(1, "not windows-1252"))?
            .into_owned(),
    };
    let text = text.trim_start_matches('\u{feff}');
    let delimiter = u8::try_from(style.delimiter).map_err(|_| format(1, "delimiter not ASCII"))?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let heading = reader.headers().map_err(|_| format(1, "no heading"))?.clone();
    let column = |name: &str| {
        heading
            .iter()
            .position(|title| title == name)
            .ok_or_else(|| format(1, "a column is missing"))
    };
    let (bsn, birth_date, reference) = (
        column(style.bsn_column)?,
        column(style.birth_date_column)?,
        column(style.reference_column)?,
    );
    let household = household.map(column).transpose()?;

    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            format(
                error.position().map_or(0, csv::Position::line),
                "not a row of this table",
            )
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at: usize| record.get(at).unwrap_or_default();
        if field(bsn).is_empty() {
            continue;
        }
        rows.push(Row {
            bsn: if style.numeric_bsn {
                format!("{:0>9}", field(bsn))
            } else {
                field(bsn).to_owned()
            },
            birth_date: Date::strptime(style.date_format, field(birth_date))
                .map_err(|_| format(line, "not a date"))?,
            reference: field(reference).to_owned(),
            household: household.map(field).unwrap_or_default().to_owned(),
        });
    }
    Ok(rows)
}
