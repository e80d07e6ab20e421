//! Rounds of trouble: the power goes.
//!
//! A real broker or node is recorded by the system calls that it makes on its files. From the recording follows what was
//! durable at any moment of its life, and what was not; a power cut leaves any part of that. What is left is put on a
//! real disk, and the program is started on it.

mod broker;
mod damage;
mod damaged;
mod disk;
mod node;
mod trace;

use hitmachine_testkit::rng::Rng;

use self::broker::Story;
use self::damaged::Damaged;
use self::disk::Cut;
use super::Done;
use crate::world::World;

/// Power cuts of one broker in a round.
const CUTS: usize = 6;
/// Damaged files of a broker in a round.
const DAMAGES: usize = 4;

/// One round.
///
/// # Panics
/// When what must hold does not.
pub fn round(rng: &mut Rng) -> Done {
    let mut done = broker_cuts(rng, CUTS);
    done.merge(&node_cuts(rng, 2));
    done.merge(&damages(rng, DAMAGES));
    done
}

/// A node's life with so many power cuts, the last one at its end.
///
/// # Panics
/// When what must hold does not.
pub fn node_cuts(rng: &mut Rng, cuts: usize) -> Done {
    let mut done = Done::default();
    let story = node::Story::record(rng.below(1 << 20), rng);
    for cut in 1..=cuts {
        let line = if cut == cuts {
            story.lines()
        } else {
            story.moment(rng)
        };
        story.cut(line, Cut::random(rng), rng, &mut done);
    }
    done
}

/// So many damaged files of a broker, and half as many of a node.
///
/// # Panics
/// When what must hold does not.
pub fn damages(rng: &mut Rng, times: usize) -> Done {
    let mut done = Done::default();
    let damaged = Damaged::new(rng.below(1 << 20));
    for time in 0..times {
        damaged.broker(rng, &mut done);
        if time % 2 == 0 {
            damaged.node(rng, &mut done);
        }
    }
    done
}

/// A broker's life with so many power cuts at random moments.
///
/// # Panics
/// When what must hold does not.
pub fn broker_cuts(rng: &mut Rng, cuts: usize) -> Done {
    let mut done = Done::default();
    let world = World::new(rng.below(1 << 20));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let story = Story::record(&world, rng, 4).await;
        done.add("answers before power cuts", story.answers() as u64);
        for _ in 0..cuts {
            let line = story.moment(&world, rng);
            story.cut(&world, line, Cut::random(rng), rng, &mut done).await;
        }
    });
    done
}
