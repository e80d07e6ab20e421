//! A witness that is killed again and again never cosigns two histories, and goes on (C9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hitmachine_audit::Cosigned;
use hitmachine_testkit::deployment::{COORDINATOR, witness_name};
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::program::until;
use hitmachine_tests::world::World;
use hitmachine_tests::{node, screening};

use super::hub::{Hub, QUORUM, ask_when_ready, check_published, published, until_published};

/// Kills in one run.
const KILLS: u64 = 15;
const VICTIM: &str = "leerplicht";

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_killed_at_random_moments_never_cosigns_two_histories() {
    let world = Arc::new(World::witnessed(307));
    let hub = Hub::start(&world);
    // A quorum with and without the victim.
    let steady: Vec<_> = QUORUM[1..].iter().map(|partner| world.serve(partner)).collect();
    let mut victim = world.serve(VICTIM);
    ask_when_ready(&world, COORDINATOR);

    let stop = Arc::new(AtomicBool::new(false));
    let seen = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            let mut seen: BTreeMap<Vec<u8>, Cosigned> = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                if let Some((cosigned, _)) = published(&world) {
                    let key = format!("{cosigned:?}").into_bytes();
                    seen.insert(key, cosigned);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        })
    };
    let coordinator = Arc::new(node(&world.deployment, COORDINATOR, world.address).await);
    let largest = Arc::new(AtomicU64::new(0));
    let mut asking = Vec::new();
    for _ in 0..2 {
        let question = screening(&coordinator, world.bsn(AgeClass::Adult), "1980-01-01");
        let (coordinator, stop, largest) =
            (Arc::clone(&coordinator), Arc::clone(&stop), Arc::clone(&largest));
        asking.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = coordinator.inquirer().ask(&question).await.unwrap();
                largest.fetch_max(answer.log_size, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }));
    }
    let mut rng = Rng::new(20_261_124);
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(20 + rng.below(300))).await;
        victim.kill().unwrap();
        victim = world.serve(VICTIM);
    }
    let size = largest.load(Ordering::Relaxed);
    let name = witness_name(VICTIM);
    let by_victim = |cosigned: &Cosigned| {
        cosigned
            .cosignatures
            .iter()
            .any(|line| line.name().as_str() == name)
    };
    // It holds an older head than the hub thinks, or a newer: it says so, and goes on.
    until("the victim cosigns again", || {
        published(&world)
            .is_some_and(|(cosigned, _)| cosigned.checkpoint.size >= size && by_victim(&cosigned))
    });
    stop.store(true, Ordering::Relaxed);
    for task in asking {
        task.await.unwrap();
    }
    until_published(&world, largest.load(Ordering::Relaxed));
    let seen = seen.await.unwrap();
    drop((steady, victim));
    assert_eq!(hub.broker.stop().unwrap(), Some(0));

    let roots = check_published(&world);
    let mut times: Vec<(u64, u64)> = Vec::new();
    for cosigned in seen.values() {
        let head = cosigned.checkpoint.head();
        // All lie on one tree, so any two of them fit.
        assert_eq!(
            roots[usize::try_from(head.size).unwrap()],
            head.root,
            "at {} entries",
            head.size
        );
        let lines = cosigned
            .cosignatures
            .iter()
            .filter(|line| line.name().as_str() == name);
        times.extend(lines.map(|line| (head.size, line.time_s())));
    }
    times.sort_unstable();
    assert!(
        times.windows(2).all(|two| two[0].1 <= two[1].1),
        "the victim's times run backwards: {times:?}"
    );
    println!(
        "{KILLS} kills: {} checkpoints published, {} with the victim's line",
        seen.len(),
        times.len()
    );
    assert!(times.len() >= 3, "the victim hardly took part");
}
