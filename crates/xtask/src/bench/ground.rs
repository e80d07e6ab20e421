//! The installation that most of it is measured on: a real broker, nodes, and one large register.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hitmachine_node::Node;
use hitmachine_node::ask::Question;
use hitmachine_testkit::deployment::{ADMINISTRATORS, COORDINATOR, Deployment, Recipe};
use hitmachine_testkit::population::{Register, SourceStyle, large_register};
use hitmachine_testkit::process::{BrokerProcess, free_address, node_command};
use hitmachine_tests::{node, program, screening, today};

use super::drive::Asking;
use super::machine::memory;

/// The partner with the large register.
pub(crate) const LARGE: &str = "om-reclassering";
/// Persons that questions are about: half of them are in the large register, half in none.
const ASKED: usize = 1_000;
/// Most persons in one question, as much as a covenant can grant.
pub(crate) const MOST_SUBJECTS: usize = 64;

/// The installation; the broker runs.
pub(crate) struct Ground {
    pub(crate) deployment: Deployment,
    pub(crate) broker: BrokerProcess,
    /// What the large register may have below its heading: at first so many, then those that come, then those that nobody
    /// ever knows.
    rows: Vec<String>,
    persons: usize,
    style: SourceStyle,
}

/// What a sync did.
pub(crate) struct Synced {
    pub(crate) seconds: f64,
    /// Reading, pseudonyms, the rest.
    pub(crate) parts: [f64; 3],
    pub(crate) registered: u64,
    pub(crate) withdrawn: u64,
    /// The most memory of the node.
    pub(crate) peak: u64,
}

/// How many of so many come, and as many go, when a hundredth changes.
fn changing(persons: usize) -> usize {
    persons / 200
}

/// A small installation in `dir`, without the large register.
pub(crate) fn deployment(dir: &Path, live: &[String]) -> Deployment {
    // Registers of more than about 5,600 persons use the wide test range, as the large one does.
    let recipe = Recipe {
        seed: 1,
        persons: 6_000,
        today: today(),
        witnessed: false,
        live: live.to_vec(),
    };
    let deployment = Deployment::create(dir, recipe).unwrap();
    let covenant = deployment.covenant();
    program::replace(
        &covenant,
        "max_subjects = 16",
        &format!("max_subjects = {MOST_SUBJECTS}"),
    );
    deployment.sign_covenant(&ADMINISTRATORS[..2]).unwrap();
    deployment
}

impl Ground {
    /// Makes one in `dir` whose large register has so many persons, and starts its broker.
    pub(crate) fn new(dir: &Path, persons: usize) -> Self {
        let deployment = deployment(dir, &[]);
        let path = deployment.registers().join(Register::OmReclassering.file_name());
        let more = changing(persons) + ASKED;
        let style = large_register(&path, persons + more, 1, &["9"]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let rows = text.lines().skip(1).map(str::to_owned).collect();
        let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
        let ground = Self {
            deployment,
            broker,
            rows,
            persons,
            style,
        };
        ground.configure();
        ground.write_rows(0..persons);
        ground
    }

    fn configure(&self) {
        let config = self.deployment.node_config(LARGE);
        let text = fs::read_to_string(&config).unwrap();
        let head = text.split("[[source]]").next().unwrap();
        let style = &self.style;
        let source = format!(
            "[[source]]\npath = \"../../registers/{}\"\ndelimiter = \"{}\"\n\n[source.columns]\nidentifier = \"{}\"\n\
             numeric = {}\nbirth_date = \"{}\"\nreference = \"{}\"\n",
            Register::OmReclassering.file_name(),
            style.delimiter.escape_default(),
            style.bsn_column,
            style.numeric_bsn,
            style.birth_date_column,
            style.reference_column
        );
        fs::write(config, format!("{head}{source}")).unwrap();
    }

    /// The large register's file.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.deployment
            .registers()
            .join(Register::OmReclassering.file_name())
    }

    /// Has a hundredth of the file change: some go, and as many come. How many.
    pub(crate) fn change(&self) -> u64 {
        let changing = changing(self.persons);
        self.write_rows(changing..self.persons + changing);
        changing as u64
    }

    /// Has the file hold these rows and no others.
    fn write_rows(&self, rows: std::ops::Range<usize>) {
        let heading = [
            self.style.bsn_column,
            self.style.birth_date_column,
            self.style.reference_column,
        ];
        let delimiter = self.style.delimiter.to_string();
        let mut text = heading.join(&delimiter);
        for row in &self.rows[rows] {
            text.push('\n');
            text.push_str(row);
        }
        text.push('\n');
        fs::write(self.file(), text).unwrap();
    }

    /// Where the broker listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// The real program brings its register in step.
    pub(crate) fn sync(&self, partner: &str) -> Synced {
        let mut command = node_command(&self.deployment, partner, self.address()).unwrap();
        let begun = Instant::now();
        let mut child = command
            .args(["--json", "sync"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            peak = peak.max(memory(child.id()).1);
            std::thread::sleep(Duration::from_millis(5));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the sync of {partner} failed");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let part = |place: usize| report["seconds"][place].as_f64().unwrap();
        Synced {
            seconds,
            parts: [part(0), part(1), part(2)],
            registered: report["registered"].as_u64().unwrap(),
            withdrawn: report["withdrawn"].as_u64().unwrap(),
            peak,
        }
    }

    /// All registers, the large one too.
    pub(crate) fn sync_all(&self) {
        for partner in self.deployment.registering() {
            self.sync(partner);
        }
    }

    /// The coordinator's node, in this process.
    pub(crate) async fn coordinator(&self) -> Arc<Node> {
        Arc::new(node(&self.deployment, COORDINATOR, self.address()).await)
    }

    /// Numbers of persons, one known and one not in turn.
    pub(crate) fn asked(&self) -> Vec<String> {
        let number = |row: &String| {
            let number = row.split(self.style.delimiter).next();
            number.unwrap_or_default().to_owned()
        };
        let changing = changing(self.persons);
        // Those that stay.
        let known = self.rows[changing..self.persons]
            .iter()
            .step_by(self.persons / ASKED);
        let unknown = self.rows[self.persons + changing..].iter();
        let pairs = known.zip(unknown).take(ASKED / 2);
        pairs.flat_map(|pair| [number(pair.0), number(pair.1)]).collect()
    }

    /// Questions about one person each, of this node.
    pub(crate) fn questions(&self, node: &Node) -> Arc<Vec<Question>> {
        let asked = self.asked();
        Arc::new(
            asked
                .iter()
                .map(|bsn| screening(node, bsn, "1980-01-01"))
                .collect(),
        )
    }
}

/// Asks with a node in this process; each answer is verified, and its log head durable, before the next.
pub(crate) fn asker(
    node: &Arc<Node>,
    questions: &Arc<Vec<Question>>,
) -> impl Fn(usize) -> Asking + Clone + Send + 'static {
    let (node, questions) = (Arc::clone(node), Arc::clone(questions));
    let next = Arc::new(AtomicUsize::new(0));
    move |_| {
        let (node, questions) = (Arc::clone(&node), Arc::clone(&questions));
        let question = next.fetch_add(1, Ordering::Relaxed) % questions.len();
        Box::pin(async move {
            node.inquirer().ask(&questions[question]).await.unwrap();
        })
    }
}
