//! `hitmachine-node screen`.

use std::fs;
use std::path::Path;
use std::process::Output;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::{BrokerProcess, free_address};
use serde_json::{Value, json};

use crate::hub::{Hub, SCREEN, statuses};
use crate::{ended, err, out};

/// Two households of the plain list with at least two persons, as rows of a list of one's own.
fn two_households(hub: &Hub) -> Vec<[String; 4]> {
    let rows = hub.list();
    let size = |name: &String| rows.iter().filter(|row| row[0] == *name).count();
    let mut names: Vec<&String> = rows
        .iter()
        .map(|row| &row[0])
        .filter(|name| size(name) >= 2)
        .collect();
    names.dedup();
    rows.iter()
        .filter(|row| names[..2].contains(&&row[0]))
        .cloned()
        .collect()
}

fn csv(header: &str, rows: &[[String; 4]], delimiter: &str) -> String {
    let mut text = header.replace(';', delimiter) + "\n";
    for row in rows {
        text.push_str(&(row.join(delimiter) + "\n"));
    }
    text
}

const HEADER: &str = "huishouden;bsn;geboortedatum;kenmerk";

/// Holds a report against the ground truth: all `rows`, in their order, answered rightly.
fn check_report(hub: &Hub, report: &Value, rows: &[[String; 4]]) {
    let households = report["households"].as_array().unwrap();
    let persons = households.iter().flat_map(|household| {
        let persons = household["persons"].as_array().unwrap().iter();
        persons.map(move |person| (household["household"].as_str().unwrap(), person))
    });
    let persons: Vec<_> = persons.collect();
    assert_eq!(persons.len(), rows.len());
    for ((household, person), row) in persons.iter().zip(rows) {
        assert_eq!(
            (*household, person["label"].as_str().unwrap()),
            (row[0].as_str(), row[3].as_str())
        );
        assert_eq!(statuses(&person["answer"]), hub.expected(&row[3]), "{}", row[3]);
    }
    assert_eq!(report["totals"]["answered"], rows.len());
}

#[test]
fn one_bad_row_of_a_list_is_named_and_the_rest_goes_on() {
    let hub = Hub::start(44);
    let rows = two_households(&hub);
    // Behind the first person of the first household: row 3, with the header as row 1.
    let bsn = &rows[0][1];
    let mistyped = format!("{}{}", &bsn[..8], (bsn.as_bytes()[8] - b'0' + 1) % 10);
    let mut listed = rows.clone();
    listed.insert(
        1,
        [
            rows[0][0].clone(),
            mistyped.clone(),
            "01-02-1980".into(),
            "mistyped".into(),
        ],
    );
    let list = hub.write("list.csv", csv(HEADER, &listed, ";"));

    let output = ended(hub.screen("en", &list, &["--json"]), 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    check_report(&hub, &report, &rows);
    let named = "list.csv, row 3, column bsn: the BSN fails its check (elfproef)";
    assert_eq!(report["households"][0]["bad_rows"], json!([3]));
    assert_eq!(report["households"][1]["bad_rows"], json!([]));
    assert_eq!(report["totals"]["bad_rows"], 1);
    assert_eq!(
        (&report["totals"]["refused"], &report["totals"]["not_asked"]),
        (&json!(0), &json!(0))
    );
    // Of a household of which not everybody was asked, nobody can say that nobody is known.
    let nobody_known = rows.iter().filter(|row| row[0] == rows[rows.len() - 1][0]);
    let nobody_known = nobody_known
        .flat_map(|row| hub.expected(&row[3]))
        .all(|row| row.1 != "known");
    assert_eq!(
        report["totals"]["households_not_known"],
        usize::from(nobody_known)
    );

    let output = ended(hub.screen("en", &list, &[]), 0);
    assert!(err(&output).contains(named), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("Rows left out: 1"), "{text}");
    assert!(
        text.contains(&format!("Households: 2   Persons: {}", rows.len())),
        "{text}"
    );
    for row in &rows {
        let line = text.lines().find(|line| line.contains(&row[3])).unwrap();
        let known = hub
            .expected(&row[3])
            .iter()
            .filter(|row| row.1 == "known")
            .count();
        assert_eq!(line.matches("● known").count(), known, "{line}");
        let not_applying = hub
            .expected(&row[3])
            .iter()
            .filter(|row| row.1 == "does_not_apply")
            .count();
        assert_eq!(line.matches("n/a").count(), not_applying, "{line}");
    }
    let output = ended(hub.screen("nl", &list, &[]), 0);
    let issue = "list.csv, rij 3, kolom bsn: het BSN voldoet niet aan de elfproef";
    assert!(err(&output).contains(issue), "{}", err(&output));
    assert!(out(&output).contains("Rijen overgeslagen: 1"), "{}", out(&output));
    for text in [out(&output), err(&output), text, report.to_string()] {
        let number = listed.iter().find(|row| text.contains(&row[1]));
        assert!(number.is_none(), "a number was printed");
    }
    // Shortened, it says what is missing.
    let output = ended(hub.screen("en", &list, &["--rows", "1"]), 0);
    let more = format!("… and {} more persons", rows.len() - 1);
    assert!(
        out(&output).contains(&more) && !out(&output).contains(&rows[1][3]),
        "{}",
        out(&output)
    );
}

#[test]
fn a_row_without_a_household_is_named_to_machines_too() {
    let hub = Hub::start(45);
    let rows = two_households(&hub);
    let mut listed = rows.clone();
    listed[1][0] = String::new();
    let list = hub.write("list.csv", csv(HEADER, &listed, ";"));
    for arguments in [&[][..], &["--json"]] {
        let output = ended(hub.screen("en", &list, arguments), 0);
        let said = err(&output);
        assert!(
            said.contains("list.csv, row 3, column huishouden: the field is empty"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn lists_are_written_in_many_ways() {
    let hub = Hub::start(46);
    let rows = two_households(&hub);
    let report = |output: Output| -> Value { serde_json::from_slice(&ended(output, 0).stdout).unwrap() };

    // Columns of other names: refused by name, with those that are there; read when they are said.
    let list = hub.write("names.csv", csv("adres;nummer;geboren;naam", &rows, ";"));
    let output = ended(hub.screen("en", &list, &[]), 2);
    assert!(
        err(&output).contains("found: adres, nummer, geboren, naam"),
        "{}",
        err(&output)
    );
    let output = ended(hub.screen("nl", &list, &[]), 2);
    assert!(err(&output).contains("geen kolom"), "{}", err(&output));
    let names = [
        ["--household-column", "adres"],
        ["--bsn-column", "nummer"],
        ["--birth-date-column", "geboren"],
        ["--label-column", "naam"],
    ];
    for left_out in 0..names.len() {
        let said: Vec<&str> = names
            .iter()
            .enumerate()
            .filter(|name| name.0 != left_out)
            .flat_map(|name| *name.1)
            .collect();
        ended(hub.screen("en", &list, &said), 2);
    }
    check_report(
        &hub,
        &report(hub.screen("en", &list, &[&names.concat()[..], &["--json"]].concat())),
        &rows,
    );

    // Another delimiter.
    for delimiter in [",", "\t", "|"] {
        let list = hub.write("delimiter.csv", csv(HEADER, &rows, delimiter));
        let output = ended(hub.screen("en", &list, &[]), 2);
        assert!(err(&output).contains("no column"), "{}", err(&output));
        check_report(
            &hub,
            &report(hub.screen("en", &list, &["--delimiter", delimiter, "--json"])),
            &rows,
        );
    }
    ended(hub.screen("en", &list, &["--delimiter", "§"]), 2);
    ended(hub.screen("en", &list, &["--delimiter", "ab"]), 2);

    // Numbers that have lost their zeros: eight digits are understood, fewer only when it is said.
    let mut numbers = rows.clone();
    numbers.extend(
        hub.list()
            .into_iter()
            .filter(|row| row[1].starts_with("000") && !rows.contains(row))
            .take(2),
    );
    let shorter: Vec<[String; 4]> = numbers
        .iter()
        .map(|row| {
            [
                row[0].clone(),
                row[1].trim_start_matches('0').to_owned(),
                row[2].clone(),
                row[3].clone(),
            ]
        })
        .collect();
    let list = hub.write("numeric.csv", csv(HEADER, &shorter, ";"));
    let without = report(hub.screen("en", &list, &["--json"]));
    assert!(
        without["totals"]["bad_rows"].as_u64().unwrap() >= 2,
        "{}",
        without["totals"]
    );
    check_report(
        &hub,
        &report(hub.screen("en", &list, &["--numeric", "--json"])),
        &in_households(&numbers),
    );

    // Windows-1252: the letters arrive, and without saying so the row is named.
    let mut accents = rows.clone();
    for row in &mut accents {
        row[0] = row[0].replace('H', "Coëhoorn €");
    }
    let text = csv(HEADER, &accents, ";");
    let bytes: Vec<u8> = text
        .chars()
        .map(|letter| match letter {
            '€' => 0x80,
            letter => u8::try_from(u32::from(letter)).unwrap(),
        })
        .collect();
    let list = hub.write("windows.csv", bytes);
    check_report(
        &hub,
        &report(hub.screen("en", &list, &["--encoding", "windows-1252", "--json"])),
        &accents,
    );
    let output = hub.screen("en", &list, &[]);
    let encoding = "windows.csv, row 2, column huishouden: the field is not in the configured encoding";
    assert!(err(&output).contains(encoding), "{}", err(&output));
    ended(hub.screen("en", &list, &["--encoding", "latin1"]), 2);

    // As a spreadsheet saves it.
    let list = hub.write(
        "marked.csv",
        format!("\u{feff}{}", csv(HEADER, &rows, ";").replace('\n', "\r\n")),
    );
    check_report(&hub, &report(hub.screen("en", &list, &["--json"])), &rows);
    for (name, bytes) in [
        ("empty.csv", b"".as_slice()),
        ("zip.csv", b"PK\x03\x04rest"),
        ("utf16.csv", b"\xff\xfeh\0u\0i\0"),
    ] {
        let list = hub.write(name, bytes);
        ended(hub.screen("en", &list, &[]), 2);
    }
    ended(hub.screen("en", Path::new("/nonexistent.csv"), &[]), 2);
}

/// Rows in the order of a report: households by their first row.
fn in_households(rows: &[[String; 4]]) -> Vec<[String; 4]> {
    let mut names: Vec<&String> = Vec::new();
    for row in rows {
        if !names.contains(&&row[0]) {
            names.push(&row[0]);
        }
    }
    names
        .into_iter()
        .flat_map(|name| rows.iter().filter(move |row| row[0] == *name).cloned())
        .collect()
}

#[test]
fn a_screening_ends_with_the_code_of_its_worst_outcome() {
    let mut hub = Hub::start(47);
    let rows = two_households(&hub);
    let list = hub.write("list.csv", csv(HEADER, &rows, ";"));
    let mut arguments = SCREEN.to_vec();
    arguments[8] = "stagiair";
    let refused = ended(
        hub.node(COORDINATOR, "en")
            .args(&arguments)
            .arg(&list)
            .output()
            .unwrap(),
        1,
    );
    // What is refused for one is refused for all: it is asked once, and logged once.
    let first = rows.iter().filter(|row| row[0] == rows[0][0]).count();
    for said in [
        format!("Refused: {first}\n"),
        format!("Could not be asked because of a failure: {}", rows.len() - first),
        "Not finished: refused: This role may not ask for this purpose.".to_owned(),
    ] {
        assert!(out(&refused).contains(&said), "{}", out(&refused));
    }
    assert!(!out(&refused).contains("--resume"), "{}", out(&refused));

    let mut node = hub.node_at(COORDINATOR, "en", free_address().unwrap());
    let unreachable = ended(node.args(SCREEN).arg(&list).output().unwrap(), 3);
    let said = format!("Could not be asked because of a failure: {}", rows.len());
    assert!(out(&unreachable).contains(&said), "{}", out(&unreachable));
    assert!(
        out(&unreachable).contains("Households of which nobody is known: 0"),
        "{}",
        out(&unreachable)
    );

    // Nobody says who asks: trying again later will not help.
    let no_user: Vec<&str> = SCREEN
        .iter()
        .copied()
        .filter(|argument| !["--user", "u"].contains(argument))
        .collect();
    let output = hub
        .node(COORDINATOR, "en")
        .args(&no_user)
        .arg(&list)
        .output()
        .unwrap();
    assert!((out(&output) + &err(&output)).contains("user must not be empty"));
    ended(output, 2);

    // A hub whose log is not the one it was: no answer is shown, and somebody must find out why.
    ended(hub.screen("en", &list, &[]), 0);
    let audit = hub.deployment.dir().join("broker/data/audit");
    let address = hub.broker.address();
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
    fs::remove_dir_all(audit).unwrap();
    hub.broker = BrokerProcess::start(&hub.deployment, address).unwrap();
    let output = hub.screen("en", &list, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["totals"]["answered"], 0);
    assert_eq!(
        report["households"][0]["persons"][0]["not_asked"]["code"],
        "not_proven"
    );
    ended(output, 4);
}
