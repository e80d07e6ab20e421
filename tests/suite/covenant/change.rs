//! A change while questions are asked.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hitmachine_proto::answer::Outcome;
use hitmachine_testkit::population::{AgeClass, LIST_FILE, Register};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{replace, replace_after};
use hitmachine_tests::world::World;
use serde_json::json;

use super::{count_up, covenant, hang_up, in_force, refused};

/// Questions go on while the covenant changes: each is answered under the old one or the new one, and a node that was too
/// late asks again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn questions_go_on_through_a_change() {
    let world = World::new(301);
    // Who is not consulted cannot be told of hits either.
    replace(
        &world.deployment.covenant(),
        "notifies = [\"leerplicht\", \"schuldhulpverlening\", \"regieteams\", \"om-reclassering\"]",
        "notifies = []",
    );
    let broker = world.broker();
    world.sync_all();
    let node = Arc::new(hitmachine_tests::node(&world.deployment, "veiligheidshuis", world.address).await);
    let bsn = world.bsn(AgeClass::Adult).to_owned();
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut asking = Vec::new();
    for _ in 0..4 {
        let (node, stop, asked, bsn) = (
            Arc::clone(&node),
            Arc::clone(&stop),
            Arc::clone(&asked),
            bsn.clone(),
        );
        asking.push(tokio::spawn(async move {
            let question = hitmachine_tests::screening(&node, &bsn, "1980-01-01");
            while !stop.load(Ordering::Relaxed) {
                let answer = node.inquirer().ask(&question).await.unwrap();
                let Outcome::Found(partners) = &answer.persons[0].outcome else {
                    panic!("{:?}", answer.persons[0].outcome);
                };
                assert!(partners.len() == 4 || partners.len() == 3, "{partners:?}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let some_more = |so_far: usize| {
        let asked = Arc::clone(&asked);
        async move {
            while asked.load(Ordering::Relaxed) < so_far + 20 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    };
    let first = covenant(&world);
    let mut versions = vec![first.version().to_string()];
    for (from, to) in [
        ("\"regieteams\", \"om-reclassering\"]", "\"regieteams\"]"),
        (
            "\"regieteams\"]\nnotifies = []\nlog_retention_months = 60\nmax_subjects = 16",
            "\"regieteams\", \"om-reclassering\"]\nnotifies = []\nlog_retention_months = 60\nmax_subjects = 12",
        ),
    ] {
        some_more(asked.load(Ordering::Relaxed)).await;
        replace(&world.deployment.covenant(), from, to);
        let number = count_up(&world);
        // Without a signal: the broker notices by itself.
        let (world_broker, number) = (&broker, number);
        tokio::task::block_in_place(|| in_force(world_broker, number));
        versions.push(covenant(&world).version().to_string());
    }
    some_more(asked.load(Ordering::Relaxed)).await;
    stop.store(true, Ordering::Relaxed);
    for task in asking {
        task.await.unwrap();
    }
    drop(node);
    // The node says what has changed, in words.
    let said = world.node("veiligheidshuis", &["covenant", "--changes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let json = said.json();
    assert_eq!(json["covenant"]["number"], 3);
    assert_eq!(json["previous"]["number"], 2);
    let texts: Vec<&str> = json["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["text_nl"].as_str().unwrap())
        .collect();
    assert_eq!(
        texts,
        [
            "Convenant: nummer was 2 en wordt 3",
            "Doel screening: OM/reclassering wordt nu ook bevraagd",
            "Doel screening: meeste personen in één vraag was 16 personen en wordt 12 personen",
        ]
    );
    let entries = world.stop(broker, &[bsn.as_bytes()]);
    let refusals: Vec<_> = entries.iter().filter_map(logbook::Entry::refusal).collect();
    assert!(
        !refusals.is_empty() && refusals.iter().all(|code| code == "covenant_changed"),
        "{refusals:?}"
    );
    let mut logged = logbook::controls(&world.deployment, &["covenant"]);
    assert_eq!(logged.len(), 2);
    for (entry, pair) in logged.iter_mut().zip(versions.windows(2)) {
        assert!(entry["time_ms"].as_u64().is_some());
        assert_eq!(
            (&entry["previous_sha256"], &entry["sha256"]),
            (&json!(pair[0]), &json!(pair[1]))
        );
        assert_eq!(entry["id"], "zvh-demo");
    }
    assert_eq!(
        (&logged[0]["number"], &logged[0]["changes"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&logged[1]["number"], &logged[1]["changes"]),
        (&json!(3), &json!(3))
    );
}

/// A wrong file is refused whole: nothing of it holds, the old one goes on, and the fault is named.
#[test]
fn a_wrong_file_changes_nothing() {
    let world = World::new(302);
    let broker = world.broker();
    let path = world.deployment.covenant();
    let good = fs::read_to_string(&path).unwrap();
    assert_eq!(world.ask("veiligheidshuis").code, 0);
    for (times, wrong) in [
        // Half of it right: a purpose taken away before a line that is none.
        good.replace("askers = [\"veiligheidshuis\"]", "askers = []") + "\ncolour = \"red\"\n",
        good.replace("max_subjects = 16", "max_subjects = 65"),
        good.replace("id = \"zvh-demo\"", "id = \"zvh-other\""),
        String::new(),
    ]
    .iter()
    .enumerate()
    {
        fs::write(&path, wrong).unwrap();
        refused(&broker, times as u64 + 1);
        assert_eq!(world.ask("veiligheidshuis").code, 0, "the old one holds");
    }
    fs::remove_file(&path).unwrap();
    refused(&broker, 5);
    assert_eq!(world.ask("veiligheidshuis").code, 0, "the old one holds");
    let printed = broker.log().unwrap();
    for said in [
        "unknown field `colour`",
        "purpose.max_subjects",
        "another covenant than the one in force",
        "cannot read the covenant",
    ] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
    // Noticed without a signal it is said once, however often it is looked at.
    fs::write(&path, good.replace("max_subjects = 8", "max_subjects = 99")).unwrap();
    hitmachine_tests::program::until("it is refused", || {
        hitmachine_tests::program::metric(&broker, "hitmachine_covenants_refused_total") == 6
    });
    fs::write(&path, &good).unwrap();
    replace(&path, "max_subjects = 16", "max_subjects = 15");
    let number = count_up(&world);
    hang_up(&broker);
    in_force(&broker, number);
    assert_eq!(
        hitmachine_tests::program::metric(&broker, "hitmachine_covenants_refused_total"),
        6
    );
    assert_eq!(broker.stop().unwrap(), Some(0));
    assert_eq!(logbook::controls(&world.deployment, &["covenant"]).len(), 1);
    // A start with another covenant than the one before is a change, too; a start with the same is none.
    replace(&path, "max_subjects = 15", "max_subjects = 14");
    for _ in 0..2 {
        let broker = world.broker();
        assert_eq!(world.ask("veiligheidshuis").code, 0);
        assert_eq!(broker.stop().unwrap(), Some(0));
        assert_eq!(logbook::controls(&world.deployment, &["covenant"]).len(), 2);
    }
}

/// A screening of the whole list, and the covenant changes in its midst: everybody is asked about under one of the two.
#[test]
fn a_screening_survives_a_change() {
    let world = World::new(303);
    let broker = world.broker();
    world.sync_all();
    let list = world.deployment.registers().join(LIST_FILE);
    let report = std::thread::scope(|scope| {
        let screening = scope.spawn(|| world.screen(&list));
        hitmachine_tests::program::until("the screening has begun", || {
            hitmachine_tests::program::metric(&broker, "hitmachine_log_entries") > 10
        });
        replace_after(
            &world.deployment.covenant(),
            "code = \"screening\"",
            "log_retention_months = 60",
            "log_retention_months = 48",
        );
        let number = count_up(&world);
        hang_up(&broker);
        in_force(&broker, number);
        screening.join().unwrap()
    });
    assert_eq!(report.code, 0, "{report:?}");
    let totals = &report.json()["totals"];
    assert_eq!(totals["answered"], totals["persons"]);
    assert!(
        totals.get("refused").is_none_or(|refused| refused == 0),
        "{totals}"
    );
    let leerplicht = world.serve("leerplicht");
    drop(leerplicht);
    let entries = world.stop(broker, &[]);
    let refusals = entries.iter().filter_map(logbook::Entry::refusal);
    assert!(refusals.into_iter().all(|code| code == "covenant_changed"));
    let persons = usize::try_from(totals["persons"].as_u64().unwrap()).unwrap();
    let answered = entries.iter().filter(|entry| entry.refusal().is_none()).count();
    assert_eq!(answered, persons, "nobody twice");
    assert!(world.members(Register::Leerplicht) > 0);
}
