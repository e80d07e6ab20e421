//! `SQLite` databases.

use std::path::Path;

use rusqlite::Connection;

use super::*;

fn database(folder: &Path) -> PathBuf {
    let path = folder.join("clients.csv");
    let database = Connection::open(&path).unwrap();
    database
        .execute_batch(
            "create table client (bsn, geboren text, dossier);
             insert into client values (999990019, '2016-02-01', 'LP-1');
             insert into client values ('999990020', '1966-02-01', 17);
             insert into client values (999990019.5, '1966-02-01', null);
             insert into client values (null, '1966-02-01', null);
             insert into client values (999990018, '1966-02-01', null);
             insert into client values (x'00ff', '1966-02-01', null);
             insert into client values ('9999901', '1966-02-01', null);",
        )
        .unwrap();
    path
}

fn ask(path: &Path, query: &str) -> Result<ReadOutcome, SourceError> {
    let mut source = source(&format!(
        "kind = \"sqlite\"\nquery = \"{query}\"\n[columns]\nidentifier = \"bsn\"\nbirth_date = \"geboren\"\nreference = \"dossier\""
    ));
    source.resolve(|_| path.to_owned());
    read(&source, &admission(), TODAY, BOTH, &mut |_, _| {})
}

#[test]
fn rows_of_a_query() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let outcome = ask(&path, "select dossier, BSN, geboren, 'x' as more from client").unwrap();
    assert_eq!(numbers(&outcome), [A, B]);
    let references: Vec<_> = outcome.rows.iter().map(|row| row.reference.as_deref()).collect();
    assert_eq!(references, [Some("LP-1"), Some("17")]);
    assert_eq!(outcome.total_rows, 7);
    assert_eq!(
        issues(&outcome),
        [
            "3/bsn/number_not_whole",
            "4/bsn/field_empty",
            "5/bsn/bsn_check_digit",
            "6/bsn/cell_type",
            "7/bsn/bsn_length"
        ]
    );
    assert_eq!(outcome.names, ["dossier", "bsn", "geboren", "more"]);
}

#[test]
fn what_is_wrong_is_said_without_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let mut said = String::new();
    for (query, code) in [
        ("select bsn from client", "column_missing"),
        (
            "select bsn, bsn, geboren, dossier from client",
            "column_ambiguous",
        ),
        ("select bsn, geboren, dossier from klant", "database_query"),
        ("select bsn, geboren, dossier frm client", "database_query"),
        ("select 1; delete from client", "database_query"),
        (
            "with gone as (select 1) delete from client returning bsn, geboren, dossier",
            "database_query",
        ),
        (
            "select bsn, geboren, json('999990019 x') as dossier from client",
            "database_query",
        ),
        (
            "select bsn, geboren, abs(-9223372036854775807 - 1) as dossier from client",
            "database_query",
        ),
    ] {
        let error = ask(&path, query).unwrap_err();
        said += &format!("{error} {error:?} {} ", error.text_nl());
        assert_eq!(error.code(), code, "{query}: {error}");
        assert!(!error.may_pass());
    }
    assert!(!said.contains("99999"), "{said}");
    let count: i64 = Connection::open(&path)
        .unwrap()
        .query_row("select count(*) from client", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 7, "nothing was deleted");

    std::fs::write(&path, "no database at all, however long the text is").unwrap();
    assert_eq!(ask(&path, "select 1").unwrap_err().code(), "database_file");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ask(&path, "select 1").unwrap_err().code(), "source_open");
}

#[test]
fn a_database_that_somebody_else_has_locked_may_come_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(folder.path());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("begin exclusive").unwrap();
    let error = ask(&path, "select bsn, geboren, dossier from client").unwrap_err();
    assert_eq!((error.code(), error.may_pass()), ("database_busy", true));
    assert_eq!(error.exit_code(), hitmachine_service::exit::UNREACHABLE);
    other.execute_batch("rollback").unwrap();
    assert!(ask(&path, "select bsn, geboren, dossier from client").is_ok());
}
