//! The registers, and how each writes its export.

use std::fmt;

use super::AgeClass;

/// File name of the screening list.
pub const LIST_FILE: &str = "top150.csv";
/// The column of the screening list that names the household; the other columns are in [`list_style`].
pub const LIST_HOUSEHOLD_COLUMN: &str = "huishouden";

/// The registers of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// School attendance: minors only.
    Leerplicht,
    /// Debt counselling: adults only.
    Schuldhulpverlening,
    /// District teams: everybody.
    Regieteams,
    /// Public prosecution and probation: everybody from twelve.
    OmReclassering,
}

impl Register {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::Leerplicht,
        Self::Schuldhulpverlening,
        Self::Regieteams,
        Self::OmReclassering,
    ];

    /// The partner's id, as in the covenant of the demonstration.
    pub fn id(self) -> &'static str {
        match self {
            Self::Leerplicht => "leerplicht",
            Self::Schuldhulpverlening => "schuldhulpverlening",
            Self::Regieteams => "regieteams",
            Self::OmReclassering => "om-reclassering",
        }
    }

    /// Name of the export within the folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Leerplicht => "leerplicht.csv",
            Self::Schuldhulpverlening => "schuldhulpverlening.csv",
            Self::Regieteams => "regieteams.csv",
            Self::OmReclassering => "om-reclassering.tsv",
        }
    }

    /// Whether this register holds persons of this class, and is asked about them.
    pub fn admits(self, class: AgeClass) -> bool {
        match self {
            Self::Leerplicht => class == AgeClass::Minor,
            Self::Schuldhulpverlening => class == AgeClass::Adult,
            Self::Regieteams | Self::OmReclassering => true,
        }
    }

    /// Whether this is one of the three municipal registers of the trial.
    pub fn is_municipal(self) -> bool {
        self != Self::OmReclassering
    }

    /// How its export is written, which is what a node's configuration must say about it.
    pub fn style(self) -> SourceStyle {
        match self {
            Self::Leerplicht => SourceStyle {
                delimiter: ';',
                encoding: TextEncoding::Utf8WithMark,
                bsn_column: "bsn",
                birth_date_column: "geboortedatum",
                reference_column: "dossier",
                numeric_bsn: false,
                date_format: "%d-%m-%Y",
            },
            Self::Schuldhulpverlening => SourceStyle {
                delimiter: ',',
                encoding: TextEncoding::Utf8,
                bsn_column: "burgerservicenummer",
                birth_date_column: "geboortedatum",
                reference_column: "zaaknummer",
                numeric_bsn: false,
                date_format: "%Y-%m-%d",
            },
            Self::Regieteams => SourceStyle {
                delimiter: ';',
                encoding: TextEncoding::Windows1252,
                bsn_column: "bsn",
                birth_date_column: "geboortedatum",
                reference_column: "traject",
                numeric_bsn: false,
                date_format: "%d-%m-%Y",
            },
            Self::OmReclassering => SourceStyle {
                delimiter: '\t',
                encoding: TextEncoding::Utf8,
                bsn_column: "BSN",
                birth_date_column: "GEBOORTEDATUM",
                reference_column: "REGISTRATIE",
                numeric_bsn: true,
                date_format: "%Y%m%d",
            },
        }
    }

    /// Begin of a file reference.
    pub(super) fn reference_prefix(self) -> &'static str {
        match self {
            Self::Leerplicht => "LP",
            Self::Schuldhulpverlening => "SHV",
            Self::Regieteams => "RT",
            Self::OmReclassering => "OM",
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// How the text of an export is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-8 that begins with a byte order mark, as spreadsheets write it.
    Utf8WithMark,
    /// Windows-1252, as older applications write it.
    Windows1252,
}

impl TextEncoding {
    /// The encoding's name in the WHATWG Encoding standard; the mark needs no setting of its own.
    pub fn label(self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8WithMark => "utf-8",
            Self::Windows1252 => "windows-1252",
        }
    }
}

/// How an export is written: what one must know to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceStyle {
    /// Between two fields; fields are quoted with `"` where needed.
    pub delimiter: char,
    /// Encoding of the text.
    pub encoding: TextEncoding,
    /// Heading of the BSN.
    pub bsn_column: &'static str,
    /// Heading of the birth date.
    pub birth_date_column: &'static str,
    /// Heading of the register's own reference.
    pub reference_column: &'static str,
    /// The BSN is written as a number, without its leading zeros.
    pub numeric_bsn: bool,
    /// The birth date in `strftime` terms: `%d-%m-%Y`, `%Y-%m-%d` or `%Y%m%d`.
    pub date_format: &'static str,
}

/// How the screening list is written; its household column is [`LIST_HOUSEHOLD_COLUMN`].
pub fn list_style() -> SourceStyle {
    SourceStyle {
        delimiter: ';',
        encoding: TextEncoding::Utf8,
        bsn_column: "bsn",
        birth_date_column: "geboortedatum",
        reference_column: "kenmerk",
        numeric_bsn: false,
        date_format: "%d-%m-%Y",
    }
}
