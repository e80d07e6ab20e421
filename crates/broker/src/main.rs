//! `hitmachine-broker`: the hub of a hit/no-hit network.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hitmachine_broker::{BrokerConfig, StartError, move_store_aside, run_reloading};
use hitmachine_service::{console, exit, memory, shutdown, telemetry};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The system's own gives back to it hardly anything of what a start with many registrations took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The hub: takes registrations from partners' nodes, answers at which organisation a person is known, and logs each
/// question before its answer leaves. It never sees a name or a BSN.
///
/// Exit codes: 0 ok, 1 could not start or stopped by an error, 2 wrong use or configuration, 4 integrity failure.
#[derive(Parser)]
#[command(version, name = "hitmachine-broker")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C. A changed covenant is taken within seconds, and at once at SIGHUP; a wrong one is
    /// refused whole, and the one in force stays.
    Serve {
        /// Configuration file.
        #[arg(
            long,
            env = "HITMACHINE_BROKER_CONFIG",
            default_value = "/etc/hitmachine/broker.toml"
        )]
        config: PathBuf,
    },
    /// Read configuration, covenant, keys and certificates, and say what is wrong with them.
    Check {
        /// Configuration file.
        #[arg(
            long,
            env = "HITMACHINE_BROKER_CONFIG",
            default_value = "/etc/hitmachine/broker.toml"
        )]
        config: PathBuf,
    },
    /// Build the search index of the audit log anew, from the log. The broker must not be running; it builds the index
    /// by itself too, while it answers, when the index is damaged.
    RebuildIndex {
        /// Configuration file.
        #[arg(
            long,
            env = "HITMACHINE_BROKER_CONFIG",
            default_value = "/etc/hitmachine/broker.toml"
        )]
        config: PathBuf,
    },
    /// Move damaged registrations aside; after the next start the nodes send everything again. The audit log
    /// stays as it is. The broker must not be running.
    RebuildRegistry {
        /// Configuration file.
        #[arg(
            long,
            env = "HITMACHINE_BROKER_CONFIG",
            default_value = "/etc/hitmachine/broker.toml"
        )]
        config: PathBuf,
    },
}

/// Shows how far a long work is, on a terminal.
fn bar(message: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant; were it wrong, the default style would show.
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(message.to_owned());
    bar
}

fn main() -> ExitCode {
    if let Err(error) = memory::keep_private() {
        return fail(&error, exit::REFUSED);
    }
    let command = Arguments::parse().command;
    let (Command::Serve { config }
    | Command::Check { config }
    | Command::RebuildRegistry { config }
    | Command::RebuildIndex { config }) = &command;
    let config = match BrokerConfig::load(config) {
        Ok(config) => config,
        Err(error) => return fail(&error, exit::USAGE),
    };
    match command {
        Command::Serve { .. } => serve(config),
        Command::Check { .. } => match hitmachine_broker::check(&config) {
            Ok(()) => {
                console::print_line("configuration, covenant, keys and certificates are in order");
                ExitCode::SUCCESS
            }
            Err(error) => fail_start(&error),
        },
        Command::RebuildIndex { .. } => {
            let bar = bar("Indexing entries");
            let rebuilt = hitmachine_broker::rebuild_index(&config, &mut |done, size| {
                bar.set_length(size);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            match rebuilt {
                Ok(entries) => {
                    console::print_line(format_args!(
                        "the search index holds all {entries} entries of the log"
                    ));
                    ExitCode::SUCCESS
                }
                Err(error) => fail(&error, error.exit_code()),
            }
        }
        Command::RebuildRegistry { .. } => match move_store_aside(&config) {
            Ok(to) => {
                let to: Vec<String> = to.iter().map(|to| to.display().to_string()).collect();
                let to = to.join(", ");
                console::print_line(format_args!(
                    "moved to {to}; start the broker, the nodes will send everything again"
                ));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, exit::REFUSED),
        },
    }
}

fn serve(config: BrokerConfig) -> ExitCode {
    if let Err(error) = telemetry::init_logging(config.log.format, &config.log.filter) {
        return fail(&error, exit::USAGE);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, exit::REFUSED),
    };
    let served = runtime.block_on(async {
        let stop = match shutdown::signal() {
            Ok(stop) => stop,
            Err(error) => return Err(fail(&error, exit::REFUSED)),
        };
        let reload = match shutdown::hangups() {
            Ok(reload) => reload,
            Err(error) => return Err(fail(&error, exit::REFUSED)),
        };
        Box::pin(run_reloading(config, stop, reload, |_| ()))
            .await
            .map_err(|error| fail_start(&error))
    });
    served.map_or_else(|code| code, |()| ExitCode::SUCCESS)
}

/// As [`fail`], with what to do about it.
fn fail_start(error: &StartError) -> ExitCode {
    match error.remedy() {
        Some(remedy) => {
            console::complain(format_args!(
                "hitmachine-broker: {}; {remedy}",
                console::chain(error)
            ));
            ExitCode::from(error.exit_code())
        }
        None => fail(error, error.exit_code()),
    }
}

fn fail(error: &dyn Error, code: u8) -> ExitCode {
    console::fail("hitmachine-broker", error, code)
}
