//! A short torture: what `cargo xtask torture` does for hours, for as long as a test may take.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test; it says which seed it had"
)]

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use hitmachine_core::Covenant;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::program;
use hitmachine_tests::program::Said;
use hitmachine_tests::torture::{Done, Kind};
use hitmachine_tests::world::World;

/// Does the round of kills of this seed, which must be clean.
fn kills(seed: u64) -> Done {
    println!("seed {seed}");
    let round = Kind::of("kills").expect("there are kills").run(seed);
    round.must_be_clean();
    for (what, times) in round.done.iter() {
        println!("{times:>7} {what}");
    }
    println!("{:.1} s", round.took.as_secs_f64());
    // Nothing was left out in silence.
    let done = &round.done;
    for (begin, least) in [
        ("kill -9", 25),
        ("kill -9: broker", 10),
        ("work that a kill cut off", 3),
        ("questions answered while something was killed", 20),
        ("answers shown, found in the log", 1_000),
        ("log compared with everything that was shown", 10),
        ("published log verified", 5),
        ("notices compared with hits in the log", 50),
        ("persons screened through kills", 20),
        ("registrations changed through kills", 100),
        ("search compared with the log", 1),
        ("key epochs changed through kills", 1),
        ("erasures finished after a kill", 1),
    ] {
        let times = done.all_of(begin);
        assert!(times >= least, "{begin}: only {times}");
    }
    round.done
}

#[test]
fn kills_of_a_fixed_seed() {
    kills(20_261_122);
}

#[test]
fn kills_of_a_new_seed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    kills(now.expect("the clock is after 1970").as_secs());
}

/// An operator's command that was killed while it wrote the next pepper has left half of it. It does not get into the
/// configuration, and without it the same command goes on.
#[test]
fn a_pepper_that_was_cut_off_is_named_before_anything_uses_it() {
    let world = World::new(605);
    let _broker = world.broker();
    let epoch = |arguments: &[&str]| {
        let mut command = Command::new(program("hitmachine").expect("it is built"));
        command
            .arg("epoch")
            .args(arguments)
            .args(["--lang", "en", "--json"]);
        Said::of(command.output().expect("it runs"))
    };
    let config = world.deployment.broker_config();
    let (config, key) = (config.to_str().expect("UTF-8"), world.path("next.key"));
    let covenant = std::fs::read(world.deployment.covenant()).expect("there is one");
    let id = Covenant::parse(&covenant)
        .expect("it is one")
        .deployment()
        .id
        .to_string();
    let key = key.to_str().expect("UTF-8");
    let made = epoch(&["key", key, "--number", "2", "--deployment", &id]).json();
    let check = made["key_check_value"].as_str().expect("it says so");
    let prepare = || epoch(&["prepare", "--config", config, "--key-check-value", check]);

    let pepper = world.path("broker/pepper-2.key");
    let before = std::fs::read(config).expect("it is there");
    for half in ["", "hitmachine-key pep"] {
        std::fs::write(&pepper, half).expect("written");
        let rights = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&pepper, rights).expect("set");
        let said = prepare();
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("pepper-2.key"), "{said:?}");
        assert_eq!(
            std::fs::read(config).expect("it is there"),
            before,
            "nothing has changed"
        );
    }
    std::fs::remove_file(&pepper).expect("removed");
    let said = prepare();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["epochs"][1]["state"], "prepared");
}

/// Entries that are being erased are not there and their erasure is not over: whoever asks at that moment whether the log
/// is complete hears that it is, and no alarm is raised.
#[test]
fn an_erasure_under_way_is_no_loss() {
    let world = World::new(606);
    let _broker = world.broker();
    let _node = world.serve(COORDINATOR);
    let officer = ["--user", "functionaris", "--reference", "AVG-2026-1"];
    let audit = |arguments: &[&str]| world.node(COORDINATOR, &[&["audit"], arguments, &officer].concat());
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    for _ in 0..5 {
        assert_eq!(world.ask(COORDINATOR).code, 0);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = [(); 2].map(|()| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let said = audit(&["completeness"]);
                        assert_eq!(said.code, 0, "{said:?}");
                    }
                })
            });
            let erased = audit(&["erase", "--up-to", &month, "--yes"]);
            over.store(true, Ordering::Relaxed);
            assert_eq!(erased.code, 0, "{erased:?}");
            for asked in asking {
                asked.join().expect("complete");
            }
        });
    }
    let alarms = audit(&["alarms"]).json();
    assert_eq!(alarms["alarms"]["alarms"], serde_json::json!([]));
}
