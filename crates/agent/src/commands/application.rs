//! The command line's applications of the local API.

use clap::Subcommand;
use hitmachine_node::NodeConfig;
use hitmachine_node::accounts::task::{AccountTask, in_days};
use hitmachine_node::accounts::{Application, NewApplication};
use hitmachine_node::view::table;
use jiff::Timestamp;

use super::user::{RoleArguments, local};
use super::{Outcome, Shell};

#[derive(Subcommand)]
pub(super) enum ApplicationCommand {
    /// Add an application. Prints its token once; only a hash of it is kept.
    Add {
        /// Short name: small letters, digits and hyphens. The hub's log knows it as app:NAME.
        id: String,
        /// Name for people.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        roles: RoleArguments,
        /// A purpose that it may ask for, by its short name; more than once for several. All that the covenant grants if
        /// absent.
        #[arg(long = "purpose", value_name = "PURPOSE")]
        purposes: Vec<String>,
        /// Its token ends after so many days.
        #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// List the applications.
    List,
    /// Make an application's token worth nothing.
    Revoke {
        /// Short name.
        id: String,
    },
}

impl Shell {
    /// Does one of the commands about applications.
    pub(super) async fn application(&self, config: NodeConfig, command: ApplicationCommand) -> Outcome {
        let task = match command {
            ApplicationCommand::Add {
                id,
                name,
                roles,
                purposes,
                days,
            } => AccountTask::AddApplication(NewApplication {
                id,
                name,
                roles: roles.roles()?,
                purposes: (!purposes.is_empty()).then_some(purposes),
                expires: Some(in_days(Timestamp::now(), days)),
            }),
            ApplicationCommand::List => AccountTask::Applications,
            ApplicationCommand::Revoke { id } => AccountTask::Revoke(id),
        };
        self.account(config, task).await
    }

    pub(super) fn applications(&self, applications: &[Application]) -> String {
        let language = self.language;
        let mut out = table(&[
            language.pick("Toepassing", "Application"),
            language.pick("Naam", "Name"),
            language.pick("Rollen", "Roles"),
            language.pick("Doelen", "Purposes"),
            language.pick("Laatst gebruikt", "Last used"),
            language.pick("Tot", "Until"),
        ]);
        for application in applications {
            let all = || language.pick("alle", "all").to_owned();
            let purposes = application.purposes.as_ref();
            out.add_row([
                &application.id,
                &application.name,
                &application.roles.to_string(),
                &purposes.map_or_else(all, |purposes| purposes.join(", ")),
                &application.last_used.map(local).unwrap_or_default(),
                &application.expires.map(local).unwrap_or_default(),
            ]);
        }
        format!("{out}\n")
    }
}
