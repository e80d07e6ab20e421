//! The privacy officer's commands.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use hitmachine_identifier::contains_bsn;
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{AskPerson, ClassWord, Client, NumberKind, Reply, Request};
use hitmachine_node::officer::page::{PageView, RowView};
use hitmachine_node::officer::report::Report;
use hitmachine_node::officer::task::{Aim, OfficerAsk, OfficerReply, Range, SearchAsk, Task};
use hitmachine_node::officer::{csv, ldv, overview_sheets, text};
use hitmachine_node::source::AgeBracket;
use hitmachine_service::{console, exit};
use indicatif::ProgressBar;

use super::audit_arguments::{
    AlarmAction, AlarmsArguments, Audit, Days, ExportArguments, FilterArguments, Format, OfficerArguments,
    OutcomeWord, OverviewArguments, ReportArguments,
};
use super::files::{Output, folder, write};
use super::{Outcome, Shell, bar, fail, number, open, print_json, show};

/// Entries of one page where all pages are fetched.
const PAGE: u32 = 200;

/// One officer at one node.
struct Session<'a> {
    shell: &'a Shell,
    client: Client,
    officer: OfficerArguments,
}

impl Session<'_> {
    async fn call(&self, task: Task, bar: &ProgressBar) -> Result<OfficerReply, ExitCode> {
        let account = || std::env::var("USER").unwrap_or_default();
        let ask = OfficerAsk {
            user: self.officer.user.clone().unwrap_or_else(account),
            role: self.officer.role.clone(),
            responsible: self.officer.responsible.clone(),
            reference: self.officer.reference.clone(),
            task,
        };
        let (hears, language) = (bar.clone(), self.shell.language);
        let progress = Arc::new(move |at| show(&hears, language, at));
        let reply = self.client.call(Request::Officer(Box::new(ask)), progress).await;
        match reply.map_err(|error| fail(&error, exit::REFUSED))? {
            Reply::Officer(reply) => Ok(reply),
            Reply::Failed(failure) => Err(self.shell.failed(&failure)),
            _ => Err(ExitCode::from(exit::REFUSED)),
        }
    }

    async fn task(&self, task: Task) -> Result<OfficerReply, ExitCode> {
        let bar = bar();
        let reply = self.call(task, &bar).await;
        bar.finish_and_clear();
        reply
    }

    /// All pages of a search, each given to `take`.
    async fn pages(
        &self,
        mut search: SearchAsk,
        take: &mut dyn FnMut(PageView) -> std::io::Result<()>,
    ) -> Result<(), ExitCode> {
        let bar = bar();
        bar.set_message(self.shell.language.pick("Logregels", "Log entries"));
        loop {
            let reply = self.call(Task::Search(search.clone()), &bar).await?;
            let OfficerReply::Page(page) = reply else {
                return Err(ExitCode::from(exit::REFUSED));
            };
            search.before = page.next;
            bar.set_length(page.indexed);
            bar.set_position(page.indexed.saturating_sub(page.next));
            take(*page).map_err(|error| fail(&error, exit::USAGE))?;
            if search.before == 0 {
                bar.finish_and_clear();
                return Ok(());
            }
        }
    }
}

impl Shell {
    /// Does one of the officer's commands.
    pub(super) async fn audit(&self, config: NodeConfig, audit: Audit) -> Outcome {
        let mut all = false;
        let (officer, task) = match audit {
            Audit::Search(arguments) => {
                let mut search = self.filter(arguments.filter, Aim::View)?;
                search.limit = arguments.limit;
                // For people entries count from 1, so this index is the first that is not wanted.
                search.before = arguments.before.map_or(0, |entry| entry - 1);
                (arguments.officer, Task::Search(search))
            }
            Audit::Show { officer, entry } => (officer, Task::Show(vec![entry - 1])),
            Audit::Statistics { officer, days } => (officer, Task::Statistics(self.days(&days)?)),
            Audit::Completeness { officer } => (officer, Task::Completeness),
            Audit::Verify => {
                let officer = OfficerArguments {
                    user: None,
                    role: String::new(),
                    reference: String::new(),
                    responsible: None,
                };
                (officer, Task::Verify)
            }
            Audit::Sample { officer, days, count } => {
                let range = self.days(&days)?;
                (officer, Task::Sample { count, range })
            }
            Audit::Review {
                officer,
                entry,
                verdict,
                note,
            } => {
                let (index, verdict) = (entry - 1, verdict.code().to_owned());
                (officer, Task::Review { index, verdict, note })
            }
            Audit::Notices { officer } => (officer, Task::Notices),
            Audit::Alarms(AlarmsArguments {
                action: Some(AlarmAction::Acknowledge { officer, entry, note }),
                ..
            }) => {
                let index = entry - 1;
                (officer, Task::Acknowledge { index, note })
            }
            Audit::Alarms(arguments) => {
                all = arguments.all;
                let missing = || self.usage("--reference ontbreekt", "--reference is missing");
                (arguments.officer().ok_or_else(missing)?, Task::Alarms)
            }
            Audit::Lift {
                officer,
                organisation,
                by_user,
                note,
            } => (
                officer,
                Task::Lift {
                    organisation,
                    user: by_user.unwrap_or_default(),
                    note,
                },
            ),
            Audit::Erase { officer, up_to, yes } => {
                let up_to = up_to.unwrap_or_default();
                if !yes {
                    self.sure(&up_to)?;
                }
                (officer, Task::Erase { up_to })
            }
            Audit::Overlap { officer, days } => (officer, Task::Overlap(self.days(&days)?)),
            Audit::Export(arguments) => return self.export(config, arguments).await,
            Audit::Report(arguments) => return self.person_report(config, arguments).await,
            Audit::Overview(arguments) => return self.overview(config, arguments).await,
        };
        let one = matches!(task, Task::Show(_));
        let mut reply = self.session(config, officer).await?.task(task).await?;
        if let OfficerReply::Alarms(view) = &mut reply
            && !all
        {
            view.keep_open();
        }
        Ok(self.tell(&reply, one))
    }

    async fn session(&self, config: NodeConfig, officer: OfficerArguments) -> Result<Session<'_>, ExitCode> {
        Ok(Session {
            shell: self,
            client: open(Client::connect(config).await)?,
            officer,
        })
    }

    /// Shows a reply, and gives the exit code that it deserves.
    fn tell(&self, reply: &OfficerReply, one: bool) -> ExitCode {
        let language = self.language;
        let words = match reply {
            OfficerReply::Page(page) if one => {
                let rows = page.rows.iter().map(|row| text::show(row, language));
                rows.collect::<String>() + &text::own(&page.own, language)
            }
            OfficerReply::Page(page) => text::page(page, language),
            OfficerReply::Statistics(view) => text::statistics(view, language),
            OfficerReply::Trend(view) => text::trend(view, language),
            OfficerReply::Completeness(view) => text::completeness(view, language),
            OfficerReply::Reviewed(own) => text::own(own, language),
            OfficerReply::Notices(view) => view.text(language),
            OfficerReply::Alarms(view) => view.text(language),
            OfficerReply::AlarmChanged(view) => view.text(language),
            OfficerReply::Erased(view) => text::erased(view, language),
            OfficerReply::Verified(view) => text::verify(view, language),
            OfficerReply::Overlap(view) => text::overlap(view, language),
            OfficerReply::Overview(view) => overview_sheets::on_terminal(view, language),
        };
        if self.json {
            print_json(reply);
        } else {
            console::print(words);
        }
        ExitCode::from(match reply {
            OfficerReply::Completeness(view) if view.first_bad.is_some() => exit::INTEGRITY,
            OfficerReply::Verified(view) if !view.is_right() => exit::INTEGRITY,
            OfficerReply::Verified(view) if !view.cosigned => exit::REFUSED,
            OfficerReply::Overlap(view) if !view.differences.is_empty() => exit::INTEGRITY,
            _ => exit::OK,
        })
    }

    async fn export(&self, config: NodeConfig, arguments: ExportArguments) -> Outcome {
        let (out, force) = (arguments.out, arguments.force);
        let failed = |error: std::io::Error| fail(&error, exit::USAGE);
        let ldv = arguments.format == Format::Ldv;
        let mut search = self.filter(arguments.filter, if ldv { Aim::Ldv } else { Aim::Export })?;
        search.proofs = !ldv;
        let proofs = out.join("proofs");
        folder(&out).map_err(failed)?;
        let begin = |name| Output::create(&out.join(name), force).map_err(failed);
        let session = self.session(config, arguments.officer).await?;
        let (mut rows, mut left_out, mut first) = (0_u64, 0_u64, true);
        if ldv {
            let mut lines = begin("ldv.jsonl")?;
            let mut take = |page: PageView| {
                for row in &page.rows {
                    match ldv::record(row) {
                        Some(record) => lines.write(&json_line(&record)?)?,
                        None => left_out += 1,
                    }
                }
                rows += page.rows.len() as u64;
                Ok(())
            };
            session.pages(search, &mut take).await?;
            lines.finish().map_err(failed)?;
        } else {
            folder(&proofs).map_err(failed)?;
            let (mut table, mut lines) = (begin("entries.csv")?, begin("entries.jsonl")?);
            let mut take = |mut page: PageView| {
                table.write(&csv::csv(&page.rows, std::mem::take(&mut first))?)?;
                rows += page.rows.len() as u64;
                for row in &mut page.rows {
                    write_proof(&proofs, row, force)?;
                    row.proof = None;
                    lines.write(&json_line(row)?)?;
                }
                Ok(())
            };
            session.pages(search, &mut take).await?;
            for output in [table, lines] {
                output.finish().map_err(failed)?;
            }
        }
        let written = rows - left_out;
        if self.json {
            let out = out.display().to_string();
            print_json(&serde_json::json!({"written": written, "left_out": left_out, "out": out}));
        } else {
            let of = self.language.pick("regels geschreven naar", "entries written to");
            console::print_line(format_args!("{written} {of} {}", out.display()));
            if left_out > 0 {
                let why = self.language.pick(
                    "regels zonder betrokkene overgeslagen",
                    "entries without a data subject left out",
                );
                console::print_line(format_args!("{left_out} {why}"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn person_report(&self, config: NodeConfig, arguments: ReportArguments) -> Outcome {
        let failed = |error: std::io::Error| fail(&error, exit::USAGE);
        if arguments.subject_reference.as_deref().is_some_and(contains_bsn) {
            return Err(self.usage(
                "--subject-reference: hierin staat wat een BSN lijkt",
                "--subject-reference holds what reads as a BSN",
            ));
        }
        // Before anything is asked: these files are made only at the end.
        let html = Output::create(&arguments.out, arguments.force).map_err(failed)?;
        let json = arguments.json_out.as_ref();
        let json = json.map(|path| Output::create(path, arguments.force)).transpose();
        let json = json.map_err(failed)?;
        let search = SearchAsk {
            person: Some(person(arguments.skn).map_err(failed)?),
            limit: PAGE,
            aim: Aim::Report,
            proofs: arguments.proofs.is_some(),
            ..SearchAsk::default()
        };
        if let Some(dir) = &arguments.proofs {
            folder(dir).map_err(failed)?;
        }
        let session = self.session(config, arguments.officer).await?;
        let mut pages = Vec::new();
        let mut take = |mut page: PageView| {
            for row in &mut page.rows {
                if let Some(dir) = &arguments.proofs {
                    write_proof(dir, row, arguments.force)?;
                }
                row.proof = None;
            }
            pages.push(page);
            Ok(())
        };
        session.pages(search, &mut take).await?;
        let now = jiff::Timestamp::now().to_string();
        let report = Report::new(&pages, arguments.subject_reference, now);
        let text = serde_json::to_vec_pretty(&report).map_err(|error| fail(&error, exit::REFUSED))?;
        let page = report.html(self.language);
        for (output, bytes) in [(Some(html), page.as_bytes()), (json, &text)] {
            let Some(mut output) = output else { continue };
            output
                .write(bytes)
                .and_then(|()| output.finish())
                .map_err(failed)?;
        }
        let (rows, out) = (report.rows.len(), arguments.out.display());
        if self.json {
            print_json(&serde_json::json!({"rows": rows, "out": out.to_string()}));
        } else {
            let of = self
                .language
                .pick("vragen in het overzicht", "questions in the report");
            console::print_line(format_args!("{rows} {of} {out}"));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn overview(&self, config: NodeConfig, arguments: OverviewArguments) -> Outcome {
        let failed = |error: std::io::Error| fail(&error, exit::USAGE);
        let task = Task::Overview {
            year: arguments.year,
            quarter: arguments.quarter.unwrap_or(0),
            threshold: arguments.threshold,
        };
        let Some(out) = arguments.out else {
            let reply = self.session(config, arguments.officer).await?.task(task).await?;
            return Ok(self.tell(&reply, false));
        };
        // Before anything is asked: these files are made only at the end.
        folder(&out).map_err(failed)?;
        let begin = |name: String| Output::create(&out.join(name), arguments.force).map_err(failed);
        let (page, json) = (begin("overview.html".into())?, begin("overview.json".into())?);
        let reply = self.session(config, arguments.officer).await?.task(task).await?;
        let OfficerReply::Overview(view) = reply else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        let report = &view.report;
        let text = serde_json::to_vec_pretty(report).map_err(|error| fail(&error, exit::REFUSED))?;
        let mut files = vec![(page, report.html(self.language).into_bytes()), (json, text)];
        for sheet in overview_sheets::sheets(report, self.language) {
            let bytes = overview_sheets::csv(&sheet).map_err(failed)?;
            files.push((begin(format!("{}.csv", sheet.name))?, bytes));
        }
        for (mut output, bytes) in files {
            output
                .write(&bytes)
                .and_then(|()| output.finish())
                .map_err(failed)?;
        }
        if self.json {
            let (entry, out) = (report.log_entry, out.display().to_string());
            print_json(&serde_json::json!({"log_entry": entry, "out": out}));
        } else {
            let of = self
                .language
                .pick("Overzicht geschreven naar", "Overview written to");
            console::print_line(format_args!("{of} {}", out.display()));
            console::print(text::own(&view.own, self.language));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn filter(&self, filter: FilterArguments, aim: Aim) -> Result<SearchAsk, ExitCode> {
        let person = filter.person.then(|| person(filter.skn)).transpose();
        Ok(SearchAsk {
            range: self.days(&filter.days)?,
            organisation: filter.organisation.unwrap_or_default(),
            user: filter.by_user.unwrap_or_default(),
            purpose: filter.purpose.unwrap_or_default(),
            case: filter.case.unwrap_or_default(),
            outcome: filter.outcome.map_or("", OutcomeWord::code).to_owned(),
            person: person.map_err(|error| fail(&error, exit::USAGE))?,
            limit: PAGE,
            aim,
            ..SearchAsk::default()
        })
    }

    fn days(&self, days: &Days) -> Result<Range, ExitCode> {
        days.range().map_err(|argument| {
            let (nl, en) = ("geen goede dag", "not a valid day");
            self.usage(&format!("{argument}: {nl}"), &format!("{argument}: {en}"))
        })
    }

    /// Asks on the terminal; elsewhere nobody can be asked.
    fn sure(&self, up_to: &str) -> Result<(), ExitCode> {
        if !std::io::stdin().is_terminal() {
            return Err(self.usage(
                "wissen kan niet ongedaan worden gemaakt; geef --yes",
                "erasing cannot be undone; give --yes",
            ));
        }
        let what = match up_to {
            "" => self.language.pick(
                "Alles wissen waarvan de bewaartermijn voorbij is?",
                "Erase everything whose term has ended?",
            ),
            _ => self.language.pick(
                "Ook maanden wissen waarvan de bewaartermijn nog loopt?",
                "Also erase months whose term has not ended?",
            ),
        };
        let type_yes = self.language.pick(
            "Dit kan niet ongedaan worden gemaakt. Typ ja om door te gaan:",
            "This cannot be undone. Type yes to go on:",
        );
        console::complain(format_args!("{what} {up_to}\n{type_yes}"));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        read.map_err(|error| fail(&error, exit::USAGE))?;
        if ["ja", "yes"].contains(&answer.trim()) {
            Ok(())
        } else {
            Err(self.usage("er is niets gewist", "nothing was erased"))
        }
    }

    fn usage(&self, nl: &str, en: &str) -> ExitCode {
        console::complain(format_args!("hitmachine-node: {}", self.language.pick(nl, en)));
        ExitCode::from(exit::USAGE)
    }
}

/// The class plays no part in a search.
fn person(skn: bool) -> std::io::Result<AskPerson> {
    Ok(AskPerson {
        kind: if skn { NumberKind::Skn } else { NumberKind::Bsn },
        number: number(skn)?,
        class: ClassWord::Adult,
        age: AgeBracket::default(),
        reference: None,
    })
}

fn json_line(value: &impl serde::Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// `<number from 1>.tlog-proof`. An erased entry's proof has no more than its place: the leaf is in the JSON lines.
fn write_proof(dir: &std::path::Path, row: &RowView, force: bool) -> std::io::Result<()> {
    let Some(proof) = &row.proof else {
        return Ok(());
    };
    let name = format!("{}.tlog-proof", row.log_index.saturating_add(1));
    write(&dir.join(name), proof.tlog_proof.as_bytes(), force)
}
