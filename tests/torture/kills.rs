//! Kills: real programs die at random moments of whatever they do, and are started again.
//!
//! A round has one installation with a broker, three nodes that serve and command lines of the others, under questions
//! all the time. At a random moment of a sync, a question, a screening, a change of covenant or key epoch, an erasure, a
//! rebuild of the index or the telling of a hit one of them gets SIGKILL. What it left is compared with the truth after
//! each kill: a dead broker's log as it lies on the disk, with everything that was ever shown; then, all programs back,
//! the answers about a part of the people with what their registers hold. At the end about all.
//!
//! The seed gives persons, order and victims, and which part of the work's time is over when a kill comes; how long that
//! is depends on the machine.

mod ground;
mod ledger;
mod log;
mod questions;
mod register;
mod rules;
mod stage;
mod tokens;
mod truth;

use std::fs;
use std::path::Path;

use hitmachine_pseudonym::KeyEpoch;
use hitmachine_testkit::rng::Rng;

use self::stage::Stage;
use super::Done;
use crate::secrets::Secrets;

/// Something that programs do, with kills in it.
type Scene = fn(&mut Stage, &mut Rng);

/// What a round does, and how often. A change of epoch comes once between these, erasures at the end.
const SCENES: [(Scene, usize); 7] = [
    (register::sync, 5),
    (questions::query, 3),
    (questions::screening, 2),
    (questions::notices, 3),
    (questions::start, 1),
    (rules::covenant, 3),
    (log::index, 2),
];

/// One round.
///
/// # Panics
/// When anything acknowledged or shown is lost or wrong, anybody is asked about twice, or told twice.
pub fn round(rng: &mut Rng) -> Done {
    let mut stage = Stage::new(rng.next_u64());
    let mut scenes: Vec<Scene> = Vec::new();
    for (scene, times) in SCENES {
        scenes.extend(std::iter::repeat_n(scene, times));
    }
    rng.shuffle(&mut scenes);
    let change = rng.index(scenes.len());
    let mut next_key = None;
    for (place, scene) in scenes.into_iter().enumerate() {
        if place == change {
            next_key = Some(rules::epochs(&mut stage, rng));
        }
        scene(&mut stage, rng);
    }
    questions::check_heard(&mut stage);
    for _ in 0..2 {
        log::erasure(&mut stage, rng);
    }

    // Everybody, once more.
    let everybody: Vec<_> = stage.ground.world.population.persons().iter().collect();
    stage.ground.check(&everybody);
    questions::check_heard(&mut stage);
    log::complete(&stage.ground);
    let image = stage.stop();
    let said_again = rules::check_covenants(&stage.ground, &image);
    stage.done.add(
        "changes of covenant said twice, since a kill came between entry and change",
        said_again,
    );
    log::check_erasures(&image);
    nothing_printed(&stage, &next_key.unwrap());
    let mut done = std::mem::take(&mut stage.done);
    done.add("answers shown, found in the log", stage.ground.ledger.len());
    done
}

/// Nothing secret in all that was printed, and nobody panicked.
fn nothing_printed(stage: &Stage, next_key: &Path) {
    let deployment = &stage.ground.world.deployment;
    let mut secrets = Secrets::of(deployment);
    let pepper = stage.ground.world.path("broker/pepper-2.key");
    secrets.add_epoch(deployment, next_key, &pepper, KeyEpoch::new(2).unwrap());
    let logs = stage.ground.logs().into_iter();
    let mut printed: Vec<_> = logs.map(|(name, path)| (name, fs::read(path).unwrap())).collect();
    printed.append(&mut stage.ground.printed.lock().unwrap());
    for (name, text) in &printed {
        let panicked = text.windows(8).any(|part| part == b"panicked");
        assert!(!panicked, "{name} panicked: {}", String::from_utf8_lossy(text));
    }
    super::clean(&secrets, printed);
}
