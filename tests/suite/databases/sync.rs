//! A node whose register is in a database.

use std::fmt::Write as _;
use std::fs;

use hitmachine_testkit::pki::TestAuthority;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::node_command;
use hitmachine_tests::postgres::{PASSWORD, Server, USER};
use hitmachine_tests::program::{Said, assert_holds_none, until};
use hitmachine_tests::world::World;
use serde_json::json;

use super::{members, replace_source, table, write_secret};

/// It is asked about adults.
const PARTNER: &str = "schuldhulpverlening";

struct Setting {
    world: World,
    server: Server,
    rows: Vec<[String; 3]>,
}

/// A partner that is asked about adults, with its persons in a table.
fn setting(seed: u64) -> Setting {
    let world = World::new(seed);
    let authority = TestAuthority::new("Database").unwrap();
    let server = Server::start(&authority);
    let rows = members(&world, Register::Schuldhulpverlening);
    server.sql(&table(&rows));
    server.grant();
    let node = world.path(&format!("nodes/{PARTNER}"));
    fs::write(node.join("database.pem"), authority.certificate_pem()).unwrap();
    write_secret(&node.join("database.password"), &format!("{PASSWORD}\n"));
    Setting { world, server, rows }
}

impl Setting {
    /// Configures the source; `more` replaces or adds lines by their field.
    fn configure(&self, more: &[(&str, &str)]) {
        let port = self.server.address.port().to_string();
        let mut fields = vec![
            ("kind", "\"postgresql\""),
            ("name", "\"clients\""),
            ("host", "\"127.0.0.1\""),
            ("port", port.as_str()),
            ("database", "\"postgres\""),
            ("user", "\"hitmachine\""),
            ("password_file", "\"database.password\""),
            ("authority", "\"database.pem\""),
            ("timeout_seconds", "60"),
            ("query", "\"select bsn, geboren, dossier from client\""),
        ];
        for (name, value) in more {
            fields.retain(|(field, _)| field != name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        let mut lines = String::new();
        for (name, value) in fields {
            writeln!(lines, "{name} = {value}").unwrap();
        }
        let columns = "identifier = \"bsn\"\nbirth_date = \"geboren\"\nreference = \"dossier\"";
        replace_source(
            &self.world,
            PARTNER,
            &format!("[[source]]\n{lines}\n[source.columns]\n{columns}\n"),
        );
    }

    fn node(&self, arguments: &[&str]) -> Said {
        self.world.node(PARTNER, arguments)
    }

    fn check(&self) -> (i32, serde_json::Value, String) {
        let said = self.node(&["source", "check"]);
        let code = said.json()[0]["refused"]["code"].clone();
        (said.code, code, format!("{said:?}"))
    }
}

#[test]
fn a_register_in_postgresql() {
    let setting = setting(611);
    setting.configure(&[]);
    let broker = setting.world.broker();
    let persons = json!(setting.rows.len());

    // Over TLS with a password, and over a Unix socket.
    let said = setting.node(&["sync"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        (&said.json()["persons"], &said.json()["bad_rows"]),
        (&persons, &json!(0))
    );
    let socket = format!("\"{}\"", setting.server.socket().display());
    setting.configure(&[("host", &socket), ("authority", "")]);
    let said = setting.node(&["sync"]);
    assert_eq!(
        (said.code, &said.json()["registered"]),
        (0, &json!(0)),
        "{said:?}"
    );
    setting.configure(&[]);

    // Half of the table gone: that must be confirmed.
    setting.server.sql("delete from client where mod(bsn, 2) = 0;");
    assert_eq!(setting.node(&["sync"]).failure(), (1, "shrunk".into()));
    assert_eq!(setting.node(&["sync", "--confirm-shrink"]).code, 0);
    setting.server.sql("drop table client;");
    setting.server.sql(&table(&setting.rows));
    setting.server.sql(&format!("grant select on client to {USER};"));

    // The server goes in the middle of the question: nothing is withdrawn, and it is said that it may pass.
    setting.configure(&[(
        "query",
        "\"select bsn, geboren, dossier from client where pg_sleep(30) is not null\"",
    )]);
    let mut command = node_command(&setting.world.deployment, PARTNER, setting.world.address).unwrap();
    let child = command
        .args(["--json", "sync"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    setting.server.until_asked("pg_sleep(30) is not null");
    setting.server.down();
    let said = Said::of(child.wait_with_output().unwrap());
    let (code, reason) = said.failure();
    assert_eq!(code, 3, "{said:?}");
    assert!(
        ["source_unreachable", "database_busy"].contains(&reason.as_str()),
        "{said:?}"
    );
    assert_eq!(
        setting.node(&["sync"]).failure(),
        (3, "source_unreachable".into())
    );

    // A node that serves goes on by itself when the server is back.
    setting.configure(&[]);
    let serving = setting.world.serve(PARTNER);
    until("the failure is reported", || {
        serving.log().unwrap().contains("sync failed")
    });
    setting.server.up();
    until("it is in step", || {
        serving.log().unwrap().contains("in step with the hub")
    });
    let status = setting.node(&["status"]).json();
    assert_eq!(status["persons"], persons);
    let printed = serving.log().unwrap();
    serving.kill().unwrap();
    let secrets: Vec<&[u8]> = setting.rows.iter().map(|row| row[0].as_bytes()).collect();
    assert_holds_none(&printed, &secrets);
    assert_holds_none(&printed, &[PASSWORD.as_bytes()]);
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn what_a_database_refuses_is_said_without_values() {
    let setting = setting(612);
    // Another authority's certificate, which did not make the database's.
    let other = TestAuthority::new("Other").unwrap();
    let node = setting.world.path(&format!("nodes/{PARTNER}"));
    fs::write(node.join("other.pem"), other.certificate_pem()).unwrap();
    let mut all = String::new();
    let query = |text: &str| format!("\"{text}\"");
    let cases = [
        (
            "query",
            query("select bsn, geboren, dossier from klant"),
            1,
            "database_no_such_thing",
        ),
        (
            "query",
            query("select bsn, geboren, kenmerk from client"),
            1,
            "database_no_such_thing",
        ),
        (
            "query",
            query("select bsn, geboren from client"),
            1,
            "column_missing",
        ),
        (
            "query",
            query("select bsn, geboren, dossier, from client"),
            1,
            "database_query",
        ),
        (
            "query",
            query("select 1; delete from client"),
            1,
            "database_query",
        ),
        (
            "query",
            query("select rolname as bsn, rolpassword as geboren, 1 as dossier from pg_authid"),
            1,
            "database_not_allowed",
        ),
        (
            "query",
            query("with gone as (delete from client returning *) select bsn, geboren, dossier from gone"),
            1,
            "database_writes",
        ),
        (
            "query",
            query("select bsn, geboren, cast(dossier as integer) as dossier from client"),
            1,
            "database_value",
        ),
        (
            "query",
            query("select bsn, geboren, dossier from client where pg_sleep(30) is null"),
            1,
            "database_too_long",
        ),
        ("database", query("elsewhere"), 1, "database_missing"),
        ("user", query("nobody"), 1, "database_login"),
        ("password_file", String::new(), 1, "database_login"),
        ("password_file", query("absent.password"), 1, "source_access"),
        ("authority", query("other.pem"), 3, "source_unreachable"),
        ("port", "1".into(), 3, "source_unreachable"),
    ];
    for (field, value, exit, code) in cases {
        setting.configure(&[("timeout_seconds", "2"), (field, value.as_str())]);
        let (found_exit, found, said) = setting.check();
        assert_eq!(
            (found_exit, found),
            (exit, json!(code)),
            "{field} = {value}: {said}"
        );
        all += &said;
    }
    let secrets: Vec<&[u8]> = setting
        .rows
        .iter()
        .flat_map(|[bsn, _, reference]| [bsn.as_bytes(), reference.as_bytes()])
        .filter(|secret| secret.len() > 4)
        .collect();
    assert_holds_none(&all, &secrets);
    assert_holds_none(&all, &[PASSWORD.as_bytes()]);

    // The owner of the table may write; the transaction may not.
    setting.server.sql(&format!("grant all on client to {USER};"));
    let query = "\"with gone as (delete from client returning *) select bsn, geboren, dossier from gone\"";
    setting.configure(&[("query", query)]);
    let (exit, code, said) = setting.check();
    assert_eq!((exit, code), (1, json!("database_writes")), "{said}");
    assert_eq!(
        setting.server.sql("select count(*) from client").trim(),
        setting.rows.len().to_string()
    );
}

#[test]
fn each_type_of_a_column() {
    let setting = setting(613);
    let [bsn, birth, _] = &setting.rows[0];
    for number in [
        "bsn::bigint",
        "bsn::text",
        "bsn::numeric(9,0)",
        "bsn::varchar(12)",
        "bsn::float8",
        "bsn::char(12)",
    ] {
        for date in [
            "geboren",
            "geboren::timestamp",
            "geboren::timestamptz",
            "to_char(geboren, 'YYYYMMDD')",
            "geboren::text",
        ] {
            // Text that lost its zeros would rightly be refused.
            let number = match number {
                "bsn::text" => "lpad(bsn::text, 9, '0')",
                "bsn::varchar(12)" => "lpad(bsn::text, 9, '0')::varchar(12)",
                "bsn::char(12)" => "lpad(bsn::text, 9, '0')::char(12)",
                other => other,
            };
            let query = format!(
                "\"select {number} as bsn, {date} as geboren, dossier from client where bsn = {bsn}\""
            );
            setting.configure(&[("query", &query)]);
            let said = setting.node(&["source", "check"]);
            let content = &said.json()[0]["content"];
            assert_eq!(
                (said.code, &content["persons"]),
                (0, &json!(1)),
                "{query}: {said:?}"
            );
            let class = hitmachine_node::source::class_on(hitmachine_tests::today(), birth).unwrap();
            let minors = u8::from(class == hitmachine_core::SubjectClass::Minor);
            assert_eq!(content["minors"], json!(minors), "{query}");
        }
    }
    let query = "\"select true as bsn, geboren, dossier from client limit 1\"";
    setting.configure(&[("query", query)]);
    let said = setting.node(&["source", "check"]);
    assert_eq!(said.json()[0]["content"]["reasons"][0]["code"], "cell_type");
}
