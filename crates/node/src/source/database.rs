//! What can be wrong with a database, in our own words: what a database says itself may hold values of persons.

use std::fmt;

/// Why a database is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreached {
    /// No such host, nobody listens, or the network is down.
    Connect,
    /// No answer in time.
    TimedOut,
    /// It went away in the middle.
    Broken,
    /// Its certificate is not one of `authority`, not valid today, for another name; or it has no TLS 1.3.
    Tls,
}

impl Unreached {
    /// In Dutch.
    pub fn text_nl(self) -> &'static str {
        match self {
            Self::Connect => "er is geen verbinding te krijgen",
            Self::TimedOut => "er komt niet op tijd antwoord",
            Self::Broken => "de verbinding brak af",
            Self::Tls => {
                "geen veilige verbinding: het certificaat komt niet van authority, is vandaag niet geldig of is van een \
                 andere naam, of de server heeft geen TLS 1.3"
            }
        }
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::TimedOut => "no answer in time",
            Self::Broken => "the connection broke off",
            Self::Tls => {
                "no secure connection: its certificate does not come from authority, is not valid today or is another \
                 name's, or the server has no TLS 1.3"
            }
        })
    }
}

/// What a database refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabaseProblem {
    /// Too busy, locked, starting or stopping: it may pass.
    Busy,
    /// The query took longer than it may.
    TooLong,
    /// User or password.
    Login,
    /// No such database.
    NoDatabase,
    /// The user may not read this.
    NotAllowed,
    /// A table, column or function is not there.
    NoSuchThing,
    /// The query cannot be understood, or is not one `select`.
    Query,
    /// The query would change something.
    Writes,
    /// A value could not be computed.
    Value,
    /// The file is no database, or is damaged.
    File,
    /// Anything else.
    Other,
}

impl DatabaseProblem {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Busy => "database_busy",
            Self::TooLong => "database_too_long",
            Self::Login => "database_login",
            Self::NoDatabase => "database_missing",
            Self::NotAllowed => "database_not_allowed",
            Self::NoSuchThing => "database_no_such_thing",
            Self::Query => "database_query",
            Self::Writes => "database_writes",
            Self::Value => "database_value",
            Self::File => "database_file",
            Self::Other => "database_other",
        }
    }

    /// By SQLSTATE (PostgreSQL, appendix A), of which the first two characters are the class.
    pub(super) fn of_sqlstate(code: &str) -> Self {
        match code {
            "42501" => Self::NotAllowed,
            "42P01" | "42703" | "42883" | "3F000" | "42704" => Self::NoSuchThing,
            "25006" => Self::Writes,
            "57014" => Self::TooLong,
            _ => match code.get(..2).unwrap_or_default() {
                "08" | "40" | "53" | "55" | "57" => Self::Busy,
                "28" => Self::Login,
                "3D" => Self::NoDatabase,
                "42" => Self::Query,
                "25" => Self::Writes,
                "22" => Self::Value,
                _ => Self::Other,
            },
        }
    }

    /// In Dutch.
    pub fn text_nl(self) -> &'static str {
        match self {
            Self::Busy => "te druk, vergrendeld, of bezig met starten of stoppen; probeer het later opnieuw",
            Self::TooLong => "de query duurde te lang (timeout_seconds)",
            Self::Login => {
                "de gebruiker of het wachtwoord wordt niet aanvaard, of er is een password_file nodig"
            }
            Self::NoDatabase => "deze database bestaat niet",
            Self::NotAllowed => "de gebruiker mag dit niet lezen",
            Self::NoSuchThing => "een tabel, kolom of functie uit de query bestaat niet",
            Self::Query => "de query wordt niet begrepen of is niet één select",
            Self::Writes => "de query zou iets wijzigen; alleen lezen is toegestaan",
            Self::Value => "een waarde in de query kon niet worden berekend of omgezet",
            Self::File => "het bestand is geen SQLite-database, is beschadigd of kan niet worden geopend",
            Self::Other => "zie het logboek van de database",
        }
    }
}

impl fmt::Display for DatabaseProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too busy, locked, or starting or stopping; try again later",
            Self::TooLong => "the query took too long (timeout_seconds)",
            Self::Login => "the user or the password is not accepted, or a password_file is needed",
            Self::NoDatabase => "there is no such database",
            Self::NotAllowed => "the user may not read this",
            Self::NoSuchThing => "a table, column or function in the query is not there",
            Self::Query => "the query is not understood, or is not one select",
            Self::Writes => "the query would change something; it may only read",
            Self::Value => "a value in the query could not be computed or converted",
            Self::File => "the file is no SQLite database, is damaged or cannot be opened",
            Self::Other => "see the database's own log",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates() {
        for (code, expected) in [
            ("57P01", DatabaseProblem::Busy),
            ("57P03", DatabaseProblem::Busy),
            ("53300", DatabaseProblem::Busy),
            ("57014", DatabaseProblem::TooLong),
            ("28P01", DatabaseProblem::Login),
            ("3D000", DatabaseProblem::NoDatabase),
            ("42P01", DatabaseProblem::NoSuchThing),
            ("42501", DatabaseProblem::NotAllowed),
            ("42601", DatabaseProblem::Query),
            ("25006", DatabaseProblem::Writes),
            ("22P02", DatabaseProblem::Value),
            ("XX000", DatabaseProblem::Other),
            ("", DatabaseProblem::Other),
        ] {
            assert_eq!(DatabaseProblem::of_sqlstate(code), expected, "{code}");
        }
    }
}
