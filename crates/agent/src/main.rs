//! `hitmachine-node`: a partner's agent in a hit/no-hit network.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use hitmachine_service::{console, exit, memory};

fn main() -> ExitCode {
    if let Err(error) = memory::keep_private() {
        return console::fail("hitmachine-node", &error, exit::REFUSED);
    }
    match commands::Arguments::try_parse() {
        Ok(arguments) => commands::run(arguments),
        // clap repeats what it does not understand, and that could be a person's number.
        Err(error) if error.use_stderr() && std::env::args().any(|text| holds_a_number(&text)) => {
            console::complain(format_args!(
                "hitmachine-node: {}; person numbers are never arguments; see --help",
                error.kind()
            ));
            ExitCode::from(exit::USAGE)
        }
        Err(error) => error.exit(),
    }
}

/// Whether a text has as many digits as the shortest way to write a BSN, however they are separated.
fn holds_a_number(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= 7
}
