//! Rounds of trouble: simulation. A real broker and real nodes in one process, over a network and with a clock that are
//! simulated (turmoil): TLS, HTTP/2, streams, log and stores are those of the programs.
//!
//! **From the seed**, and so the same each time: which links break when and how (lost in one or both directions, held and
//! let go, slow), which program crashes when and comes back, how far each clock is off, and about whom is asked.
//! **Not from the seed**: keys and nonces, and so the bytes on the wire, and with them the delay that each message draws;
//! and when the thread that writes the broker's log is done, which is a real thread with a real file. So a seed repeats
//! the same trouble, and not the same interleaving to the last message. Deadlines are counted in the simulation's time,
//! which stands still while a program works, so that no assertion depends on how busy the machine is.

mod asker;
mod hosts;
mod net;
mod template;
mod trouble;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hitmachine_testkit::deployment::Deployment;
use hitmachine_testkit::rng::Rng;

use self::asker::{Asked, Asker};
use self::hosts::{Hosts, SENT, Sent, Serving};
use self::net::SimClock;
pub use self::template::Template;
use self::trouble::{HEALED, Trouble, USUAL};
use super::Done;
use super::network::truth::{COORDINATOR, OM, TOLD};
use crate::logbook;

/// How much time passes in one step.
const TICK: Duration = Duration::from_millis(10);
/// The longest that one may take, in its own time.
const LONGEST: Duration = Duration::from_mins(10);
/// Simulations in a round.
const SEEDS: u64 = 20;

/// One round: several simulations.
///
/// # Panics
/// When what must hold does not; the message names the seed, which [`seed`] takes.
pub fn round(rng: &mut Rng) -> Done {
    let mut done = Done::default();
    let template = Arc::new(Template::make());
    for _ in 0..SEEDS {
        done.merge(&seed(&template, rng.next_u64()));
    }
    done
}

/// One simulation.
///
/// # Panics
/// When what must hold does not.
pub fn seed(template: &Arc<Template>, seed: u64) -> Done {
    let _named = Named(seed);
    let mut done = Done::default();
    let copied = template.copy();
    let asked = simulate(template, &copied.deployment, seed, &mut done);

    // What is on the disks when all have stopped.
    let checked = template.truth.check(&logbook::read(&copied.deployment));
    let places = template::notices(&copied.deployment);
    assert_eq!(places, checked.notices, "each notice once, and no other");
    assert!(
        asked.answered <= checked.lookups && checked.lookups <= asked.questions,
        "{asked:?} {checked:?}"
    );
    done.count("simulations");
    done.add("questions in simulations", asked.questions);
    done.add("of these in simulations, answered", asked.answered);
    done.add(
        "of these in simulations, the live partner could not be asked",
        asked.incomplete,
    );
    done.add("hit notices stored once in simulations", places.len() as u64);
    done
}

/// Says at a failure which simulation it was.
struct Named(u64);

impl Drop for Named {
    #[expect(clippy::print_stderr, reason = "what one needs to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was the simulation of seed {}", self.0);
        }
    }
}

/// Lets trouble and questions happen, and what comes back come back.
fn simulate(template: &Arc<Template>, deployment: &Deployment, seed: u64, done: &mut Done) -> Asked {
    let clock = SimClock::default();
    let mut trouble = Trouble::of(&mut Rng::stream(seed, "trouble"));
    let hosts = Hosts {
        deployment,
        clock: &clock,
        skews: trouble.skews(),
    };
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(LONGEST)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(USUAL)
        .tcp_capacity(1 << 16)
        .enable_tokio_io()
        .enable_random_order()
        .build();
    let (told, sent) = (Serving::default(), Sent::default());
    let asked = Arc::new(Mutex::new(Asked::default()));
    hosts.broker(&mut sim);
    hosts.node(&mut sim, OM, 1, &Serving::default());
    hosts.node(&mut sim, TOLD, 2, &told);
    hosts.sender(&mut sim, 3, template.members(SENT), &sent);
    let asker = Asker {
        template: Arc::clone(template),
        rng: Rng::stream(seed, "questions"),
        told,
        sent: Arc::clone(&sent),
        asked: Arc::clone(&asked),
    };
    let (config, surroundings) = hosts.of(COORDINATOR, 4);
    sim.client(COORDINATOR, asker.go_on(config, surroundings));
    loop {
        let now = sim.elapsed();
        clock.set(now);
        trouble.happens(&mut sim, now, done);
        match sim.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sim.elapsed() > HEALED);
    done.add("simulated seconds", sim.elapsed().as_secs());
    drop(sim);
    let [begun, well, _] = *sent.lock().unwrap_or_else(PoisonError::into_inner);
    done.add("syncs begun in simulations", begun);
    done.add("of these syncs in simulations, ended well", well);
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    asked.clone()
}
