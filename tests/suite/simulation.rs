//! Many simulations of a broker and its nodes over a network that breaks, each from its seed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hitmachine_tests::torture::{Done, simulation};

/// How many, and the first seed.
const SEEDS: u64 = 50;
const FIRST: u64 = 20_261_122;
/// Side by side.
const AT_ONCE: u64 = 2;

#[test]
fn answers_are_true_and_in_time_and_everything_comes_back() {
    let template = Arc::new(simulation::Template::make());
    let next = AtomicU64::new(0);
    let all = std::thread::scope(|scope| {
        let one = || {
            let mut done = Done::default();
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= SEEDS {
                    return done;
                }
                done.merge(&simulation::seed(&template, FIRST + number));
            }
        };
        let running: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(one)).collect();
        let mut all = Done::default();
        for running in running {
            all.merge(&running.join().unwrap());
        }
        all
    });
    println!("{all:#?}");
    assert_eq!(all.of("simulations"), SEEDS);
    for what in [
        "partitions in simulations",
        "one-way partitions in simulations",
        "links held in simulations",
        "slow links in simulations",
        "crashes in simulations",
        "of these in simulations, answered",
        "of these in simulations, the live partner could not be asked",
        "of these syncs in simulations, ended well",
        "hit notices stored once in simulations",
    ] {
        assert!(all.of(what) >= SEEDS / 4, "{what}: {all:?}");
    }
}
