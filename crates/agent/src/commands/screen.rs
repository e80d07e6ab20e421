//! `hitmachine-node screen`: the plan first, then the list.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use hitmachine_core::statistics::DEFAULT_THRESHOLD;
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{Client, Reply, Request};
use hitmachine_node::failure::Failure;
use hitmachine_node::screen::{Frame, ScreeningReport};
use hitmachine_node::screening::{List, OnQuota, Plan, ScreenAsk, ScreenReply, ScreeningView, Stand};
use hitmachine_node::source::ClassFrom;
use hitmachine_node::source::households::{self, HouseholdColumns, HouseholdSource};
use hitmachine_node::source::{Delimiter, Encoding};
use hitmachine_node::view::{IssueView, table};
use hitmachine_service::{console, exit};

use super::{Outcome, Shell, bar, fail, files, open, print_json, show, today};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub(super) struct ScreenArguments {
    #[command(subcommand)]
    task: Option<Task>,
    /// The list: one row per person. One that was stopped half-way is resumed when it is given again.
    #[arg(required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Purpose, by its short name in the covenant.
    #[arg(long, required_unless_present = "resume")]
    purpose: Option<String>,
    /// Reference of the case for which you ask. Never a BSN.
    #[arg(long, required_unless_present = "resume")]
    case: Option<String>,
    /// Who asks; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER")]
    user: Option<String>,
    /// In which role, by its short name in the covenant.
    #[arg(long, env = "HITMACHINE_ROLE", required_unless_present = "resume")]
    role: Option<String>,
    /// On whose behalf, if somebody else's.
    #[arg(long)]
    responsible: Option<String>,
    /// Go on with the screening of this name, or show what came of it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["file", "plan_only", "new"])]
    resume: Option<String>,
    /// Show what asking would mean, and ask nobody.
    #[arg(long)]
    plan_only: bool,
    /// Ask without a question first; needed where nobody can answer it.
    #[arg(long, short = 'y', conflicts_with = "plan_only")]
    yes: bool,
    /// Begin anew, also if the same list was stopped half-way.
    #[arg(long)]
    new: bool,
    /// What to do when a quota of the covenant is used up. What stops can be resumed.
    #[arg(long, value_enum, default_value = "wait")]
    on_quota: OnQuota,
    /// Column with the household.
    #[arg(long, default_value = "huishouden")]
    household_column: String,
    /// Column with the BSN.
    #[arg(long, default_value = "bsn")]
    bsn_column: String,
    /// The BSN column is numeric: leading zeros are missing.
    #[arg(long)]
    numeric: bool,
    /// Column with the birth date.
    #[arg(long, default_value = "geboortedatum")]
    birth_date_column: String,
    /// Column with your own label of a person, shown in the result.
    #[arg(long, default_value = "kenmerk")]
    label_column: String,
    /// The character between fields.
    #[arg(long, default_value = ";")]
    delimiter: char,
    /// utf-8 or windows-1252.
    #[arg(long, default_value = "utf-8", value_parser = ["utf-8", "windows-1252"])]
    encoding: String,
    /// Show at most so many persons in the table.
    #[arg(long)]
    rows: Option<usize>,
    /// Write the result of every person to this file, for a spreadsheet.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a report to print and share: totals and a picture, nothing about anybody, small numbers left out.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write a report with every household and person, for the coordinator alone.
    #[arg(long, value_name = "FILE")]
    report_full: Option<PathBuf>,
    /// Numbers below this are left out of the shared report, and others with them so that no sum gives them away.
    #[arg(long, default_value_t = DEFAULT_THRESHOLD)]
    threshold: u64,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Name the screenings that this node remembers.
    List,
    /// Forget a screening, with its results. What is in the hub's log stays there.
    Forget {
        /// Its name.
        id: String,
    },
}

impl Shell {
    pub(super) async fn screen(&self, config: NodeConfig, arguments: ScreenArguments) -> Outcome {
        match &arguments.task {
            Some(Task::List) => return self.list_screenings(config).await,
            Some(Task::Forget { id }) => return self.forget_screening(config, id.clone()).await,
            None => {}
        }
        self.check_outputs(&arguments)?;
        let ask = match &arguments.resume {
            Some(id) => Some(ScreenAsk::Resume {
                id: id.clone(),
                on_quota: arguments.on_quota,
            }),
            None => self.planned(&config, &arguments).await?,
        };
        let Some(ask) = ask else {
            return Ok(ExitCode::SUCCESS);
        };
        let ScreenReply::Ended(report) = self.ask_screening(config, ask).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        self.write_outputs(&arguments, &report)?;
        if self.json {
            print_json(&report);
        } else {
            console::print(report.text(self.language, arguments.rows));
        }
        Ok(ExitCode::from(report.exit_code()))
    }

    /// What to ask of the node about a list, once the person agrees; nothing for a plan alone.
    async fn planned(
        &self,
        config: &NodeConfig,
        arguments: &ScreenArguments,
    ) -> Result<Option<ScreenAsk>, ExitCode> {
        let Some(file) = &arguments.file else {
            return Err(ExitCode::from(exit::USAGE));
        };
        let source = household_source(arguments, file).map_err(|problem| {
            console::complain(format_args!("hitmachine-node: {problem}"));
            ExitCode::from(exit::USAGE)
        })?;
        let admission = open(config.admission())?;
        let read = households::read(&source, &admission, today(), &mut |_, _| ());
        let outcome = read.map_err(|error| self.failed(&Failure::source(&error)))?;
        for issue in outcome.issues.iter().map(IssueView::from) {
            console::complain(format_args!("  {}", issue.text(self.language)));
        }
        let (frame, list) = (frame(arguments), List::from(&outcome));
        let ask = ScreenAsk::Plan {
            frame: frame.clone(),
            list: list.clone(),
        };
        let ScreenReply::Planned(plan) = self.ask_screening(config.clone(), ask).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        let unfinished = plan.unfinished.as_ref().filter(|_| !arguments.new);
        if arguments.plan_only {
            self.show_plan(&plan, unfinished);
            return Ok(None);
        }
        let too_many = plan.covenant.as_ref().is_some_and(|covenant| covenant.too_many);
        if !arguments.yes || too_many {
            self.agree(&plan, unfinished, too_many)?;
        }
        Ok(Some(match unfinished {
            Some(found) => ScreenAsk::Resume {
                id: found.id.clone(),
                on_quota: arguments.on_quota,
            },
            None => ScreenAsk::Start {
                frame,
                list,
                on_quota: arguments.on_quota,
            },
        }))
    }

    /// Shows the plan and asks; an exit code if the answer is no, or nobody can be asked.
    fn agree(&self, plan: &Plan, unfinished: Option<&ScreeningView>, too_many: bool) -> Result<(), ExitCode> {
        self.show_plan(plan, unfinished);
        if too_many {
            return Err(ExitCode::from(exit::REFUSED));
        }
        if let Some(failure) = &plan.hub {
            return Err(ExitCode::from(failure.exit));
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            console::complain(self.language.pick(
                "hitmachine-node: er is niets gevraagd; gebruik --yes om door te gaan",
                "hitmachine-node: nobody was asked; use --yes to go on",
            ));
            return Err(ExitCode::from(exit::USAGE));
        }
        let question = if unfinished.is_some() {
            self.language.pick("Verdergaan? [j/N] ", "Go on? [y/N] ")
        } else {
            self.language.pick("Bevragen? [j/N] ", "Ask? [y/N] ")
        };
        let mut err = std::io::stderr();
        let asked = err.write_all(question.as_bytes()).and_then(|()| err.flush());
        let mut line = String::new();
        let read = asked.and_then(|()| std::io::stdin().read_line(&mut line));
        read.map_err(|error| fail(&error, exit::REFUSED))?;
        let yes = ["j", "ja", "y", "yes"].contains(&line.trim().to_lowercase().as_str());
        yes.then_some(()).ok_or(ExitCode::from(exit::REFUSED))
    }

    fn show_plan(&self, plan: &Plan, unfinished: Option<&ScreeningView>) {
        if self.json {
            return print_json(plan);
        }
        console::print(plan.text(self.language));
        if let Some(found) = unfinished {
            console::print_line(format!(
                "{} {} ({}/{} {}). {}",
                self.language.pick(
                    "Dezelfde lijst is niet afgemaakt:",
                    "The same list was not finished:"
                ),
                found.id,
                found.answered,
                found.persons,
                self.language.pick("personen beantwoord", "persons answered"),
                self.language.pick(
                    "Die wordt vervolgd; --new begint opnieuw.",
                    "That one is resumed; --new begins anew."
                ),
            ));
        }
    }

    async fn ask_screening(&self, config: NodeConfig, ask: ScreenAsk) -> Result<ScreenReply, ExitCode> {
        let client = open(Client::connect(config).await)?;
        let bar = bar();
        let (hears, language) = (bar.clone(), self.language);
        let progress = Arc::new(move |at| show(&hears, language, at));
        let reply = client.call(Request::Screening(Box::new(ask)), progress).await;
        bar.finish_and_clear();
        match reply.map_err(|error| fail(&error, exit::REFUSED))? {
            Reply::Failed(failure) => Err(self.failed(&failure)),
            Reply::Screening(reply) => Ok(*reply),
            _ => Err(ExitCode::from(exit::REFUSED)),
        }
    }

    async fn list_screenings(&self, config: NodeConfig) -> Outcome {
        let ScreenReply::Listed(views) = self.ask_screening(config, ScreenAsk::List).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&views);
            return Ok(ExitCode::SUCCESS);
        }
        let language = self.language;
        let mut out = table(&[
            language.pick("Screening", "Screening"),
            language.pick("Stand", "Stands"),
            language.pick("Begonnen", "Begun"),
            language.pick("Doel", "Purpose"),
            language.pick("Zaak", "Case"),
            language.pick("Wie", "Who"),
            language.pick("Beantwoord", "Answered"),
            language.pick("Bewaard tot", "Kept until"),
        ]);
        for view in &views {
            let stand = match view.stand {
                Stand::Running => language.pick("loopt", "running"),
                Stand::Stopped => language.pick("gestopt, kan verder", "stopped, can go on"),
                Stand::Done => language.pick("klaar", "done"),
                Stand::Ended => language.pick("beëindigd door een weigering", "ended by a refusal"),
            };
            out.add_row([
                view.id.as_str(),
                stand,
                view.started_at.get(..16).unwrap_or(&view.started_at),
                &view.purpose,
                &view.case,
                &view.user,
                &format!("{}/{}", view.answered, view.persons),
                view.kept_until.get(..10).unwrap_or(&view.kept_until),
            ]);
        }
        console::print(format!("{out}\n"));
        Ok(ExitCode::SUCCESS)
    }

    async fn forget_screening(&self, config: NodeConfig, id: String) -> Outcome {
        let reply = self.ask_screening(config, ScreenAsk::Forget { id }).await?;
        let ScreenReply::Forgotten(id) = reply else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_json(&ScreenReply::Forgotten(id));
        } else {
            console::print_line(format!("{} {id}", self.language.pick("Vergeten:", "Forgotten:")));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Files that are there are named before anybody is asked.
    fn check_outputs(&self, arguments: &ScreenArguments) -> Result<(), ExitCode> {
        for path in [&arguments.csv, &arguments.report, &arguments.report_full]
            .into_iter()
            .flatten()
        {
            if !arguments.force && path.exists() {
                console::complain(format_args!(
                    "hitmachine-node: {} {}",
                    path.display(),
                    self.language.pick(
                        "bestaat al; gebruik --force om het te vervangen",
                        "is there already; use --force to replace it"
                    )
                ));
                return Err(ExitCode::from(exit::USAGE));
            }
        }
        Ok(())
    }

    fn write_outputs(&self, arguments: &ScreenArguments, report: &ScreeningReport) -> Result<(), ExitCode> {
        let write = |path: &Option<PathBuf>, bytes: std::io::Result<Vec<u8>>| {
            let Some(path) = path else { return Ok(()) };
            let written = bytes.and_then(|bytes| files::write(path, &bytes, arguments.force));
            written.map_err(|error| fail(&error, exit::REFUSED))
        };
        let language = self.language;
        if arguments.csv.is_some() {
            write(&arguments.csv, report.csv())?;
        }
        if arguments.report.is_some() {
            let page = report.shared_html(language, arguments.threshold);
            write(&arguments.report, Ok(page.into_bytes()))?;
        }
        if arguments.report_full.is_some() {
            write(
                &arguments.report_full,
                Ok(report.full_html(language).into_bytes()),
            )?;
        }
        Ok(())
    }
}

fn frame(arguments: &ScreenArguments) -> Frame {
    let account = || std::env::var("USER").unwrap_or_default();
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    Frame {
        purpose: given(&arguments.purpose),
        case: given(&arguments.case),
        user: arguments.user.clone().unwrap_or_else(account),
        role: given(&arguments.role),
        responsible: arguments.responsible.clone(),
    }
}

fn household_source(arguments: &ScreenArguments, file: &Path) -> Result<HouseholdSource, String> {
    let delimiter = Delimiter::try_from(arguments.delimiter).map_err(|error| error.to_string())?;
    Ok(HouseholdSource {
        path: file.to_owned(),
        delimiter,
        encoding: if arguments.encoding == "utf-8" {
            Encoding::Utf8
        } else {
            Encoding::Windows1252
        },
        columns: HouseholdColumns {
            household: arguments.household_column.clone(),
            identifier: arguments.bsn_column.clone(),
            numeric: arguments.numeric,
            class: ClassFrom::BirthDate(arguments.birth_date_column.clone()),
            reference: Some(arguments.label_column.clone()),
        },
    })
}
