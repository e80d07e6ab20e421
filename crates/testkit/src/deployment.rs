//! A whole installation in one folder: keys, certificates, covenant, configurations and made-up registers.
//!
//! ```text
//! deployment.toml        what it was made with
//! covenant.toml
//! covenant.toml.sig      signatures of its administrators
//! administrators/        their keys
//! witness-policy.txt
//! authority/             the test authority
//! registers/             the partners' files and the screening list
//! broker/                broker.toml, certificate, keys, data
//! nodes/<partner>/       node.toml, certificate, keys, state
//! ```
//!
//! The demo and the tests run real programs on it; nothing in it is for production.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use hitmachine_audit::{LogSigner, NoteError, NoteSigner, Origin, Policy, WitnessSigner};
use hitmachine_core::covenant::acceptance::signed_text;
use hitmachine_core::{Covenant, CovenantError, RequestSigner};
use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey, Pepper};
use hitmachine_service::secret::{Purpose, SecretError, SecretFile};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::pki::{CertificateUsage, IssueOptions, PkiError, TestAuthority, test_oin};
use crate::population::{Population, PopulationError, PopulationFiles, Register, TextEncoding};

/// Name in the broker's certificate.
pub const BROKER_NAME: &str = "broker.hitmachine.example";
/// Name of the broker's log.
pub const LOG_ORIGIN: &str = "hitmachine.example/broker/audit/1";
/// Short name of the Veiligheidshuis, which only asks.
pub const COORDINATOR: &str = "veiligheidshuis";
/// The covenant's administrators, of whom two must sign it.
pub const ADMINISTRATORS: [&str; 3] = ["ann", "bob", "cas"];
/// How long its certificates are valid, in days.
const CERTIFICATE_DAYS: u16 = 730;

/// What a deployment is made with; kept in it, so that a second run knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Seed of the made-up persons.
    pub seed: u64,
    /// Persons per register, about.
    pub persons: usize,
    /// The day that ages were computed for.
    pub today: Date,
    /// Whether a quorum of the partners must witness the log. Without it a broker answers by itself.
    #[serde(default)]
    pub witnessed: bool,
    /// Partners that answer live instead of from the index, by their short names.
    #[serde(default)]
    pub live: Vec<String>,
}

/// Why a deployment could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeploymentError {
    /// A file or folder.
    #[error("cannot write {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The folder holds something else.
    #[error("{} holds something that is not a deployment; name another folder", .0.display())]
    NotADeployment(PathBuf),
    /// Persons cannot be made up.
    #[error(transparent)]
    Population(#[from] PopulationError),
    /// Certificates cannot be made.
    #[error("certificates cannot be made")]
    Pki(#[from] PkiError),
    /// Key files cannot be made.
    #[error("keys cannot be made")]
    Secret(#[from] SecretError),
    /// The covenant cannot be signed.
    #[error("the covenant cannot be signed")]
    Note(#[from] NoteError),
    /// The covenant is none.
    #[error("the covenant is none")]
    Covenant(#[from] CovenantError),
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random,
}

/// A deployment on disk.
#[derive(Clone, Debug)]
pub struct Deployment {
    dir: PathBuf,
    recipe: Recipe,
}

fn folder(path: &Path) -> Result<(), DeploymentError> {
    fs::create_dir_all(path).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> DeploymentError {
    DeploymentError::Io {
        path: path.to_owned(),
        source,
    }
}

/// The file with the recipe, while the rest is being made and after.
const BEGUN: &str = "deployment.begun.toml";
const WHOLE: &str = "deployment.toml";

fn recipe_in(path: &Path) -> Option<Recipe> {
    toml::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// What the covenant says of one partner.
struct Member {
    id: &'static str,
    name: &'static str,
    domain: &'static str,
    contact: &'static str,
    registers: &'static [&'static str],
    source: Option<Register>,
}

const MEMBERS: [Member; 5] = [
    Member {
        id: COORDINATOR,
        name: "Zorg- en Veiligheidshuis",
        domain: "veiligheidshuis",
        contact: "informatiecoördinator, 024 000 00 00",
        registers: &[],
        source: None,
    },
    Member {
        id: "leerplicht",
        name: "Leerplicht",
        domain: "gemeente",
        contact: "bureau leerplicht, 024 000 00 01",
        registers: &["minor"],
        source: Some(Register::Leerplicht),
    },
    Member {
        id: "schuldhulpverlening",
        name: "Schuldhulpverlening",
        domain: "gemeente",
        contact: "team schuldhulp, 024 000 00 02",
        registers: &["adult"],
        source: Some(Register::Schuldhulpverlening),
    },
    Member {
        id: "regieteams",
        name: "Regieteams",
        domain: "gemeente",
        contact: "regieteam van de wijk, 024 000 00 03",
        registers: &["minor", "adult"],
        source: Some(Register::Regieteams),
    },
    Member {
        id: "om-reclassering",
        name: "OM/reclassering",
        domain: "strafrecht",
        contact: "ZSM-tafel, 024 000 00 04",
        registers: &["minor", "adult"],
        source: Some(Register::OmReclassering),
    },
];

impl Deployment {
    /// Makes everything in `dir`, which must be empty or not there.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub fn create(dir: &Path, recipe: Recipe) -> Result<Self, DeploymentError> {
        fs::create_dir_all(dir).map_err(|source| io_error(dir, source))?;
        // Absolute, so that the configurations work from everywhere.
        let dir = dir.canonicalize().map_err(|source| io_error(dir, source))?;
        if fs::read_dir(&dir)
            .map_err(|source| io_error(&dir, source))?
            .next()
            .is_some()
        {
            return Err(DeploymentError::NotADeployment(dir));
        }
        let made = Self { dir, recipe };
        let text = toml::to_string(&made.recipe).unwrap_or_default();
        made.write(BEGUN, &text)?;
        let population = Population::generate(made.recipe.seed, made.recipe.today, made.recipe.persons)?;
        let registers = made.dir.join("registers");
        folder(&registers)?;
        let files = population
            .write(&registers)
            .map_err(|source| io_error(&registers, source))?;
        made.write_installation(&population, &files)?;
        // Last: a folder with this file is whole.
        let whole = made.dir.join(WHOLE);
        fs::rename(made.dir.join(BEGUN), &whole).map_err(|source| io_error(&whole, source))?;
        Ok(made)
    }

    /// Opens what [`Deployment::create`] made.
    ///
    /// # Errors
    /// [`DeploymentError::NotADeployment`].
    pub fn open(dir: &Path) -> Result<Self, DeploymentError> {
        let not_one = || DeploymentError::NotADeployment(dir.to_owned());
        let recipe = recipe_in(&dir.join(WHOLE)).ok_or_else(not_one)?;
        let dir = dir.canonicalize().map_err(|_| not_one())?;
        Ok(Self { dir, recipe })
    }

    /// Whether `dir` holds a deployment, whole or half made: something that may be removed to start afresh.
    pub fn is_in(dir: &Path) -> bool {
        // The file's name alone says nothing: others have such files too.
        [WHOLE, BEGUN]
            .into_iter()
            .any(|name| recipe_in(&dir.join(name)).is_some())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it was made with.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Partners that register persons, in the covenant's order.
    pub fn registering(&self) -> impl Iterator<Item = &'static str> {
        MEMBERS
            .iter()
            .filter(|member| member.source.is_some())
            .map(|member| member.id)
    }

    /// Where the partners' files and the list are.
    pub fn registers(&self) -> PathBuf {
        self.dir.join("registers")
    }

    /// The broker's configuration.
    pub fn broker_config(&self) -> PathBuf {
        self.dir.join("broker").join("broker.toml")
    }

    /// A partner's configuration.
    pub fn node_config(&self, partner: &str) -> PathBuf {
        self.dir.join("nodes").join(partner).join("node.toml")
    }

    /// The covenant.
    pub fn covenant(&self) -> PathBuf {
        self.dir.join("covenant.toml")
    }

    /// The signatures on the covenant.
    pub fn covenant_signatures(&self) -> PathBuf {
        self.dir.join("covenant.toml.sig")
    }

    /// The key file of one of [`ADMINISTRATORS`].
    pub fn administrator_key(&self, name: &str) -> PathBuf {
        self.dir.join("administrators").join(format!("{name}.key"))
    }

    /// Has these administrators sign the covenant as it is now, and nobody else.
    ///
    /// # Errors
    /// [`DeploymentError`].
    pub fn sign_covenant(&self, by: &[&str]) -> Result<(), DeploymentError> {
        let path = self.covenant();
        let file = fs::read(&path).map_err(|source| io_error(&path, source))?;
        let text = signed_text(&Covenant::parse(&file)?);
        let mut note: Option<Vec<u8>> = None;
        for name in by {
            let (_, key) = SecretFile::read(self.administrator_key(name), Purpose::Administrator)?;
            note = Some(NoteSigner::new(*name, &key)?.sign(&text, note.as_deref())?);
        }
        let path = self.covenant_signatures();
        fs::write(&path, note.unwrap_or_default()).map_err(|source| io_error(&path, source))
    }

    /// The authority that issued its certificates.
    ///
    /// # Errors
    /// [`DeploymentError::Pki`].
    pub fn authority(&self) -> Result<TestAuthority, DeploymentError> {
        Ok(TestAuthority::load(&self.dir.join("authority"))?)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), DeploymentError> {
        let path = self.dir.join(name);
        fs::write(&path, text).map_err(|source| io_error(&path, source))
    }

    fn write_installation(
        &self,
        population: &Population,
        files: &PopulationFiles,
    ) -> Result<(), DeploymentError> {
        let now = Timestamp::now();
        folder(&self.dir.join("authority"))?;
        let authority = TestAuthority::new("Hitmachine demo authority")?;
        authority.save(&self.dir.join("authority"))?;
        let deployment = DeploymentId::generate().map_err(|_| DeploymentError::Random)?;
        let request_keys = MEMBERS.iter().map(|_| random()).collect::<Result<Vec<_>, _>>()?;
        folder(&self.dir.join("administrators"))?;
        let mut administrators = Vec::new();
        for name in ADMINISTRATORS {
            let key = random()?;
            SecretFile::write_new(&self.administrator_key(name), Purpose::Administrator, 0, &key)?;
            administrators.push(NoteSigner::new(name, &key)?.verifier().to_string());
        }
        self.write(
            "covenant.toml",
            &covenant(deployment, &request_keys, &administrators, &self.recipe.live),
        )?;
        self.sign_covenant(&ADMINISTRATORS[..2])?;

        let broker = self.dir.join("broker");
        folder(&broker)?;
        let node_key = NodeKey::generate().map_err(|_| DeploymentError::Random)?;
        let kcv = HmacSha256Pseudonymiser::new(
            NodeKey::from_bytes(*node_key.expose_secret()),
            deployment,
            KeyEpoch::FIRST,
        )
        .key_check_value();
        let pepper = Pepper::generate().map_err(|_| DeploymentError::Random)?;
        SecretFile::write_new(
            &broker.join("pepper.key"),
            Purpose::Pepper,
            1,
            pepper.expose_secret(),
        )?;
        let signing = random()?;
        SecretFile::write_new(
            &broker.join("audit-signing.key"),
            Purpose::AuditSigning,
            0,
            &signing,
        )?;
        SecretFile::write_new(
            &broker.join("audit-wrapping.key"),
            Purpose::AuditWrapping,
            0,
            &random()?,
        )?;
        let certificate = IssueOptions {
            organisation: "Hitmachine demo".into(),
            common_name: BROKER_NAME.into(),
            oin: Some(test_oin(1)),
            dns_names: vec![BROKER_NAME.into()],
            ip_addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            not_before: now.checked_sub(1.hour()).unwrap_or(now),
            not_after: now
                .checked_add((i64::from(CERTIFICATE_DAYS) * 24).hours())
                .unwrap_or(now),
            usage: CertificateUsage::ClientAndServer,
        };
        authority.issue(&certificate)?.save(&broker, "broker")?;
        self.write(
            "broker/broker.toml",
            &broker_config(&kcv.to_string(), &administrators),
        )?;

        let origin = Origin::new(LOG_ORIGIN).map_err(|_| DeploymentError::Random)?;
        let verifier = LogSigner::new(origin, &signing).verifier().to_string();
        let witness_keys = MEMBERS.iter().map(|_| random()).collect::<Result<Vec<_>, _>>()?;
        let log = LogSigner::new(
            Origin::new(LOG_ORIGIN).map_err(|_| DeploymentError::Random)?,
            &signing,
        );
        self.write(
            "witness-policy.txt",
            &policy(&log, &witness_keys, self.recipe.witnessed)?,
        )?;
        for (member, key) in MEMBERS.iter().zip(&witness_keys) {
            let dir = self.dir.join("nodes").join(member.id);
            folder(&dir)?;
            SecretFile::write_new(&dir.join("witness.key"), Purpose::Witness, 0, key)?;
        }
        for ((member, n), request_key) in MEMBERS.iter().zip(10u64..).zip(&request_keys) {
            let dir = self.dir.join("nodes").join(member.id);
            folder(&dir)?;
            let options = IssueOptions::partner(member.name, &test_oin(n), now, CERTIFICATE_DAYS);
            authority.issue(&options)?.save(&dir, "node")?;
            SecretFile::write_new(
                &dir.join("node-key.key"),
                Purpose::NodeKey,
                1,
                node_key.expose_secret(),
            )?;
            SecretFile::write_new(&dir.join("node-state.key"), Purpose::NodeState, 0, &random()?)?;
            let file = dir.join("request-signing.key");
            SecretFile::write_new(&file, Purpose::RequestSigning, 0, request_key)?;
            let text = node_config(member, deployment, population, files, &verifier, &administrators);
            self.write(&format!("nodes/{}/node.toml", member.id), &text)?;
        }
        Ok(())
    }
}

/// Name of a partner's witness.
pub fn witness_name(partner: &str) -> String {
    format!("hitmachine.example/{partner}/witness")
}

/// The witness policy: all partners, with a quorum of them or without.
fn policy(log: &LogSigner, keys: &[[u8; 32]], witnessed: bool) -> Result<String, DeploymentError> {
    if !witnessed {
        return Ok(format!("log {}\nquorum none\n", log.verifier()));
    }
    let witnesses = MEMBERS.iter().zip(keys).map(|(member, key)| {
        let name = witness_name(member.id)
            .parse()
            .map_err(|_| DeploymentError::Random)?;
        Ok(WitnessSigner::new(name, key).verifier())
    });
    let witnesses = witnesses.collect::<Result<Vec<_>, DeploymentError>>()?;
    Policy::generate(&log.verifier(), &witnesses).map_err(|_| DeploymentError::Random)
}

fn random() -> Result<[u8; 32], DeploymentError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| DeploymentError::Random)?;
    Ok(bytes)
}

fn covenant(
    deployment: DeploymentId,
    request_keys: &[[u8; 32]],
    administrators: &[String],
    live: &[String],
) -> String {
    let mut text = format!(
        r#"# The demo's covenant. Made-up organisations and numbers.
format = 1
id = "zvh-demo"
title = "Convenant Zorg- en Veiligheidshuis (demo)"
version = 1
valid_from = "2020-01-01"
valid_until = "2099-12-31"

[deployment]
id = "{deployment}"
kind = "demo"

[administrators]
needed = 2
keys = {administrators:?}
"#
    );
    for ((member, n), key) in MEMBERS.iter().zip(10u64..).zip(request_keys) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
[[partner]]
id = "{}"
name = "{}"
oin = "{}"
domain = "{}"
contact = "{}"
answers = "{}"
registers = {:?}
registration_days = 365
stale_after_hours = 72
signing_keys = ["{}"]
"#,
            member.id,
            member.name,
            test_oin(n),
            member.domain,
            member.contact,
            if live.iter().any(|id| id == member.id) {
                "live"
            } else {
                "index"
            },
            member.registers,
            RequestSigner::new(key).key(),
        );
    }
    text.push_str(
        r#"
[[purpose]]
code = "screening"
title = "Screening van de Top-150"
legal_basis = "Wet gegevensverwerking door samenwerkingsverbanden"
processing_activity = "https://register.hitmachine.example/v1/activities/screening"
askers = ["veiligheidshuis"]
roles = ["informatiecoordinator"]
consults = ["leerplicht", "schuldhulpverlening", "regieteams", "om-reclassering"]
notifies = ["leerplicht", "schuldhulpverlening", "regieteams", "om-reclassering"]
log_retention_months = 60
max_subjects = 16

[[purpose]]
code = "signalering"
title = "Vermoeden van complexe problematiek"
legal_basis = "Wet gegevensverwerking door samenwerkingsverbanden"
processing_activity = "https://register.hitmachine.example/v1/activities/signalering"
askers = ["leerplicht", "schuldhulpverlening", "regieteams"]
roles = ["professional"]
consults = ["leerplicht", "schuldhulpverlening", "regieteams"]
notifies = ["leerplicht", "schuldhulpverlening", "regieteams"]
log_retention_months = 60
max_subjects = 8

[[officer]]
partner = "veiligheidshuis"
roles = ["privacyfunctionaris"]
log_retention_months = 60

# At night and at weekends, and with whole lists at once: a demo must not alarm for that.
[alarms]
usual_hours = ["00:00", "23:59"]
volume_least = 1000000
"#,
    );
    text
}

fn broker_config(key_check_value: &str, administrators: &[String]) -> String {
    format!(
        r#"# The demo's broker. Port 0 takes any free port.
listen = "127.0.0.1:0"
covenant = "../covenant.toml"
covenant_administrators = {{ needed = 2, keys = {administrators:?} }}
covenant_check_seconds = 1
data_dir = "data"

[tls]
certificate = "broker.pem"
key = "broker.key"
authority = "../authority/ca.pem"

[epoch]
number = 1
scheme = "hmac-sha256"
key_check_value = "{key_check_value}"
pepper = "pepper.key"

[audit]
origin = "{LOG_ORIGIN}"
signing_key = "audit-signing.key"
wrapping_key = "audit-wrapping.key"
keys_dir = "audit-keys"
policy = "../witness-policy.txt"
publish_listen = "127.0.0.1:0"
segment_mib = 16

[metrics]
listen = "127.0.0.1:0"
"#
    )
}

fn node_config(
    member: &Member,
    deployment: DeploymentId,
    population: &Population,
    files: &PopulationFiles,
    verifier: &str,
    administrators: &[String],
) -> String {
    let mut text = format!(
        r#"# The demo's node of {name}.
partner = "{id}"
state_dir = "state"
state_key = "node-state.key"
signing_key = "request-signing.key"
covenant_administrators = {{ needed = 2, keys = {administrators:?} }}
covenant_check_seconds = 2

[broker]
address = "127.0.0.1:7443"
server_name = "{BROKER_NAME}"

[tls]
certificate = "node.pem"
key = "node.key"
authority = "../../authority/ca.pem"

[deployment]
id = "{deployment}"
kind = "demo"
test_bsn_prefixes = {prefixes:?}

[epoch]
number = 1
scheme = "hmac-sha256"
key = "node-key.key"
next_key = "next-node-key.key"

[audit]
verifier = "{verifier}"
policy = "../../witness-policy.txt"

[audit.witness]
name = "{witness}"
key = "witness.key"

[sync]
every_minutes = 60
watch_seconds = 2
"#,
        name = member.name,
        id = member.id,
        witness = witness_name(member.id),
        prefixes = population.prefixes(),
    );
    if let Some(file) = member.source.and_then(|register| files.registers.get(&register)) {
        let style = file.style;
        let delimiter = if style.delimiter == '\t' {
            "\\t".to_owned()
        } else {
            style.delimiter.to_string()
        };
        let name = file
            .path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let encoding = match style.encoding {
            TextEncoding::Windows1252 => "windows-1252",
            _ => "utf-8",
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"
[[source]]
path = "../../registers/{name}"
delimiter = "{delimiter}"
encoding = "{encoding}"

[source.columns]
identifier = "{}"
numeric = {}
birth_date = "{}"
reference = "{}"
"#,
            style.bsn_column, style.numeric_bsn, style.birth_date_column, style.reference_column,
        );
    }
    text
}

/// A deployment's parts by name, for those that look at all files.
pub fn key_files(deployment: &Deployment) -> BTreeMap<String, PathBuf> {
    let broker = deployment.dir.join("broker");
    let mut files: BTreeMap<String, PathBuf> = ["pepper", "audit-signing", "audit-wrapping"]
        .into_iter()
        .map(|name| (name.to_owned(), broker.join(format!("{name}.key"))))
        .collect();
    for member in &MEMBERS {
        let dir = deployment.dir.join("nodes").join(member.id);
        for name in ["node-key", "node-state"] {
            files.insert(format!("{}/{name}", member.id), dir.join(format!("{name}.key")));
        }
    }
    files
}
