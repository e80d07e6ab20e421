use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn start(limits: PageLimits) -> (SocketAddr, crate::shutdown::Trigger, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (trigger, shutdown) = crate::shutdown::channel();
    let slow = async || {
        sleep(Duration::from_millis(500)).await;
        "done"
    };
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(slow));
    let serving = tokio::spawn(async move {
        serve_pages(listener, None, router, limits, shutdown.wait())
            .await
            .unwrap();
    });
    (address, trigger, serving)
}

/// All that is answered to these bytes; empty if the connection just ends.
async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be refused before all of it is read.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer))
        .await
        .expect("neither answered nor closed");
    String::from_utf8(answer).unwrap()
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn whoever_says_nothing_makes_room() {
    let limits = PageLimits {
        connections: 8,
        ..PageLimits::default()
    };
    let (address, _trigger, _serving) = start(limits).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
        if silent.len() % 10 == 0 {
            assert!(say(address, &request("/")).await.ends_with("here"));
        }
    }
    let mut closed = 0;
    for stream in &mut silent {
        let mut byte = [0];
        let read = timeout(Duration::from_millis(20), stream.read(&mut byte)).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= 100 - 8, "{closed}");
}

#[tokio::test]
async fn a_connection_ends_whatever_it_does() {
    let limits = PageLimits {
        longest: Duration::from_millis(300),
        ..PageLimits::default()
    };
    let (address, _trigger, _serving) = start(limits).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let dripping = async {
        // The server may close between any two of them.
        while stream.write_all(b"G").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), dripping).await.unwrap();
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (address, _trigger, _serving) = start(PageLimits::default()).await;
    let many = "x-a: b\r\n".repeat(MOST_HEADERS + 1);
    let long = format!("x-a: {}\r\n", "b".repeat(2 * MOST_READ));
    for more in [many, long] {
        let head = format!("GET / HTTP/1.1\r\nhost: x\r\n{more}\r\n");
        let answer = say(address, head.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert!(say(address, &request("/")).await.ends_with("here"));
}

#[tokio::test]
async fn what_is_under_way_is_finished_at_a_stop() {
    let (address, trigger, serving) = start(PageLimits::default()).await;
    let idle = TcpStream::connect(address).await.unwrap();
    let asking = tokio::spawn(async move { say(address, &request("/slow")).await });
    sleep(Duration::from_millis(200)).await;
    trigger.fire();
    assert!(asking.await.unwrap().ends_with("done"));
    timeout(Duration::from_secs(20), serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    drop(idle);
}
