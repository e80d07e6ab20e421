//! `hitmachine covenant`.

use std::path::PathBuf;

use clap::Subcommand;
use hitmachine_core::covenant::Answers;
use hitmachine_core::{Clock, Covenant, Partner, Purpose, SystemClock};
use hitmachine_node::view::table;
use hitmachine_service::{console, exit};

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check a covenant file, and say in words and as a matrix what it allows.
    Check {
        /// The TOML file.
        file: PathBuf,
    },
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check { file } = command;
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", file.display()), exit::USAGE))?;
    let covenant = Covenant::parse(&bytes)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display()), exit::USAGE))?;
    console::print(explain(&covenant));
    Ok(())
}

fn explain(covenant: &Covenant) -> String {
    let (from, until) = covenant.validity();
    let today = SystemClock.today();
    let force = if covenant.in_force(today) {
        "in force today"
    } else {
        "NOT in force today"
    };
    let mut text = format!(
        "{} ({}, number {})\nfrom {from} until {until}: {force}\ndeployment {} ({})\nversion {}\n\nPartners\n",
        covenant.title(),
        covenant.id(),
        covenant.number(),
        covenant.deployment().id,
        covenant.deployment().kind,
        covenant.version(),
    );
    let mut partners = table(&[
        "Partner",
        "Name",
        "OIN",
        "Domain",
        "Answers",
        "Registers",
        "Term",
        "Stale after",
    ]);
    for partner in covenant.partners() {
        partners.add_row([
            partner.id.to_string(),
            partner.name.clone(),
            partner.oin.to_string(),
            partner.domain.clone(),
            answers(partner).into(),
            classes(partner),
            format!("{} days", partner.registration_days),
            format!("{} hours", partner.stale_after_hours),
        ]);
    }
    text.push_str(&format!("{partners}\n"));
    for purpose in covenant.purposes() {
        text.push_str(&format!(
            "\nPurpose {}: {}\n  basis {}; activity {}\n  roles {}; at most {} persons a question; entries kept {} months\n",
            purpose.code,
            purpose.title,
            purpose.legal_basis,
            purpose.processing_activity,
            list(&purpose.roles),
            purpose.max_subjects,
            purpose.log_retention_months,
        ));
        text.push_str(&matrix(covenant, purpose));
    }
    text
}

/// Who may ask whom, and about whom.
fn matrix(covenant: &Covenant, purpose: &Purpose) -> String {
    if purpose.askers.is_empty() || purpose.consults.is_empty() {
        return "  Nobody may ask for this purpose.\n".into();
    }
    let mut header = vec!["asks ↓   is asked →"];
    header.extend(purpose.consults.iter().map(hitmachine_core::PartnerId::as_str));
    let mut rows = table(&header);
    for asker in &purpose.askers {
        let mut row = vec![asker.to_string()];
        row.extend(
            purpose
                .consults
                .iter()
                .map(|consulted| match covenant.partner(consulted) {
                    Some(partner) if consulted != asker => classes(partner),
                    _ => "–".into(),
                }),
        );
        rows.add_row(row);
    }
    format!("{rows}\n")
}

fn answers(partner: &Partner) -> &'static str {
    match partner.answers {
        Answers::Index => "from the index",
        Answers::Live => "live",
    }
}

fn classes(partner: &Partner) -> String {
    if partner.registers.is_empty() {
        "nobody".into()
    } else {
        list(&partner.registers)
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
