//! What a team would build instead: a table of tags and an audit table in PostgreSQL, over TLS.
//!
//! Each lookup is one transaction: a select by primary key and an insert of 330 bytes, committed synchronously. Each
//! client has a connection of its own and prepared statements. PostgreSQL commits in groups by itself.

use std::path::Path;
use std::sync::Arc;

use hitmachine_node::source::database_tls::Tls;
use hitmachine_testkit::pki::TestAuthority;
use hitmachine_tests::postgres::{PASSWORD, Server};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Statement};

use super::drive::Asking;

/// As for a server of this size: memory for the whole table, and a log that need not be checkpointed meanwhile.
const SETTINGS: &str = "fsync = on\nsynchronous_commit = on\nfull_page_writes = on\nshared_buffers = 512MB\n\
    max_wal_size = 4GB\ncheckpoint_timeout = 30min\nmax_connections = 200\nautovacuum = off\njit = off\n";
const AUDIT: &str = "create table audit (id bigint generated always as identity primary key, \
    at timestamptz not null default now(), record bytea not null);";

/// The server with its tables, and its clients.
pub(crate) struct Postgres {
    server: Server,
    clients: Arc<Vec<Mutex<Lookup>>>,
    registrations: u64,
}

struct Lookup {
    client: Client,
    select: Statement,
    insert: Statement,
    next: u64,
}

/// The tag of a registration by its number.
fn tag(number: u64) -> Vec<u8> {
    Sha256::digest(number.to_string())[..16].to_vec()
}

impl Lookup {
    async fn connect(server: &Server, authority: &Path) -> Self {
        let mut config = Config::new();
        config
            .host(server.address.ip().to_string())
            .port(server.address.port())
            .user("postgres")
            .dbname("postgres")
            .password(PASSWORD)
            .ssl_mode(SslMode::Require);
        let (client, connection) = config.connect(Tls::new(authority).unwrap()).await.unwrap();
        tokio::spawn(connection);
        let select = "select partner, class from registration where tag = $1";
        let insert = "insert into audit (record) values ($1)";
        Self {
            select: client.prepare(select).await.unwrap(),
            insert: client.prepare(insert).await.unwrap(),
            client,
            next: 0,
        }
    }

    async fn ask(&mut self, registrations: u64) {
        // Half of them are known, as with ours.
        self.next = self.next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let tag = tag((self.next >> 16) % (2 * registrations));
        let transaction = self.client.transaction().await.unwrap();
        let rows = transaction.query(&self.select, &[&tag]).await.unwrap();
        std::hint::black_box(rows.len());
        let record = [0x5a_u8; 330].as_slice();
        transaction.execute(&self.insert, &[&record]).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

impl Postgres {
    /// Starts it in a folder below `dir`, fills the table, and connects so many clients.
    pub(crate) async fn start(dir: &Path, registrations: u64, clients: usize) -> Self {
        let authority = TestAuthority::new("Database").unwrap();
        let server = Server::start_with(&authority, dir, SETTINGS);
        server.sql(&format!(
            "create table registration (tag bytea not null, partner smallint not null, class smallint not null, \
             until date not null);\n\
             insert into registration select substring(sha256(n::text::bytea) for 16), 4, 2, '2030-01-01' \
             from generate_series(0, {registrations} - 1) n;\n\
             alter table registration add primary key (tag, partner);\n{AUDIT}\n\
             analyze registration; checkpoint;"
        ));
        let path = dir.join("database.pem");
        std::fs::write(&path, authority.certificate_pem()).unwrap();
        let mut connected = Vec::new();
        for number in 0..clients {
            let mut lookup = Lookup::connect(&server, &path).await;
            lookup.next = number as u64;
            connected.push(Mutex::new(lookup));
        }
        let rows = connected[0].lock().await;
        let known = rows.client.query(&rows.select, &[&tag(7)]).await.unwrap();
        assert_eq!(known.len(), 1, "the tag of a registration is not found");
        drop(rows);
        Self {
            server,
            clients: Arc::new(connected),
            registrations,
        }
    }

    /// Process id of the server.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Each task asks over the connection of its number.
    pub(crate) fn asker(&self) -> impl Fn(usize) -> Asking + Clone + Send + 'static {
        let (clients, registrations) = (Arc::clone(&self.clients), self.registrations);
        move |task| {
            let clients = Arc::clone(&clients);
            Box::pin(async move { clients[task].lock().await.ask(registrations).await })
        }
    }
}
