//! All of a run: its rows, the machine and the weather, as a table and as JSON.

use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use super::machine::{Machine, Weather};
use super::stats::{Row, number};

/// What a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    /// The day, of this machine's clock.
    pub(crate) date: String,
    pub(crate) seconds: f64,
    pub(crate) machine: Machine,
    /// Milliseconds of an append of 4 KiB with `fdatasync`: half of them, and 99 of 100.
    pub(crate) flush_ms: [f64; 2],
    /// The load during the run: half of the time, and at most.
    pub(crate) load: [f64; 2],
    pub(crate) rows: Vec<Row>,
}

/// A row's verdict in a word.
pub(crate) fn verdict(row: &Row) -> &'static str {
    match row.is_met() {
        None => "",
        Some(true) => "met",
        Some(false) => "missed",
    }
}

impl Run {
    pub(crate) fn new(machine: Machine, weather: &Weather, took: Duration, rows: Vec<Row>) -> Self {
        Self {
            date: hitmachine_tests::today().to_string(),
            seconds: took.as_secs_f64(),
            machine,
            flush_ms: [weather.flush_ms(0.5), weather.flush_ms(0.99)],
            load: [weather.load(0.5), weather.load(1.0)],
            rows,
        }
    }

    /// The machine and the weather in two lines.
    pub(crate) fn circumstances(&self) -> [String; 2] {
        let Machine {
            processor,
            cores,
            memory_bytes,
            kernel,
            file_system,
            rustc,
        } = &self.machine;
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
        let memory = *memory_bytes as f64 / 1e9;
        [
            format!(
                "{processor}, {cores} cores, {} GB of memory, {kernel}, {file_system}, {rustc}",
                number(memory)
            ),
            format!(
                "{}; measured in {} s; an append of 4 KiB with fdatasync takes {} ms (p99 {} ms), seen all through the \
                 run; load {}, at most {}",
                self.date,
                number(self.seconds),
                number(self.flush_ms[0]),
                number(self.flush_ms[1]),
                number(self.load[0]),
                number(self.load[1]),
            ),
        ]
    }

    /// For people at a terminal.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["what", "figure", "against", "ratio", "bar", ""]);
        for row in &self.rows {
            let against = row.against.as_ref();
            let noisy = if row.noisy { " (noisy)" } else { "" };
            table.add_row([
                row.what.clone(),
                row.figure.to_string(),
                against.map_or_else(String::new, |(what, figure)| format!("{what}: {figure}")),
                row.ratio()
                    .map_or_else(String::new, |ratio| format!("{}×", number(ratio))),
                row.bar_text(),
                format!("{}{noisy}", verdict(row)),
            ]);
        }
        let mut text = table.to_string();
        for row in self.rows.iter().filter(|row| !row.details.is_empty()) {
            text.push_str(&format!("\n\n{}", row.what));
            for detail in &row.details {
                text.push_str(&format!("\n  {detail}"));
            }
        }
        let [machine, weather] = self.circumstances();
        format!("{text}\n\n{machine}\n{weather}")
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        let mut json = serde_json::to_value(self).unwrap();
        // What follows from the figures is there too, for whoever only reads.
        let rows = json["rows"].as_array_mut().into_iter().flatten();
        for (row, of) in rows.zip(&self.rows) {
            row["ratio"] = of.ratio().into();
            row["met"] = of.is_met().into();
        }
        serde_json::to_string_pretty(&json).unwrap()
    }
}
