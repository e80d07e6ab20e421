//! Informing the persons whom this organisation asked about.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::notification::entry::{Addressee, Deferral, Kind, NotNeeded};
use hitmachine_node::notification::letter::{Template, template_name};
use hitmachine_node::notification::task::{Filter, NotificationAsk, NotificationReply, Task, Which};
use hitmachine_node::notification::text;
use hitmachine_service::{console, exit};
use jiff::civil::Date;

use super::files::{folder, write};
use super::{Outcome, Shell, fail, print_json};

/// Who is asked about must be told so within a month, and again when the case is closed. Each answered question puts
/// its persons here, once for each case; you send the letters and say so. Nothing of it goes to the hub.
#[derive(Subcommand)]
pub(super) enum NotificationCommand {
    /// List notifications, the longest overdue first.
    List {
        #[command(flatten)]
        fit: Fit,
        /// Only those whose last day has passed.
        #[arg(long)]
        overdue: bool,
        /// Only those that are still to be sent.
        #[arg(long)]
        open: bool,
    },
    /// Show one, with everything that was done with it.
    Show {
        /// Its number.
        id: u64,
    },
    /// Put notifications off, with a reason that the law knows.
    Defer {
        #[command(flatten)]
        who: Who,
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<u64>,
        /// Why.
        #[arg(long, value_enum)]
        reason: Deferral,
        /// The new last day (yyyy-mm-dd), within a year.
        #[arg(long)]
        until: Date,
        /// In your own words, at most 500 characters. Never a BSN.
        #[arg(long)]
        note: Option<String>,
    },
    /// Record that letters were sent.
    Sent {
        #[command(flatten)]
        who: Who,
        /// Their numbers.
        #[arg(required_unless_present = "case", conflicts_with = "case")]
        ids: Vec<u64>,
        /// All of this case that `letters` writes.
        #[arg(long)]
        case: Option<String>,
    },
    /// Record that no letter is needed.
    NotNeeded {
        #[command(flatten)]
        who: Who,
        /// Their numbers.
        #[arg(required = true)]
        ids: Vec<u64>,
        /// Why.
        #[arg(long, value_enum)]
        reason: NotNeeded,
        /// In your own words, at most 500 characters. Never a BSN.
        #[arg(long)]
        note: Option<String>,
    },
    /// Record that a case is closed: everybody in it is to be told so.
    Close {
        #[command(flatten)]
        who: Who,
        /// The case.
        #[arg(long)]
        case: String,
    },
    /// Write letters, or their data for a mail merge, for all that are to be sent. Say `sent` when they are.
    ///
    /// A template is a text with fields: {{reference}} (your own, of the person), {{number}} (the BSN, only with
    /// keep_number), {{case}}, {{purpose}}, {{legal_basis}}, {{processing_activity}}, {{since}} (day of the question
    /// or of the end), {{last_day}}, {{today}}, {{organisation}}, {{contact}}, {{addressee}}, {{id}}. A folder of
    /// templates has one for each kind and addressee: entry-person.txt, entry-both.txt, entry-representative.txt and
    /// the same with exit-.
    #[expect(
        clippy::doc_markdown,
        reason = "the text of --help: fields as a template writes them"
    )]
    Letters(LettersArguments),
}

#[derive(Args)]
pub(super) struct Who {
    /// Who does this; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER")]
    user: Option<String>,
}

#[derive(Args)]
pub(super) struct Fit {
    /// Only of this case.
    #[arg(long)]
    case: Option<String>,
    /// Only of this kind.
    #[arg(long, value_enum)]
    kind: Option<KindWord>,
    /// Only to these.
    #[arg(long, value_enum)]
    addressee: Option<AddresseeWord>,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindWord {
    /// That you asked.
    Entry,
    /// That the case is closed.
    Exit,
}

#[derive(Clone, Copy, ValueEnum)]
enum AddresseeWord {
    /// The legal representative (under 12).
    Representative,
    /// The person and the legal representative (12 to 15, or a minor of unknown age).
    Both,
    /// The person (from 16).
    Person,
}

#[derive(Args)]
pub(super) struct LettersArguments {
    #[command(flatten)]
    fit: Fit,
    /// A template, or a folder with templates.
    #[arg(
        long,
        requires = "out",
        required_unless_present = "csv",
        conflicts_with = "csv"
    )]
    template: Option<PathBuf>,
    /// The folder for the letters, one file each; made if it is not there.
    #[arg(long, requires = "template")]
    out: Option<PathBuf>,
    /// Write the letters' data to this file instead.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

impl Fit {
    fn filter(self, overdue: bool, open: bool) -> Filter {
        Filter {
            case: self.case,
            kind: self.kind.map(|kind| match kind {
                KindWord::Entry => Kind::Entry,
                KindWord::Exit => Kind::Exit,
            }),
            addressee: self.addressee.map(|addressee| match addressee {
                AddresseeWord::Representative => Addressee::Representative,
                AddresseeWord::Both => Addressee::Both,
                AddresseeWord::Person => Addressee::Person,
            }),
            overdue,
            open,
        }
    }
}

impl Shell {
    pub(super) async fn notification(&self, config: NodeConfig, command: NotificationCommand) -> Outcome {
        let nobody = Who { user: None };
        let (who, task) = match command {
            NotificationCommand::Letters(arguments) => return self.letters(config, arguments).await,
            NotificationCommand::List { fit, overdue, open } => {
                (nobody, Task::List(fit.filter(overdue, open)))
            }
            NotificationCommand::Show { id } => (nobody, Task::Show(id)),
            NotificationCommand::Defer {
                who,
                ids,
                reason,
                until,
                note,
            } => {
                let task = Task::Defer {
                    ids,
                    reason,
                    until,
                    note,
                };
                (who, task)
            }
            NotificationCommand::Sent { who, ids, case } => {
                (who, Task::Sent(case.map_or(Which::Ids(ids), Which::Case)))
            }
            NotificationCommand::NotNeeded {
                who,
                ids,
                reason,
                note,
            } => (who, Task::NotNeeded { ids, reason, note }),
            NotificationCommand::Close { who, case } => (who, Task::Close { case }),
        };
        let shows = matches!(task, Task::Show(_));
        let reply = self.notifications(config, who, task).await?;
        if self.json {
            print_json(&reply.notifications);
        } else if shows {
            for each in &reply.notifications {
                console::print(text::show(each, self.language));
            }
        } else {
            console::print(text::list(&reply, self.language));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn notifications(
        &self,
        config: NodeConfig,
        who: Who,
        task: Task,
    ) -> Result<NotificationReply, ExitCode> {
        let account = || std::env::var("USER").ok().filter(|user| !user.is_empty());
        let user = who.user.or_else(account).unwrap_or_else(|| "onbekend".into());
        let ask = Box::new(NotificationAsk { user, task });
        match self.call(config, Request::Notification(ask)).await? {
            Reply::Notification(reply) => Ok(reply),
            _ => Err(ExitCode::from(exit::REFUSED)),
        }
    }

    async fn letters(&self, config: NodeConfig, arguments: LettersArguments) -> Outcome {
        let task = Task::Letters(arguments.fit.filter(false, true));
        let reply = self.notifications(config, Who { user: None }, task).await?;
        let failed = |error: &std::io::Error| fail(error, exit::REFUSED);
        let written = if let Some(path) = &arguments.csv {
            let data = text::letters_csv(&reply, self.language).map_err(|error| failed(&error))?;
            write(path, &data, arguments.force).map_err(|error| failed(&error))?;
            vec![path.clone()]
        } else {
            let (Some(template), Some(out)) = (&arguments.template, &arguments.out) else {
                return Err(ExitCode::from(exit::USAGE)); // the arguments need each other
            };
            self.write_letters(&reply, template, out, arguments.force)?
        };
        if self.json {
            print_json(&serde_json::json!({ "letters": reply.notifications.len(), "files": written }));
        } else {
            console::print_line(format_args!(
                "{} {}; {}",
                reply.notifications.len(),
                self.language.pick("brieven", "letters"),
                self.language.pick(
                    "meld met `notification sent` dat ze zijn verstuurd",
                    "say with `notification sent` that they were sent"
                ),
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// All letters, or none if a template is wrong.
    fn write_letters(
        &self,
        reply: &NotificationReply,
        template: &Path,
        out: &Path,
        force: bool,
    ) -> Result<Vec<PathBuf>, ExitCode> {
        let failed = |error: &std::io::Error| fail(error, exit::REFUSED);
        let mut templates: HashMap<PathBuf, Template> = HashMap::new();
        let mut letters = Vec::with_capacity(reply.notifications.len());
        for each in &reply.notifications {
            let path = if template.is_dir() {
                template.join(template_name(each.kind, each.addressee))
            } else {
                template.to_owned()
            };
            if !templates.contains_key(&path) {
                let parsed = self.template(&path)?;
                templates.insert(path.clone(), parsed);
            }
            if let Some(template) = templates.get(&path) {
                let name = format!(
                    "{}-{:06}-{}.txt",
                    each.kind.word(),
                    each.id,
                    each.addressee.word()
                );
                letters.push((out.join(name), template.fill(each, reply, self.language)));
            }
        }
        folder(out).map_err(|error| failed(&error))?;
        for (path, letter) in &letters {
            write(path, letter.as_bytes(), force).map_err(|error| failed(&error))?;
        }
        Ok(letters.into_iter().map(|(path, _)| path).collect())
    }

    fn template(&self, path: &Path) -> Result<Template, ExitCode> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            console::complain(format_args!("hitmachine-node: {}: {error}", path.display()));
            ExitCode::from(exit::USAGE)
        })?;
        Template::parse(&text).map_err(|error| {
            let problem = self
                .language
                .pick(&error.text_nl(), &error.to_string())
                .to_owned();
            console::complain(format_args!("hitmachine-node: {}: {problem}", path.display()));
            ExitCode::from(exit::USAGE)
        })
    }
}
