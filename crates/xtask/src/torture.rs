//! `cargo xtask torture`: rounds of trouble with real programs, until the time is over or a fault is found.

mod show;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hitmachine_service::console;
use hitmachine_tests::torture::{Done, KINDS, Kind, Plan, Round};

use self::show::Progress;

/// The programs that rounds run.
const PACKAGES: [&str; 3] = ["hitmachine-broker", "hitmachine-agent", "hitmachine-cli"];

/// How long, and from which seed.
#[derive(clap::Args)]
#[command(after_help = "\
Rounds are drawn from the seed, and what happens in each from a seed of its own. A seed repeats persons, order, victims \
and moments; where a kill falls in a program's work depends on the machine too, so repeat a round some times.\n\n\
Exit code 0: no fault. 1: a fault, told with the command that repeats its round. 2: wrong use, or not built.")]
pub(crate) struct Options {
    /// For so many minutes; the round that is under way then is finished.
    #[arg(long, default_value_t = 30, value_name = "N")]
    minutes: u64,
    /// Stop after so many rounds, if that is sooner.
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Where everything is drawn from; from the clock if absent. It is printed first.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these kinds of rounds.
    #[arg(long, value_delimiter = ',', value_name = "KINDS", value_parser = kind)]
    only: Vec<Kind>,
    /// Do one round again, as a fault names it.
    #[arg(long, value_name = "KIND=SEED", value_parser = one_round, conflicts_with_all = ["seed", "only", "rounds"])]
    repeat: Option<(Kind, u64)>,
    /// Print what was done as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Write what was done to this file, in Markdown.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Take the programs that are there, beside this one.
    #[arg(long)]
    no_build: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    let names = || KINDS.map(|kind| kind.name).join(", ");
    Kind::of(name).ok_or_else(|| format!("one of {}", names()))
}

fn one_round(text: &str) -> Result<(Kind, u64), String> {
    let (name, seed) = text.split_once('=').ok_or("KIND=SEED")?;
    let seed = seed.parse().map_err(|_| "the seed is no number".to_owned())?;
    Ok((kind(name)?, seed))
}

/// All that came of it.
struct Outcome {
    seed: Option<u64>,
    /// Per kind of round: how many, how long, and what they did.
    kinds: Vec<(&'static str, u64, Duration, Done)>,
    took: Duration,
    fault: Option<Round>,
}

impl Outcome {
    fn add(&mut self, round: &Round) {
        let mut kinds = self.kinds.iter_mut();
        if let Some((_, rounds, took, done)) = kinds.find(|(name, ..)| *name == round.kind) {
            *rounds += 1;
            *took += round.took;
            done.merge(&round.done);
            return;
        }
        self.kinds.push((round.kind, 1, round.took, round.done.clone()));
    }
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = options.seed.unwrap_or_else(|| now.map_or(0, |now| now.as_secs()));
    let kinds = if options.only.is_empty() {
        &KINDS[..]
    } else {
        &options.only
    };
    let rounds: Box<dyn Iterator<Item = (Kind, u64)>> = if let Some(one) = options.repeat {
        Box::new(std::iter::once(one))
    } else {
        let most = usize::try_from(options.rounds.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        console::complain(format_args!("seed {seed}"));
        Box::new(Plan::new(seed, kinds).take(most))
    };
    if !options.no_build
        && let Err(problem) = build()
    {
        console::complain(format_args!("torture: {problem}"));
        return ExitCode::from(2);
    }

    let (begun, time) = (
        Instant::now(),
        Duration::from_secs(options.minutes.saturating_mul(60)),
    );
    let progress = Progress::new(time);
    let mut outcome = Outcome {
        seed: options.repeat.is_none().then_some(seed),
        kinds: Vec::new(),
        took: Duration::ZERO,
        fault: None,
    };
    for (kind, seed) in rounds {
        if begun.elapsed() >= time {
            break;
        }
        progress.begins(kind.name, &outcome);
        let round = kind.run(seed);
        outcome.add(&round);
        outcome.took = begun.elapsed();
        if round.fault.is_some() {
            outcome.fault = Some(round);
            break;
        }
    }
    progress.ends();

    if options.json {
        console::print_line(show::json(&outcome));
    } else {
        console::print(show::table(&outcome));
    }
    if let Some(path) = &options.out
        && let Err(error) = std::fs::write(path, show::markdown(&outcome))
    {
        console::complain(format_args!("torture: cannot write {}: {error}", path.display()));
        return ExitCode::from(2);
    }
    let Some(round) = &outcome.fault else {
        return ExitCode::SUCCESS;
    };
    let fault = round.fault.as_deref().unwrap_or_default();
    console::complain(format_args!(
        "a fault in a round of {}: {fault}\nto repeat this round: {}",
        round.kind,
        round.repeat_command()
    ));
    ExitCode::FAILURE
}

/// Builds the programs in the profile that this one was built in: rounds find them beside it.
fn build() -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    for package in PACKAGES {
        cargo.args(["-p", package]);
    }
    let status = cargo
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("the programs could not be built".to_owned())
    }
}
