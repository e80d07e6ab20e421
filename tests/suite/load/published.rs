//! The published log, over HTTP without TLS.

use hitmachine_tests::torture::load::http;
use hitmachine_tests::torture::load::siege::{LEAST, Siege};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_published_log_still_can() {
    let siege = Siege::begin(811);
    let others = siege.others().await;
    let read = async || {
        let page = http::get(siege.published, "/checkpoint").await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    };
    read().await;
    let mut held = http::silent(siege.published, 600).await;
    read().await;
    http::drip(&mut held, 5).await;
    read().await;
    http::large_heads(siege.published, "/checkpoint").await;
    let unread = http::never_reads(siege.published, "/checkpoint", 150).await;
    read().await;
    let served = others.end().await;
    assert!(served.answered >= LEAST, "{served:?}");
    drop((held, unread));
    siege.is_over("readers of the published log").await;
    println!("others {served:?}; {} kB", siege.peak_kb());
    assert_eq!(siege.broker.stop().unwrap(), Some(0));
}
