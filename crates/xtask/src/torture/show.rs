//! What rounds did: while they go on, and at the end as a table, as JSON and in Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::Outcome;

/// A line that says how far it is; without a terminal a line of its own for each round.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(time: Duration) -> Self {
        let bar = ProgressBar::new(time.as_secs());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self(bar)
    }

    pub(super) fn begins(&self, kind: &str, so_far: &Outcome) {
        let rounds: u64 = so_far.kinds.iter().map(|(_, rounds, ..)| rounds).sum();
        let kills: u64 = so_far.kinds.iter().map(|(.., done)| done.all_of("kill -9")).sum();
        let text = format!("{rounds} rounds, {kills} kills; now {kind}");
        self.0.set_position(so_far.took.as_secs());
        if self.0.is_hidden() {
            let seconds = so_far.took.as_secs();
            hitmachine_service::console::complain(format_args!("{seconds:>6} s: {text}"));
        }
        self.0.set_message(text);
    }

    pub(super) fn ends(&self) {
        self.0.finish_and_clear();
    }
}

/// Round, what, how often, outcome.
fn rows(outcome: &Outcome) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for (kind, rounds, took, done) in &outcome.kinds {
        let found = outcome.fault.as_ref().is_some_and(|round| round.kind == *kind);
        let said = if found { "a fault" } else { "clean" };
        let whole = format!("rounds, {} s in all", took.as_secs());
        rows.push([(*kind).to_owned(), whole, rounds.to_string(), said.to_owned()]);
        for (what, times) in done.iter() {
            rows.push([
                (*kind).to_owned(),
                what.to_owned(),
                times.to_string(),
                "clean".to_owned(),
            ]);
        }
    }
    rows
}

fn summary(outcome: &Outcome) -> String {
    let rounds: u64 = outcome.kinds.iter().map(|(_, rounds, ..)| rounds).sum();
    let from = outcome
        .seed
        .map(|seed| format!(" from seed {seed}"))
        .unwrap_or_default();
    let minutes = outcome.took.as_secs_f64() / 60.0;
    let found = if outcome.fault.is_some() {
        "a fault"
    } else {
        "no fault"
    };
    format!("{rounds} rounds{from} in {minutes:.1} minutes: {found}.")
}

pub(super) fn table(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table
        .load_style(UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["Rounds", "What", "How often", "Outcome"]);
    for row in rows(outcome) {
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n{}\n", summary(outcome))
}

pub(super) fn json(outcome: &Outcome) -> Value {
    let kinds = outcome.kinds.iter().map(|(kind, rounds, took, done)| {
        let done: serde_json::Map<_, _> = done
            .iter()
            .map(|(what, times)| (what.to_owned(), times.into()))
            .collect();
        json!({"kind": kind, "rounds": rounds, "seconds": took.as_secs(), "done": done})
    });
    let fault = outcome.fault.as_ref().map(|round| {
        json!({"kind": round.kind, "seed": round.seed, "text": round.fault, "repeat": round.repeat_command()})
    });
    json!({
        "seed": outcome.seed,
        "seconds": outcome.took.as_secs(),
        "kinds": kinds.collect::<Vec<_>>(),
        "fault": fault,
    })
}

pub(super) fn markdown(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}\n\n| Rounds | What | How often | Outcome |\n|---|---|---:|---|\n",
        summary(outcome)
    );
    for [kind, what, times, said] in rows(outcome) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {kind} | {what} | {times} | {said} |");
    }
    if let Some(round) = &outcome.fault {
        let fault = round.fault.as_deref().unwrap_or_default();
        let _ = write!(
            text,
            "\nThe fault: {fault}\n\nTo repeat: `{}`\n",
            round.repeat_command()
        );
    }
    text
}
