//! What goes wrong, when, and for how long: all of it from the seed.

use std::time::{Duration, Instant};

use hitmachine_testkit::proxy::{Accepting, Direction, Faults, Line, Mischief, Proxy};
use hitmachine_testkit::rng::Rng;

use crate::torture::Done;

/// Bytes after which something happens to what passes then: within a handshake, a question or an answer.
const SOON: u64 = 8_000;

/// Makes trouble for so long.
pub(super) fn make(proxies: &[Proxy], rng: &mut Rng, time: Duration, done: &mut Done) {
    let begun = Instant::now();
    let before: u64 = proxies.iter().map(Proxy::happened).sum();
    while begun.elapsed() < time {
        let proxy = &proxies[rng.index(proxies.len())];
        done.count(once(proxy, rng));
        std::thread::sleep(Duration::from_millis(rng.between(30, 500)));
        for proxy in proxies {
            if rng.percent(50) {
                proxy.heal();
            }
        }
    }
    let after: u64 = proxies.iter().map(Proxy::happened).sum();
    done.add("connections cut or damaged within a message", after - before);
}

/// One thing; its name.
fn once(proxy: &Proxy, rng: &mut Rng) -> &'static str {
    let direction = Direction::BOTH[rng.index(2)];
    match rng.below(11) {
        0 => {
            proxy.set(Faults::partition());
            "partitions"
        }
        1 => {
            proxy.set(Faults::one_way(direction));
            "partitions in one direction"
        }
        2 => {
            proxy.set(Faults::both(Line {
                delay: Duration::from_millis(rng.below(200)),
                jitter: Duration::from_millis(rng.below(200)),
                ..Line::default()
            }));
            "slow links (delay and jitter)"
        }
        3 => {
            proxy.set(Faults::slow(rng.between(10_000, 200_000)));
            "thin links (bandwidth)"
        }
        4 => {
            proxy.set(Faults {
                accepting: Accepting::Refuse,
                ..Faults::default()
            });
            "refused connections"
        }
        5 => {
            proxy.end_all(Mischief::Reset);
            "connections reset"
        }
        6 => {
            proxy.end_all(Mischief::Close);
            "connections closed"
        }
        7 => {
            proxy.end_all(Mischief::Forget);
            "black holes (connections forgotten)"
        }
        8 => {
            proxy.end_all(Mischief::ForgetOneWay);
            "black holes in one direction"
        }
        _ => {
            let how = [
                Mischief::Reset,
                Mischief::Close,
                Mischief::HalfClose,
                Mischief::Forget,
                Mischief::ForgetOneWay,
                Mischief::Corrupt,
            ];
            proxy.plan(direction, rng.below(SOON), how[rng.index(how.len())]);
            "cuts planned within a message"
        }
    }
}
