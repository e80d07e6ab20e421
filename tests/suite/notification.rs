//! Informing the persons who were asked about, with whole programs.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use hitmachine_node::source::{AgeBracket, age_on};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_tests::program::{self, Said, assert_holds_none};
use hitmachine_tests::world::World;
use serde_json::{Value, json};

/// The queue as the coordinator's node lists it.
fn list(world: &World, more: &[&str]) -> Vec<Value> {
    let said = world.node(COORDINATOR, &[&["notification", "list"], more].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said.json().as_array().unwrap().clone()
}

fn notification(world: &World, arguments: &[&str]) -> Said {
    world.node(COORDINATOR, &[&["notification"], arguments].concat())
}

fn ask(world: &World, bsn: &str, more: &[&str]) -> Said {
    program::query(&world.deployment, COORDINATOR, world.address, bsn, more)
}

fn month_later(day: jiff::civil::Date) -> String {
    use jiff::ToSpan as _;
    day.saturating_add(1.month()).to_string()
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn letters_folder() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/letters");
    folder.to_str().unwrap().to_owned()
}

#[test]
fn an_answered_question_puts_its_person_in_the_queue_once() {
    let world = World::new(631);
    let broker = world.broker();
    world.sync_all();
    let (adult, child) = (
        world.bsn(AgeClass::Adult).to_owned(),
        world.bsn(AgeClass::Minor).to_owned(),
    );
    assert!(list(&world, &[]).is_empty());

    // A refusal is no processing of anybody's data at the partners.
    assert_eq!(ask(&world, &adult, &["--role", "burgemeester"]).code, 1);
    assert!(list(&world, &[]).is_empty());
    // Neither is what was never sent.
    let label = format!("van {child}");
    assert_eq!(
        ask(&world, &adult, &["--label", &label]).failure(),
        (2, "bsn_in_text".into())
    );

    let today = hitmachine_tests::today();
    assert_eq!(ask(&world, &adult, &["--label", "K-1"]).code, 0);
    assert_eq!(ask(&world, &adult, &["--label", "K-2"]).code, 0);
    assert_eq!(ask(&world, &adult, &["--case", "ZK-2026-78"]).code, 0);
    assert_eq!(ask(&world, &child, &["--class", "minor"]).code, 0);
    let found = list(&world, &[]);
    let shown: Vec<_> = found
        .iter()
        .map(|each| {
            (
                each["id"].as_u64().unwrap(),
                each["case"].as_str().unwrap(),
                &each["reference"],
                &each["addressee"],
                &each["age"],
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                1,
                "ZK-2026-77",
                &json!("K-1"),
                &json!("person"),
                &json!("from_16")
            ),
            (2, "ZK-2026-78", &Value::Null, &json!("person"), &json!("from_16")),
            (3, "ZK-2026-77", &Value::Null, &json!("both"), &json!("unknown")),
        ]
    );
    for each in &found {
        assert_eq!((&each["state"], &each["kind"]), (&json!("due"), &json!("entry")));
        assert_eq!(each["since"], today.to_string());
        assert_eq!(each["due"], month_later(today));
        assert!(!each["legal_basis"].as_str().unwrap().is_empty());
        assert!(each.get("number").is_none());
    }

    // Through a node that serves it is the same queue; and without a hub nobody was asked about.
    let serving = world.serve(COORDINATOR);
    assert_eq!(list(&world, &["--case", "ZK-2026-77"]).len(), 2);
    assert_eq!(broker.stop().unwrap(), Some(0));
    assert_eq!(ask(&world, &adult, &["--case", "ZK-2026-79"]).code, 3);
    assert_eq!(list(&world, &[]).len(), 3);
    let status = world.node(COORDINATOR, &["status"]).json();
    assert_eq!(
        status["notifications"],
        json!({ "due": 3, "overdue": 0, "deferred": 0 })
    );
    let printed = serving.log().unwrap();
    serving.kill().unwrap();

    // After a kill everything is still there; nowhere stands a number, nor a case in clear in the state.
    let all = format!("{:?}{printed}", list(&world, &[]));
    assert_holds_none(&all, &[adult.as_bytes(), child.as_bytes()]);
    let state = files(&world.path(&format!("nodes/{COORDINATOR}/state")));
    assert!(!state.is_empty());
    for path in state.iter().filter(|path| path.is_file()) {
        let bytes = fs::read(path).unwrap();
        for secret in [adult.as_bytes(), child.as_bytes(), b"ZK-2026-77"] {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{}", path.display());
        }
    }
}

#[test]
fn a_screening_knows_whom_to_address_by_their_age() {
    let world = World::new(632);
    let broker = world.broker();
    world.sync_all();
    let today = hitmachine_tests::today();
    let persons: Vec<_> = world.population.list().take(40).collect();
    let mut text = "huishouden;bsn;geboortedatum;kenmerk\n".to_owned();
    for (place, person) in persons.iter().enumerate() {
        text += &format!("H{};{};{};P-{place}\n", place / 4, person.bsn, person.birth_date);
    }
    let path = world.path("list.csv");
    fs::write(&path, text).unwrap();
    assert_eq!(world.screen(&path).code, 0);
    let found = list(&world, &[]);
    assert_eq!(found.len(), persons.len());
    for (place, person) in persons.iter().enumerate() {
        let each = found
            .iter()
            .find(|each| each["reference"] == format!("P-{place}"))
            .unwrap();
        let bracket = age_on(today, &person.birth_date.to_string()).unwrap().bracket;
        let addressee = match bracket {
            AgeBracket::Under12 => "representative",
            AgeBracket::From12 | AgeBracket::Unknown => "both",
            AgeBracket::From16 => "person",
        };
        assert_eq!(each["addressee"], addressee, "{}", person.birth_date);
    }
    let children = list(&world, &["--addressee", "representative"]).len();
    assert!(children > 0, "the list has children");
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn letters_are_written_put_off_and_recorded() {
    let world = World::new(633);
    let broker = world.broker();
    world.sync_all();
    let adult = world.bsn(AgeClass::Adult).to_owned();
    let child = world.bsn(AgeClass::Minor).to_owned();
    assert_eq!(ask(&world, &adult, &["--label", "K-1"]).code, 0);
    assert_eq!(
        ask(&world, &child, &["--class", "minor", "--label", "K-2"]).code,
        0
    );
    let code = |arguments: &[&str]| notification(&world, arguments).failure();

    // What is typed wrongly changes nothing.
    let tomorrow = hitmachine_tests::today().tomorrow().unwrap().to_string();
    let today = hitmachine_tests::today().to_string();
    let defer = |id: &str, until: &str, more: &[&str]| {
        notification(
            &world,
            &[&["defer", id, "--user", "jansen", "--until", until], more].concat(),
        )
    };
    let investigation = ["--reason", "investigation"];
    assert_eq!(
        defer("1", &today, &investigation).failure(),
        (2, "notification_until".into())
    );
    assert_eq!(
        defer("9", &tomorrow, &investigation).failure(),
        (1, "notification_unknown".into())
    );
    let interest = ["--reason", "public_interest"];
    assert_eq!(
        defer("1", &tomorrow, &interest).failure(),
        (2, "notification_note_needed".into())
    );
    let note = format!("over {adult}");
    let with_number = [interest.as_slice(), &["--note", &note]].concat();
    let said = defer("1", &tomorrow, &with_number);
    assert_eq!(said.failure(), (2, "contains_bsn".into()));
    assert_holds_none(&format!("{said:?}"), &[adult.as_bytes()]);
    assert_eq!(
        code(&["close", "--case", "ZK-9"]),
        (1, "notification_unknown_case".into())
    );
    assert_eq!(
        code(&["sent", "--case", "ZK-9"]),
        (1, "notification_unknown_case".into())
    );

    // Letters from the templates that come with the product.
    let out = world.path("letters");
    let write = |more: &[&str]| {
        let folder = letters_folder();
        let arguments = ["letters", "--template", &folder, "--out", out.to_str().unwrap()];
        notification(&world, &[arguments.as_slice(), more].concat())
    };
    let said = write(&[]);
    assert_eq!((said.code, &said.json()["letters"]), (0, &json!(2)), "{said:?}");
    let person = fs::read_to_string(out.join("entry-000001-person.txt")).unwrap();
    let both = fs::read_to_string(out.join("entry-000002-both.txt")).unwrap();
    for (letter, reference) in [(&person, "K-1"), (&both, "K-2")] {
        assert!(
            letter.contains(reference) && letter.contains("ZK-2026-77"),
            "{letter}"
        );
        assert!(!letter.contains("{{") && !letter.contains("}}"), "{letter}");
        assert_holds_none(letter, &[adult.as_bytes(), child.as_bytes()]);
    }
    assert_eq!(
        write(&[]).code,
        1,
        "letters that are there are not replaced unasked"
    );
    assert_eq!(write(&["--force"]).code, 0);
    let wrong = world.path("wrong.txt");
    fs::write(&wrong, "Beste {{naam}}").unwrap();
    let said = notification(
        &world,
        &["letters", "--template", wrong.to_str().unwrap(), "--out", "x"],
    );
    assert_eq!(said.code, 2);
    assert!(said.err.contains("naam"), "{said:?}");
    let csv = world.path("letters.csv");
    assert_eq!(
        notification(&world, &["letters", "--csv", csv.to_str().unwrap()]).code,
        0
    );
    let csv = fs::read_to_string(&csv).unwrap();
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.contains("K-1;;ZK-2026-77"), "{csv}");

    // One is put off and one is sent.
    assert_eq!(defer("1", &tomorrow, &investigation).code, 0);
    assert_eq!(
        notification(&world, &["sent", "--user", "jansen", "--case", "ZK-2026-77"]).json()[0]["id"],
        2
    );
    assert_eq!(code(&["sent", "2"]), (1, "notification_settled".into()));
    let shown = notification(&world, &["show", "1"]).json();
    let acts: Vec<_> = shown[0]["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|act| (&act["act"], &act["by"]))
        .collect();
    assert_eq!(
        acts,
        [
            (&json!("asked"), &json!("pietersen")),
            (&json!("deferred"), &json!("jansen"))
        ]
    );
    assert_eq!(shown[0]["history"][1]["reason"], "investigation");
    let status = world.node(COORDINATOR, &["status"]).json();
    assert_eq!(
        status["notifications"],
        json!({ "due": 0, "overdue": 0, "deferred": 1 })
    );
    assert!(list(&world, &["--overdue"]).is_empty());
    assert_eq!(list(&world, &["--open"]).len(), 1);

    // The end of the case.
    assert_eq!(
        notification(&world, &["close", "--case", "ZK-2026-77"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        notification(&world, &["close", "--case", "ZK-2026-77"]).json(),
        json!([])
    );
    let said = write(&["--kind", "exit"]);
    assert_eq!((said.code, &said.json()["letters"]), (0, &json!(2)), "{said:?}");
    assert!(
        fs::read_to_string(out.join("exit-000003-person.txt"))
            .unwrap()
            .contains("gesloten")
    );
    let needless = ["not-needed", "3", "4", "--reason", "already_informed"];
    assert_eq!(notification(&world, &needless).code, 0);
    assert_eq!(list(&world, &["--open"]).len(), 1);

    // For people: tables.
    let mut command =
        hitmachine_testkit::process::node_command(&world.deployment, COORDINATOR, world.address).unwrap();
    let said = Said::of(command.args(["notification", "list"]).output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("K-1") && said.out.contains("ZK-2026-77"),
        "{said:?}"
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn the_number_is_kept_for_letters_only_if_the_configuration_says_so() {
    let world = World::new(635);
    let config = world.deployment.node_config(COORDINATOR);
    let text = fs::read_to_string(&config).unwrap() + "\n[notification]\nkeep_number = true\n";
    fs::write(&config, text).unwrap();
    let broker = world.broker();
    world.sync_all();
    let adult = world.bsn(AgeClass::Adult).to_owned();
    assert_eq!(ask(&world, &adult, &[]).code, 0);
    let csv = world.path("letters.csv");
    let said = notification(&world, &["letters", "--csv", csv.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(fs::read_to_string(&csv).unwrap().contains(&adult));
    let shown = format!(
        "{said:?}{:?}{:?}",
        list(&world, &[]),
        notification(&world, &["show", "1"])
    );
    assert_holds_none(&shown, &[adult.as_bytes()]);
    assert_eq!(broker.stop().unwrap(), Some(0));
    for path in files(&world.path(&format!("nodes/{COORDINATOR}/state"))) {
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(
            !bytes
                .windows(adult.len())
                .any(|window| window == adult.as_bytes())
        );
    }
}

#[test]
fn a_node_without_a_queue_says_so() {
    let world = World::new(634);
    let config = world.deployment.node_config(COORDINATOR);
    let text = fs::read_to_string(&config).unwrap() + "\n[notification]\nenabled = false\n";
    fs::write(&config, text).unwrap();
    assert_eq!(
        notification(&world, &["list"]).failure(),
        (2, "notification_not_kept".into())
    );
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("enabled = false", "kept = 1");
    fs::write(&config, text).unwrap();
    assert_eq!(notification(&world, &["list"]).code, 2);
}
