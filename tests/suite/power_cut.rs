//! The power goes while real programs work, and comes back; and files that are not what they were.
#![allow(clippy::print_stdout, reason = "a test that says what it did")]

use hitmachine_testkit::rng::Rng;
use hitmachine_tests::torture::{Done, power};

fn print(done: &Done) {
    for (what, times) in done.iter() {
        println!("{times} {what}");
    }
}

#[test]
fn a_broker_keeps_what_it_acknowledged_at_power_cuts() {
    let done = power::broker_cuts(&mut Rng::new(20_261_201), 14);
    print(&done);
    assert_eq!(done.of("power cuts of a broker"), 14);
    assert!(
        done.of("answers before power cuts") > 20,
        "too few answers to lose"
    );
    assert!(
        done.of("sectors, lengths and names lost") > 20,
        "the cuts lost nothing"
    );
}

#[test]
fn a_node_keeps_what_it_showed_at_power_cuts() {
    let done = power::node_cuts(&mut Rng::new(20_261_203), 5);
    print(&done);
    assert_eq!(done.of("power cuts of a node"), 5);
    assert!(done.of("nodes that found out a hub that went back") > 0);
    assert_eq!(done.of("nodes that have every notice"), 1);
}

#[test]
fn damaged_files_never_give_a_wrong_answer() {
    let done = power::damages(&mut Rng::new(20_261_202), 16);
    print(&done);
    let of = |what: &str| done.of(&format!("damages of a broker's files: {what}"));
    assert!(of("refused at start") > 0 && of("all right") > 0);
    assert_eq!(
        of("refused at start") + of("all right") + of("the asking node shows nothing"),
        16
    );
}
