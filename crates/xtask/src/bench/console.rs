//! Fifty people who ask at once, at the pages of a real node that serves.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use hitmachine_node::accounts::User;
use hitmachine_testkit::deployment::COORDINATOR;
use hitmachine_testkit::process::{NodeProcess, free_address};
use hitmachine_tests::site::{Visitor, roles};

use super::Bench;
use super::drive::{Asking, drive, histogram};
use super::ground::{Ground, asker};
use super::machine::Probe;
use super::stats::{Bar, Figure, Row, Unit};

const PART: &str = "console";
const USERS: usize = 50;

/// Milliseconds of what one person does.
struct Times {
    form: Histogram<u64>,
    ask: Histogram<u64>,
    answer: Histogram<u64>,
}

/// Measures. The node's own state holds accounts and sessions, made before it serves.
pub(crate) async fn rows(bench: &Bench, ground: &Ground) -> Vec<Row> {
    bench.say("console: people sign in");
    let address = free_address().unwrap();
    let config = ground.deployment.node_config(COORDINATOR);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n[console]\nlisten = \"{address}\"\n")).unwrap();
    let asked = ground.asked();
    let visitors = {
        let node = ground.coordinator().await;
        let accounts = node.accounts();
        let visitors = (0..USERS).map(|number| {
            let id = format!("vrager-{number}");
            let user = User {
                id: id.clone(),
                name: format!("Vrager {number}"),
                roles: roles(Some("informatiecoordinator"), false, false),
            };
            accounts.add(&user).unwrap();
            let token = accounts.begin_session(&id).unwrap().expose_text();
            let cookie = format!("__Host-hitmachine-{COORDINATOR}={token}");
            Visitor::of(format!("http://{address}"), Some(cookie))
        });
        visitors.collect::<Vec<_>>()
    };
    let node = NodeProcess::start(&ground.deployment, COORDINATOR, ground.address()).unwrap();
    let mut seen = [const { Vec::new() }; 4];
    let mut noisy = false;
    for round in 0..bench.rounds() {
        bench.say(&format!("console: round {}, {USERS} people", round + 1));
        let probe = Probe::begin(&[]);
        let people = People::new(&visitors, &asked);
        let slice = drive(USERS, 2 * bench.slice(), people.asker()).await;
        noisy |= probe.is_noisy();
        let times = people.times.lock().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "microseconds of some seconds")]
        let ms = |times: &Histogram<u64>, part| times.value_at_quantile(part) as f64 / 1e3;
        seen[0].push(ms(&times.ask, 0.99));
        seen[1].push(ms(&times.form, 0.99));
        seen[2].push(ms(&times.answer, 0.99));
        seen[3].push(slice.per_second());
        bench.weather.look();
    }
    drop(node);
    // The state is free again.
    let node = ground.coordinator().await;
    let questions = ground.questions(&node);
    let mut broker = Vec::new();
    for _ in 0..bench.rounds() {
        let slice = drive(USERS, bench.slice(), asker(&node, &questions)).await;
        broker.push(slice.ms(0.99));
    }
    let [ask, form, answer, rate] = seen;
    let ms = |values: &[f64]| Figure::of(values, Unit::Ms);
    let row = Row::new(PART, format!("server time of a question, p99, {USERS} people without a pause"), ms(&ask))
        .against(format!("the node without pages, p99, {USERS} in flight"), ms(&broker))
        .bar(Bar::AtMost(100.0))
        .noisy(noisy)
        .detail(format!("p99 of the form {}, of the page with the answer {}", ms(&form), ms(&answer)))
        .detail(format!(
            "{}: each a form, a question and a page with the answer; seen from the person's side of loopback, with the \
             {USERS} people on the same processors",
            Figure::of(&rate, Unit::PerSecond)
        ));
    vec![row]
}

struct People {
    visitors: Arc<Vec<Visitor>>,
    asked: Arc<Vec<String>>,
    times: Arc<std::sync::Mutex<Times>>,
}

impl People {
    fn new(visitors: &[Visitor], asked: &[String]) -> Self {
        Self {
            visitors: Arc::new(visitors.to_vec()),
            asked: Arc::new(asked.to_vec()),
            times: Arc::new(std::sync::Mutex::new(Times {
                form: histogram(),
                ask: histogram(),
                answer: histogram(),
            })),
        }
    }

    /// Each opens the form, sends it and reads the answer.
    fn asker(&self) -> impl Fn(usize) -> Asking + Clone + Send + 'static {
        let (visitors, asked) = (Arc::clone(&self.visitors), Arc::clone(&self.asked));
        let times = Arc::clone(&self.times);
        move |person| {
            let (visitor, times) = (visitors[person].clone(), Arc::clone(&times));
            let number = asked[person * 17 % asked.len()].clone();
            Box::pin(async move {
                let us = |begun: Instant| u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                let begun = Instant::now();
                let form = visitor.get("/ask").await;
                let form_us = us(begun);
                let (csrf, id) = (form.hidden("csrf"), form.hidden("form"));
                let fields = [
                    ("csrf", csrf.as_str()),
                    ("form", id.as_str()),
                    ("purpose", "screening"),
                    ("case", "ZK-2026-1"),
                    ("rows", "1"),
                    ("number-1", number.as_str()),
                    ("class-1", "adult"),
                    ("reference-1", "T150-7"),
                ];
                let begun = Instant::now();
                let sent = visitor.post("/ask", &fields).await;
                let ask_us = us(begun);
                assert_eq!(sent.status, 303, "the question is not answered");
                let begun = Instant::now();
                let page = visitor.get(sent.header("location")).await;
                let answer_us = us(begun);
                assert_eq!(page.status, 200, "the answer is not shown");
                let mut times = times.lock().unwrap();
                times.form.saturating_record(form_us);
                times.ask.saturating_record(ask_us);
                times.answer.saturating_record(answer_us);
            })
        }
    }
}
