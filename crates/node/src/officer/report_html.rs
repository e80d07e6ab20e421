//! The report as HTML to print on A4: one file, no scripts, nothing fetched. Every text is escaped.

use std::fmt::Write;

use super::page::PurposeView;
use super::report::{Report, ReportRow};
use super::text::{erasure_line, local};
use crate::html::{self, escape};
use crate::language::Language;
use crate::view::refusal_text;

const STYLE: &str = "\
@page { size: A4; margin: 18mm; }
body { font: 11pt/1.45 system-ui, sans-serif; color: #111; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 1.6rem; }
.notice { border: 2px solid #111; padding: .6rem .9rem; }
.row { border: 1px solid #777; padding: .6rem .9rem; margin: .8rem 0; break-inside: avoid; }
.row h3 { margin: 0 0 .4rem; font-size: 1rem; }
.facts > div { display: grid; grid-template-columns: 11rem 1fr; gap: .6rem; padding: .15rem 0; }
.facts dt { font-weight: 600; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.hash { font: 8pt/1.3 monospace; overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; padding: 0; } h2 { break-after: avoid; } }
";

/// A page that grows; writing to memory cannot fail.
struct Page {
    out: String,
    language: Language,
}

impl Page {
    /// A text of this program, the same in every report.
    fn pick<'a>(&self, nl: &'a str, en: &'a str) -> &'a str {
        self.language.pick(nl, en)
    }

    fn element(&mut self, tag: &str, text: &str) {
        let _ = writeln!(self.out, "<{tag}>{}</{tag}>", escape(text));
    }

    fn heading(&mut self, nl: &str, en: &str) {
        let text = self.pick(nl, en).to_owned();
        self.element("h2", &text);
    }

    fn paragraph(&mut self, nl: &str, en: &str) {
        let text = self.pick(nl, en).to_owned();
        self.element("p", &text);
    }

    fn list(&mut self, items: &[String]) {
        self.out.push_str("<ul>\n");
        for item in items {
            self.element("li", item);
        }
        self.out.push_str("</ul>\n");
    }

    fn line(&mut self, nl: &str, en: &str, value: &str, class: &str) {
        let label = escape(self.pick(nl, en));
        let value = escape(value);
        let class = match class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        let _ = writeln!(self.out, "<div><dt>{label}</dt><dd{class}>{value}</dd></div>");
    }
}

/// The whole report.
pub(super) fn html(report: &Report, language: Language) -> String {
    let title = language.pick("Overzicht van vragen over u", "Overview of questions about you");
    let mut out = html::opening(title, STYLE, language);
    out.push_str(&body(report, language));
    out.push_str(html::CLOSING);
    out
}

/// What stands under its heading, for a page that has its own.
pub(super) fn body(report: &Report, language: Language) -> String {
    let mut page = Page {
        out: String::new(),
        language,
    };
    opening(&mut page, report);
    questions(&mut page, report);
    withheld(&mut page, report);
    kept(&mut page, report);
    rights(&mut page, report);
    page.out
}

fn opening(page: &mut Page, report: &Report) {
    page.out.push_str("<div class=\"notice alert alert--warning\">\n");
    page.paragraph(
        "Vertrouwelijk. Dit overzicht is voor de persoon over wie het gaat, of voor wie die persoon vertegenwoordigt. \
         Bent u dat niet? Lees het dan niet en stuur het terug.",
        "Confidential. This overview is for the person it is about, or for whoever represents that person. \
         Is that not you? Then do not read it, and send it back.",
    );
    page.out.push_str("</div>\n");
    page.paragraph(
        "Organisaties die samenwerken kunnen elkaar vragen of een persoon bij hen bekend is. Elke vraag wordt \
         vastgelegd. Hieronder staat welke vragen over u zijn gesteld, door wie, waarom, en wat het antwoord was. \
         U hebt recht op dit overzicht (AVG artikel 15).",
        "Organisations that work together can ask each other whether a person is known to them. Every question is \
         recorded. Below is which questions were asked about you, by whom, why, and what the answer was. You have \
         a right to this overview (GDPR article 15).",
    );
    page.out.push_str("<dl class=\"facts\">\n");
    if let Some(reference) = &report.subject_reference {
        page.line("Kenmerk", "Reference", reference, "");
    }
    page.line("Gemaakt op", "Made on", &local(&report.generated_at), "");
    let covenant = format!("{} ({})", report.covenant, report.covenant_number);
    page.line("Convenant", "Covenant", &covenant, "");
    let log = match page.language {
        Language::Nl => format!("{}; {} regels doorzocht", report.log, report.searched),
        Language::En => format!("{}; {} entries searched", report.log, report.searched),
    };
    page.line("Logboek", "Log", &log, "");
    let count = report.rows.len().to_string();
    page.line("Vragen over u", "Questions about you", &count, "");
    page.out.push_str("</dl>\n");
}

fn questions(page: &mut Page, report: &Report) {
    page.heading("Wat er is gevraagd", "What was asked");
    if report.rows.is_empty() {
        page.paragraph(
            "In het logboek staan geen vragen over u die in dit overzicht horen.",
            "The log has no questions about you that belong in this overview.",
        );
    }
    for row in &report.rows {
        question(page, row);
    }
}

fn question(page: &mut Page, row: &ReportRow) {
    page.out.push_str("<section class=\"row card card--plain\">\n");
    page.element("h3", &format!("{}: {}", local(&row.time), row.organisation.name));
    page.out.push_str("<dl class=\"facts\">\n");
    page.line("Waarom", "Why", &row.purpose, "");
    page.line("Op grond van", "Legal basis", &row.legal_basis, "");
    page.line(
        "Meer over dit gebruik",
        "More about this use",
        &row.processing_activity,
        "",
    );
    if let Some(code) = &row.refused {
        let nl = format!(
            "Geweigerd; er is niets over u verteld. {}",
            refusal_text(code, Language::Nl)
        );
        let en = format!(
            "Refused; nothing was told about you. {}",
            refusal_text(code, Language::En)
        );
        let answer = page.pick(&nl, &en).to_owned();
        page.line("Antwoord", "Answer", &answer, "");
    }
    for partner in &row.partners {
        let status = page.language.status(partner.status.into());
        let answer = format!("{}: {status}", partner.name);
        page.line("Antwoord", "Answer", &answer, "");
    }
    let entry = format!(
        "{}; {}",
        row.log_entry,
        page.pick("het bewijs is gecontroleerd", "the proof has been checked")
    );
    page.line("Logregel", "Log entry", &entry, "");
    page.line("Controlegetal", "Leaf hash", &row.leaf, "hash");
    page.out.push_str("</dl>\n</section>\n");
}

fn withheld(page: &mut Page, report: &Report) {
    page.heading("Wat niet in dit overzicht staat", "What is not in this overview");
    let mut items = Vec::new();
    if report.withheld.users {
        items.push(page.pick(
            "De namen van de medewerkers die de vraag stelden. Die zijn apart vastgelegd en alleen de \
             privacyfunctionaris kan ze zien. De organisatie is verantwoordelijk, niet de medewerker.",
            "The names of the employees who asked. They are recorded apart and only the privacy officer can see \
             them. The organisation is responsible, not the employee.",
        ));
    }
    if report.withheld.cases {
        items.push(page.pick(
            "De kenmerken van zaken. Een zaak kan ook over andere mensen gaan.",
            "The references of cases. A case can be about other people too.",
        ));
    }
    if report.withheld.confidential {
        items.push(page.pick(
            "Vragen voor doelen die volgens het convenant vertrouwelijk zijn (AVG artikel 23). Of er zulke vragen \
             over u zijn, mogen wij niet zeggen. U kunt de Autoriteit Persoonsgegevens vragen dit na te gaan.",
            "Questions for purposes that the covenant makes confidential (GDPR article 23). Whether there are such \
             questions about you, we may not say. You can ask the data protection authority to look into it.",
        ));
    }
    let items: Vec<String> = items.into_iter().map(str::to_owned).collect();
    page.list(&items);
}

fn kept(page: &mut Page, report: &Report) {
    page.heading("Hoe lang dit wordt bewaard", "How long this is kept");
    let term = |purpose: &PurposeView| {
        let months = purpose.log_retention_months;
        let of = page.pick(
            "maanden na de maand van de vraag",
            "months after the month of the question",
        );
        format!("{}: {months} {of}", purpose.title)
    };
    let terms: Vec<String> = report.retention.iter().map(term).collect();
    page.list(&terms);
    if report.erasures.is_empty() {
        page.paragraph("Er is nog niets gewist.", "Nothing has been erased yet.");
        return;
    }
    let lines = report.erasures.iter();
    let lines: Vec<String> = lines
        .map(|erasure| erasure_line(erasure, page.language))
        .collect();
    page.paragraph("Wat al is gewist:", "What has been erased:");
    page.list(&lines);
    page.paragraph(
        "Of daar vragen over u bij waren, is niet meer vast te stellen.",
        "Whether questions about you were among them can no longer be found out.",
    );
}

fn rights(page: &mut Page, report: &Report) {
    page.heading("Wat u kunt doen", "What you can do");
    page.paragraph(
        "Klopt het niet dat een organisatie u kent? Vraag die organisatie uw gegevens te verbeteren of te verwijderen \
         (AVG artikel 16 en 17). U kunt ook bezwaar maken (AVG artikel 21).",
        "Is it not right that an organisation knows you? Ask that organisation to correct or remove your data (GDPR \
         articles 16 and 17). You can also object (GDPR article 21).",
    );
    let contacts = report.contacts.iter();
    let contacts: Vec<String> = contacts
        .map(|contact| format!("{}: {}", contact.name, contact.contact))
        .collect();
    if !contacts.is_empty() {
        page.list(&contacts);
    }
    page.paragraph(
        "Bent u het niet eens met wat er met uw gegevens gebeurt? Dan kunt u een klacht indienen bij de Autoriteit \
         Persoonsgegevens (autoriteitpersoonsgegevens.nl).",
        "Do you not agree with what happens to your data? Then you can complain to the Dutch data protection authority, \
         the Autoriteit Persoonsgegevens (autoriteitpersoonsgegevens.nl).",
    );
}
