//! The configuration of a source: a `[[source]]` section of the configuration.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::columns::{Columns, Delimiter, Encoding};

/// Port of a PostgreSQL server, if nothing is said.
const POSTGRESQL_PORT: u16 = 5432;
/// How long a query may take, in seconds, if nothing is said.
const TIMEOUT_SECONDS: u64 = 300;

/// Where people of this organisation come from; a full list every time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawSource")]
pub struct Source {
    /// Its name in reports and on the command line: the file's, without its folder, if nothing is said.
    pub name: String,
    /// What it is and where.
    pub place: Place,
    /// Which columns to read. Others are not looked at.
    pub columns: Columns,
}

/// What a source is and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A CSV file.
    Csv {
        /// The file.
        path: PathBuf,
        /// What stands between the fields.
        delimiter: Delimiter,
        /// How letters are written. A file that begins with a UTF-8 mark is UTF-8 in any case.
        encoding: Encoding,
    },
    /// A spreadsheet (`.xlsx`).
    Xlsx {
        /// The file.
        path: PathBuf,
        /// Name of the sheet; the first if absent.
        sheet: Option<String>,
    },
    /// An `SQLite` database file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// One `select`.
        query: String,
    },
    /// A PostgreSQL database.
    Postgresql(Box<Postgresql>),
}

/// A PostgreSQL database and what to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgresql {
    /// Name or address of the server, or the folder of its Unix socket (begins with `/`).
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// The database's user; one that can only read is best.
    pub user: String,
    /// File with its password; `None` for a server that knows the user by the socket.
    pub password_file: Option<PathBuf>,
    /// Root certificates (PEM) that the server's certificate must come from. Needed unless `host` is a socket: there
    /// is no way without TLS.
    pub authority: Option<PathBuf>,
    /// Longest time for the query, in seconds.
    pub timeout_seconds: u64,
    /// One `select`.
    pub query: String,
}

impl Postgresql {
    /// Whether the server is on this machine, behind a Unix socket.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl Source {
    /// The file that changes when the source does; `None` for a database, which is read on schedule only.
    pub fn watched(&self) -> Option<&Path> {
        match &self.place {
            Place::Csv { path, .. } | Place::Xlsx { path, .. } => Some(path),
            Place::Sqlite { .. } | Place::Postgresql(_) => None,
        }
    }

    /// Its kind, as in the configuration.
    pub fn kind(&self) -> &'static str {
        match &self.place {
            Place::Csv { .. } => "csv",
            Place::Xlsx { .. } => "xlsx",
            Place::Sqlite { .. } => "sqlite",
            Place::Postgresql(_) => "postgresql",
        }
    }

    /// Passes each of its paths through `resolve`. A `host` that is a socket's folder is absolute already.
    pub fn resolve(&mut self, resolve: impl Fn(&Path) -> PathBuf) {
        match &mut self.place {
            Place::Csv { path, .. } | Place::Xlsx { path, .. } | Place::Sqlite { path, .. } => {
                *path = resolve(path);
            }
            Place::Postgresql(server) => {
                for path in [&mut server.password_file, &mut server.authority]
                    .into_iter()
                    .flatten()
                {
                    *path = resolve(path);
                }
            }
        }
    }
}

/// Name of a file, without its folder.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Csv,
    Xlsx,
    Sqlite,
    Postgresql,
}

/// All fields of all kinds; which belong together is told afterwards, by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    #[serde(default)]
    kind: Kind,
    name: Option<String>,
    path: Option<PathBuf>,
    delimiter: Option<Delimiter>,
    encoding: Option<Encoding>,
    sheet: Option<String>,
    query: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    authority: Option<PathBuf>,
    timeout_seconds: Option<u64>,
    columns: Columns,
}

/// Why a `[[source]]` section is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingError {
    #[error("{0} is missing for this kind of source")]
    Missing(&'static str),
    #[error("{0} is not for this kind of source")]
    Foreign(&'static str),
    #[error("query must be one statement that begins with select or with")]
    Query,
    #[error("authority is missing: a database on another machine is spoken to over TLS only")]
    Authority,
    #[error("authority is for a database on another machine; this host is a Unix socket")]
    AuthorityOfSocket,
    #[error("timeout_seconds must be 1 to 3600")]
    Timeout,
}

impl TryFrom<RawSource> for Source {
    type Error = SettingError;

    fn try_from(raw: RawSource) -> Result<Self, SettingError> {
        raw.no_foreign_fields()?;
        let path = || raw.path.clone().ok_or(SettingError::Missing("path"));
        let place = match raw.kind {
            Kind::Csv => Place::Csv {
                path: path()?,
                delimiter: raw.delimiter.unwrap_or_default(),
                encoding: raw.encoding.unwrap_or_default(),
            },
            Kind::Xlsx => Place::Xlsx {
                path: path()?,
                sheet: raw.sheet.clone(),
            },
            Kind::Sqlite => Place::Sqlite {
                path: path()?,
                query: raw.select()?,
            },
            Kind::Postgresql => Place::Postgresql(Box::new(raw.postgresql()?)),
        };
        let name = match (&raw.name, &raw.path) {
            (Some(name), _) if !name.trim().is_empty() => name.clone(),
            (None, Some(path)) => file_name(path),
            _ => return Err(SettingError::Missing("name")),
        };
        Ok(Self {
            name,
            place,
            columns: raw.columns,
        })
    }
}

impl RawSource {
    fn no_foreign_fields(&self) -> Result<(), SettingError> {
        use Kind::{Csv, Postgresql, Sqlite, Xlsx};
        let fields: [(&str, bool, &[Kind]); 11] = [
            ("path", self.path.is_some(), &[Csv, Xlsx, Sqlite]),
            ("delimiter", self.delimiter.is_some(), &[Csv]),
            ("encoding", self.encoding.is_some(), &[Csv]),
            ("sheet", self.sheet.is_some(), &[Xlsx]),
            ("query", self.query.is_some(), &[Sqlite, Postgresql]),
            ("host", self.host.is_some(), &[Postgresql]),
            ("port", self.port.is_some(), &[Postgresql]),
            ("database", self.database.is_some(), &[Postgresql]),
            ("user", self.user.is_some(), &[Postgresql]),
            ("password_file", self.password_file.is_some(), &[Postgresql]),
            ("authority", self.authority.is_some(), &[Postgresql]),
        ];
        let foreign = fields
            .iter()
            .find(|(_, is_set, kinds)| *is_set && !kinds.contains(&self.kind));
        if let Some((name, ..)) = foreign {
            return Err(SettingError::Foreign(name));
        }
        if self.timeout_seconds.is_some() && self.kind != Postgresql {
            return Err(SettingError::Foreign("timeout_seconds"));
        }
        Ok(())
    }

    /// The query, if it reads as one question. (That it changes nothing is enforced where it is asked: the
    /// transaction is read-only.)
    fn select(&self) -> Result<String, SettingError> {
        let query = self
            .query
            .as_deref()
            .ok_or(SettingError::Missing("query"))?
            .trim();
        let first = query
            .split(|character: char| !character.is_ascii_alphabetic())
            .next()
            .unwrap_or_default();
        let asks = ["select", "with"]
            .iter()
            .any(|word| first.eq_ignore_ascii_case(word));
        if asks {
            Ok(query.to_owned())
        } else {
            Err(SettingError::Query)
        }
    }

    fn postgresql(&self) -> Result<Postgresql, SettingError> {
        let text = |field: &Option<String>, name| {
            let text = field.clone().filter(|text| !text.is_empty());
            text.ok_or(SettingError::Missing(name))
        };
        let server = Postgresql {
            host: text(&self.host, "host")?,
            port: self.port.unwrap_or(POSTGRESQL_PORT),
            database: text(&self.database, "database")?,
            user: text(&self.user, "user")?,
            password_file: self.password_file.clone(),
            authority: self.authority.clone(),
            timeout_seconds: self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS),
            query: self.select()?,
        };
        match (server.is_local(), &server.authority) {
            (true, Some(_)) => return Err(SettingError::AuthorityOfSocket),
            (false, None) => return Err(SettingError::Authority),
            _ => {}
        }
        if !(1..=3600).contains(&server.timeout_seconds) {
            return Err(SettingError::Timeout);
        }
        Ok(server)
    }
}

#[cfg(test)]
mod tests {
    use hitmachine_core::SubjectClass;

    use super::super::columns::{ClassFrom, NumberType, OneClass};
    use super::*;

    fn section(fields: &str, columns: &str) -> Result<Source, String> {
        let text = format!("{fields}\n[columns]\nidentifier = \"bsn\"\n{columns}");
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    }

    fn parse(columns: &str) -> Result<Source, String> {
        section("path = \"folder/clients.csv\"", columns)
    }

    #[test]
    fn a_short_section_has_the_usual_values() {
        let source = parse("birth_date = \"geboortedatum\"").unwrap();
        assert_eq!((source.name.as_str(), source.kind()), ("clients.csv", "csv"));
        assert!(
            matches!(source.place, Place::Csv { delimiter, encoding: Encoding::Utf8, .. } if delimiter.byte() == b';')
        );
        assert_eq!(source.columns.class, ClassFrom::BirthDate("geboortedatum".into()));
        assert_eq!(
            (source.columns.identifier_type, source.columns.numeric),
            (NumberType::Bsn, false)
        );
    }

    #[test]
    fn the_class_comes_from_exactly_one_place() {
        let fixed = parse("fixed_class = \"minor\"").unwrap().columns.class;
        assert_eq!(fixed, ClassFrom::Fixed(SubjectClass::Minor));
        assert_eq!(
            parse("class = \"k\"").unwrap().columns.class,
            ClassFrom::Column("k".into())
        );
        for two in [
            "",
            "class = \"k\"\nbirth_date = \"g\"",
            "class = \"k\"\nfixed_class = \"adult\"",
        ] {
            assert_eq!(parse(two).unwrap_err(), OneClass.to_string(), "{two}");
        }
    }

    const SERVER: &str = "kind = \"postgresql\"\nname = \"db\"\nhost = \"db.example\"\ndatabase = \"zaak\"\nuser = \"u\"\n\
                          authority = \"root.pem\"\nquery = \" select 1\"";

    #[test]
    fn fields_belong_to_their_kind() {
        let adult = "fixed_class = \"adult\"";
        for (fields, problem) in [
            ("", "path is missing for this kind of source"),
            ("kind = \"xlsx\"", "path is missing for this kind of source"),
            (
                "path = \"a\"\nsheet = \"b\"",
                "sheet is not for this kind of source",
            ),
            (
                "path = \"a\"\nquery = \"select 1\"",
                "query is not for this kind of source",
            ),
            (
                "kind = \"xlsx\"\npath = \"a\"\nencoding = \"utf-8\"",
                "encoding is not for this kind of source",
            ),
            (
                "kind = \"sqlite\"\npath = \"a\"",
                "query is missing for this kind of source",
            ),
            (
                "kind = \"sqlite\"\npath = \"a\"\nquery = \"delete from a\"",
                "query must be one statement that begins with select or with",
            ),
            (
                "kind = \"sqlite\"\npath = \"a\"\nquery = \"selected\"",
                "query must be one statement that begins with select or with",
            ),
            (
                "kind = \"sqlite\"\npath = \"a\"\nquery = \"select 1\"\ntimeout_seconds = 5",
                "timeout_seconds is not for this kind of source",
            ),
            (
                &SERVER.replace("authority = \"root.pem\"\n", ""),
                "authority is missing: a database on another machine is spoken to over TLS only",
            ),
            (
                &SERVER.replace("db.example", "/run/postgresql"),
                "authority is for a database on another machine; this host is a Unix socket",
            ),
            (
                &SERVER.replace("name = \"db\"\n", ""),
                "name is missing for this kind of source",
            ),
            (
                &SERVER.replace("user = \"u\"", "user = \"\""),
                "user is missing for this kind of source",
            ),
            (
                &format!("{SERVER}\npath = \"a\""),
                "path is not for this kind of source",
            ),
            (
                &format!("{SERVER}\ntimeout_seconds = 0"),
                "timeout_seconds must be 1 to 3600",
            ),
        ] {
            assert_eq!(section(fields, adult).unwrap_err(), problem, "{fields}");
        }
        let server = section(SERVER, adult).unwrap();
        assert_eq!((server.name.as_str(), server.watched()), ("db", None));
        let Place::Postgresql(place) = server.place else {
            panic!()
        };
        assert_eq!(
            (place.port, place.query.as_str(), place.timeout_seconds),
            (5432, "select 1", 300)
        );
    }

    #[test]
    fn a_password_is_no_field() {
        let refused = section(&format!("{SERVER}\npassword = \"x\""), "fixed_class = \"adult\"").unwrap_err();
        assert!(refused.starts_with("unknown field `password`"), "{refused}");
    }
}
