//! `hitmachine-node query`, and the exit codes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::{free_address, run_with_input};
use serde_json::{Value, json};

use crate::hub::{Hub, QUERY, statuses};
use crate::{command, ended, err, out};

#[test]
fn a_question_is_answered_in_two_languages_and_for_machines() {
    let hub = Hub::start(41);
    let contacts = [
        ("Leerplicht", "00 01"),
        ("Schuldhulpverlening", "00 02"),
        ("Regieteams", "00 03"),
        ("OM/reclassering", "00 04"),
    ];
    let words = |language: &str| match language {
        "nl" => [
            ("known", "bekend"),
            ("not_known", "niet bekend"),
            ("does_not_apply", "niet van toepassing"),
        ],
        _ => [
            ("known", "known"),
            ("not_known", "not known"),
            ("does_not_apply", "does not apply"),
        ],
    };
    // Persons who together show every word at least once.
    let mut asked = 0;
    let mut seen = BTreeSet::new();
    for [_, bsn, birth_date, label] in hub.list() {
        let expected = hub.expected(&label);
        let new = expected.iter().filter(|row| seen.insert((*row).clone())).count();
        if new == 0 {
            continue;
        }
        for (language, head) in [("en", "Organisation"), ("nl", "Instantie")] {
            let text = out(&ended(
                hub.query(language, &["--birth-date", &birth_date], &format!("{bsn}\n")),
                0,
            ));
            asked += 1;
            assert!(
                text.lines()
                    .any(|line| line.contains(head) && line.contains("Contact")),
                "{text}"
            );
            let rows: Vec<&str> = text
                .lines()
                .filter(|line| contacts.iter().any(|row| line.contains(row.0)))
                .collect();
            assert_eq!(rows.len(), 4, "{text}");
            for ((row, (_, status)), (name, contact)) in rows.iter().zip(&expected).zip(contacts) {
                let word = words(language)
                    .into_iter()
                    .find(|word| word.0 == *status)
                    .unwrap()
                    .1;
                let cell = row
                    .trim_matches(['│', ' '])
                    .strip_prefix(name)
                    .unwrap()
                    .trim_start();
                assert!(cell.starts_with(word), "{name}: {status} in {language}, {row}");
                assert_eq!(row.contains(contact), *status == "known", "{row}");
                let rest = cell.strip_prefix(word).unwrap();
                assert!(
                    rest.is_empty() || rest.starts_with("  "),
                    "{name}: {status} in {language}, {row}"
                );
            }
            let logged = if language == "nl" {
                "Vastgelegd als logregel"
            } else {
                "Recorded as log entry"
            };
            assert!(
                text.contains(&format!("{logged} {asked};")),
                "the {asked}. question: {text}"
            );
            assert!(!text.contains(&bsn), "the number was printed");
        }
        let output = ended(hub.query("en", &["--json", "--birth-date", &birth_date], &bsn), 0);
        asked += 1;
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let persons = answer["persons"].as_array().unwrap();
        assert_eq!((persons.len(), &answer["log_size"]), (1, &json!(asked)));
        assert_eq!(statuses(&persons[0]), expected, "{label}");
        assert!(output.stderr.is_empty(), "{}", err(&output));
    }
    assert!(seen.len() > 8, "{seen:?}");
    assert_eq!(hub.broker.stop().unwrap(), Some(0));
}

#[test]
fn a_bsn_is_never_an_argument_and_never_repeated() {
    let hub = Hub::start(42);
    let [_, bsn, birth_date, _] = hub.list().swap_remove(0);
    let class = ["--class", "adult"];
    let silent = |output: Output, code: i32| {
        let output = ended(output, code);
        let said = out(&output) + &err(&output);
        assert!(!said.contains(&bsn), "the number was repeated: {said}");
        said
    };
    // There is no such option, however it is written, and no place for a bare number.
    for option in [
        vec!["--bsn".to_owned(), bsn.clone()],
        vec![format!("--bsn={bsn}")],
        vec![format!("--number={bsn}")],
    ] {
        let arguments: Vec<&str> = class
            .iter()
            .copied()
            .chain(option.iter().map(String::as_str))
            .collect();
        let said = silent(hub.query("en", &arguments, &bsn), 2);
        assert!(said.contains("unexpected argument"), "{said}");
    }
    let bare = ended(hub.query("en", &[&class[..], &[&bsn]].concat(), &bsn), 2);
    assert!(err(&bare).contains("unexpected argument"), "{}", err(&bare));
    // In a text field it would be logged and shown to others.
    let field = |name: &str, text: &str| {
        let mut arguments: Vec<&str> = QUERY.to_vec();
        let at = arguments.iter().position(|argument| *argument == name).unwrap() + 1;
        arguments[at] = text;
        let mut node = hub.node(COORDINATOR, "en");
        run_with_input(node.args(arguments).args(class), bsn.as_bytes()).unwrap()
    };
    let spaced = format!("{} {} {}", &bsn[..3], &bsn[3..6], &bsn[6..]);
    for text in [bsn.clone(), format!("ZK-{bsn}"), spaced] {
        let said = silent(field("--case", &text), 2);
        assert!(said.contains("case reference") && said.contains("BSN"), "{said}");
        silent(field("--user", &text), 2);
    }
    silent(
        hub.query("en", &["--responsible", &bsn, "--class", "adult"], &bsn),
        2,
    );
    silent(hub.query("en", &["--birth-date", &bsn], &bsn), 2);

    // What is no BSN is refused with its place and reason, in both languages.
    let mistyped = format!("{}{}", &bsn[..8], (bsn.as_bytes()[8] - b'0' + 1) % 10);
    for (input, en, nl) in [
        (mistyped.as_str(), "elfproef", "elfproef"),
        (
            &bsn[..7],
            "too few or too many digits",
            "te weinig of te veel cijfers",
        ),
        ("12345678x", "character", "teken"),
        ("", "too few or too many digits", "te weinig of te veel cijfers"),
        ("000000000", "all zeros", "nullen"),
    ] {
        let said = err(&ended(hub.query("en", &class, input), 2));
        assert!(said.contains("person 1: ") && said.contains(en), "{en}: {said}");
        assert!(
            input.is_empty() || !said.contains(input),
            "the number was repeated: {said}"
        );
        let said = err(&ended(hub.query("nl", &class, input), 2));
        assert!(said.contains("persoon 1: ") && said.contains(nl), "{nl}: {said}");
    }
    let output = ended(hub.query("en", &["--json", "--class", "adult"], &mistyped), 2);
    let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&failure["failed"]["code"], &failure["failed"]["exit"]),
        (&json!("bsn_check_digit"), &json!(2))
    );

    // Nothing of all this went to the hub.
    assert!(
        hub.broker
            .metrics()
            .unwrap()
            .contains("hitmachine_log_entries 0\n")
    );
    // Eight digits are a BSN without its zero, blanks and a line end do not matter.
    let zero = hub
        .list()
        .into_iter()
        .find(|row| row[1].starts_with('0'))
        .unwrap();
    for input in [
        zero[1].clone(),
        zero[1][1..].to_owned(),
        format!("  {}\r\n", zero[1]),
    ] {
        let output = ended(hub.query("en", &["--json", "--birth-date", &zero[2]], &input), 0);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(statuses(&answer["persons"][0]), hub.expected(&zero[3]));
    }
    silent(hub.query("en", &["--birth-date", &birth_date], &bsn), 0);
}

#[test]
fn exit_codes_tell_the_cases_apart() {
    let hub = Hub::start(43);
    let [_, bsn, ..] = hub.list().swap_remove(0);
    let class = ["--class", "adult"];
    let json = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    ended(hub.query("en", &class, &bsn), 0);
    ended(hub.node(COORDINATOR, "en").arg("status").output().unwrap(), 0);

    // 1: understood, logged and refused.
    for (partner, purpose, role, code, en, nl) in [
        (
            "leerplicht",
            "screening",
            "informatiecoordinator",
            "purpose_not_granted",
            "for this purpose",
            "dit doel",
        ),
        (
            COORDINATOR,
            "screening",
            "stagiair",
            "role_not_granted",
            "role",
            "rol",
        ),
        (
            COORDINATOR,
            "nieuwsgierigheid",
            "stagiair",
            "unknown_purpose",
            "no such purpose",
            "doel",
        ),
    ] {
        let ask = |language: &str, more: &[&str]| {
            let arguments = [
                "query",
                "--purpose",
                purpose,
                "--role",
                role,
                "--case",
                "ZK-1",
                "--user",
                "u",
            ];
            let mut node = hub.node(partner, language);
            ended(
                run_with_input(node.args(arguments).args(class).args(more), bsn.as_bytes()).unwrap(),
                1,
            )
        };
        let said = out(&ask("en", &[]));
        assert!(
            said.contains("Not answered:") && said.contains(en) && said.contains(code),
            "{said}"
        );
        assert!(said.contains("Recorded as log entry"), "{said}");
        let said = out(&ask("nl", &[]));
        assert!(
            said.contains("Niet beantwoord:") && said.contains(nl) && said.contains(code),
            "{said}"
        );
        let person = &json(&ask("en", &["--json"]))["persons"][0];
        assert_eq!(
            (&person["refused"], &person["partners"]),
            (&json!(code), &json!([]))
        );
    }

    // 2: wrong use. What is missing is named.
    for (leave_out, named) in [
        ("--purpose", "--purpose"),
        ("--case", "--case"),
        ("--role", "--role"),
    ] {
        let mut arguments = QUERY.to_vec();
        let at = arguments
            .iter()
            .position(|argument| *argument == leave_out)
            .unwrap();
        arguments.drain(at..at + 2);
        let mut node = hub.node(COORDINATOR, "en");
        let output = ended(
            run_with_input(node.args(arguments).args(class), bsn.as_bytes()).unwrap(),
            2,
        );
        assert!(err(&output).contains(named), "{}", err(&output));
    }
    let neither = ended(hub.query("en", &[], &bsn), 2);
    assert!(err(&neither).contains("--birth-date"), "{}", err(&neither));
    ended(
        hub.query("en", &["--class", "adult", "--birth-date", "1980-01-01"], &bsn),
        2,
    );
    ended(hub.query("en", &["--birth-date", "2080-01-01"], &bsn), 2);
    let nowhere = ["--config", "/nonexistent/node.toml", "status"];
    ended(command("hitmachine-node").args(nowhere).output().unwrap(), 2);
    let no_user: Vec<&str> = QUERY
        .iter()
        .copied()
        .filter(|argument| !["--user", "u"].contains(argument))
        .collect();
    let mut node = hub.node(COORDINATOR, "en");
    let output = ended(
        run_with_input(node.args(&no_user).args(class), bsn.as_bytes()).unwrap(),
        2,
    );
    assert!(err(&output).contains("user"), "{}", err(&output));
    let sync = ended(hub.node(COORDINATOR, "en").arg("sync").output().unwrap(), 2);
    assert!(err(&sync).contains("[[source]]"), "{}", err(&sync));

    // 3: nobody there.
    let nobody = free_address().unwrap();
    for arguments in [&["status"][..], &[&QUERY[..], &class].concat()] {
        let mut node = hub.node_at(COORDINATOR, "en", nobody);
        let output = ended(run_with_input(node.args(arguments), bsn.as_bytes()).unwrap(), 3);
        assert!((out(&output) + &err(&output)).contains("nothing listens there"));
    }
    let mut node = hub.node_at("leerplicht", "nl", nobody);
    let output = ended(node.args(["--json", "sync"]).output().unwrap(), 3);
    assert_eq!(json(&output)["failed"]["code"], "connection_refused");

    // 4: state that does not open, here because its key is another one.
    let key = hub
        .deployment
        .node_config(COORDINATOR)
        .with_file_name("node-state.key");
    fs::copy(
        hub.deployment
            .node_config("leerplicht")
            .with_file_name("node-state.key"),
        &key,
    )
    .unwrap();
    let output = ended(hub.node(COORDINATOR, "en").arg("status").output().unwrap(), 4);
    assert!(err(&output).contains("does not open"), "{}", err(&output));

    // The broker's own check.
    let check = |hub: &Hub| {
        let mut broker = command("hitmachine-broker");
        broker
            .args(["check", "--config"])
            .arg(hub.deployment.broker_config())
            .output()
            .unwrap()
    };
    ended(check(&hub), 0);
    fs::write(hub.deployment.covenant(), "format = 1\n").unwrap();
    let output = ended(check(&hub), 2);
    assert!(
        err(&output).contains("covenant.toml") && err(&output).contains("line"),
        "{}",
        err(&output)
    );
    // A second broker on the same data.
    let mut second = command("hitmachine-broker");
    second
        .args(["serve", "--config"])
        .arg(hub.deployment.broker_config())
        .env("HITMACHINE_BROKER_LISTEN", "127.0.0.1:0");
    ended(second.output().unwrap(), 2);
}
