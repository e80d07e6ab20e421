//! `hitmachine demo`: the real thing with made-up people.

mod consoles;
mod officer;
mod partners;
mod show;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hitmachine_broker::{BrokerConfig, Running, StartError};
use hitmachine_console::Console;
use hitmachine_core::statistics::DEFAULT_THRESHOLD;
use hitmachine_node::control::{Ask, AskPerson, Client, NumberKind, Reply, Request};
use hitmachine_node::language::Language;
use hitmachine_node::screen::ScreeningReport;
use hitmachine_node::screening::List;
use hitmachine_node::source::households::{self, HouseholdColumns, HouseholdOutcome, HouseholdSource};
use hitmachine_node::source::{AgeBracket, ClassFrom, Encoding, class_on};
use hitmachine_node::sync::{SyncOptions, SyncReport};
use hitmachine_node::view::AnswerView;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_service::{console, exit, shutdown, telemetry};
use hitmachine_testkit::deployment::{COORDINATOR, Deployment, DeploymentError, Recipe};
use hitmachine_testkit::ground_truth::{GroundTruth, Status, ground_truth};
use hitmachine_testkit::population::{
    DEFAULT_PERSONS_PER_REGISTER, LIST_FILE, LIST_HOUSEHOLD_COLUMN, Register, list_style,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use self::consoles::Consoles;
use self::officer::PersonReport;
use self::partners::Told;
use self::show::Show;
use crate::Failure;

/// The year of the trial that the made-up persons are shaped on.
const SEED: u64 = 2018;
/// The organisation that asks in the other direction, and about whose register.
const ASKER: Register = Register::Schuldhulpverlening;
/// The chain that takes part without handing over a register.
const LIVE: Register = Register::OmReclassering;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder for everything the demo makes; a second run goes on in it.
    #[arg(long, default_value = "demo")]
    dir: PathBuf,
    /// Remove what an earlier demo left in the folder, and begin anew.
    #[arg(long)]
    fresh: bool,
    /// Seed of the made-up persons: the same seed, the same persons.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Persons in each register, about.
    #[arg(long, default_value_t = DEFAULT_PERSONS_PER_REGISTER)]
    persons: usize,
    /// Stop when all has been shown, instead of running until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Print one JSON summary for machines.
    #[arg(long)]
    json: bool,
    /// Language of what people see.
    #[arg(long, value_enum)]
    lang: Option<Language>,
    /// What to log to standard error.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// What the demo found, for machines.
#[derive(Serialize)]
struct Summary {
    seed: u64,
    households: usize,
    persons: usize,
    households_without_municipal_indication: usize,
    of_those_known_at_om: usize,
    hits_per_partner: BTreeMap<String, usize>,
    equals_ground_truth: bool,
    receipts_verified: usize,
    log_size: u64,
    synchronised: Vec<(String, SyncReport)>,
    screening: ScreeningReport,
    question_back: AnswerView,
    person_report: PersonReport,
    family: Told,
    live_partner_off: AnswerView,
}

/// Everything that was asked and told.
struct Found {
    synchronised: Vec<(String, SyncReport)>,
    screening: ScreeningReport,
    question_back: AnswerView,
    person_report: PersonReport,
    family: Told,
    live_partner_off: AnswerView,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let refused = |error: &dyn std::error::Error| Failure::from_error(error, exit::REFUSED);
    telemetry::init_logging(telemetry::LogFormat::Text, &arguments.log).map_err(|error| refused(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| refused(&error))?;
    runtime.block_on(demo(arguments))
}

async fn demo(arguments: Arguments) -> Result<(), Failure> {
    let stop = shutdown::signal().map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let show = Show {
        language: arguments.lang.unwrap_or_else(Language::of_machine),
        quiet: arguments.json,
    };
    let today = today();
    let deployment = prepare(&arguments, today, &show)?;

    let broker = Broker::start(&deployment).await?;
    show.line(&format!(
        "{} {} (TLS 1.3, X25519MLKEM768, {})",
        show.pick("Knooppunt luistert op", "Broker listens on"),
        broker.running.address,
        show.pick("met certificaten aan beide kanten", "certificates on both sides"),
    ));

    let mut nodes = Vec::new();
    let mut live = None;
    let mut witnessing = tokio::task::JoinSet::new();
    for (partner, place) in deployment.registering().chain([COORDINATOR]).zip(0..) {
        let node = Arc::new(open(&deployment, partner, broker.running.address, place).await?);
        let witness = Arc::clone(&node);
        witnessing.spawn(async move { witness.witness().await });
        let follower = Arc::clone(&node);
        witnessing.spawn(async move { follower.follow_notices().await });
        let answering = Arc::clone(&node);
        let answers = witnessing.spawn(async move { answering.answer_live().await });
        if partner == LIVE.id() {
            live = Some(answers);
        }
        nodes.push((partner, node));
    }
    confirmed(&nodes).await?;
    show.line(show.pick(
        "Vier van de vijf partners bevestigen het logboek als getuige.",
        "Four of the five partners confirm the log as witnesses.",
    ));
    let (coordinator, partners) = nodes
        .split_last()
        .ok_or_else(|| Failure::new("no nodes", exit::REFUSED))?;
    let coordinator = Arc::clone(&coordinator.1);
    let mut synchronised = Vec::new();
    for (partner, node) in partners {
        let reply = node
            .handle(Request::Sync(SyncOptions::default()), Arc::new(|_| ()))
            .await;
        synchronised.push(((*partner).to_owned(), expect_synced(reply)?));
    }
    answering(&deployment, partners).await?;
    show.registers(&synchronised);

    let list = read_list(&deployment, coordinator.config(), today)?;
    let client = Arc::new(Client::Own(Arc::clone(&coordinator)));
    let screening = show.screening(Arc::clone(&client), &list).await;
    show.line(&screening.text(show.language, Some(12)));
    let shared = write_report(&deployment, &screening, show.language)
        .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    show.line(&format!(
        "{} {}\n",
        show.pick(
            "Verslag om te delen, zonder kleine aantallen:",
            "Report to share, without small numbers:"
        ),
        shared.display()
    ));

    let truth = ground_truth(&deployment.registers(), today)
        .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let question_back = ask_back(&deployment, &nodes, today, &show).await?;
    let person_report = officer::report(&deployment, &coordinator, today, &show).await?;
    let asked = List::from(&list);
    let family = partners::family(&nodes, &asked, &screening, &show).await?;
    if let Some(live) = live {
        live.abort();
    }
    let live_partner_off =
        partners::without_the_live_partner(&coordinator, &asked, &screening, &show).await?;
    let found = Found {
        synchronised,
        screening,
        question_back,
        person_report,
        family,
        live_partner_off,
    };
    let summary = summarise(deployment.recipe(), found, &truth);
    if arguments.json {
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
        console::print_line(text);
    } else {
        show.summary(&summary);
    }
    if !summary.equals_ground_truth {
        return Err(Failure::new(
            "the answers differ from the ground truth",
            exit::INTEGRITY,
        ));
    }
    let complete = summary.receipts_verified == summary.persons + summary.question_back.persons.len();
    if !complete {
        return Err(Failure::new("not every person was answered", exit::UNREACHABLE));
    }

    if !arguments.once {
        // From here on the nodes do it themselves.
        witnessing.shutdown().await;
        serve_until(stop, &deployment, &broker, nodes, &show).await?;
    }
    broker.stop().await
}

/// Writes the screening's report for others; where it is.
fn write_report(
    deployment: &Deployment,
    screening: &ScreeningReport,
    language: Language,
) -> std::io::Result<PathBuf> {
    let dir = deployment.dir().join("report");
    std::fs::create_dir_all(&dir)?;
    let path = dir.join("screening.html");
    std::fs::write(&path, screening.shared_html(language, DEFAULT_THRESHOLD))?;
    Ok(path)
}

/// Makes the folder, or finds what an earlier run made.
fn prepare(arguments: &Arguments, today: Date, show: &Show) -> Result<Deployment, Failure> {
    let failed = |error: DeploymentError| Failure::from_error(&error, exit::REFUSED);
    let dir = &arguments.dir;
    if arguments.fresh && dir.exists() {
        // Only what a demo made is ever removed.
        let empty = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
        if !Deployment::is_in(dir) && !empty {
            return Err(failed(DeploymentError::NotADeployment(dir.clone())));
        }
        std::fs::remove_dir_all(dir).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    }
    let wanted = (arguments.seed, arguments.persons);
    let deployment = match Deployment::open(dir) {
        Ok(found) if (found.recipe().seed, found.recipe().persons) == wanted => found,
        Ok(_) => {
            let text = format!(
                "{} holds a demo with another seed or size; add --fresh to replace it, or name another --dir",
                dir.display()
            );
            return Err(Failure::new(text, exit::USAGE));
        }
        Err(_) => {
            show.line(show.pick(
                "Sleutels, certificaten, convenant en verzonnen registers maken …",
                "Making keys, certificates, a covenant and made-up registers …",
            ));
            let recipe = Recipe {
                seed: arguments.seed,
                persons: arguments.persons,
                today,
                witnessed: true,
                live: vec![LIVE.id().to_owned()],
            };
            Deployment::create(dir, recipe).map_err(failed)?
        }
    };
    show.line(&format!(
        "{} {}",
        show.pick("Map:", "Folder:"),
        deployment.dir().display()
    ));
    Ok(deployment)
}

/// The broker, in this process: the same code as `hitmachine-broker serve`.
struct Broker {
    running: Running,
    trigger: shutdown::Trigger,
    task: tokio::task::JoinHandle<Result<(), StartError>>,
}

impl Broker {
    async fn start(deployment: &Deployment) -> Result<Self, Failure> {
        let config = BrokerConfig::load(&deployment.broker_config())
            .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
        let (trigger, stopping) = shutdown::channel();
        let (ready, when_ready) = tokio::sync::oneshot::channel();
        let serving = hitmachine_broker::run(config, stopping.wait(), move |running| {
            // Nobody waits any more if this function was given up.
            let _ = ready.send(running);
        });
        let task = tokio::spawn(serving);
        match when_ready.await {
            Ok(running) => Ok(Self {
                running,
                trigger,
                task,
            }),
            Err(_) => Err(ended(task.await)),
        }
    }

    async fn stop(self) -> Result<(), Failure> {
        self.trigger.fire();
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            other => Err(ended(other)),
        }
    }
}

fn ended(outcome: Result<Result<(), StartError>, tokio::task::JoinError>) -> Failure {
    match outcome {
        Ok(Err(error)) => Failure::from_error(&error, error.exit_code()),
        _ => Failure::new("the broker stopped unexpectedly", exit::REFUSED),
    }
}

async fn open(
    deployment: &Deployment,
    partner: &str,
    broker: SocketAddr,
    place: u16,
) -> Result<Node, Failure> {
    let mut config = NodeConfig::load(&deployment.node_config(partner))
        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
    config.broker.address = broker.to_string();
    config.console = Some(consoles::section(place));
    Node::open(config)
        .await
        .map_err(|error| Failure::from_error(&error, error.exit_code()))
}

/// Waits until a quorum of the partners has confirmed the log, and every node has seen that.
async fn confirmed(nodes: &[(&str, Arc<Node>)]) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(20);
    let confirmed = async {
        for (_, node) in nodes {
            while !node.is_hub_serving().await || node.witnessed_s().is_none() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, confirmed).await;
    waited.map_err(|_| Failure::new("the partners did not confirm the log in time", exit::UNREACHABLE))
}

/// Waits until every partner that answers live does so.
async fn answering(deployment: &Deployment, partners: &[(&str, Arc<Node>)]) -> Result<(), Failure> {
    const PATIENCE: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(20);
    let live = &deployment.recipe().live;
    let answering = async {
        for (_, node) in partners
            .iter()
            .filter(|(id, _)| live.iter().any(|live| live == id))
        {
            while !node.is_answering_live() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, answering).await;
    waited.map_err(|_| Failure::new("a partner did not answer live in time", exit::UNREACHABLE))
}

fn expect_synced(reply: Reply) -> Result<SyncReport, Failure> {
    match reply {
        Reply::Synced(report) => Ok(report),
        Reply::Failed(failure) => Err(Failure::new(failure.text_en, failure.exit)),
        _ => Err(Failure::new("unexpected reply", exit::REFUSED)),
    }
}

fn read_list(deployment: &Deployment, config: &NodeConfig, today: Date) -> Result<HouseholdOutcome, Failure> {
    let style = list_style();
    let source = HouseholdSource {
        path: deployment.registers().join(LIST_FILE),
        delimiter: style.delimiter.try_into().unwrap_or_default(),
        encoding: Encoding::Utf8,
        columns: HouseholdColumns {
            household: LIST_HOUSEHOLD_COLUMN.into(),
            identifier: style.bsn_column.into(),
            numeric: style.numeric_bsn,
            class: ClassFrom::BirthDate(style.birth_date_column.into()),
            reference: Some(style.reference_column.into()),
        },
    };
    let admission = config
        .admission()
        .map_err(|error| Failure::from_error(&error, exit::USAGE))?;
    households::read(&source, &admission, today, &mut |_, _| ())
        .map_err(|error| Failure::from_error(&error, exit::USAGE))
}

/// A partner asks about one of its own clients: the other direction.
async fn ask_back(
    deployment: &Deployment,
    nodes: &[(&str, Arc<Node>)],
    today: Date,
    show: &Show,
) -> Result<AnswerView, Failure> {
    let node = nodes
        .iter()
        .find(|(partner, _)| *partner == ASKER.id())
        .map(|(_, node)| node);
    let node = node.ok_or_else(|| Failure::new("no such partner", exit::REFUSED))?;
    let (number, birth_date) = client_known_elsewhere(&deployment.registers(), ASKER)?;
    let class = class_on(today, &birth_date).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    let ask = Ask {
        purpose: "signalering".into(),
        case: "SHV-DEMO-1".into(),
        user: "demo-medewerker".into(),
        role: "professional".into(),
        responsible: None,
        persons: vec![AskPerson {
            kind: NumberKind::Bsn,
            number: number.into(),
            class: class.into(),
            age: AgeBracket::default(),
            reference: None,
        }],
    };
    match node.handle(Request::Ask(ask), Arc::new(|_| ())).await {
        Reply::Asked(answer) => {
            show.line(show.pick(
                "En andersom: schuldhulpverlening vraagt naar een eigen cliënt.",
                "And the other way round: schuldhulpverlening asks about one of its own clients.",
            ));
            show.line(&answer.text(show.language));
            Ok(answer)
        }
        Reply::Failed(failure) => Err(Failure::new(failure.text_en, failure.exit)),
        _ => Err(Failure::new("unexpected reply", exit::REFUSED)),
    }
}

/// Number and birth date of a client in `register` who is also known to the regieteams, read as the organisation
/// itself would: from its own list. (The demo may look into both; a partner may not.)
fn client_known_elsewhere(registers: &Path, register: Register) -> Result<(String, String), Failure> {
    let read = |register: Register| {
        let path = registers.join(register.file_name());
        let bytes = std::fs::read(path).map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
        Ok::<_, Failure>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (own, other) = (read(register)?, read(Register::Regieteams)?);
    let style = register.style();
    let mut lines = own.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(style.delimiter).collect();
    let column = |name: &str| header.iter().position(|cell| *cell == name);
    let (number, birth_date) = (column(style.bsn_column), column(style.birth_date_column));
    let found = lines.find_map(|row| {
        let cells: Vec<&str> = row.split(style.delimiter).collect();
        let client = (*cells.get(number?)?, *cells.get(birth_date?)?);
        (client.0.len() == 9 && other.contains(client.0)).then(|| (client.0.to_owned(), client.1.to_owned()))
    });
    found.ok_or_else(|| Failure::new("no client is known at both", exit::REFUSED))
}

fn summarise(recipe: &Recipe, found: Found, truth: &GroundTruth) -> Summary {
    let Found {
        synchronised,
        screening,
        question_back,
        person_report,
        family,
        live_partner_off,
    } = found;
    let municipal: Vec<&str> = Register::ALL
        .into_iter()
        .filter(|register| register.is_municipal())
        .map(Register::id)
        .collect();
    let without: Vec<_> = screening
        .households
        .iter()
        .filter(|household| !household.is_known_at(&municipal))
        .collect();
    let at_om = without
        .iter()
        .filter(|household| household.is_known_at(&[Register::OmReclassering.id()]))
        .count();
    let hits = screening.totals.partners.iter().map(|(partner, counts)| {
        (
            partner.clone(),
            counts
                .get(&hitmachine_node::view::StatusWord::Known)
                .copied()
                .unwrap_or(0),
        )
    });
    let mut summary = Summary {
        seed: recipe.seed,
        households: screening.totals.households,
        persons: screening.totals.persons,
        households_without_municipal_indication: without.len(),
        of_those_known_at_om: at_om,
        hits_per_partner: hits.collect(),
        equals_ground_truth: false,
        receipts_verified: screening.totals.answered + question_back.persons.len(),
        log_size: question_back.log_size,
        synchronised,
        screening,
        question_back,
        person_report,
        family,
        live_partner_off,
    };
    summary.equals_ground_truth = equals(&summary, truth);
    summary
}

/// Whether every answer about every person is what the plain registers say.
fn equals(summary: &Summary, truth: &GroundTruth) -> bool {
    use hitmachine_node::screen::ScreenResult;
    use hitmachine_node::view::StatusWord;
    let counts = summary.households == truth.households
        && summary.persons == truth.persons
        && summary.households_without_municipal_indication == truth.households_without_municipal_indication
        && summary.of_those_known_at_om == truth.of_those_known_at_om
        && summary.hits_per_partner == truth.hits_per_partner;
    let mut answered = 0;
    let persons = summary.screening.households.iter().flat_map(|household| {
        household
            .persons
            .iter()
            .map(move |person| (&household.household, person))
    });
    let each = persons.into_iter().all(|(household, person)| {
        answered += 1;
        let label = person.label.as_deref().unwrap_or("");
        let expected = truth
            .per_person
            .iter()
            .find(|(name, own, _)| name == household && own == label);
        let (ScreenResult::Answer(answer), Some((_, _, expected))) = (&person.result, expected) else {
            return false;
        };
        answer.partners.len() == expected.len()
            && answer
                .partners
                .iter()
                .all(|row| match expected.get(&row.partner) {
                    Some(Status::Known) => row.status == StatusWord::Known,
                    Some(Status::NotKnown) => row.status == StatusWord::NotKnown,
                    Some(Status::DoesNotApply) => row.status == StatusWord::DoesNotApply,
                    None => false,
                })
    });
    counts && each && answered == truth.per_person.len()
}

/// Keeps all nodes in step, and reachable for `hitmachine-node`, until Ctrl-C.
async fn serve_until(
    stop: impl Future<Output = ()>,
    deployment: &Deployment,
    broker: &Broker,
    nodes: Vec<(&str, Arc<Node>)>,
    show: &Show,
) -> Result<(), Failure> {
    let consoles = Consoles::set_up(deployment, &nodes).await?;
    let (trigger, stopping) = shutdown::channel();
    let mut serving = tokio::task::JoinSet::new();
    let mut urls = BTreeMap::new();
    for (partner, node) in nodes {
        let console = Console::bind(Arc::clone(&node)).await;
        let console = console.map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
        urls.extend(
            console
                .as_ref()
                .map(|console| (partner.to_owned(), console.url().to_owned())),
        );
        let pages = async {
            match console {
                Some(console) => console.serve().await,
                None => std::future::pending().await,
            }
        };
        let stopping = stopping.clone().wait();
        serving.spawn(hitmachine_node::serve::serve(node, stopping, pages, || ()));
    }
    show.running(deployment, broker, &consoles.text(show, &urls));
    tokio::select! {
        () = stop => (),
        () = consoles.keep_codes(show) => (),
    }
    trigger.fire();
    while let Some(ended) = serving.join_next().await {
        ended
            .map_err(|error| Failure::from_error(&error, exit::REFUSED))?
            .map_err(|error| Failure::from_error(&error, exit::REFUSED))?;
    }
    Ok(())
}

fn today() -> Date {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    jiff::Timestamp::now().to_zoned(zone).date()
}
