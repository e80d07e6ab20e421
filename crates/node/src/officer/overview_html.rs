//! The overview as HTML to print on A4: one file, no scripts, nothing fetched. Every text is escaped.

use std::fmt::Write;

use super::overview::Report;
use super::overview_sheets::{Cell, Sheet, notes, sheets, span};
use super::text::{local, outcome};
use crate::chart::{Bar, BarChart, WIDTH};
use crate::html::escape;
use crate::language::Language;

const STYLE: &str = "\
@page { size: A4; margin: 16mm; }
body { font: 11pt/1.45 system-ui, sans-serif; color: #111; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
.lead { color: #333; margin-top: 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .7rem; padding: 0; margin: 1.2rem 0; list-style: none; }
.figures li { border: 1px solid #777; border-radius: .4rem; padding: .5rem .8rem; }
.figures b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
section { break-inside: avoid; }
.chart { width: 100%; height: auto; margin: .4rem 0 .6rem; }
table { border-collapse: collapse; width: 100%; font-size: 10pt; font-variant-numeric: tabular-nums; }
th, td { text-align: right; vertical-align: top; padding: .22rem .5rem; border-bottom: 1px solid #bbb; }
th { font-weight: 600; } thead th { border-bottom: 2px solid #555; vertical-align: bottom; }
th.text, td.text { text-align: left; } td.note { color: #444; font-style: italic; white-space: nowrap; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
tr.total th, tr.total td { border-top: 2px solid #555; font-weight: 600; }
.notes { font-size: 9.5pt; border-top: 1px solid #777; margin-top: 2rem; padding-top: .6rem; }
@media print { body { margin: 0; max-width: none; padding: 0; } h2 { break-after: avoid; } }
";

/// The whole report.
pub(super) fn html(report: &Report, language: Language) -> String {
    let code = language.pick("nl", "en");
    let title = language.pick(
        "Overzicht van de hit/no-hit-bevraging",
        "Overview of hit/no-hit questions",
    );
    let (title, period) = (escape(title), escape(&span(report, language)));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"{code}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}, {period}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p class=\"lead\">{period} · {}</p>\n",
        escape(&report.covenant)
    );
    out.push_str(&body(report, language));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// What stands under its heading, for a page that has its own.
pub(super) fn body(report: &Report, language: Language) -> String {
    let mut out = String::new();
    figures(&mut out, report, language);
    for sheet in sheets(report, language) {
        section(&mut out, report, &sheet, language);
    }
    out.push_str("<div class=\"notes\">\n");
    for note in notes(report, language) {
        let _ = writeln!(out, "<p>{}</p>", escape(&note));
    }
    let made = match language {
        Language::Nl => format!(
            "Geteld uit het controlelogboek op {}; vastgelegd als logregel {}; convenant nummer {}. Er staan geen \
             persoonsgegevens in dit overzicht.",
            local(&report.counted_at),
            report.log_entry,
            report.covenant_number
        ),
        Language::En => format!(
            "Counted from the audit log on {}; recorded as log entry {}; covenant number {}. There are no personal data \
             in this overview.",
            local(&report.counted_at),
            report.log_entry,
            report.covenant_number
        ),
    };
    let _ = writeln!(out, "<p>{}</p>\n</div>", escape(&made));
    out
}

/// What one wants to know first.
fn figures(out: &mut String, report: &Report, language: Language) {
    let all = &report.all;
    out.push_str("<ul class=\"figures tiles\">\n");
    for (count, words) in [
        (all.total, language.pick("vragen", "questions")),
        (all.hit, outcome("hit", language)),
        (all.no_hit, outcome("no_hit", language)),
        (all.could_not_ask, outcome("could_not_ask", language)),
        (all.refused, outcome("refused", language)),
    ] {
        let count = Cell::Count(count).text();
        let _ = writeln!(out, "<li><b>{count}</b> {}</li>", escape(words));
    }
    out.push_str("</ul>\n");
}

fn section(out: &mut String, report: &Report, sheet: &Sheet, language: Language) {
    let _ = writeln!(out, "<section>\n<h2>{}</h2>", escape(&sheet.title));
    if sheet.rows.is_empty() {
        let none = language.pick("Er is niets te tellen.", "There is nothing to count.");
        let _ = writeln!(out, "<p>{none}</p>\n</section>");
        return;
    }
    match sheet.name {
        "months" => out.push_str(&months(report, language)),
        "partners" => partners(out, report, language),
        "response" => out.push_str(&response(report, language)),
        _ => {}
    }
    table(out, sheet);
    out.push_str("</section>\n");
}

fn table(out: &mut String, sheet: &Sheet) {
    let is_text = |column: usize| {
        let first = sheet.rows.first().and_then(|row| row.get(column));
        matches!(first, Some(Cell::Text(text)) if !text.ends_with('%'))
    };
    let title = escape(&sheet.title);
    let _ = write!(
        out,
        "<div class=\"table-wrap\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n<table class=\"table\">\n\
         <caption class=\"visually-hidden\">{title}</caption>\n<thead><tr>"
    );
    for (column, name) in sheet.header.iter().enumerate() {
        let class = if is_text(column) {
            " class=\"text\""
        } else {
            " class=\"number\""
        };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (place, row) in sheet.rows.iter().enumerate() {
        let last = sheet.totals && place + 1 == sheet.rows.len();
        out.push_str(if last { "<tr class=\"total\">" } else { "<tr>" });
        for (column, cell) in row.iter().enumerate() {
            let class = match cell {
                Cell::Note(_) if is_text(column) => " class=\"note text\"",
                Cell::Note(_) => " class=\"note\"",
                _ if is_text(column) => " class=\"text\"",
                _ => " class=\"number\"",
            };
            let text = escape(&cell.text());
            let _ = match column {
                0 => write!(out, "<th scope=\"row\"{class}>{text}</th>"),
                _ => write!(out, "<td{class}>{text}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn suppressed(language: Language) -> &'static str {
    language.pick("* niet getoond", "* not shown")
}

fn months(report: &Report, language: Language) -> String {
    let bars = report.months.iter().map(|row| Bar {
        label: row.month.clone(),
        parts: vec![row.hit, row.no_hit, row.could_not_ask, row.refused],
        end: Cell::Count(row.total).text(),
    });
    let chart = BarChart {
        id: "months",
        title: language.pick("Vragen per maand en uitkomst", "Questions by month and outcome"),
        width: WIDTH,
        series: &[
            outcome("hit", language),
            outcome("no_hit", language),
            outcome("could_not_ask", language),
            outcome("refused", language),
        ],
        suppressed: suppressed(language),
        bars: &bars.collect::<Vec<_>>(),
    };
    chart.svg()
}

/// A chart for each purpose: at which organisations hits fell.
fn partners(out: &mut String, report: &Report, language: Language) {
    for (place, purpose) in report.purposes.iter().enumerate() {
        let rows = report.consulted.iter();
        let rows = rows.filter(|row| row.purpose == purpose.purpose && !row.withheld);
        let bars: Vec<Bar> = rows
            .map(|row| Bar {
                label: row.name.clone(),
                parts: vec![row.known],
                end: Cell::Count(row.known).text(),
            })
            .collect();
        if bars.is_empty() {
            continue;
        }
        let title = format!("{}: {}", purpose.title, language.pick("bekend bij", "known at"));
        let chart = BarChart {
            id: &format!("purpose-{place}"),
            title: &title,
            width: WIDTH,
            series: &[language.pick("bekend", "known")],
            suppressed: suppressed(language),
            bars: &bars,
        };
        let _ = writeln!(out, "<h3>{}</h3>\n{}", escape(&purpose.title), chart.svg());
    }
}

fn response(report: &Report, language: Language) -> String {
    let bars = report.response.iter().map(|row| Bar {
        label: format!("{}{}", row.name, if row.live { " (live)" } else { "" }),
        parts: vec![row.answered, row.could_not_ask],
        end: row
            .percent()
            .map_or_else(|| "*".to_owned(), |percent| format!("{percent} %")),
    });
    let chart = BarChart {
        id: "response",
        title: language.pick(
            "Beantwoorde vragen per instantie",
            "Answered questions by organisation",
        ),
        width: WIDTH,
        series: &[
            language.pick("beantwoord", "answered"),
            language.pick("niet bevraagd", "could not be asked"),
        ],
        suppressed: suppressed(language),
        bars: &bars.collect::<Vec<_>>(),
    };
    chart.svg()
}
