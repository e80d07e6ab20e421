//! Hit notices, with whole programs: who was found hears it, once, whatever happens in between, and nobody else does.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "notice/crash.rs"]
mod crash;
#[path = "notice/hooks.rs"]
mod hooks;
#[path = "notice/streams.rs"]
mod streams;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::population::{AgeClass, Person, Register};
use hitmachine_testkit::process::node_command;
use hitmachine_tests::program::{self, assert_holds_none, until};
use hitmachine_tests::world::World;
use serde_json::{Value, json};

/// Who is told.
const TOLD: &str = "regieteams";
/// Who asks.
const ASKS: &str = "schuldhulpverlening";

/// A partner asks about a person for a case; the log entry, from 0.
fn ask(world: &World, partner: &str, person: &Person, case: &str) -> u64 {
    let more = ["--case", case];
    let said = program::query(&world.deployment, partner, world.address, &person.bsn, &more);
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["persons"][0]["log_index"].as_u64().unwrap()
}

/// What a partner's node has; `which` such as `--all`.
fn notices(world: &World, partner: &str, which: &[&str]) -> Vec<Value> {
    let said = world.node(partner, &[&["notice", "list"], which].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["notices"].as_array().unwrap().clone()
}

/// The log entries, from 0, that a partner's node has notices of.
fn places(world: &World, partner: &str) -> Vec<u64> {
    let all = notices(world, partner, &["--all"]);
    all.iter().map(|one| one["log_index"].as_u64().unwrap()).collect()
}

/// What the privacy officer sees of a partner.
fn waiting(world: &World, partner: &str) -> Value {
    let officer = ["--user", "functionaris", "--reference", "AVG-1"];
    let said = world.node(COORDINATOR, &[&["audit", "notices"], officer.as_slice()].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let rows = said.json()["notices"]["partners"].as_array().unwrap().clone();
    rows.into_iter().find(|row| row["partner"] == partner).unwrap()
}

#[test]
fn who_was_found_hears_it_and_nobody_else() {
    let world = World::new(501);
    let broker = world.broker();
    world.sync_all();
    let (known, unknown) = (
        world.adults(Register::Regieteams, true),
        world.adults(Register::Regieteams, false),
    );
    let serving = world.serve(TOLD);

    // A hit, a miss, one's own question, and a hit of the coordinator: of the first and the last there is a notice.
    let first = ask(&world, ASKS, known[0], "ZK-2026-1");
    ask(&world, ASKS, unknown[0], "ZK-2026-2");
    ask(&world, TOLD, known[0], "ZK-2026-3");
    let last = ask(&world, COORDINATOR, known[1], "TOP150");
    until("two notices", || notices(&world, TOLD, &[]).len() >= 2);
    assert_eq!(places(&world, TOLD), [first, last]);
    let all = notices(&world, TOLD, &[]);
    let own = |person: &Person| json!([person.references[&Register::Regieteams]]);
    assert_eq!(all[0]["references"], own(known[0]));
    assert_eq!(all[1]["references"], own(known[1]));
    let asker = &all[0]["asker"];
    assert_eq!(
        (&asker["partner"], &asker["name"]),
        (&json!(ASKS), &json!("Schuldhulpverlening"))
    );
    assert_eq!(asker["contact"], "team schuldhulp, 024 000 00 02");
    for (field, value) in [
        ("purpose", "signalering"),
        ("purpose_title", "Vermoeden van complexe problematiek"),
        ("case", "ZK-2026-1"),
        ("state", "new"),
        ("class", "adult"),
    ] {
        assert_eq!(all[0][field], value, "{field}");
    }
    assert_eq!(
        (&all[0]["registered"], &all[0]["number"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(all[1]["purpose"], "screening");

    // Everything it says, in words and in JSON: its own file number, but neither number nor token, nor who asked.
    let shared = hitmachine_tests::wire::Shared::of(&world.deployment);
    let entry = (first + 1).to_string();
    for arguments in [
        vec!["notice"],
        vec!["notice", "list", "--all"],
        vec!["notice", "show", &entry],
        vec!["status"],
    ] {
        for json in [true, false] {
            let mut command = node_command(&world.deployment, TOLD, world.address).unwrap();
            if json {
                command.arg("--json");
            }
            let said = program::Said::of(command.args(&arguments).output().unwrap());
            assert_eq!(said.code, 0, "{said:?}");
            let token = shared.token(&known[0].bsn);
            let secrets: [&[u8]; 3] = [known[0].bsn.as_bytes(), token.expose_secret(), b"pietersen"];
            assert_holds_none(&(said.out.clone() + &said.err), &secrets);
            let reference = &known[0].references[&Register::Regieteams];
            let shows = arguments[0] == "notice";
            assert_eq!(
                said.out.contains(reference.as_str()),
                shows,
                "{arguments:?}: {said:?}"
            );
        }
    }
    let status = world.node(TOLD, &["status"]).json();
    assert_eq!(
        (&status["notices_new"], &status["notices_connected"]),
        (&json!(2), &json!(true))
    );

    // The asker hears nothing of it, and who is not told gets none.
    let asker = world.serve(ASKS);
    assert!(places(&world, ASKS).is_empty());
    drop(asker);

    // The officer sees that all were fetched, and nothing of what was in them.
    until("acknowledged", || waiting(&world, TOLD)["acknowledged"] == 2);
    let row = waiting(&world, TOLD);
    assert_eq!((&row["waiting"], &row["overdue"]), (&json!(0), &json!(false)));
    assert_eq!((&row["connected"], row.get("oldest")), (&json!(true), None));
    assert!(program::metric(&broker, "hitmachine_notices_acknowledged") >= 2);

    let log = serving.log().unwrap();
    let reference = &known[0].references[&Register::Regieteams];
    let secrets: [&[u8]; 4] = [
        known[0].bsn.as_bytes(),
        reference.as_bytes(),
        b"ZK-2026-1",
        b"pietersen",
    ];
    assert_holds_none(&log, &secrets);
    world.stop(broker, &secrets);
}

#[test]
fn seen_muted_and_followed() {
    let world = World::new(502);
    let broker = world.broker();
    world.sync_all();
    let known = world.adults(Register::Regieteams, true);
    let _serving = world.serve(TOLD);
    let first = ask(&world, ASKS, known[0], "ZK-1");
    until("a notice", || places(&world, TOLD) == [first]);

    // Seen by whom; a second time changes nothing; what is not there changes nothing either.
    let entry = (first + 1).to_string();
    let seen = |entries: &[&str], user: &str| {
        let arguments = [&["notice", "seen"], entries, &["--user", user]].concat();
        world.node(TOLD, &arguments)
    };
    assert_eq!(
        seen(&[&entry, "999"], "bakker").failure(),
        (1, "no_notice".into())
    );
    assert_eq!(notices(&world, TOLD, &["--new"]).len(), 1);
    for user in ["bakker", "visser"] {
        assert_eq!(seen(&[&entry], user).json(), json!({"seen": 1}));
    }
    assert!(notices(&world, TOLD, &["--new"]).is_empty());
    let all = notices(&world, TOLD, &[]);
    assert_eq!(
        (&all[0]["state"], &all[0]["seen_by"]),
        (&json!("seen"), &json!("bakker"))
    );

    // A muted case is stored and not shown; another case of the same asker is.
    let of = |case: &'static str| ["--asker", ASKS, "--case", case];
    let mute = |case| [&["notice", "mute"], of(case).as_slice(), &["--user", "bakker"]].concat();
    let bsn = world.bsn(AgeClass::Adult);
    for (option, value) in [("--case", bsn), ("--reason", bsn)] {
        let mut arguments = mute("ZK-9");
        let at = arguments.iter().position(|word| *word == "--case").unwrap();
        if option == "--case" {
            arguments[at + 1] = value;
        } else {
            arguments.extend([option, value]);
        }
        let said = world.node(TOLD, &arguments);
        assert_eq!(said.failure(), (2, "bsn_in_text".into()));
        assert_holds_none(&said.out, &[bsn.as_bytes()]);
    }
    let muting = [mute("ZK-2").as_slice(), &["--reason", "loopt al"]].concat();
    for _ in 0..2 {
        assert_eq!(world.node(TOLD, &muting).json(), json!({"muted": 1}));
    }
    let mutes = world.node(TOLD, &["notice", "mutes"]).json()["mutes"].clone();
    assert_eq!(
        (&mutes[0]["case"], &mutes[0]["reason"]),
        (&json!("ZK-2"), &json!("loopt al"))
    );
    let quiet = ask(&world, ASKS, known[1], "ZK-2");
    let loud = ask(&world, ASKS, known[1], "ZK-3");
    until("both", || places(&world, TOLD) == [first, quiet, loud]);
    let shown = |which: &[&str]| {
        let places = notices(&world, TOLD, which);
        let places = places.iter().map(|one| one["log_index"].as_u64().unwrap());
        places.collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), [first, loud]);
    assert_eq!(shown(&["--new"]), [loud]);
    assert_eq!(shown(&["--all", "--case", "ZK-2"]), [quiet]);

    // Those that come are printed as they come, the new ones first; a muted one is not.
    let mut command = node_command(&world.deployment, TOLD, world.address).unwrap();
    command.args(["--json", "notice", "--follow"]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || -> u64 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        line["log_index"].as_u64().unwrap()
    };
    assert_eq!(next(), loud);
    ask(&world, ASKS, known[2], "ZK-2");
    let more = ask(&world, ASKS, known[2], "ZK-4");
    assert_eq!(next(), more);
    let unmute = [&["notice", "unmute"], of("ZK-2").as_slice()].concat();
    assert_eq!(world.node(TOLD, &unmute).json(), json!({"muted": 0}));
    assert_eq!(world.node(TOLD, &unmute).failure(), (1, "not_muted".into()));
    let again = ask(&world, ASKS, known[2], "ZK-2");
    assert_eq!(next(), again);
    following.kill().unwrap();
    following.wait().unwrap();
    assert_eq!(broker.stop().unwrap(), Some(0));
}

#[test]
fn a_registration_that_has_gone_and_an_entry_that_was_erased() {
    let world = World::new(503);
    let broker = world.broker();
    world.sync_all();
    let known = world.adults(Register::Regieteams, true);

    // Nobody fetches: the officer sees how many wait, and since when.
    let first = ask(&world, ASKS, known[0], "ZK-1");
    ask(&world, ASKS, known[1], "ZK-2");
    until("two wait", || waiting(&world, TOLD)["waiting"] == 2);
    let row = waiting(&world, TOLD);
    assert_eq!(
        (&row["connected"], &row["overdue"]),
        (&json!(false), &json!(false))
    );
    assert!(row["oldest"].as_str().unwrap().ends_with('Z'));
    let followed = world.node(TOLD, &["notice", "--follow"]);
    assert_eq!(
        followed.code, 3,
        "nothing comes without a node that serves: {followed:?}"
    );

    // One of the two is taken out of the register before the notice is fetched.
    let source = world.source(Register::Regieteams);
    let file = std::fs::read(&source).unwrap();
    let bare = |bytes: &[u8]| {
        bytes
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .copied()
            .collect::<Vec<_>>()
    };
    let bsn = known[0].bsn.trim_start_matches('0').as_bytes().to_vec();
    let lines = file.split_inclusive(|byte| *byte == b'\n');
    let holds = |line: &&[u8]| bare(line).windows(bsn.len()).any(|part| part == bsn);
    let kept: Vec<u8> = lines.filter(|line| !holds(line)).flatten().copied().collect();
    assert!(kept.len() < file.len());
    std::fs::write(&source, kept).unwrap();
    assert_eq!(world.node(TOLD, &["sync"]).code, 0);
    let serving = world.serve(TOLD);
    until("both come", || places(&world, TOLD).len() == 2);
    let all = notices(&world, TOLD, &[]);
    assert_eq!(
        (&all[0]["registered"], &all[0]["references"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(all[1]["registered"], true);
    drop(serving);

    // One that was fetched and one that waits; then the month is erased, and nothing waits any more.
    ask(&world, ASKS, known[2], "ZK-3");
    until("one waits", || waiting(&world, TOLD)["waiting"] == 1);
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let officer = ["--user", "functionaris", "--reference", "AVG-1"];
    let erase = [
        &["audit", "erase", "--up-to", &month, "--yes"],
        officer.as_slice(),
    ]
    .concat();
    let said = world.node(COORDINATOR, &erase);
    assert_eq!(said.code, 0, "{said:?}");
    until("nothing waits", || {
        let row = waiting(&world, TOLD);
        row["waiting"] == 0 && row["acknowledged"] == 0
    });
    let _serving = world.serve(TOLD);
    until("connected", || waiting(&world, TOLD)["connected"] == true);
    let later = ask(&world, ASKS, known[3], "ZK-4");
    until("the next", || places(&world, TOLD).contains(&later));
    assert_eq!(places(&world, TOLD), [first, first + 1, later]);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
