//! What can be wrong with a row and with a file. No text holds a value from the file.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use hitmachine_identifier::{BsnError, SknError};
use hitmachine_service::exit;

pub use super::database::{DatabaseProblem, Unreached};

/// Most issues of one file that are kept; more are only counted.
pub const MAX_ISSUES: usize = 1_000;

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowIssue {
    /// Name of the file, without its folder.
    pub file: Arc<str>,
    /// Number of the row as a spreadsheet shows it: the header is row 1.
    pub row: u64,
    /// Name of the column, as configured; `None` if it is about the whole row.
    pub column: Option<Arc<str>>,
    /// What is wrong.
    pub kind: IssueKind,
}

impl RowIssue {
    /// Stable name for machines and totals.
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The whole message in Dutch. (In English it is the `Display` text.)
    pub fn text_nl(&self) -> String {
        let column = self
            .column
            .as_ref()
            .map_or_else(String::new, |name| format!(", kolom {name}"));
        format!("{}, rij {}{column}: {}", self.file, self.row, self.kind.text_nl())
    }
}

impl fmt::Display for RowIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, row {}", self.file, self.row)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum IssueKind {
    /// The number is no BSN that may be used here.
    #[error(transparent)]
    Bsn(#[from] BsnError),
    /// The number is no SKN.
    #[error(transparent)]
    Skn(#[from] SknError),
    /// Nothing stands in a field that is needed.
    #[error("the field is empty")]
    Empty,
    /// A field that is needed is not in the encoding of the file.
    #[error("the field is not in the configured encoding")]
    Encoding,
    /// More or fewer fields than the header has.
    #[error("the row has more or fewer fields than the header")]
    Width,
    /// Not a date, or in another form.
    #[error("not a date; forms: 01-02-2026, 2026-02-01, 20260201")]
    DateForm,
    /// Parts of the birth date are unknown (written as zeros), so the class cannot be computed.
    #[error("the birth date is partly unknown, so minor or adult cannot be told")]
    DatePartial,
    /// In the future, or more than 130 years ago.
    #[error("the birth date is in the future or more than 130 years ago")]
    DateImplausible,
    /// The class column holds another word.
    #[error("not a class; words: minor, minderjarig, adult, volwassen")]
    Class,
    /// The field holds a number that cannot be a person's.
    #[error("the number is negative or not whole")]
    NotWhole,
    /// A truth value, an error, an array: something that is no text, number or date, or not the one that is needed.
    #[error("the field holds another kind of value than this column needs")]
    CellType,
    /// A formula. What it came to is in the file, but perhaps of long ago.
    #[error("the cell is a formula, and its result may be out of date; paste the column as values")]
    Formula,
    /// Merged cells: only the first of them has the value.
    #[error(
        "the cell is merged with others, so rows lack their own value; undo the merging and fill each row"
    )]
    Merged,
    /// This partner does not register persons of this class.
    #[error("the covenant does not let this organisation register persons of this class")]
    ClassNotRegistered,
    /// The person stands in an earlier row.
    #[error("the same number stands in an earlier row")]
    Duplicate,
    /// The person stands in an earlier row, there with another class.
    #[error("the same number stands in an earlier row with another class (minor or adult)")]
    DuplicateOtherClass,
}

impl IssueKind {
    /// Stable name for machines and totals.
    pub fn code(self) -> &'static str {
        match self {
            Self::Bsn(error) => error.code(),
            Self::Skn(error) => error.code(),
            Self::Empty => "field_empty",
            Self::Encoding => "field_encoding",
            Self::Width => "row_width",
            Self::DateForm => "birth_date_form",
            Self::DatePartial => "birth_date_partial",
            Self::DateImplausible => "birth_date_implausible",
            Self::Class => "class_unknown",
            Self::NotWhole => "number_not_whole",
            Self::CellType => "cell_type",
            Self::Formula => "cell_formula",
            Self::Merged => "cell_merged",
            Self::ClassNotRegistered => "class_not_registered",
            Self::Duplicate => "duplicate",
            Self::DuplicateOtherClass => "duplicate_other_class",
        }
    }

    /// The reason in Dutch, for people.
    pub fn text_nl(self) -> &'static str {
        match self {
            Self::Bsn(error) => error.text_nl(),
            Self::Skn(error) => error.text_nl(),
            Self::Empty => "het veld is leeg",
            Self::Encoding => "het veld heeft niet de ingestelde tekencodering",
            Self::Width => "de rij heeft meer of minder velden dan de kopregel",
            Self::DateForm => "geen datum; vormen: 01-02-2026, 2026-02-01, 20260201",
            Self::DatePartial => {
                "de geboortedatum is deels onbekend; minder- of meerderjarigheid is niet te bepalen"
            }
            Self::DateImplausible => "de geboortedatum ligt in de toekomst of meer dan 130 jaar terug",
            Self::Class => "geen klasse; woorden: minor, minderjarig, adult, volwassen",
            Self::NotWhole => "het getal is negatief of niet heel",
            Self::CellType => "het veld bevat een ander soort waarde dan deze kolom nodig heeft",
            Self::Formula => {
                "de cel is een formule en de uitkomst kan verouderd zijn; plak de kolom als waarden"
            }
            Self::Merged => {
                "de cel is samengevoegd met andere, zodat rijen geen eigen waarde hebben; hef de samenvoeging op en \
                 vul elke rij"
            }
            Self::ClassNotRegistered => {
                "deze organisatie registreert volgens het convenant geen personen van deze klasse"
            }
            Self::Duplicate => "hetzelfde nummer staat in een eerdere rij",
            Self::DuplicateOtherClass => {
                "hetzelfde nummer staat in een eerdere rij met een andere klasse (minder- of meerderjarig)"
            }
        }
    }
}

/// Why a file as a whole cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Missing, not readable, or not a file.
    #[error("cannot open source file {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Reading stopped halfway.
    #[error("reading the source file failed")]
    Read(#[source] io::Error),
    /// A password file or the certificates of a database cannot be used.
    #[error("what is needed to reach the database cannot be used")]
    Access(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database does not answer; it may come back.
    #[error("the database of source {name} cannot be reached: {reason}")]
    Unreachable {
        /// Name of the source.
        name: String,
        /// Why.
        reason: Unreached,
    },
    /// The database refuses. What it says itself may hold values of persons, so it is never passed on.
    #[error("the database refuses ({code}): {problem}")]
    Database {
        /// SQLSTATE of PostgreSQL, or the result code of `SQLite`.
        code: String,
        /// In our own words.
        problem: DatabaseProblem,
    },
    /// No such sheet in the spreadsheet.
    #[error("no sheet '{wanted}' in the spreadsheet; found: {found}")]
    NoSheet {
        /// Sheet looked for.
        wanted: String,
        /// Sheets that are there, shortened.
        found: String,
    },
    /// The spreadsheet is encrypted, or of the old format.
    #[error(
        "the spreadsheet is protected by a password or of the old .xls format; save it as .xlsx without a password"
    )]
    Protected,
    /// Not a spreadsheet at all.
    #[error("the file is not an .xlsx spreadsheet")]
    NotASpreadsheet,
    /// A spreadsheet that breaks its format's rules.
    #[error("the spreadsheet is damaged or not of Excel's form; open it and save it again as .xlsx")]
    DamagedSpreadsheet,
    /// Unpacked it would be larger than any list of persons.
    #[error("the spreadsheet is larger than {most_mib} MiB when unpacked")]
    TooLarge {
        /// The most that is read, in MiB.
        most_mib: u64,
    },
    /// Not one row, not even a header. (A header without rows is no error but zero rows.)
    #[error("the file is empty: not even a header row")]
    Empty,
    /// UTF-16 or UTF-32.
    #[error("the file is UTF-16 text; save it as 'CSV UTF-8'")]
    Utf16,
    /// An Excel file under another name.
    #[error("the file is a spreadsheet, not CSV; save it as 'CSV UTF-8' or set kind = \"xlsx\"")]
    Spreadsheet,
    /// Neither text nor a spreadsheet: a picture, a PDF, a program.
    #[error("the file is neither CSV nor an .xlsx spreadsheet")]
    NotAList,
    /// Lines end in a carriage return alone.
    #[error("the lines of the file end as on old Macintosh computers; save it as 'CSV UTF-8'")]
    LineEnds,
    /// The header row is not in the configured encoding.
    #[error("the header row is not UTF-8; save the file as 'CSV UTF-8' or set encoding = \"windows-1252\"")]
    HeaderEncoding,
    /// The first row looks like a person. It is not shown.
    #[error(
        "the file has no header row: the first row holds long numbers, and no column named '{wanted}' was found"
    )]
    NoHeaderRow {
        /// Column looked for.
        wanted: String,
    },
    /// A column that the configuration names is not there.
    #[error("no column '{wanted}' in the header row; found: {found}")]
    MissingColumn {
        /// Column looked for.
        wanted: String,
        /// Columns that are there, shortened.
        found: String,
    },
    /// A column that the configuration names is there twice.
    #[error("column '{wanted}' stands in the header row more than once")]
    AmbiguousColumn {
        /// Column looked for.
        wanted: String,
    },
    /// A line of more than 64 KiB is no row of people.
    #[error("line {line} is longer than 64 KiB")]
    LineTooLong {
        /// Line of the file, from 1.
        line: u64,
    },
    /// A quotation mark has swallowed rows. Their persons would be missing without anybody noticing.
    #[error("row {row} has a quotation mark that is not closed and takes following rows with it")]
    QuoteNotClosed {
        /// Number of the row as a spreadsheet shows it.
        row: u64,
    },
    /// Its size or time of change was another after reading.
    #[error("the file changed while it was read; try again when the export is done")]
    Changed,
}

impl SourceError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Changed | Self::Unreachable { .. } => true,
            Self::Database { problem, .. } => *problem == DatabaseProblem::Busy,
            _ => false,
        }
    }

    /// Exit code of a process that ends because of it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. }
            | Self::Database {
                problem: DatabaseProblem::Busy,
                ..
            } => exit::UNREACHABLE,
            _ => exit::USAGE,
        }
    }

    /// Stable name for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "source_open",
            Self::Read(_) => "source_read",
            Self::Access(_) => "source_access",
            Self::Unreachable { .. } => "source_unreachable",
            Self::Database { problem, .. } => problem.code(),
            Self::NoSheet { .. } => "sheet_missing",
            Self::Protected => "spreadsheet_protected",
            Self::NotASpreadsheet => "spreadsheet_not",
            Self::DamagedSpreadsheet => "spreadsheet_damaged",
            Self::TooLarge { .. } => "spreadsheet_too_large",
            Self::Empty => "source_empty",
            Self::Utf16 => "source_utf16",
            Self::Spreadsheet => "source_spreadsheet",
            Self::NotAList => "source_not_a_list",
            Self::LineEnds => "source_line_ends",
            Self::HeaderEncoding => "header_encoding",
            Self::NoHeaderRow { .. } => "header_missing",
            Self::MissingColumn { .. } => "column_missing",
            Self::AmbiguousColumn { .. } => "column_ambiguous",
            Self::LineTooLong { .. } => "line_too_long",
            Self::QuoteNotClosed { .. } => "quote_not_closed",
            Self::Changed => "source_changed",
        }
    }

    /// The message in Dutch.
    pub fn text_nl(&self) -> String {
        match self {
            Self::Open { path, .. } => format!("bronbestand {} kan niet worden geopend", path.display()),
            Self::Read(_) => "het lezen van het bronbestand is mislukt".into(),
            Self::Access(_) => "wat nodig is om de database te bereiken, is niet bruikbaar".into(),
            Self::Unreachable { name, reason } => {
                format!("de database van bron {name} is niet bereikbaar: {}", reason.text_nl())
            }
            Self::Database { code, problem } => format!("de database weigert ({code}): {}", problem.text_nl()),
            Self::NoSheet { wanted, found } => format!("geen blad '{wanted}' in het rekenblad; wel: {found}"),
            Self::Protected => {
                "het rekenblad is beveiligd met een wachtwoord of is een oud .xls-bestand; sla het op als .xlsx zonder \
                 wachtwoord"
                    .into()
            }
            Self::NotASpreadsheet => "het bestand is geen .xlsx-rekenblad".into(),
            Self::DamagedSpreadsheet => {
                "het rekenblad is beschadigd of niet zoals Excel het schrijft; open het en sla het opnieuw op als .xlsx"
                    .into()
            }
            Self::TooLarge { most_mib } => format!("het rekenblad is uitgepakt groter dan {most_mib} MiB"),
            Self::Empty => "het bestand is leeg: er is niet eens een kopregel".into(),
            Self::Utf16 => "het bestand is UTF-16-tekst; sla het op als 'CSV UTF-8'".into(),
            Self::Spreadsheet => {
                "het bestand is een rekenblad, geen CSV; sla het op als 'CSV UTF-8' of stel kind = \"xlsx\" in".into()
            }
            Self::NotAList => "het bestand is geen CSV-bestand en geen .xlsx-rekenblad".into(),
            Self::LineEnds => {
                "de regels eindigen zoals op oude Macintosh-computers; sla het op als 'CSV UTF-8'".into()
            }
            Self::HeaderEncoding => {
                "de kopregel is geen UTF-8; sla het bestand op als 'CSV UTF-8' of stel encoding = \"windows-1252\" in"
                    .into()
            }
            Self::NoHeaderRow { wanted } => format!(
                "het bestand heeft geen kopregel: de eerste rij bevat lange getallen en geen kolom '{wanted}'"
            ),
            Self::MissingColumn { wanted, found } => {
                format!("geen kolom '{wanted}' in de kopregel; wel: {found}")
            }
            Self::AmbiguousColumn { wanted } => {
                format!("kolom '{wanted}' staat meer dan een keer in de kopregel")
            }
            Self::LineTooLong { line } => format!("regel {line} is langer dan 64 KiB"),
            Self::QuoteNotClosed { row } => {
                format!("rij {row} heeft een aanhalingsteken dat niet sluit en volgende rijen meeneemt")
            }
            Self::Changed => {
                "het bestand veranderde tijdens het lezen; probeer het opnieuw als de export klaar is".into()
            }
        }
    }
}

/// Collects issues of one file.
pub(super) struct Issues {
    file: Arc<str>,
    kept: Vec<RowIssue>,
    count: u64,
}

impl Issues {
    pub(super) fn new(file: String) -> Self {
        Self {
            file: file.into(),
            kept: Vec::new(),
            count: 0,
        }
    }

    pub(super) fn add(&mut self, row: u64, column: Option<&str>, kind: IssueKind) {
        self.count += 1;
        if self.kept.len() < MAX_ISSUES {
            let file = Arc::clone(&self.file);
            self.kept.push(RowIssue {
                file,
                row,
                column: column.map(Arc::from),
                kind,
            });
        }
    }

    /// The issues kept, and how many there were.
    pub(super) fn finish(self) -> (Vec<RowIssue>, u64) {
        (self.kept, self.count)
    }
}
