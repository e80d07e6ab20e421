//! The project's own commands: `cargo xtask bench`, `cargo xtask torture`.

mod bench;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and writes docs/benchmarks.md.
    Bench(bench::Options),
    /// What `bench` compares with, as a process of its own.
    #[command(hide = true)]
    Echo(bench::ceiling::Arguments),
    /// Does its worst to whole processes for so many minutes.
    Torture(torture::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Echo(arguments) => bench::ceiling::run(&arguments),
        Command::Torture(options) => torture::run(&options),
    }
}
