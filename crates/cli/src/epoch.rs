//! `hitmachine epoch`: guides a person through a change of key epoch.

mod text;

use std::fmt::Write as _;
use std::fs;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hitmachine_broker::BrokerConfig;
use hitmachine_broker::config::{EpochSection, NextEpochSection};
use hitmachine_broker::control::{EpochsView, Reply, Request, call};
use hitmachine_node::language::Language;
use hitmachine_pseudonym::{DeploymentId, HmacSha256Pseudonymiser, KeyCheckValue, KeyEpoch, NodeKey, Scheme};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_service::{console, exit};

use crate::Failure;

/// What every step needs.
#[derive(Args)]
pub(crate) struct Common {
    /// Configuration file of the broker, which must be running on this machine.
    #[arg(
        long,
        env = "HITMACHINE_BROKER_CONFIG",
        default_value = "/etc/hitmachine/broker.toml"
    )]
    config: PathBuf,
    /// Language of texts for people; the machine's own if absent.
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Print JSON for machines; does not ask.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Step 1, at whoever keeps the nodes' keys and never at the hub: make the pseudonym key of the next epoch.
    Key {
        /// The new key file.
        file: PathBuf,
        /// Number of the next epoch.
        #[arg(long)]
        number: u32,
        /// Deployment id in the covenant, 32 hexadecimal digits.
        #[arg(long)]
        deployment: DeploymentId,
        /// Language of texts for people; the machine's own if absent.
        #[arg(long, value_enum)]
        lang: Option<Language>,
        /// Print JSON for machines.
        #[arg(long)]
        json: bool,
    },
    /// Step 2, at the hub: make the next pepper, add the epoch to the configuration, and have the running broker take
    /// it up.
    Prepare {
        #[command(flatten)]
        common: Common,
        /// Key check value of the next pseudonym key, as step 1 printed it.
        #[arg(long)]
        key_check_value: KeyCheckValue,
        /// Number of the next epoch; one more than the epoch in use if absent.
        #[arg(long)]
        number: Option<u32>,
        /// File for the new pepper; beside the configuration if absent. It must not be in a backup of the data.
        #[arg(long)]
        pepper: Option<PathBuf>,
    },
    /// Show all key epochs, and how far each partner is.
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Step 3: let the partners register everybody again in the next epoch. Questions stay in the present one.
    Fill {
        #[command(flatten)]
        common: Common,
    },
    /// Step 4: ask in the next epoch from now on. Refused when a partner is not ready.
    Switch {
        #[command(flatten)]
        common: Common,
        /// Partners to leave behind: until each is ready, it reads "could not be asked".
        #[arg(long, num_args = 1..)]
        without: Vec<String>,
    },
    /// Step 5: end the old epoch when it has drained. Its tags are deleted.
    Retire {
        #[command(flatten)]
        common: Common,
        /// Do not wait for nodes that were off: their questions are refused until they have the new key.
        #[arg(long)]
        early: bool,
    },
    /// Give up the next epoch, before anybody asks in it.
    Abandon {
        #[command(flatten)]
        common: Common,
    },
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Key {
            file,
            number,
            deployment,
            lang,
            json,
        } => {
            let language = lang.unwrap_or_else(Language::of_machine);
            new_key(&file, number, deployment, language, json)
        }
        Command::Prepare {
            common,
            key_check_value,
            number,
            pepper,
        } => Guide::new(common)?.prepare(key_check_value, number, pepper),
        Command::Status { common } => {
            let guide = Guide::new(common)?;
            let view = guide.ask_broker(&Request::EpochStatus)?;
            guide.show(&view, "status");
            Ok(())
        }
        Command::Fill { common } => Guide::new(common)?.step("fill", &Request::EpochFill),
        Command::Switch { common, without } => {
            Guide::new(common)?.step("switch", &Request::EpochSwitch { without })
        }
        Command::Retire { common, early } => {
            Guide::new(common)?.step("retire", &Request::EpochRetire { early })
        }
        Command::Abandon { common } => Guide::new(common)?.step("abandon", &Request::EpochAbandon),
    }
}

fn usage(text: impl Into<String>) -> Failure {
    Failure::new(text, exit::USAGE)
}

fn random() -> Result<zeroize::Zeroizing<[u8; 32]>, Failure> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice()).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    Ok(key)
}

fn new_key(
    file: &Path,
    number: u32,
    deployment: DeploymentId,
    language: Language,
    json: bool,
) -> Result<(), Failure> {
    let epoch = KeyEpoch::new(number).ok_or_else(|| usage("epochs count from 1"))?;
    let key = random()?;
    SecretFile::write_new(file, Purpose::NodeKey, number, &key)
        .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let made = HmacSha256Pseudonymiser::new(NodeKey::from_bytes(*key), deployment, epoch);
    let check = made.key_check_value().to_string();
    if json {
        let said = serde_json::json!({"file": file, "number": number, "key_check_value": check});
        console::print_line(said);
    } else {
        console::print(text::key_made(language, file, number, &check));
    }
    Ok(())
}

/// One step with a running broker, and a person beside it.
struct Guide {
    config: BrokerConfig,
    file: PathBuf,
    language: Language,
    yes: bool,
    json: bool,
}

impl Guide {
    fn new(common: Common) -> Result<Self, Failure> {
        let config =
            BrokerConfig::load(&common.config).map_err(|error| Failure::from_error(&error, exit::USAGE))?;
        Ok(Self {
            config,
            file: common.config,
            language: common.lang.unwrap_or_else(Language::of_machine),
            yes: common.yes || common.json,
            json: common.json,
        })
    }

    /// One request to the broker.
    fn ask_broker(&self, request: &Request) -> Result<EpochsView, Failure> {
        let reply = call(&self.config.socket(), request).map_err(|error| {
            let text = text::not_running(self.language);
            Failure::new(format!("{text}: {error}"), exit::UNREACHABLE)
        })?;
        match reply {
            Reply::Epochs(view) => Ok(view),
            Reply::Failed(failed) => {
                if self.json {
                    console::print_line(serde_json::json!({"failed": failed}));
                }
                Err(Failure::new(text::refused(self.language, &failed), exit::REFUSED))
            }
        }
    }

    /// Says what is going to happen, asks, does it, and says what comes next.
    fn step(&self, name: &'static str, request: &Request) -> Result<(), Failure> {
        if !self.yes {
            let before = self.ask_broker(&Request::EpochStatus)?;
            console::print(text::table_of(self.language, &before));
            self.consent(text::before(self.language, name))?;
        }
        let view = self.ask_broker(request)?;
        self.show(&view, name);
        Ok(())
    }

    fn show(&self, view: &EpochsView, after: &str) {
        if self.json {
            match serde_json::to_string_pretty(view) {
                Ok(text) => console::print_line(text),
                Err(error) => console::complain(format_args!("hitmachine: {error}")),
            }
            return;
        }
        console::print(text::table_of(self.language, view));
        console::print(text::after(self.language, after, view));
    }

    fn consent(&self, what: &str) -> Result<(), Failure> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(usage(text::not_a_terminal(self.language)));
        }
        console::print(format_args!("{what} [{}] ", self.language.pick("j/N", "y/N")));
        // A prompt that cannot be shown is answered blind; the answer counts.
        let _ = std::io::stdout().flush();
        let mut answer = String::new();
        stdin
            .read_line(&mut answer)
            .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
        if ["j", "ja", "y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
            Ok(())
        } else {
            Err(Failure::new(
                self.language.pick("niets gedaan", "nothing done"),
                exit::REFUSED,
            ))
        }
    }

    fn prepare(
        &self,
        key_check_value: KeyCheckValue,
        number: Option<u32>,
        pepper: Option<PathBuf>,
    ) -> Result<(), Failure> {
        let language = self.language;
        let check = key_check_value.to_string();
        let view = self.ask_broker(&Request::EpochStatus)?;
        let active = view.epochs.iter().find(|epoch| epoch.state == "active");
        let active = active.ok_or_else(|| usage(text::not_running(language)))?;
        if self.config.epoch.number != active.number {
            return Err(usage(text::tidy_first(language, active.number)));
        }
        let number =
            number.unwrap_or_else(|| view.epochs.iter().map(|epoch| epoch.number).max().unwrap_or(0) + 1);
        match &self.config.next_epoch {
            // Cut short before the broker heard of it: go on from there.
            Some(next) if next.number == number && next.key_check_value == check => {}
            Some(next) => return Err(usage(text::section_there(language, next.number))),
            None => {
                if !self.yes {
                    self.consent(text::before(language, "prepare"))?;
                }
                self.write_section(number, &check, pepper)?;
            }
        }
        let view = self.ask_broker(&Request::EpochPrepare)?;
        self.show(&view, "prepare");
        Ok(())
    }

    /// Makes the pepper and adds the section; the pepper first, so that a section always has one.
    fn write_section(&self, number: u32, check: &str, pepper: Option<PathBuf>) -> Result<(), Failure> {
        let refused = |error: &dyn std::error::Error| Failure::from_error(error, exit::REFUSED);
        let beside = self.file.parent().unwrap_or_else(|| Path::new("."));
        let path = pepper.unwrap_or_else(|| beside.join(format!("pepper-{number}.key")));
        let path = std::path::absolute(path).map_err(|error| refused(&error))?;
        let name = path
            .to_str()
            .filter(|name| !name.contains(['"', '\\']) && !name.chars().any(char::is_control))
            .ok_or_else(|| usage("--pepper: not a path that a configuration can name"))?;
        if path.exists() {
            // One that was cut off while it was written must not get into the configuration: with a section that names
            // it there would be no way on but by hand.
            let (made_for, _) = SecretFile::read(&path, Purpose::Pepper).map_err(|error| refused(&error))?;
            if made_for != number {
                return Err(usage(format!("{name} holds the pepper of epoch {made_for}")));
            }
        } else {
            SecretFile::write_new(&path, Purpose::Pepper, number, &*random()?)
                .map_err(|error| refused(&error))?;
        }
        let mut config = fs::read_to_string(&self.file).map_err(|error| refused(&error))?;
        if !config.ends_with('\n') {
            config.push('\n');
        }
        // Writing to a String cannot fail.
        let _ = write!(
            config,
            "\n[next_epoch]\nnumber = {number}\nscheme = \"{}\"\nkey_check_value = \"{check}\"\npepper = \"{name}\"\n",
            Scheme::HmacSha256,
        );
        replace(&self.file, &config).map_err(|error| refused(&error))?;
        let read =
            BrokerConfig::load(&self.file).map_err(|error| Failure::from_error(&error, exit::USAGE))?;
        let written = read.next_epoch.as_ref().map(NextEpochSection::section);
        if written.is_some_and(|section: EpochSection| section.number == number) {
            Ok(())
        } else {
            Err(usage("the configuration does not read as it was written"))
        }
    }
}

/// Writes a file anew in one step, with the rights that it had.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let file = file.canonicalize()?;
    let new = file.with_extension("toml.new");
    {
        let mut writing = fs::File::create(&new)?;
        writing.set_permissions(fs::metadata(&file)?.permissions())?;
        writing.write_all(text.as_bytes())?;
        writing.sync_all()?;
    }
    fs::rename(&new, &file)?;
    file.parent()
        .map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
}
