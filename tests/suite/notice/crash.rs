//! Hub and node are killed at random: who was found hears of every hit in the log, once.

use std::time::Duration;

use hitmachine_audit::{EntryKind, FieldId};
use hitmachine_testkit::process::{BrokerProcess, NodeProcess};
use hitmachine_testkit::rng::Rng;
use hitmachine_tests::logbook;

use super::*;

/// Kills in one run.
const KILLS: u64 = 24;

/// The log entries of questions of others in which the regieteams know the person.
fn hits(log: &[logbook::Entry]) -> Vec<u64> {
    let lookups = log.iter().filter(|entry| entry.kind() == EntryKind::Lookup);
    // `1 ‖ n ‖ n × (u8 length ‖ partner ‖ status)`; 1 is known.
    let known = [&[u8::try_from(TOLD.len()).unwrap()], TOLD.as_bytes(), &[1]].concat();
    let hit = |entry: &&logbook::Entry| {
        let result = entry.fields.get(FieldId::Result).unwrap();
        result.windows(known.len()).any(|part| part == known)
    };
    lookups.filter(hit).map(|entry| entry.index).collect()
}

#[test]
fn every_hit_in_the_log_is_heard_once_whatever_is_killed() {
    let world = World::new(510);
    let mut broker: Option<BrokerProcess> = Some(world.broker());
    world.sync_all();
    let (known, unknown) = (
        world.adults(Register::Regieteams, true),
        world.adults(Register::Regieteams, false),
    );
    let mut node: Option<NodeProcess> = Some(world.serve(TOLD));
    let mut rng = Rng::new(20_261_122);
    let (mut answered, mut hub_kills, mut node_kills) = (0, 0, 0);
    for round in 0..KILLS {
        // Questions while things die; those that fail may be in the log or not.
        let kill_after = Duration::from_millis(rng.below(250));
        let hub_dies = round % 2 == 0;
        let dying = std::thread::scope(|scope| {
            let killing = scope.spawn(|| {
                std::thread::sleep(kill_after);
                if hub_dies {
                    broker.take().unwrap().kill().unwrap();
                } else {
                    node.take().unwrap().kill().unwrap();
                }
            });
            for turn in 0..3_u64 {
                let n = usize::try_from(round * 3 + turn).unwrap();
                let person = if turn == 2 {
                    unknown[n]
                } else {
                    known[n % known.len()]
                };
                let more = ["--case", "ZK-7"];
                let said = program::query(&world.deployment, ASKS, world.address, &person.bsn, &more);
                answered += u64::from(said.code == 0);
            }
            killing.join()
        });
        dying.unwrap();
        if hub_dies {
            hub_kills += 1;
            broker = Some(world.broker());
        } else {
            node_kills += 1;
            node = Some(world.serve(TOLD));
        }
    }
    let last = ask(&world, ASKS, known[0], "ZK-8");
    until("the last one", || places(&world, TOLD).contains(&last));
    until("none waits", || waiting(&world, TOLD)["waiting"] == 0);
    drop(node);
    let heard = places(&world, TOLD);
    let log = world.stop(broker.unwrap(), &[]);
    println!(
        "{hub_kills} kills of the hub, {node_kills} of the node: {answered} answers, {} notices",
        heard.len()
    );
    assert!(answered >= KILLS, "too few questions were answered: {answered}");
    assert_eq!(heard, hits(&log));

    // Killed once more with everything acknowledged: nothing comes twice.
    let broker = world.broker();
    let node = world.serve(TOLD);
    let one_more = ask(&world, ASKS, known[1], "ZK-9");
    until("one more", || places(&world, TOLD).contains(&one_more));
    assert_eq!(places(&world, TOLD), [heard, vec![one_more]].concat());
    drop(node);
    assert_eq!(broker.stop().unwrap(), Some(0));
}
