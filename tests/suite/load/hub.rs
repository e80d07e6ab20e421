//! The hub, over real mTLS.

use std::time::Duration;

use hitmachine_tests::torture::load::siege::{HOG, LEAST, OTHER, Siege};
use hitmachine_tests::torture::load::{grpc, http};
use tokio::time::sleep;

/// Connections of one partner, and its requests under way, as the broker's configuration has them.
const MOST_CONNECTIONS: usize = 64;
const MOST_REQUESTS: u64 = 512;
/// A partner's largest messages, hundreds at once, and all of the rest.
const MOST_MESSAGES_KB: u64 = 320 * 1024;

/// Three thousand questions of one partner at once, again and again: each ends in some way, and another partner's
/// questions are answered all the while. That a full house hears `busy` is tried where answers are not read.
#[tokio::test(flavor = "multi_thread")]
async fn ten_times_what_it_can_do() {
    let siege = Siege::begin(801);
    let quiet = siege.others().await;
    sleep(Duration::from_secs(1)).await;
    let quiet = quiet.end().await;
    let others = siege.others().await;
    let (mut answered, mut busy, mut lost) = (0, 0, 0);
    for _ in 0..3 {
        let flooded = grpc::questions(&siege, 12, 250).await;
        answered += flooded.answered;
        busy += flooded.busy;
        lost += flooded.lost;
    }
    let served = others.end().await;
    assert!(answered >= 3 * MOST_REQUESTS, "{answered} answered");
    // Each had an answer, or heard that it is busy; which of both depends on how fast they are sent.
    assert_eq!(answered + busy + lost, 3 * 12 * 250);
    assert!(siege.metric("requests_refused_total") >= busy);
    assert!(served.answered >= LEAST, "{served:?}");
    siege.is_over("a flood of questions").await;
    let after = siege.others().await;
    sleep(Duration::from_secs(1)).await;
    let after = after.end().await;
    // Other programs share this machine; a hub that is still busy with what is over would take seconds.
    let usual = 5 * quiet.median + Duration::from_millis(500);
    assert!(after.median <= usual, "{quiet:?} before and {after:?} after");
    println!("{answered} answered, {busy} busy; others {served:?}; before {quiet:?}, after {after:?}");
    println!("{} kB more at its worst", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// Whoever has not shown a certificate has few places, and the oldest of them makes room.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_never_shake_hands() {
    let siege = Siege::begin(802);
    let others = siege.others().await;
    let held = grpc::silent(&siege, 1_500).await;
    sleep(Duration::from_secs(1)).await;
    assert!(held.len() > 1_000, "{} connections", held.len());
    let made_room = siege.refused("MadeRoom");
    assert!(made_room >= held.len() as u64 - 300, "{made_room} made room");
    // With all places taken there is a new connection still, at once.
    siege.wire(OTHER).await.fetch().await.unwrap();
    assert!(siege.metric("tls_connections") <= 300);
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    drop(held);
    siege.is_over("connections that say nothing").await;
    println!("{made_room} made room; others {served:?}; {} kB", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// One partner has its part of the connections, whatever it does with them.
#[tokio::test(flavor = "multi_thread")]
async fn one_partner_takes_its_part_and_no_more() {
    let siege = Siege::begin(803);
    let others = siege.others().await;
    let (held, refused) = grpc::connections(&siege, MOST_CONNECTIONS + 40).await;
    assert_eq!((held.len(), refused), (MOST_CONNECTIONS, 40));
    assert_eq!(siege.refused("TooMany"), 40);
    siege.wire(OTHER).await.fetch().await.unwrap();
    drop(held);
    siege.is_over("many connections").await;
    // After the handshake nothing is said: that ends, too.
    let (hung_up, ()) = tokio::join!(
        grpc::nothing_after_the_handshake(&siege),
        grpc::drips(&siege, 200, 4)
    );
    assert!(hung_up, "a connection without a word lasts for ever");
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    siege.is_over("a byte a second").await;
    println!("others {served:?}; {} kB", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// Answers that are never taken and messages that never end count as their partner's, and so are bounded.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_read_and_never_ends_is_bounded() {
    let siege = Siege::begin(804);
    let others = siege.others().await;
    let held = grpc::never_reads(&siege, 4, 250).await;
    // Its places are taken by answers that nobody reads; it hears so, and the others do not.
    let refused = siege.wire(HOG).await;
    let status = refused.fetch().await.unwrap_err();
    assert!(status.message().starts_with("busy: "), "{status}");
    siege.wire(OTHER).await.fetch().await.unwrap();
    drop(held);
    siege.is_over("answers that are not read").await;

    let (held, begun) = grpc::almost_whole(&siege, 25, 16).await;
    // It hangs up on a connection that goes on with calls which it has refused; each has begun some by then.
    assert!(begun >= 25, "{begun} messages begun");
    siege.wire(OTHER).await.fetch().await.unwrap();
    let peak = siege.peak_kb();
    assert!(peak <= MOST_MESSAGES_KB, "{peak} kB more at its worst");
    drop(held);
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    println!("{begun} messages begun, {peak} kB more; others {served:?}");
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// HTTP/2 as no library speaks it.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames() {
    let siege = Siege::begin(805);
    let others = siege.others().await;
    let before = siege.metric("hitmachine_log_entries");
    let ended = grpc::resets(&siege, 5_000).await;
    assert!(grpc::is_calmed(ended), "resets: {ended:?}");
    assert!(grpc::questions_reset(&siege, 1_000).await > 0);
    let ended = grpc::headers(&siege, 200).await;
    assert!(ended.is_some(), "headers without end are taken");
    grpc::too_many_headers(&siege).await;
    grpc::crumbs(&siege, 50_000).await;
    grpc::chatter(&siege, 50_000).await;
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    siege.is_over("frames").await;
    let after = siege.metric("hitmachine_log_entries");
    assert!(
        after >= before + served.answered,
        "{before} entries before and {after} after"
    );
    println!("others {served:?}; {} kB", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// The port of the published log and that of the metrics take strangers, but not for ever.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_the_metrics_do_not_reach_the_hub() {
    let siege = Siege::begin(806);
    let others = siege.others().await;
    let metrics = siege.broker.metrics_address();
    let mut held = http::silent(metrics, 600).await;
    http::drip(&mut held, 3).await;
    assert!(http::get(metrics, "/metrics").await.contains("tls_connections"));
    http::large_heads(metrics, "/metrics").await;
    let unread = http::never_reads(metrics, "/metrics", 150).await;
    assert!(http::get(metrics, "/metrics").await.contains("tls_connections"));
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    drop((held, unread));
    siege.is_over("strangers at the metrics").await;
    println!("others {served:?}; {} kB", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}

/// A process that may have few files open takes fewer connections, and has files left for its log and its databases.
#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_files_for_log_and_databases() {
    let siege = Siege::with_files(807, 400);
    let others = siege.others().await;
    let mut held = grpc::silent(&siege, 600).await;
    held.extend(http::silent(siege.published, 200).await);
    held.extend(http::silent(siege.broker.metrics_address(), 200).await);
    // Everything is sent, stored and flushed, which opens files.
    let said = siege.world.node(HOG, &["sync", "--full"]);
    assert_eq!(said.code, 0, "{said:?}");
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    drop(held);
    siege.is_over("few files").await;
    let printed = siege.broker.log().unwrap();
    assert!(printed.contains("raise LimitNOFILE"), "it does not say so");
    assert!(!printed.contains("connection not accepted"), "no file was left");
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}
