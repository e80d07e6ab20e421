//! What goes wrong in a simulation, and when: all of it drawn before it begins.

use std::collections::VecDeque;
use std::time::Duration;

use hitmachine_testkit::rng::Rng;
use jiff::SignedDuration;
use turmoil::Sim;

use super::hosts::{HUB, SENT};
use crate::torture::Done;
use crate::torture::network::truth::{COORDINATOR, OM, TOLD};

/// When everything has healed.
pub(super) const HEALED: Duration = Duration::from_secs(40);
/// Delay of a message on a link that is as it should be, at most.
pub(super) const USUAL: Duration = Duration::from_millis(60);
/// How far a clock may be off, in seconds: less than what the programs bear.
const SKEW_S: i64 = 60;
/// Everybody but the broker.
const NODES: [&str; 4] = [OM, TOLD, COORDINATOR, SENT];

#[derive(Clone, Copy)]
enum Event {
    /// Messages between a node and the broker are lost.
    Partition(&'static str),
    /// Messages of a node are lost, or those to it.
    OneWay(&'static str, bool),
    /// Messages are kept, and arrive when the link heals.
    Hold(&'static str),
    /// Messages take so long at most.
    Slow(&'static str, Duration),
    /// The link of a node is as it should be.
    Heal(&'static str),
    /// A program ends at once; what it had not written is lost.
    Crash(&'static str),
    /// It starts again.
    Bounce(&'static str),
}

/// Trouble to come, in order.
pub(super) struct Trouble {
    events: VecDeque<(Duration, Event)>,
    skews: [SignedDuration; 5],
}

impl Trouble {
    /// Draws all of it.
    pub(super) fn of(rng: &mut Rng) -> Self {
        let mut events = Vec::new();
        for _ in 0..rng.between(6, 16) {
            let at = Duration::from_millis(rng.below(30_000));
            let (event, end, longest_ms) = Self::one(rng);
            events.push((at, event));
            let over = at + Duration::from_millis(rng.between(50, longest_ms));
            events.push((over.min(HEALED), end));
        }
        events.extend(NODES.map(|node| (HEALED, Event::Heal(node))));
        events.extend([HUB, OM, TOLD, SENT].map(|host| (HEALED, Event::Bounce(host))));
        events.sort_by_key(|(at, _)| *at);
        let skew = |_| {
            let seconds = i64::try_from(rng.below(120)).unwrap() - SKEW_S;
            SignedDuration::from_secs(seconds)
        };
        Self {
            events: events.into(),
            skews: std::array::from_fn(skew),
        }
    }

    /// One thing, what ends it, and after how many milliseconds at most.
    fn one(rng: &mut Rng) -> (Event, Event, u64) {
        let node = NODES[rng.index(NODES.len())];
        let heal = Event::Heal(node);
        match rng.below(10) {
            0..=2 => (Event::Partition(node), heal, 10_000),
            3 | 4 => (Event::OneWay(node, rng.percent(50)), heal, 10_000),
            5 => (Event::Hold(node), heal, 10_000),
            6 => {
                let late = Duration::from_millis(rng.between(300, 1_500));
                (Event::Slow(node, late), heal, 10_000)
            }
            _ => {
                // Who asks is not ended: it is what tells how things went.
                let host = [HUB, OM, TOLD, SENT][rng.index(4)];
                (Event::Crash(host), Event::Bounce(host), 5_000)
            }
        }
    }

    /// How far the clocks of the broker and the four nodes are off.
    pub(super) fn skews(&self) -> [SignedDuration; 5] {
        self.skews
    }

    /// Does what is due.
    pub(super) fn happens(&mut self, sim: &mut Sim<'_>, now: Duration, done: &mut Done) {
        while self.events.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, event)) = self.events.pop_front() else {
                return;
            };
            let name = match event {
                Event::Partition(node) => {
                    sim.partition(node, HUB);
                    "partitions in simulations"
                }
                Event::OneWay(node, true) => {
                    sim.partition_oneway(node, HUB);
                    "one-way partitions in simulations"
                }
                Event::OneWay(node, false) => {
                    sim.partition_oneway(HUB, node);
                    "one-way partitions in simulations"
                }
                Event::Hold(node) => {
                    sim.hold(node, HUB);
                    "links held in simulations"
                }
                Event::Slow(node, late) => {
                    sim.set_link_max_message_latency(node, HUB, late);
                    "slow links in simulations"
                }
                Event::Heal(node) => {
                    sim.release(node, HUB);
                    sim.repair(node, HUB);
                    sim.set_link_max_message_latency(node, HUB, USUAL);
                    continue;
                }
                Event::Crash(host) => {
                    if !sim.is_host_running(host) {
                        continue;
                    }
                    sim.crash(host);
                    "crashes in simulations"
                }
                Event::Bounce(host) => {
                    if !sim.is_host_running(host) {
                        sim.bounce(host);
                    }
                    continue;
                }
            };
            done.count(name);
        }
    }
}
