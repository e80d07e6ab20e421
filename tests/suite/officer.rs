//! The privacy officer's work, with real programs: what is found, proven, logged, checked by others, and erased.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use hitmachine_audit::{EntryKind, FieldId};
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{node_command, run_with_input};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, Said, assert_holds_none, python};
use hitmachine_tests::world::World;
use serde_json::Value;

/// Runs an officer's command at the coordinator's node, with `input`.
fn audit(deployment: &Deployment, address: SocketAddr, arguments: &[&str], input: &str) -> Said {
    let mut command = node_command(deployment, COORDINATOR, address).unwrap();
    command.args(["--json", "audit"]).args(arguments);
    if arguments[0] != "verify" {
        command.args(["--user", "functionaris", "--reference", "AVG-2026-1"]);
    }
    Said::of(run_with_input(&mut command, input.as_bytes()).unwrap())
}

/// Whether the short script, which has nothing of ours, accepts the published log and the proofs in `dir`.
fn outside_agrees(deployment: &Deployment, proofs: &Path) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let tiles = deployment.dir().join("broker/data/audit/tiles");
    for from in [tiles.as_path(), proofs] {
        let from = from.join(".");
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(from)
                .arg(dir.path())
                .status()
                .unwrap()
                .success()
        );
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/audit-verify.py");
    let log = logbook::verifier(deployment).to_string();
    let said = python().arg(script).arg(dir.path()).arg(log).output().unwrap();
    said.status.success()
}

fn rows(said: &Said) -> Vec<Value> {
    said.json()["page"]["rows"].as_array().unwrap().clone()
}

#[test]
fn a_person_learns_what_was_asked_until_it_is_erased() {
    let world = World::new(211);
    let (deployment, address) = (&world.deployment, world.address);
    let (bsn, other) = (world.bsn(AgeClass::Adult), world.bsn(AgeClass::Minor));
    let broker = world.broker();
    for _ in 0..2 {
        assert_eq!(program::query(deployment, COORDINATOR, address, bsn, &[]).code, 0);
    }
    assert_eq!(
        program::query(deployment, "regieteams", address, bsn, &[]).code,
        0
    );
    assert_eq!(
        program::query(deployment, COORDINATOR, address, other, &[]).code,
        0
    );
    let refused = program::query(deployment, COORDINATOR, address, bsn, &["--role", "buurman"]);
    assert_eq!(refused.json()["persons"][0]["refused"], "role_not_granted");

    // The report: each question about this person, the refused one too, and nothing of the other; neither users nor
    // cases, and a proof of each that others accept.
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let report = |name: &str| {
        let (html, json, proofs) = (
            path(&format!("{name}.html")),
            path(&format!("{name}.json")),
            path(name),
        );
        let arguments = ["report", "--out", &html, "--json-out", &json, "--proofs", &proofs];
        let said = audit(deployment, address, &arguments, bsn);
        assert_eq!(said.code, 0, "{said:?}");
        let text = fs::read_to_string(&json).unwrap();
        assert_holds_none(
            &(fs::read_to_string(&html).unwrap() + &text),
            &[bsn.as_bytes(), b"pietersen", b"ZK-2026-77"],
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let before = report("before");
    let places: Vec<u64> = before["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["log_entry"].as_u64().unwrap())
        .collect();
    assert_eq!(places, [5, 3, 2, 1], "entries as people count them, newest first");
    program::until("the log is published", || {
        outside_agrees(deployment, Path::new(&path("before")))
    });
    // A proof that was touched is refused.
    let proof = Path::new(&path("before")).join("3.tlog-proof");
    let text = fs::read_to_string(&proof).unwrap();
    fs::write(&proof, text.replace("index 2\n", "index 3\n")).unwrap();
    assert!(!outside_agrees(deployment, Path::new(&path("before"))));

    // Searching: everything combines.
    for (arguments, found) in [
        (vec!["--outcome", "refused"], vec![4]),
        (vec!["--organisation", "regieteams"], vec![2]),
        (
            vec!["--by-user", "pietersen", "--purpose", "screening"],
            vec![4, 3, 1, 0],
        ),
        (vec!["--case", "ZK-2026-77", "--limit", "2"], vec![4, 3]),
        (vec!["--case", "ZK-2026-78"], vec![]),
    ] {
        let said = audit(
            deployment,
            address,
            &[&["search"], arguments.as_slice()].concat(),
            "",
        );
        let indexes: Vec<u64> = rows(&said)
            .iter()
            .map(|row| row["log_index"].as_u64().unwrap())
            .collect();
        assert_eq!(indexes, found, "{arguments:?}");
    }
    let complete = audit(deployment, address, &["completeness"], "").json()["completeness"].clone();
    assert_eq!(complete["first_bad"], Value::Null);
    assert_eq!(complete["erased"], 0);
    let counts = audit(deployment, address, &["statistics"], "").json();
    let whole = counts["statistics"]["rows"].as_array().unwrap();
    assert!(
        whole.iter().any(|row| row["total"].is_null()),
        "a small cell is shown: {counts}"
    );
    assert_eq!(audit(deployment, address, &["overlap"], "").code, 0);
    let note = [
        "review",
        "1",
        "--verdict",
        "in-order",
        "--note",
        "steekproef: akkoord",
    ];
    assert_eq!(audit(deployment, address, &note, "").code, 0);
    program::until("the log is published", || {
        audit(deployment, address, &["verify"], "").code == 0
    });

    // Erased: the report says that entries were, and nothing more can be said; the log is whole.
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let erased = audit(deployment, address, &["erase", "--up-to", &month, "--yes"], "");
    assert_eq!(erased.code, 0, "{erased:?}");
    let after = report("after");
    assert_eq!(after["rows"].as_array().unwrap().len(), 0);
    let entries = after["erasures"][0]["entries"].as_u64().unwrap();
    assert!(entries >= 5, "{after}");
    let complete = audit(deployment, address, &["completeness"], "").json()["completeness"].clone();
    assert_eq!(
        (&complete["first_bad"], complete["erased"].as_u64()),
        (&Value::Null, Some(entries))
    );
    program::until("the log is published", || {
        outside_agrees(deployment, Path::new(&path("after")))
            && audit(deployment, address, &["verify"], "").code == 0
    });
    let shown = audit(deployment, address, &["show", "1"], "");
    assert_holds_none(&shown.out, &[b"pietersen", b"ZK-2026-77"]);

    // Every action is an entry that holds what was asked.
    assert_eq!(broker.stop().unwrap(), Some(0));
    let (_copies, _, log) = logbook::open(deployment);
    let kinds = log.entries().filter_map(|entry| match entry.unwrap().content {
        hitmachine_audit::StoredContent::Open(opening) => {
            let fields = opening.into_fields();
            assert!(
                fields.get(FieldId::Request).is_some(),
                "the signed request is kept"
            );
            EntryKind::from_code(fields.get(FieldId::Event).unwrap()[0])
        }
        _ => None,
    });
    let kinds: Vec<EntryKind> = kinds.collect();
    assert!(kinds.len() >= 4, "the actions since the erasure: {kinds:?}");
    assert!(
        kinds
            .iter()
            .all(|kind| matches!(kind, EntryKind::OfficerSearch | EntryKind::Export))
    );
}

#[test]
fn only_who_the_covenant_names_reviews_and_what_is_lost_is_found() {
    let world = World::new(212);
    let (deployment, address) = (&world.deployment, world.address);
    let bsn = world.bsn(AgeClass::Adult);
    let broker = world.broker();
    assert_eq!(program::query(deployment, COORDINATOR, address, bsn, &[]).code, 0);

    // Another role, and another partner: refused, and logged.
    let wrong_role = audit(
        deployment,
        address,
        &["completeness", "--role", "informatiecoordinator"],
        "",
    );
    assert_eq!(wrong_role.failure(), (1, "not_an_officer".into()));
    let mut command = node_command(deployment, "leerplicht", address).unwrap();
    command.args(["--json", "audit", "search", "--user", "x", "--reference", "y"]);
    let other = Said::of(run_with_input(&mut command, b"").unwrap());
    assert_eq!(other.failure(), (1, "not_an_officer".into()));

    // A key that is gone without an erasure is no erasure.
    assert_eq!(broker.stop().unwrap(), Some(0));
    let keys = deployment.dir().join("broker/audit-keys");
    fs::remove_file(keys.join("key-1.sealed")).unwrap();
    let broker = world.broker();
    let complete = audit(deployment, address, &["completeness"], "");
    assert_eq!(complete.code, 4, "{complete:?}");
    let complete = complete.json();
    assert_eq!(complete["completeness"]["first_bad"], 0, "{complete}");
    let alarms = audit(deployment, address, &["alarms"], "").json();
    assert_eq!(
        alarms["alarms"]["alarms"][0]["code"], "log_incomplete",
        "{alarms}"
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
}
