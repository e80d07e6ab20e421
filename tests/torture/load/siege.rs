//! A broker under siege: somebody else asks all the while, and memory is watched.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hitmachine_core::RequestSigner;
use hitmachine_proto::answer::{self, Outcome};
use hitmachine_proto::v1;
use hitmachine_pseudonym::Token;
use hitmachine_service::client::classify;
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::population::AgeClass;
use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use prost::Message;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::program::{metric, replace, until};
use crate::wire::{self, Shared, Wire};
use crate::world::World;

/// Within which a question of somebody else is answered, whatever goes on; also within which there is a new connection.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// So many questions somebody else has answered, each within the deadline, before a siege may end.
pub const LEAST: u64 = 5;
/// What the process may take more than before.
pub const MOST_MORE_KB: u64 = 200 * 1024;
/// The partner that does its worst.
pub const HOG: &str = "regieteams";
/// The partner that only asks.
pub const OTHER: &str = "leerplicht";

/// A broker with small registers, which publishes its log.
pub struct Siege {
    /// The installation.
    pub world: World,
    /// Its broker.
    pub broker: BrokerProcess,
    /// Where its log is published.
    pub published: SocketAddr,
    /// What the nodes know together.
    pub shared: Shared,
    /// Somebody who is known.
    pub token: Token,
    signer: RequestSigner,
    before_kb: u64,
}

/// How it went for somebody who only asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Questions answered.
    pub answered: u64,
    /// The longest wait for one.
    pub longest: Duration,
    /// The usual wait.
    pub median: Duration,
    /// Connections opened meanwhile.
    pub connections: u64,
}

/// Somebody who asks all the while.
pub struct Asking {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Served>,
}

impl Siege {
    /// Starts it.
    pub fn begin(seed: u64) -> Self {
        Self::begin_with(seed, World::broker)
    }

    /// The same with a broker that may have so many files open.
    pub fn with_files(seed: u64, files: u32) -> Self {
        Self::begin_with(seed, |world| {
            let mut command = Command::new("sh");
            let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
            command
                .args(["-c", &limited])
                .arg(program("hitmachine-broker").unwrap());
            let broker = BrokerProcess::start_with(command, &world.deployment, world.address).unwrap();
            until("the broker is ready", || {
                broker.log().unwrap().contains("broker ready")
            });
            broker
        })
    }

    fn begin_with(seed: u64, start: impl FnOnce(&World) -> BrokerProcess) -> Self {
        let world = World::new(seed);
        let published = free_address().unwrap();
        replace(
            &world.deployment.broker_config(),
            "publish_listen = \"127.0.0.1:0\"",
            &format!("publish_listen = \"{published}\""),
        );
        let broker = start(&world);
        world.sync_all();
        let shared = Shared::of(&world.deployment);
        let token = shared.token(world.bsn(AgeClass::Minor));
        let key = world.path(&format!("nodes/{HOG}/request-signing.key"));
        let (_, key) = SecretFile::read(key, Purpose::RequestSigning).unwrap();
        let mut siege = Self {
            signer: RequestSigner::new(&key),
            broker,
            published,
            shared,
            token,
            before_kb: 0,
            world,
        };
        siege.before_kb = siege.memory("VmRSS:");
        siege
    }

    /// Where nodes reach it.
    pub fn address(&self) -> SocketAddr {
        self.world.address
    }

    /// What the certificate of a partner opens.
    pub fn tls(&self, partner: &str) -> Arc<ClientConfig> {
        let dir = self.world.deployment.dir().join("nodes").join(partner);
        wire::of_files(&self.world.deployment, &dir, "node")
    }

    /// A connection of a partner.
    pub async fn wire(&self, partner: &str) -> Wire {
        Wire::of(&self.world.deployment, partner, self.address()).await
    }

    /// A good question of those who may ask for `signalering`.
    pub fn question(&self) -> Vec<u8> {
        wire::bytes(&self.shared.query("signalering", "professional", &self.token))
    }

    /// The same, signed, as it goes over the wire.
    pub fn request(&self) -> Vec<u8> {
        let signed = self.signer.sign(self.question());
        let request = v1::AskRequest {
            query: signed.bytes().to_vec(),
            signature: signed.signature().to_vec(),
            ..v1::AskRequest::default()
        };
        request.encode_to_vec()
    }

    /// Has somebody ask all the while, now and then over a new connection.
    pub async fn others(&self) -> Asking {
        let wire = self.wire(OTHER).await;
        let (address, tls) = (self.address(), self.tls(OTHER));
        let deployment = self.world.deployment.clone();
        let shared = Shared::of(&deployment);
        let token = shared.token(self.world.bsn(AgeClass::Minor));
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut wire = wire;
            let mut served = Served::default();
            let mut waits = Vec::new();
            while (waits.len() as u64) < LEAST || !stopping.load(Ordering::Relaxed) {
                if waits.len() % 5 == 4 {
                    let begun = Instant::now();
                    let opened = connect(address, &tls, begun).await;
                    wire = opened.signing(&deployment, OTHER);
                    served.connections += 1;
                }
                let query = wire::bytes(&shared.query("signalering", "professional", &token));
                let (request, begun) = (wire.request(query, vec![]), Instant::now());
                let response = loop {
                    let asked = timeout(DEADLINE, wire.ask(request.clone())).await;
                    match asked.expect("no answer within the deadline") {
                        Ok(response) => break response,
                        // As a node does: over a new connection, the same question.
                        Err(status) if classify(&status).is_some() => {
                            let opened = connect(address, &tls, begun).await;
                            wire = opened.signing(&deployment, OTHER);
                        }
                        Err(status) => panic!("{status}"),
                    }
                };
                let answer = answer::parse(&response.answers[0].answer).unwrap();
                assert!(matches!(answer.outcome, Outcome::Found(_)), "refused");
                assert!(begun.elapsed() < DEADLINE, "answered after the deadline");
                waits.push(begun.elapsed());
                sleep(Duration::from_millis(200)).await;
            }
            waits.sort_unstable();
            served.answered = waits.len() as u64;
            served.longest = waits.last().copied().unwrap_or_default();
            served.median = waits.get(waits.len() / 2).copied().unwrap_or_default();
            served
        });
        Asking { stop, task }
    }

    /// A figure of the process, in kB.
    fn memory(&self, of: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.broker.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(of)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How much more memory it took at its worst than before, in kB.
    pub fn peak_kb(&self) -> u64 {
        self.memory("VmHWM:").saturating_sub(self.before_kb)
    }

    /// A figure of its metrics page.
    pub fn metric(&self, name: &str) -> u64 {
        metric(&self.broker, name)
    }

    /// Refusals of connections for a reason.
    pub fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!("tls_handshake_failures_total{{reason=\"{reason}\"}}"))
    }

    /// Nothing is left of it: memory stayed within its bound, everybody is answered, and as fast as ever.
    pub async fn is_over(&self, what: &str) {
        let peak = self.peak_kb();
        assert!(peak <= MOST_MORE_KB, "{what}: {peak} kB more at its worst");
        for partner in [OTHER, HOG] {
            let begun = Instant::now();
            let wire = connect(self.address(), &self.tls(partner), begun).await;
            let wire = wire.signing(&self.world.deployment, partner);
            // Whoever did this may still have places to give back.
            loop {
                let asked = timeout(DEADLINE, wire.ask(wire.request(self.question(), vec![]))).await;
                match asked.expect("not as before") {
                    Ok(_) => break,
                    Err(status) if status.code() == Code::ResourceExhausted => {
                        assert!(
                            begun.elapsed() < 3 * DEADLINE,
                            "{what}: {partner} is still refused"
                        );
                        sleep(Duration::from_millis(50)).await;
                    }
                    Err(status) => panic!("{what}: {partner}: {status}"),
                }
            }
        }
    }
}

/// A connection, within the deadline; whoever is turned away tries again.
async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>, begun: Instant) -> Wire {
    loop {
        match Wire::open(address, Arc::clone(tls)).await {
            Ok(wire) => return wire,
            Err(error) => {
                assert!(error.may_pass(), "{error}");
                assert!(
                    begun.elapsed() < DEADLINE,
                    "no connection within the deadline: {error}"
                );
            }
        }
    }
}

impl Asking {
    /// Stops asking, but not before enough was asked; how it went.
    pub async fn end(self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
