//! The hub of these tests: a broker that publishes at a known address, and what it has published.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hitmachine_audit::tiles::Folder;
use hitmachine_audit::{
    Cosigned, Front, Hash, Policy, QuorumTime, ReadTile, RealDisk, TilePath, leaves_from_bundles,
    verify_published,
};
use hitmachine_testkit::process::{BrokerProcess, free_address, program};
use hitmachine_tests::logbook;
use hitmachine_tests::program::{Said, until};
use hitmachine_tests::world::World;

/// Partners that make a quorum of five.
pub(crate) const QUORUM: [&str; 4] = [
    "leerplicht",
    "schuldhulpverlening",
    "regieteams",
    "om-reclassering",
];
/// Long enough for what takes milliseconds on a machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A broker, and where it publishes its log.
pub(crate) struct Hub {
    pub(crate) broker: BrokerProcess,
    pub(crate) published: SocketAddr,
}

impl Hub {
    pub(crate) fn start(world: &World) -> Self {
        let published = free_address().unwrap();
        let mut command = Command::new(program("hitmachine-broker").unwrap());
        command.env("HITMACHINE_BROKER_AUDIT__PUBLISH_LISTEN", published.to_string());
        Self {
            broker: BrokerProcess::start_with(command, &world.deployment, world.address).unwrap(),
            published,
        }
    }

    /// It must end by itself, because of a partner; what it said since `from` bytes of its log.
    pub(crate) fn ends(mut self, from: usize) -> String {
        assert_eq!(
            self.broker.wait(PATIENCE).unwrap(),
            Some(4),
            "{:?}",
            self.broker.log()
        );
        self.broker.log().unwrap()[from..].to_owned()
    }
}

/// The published log over HTTP.
impl ReadTile for Hub {
    fn read(&self, path: &TilePath) -> io::Result<Option<Vec<u8>>> {
        get(self.published, &path.to_string())
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        get(self.published, "checkpoint")
    }
}

fn get(address: SocketAddr, path: &str) -> io::Result<Option<Vec<u8>>> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]);
    match head.split(' ').nth(1) {
        Some("200") => Ok(Some(answer[end + 4..].to_vec())),
        Some("404") => Ok(None),
        _ => panic!("{head}"),
    }
}

/// The policy of the partners.
pub(crate) fn policy(world: &World) -> Policy {
    Policy::parse(&std::fs::read(world.path("witness-policy.txt")).unwrap()).unwrap()
}

/// Where the broker keeps the published log.
pub(crate) fn tiles(world: &World) -> std::path::PathBuf {
    world.path("broker/data/audit/tiles")
}

/// The published checkpoint, which the log must have signed, and whether partners back it.
pub(crate) fn published(world: &World) -> Option<(Cosigned, QuorumTime)> {
    let note = std::fs::read(tiles(world).join("checkpoint")).ok()?;
    Some(policy(world).open(&note).unwrap())
}

/// Waits until a quorum has cosigned at least `size` entries and that is published.
pub(crate) fn until_published(world: &World, size: u64) {
    until("cosigned and published", || {
        published(world).is_some_and(|(cosigned, quorum)| {
            cosigned.checkpoint.size >= size && matches!(quorum, QuorumTime::Held { .. })
        })
    });
}

/// Asks until the hub answers. Before a quorum has confirmed the log, and before the first round, it may not.
pub(crate) fn ask_when_ready(world: &World, partner: &str) -> Said {
    let mut answered = None;
    until("an answer", || {
        let said = world.ask(partner);
        if said.code == 0 {
            answered = Some(said);
            return true;
        }
        let (_, code) = said.failure();
        let passing = [
            "log_unconfirmed",
            "not_backed",
            "protocol",
            "unreachable",
            "connection_refused",
        ];
        assert!(passing.contains(&code.as_str()), "{said:?}");
        false
    });
    answered.unwrap()
}

/// Checks everything that is published; its root at every size from 0 on.
pub(crate) fn check_published(world: &World) -> Vec<Hash> {
    let folder = Folder(tiles(world));
    let report = verify_published(&folder, &logbook::verifier(&world.deployment), &mut ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    let mut front = Front::new();
    let mut roots = vec![front.root()];
    for leaf in leaves_from_bundles(&tiles(world), &RealDisk, report.checkpoint.size).unwrap() {
        front.push(leaf);
        roots.push(front.root());
    }
    roots
}

/// Puts a copy in the place of a folder.
pub(crate) fn restore(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
