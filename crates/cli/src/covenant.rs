//! `hitmachine covenant`.

mod sign;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use hitmachine_audit::Policy;
use hitmachine_core::covenant::Document;
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_node::covenant_view;
use hitmachine_node::language::Language;
use hitmachine_service::{console, exit};
use jiff::Timestamp;

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a covenant file, and say in words and as a matrix what it allows, and what in it may not be meant.
    Check {
        /// The TOML file.
        file: PathBuf,
        /// The witness policy: then a partner that answers live without a witness is pointed out.
        #[arg(long)]
        policy: Option<PathBuf>,
        /// Language; the machine's own if absent.
        #[arg(long, value_enum)]
        lang: Option<Language>,
        /// Print JSON for machines.
        #[arg(long)]
        json: bool,
    },
    /// Sign a covenant as one of its administrators, with your own key file, on a machine of your own. Shows what you
    /// sign and asks; adds your signature to those in FILE.sig.
    Sign(sign::SignArguments),
    /// Check the signatures in FILE.sig: who signed, and whether brokers and nodes would take the covenant.
    Verify(sign::VerifyArguments),
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check {
            file,
            policy,
            lang,
            json,
        } => check(&file, policy.as_deref(), lang, json),
        Command::Sign(arguments) => sign::sign(&arguments),
        Command::Verify(arguments) => sign::verify(&arguments),
    }
}

fn check(file: &Path, policy: Option<&Path>, lang: Option<Language>, json: bool) -> Result<(), Failure> {
    let (covenant, _) = read(file)?;
    let policy = policy.map(read_policy).transpose()?;
    let is_witness = policy.map(|policy| {
        move |partner: &PartnerId| {
            // `<domain>/<partner>/witness`, as the broker insists.
            let end = format!("/{partner}/witness");
            policy
                .witnesses()
                .any(|witness| witness.verifier().name().as_str().ends_with(&end))
        }
    });
    let witnesses = is_witness
        .as_ref()
        .map(|found| found as &dyn Fn(&PartnerId) -> bool);
    let now = Timestamp::now();
    if json {
        print_json(&covenant_view::covenant_json(&covenant, now, witnesses));
    } else {
        let language = lang.unwrap_or_else(Language::of_machine);
        console::print(covenant_view::explain(&covenant, language, now, witnesses));
    }
    Ok(())
}

/// The covenant in a file, and the signatures beside it.
fn read(file: &Path) -> Result<(Covenant, Document), Failure> {
    let cannot = |path: &Path, error: &std::io::Error| {
        Failure::new(format!("cannot read {}: {error}", path.display()), exit::USAGE)
    };
    let bytes = std::fs::read(file).map_err(|error| cannot(file, &error))?;
    let beside = signatures_of(file);
    let signatures = match std::fs::read(&beside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|error| cannot(&beside, &error))?,
    };
    let document = Document {
        file: bytes,
        signatures,
    };
    let covenant = document
        .covenant()
        .map_err(|error| Failure::new(format!("{}: {error}", file.display()), exit::USAGE))?;
    Ok((covenant, document))
}

/// `covenant.toml` → `covenant.toml.sig`.
fn signatures_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(format!("cannot use {}: {error}", path.display()), exit::USAGE)
    };
    let bytes = std::fs::read(path).map_err(|error| failed(&error))?;
    Policy::parse(&bytes).map_err(|error| failed(&error))
}

fn print_json(value: &serde_json::Value) {
    // Alternate form is indented.
    console::print_line(format_args!("{value:#}"));
}
