//! Tokens and tags per second on one core: `cargo run --release -p hitmachine-pseudonym --example throughput`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use hitmachine_pseudonym::{
    CanonicalIdentifier, DeploymentId, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Pepper,
    Scheme, TagKeys,
};

const COUNT: u32 = 2_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let deployment = DeploymentId::generate()?;
    let node = HmacSha256Pseudonymiser::new(NodeKey::generate()?, deployment, KeyEpoch::FIRST);
    let keys = TagKeys::derive(
        &Pepper::generate()?,
        &deployment,
        KeyEpoch::FIRST,
        Scheme::HmacSha256,
    );
    let ids = (0..1024)
        .map(|n| CanonicalIdentifier::new(IdentifierType::Bsn, format!("99990{n:04}").as_bytes()))
        .collect::<Result<Vec<_>, _>>()?;

    let start = Instant::now();
    for id in ids.iter().cycle().take(COUNT as usize) {
        black_box(node.token(black_box(id)));
    }
    report("tokens", start);

    let token = node.token(&ids[0]);
    let start = Instant::now();
    for _ in 0..COUNT {
        black_box(keys.tag(IdentifierType::Bsn, black_box(&token)));
    }
    report("tags", start);
    Ok(())
}

fn report(what: &str, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {:.2} million per second",
        f64::from(COUNT) / seconds / 1e6
    );
}
