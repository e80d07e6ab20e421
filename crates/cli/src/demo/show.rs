//! What people see of the demo: tables, a progress bar, a summary.

use std::io::IsTerminal;
use std::sync::Arc;

use hitmachine_node::control::Client;
use hitmachine_node::language::Language;
use hitmachine_node::screen::{Frame, ScreeningReport, screen};
use hitmachine_node::source::households::HouseholdOutcome;
use hitmachine_node::sync::SyncReport;
use hitmachine_node::view::table;
use hitmachine_service::console;
use hitmachine_testkit::deployment::Deployment;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Broker, Summary};

/// What people see.
pub(super) struct Show {
    pub(super) language: Language,
    pub(super) quiet: bool,
}

impl Show {
    pub(super) fn pick<'a>(&self, nl: &'a str, en: &'a str) -> &'a str {
        self.language.pick(nl, en)
    }

    pub(super) fn line(&self, text: &str) {
        if !self.quiet {
            console::print_line(text);
        }
    }

    pub(super) fn registers(&self, synchronised: &[(String, SyncReport)]) {
        let mut rows = table(&[
            self.pick("Instantie", "Organisation"),
            self.pick("Rijen", "Rows"),
            self.pick("Overgeslagen", "Left out"),
            self.pick("Verstuurd", "Sent"),
            self.pick("Personen geregistreerd", "Persons registered"),
        ]);
        for (partner, report) in synchronised {
            rows.add_row([
                partner.clone(),
                report.rows.to_string(),
                report.bad_rows.to_string(),
                if report.live {
                    self.pick("niets (live)", "nothing (live)").to_owned()
                } else {
                    (report.registered + report.withdrawn).to_string()
                },
                report.persons.to_string(),
            ]);
        }
        self.line(&format!("\n{rows}"));
        for issue in synchronised.iter().flat_map(|(_, report)| &report.issues).take(4) {
            self.line(&format!("  {}", issue.text(self.language)));
        }
        self.line("");
    }

    pub(super) async fn screening(&self, client: Arc<Client>, list: &HouseholdOutcome) -> ScreeningReport {
        let persons = list
            .households
            .iter()
            .map(|household| household.persons.len() as u64)
            .sum();
        let visible = !self.quiet && std::io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(persons), target);
        // The template is a constant; were it wrong, the default style would show.
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {per_sec} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(
            self.pick("Top-150 bevragen", "Asking about the Top-150")
                .to_owned(),
        );
        self.line(self.pick(
            "De informatiecoördinator van het Veiligheidshuis bevraagt de Top-150:",
            "The information coordinator of the Veiligheidshuis asks about the Top-150:",
        ));
        let frame = Frame {
            purpose: "screening".into(),
            case: "TOP150-DEMO".into(),
            user: "demo-coordinator".into(),
            role: "informatiecoordinator".into(),
            responsible: None,
        };
        let shown = bar.clone();
        let report = screen(client, &frame, list, move |done| shown.set_position(done as u64)).await;
        bar.finish_and_clear();
        report
    }

    pub(super) fn summary(&self, summary: &Summary) {
        let mut rows = table(&[self.pick("Samenvatting", "Summary"), ""]);
        let mut add = |nl: &str, en: &str, value: String| {
            rows.add_row([self.pick(nl, en).to_owned(), value]);
        };
        add("Huishoudens", "Households", summary.households.to_string());
        add("Personen", "Persons", summary.persons.to_string());
        add(
            "Huishoudens zonder indicatie bij de drie gemeentelijke partners",
            "Households without indication at the three municipal partners",
            summary.households_without_municipal_indication.to_string(),
        );
        add(
            "  daarvan bekend bij OM/reclassering",
            "  of those known at OM/reclassering",
            summary.of_those_known_at_om.to_string(),
        );
        for (partner, hits) in &summary.hits_per_partner {
            add(
                &format!("Personen bekend bij {partner}"),
                &format!("Persons known at {partner}"),
                hits.to_string(),
            );
        }
        add(
            "Antwoorden waarvan het bewijs in het logboek is gecontroleerd",
            "Answers whose proof in the log has been checked",
            summary.receipts_verified.to_string(),
        );
        add(
            "Logregels bij het knooppunt",
            "Entries in the broker's log",
            summary.log_size.to_string(),
        );
        let same = if summary.equals_ground_truth {
            self.pick("ja", "yes")
        } else {
            self.pick("NEE", "NO")
        };
        add(
            "Gelijk aan wat uit de platte registers volgt",
            "Equal to what follows from the plain registers",
            same.to_owned(),
        );
        self.line(&format!("{rows}"));
    }

    /// A line at the bottom that may change, if somebody watches.
    pub(super) fn line_that_changes(&self) -> ProgressBar {
        let watched = !self.quiet && std::io::stderr().is_terminal();
        let target = if watched {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let line = ProgressBar::with_draw_target(None, target);
        // The template is a constant; were it wrong, the default style would show.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            line.set_style(style);
        }
        line
    }

    pub(super) fn running(&self, deployment: &Deployment, broker: &Broker, accounts: &str) {
        let metrics = broker
            .running
            .metrics
            .map_or_else(|| "-".to_owned(), |at| format!("http://{at}/metrics"));
        self.line(&format!(
            "\n{}\n{accounts}\n{} {}\n{} {}\n{} {metrics}\n{} hitmachine-node --config {} status\n{}",
            self.pick(
                "Werk er zelf mee, in de browser. Dit zijn verzonnen personen met een eigen account:",
                "Work with it yourself, in a browser. These are made-up people with an account of their own:"
            ),
            self.pick(
                "De code verandert elke halve minuut; hij staat ook in:",
                "The code changes each half minute; it also stands in:"
            ),
            deployment.dir().join("codes.txt").display(),
            self.pick(
                "Verzonnen personen om naar te vragen, en een lijst voor een screening, staan in:",
                "Made-up persons to ask about, and a list to screen, are in:"
            ),
            deployment.registers().display(),
            self.pick("Meetwaarden:", "Metrics:"),
            self.pick("Of in een ander venster:", "Or in another window:"),
            deployment.node_config("leerplicht").display(),
            self.pick(
                "De demo draait door tot Ctrl-C.",
                "The demo runs on until Ctrl-C."
            ),
        ));
    }
}
