//! What strangers do to a port that serves HTTP/1.1: published files, metrics, pages.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::siege::DEADLINE;

/// How long a server may take to hang up on what it does not accept.
const HANGS_UP: Duration = Duration::from_secs(20);

/// Asks for a path, and reads all of the answer; it must come within the deadline. Who was pushed out by others tries
/// again.
pub async fn get(address: SocketAddr, path: &str) -> String {
    let begun = Instant::now();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    while begun.elapsed() < DEADLINE {
        let answer = timeout(DEADLINE, say(address, request.as_bytes())).await;
        let answer = answer.expect("no answer within the deadline");
        if !answer.is_empty() {
            return answer;
        }
    }
    panic!("{path}: no answer within the deadline");
}

/// Says something and reads what comes back, until the other side ends it.
pub async fn say(address: SocketAddr, bytes: &[u8]) -> String {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return String::new();
    };
    // The server may hang up before it has read all of it, or instead of an answer.
    let _ = stream.write_all(bytes).await;
    let _ = timeout(HANGS_UP, stream.read_to_end(&mut answer))
        .await
        .expect("neither answered nor closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Connections that say nothing, or half a request, or a byte now and then, all at once.
pub async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for place in 0..count {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        let begin: &[u8] = match place % 3 {
            0 => b"",
            1 => b"GET / HT",
            _ => b"POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\nuser=",
        };
        let _ = stream.write_all(begin).await;
        held.push(stream);
    }
    held
}

/// A byte more on each connection, as often as said.
pub async fn drip(held: &mut [TcpStream], times: usize) {
    for _ in 0..times {
        for stream in held.iter_mut() {
            // Most are closed by now.
            let _ = stream.try_write(b"x");
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Requests one after the other whose answers are never read.
pub async fn never_reads(address: SocketAddr, path: &str, connections: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    let requests = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").repeat(2_000);
    for _ in 0..connections {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            continue;
        };
        // It stops reading when nobody takes its answers.
        let _ = timeout(Duration::from_millis(200), stream.write_all(requests.as_bytes())).await;
        held.push(stream);
    }
    held
}

/// Heads that are too large in each way; none is answered as if it were good.
pub async fn large_heads(address: SocketAddr, path: &str) -> u64 {
    let many = "x-a: b\r\n".repeat(5_000);
    let long = format!("x-a: {}\r\n", "b".repeat(2_000_000));
    let address_line = format!("GET {path}{} HTTP/1.1\r\n", "a".repeat(2_000_000));
    let heads = [
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n{long}\r\n"),
        format!("{address_line}host: x\r\n\r\n"),
    ];
    for head in &heads {
        let answer = say(address, head.as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{}", &answer[..80]);
    }
    heads.len() as u64
}
