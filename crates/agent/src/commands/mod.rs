//! The command line of a node.

mod application;
mod audit;
mod audit_arguments;
mod covenant;
mod files;
mod household;
mod notice;
mod notifications;
mod screen;
mod sources;
mod user;

use std::error::Error;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use hitmachine_console::Console;
use hitmachine_core::SubjectClass;
use hitmachine_identifier::contains_bsn;
use hitmachine_node::ask::AskError;
use hitmachine_node::control::{Ask, AskPerson, Client, NumberKind, Reply, Request};
use hitmachine_node::failure::Failure;
use hitmachine_node::language::Language;
use hitmachine_node::screen::Frame;
use hitmachine_node::source::{Age, age_on};
use hitmachine_node::sync::{Progress, SyncOptions, SyncReport};
use hitmachine_node::view::table;
use hitmachine_node::{Node, NodeConfig};
use hitmachine_service::{console, exit, shutdown, telemetry};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

/// The agent of one organisation: keeps its register in step at the hub, and asks at which organisations a person is
/// known. Person numbers never leave it.
///
/// Exit codes: 0 ok, 1 refused or not found, 2 wrong use, 3 could not reach the hub, 4 integrity failure.
#[derive(Parser)]
#[command(version, name = "hitmachine-node")]
pub(crate) struct Arguments {
    /// Configuration file.
    #[arg(
        long,
        global = true,
        env = "HITMACHINE_NODE_CONFIG",
        default_value = "/etc/hitmachine/node.toml"
    )]
    config: PathBuf,
    /// Language of texts for people; otherwise as configured.
    #[arg(long, global = true, value_enum)]
    lang: Option<Language>,
    /// Print JSON for machines instead of tables for people.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keep in step with the hub until SIGTERM or Ctrl-C: on a schedule and when a source file changes.
    Serve,
    /// Synchronise the sources with the hub now.
    Sync {
        /// Send everything again, also what has not changed.
        #[arg(long)]
        full: bool,
        /// The source is meant to have lost many persons.
        #[arg(long)]
        confirm_shrink: bool,
    },
    /// Ask about one person, or a household. A BSN is asked for, or read from standard input or a file; it is never an
    /// argument.
    Query(QueryArguments),
    /// Ask about every household of a list: CSV, or the first sheet of a spreadsheet (.xlsx).
    Screen(Box<screen::ScreenArguments>),
    /// What this node answered itself, for an organisation that answers live.
    #[command(subcommand)]
    Live(LiveCommand),
    /// Show how this node is, and whether it can reach the hub.
    Status,
    /// Show the hit notices of this organisation: who asked about somebody in its register.
    Notice(notice::NoticeArguments),
    /// Show the covenant as this organisation sees it: what it may ask, and who asks it.
    Covenant {
        /// Show what is different from the covenant before it.
        #[arg(long)]
        changes: bool,
    },
    /// Keep track of informing the persons whom you asked about (AVG art. 14).
    #[command(subcommand)]
    Notification(notifications::NotificationCommand),
    /// Try out the sources of persons.
    #[command(subcommand)]
    Source(sources::SourceCommand),
    /// Search, show, export and check the hub's log; for the privacy officer.
    #[command(subcommand)]
    Audit(audit_arguments::Audit),
    /// Keep the accounts of people who sign in at the console.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Keep the applications that use the local API.
    #[command(subcommand)]
    Application(application::ApplicationCommand),
}

#[derive(Subcommand)]
enum LiveCommand {
    /// Show the last questions from the own journal: when, who asked, for what purpose and what was answered. Never
    /// about whom.
    List {
        /// At most so many, newest first.
        #[arg(long, default_value_t = 50)]
        last: usize,
    },
}

#[derive(Args)]
struct Asking {
    /// Purpose, by its short name in the covenant.
    #[arg(long)]
    purpose: String,
    /// Reference of the case for which you ask. Never a BSN.
    #[arg(long)]
    case: String,
    /// Who asks; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER")]
    user: Option<String>,
    /// In which role, by its short name in the covenant.
    #[arg(long, env = "HITMACHINE_ROLE")]
    role: String,
    /// On whose behalf, if somebody else's.
    #[arg(long)]
    responsible: Option<String>,
}

#[derive(Args)]
struct QueryArguments {
    #[command(flatten)]
    asking: Asking,
    /// Birth date (YYYY-MM-DD), from which minor or adult follows. It does not leave this machine.
    #[arg(long, required_unless_present_any = ["class", "household"], conflicts_with_all = ["class", "household"])]
    birth_date: Option<String>,
    /// Minor or adult, if the birth date is not known.
    #[arg(long, value_parser = ["minor", "adult"], conflicts_with = "household")]
    class: Option<String>,
    /// Your own reference of the person, by which a letter finds them later; kept here only. Never a BSN.
    #[arg(long)]
    label: Option<String>,
    /// One question about several persons: a file, or - for standard input, with a BSN and a birth date on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "skn")]
    household: Option<PathBuf>,
    /// The number is an SKN, not a BSN.
    #[arg(long)]
    skn: bool,
}

pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let config = match NodeConfig::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => return fail(&error, exit::USAGE),
    };
    let serving = matches!(arguments.command, Command::Serve);
    // Commands speak to a person: only what is wrong, unless asked otherwise.
    let filter = if serving {
        config.log.filter.clone()
    } else {
        std::env::var("RUST_LOG").unwrap_or("error".into())
    };
    if let Err(error) = telemetry::init_logging(config.log.format, &filter) {
        return fail(&error, exit::USAGE);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, exit::REFUSED),
    };
    let shell = Shell {
        language: arguments.lang.unwrap_or_else(|| config.language()),
        json: arguments.json,
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Serve => serve(config).await,
            Command::Sync { full, confirm_shrink } => {
                shell
                    .sync(
                        config,
                        SyncOptions {
                            full,
                            confirm_shrink,
                            ..SyncOptions::default()
                        },
                    )
                    .await
            }
            Command::Query(query) => shell.query(config, query).await,
            Command::Live(LiveCommand::List { last }) => shell.live(config, last).await,
            Command::Screen(list) => shell.screen(config, *list).await,
            Command::Status => shell.status(config).await,
            Command::Notice(arguments) => shell.notice(config, arguments).await,
            Command::Covenant { changes } => shell.covenant(config, changes).await,
            Command::Notification(command) => shell.notification(config, command).await,
            Command::Source(source) => shell.source(config, source).await,
            Command::Audit(audit) => shell.audit(config, audit).await,
            Command::User(command) => shell.user(config, command).await,
            Command::Application(command) => shell.application(config, command).await,
        }
    });
    code.unwrap_or_else(|code| code)
}

type Outcome = Result<ExitCode, ExitCode>;

async fn serve(config: NodeConfig) -> Outcome {
    let stop = shutdown::signal().map_err(|error| fail(&error, exit::REFUSED))?;
    let node = Arc::new(open(Node::open(config).await)?);
    let console = Console::bind(Arc::clone(&node)).await;
    let console = console.map_err(|error| fail(&error, exit::USAGE))?;
    let pages = async {
        match console {
            Some(console) => {
                tracing::info!(url = console.url(), "console ready");
                console.serve().await
            }
            None => std::future::pending().await,
        }
    };
    let served = hitmachine_node::serve::serve(node, stop, pages, || ()).await;
    served
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| fail(&error, exit::REFUSED))
}

fn open<T>(opened: Result<T, hitmachine_node::OpenError>) -> Result<T, ExitCode> {
    opened.map_err(|error| fail(&error, error.exit_code()))
}

/// How the person at the command line wants to be spoken to.
struct Shell {
    language: Language,
    json: bool,
}

impl Shell {
    async fn call(&self, config: NodeConfig, request: Request) -> Result<Reply, ExitCode> {
        let client = open(Client::connect(config).await)?;
        let bar = bar();
        let (hears, language) = (bar.clone(), self.language);
        let progress = Arc::new(move |at| show(&hears, language, at));
        let reply = client.call(request, progress).await;
        bar.finish_and_clear();
        match reply.map_err(|error| fail(&error, exit::REFUSED))? {
            Reply::Failed(failure) => Err(self.failed(&failure)),
            reply => Ok(reply),
        }
    }

    fn failed(&self, failure: &Failure) -> ExitCode {
        if self.json {
            print_json(&Reply::Failed(failure.clone()));
        } else {
            console::complain(format_args!("hitmachine-node: {}", failure.text(self.language)));
        }
        ExitCode::from(failure.exit)
    }

    async fn sync(&self, config: NodeConfig, options: SyncOptions) -> Outcome {
        let Reply::Synced(report) = self.call(config, Request::Sync(options)).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&report);
        } else {
            console::print(self.report(&report));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, report: &SyncReport) -> String {
        let language = self.language;
        let mut out = table(&["", language.pick("Aantal", "Number")]);
        // What a live partner reads stays at its node.
        let (came, went, now) = if report.live {
            (
                ("Nieuw of gewijzigd (blijft hier)", "New or changed (stays here)"),
                ("Vervallen", "Gone"),
                ("Personen in eigen bestand", "Persons in the own set"),
            )
        } else {
            (
                ("Registraties verstuurd", "Registrations sent"),
                ("Intrekkingen verstuurd", "Withdrawals sent"),
                ("Personen geregistreerd", "Persons registered"),
            )
        };
        for (nl, en, count) in [
            ("Rijen gelezen", "Rows read", report.rows),
            ("Rijen overgeslagen", "Rows left out", report.bad_rows),
            (came.0, came.1, report.registered),
            (went.0, went.1, report.withdrawn),
            (now.0, now.1, report.persons),
        ] {
            out.add_row([language.pick(nl, en), &count.to_string()]);
        }
        let mut text = format!("{out}\n");
        for issue in &report.issues {
            text.push_str(&format!("  {}\n", issue.text(language)));
        }
        if report.bad_rows > report.issues.len() as u64 {
            text.push_str(language.pick("  … en meer\n", "  … and more\n"));
        }
        text
    }

    async fn status(&self, config: NodeConfig) -> Outcome {
        let Reply::Status(status) = self.call(config, Request::Status).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&status);
        } else {
            console::print(status.text(self.language));
        }
        Ok(if status.hub == "ok" {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(exit::UNREACHABLE)
        })
    }

    async fn live(&self, config: NodeConfig, last: usize) -> Outcome {
        let Reply::Live(list) = self.call(config, Request::Live(last)).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&list);
        } else {
            console::print(list.text(self.language));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn query(&self, config: NodeConfig, arguments: QueryArguments) -> Outcome {
        if let Some(file) = &arguments.household {
            return self.query_household(config, frame(arguments.asking), file).await;
        }
        let age = match (arguments.birth_date, arguments.class.as_deref()) {
            (Some(date), _) => match age_on(today(), &date) {
                Ok(age) => age,
                Err(problem) => {
                    console::complain(format_args!(
                        "hitmachine-node: --birth-date: {}",
                        self.language.pick(problem.text_nl(), &problem.to_string())
                    ));
                    return Err(ExitCode::from(exit::USAGE));
                }
            },
            (None, Some("minor")) => Age::of_class(SubjectClass::Minor),
            _ => Age::of_class(SubjectClass::Adult),
        };
        if arguments.label.as_deref().is_some_and(contains_bsn) {
            return Err(self.failed(&AskError::BsnInText("the label").into()));
        }
        let kind = if arguments.skn {
            NumberKind::Skn
        } else {
            NumberKind::Bsn
        };
        let number = number(arguments.skn).map_err(|error| fail(&error, exit::USAGE))?;
        let frame = frame(arguments.asking);
        let ask = Ask {
            purpose: frame.purpose,
            case: frame.case,
            user: frame.user,
            role: frame.role,
            responsible: frame.responsible,
            persons: vec![AskPerson {
                kind,
                number,
                class: age.class.into(),
                age: age.bracket,
                reference: arguments.label,
            }],
        };
        let Reply::Asked(answer) = self.call(config, Request::Ask(ask)).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&answer);
        } else {
            console::print(answer.text(self.language));
        }
        Ok(if answer.refusal().is_some() {
            ExitCode::from(exit::REFUSED)
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant; were it wrong, the default style would show.
    if let Ok(style) = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// The number, from a prompt that does not show it or from standard input; never from an argument, which other
/// users of the machine could see.
fn number(skn: bool) -> std::io::Result<Zeroizing<String>> {
    if std::io::stdin().is_terminal() {
        let label = if skn { "SKN: " } else { "BSN: " };
        return rpassword::prompt_password(label).map(Zeroizing::new);
    }
    let mut text = Zeroizing::new(String::with_capacity(64));
    std::io::stdin().take(64).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

fn show(bar: &ProgressBar, language: Language, at: Progress) {
    let waiting;
    let (message, done, total) = match at {
        Progress::Reading { done, total } => (language.pick("Lezen (bytes)", "Reading (bytes)"), done, total),
        Progress::Sending { done, total } => (language.pick("Versturen", "Sending"), done, total),
        Progress::Log { done, total } => (language.pick("Logregels", "Log entries"), done, total),
        Progress::Screening { done, total } => (
            language.pick("Personen bevraagd", "Persons asked about"),
            done,
            total,
        ),
        Progress::Waiting { done, total, until_s } => {
            let until = local_time(until_s);
            waiting = format!(
                "{} {until}",
                language.pick("Quotum op; verder om", "Quota used up; goes on at")
            );
            (waiting.as_str(), done, total)
        }
    };
    bar.set_message(message.to_owned());
    bar.set_length(total);
    bar.set_position(done);
}

fn frame(asking: Asking) -> Frame {
    let account = || std::env::var("USER").unwrap_or_default();
    Frame {
        purpose: asking.purpose,
        case: asking.case,
        user: asking.user.unwrap_or_else(account),
        role: asking.role,
        responsible: asking.responsible,
    }
}

/// A moment as a clock on the wall shows it.
fn local_time(seconds: i64) -> String {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    let at = jiff::Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_zoned(zone);
    at.strftime("%d-%m %H:%M").to_string()
}

/// The day where people live, which decides their age.
fn today() -> Date {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap_or(TimeZone::UTC);
    jiff::Timestamp::now().to_zoned(zone).date()
}

fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => console::print_line(text),
        Err(error) => console::complain(format_args!("hitmachine-node: {error}")),
    }
}

fn fail(error: &dyn Error, code: u8) -> ExitCode {
    console::fail("hitmachine-node", error, code)
}
