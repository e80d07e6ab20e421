//! What verifying one answer costs the asking node: processor time of the thread that does it.

use std::hint::black_box;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use super::Bench;
use super::drive::drive;
use super::ground::{Ground, asker};
use super::machine::Probe;
use super::stats::{Bar, Figure, Row, Unit};

const PART: &str = "receipts";
/// How often each thing is done in a round.
const TIMES: u32 = 2_000;

/// Processor time that this thread has used.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Microseconds of doing it once.
pub(crate) fn each_us(times: u32, mut work: impl FnMut()) -> f64 {
    let begun = thread_time();
    for _ in 0..times {
        work();
    }
    (thread_time().checked_sub(begun).unwrap_or_default()).as_secs_f64() * 1e6 / f64::from(times)
}

/// Microseconds of SHA-256 over so many bytes, each time of what came out before.
pub(crate) fn sha256_us(length: usize) -> f64 {
    let mut message = vec![0; length];
    each_us(200_000, || {
        let hash = Sha256::digest(&message);
        message[..32].copy_from_slice(&hash);
    })
}

/// Measures.
pub(crate) async fn rows(bench: &Bench, ground: &Ground) -> Vec<Row> {
    bench.say("receipts");
    let node = ground.coordinator().await;
    let questions = ground.questions(&node);
    // As it is when many ask: several heads are held, and each is proven.
    drive(16, bench.slice(), asker(&node, &questions)).await;
    let verification = node.inquirer().verification(&questions[0]).await.unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let (message, public) = ([0x5a; 130], key.verifying_key());
    let signature = key.sign(&message);

    let probe = Probe::begin(&[]);
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..bench.rounds().max(5) {
        rounds[0].push(each_us(TIMES, || {
            assert!(verification(), "an answer is not proven");
        }));
        rounds[1].push(each_us(TIMES, || {
            let verified = public.verify_strict(black_box(&message), &signature);
            assert!(verified.is_ok());
        }));
        rounds[2].push(sha256_us(65));
    }
    let noisy = probe.is_noisy();
    let [ours, signature, node] = rounds.map(|values| Figure::of(&values, Unit::Us));
    let row = Row::new(PART, "verification of one answer, processor time", ours)
        .against("one Ed25519 verification", signature)
        .bar(Bar::AtMost(60.0))
        .noisy(noisy)
        .detail(format!("SHA-256 of one node of a tree (65 bytes): {node}"));
    vec![row]
}
