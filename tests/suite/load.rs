//! More than it can do, and worse: whatever one partner or a stranger does to a hub or a console, the others keep being
//! served, memory stays bounded, and afterwards all is as before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures,
    reason = "a test"
)]

#[path = "load/console.rs"]
mod console;
#[path = "load/hub.rs"]
mod hub;
#[path = "load/published.rs"]
mod published;

use hitmachine_testkit::rng::Rng;
use hitmachine_tests::torture::load;

/// What `cargo xtask torture` does at length.
#[test]
fn rounds_of_load() {
    for seed in 1..=2 {
        let done = load::round(&mut Rng::new(seed));
        assert!(done.of("questions of others meanwhile") > 0);
        assert!(done.of("sieges of a broker") >= 2);
    }
}
