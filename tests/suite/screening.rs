//! Screening a list: the plan, and a screening that is stopped again and again and still asks about nobody twice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hitmachine_audit::FieldId;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, LIST_FILE};
use hitmachine_testkit::process::{BrokerProcess, NodeProcess, node_command, run_with_input};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::logbook;
use hitmachine_tests::program::Said;
use hitmachine_tests::wire::{Shared, Wire, bytes};
use hitmachine_tests::world::World;
use serde_json::{Value, json};

/// Kills in one screening.
const KILLS: u64 = 20;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A slow line to the hub: what it says arrives later, so that questions are under way when a program is killed.
fn slow_line(to: SocketAddr) -> SocketAddr {
    const DELAY: Duration = Duration::from_millis(60);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for node in listener.incoming() {
            let (Ok(mut node), Ok(mut hub)) = (node, TcpStream::connect(to)) else {
                continue;
            };
            let (mut from, mut into) = (node.try_clone().unwrap(), hub.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut into);
                let _ = into.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let mut buffer = [0; 8 * 1024];
                while let Ok(count @ 1..) = hub.read(&mut buffer) {
                    std::thread::sleep(DELAY);
                    if node.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = node.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

fn list(world: &World) -> PathBuf {
    world.deployment.registers().join(LIST_FILE)
}

/// `screen` with a case of its own.
fn screen(world: &World, case: &str, arguments: &[&str]) -> Command {
    let mut command = node_command(&world.deployment, COORDINATOR, world.address).unwrap();
    command.args(["--json", "screen", "--purpose", "screening"]);
    command.args([
        "--role",
        "informatiecoordinator",
        "--user",
        "pietersen",
        "--case",
        case,
    ]);
    command.args(arguments).arg(list(world));
    command
}

fn said(command: &mut Command) -> Said {
    Said::of(command.output().unwrap())
}

/// Household, row and statuses of each person: what must be the same however often a screening was stopped.
fn results(report: &Value) -> Vec<Value> {
    let households = report["households"].as_array().unwrap();
    let persons = households.iter().flat_map(|household| {
        let persons = household["persons"].as_array().unwrap();
        persons.iter().map(move |person| {
            let statuses: Vec<_> = person["answer"]["partners"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| json!([row["partner"], row["status"], row.get("contact")]))
                .collect();
            json!([household["household"], person["row"], person["label"], statuses])
        })
    });
    persons.collect()
}

/// How often each person stands in the log under this case.
fn asked(world: &World, case: &str) -> BTreeMap<Vec<u8>, usize> {
    let mut counts = BTreeMap::new();
    for entry in logbook::read(&world.deployment) {
        if entry.fields.get(FieldId::Case) == Some(case.as_bytes()) {
            assert_eq!(entry.refusal(), None);
            let subject = entry.fields.get(FieldId::Subject).unwrap().to_vec();
            *counts.entry(subject).or_default() += 1;
        }
    }
    counts
}

fn entries(broker: &BrokerProcess) -> u64 {
    let page = broker.metrics().unwrap();
    let line = page
        .lines()
        .find(|line| line.starts_with("hitmachine_log_entries "))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until so many entries have come, or the screening has ended.
fn after(broker: &BrokerProcess, child: &mut Child, more: u64) {
    let (before, begun) = (entries(broker), Instant::now());
    while entries(broker) < before + more && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn background(mut command: Command) -> Child {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    // It may have ended.
    let _ = child.kill();
    child.wait().unwrap();
}

#[test]
fn a_screening_killed_20_times_asks_about_everybody_once() {
    let world = World::new(301);
    let mut broker = world.broker();
    world.sync_all();
    let whole = said(&mut screen(&world, "IN-ONE-GO", &["--yes"]));
    assert_eq!(whole.code, 0, "{whole:?}");
    let whole = whole.json();
    assert_eq!(
        (whole["stand"].as_str(), whole["totals"]["households"].as_u64()),
        (Some("done"), Some(145))
    );

    let line = slow_line(world.address);
    let pieces = || {
        let mut command = screen(&world, "IN-PIECES", &["--yes"]);
        command.env("HITMACHINE_NODE_BROKER__ADDRESS", line.to_string());
        command
    };
    let mut rng = Rng::new(20_261_122);
    let mut stopped = 0;
    for round in 0..KILLS {
        // By itself, or through a node that serves.
        let serves = round % 2 == 1;
        let node = serves.then(|| NodeProcess::start(&world.deployment, COORDINATOR, line).unwrap());
        let mut child = background(pieces());
        // Before anything, at the first question, or with several under way.
        let more = [0, 1, 1, 1, 4][usize::try_from(rng.below(5)).unwrap()];
        after(&broker, &mut child, more);
        std::thread::sleep(Duration::from_micros(rng.below(30_000)));
        stopped += u64::from(child.try_wait().unwrap().is_none());
        if round == 7 || round == 14 {
            broker.kill().unwrap();
            broker = world.broker();
        }
        match node {
            // The command line goes away, the node goes on; then another looks, and the node goes.
            Some(node) if round % 4 == 1 => {
                kill(child);
                let mut child = background(pieces());
                after(&broker, &mut child, 1);
                node.kill().unwrap();
                kill(child);
            }
            Some(node) => {
                node.kill().unwrap();
                kill(child);
            }
            None => kill(child),
        }
    }
    assert!(
        stopped >= KILLS / 2,
        "only {stopped} were running when they were stopped"
    );
    let found = said(
        node_command(&world.deployment, COORDINATOR, world.address)
            .unwrap()
            .args(["--json", "screen", "list"]),
    );
    let found = found.json();
    let found: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .filter(|view| view["case"] == "IN-PIECES")
        .collect();
    assert_eq!(found.len(), 1, "each start went on with the one before");
    let unfinished = found[0]["stand"] == "stopped";
    assert!(unfinished, "it was done before the last kill: {found:?}");
    let pieces = said(&mut pieces());
    assert_eq!(pieces.code, 0, "{}", pieces.err);
    let pieces = pieces.json();
    assert_eq!(pieces["id"], found[0]["id"]);
    assert_eq!(results(&pieces), results(&whole));
    assert_eq!(pieces["totals"], whole["totals"]);

    broker.stop().unwrap();
    let persons = usize::try_from(whole["totals"]["persons"].as_u64().unwrap()).unwrap();
    for case in ["IN-ONE-GO", "IN-PIECES"] {
        let counts = asked(&world, case);
        assert_eq!(counts.len(), persons, "{case}");
        let twice = counts.values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "{case}: {twice} persons were asked about twice");
    }
    println!("{stopped} of {KILLS} kills hit a running screening of {persons} persons");
}

#[test]
fn the_plan_comes_first() {
    let world = World::new(302);
    let path = world.deployment.covenant();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replacen("max_subjects = 16", "max_subjects = 2\nmax_screening = 239", 1),
    )
    .unwrap();
    let broker = world.broker();
    world.sync_all();
    let before = entries(&broker);

    // Nobody can say yes.
    let plan = said(&mut screen(&world, "PLAN", &[]));
    assert_eq!(plan.code, 2, "{plan:?}");
    assert!(plan.err.contains("nobody was asked; use --yes"), "{}", plan.err);
    assert_eq!(plan.json()["households"], 145);
    let plan = said(&mut screen(&world, "PLAN", &["--plan-only"]));
    assert_eq!(plan.code, 0);
    let plan = plan.json();
    assert_eq!((&plan["persons"], &plan["bad_rows"]), (&json!(239), &json!(0)));
    assert!(
        plan["questions"].as_u64().unwrap() > 145,
        "at most two persons in a question: {plan}"
    );
    let partners = plan["covenant"]["partners"].as_array().unwrap();
    assert_eq!(partners.len(), 4);
    assert_eq!(
        partners[0]["persons"], plan["minors"],
        "leerplicht is asked about minors"
    );
    assert_eq!(partners[2]["persons"], 239);
    for case in ["PLAN", "999990019"] {
        let code = if case == "PLAN" { 0 } else { 2 };
        assert_eq!(
            said(&mut screen(&world, case, &["--plan-only"])).code,
            code,
            "{case}"
        );
    }
    assert_eq!(entries(&broker), before, "a plan asks about nobody");

    // Households that are too large are asked about in parts, and are one in the result.
    let out = world.path("out");
    fs::create_dir(&out).unwrap();
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let (csv, shared, full) = (file("a.csv"), file("b.html"), file("c.html"));
    let arguments = [
        "--yes",
        "--csv",
        &csv,
        "--report",
        &shared,
        "--report-full",
        &full,
    ];
    let report = said(&mut screen(&world, "PLAN", &arguments));
    assert_eq!(report.code, 0, "{}", report.err);
    let report = report.json();
    assert_eq!(report["households"].as_array().unwrap().len(), 145);
    assert_eq!(report["totals"]["answered"], 239);
    assert_eq!(entries(&broker), before + 239);
    let lines = fs::read_to_string(&csv).unwrap();
    assert_eq!(lines.lines().count(), 240);
    assert!(
        lines.starts_with("\u{feff}household;row;label;outcome;reason;leerplicht;"),
        "{lines}"
    );
    let (shared, full) = (
        fs::read_to_string(&shared).unwrap(),
        fs::read_to_string(&full).unwrap(),
    );
    assert!(shared.contains("<svg") && full.contains("<svg"));
    for row in fs::read_to_string(list(&world)).unwrap().lines().skip(1) {
        let cells: Vec<_> = row.split(';').collect();
        assert!(full.contains(cells[3]), "the full report has every label");
        assert!(!shared.contains(cells[3]), "the shared one has none");
        for text in [&lines, &shared, &full] {
            assert!(!text.contains(cells[1]), "a number was written");
        }
    }
    // Files that are there are not replaced unasked, and nobody is asked about before that is seen.
    let again = said(&mut screen(&world, "PLAN-2", &arguments));
    assert_eq!((again.code, entries(&broker)), (2, before + 239));

    // What is done can be shown again and forgotten.
    let id = report["id"].as_str().unwrap();
    let node = |arguments: &[&str]| world.node(COORDINATOR, arguments);
    assert_eq!(
        results(&node(&["screen", "--resume", id]).json()),
        results(&report)
    );
    assert_eq!(entries(&broker), before + 239);
    assert_eq!(node(&["screen", "forget", id]).code, 0);
    assert_eq!(node(&["screen", "list"]).json(), json!([]));
    for unknown in [id, "s0", "../x", "s0123456789/q"] {
        assert_eq!(
            node(&["screen", "--resume", unknown]).failure(),
            (1, "unknown_screening".into())
        );
        assert_eq!(
            node(&["screen", "forget", unknown]).failure(),
            (1, "unknown_screening".into())
        );
    }
    broker.stop().unwrap();

    // One person more than the covenant allows.
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("max_screening = 239", "max_screening = 238")).unwrap();
    let broker = world.broker();
    let before = entries(&broker);
    let refused = said(&mut screen(&world, "PLAN-3", &["--yes"]));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(refused.json()["covenant"]["too_many"], true);
    assert_eq!(entries(&broker), before);
}

#[test]
fn a_covenant_that_changes_meanwhile_is_gone_on_with_until_it_forbids() {
    let world = World::new(303);
    let path = world.deployment.covenant();
    let mut broker = world.broker();
    world.sync_all();
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    let line = slow_line(world.address);
    let stop_half_way = |broker: &BrokerProcess, more| {
        let mut command = screen(&world, "CHANGES", &["--yes"]);
        command.env("HITMACHINE_NODE_BROKER__ADDRESS", line.to_string());
        let mut child = background(command);
        after(broker, &mut child, more);
        kill(child);
    };
    stop_half_way(&broker, 30);
    broker.stop().unwrap();
    change("version = 1", "version = 2");
    change("max_subjects = 16", "max_subjects = 1");
    broker = world.broker();
    stop_half_way(&broker, 60);
    broker.stop().unwrap();
    change("version = 2", "version = 3");
    change("askers = [\"veiligheidshuis\"]", "askers = [\"regieteams\"]");
    broker = world.broker();
    let ended = said(&mut screen(&world, "CHANGES", &["--yes"]));
    assert_eq!(ended.code, 1, "{}", ended.err);
    let ended = ended.json();
    assert_eq!(ended["stand"], "ended", "it cannot be resumed");
    assert_eq!(ended["stopped"]["code"], "purpose_not_granted");
    let covenants = ended["covenants"].as_object().unwrap();
    assert!(
        covenants.contains_key("1") && covenants.contains_key("2"),
        "{covenants:?}"
    );
    let answered: u64 = covenants.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(ended["totals"]["answered"], answered, "what was answered stays");
    let totals = &ended["totals"];
    let sum: u64 = ["answered", "refused", "not_asked"]
        .iter()
        .map(|name| totals[name].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 239);
    let size = entries(&broker);
    let id = ended["id"].as_str().unwrap();
    assert_eq!(
        world.node(COORDINATOR, &["screen", "--resume", id]).json()["stand"],
        "ended"
    );
    assert_eq!(entries(&broker), size, "nothing more is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_one_entry_over_the_wire_too() {
    let world = World::new(304);
    let broker = world.broker();
    let shared = Shared::of(&world.deployment);
    let wire = Wire::of(&world.deployment, COORDINATOR, world.address).await;
    let query = shared.query(
        "screening",
        "informatiecoordinator",
        &shared.token(world.bsn(AgeClass::Adult)),
    );
    let request = wire.request(bytes(&query), vec![]);
    let mut again = request.clone();
    again.again = true;
    let mut asking = tokio::task::JoinSet::new();
    for turn in 0..32 {
        let (wire, request) = (
            wire.clone(),
            if turn % 3 == 0 {
                request.clone()
            } else {
                again.clone()
            },
        );
        asking.spawn(async move { wire.ask(request).await.unwrap().answers[0].clone() });
    }
    let mut answers: Vec<_> = asking
        .join_all()
        .await
        .into_iter()
        .map(|one| (one.answer, one.receipt.unwrap().leaf_index))
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer, one entry");
    broker.kill().unwrap();

    let broker = world.broker();
    let wire = Wire::of(&world.deployment, COORDINATOR, world.address).await;
    let repeated = wire.ask(again).await.unwrap().answers[0].clone();
    assert_eq!(
        (repeated.answer, repeated.receipt.unwrap().leaf_index),
        answers[0]
    );
    let mut other = query.clone();
    other.case_reference = "ZK-OTHER".into();
    let used = wire.ask_logged(&world.deployment, bytes(&other), vec![]).await;
    assert_eq!(used[0].refusal(), Some("request_id_used"));
    assert_eq!(world.stop(broker, &[]).len(), 2);
}

#[test]
fn a_household_is_one_question_and_a_bad_line_is_named() {
    let world = World::new(305);
    let broker = world.broker();
    world.sync_all();
    let before = entries(&broker);
    let persons: Vec<_> = world
        .population
        .persons()
        .iter()
        .map(|person| person.bsn.clone())
        .take(17)
        .collect();
    let query = |arguments: &[&str], input: &str| {
        let mut command = node_command(&world.deployment, COORDINATOR, world.address).unwrap();
        command.args([
            "--json",
            "query",
            "--purpose",
            "screening",
            "--role",
            "informatiecoordinator",
        ]);
        command.args(["--user", "u", "--case", "HUIS-1"]).args(arguments);
        Said::of(run_with_input(&mut command, input.as_bytes()).unwrap())
    };
    let text = format!(
        "bsn;geboren\n{};1980-01-01\n{}0;1980-01-01\n{};01-02-2015\n",
        persons[0],
        &persons[1][..8],
        persons[2]
    );
    let bad = persons[1].ends_with('0');
    let answer = query(&["--household", "-"], &text);
    assert_eq!(answer.code, 0, "{answer:?}");
    let json = answer.json();
    if !bad {
        assert_eq!(json["rows"], json!([2, 4]));
        assert_eq!(json["left_out"][0]["row"], 3);
        assert!(
            answer.err.contains("row 3: the BSN fails its check"),
            "{}",
            answer.err
        );
        assert_eq!(json["persons"].as_array().unwrap().len(), 2);
        assert_eq!(entries(&broker), before + 2, "each person has its own entry");
    }
    assert!(answer.err.contains("at most 16"), "{}", answer.err);
    let indexes: Vec<_> = json["persons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| &person["log_index"])
        .collect();
    assert!(indexes.is_sorted_by(|a, b| a.as_u64() < b.as_u64()));
    let size = entries(&broker);
    let file = world.path("household.txt");
    let lines: Vec<String> = persons.iter().map(|bsn| format!("{bsn} 1980-01-01")).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    let many = query(&["--household", file.to_str().unwrap()], "");
    assert_eq!(many.code, 1, "{many:?}");
    assert!(
        many.err
            .contains("allows 16 persons in one question for this purpose; these are 17"),
        "{}",
        many.err
    );
    assert_eq!(query(&["--household", "-"], "\n").code, 2);
    assert_eq!(entries(&broker), size);
    for text in [&answer.out, &answer.err, &many.err] {
        assert!(
            persons.iter().all(|bsn| !text.contains(bsn.as_str())),
            "a number was printed"
        );
    }
}
