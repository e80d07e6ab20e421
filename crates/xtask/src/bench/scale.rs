//! Large registers and long logs: what they take of memory and disk, how long a broker takes to start with them, whether
//! a question takes longer, and what a privacy officer waits for.
//!
//! Registers are written as syncs would have left them ([`mod@fill`]); logs are filled by questions, 64 persons at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hitmachine_node::Node;
use hitmachine_node::ask::Question;
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use hitmachine_testkit::process::{BrokerProcess, free_address};
use hitmachine_tests::figures::disk;
use hitmachine_tests::wire::{self, Shared, Wire};
use hitmachine_tests::{node, screening};

use super::chart::Chart;
use super::drive::drive;
use super::fill::{self, PARTNERS, fill};
use super::ground::{MOST_SUBJECTS, asker};
use super::machine::{Probe, memory};
use super::stats::{Bar, Figure, Row, Unit, count};
use super::{Bench, Part, officer};

/// Questions in flight while a log is filled.
const IN_FLIGHT: usize = 16;
/// How often at most one looks whether a broker still gives memory back.
const SETTLES: usize = 10;
/// How often the growth of the latency is looked at.
const LOOKS: usize = 3;

/// What a broker takes that has the long log and no registrations.
#[derive(Clone, Copy)]
struct Empty {
    bytes: u64,
    /// From the process to its first connection.
    seconds: f64,
}

/// A broker that runs, and the coordinator's node in this process.
struct Running {
    deployment: Deployment,
    broker: BrokerProcess,
    node: Arc<Node>,
    questions: Arc<Vec<Question>>,
    /// Seconds from the process to its first connection.
    seconds: f64,
}

impl Running {
    async fn start(deployment: Deployment) -> Self {
        let begun = Instant::now();
        let broker = BrokerProcess::start(&deployment, free_address().unwrap()).unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        let node = Arc::new(node(&deployment, COORDINATOR, broker.address()).await);
        let question = |number: usize| screening(&node, &bsn(number), "1980-01-01");
        let questions = Arc::new((0..500).map(question).collect());
        Self {
            deployment,
            broker,
            node,
            questions,
            seconds,
        }
    }

    /// Stops; whatever is not published yet is then.
    fn stop(self) -> Deployment {
        drop(self.node);
        assert_eq!(self.broker.stop().unwrap(), Some(0));
        self.deployment
    }

    /// Milliseconds within which half of single questions are answered, one after another.
    async fn p50(&self, bench: &Bench) -> f64 {
        let asker = asker(&self.node, &self.questions);
        drive(1, bench.slice(), asker).await.ms(0.5)
    }

    /// Bytes of memory, and the most there were, once it gives no more back of what its start took: while it is asked.
    async fn settled(&self, bench: &Bench) -> (u64, u64) {
        let (mut now, mut peak) = memory(self.broker.id());
        for _ in 0..SETTLES {
            self.p50(bench).await;
            let before = now;
            (now, peak) = memory(self.broker.id());
            if now + before / 100 >= before {
                break;
            }
        }
        (now, peak)
    }

    /// Has the log grow to so many entries.
    async fn grow(&self, entries: u64) {
        let shared = Arc::new(Shared::of(&self.deployment));
        let wire = Wire::of(&self.deployment, COORDINATOR, self.broker.address()).await;
        let now = || hitmachine_tests::program::metric(&self.broker, "hitmachine_log_entries");
        let asked = Arc::new(AtomicU64::new(now()));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..IN_FLIGHT {
            asking.spawn(fill_log(
                wire.clone(),
                Arc::clone(&shared),
                Arc::clone(&asked),
                entries,
            ));
        }
        while let Some(done) = asking.join_next().await {
            done.unwrap();
        }
    }
}

/// A valid number of nobody in a register: the elfproef (Logisch ontwerp BSN, §4) over eight digits.
pub(crate) fn bsn(number: usize) -> String {
    let mut left = number;
    for head in 90_000_000_u64.. {
        let digits = (0..8).map(|place| head / 10_u64.pow(7 - place) % 10);
        let sum: u64 = digits
            .zip((2..=9).rev())
            .map(|(digit, weight)| digit * weight)
            .sum();
        if sum % 11 < 10 {
            if left == 0 {
                return format!("{head}{}", sum % 11);
            }
            left -= 1;
        }
    }
    unreachable!("there are more numbers than that")
}

async fn fill_log(wire: Wire, shared: Arc<Shared>, asked: Arc<AtomicU64>, entries: u64) {
    loop {
        let first = asked.fetch_add(MOST_SUBJECTS as u64, Ordering::Relaxed);
        if first >= entries {
            return;
        }
        let persons = first..entries.min(first + MOST_SUBJECTS as u64);
        let one = |number: u64| {
            let token = shared.token(&format!("{number:09}"));
            shared.query("screening", "informatiecoordinator", &token)
        };
        let mut query = one(first);
        query.subjects = persons.flat_map(|number| one(number).subjects).collect();
        let asked = query.subjects.len();
        let request = wire.request(wire::bytes(&query), vec![]);
        assert_eq!(wire.ask(request).await.unwrap().answers.len(), asked);
    }
}

/// Measures.
pub(crate) async fn rows(bench: &Bench, wanted: impl Fn(Part) -> bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let base = fill::deployment(&bench.dir("base"));
    let mut logs = BTreeMap::new();
    let levels: &[u64] = if wanted(Part::Growth) {
        bench.log_levels()
    } else {
        &bench.log_levels()[bench.log_levels().len() - 1..]
    };
    for entries in levels {
        bench.say(&format!("a log of {entries} entries is filled"));
        let deployment = fill::copy(&base, &bench.dir(&format!("log-{entries}")));
        let running = Running::start(deployment).await;
        running.grow(*entries).await;
        logs.insert(*entries, running);
    }
    if wanted(Part::Growth) {
        rows.push(growth(bench, "entries in the log", &logs).await);
    }
    let Some((entries, long)) = logs.pop_last() else {
        return rows;
    };
    for (_, running) in logs {
        remove(&running.stop());
    }
    if wanted(Part::Officer) {
        rows.extend(officer::rows(bench, &long.node, entries).await);
    }
    let long = long.stop();
    if wanted(Part::Officer) {
        rows.extend(officer::verify(bench, &long, entries));
    }
    if wanted(Part::Scale) || wanted(Part::Growth) {
        rows.extend(registers(bench, &base, long, entries, &wanted).await);
    }
    rows
}

/// Removes a deployment, so that the disk is there for the next.
fn remove(deployment: &Deployment) {
    fs::remove_dir_all(deployment.dir()).unwrap();
}

/// Which of these answers slowest, beside which answers fastest.
async fn growth(bench: &Bench, of: &'static str, levels: &BTreeMap<u64, Running>) -> Row {
    let mut times: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let probe = Probe::begin(&[]);
    for look in 0..LOOKS {
        for (level, running) in levels {
            bench.say(&format!("growth: look {}, {level} {of}", look + 1));
            times.entry(*level).or_default().push(running.p50(bench).await);
        }
        bench.weather.look();
    }
    let noisy = probe.is_noisy();
    let figures: Vec<(u64, Figure)> = times
        .iter()
        .map(|(level, times)| (*level, Figure::of(times, Unit::Ms)))
        .collect();
    let mut sorted = figures.clone();
    sorted.sort_by(|one, other| one.1.median.total_cmp(&other.1.median));
    let ((fastest, least), (slowest, most)) = (sorted[0], sorted[sorted.len() - 1]);
    let last = figures.last().map_or(0, |(level, _)| *level);
    let mut chart = if of == "registrations" {
        Chart::new(
            "growth-registrations",
            "One question after another, by registrations",
            of,
            "p50, ms",
        )
    } else {
        Chart::new(
            "growth-log",
            "One question after another, by length of the log",
            "entries in the log",
            "p50, ms",
        )
    };
    for (level, figure) in &figures {
        #[expect(clippy::cast_precision_loss, reason = "a size")]
        chart.point("p50", *level as f64, figure.median);
    }
    bench.chart(chart);
    let mut row = Row::new(
        "growth",
        format!(
            "p50 of single questions, {} to {} {of}: slowest, at {}",
            count(figures[0].0),
            count(last),
            count(slowest)
        ),
        most,
    )
    .against(format!("fastest, at {}", count(fastest)), least)
    .bar(Bar::RatioAtMost(1.5))
    .noisy(noisy);
    for (level, figure) in figures {
        row = row.detail(format!("{} {of}: {figure}", count(level)));
    }
    row
}

/// Brokers with registers of all sizes; the largest also with the long log.
async fn registers(
    bench: &Bench,
    base: &Deployment,
    long: Deployment,
    entries: u64,
    wanted: &impl Fn(Part) -> bool,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let levels = bench.register_levels();
    let [.., middle, most] = levels else { return rows };
    let mut filled = Vec::new();
    for level in levels {
        if !wanted(Part::Growth) && level != most && level != middle {
            continue;
        }
        bench.say(&format!("{level} registrations are written"));
        let deployment = fill::copy(base, &bench.dir(&format!("registers-{level}")));
        fill(&deployment, level / PARTNERS as u64);
        filled.push((*level, deployment));
    }
    let empty = {
        let running = Running::start(long.clone()).await;
        let (now, _) = running.settled(bench).await;
        let seconds = running.seconds;
        running.stop();
        Empty { bytes: now, seconds }
    };
    // The two largest with the long log.
    for level in [middle, most] {
        let Some((_, from)) = filled.iter().find(|(size, _)| size == level) else {
            continue;
        };
        let registry = |deployment: &Deployment| deployment.dir().join("broker/data/registry");
        let own = registry(&long);
        let _ = fs::remove_dir_all(&own);
        fs::rename(registry(from), &own).unwrap();
        let (measured, started) = start(bench, &long, *level, entries, empty).await;
        rows.extend(measured.into_iter().filter(|_| wanted(Part::Scale)));
        started.stop();
        fs::rename(&own, registry(from)).unwrap();
    }
    remove(&long);
    let mut running = BTreeMap::new();
    if wanted(Part::Growth) {
        // Each with a log of its own, as short as the others': after a start, what was asked just before is looked up in it.
        for (level, deployment) in filled {
            bench.say(&format!("a broker starts with {level} registrations"));
            running.insert(level, Running::start(deployment).await);
        }
        rows.push(growth(bench, "registrations", &running).await);
    }
    for (_, running) in running {
        remove(&running.stop());
    }
    rows
}

/// Starts a broker, and looks at what it takes.
#[expect(clippy::cast_precision_loss, reason = "bytes and registrations")]
async fn start(
    bench: &Bench,
    deployment: &Deployment,
    level: u64,
    entries: u64,
    empty: Empty,
) -> (Vec<Row>, Running) {
    let data = deployment.dir().join("broker/data");
    let folders = [data.join("registry"), data.join("audit/wal")];
    let read_all = || {
        let begun = Instant::now();
        let bytes: u64 = folders.iter().map(|dir| read(dir)).sum();
        (begun.elapsed().as_secs_f64(), bytes)
    };
    // The first reading warms the system's cache, for both.
    read_all();
    // The largest takes too long to be done again.
    let rounds = if level >= 100_000_000 { 1 } else { bench.rounds() };
    let probe = Probe::begin(&[]);
    let (mut started, mut bytes) = ([Vec::new(), Vec::new()], 0);
    let mut last = None;
    for round in 0..rounds {
        if let Some(last) = last.take() {
            Running::stop(last);
        }
        bench.say(&format!("start: {level} registrations, round {}", round + 1));
        let (seconds, read) = read_all();
        bytes = read;
        started[1].push(seconds);
        let running = Running::start(deployment.clone()).await;
        started[0].push(running.seconds);
        last = Some(running);
    }
    let noisy = probe.is_noisy();
    let running = last.unwrap();
    let (now, peak) = running.settled(bench).await;
    let on_disk = disk(&folders[0]);
    bench.weather.look();
    let each = |bytes: u64| bytes as f64 / level as f64;
    let [ours, reading] = started.map(|times| Figure::of(&times, Unit::Seconds));
    let size = |what: &str, bytes: u64, bar: f64| {
        let what = format!("{what} of a registration, {} of them", count(level));
        Row::new("scale", what, Figure::once(each(bytes), Unit::Bytes)).bar(Bar::AtMost(bar))
    };
    let rows = vec![
        size("memory", now.saturating_sub(empty.bytes), 12.0).detail(format!(
            "the broker has {}, at most {}; with the same log and no registrations {}",
            Unit::Bytes.write(now as f64),
            Unit::Bytes.write(peak as f64),
            Unit::Bytes.write(empty.bytes as f64)
        )),
        size("disk", on_disk, 40.0).detail(format!("{} in all", Unit::Bytes.write(on_disk as f64))),
        Row::new(
            "scale",
            format!(
                "start with {} registrations and {} entries in the log",
                count(level),
                count(entries)
            ),
            ours,
        )
        .against(
            format!("reading the same files, {}", Unit::Bytes.write(bytes as f64)),
            reading,
        )
        .bar(Bar::RatioAtMost(3.0))
        .noisy(noisy)
        .detail(format!(
            "with the same log and no registrations: {}",
            Unit::Seconds.write(empty.seconds)
        )),
    ];
    (rows, running)
}

/// Reads all files below a folder; how many bytes there are.
fn read(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            bytes += read(&entry.path());
            continue;
        }
        let mut file = File::open(entry.path()).unwrap();
        loop {
            let count = file.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            bytes += count as u64;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_pass_the_elfproef() {
        let admission = hitmachine_identifier::Admission::new(
            hitmachine_pseudonym::DeploymentKind::Demo,
            vec!["9".to_owned()],
        );
        let admission = admission.unwrap();
        for number in [0, 1, 250, 499] {
            assert!(hitmachine_identifier::Bsn::parse(&bsn(number), &admission).is_ok());
        }
    }
}
