//! The page in `docs/`: made of a run and of nothing else but the remarks written by hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::chart::Chart;
use super::stats::{Row, number};
use super::table::{Run, verdict};

/// Why bars are missed, by hand: a heading with the row's words, then text.
const REMARKS: &str = include_str!("remarks.md");
/// Where the charts are, below the page's folder.
const CHARTS: &str = "images/benchmarks";

/// The parts in the page's order, with a heading and what is measured.
const PARTS: [(&str, &str, &str); 10] = [
    (
        "questions",
        "Single questions",
        "A real node asks a real broker over mutual TLS: tokens, signature, covenant, lookup among a million registrations, \
         entry in the log with its flush, receipt; the node verifies it all and makes the log's head durable before it has \
         the answer. Half of the persons are known. The *ceiling* is an echo over the same TLS and the same server, a \
         process of its own, whose handler waits for one group-committed `fdatasync` of 330 bytes; its messages have the \
         lengths of a real question and a real answer, and it parses and proves nothing. *PostgreSQL* does for each \
         lookup one transaction over TLS, a select among a million tags and an insert of 330 bytes, with synchronous \
         commit. The *hub without a verifying client* is the same broker with a client that signs its requests and \
         verifies nothing. All take turns in slices of a few seconds on the same disk.",
    ),
    (
        "households",
        "Households and lists",
        "As above; each person has an entry, an answer and a proof, and a question has one flush.",
    ),
    (
        "receipts",
        "Verification at the node",
        "Processor time of the one thread that verifies: signature of the checkpoint, opening and inclusion of the entry, \
         growth of the log since the heads held, and that entry and answer say what was asked.",
    ),
    (
        "sync",
        "Registers",
        "The real `hitmachine-node sync` reads a CSV of a million persons and sends it; it ends when the broker has \
         acknowledged all of it as durable, and both agree on count and digest.",
    ),
    (
        "scale",
        "Many registrations",
        "Ten partners with the same persons: a million and ten million persons. Their registers are written as syncs would \
         have left them. Memory is what the broker has more than with no registrations.",
    ),
    (
        "growth",
        "Growth",
        "Brokers with registers and logs of all sizes run side by side and are asked in turn, one question after another.",
    ),
    (
        "officer",
        "Review",
        "At the coordinator's node, which verifies every row it shows; `hitmachine audit verify` checks the whole published \
         log.",
    ),
    (
        "crowd",
        "A crowd",
        "Questions while two hundred nodes are connected, each with the streams that a node holds, twenty of which \
         answer live.",
    ),
    (
        "console",
        "Console",
        "People who are signed in at the pages of one node, all asking at once.",
    ),
    (
        "instructions",
        "Instructions",
        "Counted by callgrind in the real broker, so without the kernel; start and stop are subtracted. callgrind's processor \
         has no instructions for SHA-256, so that hashing counts some ten times more than it costs on one that has them. \
         Below each figure the functions that take most, each without those that it calls.",
    ),
];

/// Writes page, charts and figures into a folder.
pub(crate) fn write(run: &Run, charts: &[Chart], out: &Path) {
    fs::create_dir_all(out).unwrap();
    for chart in charts {
        chart.draw(&out.join(CHARTS));
    }
    fs::write(out.join("benchmarks.json"), run.json() + "\n").unwrap();
    fs::write(out.join("benchmarks.md"), page(run, charts, REMARKS)).unwrap();
}

/// What was written by hand about a row: the section whose heading the row begins with, and its text.
fn remark<'a>(remarks: &'a str, what: &str) -> Option<(&'a str, &'a str)> {
    let sections = remarks.split("\n## ").skip(1);
    let mut sections = sections.filter_map(|section| section.split_once('\n'));
    let (heading, text) = sections.find(|(heading, _)| what.starts_with(heading.trim()))?;
    Some((heading.trim(), text.trim()))
}

fn page(run: &Run, charts: &[Chart], remarks: &str) -> String {
    let [machine, weather] = run.circumstances();
    let judged: Vec<&Row> = run.rows.iter().filter(|row| row.bar.is_some()).collect();
    let met = judged.iter().filter(|row| row.is_met() == Some(true)).count();
    let mut text = format!(
        "# Benchmarks\n\nMade whole by `cargo xtask bench`; figures as data: [benchmarks.json](benchmarks.json). Each \
         figure is the median of its rounds, with the least and the most in brackets. What is compared was measured in \
         the same run. *Noisy*: other processes took more than 30 % of the processors meanwhile.\n\n\
         {met} of {} bars are met.\n\n**Machine**: {machine}.\n\n**Run**: {weather}.\n",
        judged.len()
    );
    for (part, heading, about) in PARTS {
        let rows: Vec<&Row> = run.rows.iter().filter(|row| row.part == part).collect();
        if rows.is_empty() {
            continue;
        }
        text.push_str(&format!("\n## {heading}\n\n{about}\n\n"));
        for chart in charts.iter().filter(|chart| chart.name.starts_with(part)) {
            let alternative = chart.alternative();
            text.push_str(&format!("![{alternative}]({CHARTS}/{}.svg)\n\n", chart.name));
        }
        text.push_str("| What | Figure | Beside | Ratio | Bar | |\n|---|---|---|---|---|---|\n");
        for row in &rows {
            text.push_str(&line(row));
        }
        let mut said = BTreeSet::new();
        for row in &rows {
            if !row.details.is_empty() {
                text.push_str(&format!("\n**{}**\n\n", capital(&row.what)));
                for detail in &row.details {
                    text.push_str(&format!("- {}\n", code(detail)));
                }
            }
            let remark = remark(remarks, &row.what).filter(|_| row.is_met() == Some(false));
            // Rows of one kind share theirs.
            if let Some((heading, remark)) = remark.filter(|(heading, _)| said.insert(*heading)) {
                text.push_str(&format!("\n**Why a bar is missed: {heading}.** {remark}\n"));
            }
        }
    }
    text
}

fn line(row: &Row) -> String {
    let against = row.against.as_ref();
    let against = against.map_or_else(String::new, |(what, figure)| format!("{what}: {figure}"));
    let ratio = row
        .ratio()
        .map_or_else(String::new, |ratio| format!("{}×", number(ratio)));
    let verdict = match (verdict(row), row.noisy) {
        ("missed", false) => "**missed**".to_owned(),
        ("missed", true) => "**missed**, noisy".to_owned(),
        (word, false) => word.to_owned(),
        ("", true) => "noisy".to_owned(),
        (word, true) => format!("{word}, noisy"),
    };
    format!(
        "| {} | {} | {against} | {ratio} | {} | {verdict} |\n",
        capital(&row.what),
        row.figure,
        row.bar_text()
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// A function's name would be read as formatting.
fn code(detail: &str) -> String {
    match detail.split_once(" % ") {
        Some((part, name)) => format!("{part} % `{name}`"),
        None => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_belongs_to_its_row() {
        let remarks = "About.\n\n## one\n\nBecause.\n\n## two\nOther.\n";
        assert_eq!(remark(remarks, "one, 16 in flight"), Some(("one", "Because.")));
        assert_eq!(remark(remarks, "two"), Some(("two", "Other.")));
        assert_eq!(remark(remarks, "three"), None);
    }
}
