//! Single questions, beside the ceiling and beside PostgreSQL, in slices that take turns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_node::Node;
use hitmachine_node::ask::Question;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_tests::program::metric;
use hitmachine_tests::wire::{self, Shared, Wire};
use prost::Message as _;

use super::Bench;
use super::ceiling::Ceiling;
use super::chart::Chart;
use super::drive::{Asking, Slice, drive};
use super::ground::{Ground, asker};
use super::machine::{Probe, cpu};
use super::postgres::Postgres;
use super::stats::{Bar, Figure, Row, Unit};

const PART: &str = "questions";
/// Questions in flight.
const LEVELS: [usize; 4] = [1, 16, 64, 256];
/// Those at which PostgreSQL is measured, with as many connections.
const CLIENTS: [usize; 2] = [16, 64];
/// More rounds than asked for, if others disturb.
const AGAIN: usize = 2;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// The node's real client, towards the broker.
    Ours,
    /// A client that verifies nothing, towards the same broker.
    Hub,
    Ceiling,
    Postgres,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Hub => "hub without a verifying client",
            Self::Ceiling => "ceiling",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// One slice with what was seen beside it.
struct Seen {
    slice: Slice,
    server_us: f64,
    client_us: f64,
    flushes: f64,
    noisy: bool,
}

struct Parties<'a> {
    bench: &'a Bench,
    ground: &'a Ground,
    node: Arc<Node>,
    questions: Arc<Vec<Question>>,
    hub: Wire,
    shared: Arc<Shared>,
    ceiling: Ceiling,
    postgres: Postgres,
}

/// Measures.
pub(crate) async fn rows(bench: &Bench, ground: &Ground) -> Vec<Row> {
    let parties = Parties::meet(bench, ground).await;
    let mut seen: BTreeMap<(usize, Who), Vec<Seen>> = BTreeMap::new();
    let (mut rounds, mut again) = (bench.rounds(), 0);
    let mut round = 0;
    while round < rounds {
        let mut noisy = false;
        for level in LEVELS {
            for who in [Who::Ours, Who::Ceiling, Who::Hub, Who::Postgres] {
                if who == Who::Postgres && !CLIENTS.contains(&level) {
                    continue;
                }
                bench.say(&format!(
                    "questions: round {} of {rounds}, {level} in flight, {}",
                    round + 1,
                    who.name()
                ));
                let each = parties.slice(who, level).await;
                noisy |= each.noisy;
                seen.entry((level, who)).or_default().push(each);
            }
            bench.weather.look();
        }
        if noisy && again < AGAIN {
            // This round does not count.
            again += 1;
            rounds += 1;
        }
        round += 1;
    }
    for slices in seen.values_mut() {
        let quiet = slices.iter().filter(|seen| !seen.noisy).count();
        if quiet >= bench.rounds() {
            slices.retain(|seen| !seen.noisy);
        }
    }
    charts(bench, &seen);
    table(&seen)
}

impl<'a> Parties<'a> {
    async fn meet(bench: &'a Bench, ground: &'a Ground) -> Self {
        bench.say("questions: the parties get ready");
        let node = ground.coordinator().await;
        let questions = ground.questions(&node);
        // The log has some entries, as it has after a day, and a question its usual length.
        let warm = drive(16, bench.slice(), asker(&node, &questions)).await;
        assert!(warm.answered > 0);
        let hub = Wire::of(&ground.deployment, COORDINATOR, ground.address()).await;
        let shared = Arc::new(Shared::of(&ground.deployment));
        let request = one_request(&shared, &hub, metric(&ground.broker, "hitmachine_log_entries"));
        let answer = hub.ask(request.clone()).await.unwrap();
        let dir = bench.dir("echo");
        let lengths = (request.encoded_len(), answer.encoded_len());
        let ceiling = Ceiling::start(&ground.deployment, &dir, lengths.0, lengths.1).await;
        let most = CLIENTS.into_iter().max().unwrap_or(1);
        let postgres = Postgres::start(bench.scratch(), bench.persons() as u64, most).await;
        Self {
            bench,
            ground,
            node,
            questions,
            hub,
            shared,
            ceiling,
            postgres,
        }
    }

    async fn slice(&self, who: Who, level: usize) -> Seen {
        let length = self.bench.slice();
        let server = match who {
            Who::Ours | Who::Hub => Some(self.ground.broker.id()),
            Who::Ceiling => Some(self.ceiling.id()),
            // Its processes are many.
            Who::Postgres => None,
        };
        let own = std::process::id();
        let before = (server.map(cpu), cpu(own));
        let flushed = metric(&self.ground.broker, "hitmachine_log_batches");
        let probe = Probe::begin(&[self.postgres.id()]);
        let slice = match who {
            Who::Ours => drive(level, length, asker(&self.node, &self.questions)).await,
            Who::Hub => drive(level, length, self.prepared()).await,
            Who::Ceiling => drive(level, length, self.ceiling.asker()).await,
            Who::Postgres => drive(level, length, self.postgres.asker()).await,
        };
        let noisy = probe.is_noisy();
        let flushes = metric(&self.ground.broker, "hitmachine_log_batches") - flushed;
        let spent = |id: u32, before: Duration| slice.each_us(cpu(id).saturating_sub(before));
        Seen {
            server_us: server
                .zip(before.0)
                .map_or(f64::NAN, |(id, before)| spent(id, before)),
            client_us: spent(own, before.1),
            #[expect(clippy::cast_precision_loss, reason = "some thousands")]
            flushes: flushes as f64 / slice.answered as f64 * slice.per_second(),
            noisy,
            slice,
        }
    }

    /// The same questions without a node: signed, and nothing of the answer is verified.
    fn prepared(&self) -> impl Fn(usize) -> Asking + Clone + Send + 'static {
        let (shared, hub) = (Arc::clone(&self.shared), self.hub.clone());
        let known = metric(&self.ground.broker, "hitmachine_log_entries");
        move |_| {
            let (shared, hub) = (Arc::clone(&shared), hub.clone());
            Box::pin(async move {
                let answered = hub.ask(one_request(&shared, &hub, known)).await.unwrap();
                assert_eq!(answered.answers.len(), 1);
            })
        }
    }
}

fn one_request(shared: &Shared, hub: &Wire, known: u64) -> hitmachine_proto::v1::AskRequest {
    let query = shared.query("screening", "informatiecoordinator", &shared.token("999990019"));
    hub.request(wire::bytes(&query), vec![known])
}

/// Questions answered and the time of half of them, by how many are in flight.
#[expect(clippy::cast_precision_loss, reason = "questions in flight")]
fn charts(bench: &Bench, seen: &BTreeMap<(usize, Who), Vec<Seen>>) {
    let across = "questions in flight";
    let mut rate = Chart::new(
        "questions-rate",
        "Single questions answered",
        across,
        "questions/s",
    );
    let mut time = Chart::new(
        "questions-time",
        "Time of half of the questions",
        across,
        "p50, ms",
    );
    for ((level, who), slices) in seen {
        let median = |of: &dyn Fn(&Seen) -> f64| {
            let values: Vec<f64> = slices.iter().map(of).collect();
            Figure::of(&values, Unit::Ms).median
        };
        rate.point(who.name(), *level as f64, median(&|seen| seen.slice.per_second()));
        time.point(who.name(), *level as f64, median(&|seen| seen.slice.ms(0.5)));
    }
    bench.chart(rate);
    bench.chart(time);
}

fn table(seen: &BTreeMap<(usize, Who), Vec<Seen>>) -> Vec<Row> {
    let figure = |level: usize, who: Who, unit: Unit, of: &dyn Fn(&Seen) -> f64| {
        let values: Vec<f64> = seen.get(&(level, who))?.iter().map(of).collect();
        Some(Figure::of(&values, unit))
    };
    let rate = |level, who| figure(level, who, Unit::PerSecond, &|seen| seen.slice.per_second());
    let p50 = |level, who| figure(level, who, Unit::Ms, &|seen| seen.slice.ms(0.5));
    let p99 = |level, who| figure(level, who, Unit::Ms, &|seen| seen.slice.ms(0.99));
    let mut rows = Vec::new();
    for level in LEVELS {
        let noisy = |who| seen[&(level, who)].iter().any(|seen| seen.noisy);
        let (Some(ours), Some(ceiling), Some(hub)) = (
            rate(level, Who::Ours),
            rate(level, Who::Ceiling),
            rate(level, Who::Hub),
        ) else {
            continue;
        };
        let disturbed = noisy(Who::Ours) || noisy(Who::Ceiling);
        let mut row = Row::new(PART, format!("single questions, {level} in flight"), ours)
            .against("ceiling", ceiling)
            .noisy(disturbed);
        if level > 1 {
            row = row.bar(Bar::RatioAtLeast(0.8));
        }
        let cpu = |of: &dyn Fn(&Seen) -> f64, who| figure(level, who, Unit::Us, of);
        for who in [Who::Ours, Who::Ceiling, Who::Hub] {
            if let (Some(server), Some(client)) =
                (cpu(&|seen| seen.server_us, who), cpu(&|seen| seen.client_us, who))
            {
                let name = who.name();
                row = row.detail(format!(
                    "processor time of a question, {name}: server {server}, client {client}"
                ));
            }
        }
        if let Some(flushes) = figure(level, Who::Ours, Unit::PerSecond, &|seen| seen.flushes) {
            row = row.detail(format!("flushes of the log: {flushes}"));
        }
        rows.push(row);
        let half = p50(level, Who::Ours).zip(p50(level, Who::Ceiling));
        let most = p99(level, Who::Ours).zip(p99(level, Who::Ceiling));
        if let (Some(half), Some(most)) = (half, most) {
            let mut row = Row::new(PART, format!("p50, {level} in flight"), half.0)
                .against("ceiling", half.1)
                .noisy(disturbed);
            if level == 1 {
                row = row.bar(Bar::RatioAtMost(1.3));
            }
            rows.push(row);
            rows.push(
                Row::new(PART, format!("p99, {level} in flight"), most.0)
                    .against("ceiling", most.1)
                    .noisy(disturbed),
            );
        }
        rows.push(
            Row::new(
                PART,
                format!("hub without a verifying client, {level} in flight"),
                hub,
            )
            .against("ceiling", ceiling)
            .noisy(noisy(Who::Hub) || noisy(Who::Ceiling)),
        );
        if let Some(postgres) = rate(level, Who::Postgres) {
            let mut row = Row::new(PART, format!("beside PostgreSQL, {level} in flight"), ours)
                .against("PostgreSQL", postgres)
                .bar(Bar::RatioAtLeast(4.0))
                .noisy(noisy(Who::Ours) || noisy(Who::Postgres));
            if let Some((half, most)) = p50(level, Who::Postgres).zip(p99(level, Who::Postgres)) {
                row = row.detail(format!("PostgreSQL: p50 {half}, p99 {most}"));
            }
            rows.push(row);
        }
    }
    rows
}
