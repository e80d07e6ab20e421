//! Random faults, as `cargo xtask torture` makes for longer.

use hitmachine_testkit::rng::Rng;
use hitmachine_tests::torture::network::round;

#[test]
fn whatever_the_network_does_the_answers_are_true_and_all_comes_back() {
    let done = round(&mut Rng::new(931));
    for what in [
        "questions through a bad network",
        "of these, answered",
        "hit notices stored once",
    ] {
        assert!(done.of(what) > 0, "{done:?}");
    }
}
