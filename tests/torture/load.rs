//! Rounds of trouble: load. One partner, or strangers, do to a broker what they can, while another partner asks.

pub mod grpc;
pub mod http;
pub mod raw;
pub mod siege;

use hitmachine_testkit::rng::Rng;

use self::siege::Siege;
use super::Done;

/// One round: a broker, and a few kinds of load at random after each other.
///
/// # Panics
/// When what must hold does not.
pub fn round(rng: &mut Rng) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let done = runtime.block_on(async {
        let siege = Siege::begin(rng.next_u64());
        let mut done = Done::default();
        for _ in 0..rng.between(2, 4) {
            one(&siege, rng, &mut done).await;
        }
        assert_eq!(
            siege.broker.stop().unwrap(),
            Some(0),
            "it does not stop in good order"
        );
        done
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    done
}

async fn one(siege: &Siege, rng: &mut Rng, done: &mut Done) {
    let others = siege.others().await;
    let kind = rng.below(11);
    let size = rng.between(50, 150);
    let (size_32, size_n) = (u32::try_from(size).unwrap(), usize::try_from(size).unwrap());
    match kind {
        0 => {
            let flooded = grpc::questions(siege, 10, size_n).await;
            done.add("questions in a flood, answered", flooded.answered);
            done.add("questions in a flood, refused as busy", flooded.busy);
        }
        1 => {
            let held = grpc::silent(siege, 4 * size_n).await;
            done.add("connections that never shake hands", held.len() as u64);
        }
        2 => {
            let (held, refused) = grpc::connections(siege, size_n).await;
            assert!(held.len() <= 64, "{} connections of one partner", held.len());
            done.add("connections of one partner", held.len() as u64 + refused);
        }
        3 => {
            let held = grpc::never_reads(siege, 3, size_32).await;
            done.add("questions whose answers are never read", 3 * size);
            drop(held);
        }
        4 => {
            grpc::drips(siege, size_32, 2).await;
            done.add("calls a byte at a time", size);
        }
        5 => {
            let (held, begun) = grpc::almost_whole(siege, 2, size_32.min(64)).await;
            done.add("largest messages that never end", begun);
            drop(held);
        }
        6 => {
            grpc::crumbs(siege, 100 * size_n).await;
            done.add("frames of one byte or none", 200 * size);
        }
        7 => {
            grpc::resets(siege, 20 * size_32).await;
            done.add("streams reset at once", 20 * size);
            let reset = grpc::questions_reset(siege, size_32).await;
            done.add("questions reset at once", reset.into());
        }
        8 => {
            grpc::headers(siege, size_32).await;
            grpc::too_many_headers(siege).await;
            done.add("headers without end", size);
        }
        9 => {
            grpc::chatter(siege, 100 * size_n).await;
            done.add("pings, settings and windows", 300 * size);
        }
        _ => {
            let mut held = http::silent(siege.published, 2 * size_n).await;
            http::drip(&mut held, 3).await;
            done.add("silent visitors of the published log", 2 * size);
            http::get(siege.published, "/checkpoint").await;
        }
    }
    let served = others.end().await;
    assert!(served.answered >= siege::LEAST, "nobody else was served");
    done.add("questions of others meanwhile", served.answered);
    siege.is_over("after a round").await;
    done.count("sieges of a broker");
}
