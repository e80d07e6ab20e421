//! Rows of a query to a PostgreSQL database: over TLS, or over a Unix socket on the same machine.
//!
//! The question is asked in a transaction that can only read and sees one moment; its rows come through a portal, so
//! many at a time, so that a large table does not have to fit in memory. One prepared statement is one question: the
//! protocol refuses a second one behind a semicolon.

pub mod tls;
mod value;

use std::error::Error as StdError;
use std::time::Duration;

use hitmachine_service::secret::read_text;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error, IsolationLevel, NoTls, Transaction};

use self::tls::Tls;
use self::value::Field;
use super::cells::{Line, Values, Visit};
use super::header;
use super::issue::{DatabaseProblem, SourceError, Unreached};
use super::settings::Postgresql;

/// Rows fetched at a time.
const FETCH: i32 = 1_000;
const CONNECT: Duration = Duration::from_secs(10);
/// How much longer than the server may take we wait for it to say that it gave up.
const GRACE: Duration = Duration::from_secs(5);

/// Calls `visit` with each row of the result; returns the names of its columns. Rows are counted from 1.
///
/// Blocks; not to be called where a runtime runs asynchronous work.
pub(super) fn each_row(
    name: &str,
    server: &Postgresql,
    wanted: &[&str],
    visit: Visit<'_>,
) -> Result<Vec<String>, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SourceError::Read)?;
    let source = Asked { name, server };
    runtime.block_on(source.each_row(wanted, visit))
}

struct Asked<'a> {
    name: &'a str,
    server: &'a Postgresql,
}

impl Asked<'_> {
    async fn each_row(&self, wanted: &[&str], visit: Visit<'_>) -> Result<Vec<String>, SourceError> {
        let config = self.config()?;
        // The connection works as a task of its own and ends with the client.
        let mut client = if let Some(authority) = &self.server.authority {
            let tls = Tls::new(authority).map_err(|error| SourceError::Access(error.into()))?;
            let (client, connection) = self.in_time(CONNECT, config.connect(tls)).await?;
            tokio::spawn(connection);
            client
        } else {
            let (client, connection) = self.in_time(CONNECT, config.connect(NoTls)).await?;
            tokio::spawn(connection);
            client
        };
        let most = Duration::from_secs(self.server.timeout_seconds);
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        let transaction = self.in_time(CONNECT, transaction).await?;
        let limit = format!("set local statement_timeout = {}", most.as_millis());
        self.in_time(CONNECT, transaction.batch_execute(&limit)).await?;
        self.rows(&transaction, most + GRACE, wanted, visit).await
        // Nothing was written; the server ends the transaction when the connection goes.
    }

    async fn rows(
        &self,
        transaction: &Transaction<'_>,
        most: Duration,
        wanted: &[&str],
        visit: Visit<'_>,
    ) -> Result<Vec<String>, SourceError> {
        let statement = self
            .in_time(most, transaction.prepare(&self.server.query))
            .await?;
        let columns = statement.columns().iter();
        let names: Vec<String> = columns.map(|column| column.name().to_owned()).collect();
        if names.is_empty() {
            return Err(SourceError::Database {
                code: "columns".into(),
                problem: DatabaseProblem::Query,
            });
        }
        let places = header::places(&names, wanted)?;
        let portal = self.in_time(most, transaction.bind(&statement, &[])).await?;
        let mut number = 0;
        loop {
            let rows = self
                .in_time(most, transaction.query_portal(&portal, FETCH))
                .await?;
            if rows.is_empty() {
                return Ok(names);
            }
            for row in &rows {
                number += 1;
                let cell = |place: &usize| Field::of(row, *place);
                let values = Values(places.iter().map(cell).collect());
                visit(Line {
                    row: number,
                    bytes_read: 0,
                    cells: Ok(&values),
                });
            }
        }
    }

    fn config(&self) -> Result<Config, SourceError> {
        let server = self.server;
        let mut config = Config::new();
        config
            .host(&server.host)
            .port(server.port)
            .dbname(&server.database)
            .user(&server.user)
            .application_name("hitmachine-node")
            .connect_timeout(CONNECT)
            .ssl_mode(if server.is_local() {
                SslMode::Disable
            } else {
                SslMode::Require
            });
        if let Some(file) = &server.password_file {
            let password = read_text(file).map_err(|error| SourceError::Access(Box::new(error)))?;
            config.password(password.as_bytes());
        }
        Ok(config)
    }

    async fn in_time<T>(
        &self,
        most: Duration,
        step: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SourceError> {
        match timeout(most, step).await {
            Ok(done) => done.map_err(|error| self.refused(&error)),
            Err(_) => Err(self.unreached(Unreached::TimedOut)),
        }
    }

    fn unreached(&self, reason: Unreached) -> SourceError {
        SourceError::Unreachable {
            name: self.name.to_owned(),
            reason,
        }
    }

    /// Only the SQLSTATE goes on: texts and details of a database can hold a row's values.
    fn refused(&self, error: &Error) -> SourceError {
        if let Some(state) = error.code() {
            return SourceError::Database {
                code: state.code().to_owned(),
                problem: DatabaseProblem::of_sqlstate(state.code()),
            };
        }
        // The library's own texts begin with what went wrong; only their beginnings are looked at.
        let text = error.to_string();
        let begins = |with: &str| text.starts_with(with);
        if begins("authentication error") || begins("invalid configuration") {
            return SourceError::Database {
                code: "client".into(),
                problem: DatabaseProblem::Login,
            };
        }
        if begins("error performing TLS handshake") {
            return self.unreached(Unreached::Tls);
        }
        if error.is_closed() {
            return self.unreached(Unreached::Broken);
        }
        if begins("timeout") {
            return self.unreached(Unreached::TimedOut);
        }
        let mut next = error.source();
        while let Some(cause) = next {
            if let Some(io) = cause.downcast_ref::<std::io::Error>() {
                return self.unreached(match io.kind() {
                    std::io::ErrorKind::TimedOut => Unreached::TimedOut,
                    _ if begins("error communicating") => Unreached::Broken,
                    _ => Unreached::Connect,
                });
            }
            next = cause.source();
        }
        SourceError::Database {
            code: "client".into(),
            problem: DatabaseProblem::Other,
        }
    }
}
