//! `hitmachine-node`: a partner's agent in a hit/no-hit network.

mod commands;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    commands::run(commands::Arguments::parse())
}
