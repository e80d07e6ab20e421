//! What one partner does to a broker that serves the others too. Each says how often it did its thing.

use std::sync::Arc;
use std::time::Duration;

use hitmachine_proto::MAX_MESSAGE_BYTES;
use hitmachine_service::client::classify;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tonic::Code;

use super::raw::{
    CONTINUATION, DATA, END_HEADERS, HEADERS, Heard, PING, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, call,
    frame, header, message,
};
use super::siege::{HOG, Siege};

const ASK: &str = "/hitmachine.v1.QueryService/Ask";
const SYNC: &str = "/hitmachine.v1.RegistryService/Sync";
const FETCH: &str = "/hitmachine.v1.CovenantService/Fetch";
/// HTTP/2's word for "you ask too much" (RFC 9113 §7).
const ENHANCE_YOUR_CALM: u32 = 11;
/// The setting of the window of a stream, and of the length of a frame.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// How long a server may take to hang up on what it does not accept.
const HANGS_UP: Duration = Duration::from_secs(20);

/// How questions of a flood ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flooded {
    /// Answered.
    pub answered: u64,
    /// Refused, as `busy`.
    pub busy: u64,
    /// Whose connection was given up, by a client that heard nothing for seconds.
    pub lost: u64,
}

/// So many questions at once over several connections; each is answered, or refused as `busy` and nothing else.
pub async fn questions(siege: &Siege, connections: usize, each: usize) -> Flooded {
    let mut asking = JoinSet::new();
    for _ in 0..connections {
        let wire = siege.wire(HOG).await;
        for _ in 0..each {
            let (wire, question) = (wire.clone(), siege.question());
            asking.spawn(async move { wire.ask(wire.request(question, vec![])).await.map(|_| ()) });
        }
    }
    let mut flooded = Flooded::default();
    while let Some(asked) = asking.join_next().await {
        match asked.unwrap() {
            Ok(()) => flooded.answered += 1,
            Err(status) if classify(&status).is_some() => flooded.lost += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.message().starts_with("busy: "), "{status}");
                flooded.busy += 1;
            }
        }
    }
    flooded
}

/// Connections that say nothing, or only the begin of a handshake.
pub async fn silent(siege: &Siege, count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for place in 0..count {
        // The broker may close it before it is even known here.
        let Ok(mut stream) = TcpStream::connect(siege.address()).await else {
            continue;
        };
        if place % 2 == 1 {
            // A record of a handshake that promises 512 bytes.
            let _ = stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).await;
        }
        held.push(stream);
    }
    held
}

/// Connections of one partner, as many as it gets, which last while the set does; how many it was refused.
pub async fn connections(siege: &Siege, count: usize) -> (JoinSet<()>, u64) {
    let tls = siege.tls(HOG);
    let (mut held, mut refused) = (JoinSet::new(), 0);
    for _ in 0..count {
        let opened = Raw::open(siege.address(), Arc::clone(&tls), &[]).await;
        let Ok(mut raw) = opened else {
            refused += 1;
            continue;
        };
        // The first frame is the server's own settings.
        match raw.hear().await {
            Heard::Other(SETTINGS) => {
                held.spawn(raw.stay());
            }
            _ => refused += 1,
        }
    }
    (held, refused)
}

/// Shakes hands and then says nothing; whether the broker has hung up in the end.
pub async fn nothing_after_the_handshake(siege: &Siege) -> bool {
    let mut raw = Raw::silent(siege.address(), siege.tls(HOG)).await.unwrap();
    raw.write(b"PRI * HT").await.unwrap();
    raw.ends_within(HANGS_UP).await.is_some()
}

/// Questions whose answers are never read: no window is ever opened for them. It lasts while the set does.
pub async fn never_reads(siege: &Siege, connections: usize, each: u32) -> JoinSet<()> {
    let tls = siege.tls(HOG);
    let mut held = JoinSet::new();
    for _ in 0..connections {
        let closed = [(INITIAL_WINDOW_SIZE, 0)];
        let mut raw = Raw::open(siege.address(), Arc::clone(&tls), &closed)
            .await
            .unwrap();
        for place in 0..each {
            let asked = siege.request();
            // Once the broker reads no more, nothing more is written.
            if raw.request(1 + 2 * place, ASK, &asked).await.is_err() {
                break;
            }
        }
        held.spawn(raw.stay());
    }
    held
}

/// Calls whose bodies come a byte at a time; ends after `seconds`.
pub async fn drips(siege: &Siege, streams: u32, seconds: u64) {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    for place in 0..streams {
        let path = if place % 2 == 0 { ASK } else { SYNC };
        raw.begin(1 + 2 * place, path).await.unwrap();
    }
    let body = message(&vec![7; 60_000]);
    for byte in body.chunks(1).take(usize::try_from(seconds).unwrap()) {
        let drips = (0..streams).flat_map(|place| frame(DATA, 0, 1 + 2 * place, byte));
        let drips: Vec<u8> = drips.collect();
        // A stream that the broker has given up may cost the connection.
        if raw.write(&drips).await.is_err() {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// As many of them on one connection, and as much of each, as may be sent before the broker opens a window further (RFC 9113
/// §5.2; `ServerLimits`): whoever sends more is rightly hung up on.
const WITHIN_WINDOW: u32 = 16;
const FRAMES_WITHIN_WINDOW: usize = 15;

/// Messages as large as allowed, of which the second half never comes. They last while the set does; how many there are.
pub async fn almost_whole(siege: &Siege, connections: usize, each: u32) -> (JoinSet<()>, u64) {
    let tls = siege.tls(HOG);
    let whole = message(&vec![0; MAX_MESSAGE_BYTES]);
    let (mut held, mut begun) = (JoinSet::new(), 0);
    for _ in 0..connections {
        let mut raw = Raw::open(siege.address(), Arc::clone(&tls), &[]).await.unwrap();
        'streams: for place in 0..each.min(WITHIN_WINDOW) {
            let stream = 1 + 2 * place;
            if raw.begin(stream, SYNC).await.is_err() {
                break;
            }
            for part in whole.chunks(16_384).take(FRAMES_WITHIN_WINDOW) {
                if raw.write(&frame(DATA, 0, stream, part)).await.is_err() {
                    break 'streams;
                }
            }
            begun += 1;
        }
        held.spawn(raw.stay());
    }
    (held, begun)
}

/// Bodies in frames of one byte, and then frames of none at all.
pub async fn crumbs(siege: &Siege, frames: usize) {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    raw.begin(1, SYNC).await.unwrap();
    let bytes = message(&vec![0; 300_000]);
    let (crumb, none) = (
        |byte: &[u8]| frame(DATA, 0, 1, byte),
        frame(DATA, 0, 1, &[]).repeat(1_000),
    );
    for part in bytes.chunks(1).take(frames).collect::<Vec<_>>().chunks(1_000) {
        let crumbs: Vec<u8> = part.iter().flat_map(|byte| crumb(byte)).collect();
        if raw.write(&crumbs).await.is_err() || raw.write(&none).await.is_err() {
            return;
        }
    }
}

/// Streams that are opened and reset at once, a hundred in one breath (CVE-2023-44487); how it ended.
pub async fn resets(siege: &Siege, streams: u32) -> Option<Heard> {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    let cancel = 8_u32.to_be_bytes();
    let places: Vec<u32> = (0..streams).collect();
    for breath in places.chunks(100) {
        let mut bytes = Vec::new();
        for place in breath {
            let stream = 1 + 2 * place;
            bytes.extend(frame(HEADERS, END_HEADERS, stream, &call(ASK)));
            bytes.extend(frame(RST_STREAM, 0, stream, &cancel));
        }
        if raw.write(&bytes).await.is_err() {
            break;
        }
    }
    raw.ends_within(HANGS_UP).await
}

/// Whole questions whose streams are reset as soon as they are sent; how many were.
pub async fn questions_reset(siege: &Siege, streams: u32) -> u32 {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    let cancel = 8_u32.to_be_bytes();
    for place in 0..streams {
        let stream = 1 + 2 * place;
        let mut bytes = frame(HEADERS, END_HEADERS, stream, &call(ASK));
        bytes.extend(frame(DATA, 1, stream, &message(&siege.request())));
        bytes.extend(frame(RST_STREAM, 0, stream, &cancel));
        // It may have been hung up on.
        if raw.write(&bytes).await.is_err() {
            return place;
        }
    }
    streams
}

/// Headers without an end; how it ended.
pub async fn headers(siege: &Siege, frames: u32) -> Option<Heard> {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    let mut bytes = frame(HEADERS, 0, 1, &call(FETCH));
    for place in 0..frames {
        let more = header(&format!("x-{place}"), &"a".repeat(100)).repeat(100);
        bytes.extend(frame(CONTINUATION, 0, 1, &more));
        if bytes.len() > 100_000 {
            // The rest does not matter once the broker has hung up.
            if raw.write(&bytes).await.is_err() {
                break;
            }
            bytes.clear();
        }
    }
    let ended = raw.ends_within(HANGS_UP).await;
    assert!(
        !matches!(ended, Some(Heard::GoAway(0))),
        "ended in good order: {ended:?}"
    );
    ended
}

/// Headers of a call, too many of them but with an end: the call is refused, the connection goes on.
pub async fn too_many_headers(siege: &Siege) {
    let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
    let mut block = call(FETCH);
    block.extend(header("x-more", &"a".repeat(100)).repeat(200));
    let (first, rest) = block.split_at(16_000);
    let mut bytes = frame(HEADERS, 1, 1, first);
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    raw.write(&bytes).await.unwrap();
    raw.request(3, FETCH, &[]).await.unwrap();
    let mut data = false;
    for _ in 0..20 {
        match raw.hear().await {
            Heard::Other(DATA) => {
                data = true;
                break;
            }
            Heard::End | Heard::GoAway(_) => break,
            _ => {}
        }
    }
    assert!(data, "the call after it is not answered");
}

/// Signs of life and settings without end, whose answers are never read; windows that are opened without end.
pub async fn chatter(siege: &Siege, frames: usize) {
    for kind in [PING, SETTINGS, WINDOW_UPDATE] {
        let mut raw = Raw::open(siege.address(), siege.tls(HOG), &[]).await.unwrap();
        let one = match kind {
            PING => frame(PING, 0, 0, &[7; 8]),
            SETTINGS => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
            _ => frame(WINDOW_UPDATE, 0, 0, &100_000_u32.to_be_bytes()),
        };
        for _ in 0..frames.div_ceil(1_000) {
            if raw.write(&one.repeat(1_000)).await.is_err() {
                break;
            }
        }
    }
}

/// Whether an end is the one for who asks too much.
pub fn is_calmed(end: Option<Heard>) -> bool {
    matches!(end, Some(Heard::GoAway(ENHANCE_YOUR_CALM) | Heard::End))
}
