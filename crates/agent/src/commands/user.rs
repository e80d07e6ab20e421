//! The command line's accounts of the console.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hitmachine_core::volume;
use hitmachine_node::NodeConfig;
use hitmachine_node::accounts::task::{AccountAsk, AccountReply, AccountTask, SetUp};
use hitmachine_node::accounts::{Checked, Entries, Filter, Kind, Roles, UserView};
use hitmachine_node::control::{Reply, Request};
use hitmachine_node::view::table;
use hitmachine_service::{console, exit};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{Outcome, Shell, fail, print_json};

/// A file with a password or a secret is no longer than this.
const LONGEST_FILE: u64 = 1024;

#[derive(Subcommand)]
pub(super) enum UserCommand {
    /// Make an account. Prints a first password once, unless files are given; the person chooses another at first sign-in.
    Add {
        /// Name by which the person signs in, and by which the hub's log knows who asked. Never a BSN.
        id: String,
        /// Name for people.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        roles: RoleArguments,
        /// File with the password, so that none is made; for many machines, tests and demos.
        #[arg(long, value_name = "FILE", requires = "totp_file")]
        password_file: Option<PathBuf>,
        /// File with the secret for codes (TOTP), 32 letters and digits in base32.
        #[arg(long, value_name = "FILE", requires = "password_file")]
        totp_file: Option<PathBuf>,
    },
    /// List the accounts.
    List,
    /// Give an account these roles instead of those it has; ends its sessions.
    Roles {
        /// User name.
        id: String,
        #[command(flatten)]
        roles: RoleArguments,
    },
    /// Let somebody sign in no more, and end their sessions.
    Block {
        /// User name.
        id: String,
    },
    /// Let somebody sign in again, also after too many wrong passwords or codes.
    Unblock {
        /// User name.
        id: String,
    },
    /// Print a new first password and forget the second factor, for who has lost both; ends their sessions.
    Reset {
        /// User name.
        id: String,
    },
    /// Remove an account. What it did stays in the book of sign-ins and in the hub's log.
    Remove {
        /// User name.
        id: String,
    },
    /// Show the book of sign-ins: who signed in or could not, and every change of accounts. Newest first.
    Log(LogArguments),
}

#[derive(Args)]
pub(super) struct LogArguments {
    /// Only about this account, or done by it.
    #[arg(long)]
    user: Option<String>,
    /// Only entries of this kind.
    #[arg(long, value_enum)]
    kind: Option<KindWord>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    last: usize,
    /// Check instead that no entry was changed, removed or put in between. Exit code 4 if one was.
    #[arg(long, conflicts_with_all = ["user", "kind", "last"])]
    check: bool,
}

/// [`Kind`] on the command line.
#[derive(Clone, Copy)]
pub(super) struct KindWord(Kind);

impl ValueEnum for KindWord {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [KindWord; Kind::ALL.len()] = {
            let mut all = [KindWord(Kind::SignIn); Kind::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = KindWord(Kind::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.word()))
    }
}

#[derive(Args)]
pub(super) struct RoleArguments {
    /// What the person may do, more than once for several: `vrager=ROLE` asks questions, in this role of the covenant;
    /// `privacyfunctionaris[=ROLE]` reviews the log; `beheerder` keeps this node and its accounts.
    #[arg(long = "role", value_name = "ROLE", required = true)]
    roles: Vec<String>,
}

impl RoleArguments {
    pub(super) fn roles(&self) -> Result<Roles, ExitCode> {
        Roles::of_words(self.roles.iter().map(String::as_str)).map_err(|error| fail(&error, exit::USAGE))
    }
}

impl Shell {
    /// Does one of the commands about accounts.
    pub(super) async fn user(&self, config: NodeConfig, command: UserCommand) -> Outcome {
        let task = match command {
            UserCommand::Add {
                id,
                name,
                roles,
                password_file,
                totp_file,
            } => AccountTask::Add {
                id,
                name,
                roles: roles.roles()?,
                set_up: match (password_file, totp_file) {
                    (Some(password), Some(totp)) => Some(SetUp {
                        password: secret(&password)?,
                        totp: secret(&totp)?,
                    }),
                    _ => None,
                },
            },
            UserCommand::List => AccountTask::Users,
            UserCommand::Roles { id, roles } => AccountTask::Roles {
                id,
                roles: roles.roles()?,
            },
            UserCommand::Block { id } => AccountTask::Block(id),
            UserCommand::Unblock { id } => AccountTask::Unblock(id),
            UserCommand::Reset { id } => AccountTask::Reset(id),
            UserCommand::Remove { id } => AccountTask::Remove(id),
            UserCommand::Log(LogArguments { check: true, .. }) => AccountTask::Check,
            UserCommand::Log(log) => AccountTask::Log {
                filter: Filter {
                    user: log.user,
                    kind: log.kind.map(|word| word.0),
                    before: None,
                },
                most: log.last,
            },
        };
        self.account(config, task).await
    }

    /// Does something with accounts or applications and tells what came of it.
    pub(super) async fn account(&self, config: NodeConfig, task: AccountTask) -> Outcome {
        let by = std::env::var("USER").unwrap_or_default();
        let request = Request::Account(Box::new(AccountAsk { by, task }));
        let Reply::Account(reply) = self.call(config, request).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        if self.json {
            print_account_json(&reply);
        } else {
            self.tell_account(&reply);
        }
        Ok(match reply {
            AccountReply::Checked(Checked { broken: Some(_), .. }) => ExitCode::from(exit::INTEGRITY),
            _ => ExitCode::SUCCESS,
        })
    }

    fn tell_account(&self, reply: &AccountReply) {
        let language = self.language;
        match reply {
            AccountReply::Done => console::print_line(language.pick("Gedaan.", "Done.")),
            AccountReply::InitialPassword(password) => {
                console::print_line(format_args!(
                    "{} {}\n{}",
                    language.pick("Eerste wachtwoord:", "First password:"),
                    password.as_str(),
                    language.pick(
                        "Geef het persoonlijk; het wordt niet nog eens getoond. Bij de eerste keer inloggen kiest de \
                         gebruiker een eigen wachtwoord en koppelt een app voor codes.",
                        "Give it in person; it is not shown again. At first sign-in the user chooses a password and sets up \
                         an app for codes.",
                    )
                ));
            }
            AccountReply::Token(token) => console::print_line(format_args!(
                "{} {}\n{}",
                language.pick("Token:", "Token:"),
                token.as_str(),
                language.pick(
                    "Zet het in de instellingen van de toepassing; het wordt niet nog eens getoond.",
                    "Put it into the application's settings; it is not shown again.",
                )
            )),
            AccountReply::Users(users) => console::print(self.users(users)),
            AccountReply::Entries(entries) => console::print(self.entries(entries)),
            AccountReply::Checked(checked) => console::print_line(self.checked(checked)),
            AccountReply::Applications(applications) => console::print(self.applications(applications)),
        }
    }

    fn users(&self, users: &[UserView]) -> String {
        let language = self.language;
        let mut out = table(&[
            language.pick("Gebruiker", "User"),
            language.pick("Naam", "Name"),
            language.pick("Rollen", "Roles"),
            language.pick("Stand", "State"),
            language.pick("Laatst ingelogd", "Last sign-in"),
        ]);
        for user in users {
            let state = match user {
                UserView { blocked: true, .. } => language.pick("geblokkeerd", "blocked"),
                UserView { external: true, .. } => language.pick("via inlogdienst", "identity provider"),
                UserView {
                    has_password: false, ..
                } => language.pick("zonder wachtwoord", "no password"),
                UserView {
                    must_change: true, ..
                } => language.pick("eerste wachtwoord", "first password"),
                UserView {
                    second_factor: false, ..
                } => language.pick("nog geen codes", "no codes yet"),
                _ => language.pick("in gebruik", "in use"),
            };
            let last = user.last_sign_in.map(local).unwrap_or_default();
            out.add_row([&user.id, &user.name, &user.roles.to_string(), state, &last]);
        }
        format!("{out}\n")
    }

    fn entries(&self, entries: &Entries) -> String {
        let language = self.language;
        let mut out = table(&[
            language.pick("Nr", "No"),
            language.pick("Tijd", "Time"),
            language.pick("Wat", "What"),
            language.pick("Gebruiker", "User"),
            language.pick("Door", "By"),
            language.pick("Toelichting", "Detail"),
        ]);
        for entry in &entries.entries {
            out.add_row([
                &entry.number.to_string(),
                &local(entry.time),
                entry.kind.text(language),
                &entry.user,
                entry.by.as_deref().unwrap_or(""),
                &entry.detail_text(language),
            ]);
        }
        let more = if entries.more {
            language.pick("  … en oudere; zie --last\n", "  … and older ones; see --last\n")
        } else {
            ""
        };
        format!("{out}\n{more}")
    }

    fn checked(&self, checked: &Checked) -> String {
        let language = self.language;
        match checked.broken {
            Some(number) => format!(
                "{} {number}",
                language.pick(
                    "Het logboek van inlogs is NIET heel: het klopt niet meer vanaf regel",
                    "The book of sign-ins is NOT whole: it is wrong from entry",
                )
            ),
            None => format!(
                "{}: {} {} {}\n{} {}",
                language.pick("Het logboek van inlogs is heel", "The book of sign-ins is whole"),
                checked.entries,
                language.pick("regels, de laatste is nummer", "entries, the last is number"),
                checked.last,
                language.pick("Vingerafdruk:", "Fingerprint:"),
                checked.fingerprint
            ),
        }
    }
}

/// A moment as people here read it.
pub(super) fn local(at: Timestamp) -> String {
    volume::local(at).strftime("%d-%m-%Y %H:%M").to_string()
}

/// The first line of a file.
fn secret(path: &Path) -> Result<Zeroizing<String>, ExitCode> {
    let read = || {
        use std::io::Read;
        let mut text = Zeroizing::new(String::with_capacity(1024));
        std::fs::File::open(path)?
            .take(LONGEST_FILE)
            .read_to_string(&mut text)?;
        std::io::Result::Ok(text)
    };
    let text = read().map_err(|error| {
        console::complain(format_args!("hitmachine-node: {}: {error}", path.display()));
        ExitCode::from(exit::USAGE)
    })?;
    Ok(Zeroizing::new(
        text.lines().next().unwrap_or("").trim().to_owned(),
    ))
}

fn print_account_json(reply: &AccountReply) {
    match reply {
        AccountReply::Users(users) => print_json(users),
        AccountReply::Entries(entries) => print_json(entries),
        AccountReply::Checked(checked) => print_json(checked),
        AccountReply::Applications(applications) => print_json(applications),
        other => print_json(other),
    }
}
