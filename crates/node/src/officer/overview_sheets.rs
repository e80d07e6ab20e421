//! The tables of an overview, made once and written in three ways: on a terminal, as CSV and in the page.

use super::overview::{OverviewView, Report};
use super::text::{local, outcome, own, plain};
use crate::language::Language;
use crate::spreadsheet::{safe, writer};
use crate::view::{refusal_text, table};

/// What stands for a suppressed count.
pub const SUPPRESSED: &str = "*";

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its name as a file, without an ending.
    pub name: &'static str,
    /// Its title.
    pub title: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// Cells, as many as columns.
    pub rows: Vec<Vec<Cell>>,
    /// Whether the last row are totals.
    pub totals: bool,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A number; `None` is suppressed.
    Count(Option<u64>),
    /// There is no number here, and why.
    Note(&'static str),
}

impl Cell {
    /// As people read it.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(Some(count)) => count.to_string(),
            Self::Count(None) => SUPPRESSED.to_owned(),
            Self::Note(note) => (*note).to_owned(),
        }
    }
}

/// All tables of an overview.
pub fn sheets(report: &Report, language: Language) -> Vec<Sheet> {
    vec![
        months(report, language),
        purposes(report, language),
        partners(report, language),
        response(report, language),
        refusals(report, language),
        cases(report, language),
        registered(report, language),
    ]
}

fn sheet(name: &'static str, title: &str, header: &[&str], rows: Vec<Vec<Cell>>, totals: bool) -> Sheet {
    Sheet {
        name,
        title: title.to_owned(),
        header: header.iter().map(|name| (*name).to_owned()).collect(),
        rows,
        totals,
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn total(language: Language) -> &'static str {
    language.pick("Totaal", "Total")
}

fn withheld(language: Language) -> Cell {
    Cell::Note(language.pick("niet getoond", "not shown"))
}

fn months(report: &Report, language: Language) -> Sheet {
    let rows = report.months.iter().chain([&report.all]).map(|row| {
        let month = if row.month.is_empty() {
            total(language)
        } else {
            &row.month
        };
        let counts = [row.hit, row.no_hit, row.could_not_ask, row.refused, row.total];
        [text(month)].into_iter().chain(counts.map(Cell::Count)).collect()
    });
    let header = [
        language.pick("Maand", "Month"),
        outcome("hit", language),
        outcome("no_hit", language),
        outcome("could_not_ask", language),
        outcome("refused", language),
        total(language),
    ];
    let title = language.pick("Vragen per maand", "Questions by month");
    sheet("months", title, &header, rows.collect(), true)
}

fn purposes(report: &Report, language: Language) -> Sheet {
    let all = &report.all;
    let rows = report.purposes.iter().map(|row| {
        let counts = [row.hit, row.no_hit, row.could_not_ask, row.total];
        (row.title.as_str(), counts)
    });
    let totals = (
        total(language),
        [all.hit, all.no_hit, all.could_not_ask, report.answered],
    );
    let rows = rows
        .chain([totals])
        .map(|(title, counts)| [text(title)].into_iter().chain(counts.map(Cell::Count)).collect());
    let header = [
        language.pick("Doel", "Purpose"),
        outcome("hit", language),
        outcome("no_hit", language),
        outcome("could_not_ask", language),
        total(language),
    ];
    let title = language.pick("Beantwoorde vragen per doel", "Answered questions by purpose");
    sheet("purposes", title, &header, rows.collect(), true)
}

fn partners(report: &Report, language: Language) -> Sheet {
    let mut rows = Vec::new();
    for row in &report.consulted {
        let names = [text(&report.title(&row.purpose)), text(&row.name)];
        let counts = if row.withheld {
            [(); 5].map(|()| withheld(language))
        } else {
            let does_not_apply = if row.together {
                Cell::Note(language.pick("bij niet bekend", "with not known"))
            } else {
                Cell::Count(row.does_not_apply)
            };
            [
                Cell::Count(row.known),
                Cell::Count(row.not_known),
                Cell::Count(row.could_not_ask),
                does_not_apply,
                Cell::Count(row.total),
            ]
        };
        rows.push(names.into_iter().chain(counts).collect());
    }
    for row in report.purposes.iter().filter(|row| row.consulted_withheld) {
        let all = Cell::Note(language.pick("alle", "all"));
        let names = [text(&row.title), all];
        rows.push(
            names
                .into_iter()
                .chain([(); 5].map(|()| withheld(language)))
                .collect(),
        );
    }
    let header = [
        language.pick("Doel", "Purpose"),
        language.pick("Bevraagde instantie", "Organisation asked"),
        language.pick("bekend", "known"),
        language.pick("niet bekend", "not known"),
        language.pick("niet bevraagd", "could not be asked"),
        language.pick("niet van toepassing", "does not apply"),
        total(language),
    ];
    let title = language.pick(
        "Antwoorden per instantie en doel",
        "Answers by organisation and purpose",
    );
    sheet("partners", title, &header, rows, false)
}

fn response(report: &Report, language: Language) -> Sheet {
    let rows = report.response.iter().map(|row| {
        let how = if row.live {
            language.pick("live", "live")
        } else {
            language.pick("register", "register")
        };
        let percent = row.percent().map(|percent| format!("{percent} %"));
        vec![
            text(&row.name),
            text(how),
            Cell::Count(row.answered),
            Cell::Count(row.could_not_ask),
            percent.map_or(Cell::Count(None), Cell::Text),
        ]
    });
    let header = [
        language.pick("Instantie", "Organisation"),
        language.pick("Antwoordt", "Answers"),
        language.pick("beantwoord", "answered"),
        language.pick("niet bevraagd", "could not be asked"),
        language.pick("aandeel beantwoord", "share answered"),
    ];
    let title = language.pick("Bereikbaarheid van instanties", "Response of organisations");
    sheet("response", title, &header, rows.collect(), false)
}

fn refusals(report: &Report, language: Language) -> Sheet {
    let outside = language.pick("buiten het convenant", "outside the covenant");
    let askers = report.refused_askers.iter();
    let askers = askers.map(|name| if name.is_empty() { outside } else { name.as_str() });
    let mut header = vec![language.pick("Reden", "Reason"), language.pick("Code", "Code")];
    header.extend(askers);
    header.push(total(language));
    let rows = report.refusals.iter().map(|row| {
        let why = match row.code.as_str() {
            "" => total(language),
            code => refusal_text(code, language),
        };
        let counts = row.counts.iter().chain([&row.total]);
        let names = [text(why), text(&row.code)];
        names
            .into_iter()
            .chain(counts.map(|count| Cell::Count(*count)))
            .collect()
    });
    let title = language.pick("Geweigerde vragen", "Refused questions");
    sheet("refusals", title, &header, rows.collect(), true)
}

fn cases(report: &Report, language: Language) -> Sheet {
    let gone = language.pick("niet meer in het convenant", "no longer in the covenant");
    let mut rows: Vec<Vec<Cell>> = report
        .cases
        .iter()
        .map(|row| {
            let name = if row.organisation.is_empty() {
                gone
            } else {
                &row.organisation
            };
            vec![
                text(&report.title(&row.purpose)),
                text(name),
                Cell::Count(row.count),
            ]
        })
        .collect();
    for row in report.purposes.iter().filter(|row| row.cases_withheld) {
        let all = Cell::Note(language.pick("alle", "all"));
        rows.push(vec![text(&row.title), all, withheld(language)]);
    }
    let header = [
        language.pick("Doel", "Purpose"),
        language.pick("Vragende instantie", "Asking organisation"),
        language.pick("Zaken", "Cases"),
    ];
    let title = language.pick("Zaken waarvoor is gevraagd", "Cases that were asked for");
    sheet("cases", title, &header, rows, false)
}

fn registered(report: &Report, language: Language) -> Sheet {
    let rows = report.registered.iter().map(|row| {
        let count = if row.live {
            Cell::Note(language.pick("antwoordt live", "answers live"))
        } else {
            Cell::Count(row.count)
        };
        vec![text(&row.name), count]
    });
    let header = [
        language.pick("Instantie", "Organisation"),
        language.pick("Registraties nu", "Registrations now"),
    ];
    let title = language.pick("Registraties", "Registrations");
    sheet("registrations", title, &header, rows.collect(), false)
}

/// What must be said about all tables, one sentence each.
pub fn notes(report: &Report, language: Language) -> Vec<String> {
    let (least, erased, undated) = (report.threshold, report.erased, report.erased_undated);
    let mut notes = vec![match language {
        Language::Nl => format!(
            "{SUPPRESSED} niet getoond: het aantal is kleiner dan {least}, of zou een aantal kleiner dan {least} verraden. \
             Tabellen die een klein aantal zouden verraden, zijn weggelaten."
        ),
        Language::En => format!(
            "{SUPPRESSED} not shown: the count is below {least}, or would give away a count below {least}. \
             Tables that would give away a small count are left out."
        ),
    }];
    let mut note = |nl: &str, en: &str| notes.push(language.pick(nl, en).to_owned());
    note(
        "Een vraag gaat over één persoon. Maanden zijn die van het logboek (UTC). Vragen voor vertrouwelijke doelen tellen mee. \
         Handelingen van de privacyfunctionaris tellen niet mee; geweigerde wel.",
        "A question is about one person. Months are those of the log (UTC). Questions for confidential purposes are \
         counted. Actions of the privacy officer are not; refused ones are.",
    );
    if !report.over {
        note(
            "Deze periode is nog niet voorbij: dit is een tussenstand.",
            "This period is not over: these are provisional figures.",
        );
    }
    if erased > 0 {
        note(
            &format!("{erased} logregels uit deze periode zijn gewist en tellen niet mee."),
            &format!("{erased} log entries of this period were erased and are not counted."),
        );
    }
    if undated > 0 {
        note(
            &format!("Van {undated} gewiste logregels is niet bekend uit welke maand ze waren."),
            &format!("Of {undated} erased log entries it is not known of which month they were."),
        );
    }
    if report.some_without_case {
        note(
            "Van een deel van de vragen is de zaak al gewist; die tellen niet mee bij de zaken.",
            "Of some questions the case was erased already; they are not counted with the cases.",
        );
    }
    if report.unreadable > 0 {
        let count = report.unreadable;
        note(
            &format!("{count} logregels konden niet worden gelezen en tellen niet mee."),
            &format!("{count} log entries could not be read and are not counted."),
        );
    }
    note(
        "Publiceer van een jaar óf de kwartalen óf het hele jaar: naast elkaar kunnen zij kleine aantallen verraden.",
        "Of a year publish either the quarters or the whole: side by side they may give away small counts.",
    );
    notes
}

/// The months of an overview in words.
pub fn span(report: &Report, language: Language) -> String {
    let to = language.pick("tot en met", "to");
    format!("{} {to} {}", report.first_month, report.last_month)
}

/// The overview on a terminal.
pub fn on_terminal(view: &OverviewView, language: Language) -> String {
    let report = &view.report;
    let mut out = format!(
        "{} {} ({})\n",
        language.pick("Overzicht van", "Overview of"),
        span(report, language),
        local(&report.counted_at)
    );
    for sheet in sheets(report, language)
        .iter()
        .filter(|sheet| !sheet.rows.is_empty())
    {
        let header: Vec<String> = sheet.header.iter().map(|name| plain(name)).collect();
        let mut shown = table(&header.iter().map(String::as_str).collect::<Vec<_>>());
        for row in &sheet.rows {
            shown.add_row(row.iter().map(|cell| plain(&cell.text())));
        }
        out.push_str(&format!("\n{}\n{shown}\n", plain(&sheet.title)));
    }
    out.push('\n');
    for note in notes(report, language) {
        out.push_str(&format!("{note}\n"));
    }
    out + &own(&view.own, language)
}

/// A table as CSV for a spreadsheet, as the officer's other files are.
///
/// # Errors
/// As the writer, which is memory here.
pub fn csv(sheet: &Sheet) -> std::io::Result<Vec<u8>> {
    let mut out = writer(true);
    out.write_record(sheet.header.iter().map(|name| safe(name)))?;
    for row in &sheet.rows {
        out.write_record(row.iter().map(|cell| safe(&cell.text())))?;
    }
    out.into_inner().map_err(csv::IntoInnerError::into_error)
}
