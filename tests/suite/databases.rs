//! Sources in databases and spreadsheets, with whole programs and a real PostgreSQL server: in a folder of its own,
//! TLS on, stopped in the middle of a query.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "databases/check.rs"]
mod check;
#[path = "databases/sync.rs"]
mod sync;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use hitmachine_testkit::population::Register;
use hitmachine_tests::world::World;

/// The persons of a register as `(number, birth date, reference)`.
fn members(world: &World, register: Register) -> Vec<[String; 3]> {
    let persons = world.population.members(register);
    persons
        .enumerate()
        .map(|(place, person)| {
            [
                person.bsn.clone(),
                person.birth_date.to_string(),
                format!("D-{place}"),
            ]
        })
        .collect()
}

/// Statements that make a table `client` with these persons; the number as an integer.
fn table(members: &[[String; 3]]) -> String {
    let mut sql = "create table client (bsn integer, geboren date, dossier text);\n".to_owned();
    for [bsn, birth, reference] in members {
        writeln!(
            sql,
            "insert into client values ({bsn}, '{birth}', '{reference}');"
        )
        .unwrap();
    }
    sql
}

/// Replaces the `[[source]]` of a node by another.
fn replace_source(world: &World, partner: &str, section: &str) {
    let path = world.deployment.node_config(partner);
    let text = fs::read_to_string(&path).unwrap();
    let before = text.find("[[source]]").map_or(text.as_str(), |at| &text[..at]);
    fs::write(&path, format!("{before}{section}")).unwrap();
}

/// A file that only its owner can read.
fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
