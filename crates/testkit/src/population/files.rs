//! A population as the files its partners would export.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Span;
use jiff::civil::{Date, date};

use super::Population;
use super::bsn::{BsnWalk, are_prefixes, mistyped};
use super::style::{LIST_FILE, LIST_HOUSEHOLD_COLUMN, Register, SourceStyle, TextEncoding, list_style};
use crate::rng::Rng;

/// Made-up districts; the regieteams' export has them so that its encoding matters.
const DISTRICTS: [&str; 6] = [
    "Bottendaal–Süd",
    "Coëhoorn",
    "’t Broekje",
    "Nieuw-Überdijk",
    "Façadekwartier",
    "Oost–Één",
];

/// Rows of an export that a reader must refuse or skip. None is about a person on the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BadRows {
    /// BSNs from a test range that fail the elfproef.
    pub elfproef: usize,
    /// Exact copies of another row.
    pub duplicate: usize,
    /// Rows without a BSN.
    pub empty_bsn: usize,
}

/// One register as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterFile {
    /// The file.
    pub path: PathBuf,
    /// How to read it.
    pub style: SourceStyle,
    /// Distinct persons in it.
    pub persons: usize,
    /// Data rows in it, bad ones included, the heading not.
    pub rows: usize,
    /// How many rows are no good, and why.
    pub bad_rows: BadRows,
}

/// The screening list as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// The file.
    pub path: PathBuf,
    /// How to read it.
    pub style: SourceStyle,
    /// Households on it.
    pub households: usize,
    /// Persons on it, one row each.
    pub persons: usize,
}

/// Everything [`Population::write`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopulationFiles {
    /// The screening list.
    pub list: ListFile,
    /// The registers.
    pub registers: BTreeMap<Register, RegisterFile>,
}

impl Population {
    /// Writes the screening list and one export per register into `dir`, which is created if it is not there.
    /// Files of the same names are replaced.
    ///
    /// The bytes depend on the seed, the day and the size only.
    ///
    /// # Errors
    /// When the folder or a file cannot be written.
    pub fn write(&self, dir: &Path) -> io::Result<PopulationFiles> {
        fs::create_dir_all(dir)?;
        let list = self.write_list(dir)?;
        let registers = Register::ALL
            .into_iter()
            .map(|register| Ok((register, self.write_register(register, dir)?)))
            .collect::<io::Result<_>>()?;
        Ok(PopulationFiles { list, registers })
    }

    fn write_list(&self, dir: &Path) -> io::Result<ListFile> {
        let style = list_style();
        let mut rows = vec![vec![
            LIST_HOUSEHOLD_COLUMN.to_owned(),
            style.bsn_column.to_owned(),
            style.birth_date_column.to_owned(),
            style.reference_column.to_owned(),
        ]];
        let mut households = 0;
        for person in self.list() {
            let household = person.household.unwrap_or_default();
            households += usize::from(person.member == 1);
            rows.push(vec![
                format!("H{household:03}"),
                person.bsn.clone(),
                style.date(person.birth_date),
                person.list_reference().unwrap_or_default(),
            ]);
        }
        let path = dir.join(LIST_FILE);
        fs::write(&path, style.encode(&rows)?)?;
        Ok(ListFile {
            path,
            style,
            households,
            persons: rows.len() - 1,
        })
    }

    fn write_register(&self, register: Register, dir: &Path) -> io::Result<RegisterFile> {
        let style = register.style();
        let mut rng = Rng::stream(self.seed, &format!("file {register}"));
        let mut rows = Vec::new();
        let mut others = Vec::new();
        for person in self.members(register) {
            if person.household.is_none() {
                others.push(rows.len());
            }
            rows.push(Row {
                bsn: style.bsn(&person.bsn),
                birth_date: style.date(person.birth_date),
                reference: person.references.get(&register).cloned().unwrap_or_default(),
                district: DISTRICTS[rng.index(DISTRICTS.len())],
            });
        }
        let persons = rows.len();
        let bad_rows = self.add_bad_rows(register, &mut rows, &others, &mut rng);
        rng.shuffle(&mut rows);

        let with_district = register == Register::Regieteams;
        let mut table = vec![heading(&style, with_district)];
        table.extend(rows.into_iter().map(|row| row.fields(with_district)));
        let path = dir.join(register.file_name());
        fs::write(&path, style.encode(&table)?)?;
        Ok(RegisterFile {
            path,
            style,
            persons,
            rows: table.len() - 1,
            bad_rows,
        })
    }

    /// What every real export has: a mistyped number, a row without one, a row twice. `others` are the rows
    /// that are not about persons on the list.
    fn add_bad_rows(
        &self,
        register: Register,
        rows: &mut Vec<Row>,
        others: &[usize],
        rng: &mut Rng,
    ) -> BadRows {
        let bad = BadRows {
            elfproef: 2 + rng.index(3),
            duplicate: 1,
            empty_bsn: 1 + rng.index(2),
        };
        // Everything but the BSN is as in a good row, so that only the BSN can be what is wrong.
        for at in 0..bad.elfproef + bad.empty_bsn {
            let bsn = if at < bad.elfproef {
                mistyped(rng)
            } else {
                String::new()
            };
            let model = rows[others[rng.index(others.len())]].clone();
            // The good rows are numbered 1 to the number of persons.
            let number = rows.len() + 1;
            let reference = format!(
                "{}-{}-{number:05}",
                register.reference_prefix(),
                self.today.year()
            );
            rows.push(Row {
                bsn,
                reference,
                ..model
            });
        }
        for _ in 0..bad.duplicate {
            let copy = rows[others[rng.index(others.len())]].clone();
            rows.push(copy);
        }
        bad
    }
}

/// One row of an export, as text.
#[derive(Clone)]
struct Row {
    bsn: String,
    birth_date: String,
    reference: String,
    district: &'static str,
}

impl Row {
    fn fields(self, with_district: bool) -> Vec<String> {
        let mut fields = vec![self.bsn, self.birth_date, self.reference];
        if with_district {
            fields.insert(0, self.district.to_owned());
        }
        fields
    }
}

fn heading(style: &SourceStyle, with_district: bool) -> Vec<String> {
    let mut fields: Vec<String> = [style.bsn_column, style.birth_date_column, style.reference_column]
        .map(str::to_owned)
        .into();
    if with_district {
        fields.insert(0, "wijk".to_owned());
    }
    fields
}

impl SourceStyle {
    fn bsn(&self, bsn: &str) -> String {
        if self.numeric_bsn {
            bsn.trim_start_matches('0').to_owned()
        } else {
            bsn.to_owned()
        }
    }

    fn date(&self, day: Date) -> String {
        day.strftime(self.date_format).to_string()
    }

    /// The bytes of a file with these rows.
    fn encode(&self, rows: &[Vec<String>]) -> io::Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(u8::try_from(self.delimiter).map_err(io::Error::other)?)
            // What comes from a Windows application ends its lines the Windows way.
            .terminator(if self.encoding == TextEncoding::Utf8 {
                csv::Terminator::Any(b'\n')
            } else {
                csv::Terminator::CRLF
            })
            .from_writer(Vec::new());
        for row in rows {
            writer.write_record(row)?;
        }
        let text = String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
            .map_err(io::Error::other)?;
        Ok(match self.encoding {
            TextEncoding::Utf8 => text.into_bytes(),
            TextEncoding::Utf8WithMark => ["\u{feff}", &text].concat().into_bytes(),
            TextEncoding::Windows1252 => match encoding_rs::WINDOWS_1252.encode(&text) {
                (bytes, _, false) => bytes.into_owned(),
                (_, _, true) => return Err(io::Error::other("text does not fit in windows-1252")),
            },
        })
    }
}

/// Writes a register of `persons` distinct adults for measurements, row by row, so that millions need no
/// memory.
///
/// The file is in the style of [`Register::Schuldhulpverlening`], which is returned; every BSN begins with
/// one of `prefixes` (`&["9"]` holds about nine million valid ones), in scattered order. Born from 1945 to
/// 2004.
///
/// # Errors
/// `InvalidInput` if a prefix is not one to eight digits, if two overlap, or if they hold fewer valid numbers
/// than `persons`; in the last case the file holds those there are. Otherwise when the file cannot be
/// written.
pub fn large_register(path: &Path, persons: usize, seed: u64, prefixes: &[&str]) -> io::Result<SourceStyle> {
    if !are_prefixes(prefixes) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "prefixes must be digits and not overlap",
        ));
    }
    let register = Register::Schuldhulpverlening;
    let style = register.style();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(out, "{}", heading(&style, false).join(","))?;
    let mut rng = Rng::stream(seed, "large register");
    // All days once; formatting a date anew for each row would take most of the time.
    let (first, last) = (date(1945, 1, 1), date(2004, 12, 31));
    let days: Vec<String> = first
        .series(Span::new().days(1))
        .take_while(|day| *day <= last)
        .map(|day| style.date(day))
        .collect();
    let mut written = 0;
    for bsn in BsnWalk::new(Rng::stream(seed, "large bsn"), prefixes).take(persons) {
        written += 1;
        let birth_date = &days[rng.index(days.len())];
        writeln!(
            out,
            "{bsn},{birth_date},{}-2026-{written:07}",
            register.reference_prefix()
        )?;
    }
    out.flush()?;
    if written < persons {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the prefixes hold fewer valid numbers",
        ));
    }
    Ok(style)
}
