//! An installation to work on, with the persons it was made of.

use std::net::SocketAddr;
use std::path::Path;

use hitmachine_service::server::{ServerLimits, ServerMetrics, serve};
use hitmachine_service::tls::{TlsIdentity, server_config};
use hitmachine_testkit::deployment::{Deployment, Recipe};
use hitmachine_testkit::population::{AgeClass, Person, Population, Register};
use hitmachine_testkit::process::{BrokerProcess, NodeProcess, free_address};
use tonic::service::Routes;

use crate::logbook;
use crate::program::{self, Said, assert_holds_none};

/// A deployment in a folder of its own, and where its broker listens.
pub struct World {
    /// What is on the disk.
    pub deployment: Deployment,
    /// Where the broker listens, in each of its starts.
    pub address: SocketAddr,
    /// Everybody in it.
    pub population: Population,
    // Removed with everything in it at the end.
    _dir: tempfile::TempDir,
}

impl World {
    /// Small registers.
    pub fn new(seed: u64) -> Self {
        Self::of_size(seed, 400)
    }

    /// Registers of about so many persons.
    pub fn of_size(seed: u64, persons: usize) -> Self {
        Self::made(seed, persons, false, &[])
    }

    /// Small registers; these partners answer live.
    pub fn live(seed: u64, live: &[&str]) -> Self {
        Self::made(seed, 400, false, live)
    }

    /// Small registers, and a quorum of the partners must witness the log.
    pub fn witnessed(seed: u64) -> Self {
        Self::made(seed, 400, true, &[])
    }

    fn made(seed: u64, persons: usize, witnessed: bool, live: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            seed,
            persons,
            today: crate::today(),
            witnessed,
            live: live.iter().map(ToString::to_string).collect(),
        };
        let deployment = Deployment::create(&dir.path().join("d"), recipe).unwrap();
        let recipe = deployment.recipe();
        Self {
            population: Population::generate(recipe.seed, recipe.today, recipe.persons).unwrap(),
            deployment,
            address: free_address().unwrap(),
            _dir: dir,
        }
    }

    /// Starts the broker and, unless partners must confirm its log first, waits until it answers.
    pub fn broker(&self) -> BrokerProcess {
        let log = self.deployment.dir().join("broker").join("broker.log");
        let starts = || {
            let printed = std::fs::read_to_string(&log).unwrap_or_default();
            printed.matches("broker ready").count()
        };
        let before = starts();
        let broker = BrokerProcess::start(&self.deployment, self.address).unwrap();
        let begun = std::time::Instant::now();
        // A policy that somebody changed by hand may ask for partners; then nobody waits for ever.
        while !self.deployment.recipe().witnessed
            && starts() == before
            && begun.elapsed() < std::time::Duration::from_secs(5)
        {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        broker
    }

    /// Stops the broker; what its log says. Its own messages must name none of these.
    pub fn stop(&self, broker: BrokerProcess, secrets: &[&[u8]]) -> Vec<logbook::Entry> {
        let printed = broker.log().unwrap();
        assert_eq!(broker.stop().unwrap(), Some(0));
        assert_holds_none(&printed, secrets);
        logbook::read(&self.deployment)
    }

    /// The number of somebody of this class.
    pub fn bsn(&self, class: AgeClass) -> &str {
        let mut persons = self.population.persons().iter();
        &persons.find(|person| person.class == class).unwrap().bsn
    }

    /// The adults who are in a register, or those who are not.
    pub fn adults(&self, register: Register, known: bool) -> Vec<&Person> {
        let persons = self.population.persons().iter();
        persons
            .filter(|person| person.class == AgeClass::Adult)
            .filter(|person| person.references.contains_key(&register) == known)
            .collect()
    }

    /// Persons in a register.
    pub fn members(&self, register: Register) -> usize {
        self.population.members(register).count()
    }

    /// Serves something else than a broker with the broker's certificate, until the test ends.
    pub async fn serve_as_hub(&self, routes: Routes) -> SocketAddr {
        let identity = TlsIdentity {
            certificate: self.path("broker/broker.pem"),
            key: self.path("broker/broker.key"),
        };
        let tls = server_config(&identity, &self.path("authority/ca.pem")).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (limits, metrics) = (ServerLimits::default(), ServerMetrics::default());
            let served = serve(listener, tls, routes, &limits, &metrics, std::future::pending());
            served.await.unwrap();
        });
        address
    }

    /// A folder of the deployment.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.deployment.dir().join(name)
    }

    /// A partner's own file.
    pub fn source(&self, register: Register) -> std::path::PathBuf {
        self.deployment.registers().join(register.file_name())
    }

    /// A command of a partner's node, with `--json`.
    pub fn node(&self, partner: &str, arguments: &[&str]) -> Said {
        program::node(&self.deployment, partner, self.address, arguments)
    }

    /// Has a partner's node serve, and witness.
    pub fn serve(&self, partner: &str) -> NodeProcess {
        self.serve_through(partner, self.address)
    }

    /// The same, with something else between it and the broker.
    pub fn serve_through(&self, partner: &str, address: SocketAddr) -> NodeProcess {
        NodeProcess::start(&self.deployment, partner, address).unwrap()
    }

    /// A partner asks about one adult.
    pub fn ask(&self, partner: &str) -> Said {
        let bsn = self.bsn(AgeClass::Adult);
        program::query(&self.deployment, partner, self.address, bsn, &[])
    }

    /// Every register is brought in step; each report's number of persons must be that of the register.
    pub fn sync_all(&self) {
        for register in Register::ALL {
            let said = self.node(register.id(), &["sync"]);
            assert_eq!(said.code, 0, "{register}: {said:?}");
            assert_eq!(said.json()["persons"], self.members(register), "{register}");
        }
    }

    /// The coordinator screens a list.
    pub fn screen(&self, list: &Path) -> Said {
        let arguments = [
            "screen",
            "--yes",
            "--purpose",
            "screening",
            "--role",
            "informatiecoordinator",
        ];
        let more = ["--case", "TOP150", "--user", "pietersen", list.to_str().unwrap()];
        self.node("veiligheidshuis", &[arguments.as_slice(), &more].concat())
    }
}
