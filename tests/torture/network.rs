//! Rounds of trouble: network. Whole processes with proxies between them that hold, slow, cut, forget and damage what
//! passes, while questions, live answers, hit notices and a sync are on their way.

mod asking;
mod trouble;
pub(in crate::torture) mod truth;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hitmachine_testkit::population::Register;
use hitmachine_testkit::proxy::Proxy;
use hitmachine_testkit::rng::Rng;
use serde_json::Value;

use self::asking::Asking;
use self::truth::{OM, TOLD, Truth};
use super::Done;
use crate::program::{self, metric, until};
use crate::world::World;

/// How long there is trouble.
const TROUBLE: Duration = Duration::from_secs(7);
/// How long what was held may take to arrive.
const ARRIVES: Duration = Duration::from_secs(1);
/// Whose register is sent again and again meanwhile.
const SENT: Register = Register::Schuldhulpverlening;

/// One round.
///
/// # Panics
/// When what must hold does not.
pub fn round(rng: &mut Rng) -> Done {
    let seed = rng.next_u64();
    let mut done = Done::default();
    let world = World::live(seed, &[OM]);
    let broker = world.broker();
    world.sync_all();
    let truth = Truth::of(&world.deployment, &world.population, 4);
    let proxies: [Proxy; 4] =
        std::array::from_fn(|place| Proxy::start(world.address, seed.wrapping_add(place as u64)).unwrap());
    let [of_asker, of_om, of_told, of_sync] = &proxies;
    let (om, told) = (
        world.serve_through(OM, of_om.address()),
        world.serve_through(TOLD, of_told.address()),
    );
    until("the live partner answers", || {
        metric(&broker, "hitmachine_live_connected{") == 1
    });

    let asking = Asking::new(&world.deployment, of_asker.address(), &truth);
    let stop = AtomicBool::new(false);
    let (tried, finished) = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send_again(&world, of_sync, &stop));
        let asked = scope.spawn(|| asking.go_on(Rng::new(rng.next_u64()), &stop));
        trouble::make(&proxies, &mut Rng::stream(seed, "trouble"), TROUBLE, &mut done);
        stop.store(true, Ordering::SeqCst);
        asked.join().unwrap();
        sending.join().unwrap()
    });
    for proxy in &proxies {
        proxy.plan_nothing();
        proxy.heal();
    }
    done.add("syncs begun in a bad network", tried);
    done.add("of these, ended well", finished);

    // What was held arrives, and may be logged although nobody waits for it any more.
    std::thread::sleep(ARRIVES);
    // Everything comes back by itself.
    let mut last = None;
    until("the live partner answers again", || {
        last = asking.complete(truth.known_to_both());
        last.is_some()
    });
    let members = world.members(SENT);
    until("the register is in step", || {
        let said = program::node(&world.deployment, SENT.id(), of_sync.address(), &["sync"]);
        said.code == 0 && said.json()["persons"] == members
    });
    // Notices come in order, and this was the last question.
    until("all notices are there", || places(&world).last().copied() >= last);
    let had = places(&world);
    let asked = asking.end();
    drop((om, told));

    let numbers: Vec<&[u8]> = truth
        .persons()
        .iter()
        .map(|person| person.bsn.as_bytes())
        .collect();
    let checked = truth.check(&world.stop(broker, &numbers));
    assert_eq!(had, checked.notices, "each notice once, and no other");
    assert!(
        asked.answered <= checked.lookups && checked.lookups <= asked.questions,
        "{asked:?} {checked:?}"
    );
    done.add("questions through a bad network", asked.questions);
    done.add("of these, answered", asked.answered);
    done.add("of these, the live partner could not be asked", asked.incomplete);
    done.add("hit notices stored once", had.len() as u64);
    done
}

/// Sends a whole register again and again, and goes on where it was cut; how often it was begun, and ended well.
fn send_again(world: &World, proxy: &Proxy, stop: &AtomicBool) -> (u64, u64) {
    let (mut tried, mut finished) = (0, 0);
    let members = world.members(SENT);
    while !stop.load(Ordering::SeqCst) {
        let full: &[&str] = if tried % 3 == 0 {
            &["sync", "--full"]
        } else {
            &["sync"]
        };
        let said = program::node(&world.deployment, SENT.id(), proxy.address(), full);
        tried += 1;
        match said.code {
            0 => {
                assert_eq!(said.json()["persons"], members);
                finished += 1;
            }
            4 => panic!("{said:?}"),
            // Cut, or the hub still believes that the one before goes on.
            _ => {}
        }
    }
    (tried, finished)
}

/// The log entries, from 0, that the told partner has notices of.
fn places(world: &World) -> Vec<u64> {
    let said = world.node(TOLD, &["notice", "list", "--all"]);
    assert_eq!(said.code, 0, "{said:?}");
    let notices = said.json()["notices"].as_array().unwrap().clone();
    let place = |one: &Value| one["log_index"].as_u64().unwrap();
    let mut places: Vec<u64> = notices.iter().map(place).collect();
    places.sort_unstable();
    places
}
