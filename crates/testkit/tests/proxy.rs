//! The proxy does to bytes and connections what it is told, and nothing else.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use hitmachine_testkit::proxy::{Accepting, Direction, Faults, Line, Mischief, Proxy};

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for what should not come to have come.
const WHILE: Duration = Duration::from_millis(150);

/// A proxy before a listener of our own.
fn proxy() -> (Proxy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap(), 1).unwrap();
    (proxy, listener)
}

/// Both ends of a connection through it.
fn connected(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).unwrap();
    let server = listener.accept().unwrap().0;
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server)
}

fn arrives(to: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    to.read_exact(&mut read).unwrap();
    assert_eq!(read, bytes);
}

fn stays_silent(from: &mut TcpStream) {
    from.set_read_timeout(Some(WHILE)).unwrap();
    let kind = from.read(&mut [0]).unwrap_err().kind();
    assert_eq!(kind, io::ErrorKind::WouldBlock);
    from.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn passes_everything_on_in_both_directions_and_the_ends_too() {
    let (proxy, listener) = proxy();
    let (mut client, mut server) = connected(&proxy, &listener);
    let much: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| client.write_all(&much).unwrap());
        arrives(&mut server, &much);
    });
    server.write_all(b"back").unwrap();
    arrives(&mut client, b"back");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    server.write_all(b"still").unwrap();
    arrives(&mut client, b"still");
    drop(server);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let begun = Instant::now();
    while proxy.open() > 0 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(proxy.made(), 1);
    assert_eq!(proxy.passed(Direction::ToServer), much.len() as u64);
    assert_eq!(proxy.passed(Direction::ToClient), 9);
}

#[test]
fn holds_and_lets_go() {
    let (proxy, listener) = proxy();
    let (mut client, mut server) = connected(&proxy, &listener);
    proxy.set(Faults::one_way(Direction::ToServer));
    client.write_all(b"held").unwrap();
    server.write_all(b"passes").unwrap();
    arrives(&mut client, b"passes");
    stays_silent(&mut server);
    proxy.set(Faults::partition());
    server.write_all(b"held too").unwrap();
    stays_silent(&mut client);
    let mut later = TcpStream::connect(proxy.address()).unwrap();
    later.write_all(b"new").unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::sleep(WHILE);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    listener.set_nonblocking(false).unwrap();
    proxy.heal();
    arrives(&mut server, b"held");
    arrives(&mut client, b"held too");
    arrives(&mut listener.accept().unwrap().0, b"new");
}

#[test]
fn refuses_and_comes_back() {
    let (proxy, listener) = proxy();
    proxy.set(Faults {
        accepting: Accepting::Refuse,
        ..Faults::default()
    });
    let begun = Instant::now();
    // One more may have got in before.
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(begun.elapsed() < PATIENCE);
    }
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    proxy.heal();
    while TcpStream::connect(proxy.address()).is_err() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(listener);
}

#[test]
fn ends_connections_in_each_way_and_in_the_middle_of_a_message() {
    for (how, kind) in [
        (Mischief::Reset, Some(io::ErrorKind::ConnectionReset)),
        (Mischief::Close, None),
        (Mischief::HalfClose, None),
    ] {
        let (proxy, listener) = proxy();
        let (mut client, mut server) = connected(&proxy, &listener);
        proxy.plan(Direction::ToServer, 3, how);
        client.write_all(b"abcdef").unwrap();
        let mut read = Vec::new();
        let ended = server.read_to_end(&mut read);
        assert_eq!(ended.err().map(|error| error.kind()), kind, "{how:?}");
        if kind.is_none() {
            assert_eq!(read, b"abc", "{how:?}");
        }
        assert_eq!(proxy.happened(), 1);
        if how == Mischief::HalfClose {
            server.write_all(b"on").unwrap();
            arrives(&mut client, b"on");
            proxy.end_all(Mischief::Reset);
            assert!(client.read(&mut [0]).is_err());
        } else {
            assert_eq!(client.read(&mut [0]).ok().unwrap_or_default(), 0, "{how:?}");
        }
    }
}

#[test]
fn forgets_a_connection_without_a_word_and_lets_new_ones_pass() {
    for planned in [true, false] {
        let (proxy, listener) = proxy();
        let (mut client, mut server) = connected(&proxy, &listener);
        if planned {
            proxy.plan(Direction::ToServer, 2, Mischief::Forget);
            client.write_all(b"abc").unwrap();
            arrives(&mut server, b"ab");
        } else {
            proxy.end_all(Mischief::Forget);
            std::thread::sleep(WHILE);
        }
        for stream in [&mut client, &mut server] {
            stream.write_all(b"lost").unwrap();
        }
        for stream in [&mut client, &mut server] {
            stays_silent(stream);
        }
        proxy.heal();
        stays_silent(&mut server);
        let (mut client, mut server) = connected(&proxy, &listener);
        client.write_all(b"new").unwrap();
        arrives(&mut server, b"new");
    }
    let (proxy, listener) = proxy();
    let (mut client, mut server) = connected(&proxy, &listener);
    proxy.end_all(Mischief::ForgetOneWay);
    std::thread::sleep(WHILE);
    server.write_all(b"lost").unwrap();
    stays_silent(&mut client);
    client.write_all(b"passes").unwrap();
    arrives(&mut server, b"passes");
}

#[test]
fn damages_one_bit() {
    let (proxy, listener) = proxy();
    let (mut client, mut server) = connected(&proxy, &listener);
    proxy.plan(Direction::ToClient, 5_000, Mischief::Corrupt);
    server.write_all(&[0; 9_000]).unwrap();
    let mut read = vec![0; 9_000];
    client.read_exact(&mut read).unwrap();
    let ones: u32 = read.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!((ones, read[5_000].count_ones()), (1, 1));
}

#[test]
fn slow_and_late() {
    let (proxy, listener) = proxy();
    let (mut client, mut server) = connected(&proxy, &listener);
    let late = Duration::from_millis(100);
    proxy.set(Faults::both(Line {
        delay: late,
        jitter: late,
        ..Line::default()
    }));
    let begun = Instant::now();
    for byte in 0..10 {
        client.write_all(&[byte]).unwrap();
    }
    arrives(&mut server, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(begun.elapsed() >= late);
    proxy.set(Faults::slow(40_000));
    let begun = Instant::now();
    client.write_all(&[7; 12_000]).unwrap();
    arrives(&mut server, &[7; 12_000]);
    // The last piece is not waited for.
    assert!(
        begun.elapsed() >= Duration::from_millis(150),
        "{:?}",
        begun.elapsed()
    );
}
