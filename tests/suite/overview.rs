//! The overview for a council, with real programs: its figures are those of the registers, it is an entry of the log
//! itself, and nothing in its files is about a person.

use std::collections::BTreeMap;
use std::fs;

use hitmachine_audit::{EntryKind, FieldId};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::population::{AgeClass, LIST_FILE, Register};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, Said, assert_holds_none};
use hitmachine_tests::world::World;
use serde_json::{Value, json};

const TABLES: [&str; 7] = [
    "cases",
    "months",
    "partners",
    "purposes",
    "refusals",
    "registrations",
    "response",
];

fn overview(world: &World, arguments: &[&str]) -> Said {
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let who = ["--user", "functionaris", "--reference", "RAAD-2026"];
    let arguments = [&["audit", "overview", "--year", &year], &who[..], arguments].concat();
    world.node(COORDINATOR, &arguments)
}

/// Hits and no hits of the whole list, and of each partner who is known there and who is not.
fn expected(truth: &GroundTruth) -> (u64, u64, BTreeMap<String, (u64, u64)>) {
    let (mut hits, mut partners) = (0, BTreeMap::new());
    for (_, _, statuses) in &truth.per_person {
        hits += u64::from(statuses.values().any(|status| *status == Status::Known));
        for (partner, status) in statuses {
            let counts: &mut (u64, u64) = partners.entry(partner.clone()).or_default();
            counts.0 += u64::from(*status == Status::Known);
            counts.1 += u64::from(*status == Status::NotKnown);
        }
    }
    (hits, truth.per_person.len() as u64 - hits, partners)
}

#[test]
fn the_figures_are_those_of_the_registers() {
    let world = World::new(311);
    let broker = world.broker();
    world.sync_all();
    let list = world.path("registers").join(LIST_FILE);
    assert_eq!(world.screen(&list).code, 0);
    for _ in 0..6 {
        let person = world.bsn(AgeClass::Adult);
        let asked = program::query(
            &world.deployment,
            COORDINATOR,
            world.address,
            person,
            &["--role", "buurman"],
        );
        assert_eq!(asked.code, 1);
    }
    let truth = ground_truth(&world.path("registers"), world.deployment.recipe().today).unwrap();
    let (hits, no_hits, partners) = expected(&truth);

    let view = overview(&world, &[]).json()["overview"].clone();
    let report = &view["report"];
    let all = &report["all"];
    assert_eq!(
        (
            &all["hit"],
            &all["no_hit"],
            &all["could_not_ask"],
            &all["refused"]
        ),
        (&json!(hits), &json!(no_hits), &json!(0), &json!(6)),
        "{report}"
    );
    let month = usize::from(
        jiff::Timestamp::now()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .month()
            .unsigned_abs(),
    );
    assert_eq!(report["months"].as_array().unwrap().len(), month);
    assert_eq!(report["over"], false);
    let mut compared = 0;
    for row in report["consulted"].as_array().unwrap() {
        let (known, not_known) = partners[row["partner"].as_str().unwrap()];
        for (shown, value) in [(&row["known"], known), (&row["not_known"], not_known)] {
            // What is suppressed here, if anything, is small or stands beside something small.
            if !shown.is_null() {
                assert_eq!(*shown, value, "{row}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 6, "{report}");
    let last = report["refusals"].as_array().unwrap().last().unwrap();
    assert_eq!(last["total"], 6);
    for row in report["registered"].as_array().unwrap() {
        let register = Register::ALL.into_iter();
        let mut register = register.filter(|register| row["partner"] == register.id());
        assert_eq!(row["count"], world.members(register.next().unwrap()), "{row}");
    }

    // The files say the same and nothing about anybody.
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("raad");
    let said = overview(&world, &["--out", out.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    let written: Value = serde_json::from_slice(&fs::read(out.join("overview.json")).unwrap()).unwrap();
    for field in ["months", "all", "purposes", "consulted", "refusals", "registered"] {
        assert_eq!(written[field], report[field], "{field}");
    }
    let mut names: Vec<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut all_names: Vec<String> = TABLES.map(|table| format!("{table}.csv")).to_vec();
    all_names.extend(["overview.html".to_owned(), "overview.json".to_owned()]);
    all_names.sort();
    assert_eq!(names, all_names);
    let mut secrets: Vec<&[u8]> = vec![b"pietersen", b"functionaris", b"TOP150", b"ZK-2026-77"];
    secrets.extend(world.population.list().map(|person| person.bsn.as_bytes()));
    for name in &names {
        assert_holds_none(&fs::read_to_string(out.join(name)).unwrap(), &secrets);
    }
    assert_eq!(
        overview(&world, &["--out", out.to_str().unwrap()]).code,
        2,
        "not over others"
    );

    // Refused to who may not, and to who wants to see too much. All of it is in the log.
    let refused = overview(&world, &["--role", "informatiecoordinator"]);
    assert_eq!(refused.failure(), (1, "not_an_officer".into()));
    assert_eq!(overview(&world, &["--threshold", "4"]).code, 2);
    let quarter = overview(&world, &["--quarter", "4", "--threshold", "1000"]).json();
    for row in quarter["overview"]["report"]["months"].as_array().unwrap() {
        assert!(row["hit"].is_null() || row["hit"] == 0, "fewer than 1,000: {row}");
    }
    assert_eq!(broker.stop().unwrap(), Some(0));
    let (_copies, _, log) = logbook::open(&world.deployment);
    let actions = log.entries().filter(|entry| {
        let hitmachine_audit::StoredContent::Open(opening) = &entry.as_ref().unwrap().content else {
            return false;
        };
        let result = opening.fields().get(FieldId::Result).unwrap();
        let kind = EntryKind::from_code(opening.fields().get(FieldId::Event).unwrap()[0]);
        kind == Some(EntryKind::OfficerSearch) && String::from_utf8_lossy(result).contains("overview")
    });
    assert_eq!(actions.count(), 3);
}

/// What was erased is said, and not counted.
#[test]
fn what_is_erased_is_counted_apart() {
    let world = World::new(312);
    let broker = world.broker();
    for _ in 0..7 {
        assert_eq!(world.ask(COORDINATOR).code, 0);
    }
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let who = ["--user", "functionaris", "--reference", "AVG-2026-1"];
    let erase = [&["audit", "erase", "--yes", "--up-to", &month], &who[..]].concat();
    assert_eq!(world.node(COORDINATOR, &erase).code, 0);
    let view = overview(&world, &[]).json()["overview"]["report"].clone();
    let erased = view["erased"].as_u64().unwrap() + view["erased_undated"].as_u64().unwrap();
    assert!(erased >= 7, "{view}");
    assert_eq!(view["all"]["total"], 0, "{view}");
    assert_eq!(broker.stop().unwrap(), Some(0));
}
