//! Makes a published log to try verifiers on, and says how fast this machine computes SHA-256.
//!
//! `cargo run --release -p hitmachine-tests --example make_log -- FOLDER [ENTRIES]` (1,000,000 if absent). Writes
//! `FOLDER/published` and `FOLDER/policy.txt`, and prints the keys. The log itself, in `FOLDER/broker`, may be removed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring program"
)]

use std::path::PathBuf;
use std::time::Instant;

use hitmachine_tests::published::{GrownLog, verifier, witnesses, write_policy};
use sha2::{Digest, Sha256};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().unwrap());
    let size: u64 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    // An entry of 33 bytes with its prefix is one block; two hashes with theirs are two.
    println!("SHA-256, one core: {:.2} M leaves/s", rate(34) / 1e6);
    println!("SHA-256, one core: {:.2} M nodes/s", rate(65) / 1e6);

    let begun = Instant::now();
    let log = GrownLog::grow(&dir.join("broker"), size);
    println!(
        "{size} entries committed in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    log.publish(&dir.join("published"), size);
    println!("published in {:.1} s", begun.elapsed().as_secs_f64());
    println!("policy: {}", write_policy(&dir).display());
    println!("log: {}", verifier());
    for witness in witnesses() {
        println!("witness: {witness}");
    }
}

/// Messages of this length hashed in a second.
fn rate(length: usize) -> f64 {
    const COUNT: u32 = 2_000_000;
    let mut message = vec![0; length];
    let begun = Instant::now();
    for _ in 0..COUNT {
        // Each depends on the one before, so none can be left out.
        let hash: [u8; 32] = Sha256::digest(&message).into();
        message[..32].copy_from_slice(&hash);
    }
    f64::from(COUNT) / begun.elapsed().as_secs_f64()
}
