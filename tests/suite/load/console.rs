//! A node's console, as its own process: strangers do what they can, and somebody who has signed in works on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hitmachine_testkit::process::{NodeProcess, free_address};
use hitmachine_tests::site::roles;
use hitmachine_tests::telephone::{PASSWORD, SECRET};
use hitmachine_tests::torture::load::http;
use hitmachine_tests::torture::load::siege::DEADLINE;
use hitmachine_tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PARTNER: &str = "veiligheidshuis";
/// What the process may take more than before; passwords are looked at two at a time, and each takes tens of megabytes.
const MOST_MORE_KB: u64 = 250 * 1024;

/// A serving node with a console, and somebody who has signed in there.
struct Served {
    node: NodeProcess,
    address: SocketAddr,
    cookie: String,
    before_kb: u64,
    _world: World,
}

impl Served {
    async fn begin(seed: u64) -> Self {
        let world = World::new(seed);
        let address = free_address().unwrap();
        let config = world.deployment.node_config(PARTNER);
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{text}\n[console]\nlisten = \"{address}\"\n")).unwrap();
        let cookie = {
            let node = hitmachine_tests::node(&world.deployment, PARTNER, world.address).await;
            for id in ["pietersen", "jansen"] {
                let user = hitmachine_node::accounts::User {
                    id: id.into(),
                    name: format!("{id} van Test"),
                    roles: roles(Some("informatiecoordinator"), false, false),
                };
                node.accounts().add(&user).unwrap();
                node.accounts().set_up(id, PASSWORD, SECRET).unwrap();
            }
            let session = node.accounts().begin_session("pietersen").unwrap();
            format!("__Host-hitmachine-{PARTNER}={}", session.expose_text())
        };
        let node = NodeProcess::start(&world.deployment, PARTNER, world.address).unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < 3 * DEADLINE, "the console does not open");
            sleep(Duration::from_millis(20)).await;
        }
        let mut served = Self {
            node,
            address,
            cookie,
            before_kb: 0,
            _world: world,
        };
        // One sign-in, so that what is kept of it is there before.
        assert_eq!(guess(address, "jansen", 0).await, 422);
        served.before_kb = served.memory("VmRSS:");
        served
    }

    fn memory(&self, of: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.node.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(of)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn peak_kb(&self) -> u64 {
        self.memory("VmHWM:").saturating_sub(self.before_kb)
    }

    /// Somebody at another machine who keeps one connection and opens a page now and then: how many pages came, all on
    /// that one connection.
    async fn works_on(&self, most: Duration) -> u64 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let (begun, mut pages) = (Instant::now(), 0);
        while begun.elapsed() < most {
            let request = format!(
                "GET /account HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\n\r\n",
                self.address, self.cookie
            );
            let page = timeout(DEADLINE, page(&mut stream, &request));
            let page = page.await.expect("no page within the deadline");
            assert!(page.starts_with("HTTP/1.1 200"), "{page}");
            pages += 1;
            sleep(Duration::from_millis(50)).await;
        }
        pages
    }
}

/// Signs in with a wrong password; the status.
async fn guess(address: SocketAddr, user: &str, number: usize) -> u16 {
    let body = format!("user={user}&password=guess-number-{number}");
    let request = format!(
        "POST /sign-in HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = http::say(address, request.as_bytes()).await;
    answer.split(' ').nth(1).unwrap_or("0").parse().unwrap()
}

/// One answer on a connection that stays.
async fn page(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut part = [0; 16 * 1024];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "the connection was closed");
        answer.extend(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse::<usize>().unwrap());
        if body.len() >= length.expect("a page has a length") {
            return text.into_owned();
        }
    }
}

/// Connections, slow and huge requests: who works at another machine keeps the one connection.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_others_from_their_work() {
    let served = Served::begin(821).await;
    let trouble = async {
        let mut held = http::silent(served.address, 800).await;
        http::drip(&mut held, 5).await;
        let heads = http::large_heads(served.address, "/sign-in").await;
        let unread = http::never_reads(served.address, "/sign-in", 150).await;
        // A form and an upload that are much too large, announced or not.
        for (path, announced) in [("/sign-in", true), ("/sign-in", false), ("/screenings/new", true)] {
            let length = if announced {
                "content-length: 50000000".to_owned()
            } else {
                "transfer-encoding: chunked".to_owned()
            };
            let mut request = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n{length}\r\n\r\n"
            )
            .into_bytes();
            for _ in 0..200 {
                if !announced {
                    request.extend(b"ffff\r\n");
                }
                request.extend(vec![b'a'; 0xffff]);
                if !announced {
                    request.extend(b"\r\n");
                }
            }
            let answer = http::say(served.address, &request).await;
            assert!(!answer.starts_with("HTTP/1.1 2"), "{path}: taken");
        }
        drop((held, unread));
        heads
    };
    let (pages, heads) = tokio::join!(served.works_on(Duration::from_secs(6)), trouble);
    assert!(pages >= 10, "{pages} pages");
    assert_eq!(heads, 3);
    let peak = served.peak_kb();
    assert!(peak <= MOST_MORE_KB, "{peak} kB more at its worst");
    assert!(
        http::get(served.address, "/sign-in")
            .await
            .starts_with("HTTP/1.1 200")
    );
    println!("{pages} pages meanwhile; {peak} kB more");
}

/// Two hundred guesses at once, of one account and of names that are none.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_once_take_bounded_memory_and_get_no_further_than_one_by_one() {
    let served = Served::begin(822).await;
    let guesses = async {
        let mut guesses = JoinSet::new();
        for number in 0..200 {
            let user = if number % 2 == 0 {
                "jansen".to_owned()
            } else {
                format!("nobody{number}")
            };
            let address = served.address;
            guesses.spawn(async move {
                let status = guess(address, &user, number).await;
                (user, status)
            });
        }
        guesses.join_all().await
    };
    let (pages, guessed) = tokio::join!(served.works_on(Duration::from_secs(5)), guesses);
    let of = |name: &str, status: u16| {
        let own = guessed.iter().filter(|(user, _)| user.starts_with(name));
        own.filter(|(_, each)| *each == status).count()
    };
    // Wrong, closed for a while, or nobody had time for it; nothing else.
    for name in ["jansen", "nobody"] {
        assert_eq!(
            of(name, 422) + of(name, 429) + of(name, 503),
            100,
            "{name}: {guessed:?}"
        );
    }
    // One of the free attempts was used before; the one that closes the account says so itself.
    assert!(of("jansen", 422) <= 5, "{} guesses looked at", of("jansen", 422));
    let closed = of("jansen", 429) > 0;
    assert!(closed || of("jansen", 503) > 90, "{guessed:?}");
    assert!(pages >= 5, "{pages} pages");
    let peak = served.peak_kb();
    assert!(peak <= MOST_MORE_KB, "{peak} kB more at its worst");
    println!(
        "{} wrong, {} closed, {} busy; {pages} pages; {peak} kB more",
        of("", 422),
        of("", 429),
        of("", 503)
    );
}
