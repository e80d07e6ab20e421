//! `hitmachine-node covenant`.

use std::process::ExitCode;

use hitmachine_core::covenant::difference;
use hitmachine_core::{Covenant, PartnerId};
use hitmachine_node::NodeConfig;
use hitmachine_node::control::{CovenantReply, Reply, Request};
use hitmachine_node::covenant_view::{changes_json, changes_text, covenant_json, for_partner, head};
use hitmachine_node::language::Language;
use hitmachine_service::{console, exit};
use jiff::Timestamp;
use serde_json::json;

use super::{Outcome, Shell, fail, print_json};

impl Shell {
    /// The covenant that this node accepted, or what has changed in it. If the hub gave none that could be accepted, the
    /// exit code says why.
    pub(super) async fn covenant(&self, config: NodeConfig, changes: bool) -> Outcome {
        let Reply::Covenant(reply) = self.call(config, Request::Covenant).await? else {
            return Err(ExitCode::from(exit::REFUSED));
        };
        let parse =
            |text: &str| Covenant::parse(text.as_bytes()).map_err(|error| fail(&error, exit::INTEGRITY));
        let covenant = parse(&reply.covenant)?;
        let previous = reply.previous.as_deref().map(parse).transpose()?;
        let now = Timestamp::now();
        if self.json {
            let changed = previous
                .as_ref()
                .map(|previous| changes_json(&difference(previous, &covenant)));
            print_json(&json!({
                "partner": reply.partner, "hub": reply.hub, "covenant": covenant_json(&covenant, now, None),
                "previous": previous.as_ref().map(|previous| json!({
                    "number": previous.number(), "version": previous.version().to_string(),
                })),
                "changes": changed,
            }));
        } else if changes {
            console::print(head(&covenant, self.language, now));
            console::print(self.changes(previous.as_ref(), &covenant));
        } else {
            let partner: Option<PartnerId> = reply.partner.parse().ok();
            let text = partner.map(|partner| for_partner(&covenant, &partner, self.language, now));
            console::print(text.unwrap_or_default());
        }
        Ok(self.reached(&reply))
    }

    fn changes(&self, previous: Option<&Covenant>, covenant: &Covenant) -> String {
        let Some(previous) = previous else {
            let none = self.language.pick(
                "Dit is het eerste convenant dat dit station aanvaardde.",
                "This is the first covenant that this node accepted.",
            );
            return format!("\n{none}\n");
        };
        let number = previous.number();
        let title = match self.language {
            Language::Nl => format!("Verschil met nummer {number}"),
            Language::En => format!("Difference from number {number}"),
        };
        format!(
            "\n{title}\n{}",
            changes_text(&difference(previous, covenant), self.language)
        )
    }

    fn reached(&self, reply: &CovenantReply) -> ExitCode {
        let Some(failure) = &reply.hub else {
            return ExitCode::SUCCESS;
        };
        if self.json {
            return ExitCode::from(failure.exit);
        }
        let nl = "dit is het laatst aanvaarde convenant; het knooppunt gaf geen nieuw";
        let en = "this is the covenant accepted last; the hub gave none";
        let why = self.language.pick(nl, en);
        console::complain(format_args!(
            "hitmachine-node: {why}: {}",
            failure.text(self.language)
        ));
        ExitCode::from(failure.exit)
    }
}
