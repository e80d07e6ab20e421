//! Kills during questions, screenings and notices, and of a broker that starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hitmachine_node::screen::{ScreenResult, ScreeningReport};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::pki::test_oin;
use hitmachine_testkit::population::{Person, list_style};
use hitmachine_testkit::rng::Rng;

use super::ground::{ASKS, Ground, PATIENCE, TOLD};
use super::stage::{Stage, Victim};

/// Households in one screening.
const HOUSEHOLDS: usize = 12;
/// Kills in one screening, at most.
const STOPPED: usize = 3;

/// Questions are asked, and a broker or a node dies under them.
pub(super) fn query(stage: &mut Stage, rng: &mut Rng) {
    let (victim, label) = match rng.below(3) {
        0 => (Victim::Broker, "kill -9: broker, during questions"),
        1 => (
            Victim::Node(COORDINATOR),
            "kill -9: asking node, during questions",
        ),
        _ => (Victim::Node(ASKS), "kill -9: asking node, during questions"),
    };
    let command = stage.ground.node(COORDINATOR, &["status"]);
    stage.strike(rng, label, victim, command);
    stage.restart(victim);
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
}

/// The broker is killed while it starts, once or more often.
pub(super) fn start(stage: &mut Stage, rng: &mut Rng) {
    stage.kill_broker("kill -9: broker, during questions");
    for _ in 0..=rng.below(2) {
        stage.kill_a_start(rng, "kill -9: broker, while it starts");
        stage.check_log();
    }
    stage.start_broker();
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
}

/// A screening is stopped again and again, and resumed: everybody has the right answer, and was asked about once.
pub(super) fn screening(stage: &mut Stage, rng: &mut Rng) {
    let case = stage.ground.case();
    let list = stage.ground.world.path(&format!("{case}.csv"));
    let labels = write_list(&stage.ground, rng, &list);
    let list = list.to_str().unwrap();
    for _ in 0..=rng.index(STOPPED) {
        let (victim, label) = match rng.below(3) {
            0 => (Victim::Broker, "kill -9: broker, during a screening"),
            1 => (Victim::Node(COORDINATOR), "kill -9: node, during a screening"),
            _ => (Victim::Command, "kill -9: command line, during a screening"),
        };
        let command = screen(&stage.ground, &case, list);
        stage.strike(rng, label, victim, command);
        stage.restart(victim);
    }
    let begun = Instant::now();
    let said = loop {
        let said = stage.ground.run(screen(&stage.ground, &case, list));
        // A hub that just came back.
        assert!(said.code == 0 || said.code == 3, "{}", said.err);
        if said.code == 0 {
            break said;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {}", said.err);
    };
    let report: ScreeningReport = serde_json::from_str(&said.out).unwrap();
    let persons = report.households.iter().flat_map(|household| &household.persons);
    let mut bsns = BTreeSet::new();
    for screened in persons {
        let ScreenResult::Answer(view) = &screened.result else {
            panic!("{case}: somebody was not asked");
        };
        let person = &labels[screened.label.as_ref().unwrap()];
        stage.ground.truth.check(person, view, &[]);
        stage.ground.ledger.person(None, &person.bsn, view);
        bsns.insert(person.bsn.clone());
    }
    assert_eq!(
        bsns.len(),
        labels.len(),
        "{case}: somebody is missing from the result"
    );
    stage
        .done
        .add("persons screened through kills", bsns.len() as u64);
    stage.ground.ledger.screened(&case, bsns);
}

/// Begins a screening, or goes on with the one that there is: done, it is shown.
fn screen(ground: &Ground, case: &str, list: &str) -> Command {
    let said = ground.run(ground.node(COORDINATOR, &["screen", "list"]));
    assert_eq!(said.code, 0, "{}", said.err);
    let json = said.json();
    let there = json.as_array().unwrap().iter().filter(|one| one["case"] == case);
    let there: Vec<_> = there.map(|one| one["id"].as_str().unwrap()).collect();
    assert!(there.len() < 2, "{case}: begun twice");
    if let [id] = there[..] {
        return ground.node(COORDINATOR, &["screen", "--resume", id]);
    }
    let mut command = ground.node(COORDINATOR, &["screen", "--yes", "--purpose", "screening"]);
    command.args(["--role", "informatiecoordinator", "--user", "pietersen"]);
    command.args(["--case", case, list]);
    command
}

/// A list of some households; its persons by their labels.
fn write_list(ground: &Ground, rng: &mut Rng, path: &Path) -> BTreeMap<String, Person> {
    let mut numbers: Vec<_> = ground
        .world
        .population
        .list()
        .filter_map(|person| person.household)
        .collect();
    numbers.dedup();
    rng.shuffle(&mut numbers);
    numbers.truncate(HOUSEHOLDS);
    let style = list_style();
    let mut text = format!(
        "huishouden;{};{};{}\n",
        style.bsn_column, style.birth_date_column, style.reference_column
    );
    let mut labels = BTreeMap::new();
    for person in ground.world.population.list() {
        let household = person.household.unwrap();
        if !numbers.contains(&household) {
            continue;
        }
        let label = person.list_reference().unwrap();
        let born = person.birth_date.strftime(style.date_format);
        writeln!(text, "H{household:03};{};{born};{label}", person.bsn).unwrap();
        labels.insert(label, person.clone());
    }
    fs::write(path, text).unwrap();
    labels
}

/// Hits fall, and the broker or the node that is told dies. Whatever was answered is heard of.
pub(super) fn notices(stage: &mut Stage, rng: &mut Rng) {
    let (victim, label) = if rng.percent(50) {
        (Victim::Broker, "kill -9: broker, during notices")
    } else {
        (Victim::Node(TOLD), "kill -9: node that is told, during notices")
    };
    let command = stage.ground.node(TOLD, &["notice", "list"]);
    stage.strike(rng, label, victim, command);
    stage.restart(victim);
    let some = stage.ground.some(rng, &BTreeSet::new());
    stage.ground.check(&some);
    until_heard(stage);
}

/// Places of the notices that the node which is told has; none of them came twice.
fn heard(stage: &Stage) -> BTreeSet<u64> {
    let said = stage
        .ground
        .run(stage.ground.node(TOLD, &["notice", "list", "--all"]));
    assert_eq!(said.code, 0, "{}", said.err);
    let json = said.json();
    let all = json["notices"].as_array().unwrap().iter();
    let places: Vec<_> = all.map(|notice| notice["log_index"].as_u64().unwrap()).collect();
    let heard: BTreeSet<_> = places.iter().copied().collect();
    assert_eq!(heard.len(), places.len(), "a notice came twice");
    heard
}

/// Waits until there is a notice of every hit that was shown.
fn until_heard(stage: &Stage) {
    // Those of the time before an erasure may have gone before they were sent.
    let mut shown = stage.ground.ledger.hits(TOLD).split_off(&stage.erasing);
    let begun = Instant::now();
    loop {
        let heard = heard(stage);
        shown.retain(|place| !heard.contains(place));
        if shown.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{} notices do not come", shown.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The broker is killed, and comes back: there is a notice of every hit in its log since the last erasure, shown or not,
/// and of nothing else.
pub(super) fn check_heard(stage: &mut Stage) {
    stage.kill_broker("kill -9: broker, during notices");
    let image = stage.check_log();
    stage.start_broker();
    // Partners are numbered in the covenant's order, from 10.
    let hits = image.hits(TOLD, &test_oin(13)).split_off(&stage.erasing);
    let begun = Instant::now();
    loop {
        let heard = heard(stage).split_off(&stage.erasing);
        assert!(heard.is_subset(&hits), "a notice without a hit in the log");
        if heard == hits {
            break;
        }
        let missing = hits.len() - heard.len();
        assert!(begun.elapsed() < PATIENCE, "{missing} notices do not come");
        std::thread::sleep(Duration::from_millis(20));
    }
    stage
        .done
        .add("notices compared with hits in the log", hits.len() as u64);
}
