//! Trying out sources.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hitmachine_node::NodeConfig;
use hitmachine_node::source::Source;
use hitmachine_node::source::check::{SourceCheck, check};
use hitmachine_service::{console, exit};

use super::{Outcome, Shell, bar, open, print_json, today};

/// Name that stands for every source.
const ALL: &str = "all";

#[derive(Subcommand)]
pub(super) enum SourceCommand {
    /// Read sources as a sync would and show what is in them and what is wrong, in numbers: never a value. Needs no
    /// hub, no keys and no stop of a node that serves.
    ///
    /// Exit codes: 0 usable, 1 refused, 2 wrong use, 3 a database could not be reached.
    Check(CheckArguments),
}

#[derive(Args)]
pub(super) struct CheckArguments {
    /// Name of a source as in the configuration (a file's own name if it has none), or "all".
    #[arg(long, default_value = ALL)]
    source: String,
    /// Name at most so many bad rows of each source.
    #[arg(long, default_value_t = 20)]
    issues: usize,
}

impl Shell {
    pub(super) async fn source(&self, config: NodeConfig, command: SourceCommand) -> Outcome {
        let SourceCommand::Check(arguments) = command;
        let admission = open(config.admission())?;
        let chosen: Vec<Source> = config
            .source
            .iter()
            .filter(|source| arguments.source == ALL || source.name == arguments.source)
            .cloned()
            .collect();
        if chosen.is_empty() {
            return Err(self.no_such_source(&config));
        }
        let waiting = bar();
        waiting.set_message(self.language.pick("Bronnen lezen", "Reading sources"));
        let limit = config.sync.max_bad_rows;
        let reading = tokio::task::spawn_blocking(move || {
            let one = |source| check(source, &admission, today(), limit, arguments.issues);
            chosen.iter().map(one).collect::<Vec<SourceCheck>>()
        });
        let checks = reading.await.map_err(|_| ExitCode::from(exit::REFUSED))?;
        waiting.finish_and_clear();
        if self.json {
            print_json(&checks);
        } else {
            for check in &checks {
                console::print(check.text(self.language));
            }
        }
        Ok(ExitCode::from(code(&checks)))
    }

    fn no_such_source(&self, config: &NodeConfig) -> ExitCode {
        let names: Vec<&str> = config.source.iter().map(|source| source.name.as_str()).collect();
        if names.is_empty() {
            let text = self
                .language
                .pick("dit station heeft geen [[source]]", "this node has no [[source]]");
            console::complain(format_args!("hitmachine-node: {text}"));
        } else {
            let text = self.language.pick(
                "geen bron met deze naam; wel:",
                "no source of this name; there are:",
            );
            console::complain(format_args!("hitmachine-node: {text} {}", names.join(", ")));
        }
        ExitCode::from(exit::USAGE)
    }
}

/// 1 if a source is refused, 3 if all that is wrong is that a database did not answer.
fn code(checks: &[SourceCheck]) -> u8 {
    let mut worst = exit::OK;
    for failure in checks.iter().filter_map(|check| check.refused.as_ref()) {
        if failure.exit != exit::UNREACHABLE {
            return exit::REFUSED;
        }
        worst = exit::UNREACHABLE;
    }
    worst
}
