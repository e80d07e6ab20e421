//! `hitmachine`: the demo, and the tools to set up and check an installation.

mod audit;
mod covenant;
mod demo;
mod epoch;
mod keys;
mod pki;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hitmachine_service::{console, exit, memory};

/// Tools of the Hitmachine, the hit/no-hit hub for Zorg- en Veiligheidshuizen: see it work, and set up your own.
///
/// Exit codes: 0 ok, 1 refused or not found, 2 wrong use, 3 could not reach, 4 integrity failure.
#[derive(Parser)]
#[command(version, name = "hitmachine")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole thing with made-up persons: a broker, five nodes, a screening, a question back.
    Demo(demo::Arguments),
    /// Make and show key files.
    #[command(subcommand)]
    Keys(keys::Command),
    /// A certificate authority for tests and demonstrations.
    #[command(subcommand)]
    Pki(pki::Command),
    /// Check and explain a covenant, sign it as one of its administrators, and check signatures.
    #[command(subcommand)]
    Covenant(covenant::Command),
    /// Change the key epoch, step by step, while questions go on being answered.
    #[command(subcommand)]
    Epoch(epoch::Command),
    /// Check the audit log without its broker.
    #[command(subcommand)]
    Audit(audit::Command),
}

fn main() -> ExitCode {
    if let Err(error) = memory::keep_private() {
        return console::fail("hitmachine", &error, exit::REFUSED);
    }
    let done = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Keys(command) => keys::run(&command),
        Command::Pki(command) => pki::run(command),
        Command::Covenant(command) => covenant::run(command),
        Command::Epoch(command) => epoch::run(command),
        Command::Audit(command) => audit::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            console::complain(format_args!("hitmachine: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

/// What ends a command: a text for people and the exit code.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn new(text: impl Into<String>, code: u8) -> Self {
        Self {
            text: text.into(),
            code,
        }
    }

    /// An error and its causes.
    fn from_error(error: &dyn Error, code: u8) -> Self {
        Self {
            text: console::chain(error),
            code,
        }
    }
}
