//! `hitmachine keys`.

mod seal;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use hitmachine_audit::{LogSigner, NoteSigner, Origin, WitnessName, WitnessSigner};
use hitmachine_core::RequestSigner;
use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, KeyEpoch, NodeKey};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_service::{console, exit};

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key file that only you can read. An existing file is never overwritten.
    New {
        /// The file.
        file: PathBuf,
        /// What the key is for.
        #[arg(long, value_enum)]
        purpose: KeyPurpose,
        /// Key epoch, for a node key and a pepper.
        #[arg(long, default_value_t = 1)]
        epoch: u32,
    },
    /// Show what is public about a key file: the key check value of a node key, the verifier of a log's signing key, of a
    /// witness or of an administrator, the public half of a key that signs requests.
    Show {
        /// The file.
        file: PathBuf,
        /// What the key is for.
        #[arg(long, value_enum)]
        purpose: KeyPurpose,
        /// Deployment id in the covenant, 32 hexadecimal digits; needed for a node key.
        #[arg(long)]
        deployment: Option<DeploymentId>,
        /// Name of the log; needed for a signing key.
        #[arg(long)]
        origin: Option<String>,
        /// Name of the witness, such as partner-b.example/witness, or of the administrator, such as j.jansen; needed for
        /// their keys.
        #[arg(long)]
        name: Option<String>,
    },
    /// Seal the pseudonym key of an epoch that is over: three shares for three persons, of whom any two can unseal it.
    /// One alone knows nothing about the key. The key file stays; destroy it when the shares are handed out.
    Seal {
        /// Key file of the old epoch.
        file: PathBuf,
        /// Folder for the three shares.
        #[arg(long)]
        out: PathBuf,
    },
    /// Put two shares of a sealed key together again, for a privacy officer's search about a person: name the key file
    /// as a past epoch in its configuration, search, and destroy it.
    Unseal {
        /// Two shares.
        #[arg(num_args = 2, required = true)]
        shares: Vec<PathBuf>,
        /// The key file to make.
        #[arg(long)]
        out: PathBuf,
    },
    /// Print a new deployment id for a covenant: 16 random bytes, public.
    DeploymentId,
}

/// What a key is for.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum KeyPurpose {
    /// Pseudonym key, the same at every node.
    NodeKey,
    /// Pepper of the broker.
    Pepper,
    /// Signs the audit log's checkpoints.
    AuditSigning,
    /// Wraps the audit log's period keys.
    AuditWrapping,
    /// Encrypts a node's local state.
    NodeState,
    /// Signs a node's requests; its public half stands in the covenant.
    RequestSigning,
    /// Cosigns the audit log's checkpoints, at a node; its verifier stands in the witness policy.
    Witness,
    /// Signs covenants, at one of their administrators; its verifier stands in the covenant.
    Administrator,
}

impl From<KeyPurpose> for Purpose {
    fn from(purpose: KeyPurpose) -> Self {
        match purpose {
            KeyPurpose::NodeKey => Self::NodeKey,
            KeyPurpose::Pepper => Self::Pepper,
            KeyPurpose::AuditSigning => Self::AuditSigning,
            KeyPurpose::AuditWrapping => Self::AuditWrapping,
            KeyPurpose::NodeState => Self::NodeState,
            KeyPurpose::RequestSigning => Self::RequestSigning,
            KeyPurpose::Witness => Self::Witness,
            KeyPurpose::Administrator => Self::Administrator,
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::New { file, purpose, epoch } => {
            let number = match purpose {
                KeyPurpose::NodeKey | KeyPurpose::Pepper => KeyEpoch::new(*epoch)
                    .ok_or_else(|| Failure::new("epochs count from 1", exit::USAGE))?
                    .get(),
                _ => 0,
            };
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            let written = SecretFile::write_new(file, (*purpose).into(), number, &key);
            key.fill(0);
            written.map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            console::print_line(format_args!("{} written", file.display()));
        }
        Command::Show {
            file,
            purpose,
            deployment,
            origin,
            name,
        } => {
            let read = SecretFile::read(file, (*purpose).into());
            let (number, key) = read.map_err(|error| Failure::from_error(&error, exit::USAGE))?;
            match (purpose, deployment, origin.as_ref().or(name.as_ref())) {
                (KeyPurpose::NodeKey, Some(deployment), _) => {
                    let epoch = KeyEpoch::new(number)
                        .ok_or_else(|| Failure::new("the key file has no epoch", exit::USAGE))?;
                    let key = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(*key), *deployment, epoch);
                    console::print_line(format_args!(
                        "key epoch {number}, key check value {}",
                        key.key_check_value()
                    ));
                }
                (KeyPurpose::AuditSigning, _, Some(origin)) => {
                    let origin = Origin::new(origin.clone())
                        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
                    console::print_line(LogSigner::new(origin, &key).verifier());
                }
                (KeyPurpose::Witness, _, Some(name)) => {
                    let name = WitnessName::new(name.as_str())
                        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
                    console::print_line(WitnessSigner::new(name, &key).verifier());
                }
                (KeyPurpose::Administrator, _, Some(name)) => {
                    let signer = NoteSigner::new(name.as_str(), &key)
                        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
                    console::print_line(signer.verifier());
                }
                (KeyPurpose::Administrator, _, None) => {
                    return Err(Failure::new(
                        "an administrator's verifier needs --name",
                        exit::USAGE,
                    ));
                }
                (KeyPurpose::RequestSigning, ..) => console::print_line(RequestSigner::new(&key).key()),
                (KeyPurpose::Witness, _, None) => {
                    return Err(Failure::new("a witness's verifier needs --name", exit::USAGE));
                }
                (KeyPurpose::NodeKey, None, _) => {
                    return Err(Failure::new(
                        "a node key's check value needs --deployment",
                        exit::USAGE,
                    ));
                }
                (KeyPurpose::AuditSigning, _, None) => {
                    return Err(Failure::new(
                        "a signing key's verifier needs --origin",
                        exit::USAGE,
                    ));
                }
                _ => console::print_line(format_args!(
                    "a {} key file, number {number}; nothing about it is public",
                    Purpose::from(*purpose)
                )),
            }
        }
        Command::Seal { file, out } => {
            let (epoch, key) = SecretFile::read(file, Purpose::NodeKey)
                .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
            let written =
                seal::seal(epoch, &key, out).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            for path in written {
                console::print_line(format_args!("{} written", path.display()));
            }
            console::print_line(format_args!(
                "hand each to another person; any two can unseal it. Then destroy {}",
                file.display()
            ));
        }
        Command::Unseal { shares, out } => {
            let [a, b] = shares.as_slice() else {
                return Err(Failure::new("two shares are needed", exit::USAGE));
            };
            let (epoch, key) =
                seal::unseal([a, b]).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            SecretFile::write_new(out, Purpose::NodeKey, epoch, &key)
                .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            console::print_line(format_args!("{} written, of key epoch {epoch}", out.display()));
        }
        Command::DeploymentId => {
            let id = DeploymentId::generate().map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
            console::print_line(id);
        }
    }
    Ok(())
}
