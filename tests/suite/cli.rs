//! The three programs as a person at a command line meets them: help, key files, certificates, covenants, questions,
//! lists, and exit codes.
//!
//! `UPDATE_SNAPSHOTS=1` writes the texts of `--help` to `snapshots/` instead of comparing them.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "cli/covenant.rs"]
mod covenant;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/hub.rs"]
mod hub;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/questions.rs"]
mod questions;
#[path = "cli/tools.rs"]
mod tools;

use std::process::{Command, Output, Stdio};

use hitmachine_testkit::process::program;

/// A program as a person with an empty environment starts it.
fn command(name: &str) -> Command {
    let mut command = Command::new(program(name).unwrap());
    command.env_clear().env("COLUMNS", "100").stdin(Stdio::null());
    command
}

fn hitmachine(arguments: &[&str]) -> Output {
    command("hitmachine").args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The output of a command that must end with `code`.
#[track_caller]
fn ended(output: Output, code: i32) -> Output {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}",
        out(&output),
        err(&output)
    );
    output
}
