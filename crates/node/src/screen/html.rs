//! Reports to print: one to share, with small numbers left out, and one with every household, for the coordinator.

use std::fmt::Write;

use hitmachine_core::PartnerStatus;

use super::shared::Picture;
use super::upset::{svg, words};
use super::{HouseholdView, ScreenResult, ScreenedPerson, ScreeningReport, Stand};
use crate::html::{self, escape};
use crate::language::Language;
use crate::officer::text::local;
use crate::view::{StatusWord, refusal_text};

const STYLE: &str = "\
@page { size: A4; margin: 16mm; }
body { font: 11pt/1.45 system-ui, sans-serif; color: #111; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.15rem; margin: 1.8rem 0 .5rem; }
.notice { border: 2px solid #9a3412; padding: .5rem .9rem; margin: 1rem 0; }
.confidential { border: 2px solid #111; padding: .5rem .9rem; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-size: 10.5pt; }
th, td { text-align: left; vertical-align: top; padding: .22rem .7rem .22rem 0; border-bottom: 1px solid #d5d9de; }
thead th { border-bottom: 2px solid #111; vertical-align: bottom; }
th[scope=row] { font-weight: 500; } th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
.figures th[scope=row] { width: 60%; }
figure { margin: .5rem 0 0; } figure svg { width: 100%; height: auto; max-height: 23cm; }
svg text { font-family: system-ui, sans-serif; fill: #111; } svg .name { font-size: 12.5px; }
svg .count { font-size: 13px; font-variant-numeric: tabular-nums; } svg .axis { font-size: 12px; fill: #444; }
svg .words { font-size: 12.5px; fill: #9a3412; } svg .ask { font-size: 11px; font-weight: 700; fill: #9a3412; }
.legend { font-size: 10pt; color: #333; } .small { font-size: 10pt; color: #333; }
.known { font-weight: 700; } .ask { color: #9a3412; font-weight: 600; } .quiet { color: #555; }
tr.first td, tr.first th { border-top: 2px solid #767676; }
@media print { body { margin: 0; max-width: none; padding: 0; } h2 { break-after: avoid; } tr, figure { break-inside: avoid; } }
";

/// What stands where a number is left out.
const LEFT_OUT: &str = "–";

struct Page {
    out: String,
    language: Language,
}

impl Page {
    fn pick<'a>(&self, nl: &'a str, en: &'a str) -> &'a str {
        self.language.pick(nl, en)
    }

    fn heading(&mut self, nl: &str, en: &str) {
        let _ = writeln!(self.out, "<h2>{}</h2>", escape(self.pick(nl, en)));
    }

    fn paragraph(&mut self, class: &str, text: &str) {
        let _ = writeln!(self.out, "<p class=\"{class}\">{}</p>", escape(text));
    }

    fn line(&mut self, nl: &str, en: &str, value: &str, class: &str) {
        let _ = writeln!(
            self.out,
            "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{}</td></tr>",
            escape(self.pick(nl, en)),
            escape(value)
        );
    }

    fn count(&mut self, nl: &str, en: &str, count: Option<u64>) {
        self.line(nl, en, &number(count), "number");
    }

    fn header(&mut self, columns: &[(&str, &str, bool)]) {
        self.out.push_str("<table>\n<thead><tr>");
        for (nl, en, numeric) in columns {
            let class = if *numeric { " class=\"number\"" } else { "" };
            let _ = write!(
                self.out,
                "<th scope=\"col\"{class}>{}</th>",
                escape(self.pick(nl, en))
            );
        }
        self.out.push_str("</tr></thead>\n<tbody>\n");
    }

    fn end_table(&mut self) {
        self.out.push_str("</tbody>\n</table>\n");
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or_else(|| LEFT_OUT.to_owned(), |count| count.to_string())
}

impl ScreeningReport {
    /// The report to share: totals and a picture, nothing about anybody. Numbers below `threshold` are left out, and as
    /// many more as it takes that none of those can be computed (see `hitmachine_core::combinations`).
    pub fn shared_html(&self, language: Language, threshold: u64) -> String {
        let mut page = self.begin(language);
        let picture = Picture::of(self, threshold);
        figures(&mut page, &picture);
        combinations(&mut page, &picture);
        reading(&mut page, &picture);
        page.out.push_str(html::CLOSING);
        page.out
    }

    /// The report with every household and person, for the coordinator alone. Nothing is left out.
    pub fn full_html(&self, language: Language) -> String {
        let mut page = self.begin(language);
        let confidential = language.pick(
            "Vertrouwelijk: dit rapport gaat over personen. Deel het niet; bewaar het niet langer dan nodig.",
            "Confidential: this report is about persons. Do not share it; keep it no longer than needed.",
        );
        page.paragraph("confidential", confidential);
        let picture = Picture::of(self, 0);
        figures(&mut page, &picture);
        combinations(&mut page, &picture);
        self.households_html(&mut page);
        self.left_out_rows(&mut page);
        reading(&mut page, &picture);
        page.out.push_str(html::CLOSING);
        page.out
    }

    /// The picture of who is known where, an SVG element for a page of the coordinator's own: nothing is left out. Absent if
    /// nobody was asked about.
    pub fn picture(&self, language: Language) -> Option<String> {
        let picture = Picture::of(self, 0);
        (!picture.rows.is_empty()).then(|| svg(&picture, language))
    }

    /// What the picture shows in words: each combination and its persons, the most first.
    pub fn combinations(&self, language: Language) -> Vec<(String, u64)> {
        let picture = Picture::of(self, 0);
        let rows = picture.rows.iter().map(|(combination, count)| {
            let words = words(combination, &picture.partners, language);
            (words, count.unwrap_or_default())
        });
        rows.collect()
    }

    fn begin(&self, language: Language) -> Page {
        let title = language.pick("Verslag van een screening", "Report of a screening");
        let mut page = Page {
            out: html::opening(title, STYLE, language),
            language,
        };
        let covenants: Vec<_> = self.covenants.keys().map(u32::to_string).collect();
        let mut about = format!(
            "{}: {} · {} {}",
            language.pick("Doel", "Purpose"),
            self.frame.purpose,
            language.pick("begonnen", "begun"),
            local(&self.started_at)
        );
        if !covenants.is_empty() {
            let word = if covenants.len() == 1 {
                language.pick("convenant", "covenant")
            } else {
                language.pick("convenant, onderweg gewijzigd:", "covenant, changed meanwhile:")
            };
            about.push_str(&format!(" · {word} {}", covenants.join(", ")));
        }
        page.paragraph("small", &about);
        if self.stand != Stand::Done {
            let because = self.stopped.as_ref().map_or("", |failure| failure.text(language));
            let text = format!(
                "{} {because}",
                language.pick(
                    "Deze screening is niet afgemaakt. Wie niet is bevraagd, telt hieronder apart en nooit als niet bekend.",
                    "This screening is not finished. Whoever was not asked about is counted apart below, and never as not \
                     known."
                )
            );
            page.paragraph("notice", text.trim_end());
        }
        page
    }

    fn households_html(&self, page: &mut Page) {
        page.heading("Per huishouden", "By household");
        let frame = &self.frame;
        let language = page.language;
        let who = format!(
            "{}: {} · {}: {} ({}){}",
            language.pick("Zaak", "Case"),
            frame.case,
            language.pick("Gevraagd door", "Asked by"),
            frame.user,
            frame.role,
            frame.responsible.as_ref().map_or_else(String::new, |of| format!(
                ", {} {of}",
                language.pick("namens", "on behalf of")
            ))
        );
        page.paragraph("small", &who);
        let columns = self.partner_columns();
        let mut header = vec![
            ("Huishouden", "Household", false),
            ("Rij", "Row", true),
            ("Kenmerk", "Label", false),
        ];
        header.extend(
            columns
                .iter()
                .map(|(_, name)| (name.as_str(), name.as_str(), false)),
        );
        header.push(("Logregel", "Log entry", true));
        page.header(&header);
        for household in &self.households {
            household_rows(page, household, &columns);
        }
        page.end_table();
    }

    fn left_out_rows(&self, page: &mut Page) {
        if self.issues.is_empty() {
            return;
        }
        page.heading("Rijen die zijn overgeslagen", "Rows that were left out");
        page.out.push_str("<ul>\n");
        for issue in &self.issues {
            let _ = writeln!(page.out, "<li>{}</li>", escape(issue.text(page.language)));
        }
        if self.totals.bad_rows > self.issues.len() {
            let _ = writeln!(
                page.out,
                "<li>{}</li>",
                page.language.pick("… en meer", "… and more")
            );
        }
        page.out.push_str("</ul>\n");
    }
}

fn figures(page: &mut Page, picture: &Picture) {
    page.heading("Samenvatting", "Summary");
    page.out.push_str("<table class=\"figures\">\n<tbody>\n");
    page.count(
        "Huishoudens op de lijst",
        "Households on the list",
        picture.households,
    );
    page.count("Personen op de lijst", "Persons on the list", picture.persons);
    page.count(
        "Personen met een antwoord, bewezen vastgelegd",
        "Persons with an answer, proven to be recorded",
        picture.answered,
    );
    page.count("Personen: geweigerd", "Persons: refused", picture.refused);
    page.count(
        "Personen: niet bevraagd door een storing",
        "Persons: not asked because of a failure",
        picture.not_asked,
    );
    page.count(
        "Rijen van de lijst overgeslagen",
        "Rows of the list left out",
        picture.bad_rows,
    );
    page.count(
        "Huishoudens waarvan niemand ergens bekend is",
        "Households of which nobody is known anywhere",
        picture.households_not_known,
    );
    page.end_table();
    page.heading("Per organisatie", "By organisation");
    page.header(&[
        ("Organisatie", "Organisation", false),
        ("Personen bekend", "Persons known", true),
        ("Kon niet worden bevraagd", "Could not be asked", true),
    ]);
    for (place, name) in picture.partners.iter().enumerate() {
        let count = |counts: &[Option<u64>]| number(counts.get(place).copied().flatten());
        let _ = writeln!(
            page.out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            escape(name),
            count(&picture.known),
            count(&picture.could_not)
        );
    }
    page.end_table();
}

fn combinations(page: &mut Page, picture: &Picture) {
    page.heading(
        "In welke combinatie personen bekend zijn",
        "In which combination persons are known",
    );
    if picture.rows.is_empty() {
        let nobody = page
            .pick("Er staat niemand op de lijst.", "There is nobody on the list.")
            .to_owned();
        page.paragraph("", &nobody);
        return;
    }
    let language = page.language;
    let _ = writeln!(page.out, "<figure>\n{}</figure>", svg(picture, language));
    let mut legend = language
        .pick(
            "Elke regel is een combinatie van organisaties: ● bekend, ? kon niet worden bevraagd, een kleine stip: niet \
             bekend of niet van toepassing. De balk is het aantal personen.",
            "Each row is a combination of organisations: ● known, ? could not be asked, a small dot: not known or does not \
             apply. The bar is the number of persons.",
        )
        .to_owned();
    if picture.leaves_out() {
        legend.push(' ');
        legend.push_str(language.pick(
            "Gearceerd of –: weggelaten, zie onderaan.",
            "Hatched or –: left out, see below.",
        ));
    }
    page.paragraph("legend", &legend);
    page.header(&[("Bekend bij", "Known at", false), ("Personen", "Persons", true)]);
    for (combination, count) in &picture.rows {
        let _ = writeln!(
            page.out,
            "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td></tr>",
            escape(&words(combination, &picture.partners, language)),
            number(*count)
        );
    }
    page.end_table();
}

fn reading(page: &mut Page, picture: &Picture) {
    page.heading("Hoe u dit leest", "How to read this");
    let could_not = page
        .pick(
            "“Kon niet worden bevraagd” is iets anders dan “niet bekend”: de organisatie was niet bereikbaar of haar \
             gegevens waren te oud. “Bekend” zegt alleen dát iemand bekend is, niet waarom.",
            "“Could not be asked” is not the same as “not known”: the organisation could not be reached, or its data were \
             too old. “Known” only says that somebody is known, not why.",
        )
        .to_owned();
    page.paragraph("small", &could_not);
    if picture.leaves_out() {
        let threshold = picture.threshold;
        let text = match page.language {
            Language::Nl => format!(
                "Aantallen van 1 tot en met {} zijn weggelaten (–), zodat niemand uit kleine aantallen is te herkennen. \
                 Ook andere aantallen zijn weggelaten, zodat het verschil tussen totalen ze niet verraadt. Een aantal \
                 dat is weggelaten, hoeft dus niet klein te zijn.",
                threshold.saturating_sub(1)
            ),
            Language::En => format!(
                "Numbers from 1 to {} are left out (–), so that nobody can be recognised in a small number. Other \
                 numbers are left out too, so that no difference of totals gives those away. A number that is left \
                 out need not be small.",
                threshold.saturating_sub(1)
            ),
        };
        page.paragraph("small", &text);
    }
}

fn household_rows(page: &mut Page, household: &HouseholdView, columns: &[(String, String)]) {
    let mut name = household.household.clone();
    if !household.bad_rows.is_empty() {
        let rows: Vec<_> = household.bad_rows.iter().map(u64::to_string).collect();
        name.push_str(&format!(
            " ({} {})",
            page.pick("niet volledig: zonder rij", "incomplete: without row"),
            rows.join(", ")
        ));
    }
    if household.persons.is_empty() {
        let _ = writeln!(
            page.out,
            "<tr class=\"first\"><th scope=\"row\">{}</th><td colspan=\"{}\" class=\"ask\">{}</td></tr>",
            escape(&name),
            columns.len() + 3,
            escape(page.pick("niemand om te bevragen", "nobody to ask about"))
        );
    }
    for (place, person) in household.persons.iter().enumerate() {
        let (class, name) = if place == 0 {
            (" class=\"first\"", name.as_str())
        } else {
            ("", "")
        };
        let _ = write!(
            page.out,
            "<tr{class}><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td>",
            escape(name),
            person.row,
            escape(person.label.as_deref().unwrap_or(""))
        );
        person_cells(page, person, columns);
        page.out.push_str("</tr>\n");
    }
}

fn person_cells(page: &mut Page, person: &ScreenedPerson, columns: &[(String, String)]) {
    let language = page.language;
    let whole = |page: &mut Page, text: &str, entry: &str| {
        let _ = write!(
            page.out,
            "<td colspan=\"{}\" class=\"ask\">{}</td><td class=\"number\">{entry}</td>",
            columns.len().max(1),
            escape(text)
        );
    };
    let answer = match &person.result {
        ScreenResult::NotAsked(failure) => {
            let text = format!(
                "{} {}",
                language.pick("Niet bevraagd:", "Not asked:"),
                failure.text(language)
            );
            return whole(page, &text, "");
        }
        ScreenResult::Answer(answer) => answer,
    };
    let entry = answer.log_index.saturating_add(1).to_string();
    if let Some(code) = &answer.refused {
        let text = format!(
            "{} {}",
            language.pick("Geweigerd:", "Refused:"),
            refusal_text(code, language)
        );
        return whole(page, &text, &entry);
    }
    for (id, _) in columns {
        let row = answer.partners.iter().find(|row| row.partner == *id);
        let Some(row) = row else {
            page.out.push_str("<td></td>");
            continue;
        };
        let (class, contact) = match row.status {
            StatusWord::Known => ("known", row.contact.as_deref()),
            StatusWord::CouldNotAsk => ("ask", None),
            StatusWord::NotKnown | StatusWord::DoesNotApply => ("quiet", None),
        };
        let _ = write!(
            page.out,
            "<td><span class=\"{class}\">{}</span>{}</td>",
            escape(language.status(PartnerStatus::from(row.status))),
            contact.map_or_else(String::new, |contact| format!(
                "<br><span class=\"small\">{}</span>",
                escape(contact)
            ))
        );
    }
    let _ = write!(page.out, "<td class=\"number\">{entry}</td>");
}
