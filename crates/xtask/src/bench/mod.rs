//! `cargo xtask bench`: how fast it is, beside what the machine can do and what a team would build instead.
//!
//! Everything goes through the real client, real mutual TLS, real processes and the durable log. What is compared is
//! measured in the same run, in slices that take turns. The page in `docs/` is made by this command whole; why a bar is
//! missed is written by hand in `remarks.md` beside this file, and taken into it.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a measuring program: a failure ends it"
)]

pub(crate) mod ceiling;
mod chart;
mod console;
mod crowd;
mod drive;
mod fill;
mod ground;
mod households;
mod instructions;
mod machine;
mod officer;
mod page;
mod postgres;
mod questions;
mod receipts;
mod scale;
mod stats;
mod sync;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hitmachine_service::console::{complain, print_line};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::chart::Chart;
use self::ground::Ground;
use self::machine::{Machine, Weather};
use self::stats::Row;
use self::table::Run;

/// Programs that are measured, by package; with this one, so that all are built with the same features.
const PACKAGES: [&str; 4] = [
    "hitmachine-broker",
    "hitmachine-agent",
    "hitmachine-cli",
    "hitmachine-xtask",
];

/// What can be measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Part {
    /// A large register to the hub, and a small change of it.
    Sync,
    /// Single questions, beside the ceiling and PostgreSQL.
    Questions,
    /// Many persons in one question.
    Households,
    /// What verifying an answer costs.
    Receipts,
    /// People at a node's pages.
    Console,
    /// Memory, disk and start of a broker with many registrations.
    Scale,
    /// Whether more registrations or a longer log make questions slower.
    Growth,
    /// What a privacy officer waits for.
    Officer,
    /// Questions while two hundred nodes are connected.
    Crowd,
    /// Instructions of the broker for a question.
    Instructions,
}

/// Measures, prints a table, and writes a page with charts.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure these alone, and write no page.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Shorter and smaller, to see that it works; writes no page.
    #[arg(long)]
    quick: bool,
    /// Also with a log of ten million entries, which takes some ten minutes more.
    #[arg(long)]
    full: bool,
    /// Folder for the page, its charts and the figures: `docs` if everything is measured.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write the figures as JSON to standard output, in place of the table.
    #[arg(long)]
    json: bool,
    /// Folder on the disk to measure; about 10 GB are used.
    #[arg(long, default_value = "/var/tmp")]
    scratch: PathBuf,
}

/// What the parts share.
pub(crate) struct Bench {
    quick: bool,
    full: bool,
    bar: ProgressBar,
    weather: Weather,
    charts: Mutex<Vec<Chart>>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(options: &Options) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bench")
            .tempdir_in(&options.scratch);
        let folder = folder.unwrap();
        // PostgreSQL may run as another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // The template is a constant; were it wrong, the default style would show.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            quick: options.quick,
            full: options.full,
            bar,
            weather: Weather::in_folder(folder.path()),
            charts: Mutex::default(),
            folder,
        }
    }

    /// Shows what is being done.
    fn say(&self, what: &str) {
        if self.bar.is_hidden() {
            complain(format_args!(
                "{:>6.1} s  {what}",
                self.bar.elapsed().as_secs_f64()
            ));
        }
        self.bar.set_message(what.to_owned());
    }

    /// Shows this on the page.
    fn chart(&self, chart: Chart) {
        self.charts.lock().unwrap().push(chart);
    }

    /// The folder on the disk that is measured.
    fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// A folder below it.
    fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How often each slice is measured.
    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// How long it is.
    fn slice(&self) -> Duration {
        Duration::from_millis(if self.quick { 700 } else { 2_500 })
    }

    /// Whether little is measured, to see that it works.
    fn quick(&self) -> bool {
        self.quick
    }

    /// Lengths of logs, of which the last is that of most parts.
    fn log_levels(&self) -> &'static [u64] {
        match (self.quick, self.full) {
            (true, _) => &[1_000, 10_000],
            (_, false) => &[1_000, 10_000, 100_000, 1_000_000],
            (_, true) => &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
        }
    }

    /// Sizes of registers, of all partners together.
    fn register_levels(&self) -> &'static [u64] {
        if self.quick {
            &[10_000, 100_000]
        } else {
            &[10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]
        }
    }

    /// Persons in the large register.
    fn persons(&self) -> usize {
        if self.quick { 50_000 } else { 1_000_000 }
    }
}

/// Builds what is measured, and measures.
pub(crate) fn run(options: &Options) -> ExitCode {
    if cfg!(debug_assertions) {
        complain("xtask: bench measures a release build: run `cargo xtask bench`");
        return ExitCode::FAILURE;
    }
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--locked"]);
    build.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    if !build.status().is_ok_and(|status| status.success()) {
        complain("xtask: the programs cannot be built");
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    let bench = Bench::new(options);
    let machine = Machine::of(bench.scratch());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let rows = runtime.unwrap().block_on(measure(&bench, &options.only));
    bench.bar.finish_and_clear();
    let run = Run::new(machine, &bench.weather, begun.elapsed(), rows);
    let whole = options.only.is_empty() && !options.quick;
    if let Some(out) = options.out.clone().or_else(|| whole.then(|| "docs".into())) {
        page::write(&run, &bench.charts.lock().unwrap(), &out);
    }
    if options.json {
        print_line(run.json());
    } else {
        print_line(run.table());
    }
    ExitCode::SUCCESS
}

async fn measure(bench: &Bench, only: &[Part]) -> Vec<Row> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    let mut rows = Vec::new();
    bench.weather.look();
    let on_ground = [
        Part::Sync,
        Part::Questions,
        Part::Households,
        Part::Receipts,
        Part::Console,
    ];
    if on_ground.into_iter().any(wanted) {
        let ground = if wanted(Part::Sync) {
            let (measured, ground) = sync::rows(bench);
            rows.extend(measured);
            ground
        } else {
            bench.say("the large register is brought in step");
            let ground = Ground::new(&bench.dir("ground"), bench.persons());
            ground.sync_all();
            ground
        };
        if wanted(Part::Questions) {
            rows.extend(questions::rows(bench, &ground).await);
        }
        if wanted(Part::Households) {
            rows.extend(households::rows(bench, &ground).await);
        }
        if wanted(Part::Receipts) {
            rows.extend(receipts::rows(bench, &ground).await);
        }
        if wanted(Part::Console) {
            rows.extend(console::rows(bench, &ground).await);
        }
    }
    if [Part::Scale, Part::Growth, Part::Officer].into_iter().any(wanted) {
        rows.extend(scale::rows(bench, wanted).await);
    }
    if wanted(Part::Crowd) {
        rows.extend(crowd::rows(bench).await);
    }
    if wanted(Part::Instructions) {
        rows.extend(instructions::rows(bench).await);
    }
    bench.weather.look();
    rows
}
