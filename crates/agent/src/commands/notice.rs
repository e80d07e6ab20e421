//! The command line's hit notices.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{Client, Reply, Request};
use hitmachine_node::notice::{NoticeAsk, NoticeReply, NoticesView, Which, text};
use hitmachine_service::{console, exit};

use super::{Outcome, Shell, fail, open, print_json};

/// How long the node may wait before it says that nothing came.
const WAIT_S: u64 = 20;
/// Pause before a node that went away is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// Without a command: those that are not muted.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct NoticeArguments {
    /// Show what nobody has seen, and then each notice as it comes, until Ctrl-C. With --json one notice a line. Needs a
    /// node that serves.
    #[arg(long)]
    follow: bool,
    #[command(subcommand)]
    command: Option<Notice>,
}

#[derive(Subcommand)]
enum Notice {
    /// List notices, oldest first: those that are not muted.
    List {
        /// Only those that nobody has seen.
        #[arg(long, conflicts_with = "all")]
        new: bool,
        /// Also those that were muted.
        #[arg(long)]
        all: bool,
        /// Only those of this case, as the asking organisation names it.
        #[arg(long)]
        case: Option<String>,
    },
    /// Show one notice with all its fields.
    Show {
        /// The log entry, from 1, as the list shows it.
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        entry: u64,
    },
    /// Say that you have seen notices; they are not new any more.
    Seen {
        /// Log entries, from 1, as the list shows them.
        #[arg(required = true, value_parser = clap::value_parser!(u64).range(1..))]
        entries: Vec<u64>,
        #[command(flatten)]
        who: Who,
    },
    /// Do not show later notices of a case, and tell no hook of them.
    Mute {
        #[command(flatten)]
        of: Of,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        who: Who,
    },
    /// Show later notices of a muted case again.
    Unmute {
        #[command(flatten)]
        of: Of,
    },
    /// List the cases that are muted.
    Mutes,
}

#[derive(Args)]
struct Of {
    /// The organisation that asks, by its short name in the covenant.
    #[arg(long)]
    asker: String,
    /// Its case.
    #[arg(long)]
    case: String,
}

#[derive(Args)]
struct Who {
    /// Who you are; the name of the account if absent.
    #[arg(long, env = "HITMACHINE_USER")]
    user: Option<String>,
}

impl Who {
    fn name(self) -> String {
        self.user
            .unwrap_or_else(|| std::env::var("USER").unwrap_or_default())
    }
}

impl Shell {
    /// Does one of the commands about notices.
    pub(super) async fn notice(&self, config: NodeConfig, arguments: NoticeArguments) -> Outcome {
        if arguments.follow {
            return self.follow(config).await;
        }
        let list = |which, case| NoticeAsk::List { which, case };
        let (ask, one) = match arguments.command {
            None => (list(Which::Open, None), false),
            Some(Notice::List { new, all, case }) => {
                let which = match (new, all) {
                    (true, _) => Which::New,
                    (_, true) => Which::All,
                    _ => Which::Open,
                };
                (list(which, case), false)
            }
            Some(Notice::Show { entry }) => (NoticeAsk::Show(entry - 1), true),
            Some(Notice::Seen { entries, who }) => {
                let indexes = entries.iter().map(|entry| entry - 1).collect();
                let user = who.name();
                (NoticeAsk::Seen { indexes, user }, false)
            }
            Some(Notice::Mute { of, reason, who }) => {
                let ask = NoticeAsk::Mute {
                    asker: of.asker,
                    case: of.case,
                    user: who.name(),
                    reason,
                };
                (ask, false)
            }
            Some(Notice::Unmute { of }) => {
                let (asker, case) = (of.asker, of.case);
                (NoticeAsk::Unmute { asker, case }, false)
            }
            Some(Notice::Mutes) => (NoticeAsk::Mutes, false),
        };
        let Reply::Notice(reply) = self.call(config, Request::Notice(ask)).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        self.tell_notices(&reply, one);
        Ok(ExitCode::SUCCESS)
    }

    fn tell_notices(&self, reply: &NoticeReply, one: bool) {
        let language = self.language;
        if self.json {
            match reply {
                NoticeReply::Notices(view) => print_json(view),
                other => print_json(other),
            }
            return;
        }
        match reply {
            NoticeReply::Notices(view) if one => {
                for notice in &view.notices {
                    console::print(text::show(notice, language));
                }
            }
            NoticeReply::Notices(view) => console::print(text::list(view, language)),
            NoticeReply::Seen(count) => {
                let what = language.pick("als gezien gemerkt", "marked as seen");
                console::print_line(format_args!("{count} {what}"));
            }
            NoticeReply::Muted(count) => {
                let what = language.pick("zaken gedempt", "cases muted");
                console::print_line(format_args!("{count} {what}"));
            }
            NoticeReply::Mutes(mutes) => console::print(text::mutes(mutes, language)),
        }
    }

    /// Prints notices as they come. A node that is started anew is waited for.
    async fn follow(&self, config: NodeConfig) -> Outcome {
        let client = open(Client::connect(config).await)?;
        if matches!(client, Client::Own(_)) {
            console::complain(format_args!(
                "hitmachine-node: {}",
                self.language.pick(
                    "er draait geen station; start eerst `hitmachine-node serve`",
                    "no node serves; start `hitmachine-node serve` first",
                )
            ));
            return Err(ExitCode::from(exit::UNREACHABLE));
        }
        let mut after = None;
        let mut away = false;
        loop {
            let ask = NoticeAsk::Wait {
                after,
                seconds: WAIT_S,
            };
            match client.call(Request::Notice(ask), Arc::new(|_| ())).await {
                Ok(Reply::Notice(NoticeReply::Notices(view))) => {
                    self.print_each(&view);
                    after = Some(view.last);
                    away = false;
                }
                Ok(Reply::Failed(failure)) => return Err(self.failed(&failure)),
                Ok(_) => return Err(ExitCode::from(exit::REFUSED)),
                Err(_) => {
                    if !away {
                        let text = self
                            .language
                            .pick("het station is weg; ik wacht", "the node has gone; waiting");
                        console::complain(format_args!("hitmachine-node: {text}"));
                    }
                    away = true;
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn print_each(&self, view: &NoticesView) {
        for notice in &view.notices {
            if !self.json {
                console::print_line(text::line(notice, self.language));
                continue;
            }
            match serde_json::to_string(notice) {
                Ok(line) => console::print_line(line),
                Err(error) => {
                    // Cannot be: a notice came as JSON.
                    let _ = fail(&error, exit::REFUSED);
                }
            }
        }
    }
}
