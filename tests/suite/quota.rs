//! Quotas and alarms with real programs: a quota runs out in the middle of use and survives a kill; who tries numbers
//! is stopped; the officer sees it, and lets go on. Nobody's name is in a public entry.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;

use hitmachine_audit::StoredContent;
use hitmachine_identifier::{Admission, Bsn};
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{node_command, run_with_input};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::logbook;
use hitmachine_tests::program::{self, Said, assert_holds_none};
use hitmachine_tests::world::World;
use serde_json::Value;

/// Adds to the covenant, before anything was started.
fn agree(world: &World, more: &str) {
    let path = world.deployment.covenant();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text + more).unwrap();
}

fn audit(world: &World, arguments: &[&str]) -> Said {
    let mut command = node_command(&world.deployment, COORDINATOR, world.address).unwrap();
    command.args(["--json", "audit"]).args(arguments);
    command.args(["--user", "functionaris", "--reference", "ONDERZOEK-7"]);
    Said::of(run_with_input(&mut command, b"").unwrap())
}

fn refused(said: &Said) -> Option<String> {
    let refused = said.json()["persons"][0]["refused"].clone();
    refused.as_str().map(ToOwned::to_owned)
}

#[test]
fn a_quota_runs_out_says_when_and_survives_a_kill() {
    let world = World::new(411);
    agree(
        &world,
        "\n[[quota]]\nof = \"user\"\npurpose = \"screening\"\npersons = 4\nhours = 2000\n",
    );
    let broker = world.broker();
    let bsn = world.bsn(AgeClass::Adult);
    let ask = |more: &[&str]| program::query(&world.deployment, COORDINATOR, world.address, bsn, more);
    for _ in 0..2 {
        assert_eq!(refused(&ask(&[])), None);
    }
    broker.kill().unwrap();
    let broker = world.broker();
    for _ in 0..2 {
        assert_eq!(refused(&ask(&[])), None, "what was left");
    }
    let over = ask(&[]);
    assert_eq!((over.code, refused(&over).as_deref()), (1, Some("over_quota")));
    // A person comes back in 500 hours; the programs have just run for less than one of them.
    let retry: jiff::Timestamp = over.json()["persons"][0]["retry_at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let hours = (retry.as_second() - jiff::Timestamp::now().as_second()) / 3600;
    assert!((498..=500).contains(&hours), "{hours}");
    assert_eq!(refused(&ask(&["--user", "smit"])), None, "another's own");
    broker.kill().unwrap();
    let broker = world.broker();
    assert_eq!(
        refused(&ask(&[])).as_deref(),
        Some("over_quota"),
        "after a kill, too"
    );
    broker.kill().unwrap();
    fs::remove_dir_all(world.path("broker/data/tables")).unwrap();
    let broker = world.broker();
    assert_eq!(
        refused(&ask(&[])).as_deref(),
        Some("over_quota"),
        "from the log alone"
    );
    let entries = world.stop(broker, &[bsn.as_bytes(), b"pietersen"]);
    assert_eq!(entries.len(), 8, "refused questions are entries");
}

/// A number that is valid and nobody's.
fn number(rng: &mut Rng, world: &World, admission: &Admission) -> String {
    let taken = |bsn: &str| world.population.persons().iter().any(|person| person.bsn == bsn);
    loop {
        let bsn = format!("9999{:05}", rng.below(100_000));
        if Bsn::parse(&bsn, admission).is_ok() && !taken(&bsn) {
            return bsn;
        }
    }
}

#[tokio::test]
async fn who_tries_numbers_is_stopped_and_the_officer_decides() {
    let world = World::new(412);
    let broker = world.broker();
    world.sync_all();
    let node = hitmachine_tests::node(&world.deployment, COORDINATOR, world.address).await;
    let admission = node.config().admission().unwrap();
    let mut rng = Rng::new(1);
    let mut tried = Vec::new();
    let stopped = loop {
        let bsn = number(&mut rng, &world, &admission);
        let question = hitmachine_tests::screening(&node, &bsn, "1980-01-01");
        tried.push(bsn);
        let answer = node.inquirer().ask(&question).await.unwrap();
        if let hitmachine_proto::answer::Outcome::Refused(code) = &answer.persons[0].outcome {
            assert_eq!(code, "suspended");
            break tried.len() - 1;
        }
    };
    assert_eq!(stopped, 180, "answered");
    drop(node);
    let ask = |user: &str| {
        let bsn = world.bsn(AgeClass::Adult);
        program::query(
            &world.deployment,
            COORDINATOR,
            world.address,
            bsn,
            &["--user", user],
        )
    };
    assert_eq!(refused(&ask("pietersen")), None, "others go on");
    broker.kill().unwrap();
    let broker = world.broker();
    assert_eq!(
        refused(&ask("tester")).as_deref(),
        Some("suspended"),
        "after a kill, too"
    );

    let alarms = |more: &[&str]| {
        let said = audit(&world, &[&["alarms"], more].concat());
        said.json()["alarms"]["alarms"].as_array().unwrap().clone()
    };
    let open = alarms(&[]);
    let alarm: Value = open[0].clone();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(alarm["code"], "enumeration");
    assert_eq!(
        (&alarm["about"], &alarm["user"]),
        (&COORDINATOR.into(), &"tester".into())
    );
    assert_eq!(alarm["stops"], true);
    let entry = (alarm["log_index"].as_u64().unwrap() + 1).to_string();
    let seen = |number: &str, note: &str| audit(&world, &["alarms", "acknowledge", number, "--note", note]);
    let names_somebody = format!("bsn {} nagevraagd", tried[0]);
    assert_eq!(seen(&entry, &names_somebody).code, 2, "a BSN in the note");
    assert_eq!(seen("1", "wat is dit").failure(), (1, "no_such_alarm".into()));
    assert_eq!(seen(&entry, "wordt nagegaan").code, 0);
    assert_eq!(
        refused(&ask("tester")).as_deref(),
        Some("suspended"),
        "seen is not allowed"
    );
    let lift = |user: &str| {
        let of = ["lift", "--organisation", COORDINATOR, "--by-user", user];
        audit(&world, &[of.as_slice(), &["--note", "was een proef"]].concat())
    };
    assert_eq!(lift("smit").failure(), (1, "no_such_alarm".into()));
    let lifted = lift("tester");
    assert_eq!(lifted.code, 0, "{lifted:?}");
    assert_eq!(lifted.json()["alarm_changed"]["alarm"]["stops"], false);
    assert_eq!(refused(&ask("tester")), None);
    broker.kill().unwrap();
    let broker = world.broker();
    assert_eq!(refused(&ask("tester")), None, "lifted, after a kill, too");
    assert!(alarms(&[]).is_empty());
    assert_eq!(alarms(&["--all"]).len(), 1);

    // What is public names nobody, and every act is an entry.
    let printed = broker.log().unwrap();
    assert_eq!(broker.stop().unwrap(), Some(0));
    let mut secrets: Vec<&[u8]> = tried.iter().map(String::as_bytes).collect();
    secrets.extend([
        b"tester".as_slice(),
        b"functionaris",
        b"ONDERZOEK-7",
        b"wordt nagegaan",
    ]);
    assert_holds_none(&printed, &secrets);
    let (_copies, _, log) = logbook::open(&world.deployment);
    let mut kinds = Vec::new();
    for entry in log.entries() {
        if let StoredContent::Control(content) = entry.unwrap().content {
            let text = serde_json::to_string(&content).unwrap();
            assert_holds_none(&text, &secrets);
            kinds.push(content["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(kinds, ["alarm", "alarm_acknowledged", "stop_lifted"]);
}
